//! Keeping a session: opened as soon as somebody is signed in, renewed before it ends, opened again when it was lost.

use std::sync::Arc;
use std::time::Duration;

use model::{Advice, BoxFuture, ForPerson as _};
use secrecy::SecretString;

use crate::backoff::Backoff;
use crate::{Org, OrgSession};

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
    /// Keeps a session for whoever is signed in. Runs until it is dropped; `tell` hears of each opening and of each
    /// failure.
    pub async fn keep_session(
        &self,
        tokens: Arc<dyn IdTokens>,
        tell: impl Fn(Result<&OrgSession, &Advice>) + Send,
    ) {
        let mut sessions = self.session();
        let mut backoff = Backoff::usual();
        let mut told: Option<Advice> = None;
        loop {
            sessions.mark_unchanged();
            // Somebody else may have opened one: whoever signed the person in, for instance.
            let mut pause = self.until_renewal();
            if pause.is_zero() {
                pause = match self.open_with(tokens.as_ref()).await {
                    Ok(session) => {
                        backoff.reset();
                        told = None;
                        tell(Ok(&session));
                        continue;
                    }
                    Err(Missed::NobodySignedIn) => ASK_AGAIN,
                    Err(Missed::Refused(advice)) => {
                        if told.as_ref() != Some(&advice) {
                            tell(Err(&advice));
                            told = Some(advice);
                        }
                        backoff.next()
                    }
                };
            }
            // Another session, or the loss of the one that there was, ends the pause.
            let _ = tokio::time::timeout(pause, sessions.changed()).await;
        }
    }

    /// How long the session is good enough as it is: four fifths of its life.
    fn until_renewal(&self) -> Duration {
        let Ok(session) = self.0.live_session() else { return Duration::ZERO };
        let renewal = session.opened.plus(session.expires.since(session.opened).mul_f64(0.8));
        renewal.since(self.0.clock.now())
    }

    async fn open_with(&self, tokens: &dyn IdTokens) -> Result<OrgSession, Missed> {
        let IdToken { token, nonce } = tokens.id_token().await.map_err(|fault| {
            tracing::debug!(%fault, "no session is opened");
            Missed::NobodySignedIn
        })?;
        self.open_session(&token, nonce.as_deref()).await.map_err(|fault| {
            tracing::info!(%fault, "no session was opened");
            Missed::Refused(fault.advice())
        })
    }
}

enum Missed {
    NobodySignedIn,
    Refused(Advice),
}
