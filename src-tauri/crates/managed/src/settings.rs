//! From names and values, wherever a platform keeps them, to settings that cannot be wrong.

use std::collections::{BTreeMap, BTreeSet};

use model::Digest;
use org_protocol::RootFingerprint;
use secrecy::SecretString;
use url::Url;

use crate::fault::ManagedFault;
use crate::setting::{Kind, MenuItem, Setting};

/// A name and a value as a platform keeps them. Not shown: the value may be a secret.
pub struct Raw {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Value,
    /// Where it is kept, in words: a file, a registry key.
    pub from: String,
}

/// A value in the forms that the platforms have.
pub enum Value {
    /// A text; `REG_SZ`.
    Text(String),
    /// Yes or no.
    Flag(bool),
    /// A number; `REG_DWORD`.
    Number(u64),
    /// Texts; `REG_MULTI_SZ`.
    List(Vec<String>),
    /// Something that no setting is.
    Other,
}

/// What IT has set on this machine, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Managed {
    /// Where settings are kept on this platform, in words.
    pub source: String,
    /// The settings.
    pub settings: Settings,
    /// Where each of those that are set comes from.
    pub from: BTreeMap<Setting, String>,
}

/// What IT has set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The organisation that decides here.
    pub organisation: Option<Organisation>,
    /// Shows the control plane that this machine is the organisation's.
    pub enrolment_token: Option<EnrolmentToken>,
    /// Whether the employee's own settings count.
    pub allow_user_override: Option<bool>,
    /// Whether a terminal may answer.
    pub allow_terminal_answers: Option<bool>,
    /// Whether the desktop starts with the session.
    pub autostart: Option<bool>,
    /// Whether the program may update itself.
    pub automatic_updates: Option<bool>,
    /// What menus leave out.
    pub hidden_menu_items: BTreeSet<MenuItem>,
    /// Where people find help.
    pub support_url: Option<Url>,
}

/// Where an organisation is found, and by what it is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// The configuration URL.
    pub config_url: Url,
    /// The fingerprint of its root keys.
    pub root_key_fingerprint: RootFingerprint,
}

/// The token with which a machine may be enrolled. Not shown.
#[derive(Clone)]
pub struct EnrolmentToken {
    token: SecretString,
    /// By which it is compared, so that nothing has to take the token out of its wrapper.
    digest: Digest,
}

impl EnrolmentToken {
    /// The token, for the one request that carries it.
    pub fn secret(&self) -> &SecretString {
        &self.token
    }
}

impl From<String> for EnrolmentToken {
    fn from(text: String) -> Self {
        Self { digest: Digest::of(text.as_bytes()), token: text.into() }
    }
}

impl PartialEq for EnrolmentToken {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl std::fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnrolmentToken(..)")
    }
}

impl Settings {
    /// Whether the employee's own settings count for what nobody else has decided.
    pub fn user_settings_count(&self) -> bool {
        self.allow_user_override.unwrap_or(self.organisation.is_none())
    }
}

impl Managed {
    /// Makes settings of what a platform keeps. Of one name that is there twice the later counts, as with drop-in files
    /// everywhere; `None` where nothing is set.
    ///
    /// # Errors
    /// A [`ManagedFault`] for the first thing that is wrong.
    pub fn parse(
        source: impl Into<String>,
        raw: impl IntoIterator<Item = Raw>,
    ) -> Result<Option<Self>, ManagedFault> {
        let mut winners = BTreeMap::new();
        for entry in raw {
            let Some(setting) = Setting::of(&entry.name) else {
                return Err(ManagedFault::Unknown { name: shown(&entry.name), from: entry.from });
            };
            winners.insert(setting, entry);
        }
        if winners.is_empty() {
            return Ok(None);
        }
        let from = winners.iter().map(|(setting, entry)| (*setting, entry.from.clone())).collect();
        let settings = Reader(winners).settings()?;
        Ok(Some(Self { source: source.into(), settings, from }))
    }
}

/// A name that somebody chose, fit for a line.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control() && !model::is_deceiving(*c)).take(60).collect()
}

