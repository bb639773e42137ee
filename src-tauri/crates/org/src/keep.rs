//! Keeping a session: opened as soon as somebody is signed in, renewed before it ends, opened again when it was lost.

use std::sync::Arc;
use std::time::Duration;

use model::{Advice, BoxFuture, ForPerson as _, Subject};
use secrecy::SecretString;

use crate::backoff::Backoff;
use crate::{Org, OrgFault, OrgSession};

/// How long is waited before it is asked again whether somebody signed in.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Where ID tokens come from: the sign-in at the identity provider.
pub trait IdTokens: Send + Sync {
    /// An ID token that is good now, silently; never asks a person.
    fn id_token(&self) -> BoxFuture<'_, Result<IdToken, NoIdToken>>;
}

/// An ID token.
pub struct IdToken {
    /// The token as the provider wrote it.
    pub token: SecretString,
    /// The nonce within it.
    pub nonce: Option<String>,
    /// Whose it is.
    pub subject: Subject,
    /// The access token that came with it, if their groups are to be looked up with it.
    pub access: Option<SecretString>,
}

/// Nobody is signed in, or the provider does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no ID token: {}", .0.happened)]
pub struct NoIdToken(pub Advice);

impl std::fmt::Debug for IdToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdToken(..)")
    }
}

impl Org {
    /// Keeps a session for whoever is signed in. Runs until it is dropped; `tell` hears of each opening, of each
    /// failure that is another than the last, of each that [ends the sign-in](OrgFault::ends_sign_in), and of the session
    /// that is there after a failure, whoever opened it.
    pub async fn keep_session(
        &self,
        tokens: Arc<dyn IdTokens>,
        tell: impl Fn(Result<&OrgSession, &OrgFault>) + Send,
    ) {
        let mut sessions = self.session();
        let mut backoff = Backoff::usual();
        let mut told: Option<Advice> = None;
        let mut again = self.again().hear();
        loop {
            sessions.mark_unchanged();
            let pause = match self.kept(tokens.as_ref()).await {
                Ok(Kept { session, opened }) => {
                    backoff.reset();
                    if told.take().is_some() || opened {
                        tell(Ok(&session));
                    }
                    self.until_renewal(&session)
                }
                Err(Missed::NobodySignedIn) => ASK_AGAIN,
                Err(Missed::Refused(fault)) => {
                    let advice = fault.advice();
                    if told.as_ref() != Some(&advice) || fault.ends_sign_in() {
                        tell(Err(&fault));
                        told = Some(advice);
                    }
                    backoff.next()
                }
            };
            // Another session, or the loss of the one that there was, ends the pause.
            tokio::select! {
                called = again.pause(pause) => if called { backoff.reset() },
                _ = sessions.changed() => {}
            }
        }
    }

    /// The session that there is, if it is good enough as it is and of whoever is signed in; else a new one.
    async fn kept(&self, tokens: &dyn IdTokens) -> Result<Kept, Missed> {
        let sign_outs = self.0.sign_outs();
        let token = tokens.id_token().await;
        // Whoever signed the person in, for instance, may have opened one.
        let live = self.0.live_session().ok().filter(|session| !self.until_renewal(session).is_zero());
        match (live, token) {
            (Some(session), Ok(token)) if !session.subject.is_same_person(&token.subject) => {
                self.open_with(sign_outs, &token).await
            }
            // Without a token nobody else is known to be there.
            (Some(session), Ok(_) | Err(_)) => Ok(Kept { session, opened: false }),
            (None, Ok(token)) => self.open_with(sign_outs, &token).await,
            (None, Err(fault)) => {
                tracing::debug!(%fault, "no session is opened");
                Err(Missed::NobodySignedIn)
            }
        }
    }

    /// How long the session is good enough as it is: four fifths of its life.
    fn until_renewal(&self, session: &OrgSession) -> Duration {
        let renewal = session.opened.plus(session.expires.since(session.opened).mul_f64(0.8));
        renewal.since(self.0.clock.now())
    }

    async fn open_with(&self, sign_outs: u64, id: &IdToken) -> Result<Kept, Missed> {
        let opened = self.open_since(sign_outs, id).await;
        opened.map(|session| Kept { session, opened: true }).map_err(|fault| {
            tracing::info!(%fault, "no session was opened");
            if self.0.sign_outs() == sign_outs { Missed::Refused(fault) } else { Missed::NobodySignedIn }
        })
    }
}

struct Kept {
    session: OrgSession,
    /// Whether it is a new one.
    opened: bool,
}

enum Missed {
    NobodySignedIn,
    Refused(OrgFault),
}
