//! Vault and OpenBao over their HTTP API: KV version 2, dynamic secrets with leases of their own, response wrapping
//! (developer.hashicorp.com/vault/api-docs, "KV secrets engine - version 2", "/sys/leases", "/sys/wrapping/unwrap"), with a token or as a
//! role that signs in.
//!
//! The client is our own, of a few requests, because the token goes in a header of its own, which clients that follow redirects carry
//! elsewhere. Nothing here writes to a secrets engine.

mod approle;
pub(crate) mod transit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::BoxFuture;
use os::Clock;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::source::{Fetched, Hold, Source, SourceFault, VaultSpec};
use super::template;
use crate::assertion::Assertion;
use approle::{Access, Auth};

/// The largest reply that is read, in bytes.
const REPLY_LIMIT: usize = 1024 * 1024;
/// How soon a wrapped reply must be taken out.
const WRAP: &str = "60s";
/// How soon a secret that has no end is looked at again.
const AGAIN: Duration = Duration::from_secs(60);

/// One path at one server.
pub(super) struct Vault {
    spec: VaultSpec,
    access: Access,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

/// A reply. What is not used here is passed over.
#[derive(Deserialize, Default)]
struct Reply {
    #[serde(default)]
    lease_id: String,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
    #[serde(default)]
    data: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    wrap_info: Option<WrapInfo>,
    #[serde(default)]
    auth: Option<Auth>,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct WrapInfo {
    token: String,
    #[serde(default)]
    creation_path: String,
}

impl Vault {
    /// `key` is a token, or the secret id of the role that the description names.
    pub(super) fn new(
        spec: VaultSpec,
        key: SecretString,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let access = Access::new(spec.approle.clone(), key);
        Self { spec, access, http, clock }
    }

    /// The server, as faults name it.
    fn server(&self) -> String {
        format!("Vault at {}", self.spec.address)
    }

    fn unreadable(&self, what: &str) -> SourceFault {
        SourceFault::Unreadable(self.server(), what.to_owned())
    }

    /// Asks with the token that is good now. One that is not taken any more is had anew, once.
    async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        and: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Reply, SourceFault> {
        let asked = async |token: &SecretString| {
            let request = self.request(method.clone(), path, Some(token))?;
            self.reply(and(request), path).await
        };
        let token = self.token().await?;
        match asked(&token).await {
            Err(SourceFault::Refused(..)) if self.has_lost(&token).await => asked(&self.token().await?).await,
            other => other,
        }
    }

    fn request(
        &self,
        method: reqwest::Method,
        path: &str,
        token: Option<&SecretString>,
    ) -> Result<RequestBuilder, SourceFault> {
        let base = self.spec.address.as_str().trim_end_matches('/');
        let url: url::Url = format!("{base}/v1/{path}")
            .parse()
            .map_err(|_| SourceFault::Spec(format!("{path} is no path of the API")))?;
        // Agents ask for this header, so that no page in a browser can be made to ask.
        let request = self.http.request(method, url).header("x-vault-request", "true");
        let request = match token {
            Some(token) => request.header("x-vault-token", token.expose_secret()),
            None => request,
        };
        Ok(match &self.spec.namespace {
            Some(namespace) => request.header("x-vault-namespace", namespace),
            None => request,
        })
    }

    async fn reply(&self, request: RequestBuilder, path: &str) -> Result<Reply, SourceFault> {
        let mut answer = request.send().await.map_err(|fault| {
            tracing::info!(fault = %fault.without_url(), "Vault was not reached");
            SourceFault::Unreachable(self.server())
        })?;
        let status = answer.status();
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(|_| SourceFault::Unreachable(self.server()))? {
            if body.len() + chunk.len() > REPLY_LIMIT {
                return Err(self.unreadable("a reply of more than a mebibyte"));
            }
            body.extend_from_slice(&chunk);
        }
        if status == StatusCode::NO_CONTENT {
            return Ok(Reply::default());
        }
        // The text may hold secrets: only the place of the fault is said.
        let reply = serde_json::from_slice::<Reply>(&body);
        let said = || reply.as_ref().map(|reply| reply.errors.join("; ")).unwrap_or_default();
        match status {
            status if status.is_success() => reply
                .map_err(|fault| self.unreadable(&format!("no JSON of the API, column {}", fault.column()))),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                Err(SourceFault::Refused(self.server(), said()))
            }
            // What is wrong with a sign-in is told so ("Login With AppRole").
            StatusCode::BAD_REQUEST if self.is_sign_in(path) => {
                Err(SourceFault::Refused(self.server(), said()))
            }
            StatusCode::NOT_FOUND => Err(SourceFault::Nothing(self.server(), path.to_owned())),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                Err(SourceFault::Unavailable(self.server(), said()))
            }
            status if status.is_server_error() => Err(SourceFault::Unavailable(self.server(), said())),
            status => Err(self.unreadable(&format!("status {} ({})", status.as_u16(), said()))),
        }
    }

