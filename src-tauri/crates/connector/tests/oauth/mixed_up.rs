//! Two authorization servers, one of which leads people to the other in Deskgate's name (RFC 9700, section 4.4).

use std::sync::Arc;
use std::time::Duration;

use model::{PersonFault, SignInRequest};
use serde_json::{Value, json};
use testkit::{Browser, Employee, Idp, IdpSettings};
use url::Url;

use crate::people::Someone;
use crate::server::{Bend, Server};
use crate::support::{Desk, bearer, serve};

/// Does not say that it names itself in its answers (RFC 9207).
fn silent(metadata: &mut Value) {
    metadata["authorization_response_iss_parameter_supported"] = json!(false);
}

/// What a person is asked who signs in at a server for the first time.
async fn asked(server: &Server) -> SignInRequest {
    let person = Arc::new(Someone::who(server.authorize()));
    let desk = Desk::new();
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);
    bearer(&grants).await.unwrap();
    let again = desk.grants(&person).await;
    serve(&again, &server.url);
    again.sign_out(&crate::support::mail()).await.unwrap();
    bearer(&again).await.unwrap();
    let requests = person.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        requests[0].redirect_uri.path(),
        requests[1].redirect_uri.path(),
        "also when it is remembered"
    );
    assert_eq!(server.count("register"), 1);
    requests[0].clone()
}

#[tokio::test]
async fn threat_13_answers_of_servers_that_do_not_name_themselves_come_back_to_paths_of_their_own() {
    let named = Server::start(Bend::default()).await;
    assert_eq!(asked(&named).await.redirect_uri.path(), "/callback");

    let one = Server::start(Bend { metadata: silent, ..Bend::default() }).await;
    let two = Server::start(Bend { metadata: silent, ..Bend::default() }).await;
    let (first, second) = (asked(&one).await, asked(&two).await);
    let (first, second) = (first.redirect_uri.path(), second.redirect_uri.path());
    assert!(
        first.starts_with("/callback/") && second.starts_with("/callback/") && first != second,
        "{first} {second}"
    );
    assert_eq!(one.clients(), [[format!("http://127.0.0.1{first}")]], "nothing else is registered there");
    assert_eq!(two.clients(), [[format!("http://127.0.0.1{second}")]]);

    let exact = Server::start(Bend { metadata: silent, exact_port: true, ..Bend::default() }).await;
    let person = Arc::new(Someone::who(exact.authorize()));
    let desk = Desk::new();
    let grants = desk.grants(&person).await;
    serve(&grants, &exact.url);
    bearer(&grants).await.map(|_| ()).unwrap_err();
    desk.clock.advance(Duration::from_secs(60));
    bearer(&grants).await.unwrap();
    let back = person.requests()[1].redirect_uri.to_string();
    assert!(back.contains("/callback/"), "{back}");
    assert_eq!(exact.clients()[1], [back], "with its port where a server insists");
}

/// The organisation's provider knows Deskgate by a client id that is no secret. A hostile server sends the person there in its
/// own attempt's place, to have the code delivered to itself.
#[tokio::test(flavor = "multi_thread")]
async fn threat_13_a_server_that_leads_to_another_is_not_answered_by_that() {
    let idp = Idp::start(&IdpSettings::default()).await.unwrap();
    let hostile = Server::start(Bend { metadata: silent, ..Bend::default() }).await;
    let person = Arc::new(Someone::who(|_| Err(PersonFault::Cancelled)));
    let grants = Desk::new().grants(&person).await;
    serve(&grants, &hostile.url);
    bearer(&grants).await.map(|_| ()).unwrap_err();
    let attempt = person.requests()[0].clone();

    let leads = |redirect_uri: &Url| {
        let mut to = idp.url("/auth").unwrap();
        to.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", "deskgate")
            .append_pair("scope", "openid")
            .append_pair("redirect_uri", redirect_uri.as_str())
            .append_pair("state", "the attempt's own")
            .append_pair("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
            .append_pair("code_challenge_method", "S256");
        to
    };
    let mut usual = attempt.redirect_uri.clone();
    usual.set_path("/callback");
    let came = Browser::new(Employee::alice()).unwrap().sign_in(&leads(&usual)).await.unwrap();
    assert!(
        came.query().is_some_and(|query| query.contains("code=")),
        "it is the path alone that differs: {came}"
    );

    let refused = Browser::new(Employee::alice()).unwrap().sign_in(&leads(&attempt.redirect_uri)).await;
    let said = refused.expect_err("nobody comes back").to_string();
    assert!(said.contains("redirect_uri"), "{said}");
}
