//! Checks ID tokens (OpenID Connect Core 1.0, section 3.1.3.7) and reads who they are about.
//!
//! The desktop and the control plane decide with what is read here, each for itself, so both read it by the same rules.
//! Nothing here sends a request, reads a clock or takes anything else than a verified token's word.
#![forbid(unsafe_code)]

mod directory;
mod subject;
mod token;

pub use directory::{Directory, DirectoryFault};
pub use subject::{MOST_TEXTS, is_group};
pub use token::{ALGORITHMS, Elsewhere, NonceRule, SID_LIMIT, TokenFault, Verified, Verifier};
