//! Records as security systems read them: an OCSF event, in an OTLP log record, an event of Splunk's or a syslog message.
//!
//! The event is OCSF 1.8 (<https://schema.ocsf.io/1.8.0/>); its `raw_data` is the stored line, so that the receiver can check
//! the chain as well. An OTLP record is in the OTLP/HTTP JSON encoding (OpenTelemetry protocol specification 1.x, "JSON
//! Protobuf Encoding"): lower camel case, 64-bit numbers as text. Whoever sends it must treat it as at-least-once and
//! name the record by its `deskgate.record` attribute.

mod event;
mod ocsf;
mod splunk;
mod syslog;

use model::Timestamp;
use org_protocol::{AuditRecord, Effect, EffectTarget, RecordBody};
use serde_json::{Map, Value, json};

pub use ocsf::ocsf;
pub use splunk::hec_event;
pub use syslog::syslog_message;

/// Names of attributes. Those of OpenTelemetry's conventions for MCP and generative AI are still under development.
mod name {
    pub(super) const RECORD: &str = "deskgate.record";
    pub(super) const KIND: &str = "deskgate.kind";
    pub(super) const CALL: &str = "deskgate.call";
    pub(super) const SERVER: &str = "deskgate.server";
    pub(super) const CONNECTOR: &str = "deskgate.connector";
    pub(super) const CREDENTIAL: &str = "deskgate.credential";
    pub(super) const ORG: &str = "deskgate.org";
    pub(super) const METHOD: &str = "mcp.method.name";
    pub(super) const TOOL: &str = "gen_ai.tool.name";
    pub(super) const RESOURCE: &str = "mcp.resource.uri";
    pub(super) const PROMPT: &str = "gen_ai.prompt.name";
    pub(super) const USER: &str = "user.id";
    pub(super) const SERVICE: &str = "service.name";
    pub(super) const SERVICE_VERSION: &str = "service.version";
}

/// The body of one `POST /v1/logs`: an `ExportLogsServiceRequest` with one log record per record. `observed` is when the
/// sender got them.
pub fn otlp_request(records: &[AuditRecord], org: &str, observed: Timestamp) -> Value {
    let records: Vec<Value> = records.iter().map(|record| otlp_record(record, org, observed)).collect();
    json!({
        "resourceLogs": [{
            "resource": {
                "attributes": attributes([
                    (name::SERVICE, "deskgate"),
                    (name::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
                    (name::ORG, org),
                ]),
            },
            "scopeLogs": [{
                "scope": { "name": "deskgate.audit", "version": org_protocol::RECORD_FORMAT.to_string() },
                "logRecords": records,
            }],
        }],
    })
}

/// How many records a collector says that it rejected, and why (OTLP, "Partial Success"): sending them again would not help.
pub fn otlp_rejected(answer: &Value) -> Option<(i64, String)> {
    let rejected = &answer["partialSuccess"]["rejectedLogRecords"];
    let count = rejected.as_i64().or_else(|| rejected.as_str()?.parse().ok()).filter(|count| *count > 0)?;
    let why = answer["partialSuccess"]["errorMessage"].as_str().unwrap_or_default();
    Some((count, why.chars().take(500).collect()))
}

/// Records on their way to a receiver that may refuse some for what they are: those do not keep what is after them. Halves tell which
/// they are.
#[derive(Debug)]
pub struct Halves<'r> {
    waiting: Vec<&'r [AuditRecord]>,
}

impl<'r> Halves<'r> {
    /// All of them at once, to begin with.
    pub fn of(records: &'r [AuditRecord]) -> Self {
        Self { waiting: vec![records] }
    }

    /// What is to be sent next; none where nothing is left.
    pub fn part(&mut self) -> Option<&'r [AuditRecord]> {
        self.waiting.pop().filter(|part| !part.is_empty())
    }

    /// The receiver refuses a part for what it is. If that is one record alone, it is this one, and it is not sent again.
    pub fn refused(&mut self, part: &'r [AuditRecord]) -> Option<&'r AuditRecord> {
        if let [alone] = part {
            return Some(alone);
        }
        let (first, second) = part.split_at(part.len() / 2);
        self.waiting.extend([second, first]);
        None
    }
}

