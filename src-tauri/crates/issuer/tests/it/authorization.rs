use std::sync::Arc;
use std::time::Duration;

use issuer::{Event, Limits, Route};
use model::{Consent, PersonFault, Subject};

use crate::support::*;

const STRANGER: &str = "a-verifier-of-somebody-else-that-is-long-enough-to-be-one";
const CLAUDE: &str = "https://claude.ai/oauth/claude-code-client-metadata";

#[tokio::test]
async fn a_person_who_allows_sends_a_code_to_the_redirect() {
    let world = world().await;
    world.listen(40000, program("/opt/claude/claude"));
    let client = world.register().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let response = world.authorize(&ask(&client, &challenge, &resource)).await;

    assert_eq!(response.status, 302);
    assert!(response.header("location").unwrap().starts_with(&format!("{REDIRECT}?code=dgc_")));
    assert_eq!(answer(&response, "state").as_deref(), Some("st&te"));
    assert_eq!(answer(&response, "iss").as_deref(), Some(ISSUER), "RFC 9207");
    let asked = world.person.asked.lock().unwrap();
    let asked = asked.first().unwrap();
    assert_eq!((asked.server.as_str(), asked.server_title.as_str()), ("analyst", "The analyst"));
    assert_eq!((asked.client_name.as_str(), asked.client_id.as_str()), ("Claude Code", client.as_str()));
    assert_eq!(asked.redirect_uri.as_ref().map(url::Url::as_str), Some(REDIRECT));
    assert_eq!(asked.process, Some(program("/opt/claude/claude")), "the program that really listens");
    assert_eq!(asked.subject, Subject::local("ada"));
    assert_eq!(asked.deadline, Duration::from_secs(300));
    assert!(world.seen(|event| matches!(event, Event::Consented { remembered: false, .. })));
}

#[tokio::test]
async fn no_answer_goes_to_a_redirect_that_is_not_the_clients() {
    let world = world().await;
    let client = world.register().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let good = ask(&client, &challenge, &resource);
    for redirect in [
        None,
        Some("https://evil.example/callback"),
        Some("http://evil.example/callback"),
        Some("http://127.0.0.1.evil.example/callback"),
        Some("http://127.0.0.1:40000@evil.example/callback"),
        Some("http://user@127.0.0.1:40000/callback"),
        Some("http://127.0.0.1:40000/callback/"),
        Some("http://127.0.0.1:40000/callback/../evil"),
        Some("http://127.0.0.1:40000/callback?x=1"),
        Some("http://127.0.0.1:40000/callback#x"),
        Some("http://127.0.0.1:40000/Callback"),
        Some("http://127.0.0.1:40000/%63allback"),
        Some("http://127.0.0.1:40000//callback"),
        Some("http://127.0.0.1:40000"),
        Some("http://127.0.0.1:40000/callback\r\nLocation: http://evil.example"),
        Some("http://127.0.0.1:40000/callback "),
        Some("http://127.0.0.1:40000\\@evil.example/callback"),
        Some("http://localhost:40000/callback"),
        Some("http://LOCALHOST:40000/callback"),
        Some("http://[::1]:40000/callback"),
        Some("http://127.1:40000/callback"),
        Some("http://0.0.0.0:40000/callback"),
        Some("http://127.0.0.1:0/callback"),
        Some("http://127.0.0.1:99999/callback"),
        Some("http://127.0.0.1:/callback"),
        Some("HTTP://127.0.0.1:40000/callback"),
        Some("https://127.0.0.1:40000/callback"),
        Some("//127.0.0.1:40000/callback"),
        Some("/callback"),
        Some("javascript:alert(1)"),
        Some("data:text/html,<script>alert(1)</script>"),
        Some("cursor://anysphere.cursor-mcp/oauth/callback"),
        Some("urn:ietf:wg:oauth:2.0:oob"),
        Some("*"),
    ] {
        let response = world.authorize(&with(&good, "redirect_uri", redirect)).await;
        assert_page(&response, &format!("{redirect:?}"));
    }
    for client_id in
        [None, Some("dg-client-unknown"), Some("https://unknown.example/client.json"), Some("Claude Code")]
    {
        let response = world.authorize(&with(&good, "client_id", client_id)).await;
        assert_page(&response, &format!("{client_id:?}"));
    }
    let mut twice = good.clone();
    twice.push(("redirect_uri", "http://evil.example/"));
    assert_page(&world.authorize(&twice).await, "two redirects");
    let mut twice = good.clone();
    twice.push(("client_id", client.as_str()));
    assert_page(&world.authorize(&twice).await, "two clients");
    assert_page(&world.get(Route::Authorize, "client_id=%ff").await, "not UTF-8");
    assert_page(&world.get(Route::Authorize, &"a".repeat(9000)).await, "too long");
    assert_eq!(world.times_asked(), 0, "and nobody was asked");
}

