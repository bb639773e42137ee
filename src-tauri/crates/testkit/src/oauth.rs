//! An OAuth client as MCP asks for one, written out: discovery (RFC 9728, RFC 8414), registration (RFC 7591), PKCE
//! (RFC 7636), a real loopback listener (RFC 8252), resource indicators (RFC 8707). For tests that look at single steps.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use url::Url;

use crate::PeerFault;

/// What an authorization server grants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tokens {
    /// The bearer token.
    pub access_token: String,
    /// The token that renews it, where there is one.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// Seconds that the access token lives.
    #[serde(default)]
    pub expires_in: Option<u64>,
}

/// A client that has registered and listens for the redirect.
#[derive(Debug)]
pub struct OAuthClient {
    http: reqwest::Client,
    resource: Url,
    server: Value,
    client_id: String,
    listener: TcpListener,
    redirect: String,
    verifier: String,
    state: String,
}

impl OAuthClient {
    /// Finds the authorization server of a resource, starts the redirect listener and registers under `name`.
    ///
    /// # Errors
    /// If a document is missing or says something else than it must.
    pub async fn register(resource: &Url, name: &str) -> Result<Self, PeerFault> {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let server = discover(&http, resource).await?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let redirect = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
        let registration = json!({
            "client_name": name,
            "application_type": "native",
            "redirect_uris": [redirect],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let answer = http.post(member(&server, "registration_endpoint")?).json(&registration).send().await?;
        let client = json_of("registration", answer).await?;
        let client_id = member(&client, "client_id")?.to_owned();
        Ok(Self {
            http,
            resource: resource.clone(),
            server,
            client_id,
            listener,
            redirect,
            verifier: random()?,
            state: random()?,
        })
    }

    /// The client id that it was given.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The page that the person has to open.
    ///
    /// # Errors
    /// If the server's metadata name none.
    pub fn authorize_url(&self, scope: Option<&str>) -> Result<Url, PeerFault> {
        let mut url = Url::parse(member(&self.server, "authorization_endpoint")?)?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("state", &self.state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", self.resource.as_str());
        if let Some(scope) = scope {
            url.query_pairs_mut().append_pair("scope", scope);
        }
        Ok(url)
    }

    /// Waits for the browser to come back and answers it; returns what it brought.
    ///
    /// # Errors
    /// If nobody comes in time, or with another state or issuer than asked.
    pub async fn redirected(&self, deadline: Duration) -> Result<BTreeMap<String, String>, PeerFault> {
        let query = tokio::time::timeout(deadline, receive(&self.listener)).await.map_err(|_| {
            PeerFault::Deadline {
                what: "the redirect".to_owned(),
                seconds: deadline.as_secs(),
                log: String::new(),
            }
        })??;
        if query.get("state") != Some(&self.state) {
            return Err(PeerFault::answer("authorization", "the redirect has another state"));
        }
        // RFC 9207, section 2.4.
        if let Some(issuer) = query.get("iss")
            && Some(issuer.as_str()) != self.server["issuer"].as_str()
        {
            return Err(PeerFault::answer("authorization", format!("the redirect names issuer {issuer}")));
        }
        Ok(query)
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// With the server's words if it refuses.
    pub async fn redeem(&self, code: &str) -> Result<Tokens, PeerFault> {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect),
            ("code_verifier", &self.verifier),
        ])
        .await
    }

    /// Renews.
    ///
    /// # Errors
    /// With the server's words if it refuses.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens, PeerFault> {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    async fn token(&self, grant: &[(&str, &str)]) -> Result<Tokens, PeerFault> {
        let mut form = grant.to_vec();
        form.push(("client_id", &self.client_id));
        form.push(("resource", self.resource.as_str()));
        let answer = self.http.post(member(&self.server, "token_endpoint")?).form(&form).send().await?;
        Ok(serde_json::from_value(json_of("token", answer).await?)?)
    }
}

/// From the challenge of the resource to the metadata of its authorization server.
async fn discover(http: &reqwest::Client, resource: &Url) -> Result<Value, PeerFault> {
    let refused = http.post(resource.clone()).json(&json!({})).send().await?;
    let challenge = refused.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
    let document = challenge
        .and_then(|text| text.split_once("resource_metadata=\""))
        .and_then(|(_, rest)| rest.split('"').next())
        .ok_or_else(|| PeerFault::answer("resource", format!("{} without a challenge", refused.status())))?;
    let about = json_of("resource metadata", http.get(document).send().await?).await?;
    if about["resource"].as_str() != Some(resource.as_str()) {
        return Err(PeerFault::answer("resource metadata", format!("they are about {}", about["resource"])));
    }
    let issuer = member(&about["authorization_servers"], 0)?;
    let mut at = Url::parse(issuer)?;
    // RFC 8414, section 3.1: the well-known part goes between host and path.
    let path = at.path().trim_end_matches('/').to_owned();
    at.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    let server = json_of("server metadata", http.get(at).send().await?).await?;
    if server["issuer"].as_str() != Some(issuer) {
        return Err(PeerFault::answer(
            "server metadata",
            format!("issuer {} for {issuer}", server["issuer"]),
        ));
    }
    Ok(server)
}

async fn receive(listener: &TcpListener) -> Result<BTreeMap<String, String>, PeerFault> {
    let (mut stream, _) = listener.accept().await?;
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    let first = lines.next_line().await?.unwrap_or_default();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let text = "You can close this page.";
    let head =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    writer.write_all(head.as_bytes()).await?;
    let target = first.split(' ').nth(1).unwrap_or_default();
    let url = Url::parse("http://127.0.0.1")?.join(target)?;
    Ok(url.query_pairs().into_owned().collect())
}

async fn json_of(what: &str, answer: reqwest::Response) -> Result<Value, PeerFault> {
    let (status, text) = (answer.status(), answer.text().await?);
    if !status.is_success() {
        return Err(PeerFault::answer(what, format!("{status}: {text}")));
    }
    serde_json::from_str(&text).map_err(|_| PeerFault::answer(what, format!("{status} without JSON: {text}")))
}

fn member(
    value: &Value,
    index: impl serde_json::value::Index + std::fmt::Display,
) -> Result<&str, PeerFault> {
    value
        .get(&index)
        .and_then(Value::as_str)
        .ok_or_else(|| PeerFault::answer("metadata", format!("{index} is missing in {value}")))
}

/// 256 random bits, URL-safe: more than RFC 7636, section 7.1, asks for.
fn random() -> Result<String, PeerFault> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|fault| PeerFault::answer("random numbers", fault.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
