//! What records are asked for: the same question of the database, and of an export without one.

use std::collections::{BTreeMap, BTreeSet};

use model::{CallId, ConnectorId, DeviceId, ServerId, Subject, Timestamp};
use org_protocol::{AuditRecord, EffectTarget, RecordBody, is_erased};
use sqlx::any::AnyArguments;
use sqlx::{Any, Arguments as _, AssertSqlSafe, Encode, Type};

use super::{Store, StoreFault};

/// Which records are wanted. What is absent does not restrict.
#[derive(
    schemars::JsonSchema, Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Records of calls that used this credential: a shared one such as `warehouse-analyst`, or an account of the people's own
    /// as records name it, such as `user:shared-inbox`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Records of calls to this connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorId>,
    /// Records of calls through this virtual server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerId>,
    /// Records of calls of this tool, or of this prompt or resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Records about this person: subject or e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Records of this device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// All records of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Records of calls that this policy decided on, or refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Records of calls that this policy, which is only observed, would have refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// Events of this kind, such as `bundle-applied`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Only what was refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
    /// Not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// At most so many, the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// How often calls were refused, by what.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeniedBy {
    /// The policy; none where no policy permits, or something beside the policies refused.
    pub rule: Option<String>,
    /// The kind of denial, as records name it; `observed` for what would have been refused by a policy that is only observed.
    pub kind: String,
    /// How many calls.
    pub calls: u64,
    /// How many people's.
    pub people: u64,
    /// The latest.
    pub last: Timestamp,
}

/// The most lines of one query.
const MOST_LINES: u32 = 100_000;
/// How many lines are read at once where all are.
const PAGE: i64 = 1000;
/// Whether a text of lines has this line: taking it out makes another text. Both databases know `replace`, which sees case.
macro_rules! has_line {
    ($column:literal) => {
        concat!("replace('\n' || ", $column, " || '\n', {}, '') <> '\n' || ", $column, " || '\n'")
    };
}

impl Store {
    /// The lines that a filter lets through, oldest first.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn query_records(&self, filter: &Filter) -> Result<Vec<String>, StoreFault> {
        let mut wanted = Wanted::of(filter)?;
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

    /// How often calls were refused in a time, by what; the most frequent first.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn count_denials(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Vec<DeniedBy>, StoreFault> {
        let mut counts = Counts::default();
        let mut after = 0_i64;
        loop {
            let rows: Vec<(i64, String)> = sqlx::query_as(
                "SELECT id, line FROM records
                 WHERE id > $1 AND at >= $2 AND at < $3 AND (kind = 'denial' OR observed IS NOT NULL)
                 ORDER BY id LIMIT $4",
            )
            .bind(after)
            .bind(since.map_or(i64::MIN, Timestamp::micros))
            .bind(until.map_or(i64::MAX, Timestamp::micros))
            .bind(PAGE)
            .fetch_all(&self.readers)
            .await?;
            let Some((last, _)) = rows.last() else { return Ok(counts.sorted()) };
            after = *last;
            rows.iter()
                .filter_map(|(_, line)| AuditRecord::parse(line).ok())
                .for_each(|one| counts.add(&one));
        }
    }

    /// Reads anew what was stored before it could be asked for.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn read_unread_records(&self) -> Result<(), StoreFault> {
        let mut after = 0_i64;
        loop {
            let rows: Vec<(i64, String)> = sqlx::query_as(
                "SELECT id, line FROM records
                 WHERE id > $1 AND about IS NULL AND kind IN ('intent', 'outcome', 'denial', 'event')
                 ORDER BY id LIMIT $2",
            )
            .bind(after)
            .bind(PAGE)
            .fetch_all(&self.readers)
            .await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = *last;
            let mut transaction = self.write().await?;
            for (id, line) in &rows {
                let Ok(record) = AuditRecord::parse(line) else { continue };
                let facts = Facts::of(record.body());
                sqlx::query(
                    "UPDATE records SET about = $1, server = $2, rules = $3, observed = $4 WHERE id = $5",
                )
                .bind(facts.about)
                .bind(facts.server)
                .bind(facts.rules)
                .bind(facts.observed)
                .bind(*id)
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await?;
        }
    }
}

/// The same question, asked of records one by one. Each record is shown to [`Sieve::first`] before any is to
/// [`Sieve::lets_through`]: the outcome of a call belongs to the answer although only its intent says what is asked for.
#[derive(Debug)]
pub struct Sieve<'f> {
    filter: &'f Filter,
    by_credential: BTreeSet<CallId>,
    by_rule: BTreeSet<CallId>,
    by_observed: BTreeSet<CallId>,
}

