//! A served organisation, and a device that talks to it as a desktop does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::admin::{Answer, Ask, AskFault, Secret, ask};
use control::author::{Documents, RootPlan, SignPlan, check, new_root, sign};
use control::testing::{CLIENT_ID, StandInProvider, public_jwk};
use control::{MasterKey, Published, Running, ServeConfig, start};
use model::{CallId, DeviceId, Digest, Timestamp};
use org_protocol::dpop::{self, Jwk, ProofFor};
use org_protocol::{
    BROKER_CONTEXT_HEADER, BROKER_FORMAT, BrokerContext, DeviceDescription, ENROL_PATH, EnrolAnswer,
    EnrolRequest, NonceSeed, SESSION_FORMAT, SESSION_PATH, SessionAnswer, SessionRequest, SigningKey,
};
use os::Clock as _;
use p256::ecdsa::signature::Signer as _;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

/// The secret of the scripted warehouse's analyst account.
pub(crate) const ANALYST_SECRET: &str = "postgres://analyst:an-analyst's-password@db/warehouse";
/// The secret of its finance account.
pub(crate) const FINANCE_SECRET: &str = "postgres://finance:the-finance-password@db/warehouse";

/// A connector in a shell. `query` tells its account, its process and the statement; `crash` ends it.
const WAREHOUSE: &str = r#"
while read -r line; do
  id=$(printf %s "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  sql=$(printf %s "$line" | sed -n 's/.*"sql":"\([^"]*\)".*/\1/p')
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"w","version":"1"}}}\n' "$id";;
    *'"crash"'*) echo "dying with $DSN" >&2; exit 1;;
    *'"query"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s as %s in %s"}],"n":12345678901234567890123}}\n' "$id" "$sql" "$DSN" "$$";;
  esac
done
"#;

const TOOLS: &str = r#"[
{"name":"query","inputSchema":{"type":"object","properties":{"sql":{"type":"string"}},"required":["sql"]}},
{"name":"crash","inputSchema":{"type":"object"}}
]"#;

const POLICIES: &str = r#"
@id("staff")
permit (principal in Group::"analysts", action in [Action::"see_server", Action::"expose_connector", Action::"call_tool"], resource in Server::"analyst");

@id("finance-account")
permit (principal in Group::"finance", action == Action::"use_shared_credential", resource == Credential::"warehouse-finance");

@id("analyst-account")
permit (principal in Group::"analysts", action == Action::"use_shared_credential", resource == Credential::"warehouse-analyst");

@id("no-drop")
@reason("Nothing is dropped.")
forbid (principal, action == Action::"warehouse/query", resource) when { context.input.sql like "*drop*" };
"#;

/// A served organisation.
pub(crate) struct Org {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) idp: StandInProvider,
    pub(crate) running: Running,
    pub(crate) http: reqwest::Client,
    published: Option<Vec<u8>>,
    otlp: Option<Url>,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub(crate) fn now() -> Timestamp {
    os::SystemClock.now()
}

impl Org {
    /// Serves an organisation with a brokered warehouse, published and with both accounts stored.
    pub(crate) async fn new() -> Self {
        let mut org = Self::unpublished(None).await;
        org.publish(|_| ()).await.expect("publishes");
        for (id, secret) in [("warehouse-analyst", ANALYST_SECRET), ("warehouse-finance", FINANCE_SECRET)] {
            org.put_credential(id, secret).await;
        }
        org
    }

    pub(crate) async fn unpublished(otlp: Option<Url>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let idp = StandInProvider::start().await.expect("a provider");
        let running = serve(dir.path(), otlp.clone()).await;
        Self { dir, idp, running, http: reqwest::Client::new(), published: None, otlp }
    }

    /// Ends the server and starts it again on the same data.
    pub(crate) async fn restart(mut self) -> Self {
        self.running.stop().await;
        self.running = serve(self.dir.path(), self.otlp.clone()).await;
        self
    }

    /// Writes the folder, changes it, signs and publishes it.
    pub(crate) async fn publish(&mut self, change: impl FnOnce(&Path)) -> Result<Published, AskFault> {
        let documents = self.signed(change);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("JSON");
        let documents = documents.into_iter().map(|(path, bytes)| (path, text(bytes))).collect();
        match self.ask(&Ask::Publish { documents }).await? {
            Answer::Published(published) => Ok(published),
            other => panic!("{other:?}"),
        }
    }

