//! The accounts of whoever is present at the connectors: told to the journal, the controller and the catalog.
//!
//! Each person's grants are theirs alone. When another person comes, the ones before are closed first, so that no
//! rotated token is lost, and stay sealed until their owner is back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal};
use connector::{
    AccountFault, Accounts, Asking, ConnectorGrants, GrantEvent, GrantFault, GrantHappening, GrantStatus,
    GrantsParts, Voucher,
};
use model::{AccountId, Advice, BoxFuture, Subject};
use org_protocol::{ClientMetadataUrl, ConnectorSpec};
use os::Clock;
use signin::{FaultKind, KeeperRules};
use tokio::sync::mpsc;
use upstream::{Bearer, HttpClient};
use url::Url;
use vault::Vault;

use super::tell::Tell;
use crate::event::Event;
use crate::pending::PendingDesk;
use crate::state::ConnectorStatus;

const SIGN_IN_DEADLINE: Duration = Duration::from_secs(5 * 60);

/// What the accounts need from outside.
pub(crate) struct AccountParts {
    pub(crate) vault: Vault,
    pub(crate) desk: PendingDesk,
    /// Who vouches for whoever is present, where somebody does.
    pub(crate) voucher: Option<Arc<dyn Voucher>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) connections: HttpClient,
    pub(crate) tell: Tell,
    pub(crate) journal: Journal,
    /// Where this gateway is, such as `http://127.0.0.1:7717`.
    pub(crate) address: String,
    /// Takes connectors that were just signed in to, so that their tools are listed.
    pub(crate) list: mpsc::UnboundedSender<AccountId>,
}

/// The accounts of whoever is present. Cheap to clone; all clones are the same accounts.
#[derive(Clone)]
pub(crate) struct OwnAccounts(Arc<Inner>);

struct Inner {
    parts: AccountParts,
    held: Mutex<Held>,
    /// One change of person at a time.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    owner: Option<(String, String)>,
    grants: Option<ConnectorGrants>,
    accounts: BTreeMap<AccountId, ConnectorSpec>,
    named: Vec<Url>,
    /// Who Deskgate is at authorization servers that take a document for it.
    document: Option<ClientMetadataUrl>,
}

impl OwnAccounts {
    /// Nobody's yet.
    pub(crate) fn new(parts: AccountParts) -> Self {
        Self(Arc::new(Inner { parts, held: Mutex::default(), changing: tokio::sync::Mutex::default() }))
    }

    /// Takes up the accounts of this person, or nobody's.
    ///
    /// # Errors
    /// [`FaultKind::Internal`] if TLS cannot be set up; the accounts are nobody's then.
    pub(crate) async fn belong_to(&self, person: Option<&Subject>) -> Result<(), FaultKind> {
        let _one = self.0.changing.lock().await;
        let owner = person.map(|person| (person.issuer.clone(), person.subject.clone()));
        let before = {
            let mut held = self.held();
            if held.owner == owner {
                return Ok(());
            }
            held.owner = None;
            held.grants.take()
        };
        if let Some(before) = before {
            before.close().await;
        }
        let grants = person.map(|person| ConnectorGrants::new(person, self.grants_parts())).transpose()?;
        let mut held = self.held();
        for (id, spec) in &held.accounts {
            if spec.credential.is_own() {
                told(&self.0.parts.tell, id, &GrantStatus::SignedOut);
            }
        }
        if let Some(grants) = &grants {
            grants.name(held.named.clone(), held.document.clone());
            grants.serve(&held.accounts);
            follow(grants, self.0.parts.tell.clone(), self.0.parts.list.clone());
        }
        held.owner = owner;
        held.grants = grants;
        Ok(())
    }

    /// Takes the accounts that are in use now with their connectors, the addresses that their metadata may lead to, and the
    /// document that says who Deskgate is.
    pub(crate) fn serve(
        &self,
        accounts: &BTreeMap<AccountId, ConnectorSpec>,
        named: Vec<Url>,
        document: Option<ClientMetadataUrl>,
    ) {
        let mut held = self.held();
        held.accounts.clone_from(accounts);
        held.named = named;
        held.document = document;
        if let Some(grants) = &held.grants {
            grants.name(held.named.clone(), held.document.clone());
            grants.serve(accounts);
        }
    }

