//! The policies of a checked set, one by one, and the names under which they appear in permits and records.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{Effect, Policy as CedarPolicy, pst};
use model::{ApprovalScope, Digest};
use org_protocol::PolicyReference;
use serde::{Deserialize, Serialize};

use crate::convert::ArgumentFault;
use crate::lint::Reads;

/// The longest id, in bytes.
const ID_LIMIT: usize = 64;
/// The longest reason, in characters: it must fit into one line of an assistant's answer.
pub(crate) const REASON_LIMIT: usize = 240;

/// The `@id` of a policy: letters, digits and `-_.:/`, at most 64 of them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct RuleId(Arc<str>);

/// The text is no policy id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a policy id has 1 to 64 letters, digits or any of -_.:/")]
pub struct RuleIdFault;

impl RuleId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for RuleId {
    type Err = RuleIdFault;

    fn from_str(text: &str) -> Result<Self, RuleIdFault> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
        if text.is_empty() || text.len() > ID_LIMIT || !text.bytes().all(allowed) {
            return Err(RuleIdFault);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for RuleId {
    type Error = RuleIdFault;

    fn try_from(text: String) -> Result<Self, RuleIdFault> {
        text.parse()
    }
}

impl Serialize for RuleId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RuleId({})", self.0)
    }
}

/// Which policy set decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// What people call it, such as the bundle's version.
    pub label: String,
    /// The digest of what it was compiled from.
    pub digest: Digest,
}

impl From<&PolicyVersion> for PolicyReference {
    /// The version as the journal refers to it.
    fn from(version: &PolicyVersion) -> Self {
        Self { label: version.label.clone(), digest: version.digest }
    }
}

impl std::fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.label, self.digest)
    }
}

/// What becomes of what a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It is obeyed.
    Enforced,
    /// A forbid marked `@observe`: what it would have refused is recorded, and nothing is refused.
    Observed,
    /// A forbid marked `@approval`: it refuses unless a person approves, who may allow so much at most.
    Asking(ApprovalScope),
    /// One that is marked `@factor` as well: the person also has to prove to the operating system who they are.
    Proving(ApprovalScope),
}

impl Manner {
    pub(crate) fn of(observed: bool, approval: Option<ApprovalScope>, factor: bool) -> Self {
        match approval {
            Some(most) if factor => Self::Proving(most),
            Some(most) => Self::Asking(most),
            None if observed => Self::Observed,
            None => Self::Enforced,
        }
    }

    pub(crate) fn asks(self) -> Option<ApprovalScope> {
        match self {
            Self::Asking(most) | Self::Proving(most) => Some(most),
            Self::Enforced | Self::Observed => None,
        }
    }

    /// Whether a click does not do.
    pub(crate) fn proves(self) -> bool {
        match self {
            Self::Proving(_) => true,
            Self::Asking(_) | Self::Enforced | Self::Observed => false,
        }
    }
}

/// One policy of the set.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    /// The file that it stands in.
    pub(crate) file: Arc<str>,
    /// The line at which it begins, counted from one.
    pub(crate) line: u32,
    /// The author's `@reason`.
    pub(crate) reason: Option<String>,
    pub(crate) manner: Manner,
    pub(crate) policy: CedarPolicy,
    /// The same policy as a syntax tree.
    pub(crate) body: pst::Template,
    /// What of `context` it reads.
    pub(crate) reads: Reads,
    /// The names of the facts that it reads.
    pub(crate) facts: BTreeSet<String>,
}

impl Rule {
    pub(crate) fn permits(&self) -> bool {
        self.policy.effect() == Effect::Permit
    }

    /// Whether it reads what cannot be read.
    pub(crate) fn rests_on(&self, fault: &ArgumentFault) -> bool {
        match fault.unknown_facts() {
            Some(unknown) => unknown.iter().any(|one| self.facts.contains(&one.fact)),
            None => self.reads.arguments(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_plain() {
        assert!("finance/limit-rows.2:a_b".parse::<RuleId>().is_ok());
        for bad in ["", "two words", "ümlaut", "a\nb", &"a".repeat(65)] {
            assert_eq!(bad.parse::<RuleId>(), Err(RuleIdFault), "{bad:?}");
        }
        assert!(serde_json::from_str::<RuleId>("\"a b\"").is_err());
    }
}