    /// Signs the next version of the folder.
    pub(crate) fn signed(&mut self, change: impl FnOnce(&Path)) -> BTreeMap<String, Vec<u8>> {
        let folder = self.dir.path().join("org");
        self.write_folder(&folder);
        change(&folder);
        let content = check(&folder).unwrap_or_else(|faults| panic!("{}", faults[0]));
        let day = Duration::from_secs(86_400);
        let root = RootPlan {
            org: "acme".to_owned(),
            previous: None,
            root_keys: vec![key(1).public()],
            threshold: 1,
            manifest_keys: vec![key(2).public()],
            receipt_keys: vec![key(3).public()],
            new_epoch: false,
            expires: Timestamp::from_seconds(2_000_000_000),
        };
        let plan = SignPlan {
            roots: vec![new_root(&root, &[key(1)]).expect("a root").to_json()],
            previous: self.published.clone(),
            valid_for: day,
            key: key(2),
            now: now(),
        };
        let Documents(documents) = sign(&content, &plan).expect("signs");
        self.published = documents.get("v1/manifest.json").cloned();
        documents
    }

    fn write_folder(&self, folder: &Path) {
        let _ = std::fs::remove_dir_all(folder);
        let write = |file: &str, text: &str| {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("makes folders");
            std::fs::write(path, text).expect("writes");
        };
        let issuer = self.idp.issuer();
        write(
            "org.toml",
            &format!(
                "id = \"acme\"\nname = \"Acme\"\n[identity_provider]\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT_ID}\"\n"
            ),
        );
        write(
            "connectors/warehouse.toml",
            &format!(
                "title = \"Warehouse\"\ncommand = [\"/bin/sh\", \"-c\", '''{WAREHOUSE}''']\nenvironment = {{ DSN = \"${{credential}}\" }}\n\
                 credential = {{ kind = \"brokered\", credentials = [\"warehouse-finance\", \"warehouse-analyst\"] }}\n"
            ),
        );
        write("connectors/warehouse.tools.json", TOOLS);
        write("servers/analyst.toml", "title = \"Analyst\"\nconnectors = [\"warehouse\"]\n");
        write("policies/all.cedar", POLICIES);
    }

    pub(crate) async fn put_credential(&self, id: &str, secret: &str) {
        let id = id.parse().expect("an id");
        let secret = Secret(SecretString::from(secret));
        self.ask(&Ask::PutCredential { id, secret }).await.expect("stores");
    }

    pub(crate) async fn ask(&self, question: &Ask) -> Result<Answer, AskFault> {
        ask(&self.running.admin_socket, question).await
    }

    /// The records that the server keeps, as JSON.
    pub(crate) async fn records(&self, filter: control::Filter) -> Vec<Value> {
        match self.ask(&Ask::QueryAudit { filter }).await.expect("answers") {
            Answer::Records { lines } => {
                lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        self.running.public_url.join(path).expect("a URL")
    }

    /// An enrolled device on which `user` has signed in.
    pub(crate) async fn signed_in(&self, user: &str, groups: &[&str]) -> Device<'_> {
        let mut device = Device::new(self);
        device.sign_in(user, groups).await;
        device
    }
}

async fn serve(data: &Path, otlp_url: Option<Url>) -> Running {
    let config = ServeConfig {
        data: data.join("data"),
        listen: "127.0.0.1:0".parse().expect("an address"),
        public_url: None,
        admin_socket: None,
        master_key: MasterKey::parse(&STANDARD.encode([7; 32])).expect("a key"),
        receipt_key: key(3),
        otlp_url,
    };
    start(config, Arc::new(os::SystemClock)).await.expect("starts")
}

/// A desktop's side of the protocol, done by hand.
pub(crate) struct Device<'o> {
    pub(crate) org: &'o Org,
    pub(crate) key: p256::ecdsa::SigningKey,
    pub(crate) token: Option<String>,
    pub(crate) id: Option<DeviceId>,
    pub(crate) seed: NonceSeed,
}

impl<'o> Device<'o> {
    pub(crate) fn new(org: &'o Org) -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("random numbers");
        let key = p256::ecdsa::SigningKey::from_slice(&bytes).expect("a scalar");
        Self { org, key, token: None, id: None, seed: NonceSeed::from_bytes(bytes) }
    }

    pub(crate) fn jwk(&self) -> Jwk {
        serde_json::from_value(public_jwk(&self.key)).expect("a key")
    }

    /// The nonce that binds this device's key.
    pub(crate) fn nonce(&self) -> String {
        self.seed.nonce(&self.jwk().thumbprint())
    }

