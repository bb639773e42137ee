//! The command line as IT types it: from nothing to a published organisation.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// One directory in which commands are typed.
pub(crate) struct Desk {
    pub(crate) dir: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deskgate-control"));
        command.current_dir(self.dir.path()).args(words.split_whitespace());
        command.env("DESKGATE_CONTROL_SOCKET", self.dir.path().join("data/admin.sock"));
        command
    }

    pub(crate) fn output(&self, words: &str) -> Output {
        self.command(words).stdin(Stdio::null()).output().expect("runs")
    }

    /// What the command says; it must succeed.
    pub(crate) fn says(&self, words: &str) -> String {
        let output = self.output(words);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}: {complaint}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What the command complains of; it must fail with 1.
    pub(crate) fn complains(&self, words: &str) -> String {
        let output = self.output(words);
        assert_eq!(output.status.code(), Some(1), "{words}");
        String::from_utf8(output.stderr).expect("text")
    }

    /// Keys, a root document that two people signed, and the example organisation.
    pub(crate) fn prepare(&self) {
        self.says("init org");
        for key in ["root-a", "root-b", "manifest", "receipts"] {
            self.says(&format!("key new {key}.pem"));
        }
        self.says("key master master.key");
        let half = self.says(
            "root new --org example --root-key root-a.pem.pub --root-key root-b.pem.pub --threshold 2 \
             --manifest-key manifest.pem.pub --receipts-key receipts.pem.pub --sign-with root-a.pem --out root/1.json",
        );
        assert!(half.contains("by 1 of 2 root keys; 2 are needed"), "{half}");
        self.says("root sign root/1.json --sign-with root-b.pem");
    }

    pub(crate) fn serve(&self) -> Served {
        self.serve_as("serve --data data --master-key master.key --receipts-key receipts.pem")
    }

    /// The server as it is started by these words, on a free port.
    pub(crate) fn serve_as(&self, words: &str) -> Served {
        let words = format!("--json {words} --listen 127.0.0.1:0");
        let mut child =
            self.command(&words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("says where");
        Served { child, told: serde_json::from_str(&line).expect("JSON") }
    }
}

pub(crate) struct Served {
    child: Child,
    told: Value,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn from_nothing_to_a_published_organisation() {
    let desk = Desk::new();
    desk.prepare();
    assert!(desk.says("bundle check org").starts_with("Good: 1 connector, "));
    let settings = desk.dir.path().join("org/org.toml");
    let plain = std::fs::read_to_string(&settings).expect("reads");
    let google = plain
        .replace("https://login.example.test", "https://accounts.google.com")
        .replace("kind = \"oidc\"", "kind = \"google\"");
    std::fs::write(&settings, &google).expect("writes");
    let told = desk.complains("bundle check org");
    assert!(told.contains("org.toml") && told.contains("client_secret"), "{told}");
    std::fs::write(&settings, google.replace("# client_secret", "client_secret")).expect("writes");
    assert!(desk.says("bundle check org").contains("puts no groups into its tokens"));
    std::fs::write(&settings, plain).expect("writes");
    desk.says("bundle sign org --root root/1.json --key manifest.pem --out public");
    let served = desk.serve();
    assert_eq!(desk.complains("status"), "Nothing is published yet.\n");
    let published: Value = serde_json::from_str(&desk.says("--json bundle publish public")).expect("JSON");
    assert_eq!((published["org"].as_str(), published["version"].as_u64()), (Some("example"), Some(1)));
    let root: Value = serde_json::from_str(&desk.says("--json root show root/1.json")).expect("JSON");
    assert_eq!((&root["fingerprint"], root["signed"].as_u64()), (&published["fingerprint"], Some(2)));

    desk.says("bundle sign org --root root/1.json --key manifest.pem --out public");
    desk.says("bundle publish public");
    assert!(desk.says("status").contains("version       2"));
    assert!(served.told["config_url"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")));
}

#[test]
fn a_secret_comes_from_standard_input_and_is_never_shown() {
    let desk = Desk::new();
    desk.prepare();
    let _served = desk.serve();
    let put = desk.command("credential put reports").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut put = put.expect("starts");
    put.stdin.take().expect("a pipe").write_all(b"a-secret-of-the-org\n").expect("writes");
    let output = put.wait_with_output().expect("ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Stored version 1 of reports.\n");
    assert!(desk.says("credential list").starts_with("reports"));
    assert!(desk.says("--json credential list").contains("\"version\":1"));
    assert!(!desk.says("audit query").contains("a-secret"));
    assert_eq!(desk.says("--json credential remove reports"), "{\"removed\":\"reports\"}\n");
    assert!(desk.complains("credential remove reports").contains("no such credential"));
    assert_eq!(desk.says("credential list"), "No credential is stored.\n");
    assert!(desk.says("audit verify").contains("unbroken"));
    assert_eq!(desk.says("device list"), "No device is enrolled.\n");
}

#[test]
fn mistakes_are_said_with_their_place() {
    let desk = Desk::new();
    desk.prepare();
    std::fs::write(desk.dir.path().join("org/servers/bad.toml"), "title = \"x\"\nconnectors = []\nx = 1\n")
        .expect("writes");
    let complaint = desk.complains("bundle sign org --root root/1.json --key manifest.pem --out public");
    assert!(complaint.starts_with("servers/bad.toml:3: unknown field `x`"), "{complaint}");
    assert!(!desk.dir.path().join("public").exists(), "nothing was signed");

    assert!(desk.complains("init org").contains("not empty"));
    assert!(desk.complains("key new manifest.pem").contains("never overwritten"));
    assert!(desk.complains("status").contains("is `deskgate-control serve` running"));
    let open = "serve --data data --listen 0.0.0.0:0 --master-key master.key --receipts-key receipts.pem";
    assert!(desk.complains(open).contains("is not a loopback address"));
    assert!(
        desk.complains("serve --data data --receipts-key receipts.pem").contains("no master key was given")
    );
    assert_eq!(desk.output("no-such-command").status.code(), Some(2));
}

#[test]
fn a_terminated_server_ends_in_order() {
    let desk = Desk::new();
    desk.prepare();
    let mut served = desk.serve();
    let pid = served.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("runs").success());
    assert!(served.child.wait().expect("ends").success());
    assert!(!Path::new(&desk.dir.path().join("data/admin.sock")).exists());
    let _again = desk.serve();
    let records = desk.says("audit query");
    let events: Vec<&str> = records.lines().filter(|line| line.contains("\"event\":\"stop\"")).collect();
    assert_eq!(events.len(), 1, "{records}");
}
