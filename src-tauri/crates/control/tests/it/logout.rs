//! The identity provider's logout, and the end of sign-ins: what ends, what does not, and that nothing comes back.

use control::admin::{Answer, Ask};
use futures_util::StreamExt as _;
use org_protocol::{EVENTS_PATH, SESSION_PATH};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Device, Org, now, read, served, signed_in, unpublished};

const PATH: &str = "v1/oidc/backchannel-logout";

fn code<T>(outcome: Result<T, (StatusCode, String)>) -> (u16, String) {
    match outcome {
        Ok(_) => panic!("accepted"),
        Err((status, code)) => (status.as_u16(), code),
    }
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// Sends a logout token as the provider does. The answer is never to be stored, and says no more than that.
async fn log_out(org: &Org, token: &str) -> u16 {
    let sent = reqwest::Client::new().post(org.url(PATH)).form(&[("logout_token", token), ("other", "x")]);
    let answer = sent.send().await.expect("answers");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a body");
    assert!(text.is_empty() || text == r#"{"error":"invalid_request"}"#, "no reason is told: {text}");
    status
}

fn logout(org: &Org, subject: Option<&str>, sid: Option<&str>) -> String {
    org.idp.logout_token(&org.idp.logout_claims(subject, sid, now().seconds()))
}

async fn is_in(device: &Device<'_>) -> bool {
    let answer = device.request(Method::GET, EVENTS_PATH).send().await.expect("answers");
    answer.status().is_success()
}

/// An ID token of this device's with further claims.
fn id_token(device: &Device<'_>, user: &str, more: Value) -> String {
    let idp = &device.org.idp;
    let mut claims = idp.claims(user, &["analysts"], Some(&device.nonce()), now().seconds());
    claims.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    idp.token(&claims)
}

/// A device with the same key as before on which the person has signed in anew.
fn signs_in_anew<'o>(device: &Device<'o>) -> Device<'o> {
    let mut fresh = Device::new(device.org);
    fresh.key = device.key.clone();
    fresh.secret = device.secret.clone();
    fresh
}

#[tokio::test]
async fn a_logout_ends_the_person_on_every_device_and_their_id_tokens_open_nothing_again() {
    let org = served().await;
    let mut one = signed_in(&org, "alice", &["analysts"]).await;
    let mut two = signed_in(&org, "alice", &["analysts"]).await;
    let bob = signed_in(&org, "bob", &["analysts"]).await;
    let (status, _) = one.call("query", json!({"sql": "select 1"})).await;
    assert_eq!(status, StatusCode::OK);
    let cached = one.id_token("alice", &["analysts"]);

    assert_eq!(log_out(&org, &logout(&org, Some("alice"), None)).await, 200);
    assert!(!is_in(&one).await && !is_in(&two).await);
    assert!(is_in(&bob).await);
    let (status, _) = one.call("query", json!({"sql": "select 1"})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "no shared account is used for her");
    one.token = None;
    two.token = None;
    assert_eq!(code(one.open_session(cached.clone()).await), refusal(403, "sign-in-revoked"));
    assert_eq!(code(one.enrol(cached).await), refusal(403, "sign-in-revoked"));
    let later = json!({"iat": now().seconds() + 30});
    let renewed = id_token(&two, "alice", later);
    assert_eq!(code(two.open_session(renewed).await), refusal(403, "sign-in-revoked"), "renewed or not");

    let mut anew = signs_in_anew(&one);
    let token = id_token(&anew, "alice", json!({"iat": now().seconds() + 2}));
    anew.open_session(token).await.expect("she signs in again");
}

#[tokio::test]
async fn a_logout_outlives_a_restart() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let (key, seed) = (device.key.clone(), device.seed.clone());
    let cached = device.id_token("alice", &["analysts"]);
    let token = logout(&org, Some("alice"), None);
    assert_eq!(log_out(&org, &token).await, 200);
    drop(device);
    let org = org.restart().await;
    let mut device = Device::new(&org);
    (device.key, device.seed) = (key, seed);
    assert_eq!(code(device.open_session(cached).await), refusal(403, "sign-in-revoked"));
    assert_eq!(log_out(&org, &token).await, 400, "obeyed once, also after a restart");
}

