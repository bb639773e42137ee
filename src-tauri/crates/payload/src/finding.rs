//! What was found, without what it is.

use std::collections::BTreeMap;
use std::ops::Range;

use org_protocol::{PayloadAction, PayloadFinding};

/// The most places that a record names of one kind.
const MOST_PLACES: usize = 8;

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
        if entry.places.len() < MOST_PLACES && !entry.places.contains(&finding.pointer) {
            entry.places.push(finding.pointer.clone());
        }
    }
    by.into_values().collect()
}
