//! Who a token is about.

use std::collections::{BTreeMap, BTreeSet};

use model::{AttributeValue, Subject};
use openidconnect::core::CoreIdTokenClaims;
use org_protocol::{ClaimType, IdentityProvider};
use serde_json::Value;

use crate::TokenFault;
use crate::token::{Elsewhere, Payload};

/// Most texts of one claim, groups among them.
pub const MOST_TEXTS: usize = 2000;
/// The longest of them, in bytes.
const LONGEST_TEXT: usize = 512;

/// What a token says of a person.
pub(crate) struct Read {
    pub(crate) subject: Subject,
    pub(crate) misfits: BTreeSet<String>,
    pub(crate) groups_elsewhere: Option<Elsewhere>,
}

/// The person that the claims describe. An e-mail address that the provider itself calls unverified is none.
pub(crate) fn subject(
    claims: &CoreIdTokenClaims,
    payload: &Payload,
    provider: &IdentityProvider,
) -> Result<Read, TokenFault> {
    let verified = claims.email_verified() != Some(false);
    let name = claims.name().and_then(|names| names.get(None)).map(|name| name.as_str());
    let login = claims.preferred_username().map(|name| name.as_str());
    let (attributes, misfits) = attributes(payload, provider);
    let groups_elsewhere = elsewhere(payload, &provider.groups_claim);
    let groups = match groups_elsewhere {
        // Whatever is there all the same is not all of them.
        Some(_) => BTreeSet::new(),
        None => groups(payload.get(&provider.groups_claim))?,
    };
    let subject = Subject {
        issuer: claims.issuer().as_str().to_owned(),
        subject: claims.subject().as_str().to_owned(),
        email: claims.email().filter(|_| verified).map(|email| email.as_str().to_owned()),
        name: name.or(login).map(str::to_owned),
        groups,
        attributes,
    };
    Ok(Read { subject, misfits, groups_elsewhere })
}

/// The groups: an array of texts, or one text. Anything else is no group.
fn groups(claim: Option<&Value>) -> Result<BTreeSet<String>, TokenFault> {
    let texts: Vec<&str> = match claim {
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(text)) => vec![text],
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => vec![],
    };
    if texts.len() > MOST_TEXTS {
        return Err(TokenFault::TooManyGroups(MOST_TEXTS));
    }
    Ok(texts.into_iter().filter(|text| is_group(text)).map(str::to_owned).collect())
}

/// Whether a text can be the name of a group.
pub fn is_group(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_TEXT
}

/// Whether the groups are said to be elsewhere: as aggregated or distributed claims are (OpenID Connect Core 1.0, section
/// 5.6.2), or by Entra's `hasgroups`. Where that is, as the token has it, is not read.
fn elsewhere(payload: &Payload, groups_claim: &str) -> Option<Elsewhere> {
    let names = payload.get("_claim_names").and_then(Value::as_object);
    let named = names.is_some_and(|names| names.contains_key(groups_claim));
    let has = match payload.get("hasgroups") {
        Some(Value::Bool(has)) => *has,
        Some(Value::String(has)) => has == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    };
    let object_id = || payload.get("oid").and_then(Value::as_str).map(str::to_owned);
    (named || has).then(|| Elsewhere { object_id: object_id() })
}

/// The declared claims that are there and of their type, and the names of those that are of another.
fn attributes(
    payload: &Payload,
    provider: &IdentityProvider,
) -> (BTreeMap<String, AttributeValue>, BTreeSet<String>) {
    let (mut found, mut misfits) = (BTreeMap::new(), BTreeSet::new());
    for (name, kind) in &provider.claims {
        let Some(value) = payload.get(name).filter(|value| !value.is_null()) else { continue };
        match typed(*kind, value) {
            Some(value) => drop(found.insert(name.clone(), value)),
            None => drop(misfits.insert(name.clone())),
        }
    }
    (found, misfits)
}

