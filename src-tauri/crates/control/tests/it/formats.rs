//! Desktops say which formats of a bundle they read, and what is published is held to it.

use std::collections::BTreeMap;

use control::admin::{Answer, Ask, AskFault};
use org_protocol::{Envelope, MANIFEST_TYPE, Manifest, SigningKey};

use crate::harness::{Device, Org, served};

/// The next version with no other bundle than that of format 2, as documents for administrators.
fn only_newest(org: &mut Org) -> BTreeMap<String, String> {
    let mut documents = org.signed(|_| ());
    let payload = Envelope::parse(&documents["v1/manifest.json"]).and_then(|one| one.unverified_payload());
    let mut manifest: Manifest = serde_json::from_slice(&payload.expect("a payload")).expect("a manifest");
    manifest.bundles.retain(|format, _| *format == 2);
    let payload = serde_json::to_vec(&manifest).expect("JSON");
    let key = SigningKey::from_seed(&[2; 32]);
    let envelope = Envelope::sign(MANIFEST_TYPE, &payload, &[&key]).to_json();
    documents.insert("v1/manifest.json".to_owned(), envelope);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("JSON");
    documents.into_iter().map(|(path, bytes)| (path, text(bytes))).collect()
}

#[tokio::test]
async fn a_desktop_that_was_updated_says_so_and_one_that_was_not_holds_a_publication_up() {
    let mut org = served().await;
    let (second, third) = (only_newest(&mut org), only_newest(&mut org));
    let mut device = Device::new(&org);
    device.description.app_version = "0.0.9".to_owned();
    device.description.content_formats = [1].into();
    device.sign_in("alice", &["analysts"]).await;

    let publish = |documents: &BTreeMap<String, String>, leave_behind| Ask::Publish {
        documents: documents.clone(),
        leave_behind,
    };
    let refused = org.ask(&publish(&second, false)).await;
    let Err(AskFault::Refused(advice)) = refused else { panic!("{refused:?}") };
    assert_eq!(advice.code, "publish-left-behind");
    assert!(
        advice.happened.contains("1 desktop in use") && advice.happened.contains("\"0.0.9\""),
        "{advice}"
    );
    let done = org.ask(&publish(&second, true)).await;
    assert!(matches!(done, Ok(Answer::Published(_))), "{done:?}");
    let left = async || {
        let records = org.records(control::Filter::default()).await;
        let fact =
            |record: &serde_json::Value| record["body"]["facts"]["left_behind"].as_str().map(str::to_owned);
        records.iter().find_map(fact)
    };
    let mut recorded = left().await;
    while recorded.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        recorded = left().await;
    }
    assert!(recorded.expect("recorded").contains("1 desktop in use"));

    device.description.app_version = "0.2.0".to_owned();
    device.description.content_formats = [1, 2].into();
    let token = device.id_token("alice", &["analysts"]);
    device.open_session(token).await.expect("a session");
    let Ok(Answer::Devices { devices }) = org.ask(&Ask::ListDevices).await else { panic!("lists") };
    assert_eq!(devices[0].app_version, "0.2.0");
    let done = org.ask(&publish(&third, false)).await;
    assert!(matches!(done, Ok(Answer::Published(_))), "{done:?}");
}
