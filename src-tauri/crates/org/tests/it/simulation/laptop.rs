//! A desktop in the simulation: the client with everything that it runs, a journal, and a person who works, in no hurry and without
//! patience.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use audit::{AuditEvent, EventRecord, Journal, JournalConfig, Position};
use control::testing::StandInProvider;
use model::{BoxFuture, DeviceId, Subject};
use org::{Anchor, Fetched, IdToken, IdTokens, Loan, NoIdToken, Org, OrgFault, OrgParts, OrgSession};
use org_protocol::{DeviceDescription, EventKind, RootFingerprint};
use os::Clock as _;
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use url::Url;
use vault::Vault;
use vault::testing::MemoryKeychain;

use super::dice::Dice;
use super::laws::{Count, Laws};
use super::network::Line;

/// What stays of a desktop when its program ends.
pub(super) struct Laptop {
    pub(super) name: &'static str,
    pub(super) user: &'static str,
    pub(super) device: DeviceId,
    pub(super) home: tempfile::TempDir,
    pub(super) keychain: MemoryKeychain,
    pub(super) laws: Laws,
    pub(super) dice: Arc<Dice>,
    pub(super) config_url: Url,
    pub(super) fingerprint: RootFingerprint,
    pub(super) provider: Arc<StandInProvider>,
    pub(super) is_calm: Arc<AtomicBool>,
    /// The history has ended: it shows its records.
    pub(super) is_over: Arc<AtomicBool>,
    pub(super) manifests: Arc<Mutex<Vec<bytes::Bytes>>>,
}

impl Laptop {
    fn subject(&self) -> Subject {
        Subject { issuer: self.provider.issuer(), ..Subject::local(self.user) }
    }

    async fn opened(&self) -> Result<Org, OrgFault> {
        let clock = Arc::clone(&self.laws.clock);
        let keychain = Arc::new(self.keychain.clone());
        let vault = Vault::open(&self.home.path().join("vault"), keychain, Arc::clone(&clock) as _).await;
        let line = Line {
            device: self.device,
            laws: self.laws.clone(),
            dice: Arc::clone(&self.dice),
            is_calm: Arc::clone(&self.is_calm),
            manifests: Arc::clone(&self.manifests),
        };
        let description = DeviceDescription {
            name: self.name.to_owned(),
            platform: "linux".to_owned(),
            app_version: "0.1.0".to_owned(),
            content_formats: org_protocol::readable_formats(),
        };
        let parts = OrgParts {
            config_url: self.config_url.clone(),
            anchor: Anchor::Pinned(self.fingerprint),
            dir: self.home.path().join("bundle"),
            device: self.device,
            description,
            vault,
            clock,
        };
        Org::over(Arc::new(line), parts)
    }

    /// Runs until the program is ended.
    pub(super) async fn run(self: Arc<Self>) -> turmoil::Result {
        let org = self.opened().await?;
        let journal = JournalConfig {
            org: Some("acme".to_owned()),
            ..JournalConfig::new(self.home.path().join("journal"), self.device, [7; 32])
        };
        let (journal, _) = Journal::open(journal, Arc::clone(&self.laws.clock) as _)?;
        match org.resume().await {
            Ok(Some(applied)) => self.laws.policy(self.device, &applied, true),
            Ok(None) if self.laws.of(self.device, |seen| seen.version) > 0 => {
                self.laws.broken("the policy in force was forgotten");
            }
            Ok(None) => {}
            Err(advice) => self.laws.broken(format!("the policy in force cannot be taken up: {advice}")),
        }
        org.recall_halts().await;
        let _tasks = self.begin(&org, &journal);
        self.work(&org, &journal).await
    }

