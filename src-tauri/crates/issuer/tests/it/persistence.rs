use std::sync::Arc;
use std::time::Duration;

use issuer::{Event, RecordKind, RevocationCause, Store, TokenFault};

use crate::support::*;

#[tokio::test]
async fn everything_but_codes_survives_a_restart() {
    let mut world = world().await;
    world.listen(40000, program("/opt/codex/codex"));
    let client = world.register().await;
    let held = world.sign_in(&client, "analyst").await;
    let (spent, last) = (held.refresh.clone(), tokens(&world.refresh(&client, &held.refresh).await));
    let pending = world.code(&client, "analyst").await;
    let asked = world.times_asked();
    world.restart().await;

    assert_eq!(world.check(&last.access, "analyst").unwrap().client_name, "Claude Code");
    assert!(world.check(&held.access, "analyst").is_ok());
    assert_eq!(error(&world.redeem(&client, &pending).await), "invalid_grant");
    world.code(&client, "analyst").await;
    assert_eq!(world.times_asked(), asked, "the consent is remembered");
    let last = tokens(&world.refresh(&client, &last.refresh).await);
    assert_eq!(
        error(&world.refresh(&client, &spent).await),
        "invalid_grant",
        "a spent token is still known as spent"
    );
    assert_eq!(world.check(&last.access, "analyst").err(), Some(TokenFault::Unknown));
}

#[tokio::test]
async fn what_ended_stays_ended() {
    let mut world = world().await;
    let client = world.register().await;
    let held = world.sign_in(&client, "analyst").await;
    world.issuer.revoke_client(&client).await.unwrap();
    world.restart().await;
    assert_eq!(world.check(&held.access, "analyst").err(), Some(TokenFault::Unknown));
}

#[tokio::test]
async fn no_token_or_code_is_stored_or_reported() {
    let world = world().await;
    world.listen(40000, program("/opt/codex/codex"));
    let client = world.register().await;
    let code = world.code(&client, "analyst").await;
    let first = tokens(&world.redeem(&client, &code).await);
    let second = tokens(&world.refresh(&client, &first.refresh).await);
    let mut seen: String = format!("{:?}", world.events.lock().unwrap());
    for ((_, key), value) in world.store.dump() {
        assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
        seen.push_str(&key);
        seen.push_str(&String::from_utf8(value).unwrap());
    }
    for secret in [&code, &first.access, &first.refresh, &second.access, &second.refresh] {
        assert!(!seen.contains(secret.as_str()));
        assert!(!seen.contains(&secret[4..]), "nor without its prefix");
    }
    for prefix in ["dga_", "dgr_", "dgc_"] {
        assert!(!seen.contains(prefix));
    }
}

#[tokio::test]
async fn nothing_is_answered_that_is_not_durable() {
    let mut world = world().await;
    let client = world.register().await;
    let held = world.sign_in(&client, "analyst").await;
    let code = world.code(&client, "analyst").await;

    world.store.fail(true);
    let response = world.redeem(&client, &code).await;
    assert_eq!((response.status, error(&response).as_str()), (500, "server_error"));
    assert!(!text(&response).contains("told to fail"), "the store's words stay inside");
    let response = world.refresh(&client, &held.refresh).await;
    assert_eq!((response.status, error(&response).as_str()), (500, "server_error"));
    assert!(world.seen(|event| matches!(event, Event::StoreFailed { .. })));

    world.store.fail(false);
    let renewed = tokens(&world.refresh(&client, &held.refresh).await);
    world.restart().await;
    assert!(
        world.check(&renewed.access, "analyst").is_ok(),
        "the refresh token that was not rotated is still good"
    );
}

#[tokio::test]
async fn a_revocation_that_cannot_be_stored_holds_in_memory_and_says_so() {
    let world = world().await;
    let client = world.register().await;
    let held = world.sign_in(&client, "analyst").await;
    world.store.fail(true);
    assert!(world.issuer.revoke_client(&client).await.is_err());
    assert_eq!(world.check(&held.access, "analyst").err(), Some(TokenFault::Unknown));
}

