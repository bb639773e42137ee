//! What IT sets on the machine itself, by Windows policy, macOS managed preferences or a folder of root's on Linux: one
//! definition, from which reading and the templates for administrators are made.
//!
//! A machine is managed or it is not. Where something is set that cannot be understood or could have been written by
//! somebody else than the administrator, all of it is refused: settings that are half obeyed would be others than IT meant.
//! No environment variable and no argument leads anywhere else.
#![forbid(unsafe_code)]

mod fault;
#[cfg(any(target_os = "linux", test))]
mod linux;
#[cfg(any(target_os = "macos", test))]
mod macos;
mod setting;
mod settings;
pub mod template;
#[cfg(target_os = "windows")]
mod windows;

pub use fault::ManagedFault;
pub use setting::{Kind, MenuItem, Setting};
pub use settings::{EnrolmentToken, Managed, Organisation, Raw, Settings, Value};

/// The program's preference domain on macOS, which is its bundle identifier.
const DOMAIN: &str = "dev.deskgate.desktop";

/// The folders in which [`read`] finds files; none where what is set does not lie in files, or where nobody tells of changes.
pub fn folders() -> Vec<&'static std::path::Path> {
    #[cfg(target_os = "linux")]
    return linux::FOLDERS.map(std::path::Path::new).to_vec();
    #[cfg(not(target_os = "linux"))]
    return Vec::new();
}

/// Reads what IT has set on this machine; `None` where nothing is set. Blocks for the disk.
///
/// # Errors
/// A [`ManagedFault`]: something is set, and none of it may be obeyed.
pub fn read() -> Result<Option<Managed>, ManagedFault> {
    #[cfg(target_os = "linux")]
    return linux::read();
    #[cfg(target_os = "macos")]
    return macos::read();
    #[cfg(target_os = "windows")]
    return windows::read();
    #[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "windows")))]
    return Ok(None);
}
