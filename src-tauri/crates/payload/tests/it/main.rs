//! Payload rules from the outside: what they find, what they do, and what they never tell.

mod corpus;
mod screening;
