//! `deskgate uninstall`: takes Deskgate off the person's account, step by step, and leaves what it says.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use assistants::{Assistant, Found, Ledger, Machine, Undone};
use controller::app::{
    Client, ClientFault, Command, Extent, Folders, Home, ImportWish, Leave, Left, Proposed, Report, Standing,
    belongings, machine, remove,
};
use model::{Advice, ForPerson as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::assistants::{agreed, harmless, ledger, tell};

/// How long records may take to their organisation.
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);
/// How long signing out everywhere may take.
const SIGNED_OUT_WITHIN: Duration = Duration::from_secs(60);

/// What was said on the command line.
pub(crate) struct Wish {
    pub(crate) dry_run: bool,
    pub(crate) keep_records: bool,
    pub(crate) delete_records: bool,
    pub(crate) as_it_is: bool,
    pub(crate) yes: bool,
}

type Told<T> = Result<T, Advice>;

/// Does it, or says what would be done.
pub(crate) async fn uninstall(home: &Home, wish: &Wish, json: bool) -> ExitCode {
    match uninstalled(home, wish, json).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(advice) => crate::fail(&advice),
    }
}

async fn uninstalled(home: &Home, wish: &Wish, json: bool) -> Told<()> {
    let machine = machine()?;
    let leaving = Leaving { home, machine: &machine, client: Client::new(home.clone()), wish };
    let standing = leaving.standing().await?;
    let plan = leaving.plan(standing)?;
    if plan.is_nothing() {
        let text = match plan.extent {
            Extent::AllButRecords if home.journal().exists() => format!(
                "What is left of Deskgate are audit records, in {}. To delete them: deskgate uninstall --delete-records",
                home.path().display()
            ),
            Extent::All | Extent::AllButRecords => {
                "There is nothing of Deskgate in your account on this computer.".to_owned()
            }
        };
        tell(json, &text, &json!({"changed": false}));
        return Ok(());
    }
    let (text, mut value) = (harmless(&plan.text(home.path())), plan.value());
    if wish.dry_run {
        tell(json, text.trim_end(), &value);
        return Ok(());
    }
    eprint!("{text}");
    if !agreed("Do all of this", "your account", wish.yes)? {
        return Ok(());
    }
    let left = leaving.go(plan).await?;
    value["changed"] = json!(true);
    let still = leaving.still_connected();
    value["left"] = json!(left.files);
    value["still_connected"] = json!(still);
    tell(json, &harmless(&done(home, &left, &still)), &value);
    Ok(())
}

/// What will be done.
struct Plan {
    /// What the running instance knows; nothing where none runs.
    standing: Option<Standing>,
    /// Each connection of an assistant.
    connections: Vec<Connected>,
    belongings: Vec<PathBuf>,
    extent: Extent,
}

struct Connected {
    assistant: &'static Assistant,
    server: String,
    file: PathBuf,
}

impl Plan {
    fn is_nothing(&self) -> bool {
        self.standing.is_none() && self.connections.is_empty() && self.belongings.is_empty()
    }

    fn text(&self, home: &Path) -> String {
        let mut text = "This takes Deskgate off your account on this computer. It will\n".to_owned();
        let mut step = |words: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  - {words}");
        };
        let standing = self.standing.clone().unwrap_or_default();
        for assistant in &standing.imported {
            step(format!(
                "give {} the servers back that were imported, with their secrets",
                title(assistant)
            ));
        }
        for Connected { assistant, server, file } in &self.connections {
            step(format!("disconnect {} from {server}, in {}", assistant.title, file.display()));
        }
        if let Some(organisation) = &standing.organisation {
            step(format!("hand over to {organisation} what is recorded, and that you leave"));
            if standing.signed_in {
                step(format!("sign you out of {organisation}"));
            }
        }
        if !standing.accounts.is_empty() {
            let accounts: Vec<&str> = standing.accounts.iter().map(String::as_str).collect();
            step(format!("forget your accounts: {}", accounts.join(", ")));
        }
        step("remove the key of its secrets from your keychain".to_owned());
        let (inside, outside): (Vec<_>, Vec<_>) =
            self.belongings.iter().partition(|path| path.starts_with(home));
        if !inside.is_empty() {
            let names = inside.iter().filter_map(|path| path.file_name()?.to_str());
            step(format!("remove from {}: {}", home.display(), names.collect::<Vec<_>>().join(", ")));
        }
        for path in outside {
            step(format!("remove {}", path.display()));
        }
        text + &self.lost() + &self.stays()
    }

    /// What cannot be done without a running instance, said beforehand.
    fn lost(&self) -> String {
        if self.standing.is_some() || self.belongings.is_empty() {
            return String::new();
        }
        "Deskgate is not running. So this cannot be done, and is lost:\n  - servers that were imported are not given back, \
         and their secrets are destroyed\n  - sign-ins do not end before they expire\n"
            .to_owned()
    }

    /// What will be left, said beforehand.
    fn stays(&self) -> String {
        let mut text =
            "What stays:\n  - the program itself: remove it the way that it was installed\n".to_owned();
        if let Some(organisation) = self.standing.as_ref().and_then(|it| it.organisation.as_deref()) {
            let _ = writeln!(
                text,
                "  - what {organisation} has received, and this computer among its devices, until IT removes it"
            );
        }
        if self.extent == Extent::AllButRecords {
            text += "  - the audit records in Deskgate's folder; they will not be handed over any more\n";
        }
        text + "  - files that you saved yourself, such as calls and diagnostics\n"
    }

    fn value(&self) -> Value {
        let connections = self
            .connections
            .iter()
            .map(|it| json!({ "assistant": it.assistant.id, "server": it.server, "file": it.file }));
        json!({
            "changed": false,
            "running": self.standing.is_some(),
            "standing": self.standing,
            "connections": connections.collect::<Vec<_>>(),
            "removes": self.belongings,
        })
    }
}

