//! Where the secret of a shared account comes from, beside the sealed store.

use std::sync::Arc;
use std::time::Duration;

use model::BoxFuture;
use os::Clock;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{oauth, template, vault};
use crate::assertion::Assertion;
use crate::identity::Outward;

/// The format version of a stored [`SourceSpec`].
pub(crate) const SOURCE_FORMAT: u32 = 1;

/// Where a secret comes from, as IT says it. What opens the source (its token, its client secret) is stored sealed beside it.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SourceSpec {
    /// Vault or OpenBao, over its HTTP API.
    Vault(VaultSpec),
    /// An authorization server, where the account is a client's own (RFC 6749, section 4.4).
    ClientCredentials(OauthSpec),
    /// An authorization server that gives a token for the person of each call (RFC 8693).
    TokenExchange(OauthSpec),
}

/// A path at Vault or OpenBao.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSpec {
    /// The server, such as `https://vault.example:8200/`.
    pub address: Url,
    /// What is read there, as the API spells it: `secret/data/warehouse` of KV version 2, `database/creds/analyst`.
    pub path: String,
    /// The namespace, where the server has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What is made of its fields: `postgres://${username:url}:${password:url}@db/warehouse`, or `${token}`.
    pub template: String,
    /// Whether the reply is wrapped on its way (response wrapping): who reads it before us is found out.
    #[serde(default)]
    pub wrapped: bool,
    /// As which role one signs in there; without it the stored token is used as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approle: Option<AppRole>,
}

/// A role at Vault or OpenBao, by which a machine signs in (AppRole). What opens it is a secret id of the role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppRole {
    /// Where the method is mounted there, below `auth/`: `approle`, mostly.
    pub mount: String,
    /// The role's id.
    pub role_id: String,
    /// Whether what is given for it is a wrapping token with the secret id in it. It is taken out at once, so this is never stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrapped_secret_id: bool,
}

/// A token at an authorization server. What opens it is the client's secret.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthSpec {
    /// Its token endpoint.
    pub token_url: Url,
    /// The client's id there.
    pub client_id: String,
    /// The scopes to ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// For which service (RFC 8707; RFC 8693, section 2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Url>,
    /// For which service, by the name that the server knows (RFC 8693, section 2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Where tokens are revoked (RFC 7009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_url: Option<Url>,
}

/// What is sealed for a credential that has a source.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredSource {
    /// The format version: [`SOURCE_FORMAT`].
    pub(crate) format: u32,
    /// Where the secret comes from.
    pub(crate) spec: SourceSpec,
    /// What opens the source.
    pub(crate) key: String,
}

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceFault {
    /// It is not to be reached over an open line.
    #[error("{0} is neither https nor on this machine")]
    Insecure(Url),
    /// Its description contradicts itself.
    #[error("{0}")]
    Spec(String),
    /// It cannot be reached.
    #[error("{0} cannot be reached")]
    Unreachable(String),
    /// It does not take what opens it.
    #[error(
        "{0} does not take the token or secret that was stored with the credential ({1}): store another with `credential rotate`, and look whether it may read this"
    )]
    Refused(String, String),
    /// There is nothing, or nothing any more.
    #[error("{0} has nothing at {1}: look at the path, and whether it was deleted")]
    Nothing(String, String),
    /// It cannot do it now.
    #[error("{0} cannot serve now ({1})")]
    Unavailable(String, String),
    /// What was to be wrapped came in the clear, or wrapped by somebody else.
    #[error(
        "{0} was asked to wrap its reply and did not: {1}; it is not used. Change the secret: it was on the wire in the clear"
    )]
    NotWrapped(String, &'static str),
    /// The secret id was to come wrapped, and does not, or not for the first time.
    #[error(
        "what was given is no wrapping token with a secret id that {0} knows: {1}; nothing was stored. Have another secret id made, wrapped, and find out who may have taken this one out"
    )]
    NotWrappedId(String, &'static str),
    /// The template names a field that is not there.
    #[error("the secret at {0} has no field {1}; it has {2}")]
    NoField(String, String, String),
    /// The answer is none that the API describes.
    #[error("{0} answered something that is not understood: {1}")]
    Unreadable(String, String),
    /// A token for a person, where nobody is named.
    #[error("a token for each person is not had without a person")]
    Nobody,
}

impl SourceFault {
    /// In a word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Insecure(_) => "insecure",
            Self::Spec(_) => "spec",
            Self::Unreachable(_) => "unreachable",
            Self::Refused(..) => "refused",
            Self::Nothing(..) => "nothing",
            Self::Unavailable(..) => "unavailable",
            Self::NotWrapped(..) | Self::NotWrappedId(..) => "not_wrapped",
            Self::NoField(..) => "no_field",
            Self::Unreadable(..) => "unreadable",
            Self::Nobody => "nobody",
        }
    }
}

/// A secret as its source gave it.
pub(crate) struct Fetched {
    pub(crate) secret: SecretString,
    /// What it was made of, where that is secret by itself.
    pub(crate) parts: Vec<SecretString>,
    /// How long it may be used, or is not looked at again; for ever where nothing is said.
    pub(crate) life: Option<Duration>,
    /// How it is renewed and taken back.
    pub(crate) hold: Hold,
}

/// How what was given is renewed and taken back at its source.
#[derive(Clone)]
pub(crate) enum Hold {
    /// Not at all: a stored secret, or a lease without an id.
    None,
    /// By the id of a lease at Vault.
    Lease {
        /// The id, as the server gave it.
        id: String,
        /// Whether it can be renewed.
        renewable: bool,
        /// By which sign-in it was had: it ends with that one's token.
        sign_in: u64,
    },
    /// By the token itself (RFC 7009).
    Token(SecretString),
}

