//! Trying the packages where nothing of this project ever was: a Debian root of its own, made from the machine's package sources
//! and kept for the next time. What is tried are the scripts in `src-tauri/linux/smoke`, which start what was installed and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Made, output, version};
use crate::run::{Fault, ask, run, say};
use crate::tally::Tally;
use crate::{landing, provision, workspace};

/// What the checks need beside the package; installed only after the package was tried without.
const EXTRAS: &[&str] = &["dbus", "desktop-file-utils", "minisign", "x11-utils", "xauth", "xvfb"];

/// What the control plane's package leaves to the administrator: the keys, and what the server knows.
const KEPT: &[&str] = &["/etc/deskgate", "/var/lib/deskgate-control"];

/// Installs, starts and removes the packages, and starts what is in those for RPM.
pub(super) fn trial(made: &[Made], tally: &mut Tally) {
    let Some(root) = prepared(tally) else { return };
    for one in made {
        let steps: &[Step<'_>] = match one.package.name {
            "deskgate" => &[
                ("installs", &|root, made| root.install(&made.deb)),
                ("its command line", &|root, _| root.cli()),
                ("what the checks need", &|root, _| root.extras()),
                ("its files", &|root, _| root.check("files", &[], Network::Own)),
                ("its desktop", &|root, _| root.check("desktop", &[], Network::Own)),
                ("is updated", &|root, made| root.update(made)),
                ("is removed", &|root, made| root.remove(made, &[])),
                ("for RPM: its requirements", &|_, made| requirements(&made.rpm)),
                ("for RPM: unpacks", &|root, made| root.unpack(&made.rpm)),
                ("for RPM: its command line", &|root, _| root.cli()),
                ("for RPM: its files", &|root, _| root.check("files", &[], Network::Own)),
                ("for RPM: its desktop", &|root, _| root.check("desktop", &[], Network::Own)),
                ("for RPM: taken away", &|root, made| root.take_away(&made.rpm)),
            ],
            _ => &[
                ("installs", &|root, made| root.install(&made.deb)),
                ("its unit", &|root, _| root.unit()),
                ("its server", &|root, _| root.check("control", &[&version()], Network::Own)),
                ("keeps what was configured", &|root, made| root.keeps(made)),
                ("is removed", &|root, made| root.remove(made, KEPT)),
                ("for RPM: its requirements", &|_, made| requirements(&made.rpm)),
                ("for RPM: unpacks", &|root, made| root.unpack(&made.rpm)),
                ("for RPM: its server", &|root, _| root.check("control", &[&version()], Network::Own)),
                ("for RPM: taken away", &|root, made| root.take_away(&made.rpm)),
            ],
        };
        for (what, step) in steps {
            let passed =
                landing::step(&format!("{}: {what}", one.package.name), || step(&root, one).map(|()| true));
            tally.check(passed);
            if !passed {
                // What was left half done would be found in what comes after.
                return drop(root.clear());
            }
        }
    }
    drop(root.clear());
}

type Step<'a> = (&'a str, &'a dyn Fn(&Root, &Made) -> Result<(), Fault>);

fn prepared(tally: &mut Tally) -> Option<Root> {
    let mut root = None;
    tally.check(landing::step("a clean Debian root", || {
        root = Some(Root::unpacked()?);
        Ok(true)
    }));
    root
}

/// Whether a command in the root reaches the network of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    /// It does: package sources are asked.
    Shared,
    /// It has a loopback of its own, so that no port is taken here.
    Own,
}

/// A Debian root.
struct Root {
    folder: PathBuf,
    /// Debian packages that were fetched for it, kept for the next time.
    archives: PathBuf,
}

impl Root {
    /// As it was made, whatever was done in it since.
    fn unpacked() -> Result<Self, Fault> {
        let kept = workspace::tools().join("debian-root");
        let base = kept.join("base.tar");
        if !base.is_file() {
            make(&kept, &base)?;
        }
        let root = Self { folder: output().join("root"), archives: kept.join("archives") };
        root.clear()?;
        for folder in [&root.folder, &root.archives] {
            std::fs::create_dir_all(folder).map_err(|source| Fault::file(folder, source))?;
        }
        run(provision::as_root("tar")?
            .args(["--extract", "--numeric-owner", "--file"])
            .arg(&base)
            .arg("--directory")
            .arg(&root.folder))?;
        // What is kept may be older than what the sources have by now.
        root.apt(&["update"])?;
        Ok(root)
    }