    /// All that a desktop does by itself.
    fn begin(self: &Arc<Self>, org: &Org, journal: &Journal) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let (news, halts) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        {
            let (laptop, org, news, halts) =
                (Arc::clone(self), org.clone(), Arc::clone(&news), Arc::clone(&halts));
            tasks.spawn_local(async move {
                let of = org.clone();
                org.follow(move |event| laptop.hears(&of, &event, &news, &halts)).await;
            });
        }
        {
            let (laptop, org) = (Arc::clone(self), org.clone());
            tasks.spawn_local(async move {
                let person = Arc::new(Person {
                    laptop,
                    org: org.clone(),
                    nonce: tokio::sync::Mutex::default(),
                    asked: AtomicBool::new(true),
                });
                let told = Arc::clone(&person);
                let tell = move |outcome: Result<&OrgSession, &OrgFault>| {
                    let laws = &told.laptop.laws;
                    laws.tells(
                        told.laptop.device,
                        outcome.map_or_else(ToString::to_string, |_| "session".to_owned()),
                    );
                    if outcome.is_err_and(OrgFault::ends_sign_in) {
                        told.asked.store(true, Ordering::SeqCst);
                    }
                };
                org.keep_session(person, tell).await;
            });
        }
        let (lender, watcher, sender) = (org.clone(), org.clone(), org.clone());
        tasks.spawn_local(async move { lender.keep_leases().await });
        tasks.spawn_local(async move { watcher.follow_halts(&halts).await });
        let journal = journal.clone();
        tasks.spawn_local(async move { sender.deliver(journal).await });
        let (laptop, org) = (Arc::clone(self), org.clone());
        tasks.spawn_local(async move { laptop.follow_policy(&org, &news).await });
        tasks
    }

    fn hears(&self, org: &Org, event: &EventKind, news: &Notify, halts: &Notify) {
        match event {
            EventKind::BundleUpdated { .. } => news.notify_one(),
            EventKind::HaltsChanged => halts.notify_one(),
            EventKind::Resync => {
                news.notify_one();
                halts.notify_one();
            }
            EventKind::LeaseEnded { lease } => {
                org.end_lease(*lease);
                self.laws.hears_lease_ended(self.device, *lease);
            }
            EventKind::LeaseRetires { lease } => org.retire_lease(*lease),
            EventKind::SessionRevoked | EventKind::DeviceSuspended | EventKind::SignInEnded => {
                self.laws.hears_end(self.device);
            }
            // Nobody asks for any here.
            EventKind::DiagnosticsChanged => {}
            EventKind::Unknown => self.laws.broken("an event of an unknown kind"),
        }
    }

    async fn follow_policy(&self, org: &Org, news: &Notify) {
        loop {
            let fetched = match org.fetch().await {
                Ok(Fetched::Unchanged) => Ok(()),
                Ok(Fetched::New(candidate)) => {
                    self.laws.policy(self.device, candidate.applied(), false);
                    org.apply(*candidate).await.map(|applied| self.laws.policy(self.device, &applied, true))
                }
                Err(fault) => Err(fault),
            };
            let pause = if fetched.is_ok() { Org::poll_pause() } else { Org::poll_pause() / 6 };
            let _ = tokio::time::timeout(pause, news.notified()).await;
        }
    }

    async fn work(&self, org: &Org, journal: &Journal) -> turmoil::Result {
        loop {
            tokio::time::sleep(self.dice.millis(500, 6_000)).await;
            let is_over = self.is_over.load(Ordering::SeqCst);
            let (head, acknowledged) = (journal.head(), journal.acknowledged());
            let records = is_over.then(|| journal.after(Position::default(), usize::MAX)).transpose()?;
            let records = records.map(|records| {
                let place = |record: &audit::AuditRecord| {
                    let link = record.link();
                    (link.epoch, link.seq, record.line().to_owned())
                };
                records.iter().map(place).collect()
            });
            let now = self.laws.clock.now();
            let session = org.session().borrow().as_ref().is_some_and(|session| session.expires > now);
            let halts = org.halts().borrow().halts.len();
            let delivery = org.delivery().borrow().clone();
            self.laws.of(self.device, |seen| {
                seen.now.has_session = session;
                seen.now.delivered = acknowledged == Some(head);
                seen.now.delivery = Some(delivery);
                seen.now.halts = halts;
                seen.now.records = records;
            });
            if is_over {
                continue;
            }
            let record = EventRecord::new(AuditEvent::SignedIn).of(Subject::local(self.user));
            journal.event(record).await?;
            if self.dice.once_in(4) {
                self.give_up(org).await;
            } else {
                self.borrow(org).await;
            }
        }
    }

    /// Wants the shared account for a moment.
    async fn borrow(&self, org: &Org) {
        let (connector, server) = ("ledger".parse(), "analyst".parse());
        let (Ok(connector), Ok(server), Ok(credential)) = (connector, server, "warehouse-analyst".parse())
        else {
            return self.laws.broken("an id of another form");
        };
        let loan = Loan {
            connector: &connector,
            credential: &credential,
            server: &server,
            subject: &self.subject(),
            client_id: "client",
            client_name: "An assistant",
            program: None,
        };
        if let Ok(lent) = org.lease(loan).await {
            self.laws.lent(self.device, lent.ended.clone());
        }
    }

    /// Begins something and does not wait for its end.
    async fn give_up(&self, org: &Org) {
        let patience = self.dice.millis(1, 400);
        let begun = async {
            match self.dice.below(3) {
                0 => drop(org.fetch().await),
                1 => self.borrow(org).await,
                _ => {
                    let session = org.session().borrow().clone();
                    // Somebody who signs out, and hangs up before it is confirmed.
                    if let Some(session) = session.filter(|_| self.dice.once_in(4)) {
                        self.laws.tells(self.device, "leaves".to_owned());
                        org.end_session();
                        drop(org.close_session(&session).await);
                    }
                }
            }
        };
        if tokio::time::timeout(patience, begun).await.is_err() {
            self.laws.count(Count::GivenUp);
        }
    }
}

/// Who is signed in at the provider, and signs in again where that is asked of them.
struct Person {
    laptop: Arc<Laptop>,
    org: Org,
    nonce: tokio::sync::Mutex<Option<String>>,
    asked: AtomicBool,
}

impl IdTokens for Person {
    fn id_token(&self) -> BoxFuture<'_, Result<IdToken, NoIdToken>> {
        Box::pin(async move {
            let Laptop { user, provider, laws, .. } = &*self.laptop;
            let mut nonce = self.nonce.lock().await;
            if self.asked.swap(false, Ordering::SeqCst) || nonce.is_none() {
                let new = self.org.nonce().await;
                laws.tells(self.laptop.device, format!("nonce {:?}", new.as_ref().err()));
                *nonce = new.ok();
            }
            let claims = provider.claims(user, &["analysts"], nonce.as_deref(), laws.clock.now().seconds());
            let token = SecretString::from(provider.token(&claims));
            Ok(IdToken { token, nonce: nonce.clone(), subject: self.laptop.subject(), access: None })
        })
    }
}

/// A folder in memory, where the machine has such: what is simulated is the network, not the disk.
pub(super) fn folder() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let mut folder = tempfile::Builder::new();
    folder.prefix("deskgate-simulation-");
    if memory.is_dir() { folder.tempdir_in(memory) } else { folder.tempdir() }
}
