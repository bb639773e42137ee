//! The check: an employee's day with every part that Deskgate consists of, as a list of named steps.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use testkit::{Acme, Claude, Desktop, Employee, Opened, PeerFault, Program, Setup, beside};

use crate::desk::Desk;
use crate::it::It;
use crate::show::{Failed, Show};
use crate::stage::Interrupted;
use crate::work::{Colleague, Work};

/// Plays everything through and ends at the first step that fails.
pub(crate) async fn check() -> Result<ExitCode, PeerFault> {
    let mut interrupted = Interrupted::new()?;
    let mut show = Show::default();
    let failed = tokio::select! {
        outcome = play(&mut show) => outcome.is_err(),
        () = interrupted.wait() => true,
    };
    println!("{} passed, {} failed", show.passed(), usize::from(failed));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn play(show: &mut Show) -> Result<(), Failed> {
    let acme =
        show.step("Acme is served: sign-in, mail, warehouse, collector, signed policy", organisation());
    let mut acme = acme.await?;
    let started = desktop(&acme);
    let mut desktop =
        show.step("the tray application starts in a desktop of its own and takes calls", started).await?;
    let outcome = act(show, &mut acme, &mut desktop).await;
    if outcome.is_err() {
        match keep_logs(&mut acme, &mut desktop) {
            Ok(folder) => println!("logs and a picture of the screen: {}", folder.display()),
            Err(fault) => println!("the logs could not be kept: {fault}"),
        }
    }
    outcome
}

async fn organisation() -> Result<Acme, PeerFault> {
    Acme::start(&beside(Program::Control)?).await
}

async fn desktop(acme: &Acme) -> Result<Desktop, PeerFault> {
    let setup = Setup { settings: acme.organisation.settings(), ..Setup::default() };
    Desktop::start(&beside(Program::Desktop)?, setup).await
}

async fn act(show: &mut Show, acme: &mut Acme, desktop: &mut Desktop) -> Result<(), Failed> {
    first_day(show, desktop).await?;
    let assistant = let_in(show, acme, desktop).await?;
    analyst(show, acme, desktop, &assistant).await?;
    protected(show, desktop, &assistant).await?;
    audit(show, acme, desktop).await?;
    push(show, acme, desktop, &assistant).await?;
    next_person(show, desktop, &assistant).await?;
    show.step("“Quit Deskgate” in the tray ends it in order", Desk(desktop).quits()).await
}

async fn first_day(show: &mut Show, desktop: &mut Desktop) -> Result<(), Failed> {
    let alice = Employee::alice();
    let mut desk = Desk(desktop);
    show.step("its tray offers “Sign in to Acme…”", desk.is_offered_to_sign_in()).await?;
    show.step("Alice signs in, in a native window", desk.signs_in(&alice)).await?;
    show.step("the tray names her, and the policy of Acme is in force", desk.is_ready(&alice, 1)).await?;
    show.step("a notification had told her of the window", desk.was_notified()).await
}

/// Lets two assistants in; returns the one that does the work.
async fn let_in(show: &mut Show, acme: &Acme, desktop: &mut Desktop) -> Result<Colleague, Failed> {
    let (claude, opened) = show.step("Claude Code is given the URL of Analyst", claude(desktop)).await?;
    let title = "Claude Code logs in: Deskgate names the program that asks, Alice allows";
    show.step(title, Desk(desktop).lets_claude_in(&claude, opened)).await?;
    let listed = crate::work::is_connected(&claude);
    show.step("`claude mcp list` says that it is connected", listed).await?;
    let comes = Colleague::arrives(desktop, "analyst");
    let assistant = show.step("a second assistant registers and is let in", comes).await?;
    let work = Work { acme, desktop, assistant: &assistant };
    show.step("it lists the tools of Analyst, without those that Alice may not use", work.sees_tools())
        .await?;
    Ok(assistant)
}

async fn claude(desktop: &mut Desktop) -> Result<(Claude, Opened), PeerFault> {
    let (claude, opened) = (Claude::new()?, Opened::new()?);
    claude.add("analyst", &desktop.offers("analyst").await?).await?;
    Ok((claude, opened))
}

async fn analyst(
    show: &mut Show,
    acme: &Acme,
    desktop: &Desktop,
    assistant: &Colleague,
) -> Result<(), Failed> {
    let work = Work { acme, desktop, assistant };
    show.step("files: it reads one", work.reads_a_file()).await?;
    show.step("mail: her own account is asked for, and one click is enough", work.is_asked_for_mail())
        .await?;
    show.step("mail: the second call is silent", work.reads_mail_silently()).await?;
    show.step("warehouse: the shared account answers, from Acme's server", work.counts_visits()).await?;
    show.step("warehouse: what is finance's, the database refuses", work.is_kept_from_finance()).await?;
    show.step("warehouse: what would change it, policy refuses", work.changes_nothing()).await?;
    show.step("`deskgate explain` names the policy that refuses, and why", work.is_explained()).await
}

async fn protected(show: &mut Show, desktop: &mut Desktop, assistant: &Colleague) -> Result<(), Failed> {
    let elsewhere = assistant.is_refused_at(desktop, "notes");
    show.step("the assistant's token for Analyst is refused at Notes", elsewhere).await?;
    let title = "the secret of the shared account lies nowhere in Deskgate's files";
    show.step(title, Desk(desktop).holds_no_secret()).await
}

async fn audit(show: &mut Show, acme: &mut Acme, desktop: &mut Desktop) -> Result<(), Failed> {
    let mut desk = Desk(desktop);
    show.step("`deskgate audit verify` finds the record whole", desk.record_is_whole()).await?;
    show.step("the tray says that Acme has acknowledged all of it", desk.record_is_in_sync()).await?;
    let mut it = It(acme);
    show.step("the log collector was passed the call to the warehouse", it.collector_has_the_call()).await?;
    show.step("`deskgate-control audit query` shows both sides of that call", it.finds_both_sides()).await
}

async fn push(
    show: &mut Show,
    acme: &mut Acme,
    desktop: &mut Desktop,
    assistant: &Colleague,
) -> Result<(), Failed> {
    show.step("IT publishes a rule: assistants may not read mail", It(acme).forbids_mail(desktop)).await?;
    let work = Work { acme, desktop, assistant };
    show.step("the assistant's list follows by itself", work.loses_mail()).await?;
    show.step("a mistake is named and not signed; nothing changes", It(acme).makes_a_mistake()).await?;
    show.step("a forged policy is not published; nothing changes", It(acme).publishes_a_forgery()).await?;
    show.step("Deskgate obeys the last good policy", Desk(desktop).obeys(2)).await?;
    let work = Work { acme, desktop, assistant };
    show.step("the assistant works on as before", work.counts_visits()).await
}

async fn next_person(show: &mut Show, desktop: &mut Desktop, hers: &Colleague) -> Result<(), Failed> {
    let bob = Employee::bob();
    show.step("Alice signs out in the tray", Desk(desktop).signs_out()).await?;
    show.step("Bob signs in: nothing of Alice's session is left", Desk(desktop).signs_in(&bob)).await?;
    show.step("the tray names him", Desk(desktop).is_ready(&bob, 2)).await?;
    let refused = hers.is_refused_at(desktop, "analyst");
    show.step("Alice's assistant does not work in his name", refused).await?;
    let his = show.step("Bob lets an assistant in", Colleague::arrives(desktop, "analyst")).await?;
    show.step("finance: it reads what only Bob's department may", his.reads_salaries()).await
}

/// Puts what the programs have printed, and what is on the screen, where it outlives them.
fn keep_logs(acme: &mut Acme, desktop: &mut Desktop) -> Result<PathBuf, PeerFault> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).unwrap_or(Path::new(".")).join("demo");
    std::fs::create_dir_all(&folder)?;
    let mut logs = acme.logs();
    logs.extend(desktop.process().map(|process| ("deskgate-desktop", process.log())));
    for (name, log) in logs {
        std::fs::write(folder.join(format!("{name}.log")), log)?;
    }
    // Without a picture the logs are still worth something.
    let _pictured = desktop.session().picture(&folder.join("screen.png"));
    Ok(folder)
}
