//! The authored folder, as IT would have it under version control: the files of `peers/org`, with the addresses of the
//! peers put in.

use std::path::Path;

use serde_json::json;

use super::OrganisationParts;
use crate::{PeerFault, dbhub, filesystem_server};

macro_rules! authored {
    ($($file:literal),+ $(,)?) => {
        [$(($file, include_str!(concat!("../../peers/org/", $file)))),+]
    };
}

/// Path below the folder, and text.
const FILES: [(&str, &str); 10] = authored![
    "org.toml",
    "connectors/files.toml",
    "connectors/mail.toml",
    "connectors/warehouse.toml",
    "servers/analyst.toml",
    "servers/notes.toml",
    "policies/files.cedar",
    "policies/mail.cedar",
    "policies/servers.cedar",
    "policies/warehouse.cedar",
];

/// Writes the folder, without any pinned tools.
pub(super) fn write(folder: &Path, parts: &OrganisationParts<'_>) -> Result<(), PeerFault> {
    for sub in ["connectors", "servers", "policies"] {
        std::fs::create_dir_all(folder.join(sub))?;
    }
    // A JSON array of texts is a TOML array of texts.
    let known = [
        ("@ISSUER@", parts.idp.issuer().to_owned()),
        ("@MAIL@", parts.mail.url().to_string()),
        ("@FILES@", json!(filesystem_server(parts.files)?).to_string()),
        ("@WAREHOUSE@", json!(dbhub()?).to_string()),
    ];
    for (file, text) in FILES {
        let text = known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
        std::fs::write(folder.join(file), text)?;
    }
    Ok(())
}
