//! Shared credentials that are lent to a device: what it gets, and how soon it has to let go.

use std::time::Duration;

use control::admin::{Answer, Ask};
use control::testing::{ANALYST_SECRET, ServedOrg, StandInVault};
use model::{ConnectorId, CredentialId, ForPerson as _, LeaseId, ServerId};
use org::{Lent, Loan, OrgFault};
use org_protocol::{EventKind, HaltTarget};
use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;

use crate::harness::{Desktop, person, show, until};

/// The most that a revocation may take where the device follows the events.
const ONLINE: Duration = Duration::from_secs(2);

/// A desktop that follows events and keeps its leases.
pub(crate) struct Borrower {
    pub(crate) desktop: Desktop,
    _tasks: JoinSet<()>,
}

impl Borrower {
    async fn new(served: &ServedOrg, user: &str, groups: &[&str]) -> Self {
        Self::on(Desktop::new(served).await, served, user, groups).await
    }

    pub(crate) async fn on(desktop: Desktop, served: &ServedOrg, user: &str, groups: &[&str]) -> Self {
        desktop.update().await.expect("fetches").expect("a policy");
        let mut tasks = JoinSet::new();
        let (org, ended) = (desktop.org.clone(), desktop.org.clone());
        tasks.spawn(async move {
            org.follow(move |event| {
                if let EventKind::LeaseEnded { lease } = event {
                    ended.end_lease(lease);
                }
            })
            .await;
        });
        let org = desktop.org.clone();
        tasks.spawn(async move { org.keep_leases().await });
        desktop.sign_in(served, user, groups).await;
        Self { desktop, _tasks: tasks }
    }

    pub(crate) async fn lease(
        &self,
        served: &ServedOrg,
        user: &str,
        credential: &str,
    ) -> Result<Lent, OrgFault> {
        let connector: ConnectorId = "ledger".parse().expect("an id");
        let credential: CredentialId = credential.parse().expect("an id");
        let server: ServerId = "analyst".parse().expect("an id");
        let loan = Loan {
            connector: &connector,
            credential: &credential,
            server: &server,
            subject: &person(served, user),
            client_id: "client",
            client_name: "An assistant",
            program: None,
        };
        self.desktop.org.lease(loan).await
    }
}

pub(crate) async fn served() -> ServedOrg {
    let mut served = ServedOrg::new().await;
    served.publish(ServedOrg::with_ledger).await.expect("publishes");
    served
}

async fn leases(served: &ServedOrg) -> Vec<control::LiveLease> {
    let answer = served.ask(&Ask::ListLeases).await.expect("answers");
    let Answer::Leases { leases } = answer else { panic!("{answer:?}") };
    leases
}

async fn is_ended(mut lent: Lent) {
    let ended = tokio::time::timeout(Duration::from_secs(30), lent.ended.wait_for(|ended| *ended));
    ended.await.expect("the lease ends").expect("it is said");
}

fn code<T>(outcome: Result<T, OrgFault>) -> String {
    outcome.map(|_| ()).expect_err("refused").advice().code
}

#[tokio::test]
async fn whom_policy_permits_gets_the_secret_once_and_it_is_seen_who_holds_it() {
    let served = served().await;
    let alice = Borrower::new(&served, "alice", &["analysts"]).await;
    let lent = alice.lease(&served, "alice", "warehouse-analyst").await.expect("lent");
    assert_eq!(lent.secret.expose_secret(), ANALYST_SECRET);
    let again = alice.lease(&served, "alice", "warehouse-analyst").await.expect("held");
    assert_eq!(again.secret.expose_secret(), ANALYST_SECRET);
    let held = leases(&served).await;
    assert_eq!(held.len(), 1, "one lease for both: {held:?}");
    assert_eq!(
        (held[0].credential.as_str(), held[0].subject.subject.as_str()),
        ("warehouse-analyst", "alice")
    );
    for (path, bytes) in files_below(alice.desktop.home.path()) {
        let found = bytes.windows(ANALYST_SECRET.len()).any(|part| part == ANALYST_SECRET.as_bytes());
        assert!(!found, "{} holds the secret", path.display());
    }
}

fn files_below(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path, bytes));
        }
    }
    found
}

#[tokio::test]
async fn whom_policy_does_not_permit_gets_nothing() {
    let served = served().await;
    let alice = Borrower::new(&served, "alice", &["analysts"]).await;
    assert_eq!(code(alice.lease(&served, "alice", "warehouse-finance").await), "lease-refused");
    let eve = Borrower::new(&served, "eve", &["visitors"]).await;
    assert_eq!(code(eve.lease(&served, "eve", "warehouse-analyst").await), "lease-refused");
    assert_eq!(code(alice.lease(&served, "eve", "warehouse-analyst").await), "org-other-person");
    let target = HaltTarget::Connector { connector: "ledger".parse().expect("an id") };
    served.ask(&Ask::Halt { target, reason: String::new() }).await.expect("stops");
    assert_eq!(code(alice.lease(&served, "alice", "warehouse-analyst").await), "lease-refused");
    assert!(leases(&served).await.is_empty());
}

