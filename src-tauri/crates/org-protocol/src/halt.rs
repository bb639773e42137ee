//! What administrators have stopped, beside the signed policy: it takes effect without a signing ceremony, because it can only
//! take away. Nothing in it permits anything, so whoever forges one gains nothing but a standstill.

use std::collections::BTreeSet;

use model::{ConnectorId, CredentialId, DeviceId, Subject, Timestamp, ToolName};
use serde::{Deserialize, Serialize};

/// Where a device asks what is stopped for it, relative to the configuration URL.
pub const HALTS_PATH: &str = "v1/halts";
/// The format version of [`Halts`].
pub const HALT_FORMAT: u32 = 1;
/// The code under which a person or device that is stopped is refused.
pub const HALTED: &str = "halted";
/// The longest reason, in characters: it must fit into one line of an assistant's answer.
pub const HALT_REASON_LIMIT: usize = 240;

/// Everything that is stopped, as far as it concerns whoever is told.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halts {
    /// The format version: [`HALT_FORMAT`].
    pub format: u32,
    /// What is stopped, in the order in which it was.
    pub halts: Vec<Halt>,
}

/// One thing that is stopped until an administrator lifts it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Counts the halts of the organisation. Records name it as the rule `halt:<id>`.
    pub id: u64,
    /// What is stopped.
    pub target: HaltTarget,
    /// Of a person who was known when they were stopped: their subjects at the identity provider, which stay theirs whatever address a
    /// later sign-in names.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub subjects: BTreeSet<String>,
    /// Since when.
    pub since: Timestamp,
    /// Why, in one line for those whom it hits; empty where nothing was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What is stopped.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HaltTarget {
    /// A person: no calls, nothing lent, and no administration. Sessions stay, since records go on being delivered.
    User {
        /// Their subject at the identity provider, or their e-mail address.
        person: String,
    },
    /// A device: likewise.
    Device {
        /// The device.
        device: DeviceId,
    },
    /// An assistant, wherever it runs.
    Assistant {
        /// Its client id, or the name that it claims. A name proves nothing: an assistant that claims another is not hit.
        client: String,
    },
    /// A connector, with all that it offers.
    Connector {
        /// The connector.
        connector: ConnectorId,
    },
    /// One tool.
    Tool {
        /// Its connector.
        connector: ConnectorId,
        /// The connector's own name of it.
        tool: ToolName,
    },
    /// A shared credential. Calls that would use it are refused rather than made with another.
    Credential {
        /// The credential.
        credential: CredentialId,
    },
    /// A kind of a later version, which this one cannot obey.
    #[serde(other)]
    Unknown,
}

impl Halts {
    /// These, in the current format.
    pub fn new(halts: Vec<Halt>) -> Self {
        Self { format: HALT_FORMAT, halts }
    }

    /// Whether nothing is stopped.
    pub fn is_empty(&self) -> bool {
        self.halts.is_empty()
    }

    /// Why this person gets nothing.
    pub fn of_person(&self, subject: &Subject) -> Option<&Halt> {
        self.halts.iter().find(|halt| halt.is_of(subject))
    }

    /// Why this device gets nothing.
    pub fn of_device(&self, id: DeviceId) -> Option<&Halt> {
        self.find(|target| matches!(target, HaltTarget::Device { device } if *device == id))
    }

    /// Why this assistant gets nothing.
    pub fn of_assistant(&self, client_id: &str, client_name: &str) -> Option<&Halt> {
        let is_it = |client: &str| client == client_id || client.eq_ignore_ascii_case(client_name);
        self.find(|target| matches!(target, HaltTarget::Assistant { client } if is_it(client)))
    }

    /// Why nothing of this connector is to be had.
    pub fn of_connector(&self, id: &ConnectorId) -> Option<&Halt> {
        self.find(|target| matches!(target, HaltTarget::Connector { connector } if connector == id))
    }

    /// Why this tool is not called, where its connector is.
    pub fn of_tool(&self, id: &ConnectorId, name: &ToolName) -> Option<&Halt> {
        self.find(|target| {
            matches!(target, HaltTarget::Tool { connector, tool } if connector == id && tool == name)
        })
    }

    /// Why this shared credential is not used.
    pub fn of_credential(&self, id: &CredentialId) -> Option<&Halt> {
        self.find(|target| matches!(target, HaltTarget::Credential { credential } if credential == id))
    }

    /// What a device is told on which this person is signed in: nothing about other people and other devices.
    #[must_use]
    pub fn concerning(&self, subject: &Subject, id: DeviceId) -> Self {
        let concerns = |halt: &&Halt| match &halt.target {
            HaltTarget::User { .. } => halt.is_of(subject),
            HaltTarget::Device { device } => *device == id,
            HaltTarget::Assistant { .. }
            | HaltTarget::Connector { .. }
            | HaltTarget::Tool { .. }
            | HaltTarget::Credential { .. }
            | HaltTarget::Unknown => true,
        };
        Self { format: self.format, halts: self.halts.iter().filter(concerns).cloned().collect() }
    }

    fn find(&self, is_it: impl Fn(&HaltTarget) -> bool) -> Option<&Halt> {
        self.halts.iter().find(|halt| is_it(&halt.target))
    }
}

