//! The employee at the desk: what they see in tray, windows and notifications, and what they do there. An act fails with
//! what was there instead.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use testkit::{
    Browser, Claude, Desktop, Employee, Opened, PeerFault, Program, Role, Screen, Tray, beside, until,
};
use url::Url;

/// Long enough for a machine under load; everything is waited for by condition.
pub(crate) const SOON: Duration = Duration::from_secs(60);

const SIGN_IN: &str = "Sign in to Acme";

/// Somebody at this desktop.
pub(crate) struct Desk<'a>(pub(crate) &'a mut Desktop);

impl Desk<'_> {
    pub(crate) async fn is_offered_to_sign_in(&mut self) -> Result<(), PeerFault> {
        self.0.tray().await?.entry("Sign in to Acme…").await.map(drop)
    }

    pub(crate) async fn signs_in(&mut self, employee: &Employee) -> Result<(), PeerFault> {
        self.0.tray().await?.choose("Sign in to Acme…").await?;
        self.0.sign_in(SIGN_IN, employee).await?;
        self.0.screen().await?.gone(SIGN_IN).await
    }

    /// The tray names the employee, and this version of Acme's policy is in force.
    pub(crate) async fn is_ready(&mut self, employee: &Employee, version: u64) -> Result<(), PeerFault> {
        let tray = self.0.tray().await?;
        tray.entry(&format!("{}, Acme", employee.email)).await?;
        tray.entry("Ready. ").await?;
        tray.entry("Copy URL of Analyst").await?;
        self.obeys(version).await
    }

    pub(crate) async fn obeys(&mut self, version: u64) -> Result<(), PeerFault> {
        let output = self.0.deskgate(&beside(Program::Deskgate)?, &["status", "--json"]).await?;
        let status: Value = serde_json::from_slice(&output.stdout)?;
        let policy = &status["policy"];
        let obeyed = policy["version"] == format!("acme {version}") && policy["freshness"] == "fresh";
        expect(obeyed, "deskgate status", || status.to_string())
    }

    pub(crate) async fn was_notified(&mut self) -> Result<(), PeerFault> {
        let told = self.0.notifications().await?;
        expect(told.iter().any(|title| title == SIGN_IN), "notifications", || format!("{told:?}"))
    }

    pub(crate) async fn lets_claude_in(
        &mut self,
        claude: &Claude,
        mut opened: Opened,
    ) -> Result<(), PeerFault> {
        let mut login = claude.start_login("analyst", &opened)?;
        let page = opened.next(SOON).await?;
        let window = lets_in(self.0, &page, "claude").await?;
        let status = login.wait(SOON).await?;
        expect(status.success(), "claude mcp login", || login.log())?;
        expect(window.starts_with("Claude Code"), "the title of the question", || window)
    }

    /// Looks for the secrets of the warehouse in every file below `DESKGATE_HOME`.
    pub(crate) async fn holds_no_secret(&mut self) -> Result<(), PeerFault> {
        let files = files_below(self.0.home())?;
        expect(files.len() > 5, "the folder of Deskgate", || format!("only {files:?}"))?;
        for file in files {
            let bytes = std::fs::read(&file)?;
            for role in [Role::Analyst, Role::Finance] {
                let secret = role.password().as_bytes();
                let found = bytes.windows(secret.len()).any(|window| window == secret);
                expect(!found, "the folder of Deskgate", || format!("{} holds it", file.display()))?;
            }
        }
        Ok(())
    }

    pub(crate) async fn record_is_whole(&mut self) -> Result<(), PeerFault> {
        let output = self.0.deskgate(&beside(Program::Deskgate)?, &["audit", "verify"]).await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        expect(output.status.success(), "deskgate audit verify", || said)
    }

    pub(crate) async fn record_is_in_sync(&mut self) -> Result<(), PeerFault> {
        let tray = self.0.tray().await?;
        let in_sync = until("“in sync” in the tray", SOON, async || {
            let lines = tray.lines().await.ok()?;
            lines.iter().any(|line| line.starts_with("Audit: ") && line.ends_with("in sync")).then_some(())
        });
        in_sync.await
    }

    pub(crate) async fn signs_out(&mut self) -> Result<(), PeerFault> {
        let tray = self.0.tray().await?;
        tray.choose("Sign out…").await?;
        let screen = self.0.screen().await?;
        screen.press("Deskgate", "Sign out of Acme").await?;
        screen.press("Deskgate", "Sign out").await?;
        // The provider asks in its own window whether she wants to leave there as well.
        screen.press("Sign out of Acme", "Sign out").await?;
        tray.entry("Not signed in to Acme").await.map(drop)
    }

    pub(crate) async fn quits(&mut self) -> Result<(), PeerFault> {
        self.0.tray().await?.choose("Quit Deskgate").await?;
        let Some(process) = self.0.process() else { return Ok(()) };
        let status = process.wait(SOON).await?;
        expect(status.success(), "deskgate-desktop", || format!("it ended with {status}"))
    }
}

/// Answers the question whether an assistant may use a virtual server, whose page the assistant has opened: looks who
/// asks and allows. Returns the title of the question.
pub(crate) async fn lets_in(desktop: &mut Desktop, page: &Url, program: &str) -> Result<String, PeerFault> {
    let (tray, screen) = (desktop.tray().await?, desktop.screen().await?);
    // The page needs no person: consent is given in the window.
    let mut browser = Browser::new(Employee::alice())?;
    let (_page, window) = tokio::try_join!(browser.open(page), allows(&tray, &screen, program))?;
    Ok(window)
}

async fn allows(tray: &Tray, screen: &Screen, program: &str) -> Result<String, PeerFault> {
    let title = until("a question in the tray", SOON, async || {
        let lines = tray.lines().await.ok()?;
        let asks = |line: &String| line.contains(" wants to use ");
        lines.into_iter().find(asks).map(|line| line.trim_end_matches('…').to_owned())
    })
    .await?;
    screen.shows(&title, program).await?;
    screen.press(&title, "Allow").await?;
    screen.gone(&title).await?;
    Ok(title)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, PeerFault> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// Whether it is as it should be; told of `who` otherwise.
pub(crate) fn expect(holds: bool, who: &str, told: impl FnOnce() -> String) -> Result<(), PeerFault> {
    if holds { Ok(()) } else { Err(PeerFault::answer(who, told())) }
}
