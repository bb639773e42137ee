//! Client ID Metadata Documents that are known here (draft-ietf-oauth-client-id-metadata-document; MCP 2026-07-28,
//! basic/authorization).
//!
//! The documents are pinned, never fetched: a desktop's fetches are often blocked, and a loopback server that fetches
//! addresses it is given is a way into the network. A client whose document is not pinned registers dynamically instead.

use crate::clients::Client;
use crate::name::ClientName;

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

/// Whether a client id has the form of a metadata document's URL.
pub(crate) fn is_document(client_id: &str) -> bool {
    client_id.starts_with("https://")
}

/// The client of a pinned document.
pub(crate) fn client(client_id: &str) -> Option<Client> {
    let document = DOCUMENTS.iter().find(|document| document.client_id == client_id)?;
    Some(Client {
        id: document.client_id.to_owned(),
        name: document.client_name.parse().unwrap_or_else(|_| ClientName::unnamed()),
        redirects: document.redirect_uris.iter().filter_map(|uri| uri.parse().ok()).collect(),
        registered: None,
        last_used: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pinned_document_is_whole() {
        for document in DOCUMENTS {
            let client = client(document.client_id).unwrap();
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
            assert!(client(id).is_none(), "{id}");
        }
    }
}
