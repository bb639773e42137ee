//! `POST /v1/enrol`: a device becomes known, by its key and by the person who signed in on it.

use ::audit::{AuditEvent, EventRecord};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use model::{Advice, Digest};
use org_protocol::{
    DEVICE_REVOKED, DEVICE_SUSPENDED, DeviceDescription, EnrolAnswer, EnrolRequest, SESSION_FORMAT,
};
use serde::de::DeserializeOwned;

use super::{Fault, Plane, Shared};
use crate::identity::{IdentityFault, Verified};
use crate::store::{Device, Enrolment, NewDevice};

/// The most formats that a device says it reads.
const MOST_FORMATS: usize = 64;
/// The longest text by which a device describes itself, in characters.
const DESCRIPTION_LIMIT: usize = 200;

pub(super) async fn enrol(
    State(plane): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<EnrolAnswer>, Fault> {
    let request: EnrolRequest = parsed(&body)?;
    check_format(request.format)?;
    let proof = plane.proof(&method, uri.path(), &headers, None).await?;
    let nonce = request.nonce_seed.nonce(&proof.thumbprint);
    let verified = plane.verified(&request.id_token, None, &nonce).await?;
    if !verified.bound {
        return Err(IdentityFault::NoNonce.into());
    }
    if plane.store.is_sign_in_ended(&verified.subject, &verified.sign_in).await? {
        return Err(IdentityFault::Ended.into());
    }
    let description = bounded(&request.device);
    let device = NewDevice {
        thumbprint: &proof.thumbprint,
        id: request.id,
        description: &description,
        subject: &verified.subject,
        key_protection: request.key_protection,
        token: (plane.requires_token()?, request.enrolment_token.map(|token| Digest::of(token.as_bytes()))),
    };
    let now = plane.clock.now();
    let known = plane.store.device_of_key(&proof.thumbprint).await?;
    let Enrolment::Known(device) = plane.store.enrol(&device, now).await? else {
        let event = EventRecord::new(AuditEvent::EnrolmentRefused).of(verified.subject);
        plane.journal.event(event.with("name", description.name).with("why", "no enrolment token")).await?;
        return Err(no_token());
    };
    refuse_ended(&device)?;
    if known.is_none() {
        let event = EventRecord::new(AuditEvent::Enrolled)
            .of(verified.subject)
            .with("device", device.id.to_string())
            .with("name", device.name)
            .with("platform", device.platform);
        let event = match device.enrolment_token {
            Some(token) => event.with("enrolment_token", token.to_string()),
            None => event,
        };
        plane.journal.event(event).await?;
    }
    Ok(Json(EnrolAnswer { format: SESSION_FORMAT, device: device.id }))
}

impl Plane {
    /// Whether a new device has to show a token.
    fn requires_token(&self) -> Result<bool, Fault> {
        let live = self.publication.live().ok_or_else(Fault::unpublished)?;
        Ok(live.content().org.enrolment.require_token)
    }

    /// The person of an ID token, by the organisation's own provider; `nonce` is what binds their key.
    pub(super) async fn verified(
        &self,
        id_token: &str,
        access: Option<&str>,
        nonce: &str,
    ) -> Result<Verified, Fault> {
        let live = self.publication.live().ok_or_else(Fault::unpublished)?;
        let provider = &live.content().org.identity_provider;
        Ok(self.identity.verify(provider, id_token, access, nonce, self.clock.now()).await?)
    }

    /// The same person with all groups.
    pub(super) async fn with_groups(
        &self,
        verified: Verified,
        access: Option<&str>,
    ) -> Result<Verified, Fault> {
        let live = self.publication.live().ok_or_else(Fault::unpublished)?;
        let provider = &live.content().org.identity_provider;
        Ok(self.identity.with_groups(provider, verified, access).await?)
    }
}

/// Refuses a device that was ended.
pub(super) fn refuse_ended(device: &Device) -> Result<(), Fault> {
    if device.revoked_at.is_some() {
        return Err(revoked());
    }
    if device.suspended_at.is_some() {
        return Err(suspended());
    }
    Ok(())
}

fn no_token() -> Fault {
    let advice = Advice::new(
        "enrolment-token",
        "Your organisation takes in only computers that it has prepared.",
        "This one has not shown that it is: it has no enrolment token, or one that is not good any more.",
        "Ask your IT department.",
    );
    Fault::new(StatusCode::FORBIDDEN, advice)
}

/// What a device is told whose key another holds as well.
pub(super) fn suspended() -> Fault {
    let advice = Advice::new(
        DEVICE_SUSPENDED,
        "Another computer uses what only this one should have.",
        "Your organisation has stopped both: one may be a copy that somebody made of the other.",
        "Tell your IT department at once.",
    );
    Fault::new(StatusCode::FORBIDDEN, advice)
}

fn revoked() -> Fault {
    let advice = Advice::new(
        DEVICE_REVOKED,
        "Your organisation has revoked this device.",
        "It gets no policy, no session and no shared accounts.",
        "Ask your IT department.",
    );
    Fault::new(StatusCode::FORBIDDEN, advice)
}

/// What a device is told that is not enrolled.
pub(super) fn unknown() -> Fault {
    let advice = Advice::new(
        "device-unknown",
        "This device is not enrolled.",
        "",
        "Deskgate enrols it again by itself.",
    );
    Fault::new(StatusCode::FORBIDDEN, advice)
}

pub(super) fn check_format(format: u32) -> Result<(), Fault> {
    if format == SESSION_FORMAT { Ok(()) } else { Err(Fault::bad_request("its format is not known here")) }
}

pub(super) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    // What the parser says could hold a part of the request, which could hold a secret.
    serde_json::from_slice(body).map_err(|_| Fault::bad_request("its body is not what it should be"))
}

pub(super) fn bounded(description: &DeviceDescription) -> DeviceDescription {
    let clean =
        |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(DESCRIPTION_LIMIT).collect() };
    DeviceDescription {
        name: clean(&description.name),
        platform: clean(&description.platform),
        app_version: clean(&description.app_version),
        content_formats: description.content_formats.iter().copied().take(MOST_FORMATS).collect(),
    }
}
