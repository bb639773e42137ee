//! Diagnostics that a device was asked for: `GET /v1/diagnostics` says whether it was, `POST` below it takes them, `DELETE` there says that
//! the person does not send them. They are sealed as they came; nothing here unpacks them.

use ::audit::{AuditEvent, EventRecord, JournalFault};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use model::{Advice, DeviceId, Digest, Timestamp};
use org_protocol::{
    DIAGNOSTICS_LIMIT, DIAGNOSTICS_NOT_ASKED, DIAGNOSTICS_TOO_LARGE, DiagnosticsAsked, DiagnosticsRequest,
};

use super::caller::Caller;
use super::{Fault, Plane, Shared};
use crate::store::{DiagnosticsState, StoreFault};

/// What is asked of the device.
pub(super) async fn wanted(
    State(plane): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<DiagnosticsAsked>, Fault> {
    let caller = plane.caller(&method, uri.path(), &headers).await?;
    let wanted = plane.store.diagnostics_wanted(caller.device, plane.clock.now()).await?;
    Ok(Json(DiagnosticsAsked::new(wanted)))
}

/// Takes them: once, of the device that was asked, while somebody waits for them. Whoever sends the same again has not heard the answer.
pub(super) async fn take(
    State(plane): Shared,
    Path(id): Path<u64>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    archive: Bytes,
) -> Result<StatusCode, Fault> {
    let caller = plane.caller(&method, uri.path(), &headers).await?;
    if archive.len() > DIAGNOSTICS_LIMIT {
        return Err(too_large());
    }
    if archive.is_empty() {
        return Err(Fault::bad_request("it is empty"));
    }
    let sha256 = Digest::of(&archive);
    if plane.store.has_diagnostics((id, caller.device), sha256).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    waits(&plane, &caller, id).await?;
    let kept =
        plane.credentials.master().seal_diagnostics((id, caller.device), &archive).map_err(|fault| {
            tracing::error!(%fault, "diagnostics cannot be sealed");
            Fault::internal()
        })?;
    let (by, now) = (caller.subject.label(), plane.clock.now());
    if plane.store.diagnostics_sent((id, caller.device), &kept, by, now).await? {
        let event = event(id, caller.device, DiagnosticsState::Sent.as_str())
            .of(caller.subject.clone())
            .with("sha256", sha256.to_string())
            .with("bytes", archive.len().to_string());
        plane.journal.event(event).await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    // The same may have come twice at a time.
    let has = plane.store.has_diagnostics((id, caller.device), sha256).await?;
    if has { Ok(StatusCode::NO_CONTENT) } else { Err(not_asked()) }
}

/// The person does not send them.
pub(super) async fn refuse(
    State(plane): Shared,
    Path(id): Path<u64>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<StatusCode, Fault> {
    let caller = plane.caller(&method, uri.path(), &headers).await?;
    waits(&plane, &caller, id).await?;
    let (by, now) = (caller.subject.label(), plane.clock.now());
    if !plane.store.diagnostics_refused((id, caller.device), by, now).await? {
        return Err(not_asked());
    }
    let event = event(id, caller.device, DiagnosticsState::Refused.as_str()).of(caller.subject.clone());
    plane.journal.event(event).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether this is what the device is asked now. Another device's request is none.
async fn waits(plane: &Plane, caller: &Caller, id: u64) -> Result<(), Fault> {
    let wanted = plane.store.diagnostics_wanted(caller.device, plane.clock.now()).await?;
    if wanted.is_some_and(|DiagnosticsRequest { id: wanted, .. }| wanted == id) {
        Ok(())
    } else {
        Err(not_asked())
    }
}

fn event(id: u64, device: DeviceId, state: &str) -> EventRecord {
    EventRecord::new(AuditEvent::Diagnostics)
        .with("request", id.to_string())
        .with("device", device.to_string())
        .with("state", state)
}

fn not_asked() -> Fault {
    let advice = Advice::new(
        DIAGNOSTICS_NOT_ASKED,
        "Your IT department does not wait for these diagnostics any more.",
        "They were answered already, or the request was withdrawn or is over.",
        "",
    );
    Fault::new(StatusCode::CONFLICT, advice)
}

fn too_large() -> Fault {
    let advice = Advice::new(
        DIAGNOSTICS_TOO_LARGE,
        "The diagnostics are larger than your organisation's server takes.",
        "Nothing of them was kept.",
        "Write them to a file with: deskgate diagnostics. Then give that to your IT department.",
    );
    Fault::new(StatusCode::PAYLOAD_TOO_LARGE, advice)
}

impl Plane {
    /// Ends what nobody answered in time, and says so in the record.
    pub(crate) async fn expire_diagnostics<F>(&self) -> Result<(), F>
    where
        F: From<StoreFault> + From<JournalFault>,
    {
        for (id, device) in self.store.expire_diagnostics(self.clock.now()).await? {
            self.journal.event(event(id, device, DiagnosticsState::Expired.as_str())).await?;
        }
        Ok(())
    }

    /// Erases what is over for longer than it is kept, and says so in the record.
    async fn forget_diagnostics(&self) -> Result<(), Fault> {
        let kept = i64::try_from(self.diagnostics_kept.as_secs()).unwrap_or(i64::MAX);
        let before = Timestamp::from_seconds(self.clock.now().seconds().saturating_sub(kept));
        for (id, device) in self.store.forget_diagnostics(before).await? {
            self.journal.event(event(id, device, "erased")).await?;
        }
        Ok(())
    }

    /// Both, now and then.
    pub(crate) async fn clear_diagnostics(&self) {
        let done: [Result<(), Fault>; 2] = [self.expire_diagnostics().await, self.forget_diagnostics().await];
        if done.iter().any(Result::is_err) {
            tracing::error!("requests for diagnostics that are over are not cleared away");
        }
    }
}
