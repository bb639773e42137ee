//! The organisation's session: OpenID Connect with code and PKCE, kept alive, verified each time it is renewed.

mod by_code;
mod end_session;
mod place;
mod provider;
mod session;
mod vouch;

use std::sync::Arc;

use model::{Advice, BoxFuture, ForPerson as _, Person, Subject};
use os::Clock;
use secrecy::SecretString;
use tokio::sync::watch;
use url::Url;

use crate::renewal::{Keeper, KeeperRules, Status};
use crate::{FaultKind, Http, NamedHosts, SecretStore, SignInFault};
use place::SsoPlace;

pub use provider::Provider;
pub use session::Session;
pub use vouch::Vouch;

/// What the session needs from outside.
pub struct SsoParts {
    /// Where sessions rest.
    pub store: Arc<dyn SecretStore>,
    /// Where the provider's directory is: [`org_protocol::IdentityProvider::directory`]; a stand-in's for tests.
    pub directory: Option<Url>,
    /// Who is asked.
    pub person: Arc<dyn Person>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How it behaves; `machine.renew_when_read` is set in any case: a session that was read back is renewed at once.
    pub rules: KeeperRules,
}

/// The session at one identity provider. Clones share it.
#[derive(Clone)]
pub struct Sso {
    keeper: Keeper<SsoPlace>,
    place: Arc<SsoPlace>,
    state: watch::Receiver<SessionState>,
    organisation: String,
}

/// How somebody is to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Comes back in the ID token (OpenID Connect Core 1.0, section 2): whoever wants the session bound to something puts
    /// its digest there.
    pub nonce: String,
    /// Whether the person has to prove who they are, although the provider may still know (section 3.1.2.1:
    /// `prompt=login`). A sign-in by code has no such parameter: whoever types the code wants it.
    pub anew: bool,
    /// Whether the person wants to sign in on another device by a code (RFC 8628), although a page might be opened here.
    pub by_code: bool,
}

/// What can be seen of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionState {
    /// Not looked yet.
    Starting,
    /// Nobody is signed in.
    SignedOut {
        /// Why, if it was not by wish.
        why: Option<Advice>,
    },
    /// A person is being asked.
    SigningIn,
    /// Somebody is signed in. That stays so while the identity provider cannot be reached.
    SignedIn {
        /// Who.
        subject: Subject,
        /// When the ID token ends, or has ended.
        expires: model::Timestamp,
        /// What keeps the session from being renewed.
        trouble: Option<Advice>,
        /// What the provider says of them that could not be read, and so is not known.
        lacks: Option<Box<Advice>>,
    },
}

impl Sso {
    /// Starts keeping the session at `provider`. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`FaultKind::NotAllowed`] for an issuer whose URL is not `https` (or `http` on loopback), [`FaultKind::Internal`] if
    /// TLS cannot be set up.
    pub fn open(provider: Provider, parts: SsoParts) -> Result<Self, SignInFault> {
        let organisation = provider.organisation.clone();
        let SsoParts { store, directory, person, clock, mut rules } = parts;
        rules.machine.renew_when_read = true;
        let issuer = provider.settings.issuer.clone();
        crate::presentable(&issuer).map_err(|fault| fault.at(&organisation))?;
        let named = NamedHosts::default();
        named.add(&issuer);
        let http = Http::new(named).map_err(|fault| fault.at(&organisation))?;
        let (show, state) = watch::channel(SessionState::Starting);
        let place = SsoPlace {
            reach: http.from(&issuer),
            provider,
            directory,
            store,
            person,
            clock: Arc::clone(&clock),
            show,
        };
        let place = Arc::new(place);
        Ok(Self { keeper: Keeper::start(Arc::clone(&place), clock, rules), place, state, organisation })
    }

    /// Asks the person to sign in, whoever is signed in now.
    ///
    /// # Errors
    /// [`SignInFault`]. Who was signed in before still is.
    pub async fn sign_in(&self, wish: Wish) -> Result<Session, SignInFault> {
        self.keeper.sign_in(wish).await.map_err(|fault| fault.at(&self.organisation))
    }

    /// The session with an ID token that is still valid, renewed if need be. Never asks a person.
    ///
    /// # Errors
    /// [`SignInFault`]; [`Sso::last_known`] may still say who it was.
    pub async fn session(&self) -> Result<Session, SignInFault> {
        self.keeper.token(None).await.map_err(|fault| fault.at(&self.organisation))
    }

    /// The session as it was last renewed, however long ago: who the person is while the identity provider cannot be
    /// reached. Waits only until what is saved was read.
    pub async fn last_known(&self) -> Option<Session> {
        match self.keeper.known().await {
            Status::SignedIn { kept, .. } => Some(kept),
            Status::Unknown | Status::SignedOut { .. } | Status::SigningIn => None,
        }
    }

    /// Forgets the session and tells the identity provider in the background.
    ///
    /// # Errors
    /// [`SignInFault`] if it could not be erased.
    pub async fn sign_out(&self) -> Result<(), SignInFault> {
        self.keeper.sign_out().await.map_err(|fault| fault.at(&self.organisation))
    }

    /// Lets the person end the provider's own session as well, where it offers that (OpenID Connect RP-Initiated Logout
    /// 1.0). Returns when its page has come back, was closed, or was not gone on with. `session` is the one that was
    /// forgotten. Whether it came back, so that the session there has certainly ended.
    ///
    /// # Errors
    /// [`SignInFault`] if the provider cannot be reached, or nobody can be shown its page.
    pub async fn end_session(&self, session: &Session) -> Result<bool, SignInFault> {
        self.place.end_session(session).await.map_err(|fault| fault.at(&self.organisation))
    }

    /// Has the identity provider vouch for the person at an authorization server (Identity Assertion JWT Authorization Grant,
    /// draft-ietf-oauth-identity-assertion-authz-grant, section "Token Exchange"). Never asks a person.
    ///
    /// # Errors
    /// [`FaultKind::Refused`] with the provider's error code, [`FaultKind::SignInNeeded`] if somebody else is signed in by
    /// now or nobody is, or why it could not be asked.
    pub async fn vouch(&self, person: &Subject, wanted: &Vouch<'_>) -> Result<SecretString, FaultKind> {
        let session = self.keeper.token(None).await?;
        if !session.subject().is_same_person(person) {
            return Err(FaultKind::SignInNeeded);
        }
        self.place.vouch(&session, wanted).await
    }

    /// What can be seen of the session, now and at each change.
    pub fn watch(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    /// Does what is due without waiting any longer after what failed. Never asks a person.
    pub fn try_now(&self) {
        self.keeper.try_now();
    }

    /// Reads again what the vault holds: it may have been out of reach before.
    pub async fn read_again(&self) {
        self.keeper.reload().await;
    }

    /// Ends the work after what is under way; a question to a person is withdrawn.
    pub fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.keeper.close())
    }
}

impl SessionState {
    fn of(status: &Status<Session>, organisation: &str) -> Self {
        let advice = |fault: &FaultKind| fault.clone().at(organisation).advice();
        match status {
            Status::Unknown => Self::Starting,
            Status::SignedOut { after } => Self::SignedOut { why: after.as_ref().map(advice) },
            Status::SigningIn => Self::SigningIn,
            Status::SignedIn { kept, trouble, .. } => Self::SignedIn {
                subject: kept.subject().clone(),
                expires: kept.expires(),
                trouble: trouble.as_ref().map(advice),
                lacks: kept.lacks().map(Box::new),
            },
        }
    }
}
