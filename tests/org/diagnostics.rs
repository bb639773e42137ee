//! IT asks for diagnostics: whoever is at the desktop sees them first, and they go by that person's word or not at all.

use serde_json::Value;
use testkit::readable_secrets;

use super::*;

/// Asks the desktop's device; the number of the request.
async fn ask(acme: &Acme, device: &str, why: &str) -> u64 {
    let asked = acme.organisation.control_json(&["diagnostics", "ask", device, "--because", why]).await;
    asked.expect("asked")["id"].as_u64().expect("a number")
}

/// The device that the gateway is, once it is enrolled.
async fn device(acme: &Acme) -> String {
    until("the device", SOON, async || {
        let devices = acme.organisation.control_json(&["device", "list"]).await.ok()?;
        devices[0]["id"].as_str().map(str::to_owned)
    })
    .await
    .expect("enrolled")
}

async fn state(acme: &Acme) -> Value {
    let listed = acme.organisation.control_json(&["diagnostics", "list"]).await.expect("listed");
    listed[0]["state"].clone()
}

/// The question that waits, once it does.
async fn asked(gateway: &Gateway) -> Value {
    until("the question", SOON, async || {
        let waiting = gateway.deskgate_json(&["pending"]).await.ok()?;
        let items = waiting.as_array()?.clone();
        items.into_iter().find(|item| item["question"].to_string().contains("asks for diagnostics"))
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()))
}

async fn not_asked(gateway: &Gateway) {
    until("the question's end", SOON, async || {
        let waiting = gateway.deskgate_json(&["pending"]).await.ok()?;
        waiting.as_array()?.is_empty().then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
}

/// What a command that is refused says.
async fn refused(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = gateway.deskgate(arguments).await.expect("it runs");
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn what_it_asks_for_goes_as_it_was_shown_and_without_secrets() {
    let acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    assert!(refused(&gateway, &["diagnostics", "--send", "--yes"]).await.contains("does not ask"));

    let id = ask(&acme, &device(&acme).await, "Calls to mail fail").await;
    let question = asked(&gateway).await;
    let words = question["question"].as_str().expect("words");
    assert!(
        words.contains("“Calls to mail fail”") && words.contains("Nothing is sent unless you say so"),
        "{words}"
    );
    let answer = ["answer", question["id"].as_str().expect("an id"), "allow"];
    assert!(refused(&gateway, &answer).await.contains("deskgate diagnostics --send"), "not by a word alone");
    assert!(
        refused(&gateway, &["diagnostics", "--send"]).await.contains("Nothing was sent."),
        "nobody said so"
    );
    assert_eq!(state(&acme).await, "open");

    let sent = gateway.deskgate_json(&["diagnostics", "--send", "--yes"]).await.expect("sent");
    let sha256 = sent["sent"].as_str().expect("a digest").to_owned();
    not_asked(&gateway).await;
    assert_eq!(state(&acme).await, "sent");
    assert!(refused(&gateway, &["diagnostics", "--send", "--yes"]).await.contains("does not ask"));

    // What IT saves is that, byte for byte, for its owner alone.
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("saved.tar.gz");
    let (number, path) = (id.to_string(), out.display().to_string());
    let saved = acme.organisation.control_json(&["diagnostics", "save", &number, "--out", &path]).await;
    assert_eq!(saved.expect("saved")["sha256"], sha256);
    let archive = std::fs::read(&out).expect("an archive");
    assert_eq!(model::Digest::of(&archive).to_string(), sha256);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&out).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = acme.organisation.control_json(&["diagnostics", "save", &number, "--out", &path]).await;
    assert!(again.is_err(), "nothing is overwritten");
    let unpacked = folder.path().join("unpacked");
    std::fs::create_dir(&unpacked).expect("a folder");
    let names: Vec<String> = crate::doctor::unpacked(&out, &unpacked)
        .iter()
        .filter_map(|(path, _)| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    for expected in ["LIST.txt", "doctor.txt", "deskgate.log", "running.json"] {
        assert!(names.iter().any(|name| name == expected), "{expected}: {names:?}");
    }
    assert_eq!(readable_secrets(&unpacked, &[]), [] as [String; 0]);

    // Both sides have it on record, and neither what was in it. The organisation's own names the device.
    let records = acme.organisation.records(&[]).await.expect("records");
    let own = records.iter().filter(|record| {
        let facts = &record["body"]["facts"];
        record["body"]["event"] == "diagnostics" && facts["device"].is_string() && facts["state"] == "sent"
    });
    assert_eq!(own.count(), 1, "once");
    until("the desktop's records", SOON, async || {
        let records = acme.organisation.records(&[]).await.ok()?;
        let states: Vec<_> = records
            .iter()
            .filter(|record| {
                record["body"]["event"] == "diagnostics" && record["body"]["facts"]["device"].is_null()
            })
            .filter_map(|record| record["body"]["facts"]["state"].as_str())
            .collect();
        ["asked", "sending", "sent"].iter().all(|state| states.contains(state)).then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
}

#[tokio::test]
async fn a_person_says_no_and_it_takes_back_what_it_asked_also_while_nobody_is_reached() {
    let mut acme = acme().await;
    let mut opened = Opened::new().expect("a browser opener");
    let mut gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let device = device(&acme).await;

    let id = ask(&acme, &device, "Why it is slow").await;
    asked(&gateway).await;
    acme.organisation.control_json(&["diagnostics", "withdraw", &id.to_string()]).await.expect("withdrawn");
    not_asked(&gateway).await;
    assert_eq!(state(&acme).await, "withdrawn");

    ask(&acme, &device, "Why it is slow still").await;
    let question = asked(&gateway).await;
    // Sending fails while the server is away; what was asked stays.
    acme.organisation.stop().await.expect("stopped");
    let fault = refused(&gateway, &["diagnostics", "--send", "--yes"]).await;
    assert!(fault.contains("were not sent"), "{fault}");
    // A refusal is kept until it can be told, also over a restart.
    let answer = ["answer", question["id"].as_str().expect("an id"), "deny"];
    assert!(gateway.deskgate(&answer).await.expect("it runs").status.success());
    not_asked(&gateway).await;
    gateway.stop();
    acme.organisation.restart().await.expect("starts again");
    assert_eq!(state(&acme).await, "open", "nobody could tell it yet");
    gateway.restart().await.expect("starts again");
    until("the refusal", SOON, async || (state(&acme).await == "refused").then_some(()))
        .await
        .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
}
