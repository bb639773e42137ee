//! Laying out what a package carries in a folder, as it will lie on the machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::contents::Package;
use super::{licences, output};
use crate::run::{Fault, run};
use crate::workspace;

/// A folder that looks like the machine's root with the package installed.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) root: PathBuf,
    /// Its files, without the leading slash, in order.
    pub(super) files: Vec<PathBuf>,
}

/// Lays a package out, with programs from this folder.
pub(super) fn stage(package: &Package, programs: &Path) -> Result<Staged, Fault> {
    let root = output().join("stage").join(package.name);
    if root.exists() {
        std::fs::remove_dir_all(&root).map_err(|source| Fault::file(&root, source))?;
    }
    for program in package.programs {
        put(&programs.join(program), &root.join("usr/bin").join(program), 0o755)?;
    }
    for file in package.files {
        put(&workspace::root().join(file.from), &root.join(file.to), file.mode)?;
    }
    pages(package.name, &root)?;
    documents(package, &root)?;
    let mut files = Vec::new();
    settle(&root, &root, &mut files)?;
    files.sort();
    for (folder, mode) in package.folders {
        allow(&root.join(folder), *mode)?;
    }
    Ok(Staged { root, files })
}

/// Man pages and completions, written by the very program that is packaged.
fn pages(name: &str, root: &Path) -> Result<(), Fault> {
    let written = output().join("pages").join(name);
    if written.exists() {
        std::fs::remove_dir_all(&written).map_err(|source| Fault::file(&written, source))?;
    }
    run(Command::new(root.join("usr/bin").join(name)).arg("pages").arg(&written))?;
    let man = written.join("man");
    for entry in std::fs::read_dir(&man).map_err(|source| Fault::file(&man, source))? {
        let page = entry.map_err(|source| Fault::file(&man, source))?;
        put(&page.path(), &root.join("usr/share/man/man1").join(page.file_name()), 0o644)?;
        squeeze(&root.join("usr/share/man/man1").join(page.file_name()))?;
    }
    let completions = written.join("completions");
    // Debian's zsh looks in another folder than that of other distributions.
    let places = [
        (format!("{name}.bash"), format!("usr/share/bash-completion/completions/{name}")),
        (format!("_{name}"), format!("usr/share/zsh/site-functions/_{name}")),
        (format!("_{name}"), format!("usr/share/zsh/vendor-completions/_{name}")),
        (format!("{name}.fish"), format!("usr/share/fish/vendor_completions.d/{name}.fish")),
    ];
    for (from, to) in places {
        put(&completions.join(from), &root.join(to), 0o644)?;
    }
    Ok(())
}

/// Licence and changes (Debian policy 12.5 and 12.7), and the licences of what others wrote.
fn documents(package: &Package, root: &Path) -> Result<(), Fault> {
    let folder = root.join("usr/share/doc").join(package.name);
    put(&workspace::root().join("LICENSE"), &folder.join("copyright"), 0o644)?;
    put(&workspace::root().join("CHANGELOG.md"), &folder.join("changelog"), 0o644)?;
    squeeze(&folder.join("changelog"))?;
    let others = folder.join("third-party-licences");
    let text = licences::text(package.crates, package.shows_interface)?;
    std::fs::write(&others, text).map_err(|source| Fault::file(&others, source))?;
    allow(&others, 0o644)?;
    squeeze(&others)
}

fn put(from: &Path, to: &Path, mode: u32) -> Result<(), Fault> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(|source| Fault::file(folder, source))?;
    }
    std::fs::copy(from, to).map_err(|source| Fault::file(from, source))?;
    allow(to, mode)
}

fn allow(path: &Path, mode: u32) -> Result<(), Fault> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|source| Fault::file(path, source))
}

/// Compresses a file, without its name and time in it.
fn squeeze(path: &Path) -> Result<(), Fault> {
    run(Command::new("gzip").args(["--best", "--no-name", "--force"]).arg(path))
}

/// Whatever the umask was: folders are for everybody to read. Collects the files on the way.
fn settle(folder: &Path, root: &Path, files: &mut Vec<PathBuf>) -> Result<(), Fault> {
    allow(folder, 0o755)?;
    for entry in std::fs::read_dir(folder).map_err(|source| Fault::file(folder, source))? {
        let path = entry.map_err(|source| Fault::file(folder, source))?.path();
        if path.is_dir() {
            settle(&path, root, files)?;
        } else {
            files.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
        }
    }
    Ok(())
}
