//! Who Deskgate is at an authorization server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::ForPerson as _;
use org_protocol::ClientMetadataUrl;
use serde_json::json;
use signin::FaultKind;
use url::Url;
use vault::Kind;

use crate::people::Someone;
use crate::server::{Bend, Server, parameters};
use crate::support::{Desk, bearer, mail, serve, spec, spec_with_redirects, spec_with_secret};

const ANY_PORT: &str = "http://127.0.0.1/callback";

#[tokio::test]
async fn a_registration_is_made_once_and_used_with_fresh_ports() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);

    for _ in 0..3 {
        bearer(&grants).await.unwrap();
        grants.sign_out(&mail()).await.unwrap();
    }

    assert_eq!(server.clients(), [[ANY_PORT]]);
    let ports: BTreeSet<_> = person.requests().iter().map(|r| r.redirect_uri.port().unwrap()).collect();
    // The system may hand out one twice in a row, and not three times.
    assert!(ports.len() > 1, "each attempt has a port of its own: {ports:?}");
    assert_eq!(desk.stored(Kind::Client).await.len(), 1);
}

#[tokio::test]
async fn a_server_that_wants_the_exact_port_gets_it_at_the_second_attempt() {
    let server = Server::start(Bend { exact_port: true, ..Bend::default() }).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);

    assert_eq!(bearer(&grants).await.map(|_| ()), Err(FaultKind::Cancelled), "nobody came back");
    desk.clock.advance(Duration::from_secs(60));
    bearer(&grants).await.unwrap();

    let second = person.requests()[1].redirect_uri.to_string();
    assert_eq!(server.clients(), [[ANY_PORT.to_owned()], [second]]);
    grants.sign_out(&mail()).await.unwrap();
    bearer(&grants).await.unwrap();
    assert_eq!(server.clients().len(), 3, "from then on each attempt registers its own");
}

#[tokio::test]
async fn a_registration_that_the_server_forgot_is_made_anew() {
    let server = Server::start(Bend { forgetful: true, ..Bend::default() }).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);

    assert_eq!(bearer(&grants).await.map(|_| ()), Err(FaultKind::Refused("invalid_client".to_owned())));
    desk.clock.advance(Duration::from_secs(60));
    bearer(&grants).await.unwrap();

    assert_eq!(server.count("register"), 2);
}

#[tokio::test]
async fn without_registration_a_client_id_of_it_is_needed() {
    let bend = || Bend {
        metadata: |metadata| drop(metadata.as_object_mut().unwrap().remove("registration_endpoint")),
        ..Bend::default()
    };
    let server = Server::start(bend()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);
    assert_eq!(
        bearer(&grants).await.map(|_| ()),
        Err(FaultKind::NotOffered("a way to register as a client".to_owned()))
    );

    grants.serve(&[(mail(), spec(&server.url, Some("from-it"), &[]))].into());
    desk.clock.advance(Duration::from_secs(60));
    bearer(&grants).await.unwrap();

    assert_eq!(server.forms()[0]["client_id"], "from-it");
}

#[tokio::test]
async fn scopes_are_those_of_it_else_those_of_the_challenge_and_offline_access_where_known() {
    let server = Server::start(Bend {
        metadata: |metadata| metadata["scopes_supported"] = json!(["mail.read", "offline_access"]),
        ..Bend::default()
    })
    .await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);
    bearer(&grants).await.unwrap();
    grants.serve(&[(mail(), spec(&server.url, None, &["mail.send"]))].into());
    bearer(&grants).await.unwrap();

    let asked: Vec<_> = person.requests().iter().map(|r| parameters(&r.authorize_url)).collect();
    assert_eq!(asked[0]["scope"], "mail.read offline_access");
    assert_eq!(asked[0]["prompt"], "consent", "OpenID Connect Core 1.0, section 11");
    assert_eq!(asked[1]["scope"], "mail.send offline_access", "IT asks for more: the person is asked again");
}

#[tokio::test]
async fn metadata_are_found_by_challenge_by_path_and_at_the_root() {
    for (challenge, at_root) in [(Bend::default().challenge, false), (None, false), (None, true)] {
        let server = Server::start(Bend { challenge, at_root, ..Bend::default() }).await;
        let desk = Desk::new();
        let grants = desk.grants(&Arc::new(Someone::who(server.authorize()))).await;
        serve(&grants, &server.url);
        assert!(bearer(&grants).await.is_ok(), "{challenge:?} {at_root}");
        assert!(server.count("resource") >= 1);
    }
}

const DOCUMENT: &str = "https://config.acme.test/deskgate/client.json";

fn document() -> Option<ClientMetadataUrl> {
    ClientMetadataUrl::try_from(Url::parse(DOCUMENT).unwrap()).ok()
}

#[tokio::test]
async fn a_document_is_the_client_id_where_the_server_takes_one() {
    let takes =
        |metadata: &mut serde_json::Value| metadata["client_id_metadata_document_supported"] = json!(true);
    let server = Server::start(Bend { metadata: takes, ..Bend::default() }).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    grants.name(Vec::new(), document());
    serve(&grants, &server.url);
    bearer(&grants).await.unwrap();

    assert_eq!(parameters(&person.requests()[0].authorize_url)["client_id"], DOCUMENT);
    assert_eq!(server.forms()[0]["client_id"], DOCUMENT);
    assert_eq!(server.count("register"), 0);
}

#[tokio::test]
async fn a_document_is_nothing_to_a_server_that_takes_none() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    grants.name(Vec::new(), document());
    serve(&grants, &server.url);
    bearer(&grants).await.unwrap();
    assert_eq!(server.count("register"), 1);
}

#[tokio::test]
async fn a_client_id_of_it_goes_with_the_secret_that_the_server_insists_on() {
    let posts = |metadata: &mut serde_json::Value| {
        metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    };
    let server = Server::start(Bend { metadata: posts, ..Bend::default() }).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    grants.serve(&BTreeMap::from([(mail(), spec_with_secret(&server.url, "deskgate", "not-so-secret"))]));
    bearer(&grants).await.unwrap();

    let form = &server.forms()[0];
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("deskgate", "not-so-secret"));
    assert_eq!(server.count("register"), 0);
}

#[tokio::test]
async fn a_sign_in_comes_back_where_it_was_registered_and_to_the_next_port_if_that_is_taken() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    let taken = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let free = signin::free_loopback_port().unwrap();
    let fixed =
        [taken.local_addr().unwrap().port(), free].map(|port| format!("http://127.0.0.1:{port}/oauth/done"));
    grants.serve(&BTreeMap::from([(mail(), spec_with_redirects(&server.url, "deskgate", &fixed))]));

    bearer(&grants).await.unwrap();

    assert_eq!(person.requests().len(), 1);
    assert_eq!(person.requests()[0].redirect_uri.as_str(), fixed[1]);
    assert_eq!(server.forms()[0]["redirect_uri"], fixed[1]);
}

#[tokio::test]
async fn a_sign_in_whose_only_port_is_taken_says_which() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    let taken = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let fixed = [format!("http://127.0.0.1:{port}/callback")];
    grants.serve(&BTreeMap::from([(mail(), spec_with_redirects(&server.url, "deskgate", &fixed))]));

    let fault = grants.bearer(&mail(), connector::Asking::Allowed).await.unwrap_err();

    assert_eq!(fault.kind, FaultKind::PortsTaken(vec![port]));
    assert!(fault.advice().happened.contains(&port.to_string()), "{}", fault.advice());
    assert_eq!(person.asked(), 0, "nothing was shown");
    assert!(server.forms().is_empty());
}
