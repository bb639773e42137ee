//! `deskgate-desktop`: the tray application.
#![forbid(unsafe_code)]
// A console window beside the tray would be a surprise on Windows.
#![cfg_attr(all(windows, not(debug_assertions)), windows_subsystem = "windows")]

use std::process::ExitCode;

fn main() -> ExitCode {
    deskgate_desktop::run()
}
