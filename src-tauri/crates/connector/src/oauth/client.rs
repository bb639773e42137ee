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

/// The format version of [`Registration`] that is written and read.
const FORMAT: u32 = 1;

/// The redirect URI without a port: a server that follows RFC 8252, section 7.3, takes any port for it.
const ANY_PORT: &str = "http://127.0.0.1/callback";

/// Who Deskgate is.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: Option<SecretString>,
    /// Whether it was registered without a port, in the hope that any port will do.
    pub(super) hopeful: bool,
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
        return Ok(Client { id: id.clone(), secret, hopeful: false });
    }
    let known = remembered(store, &found.issuer).await?;
    let exact_port = known.as_ref().is_some_and(|known| known.exact_port);
    if let Some(document) = target.document.as_ref().filter(|_| found.takes_documents && !exact_port) {
        return Ok(Client { id: document.as_str().to_owned(), secret: None, hopeful: found.registers });
    }
    if let Some(Registration { client_id: Some(id), client_secret, exact_port: false, .. }) = &known {
        return Ok(Client { id: id.clone(), secret: client_secret.clone(), hopeful: true });
    }
    if exact_port {
        let (id, secret) = found.register(redirect_uri.as_str()).await?;
        return Ok(Client { id, secret, hopeful: false });
    }
    let (id, secret) = found.register(ANY_PORT).await?;
    let client = Client { id, secret, hopeful: true };
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
    Ok(read.filter(|known| known.format == FORMAT && known.issuer == issuer))
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
    };
    store.put(Kind::Client, &key(issuer), &seal(&registration)?).await
}

fn key(issuer: &str) -> String {
    Digest::of(issuer.as_bytes()).hex()
}
