//! The `deskgate` command line. Links no window toolkit, so that it starts anywhere and fast.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks on its standard streams"
)]

mod arguments;
mod assistants;
mod audit;
mod diagnostics;
mod doctor;
mod door;
mod import;
mod logs;
mod managed_config;
mod port;
mod serve;
mod uninstall;
mod update;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use controller::app::{Client, Command, Explained, Home, Report, Standpoint};
use model::{Advice, ForPerson as _, ServerId};

use crate::arguments::{Arguments, AuditAction, Choice, Verb};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let home = arguments.home.map(Home::at).or_else(Home::from_environment);
    if let Verb::Bridge { server } = &arguments.verb {
        // It needs none of what the others need, and shows the instance which program it is before it is hardened.
        return home.map_or_else(no_home, |home| bridge(&home, server));
    }
    if let Verb::Pages { folder } = &arguments.verb {
        return pages(folder);
    }
    command(home, arguments.verb, arguments.json)
}

fn pages(folder: &Path) -> ExitCode {
    match ::pages::write(&Arguments::command(), folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fail(&Advice::new("pages", format!("The pages could not be written: {error}."), "", ""))
        }
    }
}

fn bridge(home: &Home, server: &ServerId) -> ExitCode {
    match controller::app::bridge(home, server, |advice| eprintln!("{advice}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn command(home: Option<Home>, verb: Verb, json: bool) -> ExitCode {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return fail(&Advice::new(
            "tls",
            "Another TLS library was chosen first.",
            "",
            "Report this as a fault.",
        ));
    }
    if let Err(error) = os::harden_process() {
        eprintln!("The process could not be hardened against memory dumps: {error}");
    }
    let Some(home) = home else { return no_home() };
    let runtime = match controller::app::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(&Advice::new("runtime", format!("The program cannot start: {error}."), "", ""));
        }
    };
    runtime.block_on(run(home, verb, json))
}

fn no_home() -> ExitCode {
    fail(&Advice::new(
        "no-home",
        "There is no place for Deskgate's data: neither DESKGATE_HOME nor HOME is set.",
        "",
        "Set DESKGATE_HOME to a folder of yours.",
    ))
}

async fn run(home: Home, verb: Verb, json: bool) -> ExitCode {
    match verb {
        Verb::Serve { list_grace } => serve::serve(home, list_grace).await,
        Verb::Bridge { server } => bridge(&home, &server),
        Verb::Audit { action: AuditAction::Verify { key } } => audit::verify(&home, key.as_ref(), json),
        Verb::Audit { action: AuditAction::Tail { count } } => audit::tail(&home, count),
        Verb::Audit { action: AuditAction::Export } => audit::export(&home),
        Verb::Audit { action: AuditAction::Sent { count } } => audit::sent(&home, count, json),
        Verb::Audit { action: AuditAction::Erase { subject, before } } => {
            ask(home, Command::EraseAudit { person: subject, before }, json).await
        }
        Verb::Status => ask(home, Command::Status, json).await,
        Verb::Doctor => doctor::doctor(home, json).await,
        Verb::Diagnostics { send: true, yes, .. } => diagnostics::send(home, yes, json).await,
        Verb::Diagnostics { out, list, show, yes, send: false } => {
            diagnostics::diagnostics(home, diagnostics::Wish { out, list, show, yes }, json).await
        }
        Verb::Port { to } => port::port(&home, to, json).await,
        Verb::Pending => ask(home, Command::Pending, json).await,
        Verb::Held { accept } => ask(home, Command::Held { accept }, json).await,
        Verb::Approvals { forget } => ask(home, Command::Approvals { forget }, json).await,
        Verb::Answer { id, choice } => {
            let allow = matches!(choice, Choice::Allow);
            ask(home, Command::Answer { id, allow }, json).await
        }
        Verb::Explain { server, tool, args, resource, prompt, connector, program, address } => {
            let about = match (tool, connector, resource, prompt) {
                (_, Some(connector), Some(uri), _) => Explained::Resource { connector, uri },
                (_, Some(connector), None, Some(name)) => Explained::Prompt { connector, name },
                (tool, _, _, _) => Explained::Tool { tool: tool.unwrap_or_default(), arguments: args },
            };
            ask(home, Command::Explain { server, about, from: Standpoint { program, address } }, json).await
        }
        Verb::SignIn { connector, device } => {
            ask(home, Command::SignIn { connector, by_code: device }, json).await
        }
        Verb::Logs { connector, follow } => logs::show(home, connector, follow, json).await,
        Verb::SignOut { connector, forget_accounts } => {
            ask(home, Command::SignOut { connector, forget_accounts }, json).await
        }
        Verb::Trust { fingerprint } => ask(home, Command::Trust { fingerprint }, json).await,
        Verb::Door { server, path } => door::door(home, server, &path, json).await,
        Verb::Assistants => assistants::list(&home, json).await,
        Verb::Connect { assistant, change } => assistants::connect(&home, assistant, &change, json).await,
        Verb::Disconnect { assistant, change } => {
            assistants::disconnect(&home, assistant, &change, json).await
        }
        Verb::Import { assistant, servers, into, undo, dry_run, yes } => {
            import::import(&home, import::Wish { assistant, servers, into, undo, dry_run, yes }, json).await
        }
        Verb::ManagedConfig { assistant, servers, out } => {
            managed_config::managed_config(&home, assistant, &servers, out, json).await
        }
        Verb::Update { install: Some(package), allow_older } => update::install(package, allow_older, json),
        Verb::Update { install: None, .. } => update::look(home, json).await,
        Verb::Keychain => ask(home, Command::TryKeychain, json).await,
        Verb::Pause => ask(home, Command::Pause, json).await,
        Verb::Resume => ask(home, Command::Resume, json).await,
        Verb::Uninstall { dry_run, keep_records, delete_records, as_it_is, yes } => {
            let wish = uninstall::Wish { dry_run, keep_records, delete_records, as_it_is, yes };
            uninstall::uninstall(&home, &wish, json).await
        }
        Verb::Quit => ask(home, Command::Quit, json).await,
        Verb::Pages { folder } => pages(&folder),
    }
}

async fn ask(home: Home, command: Command, json: bool) -> ExitCode {
    match Client::new(home).ask(&command).await {
        Ok(Report::Ok { text, json: value }) => {
            if json {
                println!("{value}");
            } else {
                println!("{text}");
            }
            ExitCode::SUCCESS
        }
        Ok(Report::Refused { advice }) => fail(&advice),
        Err(fault) => fail(&fault.advice()),
    }
}

fn fail(advice: &Advice) -> ExitCode {
    eprintln!("{advice}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_its_page() {
        let folder = tempfile::tempdir().expect("a folder");
        ::pages::write(&Arguments::command(), folder.path()).expect("writes");
        let names = ::pages::names(&Arguments::command());
        for name in ["deskgate.1", "deskgate-serve.1", "deskgate-sign-in.1", "deskgate-audit-verify.1"] {
            assert!(names.iter().any(|it| it == name), "{name} is missing in {names:?}");
        }
        for name in &names {
            let text = std::fs::read_to_string(folder.path().join("man").join(name)).expect("a page");
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}: {text}");
        }
        assert!(!names.iter().any(|name| name == "deskgate-pages.1"), "it is hidden");
    }
}
