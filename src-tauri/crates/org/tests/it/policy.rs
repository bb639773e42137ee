//! Policy on a desktop: fetched, verified, kept, and never worse than before.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use control::testing::ServedOrg;
use model::Digest;
use org::{Fetched, OrgFault, discover};
use org_protocol::{Envelope, Freshness, MANIFEST_TYPE, Manifest, Refusal, Rollout, SigningKey, Stage};

use vault::testing::Behaviour;

use crate::harness::Desktop;

fn rename(to: &'static str) -> impl FnOnce(&Path) {
    move |folder| {
        let file = folder.join("org.toml");
        let text = std::fs::read_to_string(&file).expect("reads");
        std::fs::write(&file, text.replace("name = \"Acme\"", &format!("name = \"{to}\""))).expect("writes");
    }
}

#[tokio::test]
async fn policy_comes_stays_and_follows_changes() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    assert!(desktop.org.resume().await.expect("nothing is wrong").is_none());
    let first = desktop.update().await.expect("fetches").expect("new");
    assert_eq!((first.content.org.name.as_str(), first.label.as_str()), ("Acme", "acme 1"));
    assert!(desktop.update().await.expect("fetches").is_none(), "nothing is new");

    served.publish(rename("Acme 2")).await.expect("publishes");
    let second = desktop.update().await.expect("fetches").expect("new");
    assert_eq!((second.content.org.name.as_str(), second.label.as_str()), ("Acme 2", "acme 2"));

    let desktop = desktop.restart(&served).await;
    let resumed = desktop.org.resume().await.expect("nothing is wrong").expect("in force");
    assert_eq!((resumed.digest, resumed.label), (second.digest, second.label));
    assert!(desktop.update().await.expect("fetches").is_none());
    let files = std::fs::read_dir(desktop.bundle_dir()).expect("reads").count();
    assert_eq!(files, 3, "root document, manifest, bundle; nothing old");
}

#[tokio::test]
async fn it_stays_in_force_without_a_server() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let applied = desktop.update().await.expect("fetches").expect("new");
    let desktop = desktop.restart(&served).await;
    served.running.stop().await;
    assert_eq!(
        desktop.org.resume().await.expect("in force").map(|applied| applied.digest),
        Some(applied.digest)
    );
    assert!(matches!(desktop.org.fetch().await, Err(OrgFault::NotReached(_))));
    let grace = Duration::from_secs(3600);
    assert!(matches!(desktop.org.freshness(grace).await, Freshness::Fresh { .. }));
}

#[tokio::test]
async fn a_renewal_of_the_same_policy_is_told_as_one() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let first = desktop.update().await.expect("fetches").expect("new");
    served.publish(|_| ()).await.expect("publishes");
    let Fetched::New(candidate) = desktop.org.fetch().await.expect("fetches") else { panic!("not new") };
    assert!(candidate.is_renewal(&first));
    let second = desktop.org.apply(*candidate).await.expect("applies");
    assert_eq!((second.digest, second.label.as_str()), (first.digest, "acme 2"));
}

/// A publication that rolls a policy of another name out to all devices; those in no rollout have the one before.
fn rolled_out(served: &mut ServedOrg, name: &'static str) -> BTreeMap<String, Vec<u8>> {
    let manifest = |documents: &BTreeMap<String, Vec<u8>>| -> Manifest {
        let envelope = Envelope::parse(&documents["v1/manifest.json"]).expect("an envelope");
        serde_json::from_slice(&envelope.unverified_payload().expect("a payload")).expect("a manifest")
    };
    let mut documents = served.signed(|_| ());
    let base = manifest(&documents);
    documents.extend(served.signed(rename(name)));
    let next = manifest(&documents);
    let stages = vec![Stage { share: 10_000, bundles: next.bundles }];
    let rollout = Some(Rollout { salt: "s".to_owned(), stages });
    let staged = Manifest { bundles: base.bundles, rollout, ..next };
    let payload = serde_json::to_vec(&staged).expect("JSON");
    let signed = Envelope::sign(MANIFEST_TYPE, &payload, &[&SigningKey::from_seed(&[2; 32])]);
    documents.insert("v1/manifest.json".to_owned(), signed.to_json());
    documents
}

