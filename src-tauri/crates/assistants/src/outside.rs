//! Servers that an assistant reaches without Deskgate: what an entry says as plain values, which of them are secrets, or why it
//! cannot be taken over.
//!
//! What an entry says that has no counterpart here is never dropped: it might have kept something from being done. Such an entry
//! is [`Unfit`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::entry::{ADDRESSES, is_server, reached};
use crate::table::Assistant;
use crate::tree::Tree;
use crate::unfit::Unfit;

/// Where an entry stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The names that lead to the object of entries.
    pub within: Vec<String>,
    /// The entry's name.
    pub name: String,
}

impl Place {
    /// The folder that the entry is for, where it is not for everything that the person does.
    pub fn project(&self) -> Option<&str> {
        match self.within.as_slice() {
            [first, project, _] if first == PROJECTS => Some(project),
            _ => None,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.project() {
            Some(project) => write!(f, "{} (in {project})", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A server that is configured outside Deskgate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// Where its entry stands.
    pub place: Place,
    /// What the entry says, if all of it is understood.
    pub server: Result<Configured, Unfit>,
}

/// What an entry says. Holds secrets, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Configured {
    /// A program on standard input and output.
    Program {
        /// The program.
        program: String,
        /// Its arguments.
        arguments: Vec<Word>,
        /// Its variables; the values are secrets by where they stand.
        environment: BTreeMap<String, String>,
    },
    /// A server at an address, which holds no secret.
    Address {
        /// The address.
        url: Url,
        /// What it is asked with: the name of a header, and the token in it, without `Bearer`.
        token: Option<(String, String)>,
    },
}

impl std::fmt::Debug for Configured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Program { .. } => "Program(..)",
            Self::Address { .. } => "Address(..)",
        })
    }
}

/// An argument: what may be read, and the secret that follows it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Word {
    /// What may be read.
    pub plain: String,
    /// What may not.
    pub secret: Option<String>,
}

impl Configured {
    /// Every secret in it.
    pub fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Program { arguments, environment, .. } => {
                let words = arguments.iter().filter_map(|word| word.secret.as_deref());
                words.chain(environment.values().map(String::as_str)).collect()
            }
            Self::Address { token, .. } => token.iter().map(|(_, token)| token.as_str()).collect(),
        }
    }
}

/// Where Claude Code keeps what is for one folder only.
const PROJECTS: &str = "projects";
const CLAUDE_CODE: &str = "claude-code";

/// Every entry of a file that does not lead to Deskgate, in the order of the file.
pub(crate) fn outside(assistant: &Assistant, file: &Tree) -> Vec<Outside> {
    let mut found = Vec::new();
    for within in scopes(assistant, file) {
        let path: Vec<&str> = within.iter().map(String::as_str).collect();
        let Ok(Some(Tree::Map(entries))) = file.at(&path) else { continue };
        for (name, entry) in entries {
            if is_server(entry) && reached(entry).is_none() {
                let place = Place { within: within.clone(), name: name.clone() };
                found.push(Outside { place, server: configured(assistant, entry) });
            }
        }
    }
    found
}

/// Where entries stand: for everything, and for single folders.
fn scopes(assistant: &Assistant, file: &Tree) -> Vec<Vec<String>> {
    let usual: Vec<String> = assistant.within.iter().map(|it| (*it).to_owned()).collect();
    let mut scopes = vec![usual.clone()];
    if assistant.id == CLAUDE_CODE
        && let Ok(Some(Tree::Map(projects))) = file.at(&[PROJECTS])
    {
        let of = |(project, _): &(String, Tree)| {
            [PROJECTS.to_owned(), project.clone()].into_iter().chain(usual.clone()).collect()
        };
        scopes.extend(projects.iter().map(of));
    }
    scopes
}

/// Members that are about how an assistant treats the server, which Deskgate does in its own way.
const OF_THE_ASSISTANT: &[&str] = &[
    "type",
    "transport",
    "name",
    "description",
    "title",
    "enabled",
    "disabled",
    "timeout",
    "startup_timeout_sec",
    "startup_timeout_ms",
    "tool_timeout_sec",
    "trust",
    "autoApprove",
    "alwaysAllow",
    "required",
    "gallery",
    "version",
    "source",
    "bundled",
];
/// Assistants that take an address without a type for one of the transport that is no longer specified.
const SSE_WITHOUT_TYPE: &[&str] = &["gemini", "qwen", "cline"];
const PROGRAM: &[&str] = &["command", "cmd"];
const ARGUMENTS: &str = "args";
const ENVIRONMENT: &[&str] = &["env", "envs", "environment"];
const HEADERS: &[&str] = &["headers", "http_headers"];

