//! The person's own settings: `deskgate.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use audit::JournalRules;
use issuer::NamedClient;
use model::{Advice, ConnectorId, ForPerson, ServerId};
use org_protocol::{
    AssistantSpec, ClientMetadataUrl, ConnectorSpec, CredentialSpec, LimitRule, PayloadSettings,
    RootFingerprint, ServerSpec,
};
use serde::Deserialize;
use url::Url;

/// What the file says. A key that is not known refuses the whole file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The organisation that decides here; then connectors, virtual servers and policies come from it alone.
    #[serde(default)]
    pub organisation: Option<OrganisationSettings>,
    /// Connectors by id.
    #[serde(default)]
    pub connectors: BTreeMap<ConnectorId, ConnectorSpec>,
    /// Virtual servers by id.
    #[serde(default)]
    pub servers: BTreeMap<ServerId, ServerSpec>,
    /// Where a Client ID Metadata Document of this Deskgate is published, which is then its client id at connectors.
    #[serde(default)]
    pub client_metadata_url: Option<ClientMetadataUrl>,
    /// Assistants that need not register, by client id.
    #[serde(default)]
    pub assistants: BTreeMap<String, AssistantSpec>,
    /// A folder of Cedar policies, relative to the file, that restrict the built-in personal policy.
    #[serde(default)]
    pub policies: Option<PathBuf>,
    /// Whether `deskgate answer` may answer consents and approvals where no desktop runs. Off by default: an assistant
    /// that has a shell could otherwise approve itself.
    #[serde(default)]
    pub answer_in_terminal: bool,
    /// Whether argument values are recorded, not only their names, types, sizes and keyed digests.
    #[serde(default)]
    pub capture_arguments: bool,
    /// How much of the audit journal is kept.
    #[serde(default)]
    pub journal: JournalSettings,
    /// What is looked for in what assistants send and connectors answer.
    #[serde(default)]
    pub payload: PayloadSettings,
    /// How large what is sent and answered may be, and how often calls are made.
    #[serde(default)]
    pub limits: Vec<LimitRule>,
}

/// How much of the audit journal is kept where no organisation decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalSettings {
    /// The most MiB that it takes: 16 to 65536. When it comes near, the oldest records go, or calls are refused where there are
    /// none that may go.
    pub quota_mib: u32,
    /// For how many days records stay in any case: 90 to 36500.
    pub keep_days: u32,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self { quota_mib: 512, keep_days: 90 }
    }
}

impl JournalSettings {
    /// What the journal is told.
    pub(crate) fn rules(self) -> JournalRules {
        JournalRules { quota: mib(self.quota_mib), keep_own: days(self.keep_days), ..JournalRules::default() }
    }

    fn check(self) -> Result<(), String> {
        if !(16..=65_536).contains(&self.quota_mib) {
            return Err(format!("journal: quota_mib is {}, not between 16 and 65536", self.quota_mib));
        }
        if !(90..=36_500).contains(&self.keep_days) {
            return Err(format!("journal: keep_days is {}, not between 90 and 36500", self.keep_days));
        }
        Ok(())
    }
}

/// MiB in bytes.
pub(crate) fn mib(count: u32) -> u64 {
    u64::from(count) * 1024 * 1024
}

/// Days as a duration.
pub(crate) fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 24 * 60 * 60)
}

/// Where an organisation is found, and by what it is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganisationSettings {
    /// The configuration URL: https, or http on this machine.
    pub config_url: Url,
    /// The fingerprint of its root keys, as IT published it. Where it is not given, the organisation is the first that answers, and
    /// starts no programs here before a person has confirmed it (`deskgate trust`).
    #[serde(default)]
    pub root_key_fingerprint: Option<RootFingerprint>,
}

impl OrganisationSettings {
    /// The organisation that the file at `path` names, whatever else is wrong with the file: a mistake in a connector must
    /// not turn an organisation's desktop into a personal one.
    pub(crate) fn find(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let table: toml::Table = text.parse().ok()?;
        table.get("organisation")?.clone().try_into().ok()
    }
}

/// The settings and the policies beside them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// The person's policies by file name.
    pub(crate) policies: BTreeMap<String, String>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsFault {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {text}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where and why, in words.
        text: String,
    },
}

