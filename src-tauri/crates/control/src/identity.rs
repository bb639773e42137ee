//! Who a person is: ID tokens of the organisation's provider, verified here and never taken on a desktop's word
//! (OpenID Connect Core 1.0, section 3.1.3.7; Discovery 1.0).

mod jws;
mod logout;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use claims::{Directory, DirectoryFault, Elsewhere, NonceRule, TokenFault};
use model::{Advice, Digest, ForPerson, Subject, Timestamp};
use openidconnect::core::CoreProviderMetadata;
use openidconnect::{DiscoveryError, HttpRequest, HttpResponse, IssuerUrl};
use org_protocol::{GroupSource, ID_TOKEN_NOT_BOUND, IdentityProvider, SIGN_IN_ENDED};
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
    /// It is not to be believed.
    #[error("the ID token is refused: {0}")]
    Refused(TokenFault),
    /// The token's nonce does not bind the device's key.
    #[error("the ID token is not bound to this device's key")]
    NotBound,
    /// The token has no nonce, and there is no session that it could renew.
    #[error("the ID token has no nonce, and renews no session")]
    NoNonce,
    /// The person's groups are in the provider's directory, and could not be looked up.
    #[error("the person's groups are not known: {0}")]
    GroupsUnknown(DirectoryFault),
    /// The sign-in that the token comes from was ended since.
    #[error("the sign-in that the ID token comes from was ended")]
    Ended,
}

impl From<TokenFault> for IdentityFault {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Nonce => Self::NotBound,
            TokenFault::Unreadable
            | TokenFault::NoKey
            | TokenFault::FromTheFuture(_)
            | TokenFault::AccessToken
            | TokenFault::Event
            | TokenFault::Sid
            | TokenFault::TooManyGroups(_)
            | TokenFault::HostedDomain(_)
            | TokenFault::Refused(_) => Self::Refused(fault),
        }
    }
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
            Self::Refused(_) => Advice::new(
                "id-token-refused",
                "The organisation did not accept your sign-in.",
                "",
                "Sign in again.",
            ),
            Self::NoNonce => Advice::new(
                ID_TOKEN_NOT_BOUND,
                "Your sign-in has to be made anew.",
                "It was renewed in a way that does not prove that it is this computer's.",
                "Sign in again.",
            ),
            Self::GroupsUnknown(_) => Advice::new(
                "groups-unknown",
                "Your organisation could not find out which groups you are in.",
                "Shared accounts cannot be used meanwhile.",
                "It is tried again by itself. If it stays so, tell your IT department.",
            ),
            Self::NotBound => Advice::new(
                ID_TOKEN_NOT_BOUND,
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
    /// That the groups are not in the token, if so: then the person has none yet.
    pub groups_elsewhere: Option<Elsewhere>,
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
    /// Where the provider's directory is, if not where the table of providers has it.
    directory: Option<url::Url>,
    /// For tokens that this server has issued itself: nobody has to be asked for them.
    own: Option<Arc<CoreProviderMetadata>>,
    /// One fetch at a time. Whoever finds what they need among what is kept does not wait for it.
    fetching: Mutex<()>,
}

/// What came of asking one provider for its metadata and keys.
#[derive(Debug)]
struct Kept {
    issuer: String,
    /// What it answered last, and when.
    answer: Option<(Arc<CoreProviderMetadata>, Timestamp)>,
    /// When it was last asked, and why in vain.
    tried: Timestamp,
    fault: Option<String>,
}

