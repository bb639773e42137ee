//! A grant, and its form at rest.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use model::{AccountId, Digest, Timestamp};
use os::Clock;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use signin::{FaultKind, Kept, Life, Moment, Prover, TokenEndpoint, Tokens, seal, sealed_text, unseal};
use upstream::{Bearer, Possesses};
use url::Url;
use vault::SecretBytes;

use org_protocol::TokenHeader;

use super::target::{Target, WayName};

/// The format version of [`Record`] for grants of an authorization server that a person signed in to.
const FORMAT: u32 = 1;
/// The format version for what came another way. Earlier versions take it for absent.
const FORMAT_OF_OTHER_WAYS: u32 = 2;
/// The format version for what is bound to a key. Earlier versions take it for absent.
const FORMAT_OF_BOUND: u32 = 3;

/// Longest account name that is shown, in characters.
const LONGEST_ACCOUNT: usize = 100;

/// A person's grant at a connector. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Grant(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bound: Bound,
    account: Option<String>,
    tokens: Tokens,
    life: Life,
    uses: u8,
}

/// What a grant is bound to: where it may be sent, and where it is renewed.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// The connector's endpoint.
    pub(super) server: Url,
    /// How it was come by.
    pub(super) way: WayName,
    /// The header that the token goes into.
    pub(super) header: TokenHeader,
    /// The scopes that IT asked for when the person signed in.
    pub(super) scopes: BTreeSet<String>,
    /// The scopes that the connector wanted beside those of the first sign-in.
    pub(super) wider: BTreeSet<String>,
    /// The client id that IT had registered, where it had.
    pub(super) registered_client: Option<String>,
    /// Who gave it.
    pub(super) source: Source,
}

/// Who gave a token.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The person, who typed it.
    Person,
    /// An authorization server.
    Server(Box<Server>),
}

/// An authorization server.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// Its issuer identifier.
    pub(super) issuer: String,
    /// The resource indicator (RFC 8707).
    pub(super) resource: String,
    /// Where the token is renewed and revoked.
    pub(super) endpoint: TokenEndpoint,
    /// The scopes that are asked for each time, where no person allowed them.
    pub(super) asked: BTreeSet<String>,
}

impl Bound {
    /// The authorization server, where one gave it.
    pub(super) fn server(&self) -> Option<&Server> {
        match &self.source {
            Source::Server(server) => Some(server),
            Source::Person => None,
        }
    }
}

/// The vault's key of a grant: whose, where, which account.
pub(super) fn key(owner: &Digest, AccountId { connector, account }: &AccountId) -> String {
    format!("{}.{connector}.{account}", owner.hex())
}

impl Grant {
    pub(super) fn new(bound: Bound, tokens: Tokens, now: Moment) -> Self {
        let account = tokens.id_token.as_ref().and_then(account_in);
        let life = Life::beginning(now, tokens.lasts);
        Self(Arc::new(Inner { bound, account, tokens: at_rest(tokens), life, uses: 0 }))
    }

    /// The grant with what a renewal brought; what it did not bring stays.
    pub(super) fn renewed(&self, mut tokens: Tokens, now: Moment) -> Self {
        tokens.refresh = tokens.refresh.or_else(|| self.0.tokens.refresh.clone());
        let account = tokens.id_token.as_ref().and_then(account_in).or_else(|| self.0.account.clone());
        let life = Life::beginning(now, tokens.lasts);
        Self(Arc::new(Inner { bound: self.0.bound.clone(), account, tokens: at_rest(tokens), life, uses: 0 }))
    }

