//! Secrets, by the rules of gitleaks: its configuration lies beside this crate as it was published, and is read here by its own terms
//! (keywords, expression, group, entropy, lists of what is allowed).
//!
//! What differs: there are no paths and commits here, so rules for files of some name are left out ([`left_out`]) and lists that allow by
//! path allow nothing; a comment `gitleaks:allow` in a payload is anybody's to write, and means nothing.

use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::{AhoCorasick, MatchKind};
use regex::bytes::{Captures, Regex, RegexBuilder};
use serde::Deserialize;

use crate::entropy::entropy;
use crate::spans::Covered;

/// Which state of the rule set this is: the release that it follows, and the commit that changed it last.
pub const RULE_SET_VERSION: &str =
    "gitleaks 8.30.1, config/gitleaks.toml of commit 09242ce9c8a60d9b051fc2d166f9e849b88c7ac0";

const RULES: &str = include_str!("../rules/gitleaks.toml");
/// The most memory that an expression may compile to, in bytes.
const LARGEST_REGEX: usize = 64 * 1024 * 1024;
/// The rule that finds whatever is assigned to a name that sounds like a secret: where another finds the same, that one is meant.
const GENERIC: &str = "generic-api-key";
/// How far around a match its line is looked at, in bytes: a text of one line would be looked at again for every match. What a longer line
/// would have allowed counts as found.
const LINE_AROUND: usize = 1024;

/// A rule of the set that cannot be looked for here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its id.
    pub id: String,
    /// Why.
    pub why: String,
}

/// The ids of the rules that are looked for.
pub fn rule_ids() -> Vec<&'static str> {
    SET.rules.iter().map(|rule| rule.id.as_str()).collect()
}

/// The rules that are not looked for, after trying every expression.
pub fn left_out() -> Vec<LeftOut> {
    let broken = SET.rules.iter().filter_map(|rule| {
        let why = rule.broken()?;
        Some(LeftOut { id: rule.id.clone(), why })
    });
    SET.of_files.iter().cloned().chain(broken).collect()
}

/// Whether a rule of this id is in the set and can be looked for.
pub(crate) fn is_known(id: &str) -> bool {
    SET.rules.iter().any(|rule| rule.id == id && rule.regex().is_some())
}

/// A secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    pub(crate) rule: &'static str,
    pub(crate) range: Range<usize>,
}

