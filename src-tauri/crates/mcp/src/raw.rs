//! JSON objects whose values stay the text they were.

use std::borrow::Cow;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON object: its members in order, each value kept to the digit.
#[derive(Debug, Clone, Default)]
pub struct RawObject<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

impl<'a> RawObject<'a> {
    /// Reads an object. `None` when the text is another kind of value.
    pub fn parse(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    /// The member's value.
    pub fn member(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }

    /// The member's value as it lies in the text that was parsed; `None` also for one that was set since.
    pub fn borrowed(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find_map(|(name, value)| match value {
            Cow::Borrowed(value) if name == key => Some(*value),
            Cow::Borrowed(_) | Cow::Owned(_) => None,
        })
    }

    /// The member's value, read as `T`; `None` when absent or of another type.
    pub fn read<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.member(key)?.get()).ok()
    }

    /// Replaces or appends a member.
    pub fn set(&mut self, key: &'a str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = Cow::Owned(value),
            None => self.0.push((Cow::Borrowed(key), Cow::Owned(value))),
        }
    }

    /// Appends a member whose name comes from elsewhere.
    pub(crate) fn add(&mut self, key: String, value: Box<RawValue>) {
        self.0.push((Cow::Owned(key), Cow::Owned(value)));
    }

    /// As [`Self::set`], for a name that comes from elsewhere.
    pub(crate) fn replace(&mut self, key: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = Cow::Owned(value),
            None => self.add(key.to_owned(), value),
        }
    }

    /// Drops the members that `keep` refuses.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_ref())
    }

    /// The members in order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same object, with a text of its own.
    pub fn into_owned(self) -> RawObject<'static> {
        let owned = |(key, value): (Cow<'_, str>, Cow<'_, RawValue>)| {
            (Cow::Owned(key.into_owned()), Cow::Owned(value.into_owned()))
        };
        RawObject(self.0.into_iter().map(owned).collect())
    }

    /// The object as JSON text.
    pub fn to_raw(&self) -> Box<RawValue> {
        raw(self)
    }
}

/// Any value of ours as raw JSON. Values of ours have string keys and no failing serializers.
pub fn raw<T: Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A message on one line, as it travels over standard streams and in events. Between values line breaks mean nothing, and
/// within texts JSON does not allow them; but what follows one would be taken for a message of its own.
pub fn one_line(mut text: String) -> String {
    if text.contains(['\n', '\r']) {
        text.retain(|c| !matches!(c, '\n' | '\r'));
    }
    text
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(Cow<'de, str>, Cow<'de, RawValue>)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(map.size_hint().unwrap_or(8));
                while let Some((BorrowedText(key), value)) =
                    map.next_entry::<BorrowedText<'de>, &'de RawValue>()?
                {
                    members.push((key, Cow::Borrowed(value)));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Members).map(Self)
    }
}

/// `Cow<str>` that really borrows where the text has no escape.
#[derive(Deserialize)]
pub(crate) struct BorrowedText<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl Serialize for RawObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_members_keep_their_digits_and_order() {
        let text = r#"{"z":12345678901234567890123,"a":1.50,"m":{"x": [1e400 ]},"\u0062":"é"}"#;
        let value: Box<RawValue> = serde_json::from_str(text).unwrap();
        let mut object = RawObject::parse(&value).unwrap();
        object.set("new", raw(&true));
        object.retain(|key| key != "b");
        assert_eq!(
            object.to_raw().get(),
            r#"{"z":12345678901234567890123,"a":1.50,"m":{"x": [1e400 ]},"new":true}"#
        );
    }

    #[test]
    fn other_values_are_no_objects() {
        let value: Box<RawValue> = serde_json::from_str("[1]").unwrap();
        assert!(RawObject::parse(&value).is_none());
    }
}
