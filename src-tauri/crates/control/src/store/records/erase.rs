//! Taking personal data out of stored records. Each line keeps its digest; what can be asked for is read anew from what is left.

use audit::Erased;
use model::Timestamp;
use org_protocol::{AuditRecord, Erasure};
use sqlx::AnyConnection;

use super::super::{Store, StoreFault};
use super::query::Facts;

/// How many lines are read at once.
const PAGE: i64 = 1000;

impl Store {
    /// Erases from all records that are stored. What has come to an end half way is done by asking once more.
    ///
    /// # Errors
    /// A [`StoreFault`]; some of it may have been erased then.
    pub(crate) async fn erase_records(&self, mut erasure: Erasure) -> Result<Erased, StoreFault> {
        if erasure.person().is_some() {
            let mut after = 0;
            while let Some((last, records)) = self.page(after, None).await? {
                after = last;
                records.iter().for_each(|(_, record)| erasure.learn(record));
            }
        }
        let (mut after, mut all) = (0, Erased::default());
        while let Some((last, records)) = self.page(after, erasure.before()).await? {
            after = last;
            let mut transaction = self.write().await?;
            for (id, record) in &records {
                let Some((record, fields)) = erasure.apply(record).map_err(unreadable)? else { continue };
                all.records += 1;
                all.fields += fields;
                replace(&mut transaction, *id, &record).await?;
            }
            transaction.commit().await?;
        }
        Ok(all)
    }

    /// The last place of the next lines, and those of them that are records.
    async fn page(
        &self,
        after: i64,
        before: Option<Timestamp>,
    ) -> Result<Option<(i64, Vec<(i64, AuditRecord)>)>, StoreFault> {
        let rows: Vec<(i64, String)> =
            sqlx::query_as("SELECT id, line FROM records WHERE id > $1 AND at < $2 ORDER BY id LIMIT $3")
                .bind(after)
                .bind(before.map_or(i64::MAX, Timestamp::micros))
                .bind(PAGE)
                .fetch_all(&self.readers)
                .await?;
        let Some((last, _)) = rows.last() else { return Ok(None) };
        let last = *last;
        let records = rows.iter().filter_map(|(id, line)| Some((*id, AuditRecord::parse(line).ok()?)));
        Ok(Some((last, records.collect())))
    }
}

async fn replace(connection: &mut AnyConnection, id: i64, record: &AuditRecord) -> Result<(), StoreFault> {
    let facts = Facts::of(record.body());
    sqlx::query("UPDATE records SET line = $1, subject = $2, about = $3 WHERE id = $4")
        .bind(record.line())
        .bind(facts.subject)
        .bind(facts.about)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

fn unreadable(fault: org_protocol::LineFault) -> StoreFault {
    StoreFault::Unreadable { what: "record", reason: fault.to_string() }
}
