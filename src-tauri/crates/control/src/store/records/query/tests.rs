use model::Digest;
use org_protocol::{
    ArgumentSummary, AuditEvent, CallContext, DenialRecord, Effect, EventRecord, Head, IntentRecord, Outcome,
    OutcomeRecord, OutcomeStatus, PolicyReference, PreparedBody,
};

use super::super::super::tests::on_each;
use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Two devices' records: calls of two people with two credentials and tools, denials, an event.
fn records() -> Vec<Vec<AuditRecord>> {
    let (mut one, mut two) = (Chain::new(), Chain::new());
    let query = one.call("alice", "execute_sql", "shared:warehouse-analyst", &["analysts"], &[]);
    one.call("bob", "search", "user", &["mail"], &["less-mail"]);
    one.denial("alice", "write_file", &["analysts-do-not-write"], "forbidden");
    one.outcome(&query);
    two.call("alice", "execute_sql", "shared:warehouse-finance", &["finance", "analysts"], &[]);
    two.denial("bob", "execute_sql", &[], "not-permitted");
    two.denial("alice", "write_file", &["analysts-do-not-write"], "forbidden");
    two.write(&PreparedBody::event(&EventRecord::new(AuditEvent::BundleApplied).with("by", "uid 0")));
    vec![one.records, two.records]
}

struct Chain {
    device: DeviceId,
    head: Head,
    records: Vec<AuditRecord>,
}

impl Chain {
    fn new() -> Self {
        Self { device: DeviceId::new(), head: Head::before(1), records: Vec::new() }
    }

    fn write(&mut self, body: &Result<PreparedBody, serde_json::Error>) {
        let mut line = String::new();
        let at = NOW.plus(std::time::Duration::from_secs(self.records.len() as u64));
        let body = body.as_ref().expect("JSON");
        self.head = AuditRecord::seal_into(&mut line, self.device, &self.head, at, 1, body).expect("seals");
        self.records.push(AuditRecord::parse(line.trim_end()).expect("reads"));
    }

    fn call(
        &mut self,
        user: &str,
        tool: &str,
        credential: &str,
        rules: &[&str],
        observed: &[&str],
    ) -> CallContext {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let intent = IntentRecord {
            call: CallId::new(),
            subject: person(user),
            server: "analyst".parse().expect("an id"),
            connector: "warehouse".parse().expect("an id"),
            effect: Effect::tool_call(tool),
            client_id: "client".to_owned(),
            client_name: "Assistant".to_owned(),
            process: None,
            policy: policy(),
            rules: texts(rules),
            observed: texts(observed),
            approval: None,
            credential: credential.to_owned(),
            arguments: ArgumentSummary::of("{}", &[7; 32], false),
            payload: Vec::new(),
        };
        self.write(&PreparedBody::intent(&intent));
        CallContext::from(&intent)
    }

    fn outcome(&mut self, of: &CallContext) {
        let record = OutcomeRecord { of: of.clone(), outcome: Outcome::new(OutcomeStatus::Ok) };
        self.write(&PreparedBody::outcome(&record));
    }

    fn denial(&mut self, user: &str, tool: &str, rules: &[&str], kind: &str) {
        self.write(&PreparedBody::denial(&DenialRecord {
            call: CallId::new(),
            subject: person(user),
            server: "writer".parse().expect("an id"),
            connector: None,
            effect: Effect::tool_call(tool),
            client_id: "client".to_owned(),
            client_name: "Assistant".to_owned(),
            process: None,
            policy: policy(),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            kind: kind.to_owned(),
            reason: "It is not permitted.".to_owned(),
            arguments: None,
            payload: Vec::new(),
        }));
    }
}

fn person(user: &str) -> Subject {
    Subject { email: Some(format!("{user}@example.test")), ..Subject::local(user) }
}

fn policy() -> PolicyReference {
    PolicyReference { label: "1".to_owned(), digest: Digest::of(b"policy") }
}

