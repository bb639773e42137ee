//! Audit records as they were written, and how far they are stored and passed on.

mod erase;
mod parts;
mod query;

use std::borrow::Cow;

use model::{DeviceId, Digest, Timestamp};
use org_protocol::{AuditRecord, ChainFault, ChainLink, Delivered, Head};
use sqlx::AnyConnection;

use super::{Store, StoreFault, parsed, signed, unsigned};
use query::Facts;
pub use query::{DeniedBy, Filter, Sieve};

/// How far a device's chain is stored, and whose epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ChainEnd {
    /// The device.
    pub device: DeviceId,
    /// The last stored record.
    pub head: Head,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Appended {
    /// All of it is stored; some of it may have been before.
    Stored(Head),
    /// It does not continue what is stored; nothing of it was added.
    Refused {
        /// Why.
        fault: ChainFault,
        /// The last stored record.
        stored: Option<Head>,
    },
}

/// A stored line with its place in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredLine {
    /// Its place.
    pub id: i64,
    /// When the control plane got it.
    pub received_at: Timestamp,
    /// The record's line.
    pub line: String,
}

impl Store {
    /// As [`Store::append`], for records alone.
    ///
    /// # Errors
    /// A [`StoreFault`]; nothing is then stored.
    pub(crate) async fn append_records(
        &self,
        device: DeviceId,
        records: &[AuditRecord],
        now: Timestamp,
    ) -> Result<Appended, StoreFault> {
        let lines: Vec<_> = records.iter().cloned().map(Delivered::Record).collect();
        self.append(device, &lines, now).await
    }

    /// Stores what a device delivered, if it continues its chain; what is stored already is passed over. On disk when this
    /// returns.
    ///
    /// # Errors
    /// A [`StoreFault`]; nothing is then stored.
    pub(crate) async fn append(
        &self,
        device: DeviceId,
        lines: &[Delivered],
        now: Timestamp,
    ) -> Result<Appended, StoreFault> {
        let mut transaction = self.write().await?;
        let stored = stored_head(&mut transaction, device).await?;
        let mut head = stored;
        let mut promised: Option<Head> = None;
        let mut is_by_record = stored.is_some();
        for line in lines {
            let Some(link) = link(line) else {
                if let Delivered::Resumed(resumed) = line {
                    let end = resumed.end;
                    // Only where the server really knows less. What lies between is missing, and a check says so.
                    if head.is_none_or(|head| (head.epoch, head.seq) < (end.epoch, end.seq)) {
                        head = Some(end);
                        is_by_record = false;
                        promised = resumed.receipt.unverified().ok().map(|receipt| receipt.head());
                    }
                }
                continue;
            };
            let link = &*link;
            // What was signed for once is not another record now.
            if promised.is_some_and(|promised| is_other_than(link, promised)) {
                let (epoch, seq) = (link.epoch, link.seq);
                return Ok(Appended::Refused { fault: ChainFault::Fork { epoch, seq }, stored });
            }
            let before = head.unwrap_or(Head::before(link.epoch));
            match before.followed_by(link) {
                Ok(next) => {
                    insert(&mut transaction, line, link, now).await?;
                    head = Some(next);
                    is_by_record = true;
                }
                Err(ChainFault::Known { .. }) if is_stored(&mut transaction, link).await? => {}
                Err(ChainFault::Known { epoch, seq }) => {
                    return Ok(Appended::Refused { fault: ChainFault::Fork { epoch, seq }, stored });
                }
                Err(fault @ (ChainFault::Gap { .. } | ChainFault::Fork { .. })) => {
                    return Ok(Appended::Refused { fault, stored });
                }
            }
        }
        // Nothing is signed for that no record here stands for.
        let Some(head) = head.filter(|_| is_by_record) else {
            return Ok(Appended::Refused {
                fault: ChainFault::Gap { epoch: 0, expected: 1, found: 0 },
                stored,
            });
        };
        if Some(head) != stored {
            set_head(&mut transaction, device, head, now).await?;
        }
        transaction.commit().await?;
        self.changed();
        Ok(Appended::Stored(head))
    }

