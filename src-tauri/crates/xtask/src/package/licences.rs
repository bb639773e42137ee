//! The licences of what others wrote and a package carries: crates, as cargo-about finds them out, and the packages that the interface
//! is built of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::output;
use crate::run::{Fault, run};
use crate::{provision, workspace};

/// Which licence in which words, and what is under it.
type Licences = BTreeMap<(String, String), BTreeSet<String>>;

/// Of the interface's tools, what is in the interface itself.
const RUNTIME: &str = "svelte";

/// The licence of this project, whose words stand in its `LICENSE`.
const OWN: &str = "Apache-2.0";

/// All of them, as a text for people: for the programs of these crates, and for the interface where one of them shows it.
///
/// # Errors
/// If a licence is not known, or is none that may be linked.
pub(super) fn text(manifests: &[&str], shows_interface: bool) -> Result<String, Fault> {
    let mut licences = Licences::new();
    for manifest in manifests {
        linked(manifest, &mut licences)?;
    }
    if shows_interface {
        shown(&workspace::root().join("ui"), &mut licences)?;
    }
    let mut text = "What others wrote and this package carries, and on which terms.\n".to_owned();
    for ((licence, words), works) in licences {
        let works: Vec<_> = works.into_iter().collect();
        let line = "=".repeat(78);
        let _ = write!(text, "\n{line}\n{licence}\n\n{}\n\n{}\n", works.join(", "), words.trim_end());
    }
    Ok(text)
}

/// The crates that are linked into the programs of one.
fn linked(manifest: &str, licences: &mut Licences) -> Result<(), Fault> {
    let program = provision::program("cargo-about", "0.9.3", "cargo-about", &["cli"])?;
    let root = workspace::root();
    let told = output().join("licences.json");
    run(Command::new(program)
        .args(["generate", "--format", "json", "--fail", "--offline", "--locked", "--config"])
        .arg(root.join("src-tauri/licences/about.toml"))
        .arg("--manifest-path")
        .arg(root.join(manifest))
        .arg("--output-file")
        .arg(&told)
        .current_dir(&root))?;
    let told = json(&told)?;
    for licence in told["licenses"].as_array().into_iter().flatten() {
        let (Some(name), Some(text)) = (licence["name"].as_str(), licence["text"].as_str()) else {
            return Err(Fault::Output("cargo-about"));
        };
        let works = licences.entry((name.to_owned(), text.to_owned())).or_default();
        works.extend(licence["used_by"].as_array().into_iter().flatten().map(|user| named(&user["crate"])));
    }
    Ok(())
}

/// The packages that are in the interface.
fn shown(folder: &Path, licences: &mut Licences) -> Result<(), Fault> {
    let package = json(&folder.join("package.json"))?;
    let wanted =
        package["dependencies"].as_object().into_iter().flat_map(|all| all.keys().map(String::as_str));
    for name in wanted.chain([RUNTIME]) {
        let at = folder.join("node_modules").join(name);
        let about = json(&at.join("package.json"))?;
        let licence = about["license"].as_str().ok_or_else(|| unknown(name, "its licence"))?;
        let words = match (words(&at)?, licence) {
            (Some(words), _) => words,
            // The words of this one are the same for everybody, and ours are those.
            (None, OWN) => words(workspace::root().as_path())?.unwrap_or_default(),
            (None, _) => return Err(unknown(name, "the words of its licence")),
        };
        licences.entry((licence.to_owned(), words)).or_default().insert(named(&about));
    }
    Ok(())
}

/// What stands in the files of a package that are called like a licence.
fn words(folder: &Path) -> Result<Option<String>, Fault> {
    let fault = |source| Fault::file(folder, source);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if name.starts_with("LICENSE") || name.starts_with("LICENCE") {
            files.push(path);
        }
    }
    files.sort();
    let texts = files.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>().map_err(fault)?;
    Ok((!texts.is_empty()).then(|| texts.join("\n")))
}

fn named(work: &Value) -> String {
    let part = |key: &str| work[key].as_str().unwrap_or_default();
    format!("{} {}", part("name"), part("version"))
}

fn json(path: &Path) -> Result<Value, Fault> {
    let text = std::fs::read(path).map_err(|source| Fault::file(path, source))?;
    serde_json::from_slice(&text).map_err(|_| unknown(&path.display().to_string(), "its text"))
}

fn unknown(whose: &str, what: &str) -> Fault {
    Fault::Missing(format!("{whose}: {what} is not there, or not as it should be"))
}
