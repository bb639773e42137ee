//! Takes out of a text what is, or looks like, a secret: what the settings hold (values of variables, arguments, what is called a
//! secret), as it is and encoded; Deskgate's own tokens; and whatever the rule set of secrets knows. Where it cannot look, nothing passes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use org_protocol::{Detect, PayloadAction, PayloadDirection, PayloadPattern, PayloadRule, PayloadSettings};
use payload::{Screen, Sieve};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret as _;
use url::Url;

use crate::app::home::Home;
use crate::app::machine::Machine;

/// What stands for what was taken out.
const GONE: &str = "[taken out]";
/// Shorter values are words like any other.
const SHORTEST: usize = 6;
/// Shorter pieces of an encoded value are found in any text.
const SHORTEST_ENCODED: usize = 8;
/// By these parts of a name it is known that its value is a secret.
const NAMES: [&str; 6] = ["secret", "token", "password", "passwd", "apikey", "key"];
/// Deskgate's own tokens: a prefix and random letters. What is cut off is no longer one.
const OWN_TOKENS: &str = "dg[a-z]_[A-Za-z0-9_-]{8,}";
/// Tokens that are signed (RFC 7515, section 7.1), also where they are cut off.
const SIGNED_TOKENS: &str = r"eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*){0,4}";
/// What is carried in a header.
const BEARER: &str = r"(?i)(bearer|basic|dpop)\s+[A-Za-z0-9._~+/=-]{8,}";
/// Parts of addresses that open something: codes, states, what is typed.
const QUERIES: &str = r"(code|state|nonce|code_challenge|login_hint|id_token_hint)=[^&\s]{4,}";

/// What is taken out.
pub(super) struct Redaction {
    /// In every form, the longest first.
    forms: Vec<String>,
    sieve: Sieve,
    /// The person's own folder, which bears their name.
    person: Option<String>,
}

impl Redaction {
    /// Of this installation's secrets.
    ///
    /// # Errors
    /// Why nothing can be looked through.
    pub(super) fn of(home: &Home, machine: &Machine) -> Result<Self, String> {
        let text = match std::fs::read_to_string(home.settings()) {
            Ok(text) => text,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(fault) => return Err(format!("the settings cannot be read: {fault}")),
        };
        let mut values = values(&text);
        values.extend(machine.enrolment_token().map(|token| token.expose_secret().to_owned()));
        let person = std::env::var("HOME").ok().filter(|home| home.len() > 1);
        Ok(Self { forms: forms(&values), sieve: sieve()?, person })
    }

    /// The text without them.
    pub(super) fn clean(&self, text: &str) -> Result<String, String> {
        let mut text = text.to_owned();
        for form in &self.forms {
            if text.contains(form) {
                text = text.replace(form, GONE);
            }
        }
        let json = serde_json::to_string(&text).map_err(|fault| fault.to_string())?;
        let screened = self.sieve.json(&json);
        let text = match screened.redacted {
            Some(redacted) => serde_json::from_str(&redacted).map_err(|fault| fault.to_string())?,
            None => text,
        };
        Ok(match &self.person {
            Some(person) => text.replace(person, "~"),
            None => text,
        })
    }
}

fn sieve() -> Result<Sieve, String> {
    let name = |text: &str| org_protocol::PayloadName::try_from(text.to_owned()).map_err(str::to_owned);
    let patterns = [
        ("own-tokens", OWN_TOKENS),
        ("signed-tokens", SIGNED_TOKENS),
        ("bearer", BEARER),
        ("queries", QUERIES),
    ];
    let mut settings = PayloadSettings::default();
    let mut detect = vec![Detect::Secrets];
    for (id, regex) in patterns {
        settings
            .patterns
            .insert(name(id)?, PayloadPattern { regex: Some(regex.to_owned()), ..PayloadPattern::default() });
        detect.push(Detect::Pattern(name(id)?));
    }
    settings.rule.push(PayloadRule {
        id: name("diagnostics")?,
        connectors: Default::default(),
        tools: Default::default(),
        direction: PayloadDirection::Both,
        detect,
        action: PayloadAction::Redact,
        reason: String::new(),
    });
    let screen = Screen::compile(&settings, |_| true).map_err(|faults| format!("{faults:?}"))?;
    let any = "any".parse().map_err(|_| "no connector".to_owned())?;
    screen.sieve(&any, None, PayloadDirection::Both).ok_or_else(|| "there are no rules".to_owned())
}

/// The settings' values that may be secrets. Of a file that cannot be read as what it should be, every word may be one.
fn values(settings: &str) -> Vec<String> {
    let mut found = Vec::new();
    match settings.parse::<toml::Table>() {
        Ok(table) => walk(&toml::Value::Table(table), "", false, &mut found),
        Err(_) => {
            let word = |c: char| c.is_whitespace() || "\"'=,[]{}()".contains(c);
            found.extend(settings.split(word).map(str::to_owned));
        }
    }
    found.retain(|value| value.chars().count() >= SHORTEST);
    found
}

