//! Signing in at a connector, and renewing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use mcp::Capabilities;
use model::{
    AccountId, BoxFuture, Digest, ForPerson as _, Person, PersonFault, SignInOutcome, SignInRequest, Subject,
};
use org_protocol::LoopbackRedirect;
use os::Clock;
use secrecy::SecretString;
use signin::answer::{self, Expected};
use signin::{
    FaultKind, Http, Keeper, Moment, Place, Reach, Redemption, RenewFault, SecretStore, Status,
    TokenEndpoint, Tokens, loopback_redirect,
};
use tokio::sync::watch;
use upstream::{HttpClient, Session, UpstreamFault};
use url::Url;
use vault::Kind;

use super::client::{self, Client};
use super::discovery::{Found, MOST_SCOPES, Need, Request, scopes_in, shown};
use super::grant::{Bound, Grant, Server, Source, key};
use super::target::{Registered, Target, Way};
use super::{GrantEvent, GrantHappening, GrantStatus};
use crate::seams::{Asking, Voucher};

/// How long a connector has to say where one signs in.
const ASKED_FOR: Duration = Duration::from_secs(10);

/// How often another program may be faster at the redirect port before the attempt ends.
const MOST_PORTS: usize = 3;

/// What all grants of a subject share.
pub(super) struct Shared {
    pub(super) subject: Subject,
    pub(super) owner: Digest,
    pub(super) http: Http,
    pub(super) connections: HttpClient,
    pub(super) store: Arc<dyn SecretStore>,
    pub(super) person: Arc<dyn Person>,
    pub(super) voucher: Option<Arc<dyn Voucher>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Arc<dyn Fn(GrantEvent) + Send + Sync>,
    pub(super) status: watch::Sender<BTreeMap<AccountId, GrantStatus>>,
    pub(super) sign_in_deadline: Duration,
}

/// The scopes that a connector wanted beside those of the first sign-in.
#[derive(Debug, Default)]
struct Wider {
    /// What the grant was made for.
    allowed: BTreeSet<String>,
    /// What it wants now.
    wanted: BTreeSet<String>,
}

/// One account of a person at a connector.
pub(super) struct GrantPlace {
    shared: Arc<Shared>,
    account: AccountId,
    key: String,
    target: RwLock<Arc<Target>>,
    challenge: Mutex<Option<String>>,
    wider: Mutex<Wider>,
    /// Held by whoever has the person allow more; when that last failed, in time since the start of the computer, and why.
    pub(super) stepping: tokio::sync::Mutex<Option<(Duration, FaultKind)>>,
    /// Whether a sign-in ever came back here: then the way there is good.
    proven: AtomicBool,
    /// Whoever kept this grant before, and may still be saving it.
    predecessor: Mutex<Option<Keeper<Self>>>,
    /// Whether a browser may know the person by another account.
    several: AtomicBool,
    /// The connector is gone: nothing is shown of it any more.
    retired: AtomicBool,
    /// The person signed out: until they want it, nothing brings them back by itself.
    pub(super) left: AtomicBool,
}

/// An authorization request that was answered.
struct Answered {
    client: Client,
    request: Request,
    redirect_uri: Url,
    outcome: SignInOutcome,
}

