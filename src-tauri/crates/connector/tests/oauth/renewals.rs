//! Renewals, with a server that ends a family when a refresh token is used twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connector::{Asking, ConnectorGrants, GrantHappening, GrantStatus};
use serde_json::json;
use signin::FaultKind;
use upstream::Bearer;
use vault::Kind;

use crate::people::Someone;
use crate::server::{Bend, Renewal, Server};
use crate::support::{Desk, Moody, bearer, mail, serve, status};

struct Setup {
    server: Server,
    desk: Desk,
    person: Arc<Someone>,
    grants: ConnectorGrants,
    first: Bearer,
}

/// Signed in, at a server that deviates.
async fn signed_in(bend: Bend) -> Setup {
    let server = Server::start(bend).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);
    let first = bearer(&grants).await.unwrap();
    Setup { server, desk, person, grants, first }
}

impl Setup {
    fn age(&self, seconds: u64) {
        self.desk.clock.advance(Duration::from_secs(seconds));
    }

    fn renewals(&self) -> usize {
        self.server.count("refresh_token")
    }

    async fn restarted(&self) -> ConnectorGrants {
        self.grants.close().await;
        let grants = self.desk.grants(&self.person).await;
        serve(&grants, &self.server.url);
        grants
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_at_the_end_of_life_share_one_renewal() {
    let setup = signed_in(Bend::default()).await;
    setup.age(600);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let grants = setup.grants.clone();
            tokio::spawn(async move { bearer(&grants).await.unwrap() })
        })
        .collect();
    for call in calls {
        assert!(!call.await.unwrap().same_as(&setup.first));
    }
    assert_eq!(setup.renewals(), 1);
    assert_eq!(setup.person.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_during_a_renewal_in_the_background_do_not_wait() {
    let setup = signed_in(Bend { slowness: Duration::from_secs(3600), ..Bend::default() }).await;
    setup.age(480);
    testkit::until("the renewal", Duration::from_secs(10), async || (setup.renewals() == 1).then_some(()))
        .await
        .unwrap();
    let token = tokio::time::timeout(Duration::from_secs(5), bearer(&setup.grants)).await;
    assert!(token.expect("the call waited").unwrap().same_as(&setup.first));
}

#[tokio::test]
async fn the_resource_is_named_again_and_a_refresh_token_that_did_not_change_is_kept() {
    let bend = Bend {
        response: |response| {
            if response["refresh_token"] != "refresh-1" {
                response.as_object_mut().unwrap().remove("refresh_token");
            }
        },
        ..Bend::default()
    };
    let setup = signed_in(bend).await;
    setup.age(600);
    bearer(&setup.grants).await.unwrap();
    let forms = setup.server.forms();
    let renewal = forms.iter().find(|form| form["grant_type"] == "refresh_token").unwrap();
    assert_eq!(renewal["resource"], setup.server.url.as_str());
    assert_eq!(renewal["refresh_token"], "refresh-1");
    let again = setup.restarted().await;
    assert!(again.bearer(&mail(), Asking::Never).await.is_ok());
}

#[tokio::test]
async fn a_grant_that_ended_asks_the_person_once_in_the_same_call() {
    let setup = signed_in(Bend { renewals: vec![Renewal::Error("invalid_grant")], ..Bend::default() }).await;
    setup.age(600);
    bearer(&setup.grants).await.unwrap();
    assert_eq!(setup.renewals(), 1);
    assert_eq!(setup.person.asked(), 2);
    let issuer = setup.server.url.origin().ascii_serialization();
    let signed_in = GrantHappening::SignedIn { issuer };
    assert_eq!(setup.desk.happened(), [signed_in.clone(), GrantHappening::Ended, signed_in]);
}

#[tokio::test]
async fn a_grant_that_ended_in_the_background_is_shown_and_nobody_is_disturbed() {
    let setup = signed_in(Bend { renewals: vec![Renewal::Error("invalid_grant")], ..Bend::default() }).await;
    setup.age(480);
    let seen = status(&setup.grants, |status| matches!(status, GrantStatus::NeedsAttention(_))).await;
    let GrantStatus::NeedsAttention(advice) = seen else { unreachable!() };
    assert_eq!(advice.happened, "Mail ended your sign-in.");
    assert_eq!(setup.person.asked(), 1);
    let silent = setup.grants.bearer(&mail(), Asking::Never).await.map(|_| ()).unwrap_err();
    assert_eq!(silent.kind, FaultKind::SignInNeeded);
    assert!(setup.desk.stored(Kind::Grant).await.is_empty());
}

#[tokio::test]
async fn an_answer_lost_to_a_crash_is_asked_for_once_more_over_all_restarts() {
    let renewals = vec![Renewal::Garbage, Renewal::Garbage];
    let setup = signed_in(Bend { renewals, ..Bend::default() }).await;
    setup.age(600);
    let fault = bearer(&setup.grants).await.map(|_| ()).unwrap_err();
    assert!(matches!(fault, FaultKind::Unreadable(_)), "{fault:?}");
    // What is on disk is what a crash between the answer and its saving leaves.
    for _ in 0..3 {
        let again = setup.restarted().await;
        let silent = again.bearer(&mail(), Asking::Never).await.map(|_| ()).unwrap_err();
        assert_eq!(silent.kind, FaultKind::SignInNeeded);
        again.close().await;
    }
    assert_eq!(
        setup.renewals(),
        2,
        "once more, in case the answer was lost before the server acted, and no more"
    );
    bearer(&setup.restarted().await).await.unwrap();
    assert_eq!(setup.person.asked(), 2);
}

#[tokio::test]
async fn ending_the_program_during_a_renewal_loses_nothing() {
    let setup = signed_in(Bend { slowness: Duration::from_millis(500), ..Bend::default() }).await;
    setup.age(480);
    testkit::until("the renewal", Duration::from_secs(10), async || (setup.renewals() == 1).then_some(()))
        .await
        .unwrap();
    let again = setup.restarted().await;
    let token = again.bearer(&mail(), Asking::Never).await.unwrap();
    assert!(!token.same_as(&setup.first), "the rotated token was saved before the end");
    setup.age(600);
    again.bearer(&mail(), Asking::Never).await.unwrap();
    assert_eq!((setup.renewals(), setup.person.asked()), (2, 1));
}

#[tokio::test]
async fn a_rotated_token_that_cannot_be_saved_is_not_used_and_not_lost() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let store = Arc::new(Moody { vault: desk.vault().await, full: AtomicBool::new(false) });
    let grants = desk.grants_of("employee", &person, Arc::<Moody>::clone(&store));
    serve(&grants, &server.url);
    bearer(&grants).await.unwrap();

    store.full.store(true, Ordering::SeqCst);
    desk.clock.advance(Duration::from_secs(600));
    let fault = bearer(&grants).await.map(|_| ()).unwrap_err();
    assert!(matches!(fault, FaultKind::Vault(_)), "{fault:?}");
    assert_eq!(server.count("refresh_token"), 0, "not even begun: the use could not be noted");
    store.full.store(false, Ordering::SeqCst);
    desk.clock.advance(Duration::from_secs(10));
    bearer(&grants).await.unwrap();
    assert_eq!(server.count("refresh_token"), 1);
    assert_eq!(person.asked(), 1);
}

#[tokio::test]
async fn a_token_that_the_connector_refuses_is_renewed_once_and_then_the_person_is_asked() {
    let setup = signed_in(Bend::default()).await;
    setup.grants.rejected(&mail(), &setup.first, None).await;
    let second = bearer(&setup.grants).await.unwrap();
    assert!(!second.same_as(&setup.first));
    assert_eq!((setup.renewals(), setup.person.asked()), (1, 1));

    setup.grants.rejected(&mail(), &setup.first, None).await;
    assert!(bearer(&setup.grants).await.unwrap().same_as(&second), "an old refusal changes nothing");

    setup.grants.rejected(&mail(), &second, None).await;
    bearer(&setup.grants).await.unwrap();
    assert_eq!((setup.renewals(), setup.person.asked()), (1, 2), "no loop of renewals");
}

#[tokio::test]
async fn a_token_without_an_end_is_used_until_it_is_refused() {
    let bend = Bend {
        response: |response| {
            response
                .as_object_mut()
                .unwrap()
                .retain(|name, _| name == "access_token" || name == "token_type");
        },
        ..Bend::default()
    };
    let setup = signed_in(bend).await;
    setup.age(10_000_000);
    assert!(bearer(&setup.grants).await.unwrap().same_as(&setup.first));
    setup.grants.rejected(&mail(), &setup.first, None).await;
    bearer(&setup.grants).await.unwrap();
    assert_eq!((setup.renewals(), setup.person.asked()), (0, 2));
}

#[tokio::test]
async fn the_account_is_named_where_the_server_names_it() {
    let bend = Bend {
        // {"email":"alice@acme.test"}
        response: |response| response["id_token"] = json!("e30.eyJlbWFpbCI6ImFsaWNlQGFjbWUudGVzdCJ9.x"),
        ..Bend::default()
    };
    let setup = signed_in(bend).await;
    let seen = status(&setup.grants, |_| true).await;
    assert!(matches!(seen, GrantStatus::SignedIn { account: Some(name), .. } if name == "alice@acme.test"));
}

#[tokio::test]
async fn a_clock_that_is_set_changes_nothing_and_sleep_counts() {
    let setup = signed_in(Bend::default()).await;
    let real = os::Clock::now(&*setup.desk.clock);
    for jump in [model::Timestamp::from_seconds(0), real.plus(Duration::from_secs(1_000_000))] {
        setup.desk.clock.set(jump);
        assert!(bearer(&setup.grants).await.unwrap().same_as(&setup.first));
    }
    assert_eq!(setup.renewals(), 0);
    setup.desk.clock.set(model::Timestamp::from_seconds(0));
    setup.age(600);
    assert!(
        !bearer(&setup.grants).await.unwrap().same_as(&setup.first),
        "time has passed, whatever the clock shows"
    );
}

#[tokio::test]
async fn signing_out_revokes_the_refresh_token() {
    let setup = signed_in(Bend::default()).await;
    setup.grants.sign_out(&mail()).await.unwrap();
    let revoked = testkit::until("the revocation", Duration::from_secs(10), async || {
        setup.server.forms().into_iter().find(|form| form.contains_key("token_type_hint"))
    })
    .await
    .unwrap();
    assert_eq!(
        (revoked["token"].as_str(), revoked["token_type_hint"].as_str()),
        ("refresh-1", "refresh_token")
    );
    assert_eq!(revoked["client_id"], "dyn-0");
}
