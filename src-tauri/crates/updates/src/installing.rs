//! The part of installing that runs as root.
//!
//! Nothing of the person's is trusted: the files may be changed at any time by whatever runs as them. They are copied to a folder that is
//! root's alone, and what lies there is verified and installed.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use model::{Advice, ForPerson, ReleaseVersion};
use tempfile::TempDir;

use crate::form::Form;
use crate::keys::Keys;
use crate::release::{
    Release, ReleaseFault, SIGNATURE_FILE, SIGNATURE_LIMIT, STATEMENT_FILE, STATEMENT_LIMIT, Step, step,
};
use crate::tool;
use crate::turn::Turn;

/// How the folders begin in which packages are verified and installed.
const OWN_FOLDER: &str = "update-";
/// The code of the advice after which something may have been installed.
pub const PARTLY: &str = "update-partly";

/// What is to be installed, and where it is taken over to.
#[derive(Debug)]
pub struct Installing<'a> {
    /// The package; statement and signature lie beside it.
    pub package: &'a Path,
    /// The publisher's keys.
    pub keys: &'a Keys,
    /// The form in which the program is installed here.
    pub form: Form,
    /// The version that is installed, read during this turn.
    pub running: ReleaseVersion,
    /// Whether an administrator wants an earlier version.
    pub allow_older: bool,
    /// A folder of root's alone, in one of root's.
    pub folder: &'a Path,
    /// Nobody else installs meanwhile; held until the package is installed.
    pub turn: &'a Turn,
}

/// Why a package is not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallFault {
    /// One of the files cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder of root's cannot be used.
    #[error("{} cannot be used: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not believed.
    #[error(transparent)]
    Release(#[from] ReleaseFault),
    /// It is the version that runs.
    #[error("version {0} is installed already")]
    Same(ReleaseVersion),
    /// It is an earlier one, and nobody said that this is meant.
    #[error("version {found} is older than {running}, which is installed")]
    Older {
        /// The version of the package.
        found: ReleaseVersion,
        /// The version that runs.
        running: ReleaseVersion,
    },
    /// Somebody else installs now.
    #[error("another installation of an update is under way")]
    Busy,
    /// The system does not say which version is installed.
    #[error("the system does not say which version of Deskgate is installed")]
    NotInstalled,
    /// The tool that installs could not be started, or said beforehand that it would not.
    #[error("{program} {why}")]
    Tool {
        /// Its name.
        program: &'static str,
        /// Why, as it said.
        why: String,
    },
    /// The tool that installs began, and failed.
    #[error("{program} ended with {status}")]
    Partly {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
}

impl ForPerson for InstallFault {
    fn advice(&self) -> Advice {
        let (code, todo) = match self {
            Self::Unreadable { .. } => (
                "update-file",
                "Give the package's path; release.json and release.json.minisig lie beside it.",
            ),
            Self::Folder { .. } => ("update-folder", "Run it as root, and check that the disk has room."),
            Self::Release(ReleaseFault::NoKey) => {
                ("update-no-key", "Update Deskgate by whatever installed it.")
            }
            Self::Release(_) => ("update-refused", "Do not install it. Tell your IT department."),
            Self::Same(_) => ("update-same", ""),
            Self::Older { .. } => {
                ("update-older", "An administrator who means to go back says so: --allow-older")
            }
            Self::Busy => ("update-busy", "Wait until it has ended, and try again."),
            Self::NotInstalled => ("update-version", "Install the package by apt or dnf."),
            Self::Tool { .. } => {
                ("update-tool", "If the package needs others, install it by apt or dnf, which fetch them.")
            }
            Self::Partly { program, .. } => {
                let todo = match *program {
                    "dpkg" => {
                        "Type: sudo dpkg --configure -a. If that does not help, install the package anew."
                    }
                    _ => "Install the package anew.",
                };
                let means = "Deskgate may be partly installed. See what the tool said above.";
                return Advice::new(PARTLY, format!("Installing the update failed: {self}."), means, todo);
            }
        };
        Advice::new(code, format!("Nothing was installed: {self}."), "", todo)
    }
}

/// A verified package, out of reach of whoever offered it. It is gone when this is dropped.
#[derive(Debug)]
pub struct TakenOver {
    folder: TempDir,
    file: String,
    form: Form,
    /// Its version.
    pub version: ReleaseVersion,
    /// Whether it is an earlier one than runs.
    pub is_older: bool,
}

/// Copies a package to root's own folder and verifies what lies there.
///
/// # Errors
/// An [`InstallFault`]; nothing is left in the folder then.
pub fn take_over(wish: &Installing<'_>) -> Result<TakenOver, InstallFault> {
    let folder = own_folder(wish.folder, wish.turn)?;
    let beside = wish.package.parent().unwrap_or(Path::new("."));
    let statement = small(&beside.join(STATEMENT_FILE), STATEMENT_LIMIT)?;
    let signature = small(&beside.join(SIGNATURE_FILE), SIGNATURE_LIMIT)?;
    let release = Release::verified(wish.keys, &statement, &signature)?;
    let package = release.package(wish.form)?;
    let found = release.version();
    let is_older = match step(wish.running, found, wish.allow_older) {
        Step::Forward => false,
        Step::Back => true,
        Step::Stay if found == wish.running => return Err(InstallFault::Same(found)),
        Step::Stay => return Err(InstallFault::Older { found, running: wish.running }),
    };
    let copy = folder.path().join(&package.file);
    copied(wish.package, &copy, package.size)?;
    // What was copied is read anew: it is this file that will be installed.
    let unreadable = |source| InstallFault::Unreadable { path: copy.clone(), source };
    package.check(File::open(&copy).map_err(unreadable)?)?;
    Ok(TakenOver { folder, file: package.file.clone(), form: wish.form, version: found, is_older })
}

impl TakenOver {
    /// Where the package lies.
    pub fn package(&self) -> PathBuf {
        self.folder.path().join(&self.file)
    }

    /// Installs it, after asking whether it could be. What the tool then says goes to this program's own streams.
    ///
    /// # Errors
    /// [`InstallFault::Tool`] before anything was changed, [`InstallFault::Partly`] afterwards.
    pub fn install(self) -> Result<ReleaseVersion, InstallFault> {
        let package = self.package();
        tool::would_install(self.form, self.is_older, &package)?;
        tool::install(self.form, self.is_older, &package)?;
        Ok(self.version)
    }
}

/// A fresh folder that nobody else may enter, in one of root's. What an installation that was cut short has left there is removed:
/// nobody else installs now.
fn own_folder(parent: &Path, _turn: &Turn) -> Result<TempDir, InstallFault> {
    let fault = |source| InstallFault::Folder { path: parent.to_owned(), source };
    std::fs::create_dir_all(parent).map_err(fault)?;
    for entry in std::fs::read_dir(parent).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if entry.file_name().as_encoded_bytes().starts_with(OWN_FOLDER.as_bytes()) {
            std::fs::remove_dir_all(entry.path()).map_err(fault)?;
        }
    }
    let own = Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix(OWN_FOLDER).permissions(own).tempdir_in(parent).map_err(fault)
}

