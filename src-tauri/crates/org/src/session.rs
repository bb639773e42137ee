//! The session: a person's, on this device, proved with its key.

use std::sync::atomic::Ordering;

use model::{DeviceId, Subject, Timestamp};
use org_protocol::{
    ENROL_PATH, EnrolAnswer, EnrolRequest, NonceSeed, SESSION_FORMAT, SESSION_PATH, SessionAnswer,
    SessionRequest,
};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use vault::{DeviceKey, Kind};

use crate::enrolment::told;
use crate::wire::{ORDINARY, SMALL, body};
use crate::{IdToken, Inner, Org, OrgFault};

/// The key of the nonces' seeds in the vault.
const SEEDS: &str = "org-nonce-seeds";
/// How many seeds are kept: a sign-in that is under way must not spoil the session before it.
const MOST_SEEDS: usize = 4;

/// A live session. The token is not shown, and is of no use without the device's key.
#[derive(Clone)]
pub struct OrgSession {
    pub(crate) token: SecretString,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// This device, as the organisation knows it.
    pub device: DeviceId,
    /// The person, as the organisation verified them.
    pub subject: Subject,
}

impl OrgSession {
    fn is(&self, other: &Self) -> bool {
        self.token.expose_secret() == other.token.expose_secret()
    }
}

impl std::fmt::Debug for OrgSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OrgSession({} on {}, until {})", self.subject.label(), self.device, self.expires)
    }
}

/// The random halves of the last nonces, the latest last.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seeds {
    format: u32,
    seeds: Vec<NonceSeed>,
}

