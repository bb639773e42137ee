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
        let behind = spans.partition_point(|span| span.range.start <= hit.range.start);
        let span = behind.checked_sub(1).and_then(|at| spans.get(at));
        hit.action = span.map_or(hit.action, |span| span.action);
    }
    spans
}

/// Parts of a text that do not lie on each other, in their order: to ask for one costs little, however many there are.
#[derive(Debug, Default)]
pub(crate) struct Covered(Vec<Range<usize>>);

impl Covered {
    /// Of any ranges; those that lie on each other become one.
    pub(crate) fn of(mut ranges: Vec<Range<usize>>) -> Self {
        ranges.sort_by_key(|range| (range.start, range.end));
        let mut parts: Vec<Range<usize>> = Vec::new();
        for range in ranges {
            match parts.last_mut().filter(|part| range.start < part.end) {
                Some(part) => part.end = part.end.max(range.end),
                None => parts.push(range),
            }
        }
        Self(parts)
    }

    /// Whether any part of the range is covered.
    pub(crate) fn meets(&self, range: &Range<usize>) -> bool {
        self.first_behind(range.start).is_some_and(|part| part.start < range.end)
    }

    /// Whether the whole range lies in one part.
    pub(crate) fn contains(&self, range: &Range<usize>) -> bool {
        self.first_behind(range.start).is_some_and(|part| part.start <= range.start && range.end <= part.end)
    }

    /// The first part that does not end at or before this place.
    fn first_behind(&self, at: usize) -> Option<&Range<usize>> {
        self.0.get(self.0.partition_point(|part| part.end <= at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(range: Range<usize>, action: PayloadAction) -> Hit {
        Hit { range, rule: 0, class: String::new(), action }
    }

    #[test]
    fn each_hit_has_the_action_of_its_part() {
        let (log, block) = (PayloadAction::Log, PayloadAction::Block);
        let mut hits = [hit(8..12, log), hit(0..4, log), hit(4..8, log), hit(6..7, block), hit(10..13, log)];
        let parts: Vec<_> = spans(&mut hits).into_iter().map(|span| (span.range, span.action)).collect();
        assert_eq!(parts, [(0..4, log), (4..8, block), (8..13, log)]);
        assert_eq!(hits.map(|hit| hit.action), [log, block, block, log, log]);
    }

    #[test]
    fn what_is_covered_is_known() {
        let covered = Covered::of(vec![10..14, 2..4, 12..16, 4..6]);
        assert!(covered.contains(&(2..4)) && covered.contains(&(11..16)) && covered.contains(&(5..6)));
        assert!(!covered.contains(&(3..5)) && !covered.contains(&(9..11)) && !covered.contains(&(16..17)));
        assert!(covered.meets(&(3..5)) && covered.meets(&(9..11)) && covered.meets(&(0..20)));
        assert!(!covered.meets(&(0..2)) && !covered.meets(&(6..10)) && !covered.meets(&(16..20)));
    }
}