    pub(super) fn bound(&self) -> &Bound {
        &self.0.bound
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(super) fn access(&self) -> &SecretString {
        &self.0.tokens.access
    }

    /// The token as it is sent.
    pub(super) fn bearer(&self) -> Result<Bearer, FaultKind> {
        let (bearer, header) = (Bearer::new(self.access().clone()), &self.bound().header);
        if self.0.tokens.bound
            && let Some(server) = self.bound().server()
            && let Some(prover) = &server.endpoint.prover
        {
            return Ok(bearer.bound(Arc::new(Possession(prover.clone()))));
        }
        if header.is_authorization() {
            return Ok(bearer);
        }
        bearer.in_header(header.as_str()).map_err(|fault| FaultKind::Internal(fault.to_string()))
    }

    pub(super) fn account(&self) -> Option<&str> {
        self.0.account.as_deref()
    }

    /// Whether this grant is for the connector as it is now.
    pub(super) fn serves(&self, target: &Target) -> bool {
        let bound = &self.0.bound;
        bound.server == target.url
            && bound.way == target.way.name()
            && bound.header == target.way.header()
            && bound.registered_client.as_ref() == target.way.client_id()
            && target.scopes.is_subset(&bound.scopes)
    }

    /// The sealed form, with the number of uses of the refresh token whose answers are not known.
    pub(super) fn seal(&self, uses: u8) -> Result<SecretBytes, FaultKind> {
        let Inner { bound, account, tokens, life, .. } = &*self.0;
        let proves = bound.server().is_some_and(|server| server.endpoint.prover.is_some());
        let format = match bound.way {
            _ if proves => FORMAT_OF_BOUND,
            WayName::Code => FORMAT,
            WayName::Typed | WayName::Client | WayName::Enterprise => FORMAT_OF_OTHER_WAYS,
        };
        seal(&Record {
            format,
            way: bound.way,
            header: bound.header.clone(),
            server: bound.server.clone(),
            scopes: bound.scopes.clone(),
            wider: bound.wider.clone(),
            registered_client: bound.registered_client.clone(),
            from: bound.server().map(ServerRecord::of),
            account: account.clone(),
            access_token: tokens.access.clone(),
            refresh_token: tokens.refresh.clone(),
            received: life.received(),
            lasts_seconds: life.lasts().map(|lasts| lasts.as_secs()),
            bound: tokens.bound,
            uses,
        })
    }

    /// Reads it back, if it is for this target.
    pub(super) fn unseal(bytes: &SecretBytes, target: &Target, clock: &Arc<dyn Clock>) -> Option<Self> {
        let record: Record = unseal(bytes)?;
        if !(FORMAT..=FORMAT_OF_BOUND).contains(&record.format) {
            return None;
        }
        let source = match (record.way, record.from) {
            (WayName::Typed, _) => Source::Person,
            (_, Some(from)) => Source::Server(Box::new(from.read(clock)?)),
            (_, None) => return None,
        };
        let lasts = record.lasts_seconds.map(Duration::from_secs);
        let grant = Self(Arc::new(Inner {
            bound: Bound {
                server: record.server,
                way: record.way,
                header: record.header,
                scopes: record.scopes,
                wider: record.wider,
                registered_client: record.registered_client,
                source,
            },
            account: record.account,
            tokens: Tokens {
                access: record.access_token,
                refresh: record.refresh_token,
                id_token: None,
                lasts,
                scopes: None,
                bound: record.bound,
            },
            life: Life::remembered(record.received, lasts),
            uses: record.uses,
        }));
        grant.serves(target).then_some(grant)
    }
}

impl Kept for Grant {
    fn life(&self) -> Life {
        self.0.life
    }

    fn renewable(&self) -> bool {
        self.0.tokens.refresh.is_some()
            || match self.0.bound.way {
                WayName::Client | WayName::Enterprise => true,
                WayName::Code | WayName::Typed => false,
            }
    }

    fn uses(&self) -> u8 {
        self.0.uses
    }

