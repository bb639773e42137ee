//! Accounts of programs: npm `oidc-provider` gives the tokens, PyPI `fastmcp` takes them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use connector::{Asking, ConnectorGrants, GrantHappening};
use org_protocol::{ClientAuthentication, ConnectorSpec, CredentialSpec};
use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::EncodePrivateKey as _;
use signin::FaultKind;
use testkit::{Idp, IdpSettings, Mail, ServiceClient, ServiceProof};
use url::Url;
use vault::Kind;

use crate::people::Someone;
use crate::real::tools;
use crate::support::{Desk, bearer, mail, spec};

const SECRET: &str = "robot-S3cret+/=%";

fn serve(grants: &ConnectorGrants, url: &Url, authentication: ClientAuthentication) {
    let credential = CredentialSpec::ClientCredentials {
        client_id: "robot".to_owned(),
        authentication,
        scopes: [].into(),
        hint: None,
    };
    grants.serve(&[(mail(), ConnectorSpec { credential, ..spec(url, None, &[]) })].into());
}

async fn peers(by: ServiceProof) -> (Idp, Mail) {
    let services = vec![ServiceClient { id: "robot".to_owned(), by }];
    let idp = Idp::start(&IdpSettings { services, ..IdpSettings::default() }).await.unwrap();
    let server = Mail::start(&idp).await.unwrap();
    (idp, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_s_secret_is_typed_once_and_its_tokens_are_fetched_silently() {
    let (_idp, server) = peers(ServiceProof::Basic(SECRET.to_owned())).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who_types(&["mistyped", SECRET]));
    let grants = desk.grants(&person).await;
    serve(&grants, server.url(), ClientAuthentication::Secret);
    let silent = grants.bearer(&mail(), Asking::Never).await.unwrap_err();
    assert_eq!(silent.kind, FaultKind::SignInNeeded);

    let first = bearer(&grants).await.unwrap();

    assert_eq!(tools(server.url(), &first).await.unwrap(), 2);
    assert_eq!(person.asked(), 2, "what the server does not take is asked for at once");
    assert!(!desk.files().windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "it lies sealed");

    desk.clock.advance(Duration::from_secs(400));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let grants = grants.clone();
            tokio::spawn(async move { grants.bearer(&mail(), Asking::Never).await.unwrap() })
        })
        .collect();
    let mut tokens = vec![];
    for call in calls {
        tokens.push(call.await.unwrap());
    }
    assert!(tokens.iter().all(|token| token.same_as(&tokens[0])), "one is fetched for all");
    assert!(!tokens[0].same_as(&first));
    assert_eq!(tools(server.url(), &tokens[0]).await.unwrap(), 2);
    grants.close().await;

    let again = desk.grants(&person).await;
    serve(&again, server.url(), ClientAuthentication::Secret);
    again.rejected(&mail(), &tokens[0], None).await;
    let later = again.bearer(&mail(), Asking::Never).await.unwrap();
    assert_eq!(tools(server.url(), &later).await.unwrap(), 2);
    assert_eq!(person.asked(), 2, "not after a restart either");
    again.sign_out(&mail()).await.unwrap();
    assert!(desk.stored(Kind::Grant).await.is_empty(), "the secret is gone");
    again.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_the_server_takes_no_more_is_asked_for_anew() {
    let (idp, server) = peers(ServiceProof::Basic(SECRET.to_owned())).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who_types(&[SECRET, "another-secret"]));
    let grants = desk.grants(&person).await;
    serve(&grants, server.url(), ClientAuthentication::Secret);
    bearer(&grants).await.unwrap();

    idp.change_secret("robot", "another-secret").await.unwrap();
    desk.clock.advance(Duration::from_secs(400));
    let silent = grants.bearer(&mail(), Asking::Never).await.unwrap_err();
    assert!(silent.kind.wants_sign_in(), "{silent}");
    assert!(desk.happened().contains(&GrantHappening::Ended));

    let renewed = bearer(&grants).await.unwrap();
    assert_eq!(tools(server.url(), &renewed).await.unwrap(), 2);
    assert_eq!(person.asked(), 2);
    grants.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_proves_who_it_is_by_its_key() {
    let key = SigningKey::generate();
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = (point.x().unwrap(), point.y().unwrap());
    let public = serde_json::json!({
        "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    });
    let (_idp, server) = peers(ServiceProof::Key(public)).await;
    let der = STANDARD.encode(key.to_pkcs8_der().unwrap().as_bytes());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    let desk = Desk::new();
    let person = Arc::new(Someone::who_types(&[&pem]));
    let grants = desk.grants(&person).await;
    serve(&grants, server.url(), ClientAuthentication::PrivateKeyJwt);

    let first = bearer(&grants).await.unwrap();
    assert_eq!(tools(server.url(), &first).await.unwrap(), 2);
    grants.rejected(&mail(), &first, None).await;
    let second = grants.bearer(&mail(), Asking::Never).await.unwrap();
    assert!(!second.same_as(&first));
    assert_eq!(tools(server.url(), &second).await.unwrap(), 2);
    assert_eq!(person.asked(), 1);
    grants.close().await;
}
