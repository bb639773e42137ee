//! What administrators have stopped: asked for with each session and each notice of a change, and remembered over restarts.

use std::sync::Arc;
use std::time::Duration;

use org_protocol::{HALT_FORMAT, HALTS_PATH, HaltTarget, Halts};
use reqwest::Method;
use tokio::sync::{Notify, watch};
use vault::Kind;

use crate::backoff::Backoff;
use crate::wire::{ORDINARY, SMALL, body};
use crate::{Org, OrgFault, OrgSession};

/// The key of what is stopped in the vault.
const KNOWN: &str = "org-halts";
/// What a server answers that knows nothing of halts.
const NOT_FOUND: u16 = 404;

impl Org {
    /// What is stopped, as far as it is known, and each change.
    pub fn halts(&self) -> watch::Receiver<Arc<Halts>> {
        self.0.halts.subscribe()
    }

    /// Takes up what was known when the program ended: a halt does not end by a restart without network.
    pub async fn recall_halts(&self) {
        let stored = match self.0.vault.get(Kind::Session, KNOWN).await {
            Ok(stored) => stored,
            Err(fault) => {
                tracing::warn!(%fault, "what administrators had stopped is not known");
                return;
            }
        };
        let read = |json: &[u8]| serde_json::from_slice::<Halts>(json).ok();
        let halts = stored.as_ref().and_then(|stored| read(stored.expose_secret()));
        if let Some(halts) = halts.filter(|halts| halts.format == HALT_FORMAT) {
            self.0.halts.send_replace(Arc::new(halts));
        }
    }

    /// Keeps what is stopped up to date, for as long as it runs, which is until it is dropped. It is asked for as soon as there
    /// is a session, with each `nudge`, and now and then.
    pub async fn follow_halts(&self, nudge: &Notify) {
        let mut sessions = self.session();
        let mut backoff = Backoff::usual();
        let mut again = self.again().hear();
        loop {
            sessions.mark_unchanged();
            let pause = match self.0.live_session() {
                Err(_) => Duration::MAX,
                Ok(session) => match self.fetch_halts(&session).await {
                    Ok(halts) => {
                        self.take_halts(halts).await;
                        backoff.reset();
                        Self::poll_pause()
                    }
                    Err(fault) => {
                        tracing::debug!(%fault, "what is stopped could not be asked");
                        if fault.ends_session() {
                            self.0.lost(&session);
                        }
                        backoff.next()
                    }
                },
            };
            tokio::select! {
                called = again.pause(pause) => if called { backoff.reset() },
                () = nudge.notified() => {}
                changed = sessions.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn fetch_halts(&self, session: &OrgSession) -> Result<Halts, OrgFault> {
        let key = self.0.vault.device_key().await?;
        let now = self.0.clock.now();
        let request = self.0.wire.proved(Method::GET, HALTS_PATH, &*key, Some(&session.token), now)?;
        let answer = match body(self.0.wire.send(request.timeout(ORDINARY)).await?, SMALL).await {
            Err(OrgFault::Refused { status: NOT_FOUND, .. }) => return Ok(Halts::new(Vec::new())),
            answer => answer?,
        };
        let halts: Halts =
            serde_json::from_slice(&answer).map_err(|fault| OrgFault::Unusable(fault.to_string()))?;
        if halts.format == HALT_FORMAT {
            Ok(halts)
        } else {
            Err(OrgFault::Unusable(format!("halts have format {}", halts.format)))
        }
    }

    async fn take_halts(&self, halts: Halts) {
        if **self.0.halts.borrow() == halts {
            return;
        }
        if halts.halts.iter().any(|halt| halt.target == HaltTarget::Unknown) {
            tracing::warn!("an administrator has stopped something that this version does not know");
        }
        let json = serde_json::to_vec(&halts).unwrap_or_default();
        // First obeyed, then remembered.
        self.0.halts.send_replace(Arc::new(halts));
        if let Err(fault) = self.0.vault.put(Kind::Session, KNOWN, &json).await {
            tracing::warn!(%fault, "what administrators have stopped is forgotten with the next restart");
        }
    }
}
