use std::collections::BTreeSet;
use std::time::Duration;

use issuer::{Limits, TokenFault};
use model::Subject;

use crate::support::*;

fn ada(groups: &[&str]) -> Subject {
    let groups: BTreeSet<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    Subject { groups, ..Subject::local("ada") }
}

#[tokio::test]
async fn a_grant_shows_the_person_as_they_are_now() {
    let world = world().await;
    let client = world.register().await;
    world.present(Some(ada(&["staff", "finance"])));
    let held = world.sign_in(&client, "analyst").await;
    assert_eq!(*world.check(&held.access, "analyst").unwrap().subject, ada(&["staff", "finance"]));

    world.present(Some(ada(&["staff"])));
    assert_eq!(
        *world.check(&held.access, "analyst").unwrap().subject,
        ada(&["staff"]),
        "a group was taken away"
    );
    assert_eq!(*world.check(&held.access, "analyst").unwrap().subject, ada(&["staff"]));
}

#[tokio::test]
async fn old_tokens_never_act_for_somebody_else() {
    let world = world().await;
    let client = world.register().await;
    let held = world.sign_in(&client, "analyst").await;

    world.present(Some(Subject::local("grace")));
    assert_eq!(world.check(&held.access, "analyst").err(), Some(TokenFault::OtherPerson));
    assert_eq!(error(&world.refresh(&client, &held.refresh).await), "invalid_grant");
    let same_name = Subject { issuer: "https://idp.example".to_owned(), ..Subject::local("ada") };
    world.present(Some(same_name));
    assert_eq!(
        world.check(&held.access, "analyst").err(),
        Some(TokenFault::OtherPerson),
        "another issuer's ada"
    );

    world.present(None);
    assert_eq!(world.check(&held.access, "analyst").err(), Some(TokenFault::SignedOut));
    let renewed = tokens(&world.refresh(&client, &held.refresh).await);
    assert_eq!(world.check(&renewed.access, "analyst").err(), Some(TokenFault::SignedOut));
    world.present(Some(Subject::local("ada")));
    assert!(world.check(&renewed.access, "analyst").is_ok(), "she is back, and her assistants with her");
}

#[tokio::test]
async fn a_code_does_not_outlive_its_person() {
    let world = world().await;
    let client = world.register().await;
    let code = world.code(&client, "analyst").await;
    world.present(Some(Subject::local("grace")));
    assert_eq!(error(&world.redeem(&client, &code).await), "invalid_grant");
}

#[tokio::test]
async fn revoking_one_assistant_leaves_the_other() {
    let world = world_with(Limits::default(), &["analyst", "finance"]).await;
    world.listen(40000, program("/opt/codex/codex"));
    let (one, other) = (world.register_as("One").await, world.register_as("Other").await);
    let ones = [world.sign_in(&one, "analyst").await, world.sign_in(&one, "finance").await];
    let others = world.sign_in(&other, "finance").await;
    let pending = world.code(&one, "analyst").await;

    assert_eq!(world.issuer.revoke_client(&one).await, Ok(2));
    assert_eq!(world.check(&ones[0].access, "analyst").err(), Some(TokenFault::Unknown));
    assert_eq!(world.check(&ones[1].access, "finance").err(), Some(TokenFault::Unknown));
    assert_eq!(error(&world.refresh(&one, &ones[0].refresh).await), "invalid_grant");
    assert_eq!(error(&world.redeem(&one, &pending).await), "invalid_grant", "nor does a code bring it back");
    assert!(world.check(&others.access, "finance").is_ok());

    let before = world.times_asked();
    world.sign_in(&one, "analyst").await;
    assert_eq!(world.times_asked(), before + 1, "its consent is forgotten as well; its registration is not");
}

#[tokio::test]
async fn revoking_an_assistant_at_one_virtual_server_leaves_it_the_others() {
    let world = world_with(Limits::default(), &["analyst", "finance"]).await;
    world.listen(40000, program("/opt/codex/codex"));
    let one = world.register_as("One").await;
    let analyst = world.sign_in(&one, "analyst").await;
    let finance = world.sign_in(&one, "finance").await;
    let pending = [world.code(&one, "analyst").await, world.code(&one, "finance").await];

    let server: model::ServerId = "analyst".parse().unwrap();
    assert_eq!(world.issuer.revoke(&one, &server).await, Ok(1));
    assert_eq!(world.check(&analyst.access, "analyst").err(), Some(TokenFault::Unknown));
    assert_eq!(error(&world.refresh(&one, &analyst.refresh).await), "invalid_grant");
    assert_eq!(
        error(&world.redeem(&one, &pending[0]).await),
        "invalid_grant",
        "nor does a code bring it back"
    );
    assert!(world.check(&finance.access, "finance").is_ok());
    assert_eq!(world.redeem(&one, &pending[1]).await.status, 200);

    let before = world.times_asked();
    world.sign_in(&one, "finance").await;
    assert_eq!(world.times_asked(), before, "the consent elsewhere is remembered");
    world.sign_in(&one, "analyst").await;
    assert_eq!(world.times_asked(), before + 1, "and here it is not");
}

#[tokio::test]
async fn revoking_a_person_leaves_the_others() {
    let world = world().await;
    let client = world.register().await;
    let adas = world.sign_in(&client, "analyst").await;
    world.present(Some(Subject::local("grace")));
    let graces = world.sign_in(&client, "analyst").await;

    assert_eq!(world.issuer.revoke_subject(&Subject::local("ada")).await, Ok(1));
    assert!(world.check(&graces.access, "analyst").is_ok());
    world.present(Some(Subject::local("ada")));
    assert_eq!(world.check(&adas.access, "analyst").err(), Some(TokenFault::Unknown));
    assert_eq!(world.issuer.revoke_all().await, Ok(1));
}

#[tokio::test]
async fn assistants_are_listed_with_what_they_may_use() {
    let world = world_with(Limits::default(), &["analyst", "finance"]).await;
    world.listen(40000, program("/opt/codex/codex"));
    let idle = world.register_as("Idle").await;
    let busy = world.register_as("Busy").await;
    let held = world.sign_in(&busy, "analyst").await;
    world.pass(Duration::from_secs(600));
    world.check(&held.access, "analyst").unwrap();

    let assistants = world.issuer.assistants();
    let ids: Vec<_> = assistants.iter().map(|assistant| assistant.client_id.as_str()).collect();
    assert_eq!(ids, [busy.as_str(), idle.as_str()]);
    assert_eq!((assistants[0].registered, assistants[0].last_used), (Some(START), Some(world.now())));
    assert_eq!((assistants[1].last_used, assistants[1].grants.len()), (None, 0));
    let [grant] = assistants[0].grants.as_slice() else { panic!("one grant") };
    assert_eq!((grant.server.as_str(), grant.subject.as_str()), ("analyst", "ada"));
    assert_eq!((grant.since, grant.last_used), (START, world.now()));
    assert_eq!(grant.executable.as_deref(), Some("/opt/codex/codex"));

    let document = "https://claude.ai/oauth/claude-code-client-metadata";
    let code = world.code(document, "analyst").await;
    world.redeem(document, &code).await;
    let listed = world.issuer.assistants();
    let claude = listed.iter().find(|assistant| assistant.client_id == document).unwrap();
    assert_eq!((claude.client_name.as_str(), claude.registered), ("Claude Code", None));
}
