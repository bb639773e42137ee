//! The running application behind the windows: its state, where events go, and the desk of pending items.

use std::sync::{Arc, OnceLock};

use controller::app::{Acceptances, Connections, Doctor, Introduction, Logs, Records};
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
    /// What connectors print; none where no gateway runs.
    pub(crate) logs: Option<Logs>,
    /// The records of calls; none where no gateway runs.
    pub(crate) records: Option<Records>,
    /// Connects assistants; none where no gateway runs.
    pub(crate) connections: Option<Connections>,
    /// Has the person confirm their organisation; none where no gateway runs.
    pub(crate) introduction: Option<Introduction>,
    /// Looks for what is wrong.
    pub(crate) doctor: Doctor,
    /// Accepts what connectors say otherwise than before; none where no gateway runs.
    pub(crate) acceptances: Option<Acceptances>,
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

    /// What connectors print, where a gateway runs.
    pub(crate) fn logs(&self) -> Option<&Logs> {
        self.running.get()?.logs.as_ref()
    }

    /// The records of calls, where a gateway runs.
    pub(crate) fn records(&self) -> Option<&Records> {
        self.running.get()?.records.as_ref()
    }

    /// Connects assistants, where a gateway runs.
    pub(crate) fn connections(&self) -> Option<&Connections> {
        self.running.get()?.connections.as_ref()
    }

    /// Has the person confirm their organisation, where a gateway runs.
    pub(crate) fn introduction(&self) -> Option<&Introduction> {
        self.running.get()?.introduction.as_ref()
    }

    /// Looks for what is wrong, once the application has started.
    pub(crate) fn doctor(&self) -> Option<&Doctor> {
        Some(&self.running.get()?.doctor)
    }

    /// Accepts what connectors say otherwise than before, where a gateway runs.
    pub(crate) fn acceptances(&self) -> Option<&Acceptances> {
        self.running.get()?.acceptances.as_ref()
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
