//! The tray as a value: derived from the state, compared, and drawn elsewhere. Each entry has an id that stays the same
//! for as long as it means the same.

use std::str::FromStr;
use std::time::Duration;

use managed::MenuItem;
use model::{AccountId, ServerId, Timestamp};

use crate::effect::{PauseFor, Place};
use crate::event::Act;
use crate::pending::PendingId;
use crate::state::{AppState, AuditHealth, AuditState, ConnectorStatus, Mode, Session, Status};
use crate::words;

/// At most this many connectors that do not answer are listed.
const OUTAGES_LISTED: usize = 3;
/// At most this many questions are listed; the window has all.
const QUESTIONS_LISTED: usize = 5;

/// At most this many assistants are listed; the window has all.
const ASSISTANTS_LISTED: usize = 8;

/// How many of the last calls are listed; the window has all.
const CALLS_LISTED: usize = 5;

/// The tray: icon, tooltip and menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrayMenu {
    /// Which gate is drawn.
    pub icon: Status,
    /// What is said when the pointer rests on it.
    pub tooltip: String,
    /// The menu, from top to bottom.
    pub items: Vec<TrayItem>,
}

/// One entry of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrayItem {
    /// A line that only informs.
    Text {
        /// Its id.
        id: &'static str,
        /// Its text.
        text: String,
    },
    /// A line that does something.
    Action {
        /// What it does; written as text, this is its id.
        action: TrayAction,
        /// Its text.
        text: String,
    },
    /// A line that opens further lines.
    Submenu {
        /// Its id.
        id: &'static str,
        /// Its text.
        text: String,
        /// The further lines.
        items: Vec<TrayItem>,
    },
    /// A line between groups.
    Separator,
}

/// What an entry of the tray does. The text form (`Display`, `FromStr`) is the entry's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrayAction {
    /// Opens the main window at a place.
    Open(Place),
    /// Looks at a pending item.
    Look(PendingId),
    /// Copies a virtual server's URL.
    CopyUrl(ServerId),
    /// Signs in to the organisation.
    SignIn,
    /// Leads to where the person signs out of the organisation.
    SignOut,
    /// Signs in to a connector.
    SignInTo(AccountId),
    /// Takes back what an assistant was allowed at a virtual server.
    Revoke {
        /// The virtual server.
        server: ServerId,
        /// The assistant's client identifier.
        client_id: String,
    },
    /// Pauses for a quarter of an hour.
    PauseShort,
    /// Pauses until the next day.
    PauseTomorrow,
    /// Pauses until resumed.
    PauseOpen,
    /// Resumes.
    Resume,
    /// Tries the keychain again.
    TryKeychain,
    /// Opens the organisation's support page.
    Support,
    /// Ends the program.
    Quit,
}

/// The text is no entry's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no entry of the tray has this id")]
pub struct UnknownEntry;

impl TrayAction {
    /// What the person does by choosing it. `morning` says when their next day begins.
    pub fn act(&self, morning: impl FnOnce() -> Timestamp) -> Act {
        match self {
            Self::Open(place) => Act::Open(*place),
            Self::Look(id) => Act::Look(id.clone()),
            Self::CopyUrl(server) => Act::CopyUrl(server.clone()),
            Self::SignIn => Act::SignIn,
            // There it is said what ends and what stays.
            Self::SignOut => Act::Open(Place::Settings),
            Self::SignInTo(connector) => Act::SignInTo(connector.clone()),
            Self::Revoke { server, client_id } => {
                Act::Revoke { client_id: client_id.clone(), server: server.clone() }
            }
            Self::PauseShort => Act::Pause(PauseFor::Duration(Duration::from_secs(15 * 60))),
            Self::PauseTomorrow => Act::Pause(PauseFor::Until(morning())),
            Self::PauseOpen => Act::Pause(PauseFor::Open),
            Self::Resume => Act::Resume,
            Self::TryKeychain => Act::TryKeychain,
            Self::Support => Act::Support,
            Self::Quit => Act::Quit,
        }
    }
}

