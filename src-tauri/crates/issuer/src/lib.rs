//! The OAuth 2.1 authorization server that assistants use to reach virtual servers.
//!
//! One issuer at the root of the loopback server (RFC 8414), one protected resource per virtual server (RFC 9728), public
//! clients only, PKCE S256 always (RFC 7636), opaque tokens of which only digests are kept. It is free of any web framework:
//! [`Issuer::handle`] takes a request as a value and gives the response as a value. It must never open a window, read a
//! clock, a file or a socket by itself: all of that comes in through [`Seams`].
#![forbid(unsafe_code)]

mod access;
mod admission;
mod authorize;
mod clients;
mod codes;
mod consents;
mod documents;
mod grants;
mod http;
mod issuer;
mod ledger;
mod metadata;
mod name;
mod named;
mod params;
mod pkce;
mod redirect;
mod register;
mod seams;
mod secret;
mod table;
pub mod testing;
mod token;

pub use access::{AccessGrant, Assistant, AssistantGrant, TokenFault};
pub use admission::{Admission, AdmissionFault, Visit};
pub use documents::Documents;
pub use http::{IssuerRequest, IssuerResponse, Route};
pub use issuer::Issuer;
pub use named::{NamedClient, NamedFault};
pub use seams::{
    Event, IssuerConfig, Limits, ListenerLookup, ProgramLookup, Record, RecordKind, Resources,
    RevocationCause, Seams, Store, StoreFault,
};
