//! The SAML 2.0 service provider: sends people to the organisation's identity provider, and believes what it says of them
//! (SAML Profiles 2.0, section 4.1: Web Browser SSO, begun here, HTTP-Redirect out and HTTP-POST back).
//!
//! What comes back is written by whoever has a browser. So it is read three times: by [`preparse`], which knows the few
//! forms that a response may have and refuses all others before anything is verified; by `saml-rs`, which verifies the
//! signatures of response and assertion with the certificates of the signed content, and never with what the response
//! carries; and by [`facts`], whose reading must be the verifier's own. Nobody is signed in by an answer that was not asked
//! for, comes a second time, or is for somebody else.

mod certificate;
mod facts;
mod fault;
mod grammar;
mod preparse;
mod service_provider;

pub use certificate::CertificateFault;
pub(crate) use certificate::check_certificate;
pub(crate) use fault::SamlFault;
pub(crate) use service_provider::{Accepted, Asked, ServiceProvider};

#[cfg(test)]
mod tests;
