//! The system's tools: which version is installed, whether they would install another, and having them do it.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use model::ReleaseVersion;

use crate::form::Form;
use crate::installing::InstallFault;

/// What the tools get of this program's environment, in which whoever started it may have written anything.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// The package's name.
const PACKAGE: &str = "deskgate";
/// The most that a tool may say when it is asked, in bytes of each stream.
const SAID_LIMIT: u64 = 256 * 1024;
/// dpkg itself does not look at dependencies when it simulates; apt does, and it fetches and removes nothing then.
const APT_TRIAL: [&str; 7] = [
    "--simulate",
    "--no-download",
    "--no-remove",
    "--yes",
    "--no-install-recommends",
    "--allow-downgrades",
    "install",
];

/// The version that is installed, whatever program asks.
///
/// # Errors
/// [`InstallFault::NotInstalled`] where the system's tool names none.
pub(crate) fn installed(form: Form) -> Result<ReleaseVersion, InstallFault> {
    let (program, words): (_, &[&str]) = match form {
        Form::Deb => ("dpkg-query", &["--show", "--showformat", "${Version}"]),
        Form::Rpm => ("rpm", &["--query", "--queryformat", "%{VERSION}\\n"]),
    };
    let said = asked(tool(program).args(words).arg(PACKAGE));
    let said = said.ok().filter(|(status, ..)| status.success());
    said.and_then(|(_, said, _)| said.trim().parse().ok()).ok_or(InstallFault::NotInstalled)
}

/// Asks whether this package could be installed as things are.
///
/// # Errors
/// [`InstallFault::Tool`]; nothing was changed then.
pub(crate) fn would_install(form: Form, is_older: bool, package: &Path) -> Result<(), InstallFault> {
    let (program, words): (_, &[&str]) = match form {
        Form::Deb => ("apt-get", &APT_TRIAL),
        Form::Rpm if is_older => ("rpm", &["--upgrade", "--oldpackage", "--test"]),
        Form::Rpm => ("rpm", &["--upgrade", "--test"]),
    };
    let fault = |why| InstallFault::Tool { program, why };
    let asked = asked(tool(program).args(words).arg(package));
    let (status, said, errors) = asked.map_err(|error| fault(error.to_string()))?;
    if !status.success() {
        return Err(fault(why_not(&said, &errors).unwrap_or_else(|| format!("ended with {status}"))));
    }
    match form {
        Form::Deb => only_it(&said).map_err(fault),
        Form::Rpm => Ok(()),
    }
}

/// Installs this package. What the tool says goes to this program's own streams.
///
/// # Errors
/// [`InstallFault::Tool`] where the tool did not start, [`InstallFault::Partly`] where it did.
pub(crate) fn install(form: Form, is_older: bool, package: &Path) -> Result<(), InstallFault> {
    let (program, words): (_, &[&str]) = match form {
        Form::Deb => ("dpkg", &["--install"]),
        Form::Rpm if is_older => ("rpm", &["--upgrade", "--oldpackage"]),
        Form::Rpm => ("rpm", &["--upgrade"]),
    };
    match tool(program).args(words).arg(package).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(InstallFault::Partly { program, status }),
        Err(error) => Err(InstallFault::Tool { program, why: error.to_string() }),
    }
}

fn tool(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8");
    command.env("DEBIAN_FRONTEND", "noninteractive").current_dir("/");
    command
}

/// How a tool ended, and what it said on its output and of errors.
fn asked(command: &mut Command) -> io::Result<(ExitStatus, String, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (said, errors) = (child.stdout.take(), child.stderr.take());
    let (said, errors) = std::thread::scope(|scope| {
        let errors = scope.spawn(|| bounded(errors));
        let said = bounded(said);
        (said, errors.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
    });
    Ok((child.wait()?, said?, errors?))
}

/// What comes by a pipe, which is closed then.
fn bounded(pipe: Option<impl Read>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // One byte more than may be.
        pipe.take(SAID_LIMIT + 1).read_to_end(&mut bytes)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= SAID_LIMIT) {
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    } else {
        Err(io::ErrorKind::FileTooLarge.into())
    }
}

/// Whether what `apt-get --simulate install` said is that it installs this package and changes no other. It has a line for each step:
/// `Inst`, `Conf`, and `Remv` or `Purg` for what it removes.
fn only_it(said: &str) -> Result<(), String> {
    let mut is_installed = false;
    for line in said.lines() {
        let mut words = line.split(' ');
        let step = words.next().unwrap_or_default();
        let name = words.next().unwrap_or_default();
        match step {
            "Inst" if name == PACKAGE => is_installed = true,
            "Inst" => return Err(format!("would have to install {name} too")),
            "Remv" | "Purg" => return Err(format!("would have to remove {name}")),
            _ => {}
        }
    }
    if is_installed { Ok(()) } else { Err(format!("would not install {PACKAGE}")) }
}

