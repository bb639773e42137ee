use model::{SignInPurpose, SignInRequest};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Fetches as a browser would, with the given headers instead of the usual `Host`.
pub(crate) async fn fetch(url: &Url, headers: &[(&str, &str)]) -> String {
    let authority = format!("127.0.0.1:{}", url.port().unwrap());
    let usual = [("Host", authority.as_str())];
    let headers = if headers.is_empty() { &usual[..] } else { headers };
    let mut stream = TcpStream::connect(&authority).await.unwrap();
    let mut head = format!("GET {}?{} HTTP/1.1\r\n", url.path(), url.query().unwrap_or_default());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

fn request() -> SignInRequest {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    SignInRequest {
        purpose: SignInPurpose::Organisation { name: "Acme".to_owned() },
        authorize_url: "https://idp.test/auth?client_id=d&state=abc".parse().unwrap(),
        entrance: None,
        redirect_uri: format!("http://127.0.0.1:{port}/callback").parse().unwrap(),
        deadline: Duration::from_secs(60),
    }
}

fn at(request: &SignInRequest, rest: &str) -> Url {
    let mut url = request.redirect_uri.clone();
    let (path, query) = rest.split_once('?').unwrap();
    url.set_path(path);
    url.set_query(Some(query));
    url
}

#[test]
fn only_the_attempts_own_redirect_is_one() {
    let request = request();
    let check = |rest: &str| is_redirect(&request, &at(&request, rest));
    assert!(check("/callback?code=1&state=abc"));
    assert!(check("/callback?error=access_denied&state=abc&iss=https%3A%2F%2Fidp.test"));
    assert!(!check("/callback?code=1&state=abd"), "another attempt's state");
    assert!(!check("/callback?code=1"), "no state");
    assert!(!check("/callback?code=1&state=abc&state=abc"), "a state given twice");
    assert!(!check("/callback?code=1&code=2&state=abc"), "a code given twice");
    assert!(!check("/callback?state=abc"), "neither code nor error");
    assert!(!check("/other?code=1&state=abc"), "another path");
    let elsewhere = Url::parse("http://127.0.0.1:1/callback?code=1&state=abc").unwrap();
    assert!(!is_redirect(&request, &elsewhere), "another port");
}

#[tokio::test]
async fn everything_else_gets_nothing_and_the_redirect_a_page() {
    let request = request();
    let listener = RedirectListener::bind(&request).await.unwrap();
    let caught = tokio::spawn(listener.caught());

    for rest in ["/favicon.ico?", "/callback?code=1&state=wrong"] {
        let reply = fetch(&at(&request, rest), &[]).await;
        assert!(reply.starts_with("HTTP/1.1 404"), "{rest}: {reply}");
    }
    let own = at(&request, "/callback?code=1&state=abc");
    let rebound = fetch(&own, &[("Host", "evil.test")]).await;
    assert!(rebound.starts_with("HTTP/1.1 404"), "a rebound name: {rebound}");
    let reply = fetch(&own, &[]).await;

    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(reply.contains("Thank you"), "{reply}");
    assert!(reply.contains("cache-control: no-store"), "{reply}");
    assert_eq!(caught.await.unwrap(), own);
}

#[tokio::test]
async fn a_refusal_is_caught_and_said() {
    let request = request();
    let caught = tokio::spawn(RedirectListener::bind(&request).await.unwrap().caught());
    let own = at(&request, "/callback?error=access_denied&state=abc");
    let reply = fetch(&own, &[]).await;
    assert!(reply.contains("You are not signed in"), "{reply}");
    assert_eq!(caught.await.unwrap(), own);
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_block_the_redirect() {
    let request = request();
    let caught = tokio::spawn(RedirectListener::bind(&request).await.unwrap().caught());
    let port = request.redirect_uri.port().unwrap();
    let _silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let own = at(&request, "/callback?code=1&state=abc");
    fetch(&own, &[]).await;
    assert_eq!(caught.await.unwrap(), own);
}

#[tokio::test]
async fn a_redirect_to_elsewhere_is_refused() {
    for place in
        ["http://0.0.0.0:4000/callback", "https://127.0.0.1:4000/callback", "http://acme.test:1/callback"]
    {
        let request = SignInRequest { redirect_uri: place.parse().unwrap(), ..request() };
        let bound = RedirectListener::bind(&request).await;
        assert!(matches!(bound, Err(RedirectFault::NotLoopback)), "{place}");
    }
}

proptest! {
    #[test]
    fn no_other_state_is_taken(state in "[!-~]{0,12}") {
        let request = request();
        let mut url = request.redirect_uri.clone();
        url.query_pairs_mut().append_pair("code", "c").append_pair("state", &state);
        prop_assert_eq!(is_redirect(&request, &url), state == "abc");
    }
}

/// An attempt to sign out, with an entrance.
fn farewell() -> SignInRequest {
    let request = request();
    let mut entrance = request.redirect_uri.clone();
    entrance.set_path("/sign-out/secret");
    SignInRequest {
        purpose: SignInPurpose::SignOut { name: "Acme".to_owned() },
        authorize_url: "https://idp.test/end?id_token_hint=eyJ.a.b&state=abc".parse().unwrap(),
        entrance: Some(entrance),
        ..request
    }
}

#[test]
fn who_comes_back_from_signing_out_brings_the_state_alone() {
    let request = farewell();
    let check = |rest: &str| is_redirect(&request, &at(&request, rest));
    assert!(check("/callback?state=abc"));
    assert!(!check("/callback?state=abd"));
    assert!(!check("/callback?code=1"));
    assert!(!check("/sign-out/secret?state=abc"));
}

#[tokio::test]
async fn an_entrance_leads_on_once_and_nowhere_else() {
    let request = farewell();
    let listener = RedirectListener::bind(&request).await.unwrap();
    let caught = tokio::spawn(listener.caught());
    let mut entrance = request.entrance.clone().unwrap();
    entrance.set_query(None);
    let get = async |path: &str, host: &str| {
        let authority = format!("127.0.0.1:{}", entrance.port().unwrap());
        let mut stream = TcpStream::connect(&authority).await.unwrap();
        let host = if host.is_empty() { &authority } else { host };
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    };
    for (path, host) in [("/sign-out/guess", ""), ("/sign-out/", ""), ("/sign-out/secret", "evil.test")] {
        let reply = get(path, host).await;
        assert!(reply.starts_with("HTTP/1.1 404") && !reply.contains("id_token_hint"), "{path}: {reply}");
    }
    let reply = get("/sign-out/secret", "").await;
    assert!(reply.starts_with("HTTP/1.1 303"), "{reply}");
    assert!(reply.contains("location: https://idp.test/end?id_token_hint=eyJ.a.b&state=abc"), "{reply}");
    assert!(
        reply.contains("cache-control: no-store") && reply.contains("referrer-policy: no-referrer"),
        "{reply}"
    );
    assert!(
        get("/sign-out/secret", "").await.starts_with("HTTP/1.1 404"),
        "whoever comes second gets nothing"
    );
    let back = get("/callback?state=abc", "").await;
    assert!(back.contains("You are signed out"), "{back}");
    assert_eq!(caught.await.unwrap().path(), "/callback");
}
