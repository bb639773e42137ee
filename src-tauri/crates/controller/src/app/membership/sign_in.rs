//! Signing in to the organisation: at its identity provider, and from there at its control plane.

use std::sync::Arc;

use audit::{AuditEvent, EventRecord, Journal};
use model::{Advice, BoxFuture, ForPerson as _, Subject};
use org::{IdToken, IdTokens, NoIdToken, Org};
use os::Clock;
use signin::{KeeperRules, SessionState, Sso, SsoParts};
use tokio::sync::{Mutex, watch};
use vault::Vault;

use super::{MembershipParts, Provider};
use crate::app::present::Present;
use crate::app::tell::{Lamp, Tell};
use crate::event::Event;
use crate::pending::PendingDesk;
use crate::state::Session;

/// The person's sign-in, and who is present through it.
pub(crate) struct SignIn {
    org: Org,
    vault: Vault,
    desk: PendingDesk,
    clock: Arc<dyn Clock>,
    tell: Tell,
    journal: Journal,
    /// The session at the identity provider, once it is known which that is.
    sso: watch::Sender<Option<Sso>>,
    seat: watch::Sender<Option<Arc<Subject>>>,
    /// Whoever asks while a person is being asked waits for the same answer.
    turn: Mutex<()>,
    /// Ends with the program: what is renewed is saved before.
    lamp: Mutex<Lamp>,
}

impl SignIn {
    /// Nobody is signed in yet.
    pub(crate) fn new(org: Org, parts: &MembershipParts) -> Arc<Self> {
        let MembershipParts { vault, desk, clock, journal, tell } = parts;
        Arc::new(Self {
            org,
            vault: vault.clone(),
            desk: desk.clone(),
            clock: Arc::clone(clock),
            tell: tell.clone(),
            journal: journal.clone(),
            sso: watch::Sender::new(None),
            seat: watch::Sender::new(None),
            turn: Mutex::default(),
            lamp: Mutex::new(Lamp::new(tell.clone())),
        })
    }

    /// Who is present.
    pub(crate) fn present(&self) -> Present {
        Present::of(&self.seat)
    }

    /// Asks the person to sign in, unless somebody is signed in.
    ///
    /// # Errors
    /// Why nobody is.
    pub(crate) async fn sign_in(&self) -> Result<(), Advice> {
        let _turn = self.turn.lock().await;
        if self.seat.borrow().is_some() {
            return Ok(());
        }
        let sso = self.sso.borrow().clone().ok_or_else(super::policy::not_here)?;
        let nonce = self.org.nonce().await.map_err(|fault| fault.advice())?;
        let session = sso.sign_in(nonce).await.map_err(|fault| {
            let advice = fault.advice();
            self.tell.note(
                &self.journal,
                &EventRecord::new(AuditEvent::SignInFailed).with("code", advice.code.clone()),
            );
            advice
        })?;
        self.take_seat(session.subject());
        // Whoever keeps the session tries again where this fails, and says so.
        if let Err(fault) = self.org.open_session(session.id_token(), session.nonce()).await {
            tracing::info!(%fault, "signed in, but there is no session with the organisation yet");
        }
        Ok(())
    }

    /// Forgets the sign-in, here and at the control plane.
    ///
    /// # Errors
    /// Why it could not be erased.
    pub(crate) async fn sign_out(&self) -> Result<(), Advice> {
        let _turn = self.turn.lock().await;
        self.org.end_session();
        let sso = self.sso.borrow().clone();
        match sso {
            Some(sso) => sso.sign_out().await.map_err(|fault| fault.advice()),
            None => Ok(()),
        }
    }

    /// Keeps the session at whichever identity provider the organisation names. Runs until it is dropped.
    pub(super) async fn follow(self: Arc<Self>, mut providers: watch::Receiver<Option<Provider>>) {
        loop {
            let provider = providers.borrow_and_update().clone();
            let opened = provider.as_ref().map(|provider| self.open(provider));
            match opened {
                Some(Ok(sso)) => self.follow_one(&sso, provider.as_ref(), &mut providers).await,
                Some(Err(advice)) => {
                    self.lamp.lock().await.show(Some(advice));
                    if providers.changed().await.is_err() {
                        return;
                    }
                }
                None if providers.changed().await.is_err() => return,
                None => {}
            }
        }
    }

