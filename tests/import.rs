//! Servers that an assistant has already are taken over with their secrets, work, and are given back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use model::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::bench::Echo;
use testkit::{Employee, Gateway, Mail, Step, filesystem_server, readable_secrets, until};

use crate::common::{Personal, SOON, files_below, let_in};

const TOKEN: &str = "canary-token-of-files-4711";
const KEY: &str = "canary-key-of-files-4712";
const MAIL_KEY: &str = "canary-key-of-mail-4713";
const CANARIES: [(&str, &[u8]); 3] =
    [("a token", TOKEN.as_bytes()), ("a key", KEY.as_bytes()), ("a mail key", MAIL_KEY.as_bytes())];

/// A person with Cursor, a connector of their own, and what Cursor has beside it.
struct Desk {
    gateway: Gateway,
    _echo: Echo,
    _mail: Mail,
    home: TempDir,
}

impl Desk {
    async fn start() -> Self {
        let echo = Echo::start().await.expect("an upstream");
        let alice = Employee::alice();
        let keys = [(MAIL_KEY, &alice)];
        let mail = Mail::start_with_tokens(Some("X-Mail-Key"), &keys).await.expect("the mail starts");
        let personal = Personal::default().http("echo", &format!("http://{}/mcp", echo.address()));
        let gateway = personal.server("desk", &["echo"]).start().await;
        let home = tempfile::tempdir().expect("a folder");
        let desk = Self { gateway, home, _echo: echo, _mail: mail };
        let entries = json!({
            "files": {
                "command": desk.server(),
                "args": ["--api-key", KEY, desk.home.path()],
                "env": {"FILES_TOKEN": TOKEN}
            },
            "mail": {"url": desk._mail.url(), "headers": {"X-Mail-Key": MAIL_KEY}},
            "narrow": {"command": "x", "cwd": "/somewhere"}
        });
        std::fs::create_dir(desk.home.path().join(".cursor")).expect("made");
        let text = serde_json::to_string_pretty(&json!({ "mcpServers": entries })).expect("JSON");
        std::fs::write(desk.file(), text.replacen('{', "{\n  // mine", 1)).expect("written");
        desk
    }

    /// The filesystem connector behind a script that insists on both secrets.
    fn server(&self) -> PathBuf {
        let [token, key] = [TOKEN, KEY].map(|secret| Digest::of(secret.as_bytes()).hex());
        let command = filesystem_server(Path::new("")).expect("installed");
        let command: Vec<String> =
            command.iter().filter(|word| !word.is_empty()).map(|word| format!("'{word}'")).collect();
        let script = format!(
            "#!/bin/sh\nis() {{ test \"$(printf %s \"$1\" | sha256sum | cut -c1-64)\" = \"$2\" || exit 7; }}\nis \"$FILES_TOKEN\" {token}\nis \"$2\" {key}\nexec {} \"$3\"\n",
            command.join(" ")
        );
        let file = self.home.path().join("server");
        std::fs::write(&file, script).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("executable");
        file
    }

    fn file(&self) -> PathBuf {
        self.home.path().join(".cursor/mcp.json")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).expect("a file")
    }

    fn settings(&self) -> String {
        std::fs::read_to_string(self.gateway.home().join("deskgate.toml")).expect("settings")
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let output = self.gateway.deskgate_of(self.home.path(), &[], arguments).await.expect("run");
        let told = [output.stdout.as_slice(), &output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(![TOKEN, KEY, MAIL_KEY].iter().any(|it| told.contains(it)), "{told}");
        output
    }

    /// What it prints.
    async fn told(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {told}\n{}", self.gateway.log());
        String::from_utf8_lossy(&output.stdout).into_owned() + &told
    }

    /// Why it does not.
    async fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// What lies in the vault of these kinds.
    fn sealed(&self) -> usize {
        let kinds = ["sealed", "import", "grant"].map(|kind| self.gateway.home().join("vault").join(kind));
        kinds.iter().map(|folder| files_below(folder).len()).sum()
    }
}

