//! Declared facts: what a connector's definition says is computed of a tool's argument, for policies to read as
//! `context.facts.<name>`. This is the one place that computes them, for every question that is put.
//!
//! A fact that cannot be told is never left out and never guessed: where a policy asks for it, the call is refused.

mod address;
mod functions;
mod lexed;
mod sql;
mod unknown;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use model::{ConnectorId, ToolName};
use org_protocol::{ConnectorSpec, Extractor, FactName, FactSpec, PinnedTools, SqlDialect};
use regex::{Regex, RegexBuilder};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::fault::{FaultKind, PolicyFault};
use crate::schema::definitions;
use crate::shape::{Member, Members, Opaque, Shape};

pub use unknown::{Unknown, UnknownFact};
pub(crate) use value::{Value, record};

/// How much memory a compiled expression takes at most, in bytes.
const PATTERN_LIMIT: usize = 256 * 1024;

/// The facts of each tool that has any.
pub(crate) type DeclaredFacts = BTreeMap<ConnectorId, BTreeMap<ToolName, Facts>>;

/// The facts of one tool.
#[derive(Debug, Default)]
pub(crate) struct Facts(BTreeMap<FactName, Fact>);

#[derive(Debug)]
struct Fact {
    /// The names that lead to the argument.
    argument: Vec<String>,
    /// Whether the argument may be absent, and the fact with it.
    optional: bool,
    reader: Reader,
}

/// How an argument becomes a fact; everything that needs no argument is done.
#[derive(Debug)]
enum Reader {
    Sql { functions: BTreeSet<String> },
    Url,
    Path,
    Urls,
    Paths { within: BTreeSet<String> },
    Email,
    Count,
    Length,
    Matches(Regex),
}

/// Why a fact is refused where it is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum DeclarationFault {
    /// The connector has no such tool, as its tools are pinned.
    #[error("the connector's pinned tools have no such tool")]
    NoTool,
    /// The tool's arguments cannot be typed.
    #[error("nothing is known of the tool's arguments: {0}")]
    Opaque(String),
    /// The tool has no such argument.
    #[error("the tool's schema declares no argument {0}")]
    NoArgument(String),
    /// The argument is no such thing.
    #[error("the argument {argument} is not {wanted}")]
    WrongType {
        /// The argument.
        argument: String,
        /// What it would have to be.
        wanted: String,
    },
    /// A folder is not written as paths are told, so that nothing would be within it.
    #[error("the folder {0:?} is not written without ., .. and a / at the end")]
    Folder(String),
    /// The pattern is none, or too large.
    #[error("the pattern cannot be used: {0}")]
    Pattern(String),
}

