//! Arguments, from JSON text to Cedar values: exact or refused. What policy evaluates is read from the very text that is
//! sent on, and nothing in that text may mean two things: no key twice, no number that Cedar would round.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::declared::UnknownFact;
use crate::facts::Target;
use crate::schema::{Arguments, NAME, URI};
use crate::shape::{Members, Shape};

/// Why arguments were not put before the policies. The places are JSON Pointers (RFC 6901) made of names that the tool
/// declares; what the caller wrote is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentFault {
    /// The text is not JSON, is nested too deeply, or holds a number or text that is beyond every reader.
    #[error("the arguments are not JSON that can be read in one way only")]
    NotJson,
    /// The arguments are not an object.
    #[error("the arguments are not an object")]
    NotAnObject,
    /// An object has a key twice.
    #[error("the arguments have a key twice")]
    DuplicateKey,
    /// A member that the tool does not declare.
    #[error("the arguments have a member that the tool does not declare{}", place(.0))]
    Undeclared(String),
    /// A required member is missing.
    #[error("the arguments lack {0}")]
    Missing(String),
    /// A value of another type.
    #[error("{at} is not {wanted}")]
    WrongType {
        /// The place.
        at: String,
        /// What the tool declares.
        wanted: &'static str,
    },
    /// A number that has no exact value in policy.
    #[error("{at} is out of the range that policy can decide on: {range}")]
    OutOfRange {
        /// The place.
        at: String,
        /// The range.
        range: &'static str,
    },
    /// A URI that leads to another one: `.` or `..` stands alone between its delimiters.
    #[error("the URI has a segment that leads elsewhere")]
    LeadsElsewhere,
    /// None of the fixed texts.
    #[error("{0} is none of the values that the tool declares")]
    NotAChoice(String),
    /// Facts that policies ask for cannot be told; one at least.
    #[error("{}", first(.0))]
    UnknownFacts(Vec<UnknownFact>),
}

impl ArgumentFault {
    /// The facts that cannot be told, where the arguments are what the tool declares.
    pub(crate) fn unknown_facts(&self) -> Option<&[UnknownFact]> {
        match self {
            Self::UnknownFacts(unknown) => Some(unknown),
            Self::NotJson
            | Self::NotAnObject
            | Self::DuplicateKey
            | Self::Undeclared(_)
            | Self::Missing(_)
            | Self::WrongType { .. }
            | Self::OutOfRange { .. }
            | Self::LeadsElsewhere
            | Self::NotAChoice(_) => None,
        }
    }
}

fn first(unknown: &[UnknownFact]) -> String {
    unknown.first().map_or_else(|| "a fact is not known".to_owned(), ToString::to_string)
}

fn place(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!(" in {at}") }
}

/// What policies read of one call.
///
/// # Errors
/// The first [`ArgumentFault`].
pub(crate) fn input(
    target: &Target<'_>,
    declared: &Arguments,
) -> Result<RestrictedExpression, ArgumentFault> {
    match target {
        Target::Tool { arguments, .. } => convert(arguments, declared),
        Target::Resource { uri } if leads_elsewhere(uri) => Err(ArgumentFault::LeadsElsewhere),
        Target::Resource { uri } => single(URI, uri),
        Target::Prompt { name, .. } => single(NAME, name),
    }
}

fn single(member: &str, text: &str) -> Result<RestrictedExpression, ArgumentFault> {
    let fields = [(member.to_owned(), RestrictedExpression::new_string(text.to_owned()))];
    RestrictedExpression::new_record(fields).map_err(|_| ArgumentFault::DuplicateKey)
}

/// Whether a URI has dot segments (RFC 3986, section 5.2.4), written plainly or percent-encoded. Who resolves
/// `file:///public/../private` reads something else than a policy that compares texts.
fn leads_elsewhere(uri: &str) -> bool {
    // Some readers drop white space and control characters, also within dot segments (WHATWG URL, section 4.4).
    if uri.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return true;
    }
    let plain = uri.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    plain.split(['/', '\\', ':', '?', '#']).any(|segment| matches!(segment, "." | ".."))
}

/// Converts the arguments of one call.
///
/// # Errors
/// The first [`ArgumentFault`].
pub(crate) fn convert(text: &str, arguments: &Arguments) -> Result<RestrictedExpression, ArgumentFault> {
    scan(text)?;
    let mut conversion = Conversion { unread: &arguments.unread, count: 0, at: String::new() };
    let object = serde_json::from_str(text).map_err(|_| ArgumentFault::NotAnObject)?;
    conversion.record(object, &arguments.members)
}

type Object<'a> = BTreeMap<String, &'a RawValue>;

struct Conversion<'a> {
    unread: &'a EntityTypeName,
    /// Values that are not read: each is an entity of its own, equal to nothing else.
    count: u32,
    at: String,
}

