//! What the gateway works with: policy, records, connectors, assistants.

use crate::state::{ConnectorStatus, Freshness, Link, Mode, Session};
use crate::words;

use super::{Check, CheckState, Looked, RecordsFound, size};

pub(super) fn policy(looked: &Looked) -> Vec<Check> {
    const NAME: &str = "policy";
    const TITLE: &str = "Rules";
    let Some(state) = &looked.state else {
        return vec![Check::not_checked(
            NAME,
            TITLE,
            "Which rules are in force, only a running Deskgate knows.",
        )];
    };
    let mut checks = Vec::new();
    checks.push(match &state.policy {
        None => Check::note(NAME, TITLE, "None are in force yet.").means("No call is made until there are."),
        Some(policy) => {
            let version =
                format!("Version {}, taken up {}", policy.version, words::ago(policy.since, looked.now));
            match &policy.freshness {
                Freshness::Own => Check::ok(NAME, TITLE, "Your own."),
                Freshness::Fresh { until: None } => Check::ok(NAME, TITLE, format!("{version}.")),
                Freshness::Fresh { until: Some(until) } => {
                    let left = words::left(*until, looked.now);
                    Check::ok(NAME, TITLE, format!("{version}, good for {left} more."))
                }
                Freshness::Grace { .. } => {
                    let found = words::grace(state, looked.now).unwrap_or_default();
                    Check::problem(NAME, TITLE, format!("{version}. {found}"))
                }
                Freshness::DenyAll(advice) => Check::advised(NAME, TITLE, CheckState::Problem, advice),
            }
        }
    });
    checks.extend(link(looked));
    checks.extend(session(looked));
    checks
}

fn link(looked: &Looked) -> Option<Check> {
    const NAME: &str = "contact";
    const TITLE: &str = "Contact";
    let state = looked.state.as_ref()?;
    let organisation = words::organisation(state);
    match state.link {
        Link::None => None,
        Link::Online => Some(Check::ok(NAME, TITLE, format!("{organisation} answers."))),
        Link::Offline { since } => Some(
            Check::note(
                NAME,
                TITLE,
                format!("{organisation} does not answer; it stopped {}.", words::ago(since, looked.now)),
            )
            .means("What it decided last holds until that runs out.")
            .todo("Check the network connection."),
        ),
    }
}

fn session(looked: &Looked) -> Option<Check> {
    const NAME: &str = "sign-in";
    const TITLE: &str = "Sign-in";
    let state = looked.state.as_ref().filter(|state| matches!(state.mode, Mode::Managed(_)))?;
    Some(match &state.session {
        Session::SignedIn { .. } | Session::Local { .. } => {
            Check::ok(NAME, TITLE, format!("{}.", words::user(state)))
        }
        Session::SigningIn => Check::note(NAME, TITLE, format!("{}.", words::user(state))),
        Session::SignedOut => Check::problem(NAME, TITLE, format!("{}.", words::user(state)))
            .means("No call is made.")
            .todo("Sign in from the Deskgate menu, or: deskgate sign-in"),
        Session::Expired { why, .. } => Check::advised(NAME, TITLE, CheckState::Problem, why),
    })
}

pub(super) fn records(looked: &Looked) -> Check {
    const NAME: &str = "records";
    const TITLE: &str = "Audit records";
    const REFUSED: &str = "Where calls cannot be recorded, they are refused.";
    let taken = |bytes: u64| match looked.quota {
        Some(quota) => format!("{} of {}", size(bytes), size(quota)),
        None => size(bytes),
    };
    match &looked.records {
        RecordsFound::None => Check::ok(NAME, TITLE, "There are none yet."),
        RecordsFound::Unreadable(why) => Check::problem(NAME, TITLE, format!("They cannot be read: {why}."))
            .means(REFUSED)
            .todo("Check that Deskgate's folder and what is in it belong to you."),
        RecordsFound::Many { bytes } => {
            Check::not_checked(NAME, TITLE, format!("{}: too many to be checked in a moment.", taken(*bytes)))
                .todo("To check them all: deskgate audit verify")
        }
        RecordsFound::Checked { bytes, records, undelivered, faults } => {
            let records = words::counted(usize::try_from(*records).unwrap_or(usize::MAX), "record");
            if let Some(first) = faults.first() {
                let more =
                    if faults.len() > 1 { format!(" and {} more", faults.len() - 1) } else { String::new() };
                return Check::problem(NAME, TITLE, format!("Something is wrong with them: {first}{more}."))
                    .means("Records were changed or lost from outside, or the disk is damaged.")
                    .todo("Keep the folder as it is and tell your IT department. All of it is said by: deskgate audit verify");
            }
            let found = format!("{records}, whole, {}", taken(*bytes));
            if *undelivered > 0 {
                let waiting = words::counted(usize::try_from(*undelivered).unwrap_or(usize::MAX), "record");
                return Check::note(
                    NAME,
                    TITLE,
                    format!("{found}; {waiting} not yet confirmed by your organisation."),
                )
                .means("They are sent as soon as it answers.");
            }
            Check::ok(NAME, TITLE, format!("{found}. {REFUSED}"))
        }
    }
}

