//! Which words a person reads: tray, windows, notifications and the command line say the same. The words themselves are the
//! catalogue's (`say`), but for what the command line alone says.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use connector::{LogEvent, LogPage};
use model::{AccountId, ApprovalTarget, CodeRequest, SignInPurpose, SignInRequest, Timestamp, is_deceiving};
use url::Url;

use crate::effect::{Notice, Offer, Place};
use crate::event::Act;
use crate::pending::{Ending, PendingItem, Question};
mod machine;
mod offline;
mod update;

pub use machine::{machine, machine_setting, machine_value};
pub(crate) use offline::{RENEWAL, grace_begins, unconfirmed, withheld};
pub use offline::{grace, help};
pub use update::update;
pub(crate) use update::update_notice;

use crate::state::{
    Activity, AppState, CallOutcome, Connector, ConnectorStatus, CredentialKind, ListState, Mode, Runs,
    Session, Status,
};

/// What a sign-in is for, as a window's title.
pub fn sign_in_title(purpose: &SignInPurpose) -> String {
    match purpose {
        SignInPurpose::Organisation { name } => say::waits_sign_in(name),
        SignInPurpose::SignOut { name } => say::waits_sign_out(name),
        SignInPurpose::Connector { title, .. } => say::waits_sign_in(title),
    }
}

/// Who is signed in, in one line.
pub fn user(state: &AppState) -> String {
    match &state.session {
        Session::Local { label } => say::person_local(label),
        Session::SignedIn { label } => say::person_signed_in(label, &organisation(state)),
        Session::SignedOut => say::person_signed_out(&organisation(state)),
        Session::SigningIn => say::person_signing_in(&organisation(state)),
        Session::Expired { label, .. } => say::person_expired(label),
    }
}

/// What a sign-out takes, and what it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farewell {
    /// What ends.
    pub ends: Vec<String>,
    /// What stays.
    pub stays: Vec<String>,
    /// What becomes of the person's accounts at connectors, where they have any, unless they are forgotten too.
    pub accounts: Option<String>,
}

/// What signing out of the organisation means now.
pub fn farewell(state: &AppState) -> Farewell {
    let name = organisation(state);
    let signed_in: Vec<_> = state
        .connectors
        .values()
        .filter(|connector| connector.credential == CredentialKind::Own)
        .filter(|connector| connector.account.is_some() || connector.status == ConnectorStatus::Ready)
        .map(|connector| connector.title.as_str())
        .collect();
    Farewell {
        ends: vec![say::farewell_ends_assistants(), say::farewell_ends_sign_in(&name)],
        stays: vec![say::farewell_stays_assistants(assistants(state)), say::farewell_stays_record(&name)],
        accounts: (!signed_in.is_empty())
            .then(|| say::farewell_accounts(signed_in.len(), &listed(&signed_in))),
    }
}

/// What the command line says after a sign-out.
pub fn signed_out(state: &AppState, forgot_accounts: bool) -> String {
    let Farewell { stays, accounts, .. } = farewell(state);
    let name = organisation(state);
    let accounts = match accounts {
        Some(_) if forgot_accounts => Some("Your accounts at connectors are forgotten.".to_owned()),
        kept => kept,
    };
    let first =
        format!("Signed out of {name}. Your assistants can do nothing until you have signed in again.");
    [first].into_iter().chain(stays).chain(accounts).collect::<Vec<_>>().join("\n")
}

/// `Mail`, `Mail and Calendar`, `Mail, Chat and Calendar`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => say::list_and(&first.join(", "), last),
    }
}

/// A text that an assistant or a connector chose, made fit for one line: no control characters, no characters that turn
/// the direction of reading, and not longer than `limit` characters.
pub fn foreign(text: &str, limit: usize) -> String {
    let mut words = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !words.is_empty() {
            words.push(' ');
        }
        words.extend(word.chars().filter(|c| !is_deceiving(*c)));
    }
    if words.chars().count() > limit {
        words = words.chars().take(limit.saturating_sub(1)).collect();
        words.push('…');
    }
    words
}

/// The longest name of an assistant that is shown in a title.
const NAME_LIMIT: usize = 40;
/// No socket's path is longer.
pub const SOCKET_LIMIT: usize = 110;

/// A pending item in one line.
pub fn title(item: &PendingItem) -> String {
    match &item.question {
        Question::SignIn(SignInRequest { purpose, .. }) | Question::Code(CodeRequest { purpose, .. }) => {
            sign_in_title(purpose)
        }
        Question::Consent(request) => say::waits_consent(&request.client_name, &request.server_title),
        Question::Diagnostics(_) => say::waits_diagnostics(),
        Question::Approval(request) => wants(&name(&request.client_name), &request.target),
    }
}

