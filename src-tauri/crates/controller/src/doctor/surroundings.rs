//! What surrounds the gateway: the desktop session, the browser, the network's proxies.

use os::Service;

use super::{Autostart, Check, Looked};

pub(super) fn session(looked: &Looked) -> Vec<Check> {
    let Some((tray, notifications)) = looked.session else {
        return vec![Check::not_checked(
            "session",
            "Desktop session",
            "There is none that could be asked about tray and notifications.",
        )];
    };
    let tray = match tray {
        Service::Running | Service::OnDemand => Check::ok("tray", "Tray", "The desktop shows tray icons."),
        Service::Absent => Check::note("tray", "Tray", "This desktop shows no tray icons.")
            .means("Deskgate works without; its window opens when it is started once more.")
            .todo("On GNOME, install the extension AppIndicator."),
    };
    let notifications = match notifications {
        Service::Running | Service::OnDemand => {
            Check::ok("notifications", "Notifications", "The desktop shows them.")
        }
        Service::Absent => Check::note("notifications", "Notifications", "This desktop shows none.")
            .means("What waits for you is seen in Deskgate's window, and by: deskgate pending"),
    };
    vec![tray, notifications]
}

pub(super) fn autostart(looked: &Looked) -> Check {
    const NAME: &str = "autostart";
    const TITLE: &str = "Start with you";
    let wanted = looked.state.as_ref().and_then(|state| state.managed.as_ref()?.settings.autostart);
    match (&looked.autostart, wanted) {
        (Autostart::Unknown, _) => {
            Check::not_checked(NAME, TITLE, "How programs start with the session is not known here.")
        }
        (Autostart::On(entry), _) => {
            Check::ok(NAME, TITLE, format!("Deskgate starts when you sign in to this computer ({entry})."))
        }
        (Autostart::Off, Some(true)) => Check::problem(
            NAME,
            TITLE,
            "Your IT department wants Deskgate to start when you sign in, and it does not.",
        )
        .todo("Start the desktop application once; it sets itself up."),
        (Autostart::Off, _) => Check::ok(NAME, TITLE, "Deskgate starts when you start it."),
    }
}

pub(super) fn browser(looked: &Looked) -> Check {
    const NAME: &str = "browser";
    const TITLE: &str = "Browser";
    match &looked.browser {
        (true, Some(opener)) => Check::ok(NAME, TITLE, format!("Pages are opened by {opener}.")),
        (true, None) => Check::problem(NAME, TITLE, "No program is there that opens pages.")
            .means("You cannot sign in by a page.")
            .todo("Install xdg-utils and set a default browser."),
        (false, _) => Check::note(NAME, TITLE, "There is no display here, so no page can be shown.")
            .means("You sign in by an address or a code that is said to you."),
    }
}

pub(super) fn proxies(looked: &Looked) -> Check {
    const NAME: &str = "proxy";
    const TITLE: &str = "Proxy";
    if looked.proxies.is_empty() {
        return Check::ok(NAME, TITLE, "None is set in the environment.");
    }
    if let Some(wrong) = looked.proxies.iter().find(|proxy| proxy.address.is_none()) {
        return Check::problem(NAME, TITLE, format!("What {} says is no address.", wrong.variable))
            .means("Programs that obey it may reach nothing.")
            .todo("Correct or remove the variable.");
    }
    let named =
        looked.proxies.iter().filter_map(|it| Some(format!("{} {}", it.variable, it.address.as_ref()?)));
    let named = named.collect::<Vec<_>>().join(", ");
    if looked.proxies_spare_this_computer {
        return Check::ok(NAME, TITLE, format!("{named}; not for this computer itself."));
    }
    Check::note(NAME, TITLE, format!("{named}; also for addresses on this computer."))
        .means("Deskgate asks none on its own computer. Assistants that obey it may look for Deskgate at the proxy, and not find it.")
        .todo("Set NO_PROXY to: 127.0.0.1,localhost")
}