#[tokio::test]
async fn pages_never_show_what_the_request_brought() {
    let world = world().await;
    let canary = "canary-in-the-page";
    for query in [
        format!("client_id={canary}"),
        format!("client_id={CLAUDE}&redirect_uri=http://{canary}/"),
        format!("client_id=https://{canary}/"),
    ] {
        let response = world.get(Route::Authorize, &query).await;
        assert_page(&response, &query);
        assert!(!text(&response).contains(canary), "{}", text(&response));
    }
}

#[tokio::test]
async fn any_port_of_loopback_is_the_same_redirect() {
    let world = world().await;
    let client = world.register().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let good = ask(&client, &challenge, &resource);
    for redirect in
        ["http://127.0.0.1/callback", "http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback"]
    {
        let response = world.authorize(&with(&good, "redirect_uri", Some(redirect))).await;
        let location = response.header("location").unwrap_or_default();
        assert!(location.starts_with(&format!("{redirect}?code=")), "{redirect}: {location}");
    }
}

#[tokio::test]
async fn every_other_fault_is_told_at_the_redirect_and_asks_nobody() {
    let world = world_with(Limits::default(), &["analyst", "finance"]).await;
    let client = world.register().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let good = ask(&client, &challenge, &resource);
    let foreign = "http://127.0.0.1:7718/s/analyst/mcp";
    for (name, value, error) in [
        ("response_type", None, "invalid_request"),
        ("response_type", Some("token"), "unsupported_response_type"),
        ("response_type", Some("code id_token"), "unsupported_response_type"),
        ("response_mode", Some("fragment"), "invalid_request"),
        ("response_mode", Some("form_post"), "invalid_request"),
        ("request", Some("eyJ"), "request_not_supported"),
        ("request_uri", Some("https://evil.example/"), "request_not_supported"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("prompt", Some("none login"), "invalid_request"),
        ("prompt", Some("consent none"), "invalid_request"),
        ("prompt", Some("none"), "consent_required"),
        ("resource", None, "invalid_target"),
        ("resource", Some("x"), "invalid_target"),
        ("resource", Some(foreign), "invalid_target"),
        ("resource", Some("http://127.0.0.1:7717/s/analyst/mcp/"), "invalid_target"),
        ("resource", Some("http://127.0.0.1:7717/s/analyst/mcp?x"), "invalid_target"),
        ("resource", Some("http://127.0.0.1:7717/s/absent/mcp"), "invalid_target"),
        ("resource", Some("http://127.0.0.1:7717"), "invalid_target"),
        ("resource", Some("/s/analyst/mcp"), "invalid_target"),
        ("resource", Some("http://127.0.0.1:7717http://127.0.0.1:7717/s/analyst/mcp"), "invalid_target"),
        ("resource", Some("http://localhost:7717/s/analyst/mcp"), "invalid_target"),
        ("resource", Some("https://127.0.0.1:7717/s/analyst/mcp"), "invalid_target"),
    ] {
        let response = world.authorize(&with(&good, name, value)).await;
        assert_redirected(&response, error, &format!("{name}={value:?}"));
        assert_eq!(answer(&response, "state").as_deref(), Some("st&te"), "{name}={value:?}");
    }
    for name in ["response_type", "code_challenge", "code_challenge_method", "scope", "prompt", "state"] {
        let mut twice = good.clone();
        twice.extend([(name, "a"), (name, "b")]);
        assert_redirected(&world.authorize(&twice).await, "invalid_request", name);
    }
    let mut two = good.clone();
    two.push(("resource", "http://127.0.0.1:7717/s/finance/mcp"));
    assert_redirected(&world.authorize(&two).await, "invalid_target", "two resources");
    assert_eq!(world.times_asked(), 0);
}

#[tokio::test]
async fn a_refusal_a_deadline_and_a_cancelled_window_deny() {
    let world = world().await;
    let client = world.register().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    for refusal in [
        Ok(Consent::Deny),
        Err(PersonFault::Deadline),
        Err(PersonFault::Cancelled),
        Err(PersonFault::Nobody("no display".to_owned())),
    ] {
        world.answer(refusal.clone());
        let response = world.authorize(&ask(&client, &challenge, &resource)).await;
        assert_redirected(&response, "access_denied", &format!("{refusal:?}"));
    }
    assert!(world.seen(|event| matches!(event, Event::Refused { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_person_who_never_answers_is_not_waited_for_longer_than_the_deadline() {
    let world = world().await;
    let client = world.register().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    world.person.gate.forget_permits(100_000);
    let started = tokio::time::Instant::now();
    let response = world.authorize(&ask(&client, &challenge, &resource)).await;
    assert_redirected(&response, "access_denied", "nobody answered");
    assert!(started.elapsed() < Duration::from_secs(310), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_code_lives_from_the_answer_not_from_the_question() {
    let world = world().await;
    let client = world.register().await;
    let clock = Arc::clone(&world.clock);
    let think = Duration::from_secs(240);
    *world.person.meanwhile.lock().unwrap() = Some(Box::new(move || {
        clock.fetch_add(i64::try_from(think.as_micros()).unwrap(), std::sync::atomic::Ordering::SeqCst);
    }));
    let code = world.code(&client, "analyst").await;
    world.pass(Duration::from_secs(59));
    assert_eq!(world.redeem(&client, &code).await.status, 200);
}

#[tokio::test]
async fn a_listener_of_another_user_gets_nothing() {
    let world = world().await;
    let client = world.register().await;
    let foreign = model::ListeningProcess { user_id: 1001, ..program("/opt/claude/claude") };
    world.listen(40000, foreign);
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    assert_page(&world.authorize(&ask(&client, &challenge, &resource)).await, "another user's listener");
    assert_eq!(world.times_asked(), 0);
}

#[tokio::test]
async fn a_listener_that_changes_while_the_person_thinks_gets_nothing() {
    let newcomers = [
        None,
        Some(program("/tmp/thief")),
        Some(model::ListeningProcess { pid: 43, ..program("/opt/claude") }),
    ];
    for newcomer in newcomers {
        let world = world().await;
        let client = world.register().await;
        world.listen(40000, program("/opt/claude"));
        let (processes, next) = (Arc::clone(&world.processes), newcomer.clone());
        *world.person.meanwhile.lock().unwrap() = Some(Box::new(move || {
            processes.lock().unwrap().remove(&40000);
            processes.lock().unwrap().extend(next.map(|process| (40000, process)));
        }));
        let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
        let response = world.authorize(&ask(&client, &challenge, &resource)).await;
        assert_eq!(world.times_asked(), 1);
        assert_page(&response, &format!("{newcomer:?}"));
    }
}

#[tokio::test]
async fn a_consent_is_remembered_for_the_program_that_was_shown() {
    let world = world_with(Limits::default(), &["analyst", "finance"]).await;
    let (one, other) = (world.register_as("One").await, world.register_as("Other").await);
    world.listen(40000, program("/opt/codex/codex"));
    world.listen(40001, program("/opt/codex/codex"));
    world.listen(40002, program("/tmp/codex"));
    let (challenge, analyst, finance) = (challenge(VERIFIER), resource("analyst"), resource("finance"));
    let first = ask(&one, &challenge, &analyst);
    world.authorize(&first).await;
    assert_eq!(world.times_asked(), 1);

    let cases = [
        ("the same again", first.clone(), false),
        ("from another port", with(&first, "redirect_uri", Some("http://127.0.0.1:40001/callback")), false),
        ("asked to prompt", with(&first, "prompt", Some("consent")), true),
        ("asked to prompt", with(&first, "prompt", Some("login")), true),
        ("asked not to prompt", with(&first, "prompt", Some("none")), false),
        ("another program", with(&first, "redirect_uri", Some("http://127.0.0.1:40002/callback")), true),
        ("an unknown program", with(&first, "redirect_uri", Some("http://127.0.0.1:40003/callback")), true),
        ("another server", ask(&one, &challenge, &finance), true),
        ("another client", ask(&other, &challenge, &analyst), true),
    ];
    for (why, request, asks) in cases {
        let before = world.times_asked();
        let response = world.authorize(&request).await;
        assert!(answer(&response, "code").is_some(), "{why}: {}", text(&response));
        assert_eq!(world.times_asked() > before, asks, "{why}");
    }
    world.present(Some(Subject::local("grace")));
    let before = world.times_asked();
    world.authorize(&first).await;
    assert_eq!(world.times_asked(), before + 1, "another person");
    assert!(world.seen(|event| matches!(event, Event::Consented { remembered: true, .. })));
}

#[tokio::test]
async fn a_consent_is_remembered_for_one_redirect_only() {
    let world = world().await;
    world.listen(40000, program("/opt/codex/codex"));
    let redirects = ["http://127.0.0.1/callback", "http://127.0.0.1/other"];
    let registered = world.post_json(&serde_json::json!({ "redirect_uris": redirects })).await;
    let client = document(&registered)["client_id"].as_str().unwrap().to_owned();
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let first = ask(&client, &challenge, &resource);
    world.authorize(&first).await;
    world.authorize(&with(&first, "redirect_uri", Some("http://127.0.0.1:40000/other"))).await;
    assert_eq!(world.times_asked(), 2);
}

/// Whoever gets hold of the address of a request and opens it elsewhere gains nothing by the consent that the person gave
/// before.
#[tokio::test]
async fn threat_8_a_consent_is_good_for_the_request_that_it_was_given_to() {
    let world = world().await;
    let client = world.register().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let request = ask(&client, &challenge, &resource);
    world.answer(Ok(Consent::Allow));
    world.answer(Ok(Consent::Deny));
    let first = world.authorize(&request).await;
    assert!(answer(&first, "code").is_some(), "{}", text(&first));
    let replayed = world.authorize(&request).await;
    assert_redirected(&replayed, "access_denied", "the person is asked again, and denies");
    assert_eq!(world.times_asked(), 2);

    // Both wait at the same time: one answer serves one of them.
    world.answer(Ok(Consent::Allow));
    world.answer(Ok(Consent::Deny));
    let (one, other) = tokio::join!(world.authorize(&request), world.authorize(&request));
    let codes = [&one, &other].into_iter().filter(|response| answer(response, "code").is_some()).count();
    assert_eq!((codes, world.times_asked()), (1, 4));

    // A code is of no use to whoever did not ask for it.
    let code = answer(&one, "code").or_else(|| answer(&other, "code")).unwrap();
    let stolen = with(&redemption(&client, &code), "code_verifier", Some(STRANGER));
    assert_eq!(error(&world.post_form(Route::Token, &stolen).await), "invalid_grant");
    assert_eq!(error(&world.redeem(&client, &code).await), "invalid_grant", "and spent by the attempt");
}

#[tokio::test]
async fn a_consent_is_not_remembered_for_programs_that_run_others_code() {
    for executable in ["/usr/bin/node", "/usr/bin/python3.11", "/usr/bin/bash"] {
        let world = world().await;
        let client = world.register().await;
        world.listen(40000, program(executable));
        world.code(&client, "analyst").await;
        world.code(&client, "analyst").await;
        assert_eq!(world.times_asked(), 2, "{executable}");
    }
}

#[tokio::test]
async fn a_missing_resource_is_inferred_where_only_one_is_meant() {
    let world = world_with(Limits::default(), &["analyst", "finance"]).await;
    let client = world.register().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let open = with(&ask(&client, &challenge, &resource), "resource", None);
    let asked =
        |world: &World| world.person.asked.lock().unwrap().last().map(|asked| asked.server.to_string());

    assert_redirected(&world.authorize(&open).await, "invalid_target", "two servers");
    world.authorize(&with(&open, "scope", Some("offline_access server:finance"))).await;
    assert_eq!(asked(&world).as_deref(), Some("finance"), "the scope of the challenge names it");
    let both = with(&open, "scope", Some("server:finance server:analyst"));
    assert_redirected(&world.authorize(&both).await, "invalid_target", "two scopes");
    let absent = with(&open, "scope", Some("server:absent"));
    assert_redirected(&world.authorize(&absent).await, "invalid_target", "no such server");

    world.servers.hidden.lock().unwrap().insert(id("finance"));
    world.authorize(&open).await;
    assert_eq!(asked(&world).as_deref(), Some("analyst"), "the only one that the person may use");
}

#[tokio::test]
async fn a_server_that_the_person_may_not_use_is_denied_without_asking() {
    let world = world_with(Limits::default(), &["analyst", "finance"]).await;
    let client = world.register().await;
    world.servers.hidden.lock().unwrap().insert(id("finance"));
    let (challenge, resource) = (challenge(VERIFIER), resource("finance"));
    assert_redirected(
        &world.authorize(&ask(&client, &challenge, &resource)).await,
        "access_denied",
        "hidden",
    );
    world.present(None);
    assert_redirected(
        &world.authorize(&ask(&client, &challenge, &resource)).await,
        "access_denied",
        "signed out",
    );
    assert_eq!(world.times_asked(), 0);
}

#[tokio::test]
async fn what_changes_while_the_person_thinks_counts() {
    type Change = fn(&Servers);
    let changes: [(&str, Change); 3] = [
        ("signed out", |servers| *servers.present.lock().unwrap() = None),
        ("another person", |servers| {
            *servers.present.lock().unwrap() = Some(Arc::new(Subject::local("grace")))
        }),
        ("hidden", |servers| {
            servers.hidden.lock().unwrap().insert(id("analyst"));
        }),
    ];
    for (why, change) in changes {
        let world = world().await;
        let client = world.register().await;
        let servers = Arc::clone(&world.servers);
        *world.person.meanwhile.lock().unwrap() = Some(Box::new(move || change(&servers)));
        let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
        assert_redirected(&world.authorize(&ask(&client, &challenge, &resource)).await, "access_denied", why);
    }
}

#[tokio::test]
async fn a_custom_scheme_is_always_asked_about() {
    let world = world().await;
    let redirect = "cursor://anysphere.cursor-mcp/oauth/callback";
    let registered =
        world.post_json(&serde_json::json!({ "client_name": "Cursor", "redirect_uris": [redirect] })).await;
    let client = document(&registered)["client_id"].as_str().unwrap().to_owned();
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    for times in 1..=2 {
        let request = with(&ask(&client, &challenge, &resource), "redirect_uri", Some(redirect));
        let response = world.authorize(&request).await;
        assert!(response.header("location").unwrap().starts_with(&format!("{redirect}?code=")));
        assert_eq!(world.times_asked(), times);
    }
}
