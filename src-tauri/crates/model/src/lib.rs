//! Checked ids and values shared by every crate, and the [`Person`] seam.
//!
//! Nothing here reads a clock, a file or a socket. A value that exists is valid: parsing happens once, at the edge.
#![forbid(unsafe_code)]

mod account;
mod advice;
mod causes;
mod client_document;
mod digest;
mod id;
mod identity;
mod person;
mod place;
mod text;
mod time;
mod trace;
mod version;

pub use account::AccountId;
pub use advice::{Advice, ForPerson};
pub use causes::with_causes;
pub use client_document::is_client_document;
pub use digest::{Digest, DigestFault};
pub use id::{
    AccountName, CallId, ConnectorId, CredentialId, DeviceId, IdFault, LeaseId, ServerId, ToolName,
};
pub use identity::{AttributeValue, Subject};
pub use person::{
    Approval, ApprovalRequest, ApprovalScope, ApprovalTarget, BoxFuture, CodeRequest, Consent,
    ConsentRequest, ListeningProcess, Person, PersonFault, SignInOutcome, SignInPurpose, SignInRequest,
    UserCode,
};
pub use place::is_on_this_machine;
pub use text::{is_deceiving, is_hidden, visible};
pub use time::{Timestamp, TimestampFault};
pub use trace::{TraceFault, TraceParent};
pub use version::{ReleaseVersion, VersionFault};
