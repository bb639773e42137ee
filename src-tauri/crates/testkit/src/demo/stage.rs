//! What runs while a person tries Deskgate out, and how it ends: by Ctrl-C, by quitting, or because a part has failed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use testkit::{
    Acme, Browser, Employee, Opened, PeerFault, Process, Program, Session, SessionParts, Spec, beside, until,
};
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use crate::desk::SOON;
use crate::guide::Guide;

/// Nobody tries anything out for longer.
const LONG: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Runs until the person has seen enough.
///
/// # Errors
/// If something does not start, or ends by itself with a failure.
pub(crate) async fn run() -> Result<(), PeerFault> {
    let mut interrupted = Interrupted::new()?;
    println!("Starting Acme: identity provider, mail, warehouse, log collector and control plane.");
    let started = tokio::select! {
        started = Stage::start() => Some(started?),
        () = interrupted.wait() => None,
    };
    if let Some(mut stage) = started {
        println!("{}", stage.guide()?);
        println!("Ctrl-C ends all of it.");
        let ended = tokio::select! {
            ended = stage.ends() => ended,
            () = interrupted.wait() => Ok(()),
        };
        println!("\nEnding Deskgate and Acme.");
        stage.end().await?;
        ended?;
    }
    println!("Everything has ended, and its folders are gone.");
    Ok(())
}

/// Acme, and Deskgate on this machine.
struct Stage {
    // Ended in this order, before the folder is removed.
    app: App,
    acme: Acme,
    address: Url,
    folder: TempDir,
}

impl Stage {
    async fn start() -> Result<Self, PeerFault> {
        let acme = Acme::start(&beside(Program::Control)?).await?;
        let folder = tempfile::Builder::new().prefix("deskgate-demo-").tempdir()?;
        let home = home(folder.path());
        std::fs::create_dir(&home)?;
        let mut app = if has_display() {
            App::in_the_tray(&home, &acme)?
        } else {
            App::without_display(&home, &acme).await?
        };
        let address = app.listens(&home).await?;
        offers(&address).await?;
        Ok(Self { app, acme, address, folder })
    }

    /// Lays out what the lines of the guide need, and returns the guide.
    fn guide(&self) -> Result<String, PeerFault> {
        let folder = self.folder.path();
        let guide = Guide {
            acme: &self.acme,
            home: &home(folder),
            address: &self.address,
            folder,
            opener: self.app.opener(),
        };
        let environment = folder.join("env");
        std::fs::write(&environment, guide.environment()?)?;
        Ok(format!("\n{}\n{}", self.app.greeting(), guide.text(&environment)?))
    }

    /// Waits until the person has quit, and shows the pages that would open in a browser.
    async fn ends(&mut self) -> Result<(), PeerFault> {
        let App { process, terminal, .. } = &mut self.app;
        let status = match terminal {
            None => process.wait(LONG).await?,
            Some(Terminal { opened, .. }) => tokio::select! {
                status = process.wait(LONG) => status?,
                fault = show_pages(opened, &self.address) => return Err(fault),
            },
        };
        if status.success() {
            return Ok(());
        }
        Err(PeerFault::answer(process.name(), format!("it ended with {status}:\n{}", process.log())))
    }

    async fn end(mut self) -> Result<(), PeerFault> {
        self.app.end().await
    }
}

/// The running application.
struct App {
    // Ended in this order.
    process: Process,
    _key: Option<KeptKey>,
    /// Where there is no display.
    terminal: Option<Terminal>,
}

/// A bus and a keychain, which a machine without a display has not, and a stand-in for the browser.
struct Terminal {
    opened: Opened,
    _session: Session,
}

impl App {
    /// In the person's own session: their display, their tray, their keychain.
    fn in_the_tray(home: &Path, acme: &Acme) -> Result<Self, PeerFault> {
        std::fs::write(home.join("deskgate.toml"), acme.organisation.settings())?;
        let spec = Spec::new("deskgate-desktop", beside(Program::Desktop)?).inherit_environment();
        // What web views keep lies there; it ends with the demo.
        let spec = spec.env("XDG_DATA_HOME", home.with_file_name("data"));
        let process = spec.env("DESKGATE_HOME", home).env("DESKGATE_LOG", "info").folder(home).start()?;
        Ok(Self {
            process: process.stopped_by(Signal::TERM),
            _key: Some(KeptKey(home.join("vault/id"))),
            terminal: None,
        })
    }

