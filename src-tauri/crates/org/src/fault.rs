//! Why the central URL did not do what was asked.

use std::io;

use model::{Advice, ForPerson};
use org_protocol::{
    DEVICE_REVOKED, DEVICE_SUSPENDED, ID_TOKEN_NOT_BOUND, LeaseFault, Refusal, SIGN_IN_ENDED,
};
use vault::VaultFault;

use crate::Disbelief;

/// Whoever asked is to ask later (RFC 6585, section 4).
const TOO_MANY_REQUESTS: u16 = 429;
/// What the server says where the organisation's policy has expired.
const POLICY_EXPIRED: &str = "policy-expired";

/// Why the central URL did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum OrgFault {
    /// The URL would be spoken to in the clear.
    #[error("{0} is neither https nor on this machine")]
    Insecure(String),
    /// No connection could be made.
    #[error("the organisation's server is not reached: {0}")]
    NotReached(String),
    /// Whoever was reached shows a certificate that is not believed; nothing was said to them.
    #[error("the certificate of the organisation's server is not believed: {0}")]
    Certificate(Disbelief),
    /// It was reached, perhaps, and did not answer.
    #[error("the organisation's server does not answer: {0}")]
    Unreachable(String),
    /// It refused, and said why.
    #[error("the organisation's server refused with status {status}: {} ({})", advice.happened, advice.code)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words for a person.
        advice: Advice,
    },
    /// What it answered is not what it should be.
    #[error("the organisation's server gave an answer that cannot be used: {0}")]
    Unusable(String),
    /// A signed document is not believed.
    #[error(transparent)]
    Document(#[from] Refusal),
    /// A lease is not what was asked for, or not from the organisation.
    #[error(transparent)]
    Lease(#[from] LeaseFault),
    /// A newer policy was seen since this one was fetched.
    #[error("a newer policy was seen meanwhile")]
    Superseded,
    /// There is no session: somebody has to sign in.
    #[error("there is no session with the organisation")]
    NoSession,
    /// The session is another person's than the one in whose name a call is to be made.
    #[error("the session with the organisation is another person's")]
    OtherPerson,
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// The documents cannot be stored.
    #[error("the organisation's policy cannot be stored: {0}")]
    Disk(#[from] io::Error),
    /// The operating system has no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl OrgFault {
    /// Whether the server has ended the session, so that another must be opened.
    pub fn ends_session(&self) -> bool {
        matches!(self, Self::Refused { advice, .. } if advice.code == "session-ended")
    }

    /// Whether nobody can work here any more until somebody has signed in anew: the sign-in was ended, does not prove that
    /// it is this device's, or the device was revoked or suspended.
    pub fn ends_sign_in(&self) -> bool {
        let ending = [SIGN_IN_ENDED, ID_TOKEN_NOT_BOUND, DEVICE_REVOKED, DEVICE_SUSPENDED];
        matches!(self, Self::Refused { advice, .. } if ending.contains(&advice.code.as_str()))
    }

    /// Whether somebody has decided so; else it was only that the server cannot do it just now.
    pub(crate) fn is_decision(&self) -> bool {
        match self {
            Self::Refused { status, advice } => {
                advice.code == POLICY_EXPIRED || (*status < 500 && *status != TOO_MANY_REQUESTS)
            }
            Self::Lease(_) => true,
            Self::Insecure(_)
            | Self::NotReached(_)
            | Self::Certificate(_)
            | Self::Unreachable(_)
            | Self::Unusable(_)
            | Self::Document(_)
            | Self::Superseded
            | Self::NoSession
            | Self::OtherPerson
            | Self::Vault(_)
            | Self::Disk(_)
            | Self::Random(_) => false,
        }
    }

    /// Whether the server has certainly done nothing.
    pub fn before_effect(&self) -> bool {
        match self {
            Self::Insecure(_)
            | Self::NotReached(_)
            | Self::Certificate(_)
            | Self::NoSession
            | Self::OtherPerson
            | Self::Superseded
            | Self::Document(_)
            | Self::Lease(_)
            | Self::Vault(_)
            | Self::Disk(_)
            | Self::Random(_) => true,
            // A gateway fault may come after the effect; everything below was refused before it.
            Self::Refused { status, .. } => *status < 500,
            Self::Unreachable(_) | Self::Unusable(_) => false,
        }
    }
}

impl ForPerson for OrgFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Insecure(url) => Advice::new(
                "config-url-insecure",
                format!("The organisation's address {url} is not protected."),
                "Deskgate does not talk to it.",
                "Ask your IT department for an address that begins with https.",
            ),
            Self::NotReached(_) | Self::Unreachable(_) => Advice::new(
                "org-unreachable",
                "The organisation's server does not answer.",
                "The last policy stays in force; shared accounts cannot be used meanwhile.",
                "Check the network connection.",
            ),
            Self::Certificate(why) => disbelieved(*why),
            Self::Refused { advice, .. } => advice.clone(),
            Self::Unusable(_) => Advice::new(
                "org-unusable",
                "The organisation's server gave an answer that cannot be used.",
                "Something between this computer and the server may interfere.",
                "Tell your IT department.",
            ),
            Self::Document(refusal) => refusal.advice(),
            Self::Lease(_) => Advice::new(
                "lease-unusable",
                "What the organisation lent to this computer cannot be used.",
                "It is not from its server, or it is for somebody else.",
                "Check this computer's clock; if it is right, tell your IT department.",
            ),
            Self::Superseded => Advice::new(
                "org-superseded",
                "The organisation has published a newer policy meanwhile.",
                "It is fetched instead.",
                "",
            ),
            Self::NoSession => Advice::new(
                "org-no-session",
                "You are not signed in to your organisation.",
                "Shared accounts cannot be used.",
                "Sign in.",
            ),
            Self::OtherPerson => Advice::new(
                "org-other-person",
                "Somebody else is signed in to your organisation by now.",
                "The call was not made.",
                "Connect the assistant again as the person who is signed in.",
            ),
            Self::Vault(fault) => fault.advice(),
            Self::Disk(fault) => Advice::new(
                "org-disk",
                format!("The organisation's policy could not be stored: {fault}."),
                "The last policy stays in force.",
                "Check the free space and the permissions of Deskgate's data directory.",
            ),
            Self::Random(_) => Advice::new(
                "no-random",
                "The operating system gives no random numbers.",
                "Nothing can be proved to the organisation.",
                "Restart the computer.",
            ),
        }
    }
}

