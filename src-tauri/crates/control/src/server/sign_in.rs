//! Signing in by SAML: the OpenID provider's endpoints for desktops, and the service provider's for the identity provider.
//! They are there where the signed content names a SAML identity provider, and this server as the issuer.
//!
//! None of them needs a device's proof: people come here with a browser, and what they bring is looked at as
//! [`saml`](crate::saml) and [`op`](crate::op) say.

use std::sync::Arc;

use ::audit::{AuditEvent, EventRecord};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use model::{Digest, Timestamp};
use org_protocol::{IdentityProvider, SIGN_IN_ENDED, SamlProvider};
use serde_json::{Value, json};
use url::Url;

use super::{Fault, Plane, Shared};
use crate::op::{
    Authorization, CODE_LIFE, Granted, QUESTION_LIFE, Question, RequestFault, TokenRequest, fields,
    session_end,
};
use crate::publication::Live;
use crate::saml::{SamlFault, ServiceProvider};
use crate::secret::new_secret;
use crate::store::{NewGrant, StoreFault};

/// The largest form with a response, in bytes: base64 of it, written as a form's value.
pub(super) const ACS_BODY: usize = 768 * 1024;
/// The largest other form, in bytes.
pub(super) const FORM_BODY: usize = 16 * 1024;
/// What a refresh token begins with, so that it is recognised where it should not be.
const REFRESH_PREFIX: &str = "dgo_";

/// The signed content, where it has people sign in by SAML through this server.
struct Serving {
    live: Arc<Live>,
}

impl Serving {
    fn provider(&self) -> &IdentityProvider {
        &self.live.content().org.identity_provider
    }

    fn saml(&self) -> Result<&SamlProvider, Fault> {
        self.provider().saml.as_ref().ok_or_else(Fault::not_found)
    }
}

impl Plane {
    fn serving(&self) -> Result<Serving, Fault> {
        let live = self.publication.live().ok_or_else(Fault::unpublished)?;
        if self.op.is(&live.content().org.identity_provider) {
            Ok(Serving { live })
        } else {
            Err(Fault::not_found())
        }
    }

    fn service_provider(&self, serving: &Serving) -> Result<Arc<ServiceProvider>, Fault> {
        self.op.service_provider(serving.saml()?).map_err(|fault| {
            tracing::error!(%fault, "nobody can sign in by SAML");
            Fault::unpublished()
        })
    }
}

/// `GET /.well-known/openid-configuration`
pub(super) async fn configuration(State(plane): Shared) -> Result<Json<Value>, Fault> {
    let serving = plane.serving()?;
    Ok(Json(plane.op.metadata(&serving.provider().groups_claim)))
}

/// `GET /v1/oidc/keys.json`
pub(super) async fn keys(State(plane): Shared) -> Result<Json<Value>, Fault> {
    plane.serving()?;
    Ok(Json(plane.op.keys()))
}

/// `GET /v1/saml/metadata`: what IT gives to the identity provider.
pub(super) async fn metadata(State(plane): Shared) -> Result<Response, Fault> {
    let serving = plane.serving()?;
    let metadata = plane.service_provider(&serving)?.metadata().to_owned();
    Ok(([(CONTENT_TYPE, "application/samlmetadata+xml")], metadata).into_response())
}

/// `GET /v1/oidc/authorize`: a person comes from a desktop and is sent on to the identity provider.
pub(super) async fn authorize(State(plane): Shared, RawQuery(query): RawQuery) -> Result<Response, Fault> {
    let serving = plane.serving()?;
    let Ok(fields) = fields(query.unwrap_or_default().as_bytes()) else {
        return Ok(page(StatusCode::BAD_REQUEST, NOT_DESKGATE));
    };
    let (authorization, anew) = match Authorization::read(&fields, &serving.provider().client_id) {
        Ok(read) => read,
        Err(fault) => {
            tracing::info!(?fault, "an authorization request was refused");
            let elsewhere = fault.redirect(plane.op.issuer());
            return Ok(
                elsewhere.map_or_else(|| page(StatusCode::BAD_REQUEST, NOT_DESKGATE), |to| redirect(&to))
            );
        }
    };
    let now = plane.clock.now();
    let relay = new_secret("")?;
    let (asked, to) = plane.service_provider(&serving)?.ask(&relay, anew, now).map_err(|fault| {
        tracing::error!(%fault, "nobody can be asked to sign in");
        Fault::unpublished()
    })?;
    let question = Question::new(authorization, &asked);
    let digest = Digest::of(relay.as_bytes());
    plane.store.ask_by_saml(digest, &question, now.plus(QUESTION_LIFE), now).await?;
    Ok(redirect(&to))
}

