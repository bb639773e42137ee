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
            let (mut after, mut connection) = (0, self.readers.acquire().await?);
            while let Some((last, records)) = page(&mut connection, after, None).await? {
                after = last;
                records.iter().for_each(|(_, record)| erasure.learn(record));
            }
        }
        let (mut after, mut all) = (0, Erased::default());
        loop {
            // What is read is what is replaced: nobody else writes meanwhile, so nothing comes back that another erasure took.
            let mut transaction = self.write().await?;
            let Some((last, records)) = page(&mut transaction, after, erasure.before()).await? else { break };
            after = last;
            for (id, record) in &records {
                let Some((record, fields)) = erasure.apply(record).map_err(unreadable)? else { continue };
                all.records += 1;
                all.fields += fields;
                replace(&mut transaction, *id, &record).await?;
            }
            transaction.commit().await?;
        }
        self.database.forget_overwritten(&self.writer).await?;
        Ok(all)
    }
}

/// The last place of the next lines, and those of them that are records.
async fn page(
    connection: &mut AnyConnection,
    after: i64,
    before: Option<Timestamp>,
) -> Result<Option<(i64, Vec<(i64, AuditRecord)>)>, StoreFault> {
    let rows: Vec<(i64, String)> =
        sqlx::query_as("SELECT id, line FROM records WHERE id > $1 AND at < $2 ORDER BY id LIMIT $3")
            .bind(after)
            .bind(before.map_or(i64::MAX, Timestamp::micros))
            .bind(PAGE)
            .fetch_all(connection)
            .await?;
    let Some((last, _)) = rows.last() else { return Ok(None) };
    let last = *last;
    let records = rows.iter().filter_map(|(id, line)| Some((*id, AuditRecord::parse(line).ok()?)));
    Ok(Some((last, records.collect())))
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

#[cfg(test)]
mod tests {
    use model::{DeviceId, Subject};
    use org_protocol::{AuditEvent, EventRecord, Head, PreparedBody};

    use super::super::super::Database;
    use super::super::super::tests::opened;
    use super::*;

    #[tokio::test]
    async fn no_file_of_the_database_has_what_was_erased() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = opened(&Database::Sqlite(dir.path().join("control.sqlite"))).await;
        let (device, mut head, now) =
            (DeviceId::new(), Head::before(1), Timestamp::from_seconds(1_800_000_000));
        let records: Vec<AuditRecord> = std::iter::repeat_with(|| {
            let event = EventRecord::new(AuditEvent::SignedIn).of(Subject::local("alice-of-accounting"));
            let body = PreparedBody::event(&event).expect("JSON");
            let mut line = String::new();
            head = AuditRecord::seal_into(&mut line, device, &head, now, 1, &body).expect("seals");
            AuditRecord::parse(line.trim_end()).expect("reads")
        })
        .take(50)
        .collect();
        store.append_records(device, &records, now).await.expect("stores");
        let files_with_her = || {
            let files = std::fs::read_dir(dir.path()).expect("lists").map(|file| file.expect("lists").path());
            let has = |path: &std::path::PathBuf| {
                let name = b"alice-of-accounting";
                std::fs::read(path).expect("reads").windows(name.len()).any(|bytes| bytes == name)
            };
            files.filter(has).count()
        };
        assert!(files_with_her() > 0);
        let person = Erasure::of(Some("alice-of-accounting".to_owned()), None).expect("a person");
        assert_eq!(store.erase_records(person).await.expect("erases").records, 50);
        assert_eq!(files_with_her(), 0);
    }
}
