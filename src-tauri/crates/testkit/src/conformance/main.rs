//! The harness of `cargo xtask conformance`: the protocol's conformance suite against connectors and assistants that stand
//! behind and before a real gateway, and the same without it for comparison.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command line: the matrix goes to standard output")]

mod authorization_leg;
mod client_leg;
mod driver;
mod era;
mod findings;
mod matrix;
mod requirements;
mod server_leg;
mod settings;
mod suite;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use testkit::PeerFault;
use url::Url;

use crate::era::Era;
use crate::matrix::Matrix;
use crate::suite::Suite;

#[derive(Parser)]
#[command(about = "Runs the conformance suite through the gateway; started by `cargo xtask conformance`")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs everything and prints the matrix.
    Run {
        /// Where the suite's results and the programs' logs go; emptied first.
        #[arg(long)]
        results: PathBuf,
        /// Only cells whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Is the client of one scenario, whose name and context are in the environment; started by the suite.
    Client {
        /// The era of the assistant before the gateway.
        #[arg(long)]
        era: Era,
        /// A folder in which clients take turns.
        #[arg(long)]
        turns: PathBuf,
        /// The suite's server.
        url: Url,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run { results, only } => run(results, &only).await,
        Command::Client { era, turns, url } => driver::perform(era, &turns, &url).await.map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            println!("{fault}");
            ExitCode::FAILURE
        }
    }
}

async fn run(results: PathBuf, only: &str) -> Result<bool, PeerFault> {
    let suite = Suite::at(results)?;
    let mut matrix = Matrix::default();
    server_leg::run(&suite, only, &mut matrix).await?;
    client_leg::run(&suite, only, &mut matrix).await?;
    authorization_leg::run(&suite, only, &mut matrix).await?;
    println!("{matrix}");
    Ok(matrix.is_clean())
}
