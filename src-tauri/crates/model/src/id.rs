//! Ids. Servers, connectors and accounts are `[a-z][a-z0-9-]{0,30}`; devices and calls are UUID version 7 (RFC 9562).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdFault {
    /// The text is empty.
    #[error("an id is not empty")]
    Empty,
    /// The text is longer than the id's kind allows.
    #[error("the id is longer than {limit} characters")]
    TooLong {
        /// The longest length, in characters.
        limit: usize,
    },
    /// A character that the id's kind does not have.
    #[error("the id has the character {found:?} at position {at}")]
    Character {
        /// The character.
        found: char,
        /// Its position, counted from zero.
        at: usize,
    },
    /// Not a UUID.
    #[error("the id is not a UUID")]
    Uuid,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $limit:expr, $first:expr, $rest:expr, $pattern:literal) => {
        $(#[$doc])*
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String", extend("pattern" = $pattern)))]
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdFault;

            fn from_str(text: &str) -> Result<Self, IdFault> {
                check_name(text, $limit, $first, $rest)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdFault;

            fn try_from(text: String) -> Result<Self, IdFault> {
                text.parse()
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

fn check_name(
    text: &str,
    limit: usize,
    first: fn(char) -> bool,
    rest: fn(char) -> bool,
) -> Result<(), IdFault> {
    if text.is_empty() {
        return Err(IdFault::Empty);
    }
    for (at, found) in text.chars().enumerate() {
        if at == limit {
            return Err(IdFault::TooLong { limit });
        }
        let allowed = if at == 0 { first(found) } else { rest(found) };
        if !allowed {
            return Err(IdFault::Character { found, at });
        }
    }
    Ok(())
}

fn slug_first(c: char) -> bool {
    c.is_ascii_lowercase()
}

fn slug_rest(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

fn tool_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

name_type!(
    /// A virtual server: `[a-z][a-z0-9-]{0,30}`.
    ServerId, 31, slug_first, slug_rest, "^[a-z][a-z0-9-]{0,30}$"
);
name_type!(
    /// A connector: `[a-z][a-z0-9-]{0,30}`.
    ConnectorId, 31, slug_first, slug_rest, "^[a-z][a-z0-9-]{0,30}$"
);
name_type!(
    /// A shared credential's reference (never the secret): `[a-z][a-z0-9-]{0,30}`.
    CredentialId, 31, slug_first, slug_rest, "^[a-z][a-z0-9-]{0,30}$"
);
name_type!(
    /// One of a person's accounts at a connector, as settings name it: `[a-z][a-z0-9-]{0,30}`.
    AccountName, 31, slug_first, slug_rest, "^[a-z][a-z0-9-]{0,30}$"
);

impl AccountName {
    /// The account that is used where none is named.
    pub(crate) const DEFAULT: &str = "default";
}

impl Default for AccountName {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

name_type!(
    /// A tool's name: `[A-Za-z0-9_.-]{1,128}` (MCP 2026-07-28, tools, "Tool Names").
    ToolName, 128, tool_char, tool_char, "^[A-Za-z0-9_.-]{1,128}$"
);

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String", extend("format" = "uuid")))]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id: UUID version 7, ordered by the time of its making.
            #[expect(clippy::new_without_default, reason = "each call gives another id")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdFault;

            fn from_str(text: &str) -> Result<Self, IdFault> {
                Uuid::parse_str(text).map(Self).map_err(|_| IdFault::Uuid)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_type!(
    /// A device that was enrolled with, or a stand-alone installation.
    DeviceId
);
uuid_type!(
    /// One call: binds the audit intent, the outcome and the control plane's own record of it.
    CallId
);
impl CallId {
    /// Its bits, the first written first.
    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

uuid_type!(
    /// A shared credential lent to one device for a while.
    LeaseId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_checked() {
        assert!("analyst-2".parse::<ServerId>().is_ok());
        assert_eq!("".parse::<ServerId>(), Err(IdFault::Empty));
        assert_eq!("2x".parse::<ServerId>(), Err(IdFault::Character { found: '2', at: 0 }));
        assert_eq!("a/b".parse::<ConnectorId>(), Err(IdFault::Character { found: '/', at: 1 }));
        assert_eq!("a".repeat(32).parse::<ServerId>(), Err(IdFault::TooLong { limit: 31 }));
        assert!("a".repeat(31).parse::<ServerId>().is_ok());
    }

    #[test]
    fn tool_names_follow_the_specification() {
        assert!("Read_file.v2-x".parse::<ToolName>().is_ok());
        assert_eq!("a b".parse::<ToolName>(), Err(IdFault::Character { found: ' ', at: 1 }));
        assert_eq!("a".repeat(129).parse::<ToolName>(), Err(IdFault::TooLong { limit: 128 }));
    }

    #[test]
    fn serde_refuses_what_parsing_refuses() {
        assert!(serde_json::from_str::<ServerId>("\"../etc\"").is_err());
    }
}
