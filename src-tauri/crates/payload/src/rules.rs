//! One rule, ready to look.

use std::sync::Arc;

use org_protocol::{Detect, PayloadAction, PayloadDirection, PayloadRule, PersonalData};

use crate::own::Own;

/// A rule.
#[derive(Debug)]
pub(crate) struct Rule {
    /// As it was written.
    pub(crate) written: PayloadRule,
    /// Its patterns, by what they are called where they are found.
    pub(crate) own: Vec<(String, Arc<Own>)>,
}

impl Rule {
    pub(crate) fn id(&self) -> &str {
        self.written.id.as_str()
    }

    pub(crate) fn action(&self) -> PayloadAction {
        self.written.action
    }

    pub(crate) fn is_about(&self, way: PayloadDirection) -> bool {
        self.written.direction.is_about(way)
    }

    pub(crate) fn wants_secrets(&self) -> bool {
        self.written.detect.iter().any(|one| matches!(one, Detect::Secrets | Detect::Secret(_)))
    }

    /// Whether it looks for what this rule of the set of secrets finds.
    pub(crate) fn wants_secret(&self, id: &str) -> bool {
        self.written.detect.iter().any(|one| match one {
            Detect::Secrets => true,
            Detect::Secret(wanted) => wanted == id,
            Detect::PersonalData | Detect::Personal(_) | Detect::Pattern(_) => false,
        })
    }

    pub(crate) fn wants(&self, kind: PersonalData) -> bool {
        self.written.detect.iter().any(|one| match one {
            Detect::PersonalData => kind.is_usual(),
            Detect::Personal(wanted) => *wanted == kind,
            Detect::Secrets | Detect::Secret(_) | Detect::Pattern(_) => false,
        })
    }

    /// What stands in the place of what is taken out.
    pub(crate) fn mark(&self) -> String {
        format!("[redacted: {}]", self.id())
    }

    /// The rule as people read why something was refused: its id and reason.
    pub(crate) fn cited(&self) -> String {
        match self.written.reason.as_str() {
            "" => self.id().to_owned(),
            reason => format!("{} ({})", self.id(), reason.trim_end_matches('.')),
        }
    }
}
