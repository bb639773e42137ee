//! What the application knows, as one value. `handle` takes what happened and names what is to be done; it does nothing
//! itself, reads no clock and can be compared.

mod parts;
mod update;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use managed::{Managed, MenuItem};
use model::{AccountId, Advice, CallId, ForPerson as _, ServerId, SignInRequest, Timestamp};
use org_protocol::{SignInHost, SignInSurface};
use os::Upheaval;
use url::Url;
use vault::KeychainState;

use crate::effect::{Effect, Notice, Order, PauseFor, Place};
use crate::event::{Act, Configuration, Event};
use crate::pending::{Ending, PendingId, PendingItem, Question};

pub use parts::{
    Access, Activity, Assistant, AuditHealth, AuditState, CallOutcome, Connector, ConnectorStatus,
    CredentialKind, Freshness, HeldPart, Link, ListState, Mode, Organisation, PolicyState, Runs, Session,
    StandingApproval, Status, ToolAccess, VirtualServer, Withheld,
};
pub use update::{ReadyUpdate, UpdateState};

/// How many calls are kept for the Activity place; the journal keeps all.
pub const ACTIVITY_KEPT: usize = 500;

/// Everything the application knows.
#[derive(Debug, Clone, PartialEq)]
pub struct AppState {
    /// Who decides what may be done here.
    pub mode: Mode,
    /// What IT has set on this machine; none where nothing is set.
    pub managed: Option<Arc<Managed>>,
    /// The file that a person edits in personal mode.
    pub settings_file: String,
    /// Where sign-in windows open.
    pub sign_in_surface: SignInSurface,
    /// The hosts whose pages they may show; any where there are none.
    pub sign_in_hosts: BTreeSet<SignInHost>,
    /// Whether there is a display; otherwise sign-in opens the browser and nothing else opens.
    pub desktop: bool,
    /// Who is signed in.
    pub session: Session,
    /// Whether the organisation can be reached.
    pub link: Link,
    /// Whether this machine is known to be in no network.
    pub away: bool,
    /// Where calls are taken; none until then.
    pub address: Option<String>,
    /// The virtual servers.
    pub servers: BTreeMap<ServerId, VirtualServer>,
    /// The connectors, each as often as accounts of it are in use.
    pub connectors: BTreeMap<AccountId, Connector>,
    /// The assistants, by client identifier and virtual server.
    pub assistants: BTreeMap<(String, ServerId), Assistant>,
    /// What the present person has allowed for more than one call.
    pub approvals: Vec<StandingApproval>,
    /// The last calls, the newest first; at most [`ACTIVITY_KEPT`].
    pub activity: VecDeque<Arc<Activity>>,
    /// The audit journal.
    pub audit: AuditState,
    /// The policy; none until one is in force.
    pub policy: Option<PolicyState>,
    /// What waits for the person.
    pub pending: BTreeMap<PendingId, PendingItem>,
    /// Sign-ins that go on in the system browser, because their pages do not work in a window.
    pub moved: BTreeSet<PendingId>,
    /// Sign-ins whose windows were kept from a page, of which the person has been told.
    pub stopped: BTreeSet<PendingId>,
    /// Notifications that offer to sign in again after a sign-in was given up, by connector; none: the organisation.
    pub offered: BTreeMap<Option<AccountId>, PendingId>,
    /// What is wrong, by code.
    pub faults: BTreeMap<String, Advice>,
    /// Whether calls are refused because the person said so.
    pub paused: Option<Paused>,
    /// Where an update of the program stands.
    pub update: UpdateState,
    /// Whether the person is new here and shown around.
    pub is_new: bool,
}

/// A pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused {
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

