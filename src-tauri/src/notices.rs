//! Notifications. None is the only way to act: each speaks of something that a window and the tray show too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use controller::{Act, Notice, PendingId};
use notify_rust::{Notification, NotificationResponse, Timeout};
use tauri::{AppHandle, Manager as _};
use tokio::sync::Notify;

use crate::core::{Core, act};

/// Shows notifications and takes them away.
#[derive(Clone)]
pub(crate) struct Notices {
    app: AppHandle,
    shown: Arc<Mutex<BTreeMap<PendingId, Arc<Notify>>>>,
}

impl Notices {
    /// Without any yet.
    pub(crate) fn new(app: AppHandle) -> Self {
        Self { app, shown: Arc::default() }
    }

    /// Shows a notification; a click leads to what it speaks of.
    pub(crate) fn show(&self, notice: Notice) {
        let notices = self.clone();
        tauri::async_runtime::spawn(async move {
            let withdrawn = Arc::new(Notify::new());
            if let Some(id) = &notice.about {
                notices.shown().insert(id.clone(), Arc::clone(&withdrawn));
            }
            // A desktop without notifications still has the window and the tray.
            if let Err(error) = notices.follow(&notice, &withdrawn).await {
                tracing::warn!(%error, "a notification could not be shown");
            }
            let mut shown = notices.shown();
            // A later notification may speak of the same.
            if let Some(id) = &notice.about
                && shown.get(id).is_some_and(|of| Arc::ptr_eq(of, &withdrawn))
            {
                shown.remove(id);
            }
        });
    }

    /// Takes the notification about a pending item away.
    pub(crate) fn withdraw(&self, id: &PendingId) {
        if let Some(withdrawn) = self.shown().remove(id) {
            withdrawn.notify_one();
        }
    }

    #[cfg(target_os = "linux")]
    async fn follow(&self, notice: &Notice, withdrawn: &Notify) -> Result<(), notify_rust::error::Error> {
        let shown = notification(notice).show_async().await?;
        let (app, target, about) = (self.app.clone(), target(notice), notice.about.clone());
        let clicked = shown.wait_for_action_async(move |response: &NotificationResponse| {
            if is_taken(response) {
                act(&app, target);
            } else if let (true, Some(id)) = (is(response, DENY), about) {
                deny(&app, &id);
            }
        });
        tokio::select! {
            () = clicked => {}
            () = withdrawn.notified() => shown.close_async().await,
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    async fn follow(&self, notice: &Notice, _withdrawn: &Notify) -> Result<(), notify_rust::error::Error> {
        notification(notice).show().map(|_| ())
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, BTreeMap<PendingId, Arc<Notify>>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of the button of what a notification offers.
const OFFER: &str = "offer";

/// The name of the button that denies what a notification speaks of.
const DENY: &str = "deny";

/// Whether the person clicked on it, or on the button of what it offers.
fn is_taken(response: &NotificationResponse) -> bool {
    matches!(response, NotificationResponse::Default) || is(response, OFFER)
}

fn is(response: &NotificationResponse, button: &str) -> bool {
    matches!(response, NotificationResponse::Action(name) if name == button)
}

fn deny(app: &AppHandle, id: &PendingId) {
    let core = app.state::<Core>();
    if let Some(Err(fault)) = core.desk().map(|desk| desk.deny(id)) {
        // It was answered elsewhere meanwhile, or nobody waits any more.
        tracing::info!(%fault, "a notification denied what does not wait");
    }
}

fn target(notice: &Notice) -> Act {
    match (&notice.offer, &notice.about) {
        (Some(offer), _) => offer.act.clone(),
        (None, Some(id)) => Act::Look(id.clone()),
        (None, None) => Act::Open(notice.place),
    }
}

fn notification(notice: &Notice) -> Notification {
    let mut notification = Notification::new();
    notification
        .appname(&say::window_main())
        .summary(&notice.title)
        .body(&plain(&notice.body))
        .icon("deskgate");
    notification.action("default", &say::notice_open());
    if let Some(offer) = &notice.offer {
        notification.action(OFFER, &offer.label);
    }
    if notice.deniable {
        notification.action(DENY, &say::notice_deny());
    }
    notification.timeout(if notice.stays() { Timeout::Never } else { Timeout::Default });
    notification
}

/// Notification servers may read the body as markup (Desktop Notifications Specification 1.2, "Markup").
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_no_markup() {
        assert_eq!(plain("<a href=x>R&D</a>"), "&lt;a href=x&gt;R&amp;D&lt;/a&gt;");
    }
}