    fn fingerprint(&self) -> Digest {
        Digest::of(self.0.tokens.access.expose_secret().as_bytes())
    }
}

/// An ID token has said what it had to say: it is not kept.
fn at_rest(tokens: Tokens) -> Tokens {
    Tokens { id_token: None, ..tokens }
}

/// The account's name in an ID token, for display only: the token is not verified, it came from the token endpoint itself
/// (OpenID Connect Core 1.0, section 3.1.3.7).
fn account_in(id_token: &SecretString) -> Option<String> {
    #[derive(Deserialize)]
    struct Names {
        email: Option<String>,
        preferred_username: Option<String>,
        name: Option<String>,
    }
    let names: Names = part(id_token, 1)?;
    let name = names.email.or(names.preferred_username).or(names.name)?;
    Some(name.chars().filter(|c| !c.is_control()).take(LONGEST_ACCOUNT).collect())
}

/// A part of a signed token (RFC 7515, section 7.1), to look at and not to believe: nothing is verified here.
pub(super) fn part<T: DeserializeOwned>(token: &SecretString, number: usize) -> Option<T> {
    let text = token.expose_secret().split('.').nth(number)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The form at rest, sealed by the vault.
#[derive(Serialize, Deserialize)]
struct Record {
    format: u32,
    #[serde(default)]
    way: WayName,
    #[serde(default)]
    header: TokenHeader,
    server: Url,
    scopes: BTreeSet<String>,
    /// Earlier versions neither wrote nor needed it.
    #[serde(default)]
    wider: BTreeSet<String>,
    registered_client: Option<String>,
    #[serde(flatten)]
    from: Option<ServerRecord>,
    account: Option<String>,
    #[serde(with = "sealed_text")]
    access_token: SecretString,
    #[serde(with = "sealed_text::option")]
    refresh_token: Option<SecretString>,
    received: Timestamp,
    lasts_seconds: Option<u64>,
    /// Whether the tokens are bound to the authorization server's `proof_key`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    bound: bool,
    uses: u8,
}

/// An authorization server at rest.
#[derive(Serialize, Deserialize)]
struct ServerRecord {
    issuer: String,
    resource: String,
    token_endpoint: Url,
    revocation_endpoint: Option<Url>,
    client_id: String,
    #[serde(with = "sealed_text::option")]
    client_secret: Option<SecretString>,
    secret_in_body: bool,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    asked: BTreeSet<String>,
    /// The private key that tokens are bound to, in base64url.
    #[serde(default, with = "sealed_text::option")]
    proof_key: Option<SecretString>,
}

impl ServerRecord {
    fn of(Server { issuer, resource, endpoint, asked }: &Server) -> Self {
        Self {
            asked: asked.clone(),
            issuer: issuer.clone(),
            resource: resource.clone(),
            token_endpoint: endpoint.token.clone(),
            revocation_endpoint: endpoint.revocation.clone(),
            client_id: endpoint.client_id.clone(),
            client_secret: endpoint.client_secret.clone(),
            secret_in_body: endpoint.secret_in_body,
            proof_key: endpoint.prover.as_ref().map(|prover| as_text(&prover.secret())),
        }
    }

    /// `None` if it is bound to what is no key.
    fn read(self, clock: &Arc<dyn Clock>) -> Option<Server> {
        let prover = match &self.proof_key {
            Some(key) => Some(Prover::remembered(&as_bytes(key)?, Arc::clone(clock))?),
            None => None,
        };
        Some(Server {
            asked: self.asked,
            issuer: self.issuer,
            resource: self.resource,
            endpoint: TokenEndpoint {
                token: self.token_endpoint,
                revocation: self.revocation_endpoint,
                client_id: self.client_id,
                client_secret: self.client_secret,
                secret_in_body: self.secret_in_body,
                prover,
            },
        })
    }
}

/// A key at rest. It is sealed with the rest of the record.
fn as_text(key: &SecretBytes) -> SecretString {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key.expose_secret()).into()
}

fn as_bytes(key: &SecretString) -> Option<SecretBytes> {
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(key.expose_secret()).ok()?;
    Some(bytes.into())
}

/// The key of a grant, as connections to its connector use it.
struct Possession(Prover);

impl Possesses for Possession {
    fn proof(&self, method: &str, url: &Url, token: &SecretString) -> Option<String> {
        self.0.proof(method, url, Some(token)).ok()
    }

    fn hear(&self, url: &Url, nonce: &str) -> bool {
        self.0.hear(url, nonce)
    }
}
