//! Starting with the session, where IT has decided that (XDG autostart specification 0.5).

use std::io;
use std::path::{Path, PathBuf};

/// The entry's name, which is the program's own.
const ENTRY: &str = "dev.deskgate.desktop.desktop";

/// Has this program start with the person's session, in the tray only, or not any more.
///
/// # Errors
/// What the file system says; [`io::ErrorKind::Unsupported`] where the platform's way is not known yet.
pub(crate) fn set(wanted: bool) -> io::Result<()> {
    if !cfg!(target_os = "linux") {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let folder = folder(|name| std::env::var_os(name).map(PathBuf::from)).ok_or(io::ErrorKind::NotFound)?;
    let path = folder.join(ENTRY);
    if !wanted {
        return os::remove_durable(&path);
    }
    let entry = entry(&std::env::current_exe()?).ok_or(io::ErrorKind::InvalidData)?;
    if std::fs::read_to_string(&path).is_ok_and(|there| there == entry) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    os::write_durable(&path, entry.as_bytes())
}

/// The folder of the person's entries (XDG base directory specification: relative paths are ignored).
fn folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(config.join("autostart"))
}

/// The entry that starts `program`; none where its path cannot be written in one.
fn entry(program: &Path) -> Option<String> {
    let path = program.to_str().filter(|path| !path.chars().any(char::is_control))?;
    let mut quoted = String::new();
    for c in path.chars() {
        // Desktop entry specification 1.5: quoted for the command line, then escaped as a string; a percent sign is doubled.
        match c {
            '"' | '`' | '$' => quoted.extend(["\\\\", &c.to_string()]),
            '\\' => quoted.push_str("\\\\\\\\"),
            '%' => quoted.push_str("%%"),
            other => quoted.push(other),
        }
    }
    Some(format!(
        "[Desktop Entry]\nType=Application\nName=Deskgate\nComment=Set by your IT department\nIcon=deskgate\nExec=\"{quoted}\" --background\nTerminal=false\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_lie_where_the_session_looks() {
        let at = |set: &'static [(&str, &str)]| {
            folder(move |name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, path)| PathBuf::from(path))
            })
        };
        assert_eq!(at(&[("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")]), Some(PathBuf::from("/c/autostart")));
        assert_eq!(
            at(&[("XDG_CONFIG_HOME", "c"), ("HOME", "/h")]),
            Some(PathBuf::from("/h/.config/autostart"))
        );
        assert_eq!(at(&[]), None);
    }

    #[test]
    fn a_path_is_one_word_of_the_command() {
        let exec = |path: &str| {
            let entry = entry(Path::new(path))?;
            Some(entry.lines().find_map(|line| line.strip_prefix("Exec="))?.to_owned())
        };
        assert_eq!(exec("/opt/my apps/desk").as_deref(), Some("\"/opt/my apps/desk\" --background"));
        assert_eq!(exec("/a$b%c").as_deref(), Some("\"/a\\\\$b%%c\" --background"));
        assert_eq!(exec("/a\nExec=evil"), None);
    }
}
