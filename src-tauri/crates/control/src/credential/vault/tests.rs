//! Against the replies that the API's documentation shows; each fixture names its page.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::super::source::AppRole;
use super::*;

mod approle;
mod transit;

#[derive(Deserialize)]
struct Fixture {
    /// The page that it is from.
    source: String,
    status: u16,
    body: Value,
}

fn fixture(text: &str) -> Fixture {
    let fixture: Fixture = serde_json::from_str(text).expect("a fixture");
    assert!(fixture.source.starts_with("https://developer.hashicorp.com/"), "each names its page");
    fixture
}

/// Path, token, whether it is to be wrapped, body.
type Asked = (String, String, bool, Value);

/// What is answered at a path, and what was asked for: path, token, whether wrapping, body.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<BTreeMap<&'static str, Fixture>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().trim_start_matches("/v1/").to_owned();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(header("x-vault-request"), "true");
    let body = axum::body::to_bytes(body, 65_536).await.expect("a body");
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let asked =
        (path.clone(), header("x-vault-token").to_owned(), !header("x-vault-wrap-ttl").is_empty(), body);
    server.asked.lock().expect("a list").push(asked);
    match server.answers.get(path.as_str()) {
        Some(fixture) => {
            let status = StatusCode::from_u16(fixture.status).expect("a status");
            (status, axum::Json(fixture.body.clone())).into_response()
        }
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn serve<const N: usize>(answers: [(&'static str, &str); N]) -> (Server, url::Url) {
    let answers = answers.map(|(path, text)| (path, fixture(text)));
    let server = Server { answers: Arc::new(answers.into()), ..Server::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = format!("http://{}/", listener.local_addr().expect("an address"));
    let app = Router::new().fallback(answer).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (server, address.parse().expect("a URL"))
}

fn vault(address: url::Url, path: &str, template: &str, wrapped: bool) -> Vault {
    let (path, template) = (path.to_owned(), template.to_owned());
    let spec = VaultSpec { address, path, namespace: None, template, wrapped, approle: None };
    Vault::new(spec, SecretString::from("the-token"), http(), Arc::new(os::SystemClock))
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}

const KV2: &str = "secret/data/my-secret";
const CREDS: &str = "database/creds/my-role";

async fn fetched(vault: &Vault) -> Result<(String, Option<Duration>, bool), SourceFault> {
    let Fetched { secret, life, hold, .. } = vault.fetch(None).await?;
    Ok((secret.expose_secret().to_owned(), life, hold.is_revocable()))
}

#[tokio::test]
async fn a_field_of_a_versioned_secret_is_read() {
    let (server, address) = serve([(KV2, include_str!("../fixtures/kv2_read.json"))]).await;
    let (secret, life, revocable) = fetched(&vault(address, KV2, "${foo}", false)).await.expect("reads");
    assert_eq!((secret.as_str(), life, revocable), ("bar", Some(AGAIN), false));
    let asked = server.asked.lock().expect("a list");
    assert_eq!((asked[0].0.as_str(), asked[0].1.as_str(), asked[0].2), (KV2, "the-token", false));
    assert_eq!(asked[1].0, "auth/token/renew-self", "the token lives on");
}

#[tokio::test]
async fn what_is_made_for_the_occasion_is_renewed_and_taken_back_by_its_id() {
    let (server, address) = serve([
        (CREDS, include_str!("../fixtures/database_creds.json")),
        ("sys/leases/renew", include_str!("../fixtures/renewed.json")),
    ])
    .await;
    let vault = vault(address, CREDS, "postgres://${username:url}:${password:url}@db/w", false);
    let got = vault.fetch(None).await.expect("fetches");
    let dsn = "postgres://root-1430158508-126:132ae3ef-5a64-7499-351e-bfe59f3a2a21@db/w";
    assert_eq!((got.secret.expose_secret(), got.life), (dsn, Some(Duration::from_secs(3600))));
    let renewed = vault.renew(&got.hold).await.expect("renews");
    assert_eq!(renewed, Some(Duration::from_secs(2_764_790)));
    assert!(vault.revoke(&got.hold).await.expect("revokes"));
    let asked = server.asked.lock().expect("a list");
    let by_id: Vec<_> = asked.iter().filter(|(path, ..)| path.starts_with("sys/leases/")).collect();
    assert_eq!(by_id.len(), 2);
    for (_, token, _, body) in &by_id {
        assert_eq!(
            (token.as_str(), &body["lease_id"]),
            ("the-token", &json!("database/creds/my-role/abcd-1234"))
        );
    }
    assert_eq!(by_id[1].3["sync"], true, "it is over when that is answered");
}

#[tokio::test]
async fn a_duration_without_an_id_promises_nothing() {
    let (server, address) = serve([(CREDS, include_str!("../fixtures/no_lease.json"))]).await;
    let vault = vault(address, CREDS, "${password}", false);
    let got = vault.fetch(None).await.expect("fetches");
    assert!(!got.hold.is_revocable());
    assert_eq!(vault.renew(&got.hold).await.expect("nothing to do"), None);
    assert!(!vault.revoke(&got.hold).await.expect("nothing to do"));
    assert!(server.asked.lock().expect("a list").iter().all(|(path, ..)| !path.starts_with("sys/leases")));
}

#[tokio::test]
async fn a_reply_that_was_to_be_wrapped_is_taken_out_of_its_wrapping_only() {
    let unwrapped = include_str!("../fixtures/kv2_read.json");
    let wrapped = include_str!("../fixtures/wrapped.json");
    let (server, address) = serve([(KV2, wrapped), ("sys/wrapping/unwrap", unwrapped)]).await;
    let (secret, ..) = fetched(&vault(address, KV2, "${foo}", true)).await.expect("unwraps");
    assert_eq!(secret, "bar");
    {
        let asked = server.asked.lock().expect("a list");
        assert!(asked[0].2, "wrapping was asked for");
        assert_eq!(asked[1].1, "fb79b9d3-d94e-9eb6-4919-c559311133d6", "by the wrapping token alone");
    }

    let (_, address) = serve([(KV2, unwrapped)]).await;
    let clear = fetched(&vault(address, KV2, "${foo}", true)).await;
    assert!(matches!(clear, Err(SourceFault::NotWrapped(..))), "it came in the clear");
    let (_, address) = serve([(KV2, include_str!("../fixtures/wrapped_elsewhere.json"))]).await;
    let foreign = fetched(&vault(address, KV2, "${foo}", true)).await;
    assert!(matches!(foreign, Err(SourceFault::NotWrapped(..))), "somebody put another in its place");
    let used = include_str!("../fixtures/unwrapped_before.json");
    let (_, address) = serve([(KV2, wrapped), ("sys/wrapping/unwrap", used)]).await;
    let used = fetched(&vault(address, KV2, "${foo}", true)).await;
    assert!(matches!(used, Err(SourceFault::NotWrapped(..))), "somebody took it out before us");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do() {
    let (_, address) = serve([
        (KV2, include_str!("../fixtures/denied.json")),
        ("secret/data/deleted", include_str!("../fixtures/kv2_deleted.json")),
        ("secret/data/sealed", include_str!("../fixtures/sealed.json")),
        (CREDS, include_str!("../fixtures/database_creds.json")),
    ])
    .await;
    let words = async |path, template| {
        let fault = fetched(&vault(address.clone(), path, template, false)).await.expect_err("refused");
        fault.to_string()
    };
    let denied = words(KV2, "${foo}").await;
    assert!(denied.contains("permission denied") && denied.contains("store another"), "{denied}");
    let deleted = words("secret/data/deleted", "${foo}").await;
    assert!(deleted.contains("was deleted"), "{deleted}");
    let sealed = words("secret/data/sealed", "${foo}").await;
    assert!(sealed.contains("Vault is sealed"), "{sealed}");
    let missing = words(CREDS, "${token}").await;
    assert!(
        missing.contains("no field token; it has password, username") && !missing.contains("132ae3ef"),
        "{missing}"
    );
    let gone = vault("http://127.0.0.1:1/".parse().expect("a URL"), KV2, "${foo}", false);
    assert!(matches!(fetched(&gone).await, Err(SourceFault::Unreachable(_))));
}

#[tokio::test]
async fn a_redirect_carries_the_token_nowhere() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = format!("http://{}/", listener.local_addr().expect("an address"));
    let (elsewhere, target) = serve([(KV2, include_str!("../fixtures/kv2_read.json"))]).await;
    let target = target.join("v1/secret/data/my-secret").expect("a URL");
    let app = Router::new().fallback(async move || axum::response::Redirect::temporary(target.as_str()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let moved = fetched(&vault(address.parse().expect("a URL"), KV2, "${foo}", false)).await;
    assert!(matches!(moved, Err(SourceFault::Unreadable(..))));
    assert!(elsewhere.asked.lock().expect("a list").is_empty());
}
