//! A package for Debian and Ubuntu, by `dpkg-deb`; what its programs need is found out by `dpkg-shlibdeps`.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::contents::{Package, Scripts};
use super::stage::Staged;
use super::{epoch, output};
use crate::run::{Fault, ask, run};

/// Makes the package.
pub(super) fn make(package: &Package, staged: &Staged, version: &str) -> Result<PathBuf, Fault> {
    let architecture = ask(Command::new("dpkg").arg("--print-architecture"))
        .ok_or(Fault::Output("dpkg --print-architecture"))?
        .trim()
        .to_owned();
    let about = staged.root.join("DEBIAN");
    let kilobytes = size(staged)? / 1024 + 1;
    let mut control = format!(
        "Package: {}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: The Deskgate authors\n\
         Installed-Size: {kilobytes}\nSection: utils\nPriority: optional\nDepends: {}\n",
        package.name,
        needs(package, staged)?,
    );
    let _ = writeln!(control, "Recommends: {}", package.recommended.join(", "));
    let _ =
        writeln!(control, "Description: {}\n {}", package.summary, package.description.replace('\n', "\n "));
    write(&about.join("control"), &control, 0o644)?;
    let configuration: String = package
        .files
        .iter()
        .filter(|file| file.configuration)
        .map(|file| format!("/{}\n", file.to))
        .collect();
    if !configuration.is_empty() {
        write(&about.join("conffiles"), &configuration, 0o644)?;
    }
    if let Some(scripts) = &package.scripts {
        for (name, text) in maintainer(scripts) {
            write(&about.join(name), &text, 0o755)?;
        }
    }
    let made = output().join(format!("{}_{version}_{architecture}.deb", package.name));
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Zzstd", "--build"])
        .arg(&staged.root)
        .arg(&made)
        .env("SOURCE_DATE_EPOCH", epoch()))?;
    std::fs::remove_dir_all(&about).map_err(|source| Fault::file(&about, source))?;
    Ok(made)
}

/// Debian's maintainer scripts (policy 6.5).
fn maintainer(scripts: &Scripts) -> [(&'static str, String); 3] {
    let script = |text: String| format!("#!/bin/sh\nset -e\n{text}");
    [
        (
            "postinst",
            script(format!(
                "[ \"$1\" = configure ] || exit 0\nupgraded=no\nif [ -n \"$2\" ]; then upgraded=yes; fi\n{}",
                scripts.installed
            )),
        ),
        ("prerm", script(format!("[ \"$1\" = remove ] || exit 0\n{}", scripts.removing))),
        ("postrm", script(format!("case \"$1\" in remove|purge) ;; *) exit 0 ;; esac\n{}", scripts.removed))),
    ]
}

/// The packages whose libraries the programs load, as this machine's release has them, and what else is needed.
fn needs(package: &Package, staged: &Staged) -> Result<String, Fault> {
    let folder = output().join("shlibdeps");
    write(
        &folder.join("debian/control"),
        &format!("Source: deskgate\n\nPackage: {}\nArchitecture: any\n", package.name),
        0o644,
    )?;
    let programs = package.programs.iter().map(|name| staged.root.join("usr/bin").join(name));
    let told = ask(Command::new("dpkg-shlibdeps").arg("-O").args(programs).current_dir(&folder));
    let libraries = told.as_deref().and_then(depends).ok_or(Fault::Output("dpkg-shlibdeps"))?;
    Ok([&[libraries], package.needed].concat().join(", "))
}

fn depends(told: &str) -> Option<&str> {
    told.lines().find_map(|line| line.strip_prefix("shlibs:Depends=")).filter(|needs| needs.contains("libc6"))
}

fn size(staged: &Staged) -> Result<u64, Fault> {
    let sizes = staged.files.iter().map(|file| {
        let path = staged.root.join(file);
        path.metadata().map(|it| it.len()).map_err(|source| Fault::file(&path, source))
    });
    sizes.sum()
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Fault> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| Fault::file(folder, source))?;
    }
    std::fs::write(path, text).map_err(|source| Fault::file(path, source))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|source| Fault::file(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_read_and_nothing_is_no_answer() {
        assert_eq!(
            depends("shlibs:Depends=libc6 (>= 2.34), libgcc-s1\n"),
            Some("libc6 (>= 2.34), libgcc-s1")
        );
        assert_eq!(depends("shlibs:Depends=\n"), None);
        assert_eq!(depends(""), None);
    }

    #[test]
    fn scripts_act_when_it_is_their_turn() {
        let scripts =
            Scripts { installed: "echo $upgraded\n", removing: "echo removing\n", removed: "echo removed\n" };
        let says = |name: &str, words: &[&str]| {
            let (_, text) = maintainer(&scripts).into_iter().find(|(it, _)| *it == name).expect("a script");
            ask(Command::new("sh").args(["-c", &text, "script"]).args(words)).expect("it succeeds")
        };
        assert_eq!(says("postinst", &["configure"]), "no\n");
        assert_eq!(says("postinst", &["configure", "0.0.9"]), "yes\n");
        assert_eq!(says("postinst", &["abort-upgrade"]), "");
        assert_eq!(says("prerm", &["upgrade", "0.2.0"]), "");
        assert_eq!(says("prerm", &["remove"]), "removing\n");
        assert_eq!(says("postrm", &["upgrade"]), "");
        assert_eq!(says("postrm", &["purge"]), "removed\n");
    }
}
