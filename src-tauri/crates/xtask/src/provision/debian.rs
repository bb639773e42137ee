//! Debian's and Ubuntu's packages: what the desktop program links, and what its tests run against.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::process::Command;

use super::Need;
use crate::run::{Fault, ask, run, say};
use crate::workspace::{self, on_path};

/// To build; OpenSSL for what the full tests alone talk to.
const BUILD: &[&str] = &[
    "build-essential",
    "pkg-config",
    "libwebkit2gtk-4.1-dev",
    "libgtk-3-dev",
    "librsvg2-dev",
    "libssl-dev",
    "python3-venv",
];

/// To run and to test: a display, a session bus, a keychain, a panel, a notification daemon, a database, SSH, a clock that can be moved,
/// a machine that is said to sleep, PHP for a SAML identity provider.
const RUN: &[&str] = &[
    "adwaita-icon-theme",
    "at-spi2-core",
    "curl",
    "dbus",
    "dunst",
    "faketime",
    "fonts-dejavu-core",
    "gnome-keyring",
    "libnotify-bin",
    "libsecret-tools",
    "openbox",
    "openssh-client",
    "php-cli",
    "php-mbstring",
    "php-xml",
    "polkitd",
    "postgresql",
    "python3-dbusmock",
    "scrot",
    "systemd",
    "webkit2gtk-driver",
    "xauth",
    "xclip",
    "xdg-utils",
    "xdotool",
    "xfce4-panel",
    "xvfb",
];

/// To make packages and to try them: a clean root, a wall around it, and RPM's own tools.
const PACKAGING: &[&str] = &["bubblewrap", "cpio", "mmdebstrap", "rpm", "rpm2cpio"];

/// What is unpacked and not installed, because it would bring a server that starts by itself: the packages, by the folder that they go to.
const SAML: (&str, &[&str]) = ("simplesamlphp", &["simplesamlphp"]);
const SSH: (&str, &[&str]) = ("ssh", &["libwrap0", "openssh-server", "socat"]);
const SYSLOG: (&str, &[&str]) =
    ("rsyslog", &["libestr0", "libfastjson4", "liblognorm5", "rsyslog", "rsyslog-gnutls"]);

/// What is missing.
pub(super) fn need() -> Result<Need, Fault> {
    if on_path("dpkg-query").is_none() {
        say(&format!("not a Debian system: its counterparts of these are needed: {}", all().join(" ")));
        return Ok(Need::Nothing);
    }
    let missing = missing(&all());
    if missing.is_empty() {
        return Ok(Need::Nothing);
    }
    let what = missing.join(" ");
    Ok(Need::Missing { what, install: Box::new(move || install(&missing)) })
}

/// Installs what packages are made and tried with.
pub(super) fn packaging() -> Result<(), Fault> {
    if on_path("dpkg-query").is_none() {
        return Err(Fault::Missing("packages are made and tried on Debian or Ubuntu".to_owned()));
    }
    let missing = missing(PACKAGING);
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

/// Whether the SAML identity provider has to be unpacked.
pub(super) fn need_saml() -> Need {
    need_unpacked(SAML, "SimpleSAMLphp for tests")
}

/// Whether the SSH server has to be unpacked.
pub(super) fn need_ssh() -> Need {
    need_unpacked(SSH, "OpenSSH's server and socat for tests")
}

/// Whether the syslog server has to be unpacked.
pub(super) fn need_syslog() -> Need {
    need_unpacked(SYSLOG, "rsyslog for tests")
}

fn need_unpacked((name, packages): (&'static str, &'static [&'static str]), what: &str) -> Need {
    let folder = workspace::tools().join(name);
    let done = folder.join("unpacked");
    if done.exists() || on_path("apt-get").is_none() {
        return Need::Nothing;
    }
    let install = move || {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|source| Fault::file(&folder, source))?;
        }
        std::fs::create_dir_all(&folder).map_err(|source| Fault::file(&folder, source))?;
        run(Command::new("apt-get").args(["-q", "download"]).args(packages).current_dir(&folder))?;
        let entries = std::fs::read_dir(&folder).map_err(|source| Fault::file(&folder, source))?;
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let found: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "deb")).collect();
        if found.len() != packages.len() {
            return Err(Fault::Output("apt-get download"));
        }
        for package in found {
            run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&folder))?;
            std::fs::remove_file(&package).map_err(|source| Fault::file(&package, source))?;
        }
        std::fs::write(&done, "").map_err(|source| Fault::file(&done, source))
    };
    Need::Missing { what: what.to_owned(), install: Box::new(install) }
}

fn all() -> Vec<&'static str> {
    BUILD.iter().chain(RUN).copied().collect()
}

fn missing(wanted: &[&'static str]) -> Vec<&'static str> {
    // Exits non-zero when a package is unknown, and still prints the others.
    let printed = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(wanted)
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let there: BTreeSet<&str> = printed.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    wanted.iter().copied().filter(|package| !there.contains(package)).collect()
}

fn install(packages: &[&str]) -> Result<(), Fault> {
    let Some(prefix) = privilege() else {
        return Err(Fault::Missing(format!(
            "Debian packages are missing and this user may not install them. Run this once, then try again:\n\
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
            packages.join(" ")
        )));
    };
    run(apt(prefix).arg("update"))?;
    run(apt(prefix).args(["install", "-y", "--no-install-recommends"]).args(packages))
}

fn apt(prefix: &[&str]) -> Command {
    let mut words = prefix.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
    let mut command = Command::new(words.next().unwrap_or("env"));
    command.args(words);
    command
}

/// How to become root: not at all, by sudo, or `None` where it cannot be done.
pub(super) fn privilege() -> Option<&'static [&'static str]> {
    if ask(Command::new("id").arg("-u"))?.trim() == "0" {
        return Some(&[]);
    }
    on_path("sudo")?;
    if ask(Command::new("sudo").args(["-n", "true"])).is_some() {
        return Some(&["sudo", "-n"]);
    }
    // sudo asks on the terminal itself.
    std::io::stdin().is_terminal().then_some(&["sudo"])
}
