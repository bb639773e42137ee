//! Brokered calls from the desktop's side.

use std::time::Duration;

use control::admin::Ask;
use control::testing::ServedOrg;
use model::{CallId, Digest, ForPerson as _, Subject, TraceParent};
use org::{BrokerAnswer, BrokeredCall, OrgFault};
use org_protocol::{BROKER_FORMAT, BrokerContext};

use crate::harness::Desktop;

async fn call(desktop: &Desktop, sql: &str) -> Result<BrokerAnswer, OrgFault> {
    let session = desktop.org.session().borrow().clone();
    let alice = session.map_or_else(|| Subject::local("alice"), |session| session.subject);
    call_as(desktop, &alice, sql).await
}

async fn call_as(desktop: &Desktop, subject: &Subject, sql: &str) -> Result<BrokerAnswer, OrgFault> {
    let connector = "warehouse".parse().expect("an id");
    let context = BrokerContext {
        format: BROKER_FORMAT,
        call: CallId::new(),
        server: "analyst".parse().expect("an id"),
        policy: Digest::of(b""),
        client_id: "c".to_owned(),
        client_name: "Zoë’s assistant".to_owned(),
        program: None,
        approval: None,
    };
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"query","arguments":{{"sql":"{sql}"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    );
    let headers = [
        ("mcp-protocol-version", "2026-07-28".to_owned()),
        ("mcp-method", "tools/call".to_owned()),
        ("mcp-name", "query".to_owned()),
    ];
    let deadline = Duration::from_secs(30);
    desktop
        .org
        .broker(BrokeredCall {
            connector: &connector,
            subject,
            context: &context,
            headers: &headers,
            body: &body,
            trace: TraceParent::of_call(context.call),
            deadline,
            heard: None,
        })
        .await
}

#[tokio::test]
async fn the_answer_comes_as_the_connector_wrote_it_without_the_secret() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    assert!(matches!(call(&desktop, "select 1").await, Err(OrgFault::NoSession)));
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    let answer = call(&desktop, "select 1").await.expect("answers");
    let body = String::from_utf8(answer.body.to_vec()).expect("text");
    assert_eq!(answer.status, 200);
    assert!(body.contains("select 1 as [redacted]") && body.contains("12345678901234567890123"), "{body}");
}

#[tokio::test]
async fn refusals_and_failures_are_told_apart() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    let denied = call(&desktop, "drop table x").await.expect_err("denied");
    assert_eq!((denied.advice().code.as_str(), denied.before_effect()), ("policy-forbids", true));

    let id = "warehouse-analyst".parse().expect("an id");
    served.ask(&Ask::RemoveCredential { id }).await.expect("removes");
    let failed = call(&desktop, "select 1").await.expect_err("failed");
    assert_eq!((failed.advice().code.as_str(), failed.before_effect()), ("credential-unusable", false));

    served.ask(&Ask::RevokeDevice { id: desktop.id }).await.expect("revokes");
    let ended = call(&desktop, "select 1").await.expect_err("ended");
    assert!(ended.ends_session());
    assert!(desktop.org.session().borrow().is_none(), "the session is forgotten");

    served.running.stop().await;
}

#[tokio::test]
async fn a_server_that_is_gone_has_done_nothing() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    served.running.stop().await;
    let fault = call(&desktop, "select 1").await.expect_err("gone");
    assert!(matches!(fault, OrgFault::NotReached(_)), "{fault:?}");
    assert!(fault.before_effect());
}

#[tokio::test]
async fn a_call_that_was_decided_for_one_person_is_not_made_with_anothers_session() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let alice = desktop.sign_in(&served, "alice", &["analysts"]).await.subject;
    desktop.org.end_session();
    desktop.sign_in(&served, "bob", &["analysts"]).await;
    let fault = call_as(&desktop, &alice, "select 1").await.expect_err("refused");
    assert!(matches!(fault, OrgFault::OtherPerson) && fault.before_effect(), "{fault:?}");
}
