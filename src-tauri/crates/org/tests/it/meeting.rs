//! Organisations that nobody has introduced.

use control::testing::ServedOrg;
use model::Digest;
use org::{Anchor, Meeting, TrustFault};

use crate::harness::Desktop;

async fn met(served: &ServedOrg) -> Desktop {
    let desktop = Desktop::introduced(served.running.public_url.clone(), Anchor::FirstMet).await;
    desktop.org.resume().await.expect("nothing is wrong");
    assert_eq!(*desktop.org.meeting().borrow(), None);
    assert!(matches!(desktop.org.confirm(served.fingerprint()).await, Err(TrustFault::NotMet)));
    desktop.update().await.expect("fetches").expect("new");
    desktop
}

#[tokio::test]
async fn the_first_that_answers_is_the_organisation_until_a_person_confirms_it() {
    let served = ServedOrg::new().await;
    let desktop = met(&served).await;
    let fingerprint = served.fingerprint();
    assert_eq!(*desktop.org.meeting().borrow(), Some(Meeting { fingerprint, confirmed: false }));

    let other = Digest::of(b"what IT said");
    let refused = desktop.org.confirm(other).await;
    assert!(matches!(refused, Err(TrustFault::Other { met }) if met == fingerprint));
    assert_eq!(*desktop.org.meeting().borrow(), Some(Meeting { fingerprint, confirmed: false }));

    let url = served.running.public_url.clone();
    let desktop = desktop.reintroduced(url.clone(), Anchor::FirstMet).await;
    assert!(desktop.org.resume().await.expect("nothing is wrong").is_some(), "in force again");
    assert_eq!(*desktop.org.meeting().borrow(), Some(Meeting { fingerprint, confirmed: false }));
    desktop.org.confirm(fingerprint).await.expect("it is the same");

    let desktop = desktop.reintroduced(url, Anchor::FirstMet).await;
    desktop.org.resume().await.expect("nothing is wrong");
    assert_eq!(*desktop.org.meeting().borrow(), Some(Meeting { fingerprint, confirmed: true }), "it is kept");
}

/// At another address it is another organisation, which nobody has confirmed.
#[tokio::test]
async fn what_was_confirmed_at_one_address_is_not_at_another() {
    let served = ServedOrg::new().await;
    let desktop = met(&served).await;
    desktop.org.confirm(served.fingerprint()).await.expect("it is the same");
    let elsewhere = ServedOrg::new().await;
    let desktop = desktop.reintroduced(elsewhere.running.public_url.clone(), Anchor::FirstMet).await;
    desktop.org.resume().await.expect("nothing is wrong");
    assert_eq!(*desktop.org.meeting().borrow(), None);
    desktop.update().await.expect("fetches");
    let met = desktop.org.meeting().borrow().expect("met");
    assert!(!met.confirmed);
}
