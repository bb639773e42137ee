//! `deskgate assistants`, `connect` and `disconnect`: which assistants are here, and what they are connected to.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use assistants::{
    Assistant, Change, Connection, Found, FoundBy, Ledger, Machine, Reached, Target, Undone, entry_name,
};
use controller::app::{Home, addresses, machine};
use model::{Advice, ForPerson as _, ServerId};
use serde_json::{Value, json};

use crate::arguments::Changing;

type Told<T> = Result<T, Advice>;

/// Lists the assistants.
pub(crate) async fn list(home: &Home, json: bool) -> ExitCode {
    let machine = match machine() {
        Ok(machine) => machine,
        Err(advice) => return crate::fail(&advice),
    };
    let found = assistants::find(&machine);
    if json {
        println!("{}", Value::from(found.iter().map(value).collect::<Vec<_>>()));
        return ExitCode::SUCCESS;
    }
    // Where addresses are not known, none is called old.
    let current = addresses(home).await.unwrap_or_default();
    let is_old = |reached: &Reached| controller::app::is_old(reached, &current);
    let (here, elsewhere): (Vec<&Found>, Vec<&Found>) = found.iter().partition(|it| !it.by.is_empty());
    for found in &here {
        print!("{}", lines(found, is_old));
    }
    if here.is_empty() {
        println!("No assistant that Deskgate knows was found on this computer.");
    }
    let names: Vec<&str> = elsewhere.iter().map(|it| it.assistant.id).collect();
    if !names.is_empty() {
        println!("Not found on this computer: {}", names.join(", "));
    }
    ExitCode::SUCCESS
}

/// Connects an assistant.
pub(crate) async fn connect(
    home: &Home,
    assistant: &'static Assistant,
    changing: &Changing,
    json: bool,
) -> ExitCode {
    ended(connected(home, assistant, changing, json).await)
}

/// Disconnects an assistant.
pub(crate) async fn disconnect(
    home: &Home,
    assistant: &'static Assistant,
    changing: &Changing,
    json: bool,
) -> ExitCode {
    ended(disconnected(home, assistant, changing, json).await)
}

fn ended(told: Told<()>) -> ExitCode {
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(advice) => crate::fail(&advice),
    }
}

async fn connected(home: &Home, assistant: &'static Assistant, changing: &Changing, json: bool) -> Told<()> {
    let (machine, target) = (machine()?, target(home, changing.server.as_ref()).await?);
    let mut ledger = ledger(home)?;
    let (title, server) = (assistant.title, target.server.as_str());
    let connection = assistants::connect(&machine, assistant, &target, &ledger);
    let change = match connection.map_err(|fault| fault.advice())? {
        Connection::Already { file } => {
            let text = format!("{title} is connected to {server} already, in {}.", file.display());
            tell(json, &text, &json!({ "file": file, "changed": false }));
            return Ok(());
        }
        Connection::Change(change) => change,
    };
    if !assistants::find(&machine).iter().any(|it| it.assistant == assistant && !it.by.is_empty()) {
        eprintln!("{title} was not found on this computer. Its configuration can be prepared all the same.");
    }
    if !confirmed(&change, changing, json)? {
        return Ok(());
    }
    change.apply(&mut ledger).map_err(|fault| fault.advice())?;
    let name = entry_name(server);
    let text = format!(
        "{title} is connected to {server}, under the name {name}. {}\nTo take it back: deskgate disconnect {}",
        assistant.next, assistant.id
    );
    tell(json, &text, &json!({ "file": change.file, "changed": true, "name": name, "next": assistant.next }));
    Ok(())
}

async fn disconnected(
    home: &Home,
    assistant: &'static Assistant,
    changing: &Changing,
    json: bool,
) -> Told<()> {
    let machine = machine()?;
    let mut ledger = ledger(home)?;
    let server = match &changing.server {
        Some(server) => server.to_string(),
        None => only_connection(&machine, assistant, &ledger)?,
    };
    let undone = assistants::disconnect(&machine, assistant, &server, &ledger);
    let (change, text) = match undone.map_err(|fault| fault.advice())? {
        Undone::Gone(change) => (change, "The entry was gone already; Deskgate has forgotten it."),
        Undone::Change(change) if change.exact => (change, "The file is as it was before, byte for byte."),
        Undone::Change(change) => {
            (change, "The file had been changed since: the entry is gone, and everything else stayed.")
        }
    };
    if !confirmed(&change, changing, json)? {
        return Ok(());
    }
    change.apply(&mut ledger).map_err(|fault| fault.advice())?;
    let text = format!(
        "{} is no longer connected to {server}. {text} Start it anew. What you allowed it stays until you revoke it, under Assistants in the window.",
        assistant.title
    );
    tell(json, &text, &json!({ "file": change.file, "changed": true, "exact": change.exact }));
    Ok(())
}

/// The ledger; of one that is damaged the person hears.
pub(crate) fn ledger(home: &Home) -> Told<Ledger> {
    let ledger = controller::app::ledger(home)?;
    if let Some(aside) = ledger.set_aside() {
        eprintln!(
            "The list of what was connected was damaged. It lies in {} now. Entries of Deskgate's that nobody added to can still be removed, but the rest of a file may not come back byte for byte.",
            aside.display()
        );
    }
    Ok(ledger)
}

