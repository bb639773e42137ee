//! A connector as far as signing in to it goes.

use std::collections::BTreeSet;

use org_protocol::{ClientMetadataUrl, ConnectorSpec, CredentialSpec, LoopbackRedirect, TokenHeader};
use serde::{Deserialize, Serialize};
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
    /// How one comes to a token.
    pub(super) way: Way,
}

/// How one comes to a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// The person signs in at the authorization server (RFC 6749, section 4.1).
    Code(Registered),
    /// The person types it.
    Typed {
        /// The header that it goes into.
        header: TokenHeader,
        /// What IT says of where to get one.
        hint: Option<String>,
    },
}

/// As whom the person is led to the authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registered {
    /// The client id that was registered beforehand.
    pub(super) client_id: Option<String>,
    /// What the server insists on beside it.
    pub(super) client_secret: Option<String>,
    /// Where a sign-in may come back to; any port where empty.
    pub(super) redirect_uris: Vec<LoopbackRedirect>,
    /// The document by which Deskgate names itself where nothing was registered.
    pub(super) document: Option<ClientMetadataUrl>,
}

/// [`Way`] by name, as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WayName {
    /// [`Way::Code`].
    #[default]
    Code,
    /// [`Way::Typed`].
    Typed,
}

impl Target {
    /// `None` for a connector that has no accounts of people.
    pub(super) fn of(spec: &ConnectorSpec, document: Option<&ClientMetadataUrl>) -> Option<Self> {
        let nothing = BTreeSet::new();
        let (way, scopes) = match &spec.credential {
            CredentialSpec::UserOauth { scopes, client_id, client_secret, redirect_uris } => {
                let registered = Registered {
                    client_id: client_id.clone(),
                    client_secret: client_secret.clone(),
                    redirect_uris: redirect_uris.clone(),
                    document: document.cloned(),
                };
                (Way::Code(registered), scopes)
            }
            CredentialSpec::UserToken { header, hint } => {
                (Way::Typed { header: header.clone(), hint: hint.clone() }, &nothing)
            }
            CredentialSpec::None | CredentialSpec::Brokered { .. } => return None,
        };
        Some(Self { title: spec.title.clone(), url: spec.url.clone()?, scopes: scopes.clone(), way })
    }
}

impl Way {
    pub(super) fn name(&self) -> WayName {
        match self {
            Self::Code(_) => WayName::Code,
            Self::Typed { .. } => WayName::Typed,
        }
    }

    /// The client id that was registered beforehand, where one was.
    pub(super) fn client_id(&self) -> Option<&String> {
        match self {
            Self::Code(registered) => registered.client_id.as_ref(),
            Self::Typed { .. } => None,
        }
    }

    /// The secret of that client as it is set now.
    pub(super) fn client_secret(&self) -> Option<&String> {
        match self {
            Self::Code(registered) => registered.client_secret.as_ref(),
            Self::Typed { .. } => None,
        }
    }

    /// The header that a token goes into.
    pub(super) fn header(&self) -> TokenHeader {
        match self {
            Self::Typed { header, .. } => header.clone(),
            Self::Code(_) => TokenHeader::default(),
        }
    }

    /// Whether the person can be asked to allow more than before.
    pub(super) fn can_widen(&self) -> bool {
        match self {
            Self::Code(_) => true,
            Self::Typed { .. } => false,
        }
    }
}
