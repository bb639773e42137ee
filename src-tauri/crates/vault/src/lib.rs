//! The only place where secrets rest on the desktop.
//!
//! The operating system's keychain holds one 32-byte key. Everything else lies in small files sealed with keys derived
//! from it, each replaced as a whole and on disk before [`Vault::put`] returns. Where the keychain cannot be used, the
//! vault keeps secrets in memory until the program ends and says so; there is no fallback that writes them unsealed.
//!
//! This is the only crate that names the keychain. It knows nothing of what the secrets mean.
#![forbid(unsafe_code)]

mod device_key;
mod fault;
mod forget;
mod home;
mod keychain;
mod kind;
mod proof_key;
mod seal;
mod secret;
mod store;
pub mod testing;
mod vault;

pub use device_key::{DeviceKey, Protection};
pub use fault::{Finding, VaultFault};
pub use forget::forget_keys;
pub use keychain::{Keychain, KeychainFault, KeychainState, SystemKeychain, look_at_keychain};
pub use kind::Kind;
pub use proof_key::ProofKey;
pub use secret::SecretBytes;
pub use vault::{Found, Vault};