/// Every secret in a text, by those rules that are `wanted`.
pub(crate) fn find(text: &str, wanted: impl Fn(&str) -> bool) -> Vec<Secret> {
    let mut found: Vec<Secret> = SET
        .suspected(text)
        .into_iter()
        .filter(|rule| wanted(&rule.id))
        .flat_map(|rule| rule.find(text).into_iter().map(|range| Secret { rule: &rule.id, range }))
        .collect();
    let by_others = found.iter().filter(|one| one.rule != GENERIC).map(|one| one.range.clone());
    let by_others = Covered::of(by_others.collect());
    found.retain(|one| one.rule != GENERIC || !by_others.meets(&one.range));
    found
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default)]
    allowlist: WrittenAllow,
    rules: Vec<WrittenRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenRule {
    id: String,
    regex: Option<String>,
    path: Option<String>,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    secret_group: usize,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    allowlists: Vec<WrittenAllow>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct WrittenAllow {
    #[serde(default)]
    condition: String,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    regex_target: String,
    #[serde(default)]
    regexes: Vec<String>,
    #[serde(default)]
    stopwords: Vec<String>,
}

static SET: LazyLock<Set> = LazyLock::new(Set::read);

struct Set {
    rules: Vec<Rule>,
    of_files: Vec<LeftOut>,
    allow: Allow,
    keywords: Option<AhoCorasick>,
    /// The rules that a keyword belongs to.
    of_keyword: Vec<Vec<usize>>,
}

impl Set {
    fn read() -> Self {
        // A test reads it whole; were it ever broken, every rule that looks for secrets would be refused.
        let Ok(written) = toml::from_str::<Written>(RULES) else {
            tracing::error!("the rule set of secrets cannot be read");
            return Self {
                rules: Vec::new(),
                of_files: Vec::new(),
                allow: Allow::default(),
                keywords: None,
                of_keyword: Vec::new(),
            };
        };
        let (mut rules, mut of_files) = (Vec::new(), Vec::new());
        for rule in written.rules {
            match (rule.regex, rule.path) {
                (Some(source), None) => rules.push(Rule {
                    id: rule.id,
                    source,
                    compiled: OnceLock::new(),
                    entropy: rule.entropy,
                    group: rule.secret_group,
                    keywords: rule.keywords.iter().map(|word| word.to_ascii_lowercase()).collect(),
                    allow: rule.allowlists.into_iter().filter_map(Allow::of).collect(),
                }),
                (_, Some(_)) | (None, None) => {
                    of_files.push(LeftOut { id: rule.id, why: "it is about files of some name".to_owned() });
                }
            }
        }
        let mut words: Vec<String> = rules.iter().flat_map(|rule| rule.keywords.iter().cloned()).collect();
        words.sort();
        words.dedup();
        let of_keyword = words
            .iter()
            .map(|word| {
                (0..rules.len())
                    .filter(|at| rules.get(*at).is_some_and(|rule| rule.keywords.contains(word)))
                    .collect()
            })
            .collect();
        let keywords = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(&words)
            .ok();
        let allow = Allow::of(written.allowlist).unwrap_or_default();
        Self { rules, of_files, allow, keywords, of_keyword }
    }

    /// The rules whose keywords are in the text.
    fn suspected(&self, text: &str) -> Vec<&Rule> {
        let mut is_suspected = vec![false; self.rules.len()];
        for found in self.keywords.iter().flat_map(|keywords| keywords.find_overlapping_iter(text)) {
            for rule in self.of_keyword.get(found.pattern().as_usize()).into_iter().flatten() {
                if let Some(one) = is_suspected.get_mut(*rule) {
                    *one = true;
                }
            }
        }
        let rules = self.rules.iter().zip(is_suspected);
        rules.filter(|(rule, found)| *found || rule.keywords.is_empty()).map(|(rule, _)| rule).collect()
    }
}

struct Rule {
    id: String,
    source: String,
    /// Compiled when a text has one of the keywords for the first time: most never are.
    compiled: OnceLock<Option<Regex>>,
    entropy: f64,
    group: usize,
    keywords: Vec<String>,
    allow: Vec<Allow>,
}

impl Rule {
    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| compile(&self.source).ok()).as_ref()
    }

    /// Why the rule is of no use, where it is of none.
    fn broken(&self) -> Option<String> {
        let whole = compile(&self.source).err().map(|fault| fault.to_string());
        whole.or_else(|| self.allow.iter().find_map(|allow| allow.broken.clone()))
    }

    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let Some(regex) = self.regex() else { return Vec::new() };
        let secret = |found: Captures<'_>| {
            let whole = found.get(0)?;
            let secret = self.secret(&found)?;
            let bytes = secret.as_bytes();
            let is_plain = self.entropy > 0.0 && entropy(bytes) <= self.entropy;
            let is_allowed =
                |allow: &Allow| allow.allows(bytes, whole.as_bytes(), || line(text, &whole.range()));
            (!is_plain && !is_allowed(&SET.allow) && !self.allow.iter().any(is_allowed))
                .then(|| on_boundaries(text, secret.range()))
        };
        regex.captures_iter(text.as_bytes()).filter_map(secret).collect()
    }

    /// The group that the rule names, the first that has anything in it, or the whole.
    fn secret<'t>(&self, found: &Captures<'t>) -> Option<regex::bytes::Match<'t>> {
        if self.group > 0 {
            return found.get(self.group);
        }
        let groups = found.iter().skip(1).flatten();
        groups.into_iter().find(|group| !group.is_empty()).or_else(|| found.get(0))
    }
}

/// What is no secret although a rule finds it.
#[derive(Default)]
struct Allow {
    target: Target,
    regexes: Vec<Regex>,
    stopwords: Option<AhoCorasick>,
    broken: Option<String>,
}

#[derive(Default)]
enum Target {
    #[default]
    Secret,
    Match,
    Line,
}

impl Allow {
    /// `None` where it allows by path, and only together with that.
    fn of(written: WrittenAllow) -> Option<Self> {
        let WrittenAllow { condition, paths, regex_target, regexes, stopwords } = written;
        let needs_path = condition.eq_ignore_ascii_case("and") && !paths.is_empty();
        if needs_path {
            return None;
        }
        let target = match regex_target.as_str() {
            "match" => Target::Match,
            "line" => Target::Line,
            _ => Target::Secret,
        };
        let mut broken = None;
        let mut compiled = Vec::new();
        for source in &regexes {
            match compile(source) {
                Ok(regex) => compiled.push(regex),
                Err(fault) => broken = Some(fault.to_string()),
            }
        }
        let stopwords = (!stopwords.is_empty())
            .then(|| AhoCorasick::builder().ascii_case_insensitive(true).build(stopwords).ok())
            .flatten();
        Some(Self { target, regexes: compiled, stopwords, broken })
    }

