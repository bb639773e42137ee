//! Takes remote control away from the web views. `WEBKIT_INSPECTOR_*` and `TAURI_WEBVIEW_AUTOMATION` let another program
//! run script in the privileged window, in release builds too; whoever can set a variable is not meant to.

use std::process::{Command, ExitCode};

/// Variables that a web view obeys.
const REMOTE_CONTROL: [&str; 3] = ["WEBKIT_INSPECTOR_SERVER", "WEBKIT_INSPECTOR_HTTP_SERVER", AUTOMATION];

/// Asks for automation, which WebKitWebDriver sets together with others.
const AUTOMATION: &str = "TAURI_WEBVIEW_AUTOMATION";

/// Which build this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Build {
    /// Tests may drive the window.
    Debug,
    /// Nobody may.
    Release,
}

const BUILD: Build = if cfg!(debug_assertions) { Build::Debug } else { Build::Release };

/// Whether a program of this build may go on in an environment in which these variables are set.
fn may_go_on(build: Build, is_set: impl Fn(&str) -> bool) -> bool {
    let driven_by_a_test = build == Build::Debug && is_set(AUTOMATION);
    driven_by_a_test || !REMOTE_CONTROL.into_iter().any(is_set)
}

/// Starts the program anew without the variables if one is set, and gives the exit code of that; `None` if none is.
///
/// Removing a variable from a running process is not safe in Rust; a fresh start without it is.
pub(crate) fn without_remote_control() -> Option<ExitCode> {
    if may_go_on(BUILD, |name| std::env::var_os(name).is_some()) {
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
    let started = os::replace_process(&mut again);
    Some(started.unwrap_or_else(|error| {
        crate::say(&format!("Deskgate could not start itself: {error}."));
        ExitCode::FAILURE
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_build_goes_on_under_no_remote_control() {
        assert!(may_go_on(Build::Release, |_| false));
        for name in REMOTE_CONTROL {
            assert!(!may_go_on(Build::Release, |set| set == name), "{name}");
        }
        assert!(!may_go_on(Build::Release, |_| true));
    }

    #[test]
    fn a_debug_build_is_driven_by_tests_and_inspected_by_nobody() {
        assert!(may_go_on(Build::Debug, |_| false));
        assert!(may_go_on(Build::Debug, |set| set == AUTOMATION));
        assert!(!may_go_on(Build::Debug, |set| set == "WEBKIT_INSPECTOR_SERVER"));
    }
}
