//! Why there is no token, and what a person can do about it.

use model::{Advice, ForPerson, PersonFault};

/// A sign-in, or the lack of one, at a named place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {kind}")]
pub struct SignInFault {
    /// The place as people know it: the connector's title or the organisation's name.
    pub at: String,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong. The texts inside are for the log; they hold no token, code or secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// Nobody is signed in, and this call was not allowed to ask.
    #[error("nobody is signed in")]
    SignInNeeded,
    /// The provider ended the grant (RFC 6749, section 5.2: `invalid_grant`, or the client is no longer known).
    #[error("the provider ended the grant: {0}")]
    Ended(String),
    /// The person closed the window or cancelled.
    #[error("the person cancelled the sign-in")]
    Cancelled,
    /// The person did not answer in time.
    #[error("the sign-in was not completed in time")]
    Deadline,
    /// There is nobody to ask.
    #[error("there is nobody to ask: {0}")]
    Nobody(String),
    /// Every port at which the sign-in may come back is taken by other programs, or by another sign-in that is open.
    #[error("the redirect ports are taken: {0:?}")]
    PortsTaken(Vec<u16>),
    /// The authorization server said no (RFC 6749, section 4.1.2.1); its error code.
    #[error("the authorization server refused: {0}")]
    Refused(String),
    /// The connector wants more scopes than were asked for by whoever decides, or the same again although it got them; which.
    #[error("it wants the scopes {0}")]
    Scopes(String),
    /// The person signed in and did not allow what the connector wants.
    #[error("the person did not allow what it wants")]
    NotAllowedByPerson,
    /// The server cannot be reached, or answers that it is out of order.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server does not offer what a safe sign-in needs: metadata, PKCE with S256, a way to be a client.
    #[error("the server does not offer it: {0}")]
    NotOffered(String),
    /// The organisation does not let people sign in by a code.
    #[error("signing in by a code is not allowed")]
    CodesForbidden,
    /// The provider leaves out of a sign-in by code what binds it to this device (`nonce`).
    #[error("a sign-in by code carries no nonce there")]
    CodesUnbound,
    /// An address that is not allowed: plain http beyond loopback, or a place inside the network that nobody named.
    #[error("an address is not allowed: {0}")]
    NotAllowed(String),
    /// An answer that does not belong to the question: state, issuer, nonce, signature, audience.
    #[error("the answer does not fit the question: {0}")]
    Mismatch(String),
    /// An answer that cannot be read.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// The token cannot be kept safely, so it is not used.
    #[error("the vault refused: {}", .0.happened)]
    Vault(Advice),
    /// The program is ending.
    #[error("the program is ending")]
    Closing,
    /// A fault of our own.
    #[error("internal: {0}")]
    Internal(String),
}

impl FaultKind {
    /// Puts the place beside it.
    pub fn at(self, place: impl Into<String>) -> SignInFault {
        SignInFault { at: place.into(), kind: self }
    }

    /// Whether signing in (again) is what helps.
    pub fn wants_sign_in(&self) -> bool {
        match self {
            Self::SignInNeeded
            | Self::Ended(_)
            | Self::Cancelled
            | Self::Deadline
            | Self::Refused(_)
            | Self::NotAllowedByPerson => true,
            Self::Nobody(_)
            | Self::PortsTaken(_)
            | Self::Scopes(_)
            | Self::Unreachable(_)
            | Self::NotOffered(_)
            | Self::CodesForbidden
            | Self::CodesUnbound
            | Self::NotAllowed(_)
            | Self::Mismatch(_)
            | Self::Unreadable(_)
            | Self::Vault(_)
            | Self::Closing
            | Self::Internal(_) => false,
        }
    }
}

impl From<PersonFault> for FaultKind {
    fn from(fault: PersonFault) -> Self {
        match fault {
            PersonFault::Deadline => Self::Deadline,
            PersonFault::Cancelled => Self::Cancelled,
            PersonFault::PortTaken => Self::Internal("the redirect port was taken".to_owned()),
            PersonFault::Nobody(why) => Self::Nobody(why),
        }
    }
}

