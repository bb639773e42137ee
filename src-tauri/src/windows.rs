//! The windows. Each is made when it is needed and destroyed when it is closed: a hidden web view costs as much memory as
//! a visible one.
//!
//! Only the main window and the question windows show our own pages and may call commands. A sign-in window shows pages
//! from elsewhere; it has no capability, remembers nothing on disk and can do one thing for us: come back to its redirect.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use controller::app::Home;
use controller::{Answer, Event, PendingId, Place, Question, is_redirect};
use tauri::webview::{NewWindowResponse, PageLoadEvent};
use tauri::{AppHandle, Manager as _, WebviewUrl, WebviewWindow, WebviewWindowBuilder, WindowEvent};
use tauri_specta::Event as _;
use url::Url;

use crate::bindings::GoTo;
use crate::core::Core;

const MAIN: &str = "main";
const QUESTION: &str = "question-";
const SIGN_IN: &str = "sign-in-";

/// Whether the main window is open.
pub(crate) fn main_is_open(app: &AppHandle) -> bool {
    app.get_webview_window(MAIN).is_some()
}

/// Shows the main window at a place.
pub(crate) fn open_main(app: &AppHandle, place: Place) {
    if let Some(window) = app.get_webview_window(MAIN) {
        raise(&window);
        if let Err(error) = GoTo(place).emit_to(app, MAIN) {
            tracing::warn!(%error, "the main window did not hear where to go");
        }
        return;
    }
    let page = format!("index.html#{}", place.as_str());
    let built = own(app, MAIN, &page)
        .title(say::window_main())
        .inner_size(960.0, 640.0)
        .min_inner_size(640.0, 480.0)
        .build();
    if let Ok(window) = &built {
        let app = app.clone();
        window.on_window_event(move |event| {
            // Whatever it looked back for is not wanted any more.
            if matches!(event, WindowEvent::Destroyed) {
                forget_looks(&app);
            }
        });
    }
    report(MAIN, built);
}

/// Gives up what only the main window asked for.
fn forget_looks(app: &AppHandle) {
    let core = app.state::<Core>();
    if let Some(records) = core.records() {
        records.look_back();
    }
    if let Some(saved) = core.saved().cloned() {
        drop(tauri::async_runtime::spawn_blocking(move || saved.give_up(None)));
    }
}

/// Shows the window of one consent or approval.
pub(crate) fn open_question(app: &AppHandle, id: &PendingId, title: &str) {
    let label = format!("{QUESTION}{id}");
    if let Some(window) = app.get_webview_window(&label) {
        return raise(&window);
    }
    let built = own(app, &label, &format!("question.html#{id}"))
        .title(title)
        .inner_size(520.0, 560.0)
        .min_inner_size(420.0, 420.0)
        .maximizable(false)
        .always_on_top(true)
        .center()
        .build();
    report(&label, built);
}

/// Shows a native sign-in window. Closing it gives the sign-in up. One that is apart shares no session with the others.
pub(crate) fn open_sign_in(app: &AppHandle, id: &PendingId, url: &Url, title: &str, is_apart: bool) {
    let label = format!("{SIGN_IN}{id}");
    if let Some(window) = app.get_webview_window(&label) {
        return raise(&window);
    }
    let builder = WebviewWindowBuilder::new(app, &label, WebviewUrl::External(url.clone()))
        .title(with_host(title, url))
        .inner_size(520.0, 680.0)
        .center()
        .incognito(true)
        .devtools(false)
        .on_download(|_, _| false)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .on_navigation(navigation(app.clone(), id.clone()));
    let builder = apart(builder);
    let built = if is_apart { builder.build() } else { share_session(builder).build() };
    if let Ok(window) = &built {
        if !is_apart {
            remember_session(window);
        }
        follow_pages(window, page(window.clone(), id.clone(), title.to_owned()));
        let (app, id) = (app.clone(), id.clone());
        window.on_window_event(move |event| {
            if matches!(event, WindowEvent::Destroyed)
                && !app.state::<Left>().0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
                && let Some(desk) = app.state::<Core>().desk()
            {
                // After a redirect nothing waits any more, and this changes nothing.
                let _ = desk.answer(&id, Answer::Cancel);
            }
        });
    }
    report(&label, built);
}

/// The sign-ins whose windows are closed because they go on in the browser.
#[derive(Default)]
pub(crate) struct Left(Mutex<BTreeSet<PendingId>>);