impl<'f> Sieve<'f> {
    /// For one question.
    pub fn new(filter: &'f Filter) -> Self {
        let (by_credential, by_rule, by_observed) = Default::default();
        Self { filter, by_credential, by_rule, by_observed }
    }

    /// Notes what a record says of its call.
    pub fn first(&mut self, record: &AuditRecord) {
        let facts = Facts::of(record.body());
        let Some(call) = facts.call_id else { return };
        if self.filter.credential.as_deref().map(reference).is_some_and(|one| facts.credential == Some(one)) {
            self.by_credential.insert(call);
        }
        if self.filter.rule.as_deref().is_some_and(|rule| has_line(facts.rules.as_deref(), rule)) {
            self.by_rule.insert(call);
        }
        if self.filter.observed.as_deref().is_some_and(|rule| has_line(facts.observed.as_deref(), rule)) {
            self.by_observed.insert(call);
        }
    }

    /// Whether a record is wanted; how many are is not looked at.
    pub fn lets_through(&self, record: &AuditRecord) -> bool {
        let (filter, link, facts) = (self.filter, record.link(), Facts::of(record.body()));
        let of = |calls: &BTreeSet<CallId>| facts.call_id.is_some_and(|call| calls.contains(&call));
        let is = |wanted: &Option<String>, found: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| found.as_ref() == Some(wanted))
        };
        let text = |wanted: Option<String>, found: &Option<String>| is(&wanted, found);
        (filter.credential.is_none() || of(&self.by_credential))
            && (filter.rule.is_none() || of(&self.by_rule))
            && (filter.observed.is_none() || of(&self.by_observed))
            && text(filter.connector.as_ref().map(ToString::to_string), &facts.connector)
            && text(filter.server.as_ref().map(ToString::to_string), &facts.server)
            && is(&filter.tool, if link.kind == "event" { &None } else { &facts.about })
            && is(&filter.event, if link.kind == "event" { &facts.about } else { &None })
            && filter.user.as_deref().is_none_or(|user| has_line(facts.subject.as_deref(), user))
            && filter.device.is_none_or(|device| device == link.device)
            && text(filter.call.clone(), &facts.call_id.map(|call| call.to_string()))
            && (!filter.denied || link.kind == "denial")
            && filter.since.is_none_or(|since| link.at >= since)
            && filter.until.is_none_or(|until| link.at < until)
    }
}

fn has_line(text: Option<&str>, line: &str) -> bool {
    text.is_some_and(|text| text.split('\n').any(|one| one == line))
}

/// Conditions with their values.
#[derive(Default)]
struct Wanted {
    conditions: String,
    values: AnyArguments,
}

