//! Personal data in records, which can be erased later while the chain stays whole.
//!
//! What is digested of a line names each personal field by its place in the body (a JSON pointer, RFC 6901) and by a salted digest:
//! `"personal_digests":{"/subject":"sha256:.."}`. The values stand with their salts behind the line's own digest:
//! `"personal":[{"at":"/subject","salt":"..","value":..}]`. A digest is the SHA-256 of the salt's 32 hexadecimal digits and the value's
//! JSON as it stands in the line. Erasing takes value and salt away together: without the salt, which is random, nobody can try
//! which value the digest was made of.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::{Digest, Subject};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::body::{DenialRecord, EpochRecord, EventRecord, IntentRecord, OutcomeRecord};
use super::silent::{GapRecord, HeartbeatRecord};
use super::{ArgumentSummary, Effect, to_one_line};

/// What stands for the issuer and subject of a person whose data were erased. No identity provider has this address.
const ERASED: &str = "erased";

/// The person of a record from which they were erased.
pub(super) fn erased_subject() -> Subject {
    Subject { issuer: ERASED.to_owned(), name: None, ..Subject::local(ERASED) }
}

/// Whether the person of a record was erased from it.
pub fn is_erased(subject: &Subject) -> bool {
    (subject.issuer.as_str(), subject.subject.as_str()) == (ERASED, ERASED)
}

/// A personal field as a line has it behind its digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonalField<'l> {
    /// Where in the body its value belongs.
    #[serde(borrow)]
    pub(super) at: Cow<'l, str>,
    #[serde(borrow)]
    salt: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) value: &'l RawValue,
}

/// The digests of a line's personal fields, by their place.
pub(super) type Digests<'l> = BTreeMap<Cow<'l, str>, Digest>;

/// Reads the fields behind a line's digest, if each is what its digest says and none is there twice; in the order of their places.
pub(super) fn checked<'l>(text: &'l str, digests: &Digests<'_>) -> Option<Vec<PersonalField<'l>>> {
    let fields: Vec<PersonalField<'l>> = serde_json::from_str(text).ok()?;
    let is_true = |field: &PersonalField<'_>| {
        field.salt.len() == SALT_DIGITS
            && digests.get(&field.at).is_some_and(|digest| *digest == salted(&field.salt, field.value.get()))
    };
    let in_order = fields.windows(2).all(|pair| matches!(pair, [one, next] if one.at < next.at));
    (!fields.is_empty() && in_order && fields.iter().all(is_true)).then_some(fields)
}

/// A body with its personal fields in their places; nothing where one has no place.
pub(super) fn joined(body: &str, fields: &[PersonalField<'_>]) -> Result<Value, serde_json::Error> {
    let mut body: Value = serde_json::from_str(body)?;
    for field in fields {
        let value: Value = serde_json::from_str(field.value.get())?;
        let (parent, name) = field.at.rsplit_once('/').unwrap_or_default();
        let Some(Value::Object(parent)) = place(&mut body, parent) else {
            return Err(invalid("a personal field has no place"));
        };
        if parent.insert(name.to_owned(), value).is_some() {
            return Err(invalid("a personal field stands in the place of another"));
        }
    }
    Ok(body)
}

/// Where a field belongs. A member that would be empty without its personal fields is not written.
fn place<'b>(body: &'b mut Value, parent: &str) -> Option<&'b mut Value> {
    if body.pointer(parent).is_none()
        && let (Some(name), Value::Object(members)) = (parent.strip_prefix('/'), &mut *body)
    {
        members.insert(name.to_owned(), Value::Object(serde_json::Map::new()));
    }
    body.pointer_mut(parent)
}

/// The two members that a line has for its personal fields, as JSON; empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Members {
    pub(super) digests: String,
    pub(super) values: String,
}

const SALT_BYTES: usize = 16;
const SALT_DIGITS: usize = 2 * SALT_BYTES;

fn salted(salt: &str, value: &str) -> Digest {
    Digest::of(format!("{salt}{value}").as_bytes())
}

fn invalid(what: impl std::fmt::Display) -> serde_json::Error {
    <serde_json::Error as serde::de::Error>::custom(what)
}

/// The personal fields that were taken out of a body.
#[derive(Default)]
pub(super) struct Taken(BTreeMap<String, String>);

impl Taken {
    fn take<T: Serialize>(&mut self, at: impl Into<String>, value: &T) -> Result<(), serde_json::Error> {
        self.0.insert(at.into(), to_one_line(value)?);
        Ok(())
    }

    fn text(&mut self, at: impl Into<String>, text: &mut String) -> Result<(), serde_json::Error> {
        if text.is_empty() { Ok(()) } else { self.take(at, &std::mem::take(text)) }
    }

    fn option<T: Serialize>(&mut self, at: &str, value: &mut Option<T>) -> Result<(), serde_json::Error> {
        value.take().map_or(Ok(()), |value| self.take(at, &value))
    }

    fn subject(&mut self, subject: &mut Subject) -> Result<(), serde_json::Error> {
        if is_erased(subject) {
            return Ok(());
        }
        self.take("/subject", &std::mem::replace(subject, erased_subject()))
    }

