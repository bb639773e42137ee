//! What policy forbids, seen by an assistant and explained to the person.

mod approvals;
mod limits;
mod payload;
mod whereabouts;

use serde_json::json;
use testkit::bench::Echo;
use testkit::{Access, Assistant, Step, until};

use crate::common::{Personal, SOON, is_refused, refusal_text, tells};

const LIMIT: &str = r#"
@id("no-secrets")
@reason("Secrets are not echoed.")
forbid (principal, action == Action::"echo/echo", resource)
when { context.input.message like "*secret*" };
"#;

const BESIDE_TOOLS: &str = r#"
@id("public-only")
@reason("Only what is public is read.")
forbid (principal, action == Action::"read_resource", resource)
unless { context.input.uri like "file:///public/*" };
"#;

const HIDE: &str = r#"
@id("nine-is-off")
@reason("Tool nine is retired.")
forbid (principal, action == Action::"echo/tool-9", resource);
"#;

#[tokio::test]
async fn an_argument_can_be_forbidden_and_the_policy_is_named() {
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
        Step::ListTools,
        Step::call("echo", json!({"message": "hello"})),
        Step::call("echo", json!({"message": "the secret is 42"})),
    ];
    let transcript = assistant.run(None, &steps).await.expect("connected");
    assert!(transcript.tool_names(0).contains(&"echo".to_owned()), "some calls of it are allowed");
    assert_eq!(transcript.text(1), Some("hello"));
    assert!(is_refused(&transcript.answers[2]), "{:?}", transcript.answers[2]);
    assert!(!refusal_text(&transcript.answers[2]).contains("42"), "nothing of the call is repeated");

    let explain = async |message: &str| {
        let arguments = json!({"message": message}).to_string();
        let output =
            gateway.deskgate(&["explain", "desk", "echo", "--args", &arguments]).await.expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let denied = explain("a secret").await;
    assert!(denied.contains("no-secrets") && denied.contains("Secrets are not echoed."), "{denied}");
    let allowed = explain("hello").await;
    assert!(allowed.contains("personal") && !allowed.contains("no-secrets"), "{allowed}");
}

#[tokio::test]
async fn what_policy_says_of_resources_and_prompts_is_explained() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default()
        .http("echo", &upstream)
        .server("desk", &["echo"])
        .policy("beside-tools", BESIDE_TOOLS)
        .start()
        .await;
    let explain = async |about: &[&str]| {
        let words = [&["explain", "desk"], about].concat();
        let output = gateway.deskgate(&words).await.expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (_, denied) = explain(&["--connector", "echo", "--resource", "file:///private/a"]).await;
    assert!(denied.contains("public-only") && denied.contains("The resource is not shown."), "{denied}");
    let (_, allowed) = explain(&["--connector", "echo", "--resource", "file:///public/a"]).await;
    assert!(allowed.contains("may read file:///public/a on echo through desk."), "{allowed}");
    let (_, prompt) = explain(&["--connector", "echo", "--prompt", "review"]).await;
    assert!(prompt.contains("may get the prompt review on echo through desk."), "{prompt}");
    for incomplete in [&[][..], &["--resource", "file:///public/a"], &["--connector", "echo"]] {
        assert!(!explain(incomplete).await.0, "{incomplete:?}");
    }
}

#[tokio::test]
async fn a_forbidden_tool_is_not_listed_and_looks_as_if_it_did_not_exist() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default()
        .http("echo", &upstream)
        .server("desk", &["echo"])
        .policy("hide", HIDE)
        .start()
        .await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    let assistant = Assistant::new(url, Access::Bearer(token)).expect("an assistant");
    let hello = json!({"message": "hello"});
    let steps = [
        Step::ListTools,
        Step::call("tool-8", hello.clone()),
        Step::call("tool-9", hello.clone()),
        Step::call("tool-10", hello),
    ];
    let transcript = assistant.run(None, &steps).await.expect("connected");
    let names = transcript.tool_names(0);
    assert_eq!(names.len(), 9, "{names:?}");
    assert!(!names.contains(&"tool-9".to_owned()));
    assert_eq!(transcript.text(1), Some("hello"));
    let (hidden, missing) = (&transcript.answers[2], &transcript.answers[3]);
    assert!(is_refused(hidden) && is_refused(missing));
    assert_eq!(
        refusal_text(hidden).replace("tool-9", "T"),
        refusal_text(missing).replace("tool-10", "T"),
        "forbidden and missing are alike outside"
    );
}

#[tokio::test]
async fn policies_that_cannot_be_read_allow_nothing() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default()
        .http("echo", &upstream)
        .server("desk", &["echo"])
        .policy("typo", "forbid (principal, action == Action::\"echo/nothing\", resource);")
        .start()
        .await;
    tells(&gateway, "mistake").await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    let assistant = Assistant::new(url, Access::Bearer(token)).expect("an assistant");
    let steps = [Step::ListTools, Step::call("echo", json!({"message": "hello"}))];
    let transcript = assistant.run(None, &steps).await.expect("connected");
    assert!(transcript.tool_names(0).is_empty(), "{transcript:?}");
    assert!(is_refused(&transcript.answers[1]), "{transcript:?}");
}

#[tokio::test]
async fn a_change_with_a_mistake_leaves_the_last_good_policies_in_force() {
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

    std::fs::write(gateway.home().join("policies/limit.cedar"), "forbid (principal, action")
        .expect("written");
    tells(&gateway, "mistake").await;
    let steps = [
        Step::call("echo", json!({"message": "hello"})),
        Step::call("echo", json!({"message": "the secret is 42"})),
    ];
    let transcript = assistant.run(None, &steps).await.expect("connected");
    assert_eq!(transcript.text(0), Some("hello"), "{transcript:?}");
    assert!(is_refused(&transcript.answers[1]), "{transcript:?}");

    std::fs::write(gateway.home().join("policies/limit.cedar"), HIDE).expect("written");
    let taken_up = until("the corrected policies", SOON, async || {
        let transcript = assistant.run(None, &[Step::ListTools]).await.ok()?;
        (transcript.tool_names(0).len() == 9).then_some(())
    });
    taken_up.await.expect("nothing has to be restarted");
}