/// Why a tool would not install it, as far as it said: what is unmet stands on apt's output, all else among the errors.
fn why_not(said: &str, errors: &str) -> Option<String> {
    let unmet = format!("{PACKAGE} : ");
    let unmet = said.lines().map(str::trim).filter(|line| line.starts_with(&unmet));
    let lines: Vec<_> = unmet.chain(errors.lines().map(str::trim).filter(|line| !line.is_empty())).collect();
    (!lines.is_empty()).then(|| format!("says: {}", lines.join(" ").trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What apt-get 2.6 says before the steps.
    const BEGINNING: &str =
        "Reading package lists...\nBuilding dependency tree...\nReading state information...\n";

    fn said(steps: &str) -> Result<(), String> {
        only_it(&format!("{BEGINNING}{steps}"))
    }

    #[test]
    fn apt_may_install_this_package_and_change_no_other() {
        let later = "The following packages will be upgraded:\n  deskgate\n\
            1 upgraded, 0 newly installed, 0 to remove and 115 not upgraded.\n\
            Inst deskgate [1.0.0] (99.0.0 local-deb [amd64])\nConf deskgate (99.0.0 local-deb [amd64])\n";
        assert_eq!(said(later), Ok(()));
        let earlier = "The following packages will be DOWNGRADED:\n  deskgate\n\
            0 upgraded, 0 newly installed, 1 downgraded, 0 to remove and 115 not upgraded.\n\
            Inst deskgate [100.0.0] (99.0.0 local-deb [amd64])\nConf deskgate (99.0.0 local-deb [amd64])\n";
        assert_eq!(said(earlier), Ok(()));
        let brings = "The following additional packages will be installed:\n  cowsay libtext-charwidth-perl\n\
            The following NEW packages will be installed:\n  cowsay deskgate libtext-charwidth-perl\n\
            0 upgraded, 3 newly installed, 0 to remove and 115 not upgraded.\n\
            Inst libtext-charwidth-perl (0.04-11 Debian:12.15/oldstable [amd64])\n\
            Inst cowsay (3.03+dfsg2-8 Debian:12.15/oldstable [all])\nInst deskgate (99.0.0 local-deb [amd64])\n";
        assert_eq!(said(brings), Err("would have to install libtext-charwidth-perl too".to_owned()));
        let removes = "The following packages will be REMOVED:\n  oldthing\n\
            The following packages will be upgraded:\n  deskgate\n\
            1 upgraded, 0 newly installed, 1 to remove and 115 not upgraded.\n\
            Remv oldthing [1]\nInst deskgate [100.0.0] (101.0 local-deb [amd64])\nConf deskgate (101.0 local-deb [amd64])\n";
        assert_eq!(said(removes), Err("would have to remove oldthing".to_owned()));
        let other = "Inst deskgate-evil (1 local-deb [amd64])\nConf deskgate-evil (1 local-deb [amd64])\n";
        assert_eq!(said(other), Err("would have to install deskgate-evil too".to_owned()));
        let nothing = "deskgate is already the newest version (99.0.0).\n\
            0 upgraded, 0 newly installed, 0 to remove and 115 not upgraded.\n";
        assert_eq!(said(nothing), Err("would not install deskgate".to_owned()));
        assert!(said("").is_err());
    }

    #[test]
    fn what_a_package_needs_is_named() {
        let unmet = format!(
            "{BEGINNING}Some packages could not be installed.\n\nThe following packages have unmet dependencies:\n \
             deskgate : Depends: no-such-thing-at-all but it is not installable\n"
        );
        let errors = "E: Unable to correct problems, you have held broken packages.\n";
        assert_eq!(
            why_not(&unmet, errors).as_deref(),
            Some(
                "says: deskgate : Depends: no-such-thing-at-all but it is not installable \
                 E: Unable to correct problems, you have held broken packages"
            )
        );
        assert_eq!(why_not(BEGINNING, ""), None);
    }

    #[test]
    fn a_tool_that_never_ends_saying_is_refused() {
        let fault = asked(Command::new("yes").arg("Conf deskgate")).expect_err("it says too much");
        assert_eq!(fault.kind(), io::ErrorKind::FileTooLarge);
    }
}
