//! One program in the place of another.

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// What Linux appends to the path of a program whose file is gone or was replaced (proc(5), `/proc/pid/exe`).
const REPLACED: &str = " (deleted)";

/// Where this process's program lies, also where another version lies there by now.
///
/// # Errors
/// Whatever the system says.
pub fn own_program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let before = program.to_str().and_then(|text| text.strip_suffix(REPLACED)).map(PathBuf::from);
    Ok(before.filter(|_| !program.exists()).unwrap_or(program))
}

/// Whether another file lies there by now. Only Linux tells.
pub fn own_program_is_replaced() -> bool {
    let running = std::env::current_exe();
    running.is_ok_and(|running| own_program().is_ok_and(|place| place != running && place.exists()))
}

/// Lets `program` take the place of this process: under Unix as the same process, elsewhere as a child that this process waits
/// for. Whatever has to be on disk must be there by now; destructors do not run.
///
/// # Errors
/// Why it could not be started; this process goes on then. Under Unix there is no other way back.
pub fn replace_process(program: &mut Command) -> io::Result<ExitCode> {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        Err(program.exec())
    }
    #[cfg(not(unix))]
    {
        let status = program.status()?;
        Ok(u8::try_from(status.code().unwrap_or(1)).map_or(ExitCode::FAILURE, ExitCode::from))
    }
}
