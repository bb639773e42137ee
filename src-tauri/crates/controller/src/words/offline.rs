//! What is left of a policy that could not be renewed, and whom to ask.

use model::{Advice, Timestamp};

use crate::state::{AppState, Freshness, Organisation, Withheld};

/// What helps where a policy is not to be obeyed.
pub(crate) const RENEWAL: &str =
    "Connect to the network; it is renewed by itself. If it is not, tell your IT department.";

/// That the policy has run out and is still obeyed; nothing where it is in force, or where no call is made any more.
pub fn grace(state: &AppState, now: Timestamp) -> Option<String> {
    let until = state.in_grace()?;
    Some(say::grace_left(&super::organisation(state), &super::left(until, now)))
}

/// The same when it begins.
pub(crate) fn grace_begins(state: &AppState, until: Timestamp, now: Timestamp) -> Advice {
    Advice::new(
        "policy-grace",
        format!("What {} has decided has run out, and could not be renewed.", super::organisation(state)),
        format!("It is obeyed for {} more; then no call is made.", super::left(until, now)),
        "Connect to the network; it is renewed by itself.",
    )
}

/// That a connector is not used for now.
pub(crate) fn withheld(why: Withheld, title: &str, organisation: &Organisation) -> Advice {
    let name = &organisation.name;
    match why {
        Withheld::InGrace => Advice::new(
            "connector-rests",
            format!("{title} rests: what {name} has decided has run out, and could not be renewed."),
            format!("{name} lets it be used only while its decisions are fresh."),
            RENEWAL,
        ),
        Withheld::Unconfirmed => Advice::new(
            "connector-unconfirmed",
            format!("{title} does not start: you have not confirmed yet that this is {name}."),
            "It is a program on this computer, which could do whatever you can.",
            COMPARE,
        ),
    }
}

/// What helps where an organisation was met by its address alone.
const COMPARE: &str = "Ask your IT department for its fingerprint, and give it to Deskgate in its window or by: deskgate trust FINGERPRINT";

/// That an organisation was met by its address alone.
pub(crate) fn unconfirmed(name: &str, fingerprint: &str) -> Advice {
    Advice::new(
        "org-unconfirmed",
        format!("Deskgate knows {name} by its address alone."),
        format!(
            "Its fingerprint: {fingerprint}. Until you have confirmed it, its connectors start no programs on this computer."
        ),
        COMPARE,
    )
}

/// Whom to ask while something is wrong; nothing where nobody is named.
pub fn help(state: &AppState) -> Option<String> {
    let wrong = !state.advice().is_empty() || state.in_grace().is_some();
    state.support_url().filter(|_| wrong).map(|url| format!("Help: {url}"))
}

impl AppState {
    /// Until when a policy is obeyed that has run out.
    pub(crate) fn in_grace(&self) -> Option<Timestamp> {
        match self.policy.as_ref()?.freshness {
            Freshness::Grace { until } => Some(until),
            Freshness::Own | Freshness::Fresh { .. } | Freshness::DenyAll(_) => None,
        }
    }
}