#[tokio::test]
async fn a_logout_of_one_session_leaves_the_others() {
    let org = served().await;
    let mut devices = Vec::new();
    for sid in ["s1", "s2"] {
        let mut device = Device::new(&org);
        let token = id_token(&device, "alice", json!({"sid": sid}));
        device.enrol(token.clone()).await.expect("enrols");
        device.open_session(token).await.expect("opens");
        devices.push(device);
    }
    assert_eq!(log_out(&org, &logout(&org, Some("alice"), Some("s1"))).await, 200);
    assert!(!is_in(&devices[0]).await && is_in(&devices[1]).await);
    let mut anew = signs_in_anew(&devices[0]);
    let late = json!({"sid": "s1", "iat": now().seconds() + 100, "auth_time": now().seconds() + 100});
    let token = id_token(&anew, "alice", late);
    assert_eq!(code(anew.open_session(token).await), refusal(403, "sign-in-revoked"), "that session is over");
}

/// A provider that renews on after a logout, as refresh tokens for offline access allow: what counts is when the person
/// authenticated.
#[tokio::test]
async fn a_token_that_was_renewed_after_the_logout_is_as_old_as_its_sign_in() {
    let org = served().await;
    let mut device = Device::new(&org);
    let began = now().seconds() - 100;
    let first = id_token(&device, "alice", json!({"auth_time": began}));
    device.enrol(first).await.expect("enrols");
    assert_eq!(log_out(&org, &logout(&org, Some("alice"), None)).await, 200);
    let renewed = id_token(&device, "alice", json!({"auth_time": began, "iat": now().seconds() + 50}));
    assert_eq!(code(device.open_session(renewed).await), refusal(403, "sign-in-revoked"));
}

#[tokio::test]
async fn a_session_that_was_renewed_without_a_nonce_ends_with_the_sign_in_that_it_continues() {
    let org = served().await;
    let mut device = Device::new(&org);
    let token = id_token(&device, "alice", json!({"sid": "s1"}));
    device.enrol(token.clone()).await.expect("enrols");
    device.open_session(token.clone()).await.expect("opens");
    let bare = org.idp.claims("alice", &["analysts"], None, now().seconds() + 60);
    device.open_session(org.idp.token(&bare)).await.expect("renews");
    assert_eq!(log_out(&org, &logout(&org, None, Some("s1"))).await, 200);
    assert!(!is_in(&device).await, "the renewal said no session, and is of it all the same");
    assert_eq!(code(device.open_session(org.idp.token(&bare)).await), refusal(403, "id-token-not-bound"));
    device.token = None;
    let nameless = id_token(&device, "alice", json!({"iat": now().seconds() + 60}));
    assert_eq!(code(device.open_session(nameless).await), refusal(403, "sign-in-revoked"), "the same nonce");
}

#[tokio::test]
async fn a_logout_token_presented_as_an_id_token_renews_nothing() {
    let org = served().await;
    let mut device = signed_in(&org, "alice", &["analysts"]).await;
    let claims = org.idp.logout_claims(Some("alice"), None, now().seconds());
    for token in [org.idp.logout_token(&claims), org.idp.token(&claims)] {
        assert_eq!(code(device.open_session(token).await), refusal(403, "id-token-refused"));
    }
}

#[tokio::test]
async fn what_is_no_good_logout_token_ends_nobody_and_learns_nothing() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let good = |change: &dyn Fn(&mut Value)| {
        let mut claims = org.idp.logout_claims(Some("alice"), None, now().seconds());
        change(&mut claims);
        org.idp.logout_token(&claims)
    };
    let bad = [
        device.id_token("alice", &["analysts"]),
        good(&|claims| claims["aud"] = "another".into()),
        good(&|claims| claims["iss"] = "https://evil.example".into()),
        good(&|claims| claims["nonce"] = "n".into()),
        good(&|claims| claims["iat"] = (now().seconds() - 4000).into()),
        good(&|claims| claims["events"] = json!({})),
        String::new(),
        "x".repeat(20_000),
    ];
    for token in &bad {
        assert_eq!(log_out(&org, token).await, 400, "{token}");
    }
    let twice = format!("logout_token={0}&logout_token={0}", logout(&org, Some("alice"), None));
    let form = ("content-type", "application/x-www-form-urlencoded");
    let json = ("content-type", "application/json");
    let once = format!("logout_token={}", logout(&org, Some("alice"), None));
    for ((name, value), body) in [(form, twice.clone()), (json, once), (form, "other=1".to_owned())] {
        let sent = reqwest::Client::new().post(org.url(PATH)).header(name, value).body(body);
        assert_eq!(sent.send().await.expect("answers").status().as_u16(), 400);
    }
    let asked = reqwest::Client::new().get(org.url(PATH)).send().await.expect("answers");
    assert_eq!(asked.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(is_in(&device).await);
    assert_eq!(log_out(&org, &logout(&org, Some("nobody"), None)).await, 200, "who is known is not told");
}

