//! An identity provider that misbehaves on request. Only for what a real one refuses to do.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use model::{PersonFault, SignInRequest};
use os::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

/// How the provider deviates.
pub(crate) struct Bend {
    pub(crate) metadata: fn(&mut Value),
    pub(crate) header: fn(&mut Value),
    pub(crate) claims: fn(&mut Value),
    pub(crate) response: fn(&mut Value),
    /// What has to be sent beside the client id.
    pub(crate) client_secret: Option<&'static str>,
    /// Signs with a key that is not published.
    pub(crate) foreign_key: bool,
    /// What happens at renewals, in order; then they succeed.
    pub(crate) renewals: Vec<Renewal>,
    /// What the answer of the device authorization endpoint is like.
    pub(crate) code: fn(&mut Value),
    /// What is said to who waits for a sign-in by code, in order; then it succeeds.
    pub(crate) waits: Vec<Renewal>,
}

impl Default for Bend {
    fn default() -> Self {
        Self {
            metadata: |_| {},
            header: |_| {},
            claims: |_| {},
            response: |_| {},
            client_secret: None,
            foreign_key: false,
            renewals: vec![],
            code: |_| {},
            waits: vec![],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// The status, and nothing else.
    Status(u16),
    /// An OAuth error.
    Error(&'static str),
    /// The token is rotated, and the answer is garbage.
    Garbage,
}

/// The running provider.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    shared: Arc<Shared>,
}

struct Shared {
    issuer: String,
    bend: Bend,
    renewals: Mutex<VecDeque<Renewal>>,
    waits: Mutex<VecDeque<Renewal>>,
    /// When somebody asked whether the code was typed.
    asked: Mutex<Vec<Duration>>,
    /// The refresh token that is good now; using another kills the family.
    family: Mutex<Option<u64>>,
    log: Mutex<Vec<String>>,
}

impl Provider {
    pub(crate) async fn start(bend: Bend) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let renewals = Mutex::new(bend.renewals.iter().copied().collect());
        let waits = Mutex::new(bend.waits.iter().copied().collect());
        let shared = Arc::new(Shared {
            issuer: issuer.clone(),
            bend,
            renewals,
            waits,
            asked: Mutex::default(),
            family: Mutex::new(None),
            log: Mutex::default(),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .route("/device", post(device))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { issuer, shared }
    }

    /// What was asked of it, one word for each request to the token or revocation endpoint.
    pub(crate) fn log(&self) -> Vec<String> {
        self.shared.log.lock().unwrap().clone()
    }

    /// The pauses between two questions whether a code was typed.
    pub(crate) fn pauses(&self) -> Vec<Duration> {
        let asked = self.shared.asked.lock().unwrap();
        asked.windows(2).map(|two| two[1].saturating_sub(two[0])).collect()
    }

    pub(crate) fn renewals(&self) -> usize {
        self.log().iter().filter(|line| line.starts_with("refresh_token")).count()
    }
}

/// The redirect of a provider that says yes: the code carries the nonce to the token endpoint.
pub(crate) fn allowed(request: &SignInRequest) -> Url {
    let asked: HashMap<String, String> = request.authorize_url.query_pairs().into_owned().collect();
    assert_eq!(asked["code_challenge_method"], "S256");
    let mut back = request.redirect_uri.clone();
    back.query_pairs_mut().append_pair("code", &asked["nonce"]).append_pair("state", &asked["state"]);
    back
}

/// A person who says yes.
pub(crate) fn yes(request: &SignInRequest) -> Result<Url, PersonFault> {
    Ok(allowed(request))
}

async fn metadata(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let issuer = &shared.issuer;
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "jwks_uri": format!("{issuer}/keys"),
        "device_authorization_endpoint": format!("{issuer}/device"),
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "offline_access"],
    });
    (shared.bend.metadata)(&mut metadata);
    Json(metadata)
}

async fn keys() -> Json<Value> {
    let public = URL_SAFE_NO_PAD.encode(published_key().verifying_key().as_bytes());
    Json(json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "one", "x": public }] }))
}

async fn token(State(shared): State<Arc<Shared>>, Form(form): Form<HashMap<String, String>>) -> Response {
    let kind = form["grant_type"].clone();
    let secret = form.get("client_secret").map(String::as_str);
    assert_eq!(secret, shared.bend.client_secret, "sent where it belongs, and only there");
    shared.log.lock().unwrap().push(kind.clone());
    if kind == "authorization_code" {
        assert!(form["code_verifier"].len() >= 43, "RFC 7636, section 4.1");
        return issue(&shared, &form["code"]);
    }
    let by_code = kind.ends_with(":device_code");
    if by_code {
        shared.asked.lock().unwrap().push(SystemClock.boot_time());
    }
    let next = if by_code { &shared.waits } else { &shared.renewals }.lock().unwrap().pop_front();
    match next {
        Some(Renewal::Status(status)) => {
            return StatusCode::from_u16(status).unwrap().into_response();
        }
        Some(Renewal::Error(error)) => {
            return (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
        }
        Some(Renewal::Garbage) => {
            rotate(&shared);
            return ([("content-type", "application/json")], "{\"access_to").into_response();
        }
        None if by_code => return issue(&shared, &form["device_code"]),
        None => {}
    }
    let good = shared.family.lock().unwrap().is_some_and(|good| form["refresh_token"] == format!("r{good}"));
    if good {
        return issue(&shared, "n");
    }
    *shared.family.lock().unwrap() = None;
    (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response()
}

/// The device code carries the nonce to the token endpoint.
async fn device(State(shared): State<Arc<Shared>>, Form(form): Form<HashMap<String, String>>) -> Json<Value> {
    shared.log.lock().unwrap().push(format!("device {} {}", form["client_id"], form["scope"]));
    let mut code = json!({
        "device_code": form["nonce"],
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://idp.acme.test/device",
        "expires_in": 600,
        "interval": 0,
    });
    (shared.bend.code)(&mut code);
    Json(code)
}

async fn revoke(State(shared): State<Arc<Shared>>, Form(form): Form<HashMap<String, String>>) -> StatusCode {
    shared.log.lock().unwrap().push(format!("revoke {} {}", form["client_id"], form["token_type_hint"]));
    *shared.family.lock().unwrap() = None;
    StatusCode::OK
}

fn rotate(shared: &Shared) -> u64 {
    let mut family = shared.family.lock().unwrap();
    let next = family.unwrap_or(0) + 1;
    *family = Some(next);
    next
}

fn issue(shared: &Shared, nonce: &str) -> Response {
    let refresh = rotate(shared);
    let now = SystemClock.now().seconds();
    let mut claims = json!({
        "iss": shared.issuer,
        "sub": "alice",
        "aud": "deskgate",
        "iat": now,
        "exp": now + 600,
        "nonce": nonce,
        "groups": ["analysts"],
        "jti": refresh,
    });
    (shared.bend.claims)(&mut claims);
    let mut header = json!({ "alg": "EdDSA", "kid": "one", "typ": "JWT" });
    (shared.bend.header)(&mut header);
    let signed = format!("{}.{}", part(&header), part(&claims));
    let key = if shared.bend.foreign_key { SigningKey::from_bytes(&[9; 32]) } else { published_key() };
    let signature = if header["alg"] == "none" { vec![] } else { key.sign(signed.as_bytes()).to_vec() };
    let mut response = json!({
        "access_token": format!("a{refresh}"),
        "token_type": "Bearer",
        "expires_in": 600,
        "refresh_token": format!("r{refresh}"),
        "id_token": format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)),
    });
    (shared.bend.response)(&mut response);
    Json(response).into_response()
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn published_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}
