//! `POST /v1/audit`: a device's records are stored, and the receipt says so.

use std::sync::Arc;

use ::audit::{AuditEvent, EventRecord};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use model::Advice;
use org_protocol::{
    BATCH_CODING, BatchFault, ChainFault, Delivered, Head, RECEIPT_FORMAT, Receipt, RecordBody, Resumed,
    SignedReceipt, UploadRefused, read_batch, unpack_batch, verify_receipt,
};

use super::caller::Caller;
use super::{Fault, Plane, Shared};
use crate::store::Appended;

pub(super) async fn upload(
    State(plane): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    let caller = plane.caller(&method, uri.path(), &headers).await?;
    let live = plane.publication.live().ok_or_else(Fault::unpublished)?;
    let org = live.content().org.id.clone();
    let unreadable = |fault: BatchFault| Fault::bad_request(&fault.to_string());
    let lines = match coding(&headers)? {
        Coding::None => read_batch(&body),
        Coding::Zstd => unpack_batch(&body).and_then(|body| read_batch(&body)),
    };
    let lines = lines.map_err(unreadable)?;
    check_owner(&plane, &lines, &caller, &org)?;
    tell_missing(&plane, &lines, &caller).await?;
    let now = plane.clock.now();
    match plane.store.append(caller.device, &lines, now).await? {
        Appended::Stored(head) => receipt(&plane, org, &caller, head),
        Appended::Refused { fault, stored } => {
            tracing::warn!(device = %caller.device, %fault, "records do not continue what is stored");
            let refused = UploadRefused { error: advice(&fault), stored };
            Ok((StatusCode::CONFLICT, Json(refused)).into_response())
        }
    }
}

/// How a body is coded.
enum Coding {
    None,
    Zstd,
}

fn coding(headers: &HeaderMap) -> Result<Coding, Fault> {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(Coding::None),
        Some(coding) if coding == BATCH_CODING.as_bytes() => Ok(Coding::Zstd),
        Some(_) => Err(Fault::bad_request(&format!("a batch is coded as {BATCH_CODING} or not at all"))),
    }
}

/// A device speaks for itself only, and for this organisation only: what it recorded in personal mode stays with it.
fn check_owner(plane: &Plane, lines: &[Delivered], caller: &Caller, org: &str) -> Result<(), Fault> {
    for line in lines {
        let device = match line {
            Delivered::Record(record) => {
                if let RecordBody::Epoch(epoch) = record.body()
                    && epoch.org.as_deref() != Some(org)
                {
                    return Err(foreign("The records are not of this organisation."));
                }
                record.link().device
            }
            Delivered::SetAside(aside) => {
                tracing::error!(device = %caller.device, epoch = aside.epoch, seq = aside.seq, reason = aside.reason, "a record is not delivered, because it was refused");
                aside.device
            }
            Delivered::Resumed(resumed) => {
                if !was_signed_for(plane, resumed, caller, org) {
                    return Err(foreign("The receipt for earlier records is not this server's."));
                }
                tracing::error!(device = %caller.device, epoch = resumed.end.epoch, seq = resumed.end.seq, "records that were signed for are not here any more, and not on their device either");
                caller.device
            }
        };
        if device != caller.device {
            return Err(foreign("The records are of another device."));
        }
    }
    Ok(())
}

/// Puts on record that personal data were gone before records came here for the first time. A device erases only what was signed for, so
/// somebody else took them out, or this server was restored. Before the records are stored: afterwards they are known, and nobody looks.
async fn tell_missing(plane: &Plane, lines: &[Delivered], caller: &Caller) -> Result<(), Fault> {
    let incomplete: Vec<_> = lines
        .iter()
        .filter_map(|line| if let Delivered::Record(record) = line { Some(record.link()) } else { None })
        .filter(|link| link.erased > 0)
        .collect();
    if incomplete.is_empty() {
        return Ok(());
    }
    let stored = plane.store.head(caller.device).await?.map(|head| (head.epoch, head.seq));
    let new: Vec<_> =
        incomplete.into_iter().filter(|link| stored.is_none_or(|end| (link.epoch, link.seq) > end)).collect();
    let Some(first) = new.first() else { return Ok(()) };
    let (epoch, seq) = (first.epoch, first.seq);
    tracing::error!(device = %caller.device, epoch, seq, records = new.len(), "personal data were missing on arrival");
    let event = EventRecord::new(AuditEvent::PersonalDataErased)
        .with("state", "missing-on-arrival")
        .with("device", caller.device.to_string())
        .with("epoch", epoch.to_string())
        .with("seq", seq.to_string())
        .with("records", new.len().to_string())
        .with("fields", new.iter().map(|link| link.erased).sum::<u64>().to_string());
    plane.journal.event(event).await?;
    Ok(())
}

/// Whether this server said once that it has the records up to there.
fn was_signed_for(plane: &Plane, resumed: &Resumed, caller: &Caller, org: &str) -> bool {
    let Ok(receipt) = verify_receipt(&resumed.receipt, [&plane.receipt_key.public()]) else { return false };
    (receipt.device, receipt.org.as_str(), receipt.epoch) == (caller.device, org, resumed.end.epoch)
        && receipt.seq >= resumed.end.seq
}

fn foreign(happened: &str) -> Fault {
    Fault::new(StatusCode::FORBIDDEN, Advice::new("audit-foreign", happened, "They were not stored.", ""))
}

fn receipt(plane: &Arc<Plane>, org: String, caller: &Caller, head: Head) -> Result<Response, Fault> {
    let receipt = Receipt {
        format: RECEIPT_FORMAT,
        org,
        device: caller.device,
        epoch: head.epoch,
        seq: head.seq,
        head: head.digest,
        stored_at: plane.clock.now(),
    };
    let signed = SignedReceipt::sign(&receipt, &plane.receipt_key)
        .map_err(|fault| Fault::bad_request(&fault.to_string()))?;
    Ok(Json(signed).into_response())
}

fn advice(fault: &ChainFault) -> Advice {
    let (code, happened) = match fault {
        ChainFault::Known { .. } | ChainFault::Fork { .. } => (
            "audit-fork",
            "The audit records of this device are not the continuation of those that the organisation has.",
        ),
        ChainFault::Gap { .. } => ("audit-gap", "Audit records before these have not arrived yet."),
    };
    Advice::new(code, happened, "They were not stored.", "Tell your IT department if this does not pass.")
}