/// A small file of somebody else's.
fn small(path: &Path, limit: usize) -> Result<Vec<u8>, InstallFault> {
    let fault = |source| InstallFault::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    foreign(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(fault)?;
    if bytes.len() > limit {
        return Err(fault(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

/// Copies a file of somebody else's that has to have this size.
fn copied(from: &Path, to: &Path, size: u64) -> Result<(), InstallFault> {
    let fault = |source| InstallFault::Unreadable { path: from.to_owned(), source };
    let mut source = foreign(from).map_err(fault)?.take(size + 1);
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(fault)?;
    let written = io::copy(&mut source, &mut copy).and_then(|written| copy.flush().map(|()| written));
    if written.map_err(fault)? == size { Ok(()) } else { Err(ReleaseFault::OtherPackage.into()) }
}

/// Opens a file that whoever owns it may replace by anything: no link is followed, no pipe is waited for.
fn foreign(path: &Path) -> io::Result<File> {
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let file =
        OpenOptions::new().read(true).custom_flags(i32::try_from(flags).unwrap_or_default()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::release::tests::{pair, sign, stated};

    struct Offered {
        folder: TempDir,
        root: TempDir,
        keys: Keys,
    }

    /// A folder of the person's with a release in it, as it was downloaded.
    fn offered(version: &str) -> Offered {
        let (pair, keys) = pair();
        let folder = tempfile::tempdir().expect("a folder");
        let statement = stated(version, b"package", "deskgate.deb").to_string().into_bytes();
        std::fs::write(folder.path().join(SIGNATURE_FILE), sign(&pair, &statement)).expect("written");
        std::fs::write(folder.path().join(STATEMENT_FILE), statement).expect("written");
        std::fs::write(folder.path().join("deskgate.deb"), b"package").expect("written");
        Offered { folder, root: tempfile::tempdir().expect("root's"), keys }
    }

    impl Offered {
        fn package(&self) -> PathBuf {
            self.folder.path().join("deskgate.deb")
        }

        fn take(&self, running: &str, allow_older: bool) -> Result<TakenOver, InstallFault> {
            let lock = tempfile::tempdir().expect("a folder");
            let turn = Turn::take(&lock.path().join("lock")).expect("a turn");
            let taken = take_over(&Installing {
                package: &self.package(),
                keys: &self.keys,
                form: Form::Deb,
                running: running.parse().expect("a version"),
                allow_older,
                folder: self.root.path(),
                turn: &turn,
            });
            if taken.is_err() {
                let left = std::fs::read_dir(self.root.path()).expect("root's").count();
                assert_eq!(left, 0, "nothing is left");
            }
            taken
        }
    }

    #[test]
    fn what_is_installed_is_root_s_copy_whatever_becomes_of_the_offered_file() {
        let offered = offered("0.2.0");
        let taken = offered.take("0.1.0", false).expect("taken over");
        std::fs::write(offered.package(), b"swapped after the check").expect("written");
        assert_eq!(std::fs::read(taken.package()).expect("a copy"), b"package");
        let mode =
            taken.package().parent().expect("a folder").metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "nobody else can reach it");
        let folder = taken.package();
        drop(taken);
        assert!(!folder.exists());
    }

    #[test]
    fn what_was_left_by_an_installation_that_was_cut_short_is_removed() {
        let offered = offered("0.2.0");
        let left = offered.root.path().join("update-left");
        std::fs::create_dir(&left).expect("a folder");
        std::fs::write(left.join("deskgate.deb"), b"old").expect("written");
        let taken = offered.take("0.1.0", false).expect("taken over");
        assert!(!left.exists() && taken.package().exists());
    }

    #[test]
    fn after_a_failed_installation_nobody_says_that_nothing_was_installed() {
        let status = std::os::unix::process::ExitStatusExt::from_raw(256);
        let advice = InstallFault::Partly { program: "dpkg", status }.advice();
        let said = advice.to_string();
        assert_eq!(advice.code, PARTLY);
        assert!(said.contains("partly installed") && said.contains("sudo dpkg --configure -a"), "{said}");
        assert!(!said.contains("Nothing"), "{said}");
    }

    #[test]
    fn a_file_that_was_swapped_before_the_check_is_refused() {
        let offered = offered("0.2.0");
        for swapped in [&b"another"[..], b"pack", b"package and more"] {
            std::fs::write(offered.package(), swapped).expect("written");
            let fault = offered.take("0.1.0", false).expect_err("another package");
            assert!(matches!(fault, InstallFault::Release(ReleaseFault::OtherPackage)), "{fault}");
        }
    }

    #[test]
    fn neither_links_nor_pipes_are_followed() {
        let offered = offered("0.2.0");
        let real = offered.folder.path().join("real");
        std::fs::rename(offered.package(), &real).expect("renamed");
        symlink(&real, offered.package()).expect("a link");
        assert!(matches!(offered.take("0.1.0", false), Err(InstallFault::Unreadable { .. })));
        std::fs::remove_file(offered.package()).expect("removed");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let cwd = rustix::fs::CWD;
        rustix::fs::mknodat(cwd, offered.package(), rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
        assert!(
            matches!(offered.take("0.1.0", false), Err(InstallFault::Unreadable { .. })),
            "and none is waited for"
        );
        std::fs::remove_file(offered.folder.path().join(STATEMENT_FILE)).expect("removed");
        symlink("/dev/zero", offered.folder.path().join(STATEMENT_FILE)).expect("a link");
        assert!(matches!(offered.take("0.1.0", false), Err(InstallFault::Unreadable { .. })));
    }

    #[test]
    fn an_older_version_needs_an_administrator_s_word() {
        let offered = offered("0.2.0");
        assert!(matches!(offered.take("0.3.0", false), Err(InstallFault::Older { .. })));
        assert!(matches!(offered.take("0.2.0", true), Err(InstallFault::Same(_))));
        assert!(offered.take("0.3.0", true).expect("asked for").is_older);
    }
}
