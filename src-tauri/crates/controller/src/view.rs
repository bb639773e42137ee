//! What a window shows: plain values with the words already chosen, from which the TypeScript bindings are made.
//!
//! No token, no code and no authorization URL is ever in a view. Times are milliseconds since 1970-01-01 UTC, because the
//! window writes them in the person's own way; `null` stands for "not known" or "never".

mod approval;
mod diagnostics;
mod past;
mod record;
mod settings;
mod shapes;

use std::time::Duration;

use connector::{LogEvent, LogPage};
use gateway::TriedCall;
use managed::MenuItem;
use model::{AccountId, Advice, ConnectorId, ConsentRequest, ServerId, Timestamp};
use url::Url;

use crate::app::Address;
use crate::pending::{PendingItem, Question};
use crate::state::{
    Access, Activity, AppState, Assistant, AuditHealth, CallOutcome, Connector, ConnectorStatus,
    CredentialKind, Freshness, HeldPart, Link, ListState, Mode, Runs, Session, UpdateState, VirtualServer,
};
use crate::words;

pub(crate) use diagnostics::diagnostics;
pub(crate) use past::{passes, past};
pub use record::fate_words;
pub(crate) use record::record;
pub use shapes::{
    AccessKind, ActivityFilter, ActivityView, AdviceView, ApprovalView, ArgumentView, AskedDiagnosticsView,
    AssistantChangeView, AssistantView, AuditView, ChangeView, ConnectedView, ConnectorChangeView,
    ConnectorKind, ConnectorPlace, ConnectorView, ConnectorWish, ConsentView, Count, DiagnosticsEntryView,
    DiagnosticsView, DifferenceView, FarewellView, FreshnessKind, HeldView, ImportView, ListKind,
    LocalAssistantView, LogEntryView, LogKind, LogOf, LogView, ManagerView, Millis, OutcomeKind, PastView,
    PendingView, PolicyView, ProgramView, QuestionView, ReachView, RecordView, SavingView, SecretWish,
    ServerView, SessionKind, SessionView, SettingView, StandingView, ToolView, TrialView, TriedCallView,
    UpdateView, WindowView,
};

/// How many calls the Overview shows.
const RECENT: usize = 5;

/// Makes the main window's view.
pub fn window(state: &AppState) -> WindowView {
    WindowView {
        status: state.status(),
        status_word: words::status(state.status()),
        summary: words::summary(state),
        manager: manager(state),
        session: SessionView {
            state: session(&state.session),
            label: state.session.label().map(str::to_owned),
            words: words::user(state),
        },
        offline_since: match state.link {
            Link::Offline { since } => Some(millis(since)),
            Link::None | Link::Online => None,
        },
        address: state.address.clone(),
        paused_until: state.paused.and_then(|paused| paused.until).map(millis),
        paused: state.paused.is_some(),
        advice: state.advice().into_iter().map(advice).collect(),
        pending: state.waiting().into_iter().map(|item| pending(state, item)).collect(),
        servers: state.servers.iter().map(|(id, it)| server(state, id, it)).collect(),
        connectors: state.connectors.iter().map(|(id, it)| connector(state, id, it)).collect(),
        assistants: state.assistants.values().map(|it| assistant(state, it)).collect(),
        approvals: state.approvals.iter().map(|it| approval::standing(state, it)).collect(),
        recent: state.activity.iter().take(RECENT).map(|it| call(state, it)).collect(),
        audit: audit(state),
        policy: policy(state),
        settings: settings::settings(state),
        hidden: hidden(state),
        settings_file: state.settings_file.clone(),
        farewell: farewell(state),
        update: update(&state.update),
        is_new: state.is_new,
    }
}

fn update(update: &UpdateState) -> UpdateView {
    UpdateView {
        words: words::update(update),
        can_install: update.ready().is_some_and(|ready| !ready.is_older),
        can_restart: matches!(update, UpdateState::Installed { .. }),
        can_look: matches!(update, UpdateState::Failed(_)),
    }
}

fn farewell(state: &AppState) -> Option<FarewellView> {
    let signed_in = matches!((&state.mode, &state.session), (Mode::Managed(_), Session::SignedIn { .. }));
    if !signed_in || state.hides(MenuItem::SignOut) {
        return None;
    }
    let words::Farewell { ends, stays, accounts } = words::farewell(state);
    Some(FarewellView { ends, stays, accounts })
}

