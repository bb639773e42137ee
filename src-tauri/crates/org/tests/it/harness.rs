//! A desktop: a home folder, a vault on a keychain in memory, and the client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::testing::ServedOrg;
use model::{BoxFuture, DeviceId, Digest, Subject, Timestamp};
use org::{
    Anchor, Applied, Fetched, IdToken, IdTokens, NoIdToken, Org, OrgFault, OrgParts, OrgSession, Transport,
};
use org_protocol::{DeviceDescription, RootFingerprint, SESSION_FORMAT, SessionAnswer};
use os::{Clock, SystemClock};
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;
use vault::testing::{Behaviour, MemoryKeychain};
use vault::{DeviceKey, Vault};

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

    /// The same, where a chip holds the device's key until a restart.
    pub(crate) async fn with_chip(served: &ServedOrg, chip: Arc<dyn DeviceKey>) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let (keychain, id) = (MemoryKeychain::new(), DeviceId::new());
        let vault = vault(home.path(), &keychain).await;
        vault.hold_device_key(chip);
        let url = served.running.public_url.clone();
        let org =
            client(home.path(), vault, id, url, Anchor::Pinned(served.fingerprint()), Arc::new(SystemClock));
        Self { home, keychain, id, org }
    }

    pub(crate) async fn pointed(url: Url, fingerprint: RootFingerprint) -> Self {
        Self::introduced(url, Anchor::Pinned(fingerprint)).await
    }

    /// A new desktop that knows an organisation by its address and whatever else is given.
    pub(crate) async fn introduced(url: Url, anchor: Anchor) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let keychain = MemoryKeychain::new();
        let id = DeviceId::new();
        let org = open(home.path(), &keychain, id, url, anchor).await;
        Self { home, keychain, id, org }
    }

    /// A new desktop whose clock is somebody's own.
    pub(crate) async fn with_clock(served: &ServedOrg, clock: Arc<dyn Clock>) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let (keychain, id) = (MemoryKeychain::new(), DeviceId::new());
        let anchor = Anchor::Pinned(served.fingerprint());
        let url = served.running.public_url.clone();
        let org = client(home.path(), vault(home.path(), &keychain).await, id, url, anchor, clock);
        Self { home, keychain, id, org }
    }

    /// A new desktop whose requests something else carries.
    pub(crate) async fn over(served: &ServedOrg, transport: Arc<dyn Transport>) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let (keychain, id) = (MemoryKeychain::new(), DeviceId::new());
        let vault = vault(home.path(), &keychain).await;
        let anchor = Anchor::Pinned(served.fingerprint());
        let clock = Arc::new(SystemClock);
        let parts = parts(home.path(), vault, id, served.running.public_url.clone(), anchor, clock);
        let org = Org::over(transport, parts).expect("a client");
        Self { home, keychain, id, org }
    }

    /// A new desktop of an organisation that nobody has met, whose requests something else carries.
    pub(crate) async fn astray(transport: Arc<dyn Transport>) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let (keychain, id) = (MemoryKeychain::new(), DeviceId::new());
        let vault = vault(home.path(), &keychain).await;
        let url = "https://deskgate.example/".parse().expect("a URL");
        let parts = parts(home.path(), vault, id, url, Anchor::FirstMet, Arc::new(SystemClock));
        let org = Org::over(transport, parts).expect("a client");
        Self { home, keychain, id, org }
    }

    /// The same desktop after a restart.
    pub(crate) async fn restart(self, served: &ServedOrg) -> Self {
        let Self { home, keychain, id, org } = self;
        drop(org);
        let url = served.running.public_url.clone();
        let org = open(home.path(), &keychain, id, url, Anchor::Pinned(served.fingerprint())).await;
        Self { home, keychain, id, org }
    }

    /// The same desktop after a restart with a keychain that behaves so.
    pub(crate) async fn restart_with(self, keychain: Behaviour, served: &ServedOrg) -> Self {
        self.keychain.set(keychain);
        self.restart(served).await
    }

    /// The same desktop, pointed elsewhere.
    pub(crate) async fn repointed(self, url: Url, fingerprint: RootFingerprint) -> Self {
        self.reintroduced(url, Anchor::Pinned(fingerprint)).await
    }

    /// The same desktop after a restart, as it knows an organisation by its address and whatever else is given.
    pub(crate) async fn reintroduced(self, url: Url, anchor: Anchor) -> Self {
        let Self { home, keychain, id, org } = self;
        drop(org);
        let org = open(home.path(), &keychain, id, url, anchor).await;
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
        let subject = person(served, user);
        self.org.open_session(&whose(&subject, &token, Some(&nonce))).await.expect("opens a session")
    }

    pub(crate) fn bundle_dir(&self) -> std::path::PathBuf {
        self.home.path().join("bundle")
    }
}

