//! Shared accounts whose secrets come from elsewhere: npm `oidc-provider` gives tokens, PyPI `fastmcp` takes them, and a stand-in
//! gives what Vault would.

use std::path::Path;
use std::time::Duration;

use control::admin::{Answer, Ask, AskFault, Rotated, Secret};
use control::testing::StandInVault;
use control::{AppRole, OauthSpec, SourceSpec, VaultSpec};
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{Idp, IdpSettings, Mail, RustyVault, ServiceClient, ServiceProof};
use url::Url;

use crate::harness::{Device, Org, served, signed_in};

const SECRET: &str = "robot-S3cret+/=%";
const MAIL: &str = "connectors/warehouse.toml";

struct Peers {
    idp: Idp,
    mail: Mail,
    org: Org,
}

/// An organisation with the mail as its brokered connector.
async fn peers() -> Peers {
    let services = vec![ServiceClient { id: "robot".to_owned(), by: ServiceProof::Basic(SECRET.to_owned()) }];
    let settings = IdpSettings { services, access_token: Duration::from_secs(90), ..IdpSettings::default() };
    let idp = Idp::start(&settings).await.expect("a provider");
    let mail = Mail::start(&idp).await.expect("the mail");
    let mut org = served().await;
    org.publish(|folder| write_mail(folder, mail.url())).await.expect("publishes");
    Peers { idp, mail, org }
}

fn write_mail(folder: &Path, url: &Url) {
    let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).expect("writes");
    write(
        MAIL,
        &format!(
            "title = \"Mail\"\nurl = \"{url}\"\ncredential = {{ kind = \"brokered\", credentials = [\"warehouse-analyst\"] }}\n"
        ),
    );
    write("connectors/warehouse.tools.json", r#"[{"name":"list_messages","inputSchema":{"type":"object"}}]"#);
    write(
        "policies/all.cedar",
        r#"
@id("staff")
permit (principal in Group::"analysts", action in [Action::"see_server", Action::"expose_connector", Action::"call_tool"], resource in Server::"analyst");
@id("account")
permit (principal in Group::"analysts", action == Action::"use_shared_credential", resource == Credential::"warehouse-analyst");
"#,
    );
}

fn spec(peers: &Peers, scopes: &[&str]) -> OauthSpec {
    let issuer = peers.idp.issuer();
    OauthSpec {
        token_url: format!("{issuer}/token").parse().expect("a URL"),
        client_id: "robot".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        resource: Some(peers.mail.url().clone()),
        audience: None,
        revocation_url: None,
    }
}

async fn put(org: &Org, secret: &str, source: SourceSpec) -> Result<Answer, AskFault> {
    let (id, secret) = ("warehouse-analyst".parse().expect("an id"), Secret(SecretString::from(secret)));
    org.ask(&Ask::PutCredential { id, secret, source: Some(source) }).await
}

async fn rotated(org: &Org, secret: &str) -> Result<Rotated, AskFault> {
    let (id, secret) = ("warehouse-analyst".parse().expect("an id"), Secret(SecretString::from(secret)));
    let answer = org.ask(&Ask::RotateCredential { id, secret, source: None, untested: false }).await?;
    let Answer::Rotated(rotated) = answer else { panic!("{answer:?}") };
    Ok(rotated)
}

async fn account(device: &Device<'_>) -> (StatusCode, Value) {
    let (status, answer) = device.call("list_messages", json!({})).await;
    (status, answer["result"]["structuredContent"]["account"].clone())
}

