//! Diagnostics that IT asks for: looked at, sent or not sent in the window of that question.

use controller::view::{self, AdviceView, DiagnosticsView};
use controller::{Answer, PendingId};
use model::{Advice, ForPerson as _};
use tauri::State;

use crate::commands::not_running;
use crate::core::Core;

/// Does not send them.
#[tauri::command]
#[specta::specta]
pub(crate) fn refuse_diagnostics(core: State<'_, Core>, id: String) -> Result<(), AdviceView> {
    let desk = core.desk().ok_or_else(not_running)?;
    desk.answer(&PendingId::typed(id), Answer::NotSent).map_err(|fault| view::advice(&fault.advice()))
}

/// Sends what was shown under this SHA-256.
#[tauri::command]
#[specta::specta]
pub(crate) async fn send_diagnostics(core: State<'_, Core>, sha256: String) -> Result<(), AdviceView> {
    let diagnostics = core.diagnostics().cloned().ok_or_else(not_running)?;
    diagnostics.send(&sha256).await.map_err(|advice: Advice| view::advice(&advice))
}

/// Collects what would be sent, to be looked at.
#[tauri::command]
#[specta::specta]
pub(crate) async fn show_diagnostics(core: State<'_, Core>) -> Result<DiagnosticsView, AdviceView> {
    let diagnostics = core.diagnostics().cloned().ok_or_else(not_running)?;
    diagnostics.show().await.map(|(_, view)| view).map_err(|advice: Advice| view::advice(&advice))
}
