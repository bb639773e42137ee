//! A configuration profile for macOS: a payload of our own domain, whose keys the system then keeps as managed preferences.

use super::xml;
use crate::DOMAIN;
use crate::setting::{Kind, Setting};

/// The profile, with a value for each setting that shows how it is written.
pub(super) fn profile() -> String {
    let settings: String = Setting::ALL.into_iter().map(setting).collect();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Generated from the definition in the crate managed. Copy it, take out what you do not want to set, give it identifiers
     of your own (uuidgen), and deliver it by your device management. -->
<plist version="1.0">
<dict>
  <key>PayloadType</key>
  <string>Configuration</string>
  <key>PayloadVersion</key>
  <integer>1</integer>
  <key>PayloadScope</key>
  <string>System</string>
  <key>PayloadIdentifier</key>
  <string>{DOMAIN}.profile</string>
  <key>PayloadUUID</key>
  <string>5B6E7C1A-0D43-4C1B-9C55-6E2A3C9B7F01</string>
  <key>PayloadDisplayName</key>
  <string>Deskgate</string>
  <key>PayloadContent</key>
  <array>
    <dict>
      <key>PayloadType</key>
      <string>{DOMAIN}</string>
      <key>PayloadVersion</key>
      <integer>1</integer>
      <key>PayloadIdentifier</key>
      <string>{DOMAIN}.settings</string>
      <key>PayloadUUID</key>
      <string>5B6E7C1A-0D43-4C1B-9C55-6E2A3C9B7F02</string>
      <key>PayloadDisplayName</key>
      <string>Deskgate</string>
{settings}    </dict>
  </array>
</dict>
</plist>
"#
    )
}

fn setting(setting: Setting) -> String {
    let texts = |indent: &str| -> String {
        let each = setting.sample().iter().map(|text| format!("{indent}<string>{}</string>\n", xml(text)));
        each.collect()
    };
    let value = match setting.kind() {
        Kind::Text | Kind::Secret => texts("      "),
        Kind::Flag => format!("      <{}/>\n", setting.sample().concat()),
        Kind::List => format!("      <array>\n{}      </array>\n", texts("        ")),
    };
    let explained = format!("{} Where it is not set: {}.", setting.meaning(), setting.default());
    // Two hyphens in a row would end the comment's good form.
    let explained = xml(&explained).replace("--", "- -");
    format!("      <!-- {explained} -->\n      <key>{}</key>\n{value}", setting.name())
}