impl Conversion<'_> {
    fn record(
        &mut self,
        mut object: Object<'_>,
        members: &Members,
    ) -> Result<RestrictedExpression, ArgumentFault> {
        let mut fields = Vec::with_capacity(object.len());
        for (name, member) in members {
            match object.remove(name.as_str()) {
                Some(value) if value.get() == "null" && member.optional => {}
                Some(value) => {
                    let value = self.below(name, |conversion| conversion.value(value, &member.shape))?;
                    fields.push((name.clone(), value));
                }
                None if member.optional => {}
                None => return Err(ArgumentFault::Missing(format!("{}/{}", self.at, escaped(name)))),
            }
        }
        if !object.is_empty() {
            return Err(ArgumentFault::Undeclared(self.at.clone()));
        }
        // The names are unique, which is all that could be wrong.
        RestrictedExpression::new_record(fields).map_err(|_| ArgumentFault::DuplicateKey)
    }

    fn value(&mut self, value: &RawValue, shape: &Shape) -> Result<RestrictedExpression, ArgumentFault> {
        let text = value.get();
        match shape {
            Shape::Bool => match text {
                "true" => Ok(RestrictedExpression::new_bool(true)),
                "false" => Ok(RestrictedExpression::new_bool(false)),
                _ => Err(self.wrong("true or false")),
            },
            Shape::Long => self.long(text).map(RestrictedExpression::new_long),
            Shape::Decimal => self.decimal(text).map(RestrictedExpression::new_decimal),
            Shape::Text => self.text(text).map(RestrictedExpression::new_string),
            Shape::Choice(choices) => {
                let text = self.text(text)?;
                if choices.contains(&text) {
                    Ok(RestrictedExpression::new_string(text))
                } else {
                    Err(ArgumentFault::NotAChoice(self.at.clone()))
                }
            }
            Shape::List(item) => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| self.wrong("an array"))?;
                let mut values = Vec::with_capacity(items.len());
                for (index, value) in items.into_iter().enumerate() {
                    values.push(self.below(&index.to_string(), |conversion| conversion.value(value, item))?);
                }
                Ok(RestrictedExpression::new_set(values))
            }
            Shape::Record(members) => {
                let object = serde_json::from_str(text).map_err(|_| self.wrong("an object"))?;
                self.record(object, members)
            }
            Shape::Unread => {
                self.count += 1;
                let id = EntityId::new(self.count.to_string());
                let entity = EntityUid::from_type_name_and_id(self.unread.clone(), id);
                Ok(RestrictedExpression::new_entity_uid(entity))
            }
        }
    }

    fn below<T>(&mut self, name: &str, convert: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.at.len();
        self.at.push('/');
        self.at.push_str(&escaped(name));
        let found = convert(self);
        self.at.truncate(length);
        found
    }

    fn text(&self, text: &str) -> Result<String, ArgumentFault> {
        serde_json::from_str(text).map_err(|_| self.wrong("a string"))
    }

    fn long(&self, text: &str) -> Result<i64, ArgumentFault> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.wrong("an integer"));
        }
        text.parse().map_err(|_| ArgumentFault::OutOfRange { at: self.at.clone(), range: "64 bits" })
    }

    fn decimal(&self, text: &str) -> Result<String, ArgumentFault> {
        if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return Err(self.wrong("a number"));
        }
        ten_thousandths(text).map(decimal_text).ok_or_else(|| ArgumentFault::OutOfRange {
            at: self.at.clone(),
            range: "four decimal places, below 922337203685477.5808",
        })
    }

    fn wrong(&self, wanted: &'static str) -> ArgumentFault {
        ArgumentFault::WrongType { at: self.at.clone(), wanted }
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A JSON number (RFC 8259, section 6) in units of 0.0001, if it is a whole number of them.
fn ten_thousandths(number: &str) -> Option<i64> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    if digits == 0 {
        return Some(0);
    }
    let shift = exponent.checked_add(4)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let units = if shift >= 0 {
        digits.checked_mul(power)?
    } else if digits % power == 0 {
        digits / power
    } else {
        return None;
    };
    i64::try_from(units).ok()
}

fn decimal_text(units: i64) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let units = units.unsigned_abs();
    format!("{sign}{}.{:04}", units / 10_000, units % 10_000)
}

/// Refuses what is not JSON or has a key twice, at any depth.
fn scan(text: &str) -> Result<(), ArgumentFault> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let scanned = Scan.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    scanned.map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ArgumentFault::DuplicateKey,
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => ArgumentFault::NotJson,
    })
}

/// Takes any JSON; its only complaint of its own is a key that occurs twice.
#[derive(Clone, Copy)]
struct Scan;

impl<'de> DeserializeSeed<'de> for Scan {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if !seen.insert(key) {
                return Err(A::Error::custom("a key twice"));
            }
            members.next_value_seed(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