/// The value, if it is of the type; nothing is converted but one text where several are expected.
fn typed(kind: ClaimType, value: &Value) -> Option<AttributeValue> {
    let text = |value: &Value| value.as_str().filter(|text| text.len() <= LONGEST_TEXT).map(str::to_owned);
    match kind {
        ClaimType::Bool => value.as_bool().map(AttributeValue::Bool),
        ClaimType::Long => value.as_i64().map(AttributeValue::Long),
        ClaimType::String => text(value).map(AttributeValue::Text),
        ClaimType::Texts => {
            let one = std::slice::from_ref(value);
            let values = value.as_array().map_or(one, Vec::as_slice);
            if values.len() > MOST_TEXTS {
                return None;
            }
            values.iter().map(text).collect::<Option<_>>().map(AttributeValue::Set)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payload(value: &Value) -> Payload {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn groups_are_texts_and_nothing_else() {
        let read = |value: Value| groups(Some(&value)).unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(read(json!(["eng", "ops", "eng"])), ["eng", "ops"]);
        assert_eq!(read(json!("eng")), ["eng"]);
        assert_eq!(read(json!(["eng", 1, null, "", { "name": "x" }])), ["eng"]);
        assert!(read(json!({ "eng": true })).is_empty());
        assert!(read(json!(["x".repeat(513)])).is_empty());
        assert!(groups(None).unwrap().is_empty());
    }

    #[test]
    fn of_too_many_groups_none_is_left_out_unseen() {
        let many = |count: usize| json!((0..count).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(groups(Some(&many(2000))).unwrap().len(), 2000);
        assert_eq!(groups(Some(&many(2001))), Err(TokenFault::TooManyGroups(2000)));
    }

    #[test]
    fn a_claim_of_another_type_is_none_and_is_named() {
        let provider: IdentityProvider = serde_json::from_value(json!({
            "issuer": "https://idp.acme.test", "client_id": "c",
            "claims": {"a": "Bool", "b": "Long", "c": "String", "d": "Set<String>", "e": "Set<String>", "f": "Long"},
        }))
        .unwrap();
        let good = json!({"a": true, "b": -7, "c": "x", "d": ["y", "z"], "e": "one", "f": null, "other": 1});
        let (found, misfits) = attributes(&payload(&good), &provider);
        let texts = |texts: &[&str]| AttributeValue::Set(texts.iter().map(|&text| text.to_owned()).collect());
        let expected = BTreeMap::from(
            [
                ("a", AttributeValue::Bool(true)),
                ("b", AttributeValue::Long(-7)),
                ("c", AttributeValue::Text("x".to_owned())),
                ("d", texts(&["y", "z"])),
                ("e", texts(&["one"])),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        assert_eq!((found, misfits), (expected, BTreeSet::new()));
        let bad = json!({
            "a": "true", "b": 1.5, "c": ["x"], "d": ["y", 1], "e": {"y": true}, "f": 9_223_372_036_854_775_808_u64,
        });
        let (found, misfits) = attributes(&payload(&bad), &provider);
        assert!(found.is_empty(), "{found:?}");
        assert_eq!(misfits, ["a", "b", "c", "d", "e", "f"].map(str::to_owned).into());
        let long = json!({"c": "x".repeat(513), "d": vec!["x"; 2001]});
        assert_eq!(attributes(&payload(&long), &provider).1, ["c", "d"].map(str::to_owned).into());
    }

    #[test]
    fn groups_that_are_elsewhere_are_noticed_and_where_is_not_read() {
        let read = |value: Value| elsewhere(&payload(&value), "groups");
        let object_id = Some("o".to_owned());
        let entra = json!({
            "oid": "o", "_claim_names": {"groups": "src1"},
            "_claim_sources": {"src1": {"endpoint": "https://evil.test/"}},
        });
        assert_eq!(read(entra), Some(Elsewhere { object_id: object_id.clone() }));
        assert_eq!(read(json!({"oid": "o", "hasgroups": true})), Some(Elsewhere { object_id }));
        assert_eq!(read(json!({"hasgroups": "true"})), Some(Elsewhere { object_id: None }));
        assert_eq!(read(json!({"hasgroups": false, "_claim_names": {"address": "src1"}})), None);
    }
}
