//! What IT has set on this machine, as far as it says who decides here. Read at the start, and watched from then on.
//!
//! It is read again when it changes, as the system tells, or else every second: a handful of small files or one registry key.
//! What cannot be used while the program runs leaves in force what was; at the start it leaves nothing: the person's own settings never
//! take the place of IT's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal};
use managed::Managed;
use model::{Advice, ForPerson as _};
use org::Org;
use os::FolderWatch;
use secrecy::SecretString;

use super::settings::{Loaded, OrganisationSettings, SettingsFault};
use super::tell::{Lamp, Tell};
use crate::event::Event;

/// How often it is read where the system does not tell of changes, and after what time what was just written is read again.
const POLL: Duration = Duration::from_secs(1);

/// Who may decide on this machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Machine {
    /// IT has set nothing.
    Free,
    /// IT has set something.
    Managed(Arc<Managed>),
    /// IT has set something that cannot be used.
    Refused(Advice),
}

/// What makes another program of this one when it changes.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    organisation: Option<OrganisationSettings>,
    user_settings_count: bool,
    terminal_answers: Option<bool>,
}

impl Machine {
    /// Reads it. Blocks for the disk.
    pub(crate) fn read() -> Self {
        match managed::read() {
            Ok(None) => Self::Free,
            Ok(Some(managed)) => Self::Managed(Arc::new(managed)),
            Err(fault) => Self::Refused(fault.advice()),
        }
    }

    /// What is set and can be used.
    pub(crate) fn managed(&self) -> Option<&Arc<Managed>> {
        match self {
            Self::Managed(managed) => Some(managed),
            Self::Free | Self::Refused(_) => None,
        }
    }

    /// The person's settings, as far as they count.
    pub(crate) fn own_settings(&self, path: &Path) -> Result<Loaded, SettingsFault> {
        if self.user_settings_count() { Loaded::read(path) } else { Ok(Loaded::default()) }
    }

    /// The organisation that decides: the one that IT has set, else the person's own where that counts.
    pub(crate) fn organisation(&self, path: &Path) -> Option<OrganisationSettings> {
        let set = self.managed().and_then(|managed| managed.settings.organisation.as_ref());
        match set {
            Some(organisation) => Some(OrganisationSettings {
                config_url: organisation.config_url.clone(),
                root_key_fingerprint: Some(organisation.root_key_fingerprint),
            }),
            None => OrganisationSettings::find(path).filter(|_| self.user_settings_count()),
        }
    }

    /// Whether `deskgate answer` may answer, where IT has decided that.
    pub(crate) fn terminal_answers(&self) -> Option<bool> {
        self.managed()?.settings.allow_terminal_answers
    }

    /// Whether the program may be updated from within. What cannot be read allows nothing.
    pub(crate) fn allows_updates(&self) -> bool {
        match self {
            Self::Free => true,
            Self::Managed(managed) => managed.settings.automatic_updates != Some(false),
            Self::Refused(_) => false,
        }
    }

    /// What shows the organisation that the machine is its own.
    pub(crate) fn enrolment_token(&self) -> Option<SecretString> {
        Some(self.managed()?.settings.enrolment_token.as_ref()?.secret().clone())
    }

    /// Why nothing at all is offered: what is set cannot be used, or leaves nobody who decides.
    pub(crate) fn nothing(&self) -> Option<Advice> {
        match self {
            Self::Free => None,
            Self::Refused(advice) => Some(advice.clone()),
            Self::Managed(managed) => {
                let settings = &managed.settings;
                (settings.organisation.is_none() && !settings.user_settings_count()).then(nobody_decides)
            }
        }
    }

    fn user_settings_count(&self) -> bool {
        match self {
            Self::Free => true,
            Self::Managed(managed) => managed.settings.user_settings_count(),
            Self::Refused(_) => false,
        }
    }

    /// Without what changes nothing but menus and words.
    fn rule(&self) -> Rule {
        let set = self.managed().and_then(|managed| managed.settings.organisation.as_ref());
        Rule {
            organisation: set.map(|it| OrganisationSettings {
                config_url: it.config_url.clone(),
                root_key_fingerprint: Some(it.root_key_fingerprint),
            }),
            user_settings_count: self.user_settings_count(),
            terminal_answers: self.terminal_answers(),
        }
    }

    /// For the record: what is set, without the values.
    fn names(&self) -> String {
        let names = self.managed().into_iter().flat_map(|managed| managed.from.keys());
        names.map(|setting| setting.name()).collect::<Vec<_>>().join(" ")
    }
}

fn nobody_decides() -> Advice {
    Advice::new(
        "managed-closed",
        "Your IT department lets nobody use settings of their own on this computer, and has not set an organisation yet.",
        "Until it has, no call is made.",
        "Tell your IT department.",
    )
}

fn rule_changed() -> Advice {
    Advice::new(
        "managed-changed",
        "Your IT department has changed who decides about Deskgate on this computer.",
        "Deskgate begins anew with that; what it was just doing is broken off.",
        "Your assistants stay connected. If you are asked to sign in, sign in again.",
    )
}

/// Watches what is set on this machine; `first` is what the program started with.
pub(crate) struct Watcher {
    pub(crate) first: Machine,
    /// The organisation that decides, which hears of another enrolment token.
    pub(crate) org: Option<Org>,
    pub(crate) tell: Tell,
    pub(crate) journal: Journal,
}

