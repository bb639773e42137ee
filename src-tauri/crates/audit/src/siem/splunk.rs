//! Records as Splunk's HTTP Event Collector takes them (Splunk, "Format events for HTTP Event Collector").

use org_protocol::AuditRecord;
use serde_json::{Value, json};

use super::{ocsf, record_id};

/// The sourcetype of all events.
const SOURCETYPE: &str = "deskgate:ocsf";

/// One event: the OCSF event, with what Splunk keeps beside it. The field `deskgate_record` names the record, which may come twice.
pub fn hec_event(record: &AuditRecord, org: &str) -> Value {
    let link = record.link();
    let (seconds, micros) = (link.at.micros().div_euclid(1_000_000), link.at.micros().rem_euclid(1_000_000));
    json!({
        "time": format!("{seconds}.{micros:06}"),
        "host": link.device.to_string(),
        "source": "deskgate.audit",
        "sourcetype": SOURCETYPE,
        "fields": { "deskgate_record": record_id(record), "deskgate_org": org },
        "event": ocsf(record, org),
    })
}