    /// How far a device's chain is stored.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn head(&self, device: DeviceId) -> Result<Option<Head>, StoreFault> {
        let mut connection = self.readers.acquire().await?;
        stored_head(&mut connection, device).await
    }

    /// How far every chain is stored.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn heads(&self) -> Result<Vec<ChainEnd>, StoreFault> {
        let rows: Vec<(String, i64, i64, String)> =
            sqlx::query_as("SELECT device, epoch, seq, digest FROM heads ORDER BY device")
                .fetch_all(&self.readers)
                .await?;
        rows.into_iter()
            .map(|(device, epoch, seq, digest)| {
                Ok(ChainEnd { device: parsed("device id", &device)?, head: read_head(epoch, seq, &digest)? })
            })
            .collect()
    }

    /// The epochs of a device that are stored, in order.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn epochs(&self, device: DeviceId) -> Result<Vec<u64>, StoreFault> {
        let epochs: Vec<i64> =
            sqlx::query_scalar("SELECT DISTINCT epoch FROM records WHERE device = $1 ORDER BY epoch")
                .bind(device.to_string())
                .fetch_all(&self.readers)
                .await?;
        Ok(epochs.into_iter().map(unsigned).collect())
    }

    /// Up to `limit` lines of one epoch after `seq`, in the order of their numbers.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn chain_lines(
        &self,
        device: DeviceId,
        epoch: u64,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<(u64, String)>, StoreFault> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT seq, line FROM records WHERE device = $1 AND epoch = $2 AND seq > $3 ORDER BY seq LIMIT $4",
        )
        .bind(device.to_string())
        .bind(signed(epoch))
        .bind(signed(after_seq))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|(seq, line)| (unsigned(seq), line)).collect())
    }

    /// Up to `limit` lines after `id` in the order of arrival.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn lines_after(&self, id: i64, limit: u32) -> Result<Vec<StoredLine>, StoreFault> {
        let rows: Vec<(i64, i64, String)> =
            sqlx::query_as("SELECT id, received_at, line FROM records WHERE id > $1 ORDER BY id LIMIT $2")
                .bind(id)
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await?;
        Ok(rows
            .into_iter()
            .map(|(id, received_at, line)| StoredLine {
                id,
                received_at: Timestamp::from_micros(received_at),
                line,
            })
            .collect())
    }

    /// How far records were passed on to a receiver.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn relayed(&self, receiver: &str) -> Result<i64, StoreFault> {
        let last: Option<i64> = sqlx::query_scalar("SELECT last_id FROM relays WHERE receiver = $1")
            .bind(receiver)
            .fetch_optional(&self.readers)
            .await?;
        Ok(last.unwrap_or(0))
    }

    /// Notes how far records were passed on to a receiver.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn set_relayed(&self, receiver: &str, last_id: i64) -> Result<(), StoreFault> {
        self.run(
            sqlx::query(
                "INSERT INTO relays (receiver, last_id) VALUES ($1, $2)
             ON CONFLICT (receiver) DO UPDATE SET last_id = excluded.last_id",
            )
            .bind(receiver)
            .bind(last_id),
        )
        .await?;
        Ok(())
    }
}

async fn stored_head(connection: &mut AnyConnection, device: DeviceId) -> Result<Option<Head>, StoreFault> {
    let row: Option<(i64, i64, String)> =
        sqlx::query_as("SELECT epoch, seq, digest FROM heads WHERE device = $1")
            .bind(device.to_string())
            .fetch_optional(connection)
            .await?;
    row.map(|(epoch, seq, digest)| read_head(epoch, seq, &digest)).transpose()
}

fn read_head(epoch: i64, seq: i64, digest: &str) -> Result<Head, StoreFault> {
    Ok(Head { epoch: unsigned(epoch), seq: unsigned(seq), digest: parsed("digest", digest)? })
}

