//! The example organisation that `init` writes: commented, small, and good as it stands.

use std::path::{Path, PathBuf};

use super::schema::write_schemas;

/// The example's files: path below the folder, and text.
const FILES: [(&str, &str); 7] = [
    ("org.toml", include_str!("../../example/org.toml")),
    ("connectors/files.toml", include_str!("../../example/connectors/files.toml")),
    ("connectors/files.tools.json", include_str!("../../example/connectors/files.tools.json")),
    ("servers/office.toml", include_str!("../../example/servers/office.toml")),
    ("policies/staff.cedar", include_str!("../../example/policies/staff.cedar")),
    ("tests/office.toml", include_str!("../../example/tests/office.toml")),
    ("README.md", include_str!("../../example/README.md")),
];

/// The line of `org.toml` that holds the organisation's id.
const ID_LINE: &str = "id = \"example\"";

/// Writes the example organisation into `folder`, which must not exist or be empty, under `id`: letters, digits and
/// hyphens. Returns the files.
///
/// # Errors
/// The path and what the system said.
pub fn init(folder: &Path, id: &str) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
    let occupied = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err((folder.to_owned(), std::io::Error::from(std::io::ErrorKind::DirectoryNotEmpty)));
    }
    // Ids stand in signed documents and file names: they have the form of a virtual server's.
    if id.parse::<model::ServerId>().is_err() {
        let fault = std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("{id:?} cannot be an id"));
        return Err((folder.to_owned(), fault));
    }
    let written = FILES
        .iter()
        .map(|(name, text)| {
            let text = text.replace(ID_LINE, &format!("id = \"{id}\""));
            let path = folder.join(name);
            let written = path
                .parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(&path, text));
            written.map_err(|fault| (path.clone(), fault))?;
            Ok(path)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let schemas = write_schemas(&folder.join("schemas"))?;
    Ok(written.into_iter().chain(schemas).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("mine"), "x").expect("writes");
        let fault = init(dir.path(), "acme").expect_err("refused");
        assert_eq!(fault.1.kind(), std::io::ErrorKind::DirectoryNotEmpty);
    }

    #[test]
    fn the_organisation_has_the_id_that_was_given() {
        let dir = tempfile::tempdir().expect("a directory");
        init(&dir.path().join("org"), "acme").expect("writes");
        let text = std::fs::read_to_string(dir.path().join("org/org.toml")).expect("reads");
        assert!(text.contains("id = \"acme\""), "{text}");
        let fault = init(&dir.path().join("other"), "Acme \"x\"").expect_err("refused");
        assert_eq!(fault.1.kind(), std::io::ErrorKind::InvalidInput);
    }
}