/// `POST /v1/saml/acs`: the person comes back with the identity provider's answer, and goes on to the desktop.
pub(super) async fn acs(
    State(plane): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Fault> {
    let serving = plane.serving()?;
    let fields = body.ok().and_then(|body| fields(&body).ok()).unwrap_or_default();
    let (Some(response), Some(relay)) = (fields.get("SAMLResponse"), fields.get("RelayState")) else {
        return Ok(page(StatusCode::BAD_REQUEST, NOT_BEGUN));
    };
    let now = plane.clock.now();
    let question = plane.store.take_question(Digest::of(relay.as_bytes()), now).await?;
    let Some(question) = question else { return Ok(page(StatusCode::BAD_REQUEST, NOT_BEGUN)) };
    let back = question.authorization.clone();
    let answer = match plane.signed_in(&serving, question, response, relay, now).await {
        Ok(code) => back.answered(plane.op.issuer(), ("code", &code)),
        Err(refusal) => {
            tracing::warn!(%refusal, "nobody was signed in by SAML");
            plane.note_refusal(&serving, &refusal, now).await;
            back.answered(plane.op.issuer(), ("error", refusal.error()))
        }
    };
    Ok(redirect(&answer))
}

/// Why an answer signs nobody in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Saml(#[from] SamlFault),
    #[error("the response was believed before")]
    Replayed,
    #[error("the sign-in was ended by the organisation")]
    Ended,
    #[error("the server failed: {0}")]
    Server(String),
}

impl Refusal {
    /// What the desktop is told (RFC 6749, section 4.1.2.1).
    fn error(&self) -> &'static str {
        match self {
            Self::Saml(_) | Self::Replayed | Self::Ended => "access_denied",
            Self::Server(_) => "server_error",
        }
    }
}

impl Refusal {
    /// The reason, as records name it: nothing of the answer itself, which nobody has vouched for.
    fn code(&self) -> &'static str {
        match self {
            Self::Saml(fault) => fault.code(),
            Self::Replayed => "saml-replayed",
            Self::Ended => SIGN_IN_ENDED,
            Self::Server(_) => "saml-server",
        }
    }
}

impl From<StoreFault> for Refusal {
    fn from(fault: StoreFault) -> Self {
        Self::Server(fault.to_string())
    }
}

impl From<getrandom::Error> for Refusal {
    fn from(fault: getrandom::Error) -> Self {
        Self::Server(fault.to_string())
    }
}

impl Plane {
    /// Records that an answer was refused, and how many were before that were not recorded.
    async fn note_refusal(&self, serving: &Serving, refusal: &Refusal, now: Timestamp) {
        let Some(left_out) = self.refusals.take(now) else { return };
        let mut record = EventRecord::new(AuditEvent::SignInFailed).with("code", refusal.code());
        if let Ok(saml) = serving.saml() {
            record = record.with("identity_provider", saml.entity_id.clone());
        }
        if left_out > 0 {
            record = record.with("not_recorded_before", left_out.to_string());
        }
        if let Err(fault) = self.journal.event(record).await {
            tracing::error!(%fault, "a refused sign-in could not be recorded");
        }
    }

    /// The code for a desktop whose person the identity provider has signed in.
    async fn signed_in(
        &self,
        serving: &Serving,
        question: Question,
        response: &str,
        relay: &str,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let provider = serving.provider().saml.as_ref();
        let provider = provider.ok_or_else(|| Refusal::Server("no SAML provider".to_owned()))?;
        let service_provider = self.op.service_provider(provider)?;
        let asked = question.asked(relay).ok_or(Refusal::Saml(SamlFault::InResponseTo))?;
        let (response, relay) = (response.to_owned(), relay.to_owned());
        let read = move || service_provider.accept(&asked, &response, &relay, now);
        let accepted = tokio::task::spawn_blocking(read).await;
        let accepted = accepted.map_err(|fault| Refusal::Server(fault.to_string()))??;

        let granted = Granted::new(self.op.issuer(), provider, question.authorization, &accepted);
        if self.store.is_sign_in_ended(&granted.subject, &granted.sign_in()).await? {
            return Err(Refusal::Ended);
        }
        let (id, code) = (new_secret("")?, new_secret("")?);
        let once: Vec<_> =
            accepted.once.iter().map(|once| (Digest::of(once.key.as_bytes()), once.until)).collect();
        let grant = NewGrant {
            id: &id,
            granted: &granted,
            code: Digest::of(code.as_bytes()),
            code_until: now.plus(CODE_LIFE),
            expires: session_end(provider, &accepted, now),
        };
        if self.store.begin_grant(&once, &grant).await? { Ok(code) } else { Err(Refusal::Replayed) }
    }
}