async fn open(home: &Path, keychain: &MemoryKeychain, id: DeviceId, url: Url, anchor: Anchor) -> Org {
    client(home, vault(home, keychain).await, id, url, anchor, Arc::new(SystemClock))
}

async fn vault(home: &Path, keychain: &MemoryKeychain) -> Vault {
    Vault::open(&home.join("vault"), Arc::new(keychain.clone()), Arc::new(SystemClock)).await
}

fn client(home: &Path, vault: Vault, id: DeviceId, url: Url, anchor: Anchor, clock: Arc<dyn Clock>) -> Org {
    Org::new(parts(home, vault, id, url, anchor, clock)).expect("a client")
}

fn parts(
    home: &Path,
    vault: Vault,
    id: DeviceId,
    url: Url,
    anchor: Anchor,
    clock: Arc<dyn Clock>,
) -> OrgParts {
    OrgParts {
        config_url: url,
        anchor,
        dir: home.join("bundle"),
        device: id,
        description: DeviceDescription {
            name: "laptop".to_owned(),
            platform: "linux".to_owned(),
            app_version: "0.1.0".to_owned(),
            content_formats: org_protocol::readable_formats(),
        },
        vault,
        clock,
    }
}

pub(crate) fn id_token(served: &ServedOrg, user: &str, groups: &[&str], nonce: Option<&str>) -> SecretString {
    let now = SystemClock.now().seconds();
    SecretString::from(served.idp.token(&served.idp.claims(user, groups, nonce, now)))
}

/// Somebody, as the provider knows them.
pub(crate) fn person(served: &ServedOrg, user: &str) -> Subject {
    Subject { issuer: served.idp.issuer(), ..Subject::local(user) }
}

/// The token of somebody, with the nonce within it.
pub(crate) fn whose(subject: &Subject, token: &SecretString, nonce: Option<&str>) -> IdToken {
    IdToken { token: token.clone(), nonce: nonce.map(str::to_owned), subject: subject.clone(), access: None }
}

/// A person who is signed in at the provider, with a fixed token.
pub(crate) struct SignedIn {
    pub(crate) subject: Subject,
    pub(crate) token: SecretString,
    pub(crate) nonce: Option<String>,
}

impl IdTokens for SignedIn {
    fn id_token(&self) -> BoxFuture<'_, Result<IdToken, NoIdToken>> {
        let (token, nonce, subject) = (self.token.clone(), self.nonce.clone(), self.subject.clone());
        Box::pin(async { Ok(IdToken { token, nonce, subject, access: None }) })
    }
}

/// Shows how long something took each time, to whoever runs the test by hand.
#[expect(clippy::print_stdout, reason = "it is for the one who looks at it")]
pub(crate) fn show(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!("{what}, {} times: p50 {:?}, p99 {:?}, longest {:?}", took.len(), at(50), at(99), at(100));
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

/// A server that answers as a test says.
pub(crate) struct StandIn {
    pub(crate) url: Url,
    serving: JoinHandle<()>,
}

/// What it was asked: the method, the path below the root, and the body.
pub(crate) struct Asked {
    pub(crate) what: String,
    pub(crate) body: String,
}

impl StandIn {
    /// Answers each request with what `answer` says: a status and JSON.
    pub(crate) async fn new<F: Future<Output = (u16, String)> + Send + 'static>(
        answer: impl Fn(Asked) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(answer);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                tokio::spawn(async move { serve_one(stream, &*answer).await });
            }
        });
        Self { url: format!("http://{address}/").parse().expect("a URL"), serving }
    }

    /// A desktop that is pointed at it.
    pub(crate) async fn desktop(&self) -> Desktop {
        Desktop::pointed(self.url.clone(), Digest::of(b"whatever")).await
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve_one<F: Future<Output = (u16, String)>>(stream: TcpStream, answer: &impl Fn(Asked) -> F) {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await.expect("a request");
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a header");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a body");
    // Audit records travel packed.
    let body = org_protocol::unpack_batch(&body).unwrap_or(body);
    let what = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let (status, json) = answer(Asked { what, body: String::from_utf8(body).expect("text") }).await;
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", json.len());
    // Whoever asked may have gone away meanwhile.
    let _ = stream.write_all((head + &json).as_bytes()).await;
}

/// What a server answers that opens a session.
pub(crate) fn session_answer(subject: &Subject) -> (u16, String) {
    let answer = SessionAnswer {
        format: SESSION_FORMAT,
        token: format!("dgs_{}", subject.subject),
        expires: Timestamp::from_seconds(SystemClock.now().seconds() + 3600),
        device: DeviceId::new(),
        subject: subject.clone(),
        next_secret: None,
    };
    (200, serde_json::to_string(&answer).expect("JSON"))
}
