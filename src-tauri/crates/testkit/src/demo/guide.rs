//! What a person is told who tries Deskgate out. The check pastes the same lines.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use testkit::{Acme, Claude, Employee, PeerFault};
use url::Url;

/// What takes the demo's virtual servers out of the person's own assistant again.
const FORGET: &str = "claude mcp remove analyst; claude mcp remove notes";

/// What IT types, in its own folder, to publish a rule that takes a tool away from everybody.
pub(crate) const PUBLISH: [&str; 3] = [
    "echo '@id(\"no-mail-for-assistants\") @reason(\"Assistants do not read mail.\") \
     forbid (principal, action == Action::\"mail/list_messages\", resource);' > org/policies/demo.cedar",
    "deskgate-control bundle sign org --root root/1.json --key keys/manifest.pem --out public",
    "deskgate-control bundle publish public",
];

/// Where things are that a person tries out.
pub(crate) struct Guide<'a> {
    pub(crate) acme: &'a Acme,
    /// `DESKGATE_HOME`.
    pub(crate) home: &'a Path,
    /// Where the gateway takes calls.
    pub(crate) address: &'a Url,
    /// Keeps what is remembered for the person while the demo runs.
    pub(crate) folder: &'a Path,
    /// The stand-in for a browser, where there is no display.
    pub(crate) opener: Option<&'a Path>,
}

impl Guide<'_> {
    /// What a shell has to read before the lines can be pasted.
    ///
    /// # Errors
    /// If the programs do not lie where they belong.
    pub(crate) fn environment(&self) -> Result<String, PeerFault> {
        let own = std::env::current_exe()?;
        let programs = own.parent().unwrap_or(Path::new("/"));
        let mut path = vec![programs.display().to_string()];
        path.extend(self.opener.map(|folder| folder.display().to_string()));
        let mut text = format!("export PATH='{}':\"$PATH\"\n", path.join(":"));
        let control = self.acme.organisation.home().join("data/admin.sock");
        for (name, value) in [
            ("DESKGATE_HOME", self.home.to_owned()),
            ("DESKGATE_CONTROL_SOCKET", control),
            ("DESKGATE_DEMO_MEMORY", self.folder.to_owned()),
            ("DESKGATE_DEMO_SERVER", PathBuf::from(self.server("analyst")?.as_str())),
        ] {
            let _ = writeln!(text, "export {name}='{}'", value.display());
        }
        if let Some(opener) = self.opener {
            let _ = writeln!(text, "export BROWSER='{}/xdg-open'", opener.display());
        }
        // Whoever has Claude Code uses their own; else there is one that forgets everything with the demo.
        let _ = writeln!(
            text,
            "command -v claude >/dev/null 2>&1 || \
             claude() {{ CLAUDE_CONFIG_DIR='{}/claude' DISABLE_AUTOUPDATER=1 '{}' \"$@\"; }}",
            self.folder.display(),
            Claude::program()?.display()
        );
        Ok(text)
    }

    /// What there is and what to try. `environment` is the file with [`Guide::environment`].
    ///
    /// # Errors
    /// If an address makes no URL.
    pub(crate) fn text(&self, environment: &Path) -> Result<String, PeerFault> {
        let mut text = String::new();
        for (title, lines) in [
            ("Who can sign in to Acme", self.people()),
            ("First, in another terminal", vec![format!(". {}", environment.display())]),
            ("Let an assistant in", self.assistants()?),
            ("Ask it", self.questions()),
            ("Or ask without an assistant of your own", requests()),
            ("Look at what happened, and why", looks()),
            ("Be IT: change what assistants may do", self.authoring()),
            ("Be IT: see every use of a shared account", queries()),
            ("Afterwards, if you added them to your own Claude", vec![FORGET.to_owned()]),
        ] {
            let _ = write!(text, "\n{title}\n");
            for line in lines {
                let _ = writeln!(text, "    {line}");
            }
        }
        Ok(text)
    }

    fn people(&self) -> Vec<String> {
        let person =
            |it: Employee| format!("{:<8}{:<18}{} ({})", it.login, it.password, it.name, it.groups[0]);
        let mut lines = vec![person(Employee::alice()), person(Employee::bob())];
        lines.push(match self.opener {
            None => "Choose “Sign in to Acme…” in the tray, or the button in the window.".to_owned(),
            Some(_) => "deskgate sign-in    (the page to open appears here)".to_owned(),
        });
        lines
    }

    fn assistants(&self) -> Result<Vec<String>, PeerFault> {
        let mut lines = Vec::new();
        for server in ["analyst", "notes"] {
            lines.push(format!("claude mcp add --transport http {server} {}", self.server(server)?));
            lines.push(format!("claude mcp login {server}"));
        }
        lines.push(match self.opener {
            None => "Deskgate asks you, and names the program that asks.".to_owned(),
            Some(_) => "deskgate pending; deskgate answer ID allow".to_owned(),
        });
        Ok(lines)
    }

    fn questions(&self) -> Vec<String> {
        vec![
            format!("“What does {} say?”", self.acme.note().0.display()),
            "“Have I got mail?”                    your own account: asked for once, then silent".to_owned(),
            "“Which page has most visits?”         an account of Acme's: its secret never reaches you"
                .to_owned(),
            "“What does everybody earn?”           Bob is told; Alice is refused by the database".to_owned(),
            "“Drop the table analytics.visits.”    refused by policy, which gives its reason".to_owned(),
        ]
    }

    fn authoring(&self) -> Vec<String> {
        let mut lines =
            vec![format!("cd {}    # org/ is what IT writes", self.acme.organisation.home().display())];
        lines.extend(PUBLISH.map(str::to_owned));
        lines.push("rm org/policies/demo.cedar    # and sign and publish again: it is back".to_owned());
        lines
    }

    fn server(&self, id: &str) -> Result<Url, PeerFault> {
        Ok(self.address.join(&format!("/s/{id}/mcp"))?)
    }
}

fn requests() -> Vec<String> {
    [
        "deskgate-demo ask    # lists the tools",
        "deskgate-demo ask list_messages",
        "deskgate-demo ask execute_sql '{\"sql\": \"select * from analytics.visits\"}'",
    ]
    .map(str::to_owned)
    .into()
}

fn looks() -> Vec<String> {
    [
        "deskgate status",
        "deskgate explain analyst execute_sql --args '{\"sql\": \"drop table analytics.visits\"}'",
        "deskgate audit tail",
        "deskgate audit verify",
    ]
    .map(str::to_owned)
    .into()
}

fn queries() -> Vec<String> {
    [
        "deskgate-control audit query --credential warehouse-analyst",
        "deskgate-control audit verify",
        "deskgate-control credential list",
        "deskgate-control device list",
    ]
    .map(str::to_owned)
    .into()
}