impl ForPerson for SettingsFault {
    fn advice(&self) -> Advice {
        let kept = "Deskgate goes on with the last settings that were right, if there were any.";
        match self {
            Self::Unreadable { path, source } => Advice::new(
                "settings-unreadable",
                format!("The settings file {} cannot be read: {source}.", path.display()),
                kept,
                "Check that it belongs to you.",
            ),
            Self::Wrong { path, text } => Advice::new(
                "settings-wrong",
                format!("There is a mistake in {}: {text}", path.display()),
                kept,
                "Correct the file; it is read again by itself.",
            ),
        }
    }
}

impl Settings {
    /// Reads settings from their text.
    ///
    /// # Errors
    /// What is wrong and where, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let settings: Self = toml::from_str(text).map_err(|fault| mistake(&fault, text))?;
        settings.journal.check()?;
        for (id, connector) in &settings.connectors {
            connector.transport().map_err(|fault| format!("connector {id}: {fault}"))?;
            if connector.credential.is_shared() {
                return Err(format!("connector {id}: only an organisation can share credentials"));
            }
            if let CredentialSpec::Enterprise { .. } = connector.credential {
                return Err(format!(
                    "connector {id}: only an organisation's identity provider can vouch for people"
                ));
            }
            connector.check_credential().map_err(|fault| format!("connector {id} {fault}"))?;
        }
        for (id, assistant) in &settings.assistants {
            NamedClient::new(id, &assistant.title, &assistant.redirect_uris)
                .map_err(|fault| format!("assistant {id}: {fault}"))?;
        }
        for (id, server) in &settings.servers {
            for connector in server.connectors.iter().chain(server.tools.keys()) {
                if !settings.connectors.contains_key(connector) {
                    return Err(format!("server {id} names the connector {connector}, which is not defined"));
                }
            }
            server.check_accounts(&settings.connectors).map_err(|fault| format!("server {id} {fault}"))?;
        }
        Ok(settings)
    }
}

/// Where a mistake is and what it is, without what the file says there: that may be a secret, and these words come into logs.
fn mistake(fault: &toml::de::Error, text: &str) -> String {
    let mut told = String::new();
    // Values stand in quotation marks.
    for (at, part) in fault.message().split('"').enumerate() {
        told.push_str(if at % 2 == 0 { part } else { "\"…\"" });
    }
    let before = fault.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {told}", before.matches('\n').count() + 1),
        None => told,
    }
}

impl Loaded {
    /// Reads the file at `path` and the policies that it names. A file that does not exist is empty settings.
    pub(crate) fn read(path: &Path) -> Result<Self, SettingsFault> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(SettingsFault::Unreadable { path: path.to_owned(), source }),
        };
        let wrong = |text| SettingsFault::Wrong { path: path.to_owned(), text };
        let settings = Settings::parse(&text).map_err(wrong)?;
        let folder = settings.policies.as_ref().map(|folder| match path.parent() {
            Some(parent) => parent.join(folder),
            None => folder.clone(),
        });
        let policies = folder.map(|folder| read_policies(&folder)).transpose()?.unwrap_or_default();
        Ok(Self { settings, policies })
    }
}

