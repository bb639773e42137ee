//! `deskgate import`: the MCP servers that an assistant has already become connectors, and back.

use std::process::ExitCode;

use assistants::Assistant;
use controller::app::{Client, Command, Folders, Home, ImportWish, Proposed, Report};
use model::{Advice, ForPerson as _, ServerId};
use serde_json::{Value, json};

use crate::assistants::{agreed, harmless, tell};

/// What was said on the command line.
pub(crate) struct Wish {
    pub(crate) assistant: &'static Assistant,
    pub(crate) servers: Vec<String>,
    pub(crate) into: Option<ServerId>,
    pub(crate) undo: bool,
    pub(crate) dry_run: bool,
    pub(crate) yes: bool,
}

/// Imports servers, or takes that back.
pub(crate) async fn import(home: &Home, wish: Wish, json: bool) -> ExitCode {
    match imported(home, wish, json).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(advice) => crate::fail(&advice),
    }
}

async fn imported(home: &Home, wish: Wish, json: bool) -> Result<(), Advice> {
    let Wish { assistant, servers, into, undo, dry_run, yes } = wish;
    let client = Client::new(home.clone());
    let folders = Folders::of_this()?;
    let wanted = ImportWish { assistant: assistant.id.to_owned(), servers, into, undo, folders };
    let proposed = asked(&client, &Command::ProposeImport { wish: wanted }).await?;
    let proposed: Proposed = serde_json::from_value(proposed).map_err(|_| unreadable())?;
    let diff = harmless(&proposed.diff);
    let stays = proposed.left.iter().map(|(name, why)| format!("{name} stays as it is. {why}\n"));
    let stays = harmless(&stays.collect::<String>());
    let mut value = json!({
        "changed": false,
        "servers": proposed.servers.iter().map(|(name, connector)| json!({ "name": name, "connector": connector })).collect::<Vec<_>>(),
        "left": proposed.left.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect::<Vec<_>>(),
        "exact": proposed.exact,
        "diff": diff,
    });
    if dry_run {
        tell(json, format!("{diff}{stays}").trim_end(), &value);
        return Ok(());
    }
    eprint!("{diff}{stays}");
    if !agreed("Change both files", &format!("the configuration of {}", assistant.title), yes)? {
        return Ok(());
    }
    asked(&client, &Command::Import { id: proposed.id }).await?;
    value["changed"] = json!(true);
    tell(json, &harmless(&told(assistant, undo, &proposed)), &value);
    Ok(())
}

fn told(assistant: &Assistant, undo: bool, proposed: &Proposed) -> String {
    let names: Vec<&str> = proposed.servers.iter().map(|(name, _)| name.as_str()).collect();
    let (title, id, names) = (assistant.title, assistant.id, names.join(", "));
    if undo {
        let how = if proposed.exact {
            "The file is as it was before, byte for byte."
        } else {
            "The file had been changed since: the entries are in it again, and everything else stayed."
        };
        return format!("{title} has these servers itself again: {names}. {how} Start it anew.");
    }
    let server = &proposed.into;
    format!(
        "These servers of {title} are connectors of {server} now, and their secrets are sealed: {names}. Start it anew.\nTo connect it to {server}, if it is not: deskgate connect {id} --server {server}\nTo take it back: deskgate import {id} --undo"
    )
}

async fn asked(client: &Client, command: &Command) -> Result<Value, Advice> {
    match client.ask(command).await {
        Ok(Report::Ok { json, .. }) => Ok(json),
        Ok(Report::Refused { advice }) => Err(advice),
        Err(fault) => Err(fault.advice()),
    }
}

pub(crate) fn unreadable() -> Advice {
    Advice::new(
        "instance-other",
        "The running Deskgate answers in a way that is not understood.",
        "It may be of another version than the command line.",
        "Quit it and start it again.",
    )
}
