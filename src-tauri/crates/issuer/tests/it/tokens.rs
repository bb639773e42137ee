use std::time::Duration;

use issuer::{Event, Limits, RevocationCause, Route, TokenFault};
use model::Subject;

use crate::support::*;

fn revoked(world: &World, wanted: RevocationCause) -> bool {
    world.seen(|event| matches!(event, Event::Revoked { cause, .. } if *cause == wanted))
}

#[tokio::test]
async fn a_code_becomes_tokens_for_one_server() {
    let world = world().await;
    world.listen(40000, program("/opt/claude/claude"));
    let client = world.register().await;
    let code = world.code(&client, "analyst").await;
    let response = world.redeem(&client, &code).await;

    let body = document(&response);
    assert_eq!(response.status, 200, "{body}");
    assert_eq!((body["token_type"].as_str(), body["expires_in"].as_u64()), (Some("Bearer"), Some(3600)));
    assert_eq!(body["scope"], "server:analyst");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("pragma"), Some("no-cache"));
    let tokens = tokens(&response);
    assert!(tokens.access.starts_with("dga_") && tokens.access.len() == 47, "{}", tokens.access);
    assert!(tokens.refresh.starts_with("dgr_"));
    let grant = world.check(&tokens.access, "analyst").unwrap();
    assert_eq!((grant.client_id.as_str(), grant.client_name.as_str()), (client.as_str(), "Claude Code"));
    assert_eq!((grant.server.as_str(), &*grant.subject), ("analyst", &Subject::local("ada")));
    assert_eq!(grant.executable.as_deref(), Some("/opt/claude/claude"));
    assert_eq!(grant.expires, START.plus(Duration::from_secs(3600)));
}

#[tokio::test]
async fn whatever_is_wrong_with_a_redemption_spends_the_code() {
    let world = world_with(Limits::default(), &["analyst", "finance"]).await;
    let (client, other) = (world.register_as("One").await, world.register_as("Other").await);
    let finance = resource("finance");
    let wrong = challenge("wrong");
    for (name, value, error_code) in [
        ("client_id", other.as_str(), "invalid_grant"),
        ("code_verifier", "another-verifier-that-is-long-enough-for-the-RFC", "invalid_grant"),
        ("code_verifier", wrong.as_str(), "invalid_grant"),
        ("code_verifier", "short", "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1:40001/callback", "invalid_grant"),
        ("redirect_uri", "http://evil.example/", "invalid_grant"),
        ("resource", finance.as_str(), "invalid_target"),
        ("resource", "http://127.0.0.1:7717/s/analyst/mcp/", "invalid_target"),
    ] {
        let code = world.code(&client, "analyst").await;
        let response =
            world.post_form(Route::Token, &with(&redemption(&client, &code), name, Some(value))).await;
        assert_eq!((response.status, error(&response).as_str()), (400, error_code), "{name}={value}");
        let again = world.redeem(&client, &code).await;
        assert_eq!(error(&again), "invalid_grant", "{name}={value}: one try");
    }
    assert!(world.issuer.assistants().iter().all(|assistant| assistant.grants.is_empty()));
}

