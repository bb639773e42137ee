//! What the areas share: personal settings, and the person in front of the machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use testkit::{
    Access, Assistant, Browser, Employee, Gateway, Mail, Opened, Program, Role, Setup, program, until,
};
use url::Url;

/// Long enough for a loaded machine; everything is waited for by condition.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Personal settings under construction.
#[derive(Default)]
pub(crate) struct Personal {
    connectors: String,
    servers: String,
    setup: Setup,
}

impl Personal {
    pub(crate) fn stdio(self, id: &str, command: &[String]) -> Self {
        self.connector(id, &format!("command = {command:?}"))
    }

    pub(crate) fn http(self, id: &str, url: &str) -> Self {
        self.connector(id, &format!("url = {url:?}"))
    }

    pub(crate) fn http_with_own_account(self, id: &str, url: &Url) -> Self {
        self.connector(id, &format!("url = {:?}\ncredential = {{ kind = \"user_oauth\" }}", url.as_str()))
    }

    pub(crate) fn server(mut self, id: &str, connectors: &[&str]) -> Self {
        self.servers += &format!("[servers.{id}]\ntitle = \"Server {id}\"\nconnectors = {connectors:?}\n\n");
        self
    }

    /// A virtual server whose tools are searched for.
    pub(crate) fn searched(self, id: &str, connectors: &[&str]) -> Self {
        self.server_with(id, connectors, "tool_list = \"search\"")
    }

    /// A virtual server with another line of settings.
    pub(crate) fn server_with(mut self, id: &str, connectors: &[&str], line: &str) -> Self {
        self.servers +=
            &format!("[servers.{id}]\ntitle = \"Server {id}\"\nconnectors = {connectors:?}\n{line}\n\n");
        self
    }

    pub(crate) fn policy(mut self, name: &str, text: &str) -> Self {
        self.setup.policies.push((format!("{name}.cedar"), text.to_owned()));
        self
    }

    /// Pages that the gateway opens are written down instead.
    pub(crate) fn browser(mut self, opened: &Opened) -> Self {
        self.setup.path.push(opened.folder().to_owned());
        self
    }

    /// Further lines of settings, tables of their own.
    pub(crate) fn more(mut self, lines: &str) -> Self {
        self.servers += &format!("{lines}\n");
        self
    }

    pub(crate) fn setup(mut self) -> Setup {
        let general = "policies = \"policies\"\nanswer_in_terminal = true\n\n";
        self.setup.settings = format!("{general}{}{}", self.connectors, self.servers);
        self.setup
    }

    pub(crate) async fn start(self) -> Gateway {
        let deskgate = program(Program::Deskgate).expect("built");
        Gateway::start(&deskgate, self.setup()).await.expect("the gateway starts")
    }

    pub(crate) fn connector(mut self, id: &str, how: &str) -> Self {
        self.connectors += &format!("[connectors.{id}]\ntitle = \"Connector {id}\"\n{how}\n\n");
        self
    }
}

/// A gateway whose virtual server "desk" has somebody's mail, and the browser that it opens pages in.
pub(crate) async fn at_mail(mail: &Mail) -> (Gateway, Opened) {
    let opened = Opened::new().expect("a browser opener");
    let personal = Personal::default().http_with_own_account("mail", mail.url()).server("desk", &["mail"]);
    (personal.browser(&opened).start().await, opened)
}

/// An assistant that was let in at "desk".
pub(crate) async fn let_in(gateway: &Gateway) -> Assistant {
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    Assistant::new(url, Access::Bearer(token)).expect("an assistant")
}

/// A person in front of a browser that has just opened a page of the identity provider.
pub(crate) async fn signs_in(opened: &mut Opened, employee: Employee) -> String {
    let page = opened.next(SOON).await.expect("a page is opened");
    let mut browser = Browser::new(employee).expect("a browser");
    browser.sign_in_and_return(&page).await.expect("signed in")
}

/// A person whose assistant has just opened the gateway's page, and who allows it in.
pub(crate) async fn lets_in(opened: &mut Opened, gateway: &Gateway) -> String {
    let page = opened.next(SOON).await.expect("a page is opened");
    let mut browser = Browser::new(Employee::alice()).expect("a browser");
    let (shown, question) = tokio::join!(browser.open(&page), gateway.answer(true));
    shown.expect("the browser comes back");
    question.expect("the person is asked")
}

/// Waits until `deskgate status` tells the person something with these words.
pub(crate) async fn tells(gateway: &Gateway, words: &str) -> String {
    let status = async || {
        let output = gateway.deskgate(&["status"]).await.ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let told = until(words, SOON, async || status().await.filter(|text| text.contains(words))).await;
    match told {
        Ok(text) => text,
        Err(fault) => panic!("{fault}: {:?}\n{}", status().await, gateway.log()),
    }
}

/// How many running programs have this text in a file of theirs below `/proc`: `environ`, `cmdline`.
pub(crate) fn programs_with(file: &str, text: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("a process list").filter_map(Result::ok);
    let files = processes.filter_map(|process| std::fs::read(process.path().join(file)).ok());
    files.filter(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes())).count()
}

/// Every file below a folder, with its content.
pub(crate) fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let about = entry.metadata().expect("readable");
            if about.is_dir() {
                folders.push(entry.path());
            } else if about.is_file() {
                files.push((entry.path(), std::fs::read(entry.path()).expect("readable")));
            }
        }
    }
    files
}

/// Whether an answer to a call is a refusal, in either of the forms that MCP has.
pub(crate) fn is_refused(answer: &Value) -> bool {
    answer["isError"] == true || answer["error"].is_object()
}

/// An answer without what differs between two calls.
pub(crate) fn refusal_text(answer: &Value) -> String {
    let text = answer["content"][0]["text"].as_str().or(answer["error"]["message"].as_str());
    text.unwrap_or_default().to_owned()
}

/// The secrets of the service accounts never reach the device.
pub(crate) fn no_secret_lies_in(home: &Path) {
    let files = files_below(home);
    assert!(files.len() > 3, "there are files to look at");
    for (path, bytes) in files {
        for secret in [Role::Analyst, Role::Finance].map(Role::password) {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {secret}", path.display());
        }
    }
}
