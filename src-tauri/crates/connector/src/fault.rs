//! Why a permitted call has no answer.

use model::{AccountId, Advice};
use upstream::UpstreamFault;

use crate::seams::{AccountFault, BrokerFault};

/// Why a permitted call has no answer from its connector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFault {
    /// There is no such connector any more.
    #[error("there is no connector {0}")]
    Unknown(AccountId),
    /// The employee's account is missing or failed.
    #[error(transparent)]
    Account(#[from] AccountFault),
    /// The connector failed.
    #[error(transparent)]
    Upstream(#[from] UpstreamFault),
    /// It failed before and is left alone for a moment.
    #[error("it failed and is tried again in {seconds} s: {last}")]
    Resting {
        /// The rest, in seconds.
        seconds: u64,
        /// The failure.
        last: UpstreamFault,
    },
    /// The control plane failed or refused.
    #[error(transparent)]
    Broker(#[from] BrokerFault),
    /// The credential that the permit names does not fit the connector, or there is no control plane.
    #[error("the credential cannot be used here")]
    Credential,
}

impl CallFault {
    /// The words for a person, who knows the connector by its title.
    pub fn advice(&self, title: &str) -> Advice {
        let try_later = "Try again in a moment.";
        match self {
            Self::Account(AccountFault::SignInNeeded(advice) | AccountFault::Failed(advice))
            | Self::Broker(
                BrokerFault::Unavailable(advice) | BrokerFault::Refused(advice) | BrokerFault::Failed(advice),
            ) => advice.clone(),
            Self::Unknown(_) => Advice::new(
                "connector-gone",
                format!("{title} is no longer offered here."),
                "",
                "Ask the assistant to list its tools again.",
            ),
            Self::Credential => Advice::new(
                "credential-unusable",
                format!("{title} needs an account of your organisation, and there is no connection to it."),
                "",
                "Sign in to your organisation.",
            ),
            Self::Upstream(fault) => upstream_advice(fault, title),
            Self::Resting { seconds, last } => {
                let known = upstream_advice(last, title);
                let todo = format!("It is tried again in {} s.", seconds.max(&1));
                Advice::new(known.code, known.happened, known.means, todo)
            }
        }
        .or_todo(try_later)
    }

    /// Whether the connector certainly did nothing.
    pub fn before_effect(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::Account(_) | Self::Resting { .. } | Self::Credential => true,
            Self::Upstream(fault) => fault.before_effect(),
            Self::Broker(BrokerFault::Unavailable(_) | BrokerFault::Refused(_)) => true,
            Self::Broker(BrokerFault::Failed(_)) => false,
        }
    }
}

fn upstream_advice(fault: &UpstreamFault, title: &str) -> Advice {
    let new =
        |code: &str, happened: String, means: &str, todo: &str| Advice::new(code, happened, means, todo);
    match fault {
        UpstreamFault::Start { program, .. } => new(
            "connector-start",
            format!("{title} could not be started: the program {program} did not run."),
            "",
            "Check that it is installed.",
        ),
        UpstreamFault::Sealed { name } => new(
            "connector-sealed",
            format!("{title} could not be started: what is sealed for it as {name} cannot be read."),
            "",
            "If your keychain is locked, unlock it. Else get a new secret where this one came from, put the server into your assistant's configuration and import it once more.",
        ),
        UpstreamFault::Ended => new(
            "connector-ended",
            format!("{title} stopped unexpectedly."),
            "Whether the call took effect is not known.",
            "It is started again with the next call.",
        ),
        UpstreamFault::Deadline => new(
            "connector-slow",
            format!("{title} did not answer in time."),
            "Whether the call took effect is not known.",
            "",
        ),
        UpstreamFault::Unreachable(_) => new(
            "connector-unreachable",
            format!("{title} cannot be reached."),
            "",
            "Check the network connection.",
        ),
        UpstreamFault::Unauthorized { .. } => new(
            "connector-refused-account",
            format!("{title} did not accept your account."),
            "",
            "Sign in to it again.",
        ),
        UpstreamFault::InsufficientScope { .. } => new(
            "connector-wants-scopes",
            format!("{title} wants your account to allow more than it does."),
            "The call was not made.",
            "Sign in to it again, and allow what it asks for.",
        ),
        UpstreamFault::SessionGone | UpstreamFault::Status(_) | UpstreamFault::Refused { .. } => {
            new("connector-failed", format!("{title} failed."), "", "")
        }
        UpstreamFault::TooLarge | UpstreamFault::Unusable(_) => new(
            "connector-unusable",
            format!("{title} gave an answer that cannot be used."),
            "",
            "Tell whoever runs it.",
        ),
        UpstreamFault::NotPermitted => {
            new("not-permitted", format!("The call to {title} is not the one that was permitted."), "", "")
        }
    }
}

trait OrTodo {
    fn or_todo(self, todo: &str) -> Self;
}

impl OrTodo for Advice {
    fn or_todo(mut self, todo: &str) -> Self {
        if self.todo.is_empty() {
            todo.clone_into(&mut self.todo);
        }
        self
    }
}
