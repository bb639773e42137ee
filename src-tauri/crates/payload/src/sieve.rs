//! The rules that one payload has to pass.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use org_protocol::{PayloadAction, PersonalData};

use crate::finding::Finding;
use crate::places::{Place, PlaceKind, places, text};
use crate::redact::{Rewriting, marked};
use crate::rules::Rule;
use crate::spans::{Hit, Span, spans};
use crate::{personal, secrets};

/// How much text of one payload is looked through, in bytes. What is left is taken for found by rules that ask or block, and refused by those
/// that would have to take something out of it.
pub const MOST_SCANNED: usize = 4 * 1024 * 1024;
/// Values that are longer are looked at without their names.
const LONGEST_NAMED: usize = 64 * 1024;
/// A text in one piece of base64 that is longer, under a name by which MCP carries pictures and files, is not looked through.
const LEAST_ENCODED: usize = 256;
/// Numbers with fewer digits are nobody's.
const LEAST_DIGITS: usize = 9;
/// The most findings that are kept apart; a payload that is full of them is no better known by more.
const MOST_FINDINGS: usize = 10_000;

/// The rules that a payload has to pass; one at least. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sieve {
    rules: Arc<[Arc<Rule>]>,
}

/// What came of looking through a payload.
#[derive(Debug, Clone, Default)]
pub struct Screened {
    /// What was found.
    pub findings: Vec<Finding>,
    /// The payload without what is taken out; `None` where nothing is.
    pub redacted: Option<String>,
    rules: Vec<Arc<Rule>>,
}

/// How a payload passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// It passes, without what was taken out.
    Freely,
    /// It passes if a person says so.
    IfApproved(Vec<Asking>),
    /// It does not.
    Not {
        /// The rules, by their ids.
        rules: Vec<String>,
        /// Which rules and why, for assistants and people. Nothing of the payload.
        words: String,
    },
}

/// A rule that asks a person, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// The rule, by its id.
    pub rule: String,
    /// Why, what was found and where, for the person. Nothing of the payload.
    pub reason: String,
    /// The rule as it was written: an approval is for this and no other.
    pub terms: String,
}

impl Screened {
    /// Adds what was found in another part of the same payload.
    pub fn join(&mut self, other: Self) {
        self.findings.extend(other.findings);
    }

    /// Nothing passes of which something was to be taken out and could not be.
    pub fn block(&mut self) {
        self.redacted = None;
        for finding in self.findings.iter_mut().filter(|finding| finding.action == PayloadAction::Redact) {
            finding.action = PayloadAction::Block;
        }
    }

    /// How the payload passes.
    pub fn passed(&self) -> Passed {
        let with = |action| {
            let of = |rule: &&Arc<Rule>| {
                self.findings.iter().any(|finding| finding.action == action && finding.rule == rule.id())
            };
            self.rules.iter().filter(of).collect::<Vec<_>>()
        };
        let blocking = with(PayloadAction::Block);
        if !blocking.is_empty() {
            let rules: Vec<String> = blocking.iter().map(|rule| rule.id().to_owned()).collect();
            let cited: Vec<String> = blocking.iter().map(|rule| rule.cited()).collect();
            let classes = self.classes(|finding| finding.action == PayloadAction::Block);
            let words = format!("{}. Found: {}.", cited.join("; "), classes.join(", "));
            return Passed::Not { rules, words };
        }
        let asking = with(PayloadAction::Ask);
        if asking.is_empty() {
            return Passed::Freely;
        }
        Passed::IfApproved(asking.into_iter().map(|rule| self.asking(rule)).collect())
    }

    fn asking(&self, rule: &Rule) -> Asking {
        let is_its = |finding: &Finding| finding.rule == rule.id() && finding.action == PayloadAction::Ask;
        let places: BTreeSet<&str> = self
            .findings
            .iter()
            .filter(|finding| is_its(finding))
            .map(|finding| finding.pointer.as_str())
            .collect();
        let named: Vec<&str> = places
            .iter()
            .copied()
            .take(3)
            .map(|place| if place.is_empty() { "the whole" } else { place })
            .collect();
        let more =
            if places.len() > 3 { format!(" and {} more places", places.len() - 3) } else { String::new() };
        let reason = format!(
            "{}: found {} at {}{more}.",
            rule.cited(),
            self.classes(is_its).join(", "),
            named.join(", ")
        );
        Asking {
            rule: rule.id().to_owned(),
            reason,
            terms: serde_json::to_string(&rule.written).unwrap_or_default(),
        }
    }

