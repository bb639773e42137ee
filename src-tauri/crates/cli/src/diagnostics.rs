//! `deskgate diagnostics`: one archive for whoever helps. The person sees what is in it before it is written; nothing is sent,
//! unless IT asks for it and the person says so.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use controller::app::{Client, Command, Diagnostics, Home, Report};
use model::{Advice, ForPerson as _};
use serde_json::{Value, json};

/// How long collecting and sending may take: the line to the organisation may be slow.
const PATIENCE: Duration = Duration::from_secs(150);

/// What is wanted.
pub(crate) struct Wish {
    pub(crate) out: Option<PathBuf>,
    pub(crate) list: bool,
    pub(crate) show: Option<String>,
    pub(crate) yes: bool,
}

/// Collects, shows, and writes where that is wanted.
pub(crate) async fn diagnostics(home: Home, wish: Wish, json: bool) -> ExitCode {
    let examination = crate::doctor::examine(home.clone()).await;
    let diagnostics = match Diagnostics::collect(&home, &examination).await {
        Ok(diagnostics) => diagnostics,
        Err(advice) => return crate::fail(&advice),
    };
    if let Some(name) = &wish.show {
        return show(&diagnostics, name);
    }
    if wish.list && json {
        let entries = diagnostics.entries().iter();
        let entries: Vec<_> =
            entries.map(|it| json!({"name": it.name, "about": it.about, "bytes": it.text.len()})).collect();
        println!("{}", json!(entries));
        return ExitCode::SUCCESS;
    }
    // What is read by a program is on standard output.
    if json {
        eprint!("{diagnostics}")
    } else {
        print!("{diagnostics}")
    }
    if wish.list {
        return ExitCode::SUCCESS;
    }
    if !wish.yes && !agreed() {
        return crate::fail(&Advice::new(
            "diagnostics-unasked",
            "Nothing was written.",
            "",
            "To read a part of it: deskgate diagnostics --show NAME. To write it: deskgate diagnostics --yes",
        ));
    }
    let out = wish.out.unwrap_or_else(|| PathBuf::from(diagnostics.file_name()));
    match write(&diagnostics, &out) {
        Ok(()) if json => println!("{}", json!({"file": out})),
        Ok(()) => println!(
            "Written to {}. Nothing was sent: it is yours to give to your IT department.",
            out.display()
        ),
        Err(fault) => {
            return crate::fail(&Advice::new(
                "diagnostics-unwritten",
                format!("{} cannot be written: {fault}.", out.display()),
                "",
                "Name another file with --out.",
            ));
        }
    }
    ExitCode::SUCCESS
}

fn show(diagnostics: &Diagnostics, name: &str) -> ExitCode {
    match diagnostics.entries().iter().find(|entry| entry.name == name) {
        Some(entry) => {
            println!("{}", entry.text);
            ExitCode::SUCCESS
        }
        None => crate::fail(&Advice::new(
            "diagnostics-unknown",
            format!("Nothing in it is called {name}."),
            "",
            "What is in it: deskgate diagnostics --list",
        )),
    }
}

/// Shows what IT asks for, and sends it where the person says so: what the running Deskgate has collected once, and no other.
pub(crate) async fn send(home: Home, yes: bool, json: bool) -> ExitCode {
    let client = Client::new(home);
    let (text, shown) = match client.ask_within(&Command::AskedDiagnostics { send: None }, PATIENCE).await {
        Ok(Report::Ok { text, json }) => (text, json),
        Ok(Report::Refused { advice }) => return crate::fail(&advice),
        Err(fault) => return crate::fail(&fault.advice()),
    };
    if json {
        eprint!("{text}")
    } else {
        print!("{text}")
    }
    let Some(sha256) = shown.pointer("/shown/sha256").and_then(Value::as_str) else {
        return crate::fail(&Advice::new(
            "diagnostics-unshown",
            "The running Deskgate did not say what would be sent.",
            "It may be of another version than the command line. Nothing was sent.",
            "Quit it and start it again.",
        ));
    };
    if !yes && !agreed_to_send(&shown) {
        return crate::fail(&Advice::new(
            "diagnostics-unasked",
            "Nothing was sent.",
            "They go on asking until you answer, or the time is over.",
            "To say no: deskgate pending, then deskgate answer ID deny",
        ));
    }
    match client.ask_within(&Command::AskedDiagnostics { send: Some(sha256.to_owned()) }, PATIENCE).await {
        Ok(Report::Ok { .. }) if json => println!("{}", json!({"sent": sha256})),
        Ok(Report::Ok { text, .. }) => println!("{text}"),
        Ok(Report::Refused { advice }) => return crate::fail(&advice),
        Err(fault) => return crate::fail(&fault.advice()),
    }
    ExitCode::SUCCESS
}

/// Whether the person at the terminal says so, who may read each part before.
fn agreed_to_send(shown: &Value) -> bool {
    let entries = shown.pointer("/shown/entries").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let part = |name: &str| entries.iter().find(|entry| entry["name"] == name)?["text"].as_str();
    loop {
        let Some(answer) = answer("Send it? [y/N], or the name of a part to read it: ") else { return false };
        match part(&answer) {
            Some(text) => println!("{text}"),
            None => return is_yes(&answer),
        }
    }
}

/// Whether the person at the terminal says so.
fn agreed() -> bool {
    answer("Write it? [y/N] ").is_some_and(|answer| is_yes(&answer))
}

/// What the person at the terminal answers; nothing where nobody is there.
fn answer(question: &str) -> Option<String> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return None;
    }
    print!("{question}");
    let mut answer = String::new();
    let read = std::io::stdout().flush().and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    read.ok().map(|_| answer.trim().to_owned())
}

fn is_yes(answer: &str) -> bool {
    matches!(answer, "y" | "Y" | "yes")
}

fn write(diagnostics: &Diagnostics, out: &std::path::Path) -> std::io::Result<()> {
    if out.try_exists()? {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    // A name alone is in the folder where the person is.
    let out = std::path::absolute(out)?;
    os::write_durable(&out, &diagnostics.archive()?)
}
