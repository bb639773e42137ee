//! The harness of `cargo xtask bench`, and the peers that it starts as processes of their own.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command line: figures and readiness lines go to standard output")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use testkit::PeerFault;
use testkit::bench::{Echo, PassThrough, Plan, lightness, measure};

#[derive(Parser)]
#[command(about = "Measures calls through the gateway; started by `cargo xtask bench`")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the upstream of the measurement.
    Upstream,
    /// Serves the relay that does nothing.
    PassThrough {
        /// Where the upstream is.
        #[arg(long)]
        to: SocketAddr,
    },
    /// Measures only what the programs are while nobody uses them.
    Idle {
        /// The folder with the programs.
        #[arg(long)]
        programs: PathBuf,
    },
    /// Measures and prints the table.
    Measure {
        /// The folder with the programs.
        #[arg(long)]
        programs: PathBuf,
        /// Calls in each round and way.
        #[arg(long)]
        calls: usize,
        /// How often the three ways are measured in turn.
        #[arg(long)]
        rounds: usize,
        /// Also write the figures to this file.
        #[arg(long)]
        json: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            println!("{fault}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), PeerFault> {
    match command {
        Command::Upstream => {
            let echo = Echo::start().await?;
            println!("ready {}", echo.address());
            echo.run().await;
        }
        Command::PassThrough { to } => {
            let relay = PassThrough::start(to).await?;
            println!("ready {}", relay.address());
            relay.run().await;
        }
        Command::Idle { programs } => {
            let lightness = lightness(&programs.canonicalize()?, &mut |line| println!("{line}")).await?;
            println!("\n{lightness}");
        }
        Command::Measure { programs, calls, rounds, json } => {
            let plan = Plan { programs: programs.canonicalize()?, rounds, calls };
            let report = measure(&plan, &mut |line| println!("{line}")).await?;
            println!("\n{report}");
            if let Some(path) = json {
                std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
            }
        }
    }
    Ok(())
}
