//! Diagnostics that a device is asked for: what its person sends is stored once, sealed, for those who may read it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::admin::{Answer, Ask, AskFault, SentDiagnostics};
use control::{AskedDiagnostics, DiagnosticsState};
use model::{DeviceId, Digest};
use org_protocol::{
    DIAGNOSTICS_LIMIT, DIAGNOSTICS_NOT_ASKED, DIAGNOSTICS_PATH, DIAGNOSTICS_TOO_LARGE, DiagnosticsAsked,
    DiagnosticsRequest,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Device, Org, read, served, signed_in};

const ARCHIVE: &[u8] = b"an archive that nobody here unpacks";

async fn ask(org: &Org, device: DeviceId) -> Result<AskedDiagnostics, AskFault> {
    let reason = "Calls to mail fail".parse().expect("a line");
    let answer = org.ask(&Ask::AskDiagnostics { device, reason }).await?;
    let Answer::AskedDiagnostics(asked) = answer else { panic!("{answer:?}") };
    Ok(*asked)
}

async fn list(org: &Org) -> Vec<AskedDiagnostics> {
    let answer = org.ask(&Ask::ListDiagnostics).await.expect("lists");
    let Answer::Diagnostics { diagnostics } = answer else { panic!("{answer:?}") };
    diagnostics
}

async fn wanted(device: &Device<'_>) -> Option<DiagnosticsRequest> {
    let answer = device.request(Method::GET, DIAGNOSTICS_PATH).send().await.expect("answers");
    read::<DiagnosticsAsked>(answer).await.expect("an answer").request
}

async fn send(device: &Device<'_>, id: u64, archive: &[u8]) -> Response {
    let path = format!("{DIAGNOSTICS_PATH}/{id}");
    device.request(Method::POST, &path).body(archive.to_vec()).send().await.expect("answers")
}