/// Makes the view of the latest calls of those that are wanted, the newest first: what is in memory.
pub fn activity(state: &AppState, filter: &ActivityFilter) -> Vec<ActivityView> {
    state.activity.iter().map(|it| call(state, it)).filter(|call| passes(call, filter)).collect()
}

/// What assistants can be connected to now.
pub fn addresses(state: &AppState) -> Vec<Address> {
    let address = |(id, server): (&ServerId, &VirtualServer)| {
        let url = server.url.parse().ok()?;
        Some(Address { id: id.clone(), title: server.title.clone(), url })
    };
    state.servers.iter().filter_map(address).collect()
}

/// Makes the view of what was tried.
pub(crate) fn trial(tools: usize, call: Option<TriedCall>) -> TrialView {
    let call = call.map(|call| TriedCallView {
        connector: call.connector,
        tool: call.tool,
        took: took(call.took),
        fault: call.fault,
    });
    TrialView { tools: u32::try_from(tools).unwrap_or(u32::MAX), call }
}

/// Makes the view of one question.
pub fn pending(state: &AppState, item: &PendingItem) -> PendingView {
    PendingView {
        id: item.id.as_str().to_owned(),
        title: words::title(item),
        detail: words::detail(item),
        created: millis(item.created),
        deadline: millis(item.deadline),
        question: match &item.question {
            Question::SignIn(request) => {
                QuestionView::SignIn { host: request.authorize_url.host_str().unwrap_or_default().to_owned() }
            }
            Question::Code(request) => QuestionView::SignIn {
                host: request.verification_uri.host_str().unwrap_or_default().to_owned(),
            },
            Question::Consent(request) => QuestionView::Consent(consent(state, request)),
            Question::Approval(request) => {
                QuestionView::Approval(approval::approval(state, request, item.count))
            }
            Question::Diagnostics(request) => QuestionView::Diagnostics(AskedDiagnosticsView {
                asked_by: request.by.as_ref().map(ToString::to_string),
                reason: request.reason.to_string(),
                since: millis(request.since),
            }),
        },
    }
}

fn consent(state: &AppState, request: &ConsentRequest) -> ConsentView {
    let claimed_name = words::name(&request.client_name);
    let program = request
        .process
        .as_ref()
        .map(|process| ProgramView { pid: Some(process.pid), ..program(&process.executable) });
    let through = request.through.as_deref().map(|socket| words::foreign(socket, words::SOCKET_LIMIT));
    let differs = program.as_ref().is_some_and(|program| !alike(&claimed_name, &program.path));
    let document = Url::parse(&request.client_id).ok().filter(|id| id.scheme() == "https");
    ConsentView {
        // A socket is called by its own name.
        name_differs: differs && through.is_none(),
        through,
        claimed_name,
        described_at: document.and_then(|document| document.host_str().map(str::to_owned)),
        program,
        server_title: request.server_title.clone(),
        returns_to: request.redirect_uri.as_ref().map_or_else(say::waits_returns_to_program, returns_to),
        acts_for: request.subject.label().to_owned(),
        reach: state.servers.get(&request.server).map_or_else(Vec::new, |server| reach(state, server)),
    }
}

fn returns_to(place: &Url) -> String {
    match (place.host_str(), place.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => say::waits_returns_to_opener(place.scheme()),
    }
}

/// Whether a claimed name and a program's path share a word of three letters or more.
fn alike(claimed: &str, path: &str) -> bool {
    let path = path.to_lowercase();
    claimed
        .to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| word.chars().count() >= 3 && path.contains(word))
}

fn reach(state: &AppState, server: &VirtualServer) -> Vec<ReachView> {
    let each = server.connectors.iter().filter_map(|id| {
        let connector = state.connectors.get(id)?;
        let tools = server
            .tools
            .iter()
            .filter(|tool| tool.connector == id.connector && tool.access != Access::NotAllowed)
            .map(|tool| tool.tool.as_str().to_owned())
            .collect();
        Some(ReachView {
            title: connector.title.clone(),
            credential: words::credential(state, &connector.title, connector.credential),
            tools,
        })
    });
    each.collect()
}

fn hidden(state: &AppState) -> Vec<String> {
    let hidden = MenuItem::ALL.into_iter().filter(|item| state.hides(*item));
    hidden.map(|item| item.as_str().to_owned()).collect()
}