/// Checks what is declared against the pinned tools, and prepares it.
pub(crate) fn declared(
    connectors: &BTreeMap<ConnectorId, ConnectorSpec>,
    tools: &BTreeMap<ConnectorId, PinnedTools>,
) -> Result<DeclaredFacts, Vec<PolicyFault>> {
    let mut found = DeclaredFacts::new();
    let mut faults = Vec::new();
    for (connector, spec) in connectors.iter().filter(|(_, spec)| !spec.facts.is_empty()) {
        let pinned = tools.get(connector).map(definitions).unwrap_or_default();
        for (tool, facts) in &spec.facts {
            for (name, fact) in facts {
                match prepared(fact, pinned.get(tool)) {
                    Ok(fact) => {
                        let of_tool =
                            found.entry(connector.clone()).or_default().entry(tool.clone()).or_default();
                        of_tool.0.insert(name.clone(), fact);
                    }
                    Err(fault) => faults.push(PolicyFault {
                        file: format!("connectors/{connector}.toml"),
                        line: 1,
                        policy: None,
                        kind: FaultKind::Fact {
                            tool: tool.to_string(),
                            fact: name.to_string(),
                            fault: Box::new(fault),
                        },
                    }),
                }
            }
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

fn prepared(spec: &FactSpec, tool: Option<&Result<Members, Opaque>>) -> Result<Fact, DeclarationFault> {
    let members = match tool {
        None => return Err(DeclarationFault::NoTool),
        Some(Err(opaque)) => return Err(DeclarationFault::Opaque(opaque.to_string())),
        Some(Ok(members)) => members,
    };
    let argument: Vec<String> = spec.argument.names().map(ToOwned::to_owned).collect();
    let (member, optional) = member_at(members, &argument)
        .ok_or_else(|| DeclarationFault::NoArgument(spec.argument.to_string()))?;
    let text = matches!(member.shape, Shape::Text | Shape::Choice(_));
    let texts = match &member.shape {
        Shape::List(item) => matches!(item.as_ref(), Shape::Text | Shape::Choice(_)),
        Shape::Text
        | Shape::Choice(_)
        | Shape::Bool
        | Shape::Long
        | Shape::Decimal
        | Shape::Record(_)
        | Shape::Unread => false,
    };
    let (fits, wanted, reader) = match &spec.extractor {
        Extractor::Sql { dialect: SqlDialect::PostgreSql, functions } => {
            (text, "a text", Reader::Sql { functions: functions.clone() })
        }
        Extractor::Url => (text, "a text", Reader::Url),
        Extractor::Path => (text, "a text", Reader::Path),
        Extractor::Urls => (texts, "a list of texts", Reader::Urls),
        Extractor::Paths { within } => (texts, "a list of texts", Reader::Paths { within: folders(within)? }),
        Extractor::Email => (text || texts, "a text or a list of texts", Reader::Email),
        Extractor::Count => (matches!(member.shape, Shape::List(_)), "a list", Reader::Count),
        Extractor::Length => (text, "a text", Reader::Length),
        Extractor::Matches { pattern } => (text, "a text", Reader::Matches(compiled(pattern)?)),
    };
    if fits {
        Ok(Fact { argument, optional, reader })
    } else {
        Err(DeclarationFault::WrongType { argument: spec.argument.to_string(), wanted: wanted.to_owned() })
    }
}

/// The folders, each as paths are told.
fn folders(within: &BTreeSet<String>) -> Result<BTreeSet<String>, DeclarationFault> {
    let odd = |folder: &&String| address::path(folder).map(|(path, _)| path).as_ref() != Ok(*folder);
    match within.iter().find(odd) {
        Some(folder) => Err(DeclarationFault::Folder(folder.clone())),
        None => Ok(within.clone()),
    }
}

/// The member that a path leads to, and whether anything on the way may be absent.
fn member_at<'a>(members: &'a Members, path: &[String]) -> Option<(&'a Member, bool)> {
    let (name, rest) = path.split_first()?;
    let member = members.get(name)?;
    if rest.is_empty() {
        return Some((member, member.optional));
    }
    let Shape::Record(below) = &member.shape else { return None };
    let (found, optional) = member_at(below, rest)?;
    Some((found, optional || member.optional))
}

fn compiled(pattern: &str) -> Result<Regex, DeclarationFault> {
    let built = RegexBuilder::new(pattern).size_limit(PATTERN_LIMIT).build();
    built.map_err(|fault| {
        let too_large = matches!(fault, regex::Error::CompiledTooBig(_));
        let words = fault.to_string();
        let why = if too_large { "it is too large" } else { words.lines().last().unwrap_or_default() };
        DeclarationFault::Pattern(why.to_owned())
    })
}

impl Facts {
    /// What policies see of them: what is absent with its argument is optional.
    pub(crate) fn members(&self) -> Members {
        let member = |fact: &Fact| Member { shape: fact.reader.shape(), optional: fact.optional };
        self.0.iter().map(|(name, fact)| (name.to_string(), member(fact))).collect()
    }

    /// How those that are wanted are computed, a line each: what differs here judges otherwise.
    pub(crate) fn described(&self, wanted: &BTreeSet<String>) -> String {
        let wanted = self.0.iter().filter(|(name, _)| wanted.contains(name.as_str()));
        wanted
            .map(|(name, fact)| format!("\n// {name}: {} of {}", fact.reader, fact.argument.join(".")))
            .collect()
    }

    /// Computes those that are wanted, of arguments that are what the tool declares.
    ///
    /// # Errors
    /// Those that cannot be told; all of them.
    pub(crate) fn read(
        &self,
        arguments: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Value>, Vec<UnknownFact>> {
        let mut found = BTreeMap::new();
        let mut unknown = Vec::new();
        for (name, fact) in self.0.iter().filter(|(name, _)| wanted.contains(name.as_str())) {
            match fact.read(arguments) {
                Ok(Some(value)) => drop(found.insert(name.to_string(), value)),
                Ok(None) => {}
                Err(why) => unknown.push(UnknownFact { fact: name.to_string(), why }),
            }
        }
        if unknown.is_empty() { Ok(found) } else { Err(unknown) }
    }
}

impl Fact {
    /// `None`: the argument is absent.
    fn read(&self, arguments: &str) -> Result<Option<Value>, Unknown> {
        let whole: &RawValue = serde_json::from_str(arguments).map_err(|_| Unknown::Argument)?;
        let mut at = whole;
        for name in &self.argument {
            let object: BTreeMap<String, &RawValue> =
                serde_json::from_str(at.get()).map_err(|_| Unknown::Argument)?;
            match object.get(name.as_str()) {
                Some(below) if below.get() != "null" => at = below,
                Some(_) | None if self.optional => return Ok(None),
                Some(_) | None => return Err(Unknown::Argument),
            }
        }
        self.reader.read(at).map(Some)
    }
}

impl std::fmt::Display for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sql { functions } => write!(f, "sql with {functions:?}"),
            Self::Url => f.write_str("url"),
            Self::Path => f.write_str("path"),
            Self::Urls => f.write_str("urls"),
            Self::Paths { within } => write!(f, "paths within {within:?}"),
            Self::Email => f.write_str("email"),
            Self::Count => f.write_str("count"),
            Self::Length => f.write_str("length"),
            Self::Matches(pattern) => write!(f, "matches {pattern:?}"),
        }
    }
}

