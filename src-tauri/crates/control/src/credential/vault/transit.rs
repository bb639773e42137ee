//! A master key that Vault's or OpenBao's transit engine wrapped ("Transit secrets engine", "Generate data key", "Decrypt data"): what
//! rests here opens nothing without the engine, which never tells its own key.

use std::sync::Arc;

use os::Clock;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::Vault;
use crate::credential::source::{SourceFault, VaultSpec};
use crate::identity::{client_to, is_trustworthy};

/// The format version of [`WrappedKey`].
const FORMAT: u32 = 1;

/// A key of the transit engine, which wraps others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitKey {
    /// The server, such as `https://vault.example:8200/`.
    pub address: Url,
    /// The namespace, where the server has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Where the engine is mounted: `transit`, mostly.
    pub mount: String,
    /// The key's name there.
    pub key: String,
}

/// A master key as it rests in its file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WrappedKey {
    format: u32,
    transit: TransitKey,
    /// What only the engine opens, in its own form: `vault:v1:` and base64.
    ciphertext: String,
}

impl TransitKey {
    /// Has the engine make a key and wrap it; only the engine has seen it then.
    pub(crate) async fn new_key(self, token: SecretString) -> Result<WrappedKey, SourceFault> {
        let path = format!("datakey/wrapped/{}", self.key);
        let ciphertext = self.ask(token, &path, json!({"bits": 256}), "ciphertext").await?;
        Ok(WrappedKey { format: FORMAT, transit: self, ciphertext: ciphertext.as_str().to_owned() })
    }

    /// Asks the engine; gives one text of its answer.
    async fn ask(
        &self,
        token: SecretString,
        path: &str,
        body: serde_json::Value,
        wanted: &str,
    ) -> Result<Zeroizing<String>, SourceFault> {
        let is_name = |text: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            !text.is_empty() && text.chars().all(known) && !text.split('/').any(|part| part.starts_with('.'))
        };
        if !is_trustworthy(&self.address) {
            return Err(SourceFault::Insecure(self.address.clone()));
        }
        if !is_name(&self.mount) || !is_name(&self.key) {
            return Err(SourceFault::Spec(
                "the transit engine or its key has a name that cannot be".to_owned(),
            ));
        }
        let http = client_to(&self.address).build().map_err(|fault| SourceFault::Spec(fault.to_string()))?;
        let path = format!("{}/{path}", self.mount.trim_end_matches('/'));
        let spec = VaultSpec {
            address: self.address.clone(),
            path: path.clone(),
            namespace: self.namespace.clone(),
            template: String::new(),
            wrapped: false,
            approle: None,
        };
        let clock: Arc<dyn Clock> = Arc::new(os::SystemClock);
        let vault = Vault::new(spec, token, http, clock);
        let reply = vault.ask(reqwest::Method::POST, &path, |request| request.json(&body)).await;
        if let Err(SourceFault::Refused(server, said)) = &reply {
            let told = format!("{server} does not take the token ({said}): give one that may use {path}");
            return Err(SourceFault::Spec(told));
        }
        let reply = reply?;
        match reply.data.and_then(|mut data| data.remove(wanted)) {
            Some(serde_json::Value::String(text)) if !text.is_empty() => Ok(Zeroizing::new(text)),
            Some(_) | None => Err(vault.unreadable(&format!("an answer without {wanted}"))),
        }
    }
}

impl WrappedKey {
    /// Reads its file; `None` where that holds no wrapped key.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let key: Self = serde_json::from_str(text).ok()?;
        (key.format == FORMAT).then_some(key)
    }

    /// Has the engine open it; gives the key's text form.
    pub(crate) async fn opened(&self, token: SecretString) -> Result<Zeroizing<String>, SourceFault> {
        let path = format!("decrypt/{}", self.transit.key);
        self.transit.ask(token, &path, json!({"ciphertext": self.ciphertext}), "plaintext").await
    }
}
