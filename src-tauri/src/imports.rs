//! What a window may ask for about servers that assistants have beside Deskgate.

use controller::app::{Folders, GivesBack, ImportWish};
use controller::view::{self, AdviceView, ImportView};
use tauri::State;

use crate::commands::{not_running, unknown};
use crate::core::Core;

/// What taking over an assistant's servers into a virtual server would change, or giving them back, to be looked at.
#[tauri::command]
#[specta::specta]
pub(crate) async fn propose_import(
    core: State<'_, Core>,
    assistant: String,
    server: Option<String>,
    undo: bool,
) -> Result<ImportView, AdviceView> {
    let imports = core.imports().ok_or_else(not_running)?.clone();
    let folders = Folders::of_this().map_err(|advice| view::advice(&advice))?;
    let into = server.map(|server| server.parse().map_err(|_| unknown(&server))).transpose()?;
    let wish = ImportWish { assistant, servers: Vec::new(), into, undo, folders };
    imports.view(wish).await.map_err(|advice| view::advice(&advice))
}

/// Makes the change that was looked at.
#[tauri::command]
#[specta::specta]
pub(crate) async fn make_import(core: State<'_, Core>, id: u32) -> Result<(), AdviceView> {
    let imports = core.imports().ok_or_else(not_running)?.clone();
    imports.make(id, GivesBack::Yes).await.map_err(|advice| view::advice(&advice))
}
