//! Taking an injected secret out of what a connector says, in whatever spelling it comes back.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;
use url::Url;

/// What stands in a secret's place.
const REDACTED: &str = "[redacted]";
/// Shorter parts of a secret are left alone: they would be found everywhere.
const SHORTEST: usize = 4;

/// Knows a secret in its spellings. Never printed.
pub(super) struct Redactor(Vec<SecretString>);

impl Redactor {
    /// For the secret itself and, where it is a URL, its password.
    pub(super) fn new(secret: &SecretString) -> Self {
        Self::of(std::iter::once(secret))
    }

    /// For several.
    pub(super) fn of<'s>(secrets: impl Iterator<Item = &'s SecretString>) -> Self {
        let mut forms: Vec<String> = secrets.flat_map(forms).collect();
        forms.retain(|form| form.len() >= SHORTEST);
        // The longest first, so that no part is taken out of a whole.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self(forms.into_iter().map(SecretString::from).collect())
    }

    /// The text without the secret.
    pub(super) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut clean = Cow::Borrowed(text);
        for form in &self.0 {
            if clean.contains(form.expose_secret()) {
                clean = Cow::Owned(clean.replace(form.expose_secret(), REDACTED));
            }
        }
        clean
    }

    /// The JSON without the secret, each string compared as it reads, however it is escaped. What has no secret in it
    /// passes to the digit.
    pub(super) fn json(&self, json: Box<RawValue>) -> Box<RawValue> {
        let mut clean = String::new();
        let mut kept = 0;
        for (start, end) in strings(json.get()) {
            let Some(token) = json.get().get(start..end) else { continue };
            let Ok(read) = serde_json::from_str::<Cow<'_, str>>(token) else { continue };
            if let Cow::Owned(redacted) = self.text(&read)
                && let Ok(written) = serde_json::to_string(&redacted)
            {
                clean.push_str(json.get().get(kept..start).unwrap_or_default());
                clean.push_str(&written);
                kept = end;
            }
        }
        if kept == 0 {
            return json;
        }
        clean.push_str(json.get().get(kept..).unwrap_or_default());
        // Strings were put in the place of strings: it is still JSON.
        RawValue::from_string(clean).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

/// The spellings of a secret and, where it is a URL, of its password.
fn forms(secret: &SecretString) -> Vec<String> {
    let secret = secret.expose_secret().trim();
    let password = Url::parse(secret).ok().and_then(|url| url.password().map(ToOwned::to_owned));
    let mut forms = Vec::new();
    for part in std::iter::once(secret).chain(password.as_deref()) {
        forms.extend(spellings(part));
        forms.extend(spellings(&percent_decoded(part)));
    }
    forms
}

fn spellings(part: &str) -> Vec<String> {
    let bytes = part.as_bytes();
    let percent: String = url::form_urlencoded::byte_serialize(bytes).collect();
    vec![
        part.to_owned(),
        percent.replace('+', "%20"),
        percent,
        STANDARD.encode(bytes),
        STANDARD_NO_PAD.encode(bytes),
        URL_SAFE.encode(bytes),
        URL_SAFE_NO_PAD.encode(bytes),
        hex::encode(bytes),
    ]
}

fn percent_decoded(part: &str) -> String {
    // `+` is itself here: this is no form.
    let query = format!("x={}", part.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(query.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Where the strings of a JSON text begin and end, their quotes included.
fn strings(json: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut begun = None;
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate() {
        match (begun, byte) {
            (None, b'"') => begun = Some(at),
            (None, _) => {}
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(start), b'"') => {
                found.push((start, at + 1));
                begun = None;
            }
            (Some(_), _) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DSN: &str = "postgres://analyst:p%40ss%2Fw0rd@127.0.0.1:5432/warehouse";

    fn redactor() -> Redactor {
        Redactor::new(&SecretString::from(DSN))
    }

    fn redacted(json: &str) -> String {
        redactor().json(RawValue::from_string(json.to_owned()).expect("JSON")).get().to_owned()
    }

    #[test]
    fn the_secret_and_its_password_are_taken_out() {
        assert_eq!(
            redacted(&format!(r#"{{"text":"cannot reach {DSN}!"}}"#)),
            r#"{"text":"cannot reach [redacted]!"}"#
        );
        assert_eq!(redacted(r#"["password p@ss/w0rd wrong"]"#), r#"["password [redacted] wrong"]"#);
        assert_eq!(redacted(r#"["p%40ss%2Fw0rd"]"#), r#"["[redacted]"]"#);
        let encoded = STANDARD.encode("p@ss/w0rd");
        assert_eq!(redacted(&format!(r#"["{encoded}"]"#)), r#"["[redacted]"]"#);
    }

    #[test]
    fn escapes_and_keys_do_not_hide_it() {
        assert_eq!(redacted(r#"{"\u0070@ss\/w0rd":1.50}"#), r#"{"[redacted]":1.50}"#);
    }

    #[test]
    fn everything_else_passes_to_the_digit() {
        let odd = r#"{"n":12345678901234567890123,"x":1.50,"e":"\u00e9 \"quoted\"","s":[ 1e3 ]}"#;
        assert_eq!(redacted(odd), odd);
        let mixed = r#"{"n":1.50,"s":"p@ss/w0rd","m":2.500}"#;
        assert_eq!(redacted(mixed), r#"{"n":1.50,"s":"[redacted]","m":2.500}"#);
    }

    #[test]
    fn a_password_of_two_letters_does_not_eat_the_answer() {
        let redactor = Redactor::new(&SecretString::from("postgres://a:ab@h/d"));
        assert_eq!(redactor.text("abba"), "abba");
    }

    proptest! {
        /// However a text embeds the secret, the result does not.
        #[test]
        fn it_is_never_left(before in "[a-z\"\\\\é]{0,8}", after in "[a-z\"\\\\é]{0,8}") {
            let text = format!("{before}p@ss/w0rd{after}");
            let json = serde_json::to_string(&[text]).expect("JSON");
            let clean = redacted(&json);
            prop_assert!(!clean.contains("p@ss/w0rd"));
            let read: Vec<String> = serde_json::from_str(&clean).expect("still JSON");
            prop_assert_eq!(&read[0], &format!("{before}[redacted]{after}"));
        }
    }
}
