//! The journal: what it says about calls, and that it cannot be changed unseen.

mod kills;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{Access, Assistant, Gateway, Program, SmallDisk, Step, program, read_record, until};

use crate::common::{Personal, SOON, is_refused, refusal_text, tells};

const LIMIT: &str = r#"
@id("no-secrets")
@reason("Secrets are not echoed.")
forbid (principal, action == Action::"echo/echo", resource)
when { context.input.message like "*secret*" };
"#;

/// A gateway through which one call was made and one was refused.
async fn with_two_calls() -> (Echo, Gateway) {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default()
        .http("echo", &upstream)
        .server("desk", &["echo"])
        .policy("limit", LIMIT)
        .start()
        .await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    let assistant = Assistant::new(url, Access::Bearer(token)).expect("an assistant");
    let steps = [
        Step::call("echo", json!({"message": "walrus"})),
        Step::call("echo", json!({"message": "secret narwhal"})),
    ];
    let transcript = assistant.run(None, &steps).await.expect("connected");
    assert_eq!(transcript.text(0), Some("walrus"));
    assert!(is_refused(&transcript.answers[1]));
    (echo, gateway)
}

async fn export(gateway: &Gateway) -> Vec<Value> {
    let output = gateway.deskgate(&["audit", "export"]).await.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| read_record(line).expect("a JSON object a line")).collect()
}

#[tokio::test]
async fn every_call_is_in_the_journal_and_its_values_are_not() {
    let (_echo, gateway) = with_two_calls().await;
    let records = export(&gateway).await;
    let text = records.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    for expected in ["\"echo\"", "no-secrets", "personal", "message"] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    for value in ["walrus", "narwhal", "dga_", "dgr_"] {
        assert!(!text.contains(value), "{value} is in\n{text}");
    }
    let verified = gateway.deskgate(&["audit", "verify"]).await.expect("it runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[tokio::test]
async fn personal_data_are_erased_and_the_journal_verifies() {
    let (_echo, gateway) = with_two_calls().await;
    let before = export(&gateway).await;
    let calls = before.iter().filter(|record| record["kind"] == "intent").count();
    assert!(
        calls > 0
            && before
                .iter()
                .all(|record| record["kind"] != "intent" || record["body"]["subject"].is_object())
    );
    let neither = gateway.deskgate(&["audit", "erase"]).await.expect("it runs");
    assert!(!neither.status.success());
    let erased =
        gateway.deskgate_json(&["audit", "erase", "--before", "2100-01-01T00:00:00Z"]).await.expect("erased");
    assert!(erased["records"].as_u64() >= Some(calls as u64) && erased["waiting"] == 0, "{erased}");
    let after = export(&gateway).await;
    let of_calls = after.iter().filter(|record| record["kind"] == "intent").collect::<Vec<_>>();
    assert_eq!(of_calls.len(), calls);
    assert!(of_calls.iter().all(|record| record["body"]["subject"].is_null()), "{of_calls:#?}");
    assert_eq!(before[0]["digest"], after[0]["digest"]);
    let verified = gateway.deskgate(&["audit", "verify"]).await.expect("it runs");
    let told = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && told.contains("erased: "), "{told}");
}

#[tokio::test]
async fn an_edited_or_shortened_journal_is_found_out() {
    let (_echo, mut gateway) = with_two_calls().await;
    gateway.stop();
    let segments = segments(&gateway.home().join("journal"));
    let (path, bytes) = segments.into_iter().max_by_key(|(_, bytes)| written(bytes)).expect("a segment");
    let end = written(&bytes);
    let check = async |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        let output = gateway.deskgate(&["audit", "verify"]).await.expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (whole, told) = check(&bytes).await;
    assert!(whole, "untouched it is right: {told}");

    let mut edited = bytes.clone();
    edited[end / 2] ^= 0x01;
    let (passed, told) = check(&edited).await;
    assert!(!passed, "one bit in the middle: {told}");

    let mut swapped = bytes.clone();
    let middle = end / 2;
    swapped.copy_within(middle..middle + 64, 128);
    let (passed, told) = check(&swapped).await;
    assert!(!passed, "a piece in another place: {told}");
}

#[tokio::test]
async fn a_killed_gateway_comes_back_with_a_whole_journal() {
    let (_echo, mut gateway) = with_two_calls().await;
    let before = export(&gateway).await.len();
    gateway.restart().await.expect("it comes back");
    let verified = gateway.deskgate(&["audit", "verify"]).await.expect("it runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    assert!(export(&gateway).await.len() >= before, "nothing that was acknowledged is lost");
}

/// A call with so many arguments that its record is long.
async fn long_call(gateway: &Gateway, token: &str) -> Value {
    let arguments: serde_json::Map<String, Value> =
        (0..50).map(|at| (format!("argument-number-{at}"), json!("x"))).collect();
    let arguments =
        Value::Object([("message".to_owned(), json!("hello"))].into_iter().chain(arguments).collect());
    let params = json!({"name": "echo", "arguments": arguments});
    let answer = reqwest::Client::new()
        .post(gateway.url("desk").expect("a URL"))
        .bearer_auth(token)
        .header("accept", "application/json, text/event-stream")
        .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
        .send();
    answer.await.expect("answered").json().await.expect("JSON")
}

#[tokio::test]
async fn a_full_disk_refuses_calls_is_said_and_needs_no_more_than_room() {
    let echo = Echo::start().await.expect("an upstream");
    let disk = SmallDisk::around(&program(Program::Deskgate).expect("built")).expect("a disk");
    let upstream = format!("http://{}/mcp", echo.address());
    let setup = Personal::default().http("echo", &upstream).server("desk", &["echo"]).setup();
    let gateway = Gateway::start(&disk.program(), setup).await.expect("it starts");
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;

    let refused = until("the end of the room", SOON, async || {
        let answer = long_call(&gateway, &token).await;
        is_refused(&answer["result"]).then(|| refusal_text(&answer["result"]))
    });
    let refused = refused.await.expect("refused");
    assert!(refused.contains("The disk is full"), "the assistant hears why: {refused}");
    tells(&gateway, "The disk is full, and the audit journal cannot be written.").await;
    let status = gateway.deskgate_json(&["status"]).await.expect("a status");
    assert_eq!(status["status"], "attention", "{status}");

    disk.grow().expect("room is made");
    until("calls that go on", SOON, async || {
        let answer = long_call(&gateway, &token).await;
        (answer["result"]["content"][0]["text"] == "hello").then_some(())
    })
    .await
    .expect("nothing has to be restarted");
    tells(&gateway, "Ready.").await;
}

fn segments(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("a journal").flatten();
    entries
        .filter(|entry| entry.metadata().is_ok_and(|about| about.is_file()))
        .map(|entry| (entry.path(), std::fs::read(entry.path()).expect("readable")))
        .collect()
}

/// How far a segment is written; the rest is filled with zeros.
fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}
