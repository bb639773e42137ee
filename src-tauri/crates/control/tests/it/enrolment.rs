//! Enrolling and signing in: what is accepted, and every way in which it is not.

use control::admin::Ask;
use org_protocol::{ENROL_PATH, EVENTS_PATH, SESSION_PATH};
use reqwest::{Method, StatusCode};

use crate::harness::{Device, Org, now, read, served, signed_in, unpublished};

fn code<T>(outcome: Result<T, (StatusCode, String)>) -> (u16, String) {
    match outcome {
        Ok(_) => panic!("accepted"),
        Err((status, code)) => (status.as_u16(), code),
    }
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_device_is_enrolled_once_and_gets_sessions() {
    let org = served().await;
    let mut device = Device::new(&org);
    let session = device.sign_in("alice", &["analysts"]).await;
    assert_eq!(session.subject.subject, "alice");
    assert_eq!(session.subject.groups, ["analysts".to_owned()].into());
    assert!(session.token.starts_with("dgs_"));
    let token = device.id_token("alice", &["analysts"]);
    device.token = None;
    assert_eq!(device.enrol(token).await.expect("again"), session.device, "the same key is the same device");
    let told: Vec<String> = org
        .records(control::Filter { user: Some("alice".to_owned()), ..Default::default() })
        .await
        .iter()
        .map(|record| record["body"]["event"].as_str().expect("an event").to_owned())
        .collect();
    assert_eq!(told, ["enrolled", "signed-in"]);
}

#[tokio::test]
async fn nothing_goes_before_the_policy_is_published() {
    let org = unpublished(None).await;
    let mut device = Device::new(&org);
    let token = device.id_token("alice", &[]);
    assert_eq!(code(device.enrol(token).await), refusal(503, "not-published"));
}

#[tokio::test]
async fn an_id_token_for_another_device_is_of_no_use() {
    let org = served().await;
    let other = Device::new(&org);
    let mut device = Device::new(&org);
    assert_eq!(code(device.enrol(other.id_token("alice", &[])).await), refusal(403, "id-token-not-bound"));
    let unbound = org.idp.token(&org.idp.claims("alice", &[], None, now().seconds()));
    assert_eq!(code(device.enrol(unbound).await), refusal(403, "id-token-not-bound"));
    assert_eq!(code(device.enrol("no token".to_owned()).await), refusal(403, "id-token-refused"));
}

#[tokio::test]
async fn a_session_needs_an_enrolled_device() {
    let org = served().await;
    let mut device = Device::new(&org);
    let token = device.id_token("alice", &[]);
    assert_eq!(code(device.open_session(token).await), refusal(403, "device-unknown"));
}

#[tokio::test]
async fn a_token_without_nonce_renews_a_session_of_the_same_person_only() {
    let org = served().await;
    let mut device = signed_in(&org, "alice", &["analysts"]).await;
    let first = device.token.clone();
    let unbound = |user: &str| org.idp.token(&org.idp.claims(user, &["analysts"], None, now().seconds()));
    device.open_session(unbound("alice")).await.expect("renews");
    assert_ne!(device.token, first, "a renewed session has its own token");
    assert_eq!(code(device.open_session(unbound("mallory")).await), refusal(403, "id-token-not-bound"));
    device.token = None;
    assert_eq!(code(device.open_session(unbound("alice")).await), refusal(403, "id-token-not-bound"));
}

#[tokio::test]
async fn a_revoked_device_is_out_at_once_and_stays_out() {
    let org = served().await;
    let mut device = signed_in(&org, "alice", &["analysts"]).await;
    let id = device.id.expect("enrolled");
    org.ask(&Ask::RevokeDevice { id }).await.expect("revokes");
    let answer = device.request(Method::GET, EVENTS_PATH).send().await.expect("answers");
    assert_eq!(code(read::<()>(answer).await), refusal(401, "session-ended"));
    let token = device.id_token("alice", &["analysts"]);
    device.token = None;
    assert_eq!(code(device.open_session(token.clone()).await), refusal(403, "device-revoked"));
    assert_eq!(code(device.enrol(token).await), refusal(403, "device-revoked"));
}

#[tokio::test]
async fn proofs_are_needed_fitting_and_good_once() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let token = device.token.clone().expect("a session");
    let url = org.url(EVENTS_PATH);
    let send = async |proof: Option<String>, token: &str| {
        let request =
            reqwest::Client::new().get(url.clone()).header("authorization", format!("DPoP {token}"));
        let request = match proof {
            Some(proof) => request.header("dpop", proof),
            None => request,
        };
        request.send().await.expect("answers")
    };
    let get = Method::GET;

    assert_eq!(code(read::<()>(send(None, &token).await).await), refusal(401, "proof-refused"));
    let for_post = device.proof(&Method::POST, &url, Some(&token));
    assert_eq!(code(read::<()>(send(Some(for_post), &token).await).await), refusal(401, "proof-refused"));
    let for_elsewhere = device.proof(&get, &org.url(SESSION_PATH), Some(&token));
    assert_eq!(
        code(read::<()>(send(Some(for_elsewhere), &token).await).await),
        refusal(401, "proof-refused")
    );
    let for_no_token = device.proof(&get, &url, None);
    assert_eq!(code(read::<()>(send(Some(for_no_token), &token).await).await), refusal(401, "proof-refused"));

    let once = device.proof(&get, &url, Some(&token));
    assert_eq!(send(Some(once.clone()), &token).await.status(), StatusCode::OK);
    let replayed = send(Some(once), &token).await;
    assert!(replayed.headers()["www-authenticate"].to_str().expect("text").contains("invalid_dpop_proof"));
    assert_eq!(code(read::<()>(replayed).await), refusal(401, "proof-replayed"));

    let thief = Device::new(&org);
    let stolen = thief.proof(&get, &url, Some(&token));
    assert_eq!(code(read::<()>(send(Some(stolen), &token).await).await), refusal(401, "session-ended"));
    let guessed = device.proof(&get, &url, Some("dgs_guess"));
    assert_eq!(code(read::<()>(send(Some(guessed), "dgs_guess").await).await), refusal(401, "session-ended"));
}

