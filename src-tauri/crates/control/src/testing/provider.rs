//! A stand-in OpenID provider: discovery, keys, and ID tokens with whatever claims a test wants. It signs nobody in;
//! whoever holds it mints.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// The stand-in's client id for Deskgate.
pub const CLIENT_ID: &str = "deskgate";

/// A provider on a loopback port.
#[derive(Debug)]
pub struct StandInProvider {
    address: SocketAddr,
    key: Arc<Mutex<(String, SigningKey)>>,
    asked: Arc<Asked>,
    server: JoinHandle<()>,
}

impl Drop for StandInProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Served = (String, Arc<Mutex<(String, SigningKey)>>, Arc<Asked>);

/// What was asked of it, and whether it answers.
#[derive(Debug, Default)]
struct Asked {
    metadata: AtomicUsize,
    keys: AtomicUsize,
    silent: AtomicBool,
}

impl StandInProvider {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn start() -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let key = Arc::new(Mutex::new(signing_key("one", 1)));
        let asked = Arc::<Asked>::default();
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/jwks", get(keys))
            .with_state((format!("http://{address}"), Arc::clone(&key), Arc::clone(&asked)));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, key, asked, server })
    }

    /// Its issuer identifier.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often its keys were asked for.
    pub fn asked_for_keys(&self) -> usize {
        self.asked.keys.load(Ordering::SeqCst)
    }

    /// How often its metadata were asked for.
    pub fn asked_for_metadata(&self) -> usize {
        self.asked.metadata.load(Ordering::SeqCst)
    }

    /// Refuses to hand out its metadata from now on, or does so again.
    pub fn fall_silent(&self, silent: bool) {
        self.asked.silent.store(silent, Ordering::SeqCst);
    }

    /// Signs with another key from now on, under another id.
    pub fn rotate(&self) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = signing_key("two", 2);
    }

    /// The claims of an ID token for `subject` that is good for an hour from `now` (seconds since 1970).
    pub fn claims(&self, subject: &str, groups: &[&str], nonce: Option<&str>, now: i64) -> Value {
        let mut claims = json!({
            "iss": self.issuer(),
            "sub": subject,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 3600,
            "email": format!("{subject}@example.test"),
            "name": subject,
            "groups": groups,
        });
        if let (Some(nonce), Some(claims)) = (nonce, claims.as_object_mut()) {
            claims.insert("nonce".to_owned(), nonce.into());
        }
        claims
    }

    /// An ID token with these claims, signed by the current key.
    pub fn token(&self, claims: &Value) -> String {
        self.token_of_kind("JWT", claims)
    }

    /// A token with these claims that states this type, signed by the current key.
    pub fn token_of_kind(&self, kind: &str, claims: &Value) -> String {
        let (id, key) = &*self.key.lock().unwrap_or_else(PoisonError::into_inner);
        signed(&json!({"alg": "ES256", "kid": id, "typ": kind}), claims, key)
    }

    /// The claims of a logout token that names a person, a session or both, issued `now` (seconds since 1970).
    pub fn logout_claims(&self, subject: Option<&str>, sid: Option<&str>, now: i64) -> Value {
        let mut id = [0; 16];
        // Without random numbers a test that needs two of them fails.
        let _ = getrandom::fill(&mut id);
        let mut claims = json!({
            "iss": self.issuer(),
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        for (name, value) in [("sub", subject), ("sid", sid)] {
            if let (Some(value), Some(claims)) = (value, claims.as_object_mut()) {
                claims.insert(name.to_owned(), value.into());
            }
        }
        claims
    }

    /// A logout token with these claims, signed by the current key.
    pub fn logout_token(&self, claims: &Value) -> String {
        self.token_of_kind("logout+jwt", claims)
    }
}

/// A token with this header, signed by an ES256 key whatever the header says.
pub fn signed(header: &Value, claims: &Value, key: &SigningKey) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(header), part(claims));
    let signature: Signature = key.sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fn signing_key(id: &str, seed: u8) -> (String, SigningKey) {
    #[expect(clippy::expect_used, reason = "a small number is a scalar")]
    let key = SigningKey::from_slice(&[seed; 32]).expect("a scalar");
    (id.to_owned(), key)
}

async fn configuration(State((issuer, _, asked)): State<Served>) -> Result<Json<Value>, StatusCode> {
    asked.metadata.fetch_add(1, Ordering::SeqCst);
    if asked.silent.load(Ordering::SeqCst) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })))
}

async fn keys(State((_, key, asked)): State<Served>) -> Json<Value> {
    asked.keys.fetch_add(1, Ordering::SeqCst);
    let (id, key) = key.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut jwk = public_jwk(&key);
    if let Some(jwk) = jwk.as_object_mut() {
        jwk.extend([
            ("kid".to_owned(), id.into()),
            ("use".to_owned(), "sig".into()),
            ("alg".to_owned(), "ES256".into()),
        ]);
    }
    Json(json!({"keys": [jwk]}))
}

/// The public half of a key as JSON Web Key.
pub fn public_jwk(key: &SigningKey) -> Value {
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes().get(1..).unwrap_or_default().split_at(32);
    json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
}
