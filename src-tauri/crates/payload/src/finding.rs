//! What was found, without what it is.

use std::collections::BTreeMap;
use std::ops::Range;

use org_protocol::{PayloadAction, PayloadFinding};

/// The most places that a record names of one kind.
const MOST_PLACES: usize = 8;
/// The longest name of a member that is recorded, in bytes.
const LONGEST_NAME: usize = 32;
/// The most digits in one.
const MOST_DIGITS: usize = 3;
/// The most digits of a place in a list.
const LONGEST_NUMBER: usize = 7;

/// One thing that a rule found in a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule, by its id.
    pub rule: String,
    /// What was found, as rules name it.
    pub class: String,
    /// What becomes of it.
    pub action: PayloadAction,
    /// Where: a JSON pointer (RFC 6901). The name of a member in which something was found is written `*`.
    pub pointer: String,
    /// Where in the text of that place, in bytes of the text as it reads.
    pub range: Range<usize>,
}

/// Findings as records keep them: by rule and kind, how often and where.
pub fn recorded(findings: &[Finding]) -> Vec<PayloadFinding> {
    let mut by: BTreeMap<(&str, &str, PayloadAction), PayloadFinding> = BTreeMap::new();
    for finding in findings {
        let entry =
            by.entry((&finding.rule, &finding.class, finding.action)).or_insert_with(|| PayloadFinding {
                rule: finding.rule.clone(),
                class: finding.class.clone(),
                action: finding.action,
                count: 0,
                places: Vec::new(),
            });
        entry.count += 1;
        let place = without_data(&finding.pointer);
        if entry.places.len() < MOST_PLACES && !entry.places.contains(&place) {
            entry.places.push(place);
        }
    }
    by.into_values().collect()
}

/// A pointer in which nothing stands that is no name of a program's making: members are named by data as well, such as by people's
/// addresses, and records keep none.
fn without_data(pointer: &str) -> String {
    let steps = pointer.split('/').map(|step| if is_programs(step) { step } else { "*" });
    steps.collect::<Vec<_>>().join("/")
}

/// Whether a step is a place in a list, or short and of letters but for a few digits.
fn is_programs(step: &str) -> bool {
    let digits = step.bytes().filter(u8::is_ascii_digit).count();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$');
    let is_name = step.len() <= LONGEST_NAME && digits <= MOST_DIGITS && step.bytes().all(is_plain);
    is_name || (digits == step.len() && step.len() <= LONGEST_NUMBER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_data_are_not_recorded() {
        for (pointer, expected) in [
            ("/structuredContent/users/ann@example.com/ssn", "/structuredContent/users/*/ssn"),
            ("/arguments/request/items/12/body_2", "/arguments/request/items/12/body_2"),
            ("/a/4111111111111111", "/a/*"),
            ("/a/ghp_0123456789abcdef0123456789abcdef", "/a/*"),
            ("/a/b~1c", "/a/*"),
            ("", ""),
        ] {
            assert_eq!(without_data(pointer), expected, "{pointer}");
        }
    }
}
