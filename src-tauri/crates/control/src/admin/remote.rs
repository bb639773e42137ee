//! Administering from another computer: signing in at the identity provider, and asking over HTTP with a key of one's own.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Timestamp;
use openidconnect::core::{CoreAuthenticationFlow, CoreClient};
use openidconnect::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, Nonce, PkceCodeChallenge, RedirectUrl,
    Scope, TokenResponse as _,
};
use org_protocol::dpop::{self, Fresh, Jwk, ProofFor};
use org_protocol::{AdministratorRole, ErrorBody, NonceSeed};
use os::Clock as _;
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::elliptic_curve::Generate as _;
use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::Url;
use zeroize::Zeroizing;

use super::wire::{
    ACT_PATH, ADMIN_FORMAT, OpenSession, SESSION_PATH, SIGN_IN_PATH, SessionOpened, SignInWay,
};
use super::{Answer, Ask, AskFault, Reply};
use crate::identity::{Verifier, fetch, is_trustworthy};
use crate::secret::new_secret;

/// The format version of a saved session.
const SAVED_FORMAT: u32 = 1;
/// How long the server may take to answer.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long the person may take to sign in.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long ago they may have authenticated: the server asks for minutes.
const SIGN_IN_AGE: Duration = Duration::from_secs(300);

/// An administrator's session on this computer, bound to a key that was made for it.
pub struct RemoteSession {
    server: Url,
    key: SigningKey,
    token: SecretString,
    /// When it ends.
    pub expires: Timestamp,
    /// Who it is, for people.
    pub who: String,
    /// What they may do.
    pub roles: BTreeSet<AdministratorRole>,
}

/// A session as it is saved, for its owner alone.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: u32,
    server: Url,
    /// The key's scalar, in base64url.
    key: String,
    token: String,
    expires: Timestamp,
    who: String,
    roles: BTreeSet<AdministratorRole>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum RemoteFault {
    /// The server would be spoken to in the clear.
    #[error("{0} is neither https nor on this machine")]
    Insecure(Url),
    /// The server or the identity provider does not answer.
    #[error("{0} does not answer: {1}")]
    Unreachable(String, String),
    /// The server said no.
    #[error("{0}")]
    Refused(model::Advice),
    /// An answer is not what it should be.
    #[error("{0} gave an answer that cannot be used; is it of another version?")]
    Unusable(String),
    /// The identity provider did not sign the person in.
    #[error("the sign-in did not succeed: {0}")]
    NotSignedIn(String),
    /// The session cannot be kept.
    #[error("{} cannot be used: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody signed in here.
    #[error(
        "nobody is signed in to {0} here, or not any more; sign in with: deskgate-control sign-in --server {0}"
    )]
    NoSession(Url),
    /// The operating system has no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl std::fmt::Debug for RemoteSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RemoteSession({} at {}, until {})", self.who, self.server, self.expires)
    }
}

/// Signs an administrator in at the identity provider (OpenID Connect Core 1.0, section 3.1; RFC 8252): `show` is given the page
/// to open.
///
/// # Errors
/// A [`RemoteFault`].
pub async fn sign_in(server: &Url, show: impl FnOnce(&Url)) -> Result<RemoteSession, RemoteFault> {
    let http = client(server)?;
    let way: SignInWay = answered(server, http.get(at(server, SIGN_IN_PATH)?).send().await).await?;
    if way.format != ADMIN_FORMAT || !is_trustworthy(&way.issuer) {
        return Err(RemoteFault::Unusable(server.to_string()));
    }
    let key = SigningKey::generate();
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(RemoteFault::Random)?;
    let seed = NonceSeed::from_bytes(random);
    let tokens = tokens(&way, seed.administration_nonce(&jwk(&key).thumbprint()), show).await?;

    let open = OpenSession {
        format: ADMIN_FORMAT,
        id_token: tokens.id,
        nonce_seed: seed,
        access_token: Some(tokens.access),
    };
    let asked = proved(&http, server, Method::POST, SESSION_PATH, &key, None)?.json(&open);
    let opened: SessionOpened = answered(server, asked.send().await).await?;
    Ok(RemoteSession {
        server: server.clone(),
        key,
        token: SecretString::from(opened.token),
        expires: opened.expires,
        who: opened.subject.label().to_owned(),
        roles: opened.roles,
    })
}

