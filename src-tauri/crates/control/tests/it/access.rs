//! Who may use a shared account, as IT sees it.

use control::admin::{Answer, Ask, AskFault, CredentialAccess};
use org_protocol::HaltTarget;

use crate::harness::{Org, served, signed_in};

async fn access(org: &Org, id: &str) -> Result<CredentialAccess, AskFault> {
    let answer = org.ask(&Ask::ShowCredential { id: id.parse().expect("an id") }).await?;
    let Answer::Access(access) = answer else { panic!("{answer:?}") };
    Ok(*access)
}

fn names(access: &CredentialAccess) -> Vec<&str> {
    access.people.iter().map(|one| one.subject.subject.as_str()).collect()
}

#[tokio::test]
async fn it_sees_who_may_use_an_account_by_the_policy_and_the_last_claims_of_each() {
    let org = served().await;
    signed_in(&org, "alice", &["analysts"]).await;
    signed_in(&org, "bob", &["analysts", "finance"]).await;
    signed_in(&org, "eve", &["visitors"]).await;
    let analyst = access(&org, "warehouse-analyst").await.expect("told");
    assert_eq!(names(&analyst), ["alice"], "bob uses the other, which comes first");
    assert_eq!(analyst.people[0].connector.as_str(), "warehouse");
    assert_eq!(analyst.connectors.len(), 1);
    assert!(analyst.stored.is_some() && analyst.leases.is_empty());
    let finance = access(&org, "warehouse-finance").await.expect("told");
    assert_eq!(names(&finance), ["bob"]);

    // Who lost a group by their last sign-in, or is stopped, is not among them.
    signed_in(&org, "bob", &["analysts"]).await;
    let people = names(&access(&org, "warehouse-analyst").await.expect("told")).join(" ");
    assert_eq!(people, "alice bob");
    let target = HaltTarget::User { person: "alice".to_owned() };
    org.ask(&Ask::Halt { target, reason: String::new() }).await.expect("stops");
    let left = access(&org, "warehouse-analyst").await.expect("told");
    assert_eq!(names(&left), ["bob"]);

    let unknown = access(&org, "nobodys").await;
    assert!(matches!(unknown, Err(AskFault::Refused(advice)) if advice.code == "unknown"));
    let records = org.records(control::Filter::default()).await;
    let asked = records.iter().filter(|record| record["body"]["facts"]["act"] == "credential-show").count();
    assert_eq!(asked, 5, "each question is recorded");
}
