//! What a window may ask for about connectors of the person's own, and about servers that assistants have beside Deskgate.

use controller::app::{Folders, GivesBack, ImportWish};
use controller::view::{self, AdviceView, ConnectorChangeView, ConnectorWish, ImportView};
use model::AccountId;
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

/// Makes the change that was looked at: servers taken over or given back, or a connector that comes or goes.
#[tauri::command]
#[specta::specta]
pub(crate) async fn make_import(core: State<'_, Core>, id: u32) -> Result<(), AdviceView> {
    let imports = core.imports().ok_or_else(not_running)?.clone();
    imports.make(id, GivesBack::Window).await.map_err(|advice| view::advice(&advice))
}

/// What a connector that the person describes would change, to be looked at.
#[tauri::command]
#[specta::specta]
pub(crate) async fn propose_connector(
    core: State<'_, Core>,
    wish: ConnectorWish,
) -> Result<ConnectorChangeView, AdviceView> {
    let imports = core.imports().ok_or_else(not_running)?.clone();
    imports.propose_connector(wish).await.map_err(|advice| view::advice(&advice))
}

/// What would change if a connector of the person's own went, to be looked at.
#[tauri::command]
#[specta::specta]
pub(crate) async fn propose_removal(
    core: State<'_, Core>,
    connector: String,
) -> Result<ConnectorChangeView, AdviceView> {
    let imports = core.imports().ok_or_else(not_running)?.clone();
    let account: AccountId = connector.parse().map_err(|_| unknown(&connector))?;
    imports.propose_removal(account.connector).await.map_err(|advice| view::advice(&advice))
}
