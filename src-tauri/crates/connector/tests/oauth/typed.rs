//! Tokens that a person types, against PyPI `fastmcp` that was given them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connector::{Asking, ConnectorGrants, GrantHappening, GrantStatus};
use org_protocol::{ConnectorSpec, CredentialSpec};
use signin::FaultKind;
use testkit::{Employee, Mail};
use upstream::{Bearer, HttpClient, Session, UpstreamFault};
use url::Url;
use vault::Kind;

use crate::people::Someone;
use crate::support::{Desk, bearer, mail, spec, status};

const TOKEN: &str = "pat_0123456789abcdef";

async fn opens(url: &Url, bearer: &Bearer) -> Result<(), UpstreamFault> {
    let (deadline, nothing) = (Duration::from_secs(30), mcp::Capabilities::default());
    let client = HttpClient::new().unwrap();
    Session::open_url(&client, url, Some(bearer), &nothing, None, deadline).await.map(drop)
}

fn serve(grants: &ConnectorGrants, url: &Url, header: Option<&str>) {
    let header = header.map(|name| name.to_owned().try_into().unwrap()).unwrap_or_default();
    let credential = CredentialSpec::UserToken { header, hint: Some("Ask IT.".to_owned()) };
    grants.serve(&BTreeMap::from([(mail(), ConnectorSpec { credential, ..spec(url, None, &[]) })]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_token_is_asked_for_once_sealed_and_used_in_the_header_that_was_set() {
    for header in [None, Some("X-API-Key")] {
        let server = Mail::start_with_tokens(header, &[(TOKEN, &Employee::alice())]).await.unwrap();
        let desk = Desk::new();
        let person = Arc::new(Someone::who_types(&[TOKEN]));
        let grants = desk.grants(&person).await;
        serve(&grants, server.url(), header);
        let silent = grants.bearer(&mail(), Asking::Never).await.unwrap_err();
        assert_eq!(silent.kind, FaultKind::SignInNeeded);

        let first = bearer(&grants).await.unwrap();

        opens(server.url(), &first).await.unwrap();
        let asked = &person.requests()[0];
        assert!(asked.entrance.is_some(), "what is in a command line leads there once");
        assert_eq!(status(&grants, |_| true).await, GrantStatus::SignedIn { account: None, expires: None });
        assert_eq!(desk.happened(), [GrantHappening::Typed]);
        assert!(
            !desk.files().windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()),
            "it lies sealed"
        );
        grants.close().await;

        let again = desk.grants(&person).await;
        serve(&again, server.url(), header);
        let later = again.bearer(&mail(), Asking::Never).await.unwrap();
        opens(server.url(), &later).await.unwrap();
        assert_eq!(person.asked(), 1);

        again.sign_out(&mail()).await.unwrap();
        assert!(desk.stored(Kind::Grant).await.is_empty());
        again.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_asked_for_anew() {
    let server = Mail::start_with_tokens(None, &[(TOKEN, &Employee::alice())]).await.unwrap();
    let desk = Desk::new();
    let person = Arc::new(Someone::who_types(&["pat_mistyped", TOKEN]));
    let grants = desk.grants(&person).await;
    serve(&grants, server.url(), None);

    let wrong = bearer(&grants).await.unwrap();
    let refused = opens(server.url(), &wrong).await.unwrap_err();
    assert!(matches!(refused, UpstreamFault::Unauthorized { .. }), "{refused:?}");
    grants.rejected(&mail(), &wrong, None).await;
    let silent = grants.bearer(&mail(), Asking::Never).await.unwrap_err();
    assert_eq!(silent.kind, FaultKind::SignInNeeded, "it is not used again");

    let right = bearer(&grants).await.unwrap();

    opens(server.url(), &right).await.unwrap();
    assert_eq!(person.asked(), 2);
    grants.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_token_does_not_follow_its_connector_elsewhere() {
    let (one, other) = (
        Mail::start_with_tokens(None, &[(TOKEN, &Employee::alice())]).await.unwrap(),
        Mail::start_with_tokens(None, &[(TOKEN, &Employee::alice())]).await.unwrap(),
    );
    let desk = Desk::new();
    let person = Arc::new(Someone::who_types(&[TOKEN]));
    let grants = desk.grants(&person).await;
    serve(&grants, one.url(), None);
    bearer(&grants).await.unwrap();

    serve(&grants, other.url(), None);
    assert_eq!(grants.bearer(&mail(), Asking::Never).await.unwrap_err().kind, FaultKind::SignInNeeded);
    serve(&grants, one.url(), Some("X-Other"));
    assert_eq!(
        grants.bearer(&mail(), Asking::Never).await.unwrap_err().kind,
        FaultKind::SignInNeeded,
        "nor into another header"
    );
    grants.close().await;
}