fn manager(state: &AppState) -> ManagerView {
    let support = state.support_url().is_some();
    match &state.mode {
        Mode::Personal => ManagerView { organisation: None, support, config_url: None, fingerprint: None },
        Mode::Managed(organisation) => ManagerView {
            organisation: Some(organisation.name.clone()),
            support,
            config_url: organisation.config_url.as_ref().map(ToString::to_string),
            fingerprint: organisation.fingerprint.clone(),
        },
    }
}

fn session(session: &Session) -> SessionKind {
    match session {
        Session::Local { .. } => SessionKind::Local,
        Session::SignedOut => SessionKind::SignedOut,
        Session::SigningIn => SessionKind::SigningIn,
        Session::SignedIn { .. } => SessionKind::SignedIn,
        Session::Expired { .. } => SessionKind::Expired,
    }
}

/// Makes the view of an advice.
pub fn advice(advice: &Advice) -> AdviceView {
    AdviceView {
        code: advice.code.clone(),
        happened: advice.happened.clone(),
        means: advice.means.clone(),
        todo: advice.todo.clone(),
    }
}

fn server(state: &AppState, id: &ServerId, server: &VirtualServer) -> ServerView {
    ServerView {
        id: id.to_string(),
        title: server.title.clone(),
        url: server.url.clone(),
        connectors: server.connectors.iter().map(|id| account_title(state, id)).collect(),
        tools: server
            .tools
            .iter()
            .map(|tool| ToolView {
                connector: connector_title(state, id, &tool.connector),
                tool: tool.tool.as_str().to_owned(),
                access: match tool.access {
                    Access::Allowed => AccessKind::Allowed,
                    Access::Asks => AccessKind::Asks,
                    Access::NotAllowed => AccessKind::NotAllowed,
                },
                reason: tool.reason.clone(),
            })
            .collect(),
    }
}

fn connector(state: &AppState, id: &AccountId, connector: &Connector) -> ConnectorView {
    let (status, wrong) = match &connector.status {
        ConnectorStatus::Idle => (ConnectorKind::Idle, None),
        ConnectorStatus::Ready => (ConnectorKind::Ready, None),
        ConnectorStatus::SignInNeeded => (ConnectorKind::SignInNeeded, None),
        ConnectorStatus::SigningIn => (ConnectorKind::SigningIn, None),
        ConnectorStatus::Unreachable(wrong) => (ConnectorKind::Unreachable, Some(advice(wrong))),
    };
    let (list, silent_since) = match connector.list {
        ListState::Current => (ListKind::Current, None),
        ListState::Kept { since, .. } => (ListKind::Kept, Some(millis(since))),
        ListState::Withdrawn { since } => (ListKind::Withdrawn, Some(millis(since))),
        ListState::Withheld(_) => (ListKind::Withheld, None),
    };
    let withheld = match (connector.list, &state.mode) {
        (ListState::Withheld(why), Mode::Managed(organisation)) => {
            Some(advice(&words::withheld(why, &connector.title, organisation)))
        }
        (_, _) => None,
    };
    ConnectorView {
        id: id.to_string(),
        title: connector.title.clone(),
        runs: words::runs(state, &connector.runs),
        credential: words::credential(state, &connector.title, connector.credential),
        own_account: connector.credential == CredentialKind::Own,
        account: connector.account.clone(),
        status,
        log: match connector.runs {
            Runs::Here { .. } => Some(LogOf::Program),
            Runs::At { .. } => Some(LogOf::Connection),
            Runs::AtOrganisation => None,
        },
        advice: wrong.or(withheld),
        tools: connector.tools,
        list,
        held: connector.held.iter().map(held).collect(),
        silent_since,
        last_used: connector.last_used.map(millis),
    }
}

fn held(part: &HeldPart) -> HeldView {
    let difference = |it: &mcp::Difference| DifferenceView {
        at: it.at.clone(),
        before: it.before.clone(),
        after: it.after.clone(),
        cut: it.cut,
    };
    HeldView {
        id: part.id.clone(),
        part: part.part.clone(),
        differences: part.differences.iter().map(difference).collect(),
        flags: part.flags.clone(),
        waits_for: part.waits_for.clone(),
    }
}

/// Makes the view of a connector's log.
pub fn log(page: &LogPage) -> LogView {
    let entries = page.entries.iter().map(|entry| LogEntryView {
        number: Count(entry.number),
        at: millis(entry.at),
        process: entry.process,
        kind: match entry.event {
            LogEvent::Printed(_) => LogKind::Printed,
            LogEvent::Started { .. } | LogEvent::Ended { .. } => LogKind::Life,
            LogEvent::Failed(_) => LogKind::Failed,
        },
        text: words::log_event(&entry.event),
    });
    LogView {
        entries: entries.collect(),
        next: Count(page.next),
        missed: Count(page.missed),
        begun: Count(page.begun),
    }
}

