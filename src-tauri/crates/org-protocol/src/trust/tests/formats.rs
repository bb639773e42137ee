//! Bundles of several formats under one manifest.

use super::*;

fn bundle_of(format: u32, name: &str) -> Vec<u8> {
    serde_json::to_vec(&Content { format, ..content("acme", name) }).expect("JSON")
}

fn seen(org: &Org, bundles: &[(u32, &[u8])]) -> TrustState {
    let bundles = bundles.iter().map(|(format, bundle)| (*format, reference(bundle))).collect();
    let manifest = Manifest { bundles, ..org.manifest(1, b"x") };
    org.begun().accept_manifest(&org.signed(&manifest), NOW).expect("accepts")
}

#[test]
fn the_newest_format_that_can_be_read_is_taken() {
    let org = Org::new();
    let (first, second) = (bundle_of(1, "first"), bundle_of(2, "the second"));
    let seen_all = seen(&org, &[(1, &first), (2, &second), (3, b"of the future")]);
    assert_eq!(seen_all.wanted(None), Ok(Some(reference(&second))));
    let (_, content) = seen_all.accept_bundle(None, &second).expect("applies");
    assert_eq!((content.format, content.org.name.as_str()), (2, "the second"));
    assert!(matches!(seen_all.accept_bundle(None, &first), Err(Refusal::BundleSize { .. })));

    let seen_old = seen(&org, &[(1, &first)]);
    assert_eq!(seen_old.accept_bundle(None, &first).map(|(_, content)| content.format), Ok(1));
    let future = seen(&org, &[(3, b"of the future")]);
    assert_eq!(future.wanted(None), Err(Refusal::NoReadableBundle { formats: vec![3] }));
}

#[test]
fn a_bundle_of_another_format_than_the_manifest_says_is_refused() {
    let org = Org::new();
    let first = bundle_of(1, "first");
    let mixed = seen(&org, &[(2, &first)]);
    assert_eq!(
        mixed.accept_bundle(None, &first).map(|_| ()),
        Err(Refusal::BundleFormat { expected: 2, found: 1 })
    );
    let future = bundle_of(3, "future");
    let mixed = seen(&org, &[(2, &future)]);
    assert_eq!(
        mixed.accept_bundle(None, &future).map(|_| ()),
        Err(Refusal::Content(ContentFault::Format(3)))
    );
}
