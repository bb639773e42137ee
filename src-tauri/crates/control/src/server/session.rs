//! `POST /v1/session`: a person's session on an enrolled device. `DELETE /v1/session`: its end.

use std::sync::Arc;
use std::time::Duration;

use ::audit::{AuditEvent, EventRecord};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use model::{Digest, Subject};
use org_protocol::{SESSION_FORMAT, SessionAnswer, SessionRequest};

use super::caller::session_token;
use super::enrol::{bounded, check_format, parsed, refuse_ended, suspended, unknown};
use super::{Fault, Plane, Shared};
use crate::device_secret;
use crate::identity::IdentityFault;
use crate::secret::new_secret;
use crate::store::{Device, Holder, NewSession, Shown};

/// How long a session lasts. It is renewed with a fresh ID token, which a provider does not give to somebody who left.
const SESSION_LIFE: Duration = Duration::from_secs(3600);
/// What session tokens begin with, so that they are recognised where they should not be.
const TOKEN_PREFIX: &str = "dgs_";

pub(super) async fn open(
    State(plane): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<SessionAnswer>, Fault> {
    let request: SessionRequest = parsed(&body)?;
    check_format(request.format)?;
    let before = session_token(&headers);
    let proof = plane.proof(&method, uri.path(), &headers, before).await?;
    let device = plane.store.device_of_key(&proof.thumbprint).await?.ok_or_else(unknown)?;
    refuse_ended(&device)?;
    let SessionRequest { id_token, nonce_seed, access_token, .. } = &request;
    let access = access_token.as_deref();
    let verified = plane.verified(id_token, access, &nonce_seed.nonce(&proof.thumbprint)).await?;
    let now = plane.clock.now();
    let held = match before {
        Some(token) => plane.store.session(Digest::of(token.as_bytes()), now).await?,
        None => None,
    };
    let held = held.filter(|held| held.device == device.id && held.subject.is_same_person(&verified.subject));
    let renews = held.is_some();
    if !verified.bound && !renews {
        return Err(IdentityFault::NoNonce.into());
    }
    let verified = plane.with_groups(verified, access).await?;

    let token = new_secret(TOKEN_PREFIX)?;
    let expires = now.plus(SESSION_LIFE);
    let sign_in = match &held {
        Some(held) => verified.sign_in.continuing(&held.sign_in),
        None => verified.sign_in,
    };
    let session = NewSession {
        token: Digest::of(token.as_bytes()),
        device: device.id,
        subject: &verified.subject,
        sign_in: &sign_in,
        now,
        expires,
    };
    // Whoever hangs up meanwhile keeps nothing from being recorded.
    let (following, of, shown, by) =
        (Arc::clone(&plane), device.clone(), request.secret.clone(), verified.subject.clone());
    let followed = tokio::spawn(async move { following.follow(&of, shown.as_deref(), &by).await }).await;
    let next_secret = followed.map_err(|_| Fault::internal())??;
    if !plane.store.open_session(&session).await? {
        return Err(IdentityFault::Ended.into());
    }
    if let Some(description) = &request.device {
        plane.store.describe_device(&device, &bounded(description)).await?;
    }
    if !renews {
        let event = EventRecord::new(AuditEvent::SignedIn)
            .of(verified.subject.clone())
            .with("device", device.id.to_string());
        plane.journal.event(event).await?;
    }
    let subject = verified.subject;
    Ok(Json(SessionAnswer {
        format: SESSION_FORMAT,
        token,
        expires,
        device: device.id,
        subject,
        next_secret: Some(next_secret),
    }))
}

impl Plane {
    /// Follows a device's secret, and gives the next. Where two hold its key, both are stopped and it is recorded.
    async fn follow(&self, device: &Device, shown: Option<&str>, subject: &Subject) -> Result<String, Fault> {
        let (key, id) = (self.credentials.master(), device.id);
        let shown = shown.map(|secret| Shown {
            digest: Digest::of(secret.as_bytes()),
            place: device_secret::place(key, id, secret),
        });
        let next = |place| device_secret::secret(key, id, place);
        match self.store.follow_device(id, shown, next, self.clock.now()).await? {
            Holder::Alone(next) => Ok(next),
            Holder::OneOfTwo => {
                self.review.ask();
                let event = EventRecord::new(AuditEvent::DeviceSuspended).of(subject.clone());
                let event = event.with("device", device.id.to_string()).with("name", device.name.clone());
                self.journal.event(event.with("why", "two hold its key")).await?;
                Err(suspended())
            }
        }
    }
}

/// The person signs out: the sign-in opens no session any more, on this device or with this ID token.
pub(super) async fn close(
    State(plane): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<StatusCode, Fault> {
    let caller = plane.caller(&method, uri.path(), &headers).await?;
    plane.store.sign_out(caller.session, plane.clock.now()).await?;
    plane.review.ask();
    let event = EventRecord::new(AuditEvent::SignedOut).of(caller.subject);
    plane.journal.event(event.with("device", caller.device.to_string())).await?;
    Ok(StatusCode::NO_CONTENT)
}