impl RemoteSession {
    /// Reads the session that was saved.
    ///
    /// # Errors
    /// [`RemoteFault::NoSession`] where there is none for this server, or it is over.
    pub fn load(path: &Path, server: &Url) -> Result<Self, RemoteFault> {
        let none = || RemoteFault::NoSession(server.clone());
        let text = match crate::author::read_private(path) {
            Ok(text) => Zeroizing::new(text),
            Err(crate::author::KeyFileFault::File { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                return Err(none());
            }
            Err(fault) => {
                return Err(RemoteFault::File { path: path.to_owned(), source: io::Error::other(fault) });
            }
        };
        let saved: Saved = serde_json::from_str(&text).map_err(|_| none())?;
        let is_good =
            saved.format == SAVED_FORMAT && saved.server == *server && saved.expires > os::SystemClock.now();
        let scalar = URL_SAFE_NO_PAD.decode(&saved.key).map(Zeroizing::new).map_err(|_| none())?;
        let key = SigningKey::from_slice(&scalar).map_err(|_| none())?;
        if !is_good {
            return Err(none());
        }
        let Saved { server, token, expires, who, roles, .. } = saved;
        Ok(Self { server, key, token: SecretString::from(token), expires, who, roles })
    }

    /// Saves the session, for its owner alone.
    ///
    /// # Errors
    /// [`RemoteFault::File`].
    pub fn save(&self, path: &Path) -> Result<(), RemoteFault> {
        let fault = |source| RemoteFault::File { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            os::create_private_dir(folder).map_err(fault)?;
        }
        let saved = Saved {
            format: SAVED_FORMAT,
            server: self.server.clone(),
            key: URL_SAFE_NO_PAD.encode(Zeroizing::new(self.key.to_bytes())),
            token: self.token.expose_secret().to_owned(),
            expires: self.expires,
            who: self.who.clone(),
            roles: self.roles.clone(),
        };
        let json = Zeroizing::new(serde_json::to_vec(&saved).map_err(io::Error::from).map_err(fault)?);
        os::write_durable(path, &json).map_err(fault)
    }

    /// Asks the server.
    ///
    /// # Errors
    /// An [`AskFault`].
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, AskFault> {
        let request = self.request(Method::POST, ACT_PATH).map_err(AskFault::Remote)?;
        let body = Zeroizing::new(serde_json::to_vec(ask).map_err(io::Error::from)?);
        let sent = request.header("content-type", "application/json").body(body.to_vec()).send().await;
        match answered(&self.server, sent).await.map_err(AskFault::Remote)? {
            Reply::Done(answer) => Ok(answer),
            Reply::Refused(advice) => Err(AskFault::Refused(advice)),
        }
    }

    /// Ends the session at the server.
    ///
    /// # Errors
    /// A [`RemoteFault`].
    pub async fn end(&self) -> Result<(), RemoteFault> {
        let answer = self.request(Method::DELETE, SESSION_PATH)?.send().await;
        succeeded(&self.server, answer).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, RemoteFault> {
        proved(&client(&self.server)?, &self.server, method, path, &self.key, Some(&self.token))
    }
}

/// What the identity provider gave.
struct Tokens {
    id: String,
    access: String,
}

async fn tokens(way: &SignInWay, nonce: String, show: impl FnOnce(&Url)) -> Result<Tokens, RemoteFault> {
    let issuer = way.issuer.to_string();
    let unreachable = |reason: String| RemoteFault::Unreachable(issuer.clone(), reason);
    let verifier = Verifier::new().map_err(|fault| unreachable(fault.to_string()))?;
    let metadata = verifier.discover(&issuer).await.map_err(unreachable)?;
    let listener =
        TcpListener::bind(("127.0.0.1", 0)).await.map_err(|fault| unreachable(fault.to_string()))?;
    let port = listener.local_addr().map_err(|fault| unreachable(fault.to_string()))?.port();
    let redirect = RedirectUrl::new(format!("http://127.0.0.1:{port}/callback"))
        .map_err(|fault| unreachable(fault.to_string()))?;
    let secret = way.client_secret.clone().map(ClientSecret::new);
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new(way.client_id.clone()), secret)
        .set_auth_type(AuthType::RequestBody)
        .set_redirect_uri(redirect);
    let (challenge, pkce) = PkceCodeChallenge::new_random_sha256();
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let (page, state, _) = client
        .authorize_url(flow, CsrfToken::new_random, || Nonce::new(nonce))
        .add_scopes(way.scopes.iter().cloned().map(Scope::new))
        .set_pkce_challenge(challenge)
        .set_max_age(SIGN_IN_AGE)
        .url();
    show(&page);
    let code = code(listener, state.secret()).await?;
    let http = verifier.http();
    let request = |request| fetch(http.clone(), request);
    let answer = client
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|fault| RemoteFault::NotSignedIn(fault.to_string()))?
        .set_pkce_verifier(pkce)
        .request_async(&request)
        .await
        .map_err(|fault| RemoteFault::NotSignedIn(model::with_causes(&fault)))?;
    let id = answer.id_token().ok_or_else(|| RemoteFault::NotSignedIn("there is no ID token".to_owned()))?;
    let access = openidconnect::OAuth2TokenResponse::access_token(&answer).secret().clone();
    Ok(Tokens { id: id.to_string(), access })
}

