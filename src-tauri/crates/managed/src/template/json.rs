//! A file for `/etc/deskgate/managed.d`. JSON has no comments: what each name means is in the other templates.

use serde_json::{Map, Value, json};

use crate::setting::{Kind, Setting};

/// The file, with a value for each setting that shows how it is written.
pub(super) fn file() -> String {
    let entries = Setting::ALL.map(|setting| {
        let sample = setting.sample();
        let value = match setting.kind() {
            Kind::Text | Kind::Secret => json!(sample.concat()),
            Kind::Flag => json!(sample.concat() == "true"),
            Kind::List => json!(sample),
        };
        (setting.name().to_owned(), value)
    });
    format!("{:#}\n", Value::Object(Map::from_iter(entries)))
}
