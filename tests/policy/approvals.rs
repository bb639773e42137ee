//! Calls that a policy leaves to a person.

use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{Access, Assistant, Gateway, Program, Step, program, read_record, until};

use crate::common::{Personal, SOON, is_refused, refusal_text};

const ASKED: &str = r#"
@id("ask-first")
@reason("Letters need a person.")
@approval("session")
forbid (principal, action == Action::"echo/echo", resource)
when { context.input.message like "letter*" };
"#;

async fn asking() -> (Echo, Gateway) {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let personal = Personal::default().http("echo", &upstream).server("desk", &["echo"]);
    let gateway = personal.policy("asked", ASKED).start().await;
    (echo, gateway)
}

async fn assistant(gateway: &Gateway, token: &str) -> Assistant {
    let url = gateway.url("desk").expect("a URL");
    Assistant::new(url, Access::Bearer(token.to_owned())).expect("an assistant")
}

fn echo_of(message: &str) -> Step {
    Step::call("echo", json!({ "message": message }))
}

async fn export(gateway: &Gateway) -> Vec<Value> {
    let output = gateway.deskgate(&["audit", "export"]).await.expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| read_record(line).expect("a JSON object a line")).collect()
}

/// Waits until so many questions wait; gives their words.
async fn waiting(gateway: &Gateway, count: usize) -> Vec<String> {
    until("questions", SOON, async || {
        let pending = gateway.deskgate_json(&["pending"]).await.ok()?;
        let items = pending.as_array()?;
        let words = items.iter().filter_map(|item| item["question"].as_str()).map(str::to_owned);
        (items.len() == count).then(|| words.collect())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()))
}

#[tokio::test]
async fn a_person_approves_or_refuses_while_the_assistant_waits_in_either_era() {
    let (_echo, gateway) = asking().await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    for mode in ["auto", "legacy"] {
        let assistant = assistant(&gateway, &token).await.speaking(mode);
        let letter = format!("letter by {mode}");
        let steps = [Step::ListTools, echo_of("hello"), echo_of(&letter)];
        let (transcript, question) = tokio::join!(assistant.run(None, &steps), gateway.answer(true));
        let (transcript, question) = (transcript.expect("connected"), question.expect("asked"));
        assert!(transcript.tool_names(0).contains(&"echo".to_owned()), "it is listed");
        assert_eq!(transcript.text(1), Some("hello"), "nobody is asked");
        assert_eq!(transcript.text(2), Some(letter.as_str()), "{transcript:?}\n{}", gateway.log());
        assert!(question.contains("Test wants to use echo") && question.contains("Letters need a person."));

        let again = [echo_of(&letter)];
        let (transcript, question) = tokio::join!(assistant.run(None, &again), gateway.answer(false));
        question.expect("one call was allowed, and this is another");
        let refused = &transcript.expect("connected").answers[0];
        assert!(is_refused(refused), "{refused}");
        let words = refusal_text(refused);
        assert!(
            words.contains("ask-first (Letters need a person)") && words.contains("did not approve"),
            "{words}"
        );
    }
    let records = until("all that was recorded", SOON, async || {
        let records = export(&gateway).await;
        let answered = records.iter().filter(|it| it["body"]["event"] == "approval-answered").count();
        (answered == 4).then_some(records)
    });
    let records = records.await.expect("recorded");
    let with_leave: Vec<&Value> = records.iter().filter(|it| !it["body"]["approval"].is_null()).collect();
    assert_eq!(with_leave.len(), 2, "the calls that were made");
    for intent in with_leave {
        let leave = &intent["body"]["approval"];
        assert_eq!((&intent["kind"], &leave["scope"]), (&json!("intent"), &json!("once")));
        let event = records.iter().find(|it| it["body"]["facts"]["digest"] == leave["digest"]);
        let facts = &event.expect("the answer")["body"]["facts"];
        let signed: Value = serde_json::from_str(facts["signed"].as_str().expect("a text")).expect("JSON");
        assert_eq!((&facts["answer"], &signed), (&json!("once"), &leave["signed"]));
        assert_eq!(facts["call"], intent["body"]["call"]);
    }
    let denied = records.iter().filter(|it| it["body"]["kind"] == "approval-denied").count();
    assert_eq!(denied, 2);
    let whole = serde_json::to_string(&records).expect("JSON");
    assert!(!whole.contains("letter by"), "what was approved is in no record");
}

