//! What windows ask a running gateway for.

use super::catalog::Acceptances;
use super::connections::Connections;
use super::diagnostics::AskedDiagnostics;
use super::home::Home;
use super::imports::Imports;
use super::introduction::Introduction;
use super::logs::Logs;
use super::present::Present;
use super::records::Records;
use super::saving::SavedCalls;
use super::socket::Desk;
use super::welcome::Welcome;

/// What a running gateway answers windows with.
#[derive(Clone)]
pub struct WindowParts {
    /// What connectors print.
    pub logs: Logs,
    /// The records of calls.
    pub records: Records,
    /// Saves calls that were made in a file.
    pub saved: SavedCalls,
    /// Connects the assistants on this computer.
    pub connections: Connections,
    /// Has the person confirm an organisation that nobody introduced.
    pub introduction: Introduction,
    /// Accepts changes of what connectors say to models.
    pub acceptances: Acceptances,
    /// Takes over the servers that assistants have already.
    pub imports: Imports,
    /// Shows a new person around.
    pub welcome: Welcome,
    /// Shows and sends diagnostics that IT asks for.
    pub diagnostics: AskedDiagnostics,
}

impl WindowParts {
    /// What the command line's side has as well, and what windows have alone.
    pub(super) fn of(home: &Home, present: Present, front: &Desk, welcome: Welcome) -> Self {
        Self {
            logs: front.logs.clone(),
            records: Records::of(home.journal(), present.clone()),
            saved: SavedCalls::of(home.journal(), present),
            connections: Connections::of(home.clone()),
            introduction: front.introduction.clone(),
            acceptances: front.acceptances.clone(),
            imports: front.imports.clone(),
            welcome,
            diagnostics: front.diagnostics.clone(),
        }
    }
}