    fn clear(&self) -> Result<(), Fault> {
        run(provision::as_root("rm")?.args(["--recursive", "--force", "--one-file-system"]).arg(&self.folder))
    }

    /// A command in the root, with what is packaged and the checks to read, and nothing else of this machine.
    fn command(&self, network: Network) -> Result<Command, Fault> {
        let mut command = provision::as_root("bwrap")?;
        command.arg("--bind").arg(&self.folder).arg("/");
        command.arg("--bind").arg(&self.archives).arg("/var/cache/apt/archives");
        command.arg("--ro-bind").arg(output()).arg("/packages");
        command.arg("--ro-bind").arg(workspace::root().join("src-tauri/linux/smoke")).arg("/smoke");
        command.args([
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/run",
            "--unshare-pid",
            "--unshare-ipc",
        ]);
        command.args(["--die-with-parent", "--new-session", "--chdir", "/", "--clearenv"]);
        for (name, value) in [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C.UTF-8"),
            ("DEBIAN_FRONTEND", "noninteractive"),
        ] {
            command.args(["--setenv", name, value]);
        }
        match network {
            Network::Own => command.arg("--unshare-net"),
            Network::Shared => command.args([
                "--ro-bind",
                "/etc/resolv.conf",
                "/etc/resolv.conf",
                "--ro-bind",
                "/etc/hosts",
                "/etc/hosts",
            ]),
        };
        Ok(command)
    }

    fn check(&self, script: &str, words: &[&str], network: Network) -> Result<(), Fault> {
        let mut command = self.command(network)?;
        run(command.args(["bash", &format!("/smoke/{script}.sh")]).args(words))
    }

    /// The command line, whose answer in JSON is read here.
    fn cli(&self) -> Result<(), Fault> {
        self.check("cli", &[&version()], Network::Own)?;
        let path = self.folder.join("tmp/doctor.json");
        let text = ask(provision::as_root("cat")?.arg(&path)).ok_or(Fault::Output("deskgate doctor"))?;
        let told: serde_json::Value =
            serde_json::from_str(&text).map_err(|_| Fault::Output("deskgate doctor"))?;
        let looked_at = told["checks"].as_array().map_or(0, Vec::len);
        say(&format!("ok: deskgate doctor looked at {looked_at} things"));
        if looked_at > 5 { Ok(()) } else { Err(Fault::Output("deskgate doctor")) }
    }

    /// Says only what went wrong.
    fn apt(&self, words: &[&str]) -> Result<(), Fault> {
        let options = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "APT::Sandbox::User=root"];
        // The folder of fetched packages outlives the root.
        let keep = ["-o", "Binary::apt-get::APT::Keep-Downloaded-Packages=true"];
        let line = "\"$@\" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log >&2; exit 1; }";
        let mut command = self.command(Network::Shared)?;
        run(command.args(["sh", "-c", line, "sh"]).args(options).args(keep).args(words))
    }

    /// As an administrator installs a file; what it needs comes from Debian.
    fn install(&self, deb: &Path) -> Result<(), Fault> {
        self.apt(&["install", &inside(deb)])
    }

    fn extras(&self) -> Result<(), Fault> {
        self.apt(&[&["install"], EXTRAS].concat())
    }

    /// The next version is installed from files that a person could have changed. What was released obeys no key of a trial, so a debug
    /// build of the command line does it in its place.
    fn update(&self, made: &Made) -> Result<(), Fault> {
        let kind = if made.is_release { "release" } else { "debug" };
        // As the tests build it: of one crate alone it would be another build, which takes as long as the whole.
        landing::build_all()?;
        let debug = workspace::root().join("target/debug/deskgate");
        run(provision::as_root("cp")?.arg(debug).arg(self.folder.join("tmp/deskgate-debug")))?;
        self.check("update", &[&version(), kind, &inside(&made.deb)], Network::Own)
    }

    /// Removes, and purges what was configured.
    fn remove(&self, made: &Made, kept: &[&str]) -> Result<(), Fault> {
        self.apt(&["remove", made.package.name])?;
        run(self.command(Network::Own)?.args(["dpkg", "--purge", made.package.name]))?;
        self.check("removed", kept, Network::Own)
    }

    fn unpack(&self, rpm: &Path) -> Result<(), Fault> {
        let line =
            "rpm2cpio \"$1\" | cpio --extract --make-directories --quiet --unconditional --directory=\"$2\"";
        run(provision::as_root("sh")?.args(["-e", "-c", line, "sh"]).arg(rpm).arg(&self.folder))
    }

    /// Removes what [`Root::unpack`] has put there: RPM is not at home in this root.
    fn take_away(&self, rpm: &Path) -> Result<(), Fault> {
        let files = ask(Command::new("rpm").args(["--query", "--list", "--package"]).arg(rpm))
            .ok_or(Fault::Output("rpm"))?;
        let paths =
            files.lines().filter_map(|line| line.strip_prefix('/')).map(|file| self.folder.join(file));
        run(provision::as_root("rm")?.args(["--recursive", "--force"]).args(paths))
    }

    /// The unit is understood, where it was installed.
    fn unit(&self) -> Result<(), Fault> {
        let mut command = provision::as_root("systemd-analyze")?;
        command.args(["verify", "--man=no", "--recursive-errors=no"]);
        command.arg(format!("--root={}", self.folder.display()));
        run(command.arg("/usr/lib/systemd/system/deskgate-control.service"))
    }

    /// What an administrator has written is there after the next version came.
    fn keeps(&self, made: &Made) -> Result<(), Fault> {
        let line = "echo '# ours' >>/etc/deskgate/control/environment && dpkg --install --force-confdef \"$1\" >/dev/null \
                    && tail -n 1 /etc/deskgate/control/environment | grep -qx '# ours' && test -s /etc/deskgate/control/master.key";
        run(self.command(Network::Own)?.args(["sh", "-c", line, "sh", &inside(&made.deb)]))
    }
}

