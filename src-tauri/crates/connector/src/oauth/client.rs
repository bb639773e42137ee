//! Who Deskgate is at an authorization server: registered beforehand by IT, or registered by itself (RFC 7591) and
//! remembered. A registration is bound to its issuer and never used at another.

use model::Digest;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use signin::{FaultKind, SecretStore, seal, sealed_text, unseal};
use url::Url;
use vault::Kind;

use super::discovery::Found;
use super::target::Registered;

/// The format version of [`Registration`] that is written. Version 1, whose registrations all came back to one path, is read too.
const FORMAT: u32 = 2;

/// Who Deskgate is.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: Option<SecretString>,
    /// Whether it was registered without a port, in the hope that any port will do.
    pub(super) hopeful: bool,
    /// The path of its redirect URI, if not the usual one.
    pub(super) path: Option<String>,
}

impl Client {
    /// The redirect URI of an attempt by this client.
    pub(super) fn comes_back(&self, to: &Url) -> Url {
        at(to, self.path.as_deref())
    }
}

/// The path at which answers of an authorization server come back that does not say that it names itself in them (RFC 9207):
/// no other's come back there, so none is taken for its own (RFC 9700, section 4.4.2.2).
fn path_of(issuer: &str) -> String {
    let digest = Digest::of(issuer.as_bytes()).hex();
    format!("/callback/{}", digest.get(..16).unwrap_or(&digest))
}

fn at(redirect_uri: &Url, path: Option<&str>) -> Url {
    let mut redirect_uri = redirect_uri.clone();
    if let Some(path) = path {
        redirect_uri.set_path(path);
    }
    redirect_uri
}

/// The redirect URI without a port: a server that follows RFC 8252, section 7.3, takes any port for it.
fn with_any_port(path: Option<&str>) -> String {
    format!("http://127.0.0.1{}", path.unwrap_or("/callback"))
}

/// What is remembered of an issuer.
#[derive(Clone, Serialize, Deserialize)]
struct Registration {
    format: u32,
    issuer: String,
    client_id: Option<String>,
    #[serde(with = "sealed_text::option")]
    client_secret: Option<SecretString>,
    /// An attempt with any port did not come back: from then on each attempt registers its own port.
    exact_port: bool,
    /// The path of the redirect URI, if not the usual one.
    #[serde(default)]
    path: Option<String>,
}

/// The client for one attempt, in the order of the specification (MCP 2026-07-28, basic/authorization, "Client
/// Registration Approaches"): registered beforehand, named by a document, remembered, or registered now.
pub(super) async fn choose(
    found: &mut Found,
    target: &Registered,
    store: &dyn SecretStore,
    redirect_uri: &Url,
) -> Result<Client, FaultKind> {
    if let Some(id) = &target.client_id {
        let secret = target.client_secret.clone().map(SecretString::from);
        return Ok(Client { id: id.clone(), secret, hopeful: false, path: None });
    }
    let known = remembered(store, &found.issuer).await?;
    let exact_port = known.as_ref().is_some_and(|known| known.exact_port);
    if let Some(document) = target.document.as_ref().filter(|_| found.takes_documents && !exact_port) {
        let id = document.as_str().to_owned();
        return Ok(Client { id, secret: None, hopeful: found.registers, path: None });
    }
    // Where IT fixed the redirect URIs, they are these.
    let free = target.redirect_uris.is_empty();
    let path = (free && !found.announces_issuer).then(|| path_of(&found.issuer));
    if let Some(Registration { client_id: Some(id), client_secret, exact_port: false, path: known, .. }) =
        known
        && (path.is_none() || path == known)
    {
        return Ok(Client { id, secret: client_secret, hopeful: true, path: known });
    }
    if exact_port {
        let (id, secret) = found.register(at(redirect_uri, path.as_deref()).as_str()).await?;
        return Ok(Client { id, secret, hopeful: false, path });
    }
    let (id, secret) = found.register(&with_any_port(path.as_deref())).await?;
    let client = Client { id, secret, hopeful: true, path };
    remember(store, &found.issuer, Some(&client), false).await?;
    Ok(client)
}

/// Notes that an attempt with any port did not come back. The person may just have closed the window; then the next attempt
/// registers once more than needed.
pub(super) async fn doubt(store: &dyn SecretStore, issuer: &str, client: &Client) -> Result<(), FaultKind> {
    if client.hopeful { remember(store, issuer, None, true).await } else { Ok(()) }
}

/// Forgets the registration of this client id, which the server no longer knows.
pub(super) async fn forget(store: &dyn SecretStore, issuer: &str, client_id: &str) -> Result<(), FaultKind> {
    let known = remembered(store, issuer).await?.and_then(|known| known.client_id);
    if known.is_none_or(|known| known == client_id) {
        store.remove(Kind::Client, &key(issuer)).await
    } else {
        Ok(())
    }
}

async fn remembered(store: &dyn SecretStore, issuer: &str) -> Result<Option<Registration>, FaultKind> {
    let found = store.fetch(Kind::Client, &key(issuer)).await?;
    let read = found.and_then(|bytes| unseal::<Registration>(&bytes));
    Ok(read.filter(|known| (1..=FORMAT).contains(&known.format) && known.issuer == issuer))
}

async fn remember(
    store: &dyn SecretStore,
    issuer: &str,
    client: Option<&Client>,
    exact_port: bool,
) -> Result<(), FaultKind> {
    let registration = Registration {
        format: FORMAT,
        issuer: issuer.to_owned(),
        client_id: client.map(|client| client.id.clone()),
        client_secret: client.and_then(|client| client.secret.clone()),
        exact_port,
        path: client.and_then(|client| client.path.clone()),
    };
    store.put(Kind::Client, &key(issuer), &seal(&registration)?).await
}

fn key(issuer: &str) -> String {
    Digest::of(issuer.as_bytes()).hex()
}
