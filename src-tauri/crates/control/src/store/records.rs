//! Audit records as they were written, and how far they are stored and passed on.

use std::borrow::Cow;

use model::{ConnectorId, DeviceId, Digest, Subject, Timestamp};
use org_protocol::{AuditRecord, ChainFault, ChainLink, Delivered, Head, RecordBody};
use sqlx::any::AnyArguments;
use sqlx::{Any, AnyConnection, Arguments as _, AssertSqlSafe, Encode, Type};

use super::{Store, StoreFault, parsed, signed, unsigned};

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

/// Which records are wanted. What is absent does not restrict.
#[derive(
    schemars::JsonSchema, Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Filter {
    /// Records of calls that used this credential: a shared one such as `warehouse-analyst`, or an account of the people's own
    /// as records name it, such as `user:shared-inbox`.
    pub credential: Option<String>,
    /// Records of calls to this connector.
    pub connector: Option<ConnectorId>,
    /// Records about this person: subject or e-mail address.
    pub user: Option<String>,
    /// All records of one call.
    pub call: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// At most so many, the latest.
    pub limit: Option<u32>,
}

/// The most lines of one query.
const MOST_LINES: u32 = 100_000;
/// Whether a subject has this line: taking it out makes another text. Both databases know `replace`, which sees case.
const IS_ABOUT: &str = "replace('\n' || subject || '\n', {}, '') <> '\n' || subject || '\n'";

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
        for line in lines {
            let Some(link) = link(line) else {
                if let Delivered::Resumed(resumed) = line {
                    // What lies between is missing, and a check says so.
                    head = head.max(Some(resumed.end));
                }
                continue;
            };
            let link = &*link;
            let before = head.unwrap_or(Head::before(link.epoch));
            match before.followed_by(link) {
                Ok(next) => {
                    insert(&mut transaction, line, link, now).await?;
                    head = Some(next);
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
        let Some(head) = head else {
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

    /// The lines that a filter lets through, oldest first.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn query_records(&self, filter: &Filter) -> Result<Vec<String>, StoreFault> {
        let mut wanted = Wanted::default();
        if let Some(credential) = &filter.credential {
            // The calls' outcomes belong to the answer, though only their intents name the credential.
            wanted.only("call IN (SELECT call FROM records WHERE credential = {})", reference(credential))?;
        }
        if let Some(connector) = &filter.connector {
            wanted.only("connector = {}", connector.as_str())?;
        }
        if let Some(user) = &filter.user {
            // The subject is kept as `issuer subject email`, separated by line ends that none of them has.
            wanted.only(IS_ABOUT, format!("\n{user}\n"))?;
        }
        if let Some(call) = &filter.call {
            wanted.only("call = {}", call.as_str())?;
        }
        if let Some(since) = filter.since {
            wanted.only("at >= {}", since.micros())?;
        }
        if let Some(until) = filter.until {
            wanted.only("at < {}", until.micros())?;
        }
        let limit = filter.limit.unwrap_or(MOST_LINES).min(MOST_LINES);
        let limit = wanted.value(i64::from(limit))?;
        let query = format!(
            "SELECT line FROM (SELECT id, at, line FROM records WHERE 1 = 1{} ORDER BY at DESC, id DESC LIMIT {limit}) AS wanted
             ORDER BY at, id",
            wanted.conditions
        );
        let lines = sqlx::query_scalar_with(AssertSqlSafe(query), wanted.values);
        Ok(lines.fetch_all(&self.readers).await?)
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

/// Conditions with their values.
#[derive(Default)]
struct Wanted {
    conditions: String,
    values: AnyArguments,
}

impl Wanted {
    /// Adds a condition, whose `{}` is the value.
    fn only<'v>(
        &mut self,
        condition: &'static str,
        value: impl Encode<'v, Any> + Type<Any>,
    ) -> Result<(), StoreFault> {
        let place = self.value(value)?;
        self.conditions.push_str(" AND ");
        self.conditions.push_str(&condition.replace("{}", &place));
        Ok(())
    }

    /// Adds a value. How the statement names it.
    fn value<'v>(&mut self, value: impl Encode<'v, Any> + Type<Any>) -> Result<String, StoreFault> {
        self.values.add(value).map_err(sqlx::Error::Encode)?;
        Ok(format!("${}", self.values.len()))
    }
}

/// A credential as intents name it. No shared one's id has a colon.
fn reference(credential: &str) -> String {
    match credential {
        // The account of a person that has no name of its own.
        "user:default" => "user".to_owned(),
        named if named.contains(':') => named.to_owned(),
        shared => format!("shared:{shared}"),
    }
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
        "INSERT INTO records (device, epoch, seq, digest, at, received_at, kind, subject, connector, credential, call, line)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
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
    .bind(facts.call)
    .bind(line.as_ref())
    .execute(connection)
    .await?;
    Ok(())
}

fn unwritable(fault: serde_json::Error) -> StoreFault {
    StoreFault::Unreadable { what: "place of a record", reason: fault.to_string() }
}

/// What of a record can be asked for.
#[derive(Default)]
struct Facts {
    subject: Option<String>,
    connector: Option<String>,
    credential: Option<String>,
    call: Option<String>,
}

impl Facts {
    fn of(body: &RecordBody) -> Self {
        match body {
            RecordBody::Intent(intent) => Self {
                subject: Some(searchable(&intent.subject)),
                connector: Some(intent.connector.to_string()),
                credential: Some(intent.credential.clone()),
                call: Some(intent.call.to_string()),
            },
            RecordBody::Outcome(outcome) => Self {
                subject: Some(format!("{}\n{}", outcome.of.issuer, outcome.of.subject)),
                connector: Some(outcome.of.connector.to_string()),
                credential: None,
                call: Some(outcome.of.call.to_string()),
            },
            RecordBody::Denial(denial) => Self {
                subject: Some(searchable(&denial.subject)),
                connector: denial.connector.as_ref().map(ToString::to_string),
                credential: None,
                call: Some(denial.call.to_string()),
            },
            RecordBody::Event(event) => {
                Self { subject: event.subject.as_ref().map(searchable), ..Self::default() }
            }
            RecordBody::Epoch(_) | RecordBody::Gap(_) | RecordBody::Heartbeat(_) | RecordBody::Unknown => {
                Self::default()
            }
        }
    }
}

fn searchable(subject: &Subject) -> String {
    let email = subject.email.as_deref().unwrap_or_default();
    format!("{}\n{}\n{email}", subject.issuer, subject.subject)
}

#[cfg(test)]
mod tests {
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
