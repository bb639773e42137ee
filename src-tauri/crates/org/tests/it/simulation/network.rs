//! How a desktop's requests cross the simulated network, and what goes wrong on the way that is no matter of packets: proofs that are
//! sent a second time, and answers that are not what the server said.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use model::{BoxFuture, DeviceId, Timestamp};
use org::{OrgFault, Transport};
use org_protocol::{Envelope, Lease, Receipt, SessionAnswer};
use os::Clock as _;
use turmoil::net::{TcpListener, TcpStream};

use super::dice::Dice;
use super::laws::{Count, Laws};

/// Where the control plane is, as the network calls it.
pub(super) const CONTROL: &str = "control";
const PORT: u16 = 443;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The control plane's side: what axum listens at.
pub(super) struct Listening(TcpListener);

impl Listening {
    pub(super) async fn begin() -> std::io::Result<Self> {
        TcpListener::bind(("0.0.0.0", PORT)).await.map(Self)
    }
}

impl axum::serve::Listener for Listening {
    type Io = TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.0.accept().await {
            Ok(accepted) => accepted,
            // A network that is only simulated has no fault of its own.
            Err(_) => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// A desktop's side.
pub(super) struct Line {
    pub(super) device: DeviceId,
    pub(super) laws: Laws,
    pub(super) dice: Arc<Dice>,
    /// Whether answers are left as they are by now.
    pub(super) is_calm: Arc<std::sync::atomic::AtomicBool>,
    /// Manifests that came by, for whoever shows old ones.
    pub(super) manifests: Arc<Mutex<Vec<Bytes>>>,
}

type Whole = http::Request<Full<Bytes>>;

impl Transport for Line {
    fn carry(&self, request: reqwest::Request) -> BoxFuture<'_, Result<reqwest::Response, OrgFault>> {
        Box::pin(async move {
            let limit = request.timeout().copied();
            let request = written(request)?;
            let path = request.uri().path().to_owned();
            let token = session_token(&request);
            // Leaving may always be told: by whose clock a session has ended, the server decides.
            if let Some(token) = token.as_ref().filter(|_| request.method() != Method::DELETE) {
                self.laws.uses_session(self.device, &path, token, made_at(&request));
            }
            let sent = self.laws.clock.now();
            if path.ends_with("v1/events") {
                let answer = exchange(request).await?;
                return Ok(answer.map(reqwest::Body::wrap).into());
            }
            let (again, method) = (request.clone(), request.method().clone());
            let whole = async {
                let (parts, body) = exchange(request).await?.into_parts();
                let body = body.collect().await.map_err(|fault| unreachable(&fault))?.to_bytes();
                Ok::<_, OrgFault>(Response::from_parts(parts, body))
            };
            let limited = tokio::time::timeout(limit.unwrap_or(Duration::MAX), whole);
            let answer = limited.await.map_err(|elapsed| unreachable(&elapsed)).flatten();
            self.replay(again, answer.as_ref().is_ok_and(|answer| answer.status().is_success()));
            let answer = answer?;
            if answer.status().is_success() {
                if let Some(token) = &token {
                    self.laws.served(&path, token, sent);
                }
                self.watch(&method, &path, answer.body());
            }
            Ok(self.troubled(&path, answer).map(reqwest::Body::from).into())
        })
    }
}

impl Line {
    /// Says the same once more after a while, as somebody who has listened would. Law: a proof is not accepted twice.
    fn replay(&self, request: Whole, was_accepted: bool) {
        if !request.headers().contains_key("dpop") || !self.dice.once_in(8) {
            return;
        }
        let (laws, pause) = (self.laws.clone(), self.dice.millis(0, 20_000));
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let path = request.uri().path().to_owned();
            let Ok(Ok(answer)) = tokio::time::timeout(CONNECT, exchange(request)).await else { return };
            laws.count(Count::Replayed);
            if was_accepted && answer.status().is_success() {
                laws.broken(format!("{path}: a proof was accepted twice"));
            }
        });
    }

    /// Takes down what the server gave.
    fn watch(&self, method: &Method, path: &str, body: &Bytes) {
        let (laws, device) = (&self.laws, self.device);
        if path.ends_with("v1/session") && method == Method::POST {
            match serde_json::from_slice::<SessionAnswer>(body) {
                Ok(session) => laws.session(device, &session.token, session.expires),
                Err(fault) => laws.broken(format!("a session of another form: {fault}")),
            }
        } else if path.ends_with("v1/leases") {
            match payload::<Lease>(body) {
                Some(lease) => laws.lease(device, lease.terms.id, lease.terms.expires),
                None => laws.broken("a lease of another form"),
            }
        } else if path.ends_with("v1/audit") {
            match payload::<Receipt>(body) {
                Some(receipt) => laws.receipt(device, (receipt.epoch, receipt.seq)),
                None => laws.broken("a receipt of another form"),
            }
        } else if path.ends_with("v1/manifest.json") && !body.is_empty() {
            self.manifests.lock().unwrap_or_else(PoisonError::into_inner).push(body.clone());
        }
    }

    /// What arrives of an answer where something between the two interferes.
    fn troubled(&self, path: &str, answer: Response<Bytes>) -> Response<Bytes> {
        let is_calm = self.is_calm.load(std::sync::atomic::Ordering::SeqCst);
        let is_manifest = path.ends_with("v1/manifest.json");
        if is_calm || !self.dice.once_in(if is_manifest { 3 } else { 12 }) {
            return answer;
        }
        self.laws.count(Count::Tampered);
        match self.dice.below(5) {
            0 => page(StatusCode::OK),
            1 => page(StatusCode::BAD_GATEWAY),
            2 => answer.map(|body| body.slice(..body.len() / 2)),
            // What is not signed has nothing but TLS against that.
            _ if path.ends_with("v1/session") || path.ends_with("v1/enrol") || path.ends_with("v1/halts") => {
                answer
            }
            3 if is_manifest => self.older(answer),
            _ => answer.map(|body| {
                let mut body = body.to_vec();
                let length = body.len().max(1) as u64;
                let at = usize::try_from(self.dice.below(length)).unwrap_or(0);
                body.get_mut(at).into_iter().for_each(|byte| *byte ^= 1);
                body.into()
            }),
        }
    }

    /// A manifest that was good once.
    fn older(&self, answer: Response<Bytes>) -> Response<Bytes> {
        let manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = manifests.first() else { return answer };
        self.laws.count(Count::OldManifest);
        let mut old = Response::new(first.clone());
        *old.status_mut() = StatusCode::OK;
        old
    }
}

