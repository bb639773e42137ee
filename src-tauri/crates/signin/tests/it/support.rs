//! A vault in a folder of its own, and a session on it.

use std::sync::Arc;
use std::time::Duration;

use os::{Clock, SystemClock};
use serde_json::{Value, json};
use signin::{KeeperRules, Provider, SessionState, Sso, SsoParts, Wish};
use tempfile::TempDir;
use url::Url;
use vault::testing::MemoryKeychain;
use vault::{Kind, Vault};

use crate::people::Someone;

/// What survives a restart.
pub(crate) struct Desk {
    folder: TempDir,
    keychain: MemoryKeychain,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), keychain: MemoryKeychain::new() }
    }

    pub(crate) async fn vault(&self) -> Vault {
        Vault::open(self.folder.path(), Arc::new(self.keychain.clone()), Arc::new(SystemClock)).await
    }

    /// Whether anything of the session is stored.
    pub(crate) async fn remembers(&self) -> bool {
        !self.vault().await.list(Kind::Session).await.unwrap().is_empty()
    }

    pub(crate) async fn sso(&self, issuer: &str, person: &Arc<Someone>) -> Sso {
        self.sso_by(issuer, person, Arc::new(SystemClock)).await
    }

    pub(crate) async fn sso_by(&self, issuer: &str, person: &Arc<Someone>, clock: Arc<dyn Clock>) -> Sso {
        self.sso_at(provider(issuer), None, person, clock).await
    }

    /// At a provider like this, with a directory behind it.
    pub(crate) async fn sso_at(
        &self,
        provider: Provider,
        directory: Option<Url>,
        person: &Arc<Someone>,
        clock: Arc<dyn Clock>,
    ) -> Sso {
        let parts = SsoParts {
            store: Arc::new(self.vault().await),
            directory,
            person: Arc::<Someone>::clone(person),
            clock,
            rules: KeeperRules { look: Duration::from_millis(20), ..KeeperRules::default() },
        };
        Sso::open(provider, parts).unwrap()
    }
}

pub(crate) fn provider(issuer: &str) -> Provider {
    provider_like(issuer, json!({"scopes": ["email", "groups", "profile"], "sign_out_returns": true}))
}

/// A provider of which IT says this besides.
pub(crate) fn provider_like(issuer: &str, more: Value) -> Provider {
    let mut settings = json!({"issuer": issuer, "client_id": "deskgate"});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Provider { organisation: "Acme".to_owned(), settings: serde_json::from_value(settings).unwrap() }
}

/// A sign-in with this nonce, whatever the provider still knows.
pub(crate) fn wish(nonce: &str) -> Wish {
    Wish { nonce: nonce.to_owned(), anew: false, by_code: false }
}

/// Waits for a state of the session.
pub(crate) async fn state(sso: &Sso, wanted: impl Fn(&SessionState) -> bool) -> SessionState {
    let mut watch = sso.watch();
    let found = tokio::time::timeout(Duration::from_secs(20), watch.wait_for(|state| wanted(state))).await;
    found.expect("the session did not come to the wanted state").unwrap().clone()
}
