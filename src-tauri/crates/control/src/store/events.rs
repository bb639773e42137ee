//! What desktops are told, in order.

use model::{DeviceId, Digest, Timestamp};
use org_protocol::Event;

use super::{Store, StoreFault, from_json, signed, unsigned};

impl Store {
    /// Up to `limit` events after `seq`, as far as `last`, that concern the device and, where they concern one session, this one;
    /// oldest first.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn events_between(
        &self,
        seq: u64,
        last: u64,
        device: DeviceId,
        session: Digest,
        limit: u32,
    ) -> Result<Vec<Event>, StoreFault> {
        let rows: Vec<(i64, i64, String)> = sqlx::query_as(
            "SELECT seq, at, what FROM events
             WHERE seq > $1 AND (device IS NULL OR device = $2) AND (session IS NULL OR session = $3) AND seq <= $5
             ORDER BY seq LIMIT $4",
        )
        .bind(signed(seq))
        .bind(device.to_string())
        .bind(session.to_string())
        .bind(i64::from(limit))
        .bind(signed(last))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|(seq, at, what)| {
                Ok(Event {
                    seq: unsigned(seq),
                    at: Timestamp::from_micros(at),
                    what: from_json("event", &what)?,
                })
            })
            .collect()
    }

    /// The number of the last event, 0 before the first.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn last_event(&self) -> Result<u64, StoreFault> {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT max(seq) FROM events").fetch_one(&self.readers).await?;
        Ok(last.map_or(0, unsigned))
    }
}