impl Wanted {
    fn of(filter: &Filter) -> Result<Self, StoreFault> {
        let mut wanted = Self::default();
        if let Some(credential) = &filter.credential {
            // The calls' outcomes belong to the answer, though only their intents name the credential.
            wanted.only("call IN (SELECT call FROM records WHERE credential = {})", reference(credential))?;
        }
        if let Some(rule) = &filter.rule {
            let of_calls = concat!("call IN (SELECT call FROM records WHERE ", has_line!("rules"), ")");
            wanted.only(of_calls, a_line(rule))?;
        }
        if let Some(rule) = &filter.observed {
            let of_calls = concat!("call IN (SELECT call FROM records WHERE ", has_line!("observed"), ")");
            wanted.only(of_calls, a_line(rule))?;
        }
        if let Some(connector) = &filter.connector {
            wanted.only("connector = {}", connector.as_str())?;
        }
        if let Some(server) = &filter.server {
            wanted.only("server = {}", server.as_str())?;
        }
        if let Some(tool) = &filter.tool {
            wanted.only("kind <> 'event' AND about = {}", tool.as_str())?;
        }
        if let Some(event) = &filter.event {
            wanted.only("kind = 'event' AND about = {}", event.as_str())?;
        }
        if let Some(user) = &filter.user {
            // The subject is kept as `issuer subject email`, separated by line ends that none of them has.
            wanted.only(has_line!("subject"), a_line(user))?;
        }
        if let Some(device) = filter.device {
            wanted.only("device = {}", device.to_string())?;
        }
        if let Some(call) = &filter.call {
            wanted.only("call = {}", call.as_str())?;
        }
        if filter.denied {
            wanted.conditions.push_str(" AND kind = 'denial'");
        }
        if let Some(since) = filter.since {
            wanted.only("at >= {}", since.micros())?;
        }
        if let Some(until) = filter.until {
            wanted.only("at < {}", until.micros())?;
        }
        Ok(wanted)
    }

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

fn a_line(text: &str) -> String {
    format!("\n{text}\n")
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

/// What of a record can be asked for.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) subject: Option<String>,
    pub(super) connector: Option<String>,
    pub(super) server: Option<String>,
    pub(super) credential: Option<String>,
    pub(super) call_id: Option<CallId>,
    /// The tool, prompt or resource of a call; the kind of an event.
    pub(super) about: Option<String>,
    pub(super) rules: Option<String>,
    pub(super) observed: Option<String>,
}

impl Facts {
    pub(super) fn of(body: &RecordBody) -> Self {
        match body {
            RecordBody::Intent(intent) => Self {
                subject: searchable(&intent.subject),
                connector: Some(intent.connector.to_string()),
                server: Some(intent.server.to_string()),
                credential: Some(intent.credential.clone()),
                call_id: Some(intent.call),
                about: Some(named(intent.effect.target())),
                rules: lines(&intent.rules),
                observed: lines(&intent.observed),
            },
            RecordBody::Outcome(outcome) => Self {
                subject: (!outcome.of.subject.is_empty())
                    .then(|| format!("{}\n{}", outcome.of.issuer, outcome.of.subject)),
                connector: Some(outcome.of.connector.to_string()),
                server: Some(outcome.of.server.to_string()),
                call_id: Some(outcome.of.call),
                about: Some(named(outcome.of.effect.target())),
                ..Self::default()
            },
            RecordBody::Denial(denial) => Self {
                subject: searchable(&denial.subject),
                connector: denial.connector.as_ref().map(ToString::to_string),
                server: Some(denial.server.to_string()),
                call_id: Some(denial.call),
                about: Some(named(denial.effect.target())),
                rules: lines(&denial.rules),
                ..Self::default()
            },
            RecordBody::Event(event) => Self {
                subject: event.subject.as_ref().and_then(searchable),
                about: Some(event.event.as_str().to_owned()),
                ..Self::default()
            },
            RecordBody::Epoch(_) | RecordBody::Gap(_) | RecordBody::Heartbeat(_) | RecordBody::Unknown => {
                Self::default()
            }
        }
    }
}

/// PostgreSQL's texts have no NUL.
fn named(target: &EffectTarget) -> String {
    target.name().replace('\0', "\u{fffd}")
}

fn lines(rules: &[String]) -> Option<String> {
    (!rules.is_empty()).then(|| rules.join("\n"))
}

/// Nobody is found by a record from which they were erased.
fn searchable(subject: &Subject) -> Option<String> {
    let email = subject.email.as_deref().unwrap_or_default();
    (!is_erased(subject)).then(|| format!("{}\n{}\n{email}", subject.issuer, subject.subject))
}

/// Denials while they are counted.
#[derive(Default)]
struct Counts(BTreeMap<(Option<String>, String), Count>);

#[derive(Default)]
struct Count {
    calls: u64,
    people: BTreeSet<(String, String)>,
    last: Option<Timestamp>,
}

impl Counts {
    fn add(&mut self, record: &AuditRecord) {
        match record.body() {
            RecordBody::Denial(denial) if denial.rules.is_empty() => {
                self.note(None, &denial.kind, &denial.subject, record.link().at);
            }
            RecordBody::Denial(denial) => {
                for rule in &denial.rules {
                    self.note(Some(rule), &denial.kind, &denial.subject, record.link().at);
                }
            }
            RecordBody::Intent(intent) => {
                for rule in &intent.observed {
                    self.note(Some(rule), "observed", &intent.subject, record.link().at);
                }
            }
            RecordBody::Outcome(_)
            | RecordBody::Event(_)
            | RecordBody::Epoch(_)
            | RecordBody::Gap(_)
            | RecordBody::Heartbeat(_)
            | RecordBody::Unknown => {}
        }
    }

    fn note(&mut self, rule: Option<&String>, kind: &str, subject: &Subject, at: Timestamp) {
        let count = self.0.entry((rule.cloned(), kind.to_owned())).or_default();
        count.calls += 1;
        count.people.insert((subject.issuer.clone(), subject.subject.clone()));
        count.last = count.last.max(Some(at));
    }

    fn sorted(self) -> Vec<DeniedBy> {
        let denied = self.0.into_iter().filter_map(|((rule, kind), count)| {
            let Count { calls, people, last } = count;
            Some(DeniedBy { rule, kind, calls, people: people.len() as u64, last: last? })
        });
        let mut denied: Vec<DeniedBy> = denied.collect();
        denied.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.rule.cmp(&b.rule)));
        denied
    }
}

#[cfg(test)]
mod tests;
