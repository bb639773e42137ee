//! The assistants that Deskgate knows, as data: how each is found, where its configuration lies, and the form of an entry.

use crate::machine::Place::{Applications, Config, Home, Local, MacHome, Roaming, Support, Variable};
use crate::machine::{Machine, Place};
use std::path::PathBuf;

/// How a configuration file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON (RFC 8259).
    Json,
    /// JSON with comments and trailing commas.
    Jsonc,
    /// TOML 1.0.
    Toml,
    /// YAML 1.2.
    Yaml,
}

/// By what it is known that the entry works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// The assistant itself reads it, in this project's tests.
    Run,
    /// Its documentation says so; it was not run here.
    Documentation,
}

impl Verified {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Documentation => "documentation",
        }
    }
}

/// What stands in one member of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// This text.
    Text(&'static str),
    /// True.
    Yes,
    /// A number of seconds.
    Seconds(u32),
    /// A list of one `*`.
    Everything,
    /// The name of the entry.
    Name,
    /// The address of the virtual server.
    Url,
    /// The `deskgate` program.
    Program,
    /// What the program is started with.
    Arguments,
}

/// An assistant.
#[derive(Debug, PartialEq, Eq)]
pub struct Assistant {
    /// What it is called on the command line.
    pub id: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Programs that it is found by, on the search path.
    pub(crate) programs: &'static [&'static str],
    /// Folders that it is found by.
    pub(crate) folders: &'static [Place],
    /// Its configuration: the first of these that is there, or else the first that this platform has.
    pub(crate) files: &'static [Place],
    /// How that is written.
    pub format: Format,
    /// Where in it MCP servers stand.
    pub(crate) within: &'static [&'static str],
    /// What an entry says.
    pub(crate) entry: &'static [(&'static str, Field)],
    /// What the person does next.
    pub next: &'static str,
    /// Where its maker says all this.
    pub source: &'static str,
    /// By what it is known.
    pub verified: Verified,
}

impl Assistant {
    /// The one of this id.
    pub fn named(id: &str) -> Option<&'static Self> {
        ASSISTANTS.iter().find(|it| it.id == id)
    }

    /// The configuration file on this machine, which need not exist; nothing where the platform has none.
    pub fn file(&self, machine: &Machine) -> Option<PathBuf> {
        let mut places = self.files.iter().filter_map(|place| machine.resolve(*place));
        let first = places.next()?;
        // A variable of the environment moves the file, whether or not it is there already.
        let moved =
            matches!(self.files.first(), Some(Variable(name, _)) if machine.variables.contains_key(*name));
        if moved || first.exists() {
            return Some(first);
        }
        Some(places.find(|place| place.exists()).unwrap_or(first))
    }

    /// Whether it starts `deskgate bridge`, because it takes no address or cannot sign in at one.
    pub fn is_bridged(&self) -> bool {
        self.entry.iter().any(|(_, field)| *field == Field::Program)
    }
}

/// Variables of the environment that move configuration files.
pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
    ASSISTANTS.iter().flat_map(|it| it.files).filter_map(|place| {
        let Variable(name, _) = place else { return None };
        Some(*name)
    })
}

const RESTART_AND_SIGN_IN: &str = "Start it anew. When it asks you to sign in to the server, do so; Deskgate then asks you whether to let it in.";

