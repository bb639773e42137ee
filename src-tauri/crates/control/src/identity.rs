//! Who a person is: ID tokens of the organisation's provider, verified here and never taken on a desktop's word
//! (OpenID Connect Core 1.0, section 3.1.3.7; Discovery 1.0).

mod jws;
mod logout;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use model::{Advice, Digest, ForPerson, Subject, Timestamp};
use openidconnect::core::{
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AdditionalClaims, ClaimsVerificationError, ClientId, DiscoveryError, HttpRequest, HttpResponse, IdToken,
    IdTokenClaims, IssuerUrl, JsonWebKeySet, Nonce, SignatureVerificationError,
};
use org_protocol::{CLOCK_SKEW, IdentityProvider, SIGN_IN_ENDED};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

pub(crate) use logout::{LOGOUT_LIFE, LogoutFault, LogoutToken};

/// How long a provider's metadata and keys are used before they are fetched again.
const FRESH: Duration = Duration::from_secs(600);
/// How soon they are fetched again for a token whose key is not among them.
const IMPATIENCE: Duration = Duration::from_secs(10);
/// How long the provider may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest answer that is read from the provider, in bytes.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// The longest ID token, in characters.
const TOKEN_LIMIT: usize = 64 * 1024;
/// The longest name of a session at the provider, in bytes.
const SID_LIMIT: usize = 255;
/// The claim that makes a token a statement about an event (RFC 8417, section 2.2), which no ID token is.
const EVENTS: &str = "events";

/// The signature algorithms that are accepted: those by which nobody but the provider can sign.
const ASYMMETRIC: [CoreJwsSigningAlgorithm; 10] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EcdsaP521Sha512,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why an ID token says nothing about anybody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityFault {
    /// The provider's address is neither https nor on this machine.
    #[error("the identity provider {0} is not reached over https")]
    Insecure(String),
    /// The provider does not answer, or not with its metadata.
    #[error("the identity provider {issuer} does not answer: {reason}")]
    Unreachable {
        /// The provider.
        issuer: String,
        /// What happened.
        reason: String,
    },
    /// Not an ID token at all.
    #[error("the ID token cannot be read")]
    Unreadable,
    /// Signature, issuer, audience or expiry is wrong.
    #[error("the ID token is refused: {0}")]
    Refused(String),
    /// The token's nonce does not bind the device's key.
    #[error("the ID token is not bound to this device's key")]
    NotBound,
    /// The token is from the future.
    #[error("the ID token was issued at {0}")]
    FromTheFuture(Timestamp),
    /// The sign-in that the token comes from was ended since.
    #[error("the sign-in that the ID token comes from was ended")]
    Ended,
}

impl ForPerson for IdentityFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Insecure(_) | Self::Unreachable { .. } => Advice::new(
                "idp-unreachable",
                "The organisation's sign-in service does not answer.",
                "Your sign-in could not be checked.",
                "Try again later.",
            ),
            Self::Unreadable | Self::Refused(_) | Self::FromTheFuture(_) => Advice::new(
                "id-token-refused",
                "The organisation did not accept your sign-in.",
                "",
                "Sign in again.",
            ),
            Self::NotBound => Advice::new(
                "id-token-not-bound",
                "The sign-in was made for another device.",
                "It is of no use here.",
                "Sign in again on this device.",
            ),
            Self::Ended => Advice::new(
                SIGN_IN_ENDED,
                "Your organisation has ended your sign-in.",
                "Your assistants cannot work until you have signed in again.",
                "Sign in again. If that is refused, ask your IT department.",
            ),
        }
    }
}

/// A person, as the provider vouches for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Who it is.
    pub subject: Subject,
    /// Whether the token carries the nonce that binds the device's key. Without, the provider left it out.
    pub bound: bool,
    /// The sign-in that the token comes from.
    pub sign_in: SignIn,
}

/// Which sign-in at the provider a token or a session comes from, as far as can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignIn {
    /// The provider's own session (OpenID Connect Back-Channel Logout 1.0, section 2.1: the claim `sid`).
    pub sid: Option<String>,
    /// When the person authenticated, else when the token was issued; by the provider's clock, in whole seconds.
    pub at: Timestamp,
    /// The nonce's digest: another for each time that somebody signs in on a device.
    pub nonce: Option<Digest>,
}

impl SignIn {
    /// The sign-in of a token that renews what `held` began: what the provider leaves out when it renews, or says of the
    /// renewal only, is taken from there (OpenID Connect Core 1.0, section 12.2).
    pub(crate) fn continuing(self, held: &Self) -> Self {
        if self.nonce.is_some() && self.nonce != held.nonce {
            return self;
        }
        Self { sid: self.sid.or_else(|| held.sid.clone()), at: self.at.min(held.at), nonce: held.nonce }
    }
}

