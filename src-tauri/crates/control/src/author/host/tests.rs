//! Publishing to a folder: what is refused changes nothing, and a reader never sees half of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::Digest;
use org_protocol::TrustState;

use super::*;
use crate::author::read_manifest;
use crate::testing_org::{TestOrg, example};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn named(name: &str) -> Content {
    let mut content = example();
    name.clone_into(&mut content.org.name);
    content
}

fn signed(org: &mut TestOrg, name: &str) -> Documents {
    Documents(org.signed(&named(name)))
}

fn version(folder: &Path) -> Option<u64> {
    let bytes = std::fs::read(folder.join(MANIFEST_PATH)).ok()?;
    read_manifest(&bytes).ok().map(|manifest| manifest.version)
}

/// What a desktop takes from the folder.
fn followed(folder: &Path, state: Option<TrustState>, now: Timestamp) -> (TrustState, Option<Content>) {
    let read = |path: &str| std::fs::read(folder.join(path)).expect("is there");
    let state = state.unwrap_or_else(|| {
        let root = read(&root_path(1));
        let payload = Envelope::parse(&root).and_then(|envelope| envelope.unverified_payload());
        let fingerprint =
            org_protocol::Root::parse(&payload.expect("a payload")).expect("a root").fingerprint();
        TrustState::begin(fingerprint, &root, now).expect("begins")
    });
    let state = state.accept_manifest(&read(MANIFEST_PATH), now).expect("accepts");
    match state.wanted(None).expect("readable") {
        Some(bundle) => {
            let (state, content) = state.accept_bundle(None, &read(&bundle.path)).expect("applies");
            (state, Some(content))
        }
        None => (state, None),
    }
}

#[test]
fn a_desktop_follows_a_folder_from_publication_to_publication() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut org = TestOrg::new(NOW);
    let first = signed(&mut org, "One");
    let published = publish_to(&first, dir.path(), NOW).expect("publishes");
    assert_eq!((published.org.as_str(), published.version), ("example", 1));
    let (state, content) = followed(dir.path(), None, NOW);
    assert_eq!(content.map(|content| content.org.name), Some("One".to_owned()));

    // A year later the first has long expired.
    let later = NOW.plus(Duration::from_secs(300 * 86_400));
    org.now = later;
    // The root document of the tests says when it expires, so a later one would be another: it is kept.
    let root = first.0[&root_path(1)].clone();
    let Documents(mut second) = signed(&mut org, "Two");
    second.insert(root_path(1), root);
    assert_eq!(publish_to(&Documents(second.clone()), dir.path(), later).expect("publishes").version, 2);
    assert_eq!(publish_to(&Documents(second), dir.path(), later).expect("again").version, 2);
    let (_, content) = followed(dir.path(), Some(state), later);
    assert_eq!(content.map(|content| content.org.name), Some("Two".to_owned()));
    assert!(matches!(publish_to(&first, dir.path(), NOW), Err(HostFault::Refused(_))));
    assert_eq!(version(dir.path()), Some(2));
}

#[test]
fn an_older_one_a_second_of_one_version_and_a_stranger_s_are_not_put_over_a_newer_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut org = TestOrg::new(NOW);
    let old = signed(&mut org, "One");
    let other = signed(&mut org, "Two");
    publish_to(&other, dir.path(), NOW).expect("publishes");
    let code = |documents: &Documents| match publish_to(documents, dir.path(), NOW) {
        Err(HostFault::Refused(advice)) => advice.code,
        outcome => panic!("{outcome:?}"),
    };
    assert_eq!(code(&old), "bundle-rollback");

    let mut twin = TestOrg::new(NOW);
    signed(&mut twin, "One");
    assert_eq!(code(&signed(&mut twin, "Another two")), "bundle-two-of-one-version");

    let mut stranger = TestOrg::new(NOW);
    stranger.root = org_protocol::SigningKey::from_seed(&[9; 32]);
    for _ in 0..4 {
        signed(&mut stranger, "Mine");
    }
    let mine = signed(&mut stranger, "Mine");
    assert!(matches!(publish_to(&mine, dir.path(), NOW), Err(HostFault::Foreign { .. })));

    let mut next = signed(&mut org, "Three");
    let bundle = next.0.keys().find(|path| path.starts_with("v1/bundles/")).cloned().expect("a bundle");
    next.0.entry(bundle).and_modify(|bytes| bytes.push(b' '));
    assert_eq!(code(&next), "bundle-digest");
    assert_eq!(version(dir.path()), Some(2), "nothing of it was written");
    let (_, content) = followed(dir.path(), None, NOW);
    assert_eq!(content.map(|content| content.org.name), Some("Two".to_owned()));
}

