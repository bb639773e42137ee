//! Signing in to the organisation: at its identity provider, and from there at its control plane.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal};
use connector::Voucher;
use model::{Advice, BoxFuture, ForPerson as _, Subject};
use org::{IdToken, IdTokens, NoIdToken, Org, OrgFault, OrgSession};
use org_protocol::{ID_TOKEN_NOT_BOUND, RootFingerprint};
use os::Clock;
use secrecy::SecretString;
use signin::{FaultKind, KeeperRules, SessionState, SignInFault, Sso, SsoParts, Vouch, Wish};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use vault::Vault;

use super::{MembershipParts, Provider};
use crate::app::present::Present;
use crate::app::tell::{Lamp, Tell};
use crate::event::Event;
use crate::pending::PendingDesk;
use crate::state::Session;

/// How long whoever wants to sign in waits for the organisation's settings, which are just being fetched.
const SETTINGS_WITHIN: Duration = Duration::from_secs(15);

/// How long what was saved may take to be read.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
/// How long a person who did not want to sign in is left alone by assistants.
const LEFT_ALONE: Duration = Duration::from_secs(60);

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
    /// Whether what was saved of an earlier run was looked at.
    settled: watch::Sender<bool>,
    /// Whoever asks while a person is being asked waits for the same answer.
    turn: Mutex<()>,
    keeping: Mutex<Keeping>,
    /// What went wrong with the last attempt.
    attempt: Mutex<Lamp>,
    /// When the person last did not want to sign in, in boot time.
    given_up: std::sync::Mutex<Option<Duration>>,
    /// Whether the next sign-in has to be one with a password or the like, since the last was ended.
    anew: AtomicBool,
    /// Tells of the last sign-out.
    farewell: std::sync::Mutex<Option<JoinHandle<()>>>,
}

