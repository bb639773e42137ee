//! The application without Tauri: state, tray menu as a value, view models, effects; wires the traits.
#![forbid(unsafe_code)]

mod announcer;
pub mod app;
mod autostart;
mod browser;
pub mod doctor;
mod effect;
mod event;
mod pending;
mod redirect;
mod run;
mod state;
pub mod tray;
pub mod view;
pub mod words;

pub use autostart::{autostart_entry, web_view_folders};
pub use browser::{BrowserFault, can_open_browser, open_browser};
pub use effect::{Effect, Engine, Notice, Offer, Order, PauseFor, Place, Shell, UnknownPlace};
pub use event::{Act, Configuration, Event};
pub use mcp::Difference;
pub use pending::{
    Answer, AnswerFault, Ending, MOST_PENDING, Now, PendingDesk, PendingId, PendingItem, Question, Surface,
};
pub use redirect::{RedirectFault, RedirectListener, is_redirect};
pub use run::{Ended, run};
pub use state::{
    ACTIVITY_KEPT, Access, Activity, AppState, Assistant, AuditHealth, AuditState, CallOutcome, Connector,
    ConnectorStatus, CredentialKind, Freshness, HeldPart, Link, ListState, Mode, Organisation, Paused,
    PolicyState, ReadyUpdate, Runs, Session, StandingApproval, Status, ToolAccess, UpdateState,
    VirtualServer, Withheld,
};
