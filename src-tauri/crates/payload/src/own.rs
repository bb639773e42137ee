//! Patterns of the organisation's own.

use std::ops::Range;
use std::rc::Rc;

use aho_corasick::{AhoCorasick, MatchKind};
use org_protocol::PayloadPattern;
use regex::{Regex, RegexBuilder};

use crate::fault::PayloadFault;
use crate::folded::Folded;

/// The longest expression, in bytes.
const LONGEST_REGEX: usize = 1024;
/// The most memory that an expression may compile to, in bytes.
const LARGEST_REGEX: usize = 1024 * 1024;
/// The most words.
const MOST_WORDS: usize = 1000;
/// The longest word, in characters.
const LONGEST_WORD: usize = 128;

/// A pattern that can be looked for.
#[derive(Debug)]
pub(crate) struct Own {
    regex: Option<Regex>,
    words: Option<AhoCorasick>,
}

impl Own {
    pub(crate) fn compile(name: &str, pattern: &PayloadPattern) -> Result<Self, PayloadFault> {
        let PayloadPattern { regex, words } = pattern;
        if regex.is_none() && words.is_empty() {
            return Err(PayloadFault::Empty(name.to_owned()));
        }
        let is_word =
            |word: &String| !word.is_empty() && word.trim() == word && word.chars().count() <= LONGEST_WORD;
        if words.len() > MOST_WORDS || !words.iter().all(is_word) {
            return Err(PayloadFault::Words(name.to_owned()));
        }
        let regex = regex.as_deref().map(|text| expression(name, text)).transpose()?;
        let words = (!words.is_empty())
            .then(|| {
                AhoCorasick::builder()
                    .match_kind(MatchKind::Standard)
                    .build(words.iter().map(|word| Folded::of(word).into_text()))
            })
            .transpose()
            .map_err(|_| PayloadFault::Words(name.to_owned()))?;
        Ok(Self { regex, words })
    }

    /// Every place at which it is found in a text, which is given as it reads and folded.
    pub(crate) fn find(&self, text: &str, folded: impl FnOnce() -> Rc<Folded>) -> Vec<Range<usize>> {
        let matched = self.regex.iter().flat_map(|regex| regex.find_iter(text)).map(|found| found.range());
        let mut found: Vec<Range<usize>> = matched.filter(|range| !range.is_empty()).collect();
        if let Some(words) = &self.words {
            found.extend(whole_words(words, &folded()));
        }
        found
    }
}

/// Whole words, in the text as it reads. All that overlap are looked at, as the longest that begins somewhere may be no whole word where a
/// shorter one is (`Blue` and `Blue Heron` in `Blue Herons`); those that lie on each other become one.
fn whole_words(words: &AhoCorasick, folded: &Folded) -> Vec<Range<usize>> {
    let text = folded.text();
    let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let is_whole = |range: &Range<usize>| {
        let before = text.get(..range.start).and_then(|head| head.chars().next_back());
        let after = text.get(range.end..).and_then(|rest| rest.chars().next());
        !joins(before) && !joins(after)
    };
    // They come in the order of their ends.
    let mut found: Vec<Range<usize>> = Vec::new();
    for range in words.find_overlapping_iter(text).map(|word| word.range()).filter(is_whole) {
        while found.pop_if(|last| last.start >= range.start).is_some() {}
        match found.last_mut().filter(|last| last.end > range.start) {
            Some(last) => last.end = range.end,
            None => found.push(range),
        }
    }
    found.into_iter().map(|range| folded.read(&range)).collect()
}

fn expression(name: &str, text: &str) -> Result<Regex, PayloadFault> {
    let fault = |why: String| PayloadFault::Regex { name: name.to_owned(), why };
    if text.len() > LONGEST_REGEX {
        return Err(fault(format!("it has {} bytes, more than {LONGEST_REGEX}", text.len())));
    }
    let built = RegexBuilder::new(text).size_limit(LARGEST_REGEX).build();
    let regex =
        built.map_err(|why| fault(why.to_string().lines().last().unwrap_or_default().trim().to_owned()))?;
    if regex.is_match("") {
        return Err(fault("it is found in nothing, and so everywhere".to_owned()));
    }
    Ok(regex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(regex: Option<&str>, words: &[&str]) -> PayloadPattern {
        PayloadPattern {
            regex: regex.map(ToOwned::to_owned),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    fn found<'t>(words: &[&str], text: &'t str) -> Vec<&'t str> {
        let own = Own::compile("p", &pattern(None, words)).expect("a pattern");
        let ranges = own.find(text, || Rc::new(Folded::of(text)));
        ranges.into_iter().map(|range| text.get(range).expect("on boundaries of characters")).collect()
    }

    #[test]
    fn words_are_whole_and_of_any_case() {
        let words = ["Blue Heron", "Heron"];
        assert_eq!(found(&words, "the BLUE heron, a heron; herons"), ["BLUE heron", "heron"]);
        assert_eq!(found(&["Übersee", "Straße"], "in ÜBERSEE, STRASSE, ÜBERSEEN"), ["ÜBERSEE", "STRASSE"]);
        assert_eq!(found(&["ΟΔΟΣ"], "η οδος, οδός"), ["οδος"]);
        assert_eq!(found(&["heron"], "İİ heron ßŉ, \u{212a}heron, heron\u{307}"), ["heron", "heron"]);
    }

    #[test]
    fn a_longer_word_that_is_none_hides_no_shorter_one() {
        assert_eq!(found(&["Blue", "Blue Heron"], "Blue Herons"), ["Blue"]);
        assert_eq!(found(&["Blue", "Blue Heron"], "a blue heron"), ["blue heron"]);
        assert_eq!(found(&["Blue Heron", "Heron Lake"], "Blue Heron Lake"), ["Blue Heron Lake"]);
        assert_eq!(found(&["a b", "b", "x a b c", "c"], "x a b c"), ["x a b c"]);
        assert_eq!(found(&["a b", "x a b c"], "x a b d"), ["a b"]);
    }

    #[test]
    fn what_cannot_be_looked_for_is_refused_in_words() {
        for (regex, words, expected) in [
            (None, vec![], "neither regex nor words"),
            (Some("("), vec![], "cannot be used"),
            (Some("a*"), vec![], "found in nothing"),
            (Some("(a{1000}){1000}"), vec![], "cannot be used"),
            (Some("(?=a)b"), vec![], "look-around"),
            (None, vec![" a"], "not at most 1000 texts"),
        ] {
            let fault = Own::compile("p", &pattern(regex, &words)).expect_err("no pattern").to_string();
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