    /// An ID token for this device.
    pub(crate) fn id_token(&self, user: &str, groups: &[&str]) -> String {
        self.org.idp.token(&self.org.idp.claims(user, groups, Some(&self.nonce()), now().seconds()))
    }

    pub(crate) fn proof(&self, method: &Method, url: &Url, token: Option<&str>) -> String {
        let mut jti = [0; 16];
        getrandom::fill(&mut jti).expect("random numbers");
        self.proof_with(method, url, token, &STANDARD.encode(jti))
    }

    pub(crate) fn proof_with(&self, method: &Method, url: &Url, token: Option<&str>, jti: &str) -> String {
        let proof_for = ProofFor { method: method.as_str(), url, access_token: token };
        dpop::prove(&self.jwk(), proof_for, jti, now(), |input| {
            let signature: p256::ecdsa::Signature = self.key.sign(input);
            Ok::<[u8; 64], std::convert::Infallible>(signature.to_bytes().into())
        })
        .expect("infallible")
    }

    /// A request with a proof and, where there is one, the session token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.org.url(path);
        let proof = self.proof(&method, &url, self.token.as_deref());
        let request = self.org.http.request(method, url).header("dpop", proof);
        match &self.token {
            Some(token) => request.header("authorization", format!("DPoP {token}")),
            None => request,
        }
    }

    pub(crate) fn enrolment(&self, id_token: String) -> EnrolRequest {
        EnrolRequest {
            format: SESSION_FORMAT,
            id_token,
            nonce_seed: self.seed.clone(),
            id: self.id.unwrap_or_else(DeviceId::new),
            device: DeviceDescription {
                name: "laptop".to_owned(),
                platform: "linux".to_owned(),
                app_version: "0.1.0".to_owned(),
            },
        }
    }

    pub(crate) async fn enrol(&mut self, id_token: String) -> Result<DeviceId, (StatusCode, String)> {
        let body = self.enrolment(id_token);
        let answer = self.request(Method::POST, ENROL_PATH).json(&body).send().await.expect("answers");
        let answer: EnrolAnswer = read(answer).await?;
        self.id = Some(answer.device);
        Ok(answer.device)
    }

    pub(crate) async fn open_session(
        &mut self,
        id_token: String,
    ) -> Result<SessionAnswer, (StatusCode, String)> {
        let body = SessionRequest { format: SESSION_FORMAT, id_token, nonce_seed: self.seed.clone() };
        let answer = self.request(Method::POST, SESSION_PATH).json(&body).send().await.expect("answers");
        let answer: SessionAnswer = read(answer).await?;
        self.token = Some(answer.token.clone());
        Ok(answer)
    }

    pub(crate) async fn sign_in(&mut self, user: &str, groups: &[&str]) -> SessionAnswer {
        let id_token = self.id_token(user, groups);
        self.enrol(id_token.clone()).await.expect("enrols");
        self.open_session(id_token).await.expect("opens a session")
    }

    /// Calls a tool of the warehouse through the broker.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> (StatusCode, Value) {
        self.call_as(CallId::new(), tool, arguments).await
    }

    pub(crate) async fn call_as(&self, call: CallId, tool: &str, arguments: Value) -> (StatusCode, Value) {
        let context = BrokerContext {
            format: BROKER_FORMAT,
            call,
            server: "analyst".parse().expect("an id"),
            policy: Digest::of(b""),
            client_id: "client".to_owned(),
            client_name: "An assistant".to_owned(),
        };
        let answer = self
            .request(Method::POST, "v1/broker/warehouse/mcp")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool)
            .header(BROKER_CONTEXT_HEADER, context.to_header())
            .header("content-type", "application/json")
            .body(modern("tools/call", json!({"name": tool, "arguments": arguments})).to_string())
            .send()
            .await
            .expect("answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

/// A request of MCP 2026-07-28.
pub(crate) fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

/// The answer, or its status and error code.
pub(crate) async fn read<T: serde::de::DeserializeOwned>(
    answer: Response,
) -> Result<T, (StatusCode, String)> {
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    if status.is_success() {
        Ok(serde_json::from_value(body).expect("the answer's form"))
    } else {
        Err((status, body["error"]["code"].as_str().expect("a code").to_owned()))
    }
}

/// The file below the data directory.
pub(crate) fn data(org: &Org, file: &str) -> PathBuf {
    org.dir.path().join("data").join(file)
}
