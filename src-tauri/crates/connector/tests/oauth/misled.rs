//! Servers that lead elsewhere: inside the network, to endless answers, or to another server's answers.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use model::SignInRequest;
use serde_json::{Value, json};
use signin::FaultKind;
use url::Url;
use vault::Kind;

use crate::people::Someone;
use crate::server::{Bend, Server, parameters};
use crate::support::{Desk, bearer, serve};

/// Signs in, where nobody may be asked, at a connector whose metadata are all answered so. Gives why not, and the requests.
async fn answering(
    answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> (FaultKind, Vec<Request>) {
    let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let challenge = format!("Bearer resource_metadata=\"{base}/.well-known/oauth-protected-resource/mcp\"");
    let routes = Router::new().fallback(move |request: Request| {
        let response = if request.uri().path() == "/mcp" {
            let head = Response::builder().status(StatusCode::UNAUTHORIZED);
            head.header(header::WWW_AUTHENTICATE, &challenge).body(Body::empty()).unwrap()
        } else {
            answer()
        };
        noted.lock().unwrap().push(request);
        std::future::ready(response)
    });
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let desk = Desk::new();
    let grants = desk.grants(&Arc::new(Someone::who(|_| unreachable!("nobody is asked")))).await;
    serve(&grants, &Url::parse(&format!("{base}/mcp")).unwrap());
    let fault = bearer(&grants).await.map(|_| ()).unwrap_err();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (fault, seen)
}

#[tokio::test]
async fn threat_6_a_redirect_of_metadata_is_not_followed() {
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    for status in [301, 302, 303, 307, 308] {
        let to = format!("http://{}/latest/meta-data/", inside.local_addr().unwrap());
        let redirect = move || {
            Response::builder().status(status).header(header::LOCATION, &to).body(Body::empty()).unwrap()
        };
        let (_, seen) = answering(redirect).await;
        assert!(seen.iter().any(|request| request.uri().path().starts_with("/.well-known/")), "{status}");
        let came = inside.accept().map(|_| ()).map_err(|fault| fault.kind());
        assert_eq!(came, Err(std::io::ErrorKind::WouldBlock), "{status}: nobody came");
    }
}

#[tokio::test]
async fn threat_6_metadata_that_are_compressed_or_endless_are_not_unpacked_or_read() {
    // A compressed answer is not asked for; whoever sends one all the same is read as it lies.
    let packed = || {
        let head = Response::builder().header(header::CONTENT_ENCODING, "gzip");
        // The head of an archive: deflated, without a name.
        head.header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(b"\x1f\x8b\x08\0\0\0\0\0\0\x03".as_slice()))
            .unwrap()
    };
    let (_, seen) = answering(packed).await;
    let asked_for = |request: &Request| {
        request.headers().get(header::ACCEPT_ENCODING).is_some_and(|encoding| encoding != "identity")
    };
    assert!(!seen.iter().any(asked_for));

    let endless = || {
        let blanks = futures_util::stream::repeat(Ok::<_, std::convert::Infallible>(vec![b' '; 64 * 1024]));
        let head = Response::builder().header(header::CONTENT_TYPE, "application/json");
        head.body(Body::from_stream(blanks)).unwrap()
    };
    // It ends: what comes of it is not waited for.
    answering(endless).await;
}

/// An authorization server, and the answer that it gave to a sign-in that was asked for at it.
async fn answered(metadata: fn(&mut Value)) -> (Server, HashMap<String, String>) {
    let server = Server::start(Bend { metadata, ..Bend::default() }).await;
    let (authorize, caught) = (server.authorize(), Arc::new(Mutex::new(HashMap::new())));
    let noted = Arc::clone(&caught);
    let person = Someone::who(move |request: &SignInRequest| {
        let back = authorize(request)?;
        *noted.lock().unwrap() = parameters(&back);
        Ok(back)
    });
    let grants = Desk::new().grants(&Arc::new(person)).await;
    serve(&grants, &server.url);
    bearer(&grants).await.unwrap();
    let caught = std::mem::take(&mut *caught.lock().unwrap());
    (server, caught)
}

/// Signs in at a server and comes back with another one's answer, as `bend` makes it of that and of the attempt's own state.
async fn swapped(metadata: fn(&mut Value), bend: fn(&mut HashMap<String, String>, &str)) -> FaultKind {
    let (other, theirs) = answered(metadata).await;
    let server = Server::start(Bend { metadata, ..Bend::default() }).await;
    let person = Someone::who(move |request: &SignInRequest| {
        let state = parameters(&request.authorize_url)["state"].clone();
        let mut answer = theirs.clone();
        bend(&mut answer, &state);
        let mut back = request.redirect_uri.clone();
        back.query_pairs_mut().extend_pairs(answer);
        Ok(back)
    });
    let desk = Desk::new();
    let grants = desk.grants(&Arc::new(person)).await;
    serve(&grants, &server.url);
    let fault = bearer(&grants).await.map(|_| ()).unwrap_err();
    assert_eq!(server.count("authorization_code"), 0, "no server is shown another's code");
    assert_eq!(other.count("authorization_code"), 1, "nor is it redeemed where it came from");
    assert!(desk.stored(Kind::Grant).await.is_empty());
    fault
}

#[tokio::test]
async fn threat_13_an_answer_of_another_authorization_server_is_refused() {
    let mismatch = |why: &str| FaultKind::Mismatch(why.to_owned());
    assert_eq!(swapped(|_| {}, |_, _| {}).await, mismatch("state"), "the whole answer");
    let with_our_state = |answer: &mut HashMap<String, String>, state: &str| {
        answer.insert("state".to_owned(), state.to_owned());
    };
    assert_eq!(
        swapped(|_| {}, with_our_state).await,
        mismatch("issuer"),
        "the state is known to the attacker"
    );
    let unnamed = |answer: &mut HashMap<String, String>, state: &str| {
        answer.insert("state".to_owned(), state.to_owned());
        answer.remove("iss");
    };
    assert_eq!(swapped(|_| {}, unnamed).await, mismatch("issuer missing"), "and the name is taken out");
    // Servers that do not say that they name themselves: who names another is refused all the same.
    let silent = |m: &mut Value| m["authorization_response_iss_parameter_supported"] = json!(false);
    assert_eq!(swapped(silent, with_our_state).await, mismatch("issuer"));
    assert_eq!(swapped(silent, |answer, _| drop(answer.remove("iss"))).await, mismatch("state"));
}
