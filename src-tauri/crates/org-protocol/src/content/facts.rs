//! Facts: what is computed of one argument of a tool, for policies to read as `context.facts.<name>`.
//!
//! Policies compare texts and numbers; what a URL leads to, or which tables a statement reads, they cannot tell. A fact says which
//! argument to look at, and as what.

use std::collections::{BTreeMap, BTreeSet};

use model::ToolName;
use serde::{Deserialize, Serialize};

/// The facts of a connector's tools.
pub type ConnectorFacts = BTreeMap<ToolName, BTreeMap<FactName, FactSpec>>;

/// A fact's name, as policies write it: `[a-z][a-z0-9_]{0,31}`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String", extend("pattern" = "^[a-z][a-z0-9_]{0,31}$")))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FactName(String);

/// One fact: exactly one of the ways to look at an argument.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "Written"))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct FactSpec {
    /// The argument that it is computed of.
    pub argument: ArgumentPath,
    /// What it is looked at as.
    pub extractor: Extractor,
}

/// The way to an argument: names joined by dots, as `request.sql`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String", extend("pattern" = "^[^.]+(\\.[^.]+)*$")))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArgumentPath(Vec<String>);

/// What an argument is looked at as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extractor {
    /// A statement: its kinds, and every schema, table and function that it names.
    Sql {
        /// The database's dialect.
        dialect: SqlDialect,
        /// Functions that may be called beside the database's harmless ones, as `schema.function`.
        functions: BTreeSet<String>,
    },
    /// An absolute URL: its scheme, host, port and path.
    Url,
    /// A path of a file: without `.` and `..`.
    Path,
    /// A list of absolute URLs: their schemes and hosts.
    Urls,
    /// A list of paths: whether all of them are in one of these folders or below.
    Paths {
        /// The folders, as paths are told: without `.` and `..`.
        within: BTreeSet<String>,
    },
    /// A mail address, or several: their domains.
    Email,
    /// A list: how many items it has.
    Count,
    /// A text: how many characters it has.
    Length,
    /// A text: whether a regular expression is found in it.
    Matches {
        /// The expression, in the syntax of the Rust crate `regex`.
        pattern: String,
    },
}

/// A database's dialect of SQL.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SqlDialect {
    /// PostgreSQL's.
    PostgreSql,
}

impl FactName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for FactName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for FactName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for FactName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() <= 32 && text.bytes().all(rest) {
            Ok(Self(text))
        } else {
            Err("the name of a fact has 1 to 32 lower-case letters, digits or _, and begins with a letter")
        }
    }
}

impl From<FactName> for String {
    fn from(FactName(name): FactName) -> Self {
        name
    }
}

impl ArgumentPath {
    /// The names on the way; one at least.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl std::fmt::Display for ArgumentPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl TryFrom<String> for ArgumentPath {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let names: Vec<String> = text.split('.').map(ToOwned::to_owned).collect();
        if names.iter().any(String::is_empty) {
            return Err(
                "an argument is named as its tool's schema does, as sql, or request.sql for one within another",
            );
        }
        Ok(Self(names))
    }
}

impl From<ArgumentPath> for String {
    fn from(path: ArgumentPath) -> Self {
        path.to_string()
    }
}

