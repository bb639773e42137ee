//! `deskgate diagnostics`: one archive for whoever helps. The person sees what is in it before it is written; nothing is sent.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use controller::app::{Diagnostics, Home};
use model::Advice;
use serde_json::json;

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

/// Whether the person at the terminal says so.
fn agreed() -> bool {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return false;
    }
    print!("Write it? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdout().flush().and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn write(diagnostics: &Diagnostics, out: &std::path::Path) -> std::io::Result<()> {
    if out.try_exists()? {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    // A name alone is in the folder where the person is.
    let out = std::path::absolute(out)?;
    os::write_durable(&out, &diagnostics.archive()?)
}
