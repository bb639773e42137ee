//! The control plane as it is served: over real HTTP, with a real database, a stand-in provider and a scripted connector.

mod administration;
mod broker;
mod documents;
mod enrolment;
mod events;
mod harness;
mod records;
mod relay;