#[tokio::test]
async fn requests_that_are_no_redemption_are_refused_and_leave_the_code() {
    let world = world().await;
    let client = world.register().await;
    let code = world.code(&client, "analyst").await;
    let good = redemption(&client, &code);
    for (name, value, error_code) in [
        ("grant_type", None, "invalid_request"),
        ("grant_type", Some("password"), "unsupported_grant_type"),
        ("grant_type", Some("client_credentials"), "unsupported_grant_type"),
        ("client_id", None, "invalid_request"),
        ("client_id", Some("dg-client-unknown"), "invalid_client"),
        ("code", None, "invalid_request"),
        ("code", Some("dgc_unknown"), "invalid_grant"),
        ("code_verifier", None, "invalid_request"),
    ] {
        let response = world.post_form(Route::Token, &with(&good, name, value)).await;
        assert_eq!((response.status, error(&response).as_str()), (400, error_code), "{name}={value:?}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    let mut twice = good.clone();
    twice.push(("code_verifier", VERIFIER));
    assert_eq!(error(&world.post_form(Route::Token, &twice).await), "invalid_request");
    let body = form(&good);
    for content_type in [None, Some("application/json"), Some("text/plain"), Some("multipart/form-data")] {
        let response = world.issuer.handle(request(Route::Token, "POST", None, content_type, &body)).await;
        assert_eq!(
            (response.status, error(&response).as_str()),
            (400, "invalid_request"),
            "{content_type:?}"
        );
    }
    let query = world
        .issuer
        .handle(request(Route::Token, "POST", Some(&body), Some("application/x-www-form-urlencoded"), ""))
        .await;
    assert_eq!(query.status, 400, "nothing is read from the query");
    let mut secret = request(Route::Token, "POST", None, Some("application/x-www-form-urlencoded"), &body);
    secret.authorization = Some("Basic eDp5".to_owned());
    let response = world.issuer.handle(secret).await;
    assert_eq!((response.status, error(&response).as_str()), (401, "invalid_client"));
    assert!(response.header("www-authenticate").is_some());

    assert_eq!(world.redeem(&client, &code).await.status, 200, "the code is still good");
}

#[tokio::test]
async fn a_code_lives_sixty_seconds() {
    let world = world().await;
    let client = world.register().await;
    let (young, old) = (world.code(&client, "analyst").await, world.code(&client, "analyst").await);
    world.pass(Duration::from_millis(59_999));
    assert_eq!(world.redeem(&client, &young).await.status, 200);
    world.pass(Duration::from_millis(1));
    assert_eq!(error(&world.redeem(&client, &old).await), "invalid_grant");
}

#[tokio::test]
async fn a_code_that_comes_twice_ends_what_was_issued_from_it() {
    let world = world().await;
    let client = world.register().await;
    let bystander = world.sign_in(&client, "analyst").await;
    let code = world.code(&client, "analyst").await;
    let first = tokens(&world.redeem(&client, &code).await);
    let renewed = tokens(&world.refresh(&client, &first.refresh).await);

    assert_eq!(error(&world.redeem(&client, &code).await), "invalid_grant");
    for token in [&first.access, &renewed.access] {
        assert_eq!(world.check(token, "analyst").err(), Some(TokenFault::Unknown));
    }
    assert_eq!(error(&world.refresh(&client, &renewed.refresh).await), "invalid_grant");
    assert!(revoked(&world, RevocationCause::CodeReuse));
    assert!(world.check(&bystander.access, "analyst").is_ok(), "another grant is not touched");
}

#[tokio::test]
async fn a_code_is_redeemed_by_the_program_that_it_went_to() {
    let claude = program("/opt/claude/claude");
    let thief = program("/tmp/thief");
    let foreign = model::ListeningProcess { user_id: 1001, ..claude.clone() };
    let moved = model::ListeningProcess { pid: 4242, ..claude.clone() };
    for (listens, redeems, status) in [
        (Some(&claude), Some(&claude), 200),
        (Some(&claude), Some(&moved), 200),
        (Some(&claude), None, 200),
        (None, Some(&claude), 200),
        (Some(&claude), Some(&thief), 400),
        (Some(&claude), Some(&foreign), 400),
    ] {
        let world = world().await;
        if let Some(process) = listens {
            world.listen(40000, model::ListeningProcess { user_id: 1000, ..process.clone() });
        }
        let client = world.register().await;
        let code = world.code(&client, "analyst").await;
        let body = form(&redemption(&client, &code));
        let mut asked = request(Route::Token, "POST", None, Some("application/x-www-form-urlencoded"), &body);
        asked.peer = redeems.cloned();
        let response = world.issuer.handle(asked).await;
        assert_eq!(response.status, status, "{listens:?} {redeems:?} {}", text(&response));
    }
}

#[tokio::test]
async fn a_redirect_uri_may_be_left_out_of_a_redemption() {
    let world = world().await;
    let client = world.register().await;
    let code = world.code(&client, "analyst").await;
    let response =
        world.post_form(Route::Token, &with(&redemption(&client, &code), "redirect_uri", None)).await;
    assert_eq!(response.status, 200, "OAuth 2.1, section 10.1");
}

#[tokio::test]
async fn a_token_of_one_server_is_refused_at_every_other() {
    let names = ["analyst", "finance", "mail", "a", "analyst-2"];
    let world = world_with(Limits::default(), &names).await;
    let client = world.register().await;
    let mut held = Vec::new();
    for name in names {
        held.push((name, world.sign_in(&client, name).await));
    }
    for (of, tokens) in &held {
        for at in names {
            let found = world.check(&tokens.access, at).map(|grant| grant.server.to_string());
            let expected = if *of == at { Ok(at.to_owned()) } else { Err(TokenFault::Audience) };
            assert_eq!(found, expected, "a token of {of} at {at}");
        }
        for near in [
            "",
            "http://127.0.0.1:7717",
            "http://localhost:7717/s/analyst/mcp",
            "HTTP://127.0.0.1:7717/s/analyst/mcp",
            "http://127.0.0.1:7717/s/analyst/mcp/",
            "http://127.0.0.1:7718/s/analyst/mcp",
        ] {
            let found = world.issuer.introspect(&tokens.access, near, world.now());
            assert_eq!(found.err(), Some(TokenFault::Audience), "a token of {of} at {near:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_access_token_is_not_known() {
    let world = world().await;
    let client = world.register().await;
    let code = world.code(&client, "analyst").await;
    let tokens = tokens(&world.redeem(&client, &code).await);
    let shouted = tokens.access.to_uppercase();
    let padded = format!("{} ", tokens.access);
    for token in [
        "",
        "dga_",
        "x",
        &code,
        &tokens.refresh,
        &tokens.access[1..],
        &tokens.access[..46],
        &shouted,
        &padded,
    ] {
        assert_eq!(world.check(token, "analyst").err(), Some(TokenFault::Unknown), "{token}");
    }
}

#[tokio::test]
async fn an_access_token_lives_an_hour() {
    let world = world().await;
    let client = world.register().await;
    let tokens = world.sign_in(&client, "analyst").await;
    world.pass(Duration::from_micros(3_599_999_999));
    assert!(world.check(&tokens.access, "analyst").is_ok());
    world.pass(Duration::from_micros(1));
    assert_eq!(world.check(&tokens.access, "analyst").err(), Some(TokenFault::Expired));
}

#[tokio::test]
async fn a_refresh_token_rotates_and_leaves_calls_in_flight_alone() {
    let world = world().await;
    let client = world.register().await;
    let first = world.sign_in(&client, "analyst").await;
    world.pass(Duration::from_secs(48 * 60));
    let second = tokens(&world.refresh(&client, &first.refresh).await);
    assert_ne!((&first.access, &first.refresh), (&second.access, &second.refresh));
    assert!(world.check(&first.access, "analyst").is_ok(), "it lives out its hour");
    assert!(world.check(&second.access, "analyst").is_ok());
    world.pass(Duration::from_secs(12 * 60));
    assert_eq!(world.check(&first.access, "analyst").err(), Some(TokenFault::Expired));
    assert!(world.check(&second.access, "analyst").is_ok());
}

#[tokio::test]
async fn a_spent_refresh_token_ends_the_grant_however_old_it_is() {
    for rotations in [1, 2, 20] {
        let world = world().await;
        let client = world.register().await;
        let first = world.sign_in(&client, "analyst").await;
        let mut last = first.clone();
        for _ in 0..rotations {
            last = tokens(&world.refresh(&client, &last.refresh).await);
        }
        assert_eq!(error(&world.refresh(&client, &first.refresh).await), "invalid_grant");
        assert_eq!(world.check(&last.access, "analyst").err(), Some(TokenFault::Unknown), "{rotations}");
        assert_eq!(error(&world.refresh(&client, &last.refresh).await), "invalid_grant", "{rotations}");
        assert!(revoked(&world, RevocationCause::RefreshReuse));
    }
}

#[tokio::test]
async fn a_refresh_token_is_bound_to_client_resource_and_time() {
    let world = world_with(Limits::default(), &["analyst", "finance"]).await;
    let (client, other) = (world.register_as("One").await, world.register_as("Other").await);
    let held = world.sign_in(&client, "analyst").await;
    assert_eq!(error(&world.refresh(&other, &held.refresh).await), "invalid_grant");
    for resource in [resource("finance"), "x".to_owned()] {
        let renewal = [
            ("grant_type", "refresh_token"),
            ("client_id", client.as_str()),
            ("refresh_token", held.refresh.as_str()),
            ("resource", resource.as_str()),
        ];
        assert_eq!(error(&world.post_form(Route::Token, &renewal).await), "invalid_target", "{resource}");
    }
    for bad in ["dgr_x", "", held.access.as_str(), &held.refresh[..held.refresh.len() - 1]] {
        assert_ne!(world.refresh(&client, bad).await.status, 200, "{bad}");
    }
    world.pass(Duration::from_secs(30 * 24 * 60 * 60 - 1));
    let renewed = tokens(&world.refresh(&client, &held.refresh).await);
    world.pass(Duration::from_secs(30 * 24 * 60 * 60));
    assert_eq!(error(&world.refresh(&client, &renewed.refresh).await), "invalid_grant", "expired");
}

#[tokio::test]
async fn a_client_revokes_its_own_tokens() {
    let world = world().await;
    let (client, other) = (world.register_as("One").await, world.register_as("Other").await);
    let held = world.sign_in(&client, "analyst").await;
    let theirs = [("token", held.refresh.as_str()), ("client_id", other.as_str())];
    assert_eq!(error(&world.post_form(Route::Revoke, &theirs).await), "unauthorized_client");
    assert!(world.check(&held.access, "analyst").is_ok());

    let access = [
        ("token", held.access.as_str()),
        ("client_id", client.as_str()),
        ("token_type_hint", "refresh_token"),
    ];
    assert_eq!(world.post_form(Route::Revoke, &access).await.status, 200);
    assert_eq!(world.check(&held.access, "analyst").err(), Some(TokenFault::Unknown));
    let renewed = tokens(&world.refresh(&client, &held.refresh).await);

    let refresh = [("token", renewed.refresh.as_str()), ("client_id", client.as_str())];
    assert_eq!(world.post_form(Route::Revoke, &refresh).await.status, 200);
    assert_eq!(world.check(&renewed.access, "analyst").err(), Some(TokenFault::Unknown));
    assert_eq!(error(&world.refresh(&client, &renewed.refresh).await), "invalid_grant");
    assert!(revoked(&world, RevocationCause::Client));

    for token in ["dga_unknown", "dgr_unknown", renewed.refresh.as_str()] {
        assert_eq!(
            world.post_form(Route::Revoke, &[("token", token)]).await.status,
            200,
            "RFC 7009, section 2.2"
        );
    }
    assert_eq!(error(&world.post_form(Route::Revoke, &[("client_id", "x")]).await), "invalid_request");
}

#[tokio::test]
async fn the_least_recently_used_grant_gives_way() {
    let limits = Limits { grants_per_client: 2, ..Limits::default() };
    let world = world_with(limits, &["analyst", "finance"]).await;
    let client = world.register().await;
    let elsewhere = world.sign_in(&client, "finance").await;
    let first = world.sign_in(&client, "analyst").await;
    let second = world.sign_in(&client, "analyst").await;
    world.pass(Duration::from_secs(1));
    world.check(&first.access, "analyst").unwrap();
    let third = world.sign_in(&client, "analyst").await;
    assert_eq!(world.check(&second.access, "analyst").err(), Some(TokenFault::Unknown));
    assert!(world.check(&first.access, "analyst").is_ok());
    assert!(world.check(&third.access, "analyst").is_ok());
    assert!(world.check(&elsewhere.access, "finance").is_ok());
    assert!(revoked(&world, RevocationCause::Bound));
}
