//! Root documents: walked one by one, and what cures a stolen key.

use super::*;

#[test]
fn rotation_walks_one_by_one() {
    let org = Org::new();
    let rotated = Org::with_keys("acme", vec![key(2), key(3)], key(12));
    let two = Root { version: 2, ..rotated.root.clone() };
    let signers = [key(1), key(2), key(3)];
    let three = Root { version: 3, ..two.clone() };

    let begun = org.begun();
    assert_eq!(
        begun.accept_root(&sign_root(&three, &signers), NOW),
        Err(Refusal::RootVersion { expected: 2, found: 3 })
    );
    assert_eq!(
        begun.accept_root(&sign_root(&org.root, &org.root_keys), NOW),
        Err(Refusal::RootVersion { expected: 2, found: 1 })
    );
    let state = begun.accept_root(&sign_root(&two, &signers), NOW).expect("old and new keys signed");
    let state = state.accept_root(&sign_root(&three, &[key(2), key(3)]), NOW).expect("the new keys signed");
    assert_eq!(state.root().version, 3);
}

#[test]
fn rotation_needs_the_old_keys_and_the_new_ones() {
    let org = Org::new();
    let two = Root { version: 2, ..Org::with_keys("acme", vec![key(3), key(4)], key(12)).root };
    for signers in [vec![key(3), key(4)], vec![key(1), key(2)], vec![key(1), key(3), key(4)]] {
        assert!(
            matches!(
                org.begun().accept_root(&sign_root(&two, &signers), NOW),
                Err(Refusal::Envelope(DsseFault::TooFewSignatures { .. }))
            ),
            "{signers:?}"
        );
    }
    assert!(org.begun().accept_root(&sign_root(&two, &[key(1), key(2), key(3), key(4)]), NOW).is_ok());
}

#[test]
fn a_walk_that_begins_again_ends_no_earlier_than_before() {
    let org = Org::new();
    let rotated = Org::with_keys("acme", vec![key(1), key(2)], key(12));
    let two = Root { version: 2, ..org.root.clone() };
    let three = Root { version: 3, ..rotated.root.clone() };
    let walk = |state: &TrustState, root| state.accept_root(&sign_root(root, &org.root_keys), NOW);
    let before = walk(&walk(&org.begun(), &two).expect("walks on"), &three).expect("walks on");

    let begun = TrustState::begin_again(before.ratchet().clone(), &org.root_envelope(), NOW).expect("begins");
    let stolen = org.signed(&org.manifest(1, b"x"));
    for (state, found) in [(begun.clone(), 1), (walk(&begun, &two).expect("walks on"), 2)] {
        let behind = Refusal::RootRollback { seen: 3, found };
        assert_eq!(state.check_root(), Err(behind.clone()));
        assert_eq!(state.accept_manifest(&stolen, NOW), Err(behind), "its keys may be the lost ones");
        assert_eq!(state.ratchet().root_version(), 3, "what is persisted does not go back");
    }
    let caught_up = walk(&walk(&begun, &two).expect("walks on"), &three).expect("walks on");
    assert_eq!((caught_up.check_root(), &caught_up), (Ok(()), &before));
}

#[test]
fn an_expired_root_is_a_step_to_one_that_is_not() {
    let org = Org::new();
    let late = NOW.plus(400 * DAY);
    let two = Root { version: 2, expires: late.plus(DAY), ..org.root.clone() };
    let state = org.begun().accept_root(&sign_root(&two, &org.root_keys), late).expect("walks on");
    let manifest = Manifest { issued: late, expires: late.plus(DAY), ..org.manifest(1, b"x") };
    assert!(state.accept_manifest(&org.signed(&manifest), late).is_ok());
}

#[test]
fn fast_forward_is_cured_by_a_new_epoch() {
    let org = Org::new();
    let stolen = org.signed(&org.manifest(u64::MAX, &bundle("thief")));
    let state = org.begun().accept_manifest(&stolen, NOW).expect("a stolen key is a good key");
    let cured = Org::with_keys("acme", vec![key(1), key(2)], key(12));
    let two = Root { version: 2, epoch: 2, ..cured.root.clone() };
    let state = state.accept_root(&sign_root(&two, &org.root_keys), NOW).expect("walks on");

    assert_eq!(
        state.accept_manifest(&stolen, NOW),
        Err(Refusal::Envelope(DsseFault::TooFewSignatures { valid: 0, needed: 1 }))
    );
    let old_epoch = sign_manifest(&org.manifest(1, b"x"), &cured.manifest_key);
    assert_eq!(state.accept_manifest(&old_epoch, NOW), Err(Refusal::WrongEpoch { expected: 2, found: 1 }));
    let fresh = Manifest { epoch: 2, ..org.manifest(1, b"x") };
    assert!(state.accept_manifest(&sign_manifest(&fresh, &cured.manifest_key), NOW).is_ok());
}

#[test]
fn epoch_rollback() {
    let org = Org::new();
    let two = Root { version: 2, epoch: 2, ..org.root.clone() };
    let three = Root { version: 3, epoch: 1, ..org.root.clone() };
    let state = org.begun().accept_root(&sign_root(&two, &org.root_keys), NOW).expect("walks on");
    assert_eq!(
        state.accept_root(&sign_root(&three, &org.root_keys), NOW),
        Err(Refusal::EpochRollback { seen: 2, found: 1 })
    );
}