impl std::fmt::Display for TrayAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(place) => write!(f, "open:{}", place.as_str()),
            Self::Look(id) => write!(f, "look:{id}"),
            Self::CopyUrl(server) => write!(f, "copy-url:{server}"),
            Self::SignIn => f.write_str("sign-in"),
            Self::SignOut => f.write_str("sign-out"),
            Self::SignInTo(connector) => write!(f, "sign-in-to:{connector}"),
            // No virtual server's id has a colon; a client identifier may be a URL.
            Self::Revoke { server, client_id } => write!(f, "revoke:{server}:{client_id}"),
            Self::PauseShort => f.write_str("pause-short"),
            Self::PauseTomorrow => f.write_str("pause-tomorrow"),
            Self::PauseOpen => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::TryKeychain => f.write_str("try-keychain"),
            Self::Support => f.write_str("support"),
            Self::Quit => f.write_str("quit"),
        }
    }
}

impl FromStr for TrayAction {
    type Err = UnknownEntry;

    fn from_str(id: &str) -> Result<Self, UnknownEntry> {
        let (verb, object) = id.split_once(':').unwrap_or((id, ""));
        Ok(match (verb, object) {
            ("open", place) => Self::Open(place.parse().map_err(|_| UnknownEntry)?),
            ("look", id) if !id.is_empty() => Self::Look(PendingId::typed(id)),
            ("copy-url", server) => Self::CopyUrl(server.parse().map_err(|_| UnknownEntry)?),
            ("sign-in-to", connector) => Self::SignInTo(connector.parse().map_err(|_| UnknownEntry)?),
            ("revoke", object) => {
                let (server, client_id) = object.split_once(':').ok_or(UnknownEntry)?;
                let server = server.parse().map_err(|_| UnknownEntry)?;
                Self::Revoke { server, client_id: client_id.to_owned() }
            }
            ("sign-in", "") => Self::SignIn,
            ("sign-out", "") => Self::SignOut,
            ("pause-short", "") => Self::PauseShort,
            ("pause-tomorrow", "") => Self::PauseTomorrow,
            ("pause", "") => Self::PauseOpen,
            ("resume", "") => Self::Resume,
            ("try-keychain", "") => Self::TryKeychain,
            ("support", "") => Self::Support,
            ("quit", "") => Self::Quit,
            _ => return Err(UnknownEntry),
        })
    }
}

/// Derives the tray from the state. What waits for the person comes first.
pub fn tray(state: &AppState, now: Timestamp) -> TrayMenu {
    let mut items = vec![TrayItem::Text { id: "status", text: words::summary(state) }];
    items.push(TrayItem::Text { id: "user", text: words::user(state) });
    let grace = words::grace(state, now).map(|text| action(TrayAction::Open(Place::Overview), text));
    group(&mut items, grace.into_iter().collect());
    group(&mut items, questions(state));
    group(&mut items, sign_ins(state));
    group(&mut items, outages(state, now));
    let audit = TrayItem::Text { id: "audit", text: audit(&state.audit) };
    let kept = [servers(state)].into_iter().chain(assistants(state)).chain(recent(state)).chain([audit]);
    group(&mut items, kept.collect());
    let open = action(TrayAction::Open(Place::Overview), say::tray_open());
    group(&mut items, pause(state).into_iter().chain([open]).collect());
    group(&mut items, farewell(state));
    TrayMenu { icon: state.status(), tooltip: say::tray_tooltip(&words::summary(state)), items }
}

/// Help, and the ways out. What IT has hidden on this machine is left out.
fn farewell(state: &AppState) -> Vec<TrayItem> {
    let mut items = Vec::new();
    if state.support_url().is_some() {
        items.push(action(TrayAction::Support, say::tray_help()));
    }
    let signed_in = matches!((&state.mode, &state.session), (Mode::Managed(_), Session::SignedIn { .. }));
    if signed_in && !state.hides(MenuItem::SignOut) {
        items.push(action(TrayAction::SignOut, say::tray_sign_out()));
    }
    if !state.hides(MenuItem::Quit) {
        items.push(action(TrayAction::Quit, say::tray_quit()));
    }
    items
}

fn group(items: &mut Vec<TrayItem>, more: Vec<TrayItem>) {
    if !more.is_empty() {
        items.push(TrayItem::Separator);
        items.extend(more);
    }
}

fn action(action: TrayAction, text: String) -> TrayItem {
    TrayItem::Action { action, text }
}

fn questions(state: &AppState) -> Vec<TrayItem> {
    let waiting = state.waiting();
    let mut items: Vec<_> = waiting
        .iter()
        .take(QUESTIONS_LISTED)
        .map(|item| action(TrayAction::Look(item.id.clone()), say::tray_question(&words::title(item))))
        .collect();
    if waiting.len() > QUESTIONS_LISTED {
        let more = say::tray_more_questions(waiting.len() - QUESTIONS_LISTED);
        items.push(action(TrayAction::Open(Place::Pending), more));
    }
    items
}

