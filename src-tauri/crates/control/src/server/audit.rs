//! `POST /v1/audit`: a device's records are stored, and the receipt says so.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use model::Advice;
use org_protocol::{
    AuditRecord, ChainFault, Head, RECEIPT_FORMAT, Receipt, RecordBody, SignedReceipt, UploadRefused,
    read_batch,
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
    let records = read_batch(&body).map_err(|fault| Fault::bad_request(&fault.to_string()))?;
    check_owner(&records, &caller, &org)?;
    let now = plane.clock.now();
    match plane.store.append_records(caller.device, &records, now).await? {
        Appended::Stored(head) => receipt(&plane, org, &caller, head),
        Appended::Refused { fault, stored } => {
            tracing::warn!(device = %caller.device, %fault, "records do not continue what is stored");
            let refused = UploadRefused { error: advice(&fault), stored };
            Ok((StatusCode::CONFLICT, Json(refused)).into_response())
        }
    }
}

/// A device speaks for itself only, and for this organisation only: what it recorded in personal mode stays with it.
fn check_owner(records: &[AuditRecord], caller: &Caller, org: &str) -> Result<(), Fault> {
    for record in records {
        if record.link().device != caller.device {
            return Err(foreign("The records are of another device."));
        }
        if let RecordBody::Epoch(epoch) = record.body()
            && epoch.org.as_deref() != Some(org)
        {
            return Err(foreign("The records are not of this organisation."));
        }
    }
    Ok(())
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
