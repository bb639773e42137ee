//! The lives of the database. A new one begins when a backup is restored.

use model::Timestamp;
use sqlx::{AnyConnection, AnyPool};

use super::{StoreFault, signed, unsigned};

/// The life that the database is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// 0 before anything was ever restored; later ones are greater.
    pub number: u64,
    /// When it began: what was signed before is not good in it.
    pub began: Timestamp,
    /// Epoch and version of the newest manifest that was published before it began: nothing older comes into force.
    pub manifest: (u64, u64),
}

impl Epoch {
    pub(super) async fn read(pool: &AnyPool) -> Result<Self, StoreFault> {
        let row: Option<(i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT number, began_at, manifest_epoch, manifest_version FROM epochs ORDER BY number DESC LIMIT 1",
        )
        .fetch_optional(pool)
        .await?;
        let (number, began, epoch, version) = row.unwrap_or_default();
        Ok(Self {
            number: unsigned(number),
            began: Timestamp::from_micros(began),
            manifest: (unsigned(epoch), unsigned(version)),
        })
    }

    /// Begins another, later than any that this or another copy of the database was in.
    pub(super) async fn begin(
        connection: &mut AnyConnection,
        manifest: (u64, u64),
        now: Timestamp,
    ) -> Result<u64, StoreFault> {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT max(number) FROM epochs").fetch_one(&mut *connection).await?;
        let number = last.unwrap_or(0).saturating_add(1).max(now.seconds());
        sqlx::query(
            "INSERT INTO epochs (number, began_at, manifest_epoch, manifest_version) VALUES ($1, $2, $3, $4)",
        )
        .bind(number)
        .bind(now.micros())
        .bind(signed(manifest.0))
        .bind(signed(manifest.1))
        .execute(connection)
        .await?;
        Ok(unsigned(number))
    }
}