impl Verifier {
    /// A verifier that knows no provider yet.
    ///
    /// # Errors
    /// What the HTTP client reports.
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let http = client().build()?;
        Ok(Self {
            http,
            kept: std::sync::Mutex::default(),
            directory: None,
            own: None,
            fetching: Mutex::default(),
        })
    }

    /// As it is, and knows by which keys this server signs ID tokens itself.
    pub(crate) fn with_own(mut self, metadata: CoreProviderMetadata) -> Self {
        self.own = Some(Arc::new(metadata));
        self
    }

    /// Its client: without redirects, and impatient.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The same with a stand-in for the provider's directory.
    #[cfg(test)]
    fn asking(self, directory: url::Url) -> Self {
        Self { directory: Some(directory), ..self }
    }

    /// Verifies an ID token of the provider. `nonce` is what binds the device's key, `access` the access token that came
    /// with it, where that is there.
    ///
    /// # Errors
    /// An [`IdentityFault`].
    pub(crate) async fn verify(
        &self,
        provider: &IdentityProvider,
        id_token: &str,
        access: Option<&str>,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Verified, IdentityFault> {
        let asked = Asked { id_token, access, nonce, now };
        let metadata = self.metadata(provider, now, FRESH).await?;
        match check(provider, &metadata, asked) {
            // The provider may have new keys.
            Err(TokenFault::NoKey) => {
                let metadata = self.metadata(provider, now, IMPATIENCE).await?;
                check(provider, &metadata, asked)
            }
            outcome => outcome,
        }
        .map_err(IdentityFault::from)
    }

    /// The person of a verified token with the groups that the provider's directory says they are in, where the token
    /// says that they are not in it and the provider is known to have a directory.
    ///
    /// The directory is asked here and with the person's own access token, lent by their desktop for this: what a desktop
    /// says about groups would be its own word, and asking in the organisation's name would need a secret that reads
    /// everybody's groups. That the access token is theirs, the directory itself says.
    ///
    /// # Errors
    /// [`IdentityFault::GroupsUnknown`]: a session without groups would be one for an hour.
    pub(crate) async fn with_groups(
        &self,
        provider: &IdentityProvider,
        verified: Verified,
        access: Option<&str>,
    ) -> Result<Verified, IdentityFault> {
        let Some(elsewhere) = &verified.groups_elsewhere else { return Ok(verified) };
        match provider.quirks().groups {
            GroupSource::ClaimOrDirectory => {}
            GroupSource::Claim | GroupSource::Nowhere => return Ok(verified),
        }
        let access = access.ok_or(IdentityFault::GroupsUnknown(DirectoryFault::Nothing))?;
        let base = self.directory.clone().or_else(|| provider.directory());
        let groups = self.looked_up(base.as_ref(), elsewhere, access).await;
        let groups = groups.map_err(IdentityFault::GroupsUnknown)?;
        Ok(Verified { subject: Subject { groups, ..verified.subject }, ..verified })
    }

    async fn looked_up(
        &self,
        base: Option<&url::Url>,
        elsewhere: &Elsewhere,
        access: &str,
    ) -> Result<BTreeSet<String>, DirectoryFault> {
        let directory = Directory::new(base, access, elsewhere)?;
        let ask = async |request| {
            let answer = fetch(self.http.clone(), request).await;
            answer.map_err(|fault| DirectoryFault::Unreachable(model::with_causes(&fault)))
        };
        directory.is_theirs(&ask(directory.whose()?).await?)?;
        directory.groups(&ask(directory.member_of()?).await?)
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
            return known;
        }
        let _one = self.fetching.lock().await;
        // Somebody else may have fetched, or failed to, meanwhile.
        if let Some(known) = self.known(issuer, now, within) {
            return known;
        }
        if !is_trustworthy(&provider.issuer) {
            return Err(IdentityFault::Insecure(issuer.to_owned()));
        }
        let found = self.discover(issuer).await;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.take().filter(|kept| kept.issuer == issuer).and_then(|kept| kept.answer);
        let issuer = issuer.to_owned();
        match found {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                let answer = Some((Arc::clone(&metadata), now));
                *kept = Some(Kept { issuer, answer, tried: now, fault: None });
                Ok(metadata)
            }
            Err(reason) => {
                let fault = Some(reason.clone());
                *kept = Some(Kept { issuer: issuer.clone(), answer: before, tried: now, fault });
                Err(IdentityFault::Unreachable { issuer, reason })
            }
        }
    }

    /// What is kept of this provider and fresh enough. What was just fetched in vain is not asked for again at once, so
    /// that tokens with keys of nobody cost the provider nothing and hold nobody up.
    fn known(
        &self,
        issuer: &str,
        now: Timestamp,
        within: Duration,
    ) -> Option<Result<Arc<CoreProviderMetadata>, IdentityFault>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.as_ref().filter(|known| known.issuer == issuer)?;
        let just_tried = known.tried <= now && now.since(known.tried) < IMPATIENCE;
        if let Some((metadata, at)) = &known.answer {
            let age = now.since(*at);
            if age < within || (age < FRESH && just_tried) {
                return Some(Ok(Arc::clone(metadata)));
            }
        }
        let reason = known.fault.clone().filter(|_| just_tried)?;
        Some(Err(IdentityFault::Unreachable { issuer: issuer.to_owned(), reason }))
    }

    /// A URL without a path is written with a slash here, while issuers mostly have none; both name the same documents,
    /// and the provider says which it is.
    pub(crate) async fn discover(&self, issuer: &str) -> Result<CoreProviderMetadata, String> {
        let bare = issuer.strip_suffix('/').unwrap_or(issuer);
        match self.discover_exactly(bare).await {
            Err(DiscoveryError::Validation(_)) if bare != issuer => self.discover_exactly(issuer).await,
            outcome => outcome,
        }
        .map_err(|fault| model::with_causes(&fault))
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

/// What is to be verified.
#[derive(Clone, Copy)]
struct Asked<'a> {
    id_token: &'a str,
    access: Option<&'a str>,
    nonce: &'a str,
    now: Timestamp,
}