#[tokio::test]
async fn a_device_stays_in_its_rollout_without_a_session() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let staged = rolled_out(&mut served, "Staged");
    served.publish_documents(&staged).await.expect("publishes");
    let before = desktop.update().await.expect("fetches").expect("new");
    assert_eq!(before.content.org.name, "Staged", "before anybody signed in");
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    assert!(desktop.update().await.expect("fetches").is_none());
    desktop.org.end_session();
    assert!(desktop.update().await.expect("fetches").is_none(), "after a sign-out");
    let desktop = desktop.restart(&served).await;
    desktop.org.resume().await.expect("nothing is wrong");
    assert!(desktop.update().await.expect("fetches").is_none(), "after a restart");
}

#[tokio::test]
async fn the_wrong_fingerprint_is_refused() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::pointed(served.running.public_url.clone(), Digest::of(b"another")).await;
    assert!(matches!(desktop.update().await, Err(OrgFault::Document(Refusal::Fingerprint { .. }))));
    assert!(!desktop.bundle_dir().exists(), "nothing was stored");
}

#[tokio::test]
async fn a_rejected_policy_leaves_the_old_one_and_is_not_fetched_again() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let good = desktop.update().await.expect("fetches").expect("new");
    served.publish(rename("Broken")).await.expect("publishes");
    let Fetched::New(candidate) = desktop.org.fetch().await.expect("fetches") else { panic!("not new") };
    desktop.org.reject(*candidate).await;
    assert!(desktop.update().await.expect("fetches").is_none());

    let desktop = desktop.restart(&served).await;
    let resumed = desktop.org.resume().await.expect("nothing is wrong").expect("in force");
    assert_eq!(resumed.digest, good.digest);
    served.publish(rename("Mended")).await.expect("publishes");
    let mended = desktop.update().await.expect("fetches").expect("new");
    assert_eq!(mended.content.org.name, "Mended");
}

#[tokio::test]
async fn a_policy_that_was_overtaken_is_not_applied() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let Fetched::New(old) = desktop.org.fetch().await.expect("fetches") else { panic!("not new") };
    served.publish(rename("Newer")).await.expect("publishes");
    let Fetched::New(newer) = desktop.org.fetch().await.expect("fetches") else { panic!("not new") };
    assert!(matches!(desktop.org.apply(*old).await, Err(OrgFault::Superseded)));
    assert_eq!(desktop.org.apply(*newer).await.expect("applies").content.org.name, "Newer");
}

