//! Why a server's certificate is not believed, out of what TLS reports.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// Why a server's certificate is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// It has expired, as this computer's clock says.
    #[error("it has expired")]
    Expired,
    /// It is not valid yet, as this computer's clock says.
    #[error("it is not valid yet")]
    NotYetValid,
    /// It is for another name.
    #[error("it is for another name")]
    OtherName,
    /// Nobody whom this computer trusts has signed it, or something else is wrong with it.
    #[error("this computer does not trust whoever signed it")]
    Untrusted,
}

impl Disbelief {
    /// What TLS reports among the causes of `fault`; `None` where it is about something else.
    pub(crate) fn among(fault: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(fault);
        while let Some(one) = cause {
            if let Some(rustls::Error::InvalidCertificate(why)) = one.downcast_ref() {
                return Some(Self::of(why));
            }
            // A stream's error passes over what it is made of when it is asked for its source.
            cause = match one.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => one.source(),
            };
        }
        None
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls adds to the list; whatever else is wrong, it is not trusted"
    )]
    fn of(why: &CertificateError) -> Self {
        match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::OtherName
            }
            _ => Self::Untrusted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_however_deep_it_lies() {
        let tls = || rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert_eq!(Disbelief::among(&tls()), Some(Disbelief::Expired));
        let stream = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls()));
        assert_eq!(Disbelief::among(&io::Error::other(tls())), Some(Disbelief::Expired));
        assert_eq!(Disbelief::among(&stream), Some(Disbelief::Expired));
        let other = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(Disbelief::among(&other), Some(Disbelief::Untrusted));
        assert_eq!(Disbelief::among(&rustls::Error::DecryptError), None);
        assert_eq!(Disbelief::among(&io::Error::other("away")), None);
    }
}