fn read_policies(folder: &Path) -> Result<BTreeMap<String, String>, SettingsFault> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| SettingsFault::Unreadable { path, source }
    };
    let mut policies = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            policies.insert(name, text);
        }
    }
    Ok(policies)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [connectors.files]
        title = "Files"
        command = ["mcp-files", "/tmp"]

        [servers.analyst]
        title = "Analyst"
        connectors = ["files"]
    "#;

    #[test]
    fn a_good_file_is_read() {
        let settings = Settings::parse(GOOD).unwrap();
        assert_eq!(settings.connectors.len(), 1);
        assert!(!settings.answer_in_terminal, "off unless switched on");
    }

    #[test]
    fn each_mistake_is_named() {
        let check = |text: &str, part: &str| {
            let fault = Settings::parse(text).expect_err(text);
            assert!(fault.contains(part), "{fault}");
        };
        check("surprise = 1", "surprise");
        check("[connectors.files]\ntitle = \"F\"", "exactly one of url and command");
        check("[servers.a]\ntitle = \"A\"\nconnectors = [\"nope\"]", "nope");
        let files = "[connectors.files]\ntitle = \"F\"\ncommand = [\"x\"]\n";
        let server = "[servers.a]\ntitle = \"A\"\nconnectors = [\"files\"]\n";
        check(
            &format!("{files}{server}accounts = {{ files = \"work\" }}"),
            "server a names an account of connector files, to which people do not sign in",
        );
        check(
            &format!("{files}{server}accounts = {{ nope = \"work\" }}"),
            "which is not among its connectors",
        );
        check(&format!("{files}{server}accounts = {{ files = \"My work\" }}"), "id");
        check("[connectors.\"../x\"]\ntitle = \"F\"\ncommand = [\"x\"]", "id");
        check(
            "[connectors.w]\ntitle = \"W\"\ncommand = [\"x\"]\ncredential = { kind = \"brokered\", credentials = [\"a\"] }",
            "only an organisation",
        );
        check(
            "[connectors.w]\ntitle = \"W\"\nurl = \"https://w.test/\"\ncredential = { kind = \"enterprise\", client_id = \"c\" }",
            "only an organisation",
        );
        check(
            "[connectors.w]\ntitle = \"W\"\ncommand = [\"x\"]\ncredential = { kind = \"user_token\" }",
            "connector w has a credential for a url",
        );
        check(
            "[assistants.agent]\ntitle = \"Agent\"\nredirect_uris = [\"https://a.example/\"]",
            "assistant agent: the redirect URI https://a.example/ is refused",
        );
    }

    #[test]
    fn a_mistake_is_told_by_its_line_and_never_by_what_stands_there() {
        for wrong in [
            "connectors = \"hunter2hunter2\"",
            "[connectors.x]\nenvironment = \"hunter2hunter2\"",
            "[connectors.x]\nenvironment = { T = hunter2hunter2 }",
            "[connectors.x]\ntitle = \"X\"\nenvironment = { T = \"hunter2hunter2\" ",
        ] {
            let fault = Settings::parse(wrong).unwrap_err();
            assert!(!fault.contains("hunter2"), "{fault}");
            assert!(fault.starts_with("line "), "{fault}");
        }
    }

    #[test]
    fn an_organisation_is_named_by_url_and_fingerprint() {
        let fingerprint = model::Digest::of(b"root");
        let text = |more: &str| {
            format!(
                "[organisation]\nconfig_url = \"https://deskgate.acme.test/\"\nroot_key_fingerprint = \"{fingerprint}\"\n{more}"
            )
        };
        let organisation = Settings::parse(&text("")).unwrap().organisation.unwrap();
        assert_eq!(organisation.root_key_fingerprint, Some(fingerprint));
        assert!(Settings::parse(&text("pinned = false")).unwrap_err().contains("pinned"));
        let unknown =
            Settings::parse("[organisation]\nconfig_url = \"https://deskgate.acme.test/\"").unwrap();
        assert_eq!(unknown.organisation.unwrap().root_key_fingerprint, None);
    }

    #[test]
    fn an_organisation_is_found_beside_mistakes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deskgate.toml");
        let fingerprint = model::Digest::of(b"root");
        let organisation = format!(
            "[organisation]\nconfig_url = \"https://x.test/\"\nroot_key_fingerprint = \"{fingerprint}\"\n"
        );
        std::fs::write(&path, format!("policies = \"missing\"\nsurprise = 1\n{organisation}")).unwrap();
        assert!(Loaded::read(&path).is_err());
        assert_eq!(OrganisationSettings::find(&path).unwrap().root_key_fingerprint, Some(fingerprint));
        assert_eq!(OrganisationSettings::find(&dir.path().join("none")), None);
    }

    #[test]
    fn a_missing_file_is_empty_and_policies_lie_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deskgate.toml");
        assert_eq!(Loaded::read(&path).unwrap(), Loaded::default());
        std::fs::write(&path, "policies = \"rules\"").unwrap();
        assert!(
            matches!(Loaded::read(&path), Err(SettingsFault::Unreadable { .. })),
            "the folder is missing"
        );
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        std::fs::write(dir.path().join("rules/one.cedar"), "x").unwrap();
        std::fs::write(dir.path().join("rules/notes.txt"), "y").unwrap();
        let loaded = Loaded::read(&path).unwrap();
        assert_eq!(loaded.policies.keys().collect::<Vec<_>>(), ["one.cedar"]);
    }
}