/// What an entry says.
pub(crate) fn configured(assistant: &Assistant, entry: &Tree) -> Result<Configured, Unfit> {
    let Tree::Map(members) = entry else { return Err(Unfit::Form("entry".to_owned())) };
    let (mut words, mut environment, mut headers, mut url) = (Vec::new(), Vec::new(), Vec::new(), None);
    let (mut arguments, mut kind) = (Vec::new(), None);
    for (name, value) in members {
        match name.as_str() {
            it if PROGRAM.contains(&it) => words = texts(name, value)?,
            ARGUMENTS => arguments = texts(name, value)?,
            it if ENVIRONMENT.contains(&it) => environment = named(name, value)?,
            it if HEADERS.contains(&it) => headers = named(name, value)?,
            it if ADDRESSES.contains(&it) => url = Some((it, text(name, value)?)),
            "enabled" if is(value, "false") => return Err(Unfit::SwitchedOff),
            "disabled" if is(value, "true") => return Err(Unfit::SwitchedOff),
            "type" | "transport" => kind = Some(text(name, value)?),
            "tools" if *value == Tree::List(vec![Tree::Text("*".to_owned())]) => {}
            it if OF_THE_ASSISTANT.contains(&it) || value.is_empty() => {}
            _ => return Err(Unfit::Member(name.clone())),
        }
    }
    words.extend(arguments);
    let (texts, values) = (words.iter(), environment.iter().chain(&headers).map(|(_, value)| value));
    if texts.chain(values).chain(url.iter().map(|(_, url)| url)).any(|text| has_variable(text)) {
        return Err(Unfit::Variable);
    }
    match (words.split_first(), url) {
        (Some((program, rest)), None) if headers.is_empty() && !program.is_empty() => {
            Ok(Configured::Program {
                program: program.clone(),
                arguments: marked(rest),
                environment: environment.into_iter().collect(),
            })
        }
        (None, Some((member, url))) if environment.is_empty() => {
            let untyped = kind.is_none() && member == "url" && SSE_WITHOUT_TYPE.contains(&assistant.id);
            if untyped || kind.as_deref() == Some("sse") {
                return Err(Unfit::OldTransport);
            }
            Ok(Configured::Address { url: address(&url)?, token: token(headers)? })
        }
        _ => Err(Unfit::Form("command".to_owned())),
    }
}

fn is(value: &Tree, word: &str) -> bool {
    matches!(value, Tree::Other(text) if text == word)
}

fn text(name: &str, value: &Tree) -> Result<String, Unfit> {
    value.text().map(str::to_owned).ok_or_else(|| Unfit::Form(name.to_owned()))
}

fn texts(name: &str, value: &Tree) -> Result<Vec<String>, Unfit> {
    match value {
        Tree::Text(text) => Ok(vec![text.clone()]),
        Tree::List(items) => items.iter().map(|it| text(name, it)).collect(),
        Tree::Other(_) | Tree::Map(_) => Err(Unfit::Form(name.to_owned())),
    }
}

/// Names and values; a value that is a number or a truth value is what it is written as.
fn named(name: &str, value: &Tree) -> Result<Vec<(String, String)>, Unfit> {
    let form = || Unfit::Form(name.to_owned());
    let Tree::Map(members) = value else {
        return if value.is_empty() { Ok(Vec::new()) } else { Err(form()) };
    };
    let mut found: Vec<(String, String)> = Vec::new();
    for (key, value) in members {
        let (Tree::Text(value) | Tree::Other(value)) = value else { return Err(form()) };
        if found.iter().any(|(known, _)| known == key) {
            return Err(form());
        }
        found.push((key.clone(), value.clone()));
    }
    Ok(found)
}

/// Whether an assistant would put something else in here: from its environment, from a file, from what it asks for.
pub(crate) fn has_variable(text: &str) -> bool {
    let by_name = text
        .strip_prefix('$')
        .is_some_and(|it| it.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
    by_name || ["${", "{env:", "{file:"].iter().any(|it| text.contains(it))
}

/// What of the name of a flag says that a secret follows.
const SECRET_NAMES: &[&str] =
    &["token", "secret", "pass", "pwd", "key", "auth", "credential", "header", "bearer"];

fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|it| name.contains(it))
}

/// Whether what stands under a member of this name is to be taken for a secret.
pub(crate) fn may_hold_secrets(name: &str) -> bool {
    ENVIRONMENT.contains(&name) || HEADERS.contains(&name) || names_secret(name)
}