/// What a call asks for, as a title: of a resource no more than its kind, since titles are seen on locked screens.
fn wants(assistant: &str, target: &ApprovalTarget) -> String {
    match target {
        ApprovalTarget::Tool(tool) => say::waits_tool(assistant, &foreign(tool.as_str(), NAME_LIMIT)),
        ApprovalTarget::Resource(_) => say::waits_resource(assistant),
        ApprovalTarget::Prompt(prompt) => say::waits_prompt(assistant, &foreign(prompt, NAME_LIMIT)),
    }
}

/// The name that an assistant claims, or what stands for it.
pub fn name(claimed: &str) -> String {
    let name = foreign(claimed, NAME_LIMIT);
    if name.is_empty() { say::person_assistant() } else { name }
}

/// What a pending item means, in a sentence.
pub fn detail(item: &PendingItem) -> String {
    match &item.question {
        Question::SignIn(request) => match &request.purpose {
            SignInPurpose::Organisation { .. } => say::waits_sign_in_what(),
            SignInPurpose::SignOut { name } => say::waits_sign_out_what(name),
            SignInPurpose::Connector { title, .. } => say::waits_account_what(title),
        },
        Question::Code(request) => code(request),
        Question::Consent(request) => match (&request.through, &request.process) {
            (Some(socket), process) => {
                let opener = process.as_ref().map_or_else(say::person_program, |it| it.executable.clone());
                say::waits_through(&foreign(socket, SOCKET_LIMIT), &opener)
            }
            (None, Some(process)) => say::waits_program(&process.executable),
            (None, None) => say::waits_program_unknown(),
        },
        Question::Diagnostics(request) => match &request.by {
            Some(by) => say::waits_diagnostics_what(by.as_str(), request.reason.as_str()),
            None => say::waits_diagnostics_nobody(request.reason.as_str()),
        },
        Question::Approval(request) => {
            let why = match request.reason.as_str() {
                "" => say::waits_approval(request.connector.as_str()),
                reason => reason.to_owned(),
            };
            match item.count {
                0 | 1 => why,
                count => say::waits_approval_count(count, &why),
            }
        }
    }
}

/// Where a code is typed, and what it does.
fn code(CodeRequest { purpose, verification_uri, user_code, .. }: &CodeRequest) -> String {
    let to = match purpose {
        SignInPurpose::Organisation { name } | SignInPurpose::SignOut { name } => name,
        SignInPurpose::Connector { title, .. } => title,
    };
    say::waits_code_what(verification_uri.as_str(), user_code.shown(), to)
}

/// The notification for a pending item. It is seen on locked screens, so it names no argument, and of an account nothing but
/// what settings call it.
pub fn notice(item: &PendingItem) -> Notice {
    let body = match &item.question {
        Question::SignIn(_) => say::notice_sign_in(),
        Question::Code(_) => say::notice_code(),
        Question::Consent(_) => say::notice_consent(),
        Question::Approval(_) => say::notice_approval(),
        Question::Diagnostics(_) => say::notice_diagnostics(),
    };
    Notice {
        about: Some(item.id.clone()),
        deniable: item.question.denial().is_some(),
        ..Notice::new(title(item), body, Place::Pending)
    }
}

/// The notification after a sign-in that was given up: what it means, and a way to try again. Nothing after one that ended
/// otherwise. It too is seen on locked screens.
pub fn given_up(item: &PendingItem, ending: Ending) -> Option<Notice> {
    let purpose = item.question.purpose()?;
    let is_late = match ending {
        Ending::Cancelled => false,
        Ending::Deadline => true,
        Ending::Answered | Ending::Withdrawn => return None,
    };
    let (name, body, act) = match purpose {
        SignInPurpose::Organisation { name } => {
            (name, if is_late { say::notice_too_late() } else { say::notice_gave_up() }, Act::SignIn)
        }
        SignInPurpose::Connector { account: connector, title } => {
            let body = if is_late {
                say::notice_too_late_account(title)
            } else {
                say::notice_gave_up_account(title)
            };
            (title, body, Act::SignInTo(connector.clone()))
        }
        SignInPurpose::SignOut { .. } => return None,
    };
    Some(Notice {
        about: Some(item.id.clone()),
        offer: Some(Offer { label: say::notice_sign_in_again(), act }),
        ..Notice::new(say::notice_not_signed_in(name), body, Place::Overview)
    })
}

/// The notification for a sign-in whose window was kept from a page.
pub fn stopped_at(item: &PendingItem, page: &Url) -> Notice {
    let host = foreign(page.host_str().unwrap_or_default(), 80);
    Notice { body: say::notice_stopped_at(&host), ..notice(item) }
}

