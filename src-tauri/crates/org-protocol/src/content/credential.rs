//! How calls to a connector are authenticated.

use std::collections::BTreeSet;

use model::CredentialId;
use serde::{Deserialize, Serialize};

use super::is_false;
use crate::client::{LoopbackRedirect, TokenHeader};
use crate::lease::LONGEST_LEASE;

impl CredentialSpec {
    /// The references to service accounts, in order of preference; none where people have accounts of their own.
    pub fn shared(&self) -> &[CredentialId] {
        match self {
            Self::Brokered { credentials, .. } | Self::Leased { credentials, .. } => credentials,
            Self::None
            | Self::UserOauth { .. }
            | Self::UserToken { .. }
            | Self::ClientCredentials { .. }
            | Self::Enterprise { .. } => &[],
        }
    }

    /// Whether it is a service account of the organisation.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Brokered { .. } | Self::Leased { .. })
    }

    pub(super) fn check(&self) -> Result<(), CredentialFault> {
        match self {
            Self::UserOauth { client_id: None, client_secret: Some(_), .. } => {
                Err(CredentialFault::SecretOfNobody)
            }
            Self::UserOauth { client_id: None, redirect_uris, .. } if !redirect_uris.is_empty() => {
                Err(CredentialFault::RedirectOfNobody)
            }
            Self::Leased { seconds, .. }
                if *seconds < SHORTEST_LEASE || u64::from(*seconds) > LONGEST_LEASE.as_secs() =>
            {
                Err(CredentialFault::LeaseLength)
            }
            Self::None
            | Self::UserOauth { .. }
            | Self::UserToken { .. }
            | Self::ClientCredentials { .. }
            | Self::Enterprise { .. }
            | Self::Brokered { .. }
            | Self::Leased { .. } => Ok(()),
        }
    }

    /// Whether each person has an account of their own.
    pub fn is_own(&self) -> bool {
        match self {
            Self::UserOauth { .. }
            | Self::UserToken { .. }
            | Self::ClientCredentials { .. }
            | Self::Enterprise { .. } => true,
            Self::None | Self::Brokered { .. } | Self::Leased { .. } => false,
        }
    }
}

/// What of a credential does not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialFault {
    /// A client secret is nobody's.
    #[error("has a client_secret but no client_id")]
    SecretOfNobody,
    /// The kind of credential goes into requests, and a program gets none.
    #[error("has a credential for a url, but a command")]
    NoUrl,
    /// A secret is lent to programs only.
    #[error("has a leased credential, but no command to hold it")]
    NoCommand,
    /// Who somebody is goes into requests, and a program gets none.
    #[error("has an identity for a url, but a command")]
    IdentityOfProgram,
    /// A secret is lent for half a minute at least, and an hour at most.
    #[error("leases its credential for less than 30 or more than 3600 seconds")]
    LeaseLength,
    /// Redirect URIs are nobody's.
    #[error("has redirect_uris but no client_id that they were registered with")]
    RedirectOfNobody,
}

/// How calls to a connector are authenticated.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CredentialSpec {
    /// Not at all.
    #[default]
    None,
    /// The employee's own OAuth grant, asked for on first use.
    UserOauth {
        /// The scopes to ask for; what the server's metadata says where empty.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        scopes: BTreeSet<String>,
        /// A client id that was registered beforehand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// What some servers insist on beside it. Every desktop reads it, so it is no secret and proves nothing (RFC 8252,
        /// section 8.5).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_secret: Option<String>,
        /// Where sign-ins come back to, where the server compares that exactly with what was registered: tried in order, as
        /// another program may have taken a port. Any port of `http://127.0.0.1/callback` where empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        redirect_uris: Vec<LoopbackRedirect>,
    },
    /// A token that the employee types once: an API key or personal access token, for servers that hand those out. It is
    /// sealed on their computer.
    UserToken {
        /// The header that it goes into: as a bearer token into `Authorization`, by itself into any other.
        #[serde(default, skip_serializing_if = "TokenHeader::is_authorization")]
        header: TokenHeader,
        /// What people are told about where to get one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// An account of a program rather than a person (RFC 6749, section 4.4). The employee who runs it types its secret once; it
    /// is sealed on their computer.
    ClientCredentials {
        /// The client id.
        client_id: String,
        /// How the client proves who it is: what the employee types.
        #[serde(default, skip_serializing_if = "ClientAuthentication::is_secret")]
        authentication: ClientAuthentication,
        /// The scopes to ask for; what the server's metadata says where empty.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        scopes: BTreeSet<String>,
        /// What people are told about where to get the secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// The employee's own account, for which the organisation's identity provider vouches: nobody is asked (MCP extension
    /// `io.modelcontextprotocol/enterprise-managed-authorization`).
    Enterprise {
        /// Deskgate's client id at the connector's authorization server.
        client_id: String,
        /// What the server insists on beside it. Every desktop reads it, so it is no secret and proves nothing (RFC 8252,
        /// section 8.5).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_secret: Option<String>,
        /// The scopes to ask for; what the server's metadata says where empty.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        scopes: BTreeSet<String>,
        /// Whether the employee is asked to sign in where the identity provider does not vouch for them.
        #[serde(default, skip_serializing_if = "is_false")]
        or_ask: bool,
    },
    /// Service accounts of the organisation. The secrets stay with the control plane, which makes the call.
    Brokered {
        /// References in order of preference: the first that policy permits is used.
        credentials: Vec<CredentialId>,
        /// How a connector behind a URL learns for whom each call is made; not at all where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<UserIdentity>,
    },
    /// Service accounts of the organisation, lent to the employee's computer for minutes: for a program there that must hold the
    /// secret. Whoever owns that computer can read it.
    Leased {
        /// References in order of preference: the first that policy permits is used.
        credentials: Vec<CredentialId>,
        /// For how many seconds at a time; renewed ahead while it is used.
        #[serde(default = "usual_lease", skip_serializing_if = "is_usual_lease")]
        seconds: u32,
    },
}

/// How a brokered connector learns for whom a call is made.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserIdentity {
    /// By a short-lived JWT (RFC 7519) in the header `Deskgate-User-Assertion`, which the control plane signs with ES256 for the
    /// connector's URL; its keys are published below the configuration URL at `v1/assertions/keys.json`.
    SignedAssertion,
}

/// The header of a [`UserIdentity::SignedAssertion`].
pub const USER_ASSERTION_HEADER: &str = "deskgate-user-assertion";

/// How long a lease holds where nothing is said, in seconds.
const USUAL_LEASE: u32 = 300;
/// The shortest lease, in seconds: it has to be renewed in time.
const SHORTEST_LEASE: u32 = 30;

fn usual_lease() -> u32 {
    USUAL_LEASE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_usual_lease(seconds: &u32) -> bool {
    *seconds == USUAL_LEASE
}

/// How a client proves who it is at an authorization server.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// By a secret (`client_secret_basic`, or `client_secret_post` where the server knows nothing else).
    #[default]
    Secret,
    /// By a P-256 key in PKCS #8 PEM (`private_key_jwt` with ES256; OpenID Connect Core 1.0, section 9).
    PrivateKeyJwt,
}

impl ClientAuthentication {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
    fn is_secret(&self) -> bool {
        *self == Self::Secret
    }
}