impl Watcher {
    /// Runs until the program ends.
    pub(crate) async fn run(self) {
        let Self { first, org, tell, journal } = self;
        if let Some(managed) = first.managed() {
            tell.event(Event::Managed(Some(Arc::clone(managed))));
        }
        tell.note_machine(&journal, &first);
        let mut lamp = Lamp::new(tell.clone());
        let (mut known, mut seen) = (first.clone(), first.clone());
        let mut watch = FolderWatch::new(POLL);
        loop {
            watch.look_at(&managed::folders());
            let Ok(now) = tokio::task::spawn_blocking(Machine::read).await else { return };
            // Files that are just being written are not obeyed by halves.
            let settled = now == seen;
            seen = now;
            if !settled {
                tokio::time::sleep(POLL).await;
                continue;
            }
            if seen == known {
                watch.changed().await;
                continue;
            }
            known = seen.clone();
            tell.note_machine(&journal, &known);
            if let Machine::Refused(advice) = &known {
                tracing::error!(%advice, "what is set on this machine is refused");
                // Where nothing else is in force, the policy that refuses everything says it already.
                lamp.show(Some(advice.clone()).filter(|_| !matches!(first, Machine::Refused(_))));
                continue;
            }
            lamp.show(None);
            tracing::info!(settings = known.names(), "what is set on this machine has changed");
            if known.rule() != first.rule() || matches!(first, Machine::Refused(_)) {
                tell.event(Event::RuleChanged(rule_changed()));
                return;
            }
            if let Some(org) = &org {
                org.show_when_enrolling(known.enrolment_token());
            }
            tell.event(Event::Managed(known.managed().cloned()));
        }
    }
}

impl Tell {
    /// Records what is set on this machine: the names, not the values.
    fn note_machine(&self, journal: &Journal, machine: &Machine) {
        let record = match machine {
            Machine::Free => EventRecord::new(AuditEvent::ManagedChanged).with("settings", "none"),
            Machine::Managed(managed) => {
                let record = EventRecord::new(AuditEvent::ManagedChanged).with("settings", machine.names());
                match &managed.settings.organisation {
                    Some(organisation) => record.with("organisation", organisation.config_url.to_string()),
                    None => record,
                }
            }
            Machine::Refused(advice) => {
                EventRecord::new(AuditEvent::ManagedRefused).with("why", advice.happened.clone())
            }
        };
        self.note(journal, &record);
    }
}

#[cfg(test)]
mod tests {
    use managed::{Raw, Value};

    use super::*;

    fn set(entries: &[(&str, Value)]) -> Machine {
        let raw = entries.iter().map(|(name, value)| {
            let value = match value {
                Value::Text(text) => Value::Text(text.clone()),
                Value::Flag(flag) => Value::Flag(*flag),
                Value::Number(_) | Value::List(_) | Value::Other => Value::Other,
            };
            Raw { name: (*name).to_owned(), value, from: "a test".to_owned() }
        });
        Machine::Managed(Arc::new(Managed::parse("a test", raw).unwrap().unwrap()))
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn acme(more: &[(&str, Value)]) -> Machine {
        let fingerprint = text(&model::Digest::of(b"root").to_string());
        let mut entries =
            vec![("ConfigURL", text("https://acme.test/")), ("RootKeyFingerprint", fingerprint)];
        entries.extend(more.iter().map(|(name, value)| match value {
            Value::Flag(flag) => (*name, Value::Flag(*flag)),
            Value::Text(text) => (*name, Value::Text(text.clone())),
            Value::Number(_) | Value::List(_) | Value::Other => (*name, Value::Other),
        }));
        set(&entries)
    }

    /// A settings file in which the person names an organisation and lets terminals answer.
    fn own_file() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deskgate.toml");
        let fingerprint = model::Digest::of(b"another");
        let organisation = format!(
            "[organisation]\nconfig_url = \"https://other.test/\"\nroot_key_fingerprint = \"{fingerprint}\"\n"
        );
        std::fs::write(&path, format!("answer_in_terminal = true\n{organisation}")).unwrap();
        (folder, path)
    }

    #[test]
    fn the_organisation_that_is_set_wins_over_the_person_s_own() {
        let (_folder, path) = own_file();
        let decides = |machine: &Machine| machine.organisation(&path).map(|it| it.config_url.to_string());
        assert_eq!(decides(&Machine::Free).as_deref(), Some("https://other.test/"));
        assert_eq!(decides(&acme(&[])).as_deref(), Some("https://acme.test/"));
        let open = acme(&[("AllowUserOverride", Value::Flag(true))]);
        assert_eq!(decides(&open).as_deref(), Some("https://acme.test/"), "what is set wins either way");
        let closed = set(&[("AllowUserOverride", Value::Flag(false))]);
        assert_eq!(decides(&closed), None);
        assert_eq!(closed.nothing().unwrap().code, "managed-closed");
    }

    #[test]
    fn the_person_s_own_settings_count_only_where_it_lets_them() {
        let (_folder, path) = own_file();
        let answers = |machine: &Machine| machine.own_settings(&path).unwrap().settings.answer_in_terminal;
        assert!(answers(&Machine::Free));
        assert!(!answers(&acme(&[])));
        assert!(answers(&acme(&[("AllowUserOverride", Value::Flag(true))])));
        assert!(!answers(&set(&[("AllowUserOverride", Value::Flag(false))])));
        let refused = Machine::Refused(rule_changed());
        assert!(!answers(&refused), "what is broken opens nothing");
        assert_eq!(refused.organisation(&path), None);
        assert!(refused.nothing().is_some());
    }

    #[test]
    fn menus_and_words_are_no_other_rule() {
        let with_help = acme(&[("SupportURL", text("https://help.test/")), ("EnrolmentToken", text("hush"))]);
        assert_eq!(acme(&[]).rule(), with_help.rule());
        assert_ne!(acme(&[]).rule(), Machine::Free.rule());
        assert_ne!(acme(&[]).rule(), acme(&[("AllowUserOverride", Value::Flag(true))]).rule());
        assert!(!format!("{with_help:?} {}", with_help.names()).contains("hush"));
    }
}