/// What whoever keeps the session knows; one change at a time.
struct Keeping {
    /// What is wrong with the session.
    lamp: Lamp,
    /// What is not known of the person who is signed in.
    lacks: Lamp,
    /// The sign-in is being ended: whatever the provider's session does until it has ended, nobody is present.
    leaving: bool,
    /// Who was signed in and why they are not any more, where they did not wish it; until somebody signs in or out.
    expired: Option<(String, Advice)>,
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
            settled: watch::Sender::new(false),
            turn: Mutex::default(),
            keeping: Mutex::new(Keeping {
                lamp: Lamp::new(tell.clone()),
                lacks: Lamp::new(tell.clone()),
                leaving: false,
                expired: None,
            }),
            attempt: Mutex::new(Lamp::new(tell.clone())),
            given_up: std::sync::Mutex::default(),
            anew: AtomicBool::new(false),
            farewell: std::sync::Mutex::default(),
        })
    }

    /// The person has compared the organisation's fingerprint.
    ///
    /// # Errors
    /// The words, where it is another one or cannot be kept.
    pub(crate) async fn confirm(&self, fingerprint: RootFingerprint) -> Result<(), Advice> {
        self.org.confirm(fingerprint).await.map_err(|fault| fault.advice())?;
        let record = EventRecord::new(AuditEvent::OrganisationConfirmed);
        self.tell.note(&self.journal, &record.with("fingerprint", fingerprint.to_string()));
        Ok(())
    }

    /// Who is present.
    pub(crate) fn present(&self) -> Present {
        Present::of(&self.seat)
    }

    /// Waits until what was saved of an earlier run was looked at, so that whoever is signed in is present; not for long.
    pub(super) async fn settle(&self) {
        let mut settled = self.settled.subscribe();
        // Late or not: who comes then is told to sign in, and is signed in without being asked.
        let _ = tokio::time::timeout(SETTLED_WITHIN, settled.wait_for(|settled| *settled)).await;
    }

    /// Asks the person to sign in because an assistant wants to work. Who has just said no is not asked again at once.
    ///
    /// # Errors
    /// As [`SignIn::sign_in`].
    pub(crate) async fn sign_in_for_assistant(&self) -> Result<(), Advice> {
        let given_up = *self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = |at: Duration| self.clock.boot_time().saturating_sub(at) >= LEFT_ALONE;
        if given_up.is_none_or(rested) {
            return self.sign_in().await;
        }
        Err(Advice::new(
            "sign-in-declined",
            "The person at this computer did not want to sign in just now.",
            "Nothing can be used until somebody has signed in.",
            "Sign in from the tray.",
        ))
    }

    /// Asks the person to sign in, unless somebody is signed in.
    ///
    /// # Errors
    /// Why nobody is. It is told already.
    pub(crate) async fn sign_in(&self) -> Result<(), Advice> {
        self.attempt(false).await
    }

    /// Asks the person to sign in on another device by a code, unless somebody is signed in or a code is shown already.
    ///
    /// # Errors
    /// As [`SignIn::sign_in`].
    pub(crate) async fn sign_in_by_code(&self) -> Result<(), Advice> {
        self.desk.leave_page_of_organisation();
        self.attempt(true).await
    }

    async fn attempt(&self, by_code: bool) -> Result<(), Advice> {
        let _turn = self.turn.lock().await;
        let outcome = self.signed_in(by_code).await;
        let (wrong, given_up) = match &outcome {
            Ok(()) => (None, None),
            // Who closed the window knows that nobody is signed in.
            Err(Missed::GivenUp(_)) => (None, Some(self.clock.boot_time())),
            // It is said with the end of the sign-in.
            Err(Missed::Ended(_)) => (None, None),
            Err(Missed::Failed(advice)) => (Some(advice.clone()), None),
        };
        *self.given_up.lock().unwrap_or_else(PoisonError::into_inner) = given_up;
        self.attempt.lock().await.show(wrong);
        outcome.map_err(|(Missed::GivenUp(advice) | Missed::Ended(advice) | Missed::Failed(advice))| advice)
    }

    async fn signed_in(&self, by_code: bool) -> Result<(), Missed> {
        let mut known = self.sso.subscribe();
        let sso = match tokio::time::timeout(SETTINGS_WITHIN, known.wait_for(Option::is_some)).await {
            Ok(Ok(sso)) => sso.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        let sso = sso.ok_or_else(|| Missed::Failed(super::policy::not_here()))?;
        self.cut_farewell_short();
        let anew = self.anew.load(Ordering::Relaxed);
        self.keeping.lock().await.leaving = false;
        let kept = if anew {
            // What was ended is of no use, even where it could not be erased.
            None
        } else {
            let state = sso.watch().borrow().clone();
            self.told(state).await;
            // What is saved of an earlier run may be just being read.
            sso.last_known().await
        };
        let session = match kept {
            Some(session) => session,
            None => {
                let nonce = self.org.nonce().await.map_err(|fault| Missed::Failed(fault.advice()))?;
                sso.sign_in(Wish { nonce, anew, by_code }).await.map_err(|fault| self.missed(&fault))?
            }
        };
        let mut seat = self.seat.subscribe();
        let seated = seat
            .wait_for(|seat| seat.as_ref().is_some_and(|present| present.is_same_person(session.subject())));
        if !matches!(tokio::time::timeout(SETTLED_WITHIN, seated).await, Ok(Ok(_))) {
            return Err(Missed::Failed(OrgFault::NoSession.advice()));
        }
        let theirs = |open: &OrgSession| open.subject.is_same_person(session.subject());
        let has_session = self.org.session().borrow().as_ref().is_some_and(theirs);
        // Whoever keeps the session tries again where this fails, and says so.
        if !has_session && let Err(fault) = self.org.open_session(&proof_of(&session)).await {
            tracing::info!(%fault, "signed in, but there is no session with the organisation yet");
            if fault.ends_sign_in() {
                self.ended(fault.advice()).await;
                return Err(Missed::Ended(fault.advice()));
            }
        }
        self.anew.store(false, Ordering::Relaxed);
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

    /// Ends the person's presence at once, then forgets the sign-in.
    ///
    /// # Errors
    /// Why it could not be erased. It is told already, and nobody is present all the same.
    pub(crate) async fn sign_out(self: &Arc<Self>) -> Result<(), Advice> {
        // An assistant that wants to go on brings nobody back: it has nobody asked for a while, and then the provider asks for
        // the password, unless it has confirmed the sign-out.
        *self.given_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.boot_time());
        self.anew.store(true, Ordering::Relaxed);
        let session = {
            let mut keeping = self.keeping.lock().await;
            keeping.leaving = true;
            keeping.expired = None;
            self.leave_seat(&mut keeping, None)
        };
        let _turn = self.turn.lock().await;
        let sso = self.sso.borrow().clone();
        let kept = match &sso {
            Some(sso) => sso.last_known().await,
            None => None,
        };
        let outcome = self.forget().await;
        self.attempt.lock().await.show(outcome.as_ref().err().cloned());
        let farewell = tokio::spawn(Arc::clone(self).farewell(session, sso.zip(kept)));
        *self.farewell.lock().unwrap_or_else(PoisonError::into_inner) = Some(farewell);
        outcome
    }

    /// Tells the control plane and the identity provider that the person has signed out here. They are out here whether or
    /// not anybody hears of it.
    async fn farewell(self: Arc<Self>, session: Option<OrgSession>, kept: Option<(Sso, signin::Session)>) {
        // Of its own: whoever signs in again at once cuts the provider's page short, and not this.
        let org = self.org.clone();
        let closing = tokio::spawn(async move {
            match &session {
                Some(session) => org.close_session(session).await.map_err(|fault| fault.to_string()),
                None => Ok(()),
            }
        });
        let organisation = async { closing.await.unwrap_or_else(|fault| Err(fault.to_string())) };
        let provider = async {
            match &kept {
                Some((sso, kept)) => sso.end_session(kept).await.map_err(|fault| fault.to_string()),
                None => Ok(false),
            }
        };
        let (organisation, provider) = tokio::join!(organisation, provider);
        self.tell.event(Event::SignInsEnded);
        if provider == Ok(true) {
            self.anew.store(false, Ordering::Relaxed);
        }
        let faults = [
            ("the organisation", organisation.as_ref().err()),
            ("the identity provider", provider.as_ref().err()),
        ];
        for (what, fault) in faults {
            if let Some(fault) = fault {
                tracing::info!(%fault, "{what} was not told of the sign-out");
            }
        }
        if let Some(advice) = not_told(organisation.is_ok(), provider.is_ok()) {
            self.attempt.lock().await.show(Some(advice));
        }
    }

    /// Waits until the last sign-out was told to whoever is told of it, or not longer than this.
    pub(crate) async fn farewell_said(&self, within: Duration) {
        let farewell = self.farewell.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(farewell) = farewell {
            // Whether it was heard is said where it is known.
            let _ = tokio::time::timeout(within, farewell).await;
        }
    }

    /// Whoever signs in now does not wait for the sign-out before to be told.
    fn cut_farewell_short(&self) {
        let farewell = self.farewell.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(farewell) = farewell.filter(|farewell| !farewell.is_finished()) {
            farewell.abort();
            self.tell.event(Event::SignInsEnded);
        }
    }

    /// Ends the sign-in because the organisation did. Does not wait.
    pub(super) fn end(self: &Arc<Self>, why: Advice) {
        let sign_in = Arc::clone(self);
        tokio::spawn(async move { sign_in.ended(why).await });
    }

    /// Ends the person's presence at once, then forgets the sign-in, which is of no use any more.
    async fn ended(&self, why: Advice) {
        {
            let mut keeping = self.keeping.lock().await;
            if keeping.leaving {
                return;
            }
            keeping.leaving = true;
            // Whose sign-in only lacks its proof need not prove anew who they are.
            self.anew.store(why.code != ID_TOKEN_NOT_BOUND, Ordering::Relaxed);
            self.leave_seat(&mut keeping, Some(why));
        }
        self.tell.event(Event::SignInsEnded);
        if let Err(fault) = self.forget().await {
            // It is refused again when it is read back.
            tracing::error!(%fault, "a sign-in that was ended could not be erased");
        }
    }

    async fn forget(&self) -> Result<(), Advice> {
        let sso = self.sso.borrow().clone();
        match sso {
            Some(sso) => sso.sign_out().await.map_err(|fault| fault.advice()),
            None => Ok(()),
        }
    }

    /// Keeps the session at whichever identity provider the organisation names. Runs until it is dropped.
    pub(super) async fn follow(self: Arc<Self>, mut providers: watch::Receiver<Option<Provider>>) {
        let mut before: Option<Provider> = None;
        loop {
            let provider = providers.borrow_and_update().clone();
            if let (Some(before), Some(provider)) = (&before, &provider)
                && !before.knows_the_same_people(provider)
            {
                let mut keeping = self.keeping.lock().await;
                self.leave_seat(&mut keeping, Some(provider_changed(provider)));
            }
            let opened = provider.as_ref().map(|provider| self.open(provider));
            let ended = match opened {
                Some(Ok(sso)) => self.follow_one(&sso, provider.as_ref(), &mut providers).await,
                Some(Err(advice)) => {
                    let mut keeping = self.keeping.lock().await;
                    self.leave_seat(&mut keeping, Some(advice.clone()));
                    keeping.lamp.show(Some(advice));
                    drop(keeping);
                    self.settled.send_replace(true);
                    providers.changed().await.is_err()
                }
                None => providers.changed().await.is_err(),
            };
            if ended {
                return;
            }
            before = provider;
        }
    }

    /// Renews what is due without waiting any longer after what failed.
    pub(crate) fn try_now(&self) {
        if let Some(sso) = &*self.sso.borrow() {
            sso.try_now();
        }
    }

    /// Reads again what the vault holds: it may have been out of reach before.
    pub(crate) async fn read_again(&self) {
        let sso = self.sso.borrow().clone();
        let Some(sso) = sso else { return };
        if !self.anew.load(Ordering::Relaxed) {
            sso.read_again().await;
        } else if let Err(fault) = sso.sign_out().await {
            // Whoever signed out meanwhile meant what was out of reach.
            tracing::warn!(%fault, "a sign-in that was left could not be forgotten");
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
        let provider = signin::Provider { organisation: organisation.clone(), settings: settings.clone() };
        let parts = SsoParts {
            store: Arc::new(self.vault.clone()),
            directory: settings.directory(),
            person: Arc::new(self.desk.clone()),
            clock: Arc::clone(&self.clock),
            rules: KeeperRules::default(),
        };
        Sso::open(provider, parts).map_err(|fault| fault.advice())
    }

    /// Until the organisation names another identity provider. `true` if there will be no other.
    async fn follow_one(
        &self,
        sso: &Sso,
        provider: Option<&Provider>,
        providers: &mut watch::Receiver<Option<Provider>>,
    ) -> bool {
        self.sso.send_replace(Some(sso.clone()));
        let mut states = sso.watch();
        let ended = loop {
            let state = states.borrow_and_update().clone();
            self.told(state).await;
            tokio::select! {
                changed = states.changed() => if changed.is_err() { break true },
                changed = providers.changed() => {
                    if changed.is_err() {
                        break true;
                    }
                    if providers.borrow().as_ref() != provider {
                        break false;
                    }
                }
            }
        };
        self.sso.send_replace(None);
        sso.close().await;
        ended
    }

    async fn told(&self, state: SessionState) {
        let mut keeping = self.keeping.lock().await;
        match state {
            SessionState::Starting => return,
            SessionState::SigningIn => {
                if self.seat.borrow().is_none() {
                    self.tell.event(Event::Session(Session::SigningIn));
                }
            }
            SessionState::SignedIn { .. } if keeping.leaving => {}
            SessionState::SignedIn { subject, trouble, lacks, .. } => {
                // That the provider does not answer ends nothing: the person stays who they are.
                keeping.lamp.show(trouble);
                keeping.lacks.show(lacks.map(|lacks| *lacks));
                keeping.expired = None;
                self.take_seat(&subject);
            }
            SessionState::SignedOut { why } => {
                keeping.leaving = false;
                keeping.lamp.show(None);
                keeping.lacks.show(None);
                self.leave_seat(&mut keeping, why);
            }
        }
        self.settled.send_replace(true);
    }

    /// The same person with other groups is another value of the same person.
    fn take_seat(&self, subject: &Subject) {
        let before = self.seat.borrow().clone();
        if before.as_deref() != Some(subject) {
            if !before.is_some_and(|before| before.is_same_person(subject)) {
                let record = EventRecord::new(AuditEvent::SignedIn).of(subject.clone());
                self.tell.note(&self.journal, &record);
            }
            self.seat.send_replace(Some(Arc::new(subject.clone())));
        }
        self.tell.event(Event::Session(Session::SignedIn { label: subject.label().to_owned() }));
    }

    fn leave_seat(&self, keeping: &mut Keeping, why: Option<Advice>) -> Option<OrgSession> {
        let before = self.seat.send_replace(None);
        let open = self.org.end_session();
        if let (Some(before), Some(why)) = (&before, &why) {
            keeping.expired = Some((before.label().to_owned(), why.clone()));
        }
        // Who was signed out by others is told so until somebody signs in, whatever else is tried meanwhile.
        let session = match keeping.expired.clone() {
            Some((label, why)) => Session::Expired { label, why },
            None => Session::SignedOut,
        };
        self.tell.event(Event::Session(session));
        let Some(before) = before else { return open };
        let record = match why {
            Some(why) => EventRecord::new(AuditEvent::SessionEnded).with("code", why.code),
            None => EventRecord::new(AuditEvent::SignedOut),
        };
        self.tell.note(&self.journal, &record.of(before.as_ref().clone()));
        open
    }
}

/// What a person is told who has signed out while somebody who should hear of it did not answer.
fn not_told(organisation: bool, provider: bool) -> Option<Advice> {
    let (who, means) = match (organisation, provider) {
        (true, true) => return None,
        (true, false) => ("where you sign in", "You may still be signed in there, in your browser."),
        (false, true) => ("your organisation's server", "Your session there ends by itself within the hour."),
        (false, false) => (
            "your organisation",
            "You may still be signed in in your browser; your session at its server ends by itself within the hour.",
        ),
    };
    Some(Advice::new(
        "signed-out-here-only",
        format!("You are signed out on this computer, but {who} could not be told."),
        means,
        "If others use this computer, sign out in your browser too.",
    ))
}

fn provider_changed(provider: &Provider) -> Advice {
    Advice::new(
        "provider-changed",
        format!("{} has changed where people sign in.", provider.organisation),
        "Who was signed in there before is not any more.",
        "Sign in again.",
    )
}

/// What the control plane verifies for itself.
fn proof_of(session: &signin::Session) -> IdToken {
    IdToken {
        token: session.id_token().clone(),
        nonce: session.nonce().map(str::to_owned),
        subject: session.subject().clone(),
        access: session.directory_access().cloned(),
    }
}

/// Why nobody signed in.
enum Missed {
    /// The person did not want to.
    GivenUp(Advice),
    /// They did, and the organisation ended it at once.
    Ended(Advice),
    /// It was tried, and failed.
    Failed(Advice),
}

impl Voucher for SignIn {
    fn vouch<'a>(
        &'a self,
        person: &'a Subject,
        wanted: Vouch<'a>,
    ) -> BoxFuture<'a, Result<SecretString, FaultKind>> {
        Box::pin(async move {
            let sso = self.sso.borrow().clone();
            let Some(sso) = sso else { return Err(FaultKind::SignInNeeded) };
            if self.keeping.lock().await.leaving {
                return Err(FaultKind::SignInNeeded);
            }
            sso.vouch(person, &wanted).await
        })
    }
}

impl IdTokens for SignIn {
    fn id_token(&self) -> BoxFuture<'_, Result<IdToken, NoIdToken>> {
        Box::pin(async move {
            let sso = self.sso.borrow().clone();
            let Some(sso) = sso else { return Err(NoIdToken(super::policy::not_here())) };
            if self.keeping.lock().await.leaving {
                return Err(NoIdToken(OrgFault::NoSession.advice()));
            }
            let session = sso.session().await.map_err(|fault| NoIdToken(fault.advice()))?;
            Ok(proof_of(&session))
        })
    }
}