/// A fact as it is written: one key says what the argument is looked at as, and names the argument.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Fact", extend("oneOf" = [
    {"required": ["sql", "dialect"]}, {"required": ["url"]}, {"required": ["path"]}, {"required": ["email"]},
    {"required": ["urls"]}, {"required": ["paths", "within"]},
    {"required": ["count"]}, {"required": ["length"]}, {"required": ["matches", "pattern"]},
])))]
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The argument is a statement. The fact has `kinds`, `tables`, `schemas` and `functions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sql: Option<ArgumentPath>,
    /// The dialect of `sql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dialect: Option<SqlDialect>,
    /// Functions that statements may call beside the database's harmless ones, as `schema.function`, where the database's own are in
    /// `pg_catalog`: only such as read and change nothing that a policy should know of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    functions: BTreeSet<String>,
    /// The argument is an absolute URL. The fact has `scheme`, `host`, `path` and, where there is one, `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<ArgumentPath>,
    /// The argument is a path of a file. The fact has `path` without `.` and `..`, and `absolute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<ArgumentPath>,
    /// The argument is a list of absolute URLs. The fact has `schemes`, `hosts` and `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    urls: Option<ArgumentPath>,
    /// The argument is a list of paths. The fact has `within`, which is true where each of them lies in one of the folders of
    /// `within` or below, and `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paths: Option<ArgumentPath>,
    /// The folders of `paths`, without `.`, `..` and a `/` at the end: `/srv/public`, or `notes` where paths are relative.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    within: BTreeSet<String>,
    /// The argument is a mail address or a list of such. The fact has `domains` and `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<ArgumentPath>,
    /// The argument is a list. The fact is how many items it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<ArgumentPath>,
    /// The argument is a text. The fact is how many characters it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<ArgumentPath>,
    /// The argument is a text. The fact is whether `pattern` is found in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    matches: Option<ArgumentPath>,
    /// The regular expression of `matches`; `^` and `$` make it one of the whole text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
}

/// Why something written is no fact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum WrittenFault {
    #[error("a fact has exactly one of sql, url, path, urls, paths, email, count, length and matches")]
    NotOne,
    #[error("a fact with sql needs dialect = \"postgresql\"")]
    NoDialect,
    #[error("a fact with matches needs a pattern")]
    NoPattern,
    #[error("a fact with paths needs the folders that they may be within")]
    NoFolders,
    #[error("{0} belongs to a fact with {1}")]
    Stray(&'static str, &'static str),
    #[error("{0:?} is no function as schema.function, in lower case")]
    NotAFunction(String),
}

impl TryFrom<Written> for FactSpec {
    type Error = WrittenFault;

    fn try_from(written: Written) -> Result<Self, WrittenFault> {
        let Written { sql, dialect, functions, matches, pattern, paths, within, .. } = &written;
        let (sql, dialect, functions) = (sql.clone(), *dialect, functions.clone());
        let (matches, pattern) = (matches.clone(), pattern.clone());
        if sql.is_none() && dialect.is_some() {
            return Err(WrittenFault::Stray("dialect", "sql"));
        }
        if sql.is_none() && !functions.is_empty() {
            return Err(WrittenFault::Stray("functions", "sql"));
        }
        if matches.is_none() && pattern.is_some() {
            return Err(WrittenFault::Stray("pattern", "matches"));
        }
        if paths.is_none() && !within.is_empty() {
            return Err(WrittenFault::Stray("within", "paths"));
        }
        if paths.is_some() && within.is_empty() {
            return Err(WrittenFault::NoFolders);
        }
        if let Some(name) = functions.iter().find(|name| !is_function(name)) {
            return Err(WrittenFault::NotAFunction(name.clone()));
        }
        let mut found = Vec::new();
        if let Some(argument) = sql {
            let dialect = dialect.ok_or(WrittenFault::NoDialect)?;
            found.push((argument, Extractor::Sql { dialect, functions }));
        }
        if let Some(argument) = matches {
            found.push((argument, Extractor::Matches { pattern: pattern.ok_or(WrittenFault::NoPattern)? }));
        }
        let plain = [
            (written.url, Extractor::Url),
            (written.path, Extractor::Path),
            (written.urls, Extractor::Urls),
            (written.paths, Extractor::Paths { within: written.within }),
            (written.email, Extractor::Email),
            (written.count, Extractor::Count),
            (written.length, Extractor::Length),
        ];
        found.extend(plain.into_iter().filter_map(|(argument, extractor)| Some((argument?, extractor))));
        match (found.pop(), found.is_empty()) {
            (Some((argument, extractor)), true) => Ok(Self { argument, extractor }),
            (Some(_) | None, _) => Err(WrittenFault::NotOne),
        }
    }
}