#[tokio::test]
async fn a_replayed_logout_token_does_not_end_who_signed_in_again() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let token = logout(&org, Some("alice"), None);
    assert_eq!(log_out(&org, &token).await, 200);
    let mut anew = signs_in_anew(&device);
    let fresh = id_token(&anew, "alice", json!({"iat": now().seconds() + 2}));
    anew.open_session(fresh).await.expect("opens");
    assert_eq!(log_out(&org, &token).await, 400);
    assert!(is_in(&anew).await);
}

#[tokio::test]
async fn before_a_policy_is_published_nobody_is_logged_out() {
    let org = unpublished(None).await;
    assert_eq!(log_out(&org, &logout(&org, Some("alice"), None)).await, 400);
}

#[tokio::test]
async fn a_flood_of_forged_logouts_keeps_no_good_one_out() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let claims = org.idp.logout_claims(Some("alice"), None, now().seconds());
    let header = json!({"alg": "ES256", "kid": "nobody's", "typ": "logout+jwt"});
    let forged = control::testing::signed(&header, &claims, &device.key);
    let before = org.idp.asked_for_keys();
    let flood = (0..200).map(|_| log_out(&org, &forged));
    let flood = futures_util::stream::iter(flood).buffer_unordered(50).collect::<Vec<_>>();
    let good = logout(&org, Some("alice"), None);
    let (answers, obeyed) = tokio::join!(flood, log_out(&org, &good));
    assert!(answers.iter().all(|status| *status == 400));
    assert_eq!(obeyed, 200);
    assert!(!is_in(&device).await);
    assert!(org.idp.asked_for_keys() <= before + 2, "the provider does not pay for it");
}

#[tokio::test]
async fn an_administrator_signs_a_person_out_everywhere_by_mail_or_subject() {
    let org = served().await;
    for named in ["alice@example.test", "alice"] {
        let mut device = Device::new(&org);
        let token = id_token(&device, "alice", json!({"iat": now().seconds() + 2}));
        device.enrol(token.clone()).await.expect("enrols");
        device.open_session(token).await.expect("opens");
        let person = named.to_owned();
        // The provider's clock is ahead by seconds: what was opened ends all the same.
        let Answer::SignedOut { devices } = org.ask(&Ask::SignOutPerson { person }).await.expect("answers")
        else {
            panic!("another answer")
        };
        assert_eq!(devices, 1, "{named}");
        assert!(!is_in(&device).await);
        let token = device.id_token("alice", &["analysts"]);
        device.token = None;
        assert_eq!(code(device.open_session(token).await), refusal(403, "sign-in-revoked"));
    }
    let refused = org.ask(&Ask::SignOutPerson { person: "nobody".to_owned() }).await;
    assert!(refused.expect_err("nobody").to_string().contains("no such person"));
    let told = org.records(control::Filter { user: Some("alice".to_owned()), ..Default::default() }).await;
    let ended = |record: &&Value| record["body"]["event"] == "session-ended";
    assert_eq!(told.iter().filter(ended).count(), 2, "{told:#?}");
}

#[tokio::test]
async fn who_signs_out_is_out_here_and_their_id_token_with_them() {
    let org = served().await;
    let mut device = signed_in(&org, "alice", &["analysts"]).await;
    let other = signed_in(&org, "alice", &["analysts"]).await;
    let answer = device.request(Method::DELETE, SESSION_PATH).send().await.expect("answers");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert!(!is_in(&device).await);
    assert!(is_in(&other).await);
    let again = device.request(Method::DELETE, SESSION_PATH).send().await.expect("answers");
    assert_eq!(code(read::<()>(again).await), refusal(401, "session-ended"));
    let cached = device.id_token("alice", &["analysts"]);
    device.token = None;
    assert_eq!(code(device.open_session(cached).await), refusal(403, "sign-in-revoked"));
    let told = org.records(control::Filter { user: Some("alice".to_owned()), ..Default::default() }).await;
    assert!(told.iter().any(|record| record["body"]["event"] == "signed-out"));
}

#[tokio::test]
async fn a_logout_is_recorded_for_each_device_that_it_ended() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    assert_eq!(log_out(&org, &logout(&org, Some("alice"), None)).await, 200);
    assert_eq!(log_out(&org, &logout(&org, Some("carol"), Some("s9"))).await, 200);
    let told = org.records(control::Filter::default()).await;
    let facts: Vec<_> = told
        .iter()
        .filter(|record| record["body"]["event"] == "session-ended")
        .map(|record| record["body"]["facts"].clone())
        .collect();
    let id = device.id.expect("enrolled").to_string();
    let issuer = org.idp.issuer();
    assert_eq!(
        facts,
        [
            json!({"cause": "provider-logout", "device": id}),
            json!({"cause": "provider-logout", "issuer": issuer, "person": "carol", "session": "s9"}),
        ]
    );
}
