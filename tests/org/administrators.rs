//! Administering from another computer, with what the identity provider says of who it is.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::*;

/// A computer that administers an organisation's server elsewhere.
struct Elsewhere<'a> {
    acme: &'a Acme,
    home: tempfile::TempDir,
}

impl<'a> Elsewhere<'a> {
    fn new(acme: &'a Acme) -> Self {
        Self { acme, home: tempfile::tempdir().expect("a folder") }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program(Program::Control).expect("built"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("DESKGATE_CONTROL_SERVER", self.acme.organisation.config_url().as_str())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Whether it was done, and what was said.
    async fn says(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.command(arguments).output().await.expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    async fn signs_in(&self, browser: &mut Browser) -> (bool, String) {
        let mut command = self.command(&["sign-in", "--no-browser"]);
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(running.stderr.take().expect("piped")).lines();
        let line = lines.next_line().await.expect("readable").expect("the page");
        let page = line.split_once("browser: ").expect(&line).1;
        browser.sign_in_and_return(&page.parse().expect("an address")).await.expect("signed in there");
        let output = running.wait_with_output().await.expect("it ends");
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        while let Some(line) = lines.next_line().await.expect("readable") {
            said.push_str(&line);
        }
        (output.status.success(), said)
    }
}

async fn name_administrators(acme: &Acme) {
    let named = acme.organisation.publish(|folder| {
        let file = folder.join("org.toml");
        let text = std::fs::read_to_string(&file).expect("readable");
        let roles = "\n[administrators]\nauditor = [\"analysts\"]\ndevice_admin = [\"finance\"]\n";
        std::fs::write(file, format!("{text}{roles}")).expect("written");
    });
    named.await.expect("published");
}

#[tokio::test]
async fn whoever_has_a_role_at_the_identity_provider_administers_and_is_named_in_the_records() {
    let acme = acme().await;
    name_administrators(&acme).await;
    let desk = Elsewhere::new(&acme);
    let (_, said) = desk.says(&["device", "list"]).await;
    assert!(said.contains("nobody is signed in") && said.contains("deskgate-control sign-in"), "{said}");

    let mut alice = Browser::new(Employee::alice()).expect("a browser");
    let (done, said) = desk.signs_in(&mut alice).await;
    assert!(
        done && said.contains("alice@acme.test is signed in until") && said.contains("auditor"),
        "{said}"
    );
    let (done, said) = desk.says(&["audit", "verify"]).await;
    assert!(done, "{said}");
    let (done, said) = desk.says(&["credential", "put", "warehouse-analyst", "--file", "/dev/null"]).await;
    assert!(!done && said.contains("credential_custodian"), "{said}");
    let (done, said) = desk.says(&["halt", "connector", "files"]).await;
    assert!(!done && said.contains("this needs the role"), "{said}");

    let records = acme.organisation.records(&["--user", "alice@acme.test"]).await.expect("records");
    let acts: Vec<_> = records.iter().filter_map(|record| record["body"]["facts"]["act"].as_str()).collect();
    assert!(
        acts.contains(&"sign-in") && acts.contains(&"audit-verify") && acts.contains(&"refused"),
        "{acts:?}"
    );

    let (done, said) = desk.says(&["sign-out"]).await;
    assert!(done, "{said}");
    let (done, said) = desk.says(&["audit", "verify"]).await;
    assert!(!done && said.contains("nobody is signed in"), "{said}");
}

#[tokio::test]
async fn whoever_has_none_does_not() {
    let acme = acme().await;
    let desk = Elsewhere::new(&acme);
    let mut alice = Browser::new(Employee::alice()).expect("a browser");
    let (done, said) = desk.signs_in(&mut alice).await;
    assert!(!done && said.contains("You administer nothing here"), "{said}");
    assert!(!desk.home.path().join(".local/state/deskgate-control/session.json").exists(), "nothing is kept");
}
