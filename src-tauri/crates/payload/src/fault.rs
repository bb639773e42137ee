//! Why payload rules are none.

use serde::Serialize;

/// Where in the settings a fault is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadPlace {
    /// In a rule, counted from zero.
    Rule(usize),
    /// In a pattern, by its name.
    Pattern(String),
}

/// Why payload rules are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "fault", content = "detail", rename_all = "snake_case")]
pub enum PayloadFault {
    /// Two rules have one id.
    #[error("the payload rule {0:?} is there twice; records name rules by their ids")]
    Twice(String),
    /// A rule looks for nothing.
    #[error("the payload rule {0:?} looks for nothing; say what in detect")]
    Nothing(String),
    /// The reason is too long or more than one line.
    #[error("the reason of payload rule {0:?} is not one line of at most 240 characters")]
    Reason(String),
    /// No such rule in the rule set of secrets.
    #[error(
        "the payload rule {rule:?} looks for secrets:{id}, which the rule set of secrets does not have, or cannot be looked for here"
    )]
    UnknownSecret {
        /// The rule.
        rule: String,
        /// What it looks for.
        id: String,
    },
    /// No such pattern.
    #[error("the payload rule {rule:?} looks for pattern:{name}; there is no [payload.patterns.{name}]")]
    UnknownPattern {
        /// The rule.
        rule: String,
        /// What it looks for.
        name: String,
    },
    /// No such connector.
    #[error("the payload rule {rule:?} is about connector {connector}, which does not exist")]
    UnknownConnector {
        /// The rule.
        rule: String,
        /// The connector.
        connector: String,
    },
    /// None of the rule's connectors has such a tool.
    #[error("the payload rule {rule:?} is about tool {tool}, which none of its connectors has")]
    UnknownTool {
        /// The rule.
        rule: String,
        /// The tool.
        tool: String,
    },
    /// A pattern says nothing.
    #[error("the payload pattern {0:?} has neither regex nor words")]
    Empty(String),
    /// A pattern's expression is of no use.
    #[error("the regex of payload pattern {name:?} cannot be used: {why}")]
    Regex {
        /// The pattern.
        name: String,
        /// Why.
        why: String,
    },
    /// A pattern's words are of no use.
    #[error(
        "the words of payload pattern {0:?} are not at most 1000 texts of 1 to 128 characters, without space at their ends"
    )]
    Words(String),
    /// More than is good.
    #[error("there are more than {0} payload rules or patterns")]
    TooMany(usize),
}