#[tokio::test]
async fn an_older_publication_is_refused_also_after_a_restart() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    served.publish(|_| ()).await.expect("publishes");
    desktop.update().await.expect("fetches").expect("new");
    let desktop = desktop.restart(&served).await;

    // Another server with the same keys that has only the first version: what an attacker replays.
    let replay = ServedOrg::new().await;
    let desktop = desktop.repointed(replay.running.public_url.clone(), replay.fingerprint()).await;
    desktop.org.resume().await.expect("nothing is wrong").expect("in force");
    let refused = desktop.update().await;
    assert!(
        matches!(refused, Err(OrgFault::Document(Refusal::Rollback { seen: 2, found: 1 }))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_older_publication_is_refused_also_after_the_documents_were_deleted() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    served.publish(rename("Newer")).await.expect("publishes");
    let newer = desktop.update().await.expect("fetches").expect("new");
    std::fs::remove_dir_all(desktop.bundle_dir()).expect("deletes");

    let replay = ServedOrg::new().await;
    let desktop = desktop.repointed(replay.running.public_url.clone(), replay.fingerprint()).await;
    desktop.org.resume().await.expect_err("its documents are missing");
    let refused = desktop.update().await;
    assert!(
        matches!(refused, Err(OrgFault::Document(Refusal::Rollback { seen: 2, found: 1 }))),
        "{refused:?}"
    );

    let desktop = desktop.restart(&served).await;
    assert_eq!(desktop.org.id().await.as_deref(), Some("acme"));
    let again = desktop.update().await.expect("fetches").expect("here again");
    assert_eq!((again.digest, again.label), (newer.digest, newer.label));
    let desktop = desktop.restart(&served).await;
    assert!(desktop.org.resume().await.expect("nothing is wrong").is_some());
}

#[tokio::test]
async fn withheld_root_documents_are_noticed_also_after_the_documents_were_deleted() {
    let mut served = ServedOrg::new().await;
    let pinned = served.fingerprint();
    served.rotate_root();
    served.publish(|_| ()).await.expect("publishes");
    let desktop = Desktop::pointed(served.running.public_url.clone(), pinned).await;
    desktop.update().await.expect("fetches").expect("new");
    std::fs::remove_dir_all(desktop.bundle_dir()).expect("deletes");

    let replay = ServedOrg::new().await;
    let desktop = desktop.repointed(replay.running.public_url.clone(), pinned).await;
    let refused = desktop.update().await;
    assert!(
        matches!(refused, Err(OrgFault::Document(Refusal::RootRollback { seen: 2, found: 1 }))),
        "{refused:?}"
    );
    assert!(desktop.org.receipt_keys().borrow().is_empty(), "nor are its keys believed");

    let desktop = desktop.repointed(served.running.public_url.clone(), pinned).await;
    desktop.update().await.expect("fetches").expect("here again");
}

#[tokio::test]
async fn a_fault_of_the_vault_leaves_the_documents_where_they_are() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let applied = desktop.update().await.expect("fetches").expect("new");
    let ratchets = desktop.home.path().join("vault/ratchet");
    let sealed: Vec<_> =
        std::fs::read_dir(ratchets).expect("reads").map(|entry| entry.expect("an entry").path()).collect();
    let desktop = desktop.restart(&served).await;
    // A folder in its place cannot be read, which is no damage.
    for file in &sealed {
        std::fs::rename(file, file.with_extension("kept")).expect("moves");
        std::fs::create_dir(file).expect("makes a folder");
    }
    desktop.org.resume().await.expect_err("the vault cannot be read");
    assert!(desktop.bundle_dir().exists(), "nothing is wrong with the documents");
    for file in &sealed {
        std::fs::remove_dir(file).expect("removes the folder");
        std::fs::rename(file.with_extension("kept"), file).expect("moves back");
    }
    let resumed = desktop.org.resume().await.expect("nothing is wrong").expect("in force");
    assert_eq!(resumed.digest, applied.digest);
}

#[tokio::test]
async fn root_documents_are_walked_and_kept() {
    let mut served = ServedOrg::new().await;
    let pinned = served.fingerprint();
    let desktop = Desktop::new(&served).await;
    desktop.update().await.expect("fetches").expect("new");
    served.rotate_root();
    served.rotate_root();
    served.publish(rename("Rotated")).await.expect("publishes");
    let applied = desktop.update().await.expect("fetches").expect("new");
    assert_eq!(applied.content.org.name, "Rotated");
    assert!(desktop.bundle_dir().join("root-3.json").exists());

    let newcomer = Desktop::pointed(served.running.public_url.clone(), pinned).await;
    assert_eq!(newcomer.update().await.expect("fetches").expect("new").digest, applied.digest);
    let desktop = desktop.restart(&served).await;
    assert!(desktop.org.resume().await.expect("nothing is wrong").is_some());
}

