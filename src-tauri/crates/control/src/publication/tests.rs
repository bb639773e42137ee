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
    let (first, _) = publication.publish(&org.signed(&example()), false, NOW).await.expect("publishes");
    assert_eq!((first.org.as_str(), first.version), ("example", 1));
    let (second, _) = publication.publish(&org.signed(&example()), false, NOW).await.expect("publishes");
    assert_eq!(second.version, 2);
    let events =
        store.events_between(0, u64::MAX, DeviceId::new(), Digest::of(b""), 10).await.expect("reads");
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
    publication.publish(&org.signed(&example()), false, NOW).await.expect("publishes");
    let before = publication.live().map(|live| live.published());
    assert!(matches!(
        publication.publish(&old, false, NOW).await,
        Err(PublishFault::Refused { refusal: Refusal::Rollback { seen: 2, found: 1 }, .. })
    ));
    let mut stranger = TestOrg::new(NOW);
    stranger.manifest = org.root.clone();
    assert!(matches!(
        publication.publish(&stranger.signed(&example()), false, NOW).await,
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
    assert!(matches!(
        publication.publish(&org.signed(&broken), false, NOW).await,
        Err(PublishFault::Policy(_))
    ));
    let mut documents = org.signed(&example());
    documents.retain(|path, _| !path.starts_with("v1/bundles/"));
    assert!(matches!(publication.publish(&documents, false, NOW).await, Err(PublishFault::Missing(_))));
    assert!(publication.live().is_none());
}

#[tokio::test]
async fn a_server_whose_receipts_nobody_would_believe_publishes_nothing() {
    let mut org = TestOrg::new(NOW);
    let (_dir, store, _) = publication(&org).await;
    let other = Publication::open(store, org.root.public(), String::new()).await.expect("opens");
    assert!(matches!(
        other.publish(&org.signed(&example()), false, NOW).await,
        Err(PublishFault::ReceiptKey(_))
    ));
}

#[tokio::test]
async fn documents_go_through_a_folder() {
    let mut org = TestOrg::new(NOW);
    let (_dir, _store, publication) = publication(&org).await;
    let dir = tempfile::tempdir().expect("a directory");
    Documents(org.signed(&example())).write(dir.path()).expect("writes");
    let Documents(read) = Documents::read(dir.path()).expect("reads");
    assert!(publication.publish(&read, false, NOW).await.is_ok());
}

/// The next version, with no other bundles than those of one format.
fn only(format: u32, org: &mut TestOrg) -> BTreeMap<String, Vec<u8>> {
    let mut documents = org.signed(&example());
    let mut manifest = read_manifest(&documents[MANIFEST_PATH]).expect("a manifest");
    manifest.bundles.retain(|found, _| *found == format);
    let payload = serde_json::to_vec(&manifest).expect("JSON");
    let envelope = Envelope::sign(org_protocol::MANIFEST_TYPE, &payload, &[&org.manifest]);
    documents.insert(MANIFEST_PATH.to_owned(), envelope.to_json());
    documents
}

async fn enrolled(store: &Store, name: &str, version: &str, formats: &[u32], now: Timestamp) -> DeviceId {
    let description = org_protocol::DeviceDescription {
        name: name.to_owned(),
        platform: "linux".to_owned(),
        app_version: version.to_owned(),
        content_formats: formats.iter().copied().collect(),
    };
    let subject = model::Subject::local("alice");
    let id = DeviceId::new();
    let new = crate::store::NewDevice {
        thumbprint: name,
        id,
        description: &description,
        subject: &subject,
        key_protection: None,
        token: (false, None),
    };
    store.enrol(&new, now).await.expect("enrols").known().id
}

#[tokio::test]
async fn nothing_is_published_that_a_desktop_in_use_could_not_read() {
    let mut org = TestOrg::new(NOW);
    let (_dir, store, publication) = publication(&org).await;
    let long_ago = Timestamp::from_seconds(NOW.seconds() - 91 * 86_400);
    enrolled(&store, "new", "0.10.0", &[1, 2], NOW).await;
    enrolled(&store, "forgotten", "0.1.0", &[1], long_ago).await;
    let later = only(2, &mut org);
    publication.publish(&later, false, NOW).await.expect("everybody in use reads it");

    enrolled(&store, "old", "0.9.0", &[1], NOW).await;
    let older = enrolled(&store, "older", "0.8.1", &[1], NOW).await;
    let later = only(2, &mut org);
    let before = publication.live().map(|live| live.published());
    let Err(fault) = publication.publish(&later, false, NOW).await else { panic!("two are left behind") };
    assert_eq!(
        fault.to_string(),
        "2 desktops in use would have no bundle that they can read: 1 with Deskgate \"0.8.1\", 1 with Deskgate \"0.9.0\""
    );
    assert_eq!(publication.live().map(|live| live.published()), before, "nothing was changed");
    publication.publish(&org.signed(&example()), false, NOW).await.expect("with a bundle for each");

    store.revoke_device(older, NOW).await.expect("revokes");
    let later = only(2, &mut org);
    let (_, left) = publication.publish(&later, true, NOW).await.expect("when told to go on");
    assert!(left.to_string().starts_with("1 desktop in use "), "{left}");
}

#[tokio::test]
async fn each_desktop_is_judged_by_the_policy_of_its_own_stage() {
    let mut org = TestOrg::new(NOW);
    let (_dir, store, publication) = publication(&org).await;
    let named = |name: &str| {
        let mut content = example();
        name.clone_into(&mut content.org.name);
        content
    };
    publication.publish(&org.signed(&named("Old")), false, NOW).await.expect("publishes");
    org.rollout = Some(50);
    let documents = org.signed(&named("New"));
    let (published, _) = publication.publish(&documents, false, NOW).await.expect("publishes");
    let manifest = read_manifest(&documents[MANIFEST_PATH]).expect("a manifest");
    let stage = &manifest.rollout.as_ref().expect("a rollout").stages[0];
    let newest = newest_readable(&stage.bundles).expect("readable").1.sha256;
    assert_eq!(published.rollout, [PublishedStage { share: 5_000, bundle: newest }]);
    let devices: Vec<DeviceId> = std::iter::repeat_with(DeviceId::new).take(40).collect();
    let judged = |live: &Live| {
        let mut names = BTreeSet::new();
        for device in &devices {
            let own = live.of(*device);
            let staged = manifest.bundles_for(Some(*device)) == &stage.bundles;
            assert_eq!(own.content().org.name, if staged { "New" } else { "Old" });
            assert_eq!(own.policy().version().digest == newest, staged);
            names.insert(own.content().org.name.clone());
        }
        assert_eq!(names.len(), 2, "some are in the stage and some are not");
    };
    judged(&publication.live().expect("in force"));
    let again = Publication::open(store, org.receipts.public(), String::new()).await.expect("opens");
    judged(&again.live().expect("taken up again"));
    assert_eq!(again.live().map(|live| live.published()), Some(published));

    let mut elsewhere = named("New");
    elsewhere.org.identity_provider.client_id = "another".to_owned();
    let refused = publication.publish(&org.signed(&elsewhere), false, NOW).await;
    assert!(matches!(refused, Err(PublishFault::StageProvider)), "{refused:?}");
    let mut strict = named("New");
    strict.org.enrolment.require_token = true;
    let refused = publication.publish(&org.signed(&strict), false, NOW).await;
    assert!(matches!(refused, Err(PublishFault::StageProvider)), "{refused:?}");
}
