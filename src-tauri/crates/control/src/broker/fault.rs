//! Why a brokered call has no answer.

use ::audit::JournalFault;
use model::{Advice, ConnectorId, CredentialId, ForPerson};
use org_protocol::HALTED;
use policy::{Denial, LIMIT_EXCEEDED, Over, PAYLOAD_BLOCKED};
use upstream::UpstreamFault;

use super::approval::ApprovalRefusal;
use crate::credential::CredentialFault;
use crate::store::StoreFault;

/// Why a brokered call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerFault {
    /// There is no such connector, or calls to it are not made here.
    #[error("{0} is no brokered connector")]
    NotBrokered(ConnectorId),
    /// Policy refuses it.
    #[error(transparent)]
    Denied(Denial),
    /// The person's leave that came with it is none.
    #[error("{0}")]
    Approval(ApprovalRefusal),
    /// An administrator stopped it while it was under way; in words.
    #[error("{0}")]
    Stopped(String),
    /// The answer does not pass the payload rules.
    #[error("a payload rule blocks the answer")]
    Withheld {
        /// The connector's title.
        title: String,
        /// Which rules and why.
        words: String,
    },
    /// The answer is larger than a limit lets pass.
    #[error("a limit withholds the answer: {over}")]
    TooLarge {
        /// The connector's title.
        title: String,
        /// The limit.
        over: Over,
    },
    /// The session was ended while it was under way.
    #[error("the session was ended")]
    SignedOut,
    /// The published policy has expired, with its grace.
    #[error("the published policy has expired")]
    PolicyExpired,
    /// The intent could not be recorded; nothing was done.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// Too many connectors run already.
    #[error("too many connectors run already")]
    Busy,
    /// The credential's secret is missing or does not open.
    #[error("credential {id} cannot be used: {}", reason.as_ref().map_or_else(|| "nothing is stored".to_owned(), ToString::to_string))]
    Credential {
        /// The credential.
        id: CredentialId,
        /// Why; none where nothing is stored.
        reason: Option<CredentialFault>,
    },
    /// The connector failed. Its own words are kept only without the secret.
    #[error("the connector failed: {detail}")]
    Upstream {
        /// For the log, redacted.
        detail: String,
        /// For a person.
        advice: Advice,
        /// Whether the connector certainly did nothing.
        before_effect: bool,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl BrokerFault {
    /// The connector with this title failed; `redacted` are its words without the secret.
    pub(super) fn upstream(title: &str, fault: &UpstreamFault, redacted: String) -> Self {
        Self::Upstream {
            detail: redacted,
            advice: upstream_advice(title, fault),
            before_effect: fault.before_effect(),
        }
    }

    /// Whether the connector certainly did nothing.
    pub(crate) fn before_effect(&self) -> bool {
        match self {
            Self::NotBrokered(_)
            | Self::Denied(_)
            | Self::Approval(_)
            | Self::PolicyExpired
            | Self::Journal(_)
            | Self::Busy
            | Self::Credential { .. }
            | Self::Store(_) => true,
            Self::Stopped(_) | Self::SignedOut | Self::Withheld { .. } | Self::TooLarge { .. } => false,
            Self::Upstream { before_effect, .. } => *before_effect,
        }
    }
}

impl ForPerson for BrokerFault {
    fn advice(&self) -> Advice {
        match self {
            Self::NotBrokered(id) => Advice::new(
                "not-brokered",
                format!("The organisation does not make calls to {id}."),
                "Its policy may have changed.",
                "Let the assistant list its tools again.",
            ),
            Self::Denied(denial) => denial.advice(),
            Self::Approval(refusal) => refusal.advice(),
            Self::Stopped(words) => Advice::new(
                HALTED,
                "The call was broken off.",
                words.clone(),
                "Look whether it was done before it is made again.",
            ),
            Self::SignedOut => Advice::new(
                "call-broken-off",
                "The call was broken off.",
                "The sign-in with which it was made was ended, or this device was.",
                "Look whether it was done before it is made again.",
            ),
            Self::Withheld { title, words } => Advice::new(
                PAYLOAD_BLOCKED,
                format!("{title} answered, and its answer is withheld."),
                format!("A payload rule blocks it: {words} The call was made."),
                "Do not make it again for the same answer.",
            ),
            Self::TooLarge { title, over } => Advice::new(
                LIMIT_EXCEEDED,
                format!("{title} answered, and its answer is withheld."),
                format!("{} The call was made.", over.words()),
                "Do not make it again for the same answer.",
            ),
            Self::PolicyExpired => Advice::new(
                "policy-expired",
                "The organisation's policy has expired.",
                "Shared accounts are not used until it is renewed.",
                "Tell your IT department.",
            ),
            Self::Journal(fault) => fault.advice(),
            Self::Busy => Advice::new(
                "broker-busy",
                "The organisation's server has too much to do.",
                "The call was not made.",
                "Try again in a minute.",
            ),
            Self::Credential { .. } => Advice::new(
                "credential-unusable",
                "The shared account cannot be used at the moment.",
                "The call was not made.",
                "Tell your IT department.",
            ),
            Self::Upstream { advice, .. } => advice.clone(),
            // Whoever asked for the call decides whether it is made again.
            Self::Store(fault) => {
                let Advice { code, happened, means, .. } = fault.advice();
                Advice::new(code, happened, means, "Try again in a moment.")
            }
        }
    }
}

fn upstream_advice(title: &str, fault: &UpstreamFault) -> Advice {
    let (code, happened) = match fault {
        UpstreamFault::Start { .. } | UpstreamFault::Sealed { .. } => {
            ("connector-start", format!("{title} could not be started."))
        }
        UpstreamFault::Ended => ("connector-ended", format!("{title} stopped unexpectedly.")),
        UpstreamFault::Deadline => ("connector-slow", format!("{title} did not answer in time.")),
        UpstreamFault::Unreachable(_) => ("connector-unreachable", format!("{title} cannot be reached.")),
        UpstreamFault::Unauthorized { .. } => {
            ("connector-refused-account", format!("{title} did not accept the shared account."))
        }
        UpstreamFault::SessionGone
        | UpstreamFault::InsufficientScope { .. }
        | UpstreamFault::Status(_)
        | UpstreamFault::Refused { .. }
        | UpstreamFault::TooLarge
        | UpstreamFault::Unusable(_)
        | UpstreamFault::NotPermitted => ("connector-failed", format!("{title} failed.")),
    };
    let means = if fault.before_effect() {
        "The call was not made."
    } else {
        "Whether the call took effect is not known."
    };
    Advice::new(code, happened, means, "Try again in a moment; tell your IT department if it stays.")
}
