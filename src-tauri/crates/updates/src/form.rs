//! The forms in which the program is installed and can be updated by itself.

use std::path::Path;

use model::ReleaseVersion;

use crate::installing::InstallFault;
use crate::tool;

/// Where dpkg keeps the list of the files of the package `deskgate` (dpkg(1), FILES).
const DPKG_LIST: &str = "/var/lib/dpkg/info/deskgate.list";
/// Where packages put the programs.
const PROGRAMS: &str = "/usr/bin";

/// What a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For dpkg.
    Deb,
    /// For rpm.
    Rpm,
}

impl Form {
    /// The form in which this program was installed; none where it cannot be updated from within. A debug build, which nobody is given,
    /// takes it from its environment.
    pub fn of_program() -> Option<Self> {
        #[cfg(debug_assertions)]
        if let Ok(name) = std::env::var("DESKGATE_DEBUG_UPDATE_FORM") {
            return [Self::Deb, Self::Rpm].into_iter().find(|form| form.name() == name);
        }
        // After an update the system marks the file of the program that still runs.
        let program = std::env::current_exe().ok()?;
        let text = program.to_string_lossy();
        Self::of_installed(Path::new(text.trim_end_matches(" (deleted)")))
    }

    /// The form in which `program` was installed; none where it is not from a package that can be updated from within.
    fn of_installed(program: &Path) -> Option<Self> {
        if !cfg!(target_os = "linux") || program.parent() != Some(Path::new(PROGRAMS)) {
            return None;
        }
        if Path::new(DPKG_LIST).exists() {
            return Some(Self::Deb);
        }
        // rpm(8), `--query --file`: which package a file belongs to.
        let asked =
            std::process::Command::new("/usr/bin/rpm").args(["--query", "--file"]).arg(program).output();
        asked.is_ok_and(|answer| answer.status.success()).then_some(Self::Rpm)
    }

    /// The version that the system says is installed, whichever version asks.
    ///
    /// # Errors
    /// [`InstallFault::NotInstalled`].
    pub fn installed(self) -> Result<ReleaseVersion, InstallFault> {
        tool::installed(self)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
        }
    }

    /// The platform of packages of this form for this computer, as statements name it: `linux-x86_64-deb`.
    pub fn platform(self) -> String {
        format!("{}-{}-{}", std::env::consts::OS, std::env::consts::ARCH, self.name())
    }
}
