//! Installing: the desktop's side, which asks for an administrator, and the administrator's, which runs as root.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use ::updates::{Form, Installing, Keys, take_over};
use audit::{AuditEvent, EventRecord};
use model::{Advice, ForPerson as _, ReleaseVersion};

use super::{Updates, command_line, installed, switched_off};
use crate::app::machine::Machine;
use crate::state::{ReadyUpdate, UpdateState};

/// Asks for an administrator (polkit; action `dev.deskgate.update`).
const PKEXEC: &str = "/usr/bin/pkexec";
/// What runs as root: where packages put it, whatever program this is.
const DESKGATE: &str = "/usr/bin/deskgate";
/// Where root's copy lies for the moment.
const FOLDER: &str = "/var/cache/deskgate";
/// With this pkexec ends where the person closes its question (pkexec(1), RETURN VALUE).
const CLOSED: i32 = 126;
/// And with this where nobody could be asked, or nobody proved to be allowed.
const NOT_ALLOWED: i32 = 127;

/// What an administrator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallWish {
    /// The package.
    pub package: PathBuf,
    /// Whether it may be an earlier version.
    pub allow_older: bool,
}

/// Verifies a package in a folder of root's own, and installs it. Blocks until that is done.
///
/// # Errors
/// Why nothing was installed.
pub fn install(wish: &InstallWish) -> Result<ReleaseVersion, Advice> {
    if os::current_user().0 != 0 {
        return Err(Advice::new(
            "update-root",
            "Only an administrator can install an update.",
            "",
            format!("Type: {}", command_line(&wish.package)),
        ));
    }
    // Whoever may update without a password may not bring back what a later version has mended.
    if wish.allow_older && std::env::var_os("PKEXEC_UID").is_some() {
        return Err(Advice::new(
            "update-older-asked",
            "An earlier version is installed by an administrator's own hand only.",
            "",
            format!("Type: {} --allow-older", command_line(&wish.package)),
        ));
    }
    if !Machine::read().allows_updates() {
        return Err(switched_off());
    }
    let (Some(form), Some(running)) = (Form::of_program(), ::updates::running()) else {
        return Err(Advice::new(
            "update-form",
            "This Deskgate was not installed from a Debian or RPM package.",
            "It cannot update itself.",
            "Update it by whatever installed it.",
        ));
    };
    let keys = Keys::of_program();
    let folder = Path::new(FOLDER);
    let installing = Installing {
        package: &wish.package,
        keys: &keys,
        form,
        running,
        allow_older: wish.allow_older,
        folder,
    };
    let installed = take_over(&installing).and_then(::updates::TakenOver::install);
    // Empty again; another installation may be under way in it.
    let _ = std::fs::remove_dir(folder);
    installed.map_err(|fault| fault.advice())
}

impl Updates {
    /// Has an administrator asked, and what is ready installed.
    pub(crate) async fn install(&self) {
        let _alone = self.0.busy.lock().await;
        let before = self.0.state.borrow().clone();
        let UpdateState::Ready(ReadyUpdate { version, package, is_older: false, .. }) = &before else {
            tracing::info!("there is nothing to install");
            return;
        };
        let version = *version;
        self.is(UpdateState::Installing { version });
        let mut command = tokio::process::Command::new(PKEXEC);
        command.arg(DESKGATE).args(["update", "--install"]).arg(package);
        let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).output().await;
        let state = match ended {
            Ok(said) if said.status.success() => {
                let record =
                    EventRecord::new(AuditEvent::UpdateInstalled).with("version", version.to_string());
                self.note(record.with("running", env!("CARGO_PKG_VERSION")));
                let version = installed::other_version().await.unwrap_or(version);
                UpdateState::Installed { version }
            }
            Ok(said) if said.status.code() == Some(CLOSED) => before.clone(),
            Ok(said) if said.status.code() == Some(NOT_ALLOWED) => {
                UpdateState::Failed(nobody("nobody proved to be allowed", package))
            }
            Ok(said) => UpdateState::Failed(refused(&String::from_utf8_lossy(&said.stderr))),
            Err(error) => UpdateState::Failed(nobody(&format!("pkexec: {error}"), package)),
        };
        self.is(state);
    }
}

fn refused(said: &str) -> Advice {
    tracing::error!(said, "the update was not installed");
    let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it did not say why");
    Advice::new(
        "update-not-installed",
        format!("The update was not installed: {}", model::visible(first)),
        "The version that runs goes on working.",
        "Tell your IT department.",
    )
}

fn nobody(why: &str, package: &Path) -> Advice {
    Advice::new(
        "update-nobody",
        format!("No administrator has installed the update: {why}."),
        "",
        format!("An administrator installs the update by: {}", command_line(package)),
    )
}
