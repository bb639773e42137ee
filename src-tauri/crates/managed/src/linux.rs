//! Linux: `/etc/deskgate/managed.d/*.json`, in the order of their names.
//!
//! Folders and files have to belong to root, and nobody else may write to them. Symbolic links are refused: what they lead to
//! may lie in somebody else's folder.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::de::{Deserializer, MapAccess, Visitor};

use crate::fault::ManagedFault;
use crate::settings::{Managed, Raw, Value};

/// Where packages and administrators put their files.
#[cfg(target_os = "linux")]
pub(crate) const FOLDERS: [&str; 2] = ["/etc/deskgate", "/etc/deskgate/managed.d"];
/// Root's user id.
#[cfg(target_os = "linux")]
const ROOT: u32 = 0;
/// The most files.
const MOST_FILES: usize = 64;
/// The largest file, in bytes.
const LARGEST: u64 = 64 * 1024;

/// Reads what is set on this machine.
///
/// # Errors
/// A [`ManagedFault`].
#[cfg(target_os = "linux")]
pub(crate) fn read() -> Result<Option<Managed>, ManagedFault> {
    read_folder(&FOLDERS.map(Path::new), ROOT)
}

/// Reads the last of the folders, of which each lies in the one before; all of them belong to `owner`.
fn read_folder(folders: &[&Path], owner: u32) -> Result<Option<Managed>, ManagedFault> {
    let Some(folder) = folders.last() else { return Ok(None) };
    for folder in folders {
        match std::fs::symlink_metadata(folder) {
            Ok(about) if about.is_dir() => check(folder, &about, owner)?,
            Ok(_) => return Err(foreign(folder, "is no folder")),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(unreadable(folder, &fault)),
        }
    }
    let mut raw = Vec::new();
    for file in files(folder)? {
        raw.extend(read_file(&file, owner)?);
    }
    Managed::parse(folder.display().to_string(), raw)
}

/// The files that count, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ManagedFault> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|fault| unreadable(folder, &fault))? {
        let path = entry.map_err(|fault| unreadable(folder, &fault))?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    if files.len() > MOST_FILES {
        return Err(ManagedFault::TooMuch { path: folder.to_owned(), how: "holds more than 64 files" });
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path, owner: u32) -> Result<Vec<Raw>, ManagedFault> {
    // Nobody but the owner of the folder, who was checked before, can exchange it between the two looks.
    let about = std::fs::symlink_metadata(path).map_err(|fault| unreadable(path, &fault))?;
    if !about.is_file() {
        return Err(foreign(path, "is no ordinary file"));
    }
    check(path, &about, owner)?;
    if about.len() > LARGEST {
        return Err(ManagedFault::TooMuch { path: path.to_owned(), how: "is larger than 64 KiB" });
    }
    let text = std::fs::read_to_string(path).map_err(|fault| unreadable(path, &fault))?;
    raw(&text, &path.display().to_string())
}

fn raw(text: &str, from: &str) -> Result<Vec<Raw>, ManagedFault> {
    let entries = entries(text).map_err(|why| ManagedFault::Malformed { from: from.to_owned(), why })?;
    Ok(entries.into_iter().map(|(name, value)| Raw { name, value, from: from.to_owned() }).collect())
}

/// What a file of this text sets.
#[cfg(test)]
pub(crate) fn from_text(text: &str) -> Result<Option<Managed>, ManagedFault> {
    Managed::parse("a text", raw(text, "a text")?)
}

fn check(path: &Path, about: &Metadata, owner: u32) -> Result<(), ManagedFault> {
    if about.uid() != owner {
        return Err(foreign(path, "does not belong to root"));
    }
    if about.mode() & 0o022 != 0 {
        return Err(foreign(path, "can be written to by others than root"));
    }
    Ok(())
}

fn foreign(path: &Path, how: &'static str) -> ManagedFault {
    ManagedFault::NotTheAdministrators { path: path.to_owned(), how }
}

fn unreadable(path: &Path, fault: &io::Error) -> ManagedFault {
    ManagedFault::Unreadable { from: path.display().to_string(), why: fault.to_string() }
}

/// The members of a JSON object; each name once.
fn entries(text: &str) -> Result<Vec<(String, Value)>, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let entries = json.deserialize_map(Entries);
    let place = |fault: serde_json::Error| match fault.classify() {
        // Its own words may repeat a value.
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            format!("it is no JSON (line {}, column {})", fault.line(), fault.column())
        }
        serde_json::error::Category::Data | serde_json::error::Category::Io => {
            format!("it is no JSON object with each name once (line {})", fault.line())
        }
    };
    let entries = entries.map_err(place)?;
    json.end().map_err(place)?;
    Ok(entries)
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
            if entries.iter().any(|(known, _)| *known == name) {
                return Err(serde::de::Error::custom("a name is there twice"));
            }
            entries.push((name, typed(value)));
        }
        Ok(entries)
    }
}