/// Arguments, with what may be a secret told apart: what follows a name that says so, addresses that hold more than a place, and
/// what looks made by a machine. To seal one word too many does no harm.
pub(crate) fn marked(words: &[String]) -> Vec<Word> {
    let mut follows = false;
    let mark = |word: &String| {
        let after = std::mem::replace(&mut follows, announces_secret(word));
        let sealed = || Word { plain: String::new(), secret: Some(word.clone()) };
        if is_header(word) {
            follows &= !word.starts_with('-');
            return sealed();
        }
        if let Some((name, value)) = word.split_once('=')
            && (names_secret(name) || is_secret(value) || has_named_secret(value))
            && !name.contains("://")
        {
            follows = false;
            return Word { plain: format!("{name}="), secret: Some(value.to_owned()) };
        }
        if (after && !word.starts_with('-')) || is_secret(word) || has_named_secret(word) {
            return sealed();
        }
        Word { plain: word.clone(), secret: None }
    };
    words.iter().map(mark).collect()
}

/// Whether the word after this one is to be taken for a secret: after a flag that says so, `-H` of `curl` and its like among them,
/// and after what a header begins with where that is a word of its own.
fn announces_secret(word: &str) -> bool {
    let name = word.trim_end_matches(':');
    let is_flag = word.starts_with('-') && names_secret(word);
    is_flag || word == "-H" || ["authorization", "bearer"].iter().any(|it| name.eq_ignore_ascii_case(it))
}

/// Whether a word is, or holds, the header that one is let in with. A flag of that name alone does not.
fn is_header(word: &str) -> bool {
    let holds_more = !word.starts_with('-') || word.contains([':', ' ']);
    let word = word.to_ascii_lowercase();
    word.contains("bearer ") || (word.contains("authorization") && holds_more)
}

/// Whether a part of a word gives a value to a name that says that it is a secret, as a connection string does.
fn has_named_secret(word: &str) -> bool {
    let names = |part: &str| part.split_once(['=', ':']).is_some_and(|(name, _)| names_secret(name));
    word.split([';', '&', ',']).any(names)
}

fn is_secret(word: &str) -> bool {
    // The value of a flag is looked at by itself.
    let address = match word.split_once('=') {
        Some((name, value)) if word.starts_with('-') && !name.contains("://") => value,
        Some(_) | None => word,
    };
    (address.contains("://") && !is_open_address(address)) || looks_made(word)
}

/// What the path of an address in an argument may consist of. Some servers have the key in the path, however short.
const OPEN_PATHS: &[&str] =
    &["", "mcp", "sse", "api", "rpc", "http", "stream", "server", "message", "messages"];

/// Whether a word is an address that holds nothing but a place.
fn is_open_address(word: &str) -> bool {
    let Ok(url) = Url::parse(word) else { return false };
    let is_version =
        |part: &str| part.strip_prefix('v').is_some_and(|it| it.len() <= 2 && it.parse::<u8>().is_ok());
    let is_open = |part: &str| OPEN_PATHS.contains(&part) || is_version(part);
    let by_user = !url.username().is_empty() || url.password().is_some();
    // Only of these is it known what is the path.
    matches!(url.scheme(), "http" | "https")
        && !by_user
        && url.query().is_none()
        && url.fragment().is_none()
        && url.host_str().is_some_and(|host| !host.split('.').any(looks_made))
        && url.path_segments().is_none_or(|mut parts| parts.all(is_open))
}

/// How long what a machine made is at least, in characters.
const MADE: usize = 20;

/// Whether a word is long and mixed, as keys and tokens are.
pub(crate) fn looks_made(word: &str) -> bool {
    word.len() >= MADE
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "_-.=+~:".contains(c))
        && word.contains(|c: char| c.is_ascii_digit())
        && word.contains(|c: char| c.is_ascii_alphabetic())
}

/// An address that may be written down.
pub(crate) fn address(text: &str) -> Result<Url, Unfit> {
    let url = Url::parse(text).map_err(|_| Unfit::Form("url".to_owned()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Unfit::Form("url".to_owned()));
    }
    let in_query = url.query_pairs().any(|(name, value)| names_secret(&name) || looks_made(&value));
    let in_path = url.path_segments().is_some_and(|mut parts| parts.any(looks_made));
    let by_user = !url.username().is_empty() || url.password().is_some();
    if in_query || in_path || by_user { Err(Unfit::SecretInAddress) } else { Ok(url) }
}

