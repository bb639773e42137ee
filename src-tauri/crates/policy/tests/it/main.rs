//! The policy crate from outside, by feature.
#![cfg(test)]

mod desk;

mod approving;
mod authoring;
mod beside_tools;
mod explaining;
mod facts;
mod halting;
mod laws;
mod listing;
mod story;
mod whereabouts;
