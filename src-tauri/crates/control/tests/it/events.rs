//! The event stream: told at once, in order, and resumed without a gap.

use control::admin::Ask;
use futures_util::StreamExt as _;
use org_protocol::{EVENTS_PATH, Event, EventKind};
use reqwest::Method;

use crate::harness::{Device, now, served, signed_in};

/// The `data:` lines of a stream as events.
struct Stream {
    body: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: String,
}

impl Stream {
    async fn open(device: &Device<'_>, last: Option<u64>) -> Self {
        let request = device.request(Method::GET, EVENTS_PATH);
        let request = match last {
            Some(last) => request.header("last-event-id", last.to_string()),
            None => request,
        };
        let answer = request.send().await.expect("answers").error_for_status().expect("a stream");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { body: Box::pin(answer.bytes_stream()), text: String::new() }
    }

    /// The next event; `None` at the stream's end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let data = block.lines().find_map(|line| line.strip_prefix("data: ").map(ToOwned::to_owned));
                self.text = rest.to_owned();
                match data {
                    Some(data) => return Some(serde_json::from_str(&data).expect("an event")),
                    None => continue,
                }
            }
            let chunk = self.body.next().await?.ok()?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    async fn kinds(&mut self, count: usize) -> Vec<EventKind> {
        let mut kinds = Vec::new();
        for _ in 0..count {
            kinds.push(self.next().await.expect("an event").what);
        }
        kinds
    }
}

fn updated(version: u64) -> EventKind {
    EventKind::BundleUpdated { epoch: 1, version }
}

#[tokio::test]
async fn a_new_stream_begins_with_everything_and_goes_on_with_changes() {
    let mut org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let mut stream = Stream::open(&device, None).await;
    assert_eq!(stream.kinds(1).await, [EventKind::Resync]);
    drop(device);
    org.publish(|_| ()).await.expect("publishes");
    assert_eq!(stream.kinds(1).await, [updated(2)]);
}

#[tokio::test]
async fn a_resumed_stream_has_no_gap_and_nothing_twice() {
    let mut org = served().await;
    for _ in 0..3 {
        org.publish(|_| ()).await.expect("publishes");
    }
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let mut stream = Stream::open(&device, Some(2)).await;
    assert_eq!(stream.kinds(2).await, [updated(3), updated(4)]);
    let mut ahead = Stream::open(&device, Some(99)).await;
    assert_eq!(ahead.kinds(1).await, [EventKind::Resync], "an event that never was: the server was set back");
}

#[tokio::test]
async fn a_revoked_device_hears_of_it_and_the_stream_ends() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let other = signed_in(&org, "bob", &["analysts"]).await;
    let mut stream = Stream::open(&device, None).await;
    let mut others = Stream::open(&other, None).await;
    stream.kinds(1).await;
    others.kinds(1).await;
    org.ask(&Ask::RevokeDevice { id: device.id.expect("enrolled") }).await.expect("revokes");
    assert_eq!(stream.kinds(1).await, [EventKind::SessionRevoked]);
    assert!(stream.next().await.is_none(), "nothing more");

    org.ask(&Ask::RevokeDevice { id: other.id.expect("enrolled") }).await.expect("revokes");
    assert_eq!(others.kinds(1).await, [EventKind::SessionRevoked], "the first was not this one's business");
}

#[tokio::test]
async fn who_was_signed_out_hears_of_it_once_and_who_signs_in_again_does_not() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let mut stream = Stream::open(&device, None).await;
    stream.kinds(1).await;
    let claims = org.idp.logout_claims(Some("alice"), None, now().seconds());
    let token = org.idp.logout_token(&claims);
    let sent = reqwest::Client::new().post(org.url("v1/oidc/backchannel-logout"));
    let answer = sent.form(&[("logout_token", token)]).send().await.expect("answers");
    assert!(answer.status().is_success());
    let ended = stream.next().await.expect("an event");
    assert_eq!(ended.what, EventKind::SignInEnded);
    assert!(stream.next().await.is_none(), "nothing more");

    let mut anew = Device::new(&org);
    anew.key = device.key.clone();
    let claims = org.idp.claims("alice", &["analysts"], Some(&anew.nonce()), now().seconds() + 2);
    anew.open_session(org.idp.token(&claims)).await.expect("opens");
    let mut stream = Stream::open(&anew, Some(ended.seq - 1)).await;
    drop((device, anew));
    org.running.stop().await;
    assert!(stream.next().await.is_none(), "the end of the session before is not this one's");
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let mut stream = Stream::open(&device, None).await;
    stream.kinds(1).await;
    drop(device);
    org.running.stop().await;
    assert!(stream.next().await.is_none());
}
