//! The running application behind the windows: its state, where events go, and the desk of pending items.

use std::sync::{Arc, OnceLock};

use controller::app::{
    Acceptances, AskedDiagnostics, Connections, Doctor, Imports, Introduction, Logs, Records, SavedCalls,
    Welcome, WindowParts,
};
use controller::{Act, AppState, Event, PendingDesk};
use tauri::{AppHandle, Manager as _};
use tokio::sync::{mpsc, watch};

/// What windows and tray need of the application. Empty until it has started.
#[derive(Default)]
pub(crate) struct Core {
    running: OnceLock<Running>,
}

/// The application, once started.
#[derive(Clone)]
pub(crate) struct Running {
    /// The state as it changes.
    pub(crate) state: watch::Receiver<Arc<AppState>>,
    /// Takes what the person does.
    pub(crate) events: mpsc::UnboundedSender<Event>,
    /// What waits for the person; none when the application could not start.
    pub(crate) desk: Option<PendingDesk>,
    /// What the gateway answers windows with; none where none runs.
    pub(crate) windows: Option<WindowParts>,
    /// Looks for what is wrong.
    pub(crate) doctor: Doctor,
}

impl Core {
    /// Takes the application once it has started. Only the first counts.
    pub(crate) fn started(&self, running: Running) {
        if self.running.set(running).is_err() {
            tracing::error!("the application was started twice");
        }
    }

    /// The state as it is now.
    pub(crate) fn state(&self) -> Arc<AppState> {
        match self.running.get() {
            Some(running) => Arc::clone(&running.state.borrow()),
            None => Arc::new(AppState::starting(true)),
        }
    }

    /// The desk of pending items, once there is one.
    pub(crate) fn desk(&self) -> Option<&PendingDesk> {
        self.running.get()?.desk.as_ref()
    }

    fn windows(&self) -> Option<&WindowParts> {
        self.running.get()?.windows.as_ref()
    }

    /// What connectors print, where a gateway runs.
    pub(crate) fn logs(&self) -> Option<&Logs> {
        Some(&self.windows()?.logs)
    }

    /// Saves calls in a file, where a gateway runs.
    pub(crate) fn saved(&self) -> Option<&SavedCalls> {
        Some(&self.windows()?.saved)
    }

    /// The records of calls, where a gateway runs.
    pub(crate) fn records(&self) -> Option<&Records> {
        Some(&self.windows()?.records)
    }

    /// Takes over servers of assistants, where a gateway runs.
    pub(crate) fn imports(&self) -> Option<&Imports> {
        Some(&self.windows()?.imports)
    }

    /// Connects assistants, where a gateway runs.
    pub(crate) fn connections(&self) -> Option<&Connections> {
        Some(&self.windows()?.connections)
    }

    /// Has the person confirm their organisation, where a gateway runs.
    pub(crate) fn introduction(&self) -> Option<&Introduction> {
        Some(&self.windows()?.introduction)
    }

    /// Looks for what is wrong, once the application has started.
    pub(crate) fn doctor(&self) -> Option<&Doctor> {
        Some(&self.running.get()?.doctor)
    }

    /// Accepts what connectors say otherwise than before, where a gateway runs.
    pub(crate) fn acceptances(&self) -> Option<&Acceptances> {
        Some(&self.windows()?.acceptances)
    }

    /// Shows and sends diagnostics that IT asks for, where a gateway runs.
    pub(crate) fn diagnostics(&self) -> Option<&AskedDiagnostics> {
        Some(&self.windows()?.diagnostics)
    }

    /// Shows a new person around, where a gateway runs.
    pub(crate) fn welcome(&self) -> Option<&Welcome> {
        Some(&self.windows()?.welcome)
    }

    /// Passes on what happened.
    pub(crate) fn tell(&self, event: Event) {
        let told = self.running.get().is_some_and(|running| running.events.send(event).is_ok());
        if !told {
            tracing::info!("an event came before the start or after the end");
        }
    }
}

/// Passes on what the person did. While the application still starts, they can look and they can quit.
pub(crate) fn act(app: &AppHandle, act: Act) {
    let core = app.state::<Core>();
    if core.running.get().is_some() {
        core.tell(Event::Person(act));
    } else if act == Act::Quit {
        app.exit(0);
    } else if let Act::Open(place) = act {
        crate::windows::open_main(app, place);
    }
}
