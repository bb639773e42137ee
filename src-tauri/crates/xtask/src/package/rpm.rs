//! A package for Fedora and its kind, by `rpmbuild`, which finds out by itself which libraries the programs load.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::contents::Package;
use super::stage::Staged;
use super::{epoch, output};
use crate::run::{Fault, ask, run};

/// Makes the package.
pub(super) fn make(package: &Package, staged: &Staged, version: &str) -> Result<PathBuf, Fault> {
    let work = output().join("rpm").join(package.name);
    std::fs::create_dir_all(&work).map_err(|source| Fault::file(&work, source))?;
    let spec = work.join("package.spec");
    std::fs::write(&spec, describe(package, staged, version)).map_err(|source| Fault::file(&spec, source))?;
    let define = |name: &str, value: &Path| ["--define".to_owned(), format!("{name} {}", value.display())];
    run(Command::new("rpmbuild")
        .args(["-bb", "--quiet", "--nodeps"])
        .args(define("_topdir", &work))
        .args(define("_rpmdir", &output()))
        .args(define("staged", &staged.root))
        .arg(&spec)
        .env("SOURCE_DATE_EPOCH", epoch()))?;
    let architecture = ask(Command::new("rpm").args(["--eval", "%{_arch}"])).ok_or(Fault::Output("rpm"))?;
    Ok(output().join(format!("{}-{version}-1.{}.rpm", package.name, architecture.trim())))
}

fn describe(package: &Package, staged: &Staged, version: &str) -> String {
    // Times and the building machine are left out, and what was built is packed as it is.
    let mut spec = format!(
        "%global debug_package %{{nil}}\n%global __os_install_post %{{nil}}\n%global _build_id_links none\n\
         %global use_source_date_epoch_as_buildtime 1\n%global clamp_mtime_to_source_date_epoch 1\n%global _buildhost localhost\n\
         %global _rpmfilename %%{{NAME}}-%%{{VERSION}}-%%{{RELEASE}}.%%{{ARCH}}.rpm\n%global _binary_payload w9.zstdio\n\
         Name: {}\nVersion: {version}\nRelease: 1\nSummary: {}\nLicense: Apache-2.0\nRequires: {}\n\n%description\n{}\n\n\
         %install\ncp -a %{{staged}}/. %{{buildroot}}\n",
        package.name,
        package.summary,
        package.needed.join(", "),
        package.description,
    );
    if let Some(scripts) = &package.scripts {
        // RPM packaging guide, "Scriptlets": how many versions will be there afterwards.
        let _ = write!(
            spec,
            "\n%post\nupgraded=no\nif [ \"$1\" -gt 1 ]; then upgraded=yes; fi\n{}\n%preun\n[ \"$1\" = 0 ] || exit 0\n{}\n%postun\n[ \"$1\" = 0 ] || exit 0\n{}",
            scripts.installed, scripts.removing, scripts.removed
        );
    }
    spec.push_str("\n%files\n");
    for (folder, mode) in package.folders {
        let _ = writeln!(spec, "%dir %attr({mode:04o}, root, root) /{folder}");
    }
    // Else an empty folder would stay behind.
    let documents = Path::new("usr/share/doc").join(package.name);
    let folders: BTreeSet<&Path> = staged
        .files
        .iter()
        .flat_map(|file| file.ancestors().skip(1))
        .filter(|folder| folder.starts_with(&documents))
        .collect();
    for folder in folders {
        let _ = writeln!(spec, "%dir %attr(0755, root, root) /{}", folder.display());
    }
    for file in &staged.files {
        let shown = file.display().to_string();
        let known = package.files.iter().find(|it| it.to == shown);
        let mode = if shown.starts_with("usr/bin/") { 0o755 } else { known.map_or(0o644, |it| it.mode) };
        let kind = if known.is_some_and(|it| it.configuration) { "%config(noreplace) " } else { "" };
        let _ = writeln!(spec, "{kind}%attr({mode:04o}, root, root) \"/{shown}\"");
    }
    spec
}
