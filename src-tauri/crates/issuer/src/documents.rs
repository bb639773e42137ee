//! Client ID Metadata Documents: an assistant that names itself by the URL of a document about it
//! (draft-ietf-oauth-client-id-metadata-document; MCP 2026-07-28, basic/authorization).
//!
//! The documents of well-known assistants are pinned here, because a desktop's way to them is often blocked. Others are
//! fetched when they are first named, and kept for an hour. What is fetched is the document's own claim: where code may
//! be sent to is still loopback only, and a person is still asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::{BoxFuture, Timestamp};
use serde::Deserialize;
use url::Url;

use crate::Limits;
use crate::clients::Client;
use crate::name::ClientName;
use crate::register::{MetadataFault, acceptable};

/// The largest document that is read, in bytes. The draft recommends five thousand; some list many redirects.
pub(crate) const LARGEST: usize = 16 * 1024;
/// The longest client id, in bytes.
const LONGEST_ID: usize = 512;
/// How long a document holds once it was fetched.
const LIFE: Duration = Duration::from_secs(60 * 60);
/// How many fetched documents are kept.
const MOST: usize = 64;

/// Fetches documents over the network.
pub trait Documents: Send + Sync {
    /// What lies at an `https` URL: the body of a successful answer, without following redirects, from public addresses
    /// only. The reason in words, for the log, if there is none.
    fn fetch(&self, url: Url) -> BoxFuture<'_, Result<Vec<u8>, String>>;
}

struct Document {
    client_id: &'static str,
    client_name: &'static str,
    /// Without ports, which are any.
    redirect_uris: &'static [&'static str],
}

const CALLBACKS: &[&str] = &["http://localhost/callback", "http://127.0.0.1/callback"];

/// The published documents, as of September 2026. Redirects other than loopback are left out.
const DOCUMENTS: &[Document] = &[
    Document {
        client_id: "https://claude.ai/oauth/claude-code-client-metadata",
        client_name: "Claude Code",
        redirect_uris: CALLBACKS,
    },
    Document {
        client_id: "https://chatgpt.com/oauth/codex/client.json",
        client_name: "Codex",
        redirect_uris: CALLBACKS,
    },
    Document {
        client_id: "https://vscode.dev/oauth/client-metadata.json",
        client_name: "Visual Studio Code",
        redirect_uris: &["http://127.0.0.1/"],
    },
    Document {
        client_id: "https://zed.dev/oauth/client-metadata.json",
        client_name: "Zed",
        redirect_uris: &["http://127.0.0.1/callback"],
    },
    Document {
        client_id: "https://opencode.ai/oauth/opencode/client.json",
        client_name: "opencode",
        // The program's own redirect is not in its document.
        redirect_uris: &[
            "http://127.0.0.1/callback",
            "http://localhost/callback",
            "http://127.0.0.1/mcp/oauth/callback",
        ],
    },
];

/// Why a document makes no client. The texts go on after "the document that this assistant names itself by".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentFault {
    #[error("is at an address that no such document may have")]
    Address,
    #[error("could not be fetched")]
    Unreachable,
    #[error("is too long")]
    Length,
    #[error("is no JSON object of client metadata")]
    Form,
    #[error("is about another client")]
    OtherClient,
    #[error("asks for a client secret, which no program on a desktop can keep")]
    Secret,
    #[error("cannot be accepted ({0})")]
    Metadata(MetadataFault),
    #[error("bears the name of another assistant")]
    Name,
}

/// What a document says beside the metadata that registrations have too (RFC 7591, section 2).
#[derive(Deserialize)]
struct Own {
    client_id: String,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
    #[serde(default)]
    client_secret: Option<serde::de::IgnoredAny>,
}

/// Whether a client id has the form of a metadata document's URL.
pub(crate) fn is_document(client_id: &str) -> bool {
    client_id.starts_with("https://")
}

