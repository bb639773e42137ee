//! Two computers that hold one device's key.
//!
//! A device shows a secret with each session that it opens, and is given the next one. The last that was given and the last
//! that was shown are both good: an answer may be lost on its way, or the device may end before it has kept it. Where the same was shown
//! again, the one that was given in between is good as well: it may be the one that arrived, when requests overlap. Whoever shows
//! anything else is not the one who was given the last, and holds the key all the same.
//!
//! A database that was restored from a backup knows of none that was given since. It takes a secret that was really given, and later than all
//! that it knows of: an older copy of the device has none. From the first that a device is given in the new epoch, it is as before.

use model::{DeviceId, Digest, Timestamp};
use org_protocol::EventKind;

use sqlx::AnyConnection;

use super::{Revocation, Store, StoreFault, signed, unsigned};
use crate::device_secret::Place;

/// Whether a device is the only one that holds its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// As far as can be told; this is the next secret, to be given to it.
    Alone(String),
    /// No: the device is suspended from now on, or was.
    OneOfTwo,
}

/// A secret that a device shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Its digest.
    pub digest: Digest,
    /// Which of the device's it is, where it was really given.
    pub place: Option<Place>,
}

/// What is known of a device's secrets.
struct Known {
    given: Option<String>,
    shown: Option<String>,
    also: Option<String>,
    last: Place,
    is_suspended: bool,
}

impl Known {
    async fn read(connection: &mut AnyConnection, id: DeviceId) -> Result<Self, StoreFault> {
        type Row = (Option<String>, Option<String>, Option<String>, Option<i64>, i64, i64);
        let (given, shown, also, suspended, epoch, count): Row = sqlx::query_as(
            "SELECT secret_given, secret_shown, secret_also, suspended_at, secret_epoch, secret_count
             FROM devices WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_one(connection)
        .await?;
        let last = Place { epoch: unsigned(epoch), count: unsigned(count) };
        Ok(Self { given, shown, also, last, is_suspended: suspended.is_some() })
    }

    /// Whether who shows this is the one who was given the last.
    fn is_followed_by(&self, shown: Option<&Shown>, epoch: u64) -> bool {
        let Some(Shown { digest, place }) = shown else { return self.shown.is_none() };
        let digest = Some(digest.to_string());
        // After a device was let go on, or an older version used it, any beginning is good.
        if self.given.is_none() || digest == self.given || digest == self.shown || digest == self.also {
            return true;
        }
        let is_of_before = |place: Place| place.epoch < epoch && place > self.last;
        self.last.epoch < epoch && place.is_some_and(is_of_before)
    }
}

impl Store {
    /// Follows a device's secret: `shown` is what it shows, `secret` makes what it will be given. One that has shown a secret once has to
    /// show one from then on.
    ///
    /// # Errors
    /// A [`StoreFault`]; nothing has changed then.
    pub(crate) async fn follow_device(
        &self,
        id: DeviceId,
        shown: Option<Shown>,
        secret: impl Fn(Place) -> String + Send,
        now: Timestamp,
    ) -> Result<Holder, StoreFault> {
        let mut transaction = self.write().await?;
        let known = Known::read(&mut transaction, id).await?;
        let epoch = self.epoch.number;
        if known.is_suspended || !known.is_followed_by(shown.as_ref(), epoch) {
            if !known.is_suspended {
                suspend(&mut transaction, id, now).await?;
                self.note(now, vec![Revocation::DeviceSuspended { device: id }]).await?;
                transaction.commit().await?;
                self.changed();
            }
            return Ok(Holder::OneOfTwo);
        }
        let shown = shown.map(|shown| shown.digest.to_string());
        let also = if shown == known.shown { known.given } else { None };
        let count = if known.last.epoch == epoch { known.last.count.saturating_add(1) } else { 1 };
        let next = secret(Place { epoch, count });
        sqlx::query(
            "UPDATE devices SET secret_shown = $1, secret_given = $2, secret_also = $3, secret_epoch = $4, secret_count = $5
             WHERE id = $6",
        )
        .bind(&shown)
        .bind(Digest::of(next.as_bytes()).to_string())
        .bind(also)
        .bind(signed(epoch))
        .bind(signed(count))
        .bind(id.to_string())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Holder::Alone(next))
    }

    /// Lets a suspended device go on: whoever opens a session first is the one from then on. `false` where there is no such device.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn resume_device(&self, id: DeviceId, now: Timestamp) -> Result<bool, StoreFault> {
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
        self.note(now, vec![Revocation::DeviceResumed { device: id }]).await?;
        transaction.commit().await?;
        Ok(found.rows_affected() > 0)
    }
}

async fn suspend(connection: &mut AnyConnection, id: DeviceId, now: Timestamp) -> Result<(), StoreFault> {
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
