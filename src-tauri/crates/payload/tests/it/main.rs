//! Payload rules from the outside: what they find, what they do, and what they never tell.
#![cfg(test)]

mod corpus;
mod screening;