/// One OTLP log record.
pub fn otlp_record(record: &AuditRecord, org: &str, observed: Timestamp) -> Value {
    let link = record.link();
    let mut named = vec![(name::RECORD, record_id(record)), (name::KIND, link.kind.clone())];
    let (number, text) = severity(record.body());
    match record.body() {
        RecordBody::Intent(intent) => {
            named.extend(effect(&intent.effect));
            named.push((name::CALL, intent.call.to_string()));
            named.push((name::USER, intent.subject.subject.clone()));
            named.push((name::SERVER, intent.server.to_string()));
            named.push((name::CONNECTOR, intent.connector.to_string()));
            named.push((name::CREDENTIAL, intent.credential.clone()));
        }
        RecordBody::Outcome(outcome) => {
            named.extend(effect(&outcome.of.effect));
            named.push((name::CALL, outcome.of.call.to_string()));
            named.push((name::USER, outcome.of.subject.clone()));
            named.push((name::SERVER, outcome.of.server.to_string()));
            named.push((name::CONNECTOR, outcome.of.connector.to_string()));
        }
        RecordBody::Denial(denial) => {
            named.extend(effect(&denial.effect));
            named.push((name::CALL, denial.call.to_string()));
            named.push((name::USER, denial.subject.subject.clone()));
            named.push((name::SERVER, denial.server.to_string()));
            named.extend(denial.connector.iter().map(|connector| (name::CONNECTOR, connector.to_string())));
        }
        RecordBody::Event(event) => {
            named.extend(event.subject.iter().map(|subject| (name::USER, subject.subject.clone())));
        }
        RecordBody::Epoch(_) | RecordBody::Gap(_) | RecordBody::Heartbeat(_) | RecordBody::Unknown => {}
    }
    json!({
        "timeUnixNano": nanos(link.at),
        "observedTimeUnixNano": nanos(observed),
        "severityNumber": number,
        "severityText": text,
        "eventName": format!("deskgate.audit.{}", link.kind),
        "attributes": attributes(named.iter().map(|(name, value)| (*name, value.as_str()))),
        "body": any_value(&ocsf(record, org)),
    })
}

/// The method and what it is about.
fn effect(effect: &Effect) -> [(&'static str, String); 2] {
    let about = match effect.target() {
        EffectTarget::Tool(_) => name::TOOL,
        EffectTarget::Resource(_) => name::RESOURCE,
        EffectTarget::Prompt(_) => name::PROMPT,
    };
    [(name::METHOD, effect.method().to_string()), (about, effect.target().name().to_owned())]
}

/// What names a record everywhere: device, epoch and position.
fn record_id(record: &AuditRecord) -> String {
    let link = record.link();
    format!("{}/{}/{}", link.device, link.epoch, link.seq)
}

/// OTLP's severity: number and text.
fn severity(body: &RecordBody) -> (u8, &'static str) {
    match body {
        RecordBody::Denial(_) | RecordBody::Gap(_) => (13, "WARN"),
        RecordBody::Epoch(_)
        | RecordBody::Intent(_)
        | RecordBody::Outcome(_)
        | RecordBody::Event(_)
        | RecordBody::Heartbeat(_)
        | RecordBody::Unknown => (9, "INFO"),
    }
}

fn nanos(at: Timestamp) -> String {
    (i128::from(at.micros()) * 1000).max(0).to_string()
}

fn attributes<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    pairs.into_iter().map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } })).collect()
}

/// A JSON value as OTLP's `AnyValue`.
fn any_value(value: &Value) -> Value {
    let one = |name: &str, value: Value| Value::Object(Map::from_iter([(name.to_owned(), value)]));
    match value {
        Value::Null => json!({}),
        Value::Bool(bool) => one("boolValue", json!(bool)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => one("intValue", json!(whole.to_string())),
            None => one("doubleValue", json!(number.as_f64())),
        },
        Value::String(text) => one("stringValue", json!(text)),
        Value::Array(values) => {
            one("arrayValue", json!({ "values": values.iter().map(any_value).collect::<Vec<_>>() }))
        }
        Value::Object(members) => {
            let pair = |(key, value): (&String, &Value)| json!({ "key": key, "value": any_value(value) });
            one("kvlistValue", json!({ "values": members.iter().map(pair).collect::<Vec<_>>() }))
        }
    }
}

#[cfg(test)]
mod tests;
