//! Where a session keeps what starts with it.

use std::path::PathBuf;

/// The desktop application's identifier.
const IDENTIFIER: &str = "dev.deskgate.desktop";
/// The entry's name, which is the program's own.
const ENTRY: &str = "dev.deskgate.desktop.desktop";

/// The file by which Deskgate starts with the person's session (Desktop Application Autostart Specification); none where the
/// platform's way is not known yet, or no folder is set.
pub fn autostart_entry() -> Option<PathBuf> {
    let folder =
        folder(|name| std::env::var_os(name).map(PathBuf::from)).filter(|_| cfg!(target_os = "linux"))?;
    Some(folder.join(ENTRY))
}

/// Where the window's web view keeps what is its own, by the identifier of the desktop application.
pub fn web_view_folders() -> Vec<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let below = |variable, usual: &str| set(variable).or_else(|| Some(set("HOME")?.join(usual)));
    let folders = [below("XDG_DATA_HOME", ".local/share"), below("XDG_CACHE_HOME", ".cache")];
    let folders = folders.into_iter().flatten().filter(|_| cfg!(target_os = "linux"));
    folders.map(|folder| folder.join(IDENTIFIER)).collect()
}

/// The folder of the person's entries (XDG base directory specification: relative paths are ignored).
fn folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(config.join("autostart"))
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
}
