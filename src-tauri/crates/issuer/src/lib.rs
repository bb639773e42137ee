//! The OAuth authorization server; storage and signer are traits.
#![forbid(unsafe_code)]
