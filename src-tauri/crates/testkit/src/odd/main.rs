//! `deskgate-odd`: the odd server as a program, for gateways that start their connectors.
#![forbid(unsafe_code)]

use clap::Parser;
use testkit::{Manner, OddEra, serve_stdio};

#[derive(Parser)]
struct Arguments {
    /// The one era that it speaks.
    #[arg(long)]
    era: OddEra,
    /// What it does with a request before `initialize`.
    #[arg(long, default_value = "refuses")]
    manner: Manner,
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    serve_stdio(arguments.era, arguments.manner)
}
