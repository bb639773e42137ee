//! Limits on a person's own gateway: what is too large or one too many is not made, whichever assistant makes it.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{Access, Assistant, Gateway, Step, until};
use tokio::task::JoinSet;

use crate::common::{Personal, SOON, is_refused, refusal_text};
use crate::hostile::{Raw, modern};

async fn limited(limits: &str) -> (Echo, Gateway) {
    let echo = Echo::listening().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway =
        Personal::default().http("echo", &upstream).server("desk", &["echo"]).more(limits).start().await;
    (echo, gateway)
}

async fn let_in(gateway: &Gateway, name: &str) -> Assistant {
    let token = gateway.connect("desk", name).await.expect("let in").tokens.access_token;
    Assistant::new(gateway.url("desk").expect("a URL"), Access::Bearer(token)).expect("an assistant")
}

fn echo(message: &str) -> Step {
    Step::call("echo", json!({ "message": message }))
}

async fn answers(assistant: &Assistant, steps: &[Step]) -> Vec<Value> {
    assistant.run(None, steps).await.expect("connected").answers
}

async fn export(gateway: &Gateway) -> Vec<Value> {
    let output = gateway.deskgate(&["audit", "export"]).await.expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

const RATE_AND_QUOTA: &str = r#"
[[limits]]
id = "gentle"
tools = ["echo"]
calls = "3 per hour"
reason = "The connector is slow."

[[limits]]
id = "sparing"
tools = ["tool-9"]
calls = "2 per month"
"#;

#[tokio::test]
async fn the_assistants_of_a_person_share_what_they_may_call_and_a_start_gives_no_new_quota() {
    let (upstream, mut gateway) = limited(RATE_AND_QUOTA).await;
    let (one, other) = (let_in(&gateway, "One").await, let_in(&gateway, "Other").await);
    assert!(!is_refused(&answers(&one, &[echo("a")]).await[0]));
    let of_other = answers(&other, &[echo("b"), echo("c"), echo("d")]).await;
    assert_eq!(of_other.iter().map(is_refused).collect::<Vec<_>>(), [false, false, true], "{of_other:?}");
    let words = refusal_text(&of_other[2]);
    assert!(
        words.starts_with(
            "Limit gentle (The connector is slow) is reached: 3 per hour for each person. Try again in "
        ),
        "{words}"
    );
    assert!(is_refused(&answers(&one, &[echo("e")]).await[0]));
    assert_eq!(upstream.heard().len(), 3, "what is refused is not made");

    let spare = Step::call("tool-9", json!({ "message": "spare" }));
    let calls = [spare.clone(), spare.clone(), spare.clone()];
    let spared = answers(&one, &calls).await;
    let refused: Vec<bool> =
        spared.iter().map(|it| refusal_text(it).contains("Limit sparing is reached")).collect();
    assert_eq!(refused, [false, false, true], "{spared:?}");

    let denied = |records: &[Value]| -> Vec<Value> {
        let denials = records.iter().filter(|it| it["kind"] == "denial");
        denials.map(|it| json!([it["body"]["kind"], it["body"]["rules"][0]])).collect()
    };
    let gentle = json!(["limit", "limit:gentle"]);
    let recorded = denied(&export(&gateway).await);
    assert_eq!(recorded, [gentle.clone(), gentle, json!(["limit", "limit:sparing"])]);
    let explained = gateway.deskgate(&["explain", "desk", "echo"]).await.expect("it runs").stdout;
    let explained = String::from_utf8_lossy(&explained).into_owned();
    assert!(
        explained.contains("Limit gentle: at most 3 per hour for each person. — The connector is slow."),
        "{explained}"
    );

    gateway.restart().await.expect("it comes back");
    let words = refusal_text(&answers(&one, std::slice::from_ref(&spare)).await[0]);
    assert!(words.contains("Limit sparing is reached: 2 per month"), "{words}\n{}", gateway.log());
}

#[tokio::test]
async fn of_many_calls_at_once_as_many_are_made_as_are_let_through() {
    let (upstream, gateway) = limited("[[limits]]\nid = \"gentle\"\ncalls = \"5 per day\"\n").await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let raw = Arc::new(Raw { port: gateway.port(), token });
    let mut calls = JoinSet::new();
    for number in 0..32 {
        let raw = Arc::clone(&raw);
        calls.spawn(async move {
            let params = json!({"name": "echo", "arguments": {"message": number.to_string()}});
            let (headers, body) = modern("tools/call", params);
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            raw.post(&headers, body.to_string()).await.json()
        });
    }
    let answers = calls.join_all().await;
    let made = answers.iter().filter(|answer| !is_refused(&answer["result"])).count();
    assert_eq!((made, upstream.heard().len()), (5, 5), "{answers:?}");
}

#[tokio::test]
async fn what_is_too_large_is_not_sent_or_not_handed_on() {
    let limits = r#"
[[limits]]
id = "short"
connectors = ["echo"]
tools = ["echo"]
argument_bytes = 200
result_bytes = 160
"#;
    let (upstream, gateway) = limited(limits).await;
    let one = let_in(&gateway, "One").await;
    let steps = [echo("short"), echo(&"x".repeat(300)), echo(&"y".repeat(150))];
    let found = answers(&one, &steps).await;
    assert!(!is_refused(&found[0]), "{}", found[0]);
    let words = refusal_text(&found[1]);
    assert!(words.contains("limit short lets at most 200 pass. Send less at once."), "{words}");
    let withheld = refusal_text(&found[2]);
    assert!(
        withheld.contains("limit short lets at most 160 pass") && withheld.contains("The call was made."),
        "{withheld}"
    );
    assert!(!withheld.contains("yyy"), "{withheld}");
    assert_eq!(upstream.heard().len(), 2, "what is too large is not sent, and what is answered was done");
    let outcomes = until("the outcomes", SOON, async || {
        let records = export(&gateway).await;
        let outcomes: Vec<Value> = records
            .iter()
            .filter(|it| it["kind"] == "outcome")
            .map(|it| it["body"]["outcome"].clone())
            .collect();
        (outcomes.len() == 2).then_some(outcomes)
    });
    let outcomes = outcomes.await.expect("recorded");
    assert!(
        outcomes.iter().any(|it| it["limit"] == "short" && it["code"] == "limit-exceeded"),
        "{outcomes:?}"
    );
    assert!(outcomes.iter().any(|it| it["status"] == "ok" && it["limit"].is_null()), "{outcomes:?}");
}
