//! The employee's own OAuth grants at connectors: asked for on first use, silent afterwards, renewed before they end.
//!
//! Discovery, registration and the authorization request follow the MCP authorization specification (2026-07-28) and are
//! rmcp's; the token endpoint, renewal and rest are ours, because a rotated token must be durable before it is used.
//! A grant belongs to one subject, one account at a connector and one URL: it is never sent anywhere else.

mod client;
mod discovery;
mod given;
mod grant;
mod place;
mod service;
mod target;
mod typed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::{AccountId, Advice, BoxFuture, Digest, ForPerson as _, Person, Subject, Timestamp};
use org_protocol::{ClientMetadataUrl, ConnectorSpec};
use os::Clock;
use signin::{FaultKind, Http, Keeper, KeeperRules, NamedHosts, SecretStore, SignInFault, Status};
use tokio::sync::watch;
use upstream::{Bearer, HttpClient};
use url::Url;

use crate::seams::{AccountFault, Accounts, Asking, Voucher};
pub use given::typed_grant;
use grant::Grant;
use place::{GrantPlace, Shared};
use target::Target;

/// Why there is no token: at which connector, and what is wrong.
pub type GrantFault = SignInFault;

/// What the grants need from outside.
pub struct GrantsParts {
    /// Where grants rest.
    pub store: Arc<dyn SecretStore>,
    /// Who is asked to sign in.
    pub person: Arc<dyn Person>,
    /// Who vouches for them, where somebody does.
    pub voucher: Option<Arc<dyn Voucher>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Asks connectors themselves where one signs in.
    pub connections: HttpClient,
    /// Who is told what happened, for the audit. Must not block.
    pub events: Arc<dyn Fn(GrantEvent) + Send + Sync>,
    /// How patient the grants are.
    pub rules: KeeperRules,
    /// How long a person has to sign in.
    pub sign_in_deadline: Duration,
}

/// What can be seen of one account's grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantStatus {
    /// Nobody is signed in.
    SignedOut,
    /// The person is being asked.
    SigningIn,
    /// Calls are silent.
    SignedIn {
        /// The account as the server names it, where it does. Not verified; for display.
        account: Option<String>,
        /// When the token at hand ends; it is renewed before.
        expires: Option<Timestamp>,
    },
    /// Something keeps the grant from being used or renewed.
    NeedsAttention(Advice),
}

/// Something that happened to a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantEvent {
    /// Which account.
    pub account: AccountId,
    /// What happened.
    pub what: GrantHappening,
}

/// What happened to a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantHappening {
    /// The person signed in.
    SignedIn {
        /// The authorization server.
        issuer: String,
    },
    /// The person typed a token.
    Typed,
    /// The authorization server gave fresh tokens.
    Renewed {
        /// The authorization server.
        issuer: String,
    },
    /// A sign-in failed; the advice's code.
    SignInFailed(String),
    /// The authorization server no longer honours the grant.
    Ended,
    /// The person signed out.
    SignedOut,
}

/// One subject's grants at all connectors. Clones share them.
///
/// Another subject gets another value; the grants of the first stay sealed until they sign in again.
#[derive(Clone)]
pub struct ConnectorGrants(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    rules: KeeperRules,
    named: NamedHosts,
    also_named: RwLock<Vec<Url>>,
    document: RwLock<Option<ClientMetadataUrl>>,
    keepers: RwLock<Keepers>,
}

#[derive(Default)]
struct Keepers {
    serving: BTreeMap<AccountId, Kept>,
    /// Those whose connector is gone. One that comes back waits until they have saved what they were renewing.
    retired: BTreeMap<AccountId, Keeper<GrantPlace>>,
}

#[derive(Clone)]
struct Kept {
    place: Arc<GrantPlace>,
    keeper: Keeper<GrantPlace>,
}

impl ConnectorGrants {
    /// The grants of `owner`; none is known until [`ConnectorGrants::serve`].
    ///
    /// # Errors
    /// [`FaultKind::Internal`] if TLS cannot be set up.
    pub fn new(owner: &Subject, parts: GrantsParts) -> Result<Self, FaultKind> {
        let GrantsParts { store, person, voucher, clock, connections, events, rules, sign_in_deadline } =
            parts;
        let named = NamedHosts::default();
        let http = Http::new(named.clone())?;
        let (subject, owner) = (owner.clone(), owner_of(owner));
        let status = watch::Sender::new(BTreeMap::new());
        let shared = Shared {
            subject,
            owner,
            http,
            connections,
            store,
            person,
            voucher,
            clock,
            events,
            status,
            sign_in_deadline,
        };
        Ok(Self(Arc::new(Inner {
            shared: Arc::new(shared),
            rules,
            named,
            also_named: RwLock::default(),
            document: RwLock::default(),
            keepers: RwLock::default(),
        })))
    }

