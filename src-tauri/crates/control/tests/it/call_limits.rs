//! Limits of calls with shared accounts: counted here, over all devices of a person and all people of an account.

use std::net::SocketAddr;

use futures_util::future::join_all;
use model::CallId;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::broker::eventually;
use crate::harness::{Device, Org, context, served, signed_in};

pub(crate) async fn limited(limits: &str) -> Org {
    let mut org = served().await;
    org.publish(|folder| {
        let file = folder.join("org.toml");
        let text = std::fs::read_to_string(&file).expect("readable");
        std::fs::write(file, format!("{text}\n{limits}")).expect("written");
    })
    .await
    .expect("publishes");
    org
}

fn is_over((status, answer): &(StatusCode, Value)) -> bool {
    let is_over = answer["error"]["code"] == "limit-exceeded";
    assert_eq!(*status, if is_over { StatusCode::FORBIDDEN } else { StatusCode::OK }, "{answer}");
    is_over
}

async fn query(device: &Device<'_>) -> (StatusCode, Value) {
    device.call("query", json!({"sql": "select 1"})).await
}

#[tokio::test]
async fn a_persons_devices_share_what_they_may_call_and_what_is_denied_does_not_count() {
    let limits = "[[limits]]\nid = \"gentle\"\nconnectors = [\"warehouse\"]\ncalls = \"3 per hour\"\nreason = \"Be gentle.\"\n\n\
                  [[limits]]\nid = \"short\"\ntools = [\"query\"]\nargument_bytes = 100\n";
    let org = limited(limits).await;
    let laptop = signed_in(&org, "alice", &["analysts"]).await;
    let desktop = signed_in(&org, "alice", &["analysts"]).await;
    let bob = signed_in(&org, "bob", &["analysts"]).await;
    // Denied for another reason, which does not count.
    let (status, answer) = laptop.call("no-such-tool", json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    let large = laptop.call("query", json!({"sql": "x".repeat(100)})).await;
    assert!(
        is_over(&large) && large.1.to_string().contains("limit short lets at most 100 pass"),
        "{large:?}"
    );
    for device in [&laptop, &desktop, &laptop] {
        assert!(!is_over(&query(device).await));
    }
    let call = CallId::new();
    let over = desktop.call_as(call, "query", json!({"sql": "select 1"})).await;
    assert!(is_over(&over));
    let told = over.1.to_string();
    assert!(
        told.contains("Limit gentle (Be gentle) is reached: 3 per hour for each person. Try again in "),
        "{told}"
    );
    let records = eventually(&org, call, 1).await;
    assert_eq!((&records[0]["kind"], &records[0]["body"]["kind"]), (&json!("denial"), &json!("limit")));
    assert_eq!(records[0]["body"]["rules"], json!(["limit:gentle"]));
    assert!(!is_over(&query(&bob).await), "another person");
}

pub(crate) const ACCOUNT: &str = "[[limits]]\nid = \"account\"\nconnectors = [\"warehouse\"]\ncalls = \"5 per day\"\nper = \"credential\"\n";

/// What 32 calls of two people with one account are answered, which come at once to the control planes at these addresses.
pub(crate) async fn raced(org: &Org, addresses: &[SocketAddr]) -> Vec<(StatusCode, Value)> {
    let (alice, bob) =
        (signed_in(org, "alice", &["analysts"]).await, signed_in(org, "bob", &["analysts"]).await);
    let calls = (0..32_usize).map(|number| {
        let device = if number % 2 == 0 { &alice } else { &bob };
        let address = addresses[(number / 2) % addresses.len()];
        async move {
            let context = context(CallId::new());
            let calling = device.calling_through(address, &context, "query", json!({"sql": "select 1"}));
            let answer = calling.send().await.expect("answers");
            let status = answer.status();
            (status, answer.json::<Value>().await.expect("JSON"))
        }
    });
    let answers = join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| !is_over(answer)).count(), 5, "{answers:?}");
    answers
}

#[tokio::test]
async fn the_people_of_an_account_share_its_calls_to_the_last_one() {
    let org = limited(ACCOUNT).await;
    let answers = raced(&org, &[org.running.address]).await;
    let told = answers.iter().find(|answer| is_over(answer)).expect("one").1.to_string();
    assert!(told.contains("5 per day for each shared account. Try again on "), "{told}");
    // Another account of the same connector has calls of its own.
    let finance = signed_in(&org, "carol", &["analysts", "finance"]).await;
    assert!(!is_over(&query(&finance).await));
}

#[tokio::test]
async fn an_answer_that_is_too_large_stays_here() {
    let org = limited("[[limits]]\nid = \"short\"\nconnectors = [\"warehouse\"]\nresult_bytes = 40\n").await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let call = CallId::new();
    let answer = alice.call_as(call, "query", json!({"sql": "select 1"})).await;
    assert_eq!((answer.0, &answer.1["error"]["code"]), (StatusCode::BAD_GATEWAY, &json!("limit-exceeded")));
    let told = answer.1.to_string();
    assert!(
        told.contains("limit short lets at most 40 pass") && told.contains("The call was made."),
        "{told}"
    );
    let records = eventually(&org, call, 2).await;
    let outcome = &records[1]["body"]["outcome"];
    assert_eq!((&outcome["code"], &outcome["limit"]), (&json!("limit-exceeded"), &json!("short")));
    assert_eq!(outcome["status"], "ok", "it was made");
}

#[tokio::test]
async fn the_example_of_the_guide_is_published_and_kept() {
    let guide = include_str!("../../../../../ADMIN.md");
    let (_, section) = guide.split_once("## Say how much may be done").expect("the chapter");
    let example = section.split("```").find_map(|block| block.strip_prefix("toml\n")).expect("an example");
    let org = limited(example).await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    assert!(!is_over(&query(&alice).await));
    let large = alice.call("query", json!({"sql": "x".repeat(65_536)})).await;
    assert!(is_over(&large) && large.1.to_string().contains("small-answers"), "{large:?}");
}
