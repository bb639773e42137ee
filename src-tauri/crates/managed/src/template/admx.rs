//! Administrative templates (ADMX and ADML) for group policy and Intune.

use super::{POLICY_KEY, xml};
use crate::setting::{Kind, Setting};

/// The language-neutral file.
pub(super) fn definitions() -> String {
    let policies: String = Setting::ALL.into_iter().map(policy).collect();
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<!-- Generated from the definition in the crate managed. Do not edit. -->
<policyDefinitions xmlns="http://schemas.microsoft.com/GroupPolicy/2006/07/PolicyDefinitions" revision="1.0" schemaVersion="1.0">
  <policyNamespaces>
    <target prefix="deskgate" namespace="Deskgate.Policies.Deskgate" />
  </policyNamespaces>
  <resources minRequiredRevision="1.0" />
  <supportedOn>
    <definitions>
      <definition name="SUPPORTED_DESKGATE" displayName="$(string.SUPPORTED_DESKGATE)" />
    </definitions>
  </supportedOn>
  <categories>
    <category name="Deskgate" displayName="$(string.Deskgate)" />
  </categories>
  <policies>
{policies}  </policies>
</policyDefinitions>
"#
    )
}

fn policy(setting: Setting) -> String {
    let name = setting.name();
    let head = format!(
        r#"    <policy name="{name}" class="Machine" displayName="$(string.{name})" explainText="$(string.{name}_Explain)" key="{POLICY_KEY}""#
    );
    let tail = r#"      <parentCategory ref="Deskgate" />
      <supportedOn ref="SUPPORTED_DESKGATE" />
"#;
    let element = match setting.kind() {
        Kind::Flag => {
            return format!(
                r#"{head} valueName="{name}">
{tail}      <enabledValue><decimal value="1" /></enabledValue>
      <disabledValue><decimal value="0" /></disabledValue>
    </policy>
"#
            );
        }
        Kind::Text | Kind::Secret => "text",
        Kind::List => "multiText",
    };
    format!(
        r#"{head} presentation="$(presentation.{name})">
{tail}      <elements>
        <{element} id="{name}_Value" valueName="{name}" required="true" />
      </elements>
    </policy>
"#
    )
}

/// The words in English.
pub(super) fn words() -> String {
    let strings: String = Setting::ALL.into_iter().map(strings).collect();
    let presentations: String = Setting::ALL.into_iter().map(presentation).collect();
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<!-- Generated from the definition in the crate managed. Do not edit. -->
<policyDefinitionResources xmlns="http://schemas.microsoft.com/GroupPolicy/2006/07/PolicyDefinitions" revision="1.0" schemaVersion="1.0">
  <displayName>Deskgate</displayName>
  <description>What Deskgate takes from the machine.</description>
  <resources>
    <stringTable>
      <string id="Deskgate">Deskgate</string>
      <string id="SUPPORTED_DESKGATE">Deskgate 0.1 and later</string>
{strings}    </stringTable>
    <presentationTable>
{presentations}    </presentationTable>
  </resources>
</policyDefinitionResources>
"#
    )
}

fn strings(setting: Setting) -> String {
    let name = setting.name();
    let explained = format!("{} Not configured: {}.", setting.meaning(), setting.default());
    format!(
        "      <string id=\"{name}\">{}</string>\n      <string id=\"{name}_Explain\">{}</string>\n",
        xml(setting.title()),
        xml(&explained)
    )
}

fn presentation(setting: Setting) -> String {
    let (name, title) = (setting.name(), xml(setting.title()));
    let control = match setting.kind() {
        Kind::Flag => return String::new(),
        Kind::Text | Kind::Secret => {
            format!(r#"<textBox refId="{name}_Value"><label>{title}</label></textBox>"#)
        }
        Kind::List => format!(r#"<multiTextBox refId="{name}_Value" />"#),
    };
    format!("      <presentation id=\"{name}\">{control}</presentation>\n")
}