async fn set_head(
    connection: &mut AnyConnection,
    device: DeviceId,
    head: Head,
    now: Timestamp,
) -> Result<(), StoreFault> {
    sqlx::query(
        "INSERT INTO heads (device, epoch, seq, digest, received_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (device) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, digest = excluded.digest,
                                            received_at = excluded.received_at",
    )
    .bind(device.to_string())
    .bind(signed(head.epoch))
    .bind(signed(head.seq))
    .bind(head.digest.to_string())
    .bind(now.micros())
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a record has the place of one that is known, and is another.
fn is_other_than(link: &ChainLink, known: Head) -> bool {
    (link.epoch, link.seq) == (known.epoch, known.seq) && link.digest != known.digest
}

/// Where a delivered line stands in the chain; nowhere, where it is none of the chain's.
fn link(line: &Delivered) -> Option<Cow<'_, ChainLink>> {
    match line {
        Delivered::Record(record) => Some(Cow::Borrowed(record.link())),
        Delivered::SetAside(aside) => Some(Cow::Owned(aside.link())),
        Delivered::Resumed(_) => None,
    }
}

async fn is_stored(connection: &mut AnyConnection, link: &ChainLink) -> Result<bool, StoreFault> {
    let digest: Option<String> =
        sqlx::query_scalar("SELECT digest FROM records WHERE device = $1 AND epoch = $2 AND seq = $3")
            .bind(link.device.to_string())
            .bind(signed(link.epoch))
            .bind(signed(link.seq))
            .fetch_optional(connection)
            .await?;
    Ok(digest.is_some_and(|digest| digest == Digest::to_string(&link.digest)))
}

async fn insert(
    connection: &mut AnyConnection,
    delivered: &Delivered,
    link: &ChainLink,
    now: Timestamp,
) -> Result<(), StoreFault> {
    let (facts, line) = match delivered {
        Delivered::Record(record) => (Facts::of(record.body()), Cow::Borrowed(record.line())),
        Delivered::SetAside(aside) => (Facts::default(), Cow::Owned(aside.line().map_err(unwritable)?)),
        Delivered::Resumed(_) => return Ok(()),
    };
    sqlx::query(
        "INSERT INTO records (device, epoch, seq, digest, at, received_at, kind, subject, connector, credential, call, line,
                              about, server, rules, observed)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(link.device.to_string())
    .bind(signed(link.epoch))
    .bind(signed(link.seq))
    .bind(link.digest.to_string())
    .bind(link.at.micros())
    .bind(now.micros())
    .bind(&link.kind)
    .bind(facts.subject)
    .bind(facts.connector)
    .bind(facts.credential)
    .bind(facts.call_id.map(|call| call.to_string()))
    .bind(line.as_ref())
    .bind(facts.about)
    .bind(facts.server)
    .bind(facts.rules)
    .bind(facts.observed)
    .execute(connection)
    .await?;
    Ok(())
}

fn unwritable(fault: serde_json::Error) -> StoreFault {
    StoreFault::Unreadable { what: "place of a record", reason: fault.to_string() }
}

#[cfg(test)]
mod tests {
    use model::Subject;
    use org_protocol::{AuditEvent, EventRecord, HeartbeatRecord, PreparedBody};

    use super::super::tests::on_each;
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    struct Chain {
        device: DeviceId,
        head: Head,
    }

    impl Chain {
        fn new() -> Self {
            Self { device: DeviceId::new(), head: Head::before(1) }
        }

        fn next(&mut self) -> AuditRecord {
            self.write(&PreparedBody::heartbeat(&HeartbeatRecord { open_calls: 0 }).expect("JSON"))
        }

        fn write(&mut self, body: &PreparedBody) -> AuditRecord {
            let mut line = String::new();
            self.head =
                AuditRecord::seal_into(&mut line, self.device, &self.head, NOW, 1, body).expect("seals");
            AuditRecord::parse(line.trim_end()).expect("reads")
        }
    }