/// Waits for the redirect (RFC 8252, section 7.3); whatever else comes to the port is not looked at.
async fn code(listener: TcpListener, state: &str) -> Result<String, RemoteFault> {
    type Parameters = HashMap<String, String>;
    let (send, mut receive) = mpsc::channel::<Parameters>(4);
    let page = async |State(send): State<mpsc::Sender<Parameters>>, Query(found): Query<Parameters>| {
        let _ = send.try_send(found);
        Html("<!doctype html><title>Deskgate</title><p>You can close this page and go back to your terminal.")
    };
    let router = Router::new().route("/callback", get(page)).with_state(send);
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let found = async {
        loop {
            let found = receive.recv().await?;
            if found.get("state").is_some_and(|found| found == state) {
                return Some(found);
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    // The page is on its way; the connection has no other end.
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.abort();
    let late = || RemoteFault::NotSignedIn("nobody came back from the identity provider in time".to_owned());
    let found = found.map_err(|_| late())?.ok_or_else(late)?;
    let why = |error: &String| {
        let more = found.get("error_description").map(|more| format!(" ({more})")).unwrap_or_default();
        RemoteFault::NotSignedIn(format!("{error}{more}"))
    };
    match (found.get("code"), found.get("error")) {
        (Some(code), None) => Ok(code.clone()),
        (_, Some(error)) => Err(why(error)),
        (None, None) => Err(RemoteFault::NotSignedIn("the identity provider gave no code".to_owned())),
    }
}

fn client(server: &Url) -> Result<reqwest::Client, RemoteFault> {
    if !is_trustworthy(server) {
        return Err(RemoteFault::Insecure(server.clone()));
    }
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(DEADLINE)
        .build()
        .map_err(|fault| RemoteFault::Unreachable(server.to_string(), fault.to_string()))
}

fn at(server: &Url, path: &str) -> Result<Url, RemoteFault> {
    let mut base = server.clone();
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", server.path()));
    }
    base.join(path).map_err(|_| RemoteFault::Unusable(server.to_string()))
}

/// A request that proves the key (RFC 9449), for the session where there is one.
fn proved(
    http: &reqwest::Client,
    server: &Url,
    method: Method,
    path: &str,
    key: &SigningKey,
    token: Option<&SecretString>,
) -> Result<RequestBuilder, RemoteFault> {
    let url = at(server, path)?;
    let jti = new_secret("").map_err(RemoteFault::Random)?;
    let token = token.map(|token| token.expose_secret());
    let proof_for = ProofFor { method: method.as_str(), url: &url, access_token: token };
    let fresh = Fresh { jti: &jti, now: os::SystemClock.now(), nonce: None };
    let sign = |input: &[u8]| {
        let signature: p256::ecdsa::Signature = key.sign(input);
        Ok::<[u8; 64], RemoteFault>(signature.to_bytes().into())
    };
    let proof = dpop::prove(&jwk(key), proof_for, fresh, sign)?;
    let request = http.request(method, url).header("dpop", proof);
    Ok(match token {
        Some(token) => request.header("authorization", format!("DPoP {token}")),
        None => request,
    })
}

async fn succeeded(server: &Url, sent: Result<Response, reqwest::Error>) -> Result<Vec<u8>, RemoteFault> {
    let unreachable = |fault: reqwest::Error| {
        RemoteFault::Unreachable(server.to_string(), model::with_causes(&fault.without_url()))
    };
    let answer = sent.map_err(unreachable)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(unreachable)?;
    if status.is_success() {
        return Ok(body.to_vec());
    }
    let said = serde_json::from_slice::<ErrorBody>(&body);
    Err(match said {
        Ok(ErrorBody { error }) if error.code == "session-ended" => RemoteFault::NoSession(server.clone()),
        Ok(ErrorBody { error }) => RemoteFault::Refused(error),
        Err(_) => RemoteFault::Unusable(server.to_string()),
    })
}

async fn answered<T: DeserializeOwned>(
    server: &Url,
    sent: Result<Response, reqwest::Error>,
) -> Result<T, RemoteFault> {
    let body = succeeded(server, sent).await?;
    serde_json::from_slice(&body).map_err(|_| RemoteFault::Unusable(server.to_string()))
}

fn jwk(key: &SigningKey) -> Jwk {
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes().get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
    let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    Jwk { kty: "EC".to_owned(), crv: "P-256".to_owned(), x: coordinate(x), y: coordinate(y) }
}
