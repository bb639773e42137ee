//! Payload rules for calls with shared accounts: looked for here, whatever the device looked for.

use model::CallId;
use reqwest::StatusCode;
use serde_json::json;

use crate::broker::eventually;
use crate::harness::{Org, served, signed_in};

const IBAN: &str = "DE89370400440532013000";
const RULES: &str = r#"
[[payload.rule]]
id = "no-secrets"
connectors = ["warehouse"]
direction = "request"
detect = ["secrets"]
action = "block"
reason = "Secrets stay here."

[[payload.rule]]
id = "no-accounts"
direction = "response"
detect = ["personal_data.iban"]
action = "redact"

[[payload.rule]]
id = "no-cards"
tools = ["query"]
detect = ["personal_data.payment_card"]
action = "redact"

[[payload.rule]]
id = "no-addresses"
direction = "response"
detect = ["personal_data.email"]
action = "ask"
"#;

async fn screened() -> Org {
    let mut org = served().await;
    org.publish(|folder| {
        let file = folder.join("org.toml");
        let text = std::fs::read_to_string(&file).expect("readable");
        std::fs::write(file, format!("{text}\n{RULES}")).expect("written");
    })
    .await
    .expect("publishes");
    org
}

#[tokio::test]
async fn a_device_that_looks_for_nothing_gets_no_further() {
    let org = screened().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let secret = ["gl", "pat-", "Zx8Qw3Lp5Vn2Km7Rt4Ys"].concat();
    let call = CallId::new();
    let (status, answer) = alice.call_as(call, "query", json!({"sql": format!("select '{secret}'")})).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!("payload-blocked")),
        "{answer}"
    );
    assert!(answer.to_string().contains("no-secrets (Secrets stay here)"), "{answer}");
    let records = eventually(&org, call, 1).await;
    assert_eq!(records[0]["kind"], "denial");
    assert_eq!(records[0]["body"]["rules"], json!(["payload:no-secrets"]));
    assert_eq!(records[0]["body"]["payload"][0]["class"], "secrets:gitlab-pat");
    let mut told = format!("{answer}{records:?}");

    let call = CallId::new();
    let sql = format!("select '{IBAN}', '4111111111111111'");
    let (status, answer) = alice.call_as(call, "query", json!({"sql": sql})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let text = answer.to_string();
    assert!(text.contains("select '[redacted: no-accounts]', '[redacted: no-cards]' as"), "{text}");
    let records = eventually(&org, call, 2).await;
    assert_eq!(records[0]["body"]["payload"][0]["rule"], "no-cards");
    assert_eq!(records[1]["body"]["outcome"]["payload"][0]["rule"], "no-accounts");
    told += &format!("{answer}{records:?}");

    let call = CallId::new();
    let (status, answer) =
        alice.call_as(call, "query", json!({"sql": "select 'ann@mail.example.org'"})).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::BAD_GATEWAY, &json!("payload-blocked")),
        "{answer}"
    );
    assert!(answer.to_string().contains("Nobody can be asked"), "{answer}");
    let records = eventually(&org, call, 2).await;
    assert_eq!(records[1]["body"]["outcome"]["code"], "payload-blocked");
    told += &format!("{answer}{records:?}");
    for canary in [&secret[8..], IBAN, "4111111111111111", "ann@mail"] {
        assert!(!told.contains(canary), "{canary} is told: {told}");
    }
}