async fn target(home: &Home, server: Option<&ServerId>) -> Told<Target> {
    let addresses = addresses(home).await?;
    let ids = || addresses.iter().map(|it| it.id.to_string()).collect::<Vec<_>>().join(", ");
    let address = match (server, addresses.as_slice()) {
        (_, []) => {
            return Err(Advice::new(
                "no-servers",
                "There is no virtual server yet.",
                "An assistant has nothing to be connected to.",
                format!("Define one in {}.", home.settings().display()),
            ));
        }
        (Some(server), all) => all.iter().find(|it| it.id == *server).ok_or_else(|| {
            Advice::new(
                "no-such-server",
                format!("There is no virtual server \"{server}\"."),
                "",
                format!("Choose one of these: {}.", ids()),
            )
        })?,
        (None, [only]) => only,
        (None, _) => {
            return Err(Advice::new(
                "which-server",
                "There are several virtual servers.",
                "",
                format!("Name one with --server: {}.", ids()),
            ));
        }
    };
    controller::app::target(home, address)
}

/// The one virtual server that an assistant is connected to.
fn only_connection(machine: &Machine, assistant: &'static Assistant, ledger: &Ledger) -> Told<String> {
    let made =
        ledger.records().iter().filter(|it| it.assistant == assistant.id).map(|it| it.server.to_string());
    let found = assistants::find(machine).into_iter().filter(|it| it.assistant == assistant);
    let found = found.flat_map(|it| it.connected).map(|(_, reached)| reached.server);
    let mut servers: Vec<String> = made.chain(found).collect();
    servers.sort();
    servers.dedup();
    match servers.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Advice::new(
            "assistant-not-connected",
            format!("{} is not connected to Deskgate.", assistant.title),
            "There is nothing to undo.",
            "",
        )),
        several => Err(Advice::new(
            "which-server",
            format!("{} is connected to several virtual servers.", assistant.title),
            "",
            format!("Name one with --server: {}.", several.join(", ")),
        )),
    }
}

/// Shows the change; says whether it is to be made.
fn confirmed(change: &Change, changing: &Changing, json: bool) -> Told<bool> {
    let diff = harmless(&change.diff());
    if changing.dry_run {
        tell(json, diff.trim_end(), &json!({ "file": change.file, "changed": false, "diff": diff }));
        return Ok(false);
    }
    // What a script reads is not mixed with what a person reads.
    eprint!("{diff}");
    let what = if change.is_whole_file() { "Make or remove this file" } else { "Change this file" };
    agreed(what, &change.file.display().to_string(), changing.yes)
}

/// Asks on the terminal, unless that was answered beforehand.
pub(crate) fn agreed(what: &str, file: &str, yes: bool) -> Told<bool> {
    if yes {
        return Ok(true);
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Advice::new(
            "unconfirmed",
            format!("Nobody can be asked whether {file} may be changed: this is not a terminal."),
            "Nothing was changed.",
            "Say --yes to change it without being asked, or --dry-run to see the change only.",
        ));
    }
    eprint!("{what}? [y/N] ");
    // What cannot be written was not read either: no answer is no.
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    let yes = read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !yes {
        eprintln!("Nothing was changed.");
    }
    Ok(yes)
}

/// A file's text as a terminal may show it: what would steer it is replaced.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

pub(crate) fn tell(json: bool, text: &str, value: &Value) {
    if json {
        println!("{value}");
    } else {
        println!("{text}");
    }
}

fn lines(found: &Found, is_old: impl Fn(&Reached) -> bool) -> String {
    let assistant = found.assistant;
    let by: Vec<String> = found.by.iter().map(|by| place(by).1.display().to_string()).collect();
    let mut text = format!("{} ({})\n  found: {}\n", assistant.title, assistant.id, by.join(", "));
    for (name, reached) in &found.connected {
        let by = reached.url.as_deref().unwrap_or("deskgate bridge");
        text += &format!("  connected to {} by {by}, entry {name}\n", reached.server);
        if is_old(reached) {
            text += &format!(
                "  ! This address is an earlier one. Connect it again: deskgate connect {} --server {}\n",
                assistant.id, reached.server
            );
        }
    }
    if found.connected.is_empty() {
        text += &format!("  not connected; to connect it: deskgate connect {}\n", assistant.id);
    }
    let others: Vec<String> = found.others.iter().map(|it| it.place.to_string()).collect();
    if !others.is_empty() {
        let count =
            if others.len() == 1 { "1 server".to_owned() } else { format!("{} servers", others.len()) };
        text += &format!("  {count} outside Deskgate: {}\n", others.join(", ").replace('\n', " "));
        text += &format!("  to bring them in: deskgate import {}\n", assistant.id);
    }
    if let Some(file) = &found.file {
        text += &format!("  configuration: {} (verified by {})\n", file.display(), assistant.verified.word());
    }
    if let Some(fault) = &found.trouble {
        text += &format!("  ! {}\n", fault.advice());
    }
    harmless(&text)
}

fn place(by: &FoundBy) -> (&'static str, &Path) {
    match by {
        FoundBy::Program(path) => ("program", path),
        FoundBy::Folder(path) => ("folder", path),
        FoundBy::File(path) => ("file", path),
    }
}

fn value(found: &Found) -> Value {
    let by = found.by.iter().map(place).map(|(kind, path)| json!({ "kind": kind, "path": path }));
    let connected = found.connected.iter().map(|(name, reached)| {
        json!({ "server": reached.server, "entry": name, "url": reached.url, "bridge": reached.url.is_none() })
    });
    let others = found.others.iter().map(|it| {
        json!({ "name": it.place.name, "project": it.place.project(), "can_be_imported": it.server.is_ok() })
    });
    json!({
        "id": found.assistant.id,
        "title": found.assistant.title,
        "found": by.collect::<Vec<_>>(),
        "file": found.file,
        "connected": connected.collect::<Vec<_>>(),
        "connects_by": if found.assistant.is_bridged() { "bridge" } else { "address" },
        "verified": found.assistant.verified.word(),
        "source": found.assistant.source,
        "trouble": found.trouble.as_ref().map(|fault| fault.advice()),
        "outside": others.collect::<Vec<_>>(),
    })
}
