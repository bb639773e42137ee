//! A person's leave that comes with a call with a shared account: verified here, for that call, once.

use std::convert::Infallible;

use model::{ApprovalScope, ApprovalTarget, CallId, Digest, Timestamp};
use org_protocol::{
    APPROVAL_FORMAT, APPROVAL_LIFE, ApprovalProof, ApprovalStatement, ArgumentsKey, BrokerContext,
};
use p256::ecdsa::signature::Signer as _;
use policy::{Circumstance, Policy, PolicyInput, PolicyVersion, Question, Target};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::broker::{eventually, of_call};
use crate::harness::{Device, Org, context, now, served, signed_in};

const ASKED: &str = r#"@id("sums")
@reason("Sums need a person.")
@approval("session")
forbid (principal, action == Action::"warehouse/query", resource) when { context.input.sql like "*sum*" };
"#;
const SUM: &str = r#"{"sql":"select sum(x)"}"#;

async fn asking() -> Org {
    let mut org = served().await;
    org.publish(|folder| std::fs::write(folder.join("policies/asked.cedar"), ASKED).expect("written"))
        .await
        .expect("publishes");
    org
}

/// What a device's own policy says that it asks for: these are the terms, whatever else is in the policy set.
fn terms() -> Digest {
    let connectors = r#"{"warehouse": {"title": "W", "command": ["w"]}}"#;
    let tools = r#"{"warehouse": [{"name":"query","inputSchema":{"type":"object","properties":{"sql":{"type":"string"}},"required":["sql"]}}]}"#;
    let policy = Policy::compile(PolicyInput {
        version: PolicyVersion { label: "1".to_owned(), digest: Digest::of(b"1") },
        connectors: &serde_json::from_str(connectors).expect("connectors"),
        servers: &serde_json::from_str(r#"{"analyst": {"title": "A", "connectors": ["warehouse"]}}"#)
            .expect("servers"),
        tools: &serde_json::from_str(tools).expect("tools"),
        claims: &std::collections::BTreeMap::new(),
        payload: &org_protocol::PayloadSettings::default(),
        limits: &[],
        policies: &[("p".to_owned(), policy::PERSONAL.to_owned()), ("q".to_owned(), ASKED.to_owned())].into(),
    })
    .expect("compiles");
    let denial = policy.decide(&Question {
        call: CallId::new(),
        subject: &model::Subject::local("alice"),
        server: &"analyst".parse().expect("an id"),
        connector: &"warehouse".parse().expect("an id"),
        target: Target::Tool { name: &"query".parse().expect("a tool"), arguments: SUM },
        circumstance: &Circumstance::of_nobody(now()),
    });
    denial.expect_err("asked").approval().expect("a person is asked").terms()
}

/// Alice's leave for the sum, but for the change, signed by a device.
fn leave(
    alice: &Device<'_>,
    by: &Device<'_>,
    call: CallId,
    change: impl FnOnce(&mut ApprovalStatement),
) -> ApprovalProof {
    let arguments_key = ArgumentsKey::of(&[3; 32], call);
    let now = now();
    let mut statement = ApprovalStatement {
        format: APPROVAL_FORMAT,
        call,
        device: alice.id.expect("enrolled"),
        issuer: alice.org.idp.issuer(),
        subject: "alice".to_owned(),
        client_id: "client".to_owned(),
        server: "analyst".parse().expect("an id"),
        connector: "warehouse".parse().expect("an id"),
        target: ApprovalTarget::Tool("query".parse().expect("a tool")),
        arguments: arguments_key.seal(SUM),
        rules: vec!["sums".to_owned()],
        terms: terms(),
        policy: Digest::of(b"the device's"),
        scope: ApprovalScope::Once,
        answered: now,
        factor: None,
        continues: None,
        issued: now,
        valid_until: now.plus(APPROVAL_LIFE),
    };
    change(&mut statement);
    let signed = statement.signed(&by.jwk(), |input| {
        let signature: p256::ecdsa::Signature = by.key.sign(input);
        Ok::<_, Infallible>(signature.to_bytes().into())
    });
    ApprovalProof { signed: signed.expect("infallible"), arguments_key }
}

async fn made(alice: &Device<'_>, call: CallId, leave: Option<ApprovalProof>) -> (StatusCode, Value) {
    let context = BrokerContext { approval: leave, ..context(call) };
    let arguments: Value = serde_json::from_str(SUM).expect("JSON");
    let answer = alice.calling(&context, "query", arguments).send().await.expect("answers");
    let status = answer.status();
    (status, answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn a_call_that_needs_a_person_is_made_with_their_leave_once() {
    let org = asking().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let (status, answer) = made(&alice, CallId::new(), None).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::FORBIDDEN, &json!("approval-needed")));

    let call = CallId::new();
    let given = leave(&alice, &alice, call, |_| ());
    let (status, answer) = made(&alice, call, Some(given.clone())).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let records = eventually(&org, call, 2).await;
    let recorded = &records[0]["body"]["approval"];
    assert_eq!(records[0]["kind"], "intent");
    assert_eq!((&recorded["scope"], &recorded["signed"]), (&json!("once"), &json!(given.signed)));

    let (status, answer) = made(&alice, call, Some(given)).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!("approval-refused")),
        "again"
    );
    let again = leave(&alice, &alice, call, |it| it.answered = Timestamp::from_seconds(1));
    let (status, _) = made(&alice, call, Some(again)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "not by another statement for the same call either");

    let (status, _) = alice.call("query", json!({"sql": "select 1"})).await;
    assert_eq!(status, StatusCode::OK, "nobody is asked about other calls");
}

#[tokio::test]
async fn leave_by_another_for_another_or_from_another_time_is_none() {
    let org = asking().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let other = signed_in(&org, "alice", &["analysts"]).await;
    let (needed, refused) = (json!("approval-needed"), json!("approval-refused"));
    type Change = fn(&mut ApprovalStatement);
    let cases: [(&str, &Value, bool, Change); 9] = [
        ("of another device", &refused, true, |_| ()),
        ("expired", &refused, false, |it| {
            it.issued = Timestamp::from_seconds(it.issued.seconds() - 900);
            it.valid_until = it.issued.plus(APPROVAL_LIFE);
        }),
        ("good for a day", &refused, false, |it| {
            it.valid_until = Timestamp::from_seconds(it.issued.seconds() + 86_400)
        }),
        ("of another format", &refused, false, |it| it.format = 2),
        ("for another call", &needed, false, |it| it.call = CallId::new()),
        ("for other arguments", &needed, false, |it| it.arguments = Digest::of(b"{}")),
        ("for another person", &needed, false, |it| it.subject = "bob".to_owned()),
        ("on other terms", &needed, false, |it| it.terms = Digest::of(b"")),
        ("for more than is allowed", &needed, false, |it| it.scope = ApprovalScope::Always),
    ];
    for (what, code, elsewhere, change) in cases {
        let call = CallId::new();
        let given = leave(&alice, if elsewhere { &other } else { &alice }, call, change);
        let (status, answer) = made(&alice, call, Some(given)).await;
        assert_eq!((status, &answer["error"]["code"]), (StatusCode::FORBIDDEN, code), "{what}");
        eventually(&org, call, 1).await;
        let records = org.records(of_call(call)).await;
        assert_eq!((records.len(), &records[0]["kind"]), (1, &json!("denial")), "{what}: {records:#?}");
    }
}
