//! Which personal data are erased from records: everything about one person, everything before a time, or both.

use std::collections::BTreeSet;

use model::{CallId, DeviceId, Subject, Timestamp};
use serde_json::Value;

use super::{AuditRecord, CallContext, LineFault, RecordBody, is_erased};

/// A call of a chain: a device and the control plane can both have records of one call.
type Call = (DeviceId, CallId);

/// What is to be erased. Every record is shown to [`Erasure::learn`], in its chain's order, before any is to [`Erasure::apply`]:
/// outcomes know people by their subject alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Subject or e-mail address.
    person: Option<String>,
    before: Option<Timestamp>,
    /// The person's issuers and subjects.
    known: BTreeSet<(String, String)>,
    /// What they are called, folded: each is looked for in facts.
    names: BTreeSet<String>,
    /// The person's calls; and those whose intent was erased before, while the outcome still says whose they were: it was not there
    /// yet or had to wait, and nothing else leads to it any more.
    calls: BTreeSet<Call>,
}

impl Erasure {
    /// Of a person (subject or e-mail address), of records before a time, or both. `None` where neither is given.
    pub fn of(person: Option<String>, before: Option<Timestamp>) -> Option<Self> {
        let person = person.filter(|person| !person.trim().is_empty());
        let names = person.iter().map(|person| folded(person)).collect();
        (person.is_some() || before.is_some()).then_some(Self {
            person,
            before,
            known: BTreeSet::new(),
            names,
            calls: BTreeSet::new(),
        })
    }

    /// The person, as they were named.
    pub fn person(&self) -> Option<&str> {
        self.person.as_deref()
    }

    /// Records from then on are left alone.
    pub fn before(&self) -> Option<Timestamp> {
        self.before
    }

    /// Notes by what names a record knows the person, and which calls are theirs.
    pub fn learn(&mut self, record: &AuditRecord) {
        let device = record.link().device;
        if let RecordBody::Intent(intent) = record.body()
            && (is_erased(&intent.subject) || self.is_named(&intent.subject))
        {
            self.calls.insert((device, intent.call));
        }
        if let RecordBody::Outcome(outcome) = record.body()
            && outcome.of.subject.is_empty()
        {
            self.calls.remove(&(device, outcome.of.call));
        }
        let Some(subject) = subject(record.body()).filter(|subject| self.is_named(subject)) else { return };
        let subject = subject.clone();
        let names = [Some(&subject.subject), subject.email.as_ref()];
        self.names.extend(names.into_iter().flatten().map(|name| folded(name)));
        self.known.insert((subject.issuer, subject.subject));
    }

    /// The record without what is erased, and how many fields that are. `None` where nothing is.
    ///
    /// # Errors
    /// None in practice: what the JSON reader reports.
    pub fn apply(&self, record: &AuditRecord) -> Result<Option<(AuditRecord, u64)>, LineFault> {
        if self.before.is_some_and(|before| record.link().at >= before) {
            return Ok(None);
        }
        let is_about = if let RecordBody::Outcome(outcome) = record.body() {
            self.is_about(record.link().device, &outcome.of)
        } else {
            self.person.is_none() || subject(record.body()).is_some_and(|subject| self.is_named(subject))
        };
        record.without_personal(|_, value| is_about || self.names_them(value))
    }

    /// Whether a call of this device that goes on is of the person; `at` is not before it was begun.
    pub fn covers(&self, device: DeviceId, call: &CallContext, at: Timestamp) -> bool {
        self.before.is_none_or(|before| at < before) && self.is_about(device, call)
    }

    fn is_about(&self, device: DeviceId, call: &CallContext) -> bool {
        let known = (call.issuer.clone(), call.subject.clone());
        self.person.as_ref().is_none_or(|person| *person == call.subject)
            || self.known.contains(&known)
            || self.calls.contains(&(device, call.call))
    }

    fn is_named(&self, subject: &Subject) -> bool {
        self.person.as_ref().is_some_and(|person| {
            let email = subject.email.as_ref();
            subject.subject == *person || email.is_some_and(|email| folded(email) == folded(person))
        })
    }

    /// Whether a value, which is JSON, has one of the person's names in it as a word of its own.
    fn names_them(&self, value: &str) -> bool {
        if self.person.is_none() {
            return false;
        }
        // What cannot be read as JSON, which a line never has, is looked through as it stands.
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        self.is_in(&value)
    }

    fn is_in(&self, value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(_) => false,
            Value::Number(number) => self.is_in_text(&number.to_string()),
            Value::String(text) => self.is_in_text(text),
            Value::Array(values) => values.iter().any(|value| self.is_in(value)),
            Value::Object(members) => {
                members.iter().any(|(name, value)| self.is_in_text(name) || self.is_in(value))
            }
        }
    }

    fn is_in_text(&self, text: &str) -> bool {
        let text = folded(text);
        self.names.iter().filter(|name| !name.is_empty()).any(|name| {
            text.match_indices(name.as_str()).any(|(at, _)| {
                let before = text.get(..at).unwrap_or_default();
                let after = text.get(at + name.len()..).unwrap_or_default();
                !goes_on(before.chars().rev()) && !goes_on(after.chars())
            })
        })
    }
}

/// As names are compared: an address in capitals is the same address.
fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Whether a word goes on in what stands next to it. A `.` or `-` joins two parts of a word, and is none where nothing follows: the end
/// of a sentence.
fn goes_on(beside: impl Iterator<Item = char>) -> bool {
    let mut beside = beside.peekable();
    if beside.peek().is_some_and(|c| matches!(c, '_' | '+' | '@')) {
        return true;
    }
    beside.find(|c| !matches!(c, '.' | '-')).is_some_and(char::is_alphanumeric)
}

fn subject(body: &RecordBody) -> Option<&Subject> {
    match body {
        RecordBody::Intent(intent) => Some(&intent.subject),
        RecordBody::Denial(denial) => Some(&denial.subject),
        RecordBody::Event(event) => event.subject.as_ref(),
        RecordBody::Epoch(_)
        | RecordBody::Outcome(_)
        | RecordBody::Gap(_)
        | RecordBody::Heartbeat(_)
        | RecordBody::Unknown => None,
    }
}
