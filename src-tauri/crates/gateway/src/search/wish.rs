//! The arguments of searching and describing, checked.

use mcp::RawObject;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::words::Words;

/// The most characters of a query.
pub(super) const LONGEST_QUERY: usize = 300;
/// How many tools a search gives unless it says otherwise.
pub(super) const USUALLY_FOUND: usize = 5;
/// The most tools that a search gives.
pub(super) const MOST_FOUND: usize = 20;
/// The most tools that are described at once.
pub(super) const MOST_DESCRIBED: usize = 20;

/// What is searched for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sought {
    pub(super) query: String,
    /// How many are wanted.
    pub(super) limit: usize,
}

/// The names of the tools to be described.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Described(pub(super) Vec<String>);

/// Why arguments are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WishFault {
    /// There is a member that means nothing.
    #[error("search_tools takes query and limit, describe_tools takes names, and nothing else is taken")]
    Surplus,
    /// The query is missing or no text.
    #[error("query is missing: say in a few words what the tool should do")]
    NoQuery,
    /// Nothing in the query can be searched for.
    #[error("there is no word in the query to search for: say in a few words what the tool should do")]
    NoWord,
    /// The query is no query any more.
    #[error(
        "the query is longer than {LONGEST_QUERY} characters: say in a few words what the tool should do"
    )]
    LongQuery,
    /// The number of tools is none that is given.
    #[error("limit is a whole number from 1 to {MOST_FOUND}")]
    Limit,
    /// The names are missing, no list of texts, or too many.
    #[error("names is a list of 1 to {MOST_DESCRIBED} names of tools")]
    Names,
}

impl Sought {
    pub(super) fn read(arguments: &str) -> Result<Self, WishFault> {
        let arguments = object(arguments, &["query", "limit"])?;
        let query: String = arguments.read("query").ok_or(WishFault::NoQuery)?;
        if query.chars().count() > LONGEST_QUERY {
            return Err(WishFault::LongQuery);
        }
        if Words::default().of(&query).is_empty() {
            return Err(WishFault::NoWord);
        }
        let limit = match arguments.member("limit") {
            None => USUALLY_FOUND,
            Some(limit) => {
                whole(limit).filter(|limit| (1..=MOST_FOUND).contains(limit)).ok_or(WishFault::Limit)?
            }
        };
        Ok(Self { query, limit })
    }
}

impl Described {
    pub(super) fn read(arguments: &str) -> Result<Self, WishFault> {
        let arguments = object(arguments, &["names"])?;
        let names: Vec<String> = arguments.read("names").ok_or(WishFault::Names)?;
        if (1..=MOST_DESCRIBED).contains(&names.len()) { Ok(Self(names)) } else { Err(WishFault::Names) }
    }
}

/// The arguments, which are known to be an object.
fn object<'a>(arguments: &'a str, known: &[&str]) -> Result<RawObject<'a>, WishFault> {
    let arguments: RawObject<'a> = serde_json::from_str(arguments).unwrap_or_default();
    if arguments.keys().all(|key| known.contains(&key)) { Ok(arguments) } else { Err(WishFault::Surplus) }
}

/// A whole number, which JSON Schema also takes as `5.0`.
fn whole(value: &RawValue) -> Option<usize> {
    let text = value.get();
    usize::deserialize(&mut serde_json::Deserializer::from_str(text.strip_suffix(".0").unwrap_or(text))).ok()
}
