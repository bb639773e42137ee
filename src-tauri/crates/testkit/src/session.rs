//! A desktop session of its own: home, session bus, unlocked keychain and, where asked for, a display with window
//! manager, panel and notification daemon. Several run side by side; each ends with its value.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::place::debian;
use crate::process::{kill_one, marked};
use crate::{PeerFault, Process, Spec, until};

/// Under load a panel takes its time.
const START: Duration = Duration::from_secs(90);

/// A panel with one item: the notification area that shows StatusNotifier items.
const PANEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="size" type="uint" value="28"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray"/>
  </property>
</channel>
"#;

/// Notifications stay until somebody or the program that showed them takes them away: how fast a test is makes no difference.
///
/// In its menu of actions the person chooses what denies (`dmenu` is given the lines, and says which one).
const DUNST: &str =
    "[global]\ndmenu = grep -m1 Deny\n[urgency_low]\ntimeout = 0\n[urgency_normal]\ntimeout = 0\n";

/// What a session has beside its home and its bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionParts {
    /// gnome-keyring with an unlocked default collection.
    pub keychain: bool,
    /// Xvfb with the window manager openbox.
    pub display: bool,
    /// xfce4-panel, a host for StatusNotifier items. Needs the display.
    pub panel: bool,
    /// dunst, a notification daemon. Needs the display.
    pub notifications: bool,
}

impl SessionParts {
    /// No display: what a remote host or CI has.
    pub const HEADLESS: Self = Self { keychain: true, display: false, panel: false, notifications: false };
    /// Everything that a person at a desk has.
    pub const DESKTOP: Self = Self { keychain: true, display: true, panel: true, notifications: true };
}

/// A running session.
#[derive(Debug)]
pub struct Session {
    // Ended in this order, before the folder is removed.
    programs: Vec<Process>,
    display: Option<Process>,
    bus: Option<Process>,
    environment: Vec<(&'static str, OsString)>,
    marker: String,
    folder: TempDir,
}

impl Session {
    /// Starts one and waits until all of its parts can be used.
    ///
    /// # Errors
    /// If a part cannot be started.
    pub async fn start(parts: SessionParts) -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-session-").tempdir()?;
        let environment = lay_out(folder.path())?;
        let marker = format!("DESKGATE_TEST_SESSION={}", folder.path().display());
        let mut session =
            Self { programs: Vec::new(), display: None, bus: None, environment, marker, folder };
        if parts.display {
            session.start_display().await?;
        }
        session.start_bus().await?;
        if parts.keychain {
            session.start_keychain().await?;
        }
        if parts.display {
            session.start_window_manager().await?;
        }
        if parts.panel {
            session
                .start_owner("xfce4-panel", &["--disable-wm-check"], "org.kde.StatusNotifierWatcher")
                .await?;
        }
        if parts.notifications {
            let settings = session.folder.path().join("dunstrc");
            std::fs::write(&settings, DUNST)?;
            let settings = settings.display().to_string();
            session.start_owner("dunst", &["-conf", &settings], "org.freedesktop.Notifications").await?;
        }
        Ok(session)
    }

    /// The session's home folder.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Variables that put a program into this session.
    pub fn environment(&self) -> &[(&'static str, OsString)] {
        &self.environment
    }

    /// A program in this session.
    pub fn spec(&self, name: &str, program: impl Into<PathBuf>) -> Spec {
        Spec::new(name, program).envs(self.environment.iter().map(|(name, value)| (*name, value)))
    }

    /// A command in this session, to run and wait for.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null());
        for name in ["PATH", "LANG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// Whether somebody owns this name on the session bus.
    pub fn owned(&self, name: &str) -> bool {
        let output = self
            .command("dbus-send")
            .args([
                "--session",
                "--print-reply=literal",
                "--dest=org.freedesktop.DBus",
                "/org/freedesktop/DBus",
            ])
            .args(["org.freedesktop.DBus.NameHasOwner", &format!("string:{name}")])
            .output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("boolean true"))
    }

    /// A picture of the whole display, as a PNG file.
    ///
    /// # Errors
    /// If there is no display or the file cannot be written.
    pub fn picture(&self, file: &Path) -> Result<(), PeerFault> {
        self.scrot(&[], file)
    }

    fn scrot(&self, options: &[&str], file: &Path) -> Result<(), PeerFault> {
        let mut scrot = self.command("scrot");
        let output = scrot.args(["--overwrite", "--silent"]).args(options).arg(file).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(PeerFault::answer("scrot", String::from_utf8_lossy(&output.stderr)))
    }

    /// Opens the menu of the tray icon, alone on the screen, and takes its picture: a PNG in `target/pictures`.
    ///
    /// # Errors
    /// If there is no panel, or no menu opens.
    pub async fn picture_of_tray_menu(&self, name: &str) -> Result<PathBuf, PeerFault> {
        // Other windows would shine through beside it.
        self.xdotool(&["search", "--onlyvisible", "--name", "wants to use|^Deskgate$", "windowunmap", "%@"]);
        self.xdotool(&["mousemove", "14", "14", "click", "3"]);
        let (width, height) = until("the menu", START, async || self.menu_below_the_panel()).await?;
        let file = crate::place::pictures()?.join(name).with_extension("png");
        self.scrot(&["--autoselect", &format!("0,0,{width},{height}")], &file)?;
        Ok(file)
    }

    /// How far to the right and down the window reaches that the panel has opened beside itself.
    fn menu_below_the_panel(&self) -> Option<(u32, u32)> {
        let windows = self.xdotool(&["search", "--onlyvisible", "--class", "xfce4-panel|wrapper"])?;
        windows.lines().find_map(|window| {
            let told = self.xdotool(&["getwindowgeometry", "--shell", window])?;
            let of = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.parse::<u32>().ok());
            let (width, height) = (of("WIDTH=")?, of("HEIGHT=")?);
            (height > 100 && width > 100).then_some((width + of("X=")?, height + of("Y=")?))
        })
    }

