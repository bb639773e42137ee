//! What the Activity place asks for to keep calls in a file.

use controller::app::SavedCalls;
use controller::view::{self, ActivityFilter, AdviceView, SavingView};
use model::Advice;
use os::{Clock as _, SystemClock};
use tauri::{AppHandle, Manager as _, State};

use crate::commands::{not_running, opened, unknown};
use crate::core::Core;

/// Begins to save the calls that pass in a file among the person's downloads: what [`save_further`] is asked with.
#[tauri::command]
#[specta::specta]
pub(crate) async fn save_activity(
    app: AppHandle,
    core: State<'_, Core>,
    filter: ActivityFilter,
) -> Result<u32, AdviceView> {
    let saved = core.saved().ok_or_else(not_running)?.clone();
    let folder = app.path().download_dir().or_else(|_| app.path().home_dir());
    let folder = folder.map_err(|error| {
        let what = format!("Your folder for downloads was not found: {error}.");
        view::advice(&Advice::new("activity-not-saved", what, "", "Set one up, or the variable HOME."))
    })?;
    let begun = saved.begin(folder, filter, SystemClock.now()).await;
    begun.map_err(|fault| view::advice(&fault.advice()))
}

/// Saves some more calls, until the file is there.
#[tauri::command]
#[specta::specta]
pub(crate) async fn save_further(core: State<'_, Core>, saving: u32) -> Result<SavingView, AdviceView> {
    let saved = core.saved().ok_or_else(not_running)?.clone();
    saved.further(core.state(), saving).await.map_err(|fault| view::advice(&fault.advice()))
}

/// Gives up saving calls; no file is left.
#[tauri::command]
#[specta::specta]
pub(crate) async fn stop_saving(core: State<'_, Core>, saving: u32) -> Result<(), AdviceView> {
    let saved = core.saved().ok_or_else(not_running)?.clone();
    // It waits for the page that is being written.
    let _ = tauri::async_runtime::spawn_blocking(move || saved.give_up(Some(saving))).await;
    Ok(())
}

/// Opens the folder with the calls that were saved last.
#[tauri::command]
#[specta::specta]
pub(crate) fn show_saved(core: State<'_, Core>) -> Result<(), AdviceView> {
    let folder = core.saved().and_then(SavedCalls::folder).ok_or_else(|| unknown("the file"))?;
    opened(&folder)
}
