//! The seam to a person. Gateway, issuer and connector sometimes need one; nothing below the controller opens a window.

use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{AccountId, CallId, ConnectorId, ServerId, Subject, ToolName};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Somebody who can be asked. Each question is answered once or runs into its deadline; a deadline is a refusal.
///
/// The composition root hands the implementation in. There is none that answers by itself.
pub trait Person: Send + Sync {
    /// Asks the person to sign in at `request.authorize_url`; the answer is the redirect's parameters.
    ///
    /// The implementation listens at the redirect URI's port before it shows anything, so that no other program can
    /// be there first: [`PersonFault::PortTaken`] if it cannot. Dropping the future withdraws the question.
    fn sign_in(&self, request: SignInRequest) -> BoxFuture<'_, Result<SignInOutcome, PersonFault>>;

    /// Whether a page can be opened here, in a window or a browser. Where it cannot, a sign-in that has another way takes that.
    fn opens_pages(&self) -> bool {
        true
    }

    /// Shows the person where to type a code on another device (RFC 8628, section 3.3), until the future is dropped: nothing
    /// comes back this way. It ends by itself only if the person gives it up or the deadline is over.
    fn show_code(&self, request: CodeRequest) -> BoxFuture<'_, PersonFault> {
        let _ = request;
        Box::pin(std::future::ready(PersonFault::Nobody("codes cannot be shown here".to_owned())))
    }

    /// Asks whether an assistant may use a virtual server.
    fn consent(&self, request: ConsentRequest) -> BoxFuture<'_, Result<Consent, PersonFault>>;

    /// Asks whether one call may be made.
    fn approve(&self, request: ApprovalRequest) -> BoxFuture<'_, Result<Approval, PersonFault>>;
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonFault {
    /// Nobody answered in time.
    #[error("nobody answered within the deadline")]
    Deadline,
    /// The person closed the window or cancelled.
    #[error("the person cancelled")]
    Cancelled,
    /// Another program took the redirect URI's port before the listener was bound: the attempt ends before anything
    /// is shown, and the caller tries again with a fresh port.
    #[error("the redirect port was taken by another program")]
    PortTaken,
    /// There is nobody to ask: no display, or managed settings forbid asking here.
    #[error("there is nobody to ask: {0}")]
    Nobody(String),
}

/// Why a sign-in is needed; decides the words that the person reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum SignInPurpose {
    /// The organisation's identity provider.
    Organisation {
        /// The organisation's name.
        name: String,
    },
    /// Signing out at the organisation's identity provider, where the person signed in.
    SignOut {
        /// The organisation's name.
        name: String,
    },
    /// The person's own account at a connector.
    Connector {
        /// The account.
        account: AccountId,
        /// The connector's title, with the account where it is named.
        title: String,
    },
}

/// One attempt to sign in: an authorization request (RFC 6749, section 4.1.1) that waits for its redirect. Or to sign out,
/// which goes the same way (OpenID Connect RP-Initiated Logout 1.0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInRequest {
    /// Why.
    pub purpose: SignInPurpose,
    /// Where the person authenticates. Always `https`, or `http` on loopback.
    pub authorize_url: Url,
    /// Where the page is opened, if not there: an address at the redirect URI's port that leads to `authorize_url` once. What
    /// that one carries is then seen by nobody who can list processes.
    pub entrance: Option<Url>,
    /// The loopback redirect URI of this attempt; its port is fresh and names the attempt (RFC 8252, section 7.3).
    pub redirect_uri: Url,
    /// How long to wait.
    pub deadline: Duration,
}

/// A sign-in on another device, where a code names this computer (RFC 8628).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRequest {
    /// Why.
    pub purpose: SignInPurpose,
    /// Where the person types the code. Always `https`, or `http` on loopback.
    pub verification_uri: Url,
    /// The code.
    pub user_code: UserCode,
    /// How long to wait.
    pub deadline: Duration,
}

