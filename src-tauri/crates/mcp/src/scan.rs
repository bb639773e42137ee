//! One strict pass over JSON text before anything reads it.
//!
//! serde takes the last of two equal keys, other parsers the first: whoever decides and whoever executes must not see
//! different calls. So duplicate keys, deep nesting and monstrous numbers are refused here, once, and what was decided
//! on and what is forwarded are the same bytes.

use std::borrow::Cow;
use std::collections::HashSet;

/// The deepest nesting that is accepted, in levels.
pub const DEPTH_LIMIT: usize = 100;
/// The longest number literal, in bytes.
pub const NUMBER_LIMIT: usize = 1024;
/// The largest exponent of a number literal.
const EXPONENT_LIMIT: u32 = 9999;
/// Up to this many keys an object is compared key by key; beyond, by a hash set.
const LINEAR_KEYS: usize = 24;

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanFault {
    /// Not UTF-8 (RFC 8259, section 8.1).
    #[error("the text is not UTF-8")]
    Utf8,
    /// Not JSON (RFC 8259).
    #[error("the text is not JSON at byte {at}")]
    Syntax {
        /// Where, in bytes.
        at: usize,
    },
    /// Nested deeper than [`DEPTH_LIMIT`].
    #[error("the text is nested deeper than {DEPTH_LIMIT} levels")]
    Depth,
    /// An object has the same key twice.
    #[error("an object has the key {key:?} twice")]
    DuplicateKey {
        /// The key, shortened.
        key: String,
    },
    /// A number literal is longer than [`NUMBER_LIMIT`] or has an absurd exponent.
    #[error("a number at byte {at} is beyond what is accepted")]
    Number {
        /// Where, in bytes.
        at: usize,
    },
}

/// Checks that `bytes` is exactly one JSON value within the limits, without duplicate keys, and returns it as text.
///
/// # Errors
/// The first [`ScanFault`] met.
pub fn scan(bytes: &[u8]) -> Result<&str, ScanFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| ScanFault::Utf8)?;
    let mut scanner = Scanner { text, bytes, at: 0, keys: Vec::new(), depth: 0 };
    scanner.space();
    scanner.value()?;
    scanner.space();
    if scanner.at == bytes.len() { Ok(text) } else { Err(scanner.syntax()) }
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Keys of all objects that are open, innermost last.
    keys: Vec<Cow<'a, str>>,
    depth: usize,
}

