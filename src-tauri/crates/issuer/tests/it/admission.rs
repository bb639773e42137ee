use std::sync::{Arc, Mutex};
use std::time::Duration;

use issuer::{Admission, AdmissionFault, Event, TokenFault, Visit};
use model::{Consent, ListeningProcess, PersonFault, Subject};

use crate::support::*;

const CLAUDE: &str = "/opt/claude/claude-desktop";

/// What the process table says of the program, now and later.
type Told = Arc<Mutex<Option<ListeningProcess>>>;

fn visit(server: &str, told: &Told) -> Visit {
    let told = Arc::clone(told);
    Visit { server: id(server), program: Arc::new(move || told.lock().unwrap().clone()), through: None }
}

async fn admit(world: &World, executable: &str, server: &str) -> Result<Admission, AdmissionFault> {
    let told = Arc::new(Mutex::new(Some(program(executable))));
    world.issuer.admit(visit(server, &told)).await
}

async fn refused(world: &World, executable: &str, server: &str) -> Option<AdmissionFault> {
    admit(world, executable, server).await.err()
}

#[tokio::test]
async fn a_bridge_is_asked_about_like_any_assistant_and_listed_with_them() {
    let world = world().await;
    let admitted = admit(&world, CLAUDE, "analyst").await.unwrap();
    {
        let asked = world.person.asked.lock().unwrap();
        let asked = asked.first().unwrap();
        assert_eq!((asked.server.as_str(), asked.server_title.as_str()), ("analyst", "The analyst"));
        assert_eq!(asked.client_name, "claude-desktop");
        assert_eq!(asked.process, Some(program(CLAUDE)), "the program that really asks");
        assert_eq!((asked.redirect_uri.as_ref(), asked.deadline), (None, Duration::from_secs(300)));
    }
    let grant = admitted.check(world.now()).unwrap();
    assert_eq!((grant.server.as_str(), grant.executable.as_deref()), ("analyst", Some(CLAUDE)));
    assert_eq!(*grant.subject, Subject::local("ada"));
    let listed = world.issuer.assistants();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].client_id, listed[0].grants.len()), (&grant.client_id, 1));
    assert!(world.seen(|event| matches!(event, Event::Consented { remembered: false, .. })));
}

#[tokio::test]
async fn a_bridge_s_consent_is_remembered_for_its_program_and_virtual_server() {
    let mut world = world_with(issuer::Limits::default(), &["analyst", "finance"]).await;
    admit(&world, CLAUDE, "analyst").await.unwrap();
    let cases = [
        ("the same again", CLAUDE, "analyst", false),
        ("another server", CLAUDE, "finance", true),
        ("another program", "/tmp/claude-desktop", "analyst", true),
        ("a program that runs others' code", "/usr/bin/python3.11", "analyst", true),
        ("and again", "/usr/bin/python3.11", "analyst", true),
    ];
    for (why, executable, server, asks) in cases {
        let before = world.times_asked();
        admit(&world, executable, server).await.unwrap();
        assert_eq!(world.times_asked() > before, asks, "{why}");
    }
    world.restart().await;
    let before = world.times_asked();
    admit(&world, CLAUDE, "analyst").await.unwrap();
    assert_eq!(world.times_asked(), before, "a restart forgets nothing");
    let of_claude = world
        .issuer
        .assistants()
        .into_iter()
        .find(|known| known.client_id.ends_with("opt/claude/claude-desktop"));
    assert_eq!(of_claude.unwrap().grants.len(), 2, "one for each virtual server, however often it came");
}

