//! The installation itself: folder, instance, port, keychain, and who decides.

use vault::KeychainState;

use super::{
    Check, CheckState, FolderFound, Instance, Looked, OrganisationFound, PortFound, ServerClock, size,
};
use model::ForPerson as _;

/// With less room than this, records of calls can soon not be written.
const LITTLE_ROOM: u64 = 1_000_000_000;
const NO_ROOM: u64 = 100_000_000;
/// A clock that is wrong by more seconds than this makes signed documents and sign-ins look too old or too new.
const CLOCK_OFF: i64 = 60;

pub(super) fn folder(looked: &Looked) -> Check {
    const NAME: &str = "folder";
    const TITLE: &str = "Folder";
    let home = &looked.home;
    let folder = match &looked.folder {
        FolderFound::Absent => {
            return Check::note(NAME, TITLE, format!("{home} is not there yet."))
                .means("Deskgate makes it at its first start.");
        }
        FolderFound::Unusable(why) => {
            return Check::problem(NAME, TITLE, format!("{home} cannot be used: {why}."))
                .means("Deskgate cannot start.")
                .todo("Check that it is a folder of yours, or set DESKGATE_HOME to another.");
        }
        FolderFound::There(folder) => folder,
    };
    if !folder.own {
        return Check::problem(NAME, TITLE, format!("{home} belongs to another user."))
            .means("Whoever that is can change what Deskgate keeps.")
            .todo("Set DESKGATE_HOME to a folder of yours, or have this one given to you.");
    }
    if !folder.writable {
        return Check::problem(NAME, TITLE, format!("Nothing can be written to {home}."))
            .means("Calls are refused, because they cannot be recorded.")
            .todo("Check the folder's permissions, and whether its disk can be written to.");
    }
    let room = folder.free.map(|free| format!(", {} free", size(free))).unwrap_or_default();
    if folder.free.is_some_and(|free| free < NO_ROOM) {
        return Check::problem(NAME, TITLE, format!("{home}{room}: the disk is full."))
            .means("When calls cannot be recorded any more, they are refused.")
            .todo("Make room on the disk.");
    }
    if folder.open_to_others {
        return Check::note(NAME, TITLE, format!("Other users of this computer may look into {home}."))
            .means("Nothing secret lies there readably. Deskgate closes it at its next start.");
    }
    if folder.free.is_some_and(|free| free < LITTLE_ROOM) {
        return Check::note(NAME, TITLE, format!("{home}{room}."))
            .means("When calls cannot be recorded any more, they are refused.")
            .todo("Make room on the disk.");
    }
    Check::ok(NAME, TITLE, format!("{home} is yours alone{room}."))
}

pub(super) fn instance(looked: &Looked) -> Check {
    const NAME: &str = "instance";
    const TITLE: &str = "Deskgate";
    match looked.instance {
        Instance::This => Check::ok(NAME, TITLE, "It runs."),
        Instance::None => Check::note(NAME, TITLE, "It does not run.")
            .means("No assistant can reach it. What only a running Deskgate knows is not checked.")
            .todo("Start the desktop application, or: deskgate serve"),
        Instance::Silent { pid } => {
            let who = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            Check::problem(NAME, TITLE, format!("Another Deskgate has this folder{who} and does not answer."))
                .means("It is starting, or it hangs. A second one cannot start beside it.")
                .todo("Wait a moment. If it stays so, end that process and start Deskgate again.")
        }
    }
}

