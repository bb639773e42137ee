//! Which database.

use std::path::{Path, PathBuf};

use clap::Args;
use control::Database;
use control::author::read_private;

use super::Failure;

/// The environment variable that may hold the address of the database.
const VARIABLE: &str = "DESKGATE_DATABASE";

#[derive(Debug, Args)]
pub(super) struct DatabaseArgs {
    /// The database: sqlite:PATH or postgres://USER@HOST/NAME; control.sqlite in the data directory if not given. One with a
    /// password is given by a file or by the environment variable DESKGATE_DATABASE.
    #[arg(long, value_name = "ADDRESS")]
    database: Option<String>,
    /// A file with the address of the database, which only its owner may read.
    #[arg(long, value_name = "FILE", conflicts_with = "database")]
    database_file: Option<PathBuf>,
}

impl DatabaseArgs {
    pub(super) fn database(&self, data: &Path) -> Result<Database, Failure> {
        let address = match (&self.database, &self.database_file) {
            (Some(address), _) if Database::shows_password(address) => {
                return Err(Failure::new(
                    "the password of the database would be in every list of processes: put the address into a file for \
                     --database-file, or into the environment variable DESKGATE_DATABASE",
                ));
            }
            (Some(address), _) => Some(address.clone()),
            (None, Some(file)) => Some(read_private(file).map_err(Failure::new)?),
            (None, None) => std::env::var(VARIABLE).ok(),
        };
        match address {
            Some(address) => address.trim().parse().map_err(Failure::new),
            None => Ok(Database::Sqlite(data.join("control.sqlite"))),
        }
    }
}
