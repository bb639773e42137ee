//! `deskgate doctor`, and the way out where another program has the port.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde_json::Value;
use testkit::{
    Access, Assistant, Employee, Gateway, Idp, IdpSettings, Mail, Opened, Step, free_port, readable_secrets,
    until,
};

use crate::common::{Personal, SOON, files_below, signs_in};
use crate::hostile::{Raw, script};

/// One thing that was looked at.
pub(crate) fn check(examination: &Value, name: &str) -> Value {
    let checks = examination["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {examination:#}")).clone()
}

/// What doctor finds, and whether it is content.
async fn examined(gateway: &Gateway) -> (Value, bool) {
    let output = gateway.deskgate(&["doctor", "--json"]).await.expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).expect(&told), output.status.success())
}

fn assert_state(examination: &Value, name: &str, state: &str) {
    let check = check(examination, name);
    assert_eq!(check["state"], state, "{check:#}");
}

async fn said(gateway: &Gateway, arguments: &[&str]) -> (String, bool) {
    let output = gateway.deskgate(arguments).await.expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.success())
}

#[tokio::test]
async fn doctor_finds_what_is_wrong_beside_a_gateway_and_without_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = script(folder.path(), "here", "done_");
    let gone = [folder.path().join("gone").display().to_string()];
    let personal = Personal::default().stdio("here", &here).stdio("gone", &gone);
    let mut gateway = personal.server("desk", &["here", "gone"]).start().await;

    let found = until("rules in force", SOON, async || {
        let (examination, content) = examined(&gateway).await;
        (check(&examination, "policy")["state"] == "ok").then_some((examination, content))
    });
    let (running, content) = found.await.expect("it has started");
    assert!(!content && running["running"] == true, "{running:#}");
    for name in ["folder", "instance", "port", "keychain", "organisation", "policy", "records", "version"] {
        assert_state(&running, name, "ok");
    }
    assert_state(&running, "connector:gone", "problem");
    assert_state(&running, "tray", "note");
    let (text, _) = said(&gateway, &["doctor"]).await;
    assert!(
        text.contains("problem") && text.contains("gone is not there.") && text.contains("→ Install"),
        "{text}"
    );

    gateway.stop();
    let before = files_below(gateway.home());
    let (beside, content) = examined(&gateway).await;
    assert!(!content && beside["running"] == false, "{beside:#}");
    for name in ["folder", "port", "keychain", "organisation", "records", "version"] {
        assert_state(&beside, name, "ok");
    }
    assert_state(&beside, "instance", "note");
    assert_state(&beside, "assistants", "not_checked");
    assert_state(&beside, "connector:gone", "problem");
    assert_eq!(files_below(gateway.home()), before, "it leaves everything as it is");

    std::fs::copy(&here[0], &gone[0]).expect("installed");
    let (mended, content) = examined(&gateway).await;
    assert!(content, "{mended:#}");
    std::fs::write(gateway.home().join("deskgate.toml"), "surprise = 1").expect("written");
    let (wrong, content) = examined(&gateway).await;
    assert!(!content, "{wrong:#}");
    assert_state(&wrong, "settings", "problem");
}

