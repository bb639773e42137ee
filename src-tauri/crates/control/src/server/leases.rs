//! `POST /v1/leases`: a shared credential is lent to a device, or goes on being lent.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use model::ForPerson as _;
use org_protocol::{LEASE_FORMAT, LeaseRequest};

use super::enrol::parsed;
use super::fault::store_status;
use super::limits::peer;
use super::{Fault, Shared};
use crate::lending::{Borrower, LendFault};

pub(super) async fn lend(
    State(plane): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    let caller = plane.caller(&method, uri.path(), &headers).await?;
    let asked: LeaseRequest = parsed(&body)?;
    if asked.format != LEASE_FORMAT {
        return Err(Fault::bad_request("its format is not known here"));
    }
    let published = plane.publication.live().ok_or_else(Fault::unpublished)?;
    let by = Borrower {
        subject: &caller.subject,
        device: caller.device,
        key: &caller.key,
        address: peer(&headers),
    };
    let lease = plane.lend(published.of(caller.device), &asked, &by).await?;
    Ok(([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], lease).into_response())
}

impl From<LendFault> for Fault {
    fn from(fault: LendFault) -> Self {
        let status = match &fault {
            LendFault::NotLeased(_) => StatusCode::NOT_FOUND,
            LendFault::Denied => StatusCode::FORBIDDEN,
            LendFault::Gone => StatusCode::CONFLICT,
            LendFault::PolicyExpired | LendFault::Journal(_) => StatusCode::SERVICE_UNAVAILABLE,
            LendFault::Secret(_) => StatusCode::BAD_GATEWAY,
            LendFault::Sealing(_) | LendFault::Lease(_) => StatusCode::INTERNAL_SERVER_ERROR,
            LendFault::Store(fault) => store_status(fault),
        };
        tracing::info!(%fault, "nothing is lent");
        Self::new(status, fault.advice())
    }
}