    /// Renews what is due without waiting any longer after what failed.
    pub(crate) fn try_now(&self) {
        if let Some(grants) = &self.held().grants {
            grants.try_now();
        }
    }

    /// Reads again what the vault holds: it may have been out of reach before.
    pub(crate) async fn read_again(&self) {
        let grants = self.held().grants.clone();
        if let Some(grants) = grants {
            grants.read_again().await;
        }
    }

    /// Asks the person to sign in to an account, whatever is held.
    ///
    /// # Errors
    /// [`GrantFault`].
    pub(crate) async fn sign_in(&self, account: &AccountId) -> Result<(), GrantFault> {
        self.present(account)?.sign_in(account).await
    }

    /// Forgets an account.
    ///
    /// # Errors
    /// [`GrantFault`].
    pub(crate) async fn sign_out(&self, account: &AccountId) -> Result<(), GrantFault> {
        self.present(account)?.sign_out(account).await
    }

    /// Forgets all accounts that are offered now; gives what could not be forgotten.
    pub(crate) async fn forget_all(&self) -> Vec<GrantFault> {
        let grants = self.held().grants.clone();
        let Some(grants) = grants else { return Vec::new() };
        let signed_in = self.signed_in();
        let mut faults = Vec::new();
        for account in signed_in {
            faults.extend(grants.sign_out(&account).await.err());
        }
        faults
    }

    /// The accounts that are offered now and signed in to.
    pub(crate) fn signed_in(&self) -> Vec<AccountId> {
        let grants = self.held().grants.clone();
        let Some(grants) = grants else { return Vec::new() };
        let status = grants.watch();
        let status = status.borrow();
        let signed_in = status.iter().filter(|(_, status)| !matches!(status, GrantStatus::SignedOut));
        signed_in.map(|(account, _)| account.clone()).collect()
    }

    /// The accounts of people's own that are in use, whoever is present.
    pub(crate) fn in_use(&self) -> Vec<AccountId> {
        let held = self.held();
        let own = held.accounts.iter().filter(|(_, spec)| spec.credential.is_own());
        own.map(|(account, _)| account.clone()).collect()
    }

    /// Whether this is an account of the person's own, and they are not signed in to it.
    pub(crate) fn is_signed_out(&self, account: &AccountId) -> bool {
        let held = self.held();
        let is_own = held.accounts.get(account).is_some_and(|spec| spec.credential.is_own());
        is_own
            && held.grants.as_ref().is_none_or(|grants| {
                matches!(grants.watch().borrow().get(account), Some(GrantStatus::SignedOut))
            })
    }

    /// Ends the work after what is under way.
    pub(crate) async fn close(&self) {
        let grants = self.held().grants.take();
        if let Some(grants) = grants {
            grants.close().await;
        }
    }

    fn present(&self, account: &AccountId) -> Result<ConnectorGrants, GrantFault> {
        self.held().grants.clone().ok_or_else(|| FaultKind::SignInNeeded.at(account.to_string()))
    }