    fn xdotool(&self, arguments: &[&str]) -> Option<String> {
        let output = self.command("xdotool").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ends a part of the session, such as `gnome-keyring-daemon`, as if it had crashed.
    pub fn end(&mut self, program: &str) {
        self.programs.retain(|process| process.name() != program);
    }

    async fn start_display(&mut self) -> Result<(), PeerFault> {
        // Xvfb takes the first free number by itself and prints it.
        let mut display = self
            .spec("Xvfb", debian("Xvfb")?)
            .args(["-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp", "-noreset"])
            .start()?;
        let number = display
            .ready("a display number", START, async |log| {
                let whole = log.rsplit_once('\n')?.0;
                whole.lines().find_map(|line| line.trim().parse::<u32>().ok())
            })
            .await?;
        self.environment.push(("DISPLAY", format!(":{number}").into()));
        self.display = Some(display);
        Ok(())
    }

    async fn start_bus(&mut self) -> Result<(), PeerFault> {
        // Its own address would be a socket in the system's temporary folder, which stays when the bus is killed.
        let address = format!("--address=unix:dir={}", crate::place::text(self.folder.path()));
        let mut bus = self
            .spec("dbus-daemon", debian("dbus-daemon")?)
            .args(["--session", "--nofork", "--nopidfile", "--print-address=1", &address])
            .start()?;
        let address = bus.ready_line("unix:", START).await?;
        self.environment.push(("DBUS_SESSION_BUS_ADDRESS", format!("unix:{address}").into()));
        self.bus = Some(bus);
        Ok(())
    }

    /// Unlocks the keychain, as its owner does: the bus has started a locked one where a program asked for it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn unlock_keychain(&mut self) -> Result<(), PeerFault> {
        const NAME: &str = "gnome-keyring-daemon";
        self.end(NAME);
        let is_keychain = |id: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
            // The kernel keeps 15 characters of a name.
            !name.trim().is_empty() && NAME.starts_with(name.trim())
        };
        marked(&self.marker).into_iter().filter(is_keychain).for_each(kill_one);
        until("the locked one's end", START, async || (!self.owned("org.freedesktop.secrets")).then_some(()))
            .await?;
        self.start_keychain().await
    }

    async fn start_keychain(&mut self) -> Result<(), PeerFault> {
        let mut keychain = self
            .spec("gnome-keyring-daemon", debian("gnome-keyring-daemon")?)
            .args(["--foreground", "--unlock", "--components=secrets"])
            .input("a test's keychain")
            .start()?;
        keychain
            .ready("its name on the bus", START, async |_| {
                self.owned("org.freedesktop.secrets").then_some(())
            })
            .await?;
        self.programs.push(keychain);
        Ok(())
    }

    async fn start_window_manager(&mut self) -> Result<(), PeerFault> {
        let mut manager = self.spec("openbox", debian("openbox")?).start()?;
        manager
            .ready("the number of desktops", START, async |_| {
                let asked = self.command("xdotool").arg("get_num_desktops").output();
                asked.is_ok_and(|output| output.status.success()).then_some(())
            })
            .await?;
        self.programs.push(manager);
        Ok(())
    }

    async fn start_owner(&mut self, program: &str, arguments: &[&str], owns: &str) -> Result<(), PeerFault> {
        let mut process = self.spec(program, debian(program)?).args(arguments).start()?;
        process.ready(owns, START, async |_| self.owned(owns).then_some(())).await?;
        self.programs.push(process);
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.programs.clear();
        // The bus has started programs by itself; each carries the session's marker in its environment.
        drop(self.bus.take());
        for id in marked(&self.marker) {
            kill_one(id);
        }
        drop(self.display.take());
    }
}

/// Makes the folders and returns the variables that lead there.
fn lay_out(root: &Path) -> Result<Vec<(&'static str, OsString)>, PeerFault> {
    let home = root.join("home");
    let folders = [
        ("HOME", home.clone()),
        ("XDG_CONFIG_HOME", home.join(".config")),
        ("XDG_DATA_HOME", home.join(".local/share")),
        ("XDG_STATE_HOME", home.join(".local/state")),
        ("XDG_CACHE_HOME", home.join(".cache")),
        ("XDG_RUNTIME_DIR", root.join("run")),
    ];
    let mut environment = Vec::new();
    for (name, folder) in folders {
        std::fs::create_dir_all(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        environment.push((name, folder.into_os_string()));
    }
    let panel = home.join(".config/xfce4/xfconf/xfce-perchannel-xml");
    std::fs::create_dir_all(&panel)?;
    std::fs::write(panel.join("xfce4-panel.xml"), PANEL)?;
    environment.push(("DESKGATE_TEST_SESSION", root.as_os_str().to_owned()));
    environment.push(("GSETTINGS_BACKEND", "memory".into()));
    environment.push(("GIO_USE_VFS", "local".into()));
    environment.push(("LIBGL_ALWAYS_SOFTWARE", "1".into()));
    environment.push(("XDG_SESSION_TYPE", "x11".into()));
    environment.push(("XDG_CURRENT_DESKTOP", "XFCE".into()));
    Ok(environment)
}