fn is_person(subject: &Subject, named: &str) -> bool {
    subject.subject == named
        || subject.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(named))
}

impl Halt {
    fn is_of(&self, subject: &Subject) -> bool {
        let HaltTarget::User { person } = &self.target else { return false };
        is_person(subject, person) || self.subjects.contains(&subject.subject)
    }

    /// The rule that records name.
    pub fn rule(&self) -> String {
        format!("halt:{}", self.id)
    }

    /// What whoever is hit is told, in one or two sentences.
    pub fn words(&self) -> String {
        let Self { target, reason, .. } = self;
        match reason.trim_end_matches('.') {
            "" => format!("An administrator has stopped {target}."),
            reason => format!("An administrator has stopped {target}: {reason}."),
        }
    }
}

impl std::fmt::Display for HaltTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User { person } => write!(f, "the user {person}"),
            Self::Device { device } => write!(f, "the device {device}"),
            Self::Assistant { client } => write!(f, "the assistant {client}"),
            Self::Connector { connector } => write!(f, "the connector {connector}"),
            Self::Tool { connector, tool } => write!(f, "the tool {tool} of {connector}"),
            Self::Credential { credential } => write!(f, "the shared credential {credential}"),
            Self::Unknown => f.write_str("something that this version does not know"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halts(targets: &[&str]) -> Halts {
        let halt = |(id, target): (u64, &&str)| Halt {
            id,
            target: serde_json::from_str(target).expect(target),
            subjects: BTreeSet::new(),
            since: Timestamp::from_seconds(0),
            reason: String::new(),
        };
        Halts::new((1..).zip(targets).map(halt).collect())
    }

    #[test]
    fn each_kind_hits_what_it_names_and_nothing_else() {
        let device = DeviceId::new();
        let halts = halts(&[
            r#"{"kind":"user","person":"Ann@acme.test"}"#,
            &format!(r#"{{"kind":"device","device":"{device}"}}"#),
            r#"{"kind":"assistant","client":"Some Assistant"}"#,
            r#"{"kind":"connector","connector":"mail"}"#,
            r#"{"kind":"tool","connector":"files","tool":"write"}"#,
            r#"{"kind":"credential","credential":"analyst"}"#,
            r#"{"kind":"weather","place":"here"}"#,
        ]);
        let mut ann = Subject::local("00u1");
        assert_eq!(halts.of_person(&ann), None);
        ann.email = Some("ann@acme.test".to_owned());
        let hit = |halt: Option<&Halt>| halt.map(|halt| halt.id);
        assert_eq!(hit(halts.of_person(&ann)), Some(1));
        assert_eq!((hit(halts.of_device(device)), hit(halts.of_device(DeviceId::new()))), (Some(2), None));
        assert_eq!(hit(halts.of_assistant("dyn-1", "some assistant")), Some(3));
        assert_eq!(hit(halts.of_assistant("dyn-1", "another")), None);
        let connector = |id: &str| id.parse::<ConnectorId>().expect("an id");
        assert_eq!(hit(halts.of_connector(&connector("mail"))), Some(4));
        assert_eq!(hit(halts.of_connector(&connector("files"))), None);
        let tool = |name: &str| name.parse::<ToolName>().expect("a name");
        assert_eq!(hit(halts.of_tool(&connector("files"), &tool("write"))), Some(5));
        assert_eq!(hit(halts.of_tool(&connector("mail"), &tool("write"))), None);
        assert_eq!(hit(halts.of_credential(&"analyst".parse().expect("an id"))), Some(6));
        assert_eq!(halts.halts[6].target, HaltTarget::Unknown);
    }

    #[test]
    fn whoever_was_known_stays_stopped_under_another_address() {
        let mut halts = halts(&[r#"{"kind":"user","person":"ann@acme.test"}"#]);
        let mut ann = Subject::local("00u1");
        ann.email = Some("ann.new@acme.test".to_owned());
        assert_eq!(halts.of_person(&ann), None);
        halts.halts[0].subjects.insert("00u1".to_owned());
        assert!(halts.of_person(&ann).is_some());
        assert!(!halts.concerning(&ann, DeviceId::new()).is_empty());
    }

    #[test]
    fn a_device_is_told_nothing_of_others() {
        let (own, other) = (DeviceId::new(), DeviceId::new());
        let halts = halts(&[
            r#"{"kind":"user","person":"bob"}"#,
            r#"{"kind":"user","person":"ann"}"#,
            &format!(r#"{{"kind":"device","device":"{own}"}}"#),
            &format!(r#"{{"kind":"device","device":"{other}"}}"#),
            r#"{"kind":"connector","connector":"mail"}"#,
        ]);
        let told = halts.concerning(&Subject::local("ann"), own);
        assert_eq!(told.halts.iter().map(|halt| halt.id).collect::<Vec<_>>(), [2, 3, 5]);
    }

    #[test]
    fn the_words_name_what_is_stopped_and_why() {
        let mut halt = halts(&[r#"{"kind":"connector","connector":"mail"}"#]).halts.remove(0);
        assert_eq!(halt.words(), "An administrator has stopped the connector mail.");
        halt.reason = "It leaks addresses.".to_owned();
        assert_eq!(halt.words(), "An administrator has stopped the connector mail: It leaks addresses.");
    }
}