    /// Names addresses beside the connectors' own, such as the organisation's identity provider. A connector's metadata may
    /// lead inside the network only to what somebody named. And where the document is published by which Deskgate names
    /// itself, if it is. Obeyed from the next [`ConnectorGrants::serve`] on.
    pub fn name(&self, addresses: Vec<Url>, document: Option<ClientMetadataUrl>) {
        *self.0.also_named.write().unwrap_or_else(PoisonError::into_inner) = addresses;
        *self.0.document.write().unwrap_or_else(PoisonError::into_inner) = document;
    }

    /// Takes the accounts as they are now, with their connectors; to be called again at each change. Reads the grants that are
    /// saved. Must be called within a Tokio runtime.
    pub fn serve(&self, connectors: &BTreeMap<AccountId, ConnectorSpec>) {
        let Inner { shared, rules, named, also_named, document, keepers } = &*self.0;
        let document = document.read().unwrap_or_else(PoisonError::into_inner).clone();
        let also = also_named.read().unwrap_or_else(PoisonError::into_inner);
        named.replace(connectors.values().filter_map(|spec| spec.url.as_ref()).chain(&*also));
        drop(also);
        let mut keepers = keepers.write().unwrap_or_else(PoisonError::into_inner);
        let Keepers { serving, retired } = &mut *keepers;
        let mut old = std::mem::take(serving);
        for (id, spec) in connectors {
            let Some(target) = Target::of(spec, document.as_ref()) else { continue };
            let kept = match old.remove(id) {
                Some(kept) => {
                    if kept.place.retarget(target) {
                        let keeper = kept.keeper.clone();
                        tokio::spawn(async move { keeper.reload().await });
                    }
                    kept
                }
                None => {
                    let before = retired.remove(id);
                    let place = Arc::new(GrantPlace::new(Arc::clone(shared), id.clone(), target, before));
                    let keeper = Keeper::start(Arc::clone(&place), Arc::clone(&shared.clock), *rules);
                    if place.signs_in_by_itself() {
                        let keeper = keeper.clone();
                        // What comes of it is in the status.
                        tokio::spawn(async move { keeper.token(Some(Asking::Never)).await.map(drop) });
                    }
                    Kept { place, keeper }
                }
            };
            kept.place
                .beside_others(connectors.keys().any(|other| other.connector == id.connector && other != id));
            serving.insert(id.clone(), kept);
        }
        for (id, Kept { place, keeper }) in old {
            place.retire();
            let closing = keeper.clone();
            tokio::spawn(async move { closing.close().await });
            retired.insert(id, keeper);
        }
        shared.status.send_if_modified(|status| {
            let before = status.len();
            status.retain(|id, _| serving.contains_key(id));
            status.len() != before
        });
    }

    /// A token that is good now: the one at hand, a renewed one, or with `asking` one that the person signs in for. Calls
    /// that come together share one renewal and one sign-in.
    ///
    /// # Errors
    /// [`GrantFault`], with words for the person.
    pub async fn bearer(&self, account: &AccountId, asking: Asking) -> Result<Bearer, GrantFault> {
        let Kept { place, keeper } = self.find(account)?;
        let target = place.target();
        let ask = match asking {
            Asking::Allowed => Some(Asking::Allowed),
            Asking::Never => place.signs_in_by_itself().then_some(Asking::Never),
        };
        let mut grant = keeper.token(ask).await.map_err(|fault| fault.at(&target.title))?;
        // The connector may have moved meanwhile: a token never follows it.
        if !grant.serves(&target) {
            keeper.reload().await;
            grant = keeper.token(ask).await.map_err(|fault| fault.at(&target.title))?;
        }
        if !grant.serves(&target) {
            return Err(FaultKind::SignInNeeded.at(&target.title));
        }
        grant.bearer().map_err(|fault| fault.at(&target.title))
    }

