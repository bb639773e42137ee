//! What administrators stop: at once, for calls to come and those under way, until it is lifted.

use std::time::Duration;

use control::admin::{Answer, Ask, AskFault, Halted};
use model::CallId;
use org_protocol::{EVENTS_PATH, HALTS_PATH, HaltTarget, Halts};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Device, Org, read, served, signed_in};

async fn halt(org: &Org, target: HaltTarget) -> Result<Halted, AskFault> {
    let answer = org.ask(&Ask::Halt { target, reason: "It leaks".to_owned() }).await?;
    let Answer::Halted(halted) = answer else { panic!("{answer:?}") };
    Ok(halted)
}

async fn told(device: &Device<'_>) -> Vec<u64> {
    let answer = device.request(Method::GET, HALTS_PATH).send().await.expect("answers");
    let halts: Halts = read(answer).await.expect("halts");
    halts.halts.iter().map(|halt| halt.id).collect()
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn each_kind_of_halt_refuses_the_calls_that_it_hits_until_it_is_lifted() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let bob = signed_in(&org, "bob", &["analysts", "finance"]).await;
    let calls = async || {
        let (of_alice, _) = alice.call("query", json!({"sql": "select 1"})).await;
        let (of_bob, _) = bob.call("query", json!({"sql": "select 1"})).await;
        [of_alice == StatusCode::OK, of_bob == StatusCode::OK]
    };
    assert_eq!(calls().await, [true, true]);
    let connector = || "warehouse".parse().expect("an id");
    for (target, open) in [
        (HaltTarget::User { person: "alice".to_owned() }, [false, true]),
        (HaltTarget::Device { device: bob.id.expect("enrolled") }, [true, false]),
        (HaltTarget::Assistant { client: "AN ASSISTANT".to_owned() }, [false, false]),
        (HaltTarget::Connector { connector: connector() }, [false, false]),
        (HaltTarget::Tool { connector: connector(), tool: "query".parse().expect("a tool") }, [false, false]),
        (HaltTarget::Tool { connector: connector(), tool: "crash".parse().expect("a tool") }, [true, true]),
        // Alice may use one account only, bob the other first: he gets none in its place.
        (HaltTarget::Credential { credential: "warehouse-analyst".parse().expect("an id") }, [false, true]),
        (HaltTarget::Credential { credential: "warehouse-finance".parse().expect("an id") }, [true, false]),
    ] {
        let Halted { standing, .. } = halt(&org, target.clone()).await.expect("stops");
        assert_eq!(calls().await, open, "{target}");
        org.ask(&Ask::Lift { id: standing.halt.id }).await.expect("lifts");
        assert_eq!(calls().await, [true, true], "{target}");
    }
}

