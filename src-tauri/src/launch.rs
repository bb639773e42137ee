//! Starts everything in order, and keeps the windows in step with the state.

use std::sync::Arc;
use std::time::Duration;

use controller::app::{App, Client, Command, Doctor, Home, LIST_GRACE, Options, Report, StartFault};
use controller::{Act, AppState, Effect, Ended, Engine, Event, Order, Place, Shell as _};
use model::{Advice, ForPerson as _, Timestamp};
use tauri::{AppHandle, Manager as _, RunEvent};
use tauri_specta::Event as _;
use tokio::sync::{mpsc, oneshot, watch};

use crate::arguments::Arguments;
use crate::bindings::{self, StateChanged};
use crate::core::{Core, Running, act};
use crate::shell::{Clipboard, DesktopShell};
use crate::tray::Tray;
use crate::{display, tray, windows};

/// How often a tray is looked for where there was none: a panel may start after us.
const TRAY_RETRIES: [u64; 6] = [1, 2, 5, 10, 30, 60];

/// How long another instance may take to start before this one says that it is in the way, and how often it is asked.
const STARTS_WITHIN: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(100);

/// How long the end may take before the process ends anyway.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Why the application did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchFault {
    /// Something a person can mend.
    #[error("{0}")]
    Advice(Advice),
    /// The asynchronous runtime.
    #[error("the runtime could not be made")]
    Runtime(#[source] std::io::Error),
    /// The windows.
    #[error("the windows could not be prepared")]
    Windows(#[source] tauri::Error),
}

impl From<LaunchFault> for Advice {
    fn from(fault: LaunchFault) -> Self {
        match fault {
            LaunchFault::Advice(advice) => advice,
            LaunchFault::Runtime(error) => {
                Self::new("runtime", format!("Deskgate could not start: {error}."), "", "")
            }
            LaunchFault::Windows(error) => Self::new(
                "windows",
                format!("Deskgate could not prepare its windows: {error}."),
                "",
                "To run it without windows, use: deskgate serve",
            ),
        }
    }
}

/// Runs until the person quits.
///
/// # Errors
/// A [`LaunchFault`] if nothing can be shown. What goes wrong later is shown in the window.
pub(crate) fn launch(arguments: Arguments) -> Result<(), LaunchFault> {
    // Two providers are in the tree; rustls wants to be told before its first use. Told already is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let home = Home::from_environment().ok_or_else(|| LaunchFault::Advice(homeless()))?;
    let runtime = controller::app::runtime().map_err(LaunchFault::Runtime)?;
    if !arguments.sample && runtime.block_on(handed_over(&home))? {
        return Ok(());
    }
    display::check().map_err(LaunchFault::Advice)?;
    tauri::async_runtime::set(runtime.handle().clone());

    let bindings = bindings::builder();
    let handler = bindings.invoke_handler();
    let app = tauri::Builder::default()
        .manage(Core::default())
        .manage(home.clone())
        .manage(Clipboard::default())
        .manage(windows::Left::default())
        .invoke_handler(handler)
        .setup(move |app| {
            bindings.mount_events(app);
            if let Some(place) = arguments.place {
                windows::open_main(app.handle(), place);
            }
            tauri::async_runtime::spawn(start(app.handle().clone(), home, arguments));
            Ok(())
        })
        .build(tauri::generate_context!())
        .map_err(LaunchFault::Windows)?;
    app.run(|_, event| {
        // The tray stays when the last window closes; only the person's "Quit" ends the program, with a code.
        if let RunEvent::ExitRequested { code: None, api, .. } = event {
            api.prevent_exit();
        }
    });
    Ok(())
}

/// Asks an instance that owns this folder to show its window. `true` if one did, so that this one may end.
async fn handed_over(home: &Home) -> Result<bool, LaunchFault> {
    match Client::new(home.clone()).ask(&Command::Show).await {
        Ok(Report::Ok { .. }) => Ok(true),
        Ok(Report::Refused { advice }) => Err(LaunchFault::Advice(advice)),
        // None is running, or one that hangs: the lock of the folder decides.
        Err(_) => Ok(false),
    }
}

/// As [`handed_over`], to an instance that is still starting.
async fn handed_over_in_time(home: &Home) -> bool {
    let asked = async {
        while !matches!(handed_over(home).await, Ok(true)) {
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::time::timeout(STARTS_WITHIN, asked).await.is_ok()
}

async fn start(app: AppHandle, home: Home, arguments: Arguments) {
    let shell = Arc::new(DesktopShell::new(app.clone()));
    // A keychain may take its time: until then the tray says that it starts.
    let mut drawing = Drawing::new(app.clone());
    drawing.draw(&AppState::starting(true)).await;
    #[cfg(debug_assertions)]
    if arguments.sample {
        let running = crate::sample::start(shell);
        app.state::<Core>().started(running.clone());
        drawing.follow(running.state).await;
        return;
    }
    #[cfg(not(debug_assertions))]
    let _ = arguments;
    let options =
        Options { home: home.clone(), desktop: true, shell: Arc::clone(&shell) as _, list_grace: LIST_GRACE };
    let running = match controller::app::start(options).await {
        Ok(started) => ends_with(app.clone(), started),
        // Another instance began a moment earlier, and could not be asked yet.
        Err(fault) if fault.is_running_already() && handed_over_in_time(&home).await => return app.exit(0),
        Err(fault) => without_gateway(&app, &home, shell, &fault),
    };
    app.state::<Core>().started(running.clone());
    tauri::async_runtime::spawn(quit_when_asked(app.clone()));
    drawing.follow(running.state).await;
}

/// The windows of an application that runs; the process ends with it.
fn ends_with(app: AppHandle, started: App) -> Running {
    let running = Running {
        state: started.state.clone(),
        events: started.events.clone(),
        desk: Some(started.desk.clone()),
        windows: Some(started.windows.clone()),
        doctor: started.doctor.clone(),
    };
    let mut state = running.state.clone();
    tauri::async_runtime::spawn(async move {
        // The controller drops its side when it has ended; what follows is written within the limit or not at all.
        while state.changed().await.is_ok() {}
        match tokio::time::timeout(END_LIMIT, started.ended()).await {
            Ok(Ended::Quit) => app.exit(0),
            Ok(Ended::ToStartAnew) => start_anew(&app, None),
            Err(_) => {
                tracing::error!("the application did not end in time");
                app.exit(0);
            }
        }
    });
    running
}

/// As the same process, with the main window at a place, or as it is, if it is open.
pub(crate) fn start_anew(app: &AppHandle, place: Option<Place>) {
    let anew = os::own_program().and_then(|program| {
        let mut program = std::process::Command::new(program);
        match place {
            Some(place) => drop(program.args(["--place", place.as_str()])),
            None if windows::main_is_open(app) => {}
            None => drop(program.arg("--background")),
        }
        os::replace_process(&mut program)
    });
    match anew {
        Ok(_) => app.exit(0),
        Err(error) => {
            tracing::error!(%error, "Deskgate could not start itself anew");
            app.exit(1);
        }
    }
}

/// The windows of an application that could not start: they say why, and can be closed.
fn without_gateway(app: &AppHandle, home: &Home, shell: Arc<DesktopShell>, fault: &StartFault) -> Running {
    tracing::error!(%fault, "the gateway did not start");
    shell.perform(Effect::OpenWindow(Place::Overview));
    let (events, inbox) = mpsc::unbounded_channel();
    let mut state = AppState::starting(true);
    state.settings_file = home.settings().display().to_string();
    state.handle(Event::FaultRaised(fault.advice()), Timestamp::from_seconds(0));
    let (published, seen) = watch::channel(Arc::new(state.clone()));
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        // No time passes for a state in which nothing runs.
        let now = Arc::new(|| Timestamp::from_seconds(0));
        controller::run(state, inbox, published, now, shell, Arc::new(Nothing)).await;
        app.exit(1);
    });
    Running { state: seen, events, desk: None, windows: None, doctor: Doctor::beside(home.clone()) }
}

/// The gateway that did not start.
struct Nothing;

impl Engine for Nothing {
    fn order(&self, order: Order) {
        tracing::warn!(?order, "nothing runs that could do this");
    }
}

/// Keeps tray and windows in step with the state.
struct Drawing {
    app: AppHandle,
    tray: Arc<std::sync::Mutex<Tray>>,
    /// Seconds until a tray is looked for again, where there is none.
    retries: std::array::IntoIter<u64, 6>,
}

impl Drawing {
    fn new(app: AppHandle) -> Self {
        Self { app, tray: Arc::default(), retries: TRAY_RETRIES.into_iter() }
    }

    /// Draws the tray and tells the windows whenever the state has changed.
    async fn follow(mut self, mut state: watch::Receiver<Arc<AppState>>) {
        loop {
            let now = Arc::clone(&state.borrow_and_update());
            let drawn = self.draw(&now).await;
            if let Err(error) = StateChanged.emit(&self.app) {
                tracing::debug!(%error, "the windows have ended");
            }
            let retry = if drawn { None } else { self.retries.as_slice().first().copied() };
            tokio::select! {
                changed = state.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(Duration::from_secs(retry.unwrap_or_default())), if retry.is_some() => {
                    self.retries.next();
                }
            }
        }
    }

    /// Draws the tray. `false` if the desktop has none.
    async fn draw(&mut self, state: &AppState) -> bool {
        let menu = controller::tray::tray(state, os::Clock::now(&os::SystemClock));
        let (app, tray) = (self.app.clone(), Arc::clone(&self.tray));
        let (report, reported) = oneshot::channel();
        let drawing = self.app.run_on_main_thread(move || {
            let mut tray = tray.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let outcome = tray.draw(&app, &menu, tray::panel());
            if let Err(error) = &outcome {
                tracing::info!(%error, "there is no tray");
            }
            // Nobody waits once the application ends.
            let _ = report.send(outcome.is_ok());
        });
        drawing.is_ok() && reported.await.unwrap_or(false)
    }
}

/// Ends in order when the session ends or the person interrupts.
#[cfg(unix)]
async fn quit_when_asked(app: AppHandle) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    act(&app, Act::Quit);
}

#[cfg(not(unix))]
async fn quit_when_asked(app: AppHandle) {
    if tokio::signal::ctrl_c().await.is_ok() {
        act(&app, Act::Quit);
    }
}

fn homeless() -> Advice {
    Advice::new(
        "home",
        "Deskgate does not know where to keep its files: neither DESKGATE_HOME nor HOME is set.",
        "",
        "Set DESKGATE_HOME to a folder of yours.",
    )
}