    fn effect(&mut self, below: &str, effect: &mut Effect) -> Result<(), serde_json::Error> {
        effect.uri_mut().map_or(Ok(()), |uri| self.text(format!("{below}/resource/uri"), uri))
    }

    fn arguments(&mut self, summary: &mut ArgumentSummary) -> Result<(), serde_json::Error> {
        for (at, argument) in summary.arguments.iter_mut().enumerate() {
            self.option(&format!("/arguments/arguments/{at}/value"), &mut argument.value)?;
        }
        Ok(())
    }

    /// Salts them.
    pub(super) fn members(self) -> Result<Members, serde_json::Error> {
        if self.0.is_empty() {
            return Ok(Members::default());
        }
        let mut random = vec![0; SALT_BYTES * self.0.len()];
        getrandom::fill(&mut random).map_err(invalid)?;
        let salts: Vec<String> = random.chunks(SALT_BYTES).map(hex::encode).collect();
        let digests: BTreeMap<&str, Digest> =
            self.0.iter().zip(&salts).map(|((at, value), salt)| (at.as_str(), salted(salt, value))).collect();
        let fields = self.0.iter().zip(&salts).map(|((at, value), salt)| {
            let value: &RawValue = serde_json::from_str(value)?;
            Ok(PersonalField { at: Cow::Borrowed(at), salt: Cow::Borrowed(salt), value })
        });
        let fields = fields.collect::<Result<Vec<_>, serde_json::Error>>()?;
        Ok(Members { digests: to_one_line(&digests)?, values: to_one_line(&fields)? })
    }
}

/// A body whose personal fields can be taken out. What is left reads as a body from which they were erased.
pub(super) trait Erasable: Clone + Serialize {
    /// Takes them out.
    fn take_personal(&mut self, taken: &mut Taken) -> Result<(), serde_json::Error>;
}

impl Erasable for IntentRecord {
    fn take_personal(&mut self, taken: &mut Taken) -> Result<(), serde_json::Error> {
        taken.subject(&mut self.subject)?;
        taken.effect("", &mut self.effect)?;
        taken.text("/client_name", &mut self.client_name)?;
        taken.option("/process", &mut self.process)?;
        if let Some(approval) = &mut self.approval {
            taken.option("/approval/signed", &mut approval.signed)?;
        }
        taken.arguments(&mut self.arguments)
    }
}

impl Erasable for OutcomeRecord {
    fn take_personal(&mut self, taken: &mut Taken) -> Result<(), serde_json::Error> {
        taken.text("/of/subject", &mut self.of.subject)?;
        taken.effect("/of", &mut self.of.effect)
    }
}

impl Erasable for DenialRecord {
    fn take_personal(&mut self, taken: &mut Taken) -> Result<(), serde_json::Error> {
        taken.subject(&mut self.subject)?;
        taken.effect("", &mut self.effect)?;
        taken.text("/client_name", &mut self.client_name)?;
        taken.option("/process", &mut self.process)?;
        self.arguments.as_mut().map_or(Ok(()), |arguments| taken.arguments(arguments))
    }
}

impl Erasable for EventRecord {
    fn take_personal(&mut self, taken: &mut Taken) -> Result<(), serde_json::Error> {
        taken.option("/subject", &mut self.subject)?;
        for name in super::AuditEvent::PERSONAL_FACTS {
            if let Some(value) = self.facts.remove(*name) {
                taken.take(format!("/facts/{name}"), &value)?;
            }
        }
        Ok(())
    }
}

impl Erasable for EpochRecord {
    fn take_personal(&mut self, taken: &mut Taken) -> Result<(), serde_json::Error> {
        taken.text("/detail", &mut self.detail)
    }
}

impl Erasable for GapRecord {
    fn take_personal(&mut self, taken: &mut Taken) -> Result<(), serde_json::Error> {
        taken.text("/reason", &mut self.reason)
    }
}

impl Erasable for HeartbeatRecord {
    fn take_personal(&mut self, _: &mut Taken) -> Result<(), serde_json::Error> {
        Ok(())
    }
}

/// A line without those of its personal fields of which `is_erased` says so, by place and value, and how many those are; given the
/// line as it is without any of them, and open.
pub(super) fn without(
    sealed: &str,
    fields: &[PersonalField<'_>],
    is_erased: impl Fn(&str, &str) -> bool,
) -> Result<(String, u64), serde_json::Error> {
    let left: Vec<_> =
        fields.iter().filter(|field| !is_erased(&field.at, field.value.get())).cloned().collect();
    let erased = (fields.len() - left.len()) as u64;
    let mut text = sealed.to_owned();
    if !left.is_empty() {
        push_values(&mut text, &to_one_line(&left)?);
    }
    text.push('}');
    Ok((text, erased))
}

/// Writes the member with the values, where there is any, into an object that is still open.
pub(super) fn push_values(text: &mut String, values: &str) {
    if !values.is_empty() {
        text.push_str(r#","personal":"#);
        text.push_str(values);
    }
}

/// A line without its personal fields and without its last brace, given the JSON of those fields.
pub(super) fn sealed<'l>(line: &'l str, values: Option<&str>) -> Option<&'l str> {
    let open = line.strip_suffix('}')?;
    match values {
        None => Some(open),
        Some(values) => open.strip_suffix(values)?.strip_suffix(r#","personal":"#),
    }
}