/// All of them.
pub const ASSISTANTS: &[Assistant] = &[
    Assistant {
        id: "claude-code",
        title: "Claude Code",
        programs: &["claude"],
        folders: &[Home(".claude")],
        files: &[Variable("CLAUDE_CONFIG_DIR", ".claude.json"), Home(".claude.json")],
        format: Format::Json,
        within: &["mcpServers"],
        entry: &[("type", Field::Text("http")), ("url", Field::Url)],
        next: "Start it anew, type /mcp, choose the server and sign in; Deskgate then asks you whether to let it in.",
        source: "https://code.claude.com/docs/en/mcp",
        verified: Verified::Run,
    },
    Assistant {
        id: "claude-desktop",
        title: "Claude Desktop",
        programs: &["claude-desktop"],
        folders: &[
            Config("Claude"),
            Support("Claude"),
            Roaming("Claude"),
            Applications("/Applications/Claude.app"),
        ],
        files: &[
            Config("Claude/claude_desktop_config.json"),
            Support("Claude/claude_desktop_config.json"),
            Roaming("Claude/claude_desktop_config.json"),
        ],
        format: Format::Json,
        within: &["mcpServers"],
        // Its configuration file takes programs only.
        entry: &[("command", Field::Program), ("args", Field::Arguments)],
        next: "Quit it and start it anew while Deskgate runs; Deskgate then asks you whether to let it in.",
        source: "https://modelcontextprotocol.io/docs/develop/connect-local-servers",
        verified: Verified::Documentation,
    },
    Assistant {
        id: "codex",
        title: "Codex",
        programs: &["codex"],
        folders: &[Home(".codex")],
        files: &[Variable("CODEX_HOME", "config.toml"), Home(".codex/config.toml")],
        format: Format::Toml,
        within: &["mcp_servers"],
        entry: &[("url", Field::Url)],
        next: "Run `codex mcp login` with the server's name; Deskgate then asks you whether to let it in.",
        source: "https://developers.openai.com/codex/mcp",
        verified: Verified::Run,
    },
    Assistant {
        id: "cursor",
        title: "Cursor",
        programs: &["cursor", "cursor-agent"],
        folders: &[Home(".cursor"), Local("Programs/cursor"), Applications("/Applications/Cursor.app")],
        files: &[Home(".cursor/mcp.json")],
        format: Format::Jsonc,
        within: &["mcpServers"],
        entry: &[("url", Field::Url)],
        next: RESTART_AND_SIGN_IN,
        source: "https://cursor.com/docs/mcp",
        verified: Verified::Documentation,
    },
    Assistant {
        id: "vscode",
        title: "Visual Studio Code",
        programs: &["code"],
        folders: &[
            Config("Code"),
            Support("Code"),
            Roaming("Code"),
            Applications("/Applications/Visual Studio Code.app"),
        ],
        files: &[Config("Code/User/mcp.json"), Support("Code/User/mcp.json"), Roaming("Code/User/mcp.json")],
        format: Format::Jsonc,
        within: &["servers"],
        entry: &[("type", Field::Text("http")), ("url", Field::Url)],
        next: "Open the command palette, choose MCP: List Servers and start the server; Deskgate then asks you whether to let it in.",
        source: "https://code.visualstudio.com/docs/agents/reference/mcp-configuration",
        verified: Verified::Documentation,
    },
    Assistant {
        id: "windsurf",
        title: "Windsurf",
        programs: &["windsurf"],
        folders: &[Home(".codeium/windsurf"), Applications("/Applications/Windsurf.app")],
        files: &[Home(".codeium/windsurf/mcp_config.json")],
        format: Format::Json,
        within: &["mcpServers"],
        entry: &[("serverUrl", Field::Url)],
        next: RESTART_AND_SIGN_IN,
        source: "https://docs.windsurf.com/windsurf/cascade/mcp",
        verified: Verified::Documentation,
    },
    Assistant {
        id: "zed",
        title: "Zed",
        programs: &["zed", "zeditor"],
        folders: &[
            Config("zed"),
            MacHome(".config/zed"),
            Roaming("Zed"),
            Applications("/Applications/Zed.app"),
        ],
        files: &[
            Config("zed/settings.json"),
            MacHome(".config/zed/settings.json"),
            Roaming("Zed/settings.json"),
        ],
        format: Format::Jsonc,
        within: &["context_servers"],
        entry: &[("url", Field::Url)],
        next: "It reads the file at once. When it asks you to sign in to the server, do so; Deskgate then asks you whether to let it in.",
        source: "https://zed.dev/docs/ai/mcp",
        verified: Verified::Documentation,
    },
    Assistant {
        id: "goose",
        title: "Goose",
        programs: &["goose"],
        folders: &[
            Config("goose"),
            MacHome(".config/goose"),
            Roaming("Block/goose"),
            Applications("/Applications/Goose.app"),
        ],
        files: &[
            Config("goose/config.yaml"),
            MacHome(".config/goose/config.yaml"),
            Roaming("Block/goose/config/config.yaml"),
        ],
        format: Format::Yaml,
        within: &["extensions"],
        entry: &[
            ("enabled", Field::Yes),
            ("type", Field::Text("streamable_http")),
            ("name", Field::Name),
            ("description", Field::Text("Deskgate")),
            ("uri", Field::Url),
            ("timeout", Field::Seconds(300)),
        ],
        next: RESTART_AND_SIGN_IN,
        source: "https://block.github.io/goose/docs/guides/config-files",
        verified: Verified::Documentation,
    },
    Assistant {
        id: "gemini",
        title: "Gemini CLI",
        programs: &["gemini"],
        folders: &[Home(".gemini")],
        files: &[Home(".gemini/settings.json")],
        format: Format::Jsonc,
        within: &["mcpServers"],
        entry: &[("httpUrl", Field::Url)],
        next: "Start it anew and type /mcp auth with the server's name; Deskgate then asks you whether to let it in.",
        source: "https://geminicli.com/docs/tools/mcp-server",
        verified: Verified::Run,
    },
    Assistant {
        id: "opencode",
        title: "opencode",
        programs: &["opencode"],
        folders: &[Config("opencode"), Home(".config/opencode")],
        files: &[
            Config("opencode/opencode.json"),
            Config("opencode/opencode.jsonc"),
            Home(".config/opencode/opencode.json"),
            Home(".config/opencode/opencode.jsonc"),
        ],
        format: Format::Jsonc,
        within: &["mcp"],
        entry: &[("type", Field::Text("remote")), ("url", Field::Url), ("enabled", Field::Yes)],
        next: "Run `opencode mcp auth` with the server's name; Deskgate then asks you whether to let it in.",
        source: "https://opencode.ai/v1/docs/mcp-servers",
        verified: Verified::Run,
    },
    Assistant {
        id: "copilot",
        title: "GitHub Copilot CLI",
        programs: &["copilot"],
        folders: &[Home(".copilot")],
        files: &[Variable("COPILOT_HOME", "mcp-config.json"), Home(".copilot/mcp-config.json")],
        format: Format::Json,
        within: &["mcpServers"],
        entry: &[("type", Field::Text("http")), ("url", Field::Url), ("tools", Field::Everything)],
        next: RESTART_AND_SIGN_IN,
        source: "https://docs.github.com/en/copilot/how-tos/copilot-cli/customize-copilot/add-mcp-servers",
        verified: Verified::Documentation,
    },
    Assistant {
        id: "qwen",
        title: "Qwen Code",
        programs: &["qwen"],
        folders: &[Home(".qwen")],
        files: &[Home(".qwen/settings.json")],
        format: Format::Jsonc,
        within: &["mcpServers"],
        entry: &[("httpUrl", Field::Url)],
        next: RESTART_AND_SIGN_IN,
        source: "https://qwenlm.github.io/qwen-code-docs/en/users/features/mcp/",
        verified: Verified::Documentation,
    },
    Assistant {
        id: "kiro",
        title: "Kiro",
        programs: &["kiro", "kiro-cli"],
        folders: &[Home(".kiro"), Applications("/Applications/Kiro.app")],
        files: &[Home(".kiro/settings/mcp.json")],
        format: Format::Json,
        within: &["mcpServers"],
        entry: &[("url", Field::Url)],
        next: RESTART_AND_SIGN_IN,
        source: "https://kiro.dev/docs/mcp/configuration",
        verified: Verified::Documentation,
    },
    Assistant {
        id: "cline",
        title: "Cline (command line)",
        programs: &["cline"],
        folders: &[Home(".cline")],
        files: &[
            Variable("CLINE_MCP_SETTINGS_PATH", ""),
            Home(".cline/data/settings/cline_mcp_settings.json"),
        ],
        format: Format::Json,
        within: &["mcpServers"],
        entry: &[("type", Field::Text("streamableHttp")), ("url", Field::Url)],
        next: RESTART_AND_SIGN_IN,
        source: "https://docs.cline.bot/mcp/mcp-overview",
        verified: Verified::Documentation,
    },
];

/// The table for the documents, in Markdown.
pub fn markdown() -> String {
    let mut text = "| assistant | name | file | by | verified |\n|---|---|---|---|---|\n".to_owned();
    for it in ASSISTANTS {
        let mut files: Vec<String> = Vec::new();
        for place in it.files.iter().map(|place| format!("`{}`", place.shown())) {
            if !files.contains(&place) {
                files.push(place);
            }
        }
        let by = if it.is_bridged() { "bridge" } else { "address" };
        let (title, id, source, verified) = (it.title, it.id, it.source, it.verified.word());
        text += &format!("| [{title}]({source}) | `{id}` | {} | {by} | {verified} |\n", files.join(", "));
    }
    text
}
