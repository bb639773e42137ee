//! SSO: the session state machine and its IO shell.
#![forbid(unsafe_code)]