/// The words for a certificate that is not believed.
fn disbelieved(why: Disbelief) -> Advice {
    const CLOCK: &str = "Check this computer's clock; if it is right, tell your IT department.";
    let (happened, what_to_do) = match why {
        Disbelief::Expired => ("The certificate of the organisation's server has expired.", CLOCK),
        Disbelief::NotYetValid => ("The certificate of the organisation's server is not valid yet.", CLOCK),
        Disbelief::OtherName => (
            "Whoever answers in the place of the organisation's server shows a certificate for another name.",
            "Check whether this network wants you to sign in first; if not, tell your IT department.",
        ),
        Disbelief::Untrusted => (
            "This computer does not trust the certificate of the organisation's server.",
            "Check whether this network wants you to sign in first; if not, tell your IT department.",
        ),
    };
    let means =
        "Nothing is said to it. The last policy stays in force; shared accounts cannot be used meanwhile.";
    Advice::new("org-certificate", happened, means, what_to_do)
}

impl From<reqwest::Error> for OrgFault {
    fn from(fault: reqwest::Error) -> Self {
        let fault = fault.without_url();
        if let Some(why) = Disbelief::among(&fault) {
            return Self::Certificate(why);
        }
        let text = model::with_causes(&fault);
        if fault.is_connect() { Self::NotReached(text) } else { Self::Unreachable(text) }
    }
}
