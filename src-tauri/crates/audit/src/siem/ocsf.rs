//! Records as OCSF 1.8 events: calls and denials as API Activity (6003), gaps and chains that begin anew as Application Error (6008),
//! heartbeats as Base Event (0); events as `event` says.

use model::Subject;
use org_protocol::{
    AuditRecord, CallContext, DenialRecord, Effect, EffectTarget, EpochReason, IntentRecord, OutcomeRecord,
    OutcomeStatus, PayloadFinding, PolicyReference, RecordBody,
};
use serde_json::{Value, json};

use super::event::of_event;

const OCSF_VERSION: &str = "1.8.0";

/// `status_id`.
const UNKNOWN: u8 = 0;
pub(super) const SUCCESS: u8 = 1;
pub(super) const FAILURE: u8 = 2;
/// None of those: the status says it in words.
const UNLISTED: u8 = 99;

/// `activity_id` where the class has no better one.
const OTHER: u16 = 99;

/// The OCSF event of a record; `org` is the tenant.
pub fn ocsf(record: &AuditRecord, org: &str) -> Value {
    let mut event = match record.body() {
        RecordBody::Intent(intent) => of_intent(intent),
        RecordBody::Outcome(outcome) => of_outcome(outcome),
        RecordBody::Denial(denial) => of_denial(denial),
        RecordBody::Event(event) => of_event(event),
        RecordBody::Epoch(epoch) => {
            let words = format!("The audit chain begins: {:?}.", epoch.reason);
            if epoch.reason == EpochReason::First {
                base("Chain begun", &words)
            } else {
                error("Chain begun", &words)
            }
        }
        RecordBody::Gap(gap) => {
            error("Gap", &format!("{} calls were made without a record: {}", gap.missing, gap.reason))
        }
        RecordBody::Heartbeat(_) => base("Heartbeat", "Deskgate runs."),
        RecordBody::Unknown => base("Unknown", "A record of a later version."),
    };
    let link = record.link();
    let uid = super::record_id(record);
    let call = call_of(record.body());
    let profiles = if call.is_some() { json!(["security_control"]) } else { json!([]) };
    put(&mut event, "severity_id", json!(if matches!(record.body(), RecordBody::Denial(_)) { 2 } else { 1 }));
    put(&mut event, "time", json!(link.at.micros().div_euclid(1000)));
    if event["class_uid"].as_u64().is_some_and(|class| WITH_ENDPOINT.contains(&class)) {
        put(&mut event, "src_endpoint", json!({ "uid": link.device.to_string(), "name": "deskgate" }));
    }
    put(
        &mut event,
        "metadata",
        json!({
            "version": OCSF_VERSION,
            "product": { "name": "Deskgate", "vendor_name": "Deskgate" },
            "profiles": profiles,
            "uid": uid,
            "sequence": link.seq,
            "event_code": link.kind,
            "log_name": "deskgate.audit",
            "tenant_uid": org,
            "original_time": link.at.to_string(),
        }),
    );
    if let (Some(call), Some(metadata)) = (call, event.get_mut("metadata")) {
        put(metadata, "correlation_uid", json!(call));
    }
    put(&mut event, "raw_data", json!(record.line()));
    event
}

/// The classes that have a place for where it came from.
const WITH_ENDPOINT: [u64; 4] = [3002, 3004, 3005, 6003];

fn call_of(body: &RecordBody) -> Option<String> {
    match body {
        RecordBody::Intent(intent) => Some(intent.call.to_string()),
        RecordBody::Outcome(outcome) => Some(outcome.of.call.to_string()),
        RecordBody::Denial(denial) => Some(denial.call.to_string()),
        RecordBody::Epoch(_)
        | RecordBody::Event(_)
        | RecordBody::Gap(_)
        | RecordBody::Heartbeat(_)
        | RecordBody::Unknown => None,
    }
}