/// The notification for a sign-in whose page does not work in a window.
pub fn goes_on_in_browser(item: &PendingItem) -> Notice {
    Notice { body: say::notice_in_browser(), ..notice(item) }
}

/// A status in a word.
pub fn status(status: Status) -> String {
    match status {
        Status::Starting => say::status_starting(),
        Status::Ready => say::status_ready(),
        Status::Attention => say::status_attention(),
        Status::Paused => say::status_paused(),
        Status::Offline => say::status_offline(),
        Status::Refused => say::status_refused(),
        Status::Expired => say::status_expired(),
    }
}

/// One call, in a line of a menu.
pub fn call(state: &AppState, call: &Activity) -> String {
    let connector =
        state.connectors.get(&call.account).map_or(call.account.connector.as_str(), |it| &it.title);
    let what = match call.method.as_str() {
        "tools/call" => foreign(&call.target, NAME_LIMIT),
        "prompts/get" | "completion/complete" => say::tray_a_prompt(),
        _ => say::tray_a_resource(),
    };
    let line = match &call.outcome {
        CallOutcome::Done => say::tray_call_done,
        CallOutcome::Running => say::tray_call_running,
        CallOutcome::Denied { .. } => say::tray_call_denied,
        CallOutcome::SignInNeeded => say::tray_call_sign_in,
        CallOutcome::ToolError | CallOutcome::Failed { .. } => say::tray_call_failed,
    };
    line(&name(&call.client_name), &what, connector)
}

/// How it is, in one sentence.
pub fn summary(state: &AppState) -> String {
    let advice = state.advice();
    match state.status() {
        Status::Starting => say::summary_starting(),
        Status::Refused => advice.first().map_or_else(say::summary_refused, |it| it.happened.clone()),
        Status::Paused => say::summary_paused(),
        Status::Offline if state.away => say::summary_away(),
        Status::Offline => say::summary_offline(&organisation(state)),
        Status::Attention | Status::Expired => {
            match (state.waiting().first(), advice.first(), &state.session) {
                (Some(_), _, _) => say::summary_waiting(state.waiting().len()),
                (None, Some(advice), _) => advice.happened.clone(),
                (None, None, Session::SignedOut | Session::Expired { .. }) => {
                    say::summary_sign_in(&organisation(state))
                }
                (None, None, Session::Local { .. } | Session::SigningIn | Session::SignedIn { .. }) => {
                    silent(state).unwrap_or_else(say::summary_connector)
                }
            }
        }
        Status::Ready if state.servers.is_empty() => match &state.mode {
            Mode::Managed(organisation) if !matches!(state.session, Session::SignedIn { .. }) => {
                say::summary_signing_in(&organisation.name)
            }
            Mode::Managed(organisation) => say::summary_nothing_offered(&organisation.name),
            Mode::Personal => say::summary_nothing_set_up(),
        },
        Status::Ready => say::summary_ready(assistants(state), connectors(state.connectors.keys())),
    }
}

/// Which connectors do not answer, in a sentence.
fn silent(state: &AppState) -> Option<String> {
    let is_silent = |(_, it): &(&AccountId, &Connector)| matches!(it.status, ConnectorStatus::Unreachable(_));
    let silent: Vec<_> = state.connectors.iter().filter(is_silent).collect();
    let (_, first) = silent.first()?;
    match connectors(silent.iter().map(|(id, _)| *id)) {
        1 => Some(say::summary_silent(&first.title)),
        many => Some(say::summary_silent_several(many)),
    }
}

/// How many connectors these are, each with as many accounts as are in use.
pub(crate) fn connectors<'a>(accounts: impl Iterator<Item = &'a AccountId>) -> usize {
    accounts.map(|id| &id.connector).collect::<BTreeSet<_>>().len()
}

/// What is to be said of what a connector lists while it does not answer, or is withheld; nothing where neither is so.
pub fn outage(state: &AppState, connector: &Connector, now: Timestamp) -> Option<String> {
    let title = &connector.title;
    let tools = connector.tools.filter(|tools| *tools > 0);
    Some(match (connector.list, tools) {
        (ListState::Current, _) => return None,
        (ListState::Withheld(why), _) => match &state.mode {
            Mode::Managed(organisation) => withheld(why, title, organisation).happened,
            Mode::Personal => return None,
        },
        (ListState::Kept { since, .. }, Some(_)) => say::outage_kept(title, &ago(since, now)),
        (ListState::Withdrawn { since }, Some(_)) => say::outage_withdrawn(title, &ago(since, now)),
        (ListState::Kept { since, .. } | ListState::Withdrawn { since }, None) => {
            say::outage_silent(title, &ago(since, now))
        }
    })
}