fn title(assistant: &str) -> &str {
    Assistant::named(assistant).map_or(assistant, |known| known.title)
}

fn done(home: &Home, left: &Left, still: &[String]) -> String {
    let mut text = "Deskgate is off your account. What is left is the program: remove it the way that it was installed, for \
                    example with sudo apt remove deskgate."
        .to_owned();
    if !left.files.is_empty() {
        let _ = write!(text, "\nIn {} there is still:", home.path().display());
        for path in &left.files {
            let _ = write!(text, "\n  {}", path.display());
        }
    }
    for entry in still {
        let _ = write!(text, "\nThis still leads to Deskgate; remove it yourself: {entry}");
    }
    if let Some(advice) = &left.key {
        let _ = write!(text, "\n! {advice}");
    }
    text
}

/// Which files get their servers back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Those that become what they were, byte for byte.
    ExactOnly,
    /// All.
    Anyhow,
}

struct Leaving<'a> {
    home: &'a Home,
    machine: &'a Machine,
    client: Client,
    wish: &'a Wish,
}

impl Leaving<'_> {
    /// What the running instance knows. Without one, whoever has signed in with Deskgate starts it first.
    async fn standing(&self) -> Told<Option<Standing>> {
        match self.client.ask(&Command::Leave { step: Leave::Look }).await {
            Ok(report) => read(report).map(Some),
            Err(ClientFault::NotRunning) if self.wish.as_it_is || !self.home.vault().is_dir() => Ok(None),
            Err(ClientFault::NotRunning) => Err(Advice::new(
                "not-running",
                "Deskgate is not running.",
                "Only while it runs can it give back what was imported, sign you out, and hand over what is recorded.",
                "Start it, then do this once more. If it does not start any more: deskgate uninstall --as-it-is",
            )),
            Err(fault) => Err(fault.advice()),
        }
    }

    fn plan(&self, standing: Option<Standing>) -> Told<Plan> {
        let extent = self.extent(standing.as_ref());
        let connections = self.connections(&ledger(self.home)?)?;
        Ok(Plan { standing, connections, belongings: belongings(self.home, extent), extent })
    }

    /// Records that somebody may be waiting for are deleted on a person's word only: without a running instance nobody knows.
    fn extent(&self, standing: Option<&Standing>) -> Extent {
        match standing {
            _ if self.wish.delete_records || !self.home.journal().exists() => Extent::All,
            Some(_) if !self.wish.keep_records => Extent::All,
            Some(_) | None => Extent::AllButRecords,
        }
    }

    /// What was connected, in the order in which it was.
    fn connections(&self, ledger: &Ledger) -> Told<Vec<Connected>> {
        let mut all = Vec::new();
        for record in ledger.records() {
            let Some(assistant) = Assistant::named(&record.assistant) else { continue };
            let server = record.server.to_string();
            match assistants::disconnect(self.machine, assistant, &server, ledger) {
                Ok(_) => all.push(Connected { assistant, server, file: record.file.clone() }),
                // It is named at the end.
                Err(_) if self.wish.as_it_is => {}
                Err(fault) => return Err(fault.advice()),
            }
        }
        Ok(all)
    }

    /// What of assistants' files still leads to a Deskgate.
    fn still_connected(&self) -> Vec<String> {
        let found = assistants::find(self.machine).into_iter();
        let entry = |it: &Found, name: &str| match &it.file {
            Some(file) => format!("{name} of {}, in {}", it.assistant.title, file.display()),
            None => format!("{name} of {}", it.assistant.title),
        };
        found
            .flat_map(|it| it.connected.iter().map(|(name, _)| entry(&it, name)).collect::<Vec<_>>())
            .collect()
    }

    /// Does it, in an order in which what fails leaves all that is needed to do it again.
    async fn go(&self, plan: Plan) -> Told<Left> {
        let mut later = Vec::new();
        // What was done last is undone first, so that each file becomes again what it was.
        for assistant in plan.standing.iter().flat_map(|it| &it.imported) {
            if !self.give_back(assistant, Where::ExactOnly).await? {
                later.push(assistant);
            }
        }
        self.disconnect(&plan.connections)?;
        for assistant in later {
            self.give_back(assistant, Where::Anyhow).await?;
        }
        if let Some(standing) = &plan.standing {
            self.asked(&Command::Leave { step: Leave::Begin }).await?;
            self.hand_over().await?;
            self.sign_out(standing).await?;
            self.asked(&Command::Quit).await?;
        }
        eprintln!("Removing Deskgate's folder and its key.");
        remove(self.home, plan.extent, self.wish.as_it_is).await
    }

    fn disconnect(&self, connections: &[Connected]) -> Told<()> {
        let mut ledger = ledger(self.home)?;
        for Connected { assistant, server, file } in connections.iter().rev() {
            let undone = assistants::disconnect(self.machine, assistant, server, &ledger);
            let change = match undone.map_err(|fault| fault.advice())? {
                Undone::Gone(change) | Undone::Change(change) => change,
            };
            change.apply(&mut ledger).map_err(|fault| fault.advice())?;
            let how = if change.exact { ", which is as it was before, byte for byte" } else { "" };
            eprintln!("{} is disconnected from {server}, in {}{how}.", assistant.title, file.display());
        }
        Ok(())
    }

    /// Whether it was done.
    async fn give_back(&self, assistant: &str, only: Where) -> Told<bool> {
        let folders = Folders::of_this()?;
        let (assistant, servers) = (assistant.to_owned(), Vec::new());
        let words = format!("{} has its servers again", title(&assistant));
        let wish = ImportWish { assistant, servers, into: None, undo: true, folders };
        let proposed: Proposed = read(self.answer(&Command::ProposeImport { wish }).await?)?;
        if only == Where::ExactOnly && !proposed.exact {
            return Ok(false);
        }
        self.asked(&Command::Import { id: proposed.id }).await?;
        let how = if proposed.exact { "; its file is as it was before, byte for byte" } else { "" };
        eprintln!("{words}{how}.");
        Ok(true)
    }

    /// Waits until the organisation has all that is recorded.
    async fn hand_over(&self) -> Told<()> {
        let until = tokio::time::Instant::now() + DELIVERED_WITHIN;
        let mut told = false;
        loop {
            let standing: Standing = read(self.answer(&Command::Leave { step: Leave::Look }).await?)?;
            let Some(organisation) = standing.organisation.filter(|_| standing.undelivered > 0) else {
                return Ok(());
            };
            if !std::mem::replace(&mut told, true) {
                eprintln!("Handing over to {organisation} what is recorded.");
            }
            if !standing.signed_in || tokio::time::Instant::now() > until {
                if self.wish.keep_records || self.wish.delete_records {
                    return Ok(());
                }
                return Err(undelivered(&organisation, standing.undelivered, standing.signed_in));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Out of accounts first, which is recorded, and out of the organisation when that has been handed over.
    async fn sign_out(&self, standing: &Standing) -> Told<()> {
        if !standing.accounts.is_empty() {
            eprintln!("Forgetting your accounts.");
            self.signed_out(Leave::ForgetAccounts).await?;
            self.hand_over().await?;
        }
        if standing.signed_in {
            eprintln!("Signing out.");
            self.signed_out(Leave::SignOut).await?;
        }
        Ok(())
    }

    async fn signed_out(&self, step: Leave) -> Told<()> {
        let report = self.client.ask_within(&Command::Leave { step }, SIGNED_OUT_WITHIN).await;
        match report.map_err(|fault| fault.advice())? {
            Report::Refused { advice } if self.wish.as_it_is => {
                eprintln!("{advice}");
                Ok(())
            }
            answered @ (Report::Ok { .. } | Report::Refused { .. }) => read::<Value>(answered).map(drop),
        }
    }

    async fn asked(&self, command: &Command) -> Told<()> {
        read::<Value>(self.answer(command).await?).map(drop)
    }

    async fn answer(&self, command: &Command) -> Told<Report> {
        self.client.ask(command).await.map_err(|fault| fault.advice())
    }
}

fn undelivered(organisation: &str, count: usize, signed_in: bool) -> Advice {
    let todo = if signed_in {
        "Check the network connection, then do this once more; or leave the records here: deskgate uninstall --keep-records"
    } else {
        "Sign in with: deskgate sign-in. Then do this once more; or leave the records here: deskgate uninstall --keep-records"
    };
    Advice::new(
        "records-undelivered",
        format!("{organisation} has not received {count} of your records yet."),
        "Nothing was removed, and calls are refused until: deskgate resume. Your assistants are disconnected already, and have the servers again that were imported.",
        todo,
    )
}

fn read<T: DeserializeOwned>(report: Report) -> Told<T> {
    match report {
        Report::Ok { json, .. } => serde_json::from_value(json).map_err(|_| crate::import::unreadable()),
        Report::Refused { advice } => Err(advice),
    }
}
