//! How much there is of what, for whoever watches the server.

use model::Timestamp;

use super::{Store, StoreFault};

impl Store {
    /// How much there is of each kind.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn counts(&self, now: Timestamp) -> Result<Vec<(&'static str, i64)>, StoreFault> {
        let (devices, suspended, sessions, leases, halts, last, relayed): (
            i64,
            i64,
            i64,
            i64,
            i64,
            i64,
            i64,
        ) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM devices WHERE revoked_at IS NULL),
                        (SELECT count(*) FROM devices WHERE revoked_at IS NULL AND suspended_at IS NOT NULL),
                        (SELECT count(*) FROM sessions WHERE revoked_at IS NULL AND expires_at > $1),
                        (SELECT count(*) FROM leases WHERE ended_at IS NULL AND expires_at > $1),
                        (SELECT count(*) FROM halts WHERE lifted_at IS NULL),
                        (SELECT coalesce(max(id), 0) FROM records),
                        (SELECT coalesce(min(last_id), 0) FROM relays)",
        )
        .bind(now.micros())
        .fetch_one(&self.readers)
        .await?;
        Ok(vec![
            ("devices", devices),
            ("devices_suspended", suspended),
            ("sessions", sessions),
            ("leases", leases),
            ("halts", halts),
            ("records", last),
            ("records_passed_on", relayed),
        ])
    }
}
