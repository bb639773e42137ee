//! Against npm `oidc-provider` as the authorization server and PyPI `fastmcp` as the connector.

use std::sync::Arc;
use std::time::Duration;

use connector::{Asking, GrantHappening, GrantStatus};
use signin::FaultKind;
use testkit::{Employee, Idp, IdpSettings, Mail};
use upstream::{Bearer, HttpClient, Session, UpstreamFault};
use url::Url;
use vault::Kind;

use crate::people::Someone;
use crate::server::parameters;
use crate::support::{Desk, bearer, mail, serve, status};

/// Whether the connector takes the token: it lists its tools only then.
pub(crate) async fn tools(url: &Url, bearer: &Bearer) -> Result<usize, UpstreamFault> {
    let deadline = Duration::from_secs(30);
    let session = Session::open_url(
        &HttpClient::new().unwrap(),
        url,
        Some(bearer),
        &mcp::Capabilities::default(),
        None,
        deadline,
    )
    .await?;
    Ok(session.list_tools(Some(bearer), deadline).await?.tools.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_call_asks_and_the_later_ones_are_silent_over_a_restart() {
    let idp = Idp::start(&IdpSettings::default()).await.unwrap();
    let server = Mail::start(&idp).await.unwrap();
    let desk = Desk::new();
    let alice = Arc::new(Someone::at_a_browser(Employee::alice()));
    let grants = desk.grants(&alice).await;
    serve(&grants, server.url());
    assert_eq!(status(&grants, |_| true).await, GrantStatus::SignedOut);
    let silent = grants.bearer(&mail(), Asking::Never).await.unwrap_err();
    assert_eq!(silent.kind, FaultKind::SignInNeeded);

    let first = bearer(&grants).await.unwrap();

    assert_eq!(tools(server.url(), &first).await.unwrap(), 2);
    let asked = parameters(&alice.requests()[0].authorize_url);
    assert_eq!(asked["resource"], server.url().as_str(), "RFC 8707");
    assert_eq!(asked["code_challenge_method"], "S256");
    assert!(matches!(status(&grants, |_| true).await, GrantStatus::SignedIn { expires: Some(_), .. }));
    assert_eq!(desk.happened(), [GrantHappening::SignedIn { issuer: idp.issuer().to_owned() }]);
    grants.close().await;

    let again = desk.grants(&alice).await;
    serve(&again, server.url());
    let second = again.bearer(&mail(), Asking::Never).await.unwrap();
    assert!(second.same_as(&first));
    assert_eq!(alice.asked(), 1);
    assert_eq!(desk.stored(Kind::Client).await.len(), 1, "the registration is remembered");
    again.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_renews_before_the_end_and_signs_out_at_the_server_too() {
    let settings = IdpSettings { access_token: Duration::from_secs(60), ..IdpSettings::default() };
    let idp = Idp::start(&settings).await.unwrap();
    let server = Mail::start(&idp).await.unwrap();
    let desk = Desk::new();
    let alice = Arc::new(Someone::at_a_browser(Employee::alice()));
    let grants = desk.grants(&alice).await;
    serve(&grants, server.url());
    let first = bearer(&grants).await.unwrap();

    desk.clock.advance(Duration::from_secs(48));

    let second = testkit::until("a renewed token", Duration::from_secs(20), async || {
        let token = grants.bearer(&mail(), Asking::Never).await.ok()?;
        (!token.same_as(&first)).then_some(token)
    })
    .await
    .unwrap();
    assert_eq!(tools(server.url(), &second).await.unwrap(), 2);
    assert_eq!(alice.asked(), 1, "silently");

    grants.sign_out(&mail()).await.unwrap();

    assert_eq!(status(&grants, |_| true).await, GrantStatus::SignedOut);
    assert!(desk.stored(Kind::Grant).await.is_empty());
    assert!(desk.happened().contains(&GrantHappening::SignedOut));
    grants.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_at_the_end_of_life_do_not_end_the_family() {
    let idp = Idp::start(&IdpSettings::default()).await.unwrap();
    let server = Mail::start(&idp).await.unwrap();
    let desk = Desk::new();
    let alice = Arc::new(Someone::at_a_browser(Employee::alice()));
    let grants = desk.grants(&alice).await;
    serve(&grants, server.url());
    let first = bearer(&grants).await.unwrap();

    for _ in 0..3 {
        desk.clock.advance(Duration::from_secs(300));
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let grants = grants.clone();
                tokio::spawn(async move { bearer(&grants).await.unwrap() })
            })
            .collect();
        let mut tokens = vec![];
        for call in calls {
            tokens.push(call.await.unwrap());
        }
        assert!(tokens.iter().all(|token| token.same_as(&tokens[0])), "one renewal for all");
        assert!(!tokens[0].same_as(&first));
        assert_eq!(tools(server.url(), &tokens[0]).await.unwrap(), 2);
    }
    assert_eq!(alice.asked(), 1, "nobody was signed out");
    grants.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_it_registered_needs_no_registration() {
    let idp = Idp::start(&IdpSettings::default()).await.unwrap();
    let server = Mail::start(&idp).await.unwrap();
    let desk = Desk::new();
    let alice = Arc::new(Someone::at_a_browser(Employee::alice()));
    let grants = desk.grants(&alice).await;
    let spec = crate::support::spec(server.url(), Some("deskgate"), &["mail.read"]);
    grants.serve(&[(mail(), spec)].into());

    let token = bearer(&grants).await.unwrap();

    assert_eq!(tools(server.url(), &token).await.unwrap(), 2);
    let asked = parameters(&alice.requests()[0].authorize_url);
    assert_eq!(asked["client_id"], "deskgate");
    assert!(asked["scope"].split(' ').any(|scope| scope == "mail.read"));
    assert!(desk.stored(Kind::Client).await.is_empty());
    grants.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_whose_provider_is_down_says_so_and_keeps_the_grant() {
    let mut idp = Idp::start(&IdpSettings::default()).await.unwrap();
    let server = Mail::start(&idp).await.unwrap();
    let desk = Desk::new();
    let alice = Arc::new(Someone::at_a_browser(Employee::alice()));
    let grants = desk.grants(&alice).await;
    serve(&grants, server.url());
    bearer(&grants).await.unwrap();
    idp.process().kill();
    desk.clock.advance(Duration::from_secs(400));

    let fault = bearer(&grants).await.unwrap_err();

    assert!(matches!(fault, FaultKind::Unreachable(_)), "{fault:?}");
    assert!(matches!(status(&grants, |_| true).await, GrantStatus::NeedsAttention(_)));
    assert_eq!(desk.stored(Kind::Grant).await.len(), 1);
    assert_eq!(alice.asked(), 1);
    grants.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_compares_redirects_exactly_gets_the_registered_one() {
    let idp = Idp::start(&IdpSettings::default()).await.unwrap();
    let server = Mail::start(&idp).await.unwrap();
    let desk = Desk::new();
    let alice = Arc::new(Someone::at_a_browser(Employee::alice()));
    let grants = desk.grants(&alice).await;
    let registered = [format!("http://127.0.0.1:{}/callback", signin::free_loopback_port().unwrap())];
    idp.compare_redirects("deskgate", &registered).await.unwrap();
    let spec = crate::support::spec_with_redirects(server.url(), "deskgate", &registered);
    grants.serve(&[(mail(), spec)].into());

    let token = bearer(&grants).await.unwrap();

    assert_eq!(tools(server.url(), &token).await.unwrap(), 2);
    assert_eq!(alice.requests()[0].redirect_uri.as_str(), registered[0]);
    grants.close().await;
}
