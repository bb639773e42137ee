//! What a person is told where servers are not taken over. Nothing was changed, unless it says so.

use std::path::Path;

use assistants::Unfit;
use model::{Advice, ConnectorId, ServerId};

const NOTHING: &str = "Nothing was changed.";

pub(super) fn organisation() -> Advice {
    Advice::new(
        "import-organisation",
        "Your organisation decides which connectors there are.",
        "Servers of your own cannot become connectors here. Nothing was changed.",
        "Ask your IT department for a connector.",
    )
}

pub(super) fn in_window() -> Advice {
    Advice::new(
        "import-window-only",
        "This is done on your word only, and an assistant may have a shell.",
        NOTHING,
        "Do it in Deskgate's window, under Assistants. Where no desktop runs, set answer_in_terminal = true in your settings.",
    )
}

pub(super) fn not_kept(state: vault::KeychainState) -> Advice {
    use model::ForPerson as _;
    let advice = state.advice();
    let means = "What would be sealed now would be lost when Deskgate ends. Nothing was changed.";
    Advice { means: means.to_owned(), ..advice }
}

pub(super) fn unreadable(path: &Path, fault: &std::io::Error) -> Advice {
    let happened = format!("{} cannot be read: {fault}.", path.display());
    Advice::new("settings-unreadable", happened, NOTHING, "Check that it belongs to you.")
}

pub(super) fn unwritable(path: &Path, fault: &std::io::Error) -> Advice {
    Advice::new(
        "settings-unwritable",
        format!("{} cannot be written: {fault}.", path.display()),
        "What was sealed stays sealed, and no other file was changed.",
        "Check that it belongs to you and that the disk has room, then do it again.",
    )
}

pub(super) fn wrong_settings(path: &Path, why: &str) -> Advice {
    let happened = format!("There is a mistake in {}: {why}", path.display());
    Advice::new("settings-wrong", happened, NOTHING, "Correct the file first.")
}

pub(super) fn settings_odd(path: &Path) -> Advice {
    Advice::new(
        "settings-odd",
        format!("{} is written in a way that cannot be changed safely.", path.display()),
        NOTHING,
        "Write connectors and virtual servers as tables of their own, as in [connectors.files], or add the connector by hand.",
    )
}

pub(super) fn meanwhile(path: &Path) -> Advice {
    Advice::new(
        "import-meanwhile",
        format!("{} was changed while the change was being looked at.", path.display()),
        NOTHING,
        "Do it again.",
    )
}

pub(super) fn taken(id: &ConnectorId, title: &str) -> Advice {
    Advice::new(
        "import-taken",
        format!("There is another connector \"{id}\" already, so \"{title}\" cannot become one."),
        NOTHING,
        "Rename the entry in the assistant's configuration, or the connector.",
    )
}

pub(super) fn unnamed(name: &str) -> Advice {
    Advice::new(
        "import-unnamed",
        format!("No name of a connector can be made of \"{name}\"."),
        NOTHING,
        "Rename the entry: letters, digits and hyphens, a letter first.",
    )
}

pub(super) fn header(name: &str) -> Advice {
    Advice::new(
        "import-header",
        format!("\"{name}\" is no header that a token can be sent in."),
        NOTHING,
        "Add the connector to deskgate.toml by hand, and remove the entry.",
    )
}

pub(super) fn none(assistant: &str) -> Advice {
    let happened = format!("{assistant} has no servers outside Deskgate.");
    Advice::new("import-none", happened, "There is nothing to import.", "")
}

pub(super) fn none_fits(assistant: &str, left: &[(String, Advice)]) -> Advice {
    let why: Vec<String> = left.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    Advice::new(
        "import-none-fits",
        format!("None of the servers of {assistant} can be imported. {}", why.join(" ")),
        "",
        "",
    )
}

pub(super) fn not_there(name: &str, known: &[String]) -> Advice {
    let todo = if known.is_empty() { String::new() } else { format!("Choose among: {}.", known.join(", ")) };
    Advice::new("import-no-such-server", format!("There is no server \"{name}\" there."), NOTHING, todo)
}

pub(super) fn which(servers: &[ServerId]) -> Advice {
    let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
    Advice::new(
        "which-server",
        "There are several virtual servers.",
        "",
        format!("Name the one that gets the connectors with --into: {}.", names.join(", ")),
    )
}