fn of_intent(intent: &IntentRecord) -> Value {
    let mut event = api_activity("Call begun");
    let IntentRecord { subject, client_id, client_name, process, .. } = intent;
    let process = process.as_ref().map(|process| (process.pid, process.executable.as_str()));
    put(&mut event, "actor", actor(subject, client_id, client_name, process));
    put(&mut event, "api", api(&CallContext::from(intent)));
    let mut resources = resources(intent.server.as_str(), Some(intent.connector.as_str()), &intent.effect);
    resources.push(json!({ "type": "credential", "name": intent.credential }));
    put(&mut event, "resources", json!(resources));
    status(&mut event, UNKNOWN, None);
    decision(&mut event, true, &intent.policy, &intent.rules);
    let arguments = serde_json::to_value(&intent.arguments).unwrap_or_default();
    let mut unmapped = json!({ "arguments": arguments });
    if !intent.observed.is_empty() {
        put(&mut unmapped, "observed_policies", json!(intent.observed));
    }
    if let Some(approval) = &intent.approval {
        put(&mut unmapped, "approval", json!(approval));
    }
    put_found(&mut unmapped, &intent.payload);
    put(&mut event, "unmapped", unmapped);
    event
}

/// What payload rules found: which rule, what kind, how often and where. OCSF's findings and observables are of what was found, which no
/// record has.
fn put_found(unmapped: &mut Value, findings: &[PayloadFinding]) {
    if !findings.is_empty() {
        put(unmapped, "payload", json!(findings));
    }
}

fn of_outcome(outcome: &OutcomeRecord) -> Value {
    let mut event = api_activity("Call ended");
    let of = &outcome.of;
    put(&mut event, "actor", json!({ "user": { "uid": of.subject, "domain": of.issuer } }));
    let mut api = api(of);
    let outcome = &outcome.outcome;
    let mut response = json!({});
    if let Some(code) = outcome.upstream_status {
        put(&mut response, "code", json!(code));
    }
    if let Some(code) = &outcome.code {
        put(&mut response, "error", json!(code));
    }
    put(&mut api, "response", response);
    put(&mut event, "api", api);
    let resources = resources(of.server.as_str(), Some(of.connector.as_str()), &of.effect);
    put(&mut event, "resources", json!(resources));
    let id = match outcome.status {
        OutcomeStatus::Ok => SUCCESS,
        OutcomeStatus::ToolError | OutcomeStatus::Failed | OutcomeStatus::Cancelled => FAILURE,
        OutcomeStatus::InputRequired => UNLISTED,
        OutcomeStatus::Unknown => UNKNOWN,
    };
    status(&mut event, id, outcome.code.as_deref());
    put(&mut event, "action_id", json!(1));
    put(&mut event, "disposition_id", json!(1));
    let mut unmapped = json!({ "outcome": serde_json::to_value(outcome.status).unwrap_or_default() });
    if let Some(micros) = outcome.duration_micros {
        put(&mut event, "duration", json!(micros / 1000));
        put(&mut unmapped, "duration_micros", json!(micros));
    }
    if let Some(bytes) = outcome.response_bytes {
        put(&mut unmapped, "response_bytes", json!(bytes));
    }
    if let Some(limit) = &outcome.limit {
        put(&mut unmapped, "limit", json!(limit));
    }
    put_found(&mut unmapped, &outcome.payload);
    put(&mut event, "unmapped", unmapped);
    event
}

fn of_denial(denial: &DenialRecord) -> Value {
    let mut event = api_activity("Call refused");
    let DenialRecord { subject, client_id, client_name, process, connector, .. } = denial;
    let process = process.as_ref().map(|process| (process.pid, process.executable.as_str()));
    put(&mut event, "actor", actor(subject, client_id, client_name, process));
    let operation = denial.effect.method().as_str();
    let mut api = json!({ "operation": operation, "request": { "uid": denial.call.to_string() } });
    if let Some(connector) = connector {
        put(&mut api, "service", json!({ "name": connector.as_str() }));
    }
    put(&mut event, "api", api);
    let connector = connector.as_ref().map(model::ConnectorId::as_str);
    put(&mut event, "resources", json!(resources(denial.server.as_str(), connector, &denial.effect)));
    status(&mut event, FAILURE, Some(&denial.kind));
    put(&mut event, "status_detail", json!(denial.reason));
    decision(&mut event, false, &denial.policy, &denial.rules);
    if !denial.payload.is_empty() {
        put(&mut event, "unmapped", json!({ "payload": denial.payload }));
    }
    event
}

