//! A staged rollout at the broker: each device is judged by what it has.

use org_protocol::{Envelope, Manifest};
use reqwest::StatusCode;
use serde_json::json;

use crate::harness::{served, signed_in};

const FORBID: &str = r#"
@id("no-queries")
@reason("The warehouse is closed.")
forbid (principal, action == Action::"warehouse/query", resource);
"#;

#[tokio::test]
async fn a_brokered_call_is_decided_by_the_bundle_of_the_device_that_asks() {
    let mut org = served().await;
    org.rollout = Some(50);
    let staged =
        org.signed(|folder| std::fs::write(folder.join("policies/more.cedar"), FORBID).expect("writes"));
    let payload = Envelope::parse(&staged["v1/manifest.json"]).and_then(|one| one.unverified_payload());
    let manifest: Manifest = serde_json::from_slice(&payload.expect("a payload")).expect("a manifest");
    let rollout = manifest.rollout.expect("a rollout");
    let org = org;
    let (mut inside, mut outside) = (None, None);
    while inside.is_none() || outside.is_none() {
        let device = signed_in(&org, "alice", &["analysts"]).await;
        let is_in = rollout.stage_of(device.id.expect("enrolled")).is_some();
        if is_in { inside = Some(device) } else { outside = Some(device) }
    }
    let (inside, outside) = (inside.expect("one"), outside.expect("one"));
    let query =
        async |device: &crate::harness::Device<'_>| device.call("query", json!({"sql": "select 1"})).await.0;
    assert_eq!((query(&inside).await, query(&outside).await), (StatusCode::OK, StatusCode::OK));
    org.publish_documents(&staged).await.expect("publishes");
    assert_eq!((query(&inside).await, query(&outside).await), (StatusCode::FORBIDDEN, StatusCode::OK));
}
