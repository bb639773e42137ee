//! The only place where secrets rest on the desktop: keychain key, sealed files, the device key, the ledger of what must not be lost.
#![forbid(unsafe_code)]
