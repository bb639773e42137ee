//! What an export of a time holds: of each chain the records from the last before that time to the first after it.

use model::Timestamp;
use org_protocol::{AsidePlace, ExportedChain};

use super::super::{Store, StoreFault, parsed, unsigned};
use super::read_head;

/// A chain's device and epoch; its first record not before a time, its last before another, its last of all.
type ChainRow = (String, i64, Option<i64>, Option<i64>, i64);

/// Records that follow each other without a gap: the first and the last.
type Run = (i64, i64);

impl Store {
    /// The part of each chain that shows what it has of a time. Where the organisation has lost records, there are several.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn chain_parts(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<ExportedChain>, StoreFault> {
        let rows: Vec<ChainRow> = sqlx::query_as(
            "SELECT device, epoch, min(CASE WHEN at >= $1 THEN seq END), max(CASE WHEN at < $2 THEN seq END), max(seq)
             FROM records GROUP BY device, epoch ORDER BY device, epoch",
        )
        .bind(since.micros())
        .bind(until.micros())
        .fetch_all(&self.readers)
        .await?;
        let mut parts = Vec::new();
        for (device, epoch, within, before_end, end) in rows {
            for (first, last, run) in around(&self.runs(&device, epoch).await?, within, before_end, end) {
                let digest = self.digest(&device, epoch, last).await?;
                parts.push(ExportedChain {
                    device: parsed("device", &device)?,
                    first: unsigned(first),
                    last: read_head(epoch, last, &digest)?,
                    ends: last == run.1,
                    after_loss: first == run.0 && first > 1,
                });
            }
        }
        Ok(parts)
    }

    /// The places of all records that were set aside.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn places_set_aside(&self) -> Result<Vec<AsidePlace>, StoreFault> {
        let rows: Vec<(String, i64, i64, String, i64)> = sqlx::query_as(
            "SELECT device, epoch, seq, digest, at FROM records WHERE kind = 'set-aside' ORDER BY device, epoch, seq",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|(device, epoch, seq, digest, at)| {
                let (device, place) = (parsed("device", &device)?, read_head(epoch, seq, &digest)?);
                Ok(AsidePlace { device, place, at: Timestamp::from_micros(at) })
            })
            .collect()
    }

    /// The runs of an epoch, in their order.
    async fn runs(&self, device: &str, epoch: i64) -> Result<Vec<Run>, StoreFault> {
        let edges = |beside: &str| {
            format!(
                "SELECT seq FROM records AS one WHERE device = $1 AND epoch = $2 AND NOT EXISTS
                     (SELECT 1 FROM records AS other WHERE other.device = one.device AND other.epoch = one.epoch
                                                       AND other.seq = one.seq {beside} 1)
                 ORDER BY seq"
            )
        };
        let of = async |statement: String| -> Result<Vec<i64>, StoreFault> {
            let edges = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).bind(device).bind(epoch);
            Ok(edges.fetch_all(&self.readers).await?)
        };
        let (firsts, lasts) = (of(edges("-")).await?, of(edges("+")).await?);
        Ok(firsts.into_iter().zip(lasts).collect())
    }

    async fn digest(&self, device: &str, epoch: i64, seq: i64) -> Result<String, StoreFault> {
        let digest =
            sqlx::query_scalar("SELECT digest FROM records WHERE device = $1 AND epoch = $2 AND seq = $3");
        Ok(digest.bind(device).bind(epoch).bind(seq).fetch_one(&self.readers).await?)
    }
}

/// What is exported of runs, with the run: from the record before the first within to the one after the last.
fn around(
    runs: &[Run],
    within: Option<i64>,
    before_end: Option<i64>,
    end: i64,
) -> impl Iterator<Item = (i64, i64, Run)> {
    let begin = runs.first().map_or(1, |run| run.0);
    let (from, to) = match (within, before_end) {
        (Some(within), Some(before_end)) => (within.saturating_sub(1), before_end.saturating_add(1)),
        // All of it is before the time, or after it.
        (None, _) => (end, end),
        (_, None) => (begin, begin),
    };
    // Nothing of the chain may lie within, and then the two are the other way round.
    let (from, to) = (from.min(to), to.max(from));
    runs.iter().filter_map(move |run| {
        let (first, last) = (run.0.max(from), run.1.min(to));
        (first <= last).then_some((first, last, *run))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(runs: &[Run], within: Option<i64>, before_end: Option<i64>) -> Vec<(i64, i64)> {
        let end = runs.last().map_or(0, |run| run.1);
        around(runs, within, before_end, end).map(|(first, last, _)| (first, last)).collect()
    }

    #[test]
    fn a_part_reaches_to_the_records_around_the_time() {
        assert_eq!(parts(&[(1, 9)], Some(3), Some(6)), [(2, 7)]);
        assert_eq!(parts(&[(1, 9)], Some(1), Some(9)), [(1, 9)]);
        assert_eq!(parts(&[(1, 9)], None, Some(9)), [(9, 9)], "all before");
        assert_eq!(parts(&[(1, 9)], Some(1), None), [(1, 1)], "all after");
        assert_eq!(parts(&[(1, 9)], Some(5), Some(4)), [(4, 5)], "none within");
    }

    #[test]
    fn what_was_lost_makes_several() {
        assert_eq!(parts(&[(1, 3), (6, 9)], Some(2), Some(8)), [(1, 3), (6, 9)]);
        assert_eq!(parts(&[(1, 3), (6, 9)], Some(6), Some(9)), [(6, 9)]);
        assert_eq!(parts(&[(1, 3), (6, 9)], Some(1), Some(3)), [(1, 3)]);
        assert_eq!(parts(&[(4, 9)], Some(4), Some(9)), [(4, 9)]);
    }
}
