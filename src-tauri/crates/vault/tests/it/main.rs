//! The vault from outside.

#[cfg(test)]
mod secret_service;
#[cfg(test)]
mod vault;
