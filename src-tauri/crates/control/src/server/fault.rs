//! How the server says that it will not: a status, a stable code and words for a person. What happened inside goes to
//! the log.

use std::time::Duration;

use ::audit::JournalFault;
use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use model::{Advice, ForPerson};
use org_protocol::ErrorBody;

use crate::identity::IdentityFault;
use crate::store::StoreFault;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    status: StatusCode,
    advice: Advice,
    challenge: Option<&'static str>,
    /// After how many seconds it is worth another try.
    after: Option<u16>,
}

impl Fault {
    /// With a status and words.
    pub(crate) fn new(status: StatusCode, advice: Advice) -> Self {
        Self { status, advice, challenge: None, after: None }
    }

    /// The request is not understood.
    pub(crate) fn bad_request(what: &str) -> Self {
        let advice = Advice::new("bad-request", format!("The request is not understood: {what}."), "", "");
        Self::new(StatusCode::BAD_REQUEST, advice)
    }

    /// There is nothing at this address.
    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Advice::new("not-found", "There is nothing at this address.", "", ""),
        )
    }

    /// Nothing was published yet.
    pub(crate) fn unpublished() -> Self {
        let advice = Advice::new(
            "not-published",
            "The organisation has not published its policy yet.",
            "Nobody can sign in or make calls.",
            "Try again later.",
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, advice)
    }

    /// The proof of possession or the token is not good (RFC 9449, section 7.1).
    pub(crate) fn unauthorized(code: &str, happened: &str, challenge: &'static str) -> Self {
        let advice = Advice::new(code, happened, "", "Deskgate signs in again by itself.");
        Self::challenging(StatusCode::UNAUTHORIZED, advice, challenge)
    }

    /// With a status, words, and what is asked for (RFC 9110, section 11.6.1).
    pub(crate) fn challenging(status: StatusCode, advice: Advice, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..Self::new(status, advice) }
    }

    /// The same, with when to come again.
    #[must_use]
    pub(crate) fn after(self, wait: Duration) -> Self {
        let seconds = u16::try_from(wait.as_secs()).unwrap_or(u16::MAX).saturating_add(1);
        Self { after: Some(seconds), ..self }
    }

    /// The same as the end of a stream that had begun with success.
    pub(crate) fn told(&self) -> String {
        let body = ErrorBody { error: self.advice.clone() };
        serde_json::json!({ "status": self.status.as_u16(), "body": body }).to_string()
    }

    pub(crate) fn internal() -> Self {
        let advice = Advice::new(
            "server-fault",
            "The organisation's server failed.",
            "What you asked for was not done.",
            "Try again later.",
        );
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, advice)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        tracing::info!(status = self.status.as_u16(), code = self.advice.code, "refused");
        let mut response = (self.status, Json(ErrorBody { error: self.advice })).into_response();
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// How soon it is worth another try where the database is away.
const OUTAGE: Duration = Duration::from_secs(4);

impl From<StoreFault> for Fault {
    fn from(fault: StoreFault) -> Self {
        tracing::error!(%fault, "the database failed");
        let answer = Self::new(store_status(&fault), fault.advice());
        if fault.is_outage() { answer.after(OUTAGE) } else { answer }
    }
}

/// A database that is away for now is nobody's mistake.
pub(crate) fn store_status(fault: &StoreFault) -> StatusCode {
    if fault.is_outage() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR }
}

impl From<JournalFault> for Fault {
    fn from(fault: JournalFault) -> Self {
        tracing::error!(%fault, "the journal failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, fault.advice())
    }
}

impl From<IdentityFault> for Fault {
    fn from(fault: IdentityFault) -> Self {
        tracing::info!(%fault, "an ID token was not accepted");
        let status = match &fault {
            IdentityFault::Insecure(_)
            | IdentityFault::Unreachable { .. }
            | IdentityFault::GroupsUnknown(_) => StatusCode::SERVICE_UNAVAILABLE,
            IdentityFault::Refused(_)
            | IdentityFault::NotBound
            | IdentityFault::NoNonce
            | IdentityFault::Ended => StatusCode::FORBIDDEN,
        };
        Self::new(status, fault.advice())
    }
}

impl From<getrandom::Error> for Fault {
    fn from(fault: getrandom::Error) -> Self {
        tracing::error!(%fault, "the operating system gives no random numbers");
        Self::internal()
    }
}
