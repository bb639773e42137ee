//! Signing in at the identity provider, and renewing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use claims::{Directory, DirectoryFault, Elsewhere, NonceRule, Verified, Verifier};
use model::{BoxFuture, Person, PersonFault, SignInOutcome, SignInPurpose, SignInRequest};
use oauth2::PkceCodeChallenge;
use org_protocol::OfflineAccess;
use os::Clock;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use url::Url;
use vault::Kind;

use super::provider::{Found, Provider};
use super::session::{Inner, Known, Session};
use super::{SessionState, Wish};
use crate::answer::{self, Expected};
use crate::renewal::{Place, Status};
use crate::{
    FaultKind, Life, Moment, Reach, Redemption, RenewFault, SecretStore, Tokens, loopback_redirect,
    presentable,
};

/// The one session of this installation.
const KEY: &str = "sign-in";

/// How long a person has to sign in.
const DEADLINE: Duration = Duration::from_secs(5 * 60);

/// How often another program may be faster at the redirect port before the attempt ends.
pub(super) const MOST_PORTS: usize = 3;

/// When a provider that renews without an ID token says nothing about time either, it is asked again after this.
const UNSAID_LIFE: Duration = Duration::from_secs(5 * 60);

/// How long looking the groups up may take: a renewed session is not saved before. A provider with a directory does not
/// take a second use of a refresh token for theft.
const LOOK_UP: Duration = Duration::from_secs(10);

pub(super) struct SsoPlace {
    pub(super) provider: Provider,
    /// Where groups are looked up that are too many for a token.
    pub(super) directory: Option<Url>,
    pub(super) reach: Reach,
    pub(super) store: Arc<dyn SecretStore>,
    pub(super) person: Arc<dyn Person>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) show: watch::Sender<SessionState>,
}

/// An authorization request that was answered.
struct Answered {
    outcome: SignInOutcome,
    redirect_uri: Url,
    state: String,
    verifier: SecretString,
}

impl Place for SsoPlace {
    type Kept = Session;
    type Ask = Wish;

    fn read(&self) -> BoxFuture<'_, Result<Option<Session>, FaultKind>> {
        Box::pin(async move {
            let found = self.store.fetch(Kind::Session, KEY).await?;
            Ok(found.and_then(|bytes| Session::unseal(&bytes, &self.provider)))
        })
    }

    fn sign_in(&self, wish: Wish) -> BoxFuture<'_, Result<Session, FaultKind>> {
        Box::pin(self.attempt(wish))
    }

    fn renew(&self, kept: Session, use_number: u8) -> BoxFuture<'_, Result<Session, RenewFault>> {
        Box::pin(self.renewal(kept, use_number))
    }

    fn save(&self, kept: Session) -> BoxFuture<'_, Result<(), FaultKind>> {
        Box::pin(async move {
            let bytes = kept.seal(&self.provider, 0)?;
            self.store.put(Kind::Session, KEY, &bytes).await
        })
    }

    fn erase(&self, kept: Session, revoke: bool) -> BoxFuture<'_, Result<(), FaultKind>> {
        Box::pin(async move {
            self.store.remove(Kind::Session, KEY).await?;
            if revoke {
                tokio::spawn(revocation(self.provider.clone(), self.reach.clone(), kept));
            }
            Ok(())
        })
    }

    fn changed(&self, status: &Status<Session>) {
        self.show.send_replace(SessionState::of(status, &self.provider.organisation));
    }
}

impl SsoPlace {
    async fn attempt(&self, wish: Wish) -> Result<Session, FaultKind> {
        let found = self.provider.discover(&self.reach).await?;
        let Answered { outcome, redirect_uri, state, verifier } = self.ask(&found, &wish).await?;
        let code = answer::code(
            &outcome,
            &Expected {
                redirect_uri: &redirect_uri,
                state: &state,
                issuer: found.issuer.as_str(),
                issuer_announced: found.announces_issuer,
            },
        )?;
        let redemption =
            Redemption { code, verifier: &verifier, redirect_uri: &redirect_uri, resource: None };
        let tokens = found.tokens.redeem(&self.reach, redemption).await?;
        let id_token = tokens.id_token.clone().ok_or(FaultKind::NotOffered("an ID token".to_owned()))?;
        let verified = self.verify(&found, &id_token, &tokens.access, NonceRule::Is(&wish.nonce))?;
        let lasts = self.life_of(&verified, &tokens);
        let known = self.known(verified, id_token, &tokens.access).await;
        Ok(self.session(known, tokens, lasts))
    }

