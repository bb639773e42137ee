//! What differs between operating systems: clock, durable files, the instance lock, the peer process of a socket,
//! process groups, the local socket, protection against memory dumps.
//!
//! This is the only crate that may hold `unsafe`, and the only one that reads the wall clock. It knows nothing of
//! Deskgate's own formats. What a platform cannot tell is said by the type (`None`, [`std::io::ErrorKind::Unsupported`]),
//! never guessed.
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod account;
mod again;
mod anew;
#[cfg(target_os = "linux")]
mod bus;
mod child;
mod clock;
mod crash;
mod files;
mod harden;
mod instance;
mod local;
mod network;
mod peer;
mod place;
mod proof;
mod rotating;
mod services;
#[cfg(unix)]
mod survivors;
mod upheaval;
mod watch;

pub use account::Account;
pub use again::{Again, Hearing};
pub use anew::{own_program, own_program_is_replaced, replace_process};
pub use child::ChildGroup;
pub use clock::{Clock, ManualClock, SystemClock, local_day, next_morning};
pub use files::{
    create_private_dir, is_leftover, is_set_aside, remove_durable, replace_durable, set_aside, write_durable,
};
pub use harden::harden_process;
pub use instance::{InstanceLock, LockFault, holder_of_instance, lock_instance};
#[cfg(unix)]
pub use local::{bind_local, bind_new_local, peer_pid, peer_uid};
pub use local::{current_user, host_name};
pub use network::{Whereabouts, outward_address};
pub use peer::{owner_of_connection, owner_of_listener, program_of, starter_of, user_of_connection};
pub use place::{FolderState, is_program, look_at_folder};
pub use proof::{Unproved, prove_person};
pub use rotating::RotatingFile;
pub use services::{Service, session_services};
pub use upheaval::{Upheaval, follow_machine};
pub use watch::FolderWatch;
