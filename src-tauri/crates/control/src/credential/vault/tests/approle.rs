//! Signing in as a role.

use os::ManualClock;

use super::*;

const LOGIN: &str = "auth/approle/login";
const RENEW: &str = "auth/token/renew-self";
const LOGGED_IN: &str = include_str!("../../fixtures/approle_login.json");
/// The token of that sign-in.
const TOKEN: &str = "5b1a0318-679c-9c45-e5c6-d1b9a9035d49";

fn role(address: url::Url, path: &str, template: &str) -> (Vault, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(model::Timestamp::from_seconds(1_800_000_000)));
    let spec = VaultSpec {
        address,
        path: path.to_owned(),
        namespace: None,
        template: template.to_owned(),
        wrapped: false,
        approle: Some(AppRole {
            mount: "approle".to_owned(),
            role_id: "59d6d1ca".to_owned(),
            wrapped_secret_id: false,
        }),
    };
    let vault =
        Vault::new(spec, SecretString::from("the-secret-id"), http(), Arc::clone(&clock) as Arc<dyn Clock>);
    (vault, clock)
}

/// What was asked since the last look: paths and tokens.
fn asked(server: &Server) -> Vec<(String, String)> {
    let asked = std::mem::take(&mut *server.asked.lock().expect("a list"));
    asked.into_iter().map(|(path, token, ..)| (path, token)).collect()
}

fn steps(steps: &[(&str, &str)]) -> Vec<(String, String)> {
    steps.iter().map(|(path, token)| ((*path).to_owned(), (*token).to_owned())).collect()
}

#[tokio::test]
async fn a_role_signs_in_once_and_its_token_is_renewed_before_it_ends() {
    let renewed = include_str!("../../fixtures/token_renewed.json");
    let kv = include_str!("../../fixtures/kv2_read.json");
    let (server, address) = serve([(LOGIN, LOGGED_IN), (KV2, kv), (RENEW, renewed)]).await;
    let (vault, clock) = role(address, KV2, "${foo}");
    assert_eq!(fetched(&vault).await.expect("reads").0, "bar");
    let body = server.asked.lock().expect("a list")[0].3.clone();
    assert_eq!(body, json!({"role_id": "59d6d1ca", "secret_id": "the-secret-id"}));
    assert_eq!(asked(&server), steps(&[(LOGIN, ""), (KV2, TOKEN)]), "nobody's token signs in");

    clock.advance(Duration::from_secs(1200 / 2));
    fetched(&vault).await.expect("reads");
    assert_eq!(asked(&server), steps(&[(KV2, TOKEN)]), "it lasts");
    clock.advance(Duration::from_secs(1));
    fetched(&vault).await.expect("reads");
    let half = "renewed for an hour, past the half: what was had by it does not run low";
    assert_eq!(asked(&server), steps(&[(RENEW, TOKEN), (KV2, "ABCD")]), "{half}");
    clock.advance(Duration::from_secs(3600));
    fetched(&vault).await.expect("reads");
    assert_eq!(asked(&server), steps(&[(LOGIN, ""), (KV2, TOKEN)]), "what has ended is had anew");
}

