mod schema;

use model::{DeviceId, Digest, ListeningProcess, Subject};
use org_protocol::{
    AuditEvent, CallContext, DenialRecord, Effect, EffectMethod, EffectTarget, EpochReason, EpochRecord,
    EventRecord, GapRecord, Head, HeartbeatRecord, IntentRecord, Outcome, OutcomeRecord, OutcomeStatus,
    PolicyReference, PreparedBody, RecordedUri,
};

use super::*;
use crate::ArgumentSummary;

fn subject() -> Subject {
    let mut subject = Subject::local("employee-1");
    subject.issuer = "https://idp.example".to_owned();
    subject.email = Some("employee@example.com".to_owned());
    subject.groups = ["analysts".to_owned()].into();
    subject
}

fn intent() -> IntentRecord {
    IntentRecord {
        call: "01939a5e-0000-7000-8000-00000000000c".parse().unwrap(),
        subject: subject(),
        server: "analyst".parse().unwrap(),
        connector: "warehouse".parse().unwrap(),
        effect: Effect::tool_call("execute_sql"),
        client_id: "client-1".to_owned(),
        client_name: "Assistant".to_owned(),
        process: Some(ListeningProcess {
            pid: 7,
            executable: "/usr/bin/assistant".to_owned(),
            user_id: 1000,
        }),
        policy: PolicyReference { label: "12".to_owned(), digest: Digest::of(b"policy") },
        rules: vec!["analysts-read".to_owned()],
        observed: Vec::new(),
        approval: None,
        credential: "shared:warehouse-analyst".to_owned(),
        arguments: ArgumentSummary::of(r#"{"sql":"select 1"}"#, &[1; 32], false),
        payload: Vec::new(),
    }
}

fn denial() -> DenialRecord {
    let IntentRecord { call, subject, server, connector, client_id, client_name, policy, .. } = intent();
    DenialRecord {
        call,
        subject,
        server,
        connector: Some(connector),
        effect: Effect::tool_call("drop_table"),
        client_id,
        client_name,
        process: None,
        policy,
        rules: vec!["no-drops".to_owned()],
        kind: "forbidden".to_owned(),
        reason: "Tables are not dropped.".to_owned(),
        arguments: None,
        payload: Vec::new(),
    }
}

fn read() -> Effect {
    let uri = RecordedUri::of("https://host.example/a?token=canary", &[1; 32], false);
    Effect::resource(EffectMethod::ReadResource, uri)
}

fn got() -> Effect {
    Effect::prompt(EffectMethod::GetPrompt, "payroll")
}

fn outcome(status: OutcomeStatus) -> OutcomeRecord {
    let outcome =
        Outcome { duration_micros: Some(12_345), upstream_status: Some(200), ..Outcome::new(status) };
    OutcomeRecord { of: CallContext::from(&intent()), outcome }
}

/// One record of every kind.
fn records() -> Vec<AuditRecord> {
    let epoch = EpochRecord {
        org: None,
        reason: EpochReason::First,
        previous: None,
        checkpoint_key: None,
        detail: String::new(),
    };
    let gap = GapRecord { missing: 3, since: Timestamp::from_seconds(1), reason: "best effort".to_owned() };
    let signed_in = EventRecord::new(AuditEvent::SignedIn).of(subject());
    let bodies = [
        PreparedBody::epoch(&epoch),
        PreparedBody::intent(&intent()),
        PreparedBody::outcome(&outcome(OutcomeStatus::Ok)),
        PreparedBody::outcome(&outcome(OutcomeStatus::Unknown)),
        PreparedBody::denial(&denial()),
        PreparedBody::event(&signed_in),
        PreparedBody::event(&EventRecord::new(AuditEvent::BundleApplied).with("version", "12")),
        PreparedBody::gap(&gap),
        PreparedBody::heartbeat(&HeartbeatRecord::default()),
        PreparedBody::intent(&IntentRecord { effect: read(), ..intent() }),
        PreparedBody::denial(&DenialRecord { effect: got(), ..denial() }),
        PreparedBody::outcome(&outcome(OutcomeStatus::InputRequired)),
    ];
    sealed(bodies)
}

fn sealed(bodies: impl IntoIterator<Item = Result<PreparedBody, serde_json::Error>>) -> Vec<AuditRecord> {
    let device: DeviceId = "01939a5e-0000-7000-8000-000000000001".parse().unwrap();
    let mut head = Head::before(1);
    let seal = |body: Result<PreparedBody, _>| {
        let mut line = String::new();
        let at = Timestamp::from_micros(1_795_442_400_123_456);
        head = AuditRecord::seal_into(&mut line, device, &head, at, 1, &body.unwrap()).unwrap();
        AuditRecord::parse(line.trim_end()).unwrap()
    };
    bodies.into_iter().map(seal).collect()
}

/// What `AnyValue` stands for.
fn plain(value: &Value) -> Value {
    let (kind, inner) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "stringValue" | "boolValue" | "doubleValue" => inner.clone(),
        "intValue" => json!(inner.as_str().expect("64-bit numbers are text").parse::<i64>().unwrap()),
        "arrayValue" => inner["values"].as_array().unwrap().iter().map(plain).collect(),
        "kvlistValue" => {
            let members = inner["values"].as_array().unwrap().iter();
            Value::Object(
                members.map(|kv| (kv["key"].as_str().unwrap().to_owned(), plain(&kv["value"]))).collect(),
            )
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_kind_is_what_the_published_schema_says() {
    let (with, without): (Vec<EventRecord>, Vec<EventRecord>) = AuditEvent::ALL
        .iter()
        .map(|kind| {
            let event = EventRecord::new(kind.clone());
            (event.clone().of(subject()), event)
        })
        .unzip();
    let events = with.iter().chain(&without).map(PreparedBody::event);
    for record in records().into_iter().chain(sealed(events)) {
        let event = ocsf(&record, "example");
        assert_eq!(schema::faults(&event), Vec::<String>::new(), "{event:#}");
        let (class, activity) =
            (event["class_uid"].as_u64().unwrap(), event["activity_id"].as_u64().unwrap());
        assert_eq!(event["type_uid"], class * 100 + activity);
        assert_eq!(event["metadata"]["version"], "1.8.0");
        assert_eq!(event["raw_data"], record.line(), "the receiver can check the chain");
        assert_eq!(event["time"], 1_795_442_400_123_i64);
    }
}

#[test]
fn what_the_schema_does_not_have_is_noticed() {
    let event = ocsf(&records()[1], "example");
    let faults = |change: &dyn Fn(&mut Value)| {
        let mut changed = event.clone();
        change(&mut changed);
        schema::faults(&changed)
    };
    assert_eq!(faults(&|event| event["colour"] = json!("red")), ["6003.colour does not exist"]);
    assert_eq!(faults(&|event| event["status_id"] = json!(7)).len(), 1);
    assert_eq!(faults(&|event| event["time"] = json!("today")).len(), 1);
    assert_eq!(faults(&|event| drop(event.as_object_mut().unwrap().remove("api"))), ["6003.api is missing"]);
    assert_eq!(faults(&|event| event["actor"]["user"] = json!({})).len(), 1);
}

#[test]
fn a_call_says_who_did_what_with_which_credential() {
    let event = ocsf(&records()[1], "example");
    assert_eq!(event["actor"]["user"]["uid"], "employee-1");
    assert_eq!(event["actor"]["app_name"], "Assistant");
    assert_eq!(event["api"]["operation"], "tools/call");
    assert_eq!(event["api"]["service"]["name"], "warehouse");
    assert_eq!(event["resources"][2], json!({ "type": "tool", "name": "execute_sql" }));
    assert_eq!(event["resources"][3], json!({ "type": "credential", "name": "shared:warehouse-analyst" }));
    assert_eq!(event["metadata"]["correlation_uid"], "01939a5e-0000-7000-8000-00000000000c");
    assert_eq!((&event["action_id"], &event["disposition_id"]), (&json!(1), &json!(1)));
}

#[test]
fn every_effect_names_its_method_and_target() {
    let records = records();
    let of = |at: usize| ocsf(&records[at], "example");
    let (read, got) = (of(9), of(10));
    assert_eq!(read["api"]["operation"], "resources/read");
    let effect = self::read();
    let EffectTarget::Resource(uri) = effect.target() else { panic!("a resource") };
    assert_eq!(
        read["resources"][2],
        json!({ "type": "resource", "name": "https://host.example/a", "uid": uri.mac() })
    );
    assert!(!read.to_string().contains("canary"));
    assert_eq!(got["api"]["operation"], "prompts/get");
    assert_eq!(got["resources"][2], json!({ "type": "prompt", "name": "payroll" }));

    let named = |at: usize| {
        let log = otlp_record(&records[at], "example", Timestamp::from_seconds(0));
        let pairs = log["attributes"].as_array().unwrap().iter();
        let pair =
            |pair: &Value| (pair["key"].as_str().unwrap().to_owned(), pair["value"]["stringValue"].clone());
        pairs.map(pair).collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(
        (&named(1)["mcp.method.name"], &named(1)["gen_ai.tool.name"]),
        (&json!("tools/call"), &json!("execute_sql"))
    );
    assert_eq!(
        (&named(9)["mcp.method.name"], &named(9)["mcp.resource.uri"]),
        (&json!("resources/read"), &json!("https://host.example/a"))
    );
    assert_eq!(
        (&named(10)["mcp.method.name"], &named(10)["gen_ai.prompt.name"]),
        (&json!("prompts/get"), &json!("payroll"))
    );
    assert!(!named(10).contains_key("gen_ai.tool.name"));
}

#[test]
fn a_connector_that_asks_for_more_has_neither_succeeded_nor_failed() {
    let event = ocsf(&records()[11], "example");
    assert_eq!((&event["status_id"], &event["status"]), (&json!(99), &json!("Input required")));
    assert_eq!(event["unmapped"]["outcome"], "input-required");
}

#[test]
fn denials_and_unknown_outcomes_are_told_apart() {
    let records = records();
    let of = |at: usize| ocsf(&records[at], "example");
    assert_eq!(of(2)["status_id"], 1);
    assert_eq!(of(3)["status_id"], 0);
    let denied = of(4);
    assert_eq!(
        (&denied["status_id"], &denied["action_id"], &denied["disposition_id"]),
        (&json!(2), &json!(2), &json!(2))
    );
    assert_eq!(denied["authorizations"][0]["policy"]["name"], "no-drops");
}

#[test]
fn the_request_is_otlp_json() {
    let records = records();
    let request = otlp_request(&records, "example", Timestamp::from_seconds(1_795_442_401));
    let resource = &request["resourceLogs"][0];
    assert_eq!(
        resource["resource"]["attributes"][0],
        json!({ "key": "service.name", "value": { "stringValue": "deskgate" } })
    );
    let logs = resource["scopeLogs"][0]["logRecords"].as_array().unwrap();
    assert_eq!(logs.len(), records.len());
    assert_eq!(logs[1]["timeUnixNano"], "1795442400123456000");
    assert_eq!(logs[1]["observedTimeUnixNano"], "1795442401000000000");
    for (log, record) in logs.iter().zip(&records) {
        assert_eq!(plain(&log["body"]), ocsf(record, "example"));
        let id = &log["attributes"][0]["value"]["stringValue"];
        assert_eq!(*id, json!(format!("{}/1/{}", record.link().device, record.link().seq)));
    }
}

#[test]
fn splunk_gets_the_time_to_the_microsecond_and_the_record_s_name() {
    let record = &records()[1];
    let event = hec_event(record, "example");
    assert_eq!(event["time"], "1795442400.123456");
    assert_eq!(event["fields"]["deskgate_record"], record_id(record));
    assert_eq!(event["event"], ocsf(record, "example"));
}

#[test]
fn a_syslog_message_is_one_line_whatever_it_says() {
    let forged = EventRecord::new(AuditEvent::SignInFailed).with("code", "x\n<0>1 - forged - - - \u{2028}");
    for record in records().into_iter().chain(sealed([PreparedBody::event(&forged)])) {
        let message = syslog_message(&record, "ex]am\"ple");
        assert_eq!(message.lines().count(), 1, "{message}");
        let head = format!("1 2026-11-23T14:00:00.123456Z {} deskgate - ", record.link().device);
        let (priority, rest) = message.split_once('>').unwrap();
        assert!(["<110", "<108"].contains(&priority), "{message}");
        assert!(rest.starts_with(&head), "{message}");
        assert!(message.contains("org=\"ex\\]am\\\"ple\"] {"), "{message}");
        let event = message.split_once("\"] ").unwrap().1;
        assert_eq!(serde_json::from_str::<Value>(event).unwrap()["raw_data"], record.line());
    }
}