impl Reader {
    fn shape(&self) -> Shape {
        let texts = || Shape::List(Box::new(Shape::Text));
        match self {
            Self::Sql { .. } => {
                let kinds = sql::KINDS.iter().map(|kind| (*kind).to_owned()).collect();
                shape_of([
                    ("kinds", Shape::List(Box::new(Shape::Choice(kinds)))),
                    ("tables", texts()),
                    ("schemas", texts()),
                    ("functions", texts()),
                ])
            }
            Self::Url => shape_of([
                ("scheme", Shape::Text),
                ("host", Shape::Text),
                ("port", Shape::Long),
                ("path", Shape::Text),
            ]),
            Self::Path => shape_of([("path", Shape::Text), ("absolute", Shape::Bool)]),
            Self::Urls => shape_of([("schemes", texts()), ("hosts", texts()), ("count", Shape::Long)]),
            Self::Paths { .. } => shape_of([("within", Shape::Bool), ("count", Shape::Long)]),
            Self::Email => shape_of([("domains", texts()), ("count", Shape::Long)]),
            Self::Count | Self::Length => Shape::Long,
            Self::Matches(_) => Shape::Bool,
        }
    }

    fn read(&self, argument: &RawValue) -> Result<Value, Unknown> {
        Ok(match self {
            Self::Sql { functions } => {
                let reach = sql::read(&text(argument)?, functions)?;
                Value::Record(BTreeMap::from([
                    ("kinds", Value::Texts(reach.kinds)),
                    ("tables", Value::Texts(reach.tables)),
                    ("schemas", Value::Texts(reach.schemas)),
                    ("functions", Value::Texts(reach.functions)),
                ]))
            }
            Self::Url => {
                let url = address::url(&text(argument)?)?;
                Value::Record(BTreeMap::from([
                    ("scheme", Value::Text(url.scheme)),
                    ("host", Value::Text(url.host)),
                    ("port", Value::Long(i64::from(url.port))),
                    ("path", Value::Text(url.path)),
                ]))
            }
            Self::Path => {
                let (path, absolute) = address::path(&text(argument)?)?;
                Value::Record(BTreeMap::from([
                    ("path", Value::Text(path)),
                    ("absolute", Value::Bool(absolute)),
                ]))
            }
            Self::Urls => {
                let urls: Vec<_> =
                    list(argument)?.iter().map(|url| address::url(url)).collect::<Result<_, _>>()?;
                let all = |of: fn(&address::Target) -> &String| urls.iter().map(of).cloned().collect();
                Value::Record(BTreeMap::from([
                    ("schemes", Value::Texts(all(|url| &url.scheme))),
                    ("hosts", Value::Texts(all(|url| &url.host))),
                    ("count", count(urls.len())?),
                ]))
            }
            Self::Paths { within } => {
                let paths: Vec<_> =
                    list(argument)?.iter().map(|path| address::path(path)).collect::<Result<_, _>>()?;
                let all = paths.iter().all(|(path, _)| within.iter().any(|folder| is_within(path, folder)));
                Value::Record(BTreeMap::from([("within", Value::Bool(all)), ("count", count(paths.len())?)]))
            }
            Self::Email => {
                let (domains, number) = address::email(&texts(argument)?)?;
                Value::Record(BTreeMap::from([("domains", Value::Texts(domains)), ("count", count(number)?)]))
            }
            Self::Count => {
                let items: Vec<&RawValue> =
                    serde_json::from_str(argument.get()).map_err(|_| Unknown::Argument)?;
                count(items.len())?
            }
            Self::Length => count(text(argument)?.chars().count())?,
            Self::Matches(pattern) => Value::Bool(pattern.is_match(&text(argument)?)),
        })
    }
}

