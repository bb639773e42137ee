//! JSON Schemas of what IT writes, so that an editor completes it and marks mistakes while it is written. `bundle check` finds more.
//!
//! Files name theirs in their first line (`#:schema`), which is how Even Better TOML and Taplo are told.

use std::path::{Path, PathBuf};

use org_protocol::{ConnectorSpec, OrgSettings, RecordLine, ServerSpec};
use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::cases::CaseFile;
use super::files::replace;

/// The schemas by the name of their file.
pub fn schemas() -> [(&'static str, Value); 5] {
    [
        ("org.schema.json", schema::<OrgSettings>("org.toml")),
        ("connector.schema.json", schema::<ConnectorSpec>("A file in connectors/")),
        ("server.schema.json", schema::<ServerSpec>("A file in servers/")),
        ("tests.schema.json", schema::<CaseFile>("A file in tests/")),
        ("audit-record.schema.json", schema::<RecordLine>("An audit record, one line")),
    ]
}

/// Writes the schemas into a folder. Returns the files.
///
/// # Errors
/// The path and what the system said.
pub fn write_schemas(folder: &Path) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
    let write = |(name, schema): (&str, Value)| {
        let path = folder.join(name);
        let text = format!("{schema:#}\n");
        replace(&path, text.as_bytes()).map_err(|fault| (path.clone(), fault))?;
        Ok(path)
    };
    schemas().into_iter().map(write).collect()
}

/// In draft 7, which every editor knows.
fn schema<T: schemars::JsonSchema>(title: &str) -> Value {
    let mut schema: Schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    let mut schema = schema.to_value();
    plain_descriptions(&mut schema);
    schema
}

/// Descriptions come from the code's own, where names are links.
pub(crate) fn plain_descriptions(schema: &mut Value) {
    match schema {
        Value::Object(entries) => {
            for (key, value) in entries.iter_mut() {
                match value {
                    Value::String(text) if key == "description" => *text = without_links(text),
                    Value::String(_)
                    | Value::Object(_)
                    | Value::Array(_)
                    | Value::Null
                    | Value::Bool(_)
                    | Value::Number(_) => plain_descriptions(value),
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(plain_descriptions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let (name, after) = link.split_once("`]").unwrap_or((link, ""));
        let after = after
            .strip_prefix('(')
            .and_then(|target| target.split_once(')'))
            .map_or(after, |(_, after)| after);
        let name = name.rsplit("::").next().unwrap_or(name);
        plain += &format!("{before}`{name}`");
        rest = after;
    }
    (plain + rest).replace('\n', " ")
}

#[cfg(test)]
mod tests;