/// `secret`: whether everything below is one, because of its name.
fn walk(value: &toml::Value, name: &str, secret: bool, found: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                walk(value, name, secret || name == "environment" || sounds_secret(name), found);
            }
        }
        toml::Value::Array(values) if name == "command" => {
            // The program itself is named; what it is told is not.
            let arguments = values.iter().skip(1);
            found.extend(
                arguments
                    .filter_map(toml::Value::as_str)
                    .flat_map(|it| [Some(it), it.split_once('=').map(|(_, value)| value)])
                    .flatten()
                    .map(str::to_owned),
            );
        }
        toml::Value::Array(values) => values.iter().for_each(|value| walk(value, name, secret, found)),
        toml::Value::String(text) => {
            if secret {
                found.push(text.clone());
            } else if let Ok(url) = Url::parse(text) {
                found.extend(url.password().map(str::to_owned));
                found.extend(url.query().map(str::to_owned));
                found.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
            }
        }
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => {}
    }
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|part| name.contains(part))
}

/// Each value as it may stand in a text.
fn forms(values: &[String]) -> Vec<String> {
    let mut forms: Vec<String> = Vec::new();
    for value in values {
        let bytes = value.as_bytes();
        forms.push(value.clone());
        forms.push(serde_json::to_string(value).unwrap_or_default().trim_matches('"').to_owned());
        let encoded = [
            hex::encode(bytes),
            hex::encode_upper(bytes),
            utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
        ];
        let encoded = encoded.into_iter().chain((0..3).flat_map(|before| base64_within(bytes, before)));
        forms.extend(encoded.filter(|form| form.len() >= SHORTEST_ENCODED));
    }
    forms.retain(|form| !form.is_empty());
    forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    forms.dedup();
    forms
}

/// The letters that say `bytes` and nothing else where base64 has so many bytes before them, up to whole threes.
fn base64_within(bytes: &[u8], before: usize) -> [String; 2] {
    let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
    [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)].map(|text| {
        let first = (before * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        text.get(first..last).unwrap_or_default().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const SETTINGS: &str = r#"
        [connectors.files]
        title = "Files"
        command = ["mcp-files", "--token=argument-value-1", "/srv/files"]
        environment = { API_TOKEN = "variable-value-2" }
        [connectors.web]
        title = "Web"
        url = "https://ada:password-3@web.test/mcp?api=query-value-4"
        credential = { kind = "client_credentials", client_id = "deskgate", client_secret = "client-secret-5" }
    "#;

    fn redaction(settings: &str) -> Redaction {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("deskgate.toml"), settings).unwrap();
        Redaction::of(&Home::at(folder.path()), &Machine::Free).unwrap()
    }

    #[test]
    fn what_the_settings_hold_is_taken_out_in_every_form() {
        let redaction = redaction(SETTINGS);
        for secret in
            ["argument-value-1", "variable-value-2", "password-3", "query-value-4", "client-secret-5"]
        {
            let around = |before: &str| STANDARD.encode(format!("{before}{secret} and more"));
            let text = [
                secret.to_owned(),
                hex::encode(secret),
                around(""),
                around("x"),
                around("xy"),
                URL_SAFE_NO_PAD.encode(secret),
                utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
            ];
            for form in text {
                let clean = redaction.clean(&format!("before {form} after")).unwrap();
                assert!(clean.contains(GONE) && !clean.contains(&form), "{form}: {clean}");
                assert!(clean.starts_with("before ") && clean.ends_with(" after"), "{clean}");
            }
        }
        let kept = "INFO connector=files the program mcp-files started at https://web.test";
        assert_eq!(redaction.clean(kept).unwrap(), kept, "what helps stays");
    }

    #[test]
    fn tokens_are_taken_out_by_their_form() {
        let redaction = redaction("");
        let letters = "Ab3-_".repeat(10);
        for secret in [
            format!("dga_{letters}"),
            format!("dgr_{letters}"),
            format!("eyJ{letters}.eyJ{letters}.{letters}"),
            format!("Bearer {letters}"),
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a".to_owned(),
            "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\nOF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n-----END PRIVATE KEY-----".to_owned(),
        ] {
            let clean = redaction.clean(&format!("a line\nheld {secret} here\nanother")).unwrap();
            assert!(!clean.contains(&secret), "{clean}");
            assert!(clean.contains("a line\n") && clean.contains("\nanother"), "{clean}");
        }
        let page =
            "https://idp.test/authorize?client_id=deskgate&state=4f9a8b7c6d&code_challenge=abcdefghijk";
        let clean = redaction.clean(page).unwrap();
        assert!(!clean.contains("4f9a8b7c6d") && !clean.contains("abcdefghijk"), "{clean}");
    }

    #[test]
    fn of_settings_with_a_mistake_every_word_may_be_a_secret() {
        let redaction = redaction("[connectors.x]\nenvironment = { TOKEN = unquoted-secret-6 }\n");
        assert!(!redaction.clean("there was unquoted-secret-6").unwrap().contains("unquoted-secret-6"));
    }
}