impl ForPerson for SignInFault {
    fn advice(&self) -> Advice {
        let at = &self.at;
        match &self.kind {
            FaultKind::SignInNeeded => Advice::new(
                "sign-in-needed",
                format!("You are not signed in to {at}."),
                "Nothing there can be used until you are.",
                "Sign in from the Deskgate menu, or with `deskgate sign-in`.",
            ),
            FaultKind::Ended(_) => Advice::new(
                "sign-in-ended",
                format!("{at} ended your sign-in."),
                "That is normal after a long absence, a password change, or when access was taken away.",
                "Sign in again. If that is refused, ask your IT.",
            ),
            FaultKind::Cancelled => Advice::new(
                "sign-in-cancelled",
                format!("The sign-in to {at} was cancelled."),
                "What needed it was not done.",
                "Try again, or sign in from the Deskgate menu.",
            ),
            FaultKind::Deadline => Advice::new(
                "sign-in-timed-out",
                format!("The sign-in to {at} was not completed in time."),
                "What needed it was not done.",
                "Try again and finish the sign-in in the window that opens.",
            ),
            FaultKind::Nobody(why) => Advice::new(
                "sign-in-nobody",
                format!("Nobody can be asked to sign in to {at}: {why}."),
                "",
                "Run `deskgate sign-in` in a session with a display.",
            ),
            FaultKind::PortsTaken(ports) => ports_taken(at, ports),
            FaultKind::Refused(code) => Advice::new(
                "sign-in-refused",
                format!("{at} refused the sign-in ({code})."),
                "",
                "If you did not refuse it yourself, ask your IT whether you may use it.",
            ),
            FaultKind::Scopes(scopes) => scopes_refused(at, scopes),
            FaultKind::NotAllowedByPerson => not_all_allowed(at),
            FaultKind::Unreachable(_) => Advice::new(
                "sign-in-unreachable",
                format!("The sign-in service of {at} cannot be reached."),
                "Whoever is signed in stays so; nothing was lost.",
                "Check the network and try again in a moment.",
            ),
            FaultKind::NotOffered(what) => Advice::new(
                "sign-in-not-offered",
                format!("{at} does not offer a sign-in that Deskgate can use: {what}."),
                "",
                "Tell your IT; a client id registered beforehand may be missing.",
            ),
            FaultKind::CodesForbidden => codes_forbidden(at),
            FaultKind::CodesUnbound => codes_unbound(at),
            FaultKind::NotAllowed(what) => Advice::new(
                "sign-in-not-allowed",
                format!("The sign-in to {at} leads to an address that is not allowed: {what}."),
                "It was stopped before anything was sent there.",
                "Tell your IT.",
            ),
            FaultKind::Mismatch(_) => mismatch(at),
            FaultKind::Unreadable(_) => Advice::new(
                "sign-in-unreadable",
                format!("{at} answered the sign-in in a way that cannot be understood."),
                "",
                "Try again. If it happens twice, tell your IT.",
            ),
            FaultKind::Vault(advice) => advice.clone(),
            FaultKind::Closing => Advice::new("closing", "Deskgate is ending.", "", "Start it again."),
            FaultKind::Internal(_) => Advice::new(
                "sign-in-internal",
                format!("The sign-in to {at} failed within Deskgate."),
                "",
                "Try again. The log has the details.",
            ),
        }
    }
}

fn ports_taken(at: &str, ports: &[u16]) -> Advice {
    let named: Vec<_> = ports.iter().map(u16::to_string).collect();
    let (port, it, is) =
        if ports.len() == 1 { ("port", "this port", "it is") } else { ("ports", "these ports", "they are") };
    Advice::new(
        "sign-in-port-taken",
        format!(
            "Another program uses the {port} {}, to which the sign-in to {at} comes back.",
            named.join(", ")
        ),
        format!(
            "{at} takes no other than {it}, so nothing was shown. It may also be another sign-in that is still open: {is} free when that ends."
        ),
        "Close the other sign-in or program, then try again. If you do not know which it is, ask your IT.",
    )
}

fn mismatch(at: &str) -> Advice {
    Advice::new(
        "sign-in-mismatch",
        format!("The answer to the sign-in to {at} is not the one that was asked for."),
        "It was refused; somebody may have tried to interfere. A wrong clock on this computer has the same effect.",
        "Check the date and time and sign in again. If it happens twice, tell your IT.",
    )
}

fn codes_forbidden(at: &str) -> Advice {
    Advice::new(
        "sign-in-code-forbidden",
        format!("{at} does not let people sign in with a code."),
        "Others could have you type a code of theirs, so your IT has to allow it first.",
        "Sign in on a computer with a browser: deskgate sign-in. If you need it here, ask your IT.",
    )
}

fn codes_unbound(at: &str) -> Advice {
    Advice::new(
        "sign-in-code-unbound",
        format!("Where you sign in to {at}, a sign-in with a code cannot be tied to this computer."),
        "The service leaves out what your organisation's server needs for that, so nobody was signed in.",
        "Sign in on a computer with a browser. Tell your IT: the ID token of a device code has no nonce there.",
    )
}

fn scopes_refused(at: &str, scopes: &str) -> Advice {
    Advice::new(
        "sign-in-scopes",
        format!("{at} wants more than your account there was allowed: {scopes}."),
        "Signing in again does not help: it was asked for already, or goes beyond what is set for this connector.",
        "Ask your IT whether you may do this.",
    )
}

fn not_all_allowed(at: &str) -> Advice {
    Advice::new(
        "sign-in-not-all",
        format!("You signed in to {at}, and did not allow all that this needs."),
        "What needed it was not done.",
        "Try again and allow it, or leave it at that.",
    )
}
