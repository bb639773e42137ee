use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Digest;
use url::Url;

use super::request::AuthorizeFault;
use super::*;

const CLIENT: &str = "deskgate";
const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters";

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Digest::of(VERIFIER.as_bytes()).as_bytes())
}

fn asked(change: &[(&str, Option<&str>)]) -> Result<(Authorization, bool), AuthorizeFault> {
    let challenge = challenge();
    let mut fields: BTreeMap<String, String> = [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", "http://127.0.0.1:40123/callback"),
        ("scope", "openid offline_access"),
        ("state", "s"),
        ("nonce", "n"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (name, value) in change {
        match value {
            Some(value) => fields.insert((*name).to_owned(), (*value).to_owned()),
            None => fields.remove(*name),
        };
    }
    Authorization::read(&fields, CLIENT)
}

#[test]
fn the_one_client_is_answered_where_it_listens() {
    let (authorization, anew) = asked(&[("prompt", Some("login"))]).expect("understood");
    assert!(anew);
    let back = authorization.answered("https://control.acme.test", ("code", "c"));
    assert_eq!(
        back.as_str(),
        "http://127.0.0.1:40123/callback?code=c&iss=https%3A%2F%2Fcontrol.acme.test&state=s"
    );
    assert!(authorization.fits(CLIENT, "http://127.0.0.1:40123/callback", VERIFIER));
    for (client, redirect, verifier) in [
        ("other", "http://127.0.0.1:40123/callback", VERIFIER),
        (CLIENT, "http://127.0.0.1:40124/callback", VERIFIER),
        (CLIENT, "http://127.0.0.1:40123/callback", "another-verifier-of-more-than-forty-three-chars"),
        (CLIENT, "http://127.0.0.1:40123/callback", ""),
    ] {
        assert!(!authorization.fits(client, redirect, verifier), "{client} {redirect} {verifier}");
    }
}

#[test]
fn nobody_is_sent_to_an_address_that_is_not_deskgates() {
    assert_eq!(asked(&[("client_id", Some("evil"))]), Err(AuthorizeFault::Page(RequestFault::Client)));
    for redirect in [
        "https://evil.test/callback",
        "http://127.0.0.1.evil.test/callback",
        "http://localhost:1/callback",
        "http://127.0.0.1:1/other",
        "http://127.0.0.1:1/callback?x=y",
        "http://user@127.0.0.1:1/callback",
        "https://127.0.0.1:1/callback",
        "http://127.0.0.2:1/callback",
        "cursor://callback",
    ] {
        let fault = asked(&[("redirect_uri", Some(redirect))]);
        assert_eq!(fault, Err(AuthorizeFault::Page(RequestFault::Redirect)), "{redirect}");
    }
    assert!(asked(&[("redirect_uri", Some("http://[::1]:1/callback"))]).is_ok());
}

#[test]
fn what_is_missing_is_told_to_whoever_asked() {
    for (name, value, error) in [
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("nonce", None, "invalid_request"),
        ("state", None, "invalid_request"),
        ("scope", Some("email"), "invalid_scope"),
        ("response_type", Some("token"), "unsupported_response_type"),
        ("prompt", Some("none"), "login_required"),
        ("request", Some("x"), "request_not_supported"),
        ("response_mode", Some("form_post"), "invalid_request"),
    ] {
        let Err(AuthorizeFault::Redirect { error: told, .. }) = asked(&[(name, value)]) else {
            panic!("{name}={value:?} is accepted or told to nobody");
        };
        assert_eq!(told, error, "{name}={value:?}");
    }
    assert_eq!(fields(b"a=1&a=2"), Err(RequestFault::Twice));
}

#[test]
fn its_own_metadata_verifies_its_own_tokens() {
    let public_url: Url = "https://control.acme.test/".parse().expect("a URL");
    let master = crate::MasterKey::parse("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").expect("a key");
    let op = Op::new(&public_url, TokenKey::of(&master));
    assert_eq!(op.issuer(), "https://control.acme.test");
    let metadata = op.own_metadata().expect("readable");
    assert_eq!(metadata.issuer().as_str(), op.issuer());
    assert_eq!(metadata.jwks().keys().len(), 1);
    let debugged = format!("{:?}", op.key());
    assert!(debugged.len() < 100, "no private half: {debugged}");
}