/// A clean root: Debian's essential packages and apt, from the sources that this machine uses.
fn make(kept: &Path, base: &Path) -> Result<(), Fault> {
    std::fs::create_dir_all(kept).map_err(|source| Fault::file(kept, source))?;
    let fetching = kept.join("fetching.conf");
    let dump =
        ask(Command::new("apt-config").args(["dump", "Acquire"])).ok_or(Fault::Output("apt-config"))?;
    std::fs::write(&fetching, dump).map_err(|source| Fault::file(&fetching, source))?;
    let new = base.with_extension("new.tar");
    run(provision::as_root("mmdebstrap")?
        .args(["--quiet", "--variant=apt", "--mode=root"])
        .arg(format!("--aptopt={}", fetching.display()))
        .args(["".as_ref(), new.as_os_str()])
        .args(sources()))?;
    std::fs::rename(&new, base).map_err(|source| Fault::file(base, source))
}

/// Where this machine gets its distribution from.
fn sources() -> Vec<PathBuf> {
    let own = [
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list.d/ubuntu.sources",
        "/etc/apt/sources.list",
    ];
    own.into_iter().map(PathBuf::from).filter(|path| path.metadata().is_ok_and(|it| it.len() > 0)).collect()
}

/// The path of a package in the root.
fn inside(package: &Path) -> String {
    format!("/packages/{}", package.file_name().unwrap_or_default().to_string_lossy())
}

/// What an RPM asks of a machine: libraries by their names, and the shell for its scripts; no path of this machine.
fn requirements(rpm: &Path) -> Result<(), Fault> {
    let told = ask(Command::new("rpm").args(["--query", "--requires", "--package"]).arg(rpm))
        .ok_or(Fault::Output("rpm"))?;
    let strange: Vec<&str> = told.lines().filter(|line| !sensible(line)).collect();
    say(&format!("ok: {} requirements", told.lines().count()));
    if strange.is_empty() && told.contains("libc.so.6") {
        return Ok(());
    }
    say(&format!("strange requirements: {strange:?}"));
    Err(Fault::Output("rpm --query --requires"))
}

fn sensible(requirement: &str) -> bool {
    let name = requirement.split([' ', '(']).next().unwrap_or_default();
    let library = name.starts_with("lib") || name.starts_with("ld-linux");
    library && name.contains(".so")
        || ["rpmlib", "/bin/sh", "rtld", "config", "ca-certificates"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_sensible_and_programs_of_this_machine_are_not() {
        for sensible_one in [
            "libc.so.6(GLIBC_2.34)(64bit)",
            "libwebkit2gtk-4.1.so.0()(64bit)",
            "ld-linux-x86-64.so.2()(64bit)",
            "rpmlib(CompressedFileNames) <= 3.0.4-1",
            "/bin/sh",
        ] {
            assert!(sensible(sensible_one), "{sensible_one}");
        }
        for strange in ["/usr/bin/bash", "perl(strict)", "libwebkit2gtk-4.1-0"] {
            assert!(!sensible(strange), "{strange}");
        }
    }
}