pub(super) fn not_imported(assistant: &str) -> Advice {
    let happened = format!("Nothing of {assistant} was imported.");
    Advice::new("import-nothing-to-undo", happened, "There is nothing to undo.", "")
}

pub(super) fn unwritten() -> Advice {
    Advice::new("import-unwritten", "What is to be undone later cannot be written down.", NOTHING, "")
}

pub(super) fn gone() -> Advice {
    Advice::new(
        "change-gone",
        "This change is not the one that was shown last.",
        NOTHING,
        "Look at it once more.",
    )
}

pub(super) fn unknown() -> Advice {
    Advice::new("no-such-assistant", "Deskgate does not know this assistant.", "", "")
}

/// The last step failed when the others were made.
pub(super) fn unfinished(advice: Advice) -> Advice {
    let means = "The connectors are there and their secrets are sealed, but the assistant's file still has the servers too.";
    Advice { means: means.to_owned(), todo: format!("{} Doing it again finishes it.", advice.todo), ..advice }
}

/// The file has its entries back, but the connectors are still there.
pub(super) fn half_undone(advice: Advice) -> Advice {
    let means = "The assistant's file has its servers back, but the connectors are still there.";
    Advice { means: means.to_owned(), todo: format!("{} Doing it again finishes it.", advice.todo), ..advice }
}

pub(super) fn no_connector(id: &ConnectorId) -> Advice {
    Advice::new("no-such-connector", format!("There is no connector \"{id}\" any more."), NOTHING, "")
}

pub(super) fn no_server(id: &str) -> Advice {
    Advice::new("no-such-server", format!("There is no virtual server \"{id}\"."), NOTHING, "Choose another.")
}

pub(super) fn title_taken(id: &ConnectorId) -> Advice {
    Advice::new(
        "connector-taken",
        format!("There is a connector \"{id}\" already."),
        NOTHING,
        "Give this one another name.",
    )
}

pub(super) fn no_variable(name: &str) -> Advice {
    Advice::new(
        "no-variable",
        format!("\"{name}\" cannot be the name of an environment variable."),
        NOTHING,
        "Use letters, digits and underscores, a letter first, as in API_KEY.",
    )
}

/// A connector that was an assistant's own server.
pub(super) fn imported(title: &str, assistant: &str) -> Advice {
    Advice::new(
        "connector-imported",
        format!("\"{title}\" was taken over from the assistant \"{assistant}\"."),
        "Removing it here would lose what that assistant had.",
        "Give it back under Assistants: then it is no connector any more.",
    )
}

/// Why what a person described is no connector.
pub(super) fn described(unfit: &Unfit) -> Advice {
    let (code, happened, todo) = match unfit {
        Unfit::Variable => (
            "connector-variable",
            "Something in it is for a terminal (a variable, ~, a comment, another command), and none reads this line.",
            "Write paths in full and values themselves, and secrets as secrets. What needs a terminal goes into a script.",
        ),
        Unfit::SecretInAddress => (
            "connector-address-secret",
            "The address holds what may be a secret, and Deskgate keeps none in addresses.",
            "Take it out. If the server takes a token, choose that you sign in with a token, and enter it then.",
        ),
        Unfit::Form(member) if member == "command" => (
            "connector-command",
            "The command is empty, or a quotation mark in it is not closed.",
            "Write it as in a terminal: the program first.",
        ),
        Unfit::Form(_)
        | Unfit::SwitchedOff
        | Unfit::OldTransport
        | Unfit::Member(_)
        | Unfit::SeveralHeaders
        | Unfit::Header => (
            "connector-address",
            "This is no address of an MCP server.",
            "Write it in full, as in https://mcp.example.com/mcp.",
        ),
    };
    Advice::new(code, happened, NOTHING, todo)
}

pub(super) fn no_secret(name: &str) -> Advice {
    Advice::new(
        "no-secret",
        format!("{name} has no value."),
        NOTHING,
        "Write its secret, or remove the line.",
    )
}

pub(super) fn twice(name: &str) -> Advice {
    Advice::new("secret-twice", format!("{name} stands there twice."), NOTHING, "Remove one of them.")
}

/// The accounts may be gone, and the connector is there.
pub(super) fn half_removed(advice: Advice) -> Advice {
    let means = "The connector is still there, and you may be signed out of it.";
    Advice { means: means.to_owned(), todo: format!("{} Doing it again finishes it.", advice.todo), ..advice }
}
