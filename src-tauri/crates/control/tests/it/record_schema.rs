//! The JSON Schema of audit records, as a validator that is not ours reads it.

use std::path::Path;
use std::process::Command;

use control::admin::{Answer, Ask};
use model::{DeviceId, Subject, Timestamp};
use org_protocol::{
    AuditEvent, AuditRecord, EpochReason, EpochRecord, EventRecord, GapRecord, Head, HeartbeatRecord,
    PreparedBody,
};
use serde_json::json;

use crate::harness::{served, signed_in};

/// Validates lines of JSON by a schema. Prints the numbers of those that are not valid.
const VALIDATE: &str = r#"
import json, sys
from jsonschema import Draft7Validator
schema = json.load(open(sys.argv[1]))
Draft7Validator.check_schema(schema)
validator = Draft7Validator(schema)
for number, line in enumerate(open(sys.argv[2])):
    if not validator.is_valid(json.loads(line)):
        print(number)
"#;

/// The lines that are not valid.
fn invalid(lines: &[String]) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("records.ndjson");
    std::fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("writes");
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/audit-record.schema.json");
    let python = testkit::tools().join("venv/bin/python");
    let output = Command::new(python).args(["-c", VALIDATE]).arg(schema).arg(file).output();
    let output = output.expect("Python runs: `cargo xtask setup` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let numbers = String::from_utf8(output.stdout).expect("UTF-8");
    numbers.lines().map(|number| lines[number.parse::<usize>().expect("a number")].clone()).collect()
}

/// A line of each kind, and of each kind of event with all of its facts.
fn one_of_each() -> Vec<String> {
    let now = Timestamp::from_seconds(1_800_000_000);
    let all_facts = |kind: &AuditEvent| {
        let event = EventRecord::new(kind.clone()).of(Subject::local("alice"));
        kind.facts().iter().fold(event, |event, (name, _)| event.with(*name, "something"))
    };
    let epoch = EpochRecord {
        org: Some("acme".to_owned()),
        reason: EpochReason::HistoryDamaged,
        previous: Some(Head::before(1)),
        checkpoint_key: Some("deskgate-journal/device+00000000+AQ==".to_owned()),
        detail: "something".to_owned(),
    };
    let mut bodies = vec![
        PreparedBody::epoch(&epoch),
        PreparedBody::gap(&GapRecord { missing: 1, since: now, reason: "something".to_owned() }),
        PreparedBody::heartbeat(&HeartbeatRecord { open_calls: 1 }),
    ];
    bodies.extend(AuditEvent::ALL.iter().map(|kind| PreparedBody::event(&all_facts(kind))));
    let mut head = Head::before(1);
    let device = DeviceId::new();
    let sealed = bodies.into_iter().flat_map(|body| {
        let mut line = String::new();
        head = AuditRecord::seal_into(&mut line, device, &head, now, 1, &body.expect("JSON")).expect("seals");
        let record = AuditRecord::parse(line.trim_end()).expect("reads");
        let erased = record.without_personal(|_, _| true).expect("reads").map(|(erased, _)| erased);
        std::iter::once(record).chain(erased)
    });
    sealed.map(|record| record.line().to_owned()).collect()
}

#[tokio::test]
async fn records_are_valid_by_their_schema_whole_and_erased() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    for sql in ["select 1", "drop table sales"] {
        alice.call("query", json!({ "sql": sql })).await;
    }
    let answer = org.ask(&Ask::QueryAudit { filter: control::Filter::default() }).await.expect("answers");
    let Answer::Records { mut lines } = answer else { panic!("{answer:?}") };
    for kind in ["intent", "outcome", "denial", "event"] {
        assert!(
            lines.iter().any(|line| line.contains(&format!("\"kind\":\"{kind}\""))),
            "{kind}: {lines:#?}"
        );
    }
    let erased =
        lines.iter().filter_map(|line| AuditRecord::parse(line).ok()?.without_personal(|_, _| true).ok()?);
    let erased: Vec<String> = erased.map(|(record, _)| record.line().to_owned()).collect();
    lines.extend(erased);
    lines.extend(one_of_each());
    assert_eq!(invalid(&lines), [] as [String; 0]);
}

#[test]
fn what_no_record_can_be_is_not_valid() {
    let lines = one_of_each();
    let gap = lines.iter().find(|line| line.contains("\"kind\":\"gap\"")).expect("a gap");
    let start = lines.iter().find(|line| line.contains("\"event\":\"start\"")).expect("a start");
    let wrong = [
        gap.replace("\"missing\":1", "\"missing\":\"one\""),
        gap.replace("\"seq\":", "\"sequence\":"),
        start.replace("\"version\":", "\"colour\":"),
        start.replace("\"salt\":\"", "\"salt\":\"x"),
    ];
    assert_eq!(invalid(&wrong), wrong);
}
