//! What of a line of an assistant's file may be shown. All is dots but what is known to be harmless: a line may hold more than the
//! entry that goes, up to the whole file.

use std::collections::{BTreeMap, BTreeSet};

use crate::masked::{DOTS, SHORT};
use crate::outside::{Configured, Outside, looks_made, may_hold_secrets, outside};
use crate::table::{Assistant, Format};
use crate::tree::Tree;

/// The longest line that is looked into, in characters. Nobody reads a longer one.
const LONGEST: usize = 400;

/// Values that say nothing of anybody.
const CONSTANTS: &[&str] = &[
    "true",
    "false",
    "null",
    "~",
    "stdio",
    "http",
    "sse",
    "streamable_http",
    "streamable-http",
    "streamableHttp",
    "local",
    "remote",
    "|",
    "|-",
    "|+",
    ">",
    ">-",
    ">+",
];

/// What may be shown of two states of a file.
pub(crate) struct Harmless {
    format: Format,
    /// The names of members, anywhere in the file.
    names: BTreeSet<String>,
    /// Words of the entries that go or come, each as it is shown.
    words: BTreeMap<String, String>,
    /// Values that stay dots even where they look like one of the above.
    secrets: BTreeSet<String>,
}

impl Harmless {
    /// Of the state before and the one after. A state that is not understood allows nothing.
    pub(crate) fn of(assistant: &Assistant, states: [Option<Tree>; 2], secrets: &[&str]) -> Self {
        let mut known = Self {
            format: assistant.format,
            names: BTreeSet::new(),
            words: BTreeMap::new(),
            secrets: secrets.iter().map(|it| (*it).to_owned()).collect(),
        };
        let [before, after] = states.map(|state| {
            let Some(tree) = state else { return Vec::new() };
            known.learn(&tree, false);
            outside(assistant, &tree)
        });
        for entry in before.iter().chain(&after) {
            if let Ok(server) = &entry.server {
                known.secrets.extend(server.secrets().into_iter().map(str::to_owned));
            }
        }
        let gone = before.iter().filter(|it| !after.contains(it));
        for entry in gone.chain(after.iter().filter(|it| !before.contains(it))) {
            known.allow(entry);
        }
        // The same word may be a secret elsewhere, and nothing tells on which side of a line it stands.
        let secrets = &known.secrets;
        known.words.retain(|word, _| !secrets.contains(word));
        known
    }

    /// Names, and values that are secrets by the name that they stand under.
    fn learn(&mut self, tree: &Tree, is_secret: bool) {
        match tree {
            Tree::Text(text) | Tree::Other(text) => {
                if is_secret {
                    self.secrets.insert(text.clone());
                }
            }
            Tree::List(items) => items.iter().for_each(|it| self.learn(it, is_secret)),
            Tree::Map(members) => {
                for (name, value) in members {
                    // Some programs keep what they were asked about by key.
                    if !looks_made(name) {
                        self.names.insert(name.clone());
                    }
                    self.learn(value, is_secret || may_hold_secrets(name));
                }
            }
        }
    }

    /// The plain words of an entry. Of one that is not understood nobody knows which they are.
    fn allow(&mut self, entry: &Outside) {
        let mut allow = |word: &str, shown: String| self.words.insert(word.to_owned(), shown);
        match &entry.server {
            Ok(Configured::Program { program, arguments, environment: _ }) => {
                allow(program, program.clone());
                for word in arguments {
                    match &word.secret {
                        Some(secret) => allow(&format!("{}{secret}", word.plain), word.plain.clone() + DOTS),
                        None => allow(&word.plain, word.plain.clone()),
                    };
                }
            }
            Ok(Configured::Address { url, token: _ }) => {
                // It is seldom written with the slash that an address without a path has.
                for text in [url.as_str(), url.as_str().trim_end_matches('/')] {
                    allow(text, text.to_owned());
                }
            }
            Err(_) => {}
        }
        allow(&entry.place.name, entry.place.name.clone());
    }

    /// A line of a diff, with its mark.
    pub(crate) fn shown(&self, line: &str) -> String {
        let start = line.chars().next().map_or(0, char::len_utf8);
        let (mark, rest) = line.split_at(start);
        let body = rest.trim_end_matches(['\n', '\r']);
        let end = rest.get(body.len()..).unwrap_or_default();
        if body.chars().count() > LONGEST {
            return format!("{mark}{DOTS}{end}");
        }
        format!("{mark}{}{end}", self.body(body))
    }

