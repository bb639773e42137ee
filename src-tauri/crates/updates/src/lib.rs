//! What a release of Deskgate is, whether its publisher has signed it, and the part of installing it that runs as root. No network.
//!
//! A release is a folder: a statement (`release.json`), its minisign signature, and the packages that the statement names. The statement
//! says version, platform, size and digest of each package, so one signature binds them all: a package of an earlier version cannot be
//! shown as a later one, nor one for another platform. Whoever serves the folder can withhold it and nothing else.
#![forbid(unsafe_code)]

mod form;
mod installing;
mod keys;
mod release;
mod tool;
mod turn;

pub use form::Form;
pub use installing::{InstallFault, Installing, PARTLY, TakenOver, take_over};
pub use keys::{Keys, KeysFault};
pub use release::{
    PACKAGE_LIMIT, Package, RELEASE_FORMAT, Release, ReleaseFault, SIGNATURE_FILE, SIGNATURE_LIMIT,
    STATEMENT_FILE, STATEMENT_LIMIT, Step, running, step,
};
pub use turn::Turn;
