//! Payload rules on a person's own gateway: what a tool is sent and what it answers is looked through in either era.

use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{Access, Assistant, Gateway, Step, until};

use crate::common::{Personal, SOON, is_refused, refusal_text};

const IBAN: &str = "DE89370400440532013000";

const RULES: &str = r#"
[payload.patterns.projects]
words = ["Blue Heron"]

[[payload.rule]]
id = "no-secrets"
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
direction = "request"
detect = ["personal_data.payment_card"]
action = "redact"

[[payload.rule]]
id = "projects"
direction = "request"
detect = ["pattern:projects"]
action = "ask"
reason = "Unannounced projects need a person."

[[payload.rule]]
id = "addresses"
direction = "response"
detect = ["personal_data.email"]
action = "ask"

[[payload.rule]]
id = "numbers"
direction = "response"
detect = ["personal_data.phone"]
action = "block"
reason = "Ask the front desk."
"#;

async fn screened() -> (Echo, Gateway, String) {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let personal = Personal::default().http("echo", &upstream).server("desk", &["echo"]).more(RULES);
    let gateway = personal.start().await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    (echo, gateway, token)
}

async fn assistant(gateway: &Gateway, token: &str) -> Assistant {
    let url = gateway.url("desk").expect("a URL");
    Assistant::new(url, Access::Bearer(token.to_owned())).expect("an assistant")
}

fn echo(message: &str) -> Step {
    Step::call("echo", json!({ "message": message }))
}

async fn export(gateway: &Gateway) -> Vec<Value> {
    let output = gateway.deskgate(&["audit", "export"]).await.expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

#[tokio::test]
async fn what_is_found_is_taken_out_or_keeps_the_call_from_being_made_in_either_era() {
    let (_echo, gateway, token) = screened().await;
    let secret = ["gl", "pat-", "Zx8Qw3Lp5Vn2Km7Rt4Ys"].concat();
    let card = "4111111111111111";
    let steps = [
        echo("hello"),
        echo(&format!("use {secret} now")),
        echo(&format!("pay to {IBAN} today")),
        echo(&format!("pay with {card} today")),
        echo("call +49 30 901820 first"),
    ];
    for mode in ["auto", "legacy"] {
        let transcript =
            assistant(&gateway, &token).await.speaking(mode).run(None, &steps).await.expect("connected");
        assert_eq!(transcript.text(0), Some("hello"));
        let blocked = &transcript.answers[1];
        assert!(is_refused(blocked), "{blocked}");
        let words = refusal_text(blocked);
        assert!(
            words.contains("no-secrets (Secrets stay here)") && words.contains("secrets:gitlab-pat"),
            "{words}"
        );
        assert_eq!(transcript.text(2), Some("pay to [redacted: no-accounts] today"));
        assert_eq!(
            transcript.text(3),
            Some("pay with [redacted: no-cards] today"),
            "the connector never had it"
        );
        let withheld = transcript.answers[4].to_string();
        assert!(
            withheld.contains("numbers (Ask the front desk)") && !withheld.contains("901820"),
            "{withheld}"
        );
    }
    let records = until("all that was recorded", SOON, async || {
        let records = export(&gateway).await;
        let ended = records.iter().filter(|it| it["kind"] == "outcome").count();
        (ended == 8).then_some(records)
    });
    let records = records.await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    let found = |kind: &str, at: fn(&Value) -> &Value| -> Vec<String> {
        let of = records.iter().filter(|it| it["kind"] == kind).map(at).filter(|it| it.is_array());
        of.flat_map(|it| it.as_array().expect("a list").clone())
            .map(|it| {
                format!("{} {} {} {} {}", it["rule"], it["class"], it["action"], it["count"], it["places"])
            })
            .collect()
    };
    let place = r#"["/arguments/message"]"#;
    let denied = format!(r#""no-secrets" "secrets:gitlab-pat" "block" 1 {place}"#);
    let sent = format!(r#""no-cards" "personal_data.payment_card" "redact" 1 {place}"#);
    assert_eq!(found("denial", |it| &it["body"]["payload"]), vec![denied.clone(), denied]);
    assert_eq!(found("intent", |it| &it["body"]["payload"]), vec![sent.clone(), sent]);
    let heard = found("outcome", |it| &it["body"]["outcome"]["payload"]);
    assert!(
        heard.iter().any(|it| it.starts_with(r#""no-accounts" "personal_data.iban" "redact""#)),
        "{heard:?}"
    );
    assert!(heard.iter().any(|it| it.starts_with(r#""numbers" "personal_data.phone" "block""#)), "{heard:?}");
    let whole = format!("{records:?}{}", gateway.log());
    for canary in [&secret[8..], card, IBAN, "901820"] {
        assert!(!whole.contains(canary), "{canary} is told");
    }
}

#[tokio::test]
async fn a_person_is_asked_before_it_is_sent_and_before_it_is_handed_on() {
    let (_echo, gateway, token) = screened().await;
    for (message, reason) in [
        ("notes on blue heron", "found pattern:projects at /arguments/message"),
        ("write to ann@mail.example.org", "found personal_data.email at"),
    ] {
        for allowed in [true, false] {
            let assistant = assistant(&gateway, &token).await;
            let steps = [echo(message)];
            let (transcript, question) = tokio::join!(assistant.run(None, &steps), gateway.answer(allowed));
            let (transcript, question) = (transcript.expect("connected"), question.expect("asked"));
            assert!(question.contains(reason), "{question}");
            let answer = &transcript.answers[0];
            if allowed {
                assert_eq!(transcript.text(0), Some(message), "{answer}\n{}", gateway.log());
            } else {
                assert!(answer.to_string().contains("did not approve"), "{answer}");
            }
        }
    }
    let explained = gateway.deskgate(&["explain", "desk", "echo"]).await.expect("it runs").stdout;
    let explained = String::from_utf8_lossy(&explained).into_owned();
    assert!(
        explained
            .contains("Payload rule no-secrets: where secrets is found in what is sent, it does not pass"),
        "{explained}"
    );
}