    fn classes(&self, of: impl Fn(&Finding) -> bool) -> Vec<&str> {
        let found: BTreeSet<&str> = self
            .findings
            .iter()
            .filter(|finding| of(finding))
            .map(|finding| finding.class.as_str())
            .collect();
        found.into_iter().collect()
    }
}

impl Sieve {
    pub(crate) fn of(rules: Vec<Arc<Rule>>) -> Option<Self> {
        (!rules.is_empty()).then(|| Self { rules: rules.into() })
    }

    /// Looks through every text, number and name of a JSON text.
    pub fn json(&self, json: &str) -> Screened {
        let mut work = Work {
            sieve: self,
            json,
            left: MOST_SCANNED,
            rewriting: Rewriting::default(),
            found: Vec::new(),
        };
        let mut marked_names: BTreeSet<usize> = BTreeSet::new();
        let all = places(json);
        for place in &all {
            let before = work.found.len();
            work.place(place);
            if place.kind == PlaceKind::Name && work.found.len() > before {
                marked_names.insert(place.token.start);
            }
        }
        let Work { found, rewriting, .. } = work;
        let pointer = |place: &Place| place.pointer(json, |name| marked_names.contains(&name.start));
        let mut findings = Vec::new();
        for (place, hits) in found {
            let pointer = pointer(place);
            findings.extend(hits.into_iter().map(|hit| self.finding(hit, pointer.clone())));
        }
        Screened { findings, redacted: rewriting.written(json), rules: self.rules.to_vec() }
    }

    /// What is known of a payload through which nobody could look: it counts as one in which everything was found.
    pub fn unseen(&self) -> Screened {
        let findings = self.unscanned(0).into_iter().map(|hit| self.finding(hit, String::new())).collect();
        Screened { findings, redacted: None, rules: self.rules.to_vec() }
    }

    /// Looks through a text of which nothing can be taken out, such as a URI: a rule that would have to blocks it.
    pub fn whole(&self, text: &str, pointer: &str) -> Screened {
        let mut hits = self.hits(None, text);
        for hit in &mut hits {
            if hit.action == PayloadAction::Redact {
                hit.action = PayloadAction::Block;
            }
        }
        spans(&mut hits);
        let findings = hits.into_iter().map(|hit| self.finding(hit, pointer.to_owned())).collect();
        Screened { findings, redacted: None, rules: self.rules.to_vec() }
    }

    fn finding(&self, hit: Hit, pointer: String) -> Finding {
        let rule = self.rules.get(hit.rule).map(|rule| rule.id().to_owned()).unwrap_or_default();
        Finding { rule, class: hit.class, action: hit.action, pointer, range: hit.range }
    }

    /// What the rules find in a text, which is the value of a member of this name.
    fn hits(&self, name: Option<&str>, text: &str) -> Vec<Hit> {
        if text.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<(Range<usize>, usize, String)> = Vec::new();
        let each = |wants: &dyn Fn(&Rule) -> bool| -> Vec<usize> {
            self.rules.iter().enumerate().filter(|(_, rule)| wants(rule)).map(|(at, _)| at).collect()
        };
        if self.rules.iter().any(|rule| rule.wants_secrets()) {
            for (id, range) in self.secrets(name, text) {
                let class = format!("secrets:{id}");
                found.extend(
                    each(&|rule| rule.wants_secret(id))
                        .into_iter()
                        .map(|at| (range.clone(), at, class.clone())),
                );
            }
        }
        for kind in PersonalData::ALL {
            let wanting = each(&|rule| rule.wants(kind));
            if wanting.is_empty() {
                continue;
            }
            let class = format!("personal_data.{}", kind.as_str());
            for range in personal::find(kind, text) {
                found.extend(wanting.iter().map(|at| (range.clone(), *at, class.clone())));
            }
        }
        for (at, rule) in self.rules.iter().enumerate() {
            for (class, own) in &rule.own {
                found.extend(own.find(text).into_iter().map(|range| (range, at, class.clone())));
            }
        }
        let marks = self.marks(text);
        let is_mark = |range: &Range<usize>| {
            marks.iter().any(|mark| mark.start <= range.start && range.end <= mark.end)
        };
        found
            .into_iter()
            .filter(|(range, ..)| !is_mark(range))
            .filter_map(|(range, rule, class)| {
                let action = self.rules.get(rule)?.action();
                Some(Hit { range, rule, class, action })
            })
            .collect()
    }

