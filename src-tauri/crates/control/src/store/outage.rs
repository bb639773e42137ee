//! What a database says when it is away, or has no room: nothing was done then, and it passes.

use model::{Advice, ForPerson};

use super::StoreFault;

/// Errors of SQLite that pass: busy, locked, read-only, input or output, full, cannot be opened
/// (<https://www.sqlite.org/rescode.html>).
const SQLITE: [u32; 6] = [5, 6, 8, 10, 13, 14];
/// Classes and codes of PostgreSQL that pass: connections, resources, the operator's intervention, the system, a standby
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
const POSTGRES: [&str; 5] = ["08", "53", "57P", "58", "25006"];

impl StoreFault {
    /// Whether the database is away or cannot write for now, which is no fault of what was asked.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(fault)) => fault.code().is_some_and(|code| passes(&code)),
            Self::Sql(
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            )
            | Self::Log(_) => true,
            Self::Sql(_)
            | Self::Database(_)
            | Self::Migrate(_)
            | Self::HalfRestored
            | Self::Overtaken
            | Self::StillRead
            | Self::Unreadable { .. } => false,
        }
    }
}

/// PostgreSQL's codes have five letters; SQLite's are numbers, whose lowest byte is the kind.
fn passes(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => SQLITE.contains(&(number & 0xff)),
        Ok(_) | Err(_) => POSTGRES.iter().any(|class| code.starts_with(class)),
    }
}

impl ForPerson for StoreFault {
    fn advice(&self) -> Advice {
        if self.is_outage() {
            return Advice::new(
                "server-database",
                "The organisation's server cannot use its database just now.",
                "What was asked for was not done.",
                "Deskgate tries again by itself. Tell your IT department if it stays so.",
            );
        }
        if matches!(self, Self::StillRead) {
            return Advice::new(
                "erased-still-read",
                "It is erased from the stored records, but somebody else reads the database meanwhile.",
                "The database's log of changes still has it, and the server's own journal was not looked through.",
                "Erase the same once more in a while.",
            );
        }
        Advice::new(
            "server-fault",
            "The organisation's server failed.",
            "What was asked for was not done.",
            "Try again later.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_is_wrong() {
        for code in ["13", "5", "266", "778", "53100", "57P01", "08006", "25006"] {
            assert!(passes(code), "{code}");
        }
        for code in ["1", "19", "2067", "23505", "42P01", "40001"] {
            assert!(!passes(code), "{code}");
        }
        assert!(StoreFault::Sql(sqlx::Error::PoolTimedOut).is_outage());
        assert!(!StoreFault::Sql(sqlx::Error::RowNotFound).is_outage());
    }
}
