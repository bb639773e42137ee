//! Which personal data are erased from records: everything about one person, everything before a time, or both.

use std::collections::BTreeSet;

use model::{Subject, Timestamp};

use super::{AuditRecord, CallContext, LineFault, RecordBody};

/// What is to be erased. Every record is shown to [`Erasure::learn`] before any is to [`Erasure::apply`]: outcomes know people by
/// their subject alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Subject or e-mail address.
    person: Option<String>,
    before: Option<Timestamp>,
    /// The person's issuers and subjects.
    known: BTreeSet<(String, String)>,
    /// What they are called: each is looked for in facts.
    names: BTreeSet<String>,
}

impl Erasure {
    /// Of a person (subject or e-mail address), of records before a time, or both. `None` where neither is given.
    pub fn of(person: Option<String>, before: Option<Timestamp>) -> Option<Self> {
        let person = person.filter(|person| !person.trim().is_empty());
        let names = person.iter().cloned().collect();
        (person.is_some() || before.is_some()).then_some(Self {
            person,
            before,
            known: BTreeSet::new(),
            names,
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

    /// Notes by what names a record knows the person.
    pub fn learn(&mut self, record: &AuditRecord) {
        let Some(subject) = subject(record.body()).filter(|subject| self.is_named(subject)) else { return };
        let subject = subject.clone();
        self.names.insert(subject.subject.clone());
        self.names.extend(subject.email);
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
            self.is_about(&outcome.of)
        } else {
            self.person.is_none() || subject(record.body()).is_some_and(|subject| self.is_named(subject))
        };
        record.without_personal(|_, value| is_about || self.names_them(value))
    }

    /// Whether a call that goes on is of the person; `at` is not before it was begun.
    pub fn covers(&self, call: &CallContext, at: Timestamp) -> bool {
        self.before.is_none_or(|before| at < before) && self.is_about(call)
    }

    fn is_about(&self, call: &CallContext) -> bool {
        let known = (call.issuer.clone(), call.subject.clone());
        self.person.as_ref().is_none_or(|person| *person == call.subject) || self.known.contains(&known)
    }

    fn is_named(&self, subject: &Subject) -> bool {
        self.person.as_ref().is_some_and(|person| {
            let email = subject.email.as_ref();
            subject.subject == *person || email.is_some_and(|email| email.eq_ignore_ascii_case(person))
        })
    }

    /// Whether a value has one of the person's names in it as a word of its own.
    fn names_them(&self, value: &str) -> bool {
        self.names.iter().any(|name| {
            value.match_indices(name.as_str()).any(|(at, _)| {
                let before = value.get(..at).and_then(|text| text.chars().next_back());
                let after = value.get(at + name.len()..).and_then(|text| text.chars().next());
                !before.is_some_and(is_of_a_word) && !after.is_some_and(is_of_a_word)
            })
        })
    }
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@')
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