/// The client of a pinned document.
pub(crate) fn pinned(client_id: &str) -> Option<Client> {
    let document = DOCUMENTS.iter().find(|document| document.client_id == client_id)?;
    Some(Client {
        id: document.client_id.to_owned(),
        name: document.client_name.parse().unwrap_or_else(|_| ClientName::unnamed()),
        redirects: document.redirect_uris.iter().filter_map(|uri| uri.parse().ok()).collect(),
        registered: None,
        last_used: None,
    })
}

/// The address of a document: `https` with a path, and nothing in it that two readers could read differently (section
/// "Client Identifier" of the draft).
pub(crate) fn address(client_id: &str) -> Result<Url, DocumentFault> {
    let url = Url::parse(client_id).map_err(|_| DocumentFault::Address)?;
    let plain = client_id.len() <= LONGEST_ID
        && model::is_client_document(&url)
        // A URL that is not written as it is sent has dot segments, capitals in its host, or worse.
        && url.as_str() == client_id;
    if plain { Ok(url) } else { Err(DocumentFault::Address) }
}

/// The client that a fetched document describes.
fn read(client_id: &str, body: &[u8]) -> Result<Client, DocumentFault> {
    if body.len() > LARGEST {
        return Err(DocumentFault::Length);
    }
    let own: Own = serde_json::from_slice(body).map_err(|_| DocumentFault::Form)?;
    if own.client_id != client_id {
        return Err(DocumentFault::OtherClient);
    }
    let secret = own.client_secret.is_some()
        || own.token_endpoint_auth_method.is_some_and(|method| method.starts_with("client_secret"));
    if secret {
        return Err(DocumentFault::Secret);
    }
    let (name, redirects) = acceptable(body).map_err(DocumentFault::Metadata)?;
    // A well-known name belongs to its own document.
    if DOCUMENTS.iter().any(|known| known.client_name.eq_ignore_ascii_case(name.as_str())) {
        return Err(DocumentFault::Name);
    }
    Ok(Client { id: client_id.to_owned(), name, redirects, registered: None, last_used: None })
}

/// The documents that were fetched.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    known: Mutex<BTreeMap<String, (Timestamp, Client)>>,
    recent: Mutex<VecDeque<Timestamp>>,
}