#[tokio::test]
async fn a_program_that_has_the_port_is_named_and_one_command_leads_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = script(folder.path(), "here", "done_");
    let mut gateway = Personal::default().stdio("here", &here).server("desk", &["here"]).start().await;
    let before = gateway.port();
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let raw = Raw { port: before, token };
    let list = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let asks = async |raw: &Raw| raw.post(&[], list.as_str()).await.status;
    assert_ne!(asks(&raw).await, 401, "its access is good");
    let (refused, moved) = said(&gateway, &["port", "--move"]).await;
    assert!(!moved && refused.contains("Deskgate is running"), "{refused}");

    // Another program takes the port while Deskgate is away: this one.
    gateway.stop();
    let taken = TcpListener::bind(("127.0.0.1", before)).expect("free");
    let named = format!("(process {}, ", std::process::id());
    gateway.spawn().expect("started");
    let process = gateway.process().expect("started");
    let status = process.wait(SOON).await.expect("it gives up");
    assert!(!status.success());
    let log = gateway.log();
    for words in [&named, &format!("uses port {before}"), "deskgate port --move"] {
        assert!(log.contains(words), "{log}");
    }
    let (looked, content) = examined(&gateway).await;
    assert!(!content);
    let port = check(&looked, "port");
    assert!(port["found"].as_str().is_some_and(|found| found.contains(&named)), "{port:#}");

    // The port comes back: assistants find Deskgate where it was, but what the other may have heard is worth nothing.
    drop(taken);
    gateway.restart().await.expect("it starts");
    assert_eq!(gateway.port(), before, "no address has changed by itself");
    assert_eq!(asks(&raw).await, 401);
    let token = gateway.connect("desk", "Test").await.expect("let in again").tokens.access_token;
    let raw = Raw { port: before, token };
    gateway.restart().await.expect("it starts");
    assert_ne!(asks(&raw).await, 401, "once is enough");

    // The other program stays: one command.
    gateway.stop();
    let _taken = TcpListener::bind(("127.0.0.1", before)).expect("free");
    let wanted = free_port().expect("a port");
    let (told, moved) = said(&gateway, &["port", "--move", &wanted.to_string()]).await;
    assert!(moved && told.contains(&format!("http://127.0.0.1:{wanted}/s/desk/mcp")), "{told}");
    gateway.restart().await.expect("it starts beside the other");
    assert_eq!(gateway.port(), wanted);
    gateway.connect("desk", "Test").await.expect("it is reached at its new address");
    let (looked, _) = examined(&gateway).await;
    assert_state(&looked, "port", "ok");
}

/// Everything that is a secret here and not the test's own: what settings hold, tokens, the keychain's key.
fn canaries<'a>(token: &'a str, key: &'a [u8]) -> Vec<(&'a str, &'a [u8])> {
    vec![
        ("a variable of a connector", b"canary-of-a-variable-1"),
        ("an argument of a program", b"canary-of-an-argument-2"),
        ("a program's secret", b"canary-of-a-client-secret-3"),
        ("an address's secret", b"canary-of-an-address-4"),
        ("an argument of a call", b"canary-of-a-call-5"),
        ("what a connector prints", b"canary-of-a-print-6"),
        ("an assistant's token", token.as_bytes()),
        ("the keychain's key", key),
    ]
}

/// The key that the keychain of the gateway's session keeps for its vault.
fn keychain_key(gateway: &mut Gateway) -> Vec<u8> {
    let files = files_below(&gateway.home().join("vault"));
    let (_, id) = files.iter().find(|(path, _)| path.ends_with("id")).expect("the vault's id");
    let id = String::from_utf8_lossy(id).trim_end().rsplit(':').next().expect("an id").to_owned();
    let mut asked = gateway.session().command("secret-tool");
    asked.args(["lookup", "service", "dev.deskgate", "username", &format!("vault-key/{id}")]);
    let entry = String::from_utf8(asked.output().expect("it runs").stdout).expect("text");
    let letters = entry.trim_end().rsplit(':').next().expect("the key's letters");
    let key = BASE64.decode(letters.trim_end_matches('=')).expect("base64");
    assert_eq!(key.len(), 32, "the key");
    key
}

