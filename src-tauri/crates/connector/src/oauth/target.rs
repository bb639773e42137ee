//! A connector as far as signing in to it goes.

use std::collections::BTreeSet;

use org_protocol::{ClientMetadataUrl, ConnectorSpec, CredentialSpec, LoopbackRedirect};
use url::Url;

/// What a grant is for. A grant for something else is no grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The connector's title, as people read it.
    pub(super) title: String,
    /// Its endpoint.
    pub(super) url: Url,
    /// The scopes that IT asks for; what the server says where empty.
    pub(super) scopes: BTreeSet<String>,
    /// The client id that was registered beforehand.
    pub(super) client_id: Option<String>,
    /// What the server insists on beside it.
    pub(super) client_secret: Option<String>,
    /// Where a sign-in may come back to; any port where empty.
    pub(super) redirect_uris: Vec<LoopbackRedirect>,
    /// The document by which Deskgate names itself where nothing was registered.
    pub(super) document: Option<ClientMetadataUrl>,
}

impl Target {
    /// `None` for a connector that has no accounts of people.
    pub(super) fn of(spec: &ConnectorSpec, document: Option<&ClientMetadataUrl>) -> Option<Self> {
        let url = spec.url.clone()?;
        match &spec.credential {
            CredentialSpec::UserOauth { scopes, client_id, client_secret, redirect_uris } => Some(Self {
                title: spec.title.clone(),
                url,
                scopes: scopes.clone(),
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
                redirect_uris: redirect_uris.clone(),
                document: document.cloned(),
            }),
            CredentialSpec::None | CredentialSpec::Brokered { .. } => None,
        }
    }
}
