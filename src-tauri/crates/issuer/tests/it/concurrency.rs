use issuer::{Limits, Route, TokenFault};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_code_is_never_good_for_two() {
    for _ in 0..20 {
        let world = world().await;
        let client = world.register().await;
        let code = world.code(&client, "analyst").await;
        let body = form(&redemption(&client, &code));
        let tries: Vec<_> = (0..8)
            .map(|_| {
                let (issuer, body) = (world.issuer.clone(), body.clone());
                tokio::spawn(async move {
                    issuer
                        .handle(request(
                            Route::Token,
                            "POST",
                            None,
                            Some("application/x-www-form-urlencoded"),
                            &body,
                        ))
                        .await
                })
            })
            .collect();
        let mut won = Vec::new();
        for attempt in tries {
            let response = attempt.await.unwrap();
            if response.status == 200 {
                won.push(tokens(&response));
            }
        }
        assert_eq!(won.len(), 1);
        assert_eq!(
            world.check(&won[0].access, "analyst").err(),
            Some(TokenFault::Unknown),
            "the second use ended it"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_refresh_token_is_never_good_for_two() {
    for _ in 0..20 {
        let world = world().await;
        let client = world.register().await;
        let held = world.sign_in(&client, "analyst").await;
        let body = form(&[
            ("grant_type", "refresh_token"),
            ("client_id", &client),
            ("refresh_token", &held.refresh),
        ]);
        let tries: Vec<_> = (0..8)
            .map(|_| {
                let (issuer, body) = (world.issuer.clone(), body.clone());
                tokio::spawn(async move {
                    issuer
                        .handle(request(
                            Route::Token,
                            "POST",
                            None,
                            Some("application/x-www-form-urlencoded"),
                            &body,
                        ))
                        .await
                })
            })
            .collect();
        let mut won = Vec::new();
        for attempt in tries {
            let response = attempt.await.unwrap();
            if response.status == 200 {
                won.push(tokens(&response));
            }
        }
        assert_eq!(won.len(), 1);
        assert_eq!(
            world.check(&won[0].access, "analyst").err(),
            Some(TokenFault::Unknown),
            "the reuse ended the grant"
        );
    }
}

#[tokio::test]
async fn only_so_many_requests_wait_for_the_person() {
    let limits = Limits { waiting_consents: 3, ..Limits::default() };
    let world = world_with(limits, &["analyst"]).await;
    world.person.gate.forget_permits(100_000);
    let client = world.register().await;
    let query = {
        let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
        form(&ask(&client, &challenge, &resource))
    };
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let (issuer, query) = (world.issuer.clone(), query.clone());
            tokio::spawn(async move {
                issuer.handle(request(Route::Authorize, "GET", Some(&query), None, "")).await
            })
        })
        .collect();
    while world.times_asked() < 3 {
        tokio::task::yield_now().await;
    }
    assert_redirected(&world.get(Route::Authorize, &query).await, "temporarily_unavailable", "a fourth");

    // A browser that goes away takes its question with it.
    waiting[0].abort();
    let later = {
        let (issuer, query) = (world.issuer.clone(), query.clone());
        tokio::spawn(
            async move { issuer.handle(request(Route::Authorize, "GET", Some(&query), None, "")).await },
        )
    };
    while world.times_asked() < 4 {
        tokio::task::yield_now().await;
    }
    world.person.gate.add_permits(3);
    assert!(answer(&later.await.unwrap(), "code").is_some());
    for (at, request) in waiting.into_iter().enumerate() {
        match request.await {
            Ok(response) => assert!(answer(&response, "code").is_some(), "{at}"),
            Err(fault) => assert!(fault.is_cancelled() && at == 0),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn checks_go_on_while_tokens_are_issued_and_revoked() {
    let world = world_with(Limits::default(), &["analyst", "finance"]).await;
    let steady = world.register_as("Steady").await;
    let busy = world.register_as("Busy").await;
    let held = world.sign_in(&steady, "analyst").await;
    let (issuer, token, at) = (world.issuer.clone(), held.access.clone(), world.now());
    let checks = tokio::task::spawn_blocking(move || {
        (0..20_000).all(|_| issuer.introspect(&token, &resource("analyst"), at).is_ok())
    });
    for _ in 0..20 {
        let theirs = world.sign_in(&busy, "finance").await;
        assert!(world.check(&theirs.access, "finance").is_ok());
        assert_eq!(world.issuer.revoke_client(&busy).await, Ok(1));
        assert_eq!(world.check(&theirs.access, "finance").err(), Some(TokenFault::Unknown));
    }
    assert!(checks.await.unwrap(), "a grant that nobody touches is good all the time");
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_no_half_change() {
    let mut world = world().await;
    let client = world.register().await;
    for polls in 0..6 {
        let held = world.sign_in(&client, "analyst").await;
        let body = form(&[("token", &held.refresh), ("client_id", &client)]);
        let asked = request(Route::Revoke, "POST", None, Some("application/x-www-form-urlencoded"), &body);
        {
            let mut revocation = Box::pin(world.issuer.handle(asked));
            for _ in 0..polls {
                if futures_poll(&mut revocation).await {
                    break;
                }
            }
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let in_memory = world.check(&held.access, "analyst").is_ok();
        world.restart().await;
        assert_eq!(
            world.check(&held.access, "analyst").is_ok(),
            in_memory,
            "memory and store agree after {polls} polls"
        );
        assert_eq!(in_memory, polls == 0, "what was begun is finished");
    }
}

/// Polls once; whether the future is done.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_ready())
    })
    .await
}