    #[tokio::test]
    async fn a_chain_is_stored_once_and_goes_on() {
        on_each(async |store: Store| {
            let mut chain = Chain::new();
            let records = [chain.next(), chain.next(), chain.next()];
            let append = async |records: &[AuditRecord]| {
                store.append_records(chain.device, records, NOW).await.expect("answers")
            };
            assert_eq!(append(&records[..2]).await, Appended::Stored(records[1].link().head()));
            assert_eq!(append(&records).await, Appended::Stored(chain.head), "what is known is passed over");
            assert_eq!(append(&records[..1]).await, Appended::Stored(chain.head), "an old batch again");
            assert_eq!(store.lines_after(0, 10).await.expect("reads").len(), 3);
            assert_eq!(store.head(chain.device).await.expect("reads"), Some(chain.head));
        })
        .await;
    }

    #[tokio::test]
    async fn gaps_and_forks_are_refused_whole() {
        on_each(async |store: Store| {
            let mut chain = Chain::new();
            let records = [chain.next(), chain.next(), chain.next()];
            store.append_records(chain.device, &records[..1], NOW).await.expect("stores");
            let stored = Some(records[0].link().head());
            assert_eq!(
                store.append_records(chain.device, &records[2..], NOW).await.expect("answers"),
                Appended::Refused { fault: ChainFault::Gap { epoch: 1, expected: 2, found: 3 }, stored }
            );

            let mut other = Chain { device: chain.device, head: Head::before(1) };
            let note = EventRecord::new(AuditEvent::Start);
            let forged = [other.write(&PreparedBody::event(&note).expect("JSON")), other.next()];
            assert_eq!(
                store.append_records(chain.device, &forged[..1], NOW).await.expect("answers"),
                Appended::Refused { fault: ChainFault::Fork { epoch: 1, seq: 1 }, stored }
            );
            assert_eq!(
                store.append_records(chain.device, &forged[1..], NOW).await.expect("answers"),
                Appended::Refused { fault: ChainFault::Fork { epoch: 1, seq: 2 }, stored }
            );
            assert_eq!(store.lines_after(0, 10).await.expect("reads").len(), 1);
        })
        .await;
    }

    #[tokio::test]
    async fn a_first_batch_begins_at_the_beginning() {
        on_each(async |store: Store| {
            let mut chain = Chain::new();
            let records = [chain.next(), chain.next()];
            assert_eq!(
                store.append_records(chain.device, &records[1..], NOW).await.expect("answers"),
                Appended::Refused {
                    fault: ChainFault::Gap { epoch: 1, expected: 1, found: 2 },
                    stored: None
                }
            );
        })
        .await;
    }

    #[tokio::test]
    async fn a_person_is_found_by_subject_and_address() {
        on_each(async |store: Store| {
            let mut chain = Chain::new();
            let alice = Subject { email: Some("alice@example.test".to_owned()), ..Subject::local("alice") };
            let note = EventRecord::new(AuditEvent::SignedIn).of(alice);
            let records = [chain.write(&PreparedBody::event(&note).expect("JSON")), chain.next()];
            store.append_records(chain.device, &records, NOW).await.expect("stores");
            for (user, found) in [("alice", 1), ("alice@example.test", 1), ("ali", 0), ("bob", 0)] {
                let filter = Filter { user: Some(user.to_owned()), ..Filter::default() };
                assert_eq!(store.query_records(&filter).await.expect("reads").len(), found, "{user}");
            }
            let latest = Filter { limit: Some(1), ..Filter::default() };
            assert_eq!(store.query_records(&latest).await.expect("reads"), [records[1].line()]);
        })
        .await;
    }

    #[tokio::test]
    async fn a_relay_s_place_is_kept() {
        on_each(async |store: Store| {
            assert_eq!(store.relayed("otlp").await.expect("reads"), 0);
            store.set_relayed("otlp", 7).await.expect("stores");
            assert_eq!(store.relayed("otlp").await.expect("reads"), 7);
        })
        .await;
    }
}