    /// Saves what is being renewed.
    pub(crate) async fn close(&self) {
        let sso = self.sso.borrow().clone();
        if let Some(sso) = sso {
            sso.close().await;
        }
    }

    fn open(&self, Provider { organisation, settings }: &Provider) -> Result<Sso, Advice> {
        let provider = signin::Provider {
            organisation: organisation.clone(),
            issuer: settings.issuer.to_string(),
            client_id: settings.client_id.clone(),
            scopes: settings.scopes.clone(),
            groups_claim: settings.groups_claim.clone(),
        };
        let parts = SsoParts {
            store: Arc::new(self.vault.clone()),
            person: Arc::new(self.desk.clone()),
            clock: Arc::clone(&self.clock),
            rules: KeeperRules::default(),
        };
        Sso::open(provider, parts).map_err(|fault| fault.advice())
    }

    /// Until the organisation names another identity provider.
    async fn follow_one(
        &self,
        sso: &Sso,
        provider: Option<&Provider>,
        providers: &mut watch::Receiver<Option<Provider>>,
    ) {
        self.sso.send_replace(Some(sso.clone()));
        let mut states = sso.watch();
        loop {
            let state = states.borrow_and_update().clone();
            self.told(state).await;
            tokio::select! {
                changed = states.changed() => if changed.is_err() { break },
                changed = providers.changed() => {
                    if changed.is_err() || providers.borrow().as_ref() != provider {
                        break;
                    }
                }
            }
        }
        self.sso.send_replace(None);
        sso.close().await;
    }

    async fn told(&self, state: SessionState) {
        let mut lamp = self.lamp.lock().await;
        match state {
            SessionState::Starting => {}
            SessionState::SigningIn => {
                if self.seat.borrow().is_none() {
                    self.tell.event(Event::Session(Session::SigningIn));
                }
            }
            SessionState::SignedIn { subject, trouble, .. } => {
                // That the provider does not answer ends nothing: the person stays who they are.
                lamp.show(trouble);
                self.take_seat(&subject);
            }
            SessionState::SignedOut { why } => {
                lamp.show(None);
                self.leave_seat(why);
            }
        }
    }

    /// The same person with other groups is another value of the same person.
    fn take_seat(&self, subject: &Subject) {
        let before = self.seat.borrow().clone();
        if before.as_deref() != Some(subject) {
            let same = before.is_some_and(|before| {
                (&before.issuer, &before.subject) == (&subject.issuer, &subject.subject)
            });
            if !same {
                let record = EventRecord::new(AuditEvent::SignedIn).of(subject.clone());
                self.tell.note(&self.journal, &record);
            }
            self.seat.send_replace(Some(Arc::new(subject.clone())));
        }
        self.tell.event(Event::Session(Session::SignedIn { label: subject.label().to_owned() }));
    }

    fn leave_seat(&self, why: Option<Advice>) {
        let before = self.seat.send_replace(None);
        self.org.end_session();
        let session = match (&before, &why) {
            (Some(before), Some(_)) => Session::Expired { label: before.label().to_owned() },
            (Some(_), None) | (None, _) => Session::SignedOut,
        };
        self.tell.event(Event::Session(session));
        let Some(before) = before else { return };
        let (event, code) = match why {
            Some(why) => (AuditEvent::SessionEnded, Some(why.code)),
            None => (AuditEvent::SignedOut, None),
        };
        let record = EventRecord::new(event).of(before.as_ref().clone());
        let record = match code {
            Some(code) => record.with("code", code),
            None => record,
        };
        self.tell.note(&self.journal, &record);
    }
}

impl IdTokens for SignIn {
    fn id_token(&self) -> BoxFuture<'_, Result<IdToken, NoIdToken>> {
        Box::pin(async move {
            let sso = self.sso.borrow().clone();
            let Some(sso) = sso else { return Err(NoIdToken(super::policy::not_here())) };
            let session = sso.session().await.map_err(|fault| NoIdToken(fault.advice()))?;
            Ok(IdToken { token: session.id_token().clone(), nonce: session.nonce().map(str::to_owned) })
        })
    }
}
