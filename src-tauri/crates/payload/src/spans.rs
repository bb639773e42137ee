//! Things that were found in one text, put together where they lie on each other.

use std::ops::Range;

use org_protocol::PayloadAction;

/// Something that a rule found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) range: Range<usize>,
    /// Which of the rules.
    pub(crate) rule: usize,
    pub(crate) class: String,
    pub(crate) action: PayloadAction,
}

/// A part of a text in which something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) range: Range<usize>,
    /// The strictest of what becomes of what was found in it.
    pub(crate) action: PayloadAction,
    /// The rule that says so, the first of them.
    pub(crate) rule: usize,
}

/// The parts, in their order. Each hit then has the action of its part: where two rules find the same, the stricter decides.
pub(crate) fn spans(hits: &mut [Hit]) -> Vec<Span> {
    hits.sort_by(|a, b| {
        (a.range.start, a.range.end, a.rule, &a.class).cmp(&(b.range.start, b.range.end, b.rule, &b.class))
    });
    let mut spans: Vec<Span> = Vec::new();
    for hit in &*hits {
        match spans.last_mut().filter(|span| hit.range.start < span.range.end) {
            Some(span) => {
                span.range.end = span.range.end.max(hit.range.end);
                if hit.action > span.action {
                    (span.action, span.rule) = (hit.action, hit.rule);
                }
            }
            None => spans.push(Span { range: hit.range.clone(), action: hit.action, rule: hit.rule }),
        }
    }
    for hit in hits {
        let span =
            spans.iter().find(|span| span.range.start <= hit.range.start && hit.range.end <= span.range.end);
        hit.action = span.map_or(hit.action, |span| span.action);
    }
    spans
}
