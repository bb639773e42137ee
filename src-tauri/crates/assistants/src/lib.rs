//! Finds the assistants on this machine, connects them to virtual servers and undoes that exactly.
//!
//! All of it is edits of the assistants' own configuration files. A file is read for what it says and where that stands
//! ([`format`]), changed only where our entry goes ([`Splice`]), read again and compared before it is written: what does not
//! come out as it should is refused, never written. No entry ever holds a token, and the ledger holds nothing of a file but what
//! was put in or taken out.
//!
//! Some assistants have a command for this. None of them can be undone exactly: `claude mcp remove` and `gemini mcp remove` write
//! the whole file anew, `codex mcp add` begins to sign in and `remove` takes a table with it that was there before, and
//! `code --add-mcp` has no counterpart. So the file is edited for all.
#![forbid(unsafe_code)]

mod connect;
mod described;
mod disconnect;
mod edit;
mod entry;
mod fault;
mod format;
mod found;
mod harmless;
mod import;
mod ledger;
mod machine;
mod managed;
mod masked;
mod outside;
mod splice;
mod table;
mod tree;
mod unfit;

pub use connect::{Change, Connection, connect};
pub use described::is_variable;
pub use disconnect::{Undone, disconnect};
pub use entry::{Reached, Target, entry_name};
pub use fault::Fault;
pub use found::{Found, FoundBy, find, outside_of};
pub use import::{PutBack, Taken, TakenOut, put_back, take_out};
pub use ledger::{Ledger, Record};
pub use machine::{Machine, Platform};
pub use managed::{MANAGED, ManagedFile, managed_markdown};
pub use masked::diff;
pub use outside::{Configured, Outside, Place, Word};
pub use splice::Splice;
pub use table::{ASSISTANTS, Assistant, Format, Verified, markdown};
pub use unfit::Unfit;