    async fn read(&self) -> Result<Reply, SourceFault> {
        let path = &self.spec.path;
        let get = reqwest::Method::GET;
        if !self.spec.wrapped {
            return self.ask(get, path, |request| request).await;
        }
        let wrapped = self.ask(get, path, |request| request.header("x-vault-wrap-ttl", WRAP)).await?;
        let not_wrapped = |why| SourceFault::NotWrapped(self.server(), why);
        let info = wrapped.wrap_info.ok_or_else(|| not_wrapped("the secret came as it is"))?;
        let token = SecretString::from(info.token);
        // A token of another path was put in this one's place ("Response wrapping", "Response Wrapping Token Validation").
        if info.creation_path != *path {
            return Err(not_wrapped("what came was wrapped elsewhere"));
        }
        match self.unwrap(&token).await {
            Err(SourceFault::Refused(..) | SourceFault::Unreadable(..)) => {
                Err(not_wrapped("somebody unwrapped it before us"))
            }
            other => other,
        }
    }

    /// Takes out what is wrapped: that works once.
    async fn unwrap(&self, token: &SecretString) -> Result<Reply, SourceFault> {
        let path = "sys/wrapping/unwrap";
        self.reply(self.request(reqwest::Method::POST, path, Some(token))?, path).await
    }

    async fn fetched(&self) -> Result<Fetched, SourceFault> {
        let reply = self.read().await?;
        let place = format!("{}{}", self.spec.address, self.spec.path);
        let data = reply.data.ok_or_else(|| SourceFault::Nothing(self.server(), self.spec.path.clone()))?;
        let values =
            values(data).ok_or_else(|| SourceFault::Nothing(self.server(), self.spec.path.clone()))?;
        let (secret, parts) = template::filled(&self.spec.template, &values, &place)?;
        let duration = Duration::from_secs(reply.lease_duration);
        // A duration without an id is advice to whoever reads on; nothing can be renewed or taken back by it.
        let (life, hold) = if reply.lease_id.is_empty() {
            (AGAIN, Hold::None)
        } else {
            // What a token was given ends with it.
            let (sign_in, left) = self.sign_in_now().await;
            let hold = Hold::Lease { id: reply.lease_id, renewable: reply.renewable, sign_in };
            (left.map_or(duration, |left| duration.min(left)), hold)
        };
        Ok(Fetched { secret, parts, life: Some(life), hold })
    }

    /// Has a stored token live on, where it is one that ends (a periodic one, say).
    async fn renew_token(&self) {
        let Access::Token(token) = &self.access else { return };
        if let Err(fault) = self.renewed(token).await {
            // A root token, or one that is not renewable: it says so by itself when it has ended.
            tracing::debug!(%fault, "the token at Vault is not renewed");
        }
    }
}

impl Source for Vault {
    fn fetch<'a>(&'a self, _whose: Option<&'a Assertion<'a>>) -> BoxFuture<'a, Result<Fetched, SourceFault>> {
        Box::pin(async move {
            let fetched = self.fetched().await?;
            self.renew_token().await;
            Ok(fetched)
        })
    }

    fn renew<'a>(&'a self, hold: &'a Hold) -> BoxFuture<'a, Result<Option<Duration>, SourceFault>> {
        Box::pin(async move {
            let Hold::Lease { id, renewable: true, sign_in } = hold else { return Ok(None) };
            let body = json!({ "lease_id": id });
            self.token().await?;
            // The token by which it was had has ended, or is about to: it cannot outlive that.
            if self.sign_in_now().await.0 != *sign_in {
                return Ok(None);
            }
            let post = reqwest::Method::POST;
            let reply = self.ask(post, "sys/leases/renew", |request| request.json(&body)).await?;
            let duration = Duration::from_secs(reply.lease_duration);
            let left = self.sign_in_now().await.1;
            Ok(Some(left.map_or(duration, |left| duration.min(left))))
        })
    }

    fn revoke<'a>(&'a self, hold: &'a Hold) -> BoxFuture<'a, Result<bool, SourceFault>> {
        Box::pin(async move {
            let Hold::Lease { id, .. } = hold else { return Ok(false) };
            // It answers when it is done, not when it has begun.
            let body = json!({ "lease_id": id, "sync": true });
            self.ask(reqwest::Method::POST, "sys/leases/revoke", |request| request.json(&body)).await?;
            Ok(true)
        })
    }
}

/// The fields of a secret: those of KV version 2 lie one deeper, beside their `metadata`. `None` where that version was deleted.
fn values(mut data: BTreeMap<String, Value>) -> Option<BTreeMap<String, SecretString>> {
    let fields = match (data.len(), data.remove("data"), data.contains_key("metadata")) {
        (2, Some(Value::Object(inner)), true) => inner.into_iter().collect(),
        (2, Some(Value::Null), true) => return None,
        (_, Some(other), _) => {
            data.insert("data".to_owned(), other);
            data
        }
        (_, None, _) => data,
    };
    let text = |value: Value| match value {
        Value::String(text) => Some(SecretString::from(text)),
        Value::Number(number) => Some(SecretString::from(number.to_string())),
        Value::Bool(truth) => Some(SecretString::from(truth.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    Some(fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect())
}

#[cfg(test)]
mod tests;
