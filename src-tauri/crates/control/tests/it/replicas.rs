//! Two control planes on one database.

use std::collections::BTreeSet;
use std::time::Duration;

use control::admin::{Answer, Ask, ask};
use control::{Running, ServeFault};
use org_protocol::{EVENTS_PATH, EventKind, HALTS_PATH, HaltTarget};
use reqwest::{Method, Response, StatusCode};

use crate::call_limits::{ACCOUNT, limited, raced};
use crate::harness::{Device, Org, served, signed_in};

/// Within which what one of them did reaches desktops that are connected to the other.
const BOUND: Duration = Duration::from_secs(2);

async fn another(org: &Org) -> Running {
    org.another(|_| ()).await.expect("a second one starts")
}

/// What a desktop hears over one control plane.
struct Hearing(Response, String);

impl Hearing {
    async fn begin(device: &Device<'_>, at: &Running) -> Self {
        let stream =
            device.request_through(at.address, Method::GET, EVENTS_PATH).send().await.expect("answers");
        assert_eq!(stream.status(), StatusCode::OK);
        let mut hearing = Self(stream, String::new());
        hearing.until(|what| *what == EventKind::Resync).await;
        hearing
    }

    async fn until(&mut self, wanted: impl Fn(&EventKind) -> bool) {
        loop {
            while let Some((line, rest)) = self.1.split_once('\n') {
                let event = line
                    .strip_prefix("data: ")
                    .map(|data| serde_json::from_str::<org_protocol::Event>(data).expect("an event"));
                self.1 = rest.to_owned();
                if event.is_some_and(|event| wanted(&event.what)) {
                    return;
                }
            }
            let more = tokio::time::timeout(BOUND, self.0.chunk()).await.expect("in time");
            self.1 += std::str::from_utf8(&more.expect("reads").expect("goes on")).expect("text");
        }
    }
}

#[tokio::test]
async fn what_one_does_reaches_desktops_at_the_other_within_two_seconds() {
    let mut org = served().await;
    let second = another(&org).await;
    {
        let device = signed_in(&org, "alice", &["analysts"]).await;
        let mut hearing = Hearing::begin(&device, &second).await;
        let target = HaltTarget::Connector { connector: "warehouse".parse().expect("an id") };
        org.ask(&Ask::Halt { target, reason: "examined".to_owned() }).await.expect("stops");
        hearing.until(|what| *what == EventKind::HaltsChanged).await;
        let halts =
            device.request_through(second.address, Method::GET, HALTS_PATH).send().await.expect("answers");
        let halts: org_protocol::Halts = halts.json().await.expect("halts");
        assert_eq!(halts, ask_halts(&second).await);
    }
    let documents = org.signed(|_| ());
    let device = signed_in(&org, "bob", &["analysts"]).await;
    let mut hearing = Hearing::begin(&device, &second).await;
    let published = org.publish_documents(&documents).await.expect("publishes");
    hearing.until(|what| matches!(what, EventKind::BundleUpdated { .. })).await;
    let Answer::Published(known) = ask(&second.admin_socket, &Ask::Status).await.expect("answers") else {
        panic!("other than what is published")
    };
    assert_eq!(known, published, "what a desktop hears of is in force where it heard it");

    org.ask(&Ask::RevokeDevice { id: device.id.expect("enrolled") }).await.expect("revokes");
    hearing.until(|what| *what == EventKind::SessionRevoked).await;
    let refused =
        device.request_through(second.address, Method::GET, HALTS_PATH).send().await.expect("answers");
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    second.stop().await;
}

async fn ask_halts(at: &Running) -> org_protocol::Halts {
    let Answer::Halts { halts, .. } = ask(&at.admin_socket, &Ask::ListHalts).await.expect("answers") else {
        panic!("other than halts")
    };
    org_protocol::Halts::new(halts.into_iter().map(|standing| standing.halt).collect())
}

#[tokio::test]
async fn what_is_good_once_is_good_once_at_both_together() {
    let org = served().await;
    let second = another(&org).await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let proof = device.proof(&Method::GET, &org.url(HALTS_PATH), device.token.as_deref());
    let asked = async |at: &Running| {
        let request = device.request_with(at.address, Method::GET, HALTS_PATH, proof.clone());
        request.send().await.expect("answers").status()
    };
    let (one, two) = tokio::join!(asked(&org.running), asked(&second));
    assert_eq!(
        BTreeSet::from([one.as_u16(), two.as_u16()]),
        BTreeSet::from([200, 401]),
        "a proof is used up at both"
    );
    second.stop().await;
}

#[tokio::test]
async fn both_write_their_own_chains_and_the_history_is_whole() {
    let org = served().await;
    let second = another(&org).await;
    for (place, target) in [(&org.running, "warehouse"), (&second, "warehouse")] {
        let target = HaltTarget::Connector { connector: target.parse().expect("an id") };
        let halted = ask(&place.admin_socket, &Ask::Halt { target, reason: String::new() }).await;
        halted.expect("stops, or is stopped already");
        let Answer::Verified(verdict) = ask(&place.admin_socket, &Ask::VerifyAudit).await.expect("answers")
        else {
            panic!("other than a verdict")
        };
        assert!(verdict.is_good(), "{verdict:?}");
    }
    second.stop().await;
    let records = org.records(control::Filter::default()).await;
    let starts: BTreeSet<String> = records
        .iter()
        .filter(|record| record["body"]["event"] == "start")
        .map(|record| record["device"].to_string())
        .collect();
    assert_eq!(starts.len(), 2, "each is named by its own id: {starts:?}");
}

#[tokio::test]
async fn who_would_contradict_the_others_does_not_start() {
    let org = served().await;
    let other_key =
        org.another(|config| config.receipt_key = org_protocol::SigningKey::from_seed(&[9; 32])).await;
    assert!(matches!(other_key, Err(ServeFault::Different)), "{other_key:?}");
    let other_url = org.another(|config| config.public_url = None).await;
    assert!(matches!(other_url, Err(ServeFault::Different)), "{other_url:?}");
    let copied = org
        .another(|config| {
            std::fs::create_dir_all(&config.data).expect("a folder");
            std::fs::copy(org.data("device"), config.data.join("device")).expect("copies");
        })
        .await;
    assert!(matches!(copied, Err(ServeFault::Taken)), "{copied:?}");
}

#[tokio::test]
async fn calls_are_counted_together_whichever_of_them_makes_them() {
    let org = limited(ACCOUNT).await;
    let second = another(&org).await;
    raced(&org, &[org.running.address, second.address]).await;
    second.stop().await;
}