/// `POST /v1/oidc/token`
pub(super) async fn token(
    State(plane): Shared,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Fault> {
    let serving = plane.serving()?;
    let client_id = &serving.provider().client_id;
    let Ok(fields) = form(&headers, body) else { return Ok(refused("invalid_request")) };
    let request = match TokenRequest::read(&fields, client_id) {
        Ok(request) if !headers.contains_key(AUTHORIZATION) => request,
        Ok(_) | Err(RequestFault::Client) => return Ok(refused("invalid_client")),
        Err(RequestFault::GrantType) => return Ok(refused("unsupported_grant_type")),
        Err(RequestFault::Twice | RequestFault::Redirect | RequestFault::Field(_)) => {
            return Ok(refused("invalid_request"));
        }
    };
    let now = plane.clock.now();
    let secret = new_secret("")?;
    let grant = match request {
        TokenRequest::Code { code, redirect_uri, verifier } => {
            let grant = plane
                .store
                .redeem_code(Digest::of(code.as_bytes()), Digest::of(secret.as_bytes()), now)
                .await?;
            match grant {
                Some(grant) if grant.granted.authorization.fits(client_id, redirect_uri, verifier) => {
                    Some(grant)
                }
                Some(grant) => {
                    tracing::warn!("a code came with another verifier, redirect or client");
                    plane.store.end_grant(&grant.id).await?;
                    None
                }
                None => None,
            }
        }
        TokenRequest::Refresh { token } => match refresh_parts(token) {
            Some((id, presented)) => {
                let (presented, next) = (Digest::of(presented.as_bytes()), Digest::of(secret.as_bytes()));
                plane.store.renew_grant(id, presented, next, now).await?
            }
            None => None,
        },
    };
    let Some(grant) = grant else { return Ok(refused("invalid_grant")) };
    if !grant.granted.is_of(serving.provider()) {
        plane.store.end_grant(&grant.id).await?;
        return Ok(refused("invalid_grant"));
    }
    let refresh = format!("{REFRESH_PREFIX}{}.{secret}", grant.id);
    let access = new_secret("")?;
    let groups_claim = &serving.provider().groups_claim;
    let tokens = grant.granted.tokens(&plane.op, groups_claim, (&access, &refresh), grant.expires, now);
    Ok((StatusCode::OK, [(CACHE_CONTROL, "no-store")], Json(tokens)).into_response())
}

/// `POST /v1/oidc/revoke` (RFC 7009): the person signs out. The answer is the same whether there was anything.
pub(super) async fn revoke(
    State(plane): Shared,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Fault> {
    let serving = plane.serving()?;
    let Ok(fields) = form(&headers, body) else { return Ok(refused("invalid_request")) };
    if fields.get("client_id") != Some(&serving.provider().client_id) {
        return Ok(refused("invalid_client"));
    }
    let Some(token) = fields.get("token") else { return Ok(refused("invalid_request")) };
    if let Some((id, _)) = refresh_parts(token) {
        // The id is as secret as the token that it is in.
        plane.store.end_grant(id).await?;
    }
    Ok((StatusCode::OK, [(CACHE_CONTROL, "no-store")]).into_response())
}

fn refresh_parts(token: &str) -> Option<(&str, &str)> {
    token.strip_prefix(REFRESH_PREFIX)?.split_once('.')
}

fn form(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<std::collections::BTreeMap<String, String>, RequestFault> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(RequestFault::Field("a form"));
    }
    fields(&body.map_err(|_| RequestFault::Field("a form"))?)
}

/// An error of the token endpoint (RFC 6749, section 5.2).
fn refused(error: &'static str) -> Response {
    tracing::info!(error, "a token request was refused");
    (StatusCode::BAD_REQUEST, [(CACHE_CONTROL, "no-store")], Json(json!({ "error": error }))).into_response()
}

/// Sends a browser on, and what it brings to nobody else: neither to caches nor as referrer.
fn redirect(to: &Url) -> Response {
    let headers = [(LOCATION, to.as_str()), (CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
    (StatusCode::SEE_OTHER, headers).into_response()
}

const NOT_DESKGATE: &str = "This is not a sign-in of your organisation's Deskgate. Nobody was signed in.\n\
    Close this page. To sign in, begin in Deskgate on your computer.\n";
const NOT_BEGUN: &str = "This sign-in has ended, or was not begun in Deskgate. Nobody was signed in.\n\
    Close this page, and sign in again in Deskgate on your computer.\n";

/// Plain words for whoever looks at the browser.
fn page(status: StatusCode, text: &'static str) -> Response {
    let headers = [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, headers, text).into_response()
}