#[tokio::test]
async fn an_account_of_a_client_is_used_with_tokens_that_are_fetched_and_renewed() {
    let peers = peers().await;
    let alice = signed_in(&peers.org, "alice", &["analysts"]).await;
    put(&peers.org, SECRET, SourceSpec::ClientCredentials(spec(&peers, &["mail.read"])))
        .await
        .expect("stores");
    let (status, first) = account(&alice).await;
    assert_eq!(status, StatusCode::OK, "{first}");
    let Answer::Credentials { credentials } = peers.org.ask(&Ask::ListCredentials).await.expect("lists")
    else {
        panic!("no list");
    };
    let source = credentials[0].source.as_deref().unwrap_or_default();
    assert!(source.starts_with("client robot at ") && !source.contains(SECRET), "{source}");

    // What the server takes no more is neither used nor stored, and the account goes on.
    let refused = rotated(&peers.org, "not-the-secret").await;
    let Err(AskFault::Refused(advice)) = refused else { panic!("{refused:?}") };
    assert!(advice.code == "secret-not-taken" && advice.happened.contains("invalid_client"), "{advice}");
    assert_eq!(account(&alice).await.0, StatusCode::OK);
    peers.idp.change_secret("robot", "another-secret").await.expect("changed");
    let done = rotated(&peers.org, "another-secret").await.expect("rotates");
    assert_eq!(done.tested.len(), 1, "with the mail: {done:?}");
    assert_eq!(account(&alice).await, (StatusCode::OK, first));
}

#[tokio::test]
async fn a_client_that_the_server_does_not_take_is_said_and_nothing_is_called() {
    let peers = peers().await;
    let alice = signed_in(&peers.org, "alice", &["analysts"]).await;
    put(&peers.org, "wrong", SourceSpec::ClientCredentials(spec(&peers, &[]))).await.expect("stores");
    let (status, answer) = alice.call("list_messages", json!({})).await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (StatusCode::BAD_GATEWAY, Some("credential-unusable"))
    );
    let insecure = OauthSpec {
        token_url: "http://elsewhere.example/token".parse().expect("a URL"),
        ..spec(&peers, &[])
    };
    let refused = put(&peers.org, "x", SourceSpec::ClientCredentials(insecure)).await;
    assert!(matches!(refused, Err(AskFault::Refused(advice)) if advice.code == "secret-source"));
}

#[tokio::test]
async fn a_token_for_each_person_is_had_in_exchange_for_the_server_s_word_about_them() {
    let peers = peers().await;
    let (issuer, keys) = (peers.org.url(""), peers.org.url("v1/assertions/keys.json"));
    put(&peers.org, SECRET, SourceSpec::TokenExchange(spec(&peers, &["mail.read"]))).await.expect("stores");
    let alice = signed_in(&peers.org, "alice", &["analysts"]).await;
    let bob = signed_in(&peers.org, "bob", &["analysts"]).await;
    let (status, _) = account(&alice).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "the server is not trusted yet");
    peers.idp.trust("robot", &issuer, &keys).await.expect("trusted");
    assert_eq!(account(&alice).await, (StatusCode::OK, json!("alice")));
    assert_eq!(account(&bob).await, (StatusCode::OK, json!("bob")));
    assert_eq!(account(&alice).await, (StatusCode::OK, json!("alice")));
    assert_eq!(peers.idp.exchanged(), ["alice", "bob"], "once for each");
    let refused = rotated(&peers.org, SECRET).await;
    assert!(matches!(refused, Err(AskFault::Refused(advice)) if advice.code == "secret-untestable"));
}

#[tokio::test]
async fn what_is_made_for_the_occasion_is_used_and_redacted_like_a_stored_secret() {
    let vault = StandInVault::start().await.expect("listens");
    let org = served().await;
    put(&org, "the-vault-token", vault.source("postgres://${username:url}:${password:url}@db/warehouse"))
        .await
        .expect("stores");
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    for _ in 0..2 {
        let (status, answer) = alice.call("query", json!({"sql": "x"})).await;
        assert_eq!(status, StatusCode::OK);
        let text = answer["result"]["content"][0]["text"].as_str().expect("text");
        assert!(text.starts_with("x as [redacted] in "), "{text}");
    }
    assert_eq!(vault.told(), ["made"], "one serves until it ends");
    let records = format!("{:?}", org.records(control::Filter::default()).await);
    assert!(!records.contains("passw0rd") && !records.contains("the-vault-token"), "{records}");
}

