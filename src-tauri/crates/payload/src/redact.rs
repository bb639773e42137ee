//! Takes what was found out of a text, and puts the text back into its JSON.

use std::collections::BTreeMap;
use std::ops::Range;

use org_protocol::PayloadAction;

use crate::spans::Span;

/// The text with marks in place of the parts that are to be taken out; `None` where there are none.
pub(crate) fn marked(text: &str, spans: &[Span], mark: impl Fn(usize) -> String) -> Option<String> {
    let mut clean = String::new();
    let mut kept = 0;
    for span in spans.iter().filter(|span| span.action == PayloadAction::Redact) {
        clean.push_str(text.get(kept..span.range.start)?);
        clean.push_str(&mark(span.rule));
        kept = span.range.end;
    }
    if kept == 0 {
        return None;
    }
    clean.push_str(text.get(kept..)?);
    Some(clean)
}

/// A JSON text with other tokens in the place of some.
#[derive(Default)]
pub(crate) struct Rewriting {
    tokens: Vec<(Range<usize>, String)>,
    /// How often a name was written: members of one object must not be called alike.
    names: BTreeMap<String, usize>,
}

impl Rewriting {
    /// A text, or what stands in a number's place.
    pub(crate) fn text(&mut self, token: Range<usize>, text: &str) {
        self.tokens.push((token, serde_json::Value::from(text).to_string()));
    }

    /// A member's name.
    pub(crate) fn name(&mut self, token: Range<usize>, name: String) {
        let count = self.names.entry(name.clone()).or_default();
        *count += 1;
        let name = if *count == 1 { name } else { format!("{name} {count}") };
        self.text(token, &name);
    }

    /// The text; everything else passes to the digit. `None` where nothing is written anew.
    pub(crate) fn written(self, json: &str) -> Option<String> {
        if self.tokens.is_empty() {
            return None;
        }
        let mut clean = String::with_capacity(json.len());
        let mut kept = 0;
        for (token, text) in self.tokens {
            clean.push_str(json.get(kept..token.start)?);
            clean.push_str(&text);
            kept = token.end;
        }
        clean.push_str(json.get(kept..)?);
        Some(clean)
    }
}
