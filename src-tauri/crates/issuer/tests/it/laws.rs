//! Laws, tried on generated requests and histories.

use std::collections::BTreeSet;
use std::time::Duration;

use issuer::{Route, TokenFault};
use proptest::prelude::*;

use crate::support::*;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

fn parameter() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        Just("response_type"),
        Just("client_id"),
        Just("redirect_uri"),
        Just("code_challenge"),
        Just("code_challenge_method"),
        Just("resource"),
        Just("state"),
        Just("scope"),
        Just("prompt"),
        Just("response_mode"),
        Just("request"),
        Just("nonce"),
    ];
    let value = prop_oneof![
        Just("code".to_owned()),
        Just("S256".to_owned()),
        Just("plain".to_owned()),
        Just("none".to_owned()),
        Just("consent".to_owned()),
        Just(resource("analyst")),
        Just(resource("finance")),
        Just(REDIRECT.to_owned()),
        Just("http://evil.example/callback".to_owned()),
        Just("http://127.0.0.1:40000/other".to_owned()),
        Just(challenge(VERIFIER)),
        "\\PC{0,20}",
        "http://127\\.0\\.0\\.1:[0-9]{1,5}/[a-z?#@.]{0,10}",
    ];
    (name.prop_map(str::to_owned), value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is done to an authorization request: either nothing is redirected, or the client's own redirect gets an
    /// answer with the issuer, and a code only for a request with a challenge by S256.
    #[test]
    fn an_answer_goes_to_the_registered_redirect_or_nowhere(
        changes in proptest::collection::vec((parameter(), any::<bool>()), 0..4)
    ) {
        run(async {
            let world = world_with(issuer::Limits::default(), &["analyst", "finance"]).await;
            let client = world.register().await;
            let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
            let mut request: Vec<(String, String)> = ask(&client, &challenge, &resource)
                .into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            for ((name, value), replaces) in changes {
                if replaces {
                    request.retain(|(known, _)| *known != name);
                }
                request.push((name, value));
            }
            let pairs: Vec<_> = request.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let response = world.get(Route::Authorize, &form(&pairs)).await;
            let Some(location) = response.header("location") else {
                assert_page(&response, "no redirect");
                return;
            };
            let url = url::Url::parse(location).unwrap();
            assert_eq!((url.scheme(), url.host_str(), url.path()), ("http", Some("127.0.0.1"), "/callback"), "{location}");
            assert!(!location.contains(['\r', '\n', ' ']), "{location}");
            assert_eq!(answer(&response, "iss").as_deref(), Some(ISSUER));
            let given = |name: &str| request.iter().filter(|(known, value)| known == name && !value.is_empty()).count();
            if answer(&response, "code").is_some() {
                assert_eq!(given("code_challenge"), 1);
                assert!(request.contains(&("code_challenge_method".to_owned(), "S256".to_owned())));
                assert!(answer(&response, "error").is_none());
            } else {
                assert!(answer(&response, "error").is_some());
            }
        });
    }

    /// A history of refreshes, replays, revocations and waiting, against a model of a few lines.
    #[test]
    fn tokens_follow_the_model(steps in proptest::collection::vec(0..6u8, 1..25)) {
        run(follow(&steps));
    }
}

/// The model: the newest refresh token is good; any older one ends everything.
async fn follow(steps: &[u8]) {
    let mut world = world().await;
    let client = world.register().await;
    let first = world.sign_in(&client, "analyst").await;
    let mut issued = vec![(first, world.now())];
    let mut alive = true;
    let mut withdrawn = BTreeSet::new();
    for step in steps {
        let (newest, oldest) = (issued.last().unwrap().0.clone(), issued[0].0.clone());
        match step {
            0 | 1 => {
                let response = world.refresh(&client, &newest.refresh).await;
                assert_eq!(response.status == 200, alive, "the newest is good while the grant lives");
                if alive {
                    issued.push((tokens(&response), world.now()));
                }
            }
            2 => {
                let response = world.refresh(&client, &oldest.refresh).await;
                if issued.len() > 1 {
                    assert_eq!(error(&response), "invalid_grant", "a spent token is never good");
                    alive = false;
                } else if alive {
                    issued.push((tokens(&response), world.now()));
                }
            }
            3 => {
                world.post_form(Route::Revoke, &[("token", &newest.access)]).await;
                if alive {
                    withdrawn.insert(newest.access.clone());
                }
            }
            4 => world.pass(Duration::from_secs(20 * 60)),
            _ => world.restart().await,
        }
        let kept = issued.len().saturating_sub(4);
        for (at, (tokens, since)) in issued.iter().enumerate() {
            let fresh = world.now().since(*since) < Duration::from_secs(3600);
            let found = world.check(&tokens.access, "analyst");
            if !alive || !fresh || withdrawn.contains(&tokens.access) {
                assert!(matches!(found, Err(TokenFault::Unknown | TokenFault::Expired)), "{at}: {found:?}");
            } else if at >= kept {
                assert!(found.is_ok(), "{at}: {found:?}");
            }
        }
    }
}
