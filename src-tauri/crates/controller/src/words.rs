//! The words that a person reads, in one place: tray, windows, notifications and the command line say the same.
//!
//! Plain, short, active. No word here is a protocol's.

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

pub use machine::{machine, machine_setting, machine_value};
pub(crate) use offline::{RENEWAL, grace_begins, unconfirmed, withheld};
pub use offline::{grace, help};

use crate::state::{
    Activity, AppState, CallOutcome, Connector, ConnectorStatus, CredentialKind, ListState, Mode, Runs,
    Session, Status,
};

/// What a sign-in is for, as a window's title.
pub fn sign_in_title(purpose: &SignInPurpose) -> String {
    match purpose {
        SignInPurpose::Organisation { name } => format!("Sign in to {name}"),
        SignInPurpose::SignOut { name } => format!("Sign out of {name}"),
        SignInPurpose::Connector { title, .. } => format!("Sign in to {title}"),
    }
}

/// Who is signed in, in one line.
pub fn user(state: &AppState) -> String {
    match &state.session {
        Session::Local { label } => format!("Personal, {label}"),
        Session::SignedIn { label } => format!("{label}, {}", organisation(state)),
        Session::SignedOut => format!("Not signed in to {}", organisation(state)),
        Session::SigningIn => format!("Signing in to {}", organisation(state)),
        Session::Expired { label, .. } => format!("{label}, signed out"),
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
    let assistants = match assistants(state) {
        0 => "Assistants that you let in stay connected".to_owned(),
        1 => "Your assistant stays connected".to_owned(),
        many => format!("Your {many} assistants stay connected"),
    };
    Farewell {
        ends: vec![
            "Your assistants can do nothing until you have signed in again.".to_owned(),
            format!("You are signed out of {name} here. Where it has a page for signing out there too, that opens: go on there."),
        ],
        stays: vec![
            format!("{assistants}, and work again once you are back."),
            format!("The record of what was done in your name stays, here and at {name}."),
        ],
        accounts: (!signed_in.is_empty()).then(|| {
            let (accounts, stay, them) =
                if signed_in.len() == 1 { ("account", "stays", "it") } else { ("accounts", "stay", "them") };
            format!(
                "Your {accounts} at {} {stay} here, locked: nobody can use {them} until you have signed in again.",
                listed(&signed_in)
            )
        }),
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
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
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

/// A pending item in one line.
pub fn title(item: &PendingItem) -> String {
    match &item.question {
        Question::SignIn(SignInRequest { purpose, .. }) | Question::Code(CodeRequest { purpose, .. }) => {
            sign_in_title(purpose)
        }
        Question::Consent(request) => {
            format!("{} wants to use {}", request.client_name, request.server_title)
        }
        Question::Approval(request) => {
            format!("{} wants to use {}", name(&request.client_name), thing(&request.target))
        }
    }
}

/// What a call asks for, in a title: of a resource no more than its kind, since titles are seen on locked screens.
fn thing(target: &ApprovalTarget) -> String {
    match target {
        ApprovalTarget::Tool(tool) => foreign(tool.as_str(), NAME_LIMIT),
        ApprovalTarget::Resource(_) => "a resource".to_owned(),
        ApprovalTarget::Prompt(prompt) => format!("the prompt {}", foreign(prompt, NAME_LIMIT)),
    }
}

/// The name that an assistant claims, or what stands for it.
pub fn name(claimed: &str) -> String {
    let name = foreign(claimed, NAME_LIMIT);
    if name.is_empty() { "An assistant".to_owned() } else { name }
}

/// What a pending item means, in a sentence.
pub fn detail(item: &PendingItem) -> String {
    match &item.question {
        Question::SignIn(request) => match &request.purpose {
            SignInPurpose::Organisation { .. } => "Your assistants wait until you have signed in.".to_owned(),
            SignInPurpose::SignOut { name } => {
                format!(
                    "Deskgate has signed you out. The page that was opened signs you out of {name} as well."
                )
            }
            SignInPurpose::Connector { title, .. } => {
                format!("An assistant called {title}, which needs your own account. It is waiting.")
            }
        },
        Question::Code(request) => code(request),
        Question::Consent(request) => match &request.process {
            Some(process) => format!("The program that asks is {}.", process.executable),
            None => "The program that asks could not be told.".to_owned(),
        },
        Question::Approval(request) => {
            let why = match request.reason.as_str() {
                "" => format!("This goes to {} and needs your approval.", request.connector),
                reason => reason.to_owned(),
            };
            match item.count {
                0 | 1 => why,
                count => format!("{why} The same call waits {count} times."),
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
    format!(
        "Open {verification_uri} on a device with a browser and type the code {}. That signs in this computer to {to} in your \
         name. Type it only if you wanted to sign in here just now, and give it to nobody.",
        user_code.shown()
    )
}

/// The button that denies what a notification speaks of.
pub const DENY: &str = "Deny";

/// The notification for a pending item. It is seen on locked screens, so it names no argument, and of an account nothing but
/// what settings call it.
pub fn notice(item: &PendingItem) -> Notice {
    let body = match &item.question {
        Question::SignIn(_) => "Your assistant is waiting.",
        Question::Code(_) => {
            "It goes on on another device. See the code in Deskgate, or with: deskgate pending"
        }
        Question::Consent(_) => "Open Deskgate to allow or deny it.",
        Question::Approval(_) => "Open Deskgate to look at the request and decide.",
    };
    Notice {
        about: Some(item.id.clone()),
        title: title(item),
        body: body.to_owned(),
        place: Place::Pending,
        offer: None,
        deniable: item.question.denial().is_some(),
    }
}

/// The notification after a sign-in that was given up: what it means, and a way to try again. Nothing after one that ended
/// otherwise. It too is seen on locked screens.
pub fn given_up(item: &PendingItem, ending: Ending) -> Option<Notice> {
    let purpose = item.question.purpose()?;
    let happened = match ending {
        Ending::Cancelled => "The sign-in was given up.",
        Ending::Deadline => "Nobody signed in in time.",
        Ending::Answered | Ending::Withdrawn => return None,
    };
    let (name, means, act) = match purpose {
        SignInPurpose::Organisation { name } => {
            (name, "Your assistants can do nothing until you have signed in.".to_owned(), Act::SignIn)
        }
        SignInPurpose::Connector { account: connector, title } => {
            let means = format!("Your assistants cannot use {title} until you have signed in.");
            (title, means, Act::SignInTo(connector.clone()))
        }
        SignInPurpose::SignOut { .. } => return None,
    };
    Some(Notice {
        about: Some(item.id.clone()),
        title: format!("You are not signed in to {name}"),
        body: format!("{happened} {means}"),
        place: Place::Overview,
        offer: Some(Offer { label: "Sign in".to_owned(), act }),
        deniable: false,
    })
}

/// The notification for a sign-in whose window was kept from a page.
pub fn stopped_at(item: &PendingItem, page: &Url) -> Notice {
    let host = foreign(page.host_str().unwrap_or_default(), 80);
    let body = format!(
        "It leads to {host}, which your organisation does not let sign-in windows show. Nothing was sent there. If it belongs to \
         your sign-in, tell your IT."
    );
    Notice { body, ..notice(item) }
}

/// The notification for a sign-in whose page does not work in a window.
pub fn goes_on_in_browser(item: &PendingItem) -> Notice {
    let body = "Its page does not work in a window of Deskgate, so it was opened in your browser.";
    Notice { body: body.to_owned(), ..notice(item) }
}

/// A status in a word.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Starting => "Starting",
        Status::Ready => "Ready",
        Status::Attention => "Needs you",
        Status::Paused => "Paused",
        Status::Offline => "Offline",
        Status::Refused => "Stopped",
        Status::Expired => "Signed out",
    }
}

/// One call, in a line of a menu.
pub fn call(state: &AppState, call: &Activity) -> String {
    let connector =
        state.connectors.get(&call.account).map_or(call.account.connector.as_str(), |it| &it.title);
    let what = match call.method.as_str() {
        "tools/call" => foreign(&call.target, NAME_LIMIT),
        "prompts/get" | "completion/complete" => "a prompt".to_owned(),
        _ => "a resource".to_owned(),
    };
    let line = format!("{}: {what} of {connector}", name(&call.client_name));
    match &call.outcome {
        CallOutcome::Done => line,
        CallOutcome::Running => format!("{line}, running"),
        CallOutcome::Denied { .. } => format!("{line}, not allowed"),
        CallOutcome::SignInNeeded => format!("{line}, needed a sign-in"),
        CallOutcome::ToolError | CallOutcome::Failed { .. } => format!("{line}, failed"),
    }
}

/// How it is, in one sentence.
pub fn summary(state: &AppState) -> String {
    let advice = state.advice();
    match state.status() {
        Status::Starting => "Starting.".to_owned(),
        Status::Refused => {
            advice.first().map_or("Every call is refused.".to_owned(), |it| it.happened.clone())
        }
        Status::Paused => "Paused. Calls from your assistants are refused until you resume.".to_owned(),
        Status::Offline if state.away => offline::AWAY.to_owned(),
        Status::Offline => {
            format!("{} cannot be reached. What was allowed before still works.", organisation(state))
        }
        Status::Attention | Status::Expired => {
            match (state.waiting().first(), advice.first(), &state.session) {
                (Some(_), _, _) => match state.waiting().len() {
                    1 => "One request is waiting for you.".to_owned(),
                    many => format!("{many} requests are waiting for you."),
                },
                (None, Some(advice), _) => advice.happened.clone(),
                (None, None, Session::SignedOut | Session::Expired { .. }) => {
                    format!("Sign in to {} to let your assistants work.", organisation(state))
                }
                (None, None, Session::Local { .. } | Session::SigningIn | Session::SignedIn { .. }) => {
                    silent(state).unwrap_or_else(|| "A connector needs you.".to_owned())
                }
            }
        }
        Status::Ready if state.servers.is_empty() => match &state.mode {
            Mode::Managed(organisation) if !matches!(state.session, Session::SignedIn { .. }) => {
                format!("Signing in to {}.", organisation.name)
            }
            Mode::Managed(organisation) => {
                format!("Ready, but {} offers you nothing yet.", organisation.name)
            }
            Mode::Personal => "Ready, but nothing is set up yet.".to_owned(),
        },
        Status::Ready => format!(
            "Ready. {}, {}.",
            counted(assistants(state), "assistant"),
            counted(connectors(state.connectors.keys()), "connector")
        ),
    }
}

/// Which connectors do not answer, in a sentence.
fn silent(state: &AppState) -> Option<String> {
    let is_silent = |(_, it): &(&AccountId, &Connector)| matches!(it.status, ConnectorStatus::Unreachable(_));
    let silent: Vec<_> = state.connectors.iter().filter(is_silent).collect();
    let (_, first) = silent.first()?;
    match connectors(silent.iter().map(|(id, _)| *id)) {
        1 => Some(format!("{} does not answer.", first.title)),
        many => Some(format!("{many} connectors do not answer.")),
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
        (ListState::Kept { since, .. }, Some(_)) => {
            format!("{title} stopped answering {}. Its tools are the last known ones.", ago(since, now))
        }
        (ListState::Withdrawn { since }, Some(_)) => {
            format!("{title} stopped answering {}. Its tools are withdrawn until it does.", ago(since, now))
        }
        (ListState::Kept { since, .. } | ListState::Withdrawn { since }, None) => {
            format!("{title} stopped answering {}.", ago(since, now))
        }
    })
}

/// The organisation's name, or what stands for it.
pub fn organisation(state: &AppState) -> &str {
    match &state.mode {
        Mode::Managed(organisation) => &organisation.name,
        Mode::Personal => "your organisation",
    }
}

/// As whom a connector is used.
pub fn credential(state: &AppState, title: &str, kind: CredentialKind) -> String {
    match kind {
        CredentialKind::None => "no account needed".to_owned(),
        CredentialKind::Own => format!("your {title} account"),
        CredentialKind::Shared => {
            let name = organisation(state);
            format!("shared by IT, stays at {name}")
        }
        CredentialKind::Lent => {
            let name = organisation(state);
            format!("shared by {name}, lent to this computer while it is used")
        }
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
        Runs::Here { program } => format!("{program}, on this computer"),
        Runs::At { host } => host.clone(),
        Runs::AtOrganisation => format!("at {}", organisation(state)),
    }
}

/// `1 assistant`, `3 assistants`.
pub fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// What happened, as a connector's log says it.
pub fn log_event(event: &LogEvent) -> String {
    match event {
        LogEvent::Started { program } => format!("{program} started"),
        LogEvent::Printed(text) => text.to_string(),
        LogEvent::Ended { status: Some(status) } => format!("ended by itself ({status})"),
        LogEvent::Ended { status: None } => "Deskgate ended it".to_owned(),
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
    let seconds = now.since(then).as_secs();
    let whole = |number: u64, thing| counted(usize::try_from(number).unwrap_or(usize::MAX), thing) + " ago";
    match seconds {
        0..=44 => "just now".to_owned(),
        45..=5399 => whole(((seconds + 30) / 60).max(1), "minute"),
        5400..=129_599 => whole((seconds + 1800) / 3600, "hour"),
        _ => whole((seconds + 43_200) / 86_400, "day"),
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
        0..=89 => counted(seconds, "second"),
        90..=5399 => counted((seconds + 30) / 60, "minute"),
        _ => counted((seconds + 1800) / 3600, "hour"),
    }
}

fn assistants(state: &AppState) -> usize {
    let mut clients: Vec<_> = state.assistants.keys().map(|(client, _)| client).collect();
    clients.dedup();
    clients.len()
}

#[cfg(test)]
mod tests;
