//! A connector and its authorization server that misbehave on request. Only for what real ones refuse to do.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Form, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use base64::Engine as _;
use model::{PersonFault, SignInRequest};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

/// How the server deviates.
pub(crate) struct Bend {
    /// Protected resource metadata (RFC 9728).
    pub(crate) resource: fn(&mut Value),
    /// Authorization server metadata (RFC 8414).
    pub(crate) metadata: fn(&mut Value),
    /// The challenge of the connector; `{}` stands for its own address.
    pub(crate) challenge: Option<&'static str>,
    /// Only at the root, not below the connector's path.
    pub(crate) at_root: bool,
    /// Redirect URIs are compared with their port.
    pub(crate) exact_port: bool,
    /// The first registration is forgotten before the code is redeemed.
    pub(crate) forgetful: bool,
    /// The tokens' answer.
    pub(crate) response: fn(&mut Value),
    /// What happens at renewals, in order; then they succeed.
    pub(crate) renewals: Vec<Renewal>,
    /// How long each renewal takes.
    pub(crate) slowness: Duration,
}

impl Default for Bend {
    fn default() -> Self {
        Self {
            resource: |_| {},
            metadata: |_| {},
            challenge: Some(
                "Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\", scope=\"mail.read\"",
            ),
            at_root: false,
            exact_port: false,
            forgetful: false,
            response: |_| {},
            renewals: vec![],
            slowness: Duration::from_millis(100),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// An OAuth error.
    Error(&'static str),
    /// The token is rotated, and the answer is garbage.
    Garbage,
}

/// The running server.
pub(crate) struct Server {
    /// The connector's URL.
    pub(crate) url: Url,
    shared: Arc<Shared>,
}

struct Shared {
    base: String,
    bend: Bend,
    renewals: Mutex<VecDeque<Renewal>>,
    /// The refresh token that is good now; using another kills the family.
    family: Mutex<Option<u64>>,
    clients: Mutex<Vec<Vec<String>>>,
    log: Mutex<Vec<String>>,
    bodies: Mutex<Vec<HashMap<String, String>>>,
}

impl Server {
    pub(crate) async fn start(bend: Bend) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let renewals = Mutex::new(bend.renewals.iter().copied().collect());
        let root = bend.at_root;
        let shared = Arc::new(Shared {
            base: base.clone(),
            bend,
            renewals,
            family: Mutex::new(None),
            clients: Mutex::default(),
            log: Mutex::default(),
            bodies: Mutex::default(),
        });
        let metadata_at = if root {
            "/.well-known/oauth-protected-resource"
        } else {
            "/.well-known/oauth-protected-resource/mcp"
        };
        let routes = Router::new()
            .route("/mcp", any(connector))
            .route(metadata_at, get(resource))
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/register", post(register))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url: Url::parse(&format!("{base}/mcp")).unwrap(), shared }
    }

    /// What was asked of the authorization server, one word for each request.
    pub(crate) fn log(&self) -> Vec<String> {
        self.shared.log.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, word: &str) -> usize {
        self.log().iter().filter(|line| *line == word).count()
    }

    /// The redirect URIs of every registration, in order.
    pub(crate) fn clients(&self) -> Vec<Vec<String>> {
        self.shared.clients.lock().unwrap().clone()
    }

    /// The forms that the token and revocation endpoints were sent.
    pub(crate) fn forms(&self) -> Vec<HashMap<String, String>> {
        self.shared.bodies.lock().unwrap().clone()
    }

    /// What the authorization endpoint answers to a person who says yes.
    pub(crate) fn authorize(
        &self,
    ) -> impl Fn(&SignInRequest) -> Result<Url, PersonFault> + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move |request: &SignInRequest| shared.authorize(request)
    }
}

/// The parameters of a URL.
pub(crate) fn parameters(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

impl Shared {
    /// Refuses a redirect URI as real servers do: with a page of its own, so that nobody comes back.
    fn authorize(&self, request: &SignInRequest) -> Result<Url, PersonFault> {
        let asked = parameters(&request.authorize_url);
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["redirect_uri"], request.redirect_uri.as_str());
        if let Some(number) = asked["client_id"].strip_prefix("dyn-") {
            let number: usize = number.parse().unwrap();
            let registered = self.clients.lock().unwrap()[number].clone();
            let without_port = format!("http://127.0.0.1{}", request.redirect_uri.path());
            let known = registered.contains(&asked["redirect_uri"])
                || (!self.bend.exact_port && registered.contains(&without_port));
            if !known {
                return Err(PersonFault::Cancelled);
            }
        }
        let mut back = request.redirect_uri.clone();
        back.query_pairs_mut()
            .append_pair("code", &format!("{}|{}", asked["client_id"], asked["code_challenge"]))
            .append_pair("state", &asked["state"])
            .append_pair("iss", &self.base);
        Ok(back)
    }

    fn rotate(&self) -> u64 {
        let mut family = self.family.lock().unwrap();
        let next = family.unwrap_or(0) + 1;
        *family = Some(next);
        next
    }

    fn issue(&self) -> Response {
        let number = self.rotate();
        let mut response = json!({
            "access_token": format!("access-{number}"),
            "token_type": "bearer",
            "expires_in": 600,
            "refresh_token": format!("refresh-{number}"),
        });
        (self.bend.response)(&mut response);
        Json(response).into_response()
    }
}

async fn connector(State(shared): State<Arc<Shared>>, _: Request) -> Response {
    match shared.bend.challenge {
        Some(challenge) => {
            let challenge = challenge.replace("{}", &shared.base);
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
        }
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn resource(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.log.lock().unwrap().push("resource".to_owned());
    let mut metadata = json!({
        "resource": format!("{}/mcp", shared.base),
        "authorization_servers": [shared.base],
        "scopes_supported": ["mail.read", "mail.send"],
    });
    (shared.bend.resource)(&mut metadata);
    Json(metadata)
}

async fn metadata(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let base = &shared.base;
    let mut metadata = json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "registration_endpoint": format!("{base}/register"),
        "revocation_endpoint": format!("{base}/revoke"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "token_endpoint_auth_methods_supported": ["none"],
    });
    (shared.bend.metadata)(&mut metadata);
    Json(metadata)
}

async fn register(State(shared): State<Arc<Shared>>, Json(asked): Json<Value>) -> Response {
    shared.log.lock().unwrap().push("register".to_owned());
    assert_eq!(asked["application_type"], "native");
    assert_eq!(asked["token_endpoint_auth_method"], "none");
    let uris: Vec<String> = serde_json::from_value(asked["redirect_uris"].clone()).unwrap();
    let mut clients = shared.clients.lock().unwrap();
    let id = format!("dyn-{}", clients.len());
    clients.push(uris.clone());
    (StatusCode::CREATED, Json(json!({ "client_id": id, "redirect_uris": uris }))).into_response()
}

async fn token(State(shared): State<Arc<Shared>>, Form(form): Form<HashMap<String, String>>) -> Response {
    let kind = form["grant_type"].clone();
    shared.log.lock().unwrap().push(kind.clone());
    shared.bodies.lock().unwrap().push(form.clone());
    let refuse = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    if form["resource"] != format!("{}/mcp", shared.base) {
        return refuse("invalid_target");
    }
    if kind == "authorization_code" {
        if shared.bend.forgetful && form["client_id"] == "dyn-0" {
            return refuse("invalid_client");
        }
        let (client, challenge) = form["code"].split_once('|').unwrap();
        let good = form["client_id"] == client && s256(&form["code_verifier"]) == challenge;
        return if good { shared.issue() } else { refuse("invalid_grant") };
    }
    tokio::time::sleep(shared.bend.slowness).await;
    let next = shared.renewals.lock().unwrap().pop_front();
    match next {
        Some(Renewal::Error(error)) => return refuse(error),
        Some(Renewal::Garbage) => {
            shared.rotate();
            return ([(header::CONTENT_TYPE, "application/json")], "{\"access_to").into_response();
        }
        None => {}
    }
    let good =
        shared.family.lock().unwrap().is_some_and(|good| form["refresh_token"] == format!("refresh-{good}"));
    if good {
        return shared.issue();
    }
    *shared.family.lock().unwrap() = None;
    refuse("invalid_grant")
}

async fn revoke(State(shared): State<Arc<Shared>>, Form(form): Form<HashMap<String, String>>) -> StatusCode {
    shared.log.lock().unwrap().push("revoke".to_owned());
    shared.bodies.lock().unwrap().push(form);
    *shared.family.lock().unwrap() = None;
    StatusCode::OK
}

fn s256(verifier: &str) -> String {
    let digest = model::Digest::of(verifier.as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.as_bytes())
}
