//! `deskgate-control`: the control plane and its command line.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

/// Exits with 0 for success, 1 for a failure that is said on standard error, 2 for a command that is not understood; a command that
/// answers by its exit code says so in its help.
fn main() -> ExitCode {
    // Two providers are in the tree; rustls panics at its first use unless one is chosen.
    let chosen = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let command = cli::Cli::parse();
    cli::log(&command);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) if chosen.is_ok() => runtime,
        Ok(_) | Err(_) => {
            cli::complain("deskgate-control cannot start: no threads or no cryptography");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli::run(command)) {
        Ok(code) => code,
        Err(fault) => {
            cli::complain(&fault.to_string());
            fault.code()
        }
    }
}
