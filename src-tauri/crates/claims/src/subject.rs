//! Who a token is about.

use std::collections::{BTreeMap, BTreeSet};

use model::Subject;
use org_protocol::IdentityProvider;
use serde_json::Value;

use crate::TokenFault;
use crate::token::Claims;

/// Most groups of one person, and the longest name of one in bytes.
const MOST_GROUPS: usize = 2000;
const LONGEST_GROUP: usize = 512;

/// The person that the claims describe. An e-mail address that the provider itself calls unverified is none.
pub(crate) fn subject(claims: &Claims, provider: &IdentityProvider) -> Result<Subject, TokenFault> {
    let verified = claims.email_verified() != Some(false);
    let name = claims.name().and_then(|names| names.get(None)).map(|name| name.as_str());
    let login = claims.preferred_username().map(|name| name.as_str());
    Ok(Subject {
        issuer: claims.issuer().as_str().to_owned(),
        subject: claims.subject().as_str().to_owned(),
        email: claims.email().filter(|_| verified).map(|email| email.as_str().to_owned()),
        name: name.or(login).map(str::to_owned),
        groups: groups(claims.additional_claims().0.get(&provider.groups_claim))?,
        attributes: BTreeMap::new(),
    })
}

/// The groups: an array of texts, or one text. Anything else is no group.
fn groups(claim: Option<&Value>) -> Result<BTreeSet<String>, TokenFault> {
    let texts: Vec<&str> = match claim {
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(text)) => vec![text],
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => vec![],
    };
    if texts.len() > MOST_GROUPS {
        return Err(TokenFault::TooManyGroups(MOST_GROUPS));
    }
    let usable = |group: &&str| !group.is_empty() && group.len() <= LONGEST_GROUP;
    Ok(texts.into_iter().filter(usable).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
}