impl Hold {
    /// Whether the source can take it back.
    pub(crate) fn is_revocable(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// Where secrets come from.
pub(crate) trait Source: Send + Sync {
    /// A secret of its own for whoever asks, in the name of a person where it gives one to each.
    fn fetch<'a>(&'a self, whose: Option<&'a Assertion<'a>>) -> BoxFuture<'a, Result<Fetched, SourceFault>>;

    /// Renews what was given. Gives how long it lives from now on.
    fn renew<'a>(&'a self, hold: &'a Hold) -> BoxFuture<'a, Result<Option<Duration>, SourceFault>>;

    /// Takes back what was given. `false` where it cannot be.
    fn revoke<'a>(&'a self, hold: &'a Hold) -> BoxFuture<'a, Result<bool, SourceFault>>;
}

/// Opens a source.
pub(crate) fn open(
    stored: StoredSource,
    http: &Outward,
    clock: &Arc<dyn Clock>,
) -> Result<Box<dyn Source>, SourceFault> {
    if stored.format != SOURCE_FORMAT {
        return Err(SourceFault::Spec(
            "it was stored in a format that this version does not read".to_owned(),
        ));
    }
    stored.spec.check()?;
    let key = SecretString::from(stored.key);
    Ok(match stored.spec {
        SourceSpec::Vault(spec) => {
            let http = http.to(&spec.address);
            Box::new(vault::Vault::new(spec, key, http, Arc::clone(clock)))
        }
        SourceSpec::ClientCredentials(spec) => {
            let http = http.to(&spec.token_url);
            Box::new(oauth::Tokens::new(spec, key, http, false))
        }
        SourceSpec::TokenExchange(spec) => {
            let http = http.to(&spec.token_url);
            Box::new(oauth::Tokens::new(spec, key, http, true))
        }
    })
}

/// Takes what opens a source out of its wrapping, where it came in one.
pub(crate) async fn taken_out(
    mut spec: SourceSpec,
    key: SecretString,
    http: &Outward,
    clock: &Arc<dyn Clock>,
) -> Result<(SourceSpec, SecretString), SourceFault> {
    let SourceSpec::Vault(VaultSpec { approle: Some(role), .. }) = &mut spec else { return Ok((spec, key)) };
    if !std::mem::take(&mut role.wrapped_secret_id) {
        return Ok((spec, key));
    }
    let SourceSpec::Vault(at) = &spec else { return Ok((spec, key)) };
    let vault = vault::Vault::new(at.clone(), key.clone(), http.to(&at.address), Arc::clone(clock));
    let key = vault.secret_id(&key).await?;
    Ok((spec, key))
}

impl SourceSpec {
    /// Whether it can be used at all.
    pub(crate) fn check(&self) -> Result<(), SourceFault> {
        let insecure =
            |url: &Url| (!crate::identity::is_trustworthy(url)).then(|| SourceFault::Insecure(url.clone()));
        match self {
            Self::Vault(spec) => {
                insecure(&spec.address).map_or(Ok(()), Err)?;
                let path = spec.path.split('/');
                let is_path = path.clone().all(|part| !matches!(part, "" | "." | ".."))
                    && !spec.path.contains(['?', '#', '%']);
                if !is_path {
                    return Err(SourceFault::Spec(format!(
                        "{} is no path of the API, such as secret/data/warehouse",
                        spec.path
                    )));
                }
                if let Some(AppRole { mount, role_id, .. }) = &spec.approle {
                    let is_mount = mount.split('/').all(|part| !matches!(part, "" | "." | ".."))
                        && !mount.contains(['?', '#', '%']);
                    if !is_mount || role_id.is_empty() {
                        return Err(SourceFault::Spec(
                            "a role has an id, and a place below auth/ where it signs in, such as approle"
                                .to_owned(),
                        ));
                    }
                }
                template::fields(&spec.template).map(drop)
            }
            Self::ClientCredentials(spec) | Self::TokenExchange(spec) => std::iter::once(&spec.token_url)
                .chain(&spec.revocation_url)
                .find_map(insecure)
                .map_or(Ok(()), Err),
        }
    }

    /// Its kind, as it is stored.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Vault(_) => "vault",
            Self::ClientCredentials(_) => "client_credentials",
            Self::TokenExchange(_) => "token_exchange",
        }
    }

    /// The server that is asked.
    pub(crate) fn address(&self) -> &Url {
        match self {
            Self::Vault(spec) => &spec.address,
            Self::ClientCredentials(spec) | Self::TokenExchange(spec) => &spec.token_url,
        }
    }

    /// Whether each person gets another secret.
    pub(crate) fn is_personal(&self) -> bool {
        match self {
            Self::TokenExchange(_) => true,
            Self::Vault(_) | Self::ClientCredentials(_) => false,
        }
    }
}

impl std::fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vault(spec) => {
                write!(f, "vault {}{}", spec.address, spec.path)?;
                match &spec.approle {
                    Some(role) => write!(f, " by auth/{}", role.mount),
                    None => Ok(()),
                }
            }
            Self::ClientCredentials(spec) => write!(f, "client {} at {}", spec.client_id, spec.token_url),
            Self::TokenExchange(spec) => write!(f, "token exchange at {}", spec.token_url),
        }
    }
}
