//! Which machines become devices, and what becomes of one whose key was copied.

use control::admin::{Answer, Ask};
use model::DeviceId;
use org_protocol::EVENTS_PATH;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;

use crate::harness::{Device, Org, read, served, signed_in};

fn code<T>(outcome: Result<T, (StatusCode, String)>) -> String {
    match outcome {
        Ok(_) => "accepted".to_owned(),
        Err((_, code)) => code,
    }
}

async fn opens(device: &mut Device<'_>) -> String {
    let token = device.id_token("alice", &["analysts"]);
    device.token = None;
    code(device.open_session(token).await)
}

async fn enrols(device: &mut Device<'_>) -> String {
    let token = device.id_token("alice", &["analysts"]);
    code(device.enrol(token).await)
}

async fn events(org: &Org, kind: &str) -> usize {
    let records = org.records(control::Filter::default()).await;
    records.iter().filter(|record| record["body"]["event"] == kind).count()
}

async fn listed(org: &Org, id: DeviceId) -> control::Device {
    let Answer::Devices { devices } = org.ask(&Ask::ListDevices).await.expect("lists") else {
        panic!("devices")
    };
    devices.into_iter().find(|device| device.id == id).expect("it is known")
}

#[tokio::test]
async fn of_two_that_hold_one_key_both_are_stopped_and_it_is_recorded() {
    let org = served().await;
    let mut device = signed_in(&org, "alice", &["analysts"]).await;
    assert_eq!(opens(&mut device).await, "accepted", "its own secret follows");
    let mut copy = device.copy();
    assert_eq!(opens(&mut copy).await, "accepted", "nothing tells it from the first yet");
    assert_eq!(opens(&mut copy).await, "accepted");
    assert_eq!(opens(&mut device).await, "device-suspended", "it was not given the last one");
    assert_eq!(opens(&mut copy).await, "device-suspended", "nobody knows which is the copy");
    assert_eq!(enrols(&mut copy).await, "device-suspended");
    let id = device.id.expect("enrolled");
    assert!(listed(&org, id).await.suspended_at.is_some());
    assert_eq!(events(&org, "device-suspended").await, 1, "once, however often they try");

    org.ask(&Ask::ResumeDevice { id }).await.expect("resumes");
    assert_eq!(opens(&mut device).await, "accepted");
    assert_eq!(opens(&mut device).await, "accepted");
    assert_eq!(opens(&mut copy).await, "device-suspended");
}

#[tokio::test]
async fn of_answers_that_overtake_each_other_any_may_have_been_the_one_that_arrived() {
    let org = served().await;
    let mut device = signed_in(&org, "alice", &["analysts"]).await;
    assert_eq!(opens(&mut device).await, "accepted");
    let (mut first, mut second) = (device.copy(), device.copy());
    assert_eq!(opens(&mut first).await, "accepted", "this answer arrives");
    assert_eq!(opens(&mut second).await, "accepted", "this one, to the same question, does not");
    assert_eq!(opens(&mut first).await, "accepted");
    assert_eq!(opens(&mut second).await, "device-suspended", "but only one of them did");
}

#[tokio::test]
async fn a_copy_that_shows_no_secret_is_noticed_and_running_sessions_end() {
    let org = served().await;
    let mut device = signed_in(&org, "alice", &["analysts"]).await;
    assert_eq!(opens(&mut device).await, "accepted");
    let mut copy = device.copy();
    copy.secret = None;
    assert_eq!(opens(&mut copy).await, "device-suspended");
    let answer = device.request(Method::GET, EVENTS_PATH).send().await.expect("answers");
    assert_eq!(code(read::<()>(answer).await), "session-ended");
}

#[tokio::test]
async fn an_answer_that_is_lost_makes_no_copy_of_a_device() {
    let org = served().await;
    let mut device = signed_in(&org, "alice", &["analysts"]).await;
    for _ in 0..3 {
        let kept = device.secret.clone();
        assert_eq!(opens(&mut device).await, "accepted");
        device.secret = kept;
    }
    assert_eq!(opens(&mut device).await, "accepted", "it shows what it has kept");
    assert_eq!(opens(&mut device).await, "accepted");
}

#[tokio::test]
async fn a_device_that_never_shows_a_secret_goes_on_as_an_older_version_does() {
    let org = served().await;
    let mut device = signed_in(&org, "alice", &["analysts"]).await;
    for _ in 0..3 {
        device.secret = None;
        assert_eq!(opens(&mut device).await, "accepted");
    }
}

#[tokio::test]
async fn where_tokens_are_required_only_machines_that_show_a_good_one_are_enrolled() {
    let mut org = served().await;
    org.publish(|folder| {
        let file = folder.join("org.toml");
        let text = std::fs::read_to_string(&file).expect("reads");
        std::fs::write(file, format!("{text}\n[enrolment]\nrequire_token = true\n")).expect("writes");
    })
    .await
    .expect("published");
    let org = org;
    let made = async |uses| {
        let asked = org.ask(&Ask::NewEnrolmentToken { days: 1, uses }).await.expect("made");
        let Answer::EnrolmentToken { id, token } = asked else { panic!("a token") };
        (id, token.0.expose_secret().to_owned())
    };
    let with = |token: &str| Device { enrolment_token: Some(token.to_owned()), ..Device::new(&org) };
    let (once, good_once) = made(Some(1)).await;
    let (often, good_often) = made(None).await;

    assert_eq!(enrols(&mut Device::new(&org)).await, "enrolment-token", "signing in alone is not enough");
    assert_eq!(enrols(&mut with("dge_guessed")).await, "enrolment-token");
    let mut first = with(&good_once);
    assert_eq!(enrols(&mut first).await, "accepted");
    assert_eq!(enrols(&mut with(&good_once)).await, "enrolment-token", "its one use is spent");
    first.enrolment_token = None;
    assert_eq!(enrols(&mut first).await, "accepted", "who is known needs none");
    assert_eq!(listed(&org, first.id.expect("enrolled")).await.enrolment_token, Some(once));
    assert_eq!(enrols(&mut with(&good_often)).await, "accepted");
    assert_eq!(enrols(&mut with(&good_often)).await, "accepted");
    org.ask(&Ask::RevokeEnrolmentToken { id: often }).await.expect("revoked");
    assert_eq!(enrols(&mut with(&good_often)).await, "enrolment-token");
    assert_eq!(events(&org, "enrolment-refused").await, 4);

    let Answer::EnrolmentTokens { tokens } = org.ask(&Ask::ListEnrolmentTokens).await.expect("lists") else {
        panic!("tokens")
    };
    assert_eq!(
        tokens.iter().map(|token| (token.id, token.used)).collect::<Vec<_>>(),
        [(often, 2), (once, 1)]
    );
    let records = org.records(control::Filter::default()).await;
    assert!(!format!("{records:?}{tokens:?}").contains("dge_"), "a token is in no list and no record");
}
