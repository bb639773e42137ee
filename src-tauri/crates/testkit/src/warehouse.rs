//! The connector to the warehouse: npm `@bytebase/dbhub`.

use crate::PeerFault;
use crate::place::{node, npm_file, text};

/// The command of `dbhub` over stdio. It reads the address and the secret from the variable `DSN`
/// ([`Postgres::dsn`](crate::Postgres::dsn)). Its tool `execute_sql` takes several statements at once.
///
/// # Errors
/// If it is not installed.
pub fn dbhub() -> Result<Vec<String>, PeerFault> {
    let script = npm_file("@bytebase/dbhub/dist/index.js")?;
    Ok(vec![text(&node()?), text(&script), "--transport".to_owned(), "stdio".to_owned()])
}
