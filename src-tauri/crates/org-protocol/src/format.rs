//! Formats of the content: which keys each brought, so that a desktop is never given a bundle that it half understands.
//!
//! A content is of the lowest format in which every key that it uses exists. One bundle is signed for that format and for each
//! later one; never one of an earlier format, from which keys would have to be left out: it would permit more, or show
//! something else. What is not in [`LATER_KEYS`] came with format 1.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::content::{CONTENT_FORMAT, Content};

/// The formats of a content that this program reads.
pub const READABLE_FORMATS: RangeInclusive<u32> = 1..=CONTENT_FORMAT;

/// A key that an earlier format does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaterKey {
    /// The format that brought it.
    pub format: u32,
    /// Where it stands in the content as JSON: names joined by dots, `*` for any name or place in a list. `=` and a text after it
    /// ask for a value instead of a key: that very text, or, in a policy, its annotation of this name.
    pub path: &'static str,
}

/// Every key that came after format 1. A key that is added to the content gets a line here, such as
/// `LaterKey { format: 2, path: "connectors.*.credential.kind=leased" }`, and has to be left out of the JSON where it says what was
/// true without it.
const LATER_KEYS: &[LaterKey] = &[
    LaterKey { format: 2, path: "org.administrators" },
    LaterKey { format: 2, path: "org.enrolment" },
    LaterKey { format: 2, path: "org.audit.quota_mib" },
    LaterKey { format: 2, path: "org.audit.keep_days" },
    LaterKey { format: 2, path: "org.audit.on_failure" },
    LaterKey { format: 2, path: "org.audit.collector" },
    LaterKey { format: 2, path: "org.payload" },
    LaterKey { format: 2, path: "org.limits" },
    LaterKey { format: 2, path: "org.updates" },
    LaterKey { format: 2, path: "connectors.*.credential.kind=leased" },
    LaterKey { format: 2, path: "connectors.*.credential.seconds" },
    LaterKey { format: 2, path: "connectors.*.credential.identity" },
    LaterKey { format: 2, path: "connectors.*.in_grace" },
    LaterKey { format: 2, path: "connectors.*.facts" },
    LaterKey { format: 2, path: "connectors.*.changes_accepted_by" },
    // Without them everything would be passed on as the connector says it.
    LaterKey { format: 2, path: "definitions.*" },
    // Without the mark the policy would be enforced.
    LaterKey { format: 2, path: "policies.*=observe" },
    // Without the mark nobody would be asked, and the call refused.
    LaterKey { format: 2, path: "policies.*=approval" },
    // Without the mark a click would do.
    LaterKey { format: 2, path: "policies.*=factor" },
];

/// A use of a later key in a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaterUse {
    /// The key.
    pub key: LaterKey,
    /// Where it is used: the names on the way to it, without a dot between them.
    pub at: Vec<String>,
}

/// The newest bundle that this program reads, of those by format.
pub fn newest_readable<B>(bundles: &BTreeMap<u32, B>) -> Option<(u32, &B)> {
    bundles.range(READABLE_FORMATS).next_back().map(|(format, bundle)| (*format, bundle))
}

/// The formats that this program reads, as desktops tell them.
pub fn readable_formats() -> BTreeSet<u32> {
    READABLE_FORMATS.collect()
}

/// Every key that came after the first format.
pub fn later_keys() -> &'static [LaterKey] {
    LATER_KEYS
}

impl Content {
    /// Where the content uses keys that came after format 1, in the order of the table.
    pub fn later_uses(&self) -> Vec<LaterUse> {
        uses(self, LATER_KEYS)
    }

    /// The lowest format in which the whole content can be said.
    pub fn lowest_format(&self) -> u32 {
        self.later_uses().iter().map(|found| found.key.format).fold(1, u32::max)
    }
}

fn uses(content: &Content, table: &[LaterKey]) -> Vec<LaterUse> {
    // A key that is added beside these has to be looked at too. Pinned tools are the connectors' own words and have no format.
    let Content { format: _, org, connectors, servers, policies, tools: _, definitions } = content;
    let parts = [
        ("org", serde_json::to_value(org)),
        ("connectors", serde_json::to_value(connectors)),
        ("servers", serde_json::to_value(servers)),
        ("policies", serde_json::to_value(policies)),
        ("definitions", serde_json::to_value(definitions)),
    ];
    // What cannot be written is not signed either.
    let whole: Value = parts.into_iter().map(|(name, part)| (name, part.unwrap_or_default())).collect();
    let mut found = Vec::new();
    for key in table {
        let (path, value) = match key.path.split_once('=') {
            Some((path, value)) => (path, Some(value)),
            None => (key.path, None),
        };
        let steps: Vec<&str> = path.split('.').collect();
        walk(&whole, &steps, &mut Vec::new(), &mut |at, leaf| {
            if value.is_none_or(|value| says(at, leaf, value)) {
                found.push(LaterUse { key: *key, at: at.to_vec() });
            }
        });
    }
    found
}