pub(super) fn port(looked: &Looked) -> Check {
    const NAME: &str = "port";
    const TITLE: &str = "Address";
    match &looked.port {
        PortFound::None => Check::ok(NAME, TITLE, "None is chosen yet; the first start chooses one."),
        PortFound::Ours(address) => {
            Check::ok(NAME, TITLE, format!("Assistants reach Deskgate at {address}."))
        }
        PortFound::Free(port) => {
            Check::ok(NAME, TITLE, format!("Port {port}, where assistants look for Deskgate, is free."))
        }
        PortFound::Taken { port, .. } if matches!(looked.instance, Instance::Silent { .. }) => {
            Check::not_checked(
                NAME,
                TITLE,
                format!("Port {port} is in use, perhaps by the Deskgate that does not answer."),
            )
        }
        PortFound::Taken { port, holder } => {
            let advice = gateway::port_taken(*port, holder.as_ref());
            Check::advised(NAME, TITLE, CheckState::Problem, &advice)
        }
        PortFound::Refused { port, why } => Check::problem(
            NAME,
            TITLE,
            format!("Port {port}, where assistants look for Deskgate, cannot be used: {why}."),
        )
        .means("No assistant can reach Deskgate.")
        .todo("Give Deskgate another port with: deskgate port --move"),
    }
}

pub(super) fn keychain(looked: &Looked) -> Check {
    const NAME: &str = "keychain";
    const TITLE: &str = "Keychain";
    match looked.keychain {
        None => Check::not_checked(
            NAME,
            TITLE,
            "It can be told only by asking it for something, and nothing is asked here.",
        ),
        Some(KeychainState::Available) => Check::ok(NAME, TITLE, "It is unlocked."),
        Some(state) => Check::advised(NAME, TITLE, CheckState::Problem, &state.advice()),
    }
}

pub(super) fn settings(looked: &Looked) -> Vec<Check> {
    let of_it =
        looked.machine.iter().map(|it| Check::advised("managed", "Settings of IT", CheckState::Problem, it));
    let own =
        looked.settings.iter().map(|it| Check::advised("settings", "Your settings", CheckState::Problem, it));
    of_it.chain(own).collect()
}

pub(super) fn organisation(looked: &Looked) -> Check {
    const NAME: &str = "organisation";
    const TITLE: &str = "Who decides";
    let Some(OrganisationFound { address, set_by_it, clock }) = &looked.organisation else {
        return match &looked.machine {
            Some(_) => Check::problem(NAME, TITLE, "Nobody, as long as what IT has set cannot be used.")
                .means("No call is made."),
            None => Check::ok(NAME, TITLE, "You: this Deskgate belongs to no organisation."),
        };
    };
    let name = looked.state.as_ref().map(|state| crate::words::organisation(state).into_owned());
    let who = name.unwrap_or_else(|| address.host_str().unwrap_or_default().to_owned());
    let from = if *set_by_it { "your IT department on this computer" } else { "you, in your settings" };
    let found = format!("{who}, at {address}, set by {from}");
    match clock {
        ServerClock::Silent(why) => Check::note(NAME, TITLE, format!("{found}. It does not answer: {why}."))
            .means("What it decided last holds until that runs out.")
            .todo("Check the network connection."),
        ServerClock::Ahead(_) | ServerClock::Untold => {
            Check::ok(NAME, TITLE, format!("{found}. It answers."))
        }
    }
}

pub(super) fn clock(looked: &Looked) -> Option<Check> {
    const NAME: &str = "clock";
    const TITLE: &str = "Clock";
    Some(match looked.organisation.as_ref()?.clock {
        ServerClock::Ahead(seconds) if seconds.abs() > CLOCK_OFF => {
            let way = if seconds > 0 { "ahead" } else { "behind" };
            let by = crate::words::span(std::time::Duration::from_secs(seconds.unsigned_abs()));
            Check::problem(NAME, TITLE, format!("This computer's clock is {by} {way} of the organisation's."))
                .means("Signing in and taking up what it decides may fail.")
                .todo("Set the clock, best by itself from the network.")
        }
        ServerClock::Ahead(_) => Check::ok(NAME, TITLE, "It agrees with the organisation's."),
        ServerClock::Untold | ServerClock::Silent(_) => {
            Check::not_checked(NAME, TITLE, "The organisation's server did not say what time it is.")
        }
    })
}