/// Each question with how many records answer it.
fn questions(devices: &[DeviceId]) -> Vec<(Filter, usize)> {
    let text = |text: &str| Some(text.to_owned());
    let of = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    vec![
        (Filter::default(), 8),
        (of(&|filter| filter.credential = text("warehouse-analyst")), 2),
        (of(&|filter| filter.credential = text("user:default")), 1),
        (of(&|filter| filter.tool = text("execute_sql")), 4),
        (of(&|filter| filter.tool = text("bundle-applied")), 0),
        (of(&|filter| filter.event = text("bundle-applied")), 1),
        (of(&|filter| filter.event = text("execute_sql")), 0),
        (of(&|filter| filter.user = text("bob@example.test")), 2),
        (of(&|filter| filter.user = text("bo")), 0),
        (of(&|filter| filter.rule = text("analysts")), 3),
        (of(&|filter| filter.rule = text("analysts-do-not-write")), 2),
        (of(&|filter| filter.rule = text("analyst")), 0),
        (of(&|filter| filter.observed = text("less-mail")), 1),
        (of(&|filter| filter.denied = true), 3),
        (of(&|filter| (filter.denied, filter.user) = (true, text("bob"))), 1),
        (of(&|filter| filter.server = "writer".parse().ok()), 3),
        (of(&|filter| filter.connector = "warehouse".parse().ok()), 4),
        (of(&|filter| filter.device = Some(devices[1])), 4),
        (of(&|filter| filter.since = Some(NOW.plus(std::time::Duration::from_secs(2)))), 4),
        (of(&|filter| filter.until = Some(NOW.plus(std::time::Duration::from_secs(2)))), 4),
    ]
}

#[tokio::test]
async fn a_database_and_an_export_answer_alike() {
    on_each(async |store: Store| {
        let chains = records();
        for chain in &chains {
            store.append_records(chain[0].link().device, chain, NOW).await.expect("stores");
        }
        let devices: Vec<DeviceId> = chains.iter().map(|chain| chain[0].link().device).collect();
        for (filter, count) in questions(&devices) {
            let mut answered = store.query_records(&filter).await.expect("reads");
            let mut sieve = Sieve::new(&filter);
            chains.iter().flatten().for_each(|record| sieve.first(record));
            let let_through = chains.iter().flatten().filter(|record| sieve.lets_through(record));
            let mut let_through: Vec<String> = let_through.map(|record| record.line().to_owned()).collect();
            answered.sort();
            let_through.sort();
            assert_eq!(answered.len(), count, "{filter:?}");
            assert_eq!(answered, let_through, "{filter:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn denials_are_counted_by_rule_and_kind() {
    on_each(async |store: Store| {
        for chain in records() {
            store.append_records(chain[0].link().device, &chain, NOW).await.expect("stores");
        }
        let denied = store.count_denials(None, None).await.expect("counts");
        let counted: Vec<_> = denied
            .iter()
            .map(|one| (one.rule.as_deref(), one.kind.as_str(), one.calls, one.people))
            .collect();
        assert_eq!(
            counted,
            [
                (Some("analysts-do-not-write"), "forbidden", 2, 1),
                (None, "not-permitted", 1, 1),
                (Some("less-mail"), "observed", 1, 1),
            ]
        );
        let later = Some(NOW.plus(std::time::Duration::from_secs(2)));
        assert_eq!(store.count_denials(later, None).await.expect("counts").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_stored_before_it_could_be_asked_for_is_read_anew() {
    on_each(async |store: Store| {
        for chain in records() {
            store.append_records(chain[0].link().device, &chain, NOW).await.expect("stores");
        }
        store.tamper("UPDATE records SET about = NULL, server = NULL, rules = NULL, observed = NULL").await;
        let filter = Filter { rule: Some("analysts".to_owned()), ..Filter::default() };
        assert_eq!(store.query_records(&filter).await.expect("reads").len(), 0);
        store.read_unread_records().await.expect("reads anew");
        assert_eq!(store.query_records(&filter).await.expect("reads").len(), 3);
    })
    .await;
}
