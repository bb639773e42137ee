//! The books, typed as they are written: README.md, EMPLOYEE.md and SECURITY.md. (ADMIN.md is typed where the control plane is tested.)

use std::net::TcpListener;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use testkit::{
    Employee, Gateway, Idp, IdpSettings, Mail, Step, Terminal, Typed, commands, filesystem_server, until,
};

use crate::common::{Personal, SOON, at_mail, let_in, signs_in};

const README: &str = include_str!("../README.md");
const EMPLOYEE: &str = include_str!("../EMPLOYEE.md");
const SECURITY: &str = include_str!("../SECURITY.md");

/// Commands that only another place can run: how each begins, the file there, and the words in it by which it is run or is what runs.
const ELSEWHERE: [(&str, &str, &str); 10] = [
    ("cargo xtask demo", "src-tauri/crates/xtask/src/demo.rs", "check"),
    ("cargo xtask test", "src-tauri/crates/xtask/src/landing.rs", "`cargo xtask test`"),
    ("cargo xtask package", "src-tauri/crates/xtask/src/landing.rs", "package::packages("),
    ("sudo apt install ./target/package/", "src-tauri/crates/xtask/src/package/smoke.rs", "&[\"install\""),
    ("deskgate door desk ", "tests/elsewhere.rs", "\"door\", \"desk\""),
    ("mkdir -p -m 700 ~/desk-door", "tests/elsewhere.rs", "0o700"),
    ("ssh build.example rm -f ", "tests/elsewhere.rs", "runs(&format!(\"rm -f "),
    ("ssh -N -o ExitOnForwardFailure=yes -R ", "src-tauri/crates/testkit/src/remote.rs", "\"-N\", \"-R\""),
    ("cargo xtask setup", "src-tauri/crates/xtask/src/landing.rs", "provision::setup("),
    ("cargo nextest run --workspace", "src-tauri/crates/xtask/src/landing.rs", "&[\"--workspace\""),
];