pub(super) fn base(activity: &str, message: &str) -> Value {
    let mut event = classified(0, 0, OTHER, activity);
    put(&mut event, "message", json!(message));
    event
}

fn error(activity: &str, message: &str) -> Value {
    let mut event = classified(6, 6008, 1, activity);
    put(&mut event, "message", json!(message));
    event
}

fn api_activity(activity: &str) -> Value {
    classified(6, 6003, OTHER, activity)
}

pub(super) fn classified(category: u16, class: u32, activity: u16, name: &str) -> Value {
    json!({
        "category_uid": category,
        "class_uid": class,
        "activity_id": activity,
        "activity_name": name,
        "type_uid": u64::from(class) * 100 + u64::from(activity),
    })
}

fn actor(subject: &Subject, client_id: &str, client_name: &str, process: Option<(u32, &str)>) -> Value {
    let mut actor = json!({
        "user": user(subject),
        "app_uid": client_id,
        "app_name": client_name,
        "idp": { "name": subject.issuer, "issuer": subject.issuer },
    });
    if let Some((pid, executable)) = process {
        put(&mut actor, "process", json!({ "pid": pid, "path": executable }));
    }
    actor
}

pub(super) fn user(subject: &Subject) -> Value {
    let groups: Vec<Value> = subject.groups.iter().map(|group| json!({ "name": group })).collect();
    let mut user = json!({ "uid": subject.subject, "domain": subject.issuer, "groups": groups });
    if let Some(email) = &subject.email {
        put(&mut user, "email_addr", json!(email));
    }
    if let Some(name) = &subject.name {
        put(&mut user, "full_name", json!(name));
    }
    user
}

fn api(of: &CallContext) -> Value {
    json!({
        "operation": of.effect.method().as_str(),
        "service": { "name": of.connector.as_str() },
        "request": { "uid": of.call.to_string() },
    })
}

/// Where the call goes, and last what it is about.
fn resources(server: &str, connector: Option<&str>, effect: &Effect) -> Vec<Value> {
    let one = |kind: &str, name: &str| json!({ "type": kind, "name": name });
    let mut resources = vec![one("virtual_server", server)];
    resources.extend(connector.map(|connector| one("connector", connector)));
    let target = effect.target();
    let mut about = one(target.kind(), target.name());
    match target {
        EffectTarget::Tool(_) | EffectTarget::Prompt(_) => {}
        // The name may be only a part of the URI; the digest is of the whole.
        EffectTarget::Resource(uri) => put(&mut about, "uid", json!(uri.mac())),
    }
    resources.push(about);
    resources
}

pub(super) fn status(event: &mut Value, id: u8, code: Option<&str>) {
    let text = match id {
        SUCCESS => "Success",
        FAILURE => "Failure",
        UNLISTED => "Input required",
        _ => "Unknown",
    };
    put(event, "status_id", json!(id));
    put(event, "status", json!(text));
    if let Some(code) = code {
        put(event, "status_code", json!(code));
    }
}

/// The profile `security_control`: allowed (1, 1) or denied and blocked (2, 2), and by which rules.
fn decision(event: &mut Value, allowed: bool, policy: &PolicyReference, rules: &[String]) {
    let (id, word) = if allowed { (1, "allowed") } else { (2, "denied") };
    put(event, "action_id", json!(id));
    put(event, "disposition_id", json!(id));
    put(
        event,
        "policy",
        json!({ "name": policy.label, "uid": policy.digest.to_string(), "version": policy.label, "is_applied": true }),
    );
    let authorizations: Vec<Value> = rules
        .iter()
        .map(|rule| json!({ "decision": word, "policy": { "name": rule, "uid": rule } }))
        .collect();
    put(event, "authorizations", json!(authorizations));
}

pub(super) fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
