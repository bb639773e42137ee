//! Reading audit records.

use serde_json::{Map, Value};

/// A record's line, with what can be erased of it in its places in the body, as whoever reads it means it.
///
/// # Errors
/// If it is no JSON.
pub fn read_record(line: &str) -> Result<Value, serde_json::Error> {
    let mut record: Value = serde_json::from_str(line)?;
    let fields = record["personal"].as_array().cloned().unwrap_or_default();
    for field in fields {
        let (parent, name) = field["at"].as_str().and_then(|at| at.rsplit_once('/')).unwrap_or_default();
        let body = &mut record["body"];
        if body.pointer(parent).is_none() {
            body[parent.trim_start_matches('/')] = Value::Object(Map::new());
        }
        if let Some(parent) = body.pointer_mut(parent) {
            parent[name] = field["value"].clone();
        }
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_can_be_erased_is_in_its_place() {
        let line = r#"{"body":{"event":"start"},"personal":[{"at":"/facts/by","salt":"","value":"a"},{"at":"/subject","salt":"","value":{"subject":"s"}}]}"#;
        let body = json!({"event": "start", "facts": {"by": "a"}, "subject": {"subject": "s"}});
        assert_eq!(read_record(line).expect("JSON")["body"], body);
    }
}
