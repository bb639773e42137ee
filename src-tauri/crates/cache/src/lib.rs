//! What can be rebuilt: typed tables in sled.
//!
//! Nothing here must ever be the only copy of anything. A record that cannot be read is a miss, a store that cannot be
//! opened is moved aside and begun anew, a store that cannot even be begun is an empty one that keeps nothing; no caller
//! handles an error. Nothing is synced to disk: after a crash the newest records, or all, may be gone, and an older value
//! may be back in place of a newer one.
#![forbid(unsafe_code)]

mod chunk;
mod store;
mod table;

pub use store::Recovery;
pub use table::{Cache, Table};