impl AppState {
    /// Nothing is known yet.
    pub fn starting(desktop: bool) -> Self {
        Self {
            mode: Mode::Personal,
            managed: None,
            settings_file: String::new(),
            sign_in_surface: SignInSurface::Auto,
            sign_in_hosts: BTreeSet::new(),
            desktop,
            session: Session::SignedOut,
            link: Link::None,
            away: false,
            address: None,
            servers: BTreeMap::new(),
            connectors: BTreeMap::new(),
            assistants: BTreeMap::new(),
            approvals: Vec::new(),
            activity: VecDeque::new(),
            audit: AuditState { records: 0, receipted: None, health: AuditHealth::NotChecked },
            policy: None,
            pending: BTreeMap::new(),
            moved: BTreeSet::new(),
            stopped: BTreeSet::new(),
            offered: BTreeMap::new(),
            faults: BTreeMap::new(),
            paused: None,
            update: UpdateState::default(),
            is_new: false,
        }
    }

    /// How it is, in a word. The gravest word that is true wins.
    pub fn status(&self) -> Status {
        if self.policy.as_ref().is_some_and(|policy| matches!(policy.freshness, Freshness::DenyAll(_))) {
            return Status::Refused;
        }
        if self.address.is_none() {
            return if self.faults.is_empty() { Status::Starting } else { Status::Refused };
        }
        if self.paused.is_some() {
            return Status::Paused;
        }
        if matches!(self.session, Session::Expired { .. }) {
            return Status::Expired;
        }
        if self.needs_person() {
            return Status::Attention;
        }
        match self.link {
            Link::Offline { .. } => Status::Offline,
            Link::None | Link::Online if self.away => Status::Offline,
            Link::None | Link::Online => Status::Ready,
        }
    }

    /// What is wrong and what the person may do about it, the gravest first.
    pub fn advice(&self) -> Vec<&Advice> {
        let policy = self.policy.iter().filter_map(|policy| match &policy.freshness {
            Freshness::DenyAll(advice) => Some(advice),
            Freshness::Own | Freshness::Fresh { .. } | Freshness::Grace { .. } => None,
        });
        let audit = match &self.audit.health {
            AuditHealth::Broken(advice) => Some(advice),
            AuditHealth::NotChecked | AuditHealth::Whole { .. } => None,
        };
        let session = match &self.session {
            Session::Expired { why, .. } => Some(why),
            Session::Local { .. } | Session::SignedOut | Session::SigningIn | Session::SignedIn { .. } => {
                None
            }
        };
        policy.chain(audit).chain(session).chain(self.faults.values()).collect()
    }

    /// What waits for the person, the most urgent first. A page on which they are signing out does not: they are done here.
    pub fn waiting(&self) -> Vec<&PendingItem> {
        let mut items: Vec<_> = self.pending.values().filter(|item| !item.is_sign_out()).collect();
        items.sort_by(|a, b| (a.deadline, &a.id).cmp(&(b.deadline, &b.id)));
        items
    }

    /// When something changes by itself, so that a [`Event::Tick`] is due.
    pub fn next_change(&self) -> Option<Timestamp> {
        self.paused.and_then(|paused| paused.until)
    }