/// Whether a text is `schema.function` as the database writes it without quotes.
fn is_function(text: &str) -> bool {
    let plain = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.split_once('.').is_some_and(|(schema, function)| plain(schema) && plain(function))
}

impl From<FactSpec> for Written {
    fn from(FactSpec { argument, extractor }: FactSpec) -> Self {
        let argument = Some(argument);
        let none = Self::default();
        match extractor {
            Extractor::Sql { dialect, functions } => {
                Self { sql: argument, dialect: Some(dialect), functions, ..none }
            }
            Extractor::Url => Self { url: argument, ..none },
            Extractor::Path => Self { path: argument, ..none },
            Extractor::Urls => Self { urls: argument, ..none },
            Extractor::Paths { within } => Self { paths: argument, within, ..none },
            Extractor::Email => Self { email: argument, ..none },
            Extractor::Count => Self { count: argument, ..none },
            Extractor::Length => Self { length: argument, ..none },
            Extractor::Matches { pattern } => Self { matches: argument, pattern: Some(pattern), ..none },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(written: Value) -> Result<FactSpec, String> {
        serde_json::from_value(written).map_err(|fault| fault.to_string())
    }

    #[test]
    fn each_way_to_look_at_an_argument_is_read_and_written_back() {
        for written in [
            json!({"sql": "request.sql", "dialect": "postgresql", "functions": ["analytics.week_of"]}),
            json!({"sql": "sql", "dialect": "postgresql"}),
            json!({"url": "url"}),
            json!({"path": "path"}),
            json!({"urls": "links"}),
            json!({"paths": "paths", "within": ["/srv/public", "notes"]}),
            json!({"email": "to"}),
            json!({"count": "to"}),
            json!({"length": "body"}),
            json!({"matches": "subject", "pattern": "^[A-Z]+$"}),
        ] {
            let fact = read(written.clone()).expect("a fact");
            assert_eq!(serde_json::to_value(fact).expect("JSON"), written);
        }
        let nested = read(json!({"url": "a.b"})).expect("a fact").argument;
        assert_eq!(nested.names().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_is_not_exactly_one_way_is_refused_in_words() {
        for (written, expected) in [
            (json!({}), "exactly one of sql, url"),
            (json!({"url": "a", "path": "a"}), "exactly one of sql, url"),
            (json!({"url": "a", "colour": "red"}), "unknown field `colour`"),
            (json!({"sql": "a"}), "needs dialect"),
            (json!({"sql": "a", "dialect": "mysql"}), "unknown variant `mysql`, expected `postgresql`"),
            (json!({"matches": "a"}), "needs a pattern"),
            (json!({"paths": "a"}), "needs the folders"),
            (json!({"path": "a", "within": ["/srv"]}), "within belongs to a fact with paths"),
            (json!({"url": "a", "pattern": "x"}), "pattern belongs to a fact with matches"),
            (json!({"url": "a", "dialect": "postgresql"}), "dialect belongs to a fact with sql"),
            (json!({"url": "a", "functions": ["a.b"]}), "functions belongs to a fact with sql"),
            (
                json!({"sql": "a", "dialect": "postgresql", "functions": ["f"]}),
                "no function as schema.function",
            ),
            (
                json!({"sql": "a", "dialect": "postgresql", "functions": ["A.f"]}),
                "no function as schema.function",
            ),
            (json!({"url": "a..b"}), "as its tool's schema does"),
            (json!({"url": ""}), "as its tool's schema does"),
        ] {
            let fault = read(written.clone()).expect_err("no fact");
            assert!(fault.contains(expected), "{written}: {fault}");
        }
    }

    #[test]
    fn names_of_facts_are_what_cedar_takes_after_a_dot() {
        let name = |text: &str| FactName::try_from(text.to_owned());
        assert!(name("query").is_ok() && name("q_2").is_ok() && name(&"a".repeat(32)).is_ok());
        for wrong in ["", "Query", "2q", "_q", "a-b", "a b", "ä", &"a".repeat(33)] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