#[tokio::test]
async fn a_role_signs_in_with_a_secret_id_that_came_wrapped_and_is_taken_out_once() {
    let vault = StandInVault::start().await.expect("listens");
    let template = "postgres://${username:url}:${password:url}@db/warehouse";
    let org = served().await;
    let in_the_clear = put(&org, "the-secret-id", vault.source_by_role(template, true)).await;
    let Err(AskFault::Refused(advice)) = in_the_clear else { panic!("{in_the_clear:?}") };
    assert!(advice.code == "secret-source" && advice.happened.contains("no wrapping token"), "{advice}");
    put(&org, "the-wrapping-token", vault.source_by_role(template, true)).await.expect("stores");
    let again = put(&org, "the-wrapping-token", vault.source_by_role(template, true)).await;
    assert!(matches!(again, Err(AskFault::Refused(_))), "it was taken out before: {again:?}");

    let alice = signed_in(&org, "alice", &["analysts"]).await;
    for _ in 0..2 {
        let (status, answer) = alice.call("query", json!({"sql": "x"})).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let text = answer["result"]["content"][0]["text"].as_str().expect("text");
        assert!(text.starts_with("x as [redacted] in "), "{text}");
    }
    assert_eq!(vault.told(), ["signed in", "made"], "once for both");
    let records = format!("{:?}", org.records(control::Filter::default()).await);
    assert!(records.contains("by auth/approle"), "how it is opened is in the records: {records}");
    for secret in ["the-secret-id", "the-wrapping-token", "the-role-s-token", "the-role"] {
        assert!(!records.contains(secret), "{secret} is in {records}");
    }
}

/// At full size: it is built for that.
#[tokio::test]
async fn a_server_with_vault_s_api_gives_secrets_by_token_and_to_a_role() {
    if !testkit::full_size() {
        return;
    }
    let vault = RustyVault::start().await.expect("it starts");
    vault
        .write("secret/warehouse", json!({"username": "svc", "password": "a-kv-password"}))
        .await
        .expect("written");
    let (role_id, secret_id) = vault.role("deskgate").await.expect("made");
    let source = |wrapped, approle: Option<bool>| {
        SourceSpec::Vault(VaultSpec {
            address: vault.address().clone(),
            path: "secret/warehouse".to_owned(),
            namespace: None,
            template: "postgres://${username:url}:${password:url}@db/warehouse".to_owned(),
            wrapped,
            approle: approle.map(|wrapped_secret_id| AppRole {
                mount: "approle".to_owned(),
                role_id: role_id.clone(),
                wrapped_secret_id,
            }),
        })
    };
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    for (key, source) in [(vault.token(), source(false, None)), (&secret_id, source(false, Some(false)))] {
        put(&org, key, source).await.expect("stores");
        let (status, answer) = alice.call("query", json!({"sql": "x"})).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let text = answer["result"]["content"][0]["text"].as_str().expect("text");
        assert!(text.starts_with("x as [redacted] in "), "{text}");
        let done = rotated(&org, key).await.expect("it is taken again");
        assert_eq!(done.tested.len(), 1);
    }
    // It takes no other secret id, and wraps nothing: what comes in the clear is not used.
    let refused = async |key: &str, source| {
        let id = "warehouse-analyst".parse().expect("an id");
        let secret = Secret(SecretString::from(key));
        let asked = Ask::RotateCredential { id, secret, source: Some(source), untested: false };
        match org.ask(&asked).await {
            Err(AskFault::Refused(advice)) => advice.happened,
            other => panic!("{other:?}"),
        }
    };
    for (key, source, words) in [
        ("another-secret-id", source(false, Some(false)), "does not take"),
        ("another-token", source(false, None), "does not take"),
        (vault.token(), source(true, None), "asked to wrap its reply and did not"),
        (&secret_id, source(false, Some(true)), "no wrapping token"),
    ] {
        let said = refused(key, source).await;
        assert!(said.contains(words), "{words}: {said}");
    }
}