    /// The connector wants more scopes than the token has: asks the person to sign in for those beside what was asked for
    /// before (MCP 2026-07-28, basic/authorization, "Step-Up Authorization Flow"). Calls that come together ask once. Where
    /// nobody may be asked, they are asked for at the next sign-in.
    ///
    /// # Errors
    /// [`GrantFault`]; at once if the token was made for these scopes already, if more than IT's scopes are wanted, or if
    /// the person has just refused.
    pub async fn step_up(
        &self,
        account: &AccountId,
        bearer: &Bearer,
        challenge: &str,
        asking: Asking,
    ) -> Result<(), GrantFault> {
        let Kept { place, keeper } = self.find(account)?;
        let title = place.target().title.clone();
        self.stepped_up(&place, &keeper, bearer, challenge, asking).await.map_err(|fault| fault.at(&title))
    }

    async fn stepped_up(
        &self,
        place: &GrantPlace,
        keeper: &Keeper<GrantPlace>,
        bearer: &Bearer,
        challenge: &str,
        asking: Asking,
    ) -> Result<(), FaultKind> {
        let Inner { shared, rules, .. } = &*self.0;
        let mut refused = place.stepping.lock().await;
        let kept = match keeper.status() {
            Status::SignedIn { kept, .. } => kept,
            // Somebody signs in just now, and what comes of it is waited for.
            Status::SigningIn if asking == Asking::Allowed => keeper.token(Some(Asking::Allowed)).await?,
            Status::SigningIn | Status::Unknown | Status::SignedOut { .. } => {
                return Err(FaultKind::SignInNeeded);
            }
        };
        if !Bearer::new(kept.access().clone()).same_as(bearer) {
            // Somebody else was faster.
            return Ok(());
        }
        let wanted = place.beyond(&kept, challenge)?;
        if asking == Asking::Never {
            place.want(wanted);
            return Err(FaultKind::SignInNeeded);
        }
        let now = shared.clock.boot_time();
        if let Some((at, fault)) = &*refused
            && now.saturating_sub(*at) < rules.machine.cool_down
        {
            return Err(fault.clone());
        }
        // Whoever stops waiting leaves the window open; what comes of it is not known here then.
        *refused = Some((now, FaultKind::Cancelled));
        place.want(wanted.clone());
        let signed_in = keeper.sign_in(Asking::Allowed).await;
        place.want(BTreeSet::new());
        let outcome = match signed_in {
            Ok(grant) if wanted.is_subset(&grant.bound().wider) => Ok(()),
            Ok(_) => Err(FaultKind::NotAllowedByPerson),
            Err(fault) => Err(fault),
        };
        *refused = outcome.as_ref().err().map(|fault| (shared.clock.boot_time(), fault.clone()));
        outcome
    }

    /// The connector refused a token although it seemed good: it is not handed out again, and the next call renews it,
    /// once. `challenge` is the `WWW-Authenticate` header, where a sign-in then begins (RFC 9728, section 5.1).
    pub async fn rejected(&self, account: &AccountId, bearer: &Bearer, challenge: Option<String>) {
        let Ok(Kept { place, keeper }) = self.find(account) else { return };
        if let Some(challenge) = challenge {
            place.challenged(challenge);
        }
        if let Status::SignedIn { kept, .. } = keeper.status()
            && Bearer::new(kept.access().clone()).same_as(bearer)
        {
            keeper.reject(signin::Kept::fingerprint(&kept)).await;
        }
    }

    /// Asks the person to sign in, whatever is held.
    ///
    /// # Errors
    /// [`GrantFault`]. What was held still is.
    pub async fn sign_in(&self, account: &AccountId) -> Result<(), GrantFault> {
        let Kept { place, keeper } = self.find(account)?;
        keeper.sign_in(Asking::Allowed).await.map(|_| ()).map_err(|fault| fault.at(&place.target().title))
    }

    /// Forgets the grant, and tells the authorization server in the background (RFC 7009).
    ///
    /// # Errors
    /// [`GrantFault`] if it could not be erased.
    pub async fn sign_out(&self, account: &AccountId) -> Result<(), GrantFault> {
        let Kept { place, keeper } = self.find(account)?;
        place.left.store(true, Ordering::SeqCst);
        keeper.sign_out().await.map_err(|fault| fault.at(&place.target().title))
    }

