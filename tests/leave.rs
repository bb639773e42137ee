//! A person who takes Deskgate off their account: nothing of it is left but what it says.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::bench::Echo;
use testkit::{Employee, Gateway, Mail, Opened, Program, program, until};

use crate::common::{Personal, SOON, files_below, let_in};
use crate::org::{acme, desktop, signs_in_to_acme};

const KEY: &str = "canary-of-leaving-1";

/// Runs `deskgate` as the person whose folder this is.
async fn run(gateway: &Gateway, home: &Path, arguments: &[&str]) -> Output {
    let config = home.join(".config");
    let variables = [("CODEX_HOME", home), ("XDG_CONFIG_HOME", &config)];
    gateway.deskgate_of(home, &variables, arguments).await.expect("run")
}

async fn told(gateway: &Gateway, home: &Path, arguments: &[&str]) -> String {
    let output = run(gateway, home, arguments).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}\n{}", gateway.log());
    String::from_utf8_lossy(&output.stdout).into_owned() + &told
}

async fn refused(gateway: &Gateway, home: &Path, arguments: &[&str]) -> String {
    let output = run(gateway, home, arguments).await;
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the keychain of the gateway's session has of Deskgate.
fn in_keychain(gateway: &mut Gateway) -> String {
    let mut asked = gateway.session().command("secret-tool");
    asked.args(["search", "--all", "service", "dev.deskgate"]);
    let found = asked.output().expect("it runs");
    String::from_utf8_lossy(&found.stdout).into_owned() + &String::from_utf8_lossy(&found.stderr)
}

fn kinds(home: &Path) -> Vec<(PathBuf, bool)> {
    let mut all: Vec<_> = std::fs::read_dir(home)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), path.is_dir()))
        .collect();
    all.sort();
    all
}

/// Cursor with a server of its own, and Codex without any settings.
fn with_assistants(mail: &Mail) -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let entries = json!({"mail": {"url": mail.url(), "headers": {"X-Mail-Key": KEY}}});
    std::fs::create_dir(home.path().join(".cursor")).expect("made");
    let text = serde_json::to_string_pretty(&json!({ "mcpServers": entries })).expect("JSON");
    std::fs::write(home.path().join(".cursor/mcp.json"), text.replacen('{', "{\n  // mine", 1))
        .expect("written");
    home
}

#[tokio::test]
async fn whoever_leaves_has_every_file_as_it_was_and_nothing_of_deskgate() {
    // Whatever was done first.
    tokio::join!(leaves(["connect", "import"]), leaves(["import", "connect"]));
}