impl Org {
    /// A nonce for the next sign-in (OpenID Connect Core 1.0, section 3.1.2.1). It binds the ID token to this device's
    /// key: what [`Org::open_session`] needs.
    ///
    /// # Errors
    /// [`OrgFault::Vault`] or [`OrgFault::Random`].
    pub async fn nonce(&self) -> Result<String, OrgFault> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(OrgFault::Random)?;
        let seed = NonceSeed::from_bytes(random);
        let key = self.0.vault.device_key().await?;
        let mut seeds = self.0.seeds().await?;
        seeds.push(seed.clone());
        let surplus = seeds.len().saturating_sub(MOST_SEEDS);
        seeds.drain(..surplus);
        let json = serde_json::to_vec(&Seeds { format: 1, seeds })
            .map_err(|fault| OrgFault::Unusable(fault.to_string()))?;
        self.0.vault.put(Kind::Session, SEEDS, &json).await?;
        Ok(seed.nonce(&key.thumbprint()))
    }

    /// Opens or renews somebody's session with their ID token; enrols the device first where it is not known. A provider
    /// may leave the nonce out when it renews. Another person's session ends.
    ///
    /// # Errors
    /// An [`OrgFault`]; a session of the same person that there was goes on until its end. [`OrgFault::NoSession`]
    /// where somebody signed out meanwhile: nothing is opened for who has left.
    pub async fn open_session(&self, id: &IdToken) -> Result<OrgSession, OrgFault> {
        self.open_since(self.0.sign_outs(), id).await
    }

    /// As [`Org::open_session`], for a token that was got when there had been so many sign-outs.
    pub(crate) async fn open_since(&self, sign_outs: u64, id: &IdToken) -> Result<OrgSession, OrgFault> {
        let IdToken { token, nonce, subject, access } = id;
        let _turn = self.0.opening.lock().await;
        self.0.make_way(sign_outs, subject)?;
        let key = self.0.vault.device_key().await?;
        let seed = self.0.seed_of(nonce.as_deref(), &*key).await?;
        let request = SessionRequest {
            format: SESSION_FORMAT,
            id_token: token.expose_secret().to_owned(),
            nonce_seed: seed.clone(),
            access_token: access.as_ref().map(|access| access.expose_secret().to_owned()),
            secret: self.0.shown_secret().await?,
            device: Some(self.0.description.clone()),
        };
        let answer = match self.0.ask_session(&request, &*key).await {
            Err(OrgFault::Refused { advice, .. }) if advice.code == "device-unknown" => {
                self.0.enrol(token, seed, &*key).await?;
                self.0.ask_session(&request, &*key).await?
            }
            outcome => outcome?,
        };
        let session = OrgSession {
            token: SecretString::from(answer.token),
            opened: self.0.clock.now(),
            expires: answer.expires,
            device: answer.device,
            subject: answer.subject,
        };
        if !session.subject.is_same_person(subject) {
            return Err(OrgFault::Unusable("the session is another person's than the ID token".to_owned()));
        }
        // Before it is used: what was given and is not kept must not be needed.
        if let Some(secret) = &answer.next_secret {
            self.0.keep_secret(&*key, secret).await?;
        }
        self.0.install(sign_outs, &session)?;
        Ok(session)
    }

    /// The session as it changes; `None` where there is none.
    pub fn session(&self) -> watch::Receiver<Option<OrgSession>> {
        self.0.session.subscribe()
    }

    /// Forgets the session, and whichever is being opened: the person signed out. Gives what was forgotten, so that the
    /// server can be told.
    pub fn end_session(&self) -> Option<OrgSession> {
        let mut ended = None;
        self.0.session.send_modify(|session| {
            self.0.sign_outs.fetch_add(1, Ordering::SeqCst);
            ended = session.take();
        });
        ended
    }

    /// Tells the server that the person has signed out: neither the session nor the sign-in is good there any more.
    ///
    /// # Errors
    /// An [`OrgFault`]; then the session ends there by itself, within the hour.
    pub async fn close_session(&self, session: &OrgSession) -> Result<(), OrgFault> {
        let key = self.0.vault.device_key().await?;
        let now = self.0.clock.now();
        let request = self.0.wire.proved(Method::DELETE, SESSION_PATH, &*key, Some(&session.token), now)?;
        match body(request.timeout(ORDINARY).send().await?, SMALL).await {
            Err(fault) if fault.ends_session() => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}

impl Inner {
    /// The live session; one that has ended is forgotten.
    pub(crate) fn live_session(&self) -> Result<OrgSession, OrgFault> {
        let now = self.clock.now();
        let ended = |session: &OrgSession| session.expires <= now;
        if self.session.borrow().as_ref().is_some_and(ended) {
            // Another may have been opened since.
            self.session.send_if_modified(|session| session.take_if(|session| ended(session)).is_some());
        }
        self.session.borrow().clone().ok_or(OrgFault::NoSession)
    }

    /// How often somebody signed out so far.
    pub(crate) fn sign_outs(&self) -> u64 {
        self.sign_outs.load(Ordering::SeqCst)
    }

    /// Ends another person's session before one of `subject` is opened.
    fn make_way(&self, sign_outs: u64, subject: &Subject) -> Result<(), OrgFault> {
        self.unless_signed_out(sign_outs, |session| {
            session.take_if(|session| !session.subject.is_same_person(subject)).is_some()
        })
    }

    fn install(&self, sign_outs: u64, opened: &OrgSession) -> Result<(), OrgFault> {
        self.unless_signed_out(sign_outs, |session| {
            *session = Some(opened.clone());
            true
        })
    }

    /// Lets `change` change the session and say whether it did, unless there have been more sign-outs.
    fn unless_signed_out(
        &self,
        sign_outs: u64,
        change: impl FnOnce(&mut Option<OrgSession>) -> bool,
    ) -> Result<(), OrgFault> {
        let mut outcome = Err(OrgFault::NoSession);
        self.session.send_if_modified(|session| {
            if self.sign_outs() != sign_outs {
                return false;
            }
            outcome = Ok(());
            change(session)
        });
        outcome
    }

    /// Forgets a session that the server has ended, unless another was opened meanwhile.
    pub(crate) fn lost(&self, lost: &OrgSession) {
        self.session.send_if_modified(|session| session.take_if(|session| session.is(lost)).is_some());
    }

    /// Waits until `session` is not the live one any more.
    pub(crate) async fn ended(&self, session: &OrgSession) {
        let is_other = |live: &Option<OrgSession>| live.as_ref().is_none_or(|live| !live.is(session));
        // It cannot be closed while this is borrowed.
        let _ = self.session.subscribe().wait_for(is_other).await;
    }

    async fn ask_session(
        &self,
        request: &SessionRequest,
        key: &dyn DeviceKey,
    ) -> Result<SessionAnswer, OrgFault> {
        let before = self.live_session().ok().map(|session| session.token);
        match self.post(SESSION_PATH, request, key, before.as_ref()).await {
            // The server has ended the session before: a token with its nonce opens another.
            Err(fault) if before.is_some() && fault.ends_session() => {
                self.post(SESSION_PATH, request, key, None).await
            }
            outcome => outcome,
        }
    }

    async fn enrol(
        &self,
        id_token: &SecretString,
        seed: NonceSeed,
        key: &dyn DeviceKey,
    ) -> Result<(), OrgFault> {
        let request = EnrolRequest {
            format: SESSION_FORMAT,
            id_token: id_token.expose_secret().to_owned(),
            nonce_seed: seed,
            id: self.device,
            device: self.description.clone(),
            key_protection: Some(told(key.protection())),
            enrolment_token: self.shown_token(),
        };
        let answer: EnrolAnswer = self.post(ENROL_PATH, &request, key, None).await?;
        tracing::info!(device = %answer.device, "enrolled");
        Ok(())
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        message: &impl Serialize,
        key: &dyn DeviceKey,
        token: Option<&SecretString>,
    ) -> Result<T, OrgFault> {
        let request = self.wire.proved(Method::POST, path, key, token, self.clock.now())?;
        let answer = request.json(message).timeout(ORDINARY).send().await?;
        let answer = body(answer, SMALL).await?;
        serde_json::from_slice(&answer).map_err(|fault| OrgFault::Unusable(fault.to_string()))
    }

    async fn seeds(&self) -> Result<Vec<NonceSeed>, OrgFault> {
        let Some(stored) = self.vault.get(Kind::Session, SEEDS).await? else { return Ok(Vec::new()) };
        // What cannot be read costs a sign-in, no more.
        let seeds = serde_json::from_slice::<Seeds>(stored.expose_secret()).unwrap_or_default();
        Ok(seeds.seeds)
    }

    /// The random half of a nonce. Without a nonce any will do: the session before vouches then.
    async fn seed_of(&self, nonce: Option<&str>, key: &dyn DeviceKey) -> Result<NonceSeed, OrgFault> {
        let thumbprint = key.thumbprint();
        let seeds = self.seeds().await?;
        let found = match nonce {
            Some(nonce) => seeds.into_iter().rev().find(|seed| seed.nonce(&thumbprint) == nonce),
            None => Some(seeds.into_iter().next_back().unwrap_or_else(|| NonceSeed::from_bytes([0; 32]))),
        };
        found.ok_or(OrgFault::NoSession)
    }
}
