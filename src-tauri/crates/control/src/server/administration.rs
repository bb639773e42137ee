//! Administrators whom the identity provider vouches for: `GET /v1/admin/sign-in`, `POST` and `DELETE /v1/admin/session`,
//! `POST /v1/admin/act`.
//!
//! What they may do follows, at each request, from the groups of their sign-in and from the signed content. An administrator's
//! session lasts an hour, is bound to a key, and begins with a sign-in that is minutes old.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use model::{Advice, Digest, Subject};
use org_protocol::HALTED;
use zeroize::Zeroizing;

use super::caller::session_token;
use super::enrol::parsed;
use super::{Fault, Plane, SMALL_BODY, Shared};
use crate::admin::wire::{ADMIN_FORMAT, OpenSession, SessionOpened, SignInWay};
use crate::admin::{Administrator, Ask, REQUEST_LIMIT};
use crate::identity::IdentityFault;
use crate::secret::new_secret;
use crate::store::NewAdministrator;

/// How long a session lasts.
const SESSION_LIFE: Duration = Duration::from_secs(3600);
/// How long ago whoever opens one may have authenticated; clocks may differ by some of it.
const SIGN_IN_AGE: Duration = Duration::from_secs(600);
/// What administrators' tokens begin with, so that they are recognised where they should not be.
const TOKEN_PREFIX: &str = "dgm_";

/// How to sign in.
pub(super) async fn way(State(plane): Shared) -> Result<Json<SignInWay>, Fault> {
    let live = plane.publication.live().ok_or_else(Fault::unpublished)?;
    let provider = &live.content().org.identity_provider;
    let known = provider.quirks().scopes.iter().map(|scope| (*scope).to_owned());
    Ok(Json(SignInWay {
        format: ADMIN_FORMAT,
        issuer: provider.issuer.clone(),
        client_id: provider.client_id.clone(),
        client_secret: provider.client_secret.clone(),
        scopes: provider.scopes.iter().cloned().chain(known).collect(),
    }))
}

/// Opens a session for somebody who has a role.
pub(super) async fn open(
    State(plane): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<SessionOpened>, Fault> {
    let request: OpenSession = parsed(&body)?;
    if request.format != ADMIN_FORMAT {
        return Err(Fault::bad_request("its format is not known here"));
    }
    let proof = plane.proof(&method, uri.path(), &headers, None).await?;
    let nonce = request.nonce_seed.administration_nonce(&proof.thumbprint);
    let access = request.access_token.as_deref();
    let verified = plane.verified(&request.id_token, access, &nonce).await?;
    let now = plane.clock.now();
    if !verified.bound {
        return Err(IdentityFault::NoNonce.into());
    }
    if verified.sign_in.at.plus(SIGN_IN_AGE) < now {
        return Err(too_old());
    }
    let verified = plane.with_groups(verified, access).await?;
    let subject = verified.subject;
    let roles = plane.roles(&subject)?;
    let admin = Administrator::signed_in(subject.clone(), roles.clone());
    if roles.is_empty() {
        plane.record(&admin, "sign-in-refused", &[]).await?;
        return Err(no_role());
    }
    let token = new_secret(TOKEN_PREFIX)?;
    let expires = now.plus(SESSION_LIFE);
    let digest = Digest::of(token.as_bytes());
    let new = NewAdministrator {
        token: digest,
        thumbprint: &proof.thumbprint,
        subject: &subject,
        sign_in: &verified.sign_in,
        expires,
    };
    let named: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    plane.record(&admin, "sign-in", &[("roles", named.join(", "))]).await?;
    if !plane.store.admit(&new).await? {
        return Err(IdentityFault::Ended.into());
    }
    Ok(Json(SessionOpened { format: ADMIN_FORMAT, token, expires, subject, roles }))
}

/// Ends a session.
pub(super) async fn close(
    State(plane): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<StatusCode, Fault> {
    let (admin, token) = plane.administrator(&method, uri.path(), &headers).await?;
    plane.record(&admin, "sign-out", &[]).await?;
    plane.store.dismiss(token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Does what is asked. Nothing is read of a request before it is known whose it is.
pub(super) async fn act(
    State(plane): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Fault> {
    let (admin, _) = plane.administrator(&method, uri.path(), &headers).await?;
    let limit =
        if admin.publishes() { usize::try_from(REQUEST_LIMIT).unwrap_or(SMALL_BODY) } else { SMALL_BODY };
    let body = read(body, limit).await?;
    let ask: Ask = parsed(&body)?;
    Ok(Json(plane.act(ask, &admin).await).into_response())
}

/// A secret may be among it.
async fn read(body: Body, limit: usize) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut chunks = body.into_data_stream();
    let mut read = Zeroizing::new(Vec::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Fault::bad_request("it was cut off"))?;
        if read.len() + chunk.len() > limit {
            return Err(Fault::bad_request("it is too long"));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

impl Plane {
    /// The administrator behind a request, and the digest of their token.
    async fn administrator(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(Administrator, Digest), Fault> {
        let refused = || {
            Fault::unauthorized(
                "session-ended",
                "The administrator's session has ended.",
                super::caller::INVALID_TOKEN,
            )
        };
        let token = session_token(headers).ok_or_else(refused)?;
        let proof = self.proof(method, path, headers, Some(token)).await?;
        let digest = Digest::of(token.as_bytes());
        let found = self.store.administrator(digest, self.clock.now()).await?;
        let (subject, thumbprint) = found.ok_or_else(refused)?;
        if thumbprint != proof.thumbprint {
            tracing::warn!(who = subject.label(), "an administrator's token was used with another key");
            return Err(refused());
        }
        if let Some(halt) = self.stopped.now().of_person(&subject) {
            return Err(Fault::new(StatusCode::FORBIDDEN, Advice::new(HALTED, halt.words(), "", "")));
        }
        let roles = self.roles(&subject)?;
        if roles.is_empty() {
            return Err(no_role());
        }
        Ok((Administrator::signed_in(subject, roles), digest))
    }

    /// What somebody may do, by what is published now.
    fn roles(
        &self,
        subject: &Subject,
    ) -> Result<std::collections::BTreeSet<org_protocol::AdministratorRole>, Fault> {
        let live = self.publication.live().ok_or_else(Fault::unpublished)?;
        let org = &live.content().org;
        let is_of_it = subject.issuer.trim_end_matches('/')
            == org.identity_provider.issuer.as_str().trim_end_matches('/');
        Ok(if is_of_it { org.administrators.roles(&subject.groups) } else { Default::default() })
    }
}

fn no_role() -> Fault {
    let advice = Advice::new(
        "not-administrator",
        "You administer nothing here.",
        "No group of yours is named under [administrators] in what is published.",
        "Ask whoever publishes the organisation's policy.",
    );
    Fault::new(StatusCode::FORBIDDEN, advice)
}

fn too_old() -> Fault {
    let advice = Advice::new(
        "sign-in-too-old",
        "Your sign-in is too old to administer with.",
        "It has to be some minutes old at most.",
        "Sign in again, with your password.",
    );
    Fault::new(StatusCode::FORBIDDEN, advice)
}