    async fn ask(&self, found: &Found, wish: &Wish) -> Result<Answered, FaultKind> {
        for _ in 0..MOST_PORTS {
            let redirect_uri = loopback_redirect()?;
            let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
            let state = oauth2::CsrfToken::new_random().secret().clone();
            let authorize_url = self.authorize_url(found, &redirect_uri, &state, challenge.as_str(), wish);
            presentable(&authorize_url)?;
            let request = SignInRequest {
                purpose: SignInPurpose::Organisation { name: self.provider.organisation.clone() },
                authorize_url,
                entrance: None,
                redirect_uri: redirect_uri.clone(),
                deadline: DEADLINE,
            };
            match crate::ask(&*self.person, request).await {
                Ok(outcome) => {
                    let verifier = verifier.into_secret().into();
                    return Ok(Answered { outcome, redirect_uri, state, verifier });
                }
                Err(PersonFault::PortTaken) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(PersonFault::PortTaken.into())
    }

    fn authorize_url(
        &self,
        found: &Found,
        redirect_uri: &Url,
        state: &str,
        challenge: &str,
        wish: &Wish,
    ) -> Url {
        let settings = &self.provider.settings;
        let quirks = settings.quirks();
        let mut scopes = vec!["openid"];
        if quirks.offline == OfflineAccess::Scope && found.offline_access {
            scopes.push("offline_access");
        }
        let more = quirks.scopes.iter().copied().chain(settings.scopes.iter().map(String::as_str));
        for scope in more {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        let (usual, anew) = quirks.prompt;
        let mut url = found.authorization_endpoint.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", redirect_uri.as_str())
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", state)
            .append_pair("nonce", &wish.nonce)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256");
        if quirks.offline == OfflineAccess::Parameter {
            query.append_pair("access_type", "offline");
        }
        if let Some(prompt) = if wish.anew { Some(anew) } else { usual } {
            query.append_pair("prompt", prompt);
        }
        // A hint for the page; what is believed is the token's claim.
        if let Some(domain) = &settings.hosted_domain {
            query.append_pair("hd", domain);
        }
        drop(query);
        url
    }

    async fn renewal(&self, kept: Session, use_number: u8) -> Result<Session, RenewFault> {
        let Some(refresh) = &kept.0.refresh else {
            return Err(RenewFault::Ended("no refresh token".to_owned()));
        };
        let found = self.provider.discover(&self.reach).await.map_err(RenewFault::NotDone)?;
        let mark = kept.seal(&self.provider, use_number).map_err(RenewFault::NotDone)?;
        self.store.put(Kind::Session, KEY, &mark).await.map_err(RenewFault::NotDone)?;
        let mut tokens = found.tokens.renew(&self.reach, refresh, None).await?;
        tokens.refresh = tokens.refresh.or_else(|| kept.0.refresh.clone());
        let Some(id_token) = tokens.id_token.clone() else {
            // Not every provider sends one when it renews; then the person is as known as before.
            let lasts = tokens.lasts.unwrap_or(UNSAID_LIFE);
            return Ok(self.session(Known::of(&kept), tokens, lasts));
        };
        let rule = NonceRule::AbsentOr(kept.nonce());
        let verified = self
            .verify(&found, &id_token, &tokens.access, rule)
            .map_err(|fault| RenewFault::Ended(fault.to_string()))?;
        let same = verified.subject.subject == kept.subject().subject;
        if !same {
            return Err(RenewFault::Ended(
                "the identity provider renewed somebody else's session".to_owned(),
            ));
        }
        let lasts = self.life_of(&verified, &tokens);
        let known = self.known(verified, id_token, &tokens.access).await;
        Ok(self.session(known, tokens, lasts))
    }

    fn verify(
        &self,
        found: &Found,
        id_token: &SecretString,
        access: &SecretString,
        nonce: NonceRule<'_>,
    ) -> Result<Verified, FaultKind> {
        let verifier = Verifier {
            provider: &self.provider.settings,
            issuer: &found.issuer,
            keys: &found.keys,
            now: self.clock.now(),
        };
        verifier
            .verify(id_token.expose_secret(), Some(access.expose_secret()), nonce)
            .map_err(|fault| FaultKind::Mismatch(format!("the ID token: {fault}")))
    }

    /// What is known by a verified token, with the groups that are not in it.
    async fn known(&self, verified: Verified, id_token: SecretString, access: &SecretString) -> Known {
        let groups = match &verified.groups_elsewhere {
            None => None,
            Some(elsewhere) => match tokio::time::timeout(LOOK_UP, self.looked_up(elsewhere, access)).await {
                Ok(Ok(groups)) => Some(groups),
                Ok(Err(fault)) => {
                    tracing::warn!(%fault, "the groups could not be looked up");
                    None
                }
                Err(_) => {
                    tracing::warn!("the groups could not be looked up in time");
                    None
                }
            },
        };
        Known::by(verified, id_token, groups)
    }

    async fn looked_up(
        &self,
        elsewhere: &Elsewhere,
        access: &SecretString,
    ) -> Result<BTreeSet<String>, DirectoryFault> {
        let directory = Directory::new(self.directory.as_ref(), access.expose_secret(), elsewhere)?;
        let ask = async |request| {
            let answer = self.reach.send(request).await;
            answer.map_err(|fault| DirectoryFault::Unreachable(fault.to_string()))
        };
        directory.is_theirs(&ask(directory.whose()?).await?)?;
        directory.groups(&ask(directory.member_of()?).await?)
    }

    /// The shorter life of the two tokens.
    fn life_of(&self, verified: &Verified, tokens: &Tokens) -> Duration {
        let left = verified.expires.since(self.clock.now());
        tokens.lasts.map_or(left, |lasts| lasts.min(left))
    }

    fn session(&self, known: Known, tokens: Tokens, lasts: Duration) -> Session {
        let access = known.in_directory.then_some(tokens.access);
        Session(Arc::new(Inner {
            known,
            access,
            refresh: tokens.refresh,
            life: Life::beginning(Moment::of(&*self.clock), Some(lasts)),
            uses: 0,
        }))
    }
}

/// Best effort: the session is already forgotten here.
async fn revocation(provider: Provider, reach: Reach, kept: Session) {
    let Some(refresh) = kept.0.refresh.clone() else { return };
    let told = async {
        let found = provider.discover(&reach).await?;
        let tokens = Tokens {
            access: SecretString::default(),
            refresh: Some(refresh),
            id_token: None,
            lasts: None,
            scopes: None,
            bound: false,
        };
        found.tokens.revoke(&reach, &tokens).await
    };
    if let Err(fault) = told.await {
        tracing::info!(%fault, "the identity provider could not be told of the sign-out");
    }
}
