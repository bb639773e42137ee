//! One spelling for equal JSON, so that a definition's digest does not depend on key order or white space.

use serde_json::value::RawValue;

use crate::raw::RawObject;

/// The value with keys sorted by code point, no white space between tokens and one spelling of each text. Numbers keep theirs:
/// `1.0` and `1` stay different, as they are to whoever reads them.
pub fn canonical(value: &RawValue) -> String {
    let mut text = String::with_capacity(value.get().len());
    write(value, &mut text);
    text
}

/// Whether two values are equal JSON, with numbers spelt alike.
pub fn is_same(one: &RawValue, other: &RawValue) -> bool {
    one.get() == other.get() || canonical(one) == canonical(other)
}

fn write(value: &RawValue, text: &mut String) {
    match value.get().as_bytes().first() {
        Some(b'{') => {
            let Some(object) = RawObject::parse(value) else { return text.push_str(value.get()) };
            let mut members: Vec<(&str, &RawValue)> = object.members().collect();
            // Stable: of two with one name the first stays the first.
            members.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (at, (key, member)) in members.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(crate::raw(key).get());
                text.push(':');
                write(member, text);
            }
            text.push('}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
            text.push('[');
            for (at, item) in items.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        // What stands for no text, such as half a surrogate pair, keeps its spelling.
        Some(b'"') => match serde_json::from_str::<String>(value.get()) {
            Ok(said) => text.push_str(crate::raw(&said).get()),
            Err(_) => text.push_str(value.get()),
        },
        Some(_) | None => text.push_str(value.get()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_space_do_not_count_but_digits_do() {
        let spelled = |text: &str| canonical(&serde_json::from_str::<Box<RawValue>>(text).unwrap());
        assert_eq!(
            spelled(r#"{ "b" : [ 1.0 , {"z":null,"a":"x"} ], "a":true }"#),
            r#"{"a":true,"b":[1.0,{"a":"x","z":null}]}"#
        );
        assert_eq!(spelled(r#"{"a":1,"b":2}"#), spelled(r#"{"b":2,"a":1}"#));
        assert_ne!(spelled("[1.0]"), spelled("[1]"));
        assert_eq!(spelled(r#"["caf\u00e9 \u003c\/"]"#), spelled(r#"["café </"]"#));
        assert_ne!(spelled(r#"["\u200b"]"#), spelled(r#"[""]"#));
    }
}