/// Verifies ID tokens; keeps the provider's keys for a while.
#[derive(Debug)]
pub(crate) struct Verifier {
    http: reqwest::Client,
    kept: std::sync::Mutex<Option<Kept>>,
    /// For tokens that this server has issued itself: nobody has to be asked for them.
    own: Option<Arc<CoreProviderMetadata>>,
    /// One fetch at a time. Whoever finds what they need among what is kept does not wait for it.
    fetching: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Kept {
    issuer: String,
    metadata: Arc<CoreProviderMetadata>,
    at: Timestamp,
    /// When it was last tried to fetch them anew.
    tried: Timestamp,
}

/// All further claims; the groups are among them under a name that the organisation chooses.
#[derive(Debug, Serialize, Deserialize)]
struct Further {
    #[serde(flatten)]
    claims: serde_json::Map<String, Value>,
}

impl AdditionalClaims for Further {}

type Token = IdToken<Further, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type Claims = IdTokenClaims<Further, CoreGenderClaim>;

impl Verifier {
    /// A verifier that knows no provider yet.
    ///
    /// # Errors
    /// What the HTTP client reports.
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DEADLINE)
            .build()?;
        Ok(Self { http, kept: std::sync::Mutex::default(), own: None, fetching: Mutex::default() })
    }

    /// As it is, and knows by which keys this server signs ID tokens itself.
    pub(crate) fn with_own(mut self, metadata: CoreProviderMetadata) -> Self {
        self.own = Some(Arc::new(metadata));
        self
    }

    /// Verifies an ID token of the provider. `nonce` is what binds the device's key.
    ///
    /// # Errors
    /// An [`IdentityFault`].
    pub(crate) async fn verify(
        &self,
        provider: &IdentityProvider,
        id_token: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Verified, IdentityFault> {
        if id_token.len() > TOKEN_LIMIT {
            return Err(IdentityFault::Unreadable);
        }
        let token: Token =
            serde_json::from_value(Value::from(id_token)).map_err(|_| IdentityFault::Unreadable)?;
        let metadata = self.metadata(provider, now, FRESH).await?;
        match check(&token, provider, &metadata, nonce, now) {
            // The provider may have new keys.
            Err(Checked::NoKey) => {
                let metadata = self.metadata(provider, now, IMPATIENCE).await?;
                check(&token, provider, &metadata, nonce, now).map_err(Checked::into_fault)
            }
            outcome => outcome.map_err(Checked::into_fault),
        }
    }

    async fn metadata(
        &self,
        provider: &IdentityProvider,
        now: Timestamp,
        within: Duration,
    ) -> Result<Arc<CoreProviderMetadata>, IdentityFault> {
        let issuer = provider.issuer.as_str();
        if provider.saml.is_some() {
            let own = self.own.as_ref().filter(|own| crate::op::is_issuer(own.issuer(), provider));
            return own.cloned().ok_or_else(|| IdentityFault::Unreachable {
                issuer: issuer.to_owned(),
                reason: "people sign in by SAML, and this server is not the issuer".to_owned(),
            });
        }
        if let Some(known) = self.known(issuer, now, within) {
            return Ok(known);
        }
        let _one = self.fetching.lock().await;
        // Somebody else may have fetched, or failed to, meanwhile.
        if let Some(known) = self.known(issuer, now, within) {
            return Ok(known);
        }
        if !is_trustworthy(&provider.issuer) {
            return Err(IdentityFault::Insecure(issuer.to_owned()));
        }
        let found = self.discover(issuer).await;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                let fresh =
                    Kept { issuer: issuer.to_owned(), metadata: Arc::clone(&metadata), at: now, tried: now };
                *kept = Some(fresh);
                Ok(metadata)
            }
            Err(fault) => {
                if let Some(known) = kept.as_mut().filter(|known| known.issuer == issuer) {
                    known.tried = now;
                }
                Err(fault)
            }
        }
    }

    /// What is kept of this provider and fresh enough. What was just fetched in vain is not asked for again at once, so
    /// that tokens with keys of nobody cost the provider nothing and hold nobody up.
    fn known(&self, issuer: &str, now: Timestamp, within: Duration) -> Option<Arc<CoreProviderMetadata>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.as_ref().filter(|known| known.issuer == issuer)?;
        let age = now.since(known.at);
        let fresh = age < within || (age < FRESH && now.since(known.tried) < IMPATIENCE);
        fresh.then(|| Arc::clone(&known.metadata))
    }

    /// A URL without a path is written with a slash here, while issuers mostly have none; both name the same documents,
    /// and the provider says which it is.
    async fn discover(&self, issuer: &str) -> Result<CoreProviderMetadata, IdentityFault> {
        let bare = issuer.strip_suffix('/').unwrap_or(issuer);
        match self.discover_exactly(bare).await {
            Err(DiscoveryError::Validation(_)) if bare != issuer => self.discover_exactly(issuer).await,
            outcome => outcome,
        }
        .map_err(|fault| IdentityFault::Unreachable {
            issuer: issuer.to_owned(),
            reason: model::with_causes(&fault),
        })
    }

    async fn discover_exactly(
        &self,
        issuer: &str,
    ) -> Result<CoreProviderMetadata, DiscoveryError<FetchFault>> {
        let issuer = IssuerUrl::new(issuer.to_owned()).map_err(DiscoveryError::UrlParse)?;
        let fetch = |request| fetch(self.http.clone(), request);
        CoreProviderMetadata::discover_async(issuer, &fetch).await
    }
}

