//! `cargo xtask demo`: a small organisation on this machine, with the tray application. Left running for a person, or
//! with `--check` played through unattended.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command line that talks to the person who started it")]

mod desk;
mod guide;
mod hands;
mod it;
mod play;
mod show;
mod stage;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use testkit::PeerFault;
use url::Url;

#[derive(Parser)]
#[command(about = "A small organisation to try out; started by `cargo xtask demo`")]
struct Arguments {
    /// Play employee, assistant and IT unattended, in a desktop session of its own.
    #[arg(long)]
    check: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Ask the virtual server of a running demo, as an assistant would.
    Ask {
        /// A tool; all are listed if none is named.
        tool: Option<String>,
        /// Its arguments, as a JSON object.
        #[arg(default_value = "{}")]
        arguments: String,
        /// The virtual server.
        #[arg(long, env = "DESKGATE_DEMO_SERVER")]
        server: Url,
        /// The folder in which it is remembered that the assistant was let in.
        #[arg(long, env = "DESKGATE_DEMO_MEMORY")]
        memory: PathBuf,
    },
    /// Sign in at a page of the running demo, where there is no browser.
    Browse {
        /// Who signs in: alice, bob or ivy.
        login: String,
        /// The page.
        page: Url,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(fault) => {
            println!("{fault}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, PeerFault> {
    match arguments.command {
        None if arguments.check => return play::check().await,
        None => stage::run().await?,
        Some(Command::Ask { tool, arguments, server, memory }) => {
            hands::ask(server, memory, tool, &arguments).await?;
        }
        Some(Command::Browse { login, page }) => hands::browse(&login, &page).await?,
    }
    Ok(ExitCode::SUCCESS)
}
