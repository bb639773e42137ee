//! A vault in a folder of its own, and a session on it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use org_protocol::IdentityProvider;
use os::{Clock, SystemClock};
use signin::{KeeperRules, Provider, SessionState, Sso, SsoParts, Wish};
use tempfile::TempDir;
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
        let parts = SsoParts {
            store: Arc::new(self.vault().await),
            person: Arc::<Someone>::clone(person),
            clock,
            rules: KeeperRules { look: Duration::from_millis(20), ..KeeperRules::default() },
        };
        Sso::open(provider(issuer), parts).unwrap()
    }
}

pub(crate) fn provider(issuer: &str) -> Provider {
    Provider {
        organisation: "Acme".to_owned(),
        settings: IdentityProvider {
            issuer: issuer.parse().unwrap(),
            client_id: "deskgate".to_owned(),
            scopes: BTreeSet::from(["email", "groups", "profile"].map(str::to_owned)),
            groups_claim: "groups".to_owned(),
            sign_out_returns: true,
        },
    }
}

/// A sign-in with this nonce, whatever the provider still knows.
pub(crate) fn wish(nonce: &str) -> Wish {
    Wish { nonce: nonce.to_owned(), anew: false }
}

/// Waits for a state of the session.
pub(crate) async fn state(sso: &Sso, wanted: impl Fn(&SessionState) -> bool) -> SessionState {
    let mut watch = sso.watch();
    let found = tokio::time::timeout(Duration::from_secs(20), watch.wait_for(|state| wanted(state))).await;
    found.expect("the session did not come to the wanted state").unwrap().clone()
}
