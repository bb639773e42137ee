//! What IT writes: a folder under version control, and the signed documents that are made of it.
//!
//! Nothing here talks to a server; only [`pin`] starts a connector, to ask for its tools.

mod access;
mod beside;
mod cases;
mod compile;
mod difference;
mod example;
mod files;
mod flagged;
mod floating;
mod folder;
mod halted;
mod hearsay;
mod host;
mod keys;
mod later;
mod limits;
mod payload;
mod pin;
mod rollback;
mod root;
mod schema;
mod sign;

pub use access::{AccessChange, access_change};
pub use cases::CaseFault;
pub(crate) use compile::policy_input;
pub use difference::{Change, Difference, Setting, Thing, differences};
pub use example::init;
pub use flagged::FlaggedTool;
pub use floating::FloatingFault;
pub use folder::{AuthorFault, AuthorFaultKind, Examined, check, examine, read};
pub use halted::unsaid;
pub use hearsay::DeviceClaim;
pub use host::{HostFault, publish_to, signed_content};
pub use keys::{KeyFileFault, new_key, read_private, read_public, read_signing};
pub use later::Warning;
pub(crate) use pin::tool_name;
pub use pin::{PinFault, Pinned, pin};
pub use rollback::{Rollback, RollbackFault, Signing, in_every_format, rollback};
pub use root::{RootPlan, RootSummary, add_signature, describe_root, new_root};
pub(crate) use schema::plain_descriptions;
pub use schema::{schemas, write_schemas};
pub use sign::{Documents, SignFault, SignPlan, sign};
pub(crate) use sign::{MANIFEST_PATH, bundle_path, read_manifest, root_path};
