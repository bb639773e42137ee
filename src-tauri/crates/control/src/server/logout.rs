//! `POST /v1/oidc/backchannel-logout`: the identity provider says that somebody's session there has ended (OpenID Connect
//! Back-Channel Logout 1.0). Whatever it has vouched for before opens no session from then on, on any device.

use ::audit::{AuditEvent, EventRecord};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use org_protocol::CLOCK_SKEW;

use super::{Plane, Shared};
use crate::identity::{LOGOUT_LIFE, LogoutFault, LogoutToken};
use crate::store::{Ending, StoreFault};

/// The largest request, in bytes.
pub(super) const LOGOUT_BODY: usize = 16 * 1024;

/// Why nobody was logged out. Whoever asks is told none of it (section 2.8 knows one refusal): only the log is.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the request is no form with one logout token")]
    Form,
    #[error("nothing is published yet, so no provider is known")]
    Unpublished,
    #[error(transparent)]
    Token(#[from] LogoutFault),
    #[error("the logout token was obeyed before")]
    Replayed,
    #[error(transparent)]
    Store(#[from] StoreFault),
}

pub(super) async fn backchannel(
    State(plane): Shared,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let outcome = match body {
        Ok(body) => plane.log_out(&headers, &body).await,
        Err(_) => Err(Refusal::Form),
    };
    let (status, text) = match outcome {
        Ok(()) => (StatusCode::OK, ""),
        Err(refusal) => {
            tracing::warn!(%refusal, "a logout was not obeyed");
            (StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#)
        }
    };
    (status, [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/json")], text).into_response()
}

impl Plane {
    async fn log_out(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let token = logout_token(headers, body).ok_or(Refusal::Form)?;
        let live = self.publication.live().ok_or(Refusal::Unpublished)?;
        let provider = &live.content().org.identity_provider;
        let now = self.clock.now();
        let token = self.identity.verify_logout(provider, &token, now).await?;
        let until = token.issued.plus(LOGOUT_LIFE).plus(CLOCK_SKEW).plus(CLOCK_SKEW);
        let Some(ending) = ending(&token) else { return Err(LogoutFault::Nobody.into()) };
        let ended = self.store.end_sign_ins_once(token.id, until, &ending, now).await?;
        self.review.ask();
        let ended = ended.ok_or(Refusal::Replayed)?;
        tracing::info!(sessions = ended.len(), "the identity provider ended sign-ins");
        let mut records: Vec<_> = ended
            .into_iter()
            .map(|ended| {
                let record = EventRecord::new(AuditEvent::SessionEnded).of(ended.subject);
                record.with("cause", CAUSE).with("device", ended.device.to_string())
            })
            .collect();
        if records.is_empty() {
            records.push(nobody_there(&token));
        }
        for record in records {
            // They are out all the same: what cannot be recorded is not undone.
            if let Err(fault) = self.journal.event(record).await {
                tracing::error!(%fault, "the end of a sign-in could not be recorded");
            }
        }
        Ok(())
    }
}

const CAUSE: &str = "provider-logout";

/// A logout of somebody who had no session here: what they hold opens none.
fn nobody_there(token: &LogoutToken) -> EventRecord {
    let record = EventRecord::new(AuditEvent::SessionEnded).with("cause", CAUSE);
    let record = record.with("issuer", &token.issuer);
    let facts = [("person", &token.subject), ("session", &token.sid)];
    facts.into_iter().fold(record, |record, (name, value)| match value {
        Some(value) => record.with(name, value),
        None => record,
    })
}

/// A token that names a session means this one (section 2.7); one that names only a person means all of theirs.
fn ending(token: &LogoutToken) -> Option<Ending<'_>> {
    let (issuer, before, subject) = (token.issuer.as_str(), token.issued, token.subject.as_deref());
    match (&token.sid, subject) {
        (Some(sid), subject) => Some(Ending::Session { issuer, sid, subject, before }),
        (None, Some(subject)) => Some(Ending::Person { issuer, subject, before, all: false }),
        (None, None) => None,
    }
}

/// The one `logout_token` of a form; other values are not understood, and of no interest (section 2.5).
fn logout_token(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let mut tokens = url::form_urlencoded::parse(body).filter(|(name, _)| name == "logout_token");
    let (_, token) = tokens.next()?;
    tokens.next().is_none().then(|| token.into_owned())
}
