//! The loopback server and the path of a call.
//!
//! Read [`serve`](serve::serve) → `routes` → `rpc` → `call`: that is the whole way; over standard input and output
//! [`converse`] → `rpc` → `call`. Nothing here knows protocol
//! revisions, secrets or windows; without a permit and a durable intent nothing reaches a connector.
#![forbid(unsafe_code)]

mod approval;
mod call;
mod changes;
mod effect;
mod end;
mod followed;
mod gate;
mod guard;
mod limits;
mod lines;
mod lists;
mod observe;
mod outlet;
mod parked;
mod payload;
mod peer;
mod present;
mod record;
mod respond;
mod routes;
mod rpc;
mod search;
mod serve;
mod sessions;
mod snapshot;
mod streams;
mod tasks;
mod trial;
mod voice;
mod wanted;
mod whose;

pub use approval::{Approver, Unapproved, Wish};
pub use gate::{Discovery, Gate, GateConfig, Switch, Visit, Visits};
pub use limits::{KeptCounts, Limits};
pub use lines::converse;
pub use observe::{CallEnd, Observation, Observer};
pub use serve::{BindFault, Listening, bind, free_port, is_free, port_taken, serve};
pub use snapshot::{
    Found, Offer, Offered, OfferedPrompt, OfferedResource, Owner, ServerView, Snapshot, Snapshots,
};
pub use trial::{Trial, TriedCall, try_out};
