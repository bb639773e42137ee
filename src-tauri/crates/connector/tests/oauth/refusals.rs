//! What is not followed and not believed.

use std::sync::Arc;

use model::{PersonFault, SignInRequest};
use serde_json::json;
use signin::FaultKind;
use url::Url;
use vault::Kind;

use crate::people::Someone;
use crate::server::{Bend, Server};
use crate::support::{Desk, bearer, serve};

/// Signs in at a server that deviates, where nobody may be asked, and says why not.
async fn refused(bend: Bend) -> FaultKind {
    let server = Server::start(bend).await;
    let desk = Desk::new();
    let nobody = Arc::new(Someone::who(|_| unreachable!("nobody is asked")));
    let grants = desk.grants(&nobody).await;
    serve(&grants, &server.url);
    let fault = bearer(&grants).await.map(|_| ()).unwrap_err();
    assert!(desk.stored(Kind::Grant).await.is_empty());
    fault
}

fn not_allowed(fault: &FaultKind) {
    assert!(matches!(fault, FaultKind::NotAllowed(_)), "{fault:?}");
}

#[tokio::test]
async fn metadata_of_another_resource_or_issuer_are_refused() {
    let fault =
        refused(Bend { resource: |m| m["resource"] = json!("https://evil.example/mcp"), ..Bend::default() });
    assert!(matches!(fault.await, FaultKind::Mismatch(_)));
    let fault =
        refused(Bend { metadata: |m| m["issuer"] = json!("https://evil.example"), ..Bend::default() });
    assert!(matches!(fault.await, FaultKind::Mismatch(_)));
    let fault =
        refused(Bend { metadata: |m| drop(m.as_object_mut().unwrap().remove("issuer")), ..Bend::default() });
    assert!(matches!(fault.await, FaultKind::Mismatch(_)));
}

#[tokio::test]
async fn a_server_that_does_not_announce_s256_is_refused() {
    let metadata = |metadata| Bend { metadata, ..Bend::default() };
    let missing = FaultKind::NotOffered("PKCE with S256".to_owned());
    assert_eq!(
        refused(metadata(|m| m["code_challenge_methods_supported"] = json!(["plain"]))).await,
        missing
    );
    let none = metadata(|m| drop(m.as_object_mut().unwrap().remove("code_challenge_methods_supported")));
    assert_eq!(refused(none).await, missing);
}

#[tokio::test]
async fn metadata_that_lead_inside_the_network_are_not_followed() {
    let resource = |resource| Bend { resource, ..Bend::default() };
    for bend in [
        resource(|m| m["authorization_servers"] = json!(["http://169.254.169.254/"])),
        resource(|m| m["authorization_servers"] = json!(["http://10.0.0.1/"])),
        resource(|m| m["authorization_servers"] = json!(["http://as.example/"])),
    ] {
        let fault = refused(bend).await;
        assert!(matches!(fault, FaultKind::NotAllowed(_) | FaultKind::NotOffered(_)), "{fault:?}");
    }
    let metadata = |metadata| Bend { metadata, ..Bend::default() };
    not_allowed(&refused(metadata(|m| m["token_endpoint"] = json!("http://10.0.0.1/token"))).await);
    not_allowed(&refused(metadata(|m| m["registration_endpoint"] = json!("http://192.168.0.1/r"))).await);
    not_allowed(&refused(metadata(|m| m["revocation_endpoint"] = json!("http://as.example/r"))).await);
}

