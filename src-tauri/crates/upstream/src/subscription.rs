//! Following single resources: `resources/subscribe` in sessions (MCP 2025-11-25, server/resources, "Subscriptions"), the
//! filter of `subscriptions/listen` without them (MCP 2026-07-28, basic/patterns/subscriptions).

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mcp::connector::{self, Hop};
use mcp::{CallParams, Filter};
use serde_json::value::RawValue;
use tokio::sync::{broadcast, watch};

use crate::authority::Authority;
use crate::bearer::Bearer;
use crate::calls::Update;
use crate::fault::UpstreamFault;
use crate::session::{Session, Transport, VERSION, within};

/// How often it is looked at whether the session is still there.
const LOOK: Duration = Duration::from_secs(5);
/// How long a connector may take to hear that nobody follows any more.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// The resources that are followed over one session, and by how many.
pub(crate) type FollowedResources = watch::Sender<BTreeMap<String, usize>>;

/// One resource that is followed, until this is dropped. Does not keep the session alive.
#[derive(Debug)]
pub struct Subscription {
    session: Weak<Session>,
    life: watch::Receiver<()>,
    updates: broadcast::Receiver<Update>,
    uri: String,
    bearer: Option<Bearer>,
}

impl Session {
    /// Begins to follow the resource that the authority's permit names. The connector's error object when it does not want
    /// that.
    ///
    /// # Errors
    /// An [`UpstreamFault`].
    pub async fn subscribe(
        self: &Arc<Self>,
        authority: Authority<'_>,
        params: &CallParams<'_>,
        bearer: Option<&Bearer>,
        deadline: Duration,
    ) -> Result<Result<Subscription, Box<RawValue>>, UpstreamFault> {
        if !authority.covers(params) {
            return Err(UpstreamFault::NotPermitted);
        }
        if !self.about.subscribes() {
            return Ok(Err(connector::no_method("resources/subscribe")));
        }
        let subscription = Subscription {
            session: Arc::downgrade(self),
            life: self.life.subscribe(),
            updates: self.calls.updates(),
            uri: params.name().to_owned(),
            bearer: bearer.cloned(),
        };
        self.resources.send_modify(|all| *all.entry(params.name().to_owned()).or_default() += 1);
        if self.dialect.is_stateless() {
            self.listen_anew();
            return Ok(Ok(subscription));
        }
        let answer = self.call(authority, params, bearer, deadline, None).await?;
        Ok(answer.map(|_| subscription))
    }

    /// What a stream of news is to be asked for.
    pub(crate) fn wanted(&self) -> Filter {
        let mut wanted = self.about.tells();
        wanted.resources = self.resources.borrow().keys().cloned().collect();
        wanted
    }

    /// A program is told by a new request what it is to tell; the one before ends.
    fn listen_anew(&self) {
        if let Transport::Stdio(stdio) = &self.transport {
            let id = self.number();
            let before = self.listening.swap(id, std::sync::atomic::Ordering::Relaxed);
            stdio.send_if_room(connector::listen(id, &self.wanted(), VERSION).body);
            stdio.send_if_room(connector::cancelled(before));
        }
    }

    fn unfollow(self: Arc<Self>, uri: String, bearer: Option<Bearer>) {
        let mut last = false;
        self.resources.send_modify(|all| {
            if let Some(count) = all.get_mut(&uri) {
                *count -= 1;
                last = *count == 0;
            }
            all.retain(|_, count| *count > 0);
        });
        match (last, self.dialect.is_stateless()) {
            (false, _) => {}
            (true, true) => self.listen_anew(),
            (true, false) => {
                tokio::spawn(async move {
                    let told = self.unsubscribe(&uri, bearer.as_ref());
                    if let Err(fault) = within(TOLD_WITHIN, told).await {
                        tracing::debug!(%fault, "a connector does not hear that nobody follows a resource");
                    }
                });
            }
        }
    }

    async fn unsubscribe(&self, uri: &str, bearer: Option<&Bearer>) -> Result<(), UpstreamFault> {
        let (id, hop) = (self.number(), Hop::plain(self.dialect, VERSION));
        let message = connector::effect(hop, id, &CallParams::unsubscription(uri), uri);
        self.exchange(id, message, bearer, None).await.map(|_| ())
    }
}

impl Subscription {
    /// Waits for the next update; `None` when the session has ended.
    pub async fn next(&mut self) -> Option<Arc<RawValue>> {
        loop {
            tokio::select! {
                update = self.updates.recv() => match update {
                    Ok(update) if update.uri == self.uri => return Some(update.params),
                    Ok(_) => {}
                    // What was missed may have been about this resource.
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        return Some(mcp::raw(&serde_json::json!({"uri": self.uri})).into());
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                changed = self.life.changed() => changed.ok()?,
                () = tokio::time::sleep(LOOK) => {
                    self.session.upgrade().filter(|session| session.is_alive())?;
                }
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(session) = self.session.upgrade() {
            session.unfollow(std::mem::take(&mut self.uri), self.bearer.take());
        }
    }
}
