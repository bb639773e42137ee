//! Two computers that hold one device's key.
//!
//! A device shows a secret with each session that it opens, and is given the next one. The last that was given and the last
//! that was shown are both good: an answer may be lost on its way, or the device may end before it has kept it. Where the same was shown
//! again, the one that was given in between is good as well: it may be the one that arrived, when requests overlap. Whoever shows
//! anything else is not the one who was given the last, and holds the key all the same.

use model::{DeviceId, Digest, Timestamp};
use org_protocol::EventKind;

use super::{Store, StoreFault};

/// Whether a device is the only one that holds its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// As far as can be told; the next secret is to be given to it.
    Alone,
    /// No: the device is suspended from now on, or was.
    OneOfTwo,
}

impl Store {
    /// Follows a device's secret: `shown` is what it shows, `next` what it will be given. One that has shown a secret once has to
    /// show one from then on.
    ///
    /// # Errors
    /// A [`StoreFault`]; nothing has changed then.
    pub(crate) async fn follow_device(
        &self,
        id: DeviceId,
        shown: Option<Digest>,
        next: Digest,
        now: Timestamp,
    ) -> Result<Holder, StoreFault> {
        type Row = (Option<String>, Option<String>, Option<String>, Option<i64>);
        let mut transaction = self.write().await?;
        let (given, before, also, suspended): Row = sqlx::query_as(
            "SELECT secret_given, secret_shown, secret_also, suspended_at FROM devices WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_one(&mut *transaction)
        .await?;
        let shown = shown.map(|digest| digest.to_string());
        let follows = match &shown {
            None => before.is_none(),
            // After a device was let go on, or an older version used it, any beginning is good.
            Some(_) if given.is_none() => true,
            Some(_) => shown == given || shown == before || shown == also,
        };
        if suspended.is_some() || !follows {
            if suspended.is_none() {
                suspend(&mut transaction, id, now).await?;
                transaction.commit().await?;
                self.changed();
            }
            return Ok(Holder::OneOfTwo);
        }
        let also = if shown == before { given } else { None };
        sqlx::query(
            "UPDATE devices SET secret_shown = $1, secret_given = $2, secret_also = $3 WHERE id = $4",
        )
        .bind(&shown)
        .bind(next.to_string())
        .bind(also)
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Holder::Alone)
    }

    /// Lets a suspended device go on: whoever opens a session first is the one from then on. `false` where there is no such device.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn resume_device(&self, id: DeviceId) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        let found = sqlx::query(
            "UPDATE devices SET suspended_at = NULL, secret_given = NULL, secret_shown = NULL, secret_also = NULL
             WHERE id = $1",
        )
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await?;
        // What either of the two had open is not taken up again.
        sqlx::query("UPDATE sessions SET revoked_at = coalesce(revoked_at, expires_at) WHERE device = $1")
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(found.rows_affected() > 0)
    }
}

async fn suspend(
    connection: &mut sqlx::AnyConnection,
    id: DeviceId,
    now: Timestamp,
) -> Result<(), StoreFault> {
    for end in [
        "UPDATE devices SET suspended_at = $1 WHERE id = $2",
        "UPDATE sessions SET revoked_at = $1 WHERE device = $2 AND revoked_at IS NULL",
    ] {
        sqlx::query(end).bind(now.micros()).bind(id.to_string()).execute(&mut *connection).await?;
    }
    sqlx::query("INSERT INTO events (at, device, what) VALUES ($1, $2, $3)")
        .bind(now.micros())
        .bind(id.to_string())
        .bind(serde_json::to_string(&EventKind::DeviceSuspended).unwrap_or_default())
        .execute(&mut *connection)
        .await?;
    Ok(())
}