/// What a person types on another device. Whoever talks them into typing another's code is signed in as them, and whoever reads
/// this one can have it typed by others: it is shown to the person and written nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    /// The longest that is taken, in characters. People type it.
    const LONGEST: usize = 64;

    /// Takes a code that can be typed: printable ASCII, at least one character, no space at an end.
    pub fn typeable(text: &str) -> Option<Self> {
        let typeable = |c: char| c.is_ascii_graphic() || c == ' ';
        let fits = !text.is_empty() && text.len() <= Self::LONGEST && text.trim() == text;
        (fits && text.chars().all(typeable)).then(|| Self(text.to_owned()))
    }

    /// The code, for the person's eyes only.
    pub fn shown(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for UserCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserCode(..)")
    }
}

/// The redirect's parameters, exactly as they came.
#[derive(Clone, PartialEq, Eq)]
pub struct SignInOutcome {
    /// The whole redirect URL with its query: the caller checks `state` and `iss` before using `code`.
    pub redirected_to: Url,
}

impl std::fmt::Debug for SignInOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignInOutcome(..)")
    }
}

/// The program that owns the listener at an assistant's redirect port, or that started an assistant's bridge. A claimed
/// client name proves nothing; this does.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListeningProcess {
    /// The process id.
    pub pid: u32,
    /// The executable's absolute path.
    pub executable: String,
    /// The operating system's user id of the process.
    pub user_id: u32,
}

/// An assistant asks to use a virtual server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentRequest {
    /// The virtual server.
    pub server: ServerId,
    /// Its title.
    pub server_title: String,
    /// The name that the assistant claims (RFC 7591 `client_name`).
    pub client_name: String,
    /// The assistant's client identifier.
    pub client_id: String,
    /// Where the code will be sent; `None` where the connection itself is let in and there is no code.
    pub redirect_uri: Option<Url>,
    /// The program that is really listening there, or that opened the connection, where it can be told.
    pub process: Option<ListeningProcess>,
    /// The file of the socket that this program opens for assistants which cannot be told; `None` where it asks for itself.
    pub through: Option<String>,
    /// For whom the assistant will act.
    pub subject: Subject,
    /// How long to wait.
    pub deadline: Duration,
}

/// The answer to a [`ConsentRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// The assistant may use the virtual server until revoked.
    Allow,
    /// It may not.
    Deny,
}

/// What a call asks for that a person is asked about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalTarget {
    /// A tool, by the connector's own name.
    Tool(ToolName),
    /// A resource, or a template of resources, by its URI.
    Resource(String),
    /// A prompt, by the connector's own name.
    Prompt(String),
}

impl ApprovalTarget {
    /// Its name, or its URI.
    pub fn name(&self) -> &str {
        match self {
            Self::Tool(name) => name.as_str(),
            Self::Resource(name) | Self::Prompt(name) => name,
        }
    }

    /// What it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tool(_) => "tool",
            Self::Resource(_) => "resource",
            Self::Prompt(_) => "prompt",
        }
    }
}

/// How far a person's leave reaches. The order is from the narrowest.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalScope {
    /// One call.
    Once,
    /// Every call of the same, with any arguments, until the person's session ends.
    Session,
    /// The same until the person takes it back.
    Always,
}

impl ApprovalScope {
    /// The scope, as policies and records have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Session => "session",
            Self::Always => "always",
        }
    }
}

/// A policy asks for a person before one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// The call.
    pub call: CallId,
    /// The virtual server that it came through.
    pub server: ServerId,
    /// The connector that it goes to.
    pub connector: ConnectorId,
    /// What it asks for.
    pub target: ApprovalTarget,
    /// The arguments, as JSON text; `{}` where there are none.
    pub arguments: String,
    /// Those of the last call of the same by the same assistant that was approved, where there was one.
    pub earlier: Option<String>,
    /// The assistant's client identifier.
    pub client_id: String,
    /// The assistant's name, as it claims.
    pub client_name: String,
    /// The program that was let in as this assistant, where it could be told.
    pub program: Option<String>,
    /// For whom the assistant acts.
    pub subject: Subject,
    /// Why a person is asked: the policy's `@reason`.
    pub reason: String,
    /// The most that the person may allow.
    pub most: ApprovalScope,
    /// How long to wait.
    pub deadline: Duration,
}

/// The answer to an [`ApprovalRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// It may be made, and so much more.
    Allow(ApprovalScope),
    /// Not at all.
    Deny,
}
