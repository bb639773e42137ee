//! crates.io `rusty_vault`: a server of secrets with the API of Vault, as far as it has it. Of that it has neither response wrapping nor
//! versions of secrets nor the renewal of a token, and it does not keep a token from what its policies do not name.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::place::tools;
use crate::{PeerFault, Process, Spec, canary, free_port};

const SOON: Duration = Duration::from_secs(60);

/// A running server, unsealed. Secrets of its own kind (KV version 1) lie below `secret/`.
#[derive(Debug)]
pub struct RustyVault {
    _process: Process,
    address: Url,
    token: String,
    _folder: TempDir,
}

impl RustyVault {
    /// Starts it on nothing, and unseals it.
    ///
    /// # Errors
    /// If it is not installed (`cargo xtask test --full` does so), or does not start.
    pub async fn start() -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-vault-").tempdir()?;
        let port = free_port()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "storage \"file\" {{\n  path = {:?}\n}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_disable = \"true\"\n}}\n\
             api_addr = \"http://127.0.0.1:{port}\"\nlog_level = \"info\"\nwork_dir = {:?}\npid_file = {:?}\n",
            path("data"),
            path(""),
            path("pid")
        );
        std::fs::write(folder.path().join("config.hcl"), config)?;
        let program = tools().join("cargo/bin/rvault");
        if !program.is_file() {
            return Err(PeerFault::Missing("rusty_vault".to_owned()));
        }
        let mut process =
            Spec::new("rusty_vault", program).args(["server", "--config", &path("config.hcl")]).start()?;
        process
            .ready("an open port", SOON, async |_| {
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(())
            })
            .await?;
        let address = Url::parse(&format!("http://127.0.0.1:{port}/"))?;
        let mut server = Self { _process: process, address, token: String::new(), _folder: folder };
        let made =
            server.ask(Method::PUT, "sys/init", json!({"secret_shares": 1, "secret_threshold": 1})).await?;
        server.ask(Method::PUT, "sys/unseal", json!({"key": made["keys"][0]})).await?;
        server.token = text(&made, "root_token")?;
        canary::plant("a token of the server of secrets", &server.token);
        Ok(server)
    }

    /// Where it is.
    pub fn address(&self) -> &Url {
        &self.address
    }

    /// A token that may do everything.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Writes at a path, such as `secret/warehouse`.
    ///
    /// # Errors
    /// What it says, where it does not.
    pub async fn write(&self, path: &str, what: Value) -> Result<Value, PeerFault> {
        self.ask(Method::POST, path, what).await
    }

    /// Makes a role that signs in for ten minutes. Gives its id, and a secret id.
    ///
    /// # Errors
    /// What it says, where it does not.
    pub async fn role(&self, name: &str) -> Result<(String, String), PeerFault> {
        self.write("sys/auth/approle", json!({"type": "approle"})).await?;
        let role = format!("auth/approle/role/{name}");
        self.write(&role, json!({"token_ttl": "600"})).await?;
        let role_id = self.ask(Method::GET, &format!("{role}/role-id"), Value::Null).await?;
        let secret_id = self.write(&format!("{role}/secret-id"), json!({})).await?;
        let (role_id, secret_id) =
            (text(&role_id["data"], "role_id")?, text(&secret_id["data"], "secret_id")?);
        canary::plant("a secret id", &secret_id);
        Ok((role_id, secret_id))
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Value, PeerFault> {
        let request = reqwest::Client::new().request(method, self.address.join(&format!("v1/{path}"))?);
        let request = request.header("x-vault-token", &self.token);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await?;
        let (status, said) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            return Err(PeerFault::answer(path, format!("{status}: {said}")));
        }
        Ok(if said.is_empty() { Value::Null } else { serde_json::from_str(&said)? })
    }
}

fn text(answer: &Value, field: &str) -> Result<String, PeerFault> {
    let text = answer[field].as_str().map(str::to_owned);
    text.ok_or_else(|| PeerFault::answer("rusty_vault", format!("no {field}")))
}
