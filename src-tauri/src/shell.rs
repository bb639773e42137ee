//! Does the controller's effects with Tauri.

use controller::{BrowserFault, Effect, Event, Shell};
use model::Advice;
use tauri::{AppHandle, Manager as _};

use crate::core::Core;
use crate::notices::Notices;
use crate::windows;

/// The desktop's side of the controller's effects.
pub(crate) struct DesktopShell {
    app: AppHandle,
    notices: Notices,
}

impl DesktopShell {
    /// For the application.
    pub(crate) fn new(app: AppHandle) -> Self {
        let notices = Notices::new(app.clone());
        Self { app, notices }
    }
}

impl Shell for DesktopShell {
    fn perform(&self, effect: Effect) {
        let app = self.app.clone();
        match effect {
            Effect::OpenWindow(place) => on_main(&self.app, move || windows::open_main(&app, place)),
            Effect::OpenQuestionWindow { id, title } => {
                on_main(&self.app, move || windows::open_question(&app, &id, &title));
            }
            Effect::OpenSignInWindow { id, url, redirect_uri: _, title, apart } => {
                on_main(&self.app, move || windows::open_sign_in(&app, &id, &url, &title, apart));
            }
            Effect::LeaveWindow(id) => on_main(&self.app, move || windows::leave(&app, &id)),
            Effect::CloseWindow(id) => on_main(&self.app, move || windows::close(&app, &id)),
            Effect::ForgetSignIns => on_main(&self.app, windows::forget_sign_ins),
            Effect::OpenBrowser(url) => open_browser(&app, &url),
            Effect::Notify(notice) => self.notices.show(notice),
            Effect::Withdraw(id) => self.notices.withdraw(&id),
            Effect::CopyText(text) => copy(&app, text),
            Effect::Order(order) => tracing::error!(?order, "an order is not the shell's"),
            Effect::Autostart(wanted) => autostart(wanted),
            // The process ends once everything is on disk; see `launch`.
            Effect::Quit | Effect::StartAnew => {}
        }
    }
}

/// Starts with the session from now on, or no more. The disk is waited for beside the windows.
fn autostart(wanted: bool) {
    tauri::async_runtime::spawn_blocking(move || {
        if let Err(error) = crate::autostart::set(wanted) {
            tracing::warn!(%error, wanted, "whether Deskgate starts with the session could not be set");
        }
    });
}

/// Puts a text on the clipboard.
pub(crate) fn copy(app: &AppHandle, text: String) {
    let app = app.clone();
    // X11 may take a moment to hand the selection over.
    tauri::async_runtime::spawn_blocking(move || {
        if let Err(why) = app.state::<Clipboard>().put(text) {
            tracing::warn!(%why, "nothing was copied");
            raise(&app, Advice::new("clipboard", format!("Nothing could be copied: {why}."), "", ""));
        }
    });
}

/// The clipboard. On X11 the program that copied has to stay and hand the text out, so it is kept.
#[derive(Default)]
pub(crate) struct Clipboard(std::sync::Mutex<Option<arboard::Clipboard>>);

impl Clipboard {
    fn put(&self, text: String) -> Result<(), arboard::Error> {
        let mut kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if kept.is_none() {
            *kept = Some(arboard::Clipboard::new()?);
        }
        kept.as_mut().map_or(Ok(()), |clipboard| clipboard.set_text(text))
    }
}

fn open_browser(app: &AppHandle, url: &url::Url) {
    let (why, todo) = match controller::open_browser(url) {
        Ok(()) => return,
        Err(BrowserFault::Refused(fault)) => (fault.to_string(), "Tell whoever gave you this address."),
        Err(BrowserFault::NotStarted(error)) => (error.to_string(), "Set a default browser, then try again."),
    };
    let happened = format!("Your browser could not be opened: {why}.");
    raise(app, Advice::new("browser", happened, "What was to be opened there does not go on.", todo));
}

fn raise(app: &AppHandle, advice: Advice) {
    app.state::<Core>().tell(Event::FaultRaised(advice));
}

fn on_main(app: &AppHandle, work: impl FnOnce() + Send + 'static) {
    if let Err(error) = app.run_on_main_thread(work) {
        tracing::error!(%error, "the windows' thread has ended");
    }
}