impl GrantPlace {
    pub(super) fn new(
        shared: Arc<Shared>,
        account: AccountId,
        target: Target,
        predecessor: Option<Keeper<Self>>,
    ) -> Self {
        Self {
            key: key(&shared.owner, &account),
            shared,
            account,
            target: RwLock::new(Arc::new(target)),
            challenge: Mutex::default(),
            wider: Mutex::default(),
            stepping: tokio::sync::Mutex::default(),
            proven: AtomicBool::new(false),
            predecessor: Mutex::new(predecessor),
            several: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            left: AtomicBool::new(false),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn account(&self) -> &AccountId {
        &self.account
    }

    /// Whether one is signed in without being asked, and has not just signed out.
    pub(super) fn signs_in_by_itself(&self) -> bool {
        self.target().way.is_silent() && !self.left.load(Ordering::SeqCst)
    }

    /// Takes whether other accounts of the connector are in use. Then, or where the person gave this one a name, a sign-in asks
    /// whose it is to be.
    pub(super) fn beside_others(&self, others: bool) {
        self.several.store(others || !self.account.account.is_default(), Ordering::SeqCst);
    }

    fn one_of_several(&self) -> bool {
        self.several.load(Ordering::SeqCst)
    }

    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    pub(super) fn target(&self) -> Arc<Target> {
        Arc::clone(&self.target.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the connector as it is now; whether it differs.
    pub(super) fn retarget(&self, target: Target) -> bool {
        let mut current = self.target.write().unwrap_or_else(PoisonError::into_inner);
        let differs = **current != target;
        if current.url != target.url {
            // What was learnt of another server.
            *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = None;
            *self.wider() = Wider::default();
        }
        *current = Arc::new(target);
        differs
    }

    pub(super) fn challenged(&self, challenge: String) {
        *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = Some(challenge);
    }

    /// The scopes of a challenge, if a sign-in for them can help.
    ///
    /// # Errors
    /// [`FaultKind::Scopes`] if the grant was made for them already. Where IT says which scopes to ask for it always was, or
    /// they go beyond those.
    pub(super) fn beyond(&self, grant: &Grant, challenge: &str) -> Result<BTreeSet<String>, FaultKind> {
        let target = self.target();
        let wanted = scopes_in(challenge, &target.url);
        if !target.way.can_widen() || !target.scopes.is_empty() || wanted.is_subset(&grant.bound().wider) {
            return Err(FaultKind::Scopes(shown(&wanted)));
        }
        Ok(wanted)
    }

    /// Has the next sign-in ask for these scopes too.
    pub(super) fn want(&self, scopes: BTreeSet<String>) {
        self.wider().wanted = scopes;
    }

    /// The scopes to ask for beside those of IT or of the connector. IT's are never gone beyond.
    fn more_scopes(&self, target: &Target) -> BTreeSet<String> {
        if !target.scopes.is_empty() {
            return BTreeSet::new();
        }
        let wider = self.wider();
        wider.allowed.union(&wider.wanted).take(MOST_SCOPES).cloned().collect()
    }

    fn wider(&self) -> MutexGuard<'_, Wider> {
        self.wider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the connector says to whoever comes without a token: there it names its authorization server and the scopes
    /// (RFC 9728, section 5.1).
    pub(super) async fn challenge(&self, target: &Target) -> Option<String> {
        let nothing = Capabilities::default();
        let opened =
            Session::open_url(&self.shared.connections, &target.url, None, &nothing, None, ASKED_FOR).await;
        match opened {
            Err(UpstreamFault::Unauthorized { challenge: Some(challenge) }) => Some(challenge),
            Ok(_) | Err(_) => self.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    async fn attempt(&self, asking: Asking) -> Result<Grant, FaultKind> {
        let target = self.target();
        match &target.way {
            Way::Code(registered) => self.coded(&target, registered).await,
            Way::Typed { header, hint } => self.typed(&target, header, hint.as_ref()).await,
            Way::Client(service) => self.of_service(&target, service).await,
            Way::Enterprise { registered, or_ask } => {
                let vouched = self.vouched(&target, registered).await;
                match &vouched {
                    Err(fault) if *or_ask && asking == Asking::Allowed => {
                        tracing::info!(connector = %self.account, %fault, "nobody vouches: the person is asked");
                        self.coded(&target, registered).await
                    }
                    Ok(_) | Err(_) => vouched,
                }
            }
        }
    }

    /// Leads the person to the authorization server.
    async fn coded(&self, target: &Target, registered: &Registered) -> Result<Grant, FaultKind> {
        let reach = self.shared.http.from(&target.url);
        reach.allows(&target.url)?;
        let challenge = self.challenge(target).await;
        let mut found =
            Found::discover(&reach, &target.url, challenge.as_deref(), Need::Person, &self.shared.clock)
                .await?;
        let wider = self.more_scopes(target);
        let Answered { client, request, redirect_uri, outcome } =
            self.ask(&mut found, target, registered, &wider).await?;
        let expected = Expected {
            redirect_uri: &redirect_uri,
            state: &request.state,
            issuer: &found.issuer,
            issuer_announced: found.announces_issuer,
        };
        let code = answer::code(&outcome, &expected)?;
        let endpoint = found.endpoint(&client);
        let redemption = Redemption {
            code,
            verifier: &request.verifier,
            redirect_uri: &redirect_uri,
            resource: Some(&request.resource),
        };
        let tokens = match endpoint.redeem(&reach, redemption).await {
            Err(FaultKind::Refused(code)) if code == "invalid_client" => {
                client::forget(&*self.shared.store, &found.issuer, &client.id).await?;
                return Err(FaultKind::Refused(code));
            }
            other => other?,
        };
        found.fit(&tokens)?;
        // A server that says what it granted may have granted less.
        let granted = |scope: &String| tokens.scopes.as_ref().is_none_or(|granted| granted.contains(scope));
        let wider: BTreeSet<String> = wider.into_iter().filter(granted).collect();
        self.wider().allowed.clone_from(&wider);
        self.proven.store(true, Ordering::SeqCst);
        let bound = Bound {
            server: target.url.clone(),
            way: target.way.name(),
            header: target.way.header(),
            scopes: target.scopes.clone(),
            wider,
            registered_client: registered.client_id.clone(),
            source: Source::Server(Box::new(Server {
                issuer: found.issuer,
                resource: request.resource,
                endpoint,
                asked: BTreeSet::new(),
            })),
        };
        Ok(Grant::new(bound, tokens, Moment::of(&*self.shared.clock)))
    }

    async fn ask(
        &self,
        found: &mut Found,
        target: &Target,
        registered: &Registered,
        wider: &BTreeSet<String>,
    ) -> Result<Answered, FaultKind> {
        let store = &*self.shared.store;
        for redirect_uri in ways_back(registered) {
            let redirect_uri = redirect_uri?;
            let client = client::choose(found, registered, store, &redirect_uri).await?;
            let redirect_uri = client.comes_back(&redirect_uri);
            let request =
                found.request(&client, &redirect_uri, &target.scopes, wider, self.one_of_several()).await?;
            let shown = SignInRequest {
                purpose: self.purpose(target),
                authorize_url: request.url.clone(),
                entrance: None,
                redirect_uri: redirect_uri.clone(),
                deadline: self.shared.sign_in_deadline,
            };
            match signin::ask(&*self.shared.person, shown).await {
                Ok(outcome) => return Ok(Answered { client, request, redirect_uri, outcome }),
                Err(PersonFault::PortTaken) => {}
                Err(fault) => {
                    let proven = self.proven.load(Ordering::SeqCst);
                    if !proven && matches!(fault, PersonFault::Cancelled | PersonFault::Deadline) {
                        client::doubt(store, &found.issuer, &client).await?;
                    }
                    return Err(fault.into());
                }
            }
        }
        Err(match registered.redirect_uris.as_slice() {
            [] => PersonFault::PortTaken.into(),
            fixed => FaultKind::PortsTaken(fixed.iter().map(LoopbackRedirect::port).collect()),
        })
    }

    async fn renewal(&self, grant: Grant, use_number: u8) -> Result<Grant, RenewFault> {
        let bound = grant.bound();
        let Some(server) = bound.server() else {
            return Err(RenewFault::Ended("nobody renews it".to_owned()));
        };
        let Some(refresh) = &grant.tokens().refresh else {
            return self.obtained_again(&grant, server).await;
        };
        let mark = grant.seal(use_number).map_err(RenewFault::NotDone)?;
        self.shared.store.put(Kind::Grant, &self.key, &mark).await.map_err(RenewFault::NotDone)?;
        let reach = self.reach(bound);
        match self.endpoint(server).renew(&reach, refresh, Some(&server.resource)).await {
            Ok(tokens) => self.renewed(&grant, tokens),
            Err(RenewFault::Ended(code)) => {
                if code == "invalid_client"
                    && let Err(fault) =
                        client::forget(&*self.shared.store, &server.issuer, &server.endpoint.client_id).await
                {
                    tracing::warn!(connector = %self.account, %fault, "an unknown registration was not forgotten");
                }
                self.tell(GrantHappening::Ended);
                Err(RenewFault::Ended(code))
            }
            Err(fault) => Err(fault),
        }
    }

    /// The grant with fresh tokens. One whose tokens were bound to a key goes on with no others: whether the connector would
    /// take them is found out by signing in anew.
    pub(super) fn renewed(&self, grant: &Grant, tokens: Tokens) -> Result<Grant, RenewFault> {
        if grant.tokens().bound && !tokens.bound {
            self.tell(GrantHappening::Ended);
            return Err(RenewFault::Ended("unbound_token".to_owned()));
        }
        if let Some(server) = grant.bound().server() {
            self.tell(GrantHappening::Renewed { issuer: server.issuer.clone() });
        }
        Ok(grant.renewed(tokens, Moment::of(&*self.shared.clock)))
    }

    /// The token endpoint, with the secret that IT names now: it may have been changed since the sign-in.
    pub(super) fn endpoint(&self, server: &Server) -> TokenEndpoint {
        let target = self.target();
        let mut endpoint = server.endpoint.clone();
        if let Some(registered) = target.way.registered()
            && registered.client_id.as_ref() == Some(&endpoint.client_id)
        {
            endpoint.client_secret = registered.client_secret.clone().map(SecretString::from);
        }
        endpoint
    }

    pub(super) fn reach(&self, bound: &Bound) -> Reach {
        self.shared.http.from(&bound.server)
    }

    pub(super) fn tell(&self, what: GrantHappening) {
        (self.shared.events)(GrantEvent { account: self.account.clone(), what });
    }
}

/// The redirect URIs to try: those that were registered, else some of this computer's free ports.
fn ways_back(registered: &Registered) -> Vec<Result<Url, FaultKind>> {
    if registered.redirect_uris.is_empty() {
        return (0..MOST_PORTS).map(|_| loopback_redirect()).collect();
    }
    registered.redirect_uris.iter().map(|fixed| Ok(fixed.url().clone())).collect()
}

impl Place for GrantPlace {
    type Kept = Grant;
    type Ask = Asking;

    fn read(&self) -> BoxFuture<'_, Result<Option<Grant>, FaultKind>> {
        Box::pin(async move {
            let predecessor = self.predecessor.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(predecessor) = predecessor {
                predecessor.close().await;
            }
            let found = self.shared.store.fetch(Kind::Grant, &self.key).await?;
            let grant = found.and_then(|bytes| Grant::unseal(&bytes, &self.target(), &self.shared.clock));
            if let Some(grant) = &grant {
                self.wider().allowed.clone_from(&grant.bound().wider);
                self.proven.store(true, Ordering::SeqCst);
            }
            Ok(grant)
        })
    }

    fn sign_in(&self, asking: Asking) -> BoxFuture<'_, Result<Grant, FaultKind>> {
        Box::pin(async move {
            let result = self.attempt(asking).await;
            if result.is_ok() {
                self.left.store(false, Ordering::SeqCst);
            }
            self.tell(match &result {
                Ok(grant) => match grant.bound().server() {
                    Some(server) => GrantHappening::SignedIn { issuer: server.issuer.clone() },
                    None => GrantHappening::Typed,
                },
                Err(fault) => {
                    tracing::info!(connector = %self.account, %fault, "a sign-in failed");
                    GrantHappening::SignInFailed(fault.clone().at("").advice().code)
                }
            });
            result
        })
    }

    fn renew(&self, grant: Grant, use_number: u8) -> BoxFuture<'_, Result<Grant, RenewFault>> {
        Box::pin(self.renewal(grant, use_number))
    }

    fn save(&self, grant: Grant) -> BoxFuture<'_, Result<(), FaultKind>> {
        Box::pin(async move { self.shared.store.put(Kind::Grant, &self.key, &grant.seal(0)?).await })
    }

    fn erase(&self, grant: Grant, revoke: bool) -> BoxFuture<'_, Result<(), FaultKind>> {
        Box::pin(async move {
            self.shared.store.remove(Kind::Grant, &self.key).await?;
            *self.wider() = Wider::default();
            if revoke {
                self.tell(GrantHappening::SignedOut);
                let Some(server) = grant.bound().server().cloned() else { return Ok(()) };
                let reach = self.reach(grant.bound());
                let connector = self.account.clone();
                tokio::spawn(async move {
                    if let Err(fault) = server.endpoint.revoke(&reach, grant.tokens()).await {
                        tracing::info!(%connector, %fault, "the authorization server could not be told of the sign-out");
                    }
                });
            }
            Ok(())
        })
    }

    fn changed(&self, status: &Status<Grant>) {
        if self.retired.load(Ordering::SeqCst) {
            return;
        }
        let seen = GrantStatus::of(status, &self.target().title);
        self.shared.status.send_modify(|all| match seen {
            Some(seen) => {
                all.insert(self.account.clone(), seen);
            }
            None => {
                all.remove(&self.account);
            }
        });
    }
}