fn assistant(state: &AppState, assistant: &Assistant) -> AssistantView {
    AssistantView {
        client_id: assistant.client_id.clone(),
        name: words::name(&assistant.name),
        program: assistant.executable.as_deref().map(program),
        server: assistant.server.to_string(),
        server_title: server_title(state, &assistant.server),
        allowed: millis(assistant.allowed),
        last_call: assistant.last_call.map(millis),
        calls: number(assistant.calls),
    }
}

fn program(path: &str) -> ProgramView {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    ProgramView { name, path: path.to_owned(), pid: None }
}

fn call(state: &AppState, activity: &Activity) -> ActivityView {
    let (outcome, outcome_words) = match &activity.outcome {
        CallOutcome::Running => (OutcomeKind::Running, say::outcome_running()),
        CallOutcome::Done => (OutcomeKind::Done, say::outcome_done()),
        CallOutcome::ToolError => (OutcomeKind::Failed, say::call_tool_error()),
        CallOutcome::Denied { reason } if reason.is_empty() => (OutcomeKind::Denied, say::outcome_denied()),
        CallOutcome::Denied { reason } => (OutcomeKind::Denied, say::call_denied(reason)),
        CallOutcome::SignInNeeded => (OutcomeKind::SignInNeeded, say::call_needed_sign_in()),
        CallOutcome::Failed { reason } => (OutcomeKind::Failed, say::call_failed(reason)),
    };
    ActivityView {
        call: activity.call.to_string(),
        at: millis(activity.at),
        assistant: words::name(&activity.client_name),
        server: server_title(state, &activity.server),
        connector: account_title(state, &activity.account),
        method: activity.method.clone(),
        target: activity.target.clone(),
        outcome,
        outcome_words,
        took: activity.took.map(took),
        rules: activity.rules.clone(),
        policy: activity.policy.clone(),
        credential: activity.credential.clone(),
        arguments: activity.arguments.clone(),
    }
}

fn audit(state: &AppState) -> AuditView {
    let (whole_at, broken) = match &state.audit.health {
        AuditHealth::NotChecked => (None, None),
        AuditHealth::Whole { at } => (Some(millis(*at)), None),
        AuditHealth::Broken(wrong) => (None, Some(advice(wrong))),
    };
    AuditView {
        records: number(state.audit.records),
        receipted: state.audit.receipted.map(number),
        whole_at,
        broken,
    }
}

fn policy(state: &AppState) -> Option<PolicyView> {
    let policy = state.policy.as_ref()?;
    let (freshness, until) = match policy.freshness {
        Freshness::Own => (FreshnessKind::Own, None),
        Freshness::Fresh { until } => (FreshnessKind::Fresh, until),
        Freshness::Grace { until } => (FreshnessKind::Grace, Some(until)),
        Freshness::DenyAll(_) => (FreshnessKind::DenyAll, None),
    };
    Some(PolicyView {
        version: policy.version.clone(),
        digest: policy.digest.clone(),
        since: millis(policy.since),
        freshness,
        until: until.map(millis),
    })
}

fn server_title(state: &AppState, id: &ServerId) -> String {
    state.servers.get(id).map_or_else(|| id.to_string(), |server| server.title.clone())
}

/// A connector, with the account that a virtual server uses of it.
fn connector_title(state: &AppState, server: &ServerId, id: &ConnectorId) -> String {
    used_account(state, server, id).map_or_else(|| id.to_string(), |account| account_title(state, account))
}

/// The account that a virtual server uses of a connector now.
fn used_account<'s>(state: &'s AppState, server: &ServerId, id: &ConnectorId) -> Option<&'s AccountId> {
    state.servers.get(server)?.connectors.iter().find(|account| account.connector == *id)
}

fn account_title(state: &AppState, id: &AccountId) -> String {
    state.connectors.get(id).map_or_else(|| id.to_string(), |connector| connector.title.clone())
}

fn took(took: Duration) -> Millis {
    Millis(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
}

pub(crate) fn millis(at: Timestamp) -> Millis {
    Millis(at.micros() / 1000)
}

fn number(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
