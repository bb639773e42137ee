//! A desktop: a home folder, a vault on a keychain in memory, and the client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::testing::ServedOrg;
use model::{BoxFuture, DeviceId};
use org::{Applied, Fetched, IdToken, IdTokens, NoIdToken, Org, OrgFault, OrgParts, OrgSession};
use org_protocol::{DeviceDescription, RootFingerprint};
use os::{Clock as _, SystemClock};
use secrecy::SecretString;
use url::Url;
use vault::Vault;
use vault::testing::MemoryKeychain;

pub(crate) struct Desktop {
    pub(crate) home: tempfile::TempDir,
    pub(crate) keychain: MemoryKeychain,
    pub(crate) id: DeviceId,
    pub(crate) org: Org,
}

impl Desktop {
    /// A new desktop that is pointed at an organisation.
    pub(crate) async fn new(served: &ServedOrg) -> Self {
        Self::pointed(served.running.public_url.clone(), served.fingerprint()).await
    }

    pub(crate) async fn pointed(url: Url, fingerprint: RootFingerprint) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let keychain = MemoryKeychain::new();
        let id = DeviceId::new();
        let org = open(home.path(), &keychain, id, url, fingerprint).await;
        Self { home, keychain, id, org }
    }

    /// The same desktop after a restart.
    pub(crate) async fn restart(self, served: &ServedOrg) -> Self {
        let Self { home, keychain, id, org } = self;
        drop(org);
        let url = served.running.public_url.clone();
        let org = open(home.path(), &keychain, id, url, served.fingerprint()).await;
        Self { home, keychain, id, org }
    }

    /// The same desktop, pointed elsewhere.
    pub(crate) async fn repointed(self, url: Url, fingerprint: RootFingerprint) -> Self {
        let Self { home, keychain, id, org } = self;
        drop(org);
        let org = open(home.path(), &keychain, id, url, fingerprint).await;
        Self { home, keychain, id, org }
    }

    /// Fetches and applies what is new.
    pub(crate) async fn update(&self) -> Result<Option<Applied>, OrgFault> {
        match self.org.fetch().await? {
            Fetched::Unchanged => Ok(None),
            Fetched::New(candidate) => self.org.apply(*candidate).await.map(Some),
        }
    }

    pub(crate) async fn sign_in(&self, served: &ServedOrg, user: &str, groups: &[&str]) -> OrgSession {
        let nonce = self.org.nonce().await.expect("a nonce");
        let token = id_token(served, user, groups, Some(&nonce));
        self.org.open_session(&token, Some(&nonce)).await.expect("opens a session")
    }

    pub(crate) fn bundle_dir(&self) -> std::path::PathBuf {
        self.home.path().join("bundle")
    }
}

async fn open(
    home: &Path,
    keychain: &MemoryKeychain,
    id: DeviceId,
    url: Url,
    fingerprint: RootFingerprint,
) -> Org {
    let vault = Vault::open(&home.join("vault"), Arc::new(keychain.clone()), Arc::new(SystemClock)).await;
    assert!(vault.is_durable(), "the keychain works");
    Org::new(OrgParts {
        config_url: url,
        fingerprint,
        dir: home.join("bundle"),
        device: id,
        description: DeviceDescription {
            name: "laptop".to_owned(),
            platform: "linux".to_owned(),
            app_version: "0.1.0".to_owned(),
        },
        vault,
        clock: Arc::new(SystemClock),
    })
    .expect("a client")
}

pub(crate) fn id_token(served: &ServedOrg, user: &str, groups: &[&str], nonce: Option<&str>) -> SecretString {
    let now = SystemClock.now().seconds();
    SecretString::from(served.idp.token(&served.idp.claims(user, groups, nonce, now)))
}

/// A person who is signed in at the provider, with a fixed token.
pub(crate) struct SignedIn {
    pub(crate) token: SecretString,
    pub(crate) nonce: Option<String>,
}

impl IdTokens for SignedIn {
    fn id_token(&self) -> BoxFuture<'_, Result<IdToken, NoIdToken>> {
        Box::pin(async { Ok(IdToken { token: self.token.clone(), nonce: self.nonce.clone() }) })
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..3000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 30 seconds: {what}");
}