/// The organisation's name, or what stands for it.
pub fn organisation(state: &AppState) -> Cow<'_, str> {
    match &state.mode {
        Mode::Managed(organisation) => Cow::Borrowed(&organisation.name),
        Mode::Personal => Cow::Owned(say::person_organisation()),
    }
}

/// As whom a connector is used.
pub fn credential(state: &AppState, title: &str, kind: CredentialKind) -> String {
    match kind {
        CredentialKind::None => say::account_none(),
        CredentialKind::Own => say::account_own(title),
        CredentialKind::Shared => say::account_shared(&organisation(state)),
        CredentialKind::Lent => say::account_lent(&organisation(state)),
    }
}

/// Which account of the person's own is used, and how it is; nothing where there is none of their own.
pub fn own_account(id: &AccountId, connector: &Connector) -> Option<String> {
    if connector.credential != CredentialKind::Own {
        return None;
    }
    let how = match (&connector.status, &connector.account) {
        (ConnectorStatus::Ready, Some(account)) => format!("signed in as {}", foreign(account, NAME_LIMIT)),
        (ConnectorStatus::Ready, None) => "signed in".to_owned(),
        (ConnectorStatus::Idle, _) => "not used yet".to_owned(),
        (ConnectorStatus::SignInNeeded, _) => format!("needs you to sign in: deskgate sign-in {id}"),
        (ConnectorStatus::SigningIn, _) => "waits for your sign-in".to_owned(),
        (ConnectorStatus::Unreachable(advice), _) => advice.happened.clone(),
    };
    Some(format!("{}: {how}", connector.title))
}

/// Where a connector runs.
pub fn runs(state: &AppState, runs: &Runs) -> String {
    match runs {
        Runs::Here { program } => say::runs_here(program),
        Runs::At { host } => host.clone(),
        Runs::AtOrganisation => say::runs_at_organisation(&organisation(state)),
    }
}

/// `1 assistant`, `3 assistants`.
pub fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// What happened, as a connector's log says it.
pub fn log_event(event: &LogEvent) -> String {
    match event {
        LogEvent::Started { program } => say::log_started(program),
        LogEvent::Printed(text) => text.to_string(),
        LogEvent::Ended { status: Some(status) } => say::log_ended_by_itself(status),
        LogEvent::Ended { status: None } => say::log_ended(),
        LogEvent::Failed(why) => why.to_string(),
    }
}

/// A connector's log as lines of text. The bar stands before what a program printed and nowhere else, so that no program
/// can say what only Deskgate says.
pub fn log(page: &LogPage) -> String {
    let missed = match page.missed {
        0 => None,
        1 => Some("(1 earlier entry is no longer kept)".to_owned()),
        many => Some(format!("({many} earlier entries are no longer kept)")),
    };
    let lines = page.entries.iter().map(|entry| {
        let mark = match entry.event {
            LogEvent::Printed(_) => '|',
            LogEvent::Started { .. } | LogEvent::Ended { .. } => '*',
            LogEvent::Failed(_) => '!',
        };
        let process = entry.process.map_or_else(|| "-".to_owned(), |process| process.to_string());
        format!("{} {process:>7} {mark} {}", entry.at, log_event(&entry.event))
    });
    missed.into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

/// How long ago, roughly: `just now`, `2 minutes ago`.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = usize::try_from(now.since(then).as_secs()).unwrap_or(usize::MAX);
    match seconds {
        0..=44 => say::time_just_now(),
        45..=5399 => say::ago_minutes(((seconds + 30) / 60).max(1)),
        5400..=129_599 => say::ago_hours((seconds + 1800) / 3600),
        _ => say::ago_days((seconds + 43_200) / 86_400),
    }
}

/// How much time is left, roughly: `40 seconds`, `5 minutes`.
pub fn left(until: Timestamp, now: Timestamp) -> String {
    span(until.since(now))
}

/// A length of time, roughly.
pub fn span(length: Duration) -> String {
    let seconds = usize::try_from(length.as_secs()).unwrap_or(usize::MAX);
    match seconds {
        0..=89 => say::span_seconds(seconds),
        90..=5399 => say::span_minutes((seconds + 30) / 60),
        _ => say::span_hours((seconds + 1800) / 3600),
    }
}

fn assistants(state: &AppState) -> usize {
    let mut clients: Vec<_> = state.assistants.keys().map(|(client, _)| client).collect();
    clients.dedup();
    clients.len()
}

#[cfg(test)]
mod tests;
