//! `deskgate serve`: the gateway without a display.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use controller::app::{Home, LIST_GRACE, Options, start};
use controller::{Act, BrowserFault, Effect, Ended, Event, Shell};
use model::{Advice, ForPerson as _};
use tokio::signal::unix::{SignalKind, signal};

/// Runs until told to end by a signal or by `deskgate quit`.
pub(crate) async fn serve(home: Home, list_grace: Option<u64>) -> ExitCode {
    controller::app::log(Some(&home), "info");
    let list_grace = list_grace.map_or(LIST_GRACE, Duration::from_secs);
    let app = match start(Options { home, desktop: false, shell: Arc::new(Terminal), list_grace }).await {
        Ok(app) => app,
        Err(fault) => {
            tracing::error!(%fault, "the gateway did not start");
            return crate::fail(&fault.advice());
        }
    };
    println!("Deskgate takes calls at {}", app.address);
    let events = app.events.clone();
    tokio::spawn(async move {
        if let Err(error) = until_signal().await {
            tracing::error!(%error, "signals cannot be followed");
            std::future::pending::<()>().await;
        }
        // Nobody receives when the application has ended already.
        let _ = events.send(Event::Person(Act::Quit));
    });
    match app.ended().await {
        Ended::Quit => ExitCode::SUCCESS,
        Ended::ToStartAnew => start_anew(),
    }
}

/// As the same process, told the same.
fn start_anew() -> ExitCode {
    let anew = os::own_program().and_then(|program| {
        os::replace_process(std::process::Command::new(program).args(std::env::args_os().skip(1)))
    });
    anew.unwrap_or_else(|error| {
        crate::fail(&Advice::new(
            "start-anew",
            format!("Deskgate could not start itself anew: {error}."),
            "It has ended.",
            "Start it again.",
        ))
    })
}

async fn until_signal() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Opens the system browser for sign-ins; says the rest on standard error.
struct Terminal;

impl Shell for Terminal {
    fn perform(&self, effect: Effect) {
        match effect {
            Effect::OpenBrowser(url) | Effect::OpenSignInWindow { url, .. } => open_browser(&url),
            Effect::Notify(notice) => tracing::info!("{}: {}", notice.title, notice.body),
            Effect::OpenQuestionWindow { title, .. } => {
                tracing::info!("{title} (see: deskgate pending)");
            }
            Effect::OpenWindow(_)
            | Effect::CloseWindow(_)
            | Effect::LeaveWindow(_)
            | Effect::Withdraw(_)
            | Effect::CopyText(_)
            | Effect::Order(_)
            | Effect::ForgetSignIns
            | Effect::Autostart(_)
            | Effect::Quit
            | Effect::StartAnew => {}
        }
    }
}

fn open_browser(url: &url::Url) {
    match controller::open_browser(url) {
        Ok(()) => {}
        Err(BrowserFault::Refused(fault)) => tracing::error!(%fault, "a page was not opened"),
        Err(BrowserFault::NotStarted(error)) => {
            tracing::error!(%error, "the browser could not be opened");
            // An address of a sign-in is not for the log.
            eprintln!("Open this address: {url}");
        }
    }
}