#[tokio::test]
async fn a_replayed_proof_is_refused_after_a_restart_too() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let proof =
        device.proof_with(&Method::GET, &org.url(EVENTS_PATH), device.token.as_deref(), "0123456789abcdef");
    let used = Device { token: device.token.clone(), key: device.key.clone(), ..Device::new(&org) };
    let send = async |org: &Org, proof: &str, token: &str| {
        let request = reqwest::Client::new().get(org.url(EVENTS_PATH)).header("dpop", proof);
        request.header("authorization", format!("DPoP {token}")).send().await.expect("answers")
    };
    let token = used.token.clone().expect("a session");
    assert_eq!(send(&org, &proof, &token).await.status(), StatusCode::OK);
    let key = device.key.clone();
    drop((device, used));

    let org = org.restart().await;
    // The port is another one, so the very proof does not fit any more; the same id for the new address does not either.
    let again = Device { token: Some(token.clone()), key, ..Device::new(&org) };
    let proof = again.proof_with(&Method::GET, &org.url(EVENTS_PATH), Some(&token), "0123456789abcdef");
    assert_eq!(code(read::<()>(send(&org, &proof, &token).await).await), refusal(401, "proof-replayed"));
}

#[tokio::test]
async fn bodies_that_are_not_understood_are_refused_without_echo() {
    let org = served().await;
    let device = Device::new(&org);
    for body in ["", "{", r#"{"format":1,"id_token":"SECRET","surprise":1}"#] {
        let answer = device.request(Method::POST, ENROL_PATH).body(body).send().await.expect("answers");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(!answer.text().await.expect("a body").contains("SECRET"));
    }
    let huge =
        device.request(Method::POST, ENROL_PATH).body("x".repeat(1024 * 1024)).send().await.expect("answers");
    assert_eq!(huge.status(), StatusCode::PAYLOAD_TOO_LARGE);
}
