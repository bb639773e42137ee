//! Why a connector gave no answer.

use mcp::connector::AnswerFault;

/// Why a connector gave no answer. Texts are for the log; whoever speaks to a person knows the connector's title.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamFault {
    /// The program could not be started.
    #[error("{program} could not be started: {reason}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// A value that was sealed for the program cannot be read, so it was not started.
    #[error("what was sealed for it as {name} cannot be read")]
    Sealed {
        /// The value's name.
        name: String,
    },
    /// The program ended or closed its output. What it said last may hold what it was started with: that is in its own log.
    #[error("the program ended; what it said last is in its log")]
    Ended,
    /// No answer within the deadline; the call was cancelled.
    #[error("no answer within the deadline")]
    Deadline,
    /// The server cannot be reached.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server wants another credential (401).
    #[error("the server refused the credential")]
    Unauthorized {
        /// Its `WWW-Authenticate` header (RFC 9728, section 5.1).
        challenge: Option<String>,
    },
    /// The server wants the token to cover more (403, `insufficient_scope`; RFC 6750, section 3.1).
    #[error("the server wants a token with more scopes")]
    InsufficientScope {
        /// Its `WWW-Authenticate` header, which names them.
        challenge: String,
    },
    /// The server has forgotten the session (404).
    #[error("the server has forgotten the session")]
    SessionGone,
    /// Another HTTP status.
    #[error("the server answered with HTTP status {0}")]
    Status(u16),
    /// A message beyond [`crate::MESSAGE_LIMIT`].
    #[error("the connector sent a message that is too large")]
    TooLarge,
    /// What came is no answer.
    #[error("the connector's answer cannot be used: {0}")]
    Unusable(String),
    /// The connector answered a request of the gateway itself with an error.
    #[error("the connector refused {method}: {error}")]
    Refused {
        /// The method.
        method: &'static str,
        /// The error object.
        error: String,
    },
    /// The permit does not cover what was asked for.
    #[error("the permit is for another call")]
    NotPermitted,
}

impl From<AnswerFault> for UpstreamFault {
    fn from(fault: AnswerFault) -> Self {
        Self::Unusable(fault.to_string())
    }
}

impl UpstreamFault {
    /// Whether a server found fault with the proof of a token, not with the token (RFC 9449, sections 7.1 and 9).
    pub fn blames_proof(&self) -> bool {
        let says = |challenge: &String| {
            ["use_dpop_nonce", "invalid_dpop_proof"].iter().any(|code| challenge.contains(code))
        };
        matches!(self, Self::Unauthorized { challenge: Some(challenge) } if says(challenge))
    }

    /// The same where the connector may have done what it was asked for.
    pub(crate) fn after_effect(self) -> Self {
        if self.before_effect() { Self::Unusable(self.to_string()) } else { self }
    }

    /// Whether the connector certainly did nothing, so that trying again causes the effect once.
    pub fn before_effect(&self) -> bool {
        match self {
            Self::Start { .. }
            | Self::Sealed { .. }
            | Self::Unauthorized { .. }
            | Self::InsufficientScope { .. }
            | Self::SessionGone
            | Self::NotPermitted => true,
            Self::Ended
            | Self::Deadline
            | Self::Unreachable(_)
            | Self::Status(_)
            | Self::TooLarge
            | Self::Unusable(_)
            | Self::Refused { .. } => false,
        }
    }
}
