//! What is recorded of a call's arguments: names, types, sizes and keyed digests; values only where the organisation
//! says so.
//!
//! A keyed digest lets somebody who holds the key confirm a value that they suspect, and tells equal values from
//! different ones; it gives away nothing to anybody else, however short the value is.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::Sha256;

const MOST_ARGUMENTS: usize = 64;
const DEEPEST: usize = 8;
const LONGEST_PATH: usize = 256;
const LONGEST_VALUE: usize = 4096;
const CAPTURE_BUDGET: usize = 32 * 1024;

/// What is recorded of a call's arguments.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ArgumentSummary {
    /// The size of the arguments' JSON text in bytes.
    pub bytes: u64,
    /// The arguments, in the order in which they came. Objects are entered; arrays are taken as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<Argument>,
    /// How many further arguments are not listed, because there are too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
}

/// One argument.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argument {
    /// Where it is: a JSON pointer (RFC 6901), cut at 256 bytes.
    pub path: String,
    /// Its type.
    pub kind: ArgumentKind,
    /// Its size in bytes: the text itself for a text, the JSON for all else.
    pub bytes: u64,
    /// The number of elements of an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements: Option<u64>,
    /// Its keyed digest: see [`argument_mac`].
    pub mac: String,
    /// Its JSON, cut at 4 KiB; only where values are captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// The JSON type of an argument.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArgumentKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number, taken digit by digit as it was written.
    Number,
    /// A text.
    Text,
    /// An array.
    Array,
    /// An object that is empty, or too deep to be entered.
    Object,
    /// Not JSON.
    Invalid,
}

impl ArgumentKind {
    /// The type's name, as the record has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::Text => "text",
            Self::Array => "array",
            Self::Object => "object",
            Self::Invalid => "invalid",
        }
    }
}

/// The keyed digest of one argument: HMAC-SHA256 (RFC 2104) over `argument`, the kind and the value, separated by zero
/// bytes; its first 128 bits in hexadecimal digits. The value is the text itself for a text and the JSON as it was
/// written for all else.
pub fn argument_mac(mac_key: &[u8; 32], kind: ArgumentKind, value: &[u8]) -> String {
    mac_with(&keyed(mac_key), kind, value)
}

impl ArgumentSummary {
    /// Summarises `json`, the text of an object. Never fails: what is not JSON is recorded as invalid.
    pub fn of(json: &str, mac_key: &[u8; 32], capture: bool) -> Self {
        let mut summary = Self { bytes: json.len() as u64, ..Self::default() };
        let mut walk = Walk {
            keyed: keyed(mac_key),
            capture: if capture { CAPTURE_BUDGET } else { 0 },
            summary: &mut summary,
        };
        match serde_json::from_str::<&RawValue>(json) {
            Ok(root) => walk.value("", root.get(), 0),
            Err(_) => walk.leaf("", ArgumentKind::Invalid, json.as_bytes(), json, None),
        }
        summary
    }

    /// What arguments there were: the place and type of each, such as `/path: text`.
    pub fn names(&self) -> Vec<String> {
        self.arguments.iter().map(|argument| format!("{}: {}", argument.path, argument.kind.name())).collect()
    }
}

fn keyed(mac_key: &[u8; 32]) -> Hmac<Sha256> {
    // A key shorter than the hash's block is filled up with zeros (RFC 2104, section 2).
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(mac_key) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(b"argument\0");
    mac
}

fn mac_with(keyed: &Hmac<Sha256>, kind: ArgumentKind, value: &[u8]) -> String {
    let mut mac = keyed.clone();
    mac.update(kind.name().as_bytes());
    mac.update(&[0]);
    mac.update(value);
    let bytes = mac.finalize().into_bytes();
    hex::encode(bytes.get(..16).unwrap_or_default())
}

struct Walk<'s> {
    keyed: Hmac<Sha256>,
    capture: usize,
    summary: &'s mut ArgumentSummary,
}

impl Walk<'_> {
    fn value(&mut self, path: &str, json: &str, depth: usize) {
        let kind = match json.as_bytes().first() {
            Some(b'{') => ArgumentKind::Object,
            Some(b'[') => ArgumentKind::Array,
            Some(b'"') => ArgumentKind::Text,
            Some(b't' | b'f') => ArgumentKind::Boolean,
            Some(b'n') => ArgumentKind::Null,
            Some(_) | None => ArgumentKind::Number,
        };
        match kind {
            ArgumentKind::Object if depth < DEEPEST => match serde_json::from_str::<Members<'_>>(json) {
                Ok(members) if !members.listed.is_empty() => self.members(path, &members, depth),
                Ok(_) if path.is_empty() => {} // no arguments at all
                Ok(_) | Err(_) => self.leaf(path, kind, json.as_bytes(), json, None),
            },
            ArgumentKind::Array => {
                let elements = serde_json::from_str::<Count>(json).map_or(0, |count| count.0);
                self.leaf(path, kind, json.as_bytes(), json, Some(elements));
            }
            ArgumentKind::Text => match serde_json::from_str::<std::borrow::Cow<'_, str>>(json) {
                Ok(text) => self.leaf(path, kind, text.as_bytes(), json, None),
                Err(_) => self.leaf(path, ArgumentKind::Invalid, json.as_bytes(), json, None),
            },
            ArgumentKind::Object
            | ArgumentKind::Boolean
            | ArgumentKind::Null
            | ArgumentKind::Number
            | ArgumentKind::Invalid => self.leaf(path, kind, json.as_bytes(), json, None),
        }
    }

    fn members(&mut self, path: &str, members: &Members<'_>, depth: usize) {
        for (name, value) in &members.listed {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            self.value(&clipped(&format!("{path}/{escaped}"), LONGEST_PATH), value.get(), depth + 1);
        }
        self.summary.omitted += members.omitted;
    }

    fn leaf(&mut self, path: &str, kind: ArgumentKind, bytes: &[u8], json: &str, elements: Option<u64>) {
        if self.summary.arguments.len() == MOST_ARGUMENTS {
            self.summary.omitted += 1;
            return;
        }
        let value = (self.capture > 0).then(|| {
            let kept = clipped(json, LONGEST_VALUE.min(self.capture));
            self.capture -= kept.len();
            kept
        });
        self.summary.arguments.push(Argument {
            path: path.to_owned(),
            kind,
            bytes: bytes.len() as u64,
            elements,
            mac: mac_with(&self.keyed, kind, bytes),
            value,
        });
    }
}

fn clipped(text: &str, limit: usize) -> String {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text).to_owned()
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

struct Members<'a> {
    listed: Vec<(String, &'a RawValue)>,
    omitted: u64,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members { listed: Vec::new(), omitted: 0 };
                while members.listed.len() < MOST_ARGUMENTS {
                    match map.next_entry()? {
                        Some(entry) => members.listed.push(entry),
                        None => return Ok(members),
                    }
                }
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    members.omitted += 1;
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Each)
    }
}

struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Count;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }

        deserializer.deserialize_seq(Each)
    }
}
