//! The rules that one payload has to pass.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;
use std::sync::Arc;

use org_protocol::{PayloadAction, PersonalData};
use serde_json::value::RawValue;

use crate::finding::Finding;
use crate::folded::Folded;
use crate::places::{Place, PlaceKind, text, walk};
use crate::redact::{Rewriting, marked};
use crate::rules::Rule;
use crate::spans::{Covered, Hit, Span, spans};
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
/// The most texts, numbers and names that are looked through: each costs something, however short it is.
const MOST_TEXTS: usize = 250_000;
/// The most findings of one payload; one that is full of them is no better known by more, and what is left counts as not looked through.
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

    /// The payload without what is taken out, as `read` makes it; `None` where nothing is. What cannot be put back together does not
    /// pass.
    pub fn rewritten<T>(&mut self, read: impl FnOnce(Box<RawValue>) -> Option<T>) -> Option<T> {
        let read = RawValue::from_string(self.redacted.take()?).ok().and_then(read);
        if read.is_none() {
            self.block();
        }
        read
    }

    /// Nothing passes of which something was to be taken out and could not be.
    fn block(&mut self) {
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
            texts: 0,
            rewriting: Rewriting::default(),
            marked_names: BTreeSet::new(),
            findings: Vec::new(),
        };
        walk(json, |place| work.place(place));
        let Work { findings, rewriting, .. } = work;
        Screened { findings, redacted: rewriting.written(json), rules: self.rules.to_vec() }
    }

    /// What is known of a payload through which nobody could look: it counts as one in which everything was found.
    pub fn unseen(&self) -> Screened {
        let findings = self.unscanned(0).into_iter().map(|hit| self.finding(hit, String::new())).collect();
        Screened { findings, redacted: None, rules: self.rules.to_vec() }
    }

    /// Looks through a text of which nothing can be taken out, such as a URI: a rule that would have to blocks it.
    pub fn whole(&self, text: &str, pointer: &str) -> Screened {
        let mut hits = self.hits(None, text, MOST_FINDINGS);
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

    /// What the rules find in a text, which is the value of a member of this name. Where it is more than `most`, that much, and that the text
    /// was not looked through.
    fn hits(&self, name: Option<&str>, text: &str, most: usize) -> Vec<Hit> {
        if text.is_empty() {
            return Vec::new();
        }
        let mut found = Found { marks: self.marks(text), most, hits: Vec::new(), has_more: false };
        let each = |wants: &dyn Fn(&Rule) -> bool| -> Vec<(usize, PayloadAction)> {
            let rules = self.rules.iter().enumerate().filter(|(_, rule)| wants(rule));
            rules.map(|(at, rule)| (at, rule.action())).collect()
        };
        if self.rules.iter().any(|rule| rule.wants_secrets()) {
            for (id, range) in self.secrets(name, text) {
                let class = format!("secrets:{id}");
                found.add(&range, &each(&|rule| rule.wants_secret(id)), &class);
            }
        }
        for kind in PersonalData::ALL {
            let wanting = each(&|rule| rule.wants(kind));
            if wanting.is_empty() {
                continue;
            }
            let class = format!("personal_data.{}", kind.as_str());
            for range in personal::find(kind, text) {
                found.add(&range, &wanting, &class);
            }
        }
        let folded = OnceCell::new();
        let fold = || Rc::clone(folded.get_or_init(|| Rc::new(Folded::of(text))));
        for (at, rule) in self.rules.iter().enumerate() {
            for (class, own) in &rule.own {
                for range in own.find(text, fold) {
                    found.add(&range, &[(at, rule.action())], class);
                }
            }
        }
        if found.has_more {
            found.hits.extend(self.unscanned(text.len()));
        }
        found.hits
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
    fn marks(&self, text: &str) -> Covered {
        if !text.contains("[redacted: ") {
            return Covered::default();
        }
        let of = |rule: &Arc<Rule>| {
            let mark = rule.mark();
            text.match_indices(&mark).map(|(at, _)| at..at + mark.len()).collect::<Vec<_>>()
        };
        Covered::of(self.rules.iter().flat_map(of).collect())
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

/// What is found in one text, no more than `most`.
struct Found {
    marks: Covered,
    most: usize,
    hits: Vec<Hit>,
    has_more: bool,
}

impl Found {
    /// Adds something that these rules found, unless a mark stands there already.
    fn add(&mut self, range: &Range<usize>, rules: &[(usize, PayloadAction)], class: &str) {
        if self.marks.contains(range) {
            return;
        }
        let room = self.most.saturating_sub(self.hits.len());
        self.has_more |= rules.len() > room;
        self.hits.extend(rules.iter().take(room).map(|(rule, action)| Hit {
            range: range.clone(),
            rule: *rule,
            class: class.to_owned(),
            action: *action,
        }));
    }
}

struct Work<'s, 'p> {
    sieve: &'s Sieve,
    json: &'p str,
    /// How much text may still be looked through, in bytes.
    left: usize,
    /// How many were looked through.
    texts: usize,
    rewriting: Rewriting,
    /// The names in which something was found, by where they stand.
    marked_names: BTreeSet<usize>,
    findings: Vec<Finding>,
}

impl Work<'_, '_> {
    /// Looks through a place; no further than the first for which nothing is left.
    fn place(&mut self, place: &Place<'_>) -> ControlFlow<()> {
        let token = self.json.get(place.token.clone()).unwrap_or_default();
        if place.kind == PlaceKind::Number && token.len() < LEAST_DIGITS {
            return ControlFlow::Continue(());
        }
        if self.texts >= MOST_TEXTS || self.findings.len() >= MOST_FINDINGS {
            return self.stop(place, token.len());
        }
        self.texts += 1;
        let read = match place.kind {
            PlaceKind::Number => token.to_owned(),
            PlaceKind::Name | PlaceKind::Text => match text(self.json, &place.token) {
                Some(read) => read,
                None => {
                    self.found(place, self.sieve.unscanned(token.len()));
                    return ControlFlow::Continue(());
                }
            },
        };
        let name = place.name().and_then(|name| text(self.json, &name));
        if is_encoded(name.as_deref(), &read) {
            return ControlFlow::Continue(());
        }
        if read.len() > self.left {
            return self.stop(place, read.len());
        }
        self.left -= read.len();
        let most = MOST_FINDINGS.saturating_sub(self.findings.len());
        let mut hits = self.sieve.hits(name.as_deref(), &read, most);
        if hits.is_empty() {
            return ControlFlow::Continue(());
        }
        let parts: Vec<Span> = spans(&mut hits);
        let mark = |rule: usize| self.sieve.rules.get(rule).map(|rule| rule.mark()).unwrap_or_default();
        if let Some(clean) = marked(&read, &parts, mark) {
            match place.kind {
                PlaceKind::Name => self.rewriting.name(place.token.clone(), clean),
                PlaceKind::Text | PlaceKind::Number => self.rewriting.text(place.token.clone(), &clean),
            }
        }
        self.found(place, hits);
        ControlFlow::Continue(())
    }

    /// From this place on, nothing is looked through.
    fn stop(&mut self, place: &Place<'_>, length: usize) -> ControlFlow<()> {
        self.found(place, self.sieve.unscanned(length));
        ControlFlow::Break(())
    }

    fn found(&mut self, place: &Place<'_>, hits: Vec<Hit>) {
        if place.kind == PlaceKind::Name {
            self.marked_names.insert(place.token.start);
        }
        let pointer = place.pointer(self.json, |name| self.marked_names.contains(&name.start));
        self.findings.extend(hits.into_iter().map(|hit| self.sieve.finding(hit, pointer.clone())));
    }
}

/// A picture, a sound or a file in base64 (MCP, `ImageContent.data`, `BlobResourceContents.blob`).
fn is_encoded(name: Option<&str>, text: &str) -> bool {
    let is_of_base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    matches!(name, Some("data" | "blob")) && text.len() > LEAST_ENCODED && text.bytes().all(is_of_base64)
}
