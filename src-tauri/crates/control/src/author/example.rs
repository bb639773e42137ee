//! The example organisation that `init` writes: commented, small, and good as it stands.

use std::path::{Path, PathBuf};

/// The example's files: path below the folder, and text.
const FILES: [(&str, &str); 6] = [
    ("org.toml", include_str!("../../example/org.toml")),
    ("connectors/files.toml", include_str!("../../example/connectors/files.toml")),
    ("connectors/files.tools.json", include_str!("../../example/connectors/files.tools.json")),
    ("servers/office.toml", include_str!("../../example/servers/office.toml")),
    ("policies/staff.cedar", include_str!("../../example/policies/staff.cedar")),
    ("README.md", include_str!("../../example/README.md")),
];

/// Writes the example organisation into `folder`, which must not exist or be empty. Returns the files.
///
/// # Errors
/// The path and what the system said.
pub fn init(folder: &Path) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
    let occupied = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err((folder.to_owned(), std::io::Error::from(std::io::ErrorKind::DirectoryNotEmpty)));
    }
    FILES
        .iter()
        .map(|(name, text)| {
            let path = folder.join(name);
            let written = path
                .parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(&path, text));
            written.map_err(|fault| (path.clone(), fault))?;
            Ok(path)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("mine"), "x").expect("writes");
        let fault = init(dir.path()).expect_err("refused");
        assert_eq!(fault.1.kind(), std::io::ErrorKind::DirectoryNotEmpty);
    }
}
