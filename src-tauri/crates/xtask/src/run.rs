//! Running programs and saying what happens, with times.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why a command of the project ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// A program could not be started.
    #[error("{program} could not be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program ran and failed.
    #[error("{program} failed ({status})")]
    Failed {
        /// The program.
        program: String,
        /// Its exit status.
        status: String,
    },
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program printed what cannot be understood.
    #[error("{0} printed something unexpected")]
    Output(&'static str),
    /// Something is missing that this user cannot install.
    #[error("{0}")]
    Missing(String),
    /// Some tests or checks failed; the closing line has said how many.
    #[error("not everything passed")]
    Tests,
}

impl Fault {
    /// A file fault.
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), source }
    }
}

/// Prints one line.
pub(crate) fn say(line: &(impl Display + ?Sized)) {
    println!("{line}");
    // A closed pipe is no reason to stop working.
    drop(std::io::stdout().flush());
}

/// A running stopwatch.
pub(crate) struct Watch(Instant);

impl Watch {
    /// Starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "these commands depend on no crate of the project, os included"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start, as people read it.
    pub(crate) fn text(&self) -> String {
        seconds(self.0.elapsed())
    }
}

fn seconds(duration: Duration) -> String {
    let all = duration.as_secs();
    if all >= 60 {
        format!("{}m{:02}s", all / 60, all % 60)
    } else {
        format!("{:.1}s", duration.as_secs_f64())
    }
}

/// Runs a program with its output shown as it comes.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), Fault> {
    let program = name(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|source| Fault::Start { program: program.clone(), source })?;
    if status.success() { Ok(()) } else { Err(Fault::Failed { program, status: status.to_string() }) }
}

/// Runs a program silently and returns what it printed; `None` if it cannot be started or does not succeed.
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program, shows both of its outputs as they come, and hands every line to `each`.
///
/// # Errors
/// If it cannot be started. Its exit status is returned, not judged.
pub(crate) fn follow(command: &mut Command, each: &mut dyn FnMut(&str)) -> Result<bool, Fault> {
    let program = name(command);
    let start = |source| Fault::Start { program: program.clone(), source };
    let (reader, writer) = std::io::pipe().map_err(start)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(start)?)
        .stderr(writer)
        .spawn()
        .map_err(start)?;
    // The command holds the pipe's writing ends; without this the reader would never see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(start)?;
        let line = String::from_utf8_lossy(&line);
        say(line.trim_end());
        each(line.trim_end());
    }
    Ok(child.wait().map_err(start)?.success())
}

fn name(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(3) {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}
