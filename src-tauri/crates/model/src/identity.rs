//! Who a call is made for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A user as the identity provider names them. The pair of issuer and subject identifies; all else describes.
///
/// In personal mode the issuer is `local` and the subject is the operating system's user name.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The identity provider's issuer identifier (OpenID Connect Core 1.0, section 2), or `local`.
    pub issuer: String,
    /// The issuer's `sub` claim.
    pub subject: String,
    /// The e-mail address, as the provider gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A name for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The groups that reach policy.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Further typed claims that reach policy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
}

impl Subject {
    /// The user of this machine, for personal mode.
    pub fn local(user: impl Into<String>) -> Self {
        let subject = user.into();
        Self {
            issuer: "local".to_owned(),
            name: Some(subject.clone()),
            subject,
            email: None,
            groups: BTreeSet::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// Whether it is the same person, whatever is known of them: issuer and subject identify (OpenID Connect Core 1.0,
    /// section 5.7).
    pub fn is_same_person(&self, other: &Self) -> bool {
        (&self.issuer, &self.subject) == (&other.issuer, &other.subject)
    }

    /// How the user is shown: e-mail, else name, else subject.
    pub fn label(&self) -> &str {
        self.email.as_deref().or(self.name.as_deref()).unwrap_or(&self.subject)
    }
}

/// The value of a claim that policy may read.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// A text.
    Text(String),
    /// A set of texts.
    Set(BTreeSet<String>),
}