async fn leaves(order: [&str; 2]) {
    let echo = Echo::start().await.expect("an upstream");
    let mail =
        Mail::start_with_tokens(Some("X-Mail-Key"), &[(KEY, &Employee::alice())]).await.expect("it starts");
    let personal = Personal::default().http("echo", &format!("http://{}/mcp", echo.address()));
    let mut gateway = personal.server("desk", &["echo"]).start().await;
    gateway.offers("desk").await.expect("offered");
    let home = with_assistants(&mail);
    let before = (files_below(home.path()), kinds(home.path()));
    for verb in order {
        told(&gateway, home.path(), &[verb, "cursor", "--yes"]).await;
    }
    told(&gateway, home.path(), &["connect", "codex", "--yes"]).await;
    let_in(&gateway).await;
    assert!(in_keychain(&mut gateway).contains("vault-key/"), "its key is kept");
    let connected = files_below(home.path());
    assert_ne!(connected, before.0);

    let shown = told(&gateway, home.path(), &["uninstall", "--dry-run"]).await;
    for part in [
        "give Cursor the servers back that were imported",
        "disconnect Codex from desk",
        "forget your accounts: mail",
        "the program itself",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let unasked = refused(&gateway, home.path(), &["uninstall"]).await;
    assert!(unasked.contains("Nothing was changed."), "{unasked}");
    assert_eq!(files_below(home.path()), connected, "it was only shown");

    // What is not Deskgate's own stays, wherever it lies.
    std::fs::write(gateway.home().join("notes.txt"), "mine").expect("written");
    let value = run(&gateway, home.path(), &["uninstall", "--yes", "--json"]).await;
    let told_of = String::from_utf8_lossy(&value.stderr).into_owned();
    assert!(value.status.success(), "{told_of}\n{}", gateway.log());
    assert!(!told_of.contains(KEY));
    let value: Value = serde_json::from_slice(&value.stdout).expect("JSON");
    assert_eq!(value["left"], json!([gateway.home().join("notes.txt")]), "{told_of}");
    assert_eq!((files_below(home.path()), kinds(home.path())), before, "{told_of}");
    assert_eq!(files_below(gateway.home()).len(), 1);
    assert!(!in_keychain(&mut gateway).contains("vault-key/"));
    let process = gateway.process().expect("started");
    until("its end", SOON, async || process.ended().ok().flatten()).await.expect("it ends");

    std::fs::remove_file(gateway.home().join("notes.txt")).expect("removed");
    std::fs::remove_dir(gateway.home()).expect("it is empty");
    let nothing = told(&gateway, home.path(), &["uninstall"]).await;
    assert!(nothing.contains("There is nothing of Deskgate"), "{nothing}");
    assert!(!gateway.home().exists(), "nothing was made to say so");
}

#[tokio::test]
async fn an_organisation_has_every_record_before_they_go() {
    let mut acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let home = tempfile::tempdir().expect("a folder");
    let shown = told(&gateway, home.path(), &["uninstall", "--dry-run"]).await;
    assert!(shown.contains("hand over to Acme") && shown.contains("sign you out of Acme"), "{shown}");

    acme.organisation.stop().await.expect("stopped");
    told(&gateway, home.path(), &["pause"]).await;
    let undelivered = refused(&gateway, home.path(), &["uninstall", "--yes"]).await;
    assert!(
        undelivered.contains("Acme has not received") && undelivered.contains("deskgate resume"),
        "{undelivered}"
    );
    assert!(gateway.home().join("journal").is_dir() && gateway.home().join("vault").is_dir());

    acme.organisation.restart().await.expect("it comes back");
    let delivered = until("delivery", SOON, async || {
        run(&gateway, home.path(), &["uninstall", "--yes"]).await.status.success().then_some(())
    });
    delivered.await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    assert!(!gateway.home().exists(), "{:?}", kinds(gateway.home()));
    let recorded = acme.organisation.records(&[]).await.expect("records");
    let events =
        |name: &str| recorded.iter().filter(|it| it.to_string().contains(&format!("\"{name}\""))).count();
    // Each time that it was begun.
    assert!(events("leaving") >= 2 && events("paused") == 1, "{recorded:?}");
    assert_eq!(events("signed-out"), 1, "the control plane's own record");
}

#[tokio::test]
async fn records_that_cannot_be_handed_over_stay_on_wish_and_nothing_else_does() {
    let mut acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let mut gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let home = tempfile::tempdir().expect("a folder");
    acme.organisation.stop().await.expect("stopped");
    gateway.stop();
    let stopped = refused(&gateway, home.path(), &["uninstall", "--yes"]).await;
    assert!(stopped.contains("Deskgate is not running") && stopped.contains("--as-it-is"), "{stopped}");
    let arguments = ["uninstall", "--yes", "--as-it-is"];
    let lost = told(&gateway, home.path(), &arguments).await;
    assert!(lost.contains("secrets are destroyed") && lost.contains("will not be handed over"), "{lost}");
    let kept: Vec<_> = kinds(gateway.home()).into_iter().map(|(path, _)| path).collect();
    let names = ["device", "journal", "journal.checkpoint", "journal.head"];
    assert_eq!(kept, names.map(|name| gateway.home().join(name)));
    let verified = told(&gateway, home.path(), &["audit", "verify"]).await;
    assert!(verified.contains("records"), "{verified}");
    // They go on a person's word only.
    let again = told(&gateway, home.path(), &["uninstall", "--yes"]).await;
    assert!(again.contains("--delete-records") && gateway.home().join("journal").exists(), "{again}");
    told(&gateway, home.path(), &["uninstall", "--yes", "--delete-records"]).await;
    assert!(!gateway.home().exists(), "{:?}", kinds(gateway.home()));
    assert!(!in_keychain(&mut gateway).contains("vault-key/"));
}

#[tokio::test]
async fn what_lies_outside_of_the_folder_goes_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, config, cache] = ["data", "config", "cache"].map(|name| folder.path().join(name));
    let ours = [
        data.join("deskgate/deskgate.toml"),
        data.join("deskgate/updates/0.2.0/deskgate.deb"),
        data.join("dev.deskgate.desktop/localstorage/file"),
        cache.join("dev.deskgate.desktop/WebKitCache/file"),
        config.join("autostart/dev.deskgate.desktop.desktop"),
    ];
    let others = [config.join("autostart/other.desktop"), data.join("other/file")];
    for file in ours.iter().chain(&others) {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, "").expect("written");
    }
    std::fs::write(data.join("deskgate/device"), model::DeviceId::new().to_string()).expect("written");
    let mut command = std::process::Command::new(program(Program::Deskgate).expect("built"));
    command.args(["uninstall", "--yes"]).env_clear().env("HOME", folder.path());
    command.env("XDG_DATA_HOME", &data).env("XDG_CONFIG_HOME", &config).env("XDG_CACHE_HOME", &cache);
    let output = command.output().expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let left: Vec<_> = files_below(folder.path()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left.len(), others.len(), "{left:?}");
    assert!(others.iter().all(|other| left.contains(other)), "{left:?}");
    assert!(!data.join("deskgate").exists());
}
