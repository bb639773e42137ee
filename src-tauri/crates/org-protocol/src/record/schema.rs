//! The JSON Schema of a record's line, from the types that write and read it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::{DeviceId, Digest, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::body::{AuditEvent, DenialRecord, EpochRecord, EventRecord, IntentRecord, OutcomeRecord};
use super::silent::{GapRecord, HeartbeatRecord};

/// An audit record: one line, as it is stored, delivered and exported. Members of the body that are erasable stand in `personal`.
pub struct RecordLine;

/// The members of a line.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "a schema alone is made of it")]
struct Members {
    /// The format version. Records of format 1 have no personal fields.
    #[schemars(range(min = 1, max = 2))]
    format: u32,
    /// Whose record it is.
    device: DeviceId,
    /// Which chain of the device.
    epoch: u64,
    /// The position in the chain, from 1.
    #[schemars(range(min = 1))]
    seq: u64,
    /// The wall clock when it was written.
    at: Timestamp,
    /// Milliseconds of the clock that nobody can set.
    uptime: u64,
    /// The kind of the body. Later versions may write others.
    kind: String,
    /// What the record says, without its personal fields.
    body: Map<String, Value>,
    /// The salted digest of each personal field, by its place in the body: the SHA-256 of the salt's 32 digits and the value's JSON.
    personal_digests: Option<BTreeMap<String, Digest>>,
    /// The digest of the record before it; zeros for an epoch's first.
    prev: Digest,
    /// The SHA-256 of the line up to here.
    digest: Digest,
    /// The personal fields that were not erased.
    personal: Option<Vec<Field>>,
}

/// A personal field.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "a schema alone is made of it")]
struct Field {
    /// Its place in the body: a JSON pointer (RFC 6901).
    at: String,
    /// Its salt: 128 random bits in hexadecimal digits.
    #[schemars(regex(pattern = "^[0-9a-f]{32}$"))]
    salt: String,
    /// Its value.
    value: Value,
}

impl JsonSchema for RecordLine {
    fn schema_name() -> Cow<'static, str> {
        "AuditRecord".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut line = Members::json_schema(generator);
        let bodies = [
            ("epoch", generator.subschema_for::<EpochRecord>()),
            ("intent", generator.subschema_for::<IntentRecord>()),
            ("outcome", generator.subschema_for::<OutcomeRecord>()),
            ("denial", generator.subschema_for::<DenialRecord>()),
            ("event", generator.subschema_for::<EventRecord>()),
            ("gap", generator.subschema_for::<GapRecord>()),
            ("heartbeat", generator.subschema_for::<HeartbeatRecord>()),
        ];
        let of_kind = |(kind, body): (&str, Schema)| {
            json!({
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"properties": {"body": body}},
            })
        };
        let events = AuditEvent::ALL.iter().map(of_event);
        let rules: Vec<Value> = bodies.into_iter().map(of_kind).chain(events).collect();
        line.insert("allOf".to_owned(), rules.into());
        line
    }
}

/// The facts that an event of a kind may have.
fn of_event(kind: &AuditEvent) -> Value {
    let facts: Map<String, Value> = kind
        .facts()
        .iter()
        .map(|(name, meaning)| ((*name).to_owned(), json!({"type": "string", "description": meaning})))
        .collect();
    let is_it = json!({
        "properties": {
            "kind": {"const": "event"},
            "body": {"properties": {"event": {"const": kind.as_str()}}, "required": ["event"]},
        },
        "required": ["kind", "body"],
    });
    let facts = json!({"type": "object", "properties": facts, "additionalProperties": false});
    json!({"description": kind.meaning(), "if": is_it, "then": {"properties": {"body": {"properties": {"facts": facts}}}}})
}
