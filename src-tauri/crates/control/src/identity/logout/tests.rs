//! Logout tokens, good and bent, from a stand-in provider over real HTTP.

use os::Clock as _;
use p256::ecdsa::SigningKey;
use serde_json::json;

use super::*;
use crate::testing::{CLIENT_ID, StandInProvider, public_jwk, signed};

fn now() -> Timestamp {
    os::SystemClock.now()
}

fn provider(idp: &StandInProvider) -> IdentityProvider {
    let issuer = idp.issuer();
    serde_json::from_value(json!({"issuer": issuer, "client_id": CLIENT_ID})).expect("a provider")
}

async fn verify(idp: &StandInProvider, token: &str) -> Result<LogoutToken, LogoutFault> {
    Verifier::new().expect("a client").verify_logout(&provider(idp), token, now()).await
}

/// The outcome for a token whose claims were bent.
async fn bent(change: impl FnOnce(&mut Value)) -> Result<LogoutToken, LogoutFault> {
    let idp = StandInProvider::start().await.expect("starts");
    let mut claims = idp.logout_claims(Some("alice"), Some("s1"), now().seconds());
    change(&mut claims);
    verify(&idp, &idp.logout_token(&claims)).await
}

async fn without(claim: &str) -> Result<LogoutToken, LogoutFault> {
    bent(|claims| drop(claims.as_object_mut().expect("an object").remove(claim))).await
}

#[tokio::test]
async fn a_logout_token_names_a_person_a_session_or_both() {
    let both = bent(|_| ()).await.expect("accepted");
    assert_eq!((both.subject.as_deref(), both.sid.as_deref()), (Some("alice"), Some("s1")));
    assert_eq!(without("sid").await.expect("accepted").sid, None);
    assert_eq!(without("sub").await.expect("accepted").subject, None);
    let nobody = bent(|claims| {
        let claims = claims.as_object_mut().expect("an object");
        claims.retain(|name, _| !matches!(name.as_str(), "sub" | "sid"));
    });
    assert!(matches!(nobody.await, Err(LogoutFault::Nobody)));
}

