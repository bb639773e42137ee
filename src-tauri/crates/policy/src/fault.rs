//! What is wrong with a policy set. One fault refuses the whole set: a policy that is half understood is not obeyed.

use model::{Advice, ForPerson};
use payload::{PayloadFault, PayloadPlace};
use serde::Serialize;

use crate::declared::DeclarationFault;
use crate::limits::LimitFault;

/// A fault, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct PolicyFault {
    /// The policy file; `tools` where the fault is in those, and `connectors/<id>.toml` where it is in a connector's facts.
    pub file: String,
    /// The line, counted from one.
    pub line: u32,
    /// The policy's `@id`, where it has one.
    pub policy: Option<String>,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "fault", content = "detail", rename_all = "snake_case")]
pub enum FaultKind {
    /// The text is not Cedar.
    #[error("{0}")]
    Syntax(String),
    /// A template: there is nothing here that would fill its slots.
    #[error("a policy with ?principal or ?resource is a template, and templates are not linked here")]
    Template,
    /// No `@id`.
    #[error("the policy has no @id")]
    NoId,
    /// An `@id` that would not be safe to print.
    #[error("the @id {0:?} is not 1 to 64 letters, digits or any of -_.:/")]
    BadId(String),
    /// An `@id` that an earlier policy has.
    #[error("the @id is already taken by a policy in {0}")]
    DuplicateId(String),
    /// A `@reason` that is too long or is more than one line.
    #[error("the @reason is not a single line of at most 240 characters")]
    BadReason,
    /// An `@observe` with a text: it is either there or not.
    #[error("@observe stands alone, without a text")]
    BadObserve,
    /// A permit that is marked `@observe`: what is merely observed permits nothing, so it would say nothing.
    #[error("only a forbid can be marked @observe")]
    ObservedPermit,
    /// An `@approval` with another text than a scope.
    #[error("@approval says once, session or always; nothing is as good as once")]
    BadApproval,
    /// A permit that is marked `@approval`: what needs a person is a permit and a forbid.
    #[error("only a forbid can be marked @approval: permit the call, and forbid it unless a person approves")]
    ApprovedPermit,
    /// A forbid that is only tried out asks nobody.
    #[error("a forbid is marked either @observe or @approval")]
    ObservedApproval,
    /// A `@factor` that is another than the operating system's, or beside no `@approval`.
    #[error("@factor says system, and stands on a forbid that is marked @approval")]
    BadFactor,
    /// `context`, `context.input` or `context.facts` as a whole.
    #[error("context, context.input and context.facts can only be read member by member")]
    WholeContext,
    /// The policy does not type-check.
    #[error("{0}")]
    Invalid(String),
    /// The policy can never apply to anything.
    #[error("{0}")]
    Never(String),
    /// A server, connector or credential that does not exist.
    #[error("there is no {kind}::{id:?}")]
    UnknownEntity {
        /// `Server`, `Connector` or `Credential`.
        kind: String,
        /// The id that the policy names.
        id: String,
    },
    /// An entity type that policies have no use for.
    #[error("{0} is not a type that policies can name")]
    ForeignType(String),
    /// `has` asks for a member that none of the policy's tools declare.
    #[error("nothing that this policy is about has {0}")]
    UnknownMember(String),
    /// A text that the member can never be.
    #[error("{member} is never {value:?}")]
    UnknownValue {
        /// The path of the member.
        member: String,
        /// The text or pattern in the policy.
        value: String,
    },
    /// Characters that make a text read differently from what it is.
    #[error("it contains characters that change how the text around them reads")]
    Deceptive,
    /// A fact is declared that cannot be computed.
    #[error("the fact {fact} of {tool}: {fault}")]
    Fact {
        /// The tool.
        tool: String,
        /// The fact.
        fact: String,
        /// Why.
        fault: Box<DeclarationFault>,
    },
    /// A payload rule or pattern that cannot be looked for.
    #[error("{fault}")]
    Payload {
        /// Where it stands.
        place: PayloadPlace,
        /// Why.
        fault: Box<PayloadFault>,
    },
    /// A limit that cannot be kept.
    #[error("{fault}")]
    Limit {
        /// The limit, counted from zero.
        at: usize,
        /// Why.
        fault: Box<LimitFault>,
    },
    /// The schema of the tools could not be built.
    #[error("{0}")]
    Schema(String),
}

impl PolicyFault {
    pub(crate) fn of_schema(fault: &crate::SchemaFault) -> Self {
        Self { file: "tools".to_owned(), line: 1, policy: None, kind: FaultKind::Schema(fault.to_string()) }
    }
}

impl std::fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(policy) = &self.policy {
            write!(f, "policy {policy:?}: ")?;
        }
        write!(f, "{}", self.kind)
    }
}

impl ForPerson for PolicyFault {
    fn advice(&self) -> Advice {
        Advice::new(
            "policy-refused",
            format!("A policy was refused: {self}."),
            "The policies that were in force before stay in force.",
            "Correct the policy and publish it again.",
        )
    }
}