fn shape_of<const N: usize>(members: [(&str, Shape); N]) -> Shape {
    let member = |(name, shape): (&str, Shape)| (name.to_owned(), Member { shape, optional: false });
    Shape::Record(members.into_iter().map(member).collect())
}

fn text(argument: &RawValue) -> Result<String, Unknown> {
    serde_json::from_str(argument.get()).map_err(|_| Unknown::Argument)
}

fn list(argument: &RawValue) -> Result<Vec<String>, Unknown> {
    serde_json::from_str(argument.get()).map_err(|_| Unknown::Argument)
}

/// Whether a path is a folder or lies below it. Both are as paths are told.
fn is_within(path: &str, folder: &str) -> bool {
    match (folder, path.strip_prefix(folder)) {
        ("/", _) => path.starts_with('/'),
        (".", _) => !path.starts_with('/'),
        (_, Some(rest)) => rest.is_empty() || rest.starts_with('/'),
        (_, None) => false,
    }
}

/// A text, or a list of texts.
fn texts(argument: &RawValue) -> Result<Vec<String>, Unknown> {
    match text(argument) {
        Ok(one) => Ok(vec![one]),
        Err(_) => serde_json::from_str(argument.get()).map_err(|_| Unknown::Argument),
    }
}

fn count(number: usize) -> Result<Value, Unknown> {
    i64::try_from(number).map(Value::Long).map_err(|_| Unknown::Argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reader: &Reader, argument: &str) -> Result<String, Unknown> {
        reader.read(&RawValue::from_string(argument.to_owned()).unwrap()).map(|value| value.to_string())
    }

    fn within(all: &[&str]) -> Reader {
        let written: BTreeSet<String> = all.iter().map(|folder| (*folder).to_owned()).collect();
        Reader::Paths { within: folders(&written).unwrap() }
    }

    #[test]
    fn paths_are_within_folders_or_not() {
        let public = within(&["/srv/public", "notes"]);
        for (argument, expected) in [
            (
                r#"["/srv/public/a.txt", "/srv/x/../public/b", "notes/c", "/srv/public"]"#,
                "count: 4, within: true",
            ),
            (r#"["/srv/public/a.txt", "/srv/publicity"]"#, "count: 2, within: false"),
            (r#"["/srv/public/../private"]"#, "count: 1, within: false"),
            (r#"["/notes/a"]"#, "count: 1, within: false"),
            ("[]", "count: 0, within: true"),
        ] {
            assert_eq!(told(&public, argument), Ok(format!("{{{expected}}}")), "{argument}");
        }
        assert_eq!(
            told(&public, r#"["/srv/public/a", "~/b"]"#),
            Err(Unknown::AmbiguousPath),
            "one is enough"
        );
        assert_eq!(told(&public, r#""/srv/public/a""#), Err(Unknown::Argument));
        assert_eq!(told(&within(&["/"]), r#"["/a"]"#), Ok("{count: 1, within: true}".to_owned()));
        assert_eq!(told(&within(&["/"]), r#"["a"]"#), Ok("{count: 1, within: false}".to_owned()));
        assert_eq!(told(&within(&["."]), r#"["a/b"]"#), Ok("{count: 1, within: true}".to_owned()));
        for odd in ["/srv/", "/srv/./a", "a/..", "", "~/a", "/srv//a"] {
            assert!(folders(&BTreeSet::from([odd.to_owned()])).is_err(), "{odd}");
        }
    }

    #[test]
    fn urls_are_told_by_what_they_lead_to() {
        let told = |argument| told(&Reader::Urls, argument);
        assert_eq!(
            told(r#"["https://Docs.acme.test/a", "https://docs.acme.test./b", "http://evil.test"]"#),
            Ok(r#"{count: 3, hosts: ["docs.acme.test", "evil.test"], schemes: ["http", "https"]}"#
                .to_owned())
        );
        assert_eq!(told(r#"["https://docs.acme.test", "https:evil.test"]"#), Err(Unknown::AmbiguousUrl));
        assert_eq!(told("[]"), Ok("{count: 0, hosts: [], schemes: []}".to_owned()));
    }
}
