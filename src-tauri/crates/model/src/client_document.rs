//! The address of a Client ID Metadata Document.

use url::Url;

/// Whether a URL can be the client id of whoever is described there: `https` with a path, without fragment or user name
/// (draft-ietf-oauth-client-id-metadata-document, "Client Identifier").
pub fn is_client_document(url: &Url) -> bool {
    url.scheme() == "https"
        && url.path() != "/"
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}