/// Calls `take` with each value that lies where `steps` lead.
fn walk(value: &Value, steps: &[&str], at: &mut Vec<String>, take: &mut impl FnMut(&[String], &Value)) {
    let Some((step, rest)) = steps.split_first() else {
        if !value.is_null() {
            take(at, value);
        }
        return;
    };
    let mut below = |name: String, value: &Value| {
        at.push(name);
        walk(value, rest, at, take);
        at.pop();
    };
    match value {
        Value::Object(entries) => entries
            .iter()
            .filter(|(name, _)| *step == "*" || name == step)
            .for_each(|(name, value)| below(name.clone(), value)),
        Value::Array(entries) if *step == "*" => {
            entries.iter().enumerate().for_each(|(place, value)| below(place.to_string(), value));
        }
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn says(at: &[String], leaf: &Value, value: &str) -> bool {
    let text = leaf.as_str().unwrap_or_default();
    if at.first().is_some_and(|first| first == "policies") {
        annotation_at(text, value).is_some()
    } else {
        text == value
    }
}

/// Where a policy text first has an annotation of this name: `@name`, outside of comments and strings. In bytes.
pub fn annotation_at(policies: &str, name: &str) -> Option<usize> {
    let mut rest = policies;
    while let Some(place) = rest.find(['"', '/', '@']) {
        let (found, after) = (rest.as_bytes().get(place), rest.get(place + 1..)?);
        rest = match found {
            Some(b'"') => after_string(after),
            Some(b'/') if after.starts_with('/') => after.split_once('\n').map_or("", |(_, line)| line),
            Some(b'@') => {
                let word = after.trim_start();
                let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
                if word.get(..end) == Some(name) {
                    return Some(policies.len() - after.len() - 1);
                }
                after
            }
            Some(_) | None => after,
        };
    }
    None
}

/// What comes after a string that has begun.
fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (place, one) in text.char_indices() {
        match one {
            '"' if !escaped => return text.get(place + 1..).unwrap_or_default(),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        serde_json::from_value(serde_json::json!({
            "format": 2,
            "org": {
                "id": "acme",
                "name": "Acme",
                "support_url": "https://help.acme.test/",
                "identity_provider": {"issuer": "https://idp.acme.test", "client_id": "deskgate"},
            },
            "connectors": {
                "mail": {"title": "M", "url": "https://mail.test/", "credential": {"kind": "user_oauth"}},
                "files": {"title": "F", "command": ["files"]},
            },
            "servers": {"s": {"title": "S", "connectors": ["mail"], "tool_list": "search"}},
            "policies": {"policies/a.cedar": "// @later\npermit (principal, action, resource) when { \"@later\" == \"\\\"@later\" };"},
            "tools": {},
        }))
        .expect("a content")
    }

    fn found(path: &'static str) -> Vec<String> {
        let table = [LaterKey { format: 2, path }];
        uses(&content(), &table).iter().map(|found| found.at.join(" ")).collect()
    }

    #[test]
    fn a_later_key_is_found_wherever_it_is_used() {
        assert_eq!(found("org.support_url"), ["org support_url"]);
        assert_eq!(found("org.client_metadata_url"), [""; 0]);
        assert_eq!(found("connectors.*.url"), ["connectors mail url"]);
        assert_eq!(
            found("connectors.*.title"),
            ["connectors files title", "connectors mail title"],
            "each of them"
        );
        assert_eq!(found("connectors.*.credential.kind=user_oauth"), ["connectors mail credential kind"]);
        assert_eq!(found("connectors.*.credential.kind=leased"), [""; 0]);
        assert_eq!(found("servers.*.tool_list=search"), ["servers s tool_list"]);
        assert_eq!(found("servers.*.connectors.*=mail"), ["servers s connectors 0"]);
    }

    #[test]
    fn an_annotation_is_none_in_a_comment_or_a_string() {
        assert_eq!(found("policies.*=later"), [""; 0]);
        let mut annotated = content();
        annotated.policies.insert(
            "policies/b.cedar".to_owned(),
            "permit(principal, action, resource);\n@ later\nforbid(principal, action, resource);".to_owned(),
        );
        let table = [LaterKey { format: 2, path: "policies.*=later" }];
        let at: Vec<String> = uses(&annotated, &table).into_iter().flat_map(|found| found.at).collect();
        assert_eq!(at, ["policies", "policies/b.cedar"]);
        assert_eq!(annotation_at("@laterer x\n@later(\"x\")", "later"), Some(11));
    }

    #[test]
    fn the_table_names_formats_that_are_read_and_later_than_the_first() {
        let (first, last) = READABLE_FORMATS.into_inner();
        assert_eq!((first, last), (1, CONTENT_FORMAT));
        assert!(LATER_KEYS.iter().all(|key| key.format > first && key.format <= last), "{LATER_KEYS:?}");
    }

    #[test]
    fn the_newest_bundle_that_can_be_read_is_taken() {
        let newest = |formats: &[u32]| {
            let bundles: BTreeMap<u32, ()> = formats.iter().map(|format| (*format, ())).collect();
            newest_readable(&bundles).map(|(format, ())| format)
        };
        assert_eq!(newest(&[1]), Some(1));
        assert_eq!(newest(&[1, 2, 9]), Some(2));
        assert_eq!(newest(&[0, 9]), None);
    }
}