/// Revocations by turns in each of their ways: how many devices had let go in time.
#[tokio::test]
async fn of_two_hundred_revocations_nearly_all_take_effect_within_two_seconds() {
    let served = served().await;
    let alice = Borrower::new(&served, "alice", &["analysts"]).await;
    let mut times = Vec::new();
    for trial in 0..200 {
        let lent = alice.lease(&served, "alice", "warehouse-analyst").await.expect("lent");
        let id = leases(&served).await[0].id;
        let begun = tokio::time::Instant::now();
        let halt = revoke(&served, trial, id).await;
        is_ended(lent).await;
        times.push(begun.elapsed());
        if let Some(id) = halt {
            served.ask(&Ask::Lift { id }).await.expect("lifts");
        }
    }
    let in_time = times.iter().filter(|took| **took < ONLINE).count();
    show("revocations", times);
    assert!(in_time >= 198, "{in_time} of 200 within {ONLINE:?}");
    let Answer::Credentials { credentials } = served.ask(&Ask::ListCredentials).await.expect("answers")
    else {
        panic!("another answer");
    };
    let exposed = |id: &str| credentials.iter().any(|one| one.id.as_str() == id && one.exposed_at.is_some());
    assert!(exposed("warehouse-analyst") && !exposed("warehouse-finance"), "{credentials:?}");
}

/// Takes a lease back in one of the ways; gives the halt that is to be lifted.
async fn revoke(served: &ServedOrg, trial: usize, id: LeaseId) -> Option<u64> {
    let credential = || "warehouse-analyst".parse().expect("an id");
    let target = match trial % 5 {
        0 => {
            served.put_credential("warehouse-analyst", ANALYST_SECRET).await;
            return None;
        }
        1 => HaltTarget::Credential { credential: credential() },
        2 => HaltTarget::User { person: "alice".to_owned() },
        3 => HaltTarget::Connector { connector: "ledger".parse().expect("an id") },
        _ => {
            served.ask(&Ask::RevokeLease { id }).await.expect("ends it");
            return None;
        }
    };
    let answer = served.ask(&Ask::Halt { target, reason: String::new() }).await.expect("stops");
    let Answer::Halted(halted) = answer else { panic!("{answer:?}") };
    Some(halted.standing.halt.id)
}

#[tokio::test]
async fn a_lease_ends_with_the_policy_the_person_and_the_device() {
    let mut served = served().await;
    {
        let alice = Borrower::new(&served, "alice", &["analysts"]).await;
        let lent = alice.lease(&served, "alice", "warehouse-analyst").await.expect("lent");
        served.publish(|_| ()).await.expect("publishes without it");
        is_ended(lent).await;
        served.publish(ServedOrg::with_ledger).await.expect("publishes");

        let lent = alice.lease(&served, "alice", "warehouse-analyst").await.expect("lent");
        let person = "alice".to_owned();
        served.ask(&Ask::SignOutPerson { person }).await.expect("signs out");
        is_ended(lent).await;
    }
    let bob = Borrower::new(&served, "bob", &["analysts"]).await;
    let lent = bob.lease(&served, "bob", "warehouse-analyst").await.expect("lent");
    let session = bob.desktop.org.session().borrow().clone().expect("a session");
    served.ask(&Ask::RevokeDevice { id: session.device }).await.expect("revokes");
    is_ended(lent).await;
    until("nothing that is lent", async || leases(&served).await.is_empty()).await;
}

#[tokio::test]
async fn whoever_signs_out_or_ends_holds_nothing_any_more() {
    let served = served().await;
    let alice = Borrower::new(&served, "alice", &["analysts"]).await;
    let lent = alice.lease(&served, "alice", "warehouse-analyst").await.expect("lent");
    alice.desktop.org.end_session();
    is_ended(lent).await;
    alice.desktop.sign_in(&served, "alice", &["analysts"]).await;
    let lent = alice.lease(&served, "alice", "warehouse-analyst").await.expect("lent");
    drop(alice);
    is_ended(lent).await;
}

#[tokio::test]
async fn a_secret_that_was_made_for_a_lease_is_revoked_at_its_source_and_leaves_nothing_to_rotate() {
    let served = served().await;
    let vault = StandInVault::start().await.expect("listens");
    let id: CredentialId = "warehouse-analyst".parse().expect("an id");
    let secret = control::admin::Secret("the-token".into());
    let put = Ask::PutCredential { id: id.clone(), secret, source: Some(vault.source("${password}")) };
    served.ask(&put).await.expect("stores");
    let alice = Borrower::new(&served, "alice", &["analysts"]).await;
    let bob = Borrower::new(&served, "bob", &["analysts"]).await;
    let hers = alice.lease(&served, "alice", "warehouse-analyst").await.expect("lent");
    let his = bob.lease(&served, "bob", "warehouse-analyst").await.expect("lent");
    assert_ne!(hers.secret.expose_secret(), his.secret.expose_secret(), "each has its own");
    let lease =
        leases(&served).await.into_iter().find(|lease| lease.subject.subject == "alice").expect("hers").id;
    served.ask(&Ask::RevokeLease { id: lease }).await.expect("ends it");
    is_ended(hers).await;
    let credential = async || {
        let Answer::Credentials { credentials } = served.ask(&Ask::ListCredentials).await.expect("answers")
        else {
            panic!("another answer");
        };
        credentials.into_iter().find(|one| one.id == id).expect("it is there")
    };
    until("the end at the source", async || {
        vault.told().iter().filter(|what| what.starts_with("revoked")).count() == 1
            && credential().await.exposed_at.is_none()
    })
    .await;
    assert!(!*his.ended.borrow(), "his goes on");
}
