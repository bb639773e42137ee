//! The commands and events between Rust and the windows, and their TypeScript side: `ui/src/bindings.ts`.

use controller::Place;
use serde::{Deserialize, Serialize};
use specta::Type;
use tauri_specta::{Builder, Event, collect_commands, collect_events};

use crate::{commands, diagnostics, imports, saving};

/// The state has changed: look again.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, Type, Event)]
pub(crate) struct StateChanged;

/// The main window should show a place.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, Type, Event)]
pub(crate) struct GoTo(pub(crate) Place);

/// Everything that a window can call or hear.
pub(crate) fn builder() -> Builder<tauri::Wry> {
    Builder::<tauri::Wry>::new()
        // Views are only ever sent to the windows: one shape of each type is enough.
        .disable_serde_phases()
        .commands(collect_commands![
            commands::about,
            commands::accept_change,
            commands::activity,
            commands::answer_approval,
            commands::answer_consent,
            commands::call_records,
            commands::cancel,
            commands::confirm_organisation,
            commands::connector_log,
            commands::copy_address,
            commands::copy_text,
            commands::doctor,
            commands::end_welcome,
            commands::forget_approval,
            commands::install_update,
            commands::join_organisation,
            commands::local_assistants,
            commands::look,
            commands::look_back,
            commands::look_for_update,
            commands::make_change,
            imports::make_import,
            commands::open_settings,
            commands::past_calls,
            commands::pause,
            commands::propose_change,
            imports::propose_connector,
            imports::propose_import,
            imports::propose_removal,
            commands::question,
            diagnostics::refuse_diagnostics,
            commands::restart,
            commands::resume,
            commands::revoke,
            saving::save_activity,
            saving::save_further,
            diagnostics::send_diagnostics,
            diagnostics::show_diagnostics,
            saving::show_saved,
            commands::sign_in,
            commands::sign_out,
            saving::stop_saving,
            commands::support,
            commands::try_keychain,
            commands::try_out,
            commands::use_another_port,
            commands::view,
        ])
        .events(collect_events![StateChanged, GoTo])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const COMMITTED: &str = "ui/src/bindings.ts";

    fn generated() -> String {
        let folder = std::env::temp_dir().join(format!("deskgate-bindings-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("bindings.ts");
        builder().export(specta_typescript::Typescript::default(), &file).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        text
    }

    /// Run with `DESKGATE_BLESS=1` to write the bindings anew.
    #[test]
    fn committed_bindings_are_the_generated_ones() {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(COMMITTED);
        if std::env::var_os("DESKGATE_BLESS").is_some() {
            std::fs::write(&committed, generated()).unwrap();
        }
        assert!(
            std::fs::read_to_string(&committed).unwrap() == generated(),
            "{COMMITTED} is not what the code says; run this test once with DESKGATE_BLESS=1"
        );
    }

    #[test]
    fn every_command_is_allowed_to_one_kind_of_window() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src-tauri/permissions/commands.toml");
        let permissions = std::fs::read_to_string(path).unwrap();
        let lists = permissions.split("commands.allow").skip(1).filter_map(|rest| rest.split(']').next());
        let mut allowed: Vec<_> = lists.flat_map(|list| list.split('"').skip(1).step_by(2)).collect();
        allowed.sort_unstable();

        let bindings = generated();
        let invoked =
            bindings.lines().filter_map(|line| line.split_once("=> ")?.1.split_once("__TAURI_INVOKE"));
        let bound: Vec<_> = invoked.filter_map(|(_, rest)| rest.split('"').nth(1)).collect();

        assert!(!bound.is_empty());
        assert_eq!(allowed, bound, "both in the order of the alphabet, each once");
    }

    #[test]
    fn windows_other_than_ours_have_no_capability() {
        for (file, windows) in [("main", "[\"main\"]"), ("question", "[\"question-*\"]")] {
            let path = format!("{}/src-tauri/capabilities/{file}.json", env!("CARGO_MANIFEST_DIR"));
            let capability: serde_json::Value =
                serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            assert_eq!(capability["windows"].to_string(), windows);
            assert!(capability.get("remote").is_none(), "no page from elsewhere may call anything");
        }
        let folder = format!("{}/src-tauri/capabilities", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 2, "each capability is checked above");
    }
}
