//! The words of a text or a name, as they are compared: parts of names apart, endings cut, fillers left out.

use bm25::Tokenizer;
use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation as _;

/// English words that say nothing of what a tool does.
const FILLERS: [&str; 28] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "how", "i", "in", "into", "is", "it",
    "my", "of", "on", "or", "that", "the", "this", "to", "want", "which", "with", "you",
];

/// Splits text into words.
pub(super) struct Words(Stemmer);

impl Default for Words {
    fn default() -> Self {
        Self(Stemmer::create(Algorithm::English))
    }
}

impl Words {
    /// The words of a text. A name of several parts is there by its parts and as a whole, so that whoever knows it finds it.
    pub(super) fn of(&self, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        for word in text.unicode_words() {
            let parts = parts(word);
            if parts.len() > 1 {
                words.push(parts.concat());
            }
            let known = parts.iter().filter(|part| !FILLERS.contains(&part.as_str()));
            words.extend(known.map(|part| self.0.stem(part).into_owned()));
        }
        words
    }
}

impl Tokenizer for Words {
    fn tokenize(&self, text: &str) -> Vec<String> {
        self.of(text)
    }
}

/// The parts of a name, in small letters: `listHTTPRoutes_v2` is `list`, `http`, `routes` and `v2`.
fn parts(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let (mut parts, mut part) = (Vec::new(), String::new());
    for (at, &letter) in letters.iter().enumerate() {
        let follows_small = at > 0 && (letters[at - 1].is_lowercase() || letters[at - 1].is_numeric());
        let leads_small = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let begins = letter.is_uppercase() && (follows_small || leads_small);
        if !letter.is_alphanumeric() || begins {
            parts.push(std::mem::take(&mut part));
        }
        if letter.is_alphanumeric() {
            part.extend(letter.to_lowercase());
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_apart_at_marks_and_capitals() {
        let check = |name: &str, expected: &[&str]| assert_eq!(parts(name), expected, "{name}");
        check("create_issue", &["create", "issue"]);
        check("listHTTPRoutes_v2", &["list", "http", "routes", "v2"]);
        check("S3.getObject", &["s3", "get", "object"]);
        check("straßeÄndern", &["straße", "ändern"]);
        check("__", &[]);
    }

    #[test]
    fn words_are_compared_without_endings_and_fillers() {
        let words = |text: &str| Words::default().of(text);
        assert_eq!(words("Creating the issues"), words("create an issue"));
        assert_eq!(words("the of a"), [""; 0]);
        assert!(words("createIssue").contains(&"createissue".to_owned()));
        assert!(words("create_issue").contains(&"createissue".to_owned()));
        assert_eq!(words("東京 café"), ["東", "京", "café"]);
    }
}
