//! Installing: the desktop's side, which asks for an administrator, and the administrator's, which runs as root.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use ::updates::{Form, InstallFault, Installing, Keys, PARTLY, Turn, take_over};
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
/// Locked while something is installed. Not in the folder, which is removed.
const LOCK: &str = "/run/deskgate-update.lock";
/// How the program ends where nothing was installed.
const REFUSED: u8 = 1;
/// And where the system's tool began, and failed.
const FAILED_PARTLY: u8 = 3;
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

impl InstallWish {
    /// The code that the program ends with after this refusal; the desktop, which waits for it, tells by it what may have happened.
    pub fn exit_code(why: &Advice) -> u8 {
        if why.code == PARTLY { FAILED_PARTLY } else { REFUSED }
    }
}

/// Verifies a package in a folder of root's own, and installs it. Blocks until that is done.
///
/// # Errors
/// Why it was not installed, and whether it may be in part.
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
    let Some(form) = Form::of_program() else {
        return Err(Advice::new(
            "update-form",
            "This Deskgate was not installed from a Debian or RPM package.",
            "It cannot update itself.",
            "Update it by whatever installed it.",
        ));
    };
    install_as(form, wish).map_err(|fault| fault.advice())
}

/// Installs it while nobody else does. What counts as installed is what the system says then, not the version of this program: another
/// may have been installed since it started.
fn install_as(form: Form, wish: &InstallWish) -> Result<ReleaseVersion, InstallFault> {
    let turn = Turn::take(Path::new(LOCK))?;
    let running = form.installed()?;
    let keys = Keys::of_program();
    let folder = Path::new(FOLDER);
    let installing = Installing {
        package: &wish.package,
        keys: &keys,
        form,
        running,
        allow_older: wish.allow_older,
        folder,
        turn: &turn,
    };
    let installed = take_over(&installing).and_then(::updates::TakenOver::install);
    // Empty again.
    let _ = std::fs::remove_dir(folder);
    installed
}

impl Updates {
    /// Has an administrator asked, and what is ready installed.
    pub(crate) async fn install(&self) {
        if matches!(*self.0.state.borrow(), UpdateState::Installing { .. }) {
            tracing::info!("an update is being installed already");
            return;
        }
        let _alone = self.0.busy.lock().await;
        let before = self.0.state.borrow().clone();
        let UpdateState::Ready(ready @ ReadyUpdate { version, package, is_older: false, .. }) = &before
        else {
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
            Ok(said) if said.status.code() == Some(CLOSED) => UpdateState::Ready(ready.again()),
            Ok(said) if said.status.code() == Some(NOT_ALLOWED) => {
                UpdateState::Failed(nobody("nobody proved to be allowed", package))
            }
            Ok(said) => {
                UpdateState::Failed(failed(said.status.code(), &String::from_utf8_lossy(&said.stderr)))
            }
            Err(error) => UpdateState::Failed(nobody(&format!("pkexec: {error}"), package)),
        };
        self.is(state);
    }
}

/// What is told where installing ended with this code, if it ended by itself, and said this.
fn failed(code: Option<i32>, said: &str) -> Advice {
    tracing::error!(said, "the update was not installed");
    let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it did not say why");
    let first = model::visible(first);
    if code == Some(i32::from(REFUSED)) {
        return Advice::new(
            "update-not-installed",
            format!("The update was not installed: {first}"),
            "The version that runs goes on working.",
            "Tell your IT department.",
        );
    }
    Advice::new(
        PARTLY,
        format!("Installing the update failed: {first}"),
        "Deskgate may be partly installed, and may not start again after it was quit.",
        "Tell your IT department: an administrator types sudo dpkg --configure -a, or installs the package anew.",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_refused_beforehand_is_told_as_harmless() {
        let partly = Advice::new(PARTLY, "", "", "");
        let refused = Advice::new("update-refused", "", "", "");
        assert_eq!((InstallWish::exit_code(&partly), InstallWish::exit_code(&refused)), (3, 1));
        let told = failed(Some(1), "\nNothing was installed: why.\n").to_string();
        assert!(told.contains("Nothing was installed: why.") && told.contains("goes on working"), "{told}");
        // It began and failed, or was ended from outside.
        for code in [Some(3), Some(101), None] {
            let told = failed(code, "dpkg: error processing package deskgate\n").to_string();
            assert!(told.contains("partly installed") && told.contains("sudo dpkg --configure -a"), "{told}");
            assert!(told.contains("error processing") && !told.contains("goes on working"), "{told}");
        }
    }
}
