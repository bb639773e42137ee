//! A vault in a folder of its own, and grants on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector::{
    Asking, ConnectorGrants, GrantEvent, GrantFault, GrantHappening, GrantStatus, GrantsParts, Voucher,
};
use model::{AccountId, BoxFuture, Subject};
use org_protocol::{ConnectorSpec, CredentialSpec};
use os::{Clock, ManualClock, SystemClock};
use signin::{FaultKind, KeeperRules, SecretStore};
use tempfile::TempDir;
use upstream::{Bearer, HttpClient};
use url::Url;
use vault::testing::MemoryKeychain;
use vault::{Kind, SecretBytes, Vault};

use crate::people::Someone;

/// What survives a restart.
pub(crate) struct Desk {
    folder: TempDir,
    keychain: MemoryKeychain,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) events: Arc<Mutex<Vec<GrantHappening>>>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            keychain: MemoryKeychain::new(),
            clock: Arc::new(ManualClock::new(SystemClock.now())),
            events: Arc::default(),
        }
    }

    pub(crate) async fn vault(&self) -> Vault {
        Vault::open(self.folder.path(), Arc::new(self.keychain.clone()), Arc::new(SystemClock)).await
    }

    pub(crate) async fn stored(&self, kind: Kind) -> Vec<String> {
        self.vault().await.list(kind).await.unwrap()
    }

    /// Everything on disk, to look for what must not be there.
    pub(crate) fn files(&self) -> Vec<u8> {
        let mut all = vec![];
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    all.extend(std::fs::read(path).unwrap());
                }
            }
        }
        all
    }

    pub(crate) async fn grants(&self, person: &Arc<Someone>) -> ConnectorGrants {
        self.grants_of("employee", person, Arc::new(self.vault().await))
    }

    pub(crate) fn grants_of(
        &self,
        owner: &str,
        person: &Arc<Someone>,
        store: Arc<dyn SecretStore>,
    ) -> ConnectorGrants {
        self.grants_by(&Subject::local(owner), person, store, None)
    }

    /// The grants of somebody, for whom somebody may vouch.
    pub(crate) fn grants_by(
        &self,
        owner: &Subject,
        person: &Arc<Someone>,
        store: Arc<dyn SecretStore>,
        voucher: Option<Arc<dyn Voucher>>,
    ) -> ConnectorGrants {
        let events = Arc::clone(&self.events);
        let parts = GrantsParts {
            store,
            person: Arc::<Someone>::clone(person),
            voucher,
            clock: Arc::<ManualClock>::clone(&self.clock),
            connections: HttpClient::new().unwrap(),
            events: Arc::new(move |event: GrantEvent| events.lock().unwrap().push(event.what)),
            rules: KeeperRules { look: Duration::from_millis(20), ..KeeperRules::default() },
            sign_in_deadline: Duration::from_secs(60),
        };
        ConnectorGrants::new(owner, parts).unwrap()
    }

    pub(crate) fn happened(&self) -> Vec<GrantHappening> {
        self.events.lock().unwrap().clone()
    }
}

pub(crate) fn mail() -> AccountId {
    "mail".parse().unwrap()
}

pub(crate) fn spec(url: &Url, client_id: Option<&str>, scopes: &[&str]) -> ConnectorSpec {
    ConnectorSpec {
        in_grace: None,
        facts: BTreeMap::new(),
        changes_accepted_by: org_protocol::ChangesAcceptedBy::default(),
        title: "Mail".to_owned(),
        url: Some(url.clone()),
        command: vec![],
        environment: BTreeMap::new(),
        credential: CredentialSpec::UserOauth {
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            client_id: client_id.map(str::to_owned),
            client_secret: None,
            redirect_uris: vec![],
        },
    }
}

/// The connector "mail" with a client secret beside its client id.
pub(crate) fn spec_with_secret(url: &Url, client_id: &str, secret: &str) -> ConnectorSpec {
    let scopes = [].into();
    let (client_id, client_secret) = (Some(client_id.to_owned()), Some(secret.to_owned()));
    let credential = CredentialSpec::UserOauth { scopes, client_id, client_secret, redirect_uris: vec![] };
    ConnectorSpec { credential, ..spec(url, None, &[]) }
}

/// Serves one connector, "mail", at `url`.
pub(crate) fn serve(grants: &ConnectorGrants, url: &Url) {
    grants.serve(&BTreeMap::from([(mail(), spec(url, None, &[]))]));
}

pub(crate) async fn bearer(grants: &ConnectorGrants) -> Result<Bearer, FaultKind> {
    grants.bearer(&mail(), Asking::Allowed).await.map_err(|fault: GrantFault| fault.kind)
}

/// Waits for a state of the grant.
pub(crate) async fn status(grants: &ConnectorGrants, wanted: impl Fn(&GrantStatus) -> bool) -> GrantStatus {
    let mut watch = grants.watch();
    let found = tokio::time::timeout(
        Duration::from_secs(20),
        watch.wait_for(|all| all.get(&mail()).is_some_and(&wanted)),
    );
    found.await.expect("the grant did not come to the wanted state").unwrap()[&mail()].clone()
}

/// A vault that can be told to refuse writing.
pub(crate) struct Moody {
    pub(crate) vault: Vault,
    pub(crate) full: std::sync::atomic::AtomicBool,
}

impl SecretStore for Moody {
    fn put<'a>(
        &'a self,
        kind: Kind,
        key: &'a str,
        value: &'a SecretBytes,
    ) -> BoxFuture<'a, Result<(), FaultKind>> {
        if self.full.load(std::sync::atomic::Ordering::SeqCst) {
            let advice = model::Advice::new("vault-disk", "The disk is full.", "", "");
            return Box::pin(async { Err(FaultKind::Vault(advice)) });
        }
        SecretStore::put(&self.vault, kind, key, value)
    }

    fn fetch<'a>(
        &'a self,
        kind: Kind,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<SecretBytes>, FaultKind>> {
        self.vault.fetch(kind, key)
    }

    fn remove<'a>(&'a self, kind: Kind, key: &'a str) -> BoxFuture<'a, Result<(), FaultKind>> {
        self.vault.remove(kind, key)
    }
}

/// The connector "mail" with a client that was registered with these redirect URIs.
pub(crate) fn spec_with_redirects(url: &Url, client_id: &str, redirects: &[String]) -> ConnectorSpec {
    let redirect = |uri: &String| Url::parse(uri).unwrap().try_into().unwrap();
    let credential = CredentialSpec::UserOauth {
        scopes: [].into(),
        client_id: Some(client_id.to_owned()),
        client_secret: None,
        redirect_uris: redirects.iter().map(redirect).collect(),
    };
    ConnectorSpec { credential, ..spec(url, None, &[]) }
}
