//! Patterns of the organisation's own.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use org_protocol::PayloadPattern;
use regex::{Regex, RegexBuilder};

use crate::fault::PayloadFault;

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
                    .ascii_case_insensitive(true)
                    .match_kind(MatchKind::LeftmostLongest)
                    .build(words)
            })
            .transpose()
            .map_err(|_| PayloadFault::Words(name.to_owned()))?;
        Ok(Self { regex, words })
    }

    /// Every place at which it is found.
    pub(crate) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let matched = self.regex.iter().flat_map(|regex| regex.find_iter(text)).map(|found| found.range());
        let is_whole = |range: &Range<usize>| {
            let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let before = text.get(..range.start).and_then(|head| head.chars().next_back());
            let after = text.get(range.end..).and_then(|rest| rest.chars().next());
            !joins(before) && !joins(after)
        };
        let worded = self.words.iter().flat_map(|words| words.find_iter(text)).map(|found| found.range());
        matched.chain(worded.filter(is_whole)).filter(|range| !range.is_empty()).collect()
    }
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

    #[test]
    fn words_are_whole_and_of_any_case() {
        let own = Own::compile("p", &pattern(None, &["Blue Heron", "Heron"])).expect("a pattern");
        assert_eq!(own.find("the BLUE heron, a heron; herons"), [4..14, 18..23]);
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
