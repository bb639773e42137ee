//! A text in one case, and where its parts stand in the text as it reads.

use std::ops::Range;

/// A text whose characters are all in one case. Every letter and its other forms become the same: `Σ`, `σ` and `ς`; `ß` and `SS`.
#[derive(Debug)]
pub(crate) struct Folded {
    text: String,
    /// The characters that became longer or shorter, in their order.
    turns: Vec<Turn>,
    /// How long the text was.
    length: usize,
}

#[derive(Debug)]
struct Turn {
    folded: Range<usize>,
    read: Range<usize>,
}

impl Folded {
    pub(crate) fn of(read: &str) -> Self {
        if read.is_ascii() {
            return Self { text: read.to_ascii_lowercase(), turns: Vec::new(), length: read.len() };
        }
        let mut text = String::with_capacity(read.len());
        let mut turns = Vec::new();
        for (at, c) in read.char_indices() {
            let start = text.len();
            text.extend(c.to_uppercase().flat_map(char::to_lowercase));
            // Where one became several, a part of them has no place of its own.
            let is_one = text.get(start..).is_some_and(|part| part.chars().nth(1).is_none());
            if !is_one || text.len() - start != c.len_utf8() {
                turns.push(Turn { folded: start..text.len(), read: at..at + c.len_utf8() });
            }
        }
        Self { text, turns, length: read.len() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Where a part of the folded text stands in the text as it reads: with the whole of the characters at its ends.
    pub(crate) fn read(&self, part: &Range<usize>) -> Range<usize> {
        let start = self.place(part.start, |turn| turn.read.start);
        let end = self.place(part.end, |turn| turn.read.end);
        start..end.min(self.length)
    }

    fn place(&self, at: usize, within: impl Fn(&Turn) -> usize) -> usize {
        let behind = self.turns.partition_point(|turn| turn.folded.start < at);
        match behind.checked_sub(1).and_then(|last| self.turns.get(last)) {
            Some(turn) if at < turn.folded.end => within(turn),
            Some(turn) => turn.read.end + (at - turn.folded.end),
            None => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_place() {
        let read = "aİb ŉ ÜSSßx ΣςK";
        let folded = Folded::of(read);
        assert_eq!(folded.text(), "ai\u{307}b \u{2bc}n üssssx σσk");
        let place = |part: &str| {
            let at = folded.text().find(part).expect("a part");
            read.get(folded.read(&(at..at + part.len()))).expect("on boundaries of characters")
        };
        for (part, expected) in [
            ("a", "a"),
            ("i", "İ"),
            ("\u{307}b", "İb"),
            ("n ü", "ŉ Ü"),
            ("üs", "ÜS"),
            ("üsss", "ÜSSß"),
            ("x σ", "x Σ"),
            ("k", "K"),
        ] {
            assert_eq!(place(part), expected, "{part}");
        }
    }
}
