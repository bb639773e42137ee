//! Publishing, refusing and taking up again.

use super::*;
use crate::author::Documents;
use crate::store::tests::store;
use crate::testing_org::{TestOrg, example};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

async fn publication(org: &TestOrg) -> (tempfile::TempDir, Store, Publication) {
    let (dir, store) = store().await;
    let publication =
        Publication::open(store.clone(), org.receipts.public(), String::new()).await.expect("opens");
    (dir, store, publication)
}

#[tokio::test]
async fn what_is_published_is_in_force_told_and_taken_up_again() {
    let mut org = TestOrg::new(NOW);
    let (_dir, store, publication) = publication(&org).await;
    assert!(publication.live().is_none());
    let first = publication.publish(&org.signed(&example()), NOW).await.expect("publishes");
    assert_eq!((first.org.as_str(), first.version), ("example", 1));
    let second = publication.publish(&org.signed(&example()), NOW).await.expect("publishes");
    assert_eq!(second.version, 2);
    let events = store.events_after(0, model::DeviceId::new(), Digest::of(b""), 10).await.expect("reads");
    assert_eq!(
        events.last().map(|event| event.what.clone()),
        Some(EventKind::BundleUpdated { epoch: 1, version: 2 })
    );

    let again = Publication::open(store, org.receipts.public(), String::new()).await.expect("opens");
    assert_eq!(again.live().map(|live| live.published()), Some(second));
}

#[tokio::test]
async fn an_older_one_and_a_stranger_s_change_nothing() {
    let mut org = TestOrg::new(NOW);
    let (_dir, _store, publication) = publication(&org).await;
    let old = org.signed(&example());
    publication.publish(&org.signed(&example()), NOW).await.expect("publishes");
    let before = publication.live().map(|live| live.published());
    assert!(matches!(
        publication.publish(&old, NOW).await,
        Err(PublishFault::Refused { refusal: Refusal::Rollback { seen: 2, found: 1 }, .. })
    ));
    let mut stranger = TestOrg::new(NOW);
    stranger.manifest = org.root.clone();
    assert!(matches!(
        publication.publish(&stranger.signed(&example()), NOW).await,
        Err(PublishFault::Refused { refusal: Refusal::Envelope(_), .. })
    ));
    assert_eq!(publication.live().map(|live| live.published()), before);
}

#[tokio::test]
async fn broken_policies_and_missing_documents_change_nothing() {
    let mut org = TestOrg::new(NOW);
    let (_dir, _store, publication) = publication(&org).await;
    let mut broken = example();
    broken.policies.insert("policies/x.cedar".to_owned(), "permit(".to_owned());
    assert!(matches!(publication.publish(&org.signed(&broken), NOW).await, Err(PublishFault::Policy(_))));
    let mut documents = org.signed(&example());
    documents.retain(|path, _| !path.starts_with("v1/bundles/"));
    assert!(matches!(publication.publish(&documents, NOW).await, Err(PublishFault::Missing(_))));
    assert!(publication.live().is_none());
}

#[tokio::test]
async fn a_server_whose_receipts_nobody_would_believe_publishes_nothing() {
    let mut org = TestOrg::new(NOW);
    let (_dir, store, _) = publication(&org).await;
    let other = Publication::open(store, org.root.public(), String::new()).await.expect("opens");
    assert!(matches!(other.publish(&org.signed(&example()), NOW).await, Err(PublishFault::ReceiptKey(_))));
}

#[tokio::test]
async fn documents_go_through_a_folder() {
    let mut org = TestOrg::new(NOW);
    let (_dir, _store, publication) = publication(&org).await;
    let dir = tempfile::tempdir().expect("a directory");
    Documents(org.signed(&example())).write(dir.path()).expect("writes");
    let Documents(read) = Documents::read(dir.path()).expect("reads");
    assert!(publication.publish(&read, NOW).await.is_ok());
}