struct Reader(BTreeMap<Setting, Raw>);

impl Reader {
    fn settings(&self) -> Result<Settings, ManagedFault> {
        Ok(Settings {
            organisation: self.organisation()?,
            enrolment_token: self.text(Setting::EnrolmentToken)?.map(EnrolmentToken::from),
            allow_user_override: self.flag(Setting::AllowUserOverride)?,
            allow_terminal_answers: self.flag(Setting::AllowTerminalAnswers)?,
            autostart: self.flag(Setting::Autostart)?,
            automatic_updates: self.flag(Setting::AutomaticUpdates)?,
            hidden_menu_items: self.menu_items()?,
            support_url: self.url(Setting::SupportUrl)?,
        })
    }

    fn organisation(&self) -> Result<Option<Organisation>, ManagedFault> {
        let config_url = self.url(Setting::ConfigUrl)?;
        let fingerprint = match self.text(Setting::RootKeyFingerprint)? {
            Some(text) => Some(text.parse().map_err(|_| {
                self.wrong(Setting::RootKeyFingerprint, "a fingerprint such as sha256: and 64 digits")
            })?),
            None => None,
        };
        match (config_url, fingerprint) {
            (Some(config_url), Some(root_key_fingerprint)) => {
                Ok(Some(Organisation { config_url, root_key_fingerprint }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.half(Setting::ConfigUrl, Setting::RootKeyFingerprint)),
            (None, Some(_)) => Err(self.half(Setting::RootKeyFingerprint, Setting::ConfigUrl)),
        }
    }

    fn text(&self, setting: Setting) -> Result<Option<String>, ManagedFault> {
        match self.0.get(&setting).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Text(text)) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
            Some(_) => Err(self.wrong(setting, "a text")),
        }
    }

    fn url(&self, setting: Setting) -> Result<Option<Url>, ManagedFault> {
        let Some(text) = self.text(setting)? else { return Ok(None) };
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
        url.map(Some).ok_or_else(|| self.wrong(setting, "a web address"))
    }