#[tokio::test]
async fn a_refusal_says_so_and_is_recorded_under_the_halt_s_name() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let target = HaltTarget::Connector { connector: "warehouse".parse().expect("an id") };
    let Halted { standing, known } = halt(&org, target).await.expect("stops");
    assert!(known);
    let call = CallId::new();
    let (status, answer) = alice.call_as(call, "query", json!({"sql": "select 1"})).await;
    assert_eq!((status, code(&answer)), (StatusCode::FORBIDDEN, "halted"));
    assert!(answer.to_string().contains("An administrator has stopped the connector warehouse: It leaks."));
    let filter = || control::Filter { call: Some(call.to_string()), ..Default::default() };
    let record = loop {
        if let Some(record) = org.records(filter()).await.pop() {
            break record;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!((&record["kind"], &record["body"]["kind"]), (&json!("denial"), &json!("halted")));
    assert_eq!(record["body"]["rules"], json!([format!("halt:{}", standing.halt.id)]));
}

/// Waits for the first record of a call.
async fn is_begun(org: &Org, call: CallId) {
    let filter = || control::Filter { call: Some(call.to_string()), ..Default::default() };
    while org.records(filter()).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_call_under_way_is_broken_off_and_its_end_is_recorded_as_unknown() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let call = CallId::new();
    let begun = async {
        is_begun(&org, call).await;
        let target = HaltTarget::Credential { credential: "warehouse-analyst".parse().expect("an id") };
        halt(&org, target).await.expect("stops")
    };
    let sleeps = alice.call_as(call, "query", json!({"sql": "sleep"}));
    let ((status, answer), _) = tokio::join!(sleeps, begun);
    assert_eq!((status, code(&answer)), (StatusCode::BAD_GATEWAY, "halted"), "{answer}");
    let outcome = loop {
        let filter = control::Filter { call: Some(call.to_string()), ..Default::default() };
        if let Some(outcome) = org.records(filter).await.into_iter().find(|one| one["kind"] == "outcome") {
            break outcome;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(outcome["body"]["outcome"]["status"], "unknown");
    assert_eq!(outcome["body"]["outcome"]["code"], "halted");
}

#[tokio::test]
async fn a_call_under_way_is_broken_off_when_its_session_or_its_device_is_ended() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let bob = signed_in(&org, "bob", &["analysts"]).await;
    let revoke = Ask::RevokeDevice { id: bob.id.expect("enrolled") };
    for (device, end) in [(&alice, Ask::SignOutPerson { person: "alice".to_owned() }), (&bob, revoke)] {
        let call = CallId::new();
        let begun = async {
            is_begun(&org, call).await;
            org.ask(&end).await.expect("ends")
        };
        let sleeps = device.call_as(call, "query", json!({"sql": "sleep"}));
        let ((status, answer), _) = tokio::join!(sleeps, begun);
        assert_eq!((status, code(&answer)), (StatusCode::BAD_GATEWAY, "call-broken-off"), "{answer}");
    }
}

#[tokio::test]
async fn devices_are_told_at_once_and_only_what_concerns_them() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let bob = signed_in(&org, "bob", &["analysts"]).await;
    let mut events = alice.request(Method::GET, EVENTS_PATH).send().await.expect("a stream");
    let user = halt(&org, HaltTarget::User { person: "alice".to_owned() }).await.expect("stops");
    let mut heard = String::new();
    while !heard.contains(r#""kind":"halts_changed""#) {
        let chunk = events.chunk().await.expect("the stream goes on").expect("more");
        heard.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
    let connector = HaltTarget::Connector { connector: "warehouse".parse().expect("an id") };
    let connector = halt(&org, connector).await.expect("stops");
    assert_eq!(told(&alice).await, [user.standing.halt.id, connector.standing.halt.id]);
    assert_eq!(told(&bob).await, [connector.standing.halt.id]);
    let nobody = Device::new(&org).request(Method::GET, HALTS_PATH).send().await.expect("answers");
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn halts_outlast_a_restart_and_what_is_misspelt_is_refused() {
    let org = served().await;
    let code = |outcome: Result<Halted, AskFault>| match outcome {
        Err(AskFault::Refused(advice)) => advice.code,
        other => panic!("{other:?}"),
    };
    let misspelt = HaltTarget::Connector { connector: "werehouse".parse().expect("an id") };
    assert_eq!(code(halt(&org, misspelt).await), "unknown");
    let lines = Ask::Halt {
        target: HaltTarget::User { person: "alice".to_owned() },
        reason: "two\nlines".to_owned(),
    };
    assert!(matches!(org.ask(&lines).await, Err(AskFault::Refused(advice)) if advice.code == "halt-reason"));
    let who_may_come = HaltTarget::User { person: "nobody@acme.test".to_owned() };
    assert!(!halt(&org, who_may_come).await.expect("stops").known);

    let target = HaltTarget::Connector { connector: "warehouse".parse().expect("an id") };
    halt(&org, target).await.expect("stops");
    let org = org.restart().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let (status, _) = alice.call("query", json!({"sql": "select 1"})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let Answer::Halts { halts } = org.ask(&Ask::ListHalts).await.expect("answers") else { panic!("another") };
    assert_eq!(halts.len(), 2);
    assert!(halts[0].by.starts_with("uid "), "{halts:?}");
}