    fn body(&self, body: &str) -> String {
        let is_header = self.format == Format::Toml && body.trim_start().starts_with('[');
        let (mut shown, mut rest) = (String::new(), body);
        while let Some(c) = rest.chars().next() {
            let len = if is_between(c) {
                shown.push(c);
                c.len_utf8()
            } else if self.format == Format::Yaml && rest.starts_with("- ") {
                shown.push_str("- ");
                2
            } else if let Some(sign) = self.comment(rest) {
                shown += &format!("{sign} {DOTS}");
                return shown;
            } else if matches!(c, '"' | '\'') {
                let (len, text, is_closed) = quoted(rest, c);
                shown.push(c);
                shown += self.word(text, rest.get(len..).unwrap_or_default(), is_header);
                shown.extend(is_closed.then_some(c));
                len
            } else {
                let len = self.bare(rest);
                let text = rest.get(..len).unwrap_or(rest).trim_end();
                shown += self.word(text, rest.get(text.len()..).unwrap_or_default(), is_header);
                text.len()
            };
            rest = rest.get(len..).unwrap_or_default();
        }
        shown
    }

    /// What begins a comment here.
    fn comment(&self, rest: &str) -> Option<&'static str> {
        let signs: &[&str] = match self.format {
            Format::Json | Format::Jsonc => &["//", "/*"],
            Format::Toml | Format::Yaml => &["#"],
        };
        signs.iter().find(|sign| rest.starts_with(**sign)).copied()
    }

    /// How long what stands without quotes is, in bytes; in YAML white space is part of it.
    fn bare(&self, rest: &str) -> usize {
        let is_end = |(at, c): &(usize, char)| {
            let next = rest.get(at + c.len_utf8()..).unwrap_or_default();
            match (self.format, c) {
                (_, '{' | '}' | '[' | ']' | ',') => true,
                (Format::Yaml, ':') => next.is_empty() || next.starts_with([' ', '\t']),
                (Format::Yaml, ' ' | '\t') => next.trim_start().starts_with('#'),
                (Format::Json | Format::Jsonc, ':') | (Format::Toml, '=') => true,
                (Format::Yaml, _) => false,
                (Format::Json | Format::Jsonc | Format::Toml, c) => {
                    c.is_whitespace() || matches!(c, '"' | '\'')
                }
            }
        };
        rest.char_indices().skip(1).find(is_end).map_or(rest.len(), |(at, _)| at)
    }

    /// A word as it is shown, by what follows it.
    fn word<'t>(&'t self, text: &'t str, after: &str, is_header: bool) -> &'t str {
        let is_named = |name: &str| self.names.contains(name);
        if (is_header || after.trim_start().starts_with([':', '=']))
            && (is_named(text) || text.split('.').all(|part| part.is_empty() || is_named(part)))
        {
            return text;
        }
        let is_short_number = text.len() < SHORT && text.parse::<f64>().is_ok();
        if text.is_empty() || (CONSTANTS.contains(&text) || is_short_number) && !self.secrets.contains(text) {
            return text;
        }
        self.words.get(text).map_or(DOTS, String::as_str)
    }
}

fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '=')
}

/// A text in quotes that begins here: its length with them, what is in them, and whether it ends in this line. What is escaped is
/// left as it is written.
fn quoted(rest: &str, quote: char) -> (usize, &str, bool) {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '"' {
            chars.next();
        } else if c == quote
            && quote == '\''
            && chars.peek().is_some_and(|(_, next)| *next == quote)
            && at > 1
        {
            // How YAML writes an apostrophe.
            chars.next();
        } else if c == quote {
            return (at + 1, rest.get(1..at).unwrap_or_default(), true);
        }
    }
    (rest.len(), rest.get(1..).unwrap_or_default(), false)
}

#[cfg(test)]
mod tests {
    use crate::edit::Text;
    use crate::masked::masked_diff;
    use crate::table::Assistant;
    use std::path::Path;

    /// The lines of the diff, without head and places.
    fn lines(assistant: &str, before: &str, after: &str) -> Vec<String> {
        let assistant = Assistant::named(assistant).expect("known");
        let text = |text: &str| Text::of(Path::new("f"), text.as_bytes()).expect("text");
        let shown = masked_diff(assistant, Path::new("f"), [Some(&text(before)), Some(&text(after))], &[]);
        assert!(!shown.contains("hunter"), "{shown}");
        shown.lines().skip(2).filter(|it| !it.starts_with("@@")).map(str::to_owned).collect()
    }

    /// What is shown of taking out and of putting back.
    #[track_caller]
    fn check(assistant: &str, before: &str, after: &str, expected: &[&str]) {
        assert_eq!(lines(assistant, before, after), expected);
        let turned = |line: &&str| match line.split_at(1) {
            ("-", rest) => format!("+{rest}"),
            ("+", rest) => format!("-{rest}"),
            (mark, rest) => format!("{mark}{rest}"),
        };
        let (mut back, mut there) =
            (lines(assistant, after, before), expected.iter().map(turned).collect::<Vec<_>>());
        back.sort();
        there.sort();
        assert_eq!(back, there);
    }