    /// Secrets are often known by what they are called: a value is looked at together with its name.
    fn secrets(&self, name: Option<&str>, text: &str) -> Vec<(&'static str, Range<usize>)> {
        let wanted = |id: &str| self.rules.iter().any(|rule| rule.wants_secret(id));
        let head = match name.filter(|name| name.len() + text.len() <= LONGEST_NAMED) {
            Some(name) => format!("\"{name}\": \""),
            None => String::new(),
        };
        let found = if head.is_empty() {
            secrets::find(text, wanted)
        } else {
            secrets::find(&format!("{head}{text}\""), wanted)
        };
        found
            .into_iter()
            .filter_map(|secret| {
                let start = secret.range.start.saturating_sub(head.len());
                let end = secret.range.end.saturating_sub(head.len()).min(text.len());
                (start < end).then_some((secret.rule, start..end))
            })
            .collect()
    }

    /// Where marks of these rules stand already: who comes after somebody who took something out finds nothing there.
    fn marks(&self, text: &str) -> Vec<Range<usize>> {
        if !text.contains("[redacted: ") {
            return Vec::new();
        }
        let of = |rule: &Arc<Rule>| {
            let mark = rule.mark();
            text.match_indices(&mark).map(|(at, _)| at..at + mark.len()).collect::<Vec<_>>()
        };
        self.rules.iter().flat_map(of).collect()
    }

    /// What was not looked at counts as found, and cannot be taken out.
    fn unscanned(&self, length: usize) -> Vec<Hit> {
        let rules = self.rules.iter().enumerate();
        rules
            .map(|(at, rule)| {
                let action = match rule.action() {
                    PayloadAction::Redact => PayloadAction::Block,
                    action @ (PayloadAction::Log | PayloadAction::Ask | PayloadAction::Block) => action,
                };
                Hit { range: 0..length, rule: at, class: "unscanned".to_owned(), action }
            })
            .collect()
    }
}

struct Work<'s, 'p> {
    sieve: &'s Sieve,
    json: &'p str,
    left: usize,
    rewriting: Rewriting,
    found: Vec<(&'p Place, Vec<Hit>)>,
}

impl<'p> Work<'_, 'p> {
    fn place(&mut self, place: &'p Place) {
        let token = self.json.get(place.token.clone()).unwrap_or_default();
        let read = match place.kind {
            PlaceKind::Number if token.len() < LEAST_DIGITS => return,
            PlaceKind::Number => token.to_owned(),
            PlaceKind::Name | PlaceKind::Text => match text(self.json, &place.token) {
                Some(read) => read,
                None => return self.found.push((place, self.sieve.unscanned(token.len()))),
            },
        };
        let name = place.name().and_then(|name| text(self.json, &name));
        if is_encoded(name.as_deref(), &read) {
            return;
        }
        if read.len() > self.left || self.found.len() >= MOST_FINDINGS {
            self.left = 0;
            return self.found.push((place, self.sieve.unscanned(read.len())));
        }
        self.left -= read.len();
        let mut hits = self.sieve.hits(name.as_deref(), &read);
        if hits.is_empty() {
            return;
        }
        let parts: Vec<Span> = spans(&mut hits);
        let mark = |rule: usize| self.sieve.rules.get(rule).map(|rule| rule.mark()).unwrap_or_default();
        if let Some(clean) = marked(&read, &parts, mark) {
            match place.kind {
                PlaceKind::Name => self.rewriting.name(place.token.clone(), clean),
                PlaceKind::Text | PlaceKind::Number => self.rewriting.text(place.token.clone(), &clean),
            }
        }
        self.found.push((place, hits));
    }
}

/// A picture, a sound or a file in base64 (MCP, `ImageContent.data`, `BlobResourceContents.blob`).
fn is_encoded(name: Option<&str>, text: &str) -> bool {
    let is_of_base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    matches!(name, Some("data" | "blob")) && text.len() > LEAST_ENCODED && text.bytes().all(is_of_base64)
}