    /// Renews what is due without waiting any longer after what failed. Nobody is asked.
    pub fn try_now(&self) {
        for Kept { keeper, .. } in self.serving() {
            keeper.try_now();
        }
    }

    fn serving(&self) -> Vec<Kept> {
        let keepers = self.0.keepers.read().unwrap_or_else(PoisonError::into_inner);
        keepers.serving.values().cloned().collect()
    }

    /// Reads again what the vault holds: it may have been out of reach before.
    pub async fn read_again(&self) {
        for Kept { place, keeper } in self.serving() {
            if place.left.load(Ordering::SeqCst) {
                // Whoever signed out meanwhile meant what was out of reach.
                if let Err(fault) = keeper.sign_out().await {
                    tracing::warn!(%fault, "an account that was left could not be forgotten");
                }
            } else {
                keeper.reload().await;
            }
        }
    }

    /// The state of every grant, now and at each change; an account appears once its grant was looked for.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<AccountId, GrantStatus>> {
        self.0.shared.status.subscribe()
    }

    /// Ends the work after what is under way, so that no rotated token is lost. To be called before the end of the
    /// program and before the grants of another subject are used.
    pub async fn close(&self) {
        let keepers = std::mem::take(&mut *self.0.keepers.write().unwrap_or_else(PoisonError::into_inner));
        let serving = keepers.serving.into_values().map(|kept| kept.keeper);
        for keeper in serving.chain(keepers.retired.into_values()) {
            keeper.close().await;
        }
    }

    fn find(&self, account: &AccountId) -> Result<Kept, GrantFault> {
        let keepers = self.0.keepers.read().unwrap_or_else(PoisonError::into_inner);
        let missing = || FaultKind::NotOffered("it has no accounts".to_owned()).at(account.to_string());
        keepers.serving.get(account).cloned().ok_or_else(missing)
    }
}

impl Accounts for ConnectorGrants {
    fn bearer<'a>(
        &'a self,
        person: &'a Subject,
        account: &'a AccountId,
        asking: Asking,
    ) -> BoxFuture<'a, Result<Bearer, AccountFault>> {
        Box::pin(async move {
            if owner_of(person) != self.0.shared.owner {
                return Err(AccountFault::SignInNeeded(other_person()));
            }
            Self::bearer(self, account, asking).await.map_err(|fault| account_fault(&fault))
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
            if owner_of(person) != self.0.shared.owner {
                return Err(AccountFault::SignInNeeded(other_person()));
            }
            Self::step_up(self, account, bearer, challenge, asking)
                .await
                .map_err(|fault| account_fault(&fault))
        })
    }

    fn rejected<'a>(
        &'a self,
        account: &'a AccountId,
        bearer: &'a Bearer,
        challenge: Option<String>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(Self::rejected(self, account, bearer, challenge))
    }
}

fn account_fault(fault: &GrantFault) -> AccountFault {
    if matches!(fault.kind, FaultKind::Nobody(_)) || fault.kind.wants_sign_in() {
        AccountFault::SignInNeeded(fault.advice())
    } else {
        AccountFault::Failed(fault.advice())
    }
}

/// Whose the grants are: issuer and subject identify.
fn owner_of(person: &Subject) -> Digest {
    Digest::of_parts(&[person.issuer.as_bytes(), person.subject.as_bytes()])
}

fn other_person() -> Advice {
    Advice::new(
        "other-person",
        "Somebody else is signed in by now.",
        "Nobody's account is used in another's name.",
        "Connect the assistant again as the person who is signed in.",
    )
}

impl GrantStatus {
    fn of(status: &Status<Grant>, title: &str) -> Option<Self> {
        let advice = |fault: &FaultKind| fault.clone().at(title).advice();
        match status {
            Status::Unknown => None,
            Status::SignedOut { after: None } => Some(Self::SignedOut),
            Status::SignedOut { after: Some(fault) } => Some(Self::NeedsAttention(advice(fault))),
            Status::SigningIn => Some(Self::SigningIn),
            Status::SignedIn { usable: false, trouble: Some(fault), .. } => {
                Some(Self::NeedsAttention(advice(fault)))
            }
            Status::SignedIn { kept, .. } => {
                let expires = signin::Kept::life(kept).expires();
                Some(Self::SignedIn { account: kept.account().map(str::to_owned), expires })
            }
        }
    }
}
