//! What a token stands for, and what a person sees of the assistants.

use std::sync::Arc;

use model::{ListeningProcess, ServerId, Subject, Timestamp};

/// What an access token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessGrant {
    /// The assistant's client id.
    pub client_id: String,
    /// The name that it claims.
    pub client_name: String,
    /// The person who consented, with the groups they have now.
    pub subject: Arc<Subject>,
    /// The one virtual server that the token is good for.
    pub server: ServerId,
    /// When the token ends.
    pub expires: Timestamp,
    /// The executable that received the code, where it could be told.
    pub executable: Option<String>,
    /// The program that makes the request, where it can be told: not part of what was granted, but of who comes with it.
    pub process: Option<ListeningProcess>,
}

impl AccessGrant {
    /// The full path of the program that makes the request, where it can be told.
    pub fn program(&self) -> Option<&str> {
        self.process.as_ref().map(|process| process.executable.as_str())
    }
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// The request has no token.
    #[error("the request has no access token")]
    Missing,
    /// Never issued, revoked, or not of the form of an access token.
    #[error("the access token is not known")]
    Unknown,
    /// Past its end.
    #[error("the access token expired")]
    Expired,
    /// Issued for another virtual server (RFC 8707).
    #[error("the access token is for another resource")]
    Audience,
    /// Another person is signed in than the one who consented.
    #[error("the access token stands for another person than the one signed in")]
    OtherPerson,
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    SignedOut,
    /// The virtual server is not there any more.
    #[error("the virtual server is gone")]
    ServerGone,
}

/// An assistant, for display.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Assistant {
    /// Its client id.
    pub client_id: String,
    /// The name that it claims.
    pub client_name: String,
    /// When it registered; `None` for an assistant that is known by its published metadata document.
    pub registered: Option<Timestamp>,
    /// When it was last seen.
    pub last_used: Option<Timestamp>,
    /// The virtual servers that it may use now.
    pub grants: Vec<AssistantGrant>,
}

/// One virtual server that an assistant may use.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AssistantGrant {
    /// The virtual server.
    pub server: ServerId,
    /// For whom, as shown ([`Subject::label`]).
    pub subject: String,
    /// Since when.
    pub since: Timestamp,
    /// When a token of the grant was last used.
    pub last_used: Timestamp,
    /// Until when, if it is not used any more.
    pub expires: Timestamp,
    /// The executable that received the code, where it could be told.
    pub executable: Option<String>,
}