#[tokio::test]
async fn where_the_system_cannot_ask_who_it_is_nothing_is_let_through() {
    let echo = Echo::start().await.expect("an upstream");
    let proved = ASKED.replace("forbid", "@factor(\"system\") forbid");
    let personal = Personal::default()
        .http("echo", &format!("http://{}/mcp", echo.address()))
        .server("desk", &["echo"])
        .policy("asked", &proved);
    let mut setup = personal.setup();
    setup.environment.push(("DBUS_SYSTEM_BUS_ADDRESS".to_owned(), "unix:path=/nowhere".to_owned()));
    let gateway = Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("started");
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let steps = [echo_of("hello"), echo_of("letter")];
    let assistant = assistant(&gateway, &token).await;
    let (transcript, question) = tokio::join!(assistant.run(None, &steps), gateway.answer(true));
    let (transcript, question) = (transcript.expect("connected"), question.expect("asked"));
    assert!(question.contains("prove that it is you"), "{question}");
    assert_eq!(transcript.text(0), Some("hello"), "nobody is asked");
    let refused = &transcript.answers[1];
    assert!(is_refused(refused), "{refused}");
    let words = refusal_text(refused);
    assert!(words.contains("has not proved who they are: the operating system could not ask"), "{words}");
    let unproved = until("the record", SOON, async || {
        export(&gateway).await.into_iter().find(|it| it["body"]["kind"] == "approval-unproved")
    });
    unproved.await.expect("recorded");
}

#[tokio::test]
async fn identical_calls_are_one_question_and_who_hangs_up_takes_it_back() {
    let (_echo, gateway) = asking().await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let (one, two) = (assistant(&gateway, &token).await, assistant(&gateway, &token).await);
    let steps = [echo_of("letter")];
    let answering = async {
        until("that both wait", SOON, async || {
            waiting(&gateway, 1).await[0].contains("waits 2 times").then_some(())
        })
        .await
        .expect("they are one question");
        gateway.answer(true).await.expect("answered")
    };
    let (one, two, _) = tokio::join!(one.run(None, &steps), two.run(None, &steps), answering);
    for transcript in [one, two] {
        assert_eq!(transcript.expect("connected").text(0), Some("letter"), "{}", gateway.log());
    }
    let statements = until("both calls", SOON, async || {
        let records = export(&gateway).await;
        let of = records.iter().filter_map(|it| it["body"]["approval"]["digest"].as_str());
        let found: std::collections::BTreeSet<String> = of.map(str::to_owned).collect();
        (found.len() == 2).then_some(())
    });
    statements.await.expect("each by a statement of its own");

    let third = assistant(&gateway, &token).await;
    let nobody = [echo_of("letter to nobody")];
    tokio::select! {
        answer = third.run(None, &nobody) => panic!("nobody answered, but: {answer:?}"),
        _ = waiting(&gateway, 1) => {}
    }
    waiting(&gateway, 0).await;
    let withdrawn = until("that it is recorded", SOON, async || {
        export(&gateway).await.iter().any(|it| it["body"]["facts"]["answer"] == "withdrawn").then_some(())
    });
    withdrawn.await.expect("recorded");
}

#[tokio::test]
async fn policy_decides_again_after_the_person() {
    let (_echo, gateway) = asking().await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let assistant = assistant(&gateway, &token).await;
    let letter = [echo_of("letter")];
    let (transcript, ()) = tokio::join!(assistant.run(None, &letter), becomes_forbidden(&gateway));
    let transcript = transcript.expect("connected");
    assert!(is_refused(&transcript.answers[0]), "{transcript:?}");
    let words = refusal_text(&transcript.answers[0]);
    assert_eq!(words, "Policy forbids this call: ask-first (Letters need a person).");
}

/// While a person is asked, the policy becomes another; then they approve.
async fn becomes_forbidden(gateway: &Gateway) {
    waiting(gateway, 1).await;
    let forbidden = ASKED.replace("@approval(\"session\")\n", "");
    std::fs::write(gateway.home().join("policies/asked.cedar"), forbidden).expect("written");
    let explain = ["explain", "desk", "echo", "--args", r#"{"message":"letter"}"#];
    until("the other policy", SOON, async || {
        let output = gateway.deskgate(&explain).await.ok()?;
        String::from_utf8_lossy(&output.stdout).contains("may not call").then_some(())
    })
    .await
    .expect("it is in force");
    gateway.answer(true).await.expect("answered");
}
