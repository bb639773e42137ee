//! Why nothing of what IT set is obeyed.

use std::path::PathBuf;

use model::{Advice, ForPerson};

/// Why nothing of what IT set is obeyed.
#[derive(Debug, thiserror::Error)]
pub enum ManagedFault {
    /// It cannot be read.
    #[error("{from} cannot be read: {why}")]
    Unreadable {
        /// Where it is kept.
        from: String,
        /// Why.
        why: String,
    },
    /// Somebody else than the administrator could have written it.
    #[error("{} {how}", path.display())]
    NotTheAdministrators {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        how: &'static str,
    },
    /// It is larger or more than settings are.
    #[error("{} {how}", path.display())]
    TooMuch {
        /// The file or folder.
        path: PathBuf,
        /// What there is too much of.
        how: &'static str,
    },
    /// It is not in the form of settings.
    #[error("{from} cannot be understood: {why}")]
    Malformed {
        /// Where it is kept.
        from: String,
        /// Where and why, without the values.
        why: String,
    },
    /// A name that is no setting's.
    #[error("{from} sets {name}, which this version does not know")]
    Unknown {
        /// The name.
        name: String,
        /// Where it is kept.
        from: String,
    },
    /// A value that the setting cannot have. The value itself is not told: it may be a secret.
    #[error("{from} sets {name} to something that it cannot be: {why}")]
    Value {
        /// The setting.
        name: &'static str,
        /// Where it is kept.
        from: String,
        /// What it has to be.
        why: String,
    },
    /// Of two settings that go together only one is there.
    #[error("{from} sets {there} without {missing}")]
    Half {
        /// The one that is there.
        there: &'static str,
        /// The one that is missing.
        missing: &'static str,
        /// Where the one is kept.
        from: String,
    },
}

impl ForPerson for ManagedFault {
    fn advice(&self) -> Advice {
        Advice::new(
            "managed-refused",
            format!("What your IT department has set on this computer cannot be used: {self}."),
            "None of it is obeyed by halves, and your own settings do not take its place.",
            "Tell your IT department.",
        )
    }
}
