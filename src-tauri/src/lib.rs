//! The Tauri shell: draws the tray, the windows and the notifications of the state that `controller` owns, and hands back
//! what the person does. It decides nothing and knows no gateway.
#![forbid(unsafe_code)]

mod arguments;
mod autostart;
mod bindings;
mod commands;
mod core;
mod diagnostics;
mod display;
mod environment;
mod imports;
mod launch;
mod notices;
#[cfg(debug_assertions)]
mod sample;
mod saving;
mod shell;
mod tray;
mod windows;

use std::io::Write as _;
use std::process::ExitCode;

use controller::app::Home;
use model::Advice;

/// Runs the application until the person quits. Every way in which it cannot start ends with one plain sentence.
pub fn run() -> ExitCode {
    // First of all, while there is one thread: a web view obeys these variables.
    if let Some(code) = environment::without_remote_control() {
        return code;
    }
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(fault) => {
            say(&fault.to_string());
            return ExitCode::from(2);
        }
    };
    // A sample touches no file.
    let home = Home::from_environment().filter(|_| !arguments.sample);
    controller::app::log(home.as_ref(), "warn");
    if let Err(error) = os::harden_process() {
        tracing::warn!(%error, "other programs of this user may read this one's memory");
    }
    match launch::launch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&Advice::from(fault).to_string());
            ExitCode::FAILURE
        }
    }
}

fn say(sentence: &str) {
    // With nobody to read standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{sentence}");
}
