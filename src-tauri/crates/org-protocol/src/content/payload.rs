//! Payload rules: what is looked for in what assistants send and connectors answer, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use model::{ConnectorId, ToolName};
use serde::{Deserialize, Serialize};

/// What is looked for in payloads.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PayloadSettings {
    /// What rules look for under a name of the organisation's own: `detect = ["pattern:<name>"]`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub patterns: BTreeMap<PayloadName, PayloadPattern>,
    /// The rules. Where several find the same, the strictest decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<PayloadRule>,
}

impl PayloadSettings {
    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty() && self.rule.is_empty()
    }
}

/// What one rule looks for, where, and what becomes of it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadRule {
    /// Its name in records, in what people read and in the place of what was taken out.
    pub id: PayloadName,
    /// The connectors that it is about; all where none is named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub connectors: BTreeSet<ConnectorId>,
    /// The tools that it is about, as their connectors name them; where none is named all, and resources and prompts as well.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tools: BTreeSet<ToolName>,
    /// Which way payloads go that it is about.
    #[serde(default, skip_serializing_if = "PayloadDirection::is_both")]
    pub direction: PayloadDirection,
    /// What it looks for; one thing at least.
    pub detect: Vec<Detect>,
    /// What becomes of a payload in which it is found.
    pub action: PayloadAction,
    /// Why, in one line: the assistant and the person are told it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Which way a payload goes.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadDirection {
    /// To the connector: arguments, and answers to what a connector asks.
    Request,
    /// To the assistant: results, errors, and what a connector tells and asks meanwhile.
    Response,
    /// Both.
    #[default]
    Both,
}

impl PayloadDirection {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
    fn is_both(&self) -> bool {
        *self == Self::Both
    }

    /// Whether a rule of this direction is about a payload that goes `way`.
    pub fn is_about(self, way: Self) -> bool {
        self == Self::Both || way == Self::Both || self == way
    }
}

/// What becomes of a payload in which something is found, the mildest first.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadAction {
    /// It passes; that it was found is recorded.
    Log,
    /// It passes without what was found.
    Redact,
    /// A person decides.
    Ask,
    /// It does not pass.
    Block,
}

impl PayloadAction {
    /// The action as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Redact => "redact",
            Self::Ask => "ask",
            Self::Block => "block",
        }
    }
}

/// The name of a rule, a limit or a pattern: `[a-z][a-z0-9-]{0,47}`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String", extend("pattern" = "^[a-z][a-z0-9-]{0,47}$")))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PayloadName(String);

impl PayloadName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PayloadName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PayloadName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() <= 48 && text.bytes().all(rest) {
            Ok(Self(text))
        } else {
            Err(
                "the name of a rule or pattern has 1 to 48 lower-case letters, digits or -, and begins with a letter",
            )
        }
    }
}

impl From<PayloadName> for String {
    fn from(PayloadName(name): PayloadName) -> Self {
        name
    }
}

/// Something of the organisation's own to look for: a regular expression, or words, or both.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadPattern {
    /// The expression, in the syntax of the Rust crate `regex`: at most 1024 bytes, and never found in nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Words or phrases, found as whole words in whatever case: at most 1000.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub words: BTreeSet<String>,
}

/// What a rule looks for.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Detect {
    /// `secrets`: whatever the rule set of secrets knows.
    Secrets,
    /// `secrets:<id>`: one rule of it.
    Secret(String),
    /// `personal_data`: every kind of it but addresses on the network.
    PersonalData,
    /// `personal_data.<kind>`.
    Personal(PersonalData),
    /// `pattern:<name>`: a pattern of the organisation's own.
    Pattern(PayloadName),
}

/// A kind of personal data that has a form of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonalData {
    /// A mail address (RFC 5322, as people write it).
    Email,
    /// A telephone number with its country's code (E.164).
    Phone,
    /// The number of a payment card (ISO/IEC 7812).
    PaymentCard,
    /// A bank account's number (ISO 13616).
    Iban,
    /// A social security number of the United States.
    UsSsn,
    /// An address on the network, of version 4 or 6.
    IpAddress,
}

impl PersonalData {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Email, Self::Phone, Self::PaymentCard, Self::Iban, Self::UsSsn, Self::IpAddress];

    /// The kind as rules name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::PaymentCard => "payment_card",
            Self::Iban => "iban",
            Self::UsSsn => "us_ssn",
            Self::IpAddress => "ip_address",
        }
    }

    /// Whether it is meant where personal data as such is looked for.
    pub fn is_usual(self) -> bool {
        self != Self::IpAddress
    }
}

impl std::fmt::Display for Detect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secrets => f.write_str("secrets"),
            Self::Secret(id) => write!(f, "secrets:{id}"),
            Self::PersonalData => f.write_str("personal_data"),
            Self::Personal(kind) => write!(f, "personal_data.{}", kind.as_str()),
            Self::Pattern(name) => write!(f, "pattern:{name}"),
        }
    }
}

impl TryFrom<String> for Detect {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(id) = text.strip_prefix("secrets:") {
            return Ok(Self::Secret(id.to_owned()));
        }
        if let Some(name) = text.strip_prefix("pattern:") {
            return Ok(Self::Pattern(PayloadName::try_from(name.to_owned())?));
        }
        if let Some(kind) = text.strip_prefix("personal_data.") {
            let found = PersonalData::ALL.into_iter().find(|known| known.as_str() == kind);
            let names = PersonalData::ALL.map(PersonalData::as_str).join(", ");
            return found
                .map(Self::Personal)
                .ok_or_else(|| format!("there is no personal data {kind:?}; there are {names}"));
        }
        match text.as_str() {
            "secrets" => Ok(Self::Secrets),
            "personal_data" => Ok(Self::PersonalData),
            _ => Err(format!(
                "{text:?} cannot be looked for: there are secrets, secrets:<rule>, personal_data, personal_data.<kind> and pattern:<name>"
            )),
        }
    }
}

impl From<Detect> for String {
    fn from(detect: Detect) -> Self {
        detect.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rules_look_for_is_read_and_written_back() {
        for text in
            ["secrets", "secrets:aws-access-token", "personal_data", "personal_data.iban", "pattern:projects"]
        {
            assert_eq!(Detect::try_from(text.to_owned()).expect("known").to_string(), text);
        }
        for wrong in ["secret", "personal_data.name", "pattern:", "pattern:Projects", ""] {
            assert!(Detect::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_strictest_action_is_the_greatest() {
        use PayloadAction::{Ask, Block, Log, Redact};
        assert!(Log < Redact && Redact < Ask && Ask < Block);
    }
}