pub(super) fn connectors(looked: &Looked) -> Vec<Check> {
    const TITLE: &str = "Connectors";
    let missing = looked.programs.iter().filter(|it| !it.found).map(|it| {
        Check::problem(
            &format!("connector:{}", it.connector),
            &it.title,
            format!("The program {} is not there.", it.program),
        )
        .means("The connector cannot start.")
        .todo("Install the program, or write its full path in your settings.")
    });
    let mut checks: Vec<Check> = missing.collect();
    let Some(state) = &looked.state else {
        if checks.is_empty() {
            let programs = words::counted(looked.programs.len(), "program");
            let there = if looked.programs.is_empty() {
                String::new()
            } else {
                format!("{programs} to start, all there. ")
            };
            let found = format!("{there}Whether connectors answer, only a running Deskgate knows.");
            checks.push(Check::not_checked("connectors", TITLE, found));
        }
        return checks;
    };
    for (id, connector) in &state.connectors {
        let name = format!("connector:{id}");
        if checks.iter().any(|check| check.name == name) {
            continue;
        }
        let title = connector.title.as_str();
        checks.extend(match &connector.status {
            ConnectorStatus::Unreachable(advice) => {
                Some(Check::advised(name.clone(), title, CheckState::Problem, advice))
            }
            ConnectorStatus::SignInNeeded => Some(
                Check::note(&name, title, "You are not signed in to it.")
                    .means("A call asks you to sign in.")
                    .todo(format!("To do it now: deskgate sign-in {id}")),
            ),
            ConnectorStatus::SigningIn => Some(Check::note(&name, title, "A sign-in waits for you.")),
            ConnectorStatus::Idle | ConnectorStatus::Ready => None,
        });
        if !connector.held.is_empty() {
            let held = words::counted(connector.held.len(), "change");
            let found = format!("{held} of what it says waits to be accepted.");
            checks.push(Check::note(&format!("held:{id}"), title, found).todo("See: deskgate held"));
        }
    }
    let wrong = checks.iter().filter(|check| check.name.starts_with("connector:")).count();
    let all = state.connectors.len();
    if all == 0 {
        checks.push(
            Check::note("connectors", TITLE, "None are set up.")
                .means("Assistants have nothing to use here."),
        );
    } else if wrong < all {
        let well = words::counted(all - wrong, "connector");
        checks.push(Check::ok(
            "connectors",
            TITLE,
            format!("{well} of {all}: nothing is known to be wrong."),
        ));
    }
    checks
}

pub(super) fn assistants(looked: &Looked) -> Check {
    const NAME: &str = "assistants";
    const TITLE: &str = "Assistants";
    let Some(state) = &looked.state else {
        return Check::not_checked(
            NAME,
            TITLE,
            "Which assistants have access, only a running Deskgate knows.",
        );
    };
    let mut clients: Vec<&str> = state.assistants.keys().map(|(client, _)| client.as_str()).collect();
    clients.dedup();
    if clients.is_empty() {
        return Check::note(NAME, TITLE, "None has access yet.")
            .todo("Give an assistant one of the addresses that are said by: deskgate status");
    }
    let last = state.assistants.values().filter_map(|it| it.last_call).max();
    let seen = last.map_or_else(
        || "never seen".to_owned(),
        |last| format!("last seen {}", words::ago(last, looked.now)),
    );
    Check::ok(NAME, TITLE, format!("{} with access, {seen}.", words::counted(clients.len(), "assistant")))
}

/// What else the running gateway says is wrong, in its own words.
pub(super) fn others(looked: &Looked) -> Vec<Check> {
    let faults = looked.state.iter().flat_map(|state| state.faults.values());
    let said =
        |code: &str| code.starts_with("keychain-") || code.starts_with("settings-") || code == "port-taken";
    faults
        .filter(|advice| !said(&advice.code))
        .map(|advice| Check::advised(advice.code.clone(), "Deskgate says", CheckState::Problem, advice))
        .collect()
}
