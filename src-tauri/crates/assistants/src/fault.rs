//! Why something is not done, in words for a person.

use std::path::{Path, PathBuf};

use model::{Advice, ForPerson};

/// Nothing was changed, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The platform has no place for the assistant's configuration.
    #[error("{assistant} has no configuration file on this platform")]
    NoFile {
        /// What people call it.
        assistant: &'static str,
    },
    /// The file cannot be read.
    #[error("{} cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is no text, or not of its format.
    #[error("{} is not understood: {why}", file.display())]
    NotUnderstood {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file is understood, but an entry cannot be put in or taken out there.
    #[error("{} cannot be edited: {why}", file.display())]
    NoRoom {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// There is an entry of the name, and it is somebody else's.
    #[error("{} has another entry {name}", file.display())]
    Taken {
        /// The file.
        file: PathBuf,
        /// The entry.
        name: String,
    },
    /// An entry that is to be taken out is not there.
    #[error("{} has no entry {name}", file.display())]
    Gone {
        /// The file.
        file: PathBuf,
        /// The entry.
        name: String,
    },
    /// An entry that is to be put back is there, and says something else.
    #[error("{} has an entry {name} again, which says something else", file.display())]
    Occupied {
        /// The file.
        file: PathBuf,
        /// The entry.
        name: String,
    },
    /// An entry that leads to the virtual server was not made by Deskgate.
    #[error("the entry {name} in {} was made by hand", file.display())]
    ByHand {
        /// The file.
        file: PathBuf,
        /// The entry.
        name: String,
    },
    /// There is nothing to undo.
    #[error("{assistant} is not connected to {server}")]
    NotConnected {
        /// What people call it.
        assistant: &'static str,
        /// The virtual server.
        server: String,
    },
    /// The file has changed since the change was shown.
    #[error("{} has changed meanwhile", file.display())]
    Meanwhile {
        /// The file.
        file: PathBuf,
    },
    /// The file was changed, but the ledger still says what it said before.
    #[error("{} was changed, but {} cannot be written", file.display(), ledger.display())]
    NotRemembered {
        /// The file.
        file: PathBuf,
        /// The ledger.
        ledger: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Writing the file failed, and it is not as it was before.
    #[error("{} was not written as it should have been", file.display())]
    Unsettled {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be written, and is as it was.
    #[error("{} cannot be written", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl ForPerson for Fault {
    fn advice(&self) -> Advice {
        let nothing = "Nothing was changed.";
        match self {
            Self::NoFile { assistant } => Advice::new(
                "assistant-no-file",
                format!("It is not known where {assistant} keeps its configuration on this platform."),
                nothing,
                "Connect it by hand, with the address that `deskgate status` shows.",
            ),
            Self::Unreadable { file, source } => Advice::new(
                "assistant-unreadable",
                format!("{} cannot be read: {source}.", file.display()),
                nothing,
                "Check that the file is there and belongs to you.",
            ),
            Self::NotUnderstood { file, why } => Advice::new(
                "assistant-not-understood",
                format!("{} is not written as it should be: {why}.", file.display()),
                nothing,
                "Correct the file, or connect the assistant by hand with the address that `deskgate status` shows.",
            ),
            Self::NoRoom { file, why } => Advice::new(
                "assistant-no-room",
                format!("{} cannot be edited safely: {why}.", file.display()),
                nothing,
                "Change the entry by hand.",
            ),
            Self::Taken { file, name } => Advice::new(
                "assistant-taken",
                format!(
                    "{} has an entry \"{name}\" already, and it does not lead to Deskgate.",
                    file.display()
                ),
                nothing,
                "Rename or remove that entry if it is no longer needed.",
            ),
            Self::Gone { file, name } => gone(file, name),
            Self::Occupied { file, name } => occupied(file, name),
            Self::ByHand { file, name } => by_hand(file, name),
            Self::NotConnected { assistant, server } => Advice::new(
                "assistant-not-connected",
                format!("{assistant} is not connected to {server}."),
                "There is nothing to undo.",
                "",
            ),
            Self::Meanwhile { file } => Advice::new(
                "assistant-meanwhile",
                format!(
                    "{} was changed while the change was being looked at, or what Deskgate remembers of it was.",
                    file.display()
                ),
                nothing,
                "Do it again.",
            ),
            Self::NotRemembered { file, ledger, source } => Advice::new(
                "assistant-not-remembered",
                format!(
                    "{} was changed, but {} cannot be written: {source}.",
                    file.display(),
                    ledger.display()
                ),
                "The entry is gone from the file; Deskgate still takes it for connected.",
                "Check that Deskgate's folder belongs to you and that the disk has room, then disconnect once more.",
            ),
            Self::Unsettled { file, source } => Advice::new(
                "assistant-unsettled",
                format!("Writing {} failed when it had begun: {source}.", file.display()),
                "The file may be changed, and the change may be lost if the computer stops now. Deskgate remembers it, so that it can be taken back.",
                "Check the disk, look at the file, and do it again.",
            ),
            Self::Unwritable { file, source } => Advice::new(
                "assistant-unwritable",
                format!("{} cannot be written: {source}.", file.display()),
                nothing,
                "Check that the folder belongs to you and that the disk has room.",
            ),
        }
    }
}

fn gone(file: &Path, name: &str) -> Advice {
    Advice::new(
        "assistant-gone",
        format!("{} has no entry \"{name}\".", file.display()),
        "Nothing was changed.",
        "See what there is: deskgate assistants",
    )
}

fn occupied(file: &Path, name: &str) -> Advice {
    Advice::new(
        "assistant-occupied",
        format!("{} has an entry \"{name}\" by now, and it says something else.", file.display()),
        "Nothing was changed.",
        "Rename or remove that entry, then do it again.",
    )
}

fn by_hand(file: &Path, name: &str) -> Advice {
    Advice::new(
        "assistant-by-hand",
        format!("Deskgate does not know of having made the entry \"{name}\" in {}.", file.display()),
        "Nothing was changed.",
        "Remove it where it was made.",
    )
}