    fn flag(&self, setting: Setting) -> Result<Option<bool>, ManagedFault> {
        match self.0.get(&setting).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(Value::Number(number @ (0 | 1))) => Ok(Some(*number == 1)),
            Some(_) => Err(self.wrong(setting, "true or false")),
        }
    }

    fn menu_items(&self) -> Result<BTreeSet<MenuItem>, ManagedFault> {
        let setting = Setting::HiddenMenuItems;
        let names: Vec<&str> = match self.0.get(&setting).map(|entry| &entry.value) {
            None => Vec::new(),
            Some(Value::List(names)) => names.iter().map(String::as_str).collect(),
            Some(Value::Text(text)) => text.split(',').collect(),
            Some(_) => return Err(self.wrong(setting, "a list of menu entries")),
        };
        let named = names.into_iter().map(str::trim).filter(|name| !name.is_empty());
        named.map(|name| name.parse().map_err(|fault| self.wrong(setting, &format!("{fault}")))).collect()
    }

    fn wrong(&self, setting: Setting, wanted: &str) -> ManagedFault {
        let why = match setting.kind() {
            Kind::Text | Kind::Secret | Kind::Flag => format!("it has to be {wanted}"),
            Kind::List => wanted.to_owned(),
        };
        ManagedFault::Value { name: setting.name(), from: self.from(setting), why }
    }

    fn half(&self, there: Setting, missing: Setting) -> ManagedFault {
        ManagedFault::Half { there: there.name(), missing: missing.name(), from: self.from(there) }
    }

    fn from(&self, setting: Setting) -> String {
        self.0.get(&setting).map(|entry| entry.from.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn raw(name: &str, value: Value) -> Raw {
        Raw { name: name.to_owned(), value, from: "the test".to_owned() }
    }

    fn text(name: &str, value: &str) -> Raw {
        raw(name, Value::Text(value.to_owned()))
    }

    fn parsed(raw: impl IntoIterator<Item = Raw>) -> Result<Settings, ManagedFault> {
        Managed::parse("a test", raw).map(|managed| managed.unwrap().settings)
    }

    #[test]
    fn the_forms_of_every_platform_mean_the_same() {
        let url = || text("ConfigURL", "https://gate.acme.test/");
        let fingerprint = Digest::of(b"root");
        let pin = || text("RootKeyFingerprint", &fingerprint.to_string());
        let linux = parsed([
            url(),
            pin(),
            raw("AllowUserOverride", Value::Flag(false)),
            raw("HiddenMenuItems", Value::List(vec!["quit".to_owned(), "sign-out".to_owned()])),
        ]);
        let windows = parsed([
            url(),
            pin(),
            raw("AllowUserOverride", Value::Number(0)),
            text("HiddenMenuItems", "sign-out, quit"),
        ]);
        assert_eq!(linux.as_ref().unwrap(), windows.as_ref().unwrap());
        let settings = linux.unwrap();
        assert_eq!(settings.organisation.unwrap().root_key_fingerprint, fingerprint);
        assert_eq!(settings.hidden_menu_items, BTreeSet::from([MenuItem::Quit, MenuItem::SignOut]));
    }

    #[test]
    fn the_later_of_two_counts_and_its_place_is_told() {
        let place = |from: &str, url: &str| Raw { from: from.to_owned(), ..text("SupportURL", url) };
        let entries = [place("10-a.json", "https://a.test/"), place("20-b.json", "https://b.test/")];
        let managed = Managed::parse("a folder", entries).unwrap().unwrap();
        assert_eq!(managed.settings.support_url.unwrap().as_str(), "https://b.test/");
        assert_eq!(managed.from[&Setting::SupportUrl], "20-b.json");
    }

    #[test]
    fn nothing_set_is_not_managed() {
        assert_eq!(Managed::parse("a folder", []).unwrap(), None);
    }

    #[test]
    fn whatever_is_wrong_refuses_all_of_it_and_repeats_no_value() {
        let check = |entries: Vec<Raw>, words: &str| {
            let fault = parsed(entries).expect_err(words);
            let told = format!("{fault} {fault:?} {}", model::ForPerson::advice(&fault));
            assert!(told.contains(words), "{told}");
            assert!(!told.contains("hush"), "{told}");
        };
        check(vec![text("Surprise", "hush")], "sets Surprise, which this version does not know");
        check(vec![text("configurl", "hush")], "does not know");
        check(vec![text("ConfigURL", "hush")], "it has to be a web address");
        check(vec![text("ConfigURL", "https://hush.test/")], "ConfigURL without RootKeyFingerprint");
        check(vec![text("SupportURL", "javascript:hush")], "it has to be a web address");
        check(vec![text("RootKeyFingerprint", "hush")], "a fingerprint");
        check(vec![raw("EnrolmentToken", Value::Other)], "EnrolmentToken to something");
        check(vec![text("EnrolmentToken", " ")], "it has to be a text");
        check(vec![text("Autostart", "hush")], "true or false");
        check(vec![raw("Autostart", Value::Number(2))], "true or false");
        check(vec![text("HiddenMenuItems", "quit,hush")], "no menu entry of this name");
    }

    #[test]
    fn the_token_is_not_shown() {
        let settings = parsed([text("EnrolmentToken", "hush")]).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
        assert_eq!(settings.enrolment_token.unwrap().secret().expose_secret(), "hush");
    }

    #[test]
    fn an_organisation_that_is_set_leaves_no_room_for_settings_of_ones_own() {
        let fingerprint = Digest::of(b"root").to_string();
        let organisation =
            || vec![text("ConfigURL", "https://a.test/"), text("RootKeyFingerprint", &fingerprint)];
        assert!(!parsed(organisation()).unwrap().user_settings_count());
        let with = |flag| {
            parsed(organisation().into_iter().chain([raw("AllowUserOverride", Value::Flag(flag))])).unwrap()
        };
        assert!(with(true).user_settings_count());
        assert!(parsed([raw("Autostart", Value::Flag(true))]).unwrap().user_settings_count());
        let closed = parsed([raw("AllowUserOverride", Value::Flag(false))]).unwrap();
        assert!(!closed.user_settings_count());
    }
}
