//! Calls that count towards limits: looked at and counted in one transaction, alone of all control planes.

use std::time::Duration;

use model::Timestamp;
use org_protocol::Period;
use policy::{Again, Count, Over};

use super::{Store, StoreFault, Writing, signed, unsigned};

/// How long calls are kept that were counted: as long as the longest stretch of time in which they are, and a while for clocks that
/// differ.
const KEPT: Duration = Duration::from_secs(2 * 3600);

impl Store {
    /// Counts a call, on disk, unless it is one too many: then nothing is counted.
    ///
    /// # Errors
    /// A [`StoreFault`]: it is not known whether it was counted.
    pub(crate) async fn count_call(
        &self,
        counts: &[Count],
        now: Timestamp,
    ) -> Result<Option<Over>, StoreFault> {
        let mut writing = self.write().await?;
        let mut mended = false;
        for count in counts {
            let again = match count.allowance().period().window() {
                Some(length) => {
                    mended |= writing.bring_back(count, now).await?;
                    writing.wait(count, length, now).await?
                }
                None => writing.next_period(count, now).await?,
            };
            let Some(again) = again else { continue };
            if mended {
                writing.commit().await?;
            }
            return Ok(Some(count.reached(again)));
        }
        for count in counts {
            match count.allowance().period().window() {
                Some(length) => writing.add(count, length, now).await?,
                None => writing.add_to_quota(count, now).await?,
            }
        }
        writing.commit().await?;
        Ok(None)
    }

    /// Forgets calls that count no more.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn forget_counted(&self, now: Timestamp) -> Result<(), StoreFault> {
        let before = now.micros().saturating_sub(micros(KEPT));
        sqlx::query("DELETE FROM counted_calls WHERE at < $1").bind(before).execute(&self.quick).await?;
        Ok(())
    }
}

impl Writing {
    /// A clock that was ahead counted calls at times that are yet to come: they count as made now, so that a clock which is set back
    /// gives nobody more calls, nor keeps anybody from making them for longer than is meant.
    async fn bring_back(&mut self, count: &Count, now: Timestamp) -> Result<bool, StoreFault> {
        let rows = sqlx::query("UPDATE counted_calls SET at = $2 WHERE counter = $1 AND at > $2")
            .bind(count.key())
            .bind(now.micros())
            .execute(&mut **self)
            .await?;
        Ok(rows.rows_affected() > 0)
    }

    /// How long until one more may be made; nothing where it may be now.
    async fn wait(
        &mut self,
        count: &Count,
        length: Duration,
        now: Timestamp,
    ) -> Result<Option<Again>, StoreFault> {
        // The latest calls, as many as may be: the first of them has to be past.
        let at: Option<i64> = sqlx::query_scalar(
            "SELECT at FROM counted_calls WHERE counter = $1 AND at > $2 ORDER BY at DESC LIMIT 1 OFFSET $3",
        )
        .bind(count.key())
        .bind(now.micros().saturating_sub(micros(length)))
        .bind(i64::from(count.allowance().calls()) - 1)
        .fetch_optional(&mut **self)
        .await?;
        Ok(at.map(|at| Again::In(Timestamp::from_micros(at).plus(length).since(now))))
    }

    async fn add(&mut self, count: &Count, length: Duration, now: Timestamp) -> Result<(), StoreFault> {
        sqlx::query("DELETE FROM counted_calls WHERE counter = $1 AND at <= $2")
            .bind(count.key())
            .bind(now.micros().saturating_sub(micros(length)))
            .execute(&mut **self)
            .await?;
        sqlx::query("INSERT INTO counted_calls (counter, at) VALUES ($1, $2)")
            .bind(count.key())
            .bind(now.micros())
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    /// The day or month of a counter, and how many calls were made in it. It never goes back to an earlier one.
    async fn quota(&mut self, count: &Count, now: Timestamp) -> Result<(Timestamp, u64), StoreFault> {
        let begin = count.allowance().period().begin(now);
        let kept: Option<(i64, i64)> =
            sqlx::query_as("SELECT begins, calls FROM call_quotas WHERE counter = $1")
                .bind(count.key())
                .fetch_optional(&mut **self)
                .await?;
        let kept = kept.map(|(begins, calls)| (Timestamp::from_micros(begins), unsigned(calls)));
        Ok(kept.filter(|(begins, _)| *begins >= begin).unwrap_or((begin, 0)))
    }

    async fn next_period(&mut self, count: &Count, now: Timestamp) -> Result<Option<Again>, StoreFault> {
        let (begin, calls) = self.quota(count, now).await?;
        let period: Period = count.allowance().period();
        let is_reached = calls >= u64::from(count.allowance().calls());
        Ok(is_reached.then(|| Again::At(period.end(begin))))
    }

    async fn add_to_quota(&mut self, count: &Count, now: Timestamp) -> Result<(), StoreFault> {
        let (begin, calls) = self.quota(count, now).await?;
        sqlx::query(
            "INSERT INTO call_quotas (counter, begins, calls) VALUES ($1, $2, $3)
             ON CONFLICT (counter) DO UPDATE SET begins = excluded.begins, calls = excluded.calls",
        )
        .bind(count.key())
        .bind(begin.micros())
        .bind(signed(calls.saturating_add(1)))
        .execute(&mut **self)
        .await?;
        Ok(())
    }
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}