/// Whether a command is run elsewhere, where the table says so truly.
fn is_run_elsewhere(command: &str) -> bool {
    let Some((_, file, words)) = ELSEWHERE.iter().find(|(begins, ..)| command.starts_with(begins)) else {
        return false;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = std::fs::read_to_string(path).expect(file);
    assert!(text.contains(words), "{command}: {file} has no {words}");
    true
}

/// A person with a book, at a terminal.
struct Reader {
    gateway: Gateway,
    home: TempDir,
}

impl Reader {
    fn new(gateway: Gateway) -> Self {
        Self { gateway, home: tempfile::tempdir().expect("a folder") }
    }

    /// Types a command, which must succeed; what it says. Whoever is asked says yes.
    async fn types(&self, typed: &Typed) -> String {
        let asks = ["connect ", "disconnect ", "import ", "diagnostics", "uninstall"];
        let is_asked = typed.command.strip_prefix("deskgate ").is_some_and(|verb| {
            asks.iter().any(|it| verb.starts_with(it))
                && !["--list", "--show"].iter().any(|it| verb.contains(it))
        });
        let line = typed.command.replace("7717", &self.gateway.port().to_string());
        let line = if is_asked { format!("{line} --yes") } else { line };
        let terminal = Terminal::open(&self.gateway, self.home.path()).expect("prepared");
        let output = terminal.types(&line).await.expect("a shell");
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{line}: {}\n{told}", output.status);
        if typed.remark.len() == 3 && typed.remark.parse::<u16>().is_ok() {
            assert_eq!(told, typed.remark, "{line}");
        }
        told
    }
}

/// The commands of a book that are to be typed here.
fn here(book: &str) -> Vec<Typed> {
    let all = commands(book);
    assert!(!all.is_empty(), "the book was read");
    all.into_iter().filter(|typed| !is_run_elsewhere(&typed.command)).collect()
}

/// What a person has who does what the README says: files that assistants do not change, and Claude Code with a server of its own.
async fn alone() -> (Reader, TempDir) {
    let notes = tempfile::tempdir().expect("a folder");
    let rule = README.split("```cedar\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a policy");
    let files = filesystem_server(notes.path()).expect("installed");
    let gateway = Personal::default().stdio("files", &files).server("desk", &["files"]);
    let reader = Reader::new(gateway.policy("own", rule).start().await);
    reader.gateway.offers("desk").await.expect("offered");
    // The rule is understood once the connector has told its tools, and may be a mistake until then.
    let content = until("rules in force", SOON, async || {
        let status = reader.gateway.deskgate_json(&["status"]).await.ok()?;
        let output = reader.gateway.deskgate(&["doctor"]).await.ok()?;
        (status["connectors"][0]["status"] == "ready" && output.status.success()).then_some(())
    });
    content.await.expect("nothing is wrong");
    let claude =
        json!({ "mcpServers": { "mine": { "command": "true", "env": { "KEY": "canary-of-mine" } } } });
    std::fs::write(reader.home.path().join(".claude.json"), claude.to_string()).expect("written");
    (reader, notes)
}

#[tokio::test]
async fn every_command_of_the_readme_does_what_it_says() {
    let (reader, _notes) = alone().await;
    // What the connector offers is known once somebody has asked.
    let assistant = let_in(&reader.gateway).await;
    assistant.run(None, &[]).await.expect("connected");
    let file = reader.home.path().join(".claude.json");
    let before = std::fs::read(&file).expect("its settings");
    for typed in here(README) {
        let told = reader.types(&typed).await;
        let now = std::fs::read(&file).expect("its settings");
        match typed.command.as_str() {
            "deskgate assistants" => assert!(told.contains("mine"), "{told}"),
            "deskgate connect claude-code" | "deskgate import claude-code" => assert_ne!(now, before),
            "deskgate disconnect claude-code" | "deskgate import claude-code --undo" => {
                assert_eq!(now, before);
            }
            command if command.starts_with("deskgate explain ") => {
                assert!(told.contains("read-only"), "{told}");
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn every_command_of_the_employees_book_does_what_it_says() {
    let (mut reader, _notes) = alone().await;
    for typed in here(EMPLOYEE) {
        let port = reader.gateway.port();
        if typed.command == "deskgate port --move" {
            reader.gateway.stop();
            let _other = TcpListener::bind(("127.0.0.1", port)).expect("another program has it");
            let told = reader.types(&typed).await;
            assert!(told.contains("/s/desk/mcp") && !told.contains(&format!(":{port}/s/desk")), "{told}");
            reader.gateway.restart().await.expect("it starts");
            continue;
        }
        let told = reader.types(&typed).await;
        match typed.command.as_str() {
            "deskgate diagnostics --list" => assert!(told.contains("doctor.txt"), "{told}"),
            "deskgate diagnostics" => {
                let entries = std::fs::read_dir(reader.home.path()).expect("the folder").flatten();
                let archives = entries.filter(|it| it.path().extension().is_some_and(|end| end == "gz"));
                assert_eq!(archives.count(), 1, "{told}");
            }
            "deskgate uninstall" => assert!(!reader.gateway.home().join("vault").exists(), "{told}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_the_security_page_lets_one_check_is_as_it_says() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let (gateway, mut opened) = at_mail(&mail).await;
    let reader = Reader::new(gateway);
    let assistant = let_in(&reader.gateway).await;
    let calls = [Step::call("list_messages", json!({}))];
    let (transcript, _) = tokio::join!(assistant.run(None, &calls), signs_in(&mut opened, Employee::alice()));
    transcript.expect("the account is there");
    let mut digest = String::new();
    for typed in here(SECURITY) {
        let told = reader.types(&typed).await;
        if typed.command.ends_with("sha256sum") {
            told.split_whitespace().next().expect("a digest").clone_into(&mut digest);
        } else if typed.command.contains("grep -o") {
            assert!(told.contains(&digest), "{told} of {digest}");
        } else if typed.command.contains("--home copy") {
            assert!(told.contains("digest") || told.contains("chang"), "it says what is wrong: {told}");
        }
    }
    assert_eq!(digest.len(), 64, "a record was computed by hand");
}
