//! Calls with shared credentials: decided again on claims that this server verified, recorded before the effect, made
//! with a secret that never leaves but towards its connector.

mod approval;
mod call;
mod dialects;
mod fault;
mod limits;
mod payload;
mod pool;
mod redact;
mod told;
mod traced;

pub(crate) use call::{Asked, Broker};
pub(crate) use dialects::Dialects;
pub(crate) use fault::BrokerFault;
pub(crate) use told::Told;