    /// Takes what happened; gives what is to be done.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Configured(configuration) => self.configure(*configuration),
            Event::Listening { address } => self.address = Some(address),
            Event::Policy(policy) => effects.extend(self.policy_is(policy, now)),
            Event::Managed(managed) => effects.extend(self.managed_is(managed)),
            Event::Upheaval(upheaval) => effects.extend(self.upheaval(upheaval)),
            Event::RuleChanged(advice) => effects.extend([told(&advice), Effect::StartAnew]),
            Event::Session(session) => effects.extend(self.session_is(session)),
            Event::SignInsEnded => effects.push(Effect::ForgetSignIns),
            Event::Link(link) => self.link_is(link),
            Event::Welcome(is_new) => self.is_new = is_new,
            Event::ConnectorStatus { connector, status } => {
                if status == ConnectorStatus::Ready {
                    effects.extend(self.withdraw_offer(&Some(connector.clone())));
                }
                self.with_connector(&connector, |it| it.status = status);
            }
            Event::ConnectorAccount { connector, account } => {
                self.with_connector(&connector, |it| it.account = account);
            }
            Event::ConnectorTools { connector, tools } => {
                self.with_connector(&connector, |it| it.tools = Some(tools));
            }
            Event::ConnectorHeld { connector, held } => {
                self.with_connector(&connector, |it| it.held = held);
            }
            Event::ConnectorList { connector, list } => {
                self.with_connector(&connector, |it| it.list = list);
            }
            Event::AssistantAllowed(assistant) => self.allowed(assistant),
            Event::AssistantGone { client_id, server } => {
                self.assistants.remove(&(client_id, server));
            }
            Event::Call(activity) => self.called(activity),
            Event::CallEnded { call, outcome, took } => self.call_ended(call, outcome, took),
            Event::Audit(audit) => self.audit = audit,
            Event::FaultRaised(advice) => effects.extend(self.fault(advice)),
            Event::FaultCleared { code } => {
                self.faults.remove(&code);
            }
            Event::Update(update) => effects.extend(self.update_is(update)),
            Event::Approvals(approvals) => self.approvals = approvals,
            Event::PendingAdded(item) => effects.extend(self.asked(item)),
            Event::PendingGone { id, ending } => effects.extend(self.answered(&id, ending)),
            Event::SignInPage { id, url } => effects.extend(self.sign_in_page(&id, &url)),
            Event::SignInPageRefused { id, url } => effects.extend(self.sign_in_page_refused(&id, &url)),
            Event::Person(act) => effects.extend(self.act(act, now)),
            Event::Tick => {}
        }
        effects.extend(self.end_pause(now));
        effects
    }

    /// Whether the keychain does not keep Deskgate's secrets, and could be tried again.
    pub fn wants_keychain(&self) -> bool {
        let states = [KeychainState::Locked, KeychainState::Denied, KeychainState::Absent];
        states.iter().any(|state| self.faults.contains_key(&state.advice().code))
    }

    /// Where people find help: what is set on this machine wins.
    pub fn support_url(&self) -> Option<&Url> {
        let organisation = match &self.mode {
            Mode::Managed(organisation) => organisation.support_url.as_ref(),
            Mode::Personal => None,
        };
        self.managed.as_ref().and_then(|managed| managed.settings.support_url.as_ref()).or(organisation)
    }

    /// Whether IT has this entry left out of menus.
    pub fn hides(&self, item: MenuItem) -> bool {
        self.managed.as_ref().is_some_and(|managed| managed.settings.hidden_menu_items.contains(&item))
    }

    fn policy_is(&mut self, policy: PolicyState, now: Timestamp) -> Option<Effect> {
        let before = self.in_grace();
        self.policy = Some(policy);
        // Said when it begins; how long it lasts stays to be seen in tray, window and status.
        let until = self.in_grace().filter(|_| before.is_none())?;
        Some(told(&crate::words::grace_begins(self, until, now)))
    }

    fn managed_is(&mut self, managed: Option<Arc<Managed>>) -> Option<Effect> {
        let autostart = managed.as_ref().and_then(|managed| managed.settings.autostart);
        self.managed = managed;
        autostart.filter(|_| self.desktop).map(Effect::Autostart)
    }

    fn needs_person(&self) -> bool {
        let session = match self.session {
            Session::SignedOut | Session::Expired { .. } => matches!(self.mode, Mode::Managed(_)),
            Session::Local { .. } | Session::SigningIn | Session::SignedIn { .. } => false,
        };
        let grace = self.in_grace().is_some();
        // Without a network there is nothing to be done about what lies elsewhere.
        let excused = |it: &Connector| self.away && !matches!(it.runs, Runs::Here { .. });
        let silent = |it: &Connector| matches!(it.status, ConnectorStatus::Unreachable(_));
        let connector = self.connectors.values().any(|it| silent(it) && !excused(it));
        let audit = matches!(self.audit.health, AuditHealth::Broken(_));
        session || grace || connector || audit || !self.waiting().is_empty() || !self.faults.is_empty()
    }

    fn configure(&mut self, new: Configuration) {
        let mut before = std::mem::take(&mut self.connectors);
        self.mode = new.mode;
        self.settings_file = new.settings_file;
        self.sign_in_surface = new.sign_in_surface;
        self.sign_in_hosts = new.sign_in_hosts;
        self.servers = new.servers;
        self.connectors = new.connectors;
        for (id, connector) in &mut self.connectors {
            // The same connector with the same kind of account stays as it was.
            if let Some(old) = before.remove(id)
                && old.runs == connector.runs
                && old.credential == connector.credential
            {
                let title = std::mem::take(&mut connector.title);
                *connector = Connector { title, ..old };
            }
        }
    }

    fn with_connector(&mut self, id: &AccountId, change: impl FnOnce(&mut Connector)) {
        match self.connectors.get_mut(id) {
            Some(connector) => change(connector),
            // The settings changed while the news was on its way.
            None => tracing::debug!(connector = %id, "news of a connector that is not configured"),
        }
    }

    fn session_is(&mut self, session: Session) -> Vec<Effect> {
        let was = std::mem::replace(&mut self.session, session);
        let gone = matches!((&was, &self.session), (Session::SignedIn { .. }, Session::SignedOut));
        let other = matches!((was.label(), self.session.label()), (Some(was), Some(is)) if was != is);
        if gone || other {
            // What was done in one person's name is not the next one's to see.
            self.activity.clear();
        }
        match &self.session {
            Session::Expired { why, .. } if was != self.session => vec![told(why)],
            Session::SignedIn { .. } => self.withdraw_offer(&None).into_iter().collect(),
            Session::Local { .. } | Session::SignedOut | Session::SigningIn | Session::Expired { .. } => {
                Vec::new()
            }
        }
    }

    fn upheaval(&mut self, upheaval: Upheaval) -> Option<Effect> {
        match upheaval {
            Upheaval::Woke => {}
            Upheaval::NetworkAway => {
                self.away = true;
                return None;
            }
            Upheaval::NetworkBack => self.away = false,
        }
        Some(Effect::Order(Order::TryNow))
    }

    fn link_is(&mut self, link: Link) {
        // Whatever the system says: who reaches the organisation is in a network.
        self.away &= link != Link::Online;
        // "Offline since" is the first time, however often it is said.
        let still_offline = matches!((self.link, link), (Link::Offline { .. }, Link::Offline { .. }));
        if !still_offline {
            self.link = link;
        }
    }

    fn allowed(&mut self, assistant: Assistant) {
        let key = (assistant.client_id.clone(), assistant.server.clone());
        match self.assistants.get_mut(&key) {
            Some(known) => {
                let last_call = known.last_call.max(assistant.last_call);
                *known = Assistant { calls: known.calls, last_call, ..assistant };
            }
            None => {
                self.assistants.insert(key, assistant);
            }
        }
    }

    fn called(&mut self, activity: Activity) {
        let denied = matches!(activity.outcome, CallOutcome::Denied { .. });
        let key = (activity.client_id.clone(), activity.server.clone());
        if let Some(assistant) = self.assistants.get_mut(&key) {
            assistant.last_call = assistant.last_call.max(Some(activity.at));
            assistant.calls += 1;
        }
        if !denied && let Some(connector) = self.connectors.get_mut(&activity.account) {
            connector.last_used = connector.last_used.max(Some(activity.at));
        }
        self.activity.push_front(Arc::new(activity));
        self.activity.truncate(ACTIVITY_KEPT);
    }

    fn call_ended(&mut self, call: CallId, outcome: CallOutcome, took: Duration) {
        if let Some(activity) = self.activity.iter_mut().find(|activity| activity.call == call) {
            let activity = Arc::make_mut(activity);
            activity.outcome = outcome;
            activity.took = Some(took);
        }
    }

    fn fault(&mut self, advice: Advice) -> Option<Effect> {
        let notice = told(&advice);
        let known = self.faults.insert(advice.code.clone(), advice).is_some();
        (!known).then_some(notice)
    }

    fn asked(&mut self, item: PendingItem) -> Vec<Effect> {
        if self.pending.insert(item.id.clone(), item.clone()).is_some() {
            // Asked again: the person has been told already.
            return Vec::new();
        }
        if let Some(connector) = connector_of(&item) {
            self.with_connector(&connector, |it| it.status = ConnectorStatus::SigningIn);
        }
        let offered = item.signs_in_to().and_then(|place| self.withdraw_offer(&place));
        // IT waits for days, not for the next click: nothing pops up.
        let shown = (!matches!(item.question, Question::Diagnostics(_))).then(|| self.show(&item));
        let notice = (!item.is_sign_out()).then(|| Effect::Notify(crate::words::notice(&item)));
        offered
            .into_iter()
            .chain(notice)
            .chain(shown)
            .filter(|effect| self.desktop || matches!(effect, Effect::OpenBrowser(_) | Effect::Notify(_)))
            .collect()
    }

    fn answered(&mut self, id: &PendingId, ending: Ending) -> Vec<Effect> {
        let Some(item) = self.pending.remove(id) else { return Vec::new() };
        self.moved.remove(id);
        self.stopped.remove(id);
        if let Some(connector) = connector_of(&item) {
            // Until the gateway says that the sign-in was good, it is still needed.
            self.with_connector(&connector, |it| {
                if it.status == ConnectorStatus::SigningIn {
                    it.status = ConnectorStatus::SignInNeeded;
                }
            });
        }
        if !self.desktop {
            return Vec::new();
        }
        let closed = [Effect::CloseWindow(id.clone()), Effect::Withdraw(id.clone())];
        closed.into_iter().chain(self.offer_again(&item, ending)).collect()
    }

    /// Offers a sign-in again that was given up: once for each, however many calls waited for it.
    fn offer_again(&mut self, item: &PendingItem, ending: Ending) -> Option<Effect> {
        let place = item.signs_in_to()?;
        let notice = crate::words::given_up(item, ending)?;
        self.offered.insert(place, item.id.clone());
        Some(Effect::Notify(notice))
    }

    fn withdraw_offer(&mut self, place: &Option<AccountId>) -> Option<Effect> {
        self.offered.remove(place).map(Effect::Withdraw)
    }

    /// A sign-in may lead on to a provider that refuses windows. Then it begins anew in the system browser, as the same attempt:
    /// its redirect is waited for all the while.
    fn sign_in_page(&mut self, id: &PendingId, url: &Url) -> Vec<Effect> {
        let Some(item) = self.pending.get(id).filter(|item| !item.is_sign_out()).cloned() else {
            return Vec::new();
        };
        if !self.in_browser(url) || !self.moved.insert(id.clone()) {
            return Vec::new();
        }
        let notice = crate::words::goes_on_in_browser(&item);
        vec![
            Effect::LeaveWindow(id.clone()),
            Effect::Withdraw(id.clone()),
            Effect::Notify(notice),
            self.show(&item),
        ]
    }

    /// Whether the organisation lets a sign-in window show this page: at one of its hosts, where it names some, or of this computer.
    pub fn window_may_show(&self, page: &Url) -> bool {
        let here = page.host().is_none() || model::is_on_this_machine(page);
        here || self.sign_in_hosts.is_empty() || self.sign_in_hosts.iter().any(|host| host.covers(page))
    }

    /// Says once that a window was kept from a page: it may have been a frame, and its page may go on.
    fn sign_in_page_refused(&mut self, id: &PendingId, page: &Url) -> Option<Effect> {
        let item = self.pending.get(id)?;
        let notice = crate::words::stopped_at(item, page);
        self.stopped.insert(id.clone()).then_some(Effect::Notify(notice))
    }

    /// How a question is shown.
    fn show(&self, item: &PendingItem) -> Effect {
        let id = item.id.clone();
        match &item.question {
            Question::SignIn(request)
                if self.moved.contains(&id) || self.in_browser(&request.authorize_url) =>
            {
                Effect::OpenBrowser(opened_at(request).clone())
            }
            Question::SignIn(request) if !self.window_may_show(&request.authorize_url) => {
                Effect::Notify(crate::words::stopped_at(item, &request.authorize_url))
            }
            Question::SignIn(request) => Effect::OpenSignInWindow {
                id,
                url: opened_at(request).clone(),
                redirect_uri: request.redirect_uri.clone(),
                title: crate::words::sign_in_title(&request.purpose),
                apart: connector_of(item).is_some_and(|account| !account.account.is_default()),
            },
            Question::Code(_) => Effect::OpenWindow(Place::Pending),
            Question::Consent(_) | Question::Approval(_) | Question::Diagnostics(_) => {
                Effect::OpenQuestionWindow { id, title: crate::words::title(item) }
            }
        }
    }

    /// What a person sees who goes on with a question. A code is read here and typed at its page.
    fn look(&self, item: &PendingItem) -> Vec<Effect> {
        let page = match &item.question {
            Question::Code(request) => Some(Effect::OpenBrowser(request.verification_uri.clone())),
            Question::SignIn(_) | Question::Consent(_) | Question::Approval(_) | Question::Diagnostics(_) => {
                None
            }
        };
        [self.show(item)].into_iter().chain(page).collect()
    }

    fn in_browser(&self, url: &Url) -> bool {
        !self.desktop
            || match self.sign_in_surface {
                SignInSurface::Browser => true,
                SignInSurface::Auto => org_protocol::refuses_embedded_views(url),
            }
    }

    fn act(&mut self, act: Act, now: Timestamp) -> Vec<Effect> {
        let order = |order| vec![Effect::Order(order)];
        match act {
            Act::Open(place) => vec![Effect::OpenWindow(place)],
            Act::Look(id) => match self.pending.get(&id) {
                Some(item) => self.look(item),
                None => vec![Effect::OpenWindow(Place::Pending)],
            },
            Act::CopyUrl(server) => self
                .servers
                .get(&server)
                .map(|server| Effect::CopyText(server.url.clone()))
                .into_iter()
                .collect(),
            Act::SignIn => order(Order::SignIn),
            Act::SignOut { forget_accounts } => order(Order::SignOut { forget_accounts }),
            Act::SignInTo(connector) => order(Order::SignInTo(connector)),
            Act::SignOutOf(connector) => order(Order::SignOutOf(connector)),
            Act::ForgetApproval(id) => order(Order::ForgetApproval(id)),
            Act::Revoke { client_id, server } => order(Order::Revoke { client_id, server }),
            Act::Pause(length) => {
                let until = match length {
                    PauseFor::Duration(duration) => Some(now.plus(duration)),
                    PauseFor::Until(until) => Some(until),
                    PauseFor::Open => None,
                };
                match self.paused.replace(Paused { until }) {
                    None => order(Order::Pause),
                    Some(_) => Vec::new(),
                }
            }
            Act::Resume => self.paused.take().map(|_| Effect::Order(Order::Resume)).into_iter().collect(),
            Act::TryKeychain => order(Order::TryKeychain),
            Act::LookForUpdate => order(Order::LookForUpdate),
            Act::InstallUpdate => order(Order::InstallUpdate),
            Act::StartAnew => vec![Effect::StartAnew],
            Act::Support => self.support_url().cloned().map(Effect::OpenBrowser).into_iter().collect(),
            Act::Quit => vec![Effect::Quit],
        }
    }

    fn end_pause(&mut self, now: Timestamp) -> Option<Effect> {
        let over = self.paused.and_then(|paused| paused.until).is_some_and(|until| until <= now);
        over.then(|| {
            self.paused = None;
            Effect::Order(Order::Resume)
        })
    }
}

fn opened_at(request: &SignInRequest) -> &Url {
    request.entrance.as_ref().unwrap_or(&request.authorize_url)
}

/// The notification of something that is wrong.
fn told(advice: &Advice) -> Effect {
    let body = [advice.means.as_str(), advice.todo.as_str()].join(" ").trim().to_owned();
    Effect::Notify(Notice::new(advice.happened.clone(), body, Place::Overview))
}

fn connector_of(item: &PendingItem) -> Option<AccountId> {
    item.signs_in_to().flatten()
}

#[cfg(test)]
pub(crate) mod tests;