/// What a portal shows to whoever has not paid, or a proxy that is at its wits' end.
fn page(status: StatusCode) -> Response<Bytes> {
    let mut page = Response::new(Bytes::from_static(b"<!doctype html><title>Welcome</title>"));
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    page
}

fn payload<T: serde::de::DeserializeOwned>(envelope: &[u8]) -> Option<T> {
    let payload = Envelope::parse(envelope).ok()?.unverified_payload().ok()?;
    serde_json::from_slice(&payload).ok()
}

/// When a request was made, as its proof says (RFC 9449, section 4.2): the computer may sleep before it is sent.
fn made_at(request: &Whole) -> Timestamp {
    let proof = request.headers().get("dpop").and_then(|proof| proof.to_str().ok()).expect("a proof");
    let claims = proof.split('.').nth(1).expect("claims");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    Timestamp::from_seconds(claims["iat"].as_i64().expect("a time"))
}

fn session_token(request: &Whole) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("DPoP ").map(str::to_owned)
}

/// A request in the form of HTTP/1.1 (RFC 9112, section 3.2.1).
fn written(request: reqwest::Request) -> Result<Whole, OrgFault> {
    let unusable = |fault: &dyn std::fmt::Display| OrgFault::Unusable(fault.to_string());
    let body =
        request.body().and_then(|body| body.as_bytes()).map(Bytes::copy_from_slice).unwrap_or_default();
    let host = HeaderValue::from_str(request.url().authority()).map_err(|fault| unusable(&fault))?;
    let path: Uri = request.url().path().parse().map_err(|fault| unusable(&fault))?;
    let mut written = http::Request::new(Full::new(body));
    *written.method_mut() = request.method().clone();
    *written.uri_mut() = path;
    *written.headers_mut() = request.headers().clone();
    written.headers_mut().insert(HOST, host);
    Ok(written)
}

/// Sends a request over a connection of its own; gives the answer once its head is there.
async fn exchange(request: Whole) -> Result<Response<Incoming>, OrgFault> {
    let not_reached = |why: String| OrgFault::NotReached(why);
    let connected = tokio::time::timeout(CONNECT, TcpStream::connect((CONTROL, PORT))).await;
    let stream = connected
        .map_err(|elapsed| not_reached(elapsed.to_string()))?
        .map_err(|fault| not_reached(fault.to_string()))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|fault| unreachable(&fault))?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|fault| unreachable(&fault))
}

fn unreachable(fault: &dyn std::fmt::Display) -> OrgFault {
    OrgFault::Unreachable(fault.to_string())
}