/// Unpacks an archive into a folder, as a person would.
pub(crate) fn unpacked(archive: &Path, into: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let status = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(into).status().expect("tar runs");
    assert!(status.success());
    files_below(into)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[tokio::test]
async fn no_secret_is_in_the_diagnostics_or_in_the_log() {
    let idp = Idp::start(&IdpSettings::default()).await.expect("the identity provider starts");
    let mail = Mail::start(&idp).await.expect("the mail starts");
    let folder = tempfile::tempdir().expect("a folder");
    let mut here = script(folder.path(), "here", "echo canary-of-a-print-6 >&2; done_");
    here.push("--token=canary-of-an-argument-2".to_owned());
    let opened = Opened::new().expect("a browser opener");
    let how = format!("command = {here:?}\nenvironment = {{ API_TOKEN = \"canary-of-a-variable-1\" }}");
    let program = "url = \"https://127.0.0.1:9/mcp?api=canary-of-an-address-4\"\n\
                   credential = { kind = \"user_oauth\", client_id = \"desk\", client_secret = \"canary-of-a-client-secret-3\" }";
    let personal = Personal::default().connector("here", &how).connector("away", program);
    let personal =
        personal.http_with_own_account("mail", mail.url()).server("desk", &["here", "mail"]).browser(&opened);
    let mut gateway = personal.start().await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    let assistant = Assistant::new(url, Access::Bearer(token.clone())).expect("an assistant");
    let said = serde_json::json!({"x": "canary-of-a-call-5"});
    let steps = [Step::call("here", said.clone()), Step::call("list_messages", said)];
    let mut opened = opened;
    let (answers, _) = tokio::join!(assistant.run(None, &steps), signs_in(&mut opened, Employee::alice()));
    assert_eq!(answers.expect("connected").answers.len(), 2);
    let key = keychain_key(&mut gateway);
    let canaries = canaries(&token, &key);

    // The log is on disk, its owner's alone, and holds none of it.
    let log = gateway.home().join("logs/deskgate.log");
    assert_eq!((mode(&log), mode(log.parent().expect("a folder"))), (0o600, 0o700));
    assert!(std::fs::metadata(&log).expect("there").len() > 0, "something is logged");
    assert_eq!(readable_secrets(log.parent().expect("a folder"), &canaries), [] as [String; 0]);

    let archive = folder.path().join("asked.tar.gz");
    let path = archive.display().to_string();
    let (told, written) = self::said(&gateway, &["diagnostics", "--out", &path]).await;
    assert!(!written && !archive.exists(), "nobody has agreed: {told}");
    assert!(told.contains("doctor.json") && told.contains("Not in it: secrets"), "{told}");
    let (told, written) = self::said(&gateway, &["diagnostics", "--out", &path, "--yes"]).await;
    assert!(written, "{told}");
    assert_eq!(mode(&archive), 0o600);
    let running = tempfile::tempdir().expect("a folder");
    let files = unpacked(&archive, running.path());
    let names: Vec<_> = files.iter().filter_map(|(path, _)| path.file_name()?.to_str()).collect();
    for name in ["LIST.txt", "doctor.json", "settings.txt", "records.json", "deskgate.log", "running.json"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(files.iter().all(|(_, bytes)| std::str::from_utf8(bytes).is_ok_and(|text| !text.is_empty())));
    assert_eq!(readable_secrets(running.path(), &canaries), [] as [String; 0]);
    let (again, written) = self::said(&gateway, &["diagnostics", "--out", &path, "--yes"]).await;
    assert!(!written, "nothing is overwritten: {again}");

    // Should ever something have come into the log all the same, it is taken out.
    gateway.stop();
    let mut text = std::fs::read_to_string(&log).expect("reads");
    for (_, secret) in &canaries[..4] {
        let secret = String::from_utf8_lossy(secret);
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("WARN it was {secret}, and {hex}\n");
    }
    text += &format!("WARN it was {token}\nWARN the last line stays\n");
    std::fs::write(&log, text).expect("written");
    let archive = folder.path().join("later.tar.gz");
    let path = archive.display().to_string();
    let (told, written) = self::said(&gateway, &["diagnostics", "--out", &path, "--yes"]).await;
    assert!(written, "{told}");
    let later = tempfile::tempdir().expect("a folder");
    let files = unpacked(&archive, later.path());
    assert_eq!(readable_secrets(later.path(), &canaries), [] as [String; 0]);
    let (_, log) = files.iter().find(|(path, _)| path.ends_with("deskgate.log")).expect("the log");
    let log = String::from_utf8_lossy(log);
    assert!(log.contains("[taken out]") && log.contains("WARN the last line stays"), "{log}");
    let (shown, listed) = self::said(&gateway, &["diagnostics", "--show", "settings.txt"]).await;
    assert!(listed && shown.contains("Virtual server desk: here, mail"), "{shown}");
}
