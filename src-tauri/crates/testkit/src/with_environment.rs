//! A program that finds more in its environment than whoever starts it puts there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::PeerFault;

/// A stand-in for a program that starts it with more variables.
#[derive(Debug)]
pub struct WithEnvironment {
    folder: TempDir,
}

impl WithEnvironment {
    /// Around a program. The values have no quotation marks in them.
    ///
    /// # Errors
    /// If the stand-in cannot be written.
    pub fn around(program: &Path, variables: &[(&str, &str)]) -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-environment-").tempdir()?;
        let stand_in = Self { folder };
        let set: String = variables.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
        let script = format!("#!/bin/sh\n{set}exec '{}' \"$@\"\n", program.display());
        std::fs::write(stand_in.program(), script)?;
        std::fs::set_permissions(stand_in.program(), std::fs::Permissions::from_mode(0o700))?;
        Ok(stand_in)
    }

    /// The stand-in.
    pub fn program(&self) -> PathBuf {
        self.folder.path().join("program")
    }
}
