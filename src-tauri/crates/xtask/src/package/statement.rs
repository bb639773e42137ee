//! `cargo xtask statement`: writes beside the packages what the publisher signs of a release. Programs that update themselves believe this
//! statement, if minisign's signature of it is good, and through it the packages that it names.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::{output, version};
use crate::run::{Fault, ask, say};

/// Writes `release.json` for the packages of the tray application that lie in the folder of packages. They must be as they are published:
/// signing an RPM changes it.
///
/// # Errors
/// If there is none, or it cannot be read.
pub(crate) fn statement() -> Result<(), Fault> {
    let folder = output();
    let statement = of(&folder, &version())?;
    let place = folder.join("release.json");
    std::fs::write(&place, format!("{statement:#}\n")).map_err(|source| Fault::file(&place, source))?;
    say(&format!("wrote {}; to be signed by: minisign -S -m {}", place.display(), place.display()));
    Ok(())
}

fn of(folder: &Path, version: &str) -> Result<Value, Fault> {
    let mut packages = Map::new();
    let entries = std::fs::read_dir(folder).map_err(|source| Fault::file(folder, source))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(platform) = platform(&name, version) else { continue };
        let size = std::fs::metadata(&path).map_err(|source| Fault::file(&path, source))?.len();
        let digest = ask(Command::new("sha256sum").arg("--").arg(&path)).ok_or(Fault::Output("sha256sum"))?;
        let digest = digest.split(' ').next().unwrap_or_default().trim_start_matches('\\').to_owned();
        packages.insert(platform, json!({"file": name, "size": size, "sha256": format!("sha256:{digest}")}));
    }
    if packages.is_empty() {
        return Err(Fault::Output("packages of this version"));
    }
    Ok(json!({"format": 1, "product": "deskgate", "version": version, "packages": packages}))
}

/// The platform of a package of the tray application, as programs name their own; none for other files.
fn platform(name: &str, version: &str) -> Option<String> {
    let machine = |debian: &str| match debian {
        "amd64" | "x86_64" => Some("x86_64"),
        "arm64" | "aarch64" => Some("aarch64"),
        _ => None,
    };
    let deb = name.strip_prefix(&format!("deskgate_{version}_")).and_then(|rest| rest.strip_suffix(".deb"));
    if let Some(machine) = deb.and_then(machine) {
        return Some(format!("linux-{machine}-deb"));
    }
    let rpm = name.strip_prefix(&format!("deskgate-{version}-1.")).and_then(|rest| rest.strip_suffix(".rpm"));
    rpm.and_then(machine).map(|machine| format!("linux-{machine}-rpm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_the_packages_of_this_version_and_no_other_file() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            "deskgate_0.2.0_amd64.deb",
            "deskgate-0.2.0-1.x86_64.rpm",
            "deskgate_0.1.0_amd64.deb",
            "deskgate-control_0.2.0_amd64.deb",
            "deskgate_0.2.0_riscv64.deb",
            "SHA256SUMS",
        ] {
            std::fs::write(folder.path().join(name), "hello").expect("written");
        }
        let statement = of(folder.path(), "0.2.0").expect("a statement");
        let hello = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let package = |file: &str| json!({"file": file, "size": 5, "sha256": hello});
        let packages = json!({
            "linux-x86_64-deb": package("deskgate_0.2.0_amd64.deb"),
            "linux-x86_64-rpm": package("deskgate-0.2.0-1.x86_64.rpm"),
        });
        assert_eq!(
            statement,
            json!({"format": 1, "product": "deskgate", "version": "0.2.0", "packages": packages})
        );
        assert!(of(folder.path(), "0.3.0").is_err(), "nothing is stated of nothing");
    }
}
