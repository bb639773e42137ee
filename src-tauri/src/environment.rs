//! Takes remote control away from the web views. `WEBKIT_INSPECTOR_*` and `TAURI_WEBVIEW_AUTOMATION` let another program
//! run script in the privileged window, in release builds too; whoever can set a variable is not meant to.

use std::process::{Command, ExitCode};

/// Variables that a web view obeys.
const REMOTE_CONTROL: [&str; 3] =
    ["WEBKIT_INSPECTOR_SERVER", "WEBKIT_INSPECTOR_HTTP_SERVER", "TAURI_WEBVIEW_AUTOMATION"];

/// In debug builds tests may drive the window: WebKitWebDriver sets two of the variables.
fn driven_by_a_test() -> bool {
    cfg!(debug_assertions) && std::env::var_os("TAURI_WEBVIEW_AUTOMATION").is_some()
}

/// Starts the program anew without the variables if one is set, and gives the exit code of that; `None` if none is.
///
/// Removing a variable from a running process is not safe in Rust; a fresh start without it is.
pub(crate) fn without_remote_control() -> Option<ExitCode> {
    if driven_by_a_test() || REMOTE_CONTROL.iter().all(|name| std::env::var_os(name).is_none()) {
        return None;
    }
    let Ok(program) = std::env::current_exe() else {
        crate::say("Deskgate cannot find its own program file. It does not start under remote control.");
        return Some(ExitCode::FAILURE);
    };
    let mut again = Command::new(program);
    again.args(std::env::args_os().skip(1));
    for name in REMOTE_CONTROL {
        again.env_remove(name);
    }
    Some(replace_with(again))
}

#[cfg(unix)]
fn replace_with(mut program: Command) -> ExitCode {
    use std::os::unix::process::CommandExt as _;
    // `exec` only comes back when it failed.
    let error = program.exec();
    crate::say(&format!("Deskgate could not start itself: {error}."));
    ExitCode::FAILURE
}

#[cfg(not(unix))]
fn replace_with(mut program: Command) -> ExitCode {
    match program.status() {
        Ok(status) => u8::try_from(status.code().unwrap_or(1)).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            crate::say(&format!("Deskgate could not start itself: {error}."));
            ExitCode::FAILURE
        }
    }
}