/// Closes the window of a sign-in that goes on elsewhere: it is not given up by that.
pub(crate) fn leave(app: &AppHandle, id: &PendingId) {
    if app.get_webview_window(&format!("{SIGN_IN}{id}")).is_some() {
        app.state::<Left>().0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        close(app, id);
    }
}

/// Names the sign-in windows' context apart from that of our own pages. Nothing of a sign-in is written there; but the
/// runtime counts the handlers of our pages' addresses by this name, and would believe that our own windows have them
/// when only a sign-in window has.
fn apart<'a>(
    builder: WebviewWindowBuilder<'a, tauri::Wry, AppHandle>,
) -> WebviewWindowBuilder<'a, tauri::Wry, AppHandle> {
    match Home::from_environment() {
        Some(home) => builder.data_directory(home.sign_in_windows()),
        None => builder,
    }
}

/// Closes the window of a pending item.
pub(crate) fn close(app: &AppHandle, id: &PendingId) {
    for kind in [QUESTION, SIGN_IN] {
        if let Some(window) = app.get_webview_window(&format!("{kind}{id}"))
            && let Err(error) = window.destroy()
        {
            tracing::warn!(%error, "a window could not be closed");
        }
    }
}

/// A window with a page of our own: it leaves our pages never, and is shown once there is something to see.
fn own<'a>(app: &'a AppHandle, label: &str, page: &str) -> WebviewWindowBuilder<'a, tauri::Wry, AppHandle> {
    WebviewWindowBuilder::new(app, label, WebviewUrl::App(page.into()))
        .visible(false)
        .devtools(cfg!(debug_assertions))
        .zoom_hotkeys_enabled(true)
        .on_download(|_, _| false)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .on_navigation(|url| url.scheme() == "tauri" || url.host_str() == Some("tauri.localhost"))
        .on_page_load(|window, load| {
            if load.event() == PageLoadEvent::Finished {
                raise(&window);
            }
        })
}

/// What a sign-in window may do at each navigation: come back, which ends the sign-in; or go on, with encryption or on this
/// computer, as far as the organisation lets it.
fn navigation(app: AppHandle, id: PendingId) -> impl Fn(&Url) -> bool + Send + 'static {
    move |url| {
        let core = app.state::<Core>();
        let state = core.state();
        if let Some(Question::SignIn(request)) = state.pending.get(&id).map(|item| &item.question)
            && is_redirect(request, url)
        {
            let (desk, id, url) = (core.desk().cloned(), id.clone(), url.clone());
            // Not within the web view's own callback: the answer closes the window.
            tauri::async_runtime::spawn(async move {
                if let Some(Err(fault)) = desk.map(|desk| desk.redirected(&id, url)) {
                    tracing::info!(%fault, "a sign-in came back too late");
                }
            });
            return false;
        }
        if !may_visit(url) {
            return false;
        }
        let allowed = state.window_may_show(url);
        if !allowed {
            core.tell(Event::SignInPageRefused { id: id.clone(), url: url.clone() });
        }
        allowed
    }
}

/// How far a page has come to being shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is asked for.
    Coming,
    /// It is what the window shows now.
    Shown,
}

/// What follows when a sign-in window's page, not a frame in it, becomes another: the title names its host, and the state
/// learns of it.
fn page(window: WebviewWindow, id: PendingId, title: String) -> impl Fn(&Url, Stage) + Send + 'static {
    move |url, stage| {
        if stage == Stage::Shown
            && let Err(error) = window.set_title(&with_host(&title, url))
        {
            tracing::debug!(%error, "a title could not be set");
        }
        window.state::<Core>().tell(Event::SignInPage { id: id.clone(), url: url.clone() });
    }
}

/// Encrypted pages, and plain ones only on this computer.
fn may_visit(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => model::is_on_this_machine(url),
        "about" => url.path() == "blank" || url.path() == "srcdoc",
        _ => false,
    }
}

/// The host is in the title, since a window has no address bar.
fn with_host(title: &str, url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{title} — {host}:{port}"),
        (Some(host), None) => format!("{title} — {host}"),
        (None, _) => title.to_owned(),
    }
}

#[cfg(target_os = "linux")]
mod session {
    //! Sign-in windows share one session in memory, so that the organisation is signed in to once and not for each
    //! connector; those to an account that is somebody else's by its name do not. A web view is kept for it; its window is long gone.

    use std::cell::RefCell;

    use tauri::{AppHandle, WebviewWindow, WebviewWindowBuilder, Wry};
    use url::Url;
    use webkit2gtk::{
        LoadEvent, WebContextExt as _, WebViewExt as _, WebsiteDataManagerExtManual as _, WebsiteDataTypes,
    };