#[tokio::test]
async fn a_revoked_bridge_stands_for_nothing_and_is_asked_about_again() {
    let world = world().await;
    let admitted = admit(&world, CLAUDE, "analyst").await.unwrap();
    let second = admit(&world, CLAUDE, "analyst").await.unwrap();
    let client_id = admitted.check(world.now()).unwrap().client_id.clone();
    world.issuer.revoke_client(&client_id).await.unwrap();
    assert_eq!(admitted.check(world.now()).err(), Some(TokenFault::Unknown));
    assert_eq!(second.check(world.now()).err(), Some(TokenFault::Unknown), "every connection of the program");
    let before = world.times_asked();
    admit(&world, CLAUDE, "analyst").await.unwrap();
    assert_eq!(world.times_asked(), before + 1);
    assert_eq!(admitted.check(world.now()).err(), Some(TokenFault::Unknown), "what ended does not come back");
}

#[tokio::test]
async fn a_bridge_acts_for_the_person_who_is_there_and_while_its_server_is() {
    let world = world().await;
    let admitted = admit(&world, CLAUDE, "analyst").await.unwrap();
    let more = Subject { groups: std::iter::once("finance".to_owned()).collect(), ..Subject::local("ada") };
    world.present(Some(more.clone()));
    assert_eq!(*admitted.check(world.now()).unwrap().subject, more, "with the groups of now");
    world.present(Some(Subject::local("grace")));
    assert_eq!(admitted.check(world.now()).err(), Some(TokenFault::OtherPerson));
    world.present(None);
    assert_eq!(admitted.check(world.now()).err(), Some(TokenFault::SignedOut));
    world.present(Some(more));
    world.servers.titles.lock().unwrap().clear();
    assert_eq!(admitted.check(world.now()).err(), Some(TokenFault::ServerGone));
}

#[tokio::test]
async fn a_bridge_that_is_not_let_in_is_told_why() {
    let world = world_with(issuer::Limits::default(), &["analyst", "finance"]).await;
    world.answer(Ok(Consent::Deny));
    assert_eq!(refused(&world, CLAUDE, "analyst").await, Some(AdmissionFault::Denied));
    world.answer(Err(PersonFault::Deadline));
    assert_eq!(
        refused(&world, CLAUDE, "analyst").await,
        Some(AdmissionFault::NoAnswer(PersonFault::Deadline))
    );
    assert!(world.seen(|event| matches!(event, Event::Refused { .. })));
    let asked = world.times_asked();
    assert_eq!(refused(&world, CLAUDE, "absent").await, Some(AdmissionFault::NoServer(id("absent"))));
    world.servers.hidden.lock().unwrap().insert(id("finance"));
    assert_eq!(refused(&world, CLAUDE, "finance").await, Some(AdmissionFault::NoServer(id("finance"))));
    world.present(None);
    assert_eq!(refused(&world, CLAUDE, "analyst").await, Some(AdmissionFault::SignedOut));
    world.present(Some(Subject::local("ada")));
    let foreign = Arc::new(Mutex::new(Some(ListeningProcess { user_id: 1001, ..program(CLAUDE) })));
    let fault = world.issuer.admit(visit("analyst", &foreign)).await.err();
    assert_eq!(fault, Some(AdmissionFault::ForeignProgram));
    assert_eq!(world.times_asked(), asked, "nobody was asked");
    assert!(world.issuer.assistants().is_empty());
}

#[tokio::test]
async fn a_program_that_goes_away_while_the_person_thinks_is_not_let_in() {
    for newcomer in [None, Some(program("/tmp/thief"))] {
        let world = world().await;
        let told = Arc::new(Mutex::new(Some(program(CLAUDE))));
        let (changing, next) = (Arc::clone(&told), newcomer.clone());
        *world.person.meanwhile.lock().unwrap() = Some(Box::new(move || *changing.lock().unwrap() = next));
        let fault = world.issuer.admit(visit("analyst", &told)).await.err();
        assert_eq!((fault, world.times_asked()), (Some(AdmissionFault::ProgramChanged), 1), "{newcomer:?}");
        assert!(world.issuer.assistants().is_empty());
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_told_is_asked_about_each_time() {
    let world = world().await;
    let told = Arc::new(Mutex::new(None));
    for times in 1..=2 {
        world.issuer.admit(visit("analyst", &told)).await.unwrap();
        assert_eq!(world.times_asked(), times);
    }
}
