//! A connector that wants more scopes than the token has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connector::{Asking, ConnectorGrants};
use model::PersonFault;
use signin::FaultKind;
use upstream::Bearer;

use crate::people::Someone;
use crate::server::{Bend, Server, parameters};
use crate::support::{Desk, bearer, mail, serve, spec};

const WANTS: &str = "Bearer error=\"insufficient_scope\", scope=\"mail.read mail.send\"";

async fn step_up(grants: &ConnectorGrants, refused: &Bearer, challenge: &str) -> Result<(), FaultKind> {
    grants.step_up(&mail(), refused, challenge, Asking::Allowed).await.map_err(|fault| fault.kind)
}

/// A person who has signed in for the scope that the connector names first, and the token.
async fn signed_in(bend: Bend) -> (Desk, Server, Arc<Someone>, ConnectorGrants, Bearer) {
    let server = Server::start(bend).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);
    let first = bearer(&grants).await.unwrap();
    (desk, server, person, grants, first)
}

/// The scopes of the request that was made as the n-th.
fn asked_for(person: &Someone, number: usize) -> Vec<String> {
    let scopes = parameters(&person.requests()[number].authorize_url).remove("scope").unwrap_or_default();
    scopes.split(' ').map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_come_together_have_the_person_asked_once_for_all_scopes() {
    let (_desk, _server, person, grants, first) = signed_in(Bend::default()).await;
    assert_eq!(asked_for(&person, 0), ["mail.read"], "what the connector says to whoever has no token");

    let steps: Vec<_> = (0..10)
        .map(|_| {
            let (grants, first) = (grants.clone(), first.clone());
            tokio::spawn(async move { step_up(&grants, &first, WANTS).await })
        })
        .collect();
    for step in steps {
        step.await.unwrap().unwrap();
    }
    assert_eq!(person.asked(), 2);
    assert_eq!(asked_for(&person, 1), ["mail.read", "mail.send"]);
    assert!(!bearer(&grants).await.unwrap().same_as(&first), "the calls go on with another token");
}

#[tokio::test]
async fn a_connector_that_is_never_content_is_not_asked_for_again_and_again() {
    let (_desk, _server, person, grants, first) = signed_in(Bend::default()).await;
    step_up(&grants, &first, WANTS).await.unwrap();

    let second = bearer(&grants).await.unwrap();
    let again = step_up(&grants, &second, WANTS).await;
    assert_eq!(again, Err(FaultKind::Scopes("\"mail.read\", \"mail.send\"".to_owned())));
    let nothing = step_up(&grants, &second, "Bearer error=\"insufficient_scope\"").await;
    assert_eq!(nothing, Err(FaultKind::Scopes("more scopes".to_owned())), "it does not say what it wants");
    assert_eq!(person.asked(), 2);
}

#[tokio::test]
async fn what_was_allowed_is_asked_for_again_after_a_restart_and_forgotten_with_the_account() {
    let (desk, server, person, grants, first) = signed_in(Bend::default()).await;
    step_up(&grants, &first, WANTS).await.unwrap();
    grants.close().await;

    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);
    bearer(&grants).await.unwrap();
    assert_eq!(person.asked(), 2, "the grant was kept");
    grants.sign_in(&mail()).await.unwrap();
    assert_eq!(asked_for(&person, 2), ["mail.read", "mail.send"]);

    grants.sign_out(&mail()).await.unwrap();
    bearer(&grants).await.unwrap();
    assert_eq!(asked_for(&person, 3), ["mail.read"]);
}

#[tokio::test]
async fn no_connector_gets_more_scopes_than_it_set() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    grants.serve(&BTreeMap::from([(mail(), spec(&server.url, None, &["mail.read"]))]));
    let first = bearer(&grants).await.unwrap();
    assert_eq!(
        step_up(&grants, &first, WANTS).await,
        Err(FaultKind::Scopes("\"mail.read\", \"mail.send\"".to_owned()))
    );
    assert_eq!(person.asked(), 1);
}

#[tokio::test]
async fn whoever_does_not_allow_more_is_left_alone_for_a_while_and_keeps_the_account() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let (allows, willing) = (server.authorize(), Arc::new(AtomicBool::new(true)));
    let asked = Arc::clone(&willing);
    let person = Arc::new(Someone::who(move |request| {
        if asked.load(Ordering::SeqCst) { allows(request) } else { Err(PersonFault::Cancelled) }
    }));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);
    let first = bearer(&grants).await.unwrap();

    willing.store(false, Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(step_up(&grants, &first, WANTS).await, Err(FaultKind::Cancelled));
    }
    assert_eq!(person.asked(), 2);
    assert!(bearer(&grants).await.unwrap().same_as(&first), "other calls go on");
    willing.store(true, Ordering::SeqCst);
    desk.clock.advance(Duration::from_secs(30));
    grants.sign_in(&mail()).await.unwrap();
    assert_eq!(asked_for(&person, 2), ["mail.read"], "what was refused is not asked for by the way");
    let second = bearer(&grants).await.unwrap();
    step_up(&grants, &second, WANTS).await.unwrap();
}

#[tokio::test]
async fn whoever_unticks_a_scope_is_told_that_this_is_why() {
    let less = |answer: &mut serde_json::Value| answer["scope"] = "mail.read".into();
    let (_desk, _server, person, grants, first) = signed_in(Bend { response: less, ..Bend::default() }).await;
    assert_eq!(step_up(&grants, &first, WANTS).await, Err(FaultKind::NotAllowedByPerson));
    let second = bearer(&grants).await.unwrap();
    assert_eq!(
        step_up(&grants, &second, WANTS).await,
        Err(FaultKind::NotAllowedByPerson),
        "and left alone a while"
    );
    assert_eq!(person.asked(), 2);
}

#[tokio::test]
async fn scopes_that_it_takes_away_are_not_asked_for_again() {
    let (_desk, server, person, grants, first) = signed_in(Bend::default()).await;
    step_up(&grants, &first, WANTS).await.unwrap();
    grants.serve(&BTreeMap::from([(mail(), spec(&server.url, None, &["mail.read"]))]));
    grants.sign_in(&mail()).await.unwrap();
    assert_eq!(asked_for(&person, 2), ["mail.read"]);
}

#[tokio::test]
async fn what_a_list_needs_is_asked_for_at_the_next_sign_in() {
    let (_desk, _server, person, grants, first) = signed_in(Bend::default()).await;
    let listed = grants.step_up(&mail(), &first, WANTS, Asking::Never).await.map_err(|fault| fault.kind);
    assert_eq!(listed, Err(FaultKind::SignInNeeded));
    assert_eq!(person.asked(), 1, "nobody waits, so nobody is asked");
    grants.sign_in(&mail()).await.unwrap();
    assert_eq!(asked_for(&person, 1), ["mail.read", "mail.send"]);
}
