//! Signing in to the organisation: at its identity provider, and from there at its control plane.

use std::sync::Arc;
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal};
use model::{Advice, BoxFuture, ForPerson as _, Subject};
use org::{IdToken, IdTokens, NoIdToken, Org};
use os::Clock;
use signin::{FaultKind, KeeperRules, SessionState, SignInFault, Sso, SsoParts};
use tokio::sync::{Mutex, watch};
use vault::Vault;

use super::{MembershipParts, Provider};
use crate::app::present::Present;
use crate::app::tell::{Lamp, Tell};
use crate::event::Event;
use crate::pending::PendingDesk;
use crate::state::Session;

/// How long whoever wants to sign in waits for the organisation's settings, which are just being fetched.
const SETTINGS_WITHIN: Duration = Duration::from_secs(15);

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
    /// What is wrong with the session.
    lamp: Mutex<Lamp>,
    /// What went wrong with the last attempt.
    attempt: Mutex<Lamp>,
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
            attempt: Mutex::new(Lamp::new(tell.clone())),
        })
    }

    /// Who is present.
    pub(crate) fn present(&self) -> Present {
        Present::of(&self.seat)
    }

    /// Asks the person to sign in, unless somebody is signed in.
    ///
    /// # Errors
    /// Why nobody is. It is told already.
    pub(crate) async fn sign_in(&self) -> Result<(), Advice> {
        let _turn = self.turn.lock().await;
        let outcome = self.signed_in().await;
        let wrong = match &outcome {
            // Who closed the window knows that nobody is signed in.
            Ok(()) | Err(Missed::GivenUp(_)) => None,
            Err(Missed::Failed(advice)) => Some(advice.clone()),
        };
        self.attempt.lock().await.show(wrong);
        outcome.map_err(|(Missed::GivenUp(advice) | Missed::Failed(advice))| advice)
    }

    async fn signed_in(&self) -> Result<(), Missed> {
        if self.seat.borrow().is_some() {
            return Ok(());
        }
        let mut known = self.sso.subscribe();
        let sso = match tokio::time::timeout(SETTINGS_WITHIN, known.wait_for(Option::is_some)).await {
            Ok(Ok(sso)) => sso.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        let sso = sso.ok_or_else(|| Missed::Failed(super::policy::not_here()))?;
        let nonce = self.org.nonce().await.map_err(|fault| Missed::Failed(fault.advice()))?;
        let session = sso.sign_in(nonce).await.map_err(|fault| self.missed(&fault))?;
        self.take_seat(session.subject());
        // Whoever keeps the session tries again where this fails, and says so.
        if let Err(fault) = self.org.open_session(session.id_token(), session.nonce()).await {
            tracing::info!(%fault, "signed in, but there is no session with the organisation yet");
        }
        Ok(())
    }

    fn missed(&self, fault: &SignInFault) -> Missed {
        let advice = fault.advice();
        let record = EventRecord::new(AuditEvent::SignInFailed).with("code", advice.code.clone());
        self.tell.note(&self.journal, &record);
        if matches!(fault.kind, FaultKind::Cancelled | FaultKind::Deadline | FaultKind::Closing) {
            Missed::GivenUp(advice)
        } else {
            Missed::Failed(advice)
        }
    }

    /// Forgets the sign-in, here and at the control plane.
    ///
    /// # Errors
    /// Why it could not be erased. It is told already.
    pub(crate) async fn sign_out(&self) -> Result<(), Advice> {
        let _turn = self.turn.lock().await;
        self.org.end_session();
        let sso = self.sso.borrow().clone();
        let outcome = match sso {
            Some(sso) => sso.sign_out().await.map_err(|fault| fault.advice()),
            None => Ok(()),
        };
        self.attempt.lock().await.show(outcome.as_ref().err().cloned());
        outcome
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

/// Why nobody signed in.
enum Missed {
    /// The person did not want to.
    GivenUp(Advice),
    /// It was tried, and failed.
    Failed(Advice),
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