    use super::Stage;

    thread_local! {
        static KEPT: RefCell<Option<webkit2gtk::WebView>> = const { RefCell::new(None) };
    }

    pub(crate) fn share_session<'a>(
        builder: WebviewWindowBuilder<'a, Wry, AppHandle>,
    ) -> WebviewWindowBuilder<'a, Wry, AppHandle> {
        match KEPT.with(|kept| kept.borrow().clone()) {
            Some(view) => builder.with_related_view(view),
            None => builder,
        }
    }

    pub(crate) fn remember_session(window: &WebviewWindow) {
        let kept = window.with_webview(|view| {
            KEPT.with(|kept| {
                kept.borrow_mut().get_or_insert_with(|| view.inner());
            });
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "the next sign-in starts a session of its own");
        }
    }

    /// Tells of each page that the window itself comes to. Navigations alone would tell of the frames in it as well.
    pub(crate) fn follow_pages(window: &WebviewWindow, told: impl Fn(&Url, Stage) + Send + 'static) {
        let followed = window.with_webview(move |view| {
            view.inner().connect_load_changed(move |view, event| {
                let stage = if matches!(event, LoadEvent::Started | LoadEvent::Redirected) {
                    Stage::Coming
                } else if event == LoadEvent::Committed {
                    Stage::Shown
                } else {
                    return;
                };
                if let Some(url) = view.uri().and_then(|uri| Url::parse(&uri).ok()) {
                    told(&url, stage);
                }
            });
        });
        if let Err(error) = followed {
            tracing::warn!(%error, "the title does not follow the page");
        }
    }

    /// Signs every later window out: what the session holds is cleared, then the session is dropped.
    pub(crate) fn forget_sign_ins() {
        let Some(view) = KEPT.with(|kept| kept.borrow_mut().take()) else { return };
        let manager = view.context().and_then(|context| context.website_data_manager());
        if let Some(manager) = manager {
            manager.clear(
                WebsiteDataTypes::ALL,
                gtk::glib::TimeSpan(0),
                gtk::gio::Cancellable::NONE,
                |cleared| {
                    if let Err(error) = cleared {
                        tracing::warn!(%error, "the sign-in session was dropped without being cleared");
                    }
                },
            );
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod session {
    //! Elsewhere each sign-in window has a session of its own.

    use tauri::{AppHandle, WebviewWindow, WebviewWindowBuilder, Wry};

    pub(crate) fn share_session<'a>(
        builder: WebviewWindowBuilder<'a, Wry, AppHandle>,
    ) -> WebviewWindowBuilder<'a, Wry, AppHandle> {
        builder
    }

    pub(crate) fn remember_session(_window: &WebviewWindow) {}

    pub(crate) fn follow_pages(
        _window: &WebviewWindow,
        _told: impl Fn(&super::Url, super::Stage) + Send + 'static,
    ) {
    }

    pub(crate) fn forget_sign_ins() {}
}

pub(crate) use session::forget_sign_ins;
use session::{follow_pages, remember_session, share_session};

fn raise(window: &WebviewWindow) {
    let raised = window.show().and_then(|()| window.unminimize()).and_then(|()| window.set_focus());
    if let Err(error) = raised {
        tracing::debug!(%error, "a window could not be brought to the front");
    }
}

fn report(label: &str, built: tauri::Result<WebviewWindow>) {
    if let Err(error) = built {
        tracing::error!(%error, label, "a window could not be made");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_window_goes_nowhere_unencrypted() {
        for (url, allowed) in [
            ("https://idp.acme.test/login", true),
            ("http://127.0.0.1:4000/login", true),
            ("http://localhost:4000/login", true),
            ("http://idp.acme.test/login", false),
            ("http://127.0.0.1.evil.test/", false),
            ("file:///etc/passwd", false),
            ("tauri://localhost/index.html", false),
            ("javascript:alert(1)", false),
            ("data:text/html,hi", false),
            ("about:blank", true),
        ] {
            assert_eq!(may_visit(&url.parse().unwrap()), allowed, "{url}");
        }
    }

    #[test]
    fn the_title_names_the_host() {
        let title = |url: &str| with_host("Sign in to Mail", &url.parse().unwrap());
        assert_eq!(title("https://idp.acme.test/login?x=1"), "Sign in to Mail — idp.acme.test");
        assert_eq!(title("http://127.0.0.1:4000/"), "Sign in to Mail — 127.0.0.1:4000");
    }
}