impl Fetched {
    /// The client of a document that was fetched within the hour.
    pub(crate) fn find(&self, client_id: &str, now: Timestamp) -> Option<Client> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(client_id).filter(|(at, _)| now.since(*at) < LIFE).map(|(_, client)| client.clone())
    }

    /// Whether one more may be fetched now.
    pub(crate) fn may_fetch(&self, limits: &Limits, now: Timestamp) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|at| now.since(*at) < limits.registration_window);
        let may = recent.len() < limits.registrations;
        if may {
            recent.push_back(now);
        }
        may
    }

    /// Reads what was fetched and keeps it; faults are not kept.
    pub(crate) fn keep(&self, client_id: &str, body: &[u8], now: Timestamp) -> Result<Client, DocumentFault> {
        let client = read(client_id, body)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| now.since(*at) < LIFE);
        if known.len() >= MOST
            && let Some(oldest) = known.iter().min_by_key(|(_, (at, _))| *at).map(|(id, _)| id.clone())
        {
            known.remove(&oldest);
        }
        known.insert(client_id.to_owned(), (now, client.clone()));
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pinned_document_is_whole() {
        for document in DOCUMENTS {
            let client = pinned(document.client_id).unwrap();
            assert_eq!(client.name.as_str(), document.client_name);
            assert_eq!(client.redirects.len(), document.redirect_uris.len(), "{}", document.client_id);
        }
    }

    #[test]
    fn an_address_like_a_pinned_one_is_not_it() {
        for id in [
            "https://claude.ai/oauth/claude-code-client-metadata/",
            "https://claude.ai/oauth/claude-code-client-metadata?x",
            "http://claude.ai/oauth/claude-code-client-metadata",
            "https://claude.ai.evil.example/oauth/claude-code-client-metadata",
            "https://CLAUDE.ai/oauth/claude-code-client-metadata",
        ] {
            assert!(pinned(id).is_none(), "{id}");
        }
    }

    const ID: &str = "https://assistant.example/oauth/client.json";
    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn of(more: &str) -> Result<Client, DocumentFault> {
        let body = format!(
            r#"{{"client_id":"{ID}","client_name":"Example","redirect_uris":["http://127.0.0.1/callback"]{more}}}"#
        );
        read(ID, body.as_bytes())
    }

    #[test]
    fn a_document_makes_a_client() {
        let client = of(r#","logo_uri":"https://assistant.example/logo.png""#).unwrap();
        assert_eq!((client.id.as_str(), client.name.as_str()), (ID, "Example"));
        assert!(client.redirects_to(&"http://127.0.0.1:50123/callback".parse().unwrap()));
    }

    #[test]
    fn a_document_that_cannot_be_trusted_is_refused() {
        let of_body = |body: &str| read(ID, body.as_bytes()).unwrap_err();
        let redirects = |uris: &str| of_body(&format!(r#"{{"client_id":"{ID}","redirect_uris":[{uris}]}}"#));
        assert_eq!(of_body("[]"), DocumentFault::Form);
        assert_eq!(of_body(&format!(r#"{{"client_id":"{ID}/"}}"#)), DocumentFault::OtherClient);
        assert_eq!(of(r#","client_secret":"x""#), Err(DocumentFault::Secret));
        assert_eq!(of(r#","token_endpoint_auth_method":"client_secret_basic""#), Err(DocumentFault::Secret));
        let key = of(r#","token_endpoint_auth_method":"private_key_jwt""#);
        assert!(matches!(key, Err(DocumentFault::Metadata(MetadataFault::AuthMethod))));
        assert!(matches!(redirects(""), DocumentFault::Metadata(MetadataFault::RedirectCount)));
        let web = redirects(r#""https://assistant.example/callback""#);
        assert!(matches!(web, DocumentFault::Metadata(MetadataFault::Redirect(_))));
        let named = |name: &str| {
            of_body(&format!(
                r#"{{"client_id":"{ID}","client_name":"{name}","redirect_uris":["http://127.0.0.1/"]}}"#
            ))
        };
        assert!(matches!(named("Cl\\u0430ude"), DocumentFault::Metadata(MetadataFault::Name(_))));
        assert_eq!(named("claude code"), DocumentFault::Name, "that is somebody else's");
        assert_eq!(of_body(&format!("{:>1$}", "", LARGEST + 1)), DocumentFault::Length);
    }

    #[test]
    fn an_address_is_written_as_it_is_sent() {
        assert_eq!(address(ID).map(String::from).as_deref(), Ok(ID));
        assert!(address("https://assistant.example/client?v=2").is_ok(), "discouraged, not forbidden");
        for wrong in [
            "https://assistant.example",
            "https://assistant.example/",
            "http://assistant.example/client.json",
            "https://Assistant.example/client.json",
            "https://assistant.example:443/client.json",
            "https://user@assistant.example/client.json",
            "https://assistant.example/client.json#x",
            "https://assistant.example/a/../client.json",
            "https://assistant.example/%2e/client.json",
            "https://assistant.example\\client.json",
            "https:// assistant.example/client.json",
        ] {
            assert_eq!(address(wrong), Err(DocumentFault::Address), "{wrong}");
        }
    }

    #[test]
    fn a_fetched_document_holds_for_an_hour_and_not_for_everybody() {
        let fetched = Fetched::default();
        let body = |id: &str| format!(r#"{{"client_id":"{id}","redirect_uris":["http://127.0.0.1/"]}}"#);
        fetched.keep(ID, body(ID).as_bytes(), NOW).unwrap();
        assert!(fetched.find(ID, NOW.plus(LIFE - Duration::from_secs(1))).is_some());
        assert!(fetched.find(ID, NOW.plus(LIFE)).is_none());
        for number in 0..MOST {
            let id = format!("https://assistant.example/{number}");
            fetched.keep(&id, body(&id).as_bytes(), NOW.plus(Duration::from_secs(1))).unwrap();
        }
        assert!(fetched.find(ID, NOW).is_none(), "the oldest gave way");
    }
}