#[tokio::test]
async fn damaged_records_are_dropped_loudly_and_the_rest_is_used() {
    let mut world = world().await;
    world.listen(40000, program("/opt/codex/codex"));
    let client = world.register().await;
    let held = world.sign_in(&client, "analyst").await;
    let healthy = world.store.dump();
    let damaged: [&[u8]; 5] = [b"", b"{", b"{}", b"{\"format\":1}", b"\xff\xff"];
    for kind in [RecordKind::Client, RecordKind::Grant, RecordKind::Consent] {
        for (at, bytes) in damaged.iter().enumerate() {
            world.store.put(kind, format!("{at:064x}"), bytes.to_vec()).await.unwrap();
        }
    }
    world.restart().await;

    let skipped = |event: &&Event| matches!(event, Event::RecordSkipped { .. });
    assert_eq!(world.events.lock().unwrap().iter().filter(skipped).count(), 15);
    assert!(world.check(&held.access, "analyst").is_ok());
    assert_eq!(world.store.dump(), healthy, "the damaged ones are gone, the others untouched");
}

#[tokio::test]
async fn records_of_a_later_version_are_left_for_it() {
    let mut world = world().await;
    let record = br#"{"format":2,"new":true}"#.to_vec();
    world.store.put(RecordKind::Grant, "0".repeat(64), record).await.unwrap();
    world.restart().await;
    assert_eq!(world.store.dump().len(), 1);
    assert!(
        world.seen(|event| matches!(event, Event::RecordSkipped { why, .. } if why.contains("format 2")))
    );
}

#[tokio::test]
async fn an_altered_client_record_cannot_widen_its_redirects() {
    let mut world = world().await;
    let client = world.register().await;
    let ((kind, key), value) = world.store.dump().pop_first().unwrap();
    let altered =
        String::from_utf8(value).unwrap().replace("http://127.0.0.1/callback", "http://evil.example/");
    world.store.put(kind, key, altered.into_bytes()).await.unwrap();
    world.restart().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let request = with(&ask(&client, &challenge, &resource), "redirect_uri", Some("http://evil.example/"));
    assert_page(&world.authorize(&request).await, "the record is dropped as a whole");
}

#[tokio::test]
async fn a_store_that_cannot_be_read_does_not_stop_the_start() {
    let mut world = world().await;
    world.register().await;
    world.store.fail(true);
    world.restart().await;
    assert!(world.issuer.assistants().is_empty());
    assert!(world.seen(|event| matches!(event, Event::StoreFailed { .. })));
    world.store.fail(false);
    let client = world.register().await;
    world.sign_in(&client, "analyst").await;
}

#[tokio::test]
async fn grants_do_not_move_to_another_port() {
    let mut world = world().await;
    let client = world.register().await;
    let held = world.sign_in(&client, "analyst").await;
    world.config.port = 7718;
    world.restart().await;
    for resource in ["http://127.0.0.1:7717/s/analyst/mcp", "http://127.0.0.1:7718/s/analyst/mcp"] {
        let found = world.issuer.introspect(&held.access, resource, world.now());
        assert_eq!(found.err(), Some(TokenFault::Unknown), "{resource}");
    }
    assert!(world.seen(|event| matches!(event, Event::Revoked { cause: RevocationCause::Moved, .. })));
    world.config.port = PORT;
    world.restart().await;
    assert_eq!(world.check(&held.access, "analyst").err(), Some(TokenFault::Unknown), "not even back again");
}

#[tokio::test]
async fn expired_grants_leave_the_store() {
    let world = world().await;
    let client = world.register().await;
    world.sign_in(&client, "analyst").await;
    world.pass(Duration::from_secs(31 * 24 * 60 * 60));
    let code = world.code(&client, "analyst").await;
    world.redeem(&client, &code).await;
    let store = Arc::clone(&world.store);
    let grants = store.dump().keys().filter(|(kind, _)| *kind == RecordKind::Grant).count();
    assert_eq!(grants, 1, "only the new one is left");
}