fn typed(value: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::String(text) => Value::Text(text),
        Json::Bool(flag) => Value::Flag(flag),
        Json::Number(number) => number.as_u64().map_or(Value::Other, Value::Number),
        Json::Array(items) => {
            let texts = items.into_iter().map(|item| match item {
                Json::String(text) => Some(text),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => None,
            });
            texts.collect::<Option<_>>().map_or(Value::Other, Value::List)
        }
        Json::Null | Json::Object(_) => Value::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::setting::Setting;

    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            std::fs::create_dir_all(folder.path()).unwrap();
            for part in [folder.0.path().join("deskgate"), folder.path()] {
                std::fs::set_permissions(part, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            folder
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("deskgate/managed.d")
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            path
        }

        /// As if whoever runs the test were root.
        fn read(&self) -> Result<Option<Managed>, ManagedFault> {
            let owner = std::fs::metadata(self.0.path()).unwrap().uid();
            read_folder(&[&self.0.path().join("deskgate"), &self.path()], owner)
        }

        fn refused(&self, words: &str) {
            let told = self.read().expect_err(words).to_string();
            assert!(told.contains(words), "{told}");
            assert!(!told.contains("hush"), "{told}");
        }
    }

    #[test]
    fn files_count_in_the_order_of_their_names() {
        let folder = Folder::new();
        folder.write("20-site.json", r#"{"SupportURL": "https://b.test/", "Autostart": true}"#);
        let last = folder.write("30-pool.json", r#"{"Autostart": false, "HiddenMenuItems": ["quit"]}"#);
        folder.write("10-all.json", r#"{"SupportURL": "https://a.test/"}"#);
        folder.write("README", "not looked at");
        folder.write(".40.json", "not looked at");
        let managed = folder.read().unwrap().unwrap();
        assert_eq!(managed.settings.support_url.unwrap().as_str(), "https://b.test/");
        assert_eq!(managed.settings.autostart, Some(false));
        assert_eq!(managed.from[&Setting::Autostart], last.display().to_string());
    }

    #[test]
    fn a_machine_without_files_is_not_managed() {
        let folder = Folder::new();
        assert_eq!(folder.read().unwrap(), None, "an empty folder");
        std::fs::remove_dir(folder.path()).unwrap();
        assert_eq!(folder.read().unwrap(), None, "no folder");
    }

    #[test]
    fn what_others_could_have_written_is_refused_whole() {
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let folder = Folder::new();
        folder.write("10.json", r#"{"SupportURL": "https://a.test/"}"#);
        let loose = folder.write("20.json", r#"{"EnrolmentToken": "hush"}"#);
        for open in [0o666, 0o664, 0o646] {
            mode(&loose, open);
            folder.refused("can be written to by others than root");
        }
        mode(&loose, 0o644);
        assert!(folder.read().unwrap().is_some());
        for folders in [folder.path(), folder.0.path().join("deskgate")] {
            mode(&folders, 0o777);
            folder.refused("can be written to by others than root");
            mode(&folders, 0o755);
        }
        let owner = std::fs::metadata(folder.0.path()).unwrap().uid();
        let another = read_folder(&[&folder.path()], owner + 1).unwrap_err().to_string();
        assert!(another.contains("does not belong to root"), "{another}");
        symlink(&loose, folder.path().join("30.json")).unwrap();
        folder.refused("is no ordinary file");
    }

    #[test]
    fn what_cannot_be_understood_is_refused_whole() {
        let check = |text: &str, words: &str| {
            let folder = Folder::new();
            folder.write("10.json", r#"{"SupportURL": "https://a.test/"}"#);
            folder.write("20.json", text);
            folder.refused(words);
        };
        check("", "it is no JSON");
        check(r#"{"EnrolmentToken": "hush""#, "it is no JSON");
        check(r#"{"EnrolmentToken": "hush"} {}"#, "it is no JSON");
        check(r#"["hush"]"#, "it is no JSON object");
        check(r#"{"Autostart": true, "Autostart": false}"#, "each name once");
        check(r#"{"EnrolmentToken": {"hush": 1}}"#, "EnrolmentToken to something");
        check(r#"{"HiddenMenuItems": ["quit", 1]}"#, "a list of menu entries");
        check(r#"{"Surprise": "hush"}"#, "20.json sets Surprise");
        check(&format!("{{{}}}", " ".repeat(70_000)), "larger than 64 KiB");
    }

    #[test]
    fn too_many_files_are_refused() {
        let folder = Folder::new();
        for number in 0..=MOST_FILES {
            folder.write(&format!("{number}.json"), "{}");
        }
        folder.refused("more than 64 files");
    }
}
