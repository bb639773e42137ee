//! What packages carry, and where it goes.

/// A package, for Debian and RPM alike.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    /// Programs, which go to `/usr/bin`. The one that is named like the package writes its pages.
    pub(super) programs: &'static [&'static str],
    /// The crates of its programs.
    pub(super) crates: &'static [&'static str],
    /// Whether one of its programs shows the interface.
    pub(super) shows_interface: bool,
    /// Committed files, by their place in the checkout.
    pub(super) files: &'static [File],
    /// Folders of its own, and their modes.
    pub(super) folders: &'static [(&'static str, u32)],
    /// Packages that it needs beside the libraries that its programs load, by a name that Debian and Fedora share.
    pub(super) needed: &'static [&'static str],
    /// Debian packages that most people want beside it.
    pub(super) recommended: &'static [&'static str],
    pub(super) scripts: Option<Scripts>,
}

/// A committed file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) mode: u32,
    /// Whether it is the administrator's to change: an upgrade keeps what they wrote.
    pub(super) configuration: bool,
}

/// What runs as root when a package comes and goes, in plain `sh`.
#[derive(Debug)]
pub(super) struct Scripts {
    /// After installing; `$upgraded` is `yes` where an earlier version was there.
    pub(super) installed: &'static str,
    /// Before removing; not at an upgrade.
    pub(super) removing: &'static str,
    /// After removing.
    pub(super) removed: &'static str,
}

const fn file(from: &'static str, to: &'static str) -> File {
    File { from, to, mode: 0o644, configuration: false }
}

/// The tray application and the command line. Nobody's data is touched by installing, upgrading or removing it.
pub(super) const DESKGATE: Package = Package {
    name: "deskgate",
    summary: "local gateway between AI assistants and company tools",
    description: "A tray application and a command line that stand between AI assistants (MCP clients) and their tools (MCP servers):\n\
                      an assistant gets in only when the person says so, policy is asked before every call, and every call is recorded.",
    programs: &["deskgate", "deskgate-desktop"],
    crates: &["src-tauri/crates/cli/Cargo.toml", "Cargo.toml"],
    shows_interface: true,
    files: &[
        file("src-tauri/linux/deskgate-desktop.desktop", "usr/share/applications/deskgate-desktop.desktop"),
        file(
            "src-tauri/linux/dev.deskgate.approve.policy",
            "usr/share/polkit-1/actions/dev.deskgate.approve.policy",
        ),
        file(
            "src-tauri/linux/dev.deskgate.update.policy",
            "usr/share/polkit-1/actions/dev.deskgate.update.policy",
        ),
        file("icons/icon-32.png", "usr/share/icons/hicolor/32x32/apps/deskgate.png"),
        file("icons/icon-64.png", "usr/share/icons/hicolor/64x64/apps/deskgate.png"),
        file("icons/icon-128.png", "usr/share/icons/hicolor/128x128/apps/deskgate.png"),
        file("icons/icon-256.png", "usr/share/icons/hicolor/256x256/apps/deskgate.png"),
        file("icons/icon.png", "usr/share/icons/hicolor/512x512/apps/deskgate.png"),
        file("icons/icon.svg", "usr/share/icons/hicolor/scalable/apps/deskgate.svg"),
        file(
            "src-tauri/managed/10-deskgate.json",
            "usr/share/doc/deskgate/examples/managed.d/10-deskgate.json",
        ),
    ],
    folders: &[],
    needed: &["ca-certificates"],
    recommended: &["gnome-keyring", "pkexec", "polkitd", "xdg-utils"],
    scripts: None,
};

/// The control plane.
pub(super) const CONTROL: Package = Package {
    name: "deskgate-control",
    summary: "control plane of a Deskgate organisation",
    description: "The server from which the desktops of an organisation get signed policy, shared accounts and sessions, and to which\n\
                      they deliver their records; and the tools with which IT writes and publishes that policy.",
    programs: &["deskgate-control"],
    crates: &["src-tauri/crates/control/Cargo.toml"],
    shows_interface: false,
    files: &[
        file(
            "src-tauri/crates/control/deskgate-control.service",
            "usr/lib/systemd/system/deskgate-control.service",
        ),
        File {
            from: "src-tauri/linux/control/environment",
            to: "etc/deskgate/control/environment",
            mode: 0o600,
            configuration: true,
        },
        file("ADMIN.md", "usr/share/doc/deskgate-control/ADMIN.md"),
    ],
    folders: &[("etc/deskgate/control", 0o700)],
    needed: &["ca-certificates"],
    recommended: &["systemd"],
    scripts: Some(Scripts {
        installed: include_str!("../../../../linux/control/installed.sh"),
        removing: include_str!("../../../../linux/control/removing.sh"),
        removed: include_str!("../../../../linux/control/removed.sh"),
    }),
};