    fn grants_parts(&self) -> GrantsParts {
        let AccountParts { vault, desk, voucher, clock, connections, tell, journal, address: _, list: _ } =
            &self.0.parts;
        let (tell, journal) = (tell.clone(), journal.clone());
        GrantsParts {
            store: Arc::new(vault.clone()),
            person: Arc::new(desk.clone()),
            voucher: voucher.clone(),
            clock: Arc::clone(clock),
            connections: connections.clone(),
            events: Arc::new(move |event| tell.note(&journal, &record(event))),
            rules: KeeperRules::default(),
            sign_in_deadline: SIGN_IN_DEADLINE,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts for OwnAccounts {
    fn bearer<'a>(
        &'a self,
        person: &'a Subject,
        account: &'a AccountId,
        asking: Asking,
    ) -> BoxFuture<'a, Result<Bearer, AccountFault>> {
        Box::pin(async move {
            let grants = self.held().grants.clone();
            match grants {
                Some(grants) => Accounts::bearer(&grants, person, account, asking).await,
                None => Err(AccountFault::SignInNeeded(nobody())),
            }
        })
    }

    fn visit<'a>(&'a self, account: &'a AccountId) -> BoxFuture<'a, Url> {
        Box::pin(async move {
            let AccountParts { desk, address, .. } = &self.0.parts;
            let name = desk.sign_in_to(account).await;
            match Url::parse(&format!("{address}/sign-in/{name}")) {
                Ok(url) => url,
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn step_up<'a>(
        &'a self,
        person: &'a Subject,
        account: &'a AccountId,
        bearer: &'a Bearer,
        challenge: &'a str,
        asking: Asking,
    ) -> BoxFuture<'a, Result<(), AccountFault>> {
        Box::pin(async move {
            let grants = self.held().grants.clone();
            match grants {
                Some(grants) => Accounts::step_up(&grants, person, account, bearer, challenge, asking).await,
                None => Err(AccountFault::SignInNeeded(nobody())),
            }
        })
    }

    fn rejected<'a>(
        &'a self,
        account: &'a AccountId,
        bearer: &'a Bearer,
        challenge: Option<String>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let grants = self.held().grants.clone();
            if let Some(grants) = grants {
                grants.rejected(account, bearer, challenge).await;
            }
        })
    }
}

fn nobody() -> Advice {
    Advice::new(
        "signed-out",
        "Nobody is signed in to the organisation.",
        "No account of your own can be used.",
        "Sign in to your organisation first.",
    )
}

/// Tells what changes, and asks for the tools of a connector that was just signed in to. Ends with the grants.
fn follow(grants: &ConnectorGrants, tell: Tell, list: mpsc::UnboundedSender<AccountId>) {
    let mut states = grants.watch();
    tokio::spawn(async move {
        let mut known: BTreeMap<AccountId, GrantStatus> = BTreeMap::new();
        loop {
            let now = states.borrow_and_update().clone();
            for (connector, status) in &now {
                if known.get(connector) != Some(status) {
                    told(&tell, connector, status);
                    let was_in = matches!(known.get(connector), Some(GrantStatus::SignedIn { .. }));
                    if matches!(status, GrantStatus::SignedIn { .. }) && !was_in {
                        // The receiving task lives as long as the application.
                        let _ = list.send(connector.clone());
                    }
                }
            }
            known = now;
            if states.changed().await.is_err() {
                return;
            }
        }
    });
}

fn told(tell: &Tell, connector: &AccountId, status: &GrantStatus) {
    let account = match status {
        GrantStatus::SignedIn { account, .. } => account.clone(),
        GrantStatus::SignedOut | GrantStatus::SigningIn | GrantStatus::NeedsAttention(_) => None,
    };
    tell.event(Event::ConnectorAccount { connector: connector.clone(), account });
    let status = match status {
        GrantStatus::SignedOut => ConnectorStatus::SignInNeeded,
        GrantStatus::SigningIn => ConnectorStatus::SigningIn,
        GrantStatus::SignedIn { .. } => ConnectorStatus::Ready,
        GrantStatus::NeedsAttention(advice) => ConnectorStatus::Unreachable(advice.clone()),
    };
    tell.event(Event::ConnectorStatus { connector: connector.clone(), status });
}

fn record(event: GrantEvent) -> EventRecord {
    let record = |kind| of_account(EventRecord::new(kind), &event.account);
    match event.what {
        GrantHappening::SignedIn { issuer } => record(AuditEvent::GrantObtained).with("issuer", issuer),
        GrantHappening::Renewed { issuer } => record(AuditEvent::GrantRefreshed).with("issuer", issuer),
        GrantHappening::Typed => record(AuditEvent::GrantObtained).with("cause", "typed"),
        GrantHappening::SignInFailed(code) => record(AuditEvent::SignInFailed).with("code", code),
        GrantHappening::Ended => record(AuditEvent::GrantLost),
        GrantHappening::SignedOut => record(AuditEvent::GrantLost).with("cause", "signed-out"),
    }
}

/// The record with the connector that it is about, and with the account where it is named.
pub(crate) fn of_account(record: EventRecord, AccountId { connector, account }: &AccountId) -> EventRecord {
    let record = record.with("connector", connector.as_str());
    if account.is_default() { record } else { record.with("account", account.as_str()) }
}
