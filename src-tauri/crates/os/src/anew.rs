//! One program in the place of another.

use std::io;
use std::process::{Command, ExitCode};

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