#[tokio::test]
async fn servers_with_secrets_are_imported_work_and_come_back_byte_for_byte() {
    let desk = Desk::start().await;
    let (before, settings) = (desk.text(), desk.settings());
    let listed = desk.told(&["assistants"]).await;
    assert!(listed.contains("3 servers outside Deskgate: files, mail, narrow"), "{listed}");

    let shown = desk.told(&["import", "cursor", "--dry-run"]).await;
    for part in
        ["-        \"••••••••\",", "\"FILES_TOKEN\": \"••••••••\"", "+FILES_TOKEN", "narrow stays as it is."]
    {
        let part = part.replace("+FILES_TOKEN", "FILES_TOKEN = \"${sealed:FILES_TOKEN}\"");
        assert!(shown.contains(&part), "{part}: {shown}");
    }
    assert_eq!((desk.text(), desk.settings()), (before.clone(), settings.clone()), "it was only shown");

    let assistant = let_in(&desk.gateway).await;
    desk.told(&["import", "cursor", "--yes"]).await;
    let after: String = desk.text();
    assert!(after.contains("// mine") && after.contains("narrow") && !after.contains("mail"), "{after}");
    for folder in [desk.home.path(), desk.gateway.home()] {
        assert_eq!(readable_secrets(folder, &CANARIES), [] as [String; 0]);
    }
    assert!(!desk.gateway.log().contains("canary"));

    let steps = [
        Step::call("list_messages", json!({})),
        Step::call("list_allowed_directories", json!({})),
        Step::call("echo", json!({"message": "still here"})),
    ];
    let works = async || {
        let transcript = assistant.run(None, &steps).await.expect("connected");
        let is_alice = transcript.answers[0]["structuredContent"]["account"] == "alice";
        let lists =
            transcript.text(1).is_some_and(|it| it.contains(desk.home.path().to_str().expect("text")));
        (is_alice && lists && transcript.text(2) == Some("still here")).then_some(())
    };
    until("calls with the imported servers", SOON, works).await.expect("they work");

    let undone = desk.told(&["import", "cursor", "--undo", "--yes"]).await;
    assert!(undone.contains("byte for byte"), "{undone}");
    assert_eq!((desk.text(), desk.settings()), (before, settings));
    assert_eq!(desk.sealed(), 0, "nothing is kept");
    for event in ["servers-imported", "servers-given-back"] {
        let record = until("its record", SOON, async || {
            let records = desk.gateway.deskgate(&["audit", "export"]).await.ok()?.stdout;
            let records = String::from_utf8_lossy(&records).into_owned();
            records.lines().find(|line| line.contains(event)).map(str::to_owned)
        });
        let record = record.await.expect("on record");
        assert!(record.contains("files mail") && record.contains("cursor"), "{record}");
    }
    let nothing = desk.refused(&["import", "cursor", "--undo", "--yes"]).await;
    assert!(nothing.contains("Nothing of Cursor was imported."), "{nothing}");
}

#[tokio::test]
async fn an_import_that_was_cut_off_is_finished_and_one_of_two_comes_back_alone() {
    let mut desk = Desk::start().await;
    let (before, own) = (desk.text(), desk.settings());
    desk.told(&["import", "cursor", "--server", "files", "--server", "mail", "--yes"]).await;
    let settings = desk.settings();
    // As if it had ended before the last step, or the one before that.
    std::fs::write(desk.file(), &before).expect("written");
    desk.told(&["import", "cursor", "--yes"]).await;
    assert_eq!(desk.settings(), settings, "the connectors are there already");
    std::fs::write(desk.file(), &before).expect("written");
    std::fs::write(desk.gateway.home().join("deskgate.toml"), &own).expect("written");
    desk.told(&["import", "cursor", "--yes"]).await;
    assert_eq!(desk.settings(), settings);
    desk.gateway.restart().await.expect("it comes back");
    desk.told(&["import", "cursor", "--undo", "--server", "files", "--yes"]).await;
    let (text, settings) = (desk.text(), desk.settings());
    assert!(text.contains(TOKEN) && !text.contains(MAIL_KEY), "one is back");
    assert!(settings.contains("[connectors.mail]") && !settings.contains("files"), "{settings}");
    desk.told(&["import", "cursor", "--undo", "--yes"]).await;
    assert_eq!(desk.text(), before);
    assert_eq!(desk.sealed(), 0, "nothing is kept");
}

