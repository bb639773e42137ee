//! Who Deskgate is at the authorization servers of connectors, and what it sends to connectors themselves.

use serde::{Deserialize, Serialize};
use url::Url;

/// The address of a Client ID Metadata Document, which is a client id: `https` with a path, without fragment or user name
/// (draft-ietf-oauth-client-id-metadata-document, "Client Identifier").
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Url", into = "Url")]
pub struct ClientMetadataUrl(Url);

impl ClientMetadataUrl {
    /// The client id.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<Url> for ClientMetadataUrl {
    type Error = &'static str;

    fn try_from(url: Url) -> Result<Self, Self::Error> {
        if model::is_client_document(&url) {
            Ok(Self(url))
        } else {
            Err("a client metadata URL is https with a path, without fragment or user name")
        }
    }
}

impl From<ClientMetadataUrl> for Url {
    fn from(ClientMetadataUrl(url): ClientMetadataUrl) -> Self {
        url
    }
}

/// A redirect URI on this computer as it was registered, port included: for servers that compare it exactly instead of taking
/// any port (RFC 8252, section 7.3; RFC 9700, section 2.1).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Url", into = "Url")]
pub struct LoopbackRedirect(Url);

impl LoopbackRedirect {
    /// The redirect URI.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.port().unwrap_or_default()
    }
}

impl TryFrom<Url> for LoopbackRedirect {
    type Error = &'static str;

    fn try_from(url: Url) -> Result<Self, Self::Error> {
        let plain = model::is_on_this_machine(&url)
            && url.scheme() == "http"
            && url.port().is_some_and(|port| port != 0)
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if plain {
            Ok(Self(url))
        } else {
            Err("a redirect URI is http on this computer, with a port and without a query")
        }
    }
}

impl From<LoopbackRedirect> for Url {
    fn from(LoopbackRedirect(url): LoopbackRedirect) -> Self {
        url
    }
}

/// The HTTP header that a token goes into. Only one that is nobody else's: what frames a message, names its host or belongs to
/// MCP is refused.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHeader(String);

/// The longest name of a header, in bytes.
const LONGEST_HEADER: usize = 64;

/// Headers that say something else than who asks (RFC 9110; RFC 9112; Fetch).
const NOT_FOR_TOKENS: [&str; 18] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "last-event-id",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

impl TokenHeader {
    /// Its name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `Authorization`, where a token is a bearer token (RFC 6750, section 2.1).
    pub fn is_authorization(&self) -> bool {
        self.0 == "authorization"
    }
}

impl Default for TokenHeader {
    fn default() -> Self {
        Self("authorization".to_owned())
    }
}

impl TryFrom<String> for TokenHeader {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let name = name.to_ascii_lowercase();
        let plain = !name.is_empty()
            && name.len() <= LONGEST_HEADER
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let free = !NOT_FOR_TOKENS.contains(&name.as_str())
            && !["mcp-", "sec-", "proxy-", "access-control-"].iter().any(|start| name.starts_with(start));
        if plain && free { Ok(Self(name)) } else { Err("this header cannot carry a token") }
    }
}

impl From<TokenHeader> for String {
    fn from(TokenHeader(name): TokenHeader) -> Self {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_metadata_url_is_what_servers_take_for_a_client_id() {
        let read = |text: &str| serde_json::from_value::<ClientMetadataUrl>(text.into());
        let good = "https://config.acme.test/deskgate/client.json";
        assert_eq!(read(good).expect("good").as_str(), good);
        for wrong in
            ["http://a.test/c", "https://a.test/", "https://a.test/c#x", "https://u@a.test/c", "c.json"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_redirect_uri_stays_on_this_computer_and_names_its_port() {
        let read = |text: &str| serde_json::from_value::<LoopbackRedirect>(text.into());
        for good in
            ["http://127.0.0.1:8400/callback", "http://localhost:8400/", "http://[::1]:8400/oauth/done"]
        {
            let read = read(good).expect(good);
            assert_eq!((read.url().as_str(), read.port()), (good, 8400));
        }
        for wrong in [
            "http://127.0.0.1/callback",
            "https://127.0.0.1:8400/callback",
            "http://10.0.0.1:8400/callback",
            "http://localhost.evil.test:8400/",
            "http://127.0.0.1:8400/callback?x=1",
            "http://u@127.0.0.1:8400/callback",
            "cursor://callback",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_goes_only_into_a_header_of_its_own() {
        let read = |text: &str| serde_json::from_value::<TokenHeader>(text.into());
        assert!(TokenHeader::default().is_authorization());
        assert!(read("Authorization").expect("good").is_authorization());
        assert_eq!(read("X-API-Key").expect("good").as_str(), "x-api-key");
        for wrong in [
            "",
            "Host",
            "content-length",
            "Mcp-Session-Id",
            "Sec-Fetch-Site",
            "a b",
            "a:b",
            "x\r\ny",
            "Origin",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