impl<'a> Scanner<'a> {
    fn value(&mut self) -> Result<(), ScanFault> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(_) | None => Err(self.syntax()),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<(), ScanFault>) -> Result<(), ScanFault> {
        if self.depth == DEPTH_LIMIT {
            return Err(ScanFault::Depth);
        }
        self.depth += 1;
        self.at += 1;
        self.space();
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), ScanFault> {
        let first = self.keys.len();
        let mut seen = HashSet::new();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.remember(key, first, &mut seen)?;
            self.space();
            self.expect(b':')?;
            self.space();
            self.value()?;
            self.space();
            if self.take(b'}') {
                self.keys.truncate(first);
                return Ok(());
            }
            self.expect(b',')?;
            self.space();
        }
    }

    fn remember(
        &mut self,
        key: Cow<'a, str>,
        first: usize,
        seen: &mut HashSet<Cow<'a, str>>,
    ) -> Result<(), ScanFault> {
        let siblings = &self.keys[first..];
        let duplicate = if seen.is_empty() { siblings.contains(&key) } else { seen.contains(&key) };
        if duplicate {
            return Err(ScanFault::DuplicateKey { key: key.chars().take(64).collect() });
        }
        if !seen.is_empty() {
            seen.insert(key);
        } else if siblings.len() == LINEAR_KEYS {
            seen.extend(self.keys.drain(first..));
            seen.insert(key);
        } else {
            self.keys.push(key);
        }
        Ok(())
    }

    fn array(&mut self) -> Result<(), ScanFault> {
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value()?;
            self.space();
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',')?;
            self.space();
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, ScanFault> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1f) | None => return Err(self.syntax()),
                Some(_) => self.at += 1,
            }
        }
        let inner = &self.text[start..self.at];
        self.at += 1;
        if !escaped {
            return Ok(Cow::Borrowed(inner));
        }
        // A lone surrogate is the one thing left that serde refuses and this pass has not.
        serde_json::from_str::<String>(&self.text[start - 1..self.at])
            .map(Cow::Owned)
            .map_err(|_| ScanFault::Syntax { at: start })
    }

    fn escape(&mut self) -> Result<(), ScanFault> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 1..self.at + 5).ok_or_else(|| self.syntax())?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.syntax());
                }
                self.at += 5;
                Ok(())
            }
            Some(_) | None => Err(self.syntax()),
        }
    }

    fn number(&mut self) -> Result<(), ScanFault> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            let from = self.at;
            self.digits()?;
            let exponent = self.text[from..self.at].parse::<u32>().unwrap_or(u32::MAX);
            if exponent > EXPONENT_LIMIT {
                return Err(ScanFault::Number { at: start });
            }
        }
        if self.at - start > NUMBER_LIMIT { Err(ScanFault::Number { at: start }) } else { Ok(()) }
    }

    fn digits(&mut self) -> Result<(), ScanFault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.syntax()) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), ScanFault> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), ScanFault> {
        if self.take(byte) { Ok(()) } else { Err(self.syntax()) }
    }

    fn syntax(&self) -> ScanFault {
        ScanFault::Syntax { at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<(), ScanFault>) {
        assert_eq!(scan(text.as_bytes()).map(drop), expected, "{text:.80}");
    }

    #[test]
    fn duplicate_keys_are_found_however_written() {
        let twice = |key: &str| Err(ScanFault::DuplicateKey { key: key.to_owned() });
        check(r#"{"a":1,"a":2}"#, twice("a"));
        check(r#"{"a":1,"\u0061":2}"#, twice("a"));
        check(r#"{"x":{"a":1},"y":{"a":1},"a":{}}"#, Ok(()));
        check(r#"[{"a":1},{"a":1}]"#, Ok(()));
        let many: Vec<String> = (0..1000).map(|n| format!("\"k{n}\":{n}")).collect();
        check(&format!("{{{}}}", many.join(",")), Ok(()));
        check(&format!("{{{},\"k3\":0}}", many.join(",")), twice("k3"));
        check(&format!("{{{},\"k999\":0}}", many.join(",")), twice("k999"));
    }

    #[test]
    fn a_large_inner_object_does_not_lose_the_outer_keys() {
        let many: Vec<String> = (0..100).map(|n| format!("\"k{n}\":{n}")).collect();
        let text = format!("{{\"a\":1,\"b\":{{{}}},\"a\":2}}", many.join(","));
        check(&text, Err(ScanFault::DuplicateKey { key: "a".to_owned() }));
    }

    #[test]
    fn limits_hold() {
        check(&("[".repeat(100) + &"]".repeat(100)), Ok(()));
        check(&("[".repeat(101) + &"]".repeat(101)), Err(ScanFault::Depth));
        check(&"[".repeat(100_000), Err(ScanFault::Depth));
        check("1e9999", Ok(()));
        check("1e999999", Err(ScanFault::Number { at: 0 }));
        check(&"9".repeat(1025), Err(ScanFault::Number { at: 0 }));
        check("12345678901234567890123", Ok(()));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in
            ["", "{", "[1,]", "{\"a\"}", "01", "1.", "nul", "\"\\x\"", "\"\n\"", "{} {}", "\"\\ud800\"", "+1"]
        {
            assert!(matches!(scan(text.as_bytes()), Err(ScanFault::Syntax { .. })), "{text:?}");
        }
        assert_eq!(scan(b"\"\xff\""), Err(ScanFault::Utf8));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 64, 40, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..40).prop_map(Into::into),
                prop::collection::hash_map(".*", inner, 0..40)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_serde_writes_is_accepted(value in json()) {
            prop_assert!(scan(value.to_string().as_bytes()).is_ok());
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert!(scan(pretty.as_bytes()).is_ok());
        }

        #[test]
        fn whatever_is_accepted_serde_reads(bytes in prop::collection::vec(
            prop::sample::select(b"{}[]\",:\\u0aefnrtl1.-+E \n\xc3\xa9".to_vec()), 0..24)) {
            if scan(&bytes).is_ok() {
                prop_assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&bytes).is_ok());
            }
        }
    }
}