fn check(
    provider: &IdentityProvider,
    metadata: &CoreProviderMetadata,
    Asked { id_token, access, nonce, now }: Asked<'_>,
) -> Result<Verified, TokenFault> {
    let verifier = claims::Verifier { provider, issuer: metadata.issuer(), keys: metadata.jwks(), now };
    let token = verifier.verify(id_token, access, NonceRule::AbsentOr(Some(nonce)))?;
    let sign_in = SignIn {
        sid: token.sid,
        at: token.authenticated.unwrap_or(token.issued),
        nonce: token.nonce.as_ref().map(|nonce| Digest::of(nonce.as_bytes())),
    };
    Ok(Verified {
        subject: token.subject,
        bound: token.nonce.is_some(),
        sign_in,
        groups_elsewhere: token.groups_elsewhere,
    })
}

/// https, or http on this machine.
pub(crate) fn is_trustworthy(url: &url::Url) -> bool {
    url.scheme() == "https" || url.scheme() == "http" && model::is_on_this_machine(url)
}

/// What asks others' servers: it follows no redirects, and is impatient.
pub(crate) fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(DEADLINE)
}

/// The same for one place alone: what is on this machine is asked through no proxy.
pub(crate) fn client_to(url: &url::Url) -> reqwest::ClientBuilder {
    if model::is_on_this_machine(url) { client().no_proxy() } else { client() }
}

/// Where secrets go along: what is on this machine is asked through no proxy.
#[derive(Debug, Clone)]
pub(crate) struct Outward {
    pub(crate) here: reqwest::Client,
    pub(crate) elsewhere: reqwest::Client,
}

impl Outward {
    /// What asks this place.
    pub(crate) fn to(&self, url: &url::Url) -> reqwest::Client {
        if model::is_on_this_machine(url) { self.here.clone() } else { self.elsewhere.clone() }
    }
}

/// Why the provider's answer was not fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchFault {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Form(#[from] http::Error),
    #[error("the answer is too large")]
    TooLarge,
}

/// openidconnect's requests over our own HTTP client.
pub(crate) async fn fetch(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, FetchFault> {
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
