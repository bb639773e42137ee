//! What IT writes so that an assistant reaches nothing but Deskgate: a file of the machine's that people may not change. As data, each
//! with where its maker says so.

use serde_json::{Map, Value, json};

use crate::entry::{Target, entry_name};
use crate::machine::Platform;
use crate::table::{Assistant, Verified};

/// How such a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The only servers that there are.
    OnlyServers,
    /// Servers, and which names are allowed.
    ServersAndNames,
    /// Names and addresses that are allowed, in TOML.
    Identities,
    /// Addresses that are allowed.
    Addresses,
}

/// A managed configuration of an assistant.
#[derive(Debug, PartialEq, Eq)]
pub struct ManagedFile {
    /// The assistant's id.
    pub assistant: &'static str,
    linux: Option<&'static str>,
    mac: Option<&'static str>,
    windows: Option<&'static str>,
    form: Form,
    /// Where its maker says all this.
    pub source: &'static str,
    /// By what it is known.
    pub verified: Verified,
}

/// All that there are. Assistants that are not here have no such file, or one that people can add to.
pub const MANAGED: &[ManagedFile] = &[
    ManagedFile {
        assistant: "claude-code",
        linux: Some("/etc/claude-code/managed-mcp.json"),
        mac: Some("/Library/Application Support/ClaudeCode/managed-mcp.json"),
        windows: Some(r"C:\Program Files\ClaudeCode\managed-mcp.json"),
        form: Form::OnlyServers,
        source: "https://code.claude.com/docs/en/managed-mcp",
        verified: Verified::Run,
    },
    ManagedFile {
        assistant: "codex",
        linux: Some("/etc/codex/requirements.toml"),
        mac: Some("/etc/codex/requirements.toml"),
        windows: None,
        form: Form::Identities,
        source: "https://developers.openai.com/codex/enterprise/managed-configuration",
        verified: Verified::Run,
    },
    ManagedFile {
        assistant: "gemini",
        linux: Some("/etc/gemini-cli/settings.json"),
        mac: Some("/Library/Application Support/GeminiCli/settings.json"),
        windows: Some(r"C:\ProgramData\gemini-cli\settings.json"),
        form: Form::ServersAndNames,
        source: "https://geminicli.com/docs/cli/enterprise",
        verified: Verified::Run,
    },
    ManagedFile {
        assistant: "qwen",
        linux: Some("/etc/qwen-code/settings.json"),
        mac: Some("/Library/Application Support/QwenCode/settings.json"),
        windows: Some(r"C:\ProgramData\qwen-code\settings.json"),
        form: Form::ServersAndNames,
        source: "https://qwenlm.github.io/qwen-code-docs/en/users/configuration/settings/",
        verified: Verified::Documentation,
    },
    ManagedFile {
        assistant: "copilot",
        linux: Some(COPILOT_LINUX),
        mac: Some(COPILOT_MAC),
        windows: Some(COPILOT_WINDOWS),
        form: Form::Addresses,
        source: COPILOT,
        verified: Verified::Documentation,
    },
    // Copilot's file is the one of its agent in Visual Studio Code, too.
    ManagedFile {
        assistant: "vscode",
        linux: Some(COPILOT_LINUX),
        mac: Some(COPILOT_MAC),
        windows: Some(COPILOT_WINDOWS),
        form: Form::Addresses,
        source: COPILOT,
        verified: Verified::Documentation,
    },
];

const COPILOT: &str = "https://docs.github.com/en/copilot/how-tos/administer-copilot/manage-mcp-usage/configure-enterprise-allowlist";
const COPILOT_LINUX: &str = "/etc/github-copilot/managed-settings.json";
const COPILOT_MAC: &str = "/Library/Application Support/GitHubCopilot/managed-settings.json";
const COPILOT_WINDOWS: &str = r"C:\Program Files\GitHubCopilot\managed-settings.json";

impl ManagedFile {
    /// The one of this assistant.
    pub fn of(assistant: &str) -> Option<&'static Self> {
        MANAGED.iter().find(|it| it.assistant == assistant)
    }

    /// Where it lies; nothing where the platform has no such file.
    pub fn path(&self, platform: Platform) -> Option<&'static str> {
        match platform {
            Platform::Linux => self.linux,
            Platform::MacOs => self.mac,
            Platform::Windows => self.windows,
        }
    }

    /// Whether it only allows servers, so that people connect the assistant beside.
    pub fn only_allows(&self) -> bool {
        match self.form {
            Form::OnlyServers | Form::ServersAndNames => false,
            Form::Identities | Form::Addresses => true,
        }
    }

    /// What it says, so that these virtual servers are all that the assistant reaches.
    pub fn text(&self, targets: &[Target]) -> String {
        let name = |target: &Target| entry_name(target.server.as_str());
        let json = match self.form {
            Form::OnlyServers => json!({ "mcpServers": self.entries(targets) }),
            Form::ServersAndNames => json!({
                "mcp": { "allowed": targets.iter().map(name).collect::<Vec<_>>() },
                "mcpServers": self.entries(targets),
            }),
            Form::Addresses => {
                let urls: Vec<_> = targets.iter().map(|it| json!({ "serverUrl": it.url.as_str() })).collect();
                json!({ "allowedMcpServers": urls })
            }
            Form::Identities => {
                // Names of ours need no quotes, and a URL has nothing that a string would have to escape.
                let identity = |it: &Target| {
                    format!("[mcp_servers.{}.identity]\nurl = \"{}\"\n", name(it), it.url.as_str())
                };
                return targets.iter().map(identity).collect::<Vec<_>>().join("\n");
            }
        };
        format!("{json:#}\n")
    }

    fn entries(&self, targets: &[Target]) -> Value {
        let Some(assistant) = Assistant::named(self.assistant) else { return Value::Null };
        let entry = |it: &Target| (entry_name(it.server.as_str()), assistant.entry_for(it));
        Value::Object(targets.iter().map(entry).collect::<Map<_, _>>())
    }
}

/// The table for the documents, in Markdown.
pub fn managed_markdown() -> String {
    let mut text = "| assistant | name | file | verified |\n|---|---|---|---|\n".to_owned();
    for it in MANAGED {
        let title = Assistant::named(it.assistant).map_or(it.assistant, |it| it.title);
        let mut files: Vec<String> = Vec::new();
        for file in [it.linux, it.mac, it.windows].into_iter().flatten().map(|it| format!("`{it}`")) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        let (source, id, word) = (it.source, it.assistant, it.verified.word());
        text += &format!("| [{title}]({source}) | `{id}` | {} | {word} |\n", files.join(", "));
    }
    text
}