    fn allows<'t>(&self, secret: &'t [u8], whole: &'t [u8], line: impl Fn() -> &'t [u8]) -> bool {
        let target = match self.target {
            Target::Secret => secret,
            Target::Match => whole,
            Target::Line => line(),
        };
        self.regexes.iter().any(|regex| regex.is_match(target))
            || self.stopwords.as_ref().is_some_and(|words| words.is_match(secret))
    }
}

/// The lines in which a match lies, as far as they are near.
fn line<'t>(text: &'t str, range: &Range<usize>) -> &'t [u8] {
    let bytes = text.as_bytes();
    let first = range.start.saturating_sub(LINE_AROUND);
    let head = bytes.get(first..range.start).unwrap_or_default();
    let start = head.iter().rposition(|byte| *byte == b'\n').map_or(first, |at| first + at + 1);
    let last = range.end.saturating_add(LINE_AROUND).min(bytes.len());
    let rest = bytes.get(range.end..last).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b'\n').map_or(last, |at| range.end + at);
    bytes.get(start..end).unwrap_or_default()
}

/// The range without half a character at either end: expressions are of bytes.
fn on_boundaries(text: &str, range: Range<usize>) -> Range<usize> {
    text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end)
}

/// An expression of the rule set, which is written for Go: classes such as `\w` are of ASCII there.
fn compile(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&from_go(source)).unicode(false).size_limit(LARGEST_REGEX).build()
}

/// Where Go takes a character for itself that the crate `regex` takes for something else: `{` that counts nothing, and `[`, `&` and `~` within
/// a class.
fn from_go(source: &str) -> String {
    let mut written = String::with_capacity(source.len() + 8);
    let mut rest = source.chars();
    let mut in_class = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                written.push(c);
                written.extend(rest.next());
            }
            '[' if in_class && rest.as_str().starts_with(':') => {
                // A class by name, `[:alnum:]`.
                written.push(c);
                for c in rest.by_ref() {
                    written.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' | '&' | '~' if in_class => written.extend(['\\', c]),
            '[' => {
                in_class = true;
                written.push(c);
                // A bracket that comes first closes nothing.
                if rest.as_str().starts_with("^]") {
                    written.push_str("^\\]");
                    rest.next();
                    rest.next();
                } else if rest.as_str().starts_with(']') {
                    written.push_str("\\]");
                    rest.next();
                }
            }
            ']' if in_class => {
                in_class = false;
                written.push(c);
            }
            '{' if !in_class && !counts(rest.as_str()) => written.push_str("\\{"),
            c => written.push(c),
        }
    }
    written
}

/// Whether what follows `{` says how often: `3}`, `3,}` or `3,5}`.
fn counts(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match inside.split_once(',') {
        Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
        None => is_number(inside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_rule_set_is_read_and_what_is_left_out_is_known() {
        assert_eq!(rule_ids().len() + SET.of_files.len(), RULES.matches("[[rules]]").count());
        let left_out: Vec<String> = left_out().into_iter().map(|one| one.id).collect();
        assert_eq!(
            left_out,
            [
                "freemius-secret-key",
                "hashicorp-tf-password",
                "kubernetes-secret-yaml",
                "nuget-config-password",
                "pkcs12-file"
            ],
            "the README of the rule set says so"
        );
        assert!(SET.keywords.is_some() && !SET.allow.regexes.is_empty() && SET.allow.broken.is_none());
    }

    #[test]
    fn what_go_takes_for_itself_is_taken_for_itself() {
        assert_eq!(from_go(r"^\${(?:a{2,3}|[{[])}$"), r"^\$\{(?:a{2,3}|[{\[])}$");
        assert_eq!(from_go(r"[]a][^]b][[:alnum:]_]"), r"[\]a][^\]b][[:alnum:]_]");
    }

    #[test]
    fn of_a_long_line_only_what_is_near_is_looked_at() {
        assert_eq!(line("a\nbcd\ne", &(3..4)), b"bcd");
        assert_eq!(line("bcd", &(1..2)), b"bcd");
        let long = "x".repeat(1_000_000);
        assert_eq!(line(&long, &(500_000..500_010)).len(), 2 * LINE_AROUND + 10);
    }

    #[test]
    fn the_more_telling_rule_is_named() {
        let token = ["gl", "pat-", "Zx8Qw3Lp5Vn2Km7Rt4Ys"].concat();
        let text = format!("access_token = \"{token}\"");
        let found = find(&text, |_| true);
        assert_eq!(found.iter().map(|one| one.rule).collect::<Vec<_>>(), ["gitlab-pat"]);
        assert_eq!(text.get(found[0].range.clone()), Some(token.as_str()));
        assert!(find(&text, |id| id == "aws-access-token").is_empty());
    }
}