#[tokio::test]
async fn only_web_addresses_are_shown_to_a_person() {
    let metadata = |metadata| Bend { metadata, ..Bend::default() };
    not_allowed(&refused(metadata(|m| m["authorization_endpoint"] = json!("javascript:alert(1)"))).await);
    not_allowed(&refused(metadata(|m| m["authorization_endpoint"] = json!("file:///etc/passwd"))).await);
    not_allowed(&refused(metadata(|m| m["authorization_endpoint"] = json!("ms-word:ofe|u|https://x"))).await);
    not_allowed(&refused(metadata(|m| m["authorization_endpoint"] = json!("http://as.example/a"))).await);
    not_allowed(
        &refused(metadata(|m| m["authorization_endpoint"] = json!("file://host/share/calc.exe"))).await,
    );
    not_allowed(
        &refused(metadata(|m| m["authorization_endpoint"] = json!("https://user:x@as.example/"))).await,
    );
    for none in [
        |m: &mut serde_json::Value| m["authorization_endpoint"] = json!("$(calc)"),
        |m: &mut serde_json::Value| m["authorization_endpoint"] = json!("--flag"),
        |m: &mut serde_json::Value| m["authorization_endpoint"] = json!(r"\\host\share\calc.exe"),
    ] {
        let fault = refused(metadata(none)).await;
        assert!(!matches!(fault, FaultKind::Cancelled | FaultKind::Internal(_)), "{fault:?}");
    }
    let long = |m: &mut serde_json::Value| {
        m["authorization_endpoint"] = json!(format!("https://as.example/{}", "a".repeat(65_536)));
    };
    not_allowed(&refused(metadata(long)).await);
}

#[tokio::test]
async fn a_connector_that_cannot_be_reached_says_so() {
    let desk = Desk::new();
    let nobody = Arc::new(Someone::who(|_| unreachable!("nobody is asked")));
    let grants = desk.grants(&nobody).await;
    let port = testkit::free_port().unwrap();
    serve(&grants, &Url::parse(&format!("http://127.0.0.1:{port}/mcp")).unwrap());
    assert!(matches!(bearer(&grants).await, Err(FaultKind::Unreachable(_))));
}

#[tokio::test]
async fn a_connector_that_names_no_authorization_server_says_so() {
    let fault = refused(Bend {
        resource: |m| m["authorization_servers"] = json!(["http://127.0.0.1:9/"]),
        ..Bend::default()
    });
    assert!(matches!(fault.await, FaultKind::Unreachable(_)));
    let plain = axum::Router::new().route("/mcp", axum::routing::any(|| async { "hello" }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = Url::parse(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, plain).await.unwrap() });
    let desk = Desk::new();
    let grants = desk.grants(&Arc::new(Someone::who(|_| unreachable!("nobody is asked")))).await;
    serve(&grants, &url);
    let fault = bearer(&grants).await.map(|_| ()).unwrap_err();
    assert_eq!(fault, FaultKind::NotOffered("it names no authorization server".to_owned()));
}

/// Signs in where the answer is bent on its way.
async fn answered(bend: fn(&mut Vec<(String, String)>)) -> FaultKind {
    let server = Server::start(Bend::default()).await;
    let authorize = server.authorize();
    let person = Someone::who(move |request: &SignInRequest| -> Result<Url, PersonFault> {
        let mut back = authorize(request)?;
        let mut pairs: Vec<(String, String)> = back.query_pairs().into_owned().collect();
        bend(&mut pairs);
        back.query_pairs_mut().clear().extend_pairs(pairs);
        Ok(back)
    });
    let desk = Desk::new();
    let grants = desk.grants(&Arc::new(person)).await;
    serve(&grants, &server.url);
    let fault = bearer(&grants).await.map(|_| ()).unwrap_err();
    assert_eq!(server.count("authorization_code"), 0, "the code is not redeemed");
    fault
}

#[tokio::test]
async fn an_answer_to_another_question_is_refused_before_the_code_is_redeemed() {
    fn set(pairs: &mut Vec<(String, String)>, name: &str, value: Option<&str>) {
        pairs.retain(|(key, _)| key != name);
        pairs.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
    let mismatch = |why: &str| FaultKind::Mismatch(why.to_owned());
    assert_eq!(answered(|pairs| set(pairs, "iss", Some("https://evil.example"))).await, mismatch("issuer"));
    assert_eq!(answered(|pairs| set(pairs, "iss", None)).await, mismatch("issuer missing"));
    assert_eq!(answered(|pairs| set(pairs, "state", Some("guess"))).await, mismatch("state"));
    let refused = answered(|pairs| {
        set(pairs, "code", None);
        set(pairs, "error", Some("access_denied"));
    });
    assert_eq!(refused.await, FaultKind::Refused("access_denied".to_owned()));
}