/// What came of a check, as far as it decides whether to look for new keys.
enum Checked {
    NoKey,
    Fault(IdentityFault),
}

impl Checked {
    fn into_fault(self) -> IdentityFault {
        match self {
            Self::NoKey => IdentityFault::Refused("no key of the provider signed it".to_owned()),
            Self::Fault(fault) => fault,
        }
    }
}

fn check(
    token: &Token,
    provider: &IdentityProvider,
    metadata: &CoreProviderMetadata,
    nonce: &str,
    now: Timestamp,
) -> Result<Verified, Checked> {
    let keys: JsonWebKeySet<CoreJsonWebKey> = metadata.jwks().clone();
    let client = ClientId::new(provider.client_id.clone());
    let verifier = CoreIdTokenVerifier::new_public_client(client, metadata.issuer().clone(), keys)
        .set_allowed_algs(ASYMMETRIC);
    let mut bound = false;
    let mut other_key = false;
    let nonce_check = |found: Option<&Nonce>| match found {
        None => Ok(()),
        Some(found) => {
            bound = found.secret() == nonce;
            other_key = !bound;
            if bound { Ok(()) } else { Err("another device's nonce".to_owned()) }
        }
    };
    let no_key = ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey);
    let claims = token.claims(&verifier, nonce_check).map_err(|fault| {
        if other_key {
            Checked::Fault(IdentityFault::NotBound)
        } else if fault == no_key {
            Checked::NoKey
        } else {
            Checked::Fault(IdentityFault::Refused(model::with_causes(&fault)))
        }
    })?;
    let issued = Timestamp::from_seconds(claims.issue_time().timestamp());
    if issued > now.plus(CLOCK_SKEW) {
        return Err(Checked::Fault(IdentityFault::FromTheFuture(issued)));
    }
    // A logout token that came without a type of its own.
    if claims.additional_claims().claims.contains_key(EVENTS) {
        return Err(Checked::Fault(IdentityFault::Refused("it is about an event".to_owned())));
    }
    let sign_in = sign_in(claims, issued)?;
    Ok(Verified { subject: subject(claims, &provider.groups_claim), bound, sign_in })
}

fn sign_in(claims: &Claims, issued: Timestamp) -> Result<SignIn, Checked> {
    let sid = match claims.additional_claims().claims.get("sid") {
        None => None,
        Some(Value::String(sid)) if !sid.is_empty() && sid.len() <= SID_LIMIT => Some(sid.clone()),
        // A name that cannot be compared could not be ended.
        Some(_) => return Err(Checked::Fault(IdentityFault::Refused("its sid is none".to_owned()))),
    };
    let at = claims.auth_time().map_or(issued, |at| Timestamp::from_seconds(at.timestamp()));
    let nonce = claims.nonce().map(|nonce| Digest::of(nonce.secret().as_bytes()));
    Ok(SignIn { sid, at, nonce })
}

fn subject(claims: &Claims, groups_claim: &str) -> Subject {
    let groups: BTreeSet<String> = match claims.additional_claims().claims.get(groups_claim) {
        Some(Value::Array(groups)) => {
            groups.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        }
        Some(Value::String(group)) => [group.clone()].into(),
        Some(_) | None => BTreeSet::new(),
    };
    Subject {
        issuer: claims.issuer().as_str().to_owned(),
        subject: claims.subject().as_str().to_owned(),
        email: claims.email().map(|email| email.as_str().to_owned()),
        name: claims.name().and_then(|name| name.get(None)).map(|name| name.as_str().to_owned()),
        groups,
        attributes: std::collections::BTreeMap::new(),
    }
}

/// https, or http on this machine.
pub(crate) fn is_trustworthy(url: &url::Url) -> bool {
    match url.host() {
        _ if url.scheme() == "https" => true,
        Some(url::Host::Ipv4(address)) => url.scheme() == "http" && address.is_loopback(),
        Some(url::Host::Ipv6(address)) => url.scheme() == "http" && address.is_loopback(),
        Some(url::Host::Domain(name)) => url.scheme() == "http" && name == "localhost",
        None => false,
    }
}

/// Why the provider's answer was not fetched.
#[derive(Debug, thiserror::Error)]
enum FetchFault {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Form(#[from] http::Error),
    #[error("the answer is too large")]
    TooLarge,
}

/// openidconnect's requests over our own HTTP client.
async fn fetch(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, FetchFault> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut response = http::Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.clone_from(answer.headers());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(FetchFault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(response.body(body)?)
}

#[cfg(test)]
mod tests;
