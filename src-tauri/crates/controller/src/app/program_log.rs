//! Deskgate's own log: on standard error, and on disk, where it takes so much at most. What goes into it is for whoever helps;
//! no secret, no argument of a call and nothing that a connector prints is ever logged.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use os::RotatingFile;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::home::Home;

/// The variable that says what is logged, in both places, in the syntax of `tracing_subscriber::EnvFilter`.
const VARIABLE: &str = "DESKGATE_LOG";
/// What is kept on disk where nothing else is said.
const ON_DISK: &str = "info";
/// One file's most bytes, and how many files: 4 MiB in all.
const MOST: u64 = 1024 * 1024;
pub(super) const FILES: u32 = 4;

/// Logs from now on: to standard error what `usual` says, and to the installation's folder where one is given. Where the disk takes
/// nothing, that is said, and the log goes to standard error alone. Only the first call counts.
pub fn log(home: Option<&Home>, usual: &str) {
    let filter = |usual: &str| EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(usual));
    let terminal =
        fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).with_filter(filter(usual));
    let opened = home.map(|home| RotatingFile::open(home.log(), MOST, FILES)).transpose();
    let (file, fault) = match opened {
        Ok(file) => (file.map(Arc::new), None),
        Err(fault) => (None, Some(fault)),
    };
    let disk = file.map(|file| {
        fmt::layer()
            .with_ansi(false)
            .with_writer(move || Lines(Arc::clone(&file)))
            .with_filter(filter(ON_DISK))
    });
    if tracing_subscriber::registry().with(terminal).with(disk).try_init().is_err() {
        tracing::debug!("the log was set up before");
    }
    if let Some(fault) = fault {
        tracing::warn!(%fault, "the log cannot be kept on disk");
    }
}

/// An event is handed over as a whole.
struct Lines(Arc<RotatingFile>);

impl Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.append(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
