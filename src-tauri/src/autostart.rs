//! Starting with the session, where IT has decided that (XDG autostart specification 0.5).

use std::io;
use std::path::Path;

/// Has this program start with the person's session, in the tray only, or not any more.
///
/// # Errors
/// What the file system says; [`io::ErrorKind::Unsupported`] where the platform's way is not known yet.
pub(crate) fn set(wanted: bool) -> io::Result<()> {
    if !cfg!(target_os = "linux") {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let path = controller::autostart_entry().ok_or(io::ErrorKind::NotFound)?;
    if !wanted {
        return os::remove_durable(&path);
    }
    let entry = entry(&std::env::current_exe()?).ok_or(io::ErrorKind::InvalidData)?;
    if std::fs::read_to_string(&path).is_ok_and(|there| there == entry) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    os::write_durable(&path, entry.as_bytes())
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
    // Once the package was removed, the program is not there and the session passes over the entry.
    let tried = path.replace('\\', "\\\\");
    Some(format!(
        "[Desktop Entry]\nType=Application\nName=Deskgate\nComment=Set by your IT department\nIcon=deskgate\nTryExec={tried}\nExec=\"{quoted}\" --background\nTerminal=false\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_the_command() {
        let exec = |path: &str| {
            let entry = entry(Path::new(path))?;
            Some(entry.lines().find_map(|line| line.strip_prefix("Exec="))?.to_owned())
        };
        assert_eq!(exec("/opt/my apps/desk").as_deref(), Some("\"/opt/my apps/desk\" --background"));
        assert_eq!(exec("/a$b%c").as_deref(), Some("\"/a\\\\$b%%c\" --background"));
        assert_eq!(exec("/a\nExec=evil"), None);
        let entry = entry(Path::new("/a b\\c")).expect("an entry");
        assert!(entry.contains("\nTryExec=/a b\\\\c\n"), "{entry}");
    }
}
