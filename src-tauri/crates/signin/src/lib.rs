//! Signing in: the organisation's session (OpenID Connect), and the parts that any OAuth sign-in on the desktop shares.
//!
//! [`renewal`] keeps a rotating token alive without IO; [`Keeper`] drives it. [`Http`] is the only way to an
//! authorization server, [`answer`] the only reader of a redirect. Nothing here opens a window, logs a token, or
//! decides what a person may do: the session says who somebody is, policy says the rest.
#![forbid(unsafe_code)]

pub mod answer;
mod ask;
mod client_key;
pub mod entry;
mod fault;
mod http;
mod life;
mod obtain;
mod port;
mod prover;
mod reach;
pub mod renewal;
mod sso;
mod store;
mod token;

pub use ask::ask;
pub use client_key::ClientKey;
pub use fault::{FaultKind, SignInFault};
pub use http::{Http, HttpFault, HttpRequest, HttpResponse, Reach};
pub use life::{Life, Moment};
pub use obtain::Obtain;
pub use port::{free_loopback_port, loopback_redirect};
pub use prover::Prover;
pub use reach::{NamedHosts, is_loopback, presentable};
pub use renewal::{Keeper, KeeperRules, Kept, Place, Status};
pub use sso::{Provider, Session, SessionState, Sso, SsoParts, Vouch, Wish};
pub use store::{SecretStore, seal, sealed_text, unseal};
pub use token::{Redemption, RenewFault, TokenEndpoint, Tokens};