#[tokio::test]
async fn a_token_that_is_not_renewed_or_not_taken_is_had_anew_once() {
    let kv = include_str!("../../fixtures/kv2_read.json");
    let denied = include_str!("../../fixtures/denied.json");
    let (server, address) = serve([(LOGIN, LOGGED_IN), (KV2, kv), (RENEW, denied)]).await;
    let (vault, clock) = role(address, KV2, "${foo}");
    fetched(&vault).await.expect("reads");
    clock.advance(Duration::from_secs(1200 - 10));
    asked(&server);
    fetched(&vault).await.expect("reads");
    assert_eq!(asked(&server), steps(&[(RENEW, TOKEN), (LOGIN, ""), (KV2, TOKEN)]));

    let (server, address) = serve([(LOGIN, LOGGED_IN), (KV2, denied)]).await;
    let (vault, _) = role(address, KV2, "${foo}");
    assert!(matches!(fetched(&vault).await, Err(SourceFault::Refused(..))));
    assert_eq!(
        asked(&server),
        steps(&[(LOGIN, ""), (KV2, TOKEN), (LOGIN, ""), (KV2, TOKEN)]),
        "and not for ever"
    );

    let refused = include_str!("../../fixtures/approle_refused.json");
    let (_, address) = serve([(LOGIN, refused)]).await;
    let fault = fetched(&role(address, KV2, "${foo}").0).await.expect_err("refused").to_string();
    assert!(fault.contains("invalid role or secret ID") && fault.contains("store another"), "{fault}");
    let (_, address) = serve([(LOGIN, kv)]).await;
    let without = fetched(&role(address, KV2, "${foo}").0).await;
    assert!(matches!(without, Err(SourceFault::Unreadable(..))), "a sign-in gives a token");
}

#[tokio::test]
async fn what_is_made_for_the_occasion_is_not_used_for_longer_than_the_token_lives() {
    let creds = include_str!("../../fixtures/database_creds.json");
    let renewed = include_str!("../../fixtures/renewed.json");
    let (server, address) = serve([(LOGIN, LOGGED_IN), (CREDS, creds), ("sys/leases/renew", renewed)]).await;
    let (vault, clock) = role(address, CREDS, "${password}");
    let got = vault.fetch(None).await.expect("fetches");
    assert_eq!(got.life, Some(Duration::from_secs(1200)), "and not an hour");
    clock.advance(Duration::from_secs(600));
    assert_eq!(vault.renew(&got.hold).await.expect("renews"), Some(Duration::from_secs(600)));
    asked(&server);
    // The token is renewed in its last moments; this server does not, so another one is had: the secret ended with the first.
    clock.advance(Duration::from_secs(590));
    assert_eq!(vault.renew(&got.hold).await.expect("nothing to do"), None);
    assert!(asked(&server).iter().all(|(path, _)| path != "sys/leases/renew"));
    assert!(vault.revoke(&got.hold).await.expect("revokes"));
}

#[tokio::test]
async fn a_wrapped_secret_id_is_taken_out_once_and_nothing_else_is_one() {
    let made = include_str!("../../fixtures/secret_id.json");
    let looked = include_str!("../../fixtures/wrapping_lookup.json");
    let (lookup, unwrap) = ("sys/wrapping/lookup", "sys/wrapping/unwrap");
    let wrapping = SecretString::from("the-wrapping-token");
    let (server, address) = serve([(lookup, looked), (unwrap, made)]).await;
    let secret_id = role(address, KV2, "${foo}").0.secret_id(&wrapping).await.expect("is taken out");
    assert_eq!(secret_id.expose_secret(), "841771dc-11c9-bbc7-bcac-6a3945a69cd9");
    let body = server.asked.lock().expect("a list")[0].3.clone();
    assert_eq!(body, json!({"token": "the-wrapping-token"}));
    assert_eq!(
        asked(&server),
        steps(&[(lookup, ""), (unwrap, "the-wrapping-token")]),
        "looking uses nothing up"
    );

    let used = include_str!("../../fixtures/unwrapped_before.json");
    let elsewhere = include_str!("../../fixtures/wrapping_lookup_elsewhere.json");
    let other = include_str!("../../fixtures/kv2_read.json");
    for (at_lookup, at_unwrap, why) in [
        (used, made, "unknown: a secret id in the clear, or used before"),
        (elsewhere, made, "something else in its place"),
        (looked, used, "taken out in between"),
        (looked, other, "no secret id in it"),
    ] {
        let (_, address) = serve([(lookup, at_lookup), (unwrap, at_unwrap)]).await;
        let refused = role(address, KV2, "${foo}").0.secret_id(&wrapping).await;
        assert!(matches!(refused, Err(SourceFault::NotWrappedId(..))), "{why}");
    }
}