#[tokio::test]
async fn documents_that_were_altered_on_disk_are_set_aside_and_fetched_again() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let applied = desktop.update().await.expect("fetches").expect("new");
    for prefix in ["bundle-", "manifest-", "root-"] {
        let file = std::fs::read_dir(desktop.bundle_dir())
            .expect("reads")
            .map(|entry| entry.expect("an entry").path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
            .expect("there");
        let good = std::fs::read(&file).expect("reads");
        std::fs::write(&file, &good[..good.len() - 1]).expect("damages");
        let restarted = Desktop {
            home: tempfile::tempdir().expect("a directory"),
            keychain: desktop.keychain.clone(),
            id: desktop.id,
            org: desktop.org.clone(),
        };
        let advice = restarted.org.resume().await.expect_err("damaged");
        assert!(!advice.happened.is_empty());
        assert!(!desktop.bundle_dir().exists(), "set aside");
        let again = Desktop { org: reopened(&desktop, &served).await, ..restarted };
        assert_eq!(
            again.update().await.expect("fetches").map(|new| new.digest),
            Some(applied.digest),
            "{prefix}"
        );
    }
}

/// The client anew on the same home.
async fn reopened(desktop: &Desktop, served: &ServedOrg) -> org::Org {
    let vault = vault::Vault::open(
        &desktop.home.path().join("vault"),
        std::sync::Arc::new(desktop.keychain.clone()),
        std::sync::Arc::new(os::SystemClock),
    )
    .await;
    org::Org::new(org::OrgParts {
        config_url: served.running.public_url.clone(),
        anchor: org::Anchor::Pinned(served.fingerprint()),
        dir: desktop.bundle_dir(),
        device: desktop.id,
        description: org_protocol::DeviceDescription {
            name: String::new(),
            platform: String::new(),
            app_version: String::new(),
            content_formats: org_protocol::readable_formats(),
        },
        vault,
        clock: std::sync::Arc::new(os::SystemClock),
    })
    .expect("a client")
}

#[tokio::test]
async fn an_organisation_that_was_met_is_known_while_the_keychain_is_locked() {
    let mut served = ServedOrg::new().await;
    let pinned = served.fingerprint();
    served.rotate_root();
    served.publish(|_| ()).await.expect("publishes");
    let desktop = Desktop::pointed(served.running.public_url.clone(), pinned).await;
    assert_eq!(desktop.org.id().await, None, "nobody was met yet");
    desktop.update().await.expect("fetches").expect("new");

    let desktop = desktop.restart_with(Behaviour::Locked, &served).await;
    let url = served.running.public_url.clone();
    served.running.stop().await;
    assert!(desktop.org.resume().await.expect("nothing is wrong").is_none(), "what it was is not known");
    assert_eq!(desktop.org.id().await.as_deref(), Some("acme"));

    let elsewhere = desktop.repointed(url, Digest::of(b"another")).await;
    assert_eq!(elsewhere.org.id().await, None, "another fingerprint is another organisation");
}

#[tokio::test]
async fn a_locked_keychain_costs_no_documents() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let first = desktop.update().await.expect("fetches").expect("new");
    served.publish(rename("Newer")).await.expect("publishes");

    let desktop = desktop.restart_with(Behaviour::Locked, &served).await;
    let newer = desktop.update().await.expect("fetches").expect("new");
    let desktop = desktop.restart_with(Behaviour::Available, &served).await;
    let resumed = desktop.org.resume().await.expect("its documents are there").expect("in force");
    assert_eq!(resumed.digest, first.digest, "what the vault knows of");
    assert_eq!(desktop.update().await.expect("fetches").map(|new| new.digest), Some(newer.digest));
    let files = std::fs::read_dir(desktop.bundle_dir()).expect("reads").count();
    assert_eq!(files, 3, "root document, manifest, bundle; nothing old");
}

#[tokio::test]
async fn an_organisation_is_found_by_its_address() {
    let served = ServedOrg::new().await;
    let found = discover(&served.running.public_url).await.expect("found");
    assert_eq!((found.org.as_str(), found.root_key_fingerprint), ("acme", served.fingerprint()));
    assert_eq!(found.config_url, served.running.public_url);
    assert!(matches!(
        discover(&"http://acme.example".parse().expect("a URL")).await,
        Err(OrgFault::Insecure(_))
    ));
}