#[tokio::test]
async fn a_logout_token_may_lack_an_expiry_and_a_type_of_its_own() {
    without("exp").await.expect("providers of the drafts send none");
    let idp = StandInProvider::start().await.expect("starts");
    let claims = idp.logout_claims(Some("alice"), None, now().seconds());
    for kind in ["JWT", "logout+jwt", "application/logout+jwt", "LOGOUT+JWT"] {
        verify(&idp, &idp.token_of_kind(kind, &claims))
            .await
            .unwrap_or_else(|fault| panic!("{kind}: {fault}"));
    }
    for kind in ["at+jwt", "dpop+jwt", "logout", ""] {
        let outcome = verify(&idp, &idp.token_of_kind(kind, &claims)).await;
        assert!(matches!(outcome, Err(LogoutFault::Kind(_))), "{kind}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_logout_token_of_another_client_or_issuer_is_refused() {
    for audience in
        [json!("another"), json!([CLIENT_ID, "another"]), json!([]), json!(["another", CLIENT_ID])]
    {
        let outcome = bent(|claims| claims["aud"] = audience.clone()).await;
        assert!(matches!(outcome, Err(LogoutFault::Audience)), "{audience}: {outcome:?}");
    }
    bent(|claims| claims["aud"] = json!([CLIENT_ID])).await.expect("a list of one is one");
    for issuer in ["http://evil.example", ""] {
        let outcome = bent(|claims| claims["iss"] = issuer.into()).await;
        assert!(matches!(outcome, Err(LogoutFault::Issuer)), "{outcome:?}");
    }
    let slash = bent(|claims| claims["iss"] = format!("{}/", claims["iss"].as_str().expect("text")).into());
    assert!(matches!(slash.await, Err(LogoutFault::Issuer)), "compared as text");
}

#[tokio::test]
async fn a_logout_token_is_obeyed_around_its_time_only() {
    let skew = i64::try_from(CLOCK_SKEW.as_secs()).expect("small");
    let life = i64::try_from(LOGOUT_LIFE.as_secs()).expect("small");
    let at = |seconds: i64| {
        move |claims: &mut Value| {
            claims["iat"] = (now().seconds() + seconds).into();
            claims["exp"] = (now().seconds() + seconds + 2 * life).into();
        }
    };
    for seconds in [skew - 10, 0, -(life + skew - 10)] {
        bent(at(seconds)).await.unwrap_or_else(|fault| panic!("{seconds}: {fault}"));
    }
    for seconds in [skew + 10, -(life + skew + 10), i64::MAX / 4] {
        let outcome = bent(at(seconds % (1 << 40))).await;
        assert!(matches!(outcome, Err(LogoutFault::Time(_))), "{seconds}: {outcome:?}");
    }
    let expired = bent(|claims| claims["exp"] = (now().seconds() - skew - 10).into()).await;
    assert!(matches!(expired, Err(LogoutFault::Time(_))), "{expired:?}");
    bent(|claims| claims["exp"] = (now().seconds() - skew + 10).into())
        .await
        .expect("clocks differ a little");
}

#[tokio::test]
async fn what_is_not_about_a_logout_is_refused() {
    for nonce in [json!("n"), json!(null), json!(1)] {
        let outcome = bent(|claims| claims["nonce"] = nonce.clone()).await;
        assert!(matches!(outcome, Err(LogoutFault::NotALogout)), "a nonce {nonce}: {outcome:?}");
    }
    let other = json!({"http://schemas.openid.net/event/other": {}});
    for events in [json!({}), other, json!({"http://schemas.openid.net/event/backchannel-logout": true})] {
        let outcome = bent(|claims| claims["events"] = events.clone()).await;
        assert!(matches!(outcome, Err(LogoutFault::NotALogout)), "{events}: {outcome:?}");
    }
    for claim in ["iss", "aud", "iat", "jti", "events"] {
        let outcome = without(claim).await;
        assert!(matches!(outcome, Err(LogoutFault::Claims(_))), "{claim}: {outcome:?}");
    }
    for (claim, value) in
        [("jti", json!("")), ("sub", json!("")), ("sid", json!("x".repeat(256))), ("sub", json!(7))]
    {
        let outcome = bent(|claims| claims[claim] = value.clone()).await;
        assert!(matches!(outcome, Err(LogoutFault::Claims(_))), "{claim}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_id_token_is_no_logout_token_and_a_logout_token_no_id_token() {
    let idp = StandInProvider::start().await.expect("starts");
    let verifier = Verifier::new().expect("a client");
    let provider = provider(&idp);
    for nonce in [Some("n"), None] {
        let id_token = idp.token(&idp.claims("alice", &[], nonce, now().seconds()));
        let outcome = verifier.verify_logout(&provider, &id_token, now()).await;
        assert!(matches!(outcome, Err(LogoutFault::Claims(_))), "{outcome:?}");
    }
    let claims = idp.logout_claims(Some("alice"), None, now().seconds());
    for token in [idp.logout_token(&claims), idp.token(&claims)] {
        let outcome = verifier.verify(&provider, &token, None, "n", now()).await;
        assert!(matches!(outcome, Err(IdentityFault::Refused(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn only_the_provider_s_own_signature_counts_and_symmetric_algorithms_never() {
    let idp = StandInProvider::start().await.expect("starts");
    let claims = idp.logout_claims(Some("alice"), None, now().seconds());
    let stranger = SigningKey::from_slice(&[9; 32]).expect("a scalar");
    for header in [
        json!({"alg": "ES256", "kid": "one"}),
        json!({"alg": "ES256"}),
        json!({"alg": "ES256", "kid": "nobody's"}),
        json!({"alg": "RS256", "kid": "one"}),
        json!({"alg": "ES256", "kid": "one", "jwk": public_jwk(&stranger)}),
    ] {
        let outcome = verify(&idp, &signed(&header, &claims, &stranger)).await;
        assert!(matches!(outcome, Err(LogoutFault::Signature)), "{header}: {outcome:?}");
    }
    for header in [
        json!({"alg": "HS256", "kid": "one"}),
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": "ES256", "kid": "one", "crit": ["exp"]}),
        json!({"kid": "one"}),
    ] {
        let outcome = verify(&idp, &signed(&header, &claims, &stranger)).await;
        assert!(matches!(outcome, Err(LogoutFault::Unreadable)), "{header}: {outcome:?}");
    }
    let good = idp.logout_token(&claims);
    let unsigned = good.rsplit_once('.').expect("parts").0;
    for garbage in ["", "a.b.c", &format!("{unsigned}."), &format!("{good}.x"), &"a".repeat(TOKEN_LIMIT + 1)]
    {
        let outcome = verify(&idp, garbage).await;
        assert!(matches!(outcome, Err(LogoutFault::Unreadable | LogoutFault::Signature)), "{outcome:?}");
    }
    verify(&idp, &good).await.expect("accepted");
}

#[tokio::test]
async fn tokens_with_keys_of_nobody_hold_up_nobody() {
    let idp = StandInProvider::start().await.expect("starts");
    let verifier = Verifier::new().expect("a client");
    let provider = provider(&idp);
    let good = |at: Timestamp| idp.logout_token(&idp.logout_claims(Some("alice"), None, at.seconds()));
    verifier.verify_logout(&provider, &good(now()), now()).await.expect("accepted");
    let claims = idp.logout_claims(Some("alice"), None, now().seconds());
    let stranger = SigningKey::from_slice(&[9; 32]).expect("a scalar");
    let strange = signed(&json!({"alg": "ES256", "kid": "nobody's"}), &claims, &stranger);
    let before = idp.asked_for_keys();
    for _ in 0..50 {
        let later = now().plus(IMPATIENCE).plus(Duration::from_secs(1));
        let outcome = verifier.verify_logout(&provider, &strange, later).await;
        assert!(matches!(outcome, Err(LogoutFault::Signature)), "{outcome:?}");
    }
    assert!(idp.asked_for_keys() <= before + 2, "the provider is not asked for each");
}