async fn refused(answer: Response) -> (StatusCode, String) {
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

fn code(fault: AskFault) -> String {
    let AskFault::Refused(advice) = fault else { panic!("{fault}") };
    advice.code
}

/// The records of what became of requests, oldest first: state, and what else is said.
async fn records(org: &Org) -> Vec<Value> {
    let records = org.records(control::Filter::default()).await;
    records
        .into_iter()
        .filter(|record| record["body"]["event"] == "diagnostics")
        .map(|it| it["body"].clone())
        .collect()
}

#[tokio::test]
async fn what_is_asked_for_is_sent_once_and_read_by_those_who_may() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let bob = signed_in(&org, "bob", &["analysts"]).await;
    let device = alice.id.expect("enrolled");
    assert_eq!(wanted(&alice).await, None);
    let asked = ask(&org, device).await.expect("asks");
    assert_eq!(code(ask(&org, device).await.expect_err("one at a time")), "diagnostics-asked");
    assert_eq!(code(ask(&org, DeviceId::new()).await.expect_err("nobody's")), "unknown");
    let request = wanted(&alice).await.expect("a request");
    assert_eq!((request.id, request.reason.as_str()), (asked.id, "Calls to mail fail"));
    assert_eq!(request.by, None, "who owns the server is no name");

    // Nobody else hears of it, answers it or takes it away.
    assert_eq!(wanted(&bob).await, None);
    let not_asked = (StatusCode::CONFLICT, DIAGNOSTICS_NOT_ASKED.to_owned());
    assert_eq!(refused(send(&bob, asked.id, ARCHIVE).await).await, not_asked);
    let path = format!("{DIAGNOSTICS_PATH}/{}", asked.id);
    let refusal = bob.request(Method::DELETE, &path).send().await.expect("answers");
    assert_eq!(refused(refusal).await, not_asked);
    let mut nobody = alice.copy();
    nobody.token = None;
    assert_eq!(send(&nobody, asked.id, ARCHIVE).await.status(), StatusCode::UNAUTHORIZED);

    let too_large = vec![0; DIAGNOSTICS_LIMIT + 1];
    let expected = (StatusCode::PAYLOAD_TOO_LARGE, DIAGNOSTICS_TOO_LARGE.to_owned());
    assert_eq!(refused(send(&alice, asked.id, &too_large).await).await, expected);
    assert_eq!(send(&alice, asked.id, b"").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        code(org.ask(&Ask::ReadDiagnostics { id: asked.id }).await.expect_err("nothing yet")),
        "unknown"
    );
    assert_eq!(send(&alice, asked.id, ARCHIVE).await.status(), StatusCode::NO_CONTENT);
    // Whoever has not heard the answer sends the same again: it is kept and recorded once. Nothing else takes its place.
    assert_eq!(send(&alice, asked.id, ARCHIVE).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(refused(send(&alice, asked.id, b"another archive").await).await, not_asked);
    assert_eq!(refused(send(&bob, asked.id, ARCHIVE).await).await, not_asked, "another device");
    assert_eq!(wanted(&alice).await, None);

    // Sealed in the database, and opened for whoever reads it: which is recorded.
    let answer = org.ask(&Ask::ReadDiagnostics { id: asked.id }).await.expect("reads");
    let Answer::SentDiagnostics(sent) = answer else { panic!("{answer:?}") };
    let SentDiagnostics { asked: known, archive } = *sent;
    assert_eq!(STANDARD.decode(archive).expect("base64"), ARCHIVE);
    assert_eq!((known.state, known.sha256), (DiagnosticsState::Sent, Some(Digest::of(ARCHIVE))));
    let records = records(&org).await;
    assert_eq!(records.len(), 1, "{records:?}");
    let facts = &records[0]["facts"];
    assert_eq!(
        (&facts["state"], &facts["sha256"]),
        (&json!("sent"), &json!(Digest::of(ARCHIVE).to_string()))
    );
    assert_eq!(records[0]["subject"]["subject"], "alice");
    let acts = org.records(control::Filter::default()).await;
    let acts: Vec<_> = acts.iter().filter_map(|record| record["body"]["facts"]["act"].as_str()).collect();
    for act in ["diagnostics-ask", "diagnostics-read"] {
        assert!(acts.contains(&act), "{act}: {acts:?}");
    }

    assert!(org.ask(&Ask::EraseDiagnostics { id: asked.id }).await.is_ok());
    assert!(list(&org).await.is_empty());
    assert_eq!(code(org.ask(&Ask::ReadDiagnostics { id: asked.id }).await.expect_err("erased")), "unknown");
}

#[tokio::test]
async fn a_request_ends_by_a_refusal_by_being_withdrawn_and_by_time() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let device = alice.id.expect("enrolled");
    let first = ask(&org, device).await.expect("asks");
    let path = format!("{DIAGNOSTICS_PATH}/{}", first.id);
    let refusal = alice.request(Method::DELETE, &path).send().await.expect("answers");
    assert_eq!(refusal.status(), StatusCode::NO_CONTENT);
    let second = ask(&org, device).await.expect("asks again");
    assert!(org.ask(&Ask::WithdrawDiagnostics { id: second.id }).await.is_ok());
    let third = ask(&org, device).await.expect("asks again");
    org.tamper("UPDATE diagnostics SET until_at = asked_at WHERE state = 'open'").await;
    assert_eq!(wanted(&alice).await, None);
    for id in [first.id, second.id, third.id] {
        let not_asked = (StatusCode::CONFLICT, DIAGNOSTICS_NOT_ASKED.to_owned());
        assert_eq!(refused(send(&alice, id, ARCHIVE).await).await, not_asked);
    }
    let states: Vec<_> = list(&org).await.into_iter().map(|one| one.state).collect();
    assert_eq!(states, [DiagnosticsState::Expired, DiagnosticsState::Withdrawn, DiagnosticsState::Refused]);
    let states: Vec<_> = records(&org).await.iter().map(|it| it["facts"]["state"].clone()).collect();
    assert_eq!(states, ["refused", "expired"]);
}
