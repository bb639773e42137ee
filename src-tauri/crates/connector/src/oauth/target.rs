//! A connector as far as signing in to it goes.

use std::collections::BTreeSet;

use org_protocol::{
    ClientAuthentication, ClientMetadataUrl, ConnectorSpec, CredentialSpec, LoopbackRedirect, TokenHeader,
};
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
    /// A program's account, whose secret the person types (RFC 6749, section 4.4).
    Client(Service),
    /// The organisation's identity provider vouches for the person.
    Enterprise {
        /// Who Deskgate is at the authorization server.
        registered: Registered,
        /// Whether the person is asked where it does not.
        or_ask: bool,
    },
}

/// A program's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    /// The client id.
    pub(super) client_id: String,
    /// How it proves who it is.
    pub(super) authentication: ClientAuthentication,
    /// What IT says of where to get the secret.
    pub(super) hint: Option<String>,
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
    /// [`Way::Client`].
    Client,
    /// [`Way::Enterprise`].
    Enterprise,
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
            CredentialSpec::ClientCredentials { client_id, authentication, scopes, hint } => {
                let service = Service {
                    client_id: client_id.clone(),
                    authentication: *authentication,
                    hint: hint.clone(),
                };
                (Way::Client(service), scopes)
            }
            CredentialSpec::Enterprise { client_id, client_secret, scopes, or_ask } => {
                let registered = Registered {
                    client_id: Some(client_id.clone()),
                    client_secret: client_secret.clone(),
                    redirect_uris: Vec::new(),
                    document: None,
                };
                (Way::Enterprise { registered, or_ask: *or_ask }, scopes)
            }
            CredentialSpec::None | CredentialSpec::Brokered { .. } | CredentialSpec::Leased { .. } => {
                return None;
            }
        };
        Some(Self { title: spec.title.clone(), url: spec.url.clone()?, scopes: scopes.clone(), way })
    }
}

impl Way {
    pub(super) fn name(&self) -> WayName {
        match self {
            Self::Code(_) => WayName::Code,
            Self::Typed { .. } => WayName::Typed,
            Self::Client(_) => WayName::Client,
            Self::Enterprise { .. } => WayName::Enterprise,
        }
    }

    /// The client id that was registered beforehand, where one was.
    pub(super) fn client_id(&self) -> Option<&String> {
        match self {
            Self::Code(registered) | Self::Enterprise { registered, .. } => registered.client_id.as_ref(),
            Self::Client(service) => Some(&service.client_id),
            Self::Typed { .. } => None,
        }
    }

    /// The client as it is set now, where its secret is set and not typed.
    pub(super) fn registered(&self) -> Option<&Registered> {
        match self {
            Self::Code(registered) | Self::Enterprise { registered, .. } => Some(registered),
            Self::Client(_) | Self::Typed { .. } => None,
        }
    }

    /// The header that a token goes into.
    pub(super) fn header(&self) -> TokenHeader {
        match self {
            Self::Typed { header, .. } => header.clone(),
            Self::Code(_) | Self::Client(_) | Self::Enterprise { .. } => TokenHeader::default(),
        }
    }

    /// Whether the person can be asked to allow more than before.
    pub(super) fn can_widen(&self) -> bool {
        match self {
            Self::Code(_) => true,
            Self::Typed { .. } | Self::Client(_) | Self::Enterprise { .. } => false,
        }
    }

    /// Whether nobody need be asked.
    pub(super) fn is_silent(&self) -> bool {
        match self {
            Self::Enterprise { .. } => true,
            Self::Code(_) | Self::Typed { .. } | Self::Client(_) => false,
        }
    }
}