fn sign_ins(state: &AppState) -> Vec<TrayItem> {
    let mut items = Vec::new();
    if let Mode::Managed(organisation) = &state.mode
        && matches!(state.session, Session::SignedOut | Session::Expired { .. })
    {
        items.push(action(TrayAction::SignIn, say::tray_sign_in(&organisation.name)));
    }
    if state.wants_keychain() {
        items.push(action(TrayAction::TryKeychain, say::tray_keychain()));
    }
    for (id, connector) in &state.connectors {
        if connector.status == ConnectorStatus::SignInNeeded {
            items.push(action(TrayAction::SignInTo(id.clone()), say::tray_sign_in(&connector.title)));
        }
    }
    items
}

fn outages(state: &AppState, now: Timestamp) -> Vec<TrayItem> {
    let open = |text| action(TrayAction::Open(Place::Connectors), text);
    let all: Vec<_> = state.connectors.values().filter_map(|it| words::outage(state, it, now)).collect();
    let more = all.len().saturating_sub(OUTAGES_LISTED);
    let mut items: Vec<_> = all.into_iter().take(OUTAGES_LISTED).map(open).collect();
    if more > 0 {
        items.push(open(say::tray_more_outages(more)));
    }
    items
}

fn servers(state: &AppState) -> TrayItem {
    if state.servers.is_empty() {
        return TrayItem::Text { id: "servers", text: say::tray_no_servers() };
    }
    let items = state
        .servers
        .iter()
        .map(|(id, server)| action(TrayAction::CopyUrl(id.clone()), say::tray_copy_url(&server.title)))
        .collect();
    TrayItem::Submenu { id: "servers", text: say::tray_servers(), items }
}

/// The assistants that are let in, each with the way to end that. It takes two clicks, and a person can let it in again.
fn assistants(state: &AppState) -> Option<TrayItem> {
    let title = |server: &ServerId| {
        state.servers.get(server).map_or_else(|| server.to_string(), |server| server.title.clone())
    };
    let mut items: Vec<_> = state
        .assistants
        .values()
        .take(ASSISTANTS_LISTED)
        .map(|it| {
            let entry = TrayAction::Revoke { server: it.server.clone(), client_id: it.client_id.clone() };
            action(entry, say::tray_stop(&words::name(&it.name), &title(&it.server)))
        })
        .collect();
    if items.is_empty() {
        return None;
    }
    items.push(action(TrayAction::Open(Place::Assistants), say::tray_all_assistants()));
    Some(TrayItem::Submenu { id: "assistants", text: say::tray_assistants(), items })
}

/// The last calls. Which arguments they had is not for whoever looks over a shoulder.
fn recent(state: &AppState) -> Option<TrayItem> {
    let open = |text| action(TrayAction::Open(Place::Activity), text);
    let calls = state.activity.iter().take(CALLS_LISTED).map(|call| open(words::call(state, call)));
    let mut items: Vec<_> = calls.collect();
    if items.is_empty() {
        return None;
    }
    items.push(open(say::tray_all_activity()));
    Some(TrayItem::Submenu { id: "recent", text: say::tray_activity(), items })
}

fn audit(audit: &AuditState) -> String {
    let records = usize::try_from(audit.records).unwrap_or(usize::MAX);
    match (&audit.health, audit.receipted) {
        (AuditHealth::Broken(_), _) => say::tray_audit_broken(),
        (_, None) => say::tray_audit_here_only(records),
        (_, Some(receipted)) if receipted >= audit.records => say::tray_audit_in_sync(records),
        (_, Some(receipted)) => {
            let rest = usize::try_from(audit.records.saturating_sub(receipted)).unwrap_or(usize::MAX);
            say::tray_audit_to_send(records, rest)
        }
    }
}

fn pause(state: &AppState) -> Option<TrayItem> {
    if state.paused.is_some() {
        return Some(action(TrayAction::Resume, say::tray_resume()));
    }
    (!state.hides(MenuItem::Pause)).then(|| TrayItem::Submenu {
        id: "pauses",
        text: say::tray_pause(),
        items: vec![
            action(TrayAction::PauseShort, say::tray_pause_short()),
            action(TrayAction::PauseTomorrow, say::tray_pause_tomorrow()),
            action(TrayAction::PauseOpen, say::tray_pause_open()),
        ],
    })
}

#[cfg(test)]
mod tests;