/// What a server is asked with: one header at most, with something that can be sent as a token.
fn token(headers: Vec<(String, String)>) -> Result<Option<(String, String)>, Unfit> {
    let own = ["accept", "content-type", "user-agent"];
    let mut rest = headers.into_iter().filter(|(name, _)| !own.contains(&name.to_ascii_lowercase().as_str()));
    let Some((name, value)) = rest.next() else { return Ok(None) };
    if rest.next().is_some() {
        return Err(Unfit::SeveralHeaders);
    }
    let value = if name.eq_ignore_ascii_case("authorization") {
        let (scheme, token) = value.split_once(' ').ok_or(Unfit::Header)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Unfit::Header);
        }
        token.trim().to_owned()
    } else {
        value
    };
    let can_be_sent = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    if can_be_sent { Ok(Some((name, value))) } else { Err(Unfit::Header) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(assistant: &str, entry: serde_json::Value) -> Result<Configured, Unfit> {
        configured(Assistant::named(assistant).expect("known"), &Tree::from(&entry))
    }

    fn words(found: &Configured) -> Vec<(String, Option<String>)> {
        let Configured::Program { arguments, .. } = found else { panic!("a program") };
        arguments.iter().map(|it| (it.plain.clone(), it.secret.clone())).collect()
    }

    #[test]
    fn secrets_are_told_from_what_may_be_read() {
        let entry = json!({
            "command": "npx",
            "args": ["-y", "@x/server@1.2.3", "--api-key", "k1", "--token=t1", "/home/me/notes-2026-of-mine", "postgres://u:p@h/d",
                "abcdefghij0123456789", "--api-key", "--verbose", "-e", "GITHUB_TOKEN=t2", "https://h.example/mcp?x=1"],
            "env": {"A": "a1", "PORT": 8080},
        });
        let found = check("cursor", entry).expect("fit");
        let plain = |text: &str| (text.to_owned(), None);
        let secret = |text: &str, value: &str| (text.to_owned(), Some(value.to_owned()));
        let expected = [
            plain("-y"),
            plain("@x/server@1.2.3"),
            plain("--api-key"),
            secret("", "k1"),
            secret("--token=", "t1"),
            plain("/home/me/notes-2026-of-mine"),
            secret("", "postgres://u:p@h/d"),
            secret("", "abcdefghij0123456789"),
            plain("--api-key"),
            plain("--verbose"),
            plain("-e"),
            secret("GITHUB_TOKEN=", "t2"),
            secret("", "https://h.example/mcp?x=1"),
        ];
        assert_eq!(words(&found), expected);
        assert_eq!(format!("{found:?}"), "Program(..)");
        assert!(found.secrets().contains(&"a1") && found.secrets().contains(&"8080"));
    }

    #[test]
    fn keys_within_words_are_sealed() {
        let check = |args: &[&str], at: usize, plain: &str| {
            let found = check("cursor", json!({"command": "npx", "args": args})).expect("fit");
            let (shown, secret) = words(&found).swap_remove(at);
            let whole = format!("{shown}{}", secret.as_deref().unwrap_or_default());
            assert_eq!((shown.as_str(), whole.as_str()), (plain, args[at]), "{args:?}");
        };
        let sealed = |word: &str| check(&["mcp-remote", word], 1, "");
        // Keys in addresses.
        sealed("https://actions.zapier.com/mcp/sk-ak-abc123/sse");
        sealed("https://h.example/mcp/hunter");
        sealed("https://h.example/mcp#hunter");
        sealed("https://u@h.example/mcp");
        sealed("https://abcdefghij0123456789.h.example/mcp");
        sealed("postgres://hunter");
        sealed("see https://h.example/mcp");
        sealed("not an address://");
        check(&["--url=https://h.example/hunter/sse"], 0, "--url=");
        for open in [
            "https://h.example",
            "https://h.example/",
            "http://127.0.0.1:3000/v1/mcp",
            "https://h.example/mcp/sse",
        ] {
            check(&["mcp-remote", open], 1, open);
            check(&[&format!("--url={open}")], 0, &format!("--url={open}"));
        }
        // Headers.
        for flag in ["-H", "--header"] {
            check(&[flag, "Authorization: Bearer sk1"], 1, "");
            check(&[flag, "X-Any: sk1"], 1, "");
            check(&[flag, "X-Any: sk1"], 0, flag);
        }
        sealed("Authorization: Basic sk1");
        sealed("AUTHORIZATION:sk1");
        sealed("-HX-Any: bearer sk1");
        sealed("Bearer sk1");
        sealed("X-Api-Key: sk1");
        sealed("-bcdefghij0123456789=");
        check(&["--authorization", "sk1"], 0, "--authorization");
        check(&["--authorization", "sk1"], 1, "");
        check(&["--header", "Authorization:", "Bearer", "sk1"], 2, "");
        check(&["--header", "Authorization:", "Bearer", "sk1"], 3, "");
        // Several names in one word.
        check(&["Server=h;Password=p"], 0, "Server=");
        check(&["Server=h&pwd=p"], 0, "Server=");
        check(&["--set=a=b,token=p"], 0, "--set=");
        check(&["Server=h;Port=1"], 0, "Server=h;Port=1");
        sealed("Server:h;Password:p");
        sealed("{\"a\": 1, \"apiKey\": \"p\"}");
    }

    #[test]
    fn each_assistant_says_it_in_its_own_words() {
        let is_program = |it: Result<Configured, Unfit>| matches!(it, Ok(Configured::Program { .. }));
        let is_address = |it: Result<Configured, Unfit>| matches!(it, Ok(Configured::Address { .. }));
        assert!(is_program(check(
            "opencode",
            json!({"type": "local", "command": ["x", "y"], "environment": {"A": "b"}, "enabled": true})
        )));
        assert!(is_program(check(
            "goose",
            json!({"enabled": true, "type": "stdio", "name": "x", "cmd": "x", "args": [], "envs": {}, "env_keys": [], "timeout": 300})
        )));
        assert!(is_program(check("codex", json!({"command": "x", "startup_timeout_sec": 5}))));
        assert!(is_address(check(
            "codex",
            json!({"url": "https://h.example/mcp", "http_headers": {"X-Key": "v"}})
        )));
        assert!(is_address(check("windsurf", json!({"serverUrl": "https://h.example/mcp"}))));
        assert!(is_address(check("gemini", json!({"httpUrl": "https://h.example/mcp", "trust": true}))));
        assert!(is_address(check("gemini", json!({"url": "https://h.example/mcp", "type": "http"}))));
        let bearer =
            json!({"url": "https://h.example/mcp", "headers": {"authorization": "bearer t1", "Accept": "x"}});
        let token = Some(("authorization".to_owned(), "t1".to_owned()));
        let url = "https://h.example/mcp".parse().expect("a URL");
        assert_eq!(check("cursor", bearer), Ok(Configured::Address { url, token }));
    }

    #[test]
    fn what_has_no_counterpart_is_never_dropped() {
        let url = "https://h.example/mcp";
        let member = |name: &str| Err(Unfit::Member(name.to_owned()));
        assert_eq!(check("codex", json!({"command": "x", "cwd": "/y"})), member("cwd"));
        assert_eq!(check("codex", json!({"command": "x", "enabled_tools": ["a"]})), member("enabled_tools"));
        assert_eq!(
            check("codex", json!({"url": url, "bearer_token_env_var": "T"})),
            member("bearer_token_env_var")
        );
        assert_eq!(check("copilot", json!({"url": url, "tools": ["a"]})), member("tools"));
        assert_eq!(check("vscode", json!({"command": "x", "envFile": "/y"})), member("envFile"));
        for value in ["${input:key}", "a ${B}", "$KEY", "{env:KEY}", "{file:~/key}"] {
            assert_eq!(
                check("vscode", json!({"command": "x", "env": {"A": value}})),
                Err(Unfit::Variable),
                "{value}"
            );
        }
        assert_eq!(check("cursor", json!({"command": "x", "disabled": true})), Err(Unfit::SwitchedOff));
        assert_eq!(check("cursor", json!({"url": url, "type": "sse"})), Err(Unfit::OldTransport));
        assert_eq!(check("gemini", json!({"url": url})), Err(Unfit::OldTransport));
        let headers = json!({"url": url, "headers": {"A": "b", "C": "d"}});
        assert_eq!(check("cursor", headers), Err(Unfit::SeveralHeaders));
        for header in
            [json!({"Authorization": "Basic x"}), json!({"Authorization": "x"}), json!({"K": "a b"})]
        {
            assert_eq!(check("cursor", json!({"url": url, "headers": header})), Err(Unfit::Header));
        }
        for secret in [
            "https://u:p@h.example/mcp",
            "https://h.example/mcp?apiKey=x",
            "https://h.example/mcp?x=abcdefghij0123456789",
            "https://h.example/s/abcdefghij0123456789/mcp",
        ] {
            assert_eq!(check("cursor", json!({"url": secret})), Err(Unfit::SecretInAddress), "{secret}");
        }
        assert!(matches!(check("cursor", json!({"url": "file:///x"})), Err(Unfit::Form(_))));
        assert!(matches!(check("cursor", json!({"command": "x", "url": url})), Err(Unfit::Form(_))));
    }
}
