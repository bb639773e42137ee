//! Strict parsing of `application/x-www-form-urlencoded` (WHATWG URL, section 5), for queries and bodies.
//!
//! What a lenient parser repairs is refused: bad escapes and bytes that are not UTF-8 are never guessed at.

/// Decoded parameters in their order. A parameter without a value counts as absent (RFC 6749, section 3.1).
#[derive(Default)]
pub(crate) struct Params(Vec<(String, String)>);

/// Why parameters cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParamsFault {
    #[error("the parameters are too long")]
    TooLong,
    #[error("the parameters are not form-encoded UTF-8")]
    Encoding,
}

/// A parameter that may come once came more often (RFC 6749, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {0} comes more than once")]
pub(crate) struct Repeated(pub(crate) &'static str);

impl Params {
    pub(crate) const LIMIT: usize = 8 * 1024;

    pub(crate) fn parse(text: &[u8]) -> Result<Self, ParamsFault> {
        if text.len() > Self::LIMIT {
            return Err(ParamsFault::TooLong);
        }
        let mut found = Vec::new();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = (decode(&pair[..at])?, decode(pair.get(at + 1..).unwrap_or_default())?);
            if !value.is_empty() {
                found.push((name, value));
            }
        }
        Ok(Self(found))
    }

    /// The one value of a parameter.
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, Repeated> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Repeated(name)),
        }
    }

    /// All values of a parameter that may be repeated.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn decode(text: &[u8]) -> Result<String, ParamsFault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let [high, low, after @ ..] = rest else { return Err(ParamsFault::Encoding) };
                bytes.push((nibble(*high)? << 4) | nibble(*low)?);
                rest = after;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map_err(|_| ParamsFault::Encoding)
}

fn nibble(digit: u8) -> Result<u8, ParamsFault> {
    let value = char::from(digit).to_digit(16).ok_or(ParamsFault::Encoding)?;
    u8::try_from(value).map_err(|_| ParamsFault::Encoding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_decoded_and_empty_ones_are_absent() {
        let params = Params::parse(b"a=1+2%20%C3%A9&b=&c&d=x&d=y").unwrap();
        assert_eq!(params.one("a"), Ok(Some("1 2 \u{e9}")));
        assert_eq!(params.one("b"), Ok(None));
        assert_eq!(params.one("c"), Ok(None));
        assert_eq!(params.one("d"), Err(Repeated("d")));
        assert_eq!(params.all("d").collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn what_needs_guessing_is_refused() {
        for bad in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%ff", b"%ff=a", b"a=\xff", b"a=%+1"] {
            assert_eq!(Params::parse(bad).err(), Some(ParamsFault::Encoding), "{}", bad.escape_ascii());
        }
        assert_eq!(Params::parse(&vec![b'a'; Params::LIMIT + 1]).err(), Some(ParamsFault::TooLong));
    }

    proptest! {
        #[test]
        fn what_the_url_crate_encodes_is_read_back(value in "\\PC{1,40}", name in "[a-z_]{1,12}") {
            let text = url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
            let params = Params::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&params.0, &[(name, value)]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Params::parse(&bytes);
        }
    }
}
