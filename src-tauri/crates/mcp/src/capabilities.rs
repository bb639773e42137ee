//! What an assistant can do when it is asked (MCP 2026-07-28, basic/lifecycle, "Client Capabilities").

use std::sync::{Arc, LazyLock};

use serde_json::value::RawValue;

use crate::ask::AskKind;
use crate::canonical::canonical;
use crate::raw::{RawObject, raw};

/// The longest declaration that is passed on, in bytes; one that is longer counts as none.
const LONGEST: usize = 16 * 1024;
const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// What an assistant declared, less what is not relayed. Connectors are told exactly this and never more. Cheap to clone;
/// two declarations that mean the same are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Capabilities {
    text: Arc<str>,
    asks: Asks,
    tasks: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Asks {
    sampling: bool,
    roots: bool,
    form: bool,
    url: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        static NONE: LazyLock<Arc<str>> = LazyLock::new(|| "{}".into());
        Self { text: Arc::clone(&NONE), asks: Asks::default(), tasks: false }
    }
}

impl Capabilities {
    /// Reads a declaration; what is none declares nothing.
    pub fn read(declared: Option<&RawValue>) -> Self {
        let Some(mut object) = declared.filter(|text| text.get().len() <= LONGEST).and_then(RawObject::parse)
        else {
            return Self::default();
        };
        if object.is_empty() {
            return Self::default();
        }
        // Tasks as they were in revisions with sessions are not relayed. That roots changed is not told: whoever wants them
        // asks each time.
        object.retain(|key| key != "tasks");
        if object.member("roots").is_some() {
            object.set("roots", raw(&serde_json::json!({})));
        }
        let extensions = object.member("extensions").and_then(RawObject::parse);
        let tasks = extensions.is_some_and(|extensions| extensions.member(TASKS_EXTENSION).is_some());
        let asks = Asks::of(&object);
        Self { text: canonical(&object.to_raw()).into(), asks, tasks }
    }

    /// What a session is opened with: the extension of tasks needs requests that stand alone.
    pub fn of_session(declared: Option<&RawValue>) -> Self {
        let mut object = declared.and_then(RawObject::parse).unwrap_or_default();
        let extensions = object.member("extensions").and_then(RawObject::parse).map(|mut extensions| {
            extensions.retain(|key| key != TASKS_EXTENSION);
            extensions.to_raw()
        });
        if let Some(extensions) = extensions {
            object.set("extensions", extensions);
        }
        Self::read(Some(&object.to_raw()))
    }

    /// Whether a call may begin a task instead of being answered.
    pub fn tasks(&self) -> bool {
        self.tasks
    }

    /// Whether it can be asked this.
    pub fn allow(&self, kind: AskKind) -> bool {
        match kind {
            AskKind::Sampling => self.asks.sampling,
            AskKind::Roots => self.asks.roots,
            AskKind::Form => self.asks.form,
            AskKind::Url => self.asks.url,
        }
    }

    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        &*self.text == "{}"
    }

    /// Whether it can be asked anything.
    pub fn any_asks(&self) -> bool {
        self.asks != Asks::default()
    }

    /// The declaration as connectors are told.
    pub fn to_raw(&self) -> Box<RawValue> {
        RawValue::from_string(self.text.as_ref().to_owned()).unwrap_or_else(|_| raw(&serde_json::json!({})))
    }
}

impl Asks {
    fn of(declared: &RawObject<'_>) -> Self {
        let elicitation = declared.member("elicitation").and_then(RawObject::parse);
        let url = elicitation.as_ref().is_some_and(|modes| modes.member("url").is_some());
        // Before there were modes, forms were all there was.
        let form = elicitation.as_ref().is_some_and(|modes| !url || modes.member("form").is_some());
        Self {
            sampling: declared.member("sampling").is_some(),
            roots: declared.member("roots").is_some(),
            form,
            url,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Capabilities {
        Capabilities::read(Some(serde_json::from_str(text).unwrap()))
    }

    #[test]
    fn what_is_declared_is_passed_on_but_for_what_is_not_relayed() {
        let declared = read(
            r#"{"sampling":{"tools":{}},"roots":{"listChanged":true},"tasks":{"list":{}},"vendor":1.50,
                "extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["a"]}}}"#,
        );
        assert!(!declared.tasks());
        let tasks = serde_json::from_str(r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#).unwrap();
        assert!(Capabilities::read(Some(tasks)).tasks());
        assert!(!Capabilities::of_session(Some(tasks)).tasks());
        assert_eq!(
            declared.to_raw().get(),
            concat!(
                r#"{"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["a"]}},"roots":{},"#,
                r#""sampling":{"tools":{}},"vendor":1.50}"#
            )
        );
        assert_eq!(declared, read(&declared.to_raw().get().replace("\":", "\" :  ")));
    }

    #[test]
    fn only_what_was_declared_can_be_asked() {
        let allowed = |text: &str| {
            let declared = read(text);
            [AskKind::Sampling, AskKind::Roots, AskKind::Form, AskKind::Url].map(|kind| declared.allow(kind))
        };
        assert_eq!(allowed("{}"), [false; 4]);
        assert_eq!(allowed(r#"{"sampling":{},"roots":{}}"#), [true, true, false, false]);
        assert_eq!(allowed(r#"{"elicitation":{}}"#), [false, false, true, false]);
        assert_eq!(allowed(r#"{"elicitation":{"url":{}}}"#), [false, false, false, true]);
        assert_eq!(allowed(r#"{"elicitation":{"url":{},"form":{}}}"#), [false, false, true, true]);
        assert_eq!(allowed(r#"{"sampling":null,"elicitation":7}"#), [true, false, false, false]);
    }

    #[test]
    fn what_is_no_declaration_declares_nothing() {
        for text in ["null", "[]", "7"] {
            assert!(read(text).is_empty(), "{text}");
        }
        let long = format!(r#"{{"sampling":{{}},"x":"{}"}}"#, "x".repeat(LONGEST));
        assert!(read(&long).is_empty());
        assert!(Capabilities::read(None).is_empty());
    }
}