    async fn without_display(home: &Path, acme: &Acme) -> Result<Self, PeerFault> {
        let settings = format!("answer_in_terminal = true\n\n{}", acme.organisation.settings());
        std::fs::write(home.join("deskgate.toml"), settings)?;
        let (session, opened) = (Session::start(SessionParts::HEADLESS).await?, Opened::new()?);
        let spec = session.spec("deskgate serve", beside(Program::Deskgate)?).arg("serve");
        let process = spec.env("DESKGATE_HOME", home).env("PATH", opened.path()).folder(home).start()?;
        let terminal = Some(Terminal { opened, _session: session });
        Ok(Self { process: process.stopped_by(Signal::TERM), _key: None, terminal })
    }

    fn opener(&self) -> Option<&Path> {
        self.terminal.as_ref().map(|terminal| terminal.opened.folder())
    }

    fn greeting(&self) -> &'static str {
        match self.terminal {
            None => "Acme runs on this machine. Deskgate is in your tray, and its window is open.",
            Some(_) => {
                "Acme runs on this machine. There is no display (neither DISPLAY nor WAYLAND_DISPLAY is set), so\n\
                 Deskgate runs without tray and windows: `deskgate serve`."
            }
        }
    }

    async fn listens(&mut self, home: &Path) -> Result<Url, PeerFault> {
        let port_file = home.join("port");
        let port = self
            .process
            .ready("an open port", SOON, async |_| {
                let port = std::fs::read_to_string(&port_file).ok()?.trim().parse::<u16>().ok()?;
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok().map(|_| port)
            })
            .await?;
        Ok(Url::parse(&format!("http://127.0.0.1:{port}"))?)
    }

    async fn end(&mut self) -> Result<(), PeerFault> {
        if self.process.ended()?.is_none() {
            self.process.signal(Signal::TERM)?;
        }
        self.process.wait(SOON).await.map(drop)
    }
}

/// Waits until the policy of Acme is in force.
async fn offers(address: &Url) -> Result<(), PeerFault> {
    let about = address.join("/.well-known/oauth-protected-resource/s/analyst/mcp")?;
    until("the virtual server", SOON, async || {
        reqwest::get(about.clone()).await.is_ok_and(|answer| answer.status().is_success()).then_some(())
    })
    .await
}

/// Says which pages a browser would have opened. The gateway's own page asks a person nothing: it is opened here.
async fn show_pages(opened: &mut Opened, gateway: &Url) -> PeerFault {
    loop {
        let page = match opened.next(LONG).await {
            Ok(page) => page,
            Err(fault) => return fault,
        };
        if page.origin() == gateway.origin() {
            tokio::spawn(wait_at(page));
            println!("\nAn assistant asks to be let in: `deskgate pending` says which.");
        } else {
            println!("\nOpen this page in a browser on this machine:\n{page}");
            println!("or, where there is none: deskgate-demo browse alice '{page}'");
        }
    }
}

/// Stands in for the browser of an assistant that waits for consent.
pub(crate) async fn wait_at(page: Url) -> Result<(), PeerFault> {
    Browser::new(Employee::alice())?.open(&page).await.map(drop)
}

fn home(folder: &Path) -> PathBuf {
    folder.join("home")
}

fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// The key of the demo's vault, which the tray application keeps in the person's keychain; taken out when dropped. Named
/// by the file with the vault's id.
struct KeptKey(PathBuf);

impl Drop for KeptKey {
    fn drop(&mut self) {
        let Ok(id) = std::fs::read_to_string(&self.0) else { return };
        let Some(id) = id.trim_end().rsplit(':').next() else { return };
        let entry = format!("vault-key/{id}");
        let cleared = Command::new("secret-tool")
            .args(["clear", "service", "dev.deskgate", "username", &entry])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !cleared.is_ok_and(|status| status.success()) {
            println!("If your keychain kept an entry of “dev.deskgate” named {entry}, remove it.");
        }
    }
}

/// Ctrl-C, the end of the terminal, or a request to end.
pub(crate) struct Interrupted([tokio::signal::unix::Signal; 3]);

impl Interrupted {
    pub(crate) fn new() -> Result<Self, PeerFault> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    pub(crate) async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