    #[test]
    fn a_neighbour_on_the_changed_line_is_not_shown() {
        let a =
            r#"    "a": {"command": "own-of-a", "args": ["hunter1"], "env": {"T": "hunter2", "N": 31337}}"#;
        let b = r#"    "b": {"command": "npx", "args": ["-y", "--token=hunter3"], "timeout": 60, "env": {"U": "hunter4"}}"#;
        let file = |entries: &str| format!("{{\n  \"mcpServers\": {{\n{entries}\n  }}\n}}\n");
        let hidden = r#"    "a": {"command": "••••••••", "args": ["••••••••"], "env": {"T": "••••••••", "N": ••••••••}}"#;
        let own = r#"-    "b": {"command": "npx", "args": ["-y", "--token=••••••••"], "timeout": 60, "env": {"U": "••••••••"}}"#;
        check(
            "cursor",
            &file(&format!("{a}, // hunter5\n{b}")),
            &file(a),
            &[&format!("-{hidden}, // ••••••••"), own, &format!("+{hidden}")],
        );
    }

    #[test]
    fn a_file_on_one_line_shows_names_only_and_a_long_one_nothing() {
        let file = |key: &str, entries: &str| format!(r#"{{"apiKey":"{key}","mcpServers":{{{entries}}}}}"#);
        let entry = r#""a":{"command":"npx","env":{"T":"hunter2"}}"#;
        let no_newline = "\\ No newline at end of file";
        check(
            "cursor",
            &file("npx-hunter", entry),
            &file("npx-hunter", ""),
            &[
                r#"-{"apiKey":"••••••••","mcpServers":{"a":{"command":"npx","env":{"T":"••••••••"}}}}"#,
                no_newline,
                r#"+{"apiKey":"••••••••","mcpServers":{}}"#,
                no_newline,
            ],
        );
        // A word of the entry is no harmless word where it is somebody's password.
        check(
            "cursor",
            &file("npx", entry),
            &file("npx", ""),
            &[
                r#"-{"apiKey":"••••••••","mcpServers":{"a":{"command":"••••••••","env":{"T":"••••••••"}}}}"#,
                no_newline,
                r#"+{"apiKey":"••••••••","mcpServers":{}}"#,
                no_newline,
            ],
        );
        let long = "hunter ".repeat(70);
        let dots = ["-••••••••", no_newline, "+••••••••", no_newline];
        check("cursor", &file(&long, entry), &file(&long, ""), &dots);
    }

    #[test]
    fn yaml_is_dots_however_it_is_quoted() {
        let kept = "extensions:\n  b:\n    type: stdio\n    cmd: y\n";
        let entry = "  a:\n    type: stdio\n    name: a\n    cmd: npx\n    args:\n      - -y\n      - it is: hunter1 # hunter\n    envs:\n      T: 'it''s hunter2'\n      U: it's hunter3\n      V: |-\n        hunter4: x\n        T=hunter5\n";
        let expected = [
            "-  a:",
            "-    type: stdio",
            "-    name: a",
            "-    cmd: ••••••••",
            "-    args:",
            "-      - ••••••••",
            "-      - it is: •••••••• # ••••••••",
            "-    envs:",
            "-      T: '••••••••'",
            "-      U: ••••••••",
            "-      V: |-",
            "-        ••••••••: ••••••••",
            "-        ••••••••",
        ];
        // An argument that is a mapping: such an entry is not understood, so that no word of it is known.
        check("goose", &format!("{kept}{entry}"), kept, &expected);
        let entry = "  a:\n    type: stdio\n    cmd: npx\n    args: [-y, 'a''b', \"x:y\"]\n    envs:\n      T: 'it''s hunter2'\n";
        let expected = [
            "-  a:",
            "-    type: stdio",
            "-    cmd: npx",
            "-    args: [-y, '••••••••', \"x:y\"]",
            "-    envs:",
            "-      T: '••••••••'",
        ];
        check("goose", &format!("{kept}{entry}"), kept, &expected);
    }

    #[test]
    fn what_is_not_understood_is_dots_but_for_its_names() {
        let kept = "model = \"m\"\n";
        let entry = "\n[mcp_servers.\"a b\"]\ncommand = \"npx\" # hunter1\ncwd = \"/hunter2\"\nenv = { T = 'hunter3' }\n\n[mcp_servers.c]\nurl = \"https://h.example/mcp\"\nstartup_timeout_sec = 5\nhttp_headers = { X-Key = \"\"\"\nhunter4=\nhunter5\"\"\" }\n";
        let expected = [
            "-",
            "-[mcp_servers.\"a b\"]",
            "-command = \"••••••••\" # ••••••••",
            "-cwd = \"••••••••\"",
            "-env = { T = '••••••••' }",
            "-",
            "-[mcp_servers.c]",
            "-url = \"••••••••\"",
            "-startup_timeout_sec = 5",
            "-http_headers = { X-Key = \"\"\"",
            "-••••••••=",
            "-••••••••\"\"\"••••••••",
        ];
        let shown = lines("codex", &format!("{kept}{entry}"), kept);
        assert_eq!(shown, expected);
        assert_eq!(lines("codex", kept, &format!("{kept}{entry}")).len(), expected.len());
    }
}