#[test]
fn what_lies_there_and_is_not_believed_is_not_written_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut org = TestOrg::new(NOW);
    publish_to(&signed(&mut org, "One"), dir.path(), NOW).expect("publishes");
    std::fs::write(dir.path().join(MANIFEST_PATH), "{}").expect("writes");
    let outcome = publish_to(&signed(&mut org, "Two"), dir.path(), NOW);
    assert!(matches!(outcome, Err(HostFault::There { .. })), "{outcome:?}");

    std::fs::remove_file(dir.path().join(MANIFEST_PATH)).expect("removes");
    let more = dir.path().join(root_path(2));
    std::fs::write(&more, "{}").expect("writes");
    let outcome = publish_to(&signed(&mut org, "Three"), dir.path(), NOW);
    assert!(matches!(outcome, Err(HostFault::OlderRoots { .. })), "{outcome:?}");
    std::fs::remove_file(more).expect("removes");

    let turn = turn(dir.path()).expect("nobody publishes");
    let next = signed(&mut org, "Four");
    assert!(matches!(publish_to(&next, dir.path(), NOW), Err(HostFault::Busy { .. })));
    drop(turn);
    assert_eq!(publish_to(&next, dir.path(), NOW).expect("publishes").version, 4);
}

#[test]
fn a_publication_that_breaks_off_leaves_the_manifest_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut org = TestOrg::new(NOW);
    publish_to(&signed(&mut org, "One"), dir.path(), NOW).expect("publishes");
    let next = signed(&mut org, "Two");
    let bundle = next.0.keys().find(|path| path.starts_with("v1/bundles/")).expect("a bundle");
    // A directory in the bundle's place cannot be replaced by a file.
    std::fs::create_dir_all(dir.path().join(bundle).join("in the way")).expect("makes");
    assert!(matches!(publish_to(&next, dir.path(), NOW), Err(HostFault::File { .. })));
    assert_eq!(version(dir.path()), Some(1));
    followed(dir.path(), None, NOW);
}

#[test]
fn whoever_reads_meanwhile_finds_every_bundle_that_a_manifest_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let folder = dir.path();
    let mut org = TestOrg::new(NOW);
    publish_to(&signed(&mut org, "0"), folder, NOW).expect("publishes");
    let publications: Vec<Documents> = (1..30).map(|name| signed(&mut org, &name.to_string())).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            loop {
                let last = done.load(Ordering::Acquire);
                let bytes = std::fs::read(folder.join(MANIFEST_PATH)).expect("is there");
                let manifest = read_manifest(&bytes).expect("is whole");
                for (_, bundle) in manifest.all_bundles() {
                    let bytes = std::fs::read(folder.join(&bundle.path)).expect("is there already");
                    assert_eq!(Digest::of(&bytes), bundle.sha256, "is whole");
                }
                assert!(manifest.version >= seen, "goes forward");
                seen = manifest.version;
                if last {
                    return seen;
                }
            }
        });
        for documents in &publications {
            publish_to(documents, folder, NOW).expect("publishes");
        }
        done.store(true, Ordering::Release);
        assert_eq!(reader.join().expect("reads"), 30);
    });
}
