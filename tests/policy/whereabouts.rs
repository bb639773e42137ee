//! Which program asks, told by the kernel and not by the program, and from where.

use serde_json::json;
use testkit::bench::Echo;
use testkit::{Access, Assistant, Gateway, Step, until};

use crate::common::{Personal, SOON, is_refused};

/// A gateway that lets in calls of the echo from programs with such a path alone.
async fn for_program_alone(echo: &Echo, like: &str) -> Gateway {
    let rule = format!(
        r#"@id("one-program") @reason("Only the approved assistant.")
           forbid (principal, action in Action::"call_tool", resource)
           unless {{ context.client has program && context.client.program.path like "{like}" }};"#
    );
    Personal::default()
        .http("echo", &format!("http://{}/mcp", echo.address()))
        .server("desk", &["echo"])
        .policy("programs", &rule)
        .start()
        .await
}

fn this() -> String {
    std::env::current_exe().expect("this program").to_string_lossy().into_owned()
}

fn steps() -> [Step; 2] {
    [Step::ListTools, Step::call("echo", json!({"message": "hello"}))]
}

#[tokio::test]
async fn a_call_over_http_is_judged_by_the_program_at_the_other_end() {
    let echo = Echo::start().await.expect("an upstream");
    for (like, permitted) in [("/*/python3*", true), ("/opt/other/assistant", false)] {
        let gateway = for_program_alone(&echo, like).await;
        let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
        let url = gateway.url("desk").expect("a URL");
        let assistant = Assistant::new(url, Access::Bearer(token)).expect("an assistant");
        let transcript = assistant.run(None, &steps()).await.expect("connected");
        assert_eq!(transcript.tool_names(0).contains(&"echo".to_owned()), permitted, "listed is callable");
        assert_eq!(is_refused(&transcript.answers[1]), !permitted, "{:?}", transcript.answers[1]);
        let output = gateway.deskgate(&["audit", "tail", "--json"]).await.expect("it runs");
        let records = String::from_utf8_lossy(&output.stdout);
        assert!(records.contains("/python3"), "who called is recorded: {records}");
    }
}

#[tokio::test]
async fn a_call_through_a_bridge_is_judged_by_the_program_that_started_it() {
    let echo = Echo::start().await.expect("an upstream");
    for (like, permitted) in [(&*this(), true), ("/opt/other/assistant", false)] {
        let gateway = for_program_alone(&echo, like).await;
        gateway.offers("desk").await.expect("offered");
        let mut bridge = gateway.bridge("desk").expect("started");
        let about = json!({"name": "test", "version": "1"});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about});
        let first = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let (answer, question) = tokio::join!(bridge.ask(&first), gateway.answer(true));
        question.expect("the person is asked");
        answer.expect("let in");
        let call = json!({"name": "echo", "arguments": {"message": "hello"}});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call});
        let answer = bridge.ask(&call).await.expect("answered");
        let is_answered = answer["result"]["content"][0]["text"] == "hello";
        assert_eq!(is_answered, permitted, "{answer}");
    }
}

#[tokio::test]
async fn a_rule_about_programs_and_networks_is_explained_for_any_of_them() {
    let echo = Echo::start().await.expect("an upstream");
    let gateway = Personal::default()
        .http("echo", &format!("http://{}/mcp", echo.address()))
        .server("desk", &["echo"])
        .policy(
            "office",
            r#"@id("office") forbid (principal, action in Action::"call_tool", resource) unless {
                context.network has address && context.network.address.isInRange(ip("10.0.0.0/8")) &&
                context.client has program && context.client.program.name == "claude"
            };"#,
        )
        .start()
        .await;
    until("the tool", SOON, async || {
        let output = gateway.deskgate(&["explain", "desk", "echo"]).await.ok()?;
        output.status.success().then_some(())
    })
    .await
    .expect("offered");
    for (from, permitted) in [
        (["--address", "10.1.2.3", "--program", "/opt/claude"], true),
        (["--address", "203.0.113.9", "--program", "/opt/claude"], false),
        (["--address", "10.1.2.3", "--program", "/opt/other"], false),
    ] {
        let words = [&["explain", "desk", "echo", "--args", r#"{"message": "a"}"#], &from[..]].concat();
        let output = gateway.deskgate(&words).await.expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.contains("may call"), permitted, "{from:?}: {text}{told}");
        assert_eq!(
            text.contains("may not call") && text.contains("office"),
            !permitted,
            "{from:?}: {text}{told}"
        );
    }
}
