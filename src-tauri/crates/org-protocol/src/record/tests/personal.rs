//! Personal fields: where they stand, that they can be erased, and that nothing else can be done to them unseen.

use std::collections::{BTreeMap, BTreeSet};

use model::{CallId, Digest, ListeningProcess, Subject};
use proptest::prelude::*;
use serde_json::Value;

use super::{EPOCH, at, chain, device, head_of, verify};
use crate::record::*;

const NAMES: [&str; 5] = ["alice", "Alice Doe", "/home/alice", "secret-value", "https://files.test"];

pub(super) fn intent() -> IntentRecord {
    let uri = RecordedUri::of("https://files.test/alice", &[7; 32], true);
    IntentRecord {
        call: CallId::new(),
        subject: Subject {
            issuer: "https://idp.test".to_owned(),
            email: Some("alice@corp.test".to_owned()),
            name: Some("Alice Doe".to_owned()),
            groups: BTreeSet::from(["staff".to_owned()]),
            attributes: BTreeMap::new(),
            ..Subject::local("alice")
        },
        server: "analyst".parse().unwrap(),
        connector: "warehouse".parse().unwrap(),
        effect: Effect::resource(EffectMethod::ReadResource, uri),
        client_id: "client".to_owned(),
        client_name: "Alice Doe's assistant".to_owned(),
        process: Some(ListeningProcess {
            pid: 7,
            executable: "/home/alice/assistant".to_owned(),
            user_id: 1000,
        }),
        policy: PolicyReference { label: "1".to_owned(), digest: Digest::of(b"policy") },
        rules: vec!["all".to_owned()],
        observed: Vec::new(),
        approval: None,
        credential: "user".to_owned(),
        arguments: ArgumentSummary::of(r#"{"a":"secret-value","b":{"c":1}}"#, &[7; 32], true),
        payload: Vec::new(),
    }
}

/// A body of each kind, the last with nothing personal.
pub(super) fn bodies() -> Vec<PreparedBody> {
    let intent = intent();
    let denial = DenialRecord {
        call: intent.call,
        subject: intent.subject.clone(),
        server: intent.server.clone(),
        connector: Some(intent.connector.clone()),
        effect: intent.effect.clone(),
        client_id: intent.client_id.clone(),
        client_name: intent.client_name.clone(),
        process: intent.process.clone(),
        policy: intent.policy.clone(),
        rules: Vec::new(),
        kind: "not-listed".to_owned(),
        reason: "nothing permits it".to_owned(),
        arguments: Some(intent.arguments.clone()),
        payload: Vec::new(),
    };
    let event = EventRecord::new(AuditEvent::Administration)
        .of(intent.subject.clone())
        .with("act", "person-sign-out")
        .with("person", "alice@corp.test");
    let detail = "/home/alice cannot be written".to_owned();
    let epoch = EpochRecord {
        org: None,
        reason: EpochReason::StorageFailed,
        previous: None,
        checkpoint_key: None,
        detail: detail.clone(),
    };
    let outcome = OutcomeRecord { of: CallContext::from(&intent), outcome: Outcome::new(OutcomeStatus::Ok) };
    [
        PreparedBody::epoch(&epoch),
        PreparedBody::intent(&intent),
        PreparedBody::outcome(&outcome),
        PreparedBody::denial(&denial),
        PreparedBody::event(&event),
        PreparedBody::gap(&GapRecord { missing: 1, since: at(0), reason: detail }),
        PreparedBody::heartbeat(&HeartbeatRecord { open_calls: 1 }),
    ]
    .into_iter()
    .map(Result::unwrap)
    .collect()
}

fn records() -> Vec<AuditRecord> {
    let mut head = Head::before(EPOCH);
    let sealed = |body| {
        let mut out = String::new();
        head = AuditRecord::seal_into(&mut out, device(), &head, at(0), 1, &body).unwrap();
        AuditRecord::parse(out.trim_end()).unwrap()
    };
    bodies().into_iter().map(sealed).collect()
}

fn lines(records: &[AuditRecord]) -> Vec<String> {
    records.iter().map(|record| record.line().to_owned()).collect()
}

/// The fields behind a line's digest.
fn fields(line: &str) -> Vec<Value> {
    let line: Value = serde_json::from_str(line).unwrap();
    line["personal"].as_array().cloned().unwrap_or_default()
}

fn place(field: &Value) -> &str {
    field["at"].as_str().unwrap()
}

#[test]
fn nothing_personal_stands_in_what_is_digested() {
    for record in records() {
        let sealed = record.line().split(r#","personal":["#).next().unwrap();
        for name in NAMES {
            assert!(!sealed.contains(name), "{name}: {sealed}");
        }
        let erased = record.without_personal(|_, _| true).unwrap();
        assert_eq!(erased.is_none(), sealed == record.line());
        assert!(erased.is_none_or(|(erased, _)| erased.line() == format!("{sealed}}}")));
    }
}

#[test]
fn a_record_is_read_back_as_it_was() {
    let RecordBody::Intent(read) = records()[1].body().clone() else { panic!("an intent") };
    assert_eq!(*read, IntentRecord { call: read.call, ..intent() });
}

#[test]
fn erased_records_stay_in_their_chain_and_say_that_something_is_gone() {
    let records = records();
    assert_eq!(verify(&lines(&records), &[]), []);
    let mut count = 0;
    let mut erased = Vec::new();
    for record in &records {
        let (left, fields) = record.without_personal(|_, _| true).unwrap().unwrap_or((record.clone(), 0));
        assert_eq!(left.link().head(), record.link().head());
        assert_eq!((record.link().erased, left.link().erased), (0, fields));
        assert_eq!(left.without_personal(|_, _| true).unwrap(), None, "there is nothing more");
        count += fields;
        erased.push(left.line().to_owned());
    }
    assert_eq!(verify(&erased, &[head_of(records[6].line())]), []);
    let report = verify_chain(device(), EPOCH, erased.iter().map(String::as_str), &[]);
    assert_eq!((report.records, report.erased), (7, count));
    let read = AuditRecord::parse(&erased[1]).unwrap();
    let RecordBody::Intent(intent) = read.body() else { panic!("an intent") };
    assert!(is_erased(&intent.subject) && intent.process.is_none() && intent.client_name.is_empty());
    assert_eq!(intent.effect.target().name(), "");
    assert!(intent.arguments.arguments.iter().all(|it| it.value.is_none() && !it.mac.is_empty()));
}

#[test]
fn a_field_can_be_checked_with_a_hash_and_nothing_else() {
    let line = records()[1].line().to_owned();
    let digests: Value = serde_json::from_str(&line).unwrap();
    let mut salts = BTreeSet::new();
    for field in fields(&line) {
        let (salt, value) = (field["salt"].as_str().unwrap(), field["value"].to_string());
        let digest = Digest::of(format!("{salt}{value}").as_bytes()).to_string();
        assert_eq!(digests["personal_digests"][place(&field)], digest);
        salts.insert(salt.to_owned());
    }
    assert_eq!(salts.len(), fields(&line).len(), "each field has a salt of its own");
}

/// What somebody does to the fields behind a line's digest.
#[track_caller]
fn is_found(change: impl Fn(&str) -> String, why: &str) {
    let records = records();
    let mut lines = lines(&records);
    let changed = change(&lines[1]);
    assert_ne!(changed, lines[1], "{why}");
    lines[1] = changed;
    assert_eq!(verify(&lines, &[]), [(FindingKind::Edited, 2, 2)], "{why}");
    assert!(matches!(AuditRecord::parse(&lines[1]), Err(LineFault::Edited(_))), "{why}");
}

/// The line with its fields as `change` leaves them.
fn with_fields(line: &str, change: impl Fn(&mut Vec<Value>)) -> String {
    let sealed = line.split(r#","personal":"#).next().unwrap();
    let mut fields = fields(line);
    change(&mut fields);
    format!(r#"{sealed},"personal":{}}}"#, serde_json::to_string(&fields).unwrap())
}

#[test]
fn whatever_else_is_done_to_a_field_is_an_edit() {
    let without =
        |line: &str, name: &str| with_fields(line, |it| drop(it[0].as_object_mut().unwrap().remove(name)));
    is_found(|line| line.replace("secret-value", "secret-valuf"), "another value");
    is_found(|line| with_fields(line, |it| it[0]["salt"] = it[1]["salt"].clone()), "another salt");
    is_found(|line| with_fields(line, |it| it[0]["salt"] = "".into()), "no salt");
    is_found(|line| without(line, "salt"), "a value without salt");
    is_found(|line| without(line, "value"), "a salt without value");
    is_found(|line| with_fields(line, |it| it[0]["at"] = "/rules".into()), "another place");
    is_found(|line| with_fields(line, |it| it[0]["more"] = 1.into()), "something more");
    is_found(|line| with_fields(line, |it| it.swap(0, 1)), "another order");
    is_found(|line| with_fields(line, |it| it.insert(0, it[0].clone())), "twice");
    is_found(|line| with_fields(line, Vec::clear), "an empty list");
    is_found(|line| line.replacen(r#""personal":["#, r#""personal": ["#, 1), "another spelling");
    is_found(|line| format!("{} }}", line.strip_suffix('}').unwrap()), "another end");
}

#[test]
fn a_line_of_the_format_before_is_read_and_has_no_personal_fields() {
    let before = chain(1)[0].replace(r#""format":2"#, r#""format":1"#);
    let mut before = before[..before.len() - 84].to_owned();
    let digest = seal(&mut before, 0);
    let link = AuditRecord::parse(&before).unwrap().link().clone();
    assert_eq!((link.digest, link.erased), (digest, 0));
    let intent = records()[1].line().replace(r#""format":2"#, r#""format":1"#);
    assert!(matches!(AuditRecord::parse(&intent), Err(LineFault::Unreadable(_))));
}

#[test]
fn one_person_is_erased_and_nobody_else() {
    let records = records();
    let of = |person: Option<&str>, before| {
        let mut erasure = Erasure::of(person.map(str::to_owned), before).unwrap();
        records.iter().for_each(|record| erasure.learn(record));
        let erased = records.iter().filter_map(|record| erasure.apply(record).unwrap());
        erased.map(|(record, fields)| (record.link().seq, fields)).collect::<Vec<_>>()
    };
    let alice = of(Some("alice"), None);
    assert_eq!(alice, of(Some("Alice@corp.test"), None), "by the address the outcome is found as well");
    assert_eq!(
        alice.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6],
        "and where a path names her"
    );
    assert_eq!(of(Some("bob"), None), []);
    assert_eq!(of(Some("ali"), None), [], "a part of a name is none");
    assert_eq!(of(None, Some(at(0))), [], "not before");
    assert_eq!(of(None, Some(at(1))), alice);
    assert_eq!(of(Some("alice"), Some(at(0))), []);
    assert_eq!(Erasure::of(Some(" ".to_owned()), None), None);
}

/// Whether an event with this note loses it, where everything about the person is erased.
fn is_erased_from(person: &str, note: &str) -> bool {
    let event = EventRecord::new(AuditEvent::Administration).with("reason", note);
    let mut line = String::new();
    let body = PreparedBody::event(&event).unwrap();
    AuditRecord::seal_into(&mut line, device(), &Head::before(EPOCH), at(0), 1, &body).unwrap();
    let record = AuditRecord::parse(line.trim_end()).unwrap();
    Erasure::of(Some(person.to_owned()), None).unwrap().apply(&record).unwrap().is_some()
}

#[test]
fn a_person_is_found_in_what_somebody_wrote() {
    let address = "alice@example.com";
    for (person, note) in [
        (address, "asked by alice@example.com."),
        (address, "asked by alice@example.com..."),
        (address, "for alice@example.com- and others"),
        (address, "mailto:Alice@Example.COM, again"),
        ("alice", "Alice left"),
        ("JÜRGEN", "\"jürgen\""),
        (r"CORP\alice", r"CORP\alice left"),
        (r"CORP\alice", r"it was corp\Alice."),
        ("a\"b", "of a\"b"),
        ("alice", "C:\\Users\\alice\\x"),
        ("alice", "- alice -"),
    ] {
        assert!(is_erased_from(person, note), "{person}: {note}");
    }
    for (person, note) in [
        (address, "asked by alice@example.com.au"),
        (address, "asked by malice@example.com"),
        ("alice", "alice.b left"),
        ("alice", "alice-b left, and b-alice"),
        ("alice", "alice@example.com left"),
        ("alice", "malice, alices"),
    ] {
        assert!(!is_erased_from(person, note), "{person}: {note}");
    }
}

#[test]
fn an_outcome_that_came_after_its_intent_was_erased_is_erased_by_asking_again() {
    let person = || Erasure::of(Some("alice@corp.test".to_owned()), None).unwrap();
    let records = records();
    let (intent, outcome) = (&records[1], &records[2]);
    let mut first = person();
    first.learn(intent);
    let (intent, _) = first.apply(intent).unwrap().expect("is hers");
    let mut again = person();
    assert_eq!(again.apply(outcome).unwrap(), None, "nothing else leads to it");
    [&intent, outcome].into_iter().for_each(|record| again.learn(record));
    let (outcome, _) = again.apply(outcome).unwrap().expect("by the call");
    assert!(!outcome.line().contains("alice"));
    let mut done = person();
    [&intent, &outcome].into_iter().for_each(|record| done.learn(record));
    assert_eq!(done.apply(&outcome).unwrap(), None);
}

proptest! {
    #[test]
    fn what_is_erased_does_not_change_what_is_left(keep in proptest::collection::vec(any::<bool>(), 8)) {
        for record in records() {
            let all = fields(record.line());
            let kept = |at: &str| keep[all.iter().position(|field| place(field) == at).unwrap() % keep.len()];
            let left: Vec<Value> = all.iter().filter(|field| kept(place(field))).cloned().collect();
            match record.without_personal(|at, _| !kept(at)).unwrap() {
                None => prop_assert_eq!(left.len(), all.len()),
                Some((erased, count)) => {
                    prop_assert_eq!(erased.link().head(), record.link().head());
                    prop_assert_eq!(count, (all.len() - left.len()) as u64);
                    prop_assert_eq!(fields(erased.line()), left);
                }
            }
        }
    }
}