#[tokio::test]
async fn what_cannot_be_taken_over_safely_is_refused_in_words() {
    let desk = Desk::start().await;
    let before = desk.text();
    let check = async |arguments: &[&str], words: &str| {
        let told = desk.refused(&[&["import", "cursor", "--yes"], arguments].concat()).await;
        assert!(told.contains(words), "{words}: {told}");
        assert_eq!(desk.text(), before);
    };
    check(&["--server", "narrow"], "It has \"cwd\", which Deskgate cannot do.").await;
    check(&["--server", "nowhere"], "Choose among: files, mail, narrow.").await;
    let own = desk.settings();
    let path = desk.gateway.home().join("deskgate.toml");
    std::fs::write(&path, format!("{own}\n[connectors.mail]\ntitle = \"Mine\"\ncommand = [\"x\"]\n"))
        .expect("written");
    check(&["--server", "mail"], "There is another connector \"mail\" already").await;
    let two = format!("{own}\n[servers.lab]\ntitle = \"Lab\"\nconnectors = [\"echo\"]\n");
    std::fs::write(&path, two).expect("written");
    check(&["--server", "mail"], "with --into: desk, lab.").await;
    std::fs::write(&path, format!("{own}\nsurprise = ")).expect("written");
    check(&["--server", "mail"], "Correct the file first.").await;
    std::fs::write(&path, &own).expect("written");
    std::fs::write(desk.file(), "{").expect("written");
    let told = desk.refused(&["import", "cursor", "--yes"]).await;
    assert!(told.contains("is not written as it should be"), "{told}");
    let unasked = desk.refused(&["import", "codex"]).await;
    assert!(unasked.contains("Codex has no servers outside Deskgate."), "{unasked}");
    let listed: Value =
        serde_json::from_slice(&desk.run(&["assistants", "--json"]).await.stdout).expect("JSON");
    let cursor =
        listed.as_array().and_then(|all| all.iter().find(|it| it["id"] == "cursor")).expect("listed");
    assert_eq!(cursor["outside"], json!([]), "a file that is not understood has none");
}

#[tokio::test]
async fn secrets_are_not_given_back_on_the_word_of_whoever_has_a_shell() {
    let mut desk = Desk::start().await;
    desk.told(&["import", "cursor", "--yes"]).await;
    let own = desk.settings();
    assert!(own.contains("answer_in_terminal = true"), "{own}");
    let closed = own.replace("answer_in_terminal = true", "answer_in_terminal = false");
    std::fs::write(desk.gateway.home().join("deskgate.toml"), closed).expect("written");
    desk.gateway.restart().await.expect("it comes back");
    let (text, sealed) = (desk.text(), desk.sealed());
    let refused = desk.refused(&["import", "cursor", "--undo", "--yes"]).await;
    assert!(refused.contains("in Deskgate's window"), "{refused}");
    assert_eq!((desk.text(), desk.sealed()), (text, sealed), "nothing has left the vault");
}

#[tokio::test]
async fn what_was_imported_is_given_back_after_an_organisation_decides_too() {
    let mut desk = Desk::start().await;
    let before = desk.text();
    desk.told(&["import", "cursor", "--yes"]).await;
    let acme = crate::org::acme().await;
    let address = acme.organisation.config_url();
    let joined = format!("{}\n[organisation]\nconfig_url = \"{address}\"\n", desk.settings());
    std::fs::write(desk.gateway.home().join("deskgate.toml"), joined).expect("written");
    desk.gateway.restart().await.expect("it comes back");
    let refused = desk.refused(&["import", "cursor", "--yes"]).await;
    assert!(refused.contains("Your organisation decides"), "{refused}");
    desk.told(&["import", "cursor", "--undo", "--yes"]).await;
    assert_eq!(desk.text(), before, "the secrets are the person's");
    assert_eq!(desk.sealed(), 0, "nothing is kept");
}
