//! The certificates that responses are verified with: an RSA key of today's length in an X.509 certificate (RFC 5280).
//!
//! A certificate counts because the signed content names it, whoever issued it. So its dates matter where it is written
//! down, and not when somebody signs in: an organisation that forgot to renew a self-signed certificate is told so when it
//! changes anything, and not shut out at midnight.

use model::Timestamp;
use org_protocol::SamlCertificate;
use x509_cert::Certificate;
use x509_cert::der::asn1::UintRef;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode as _, Reader as _, SliceReader};

/// RSA keys (RFC 8017, appendix A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// The shortest modulus, in bytes: 2048 bits.
const SHORTEST: usize = 256;
/// The longest, in bytes: 8192 bits. Longer ones take their time.
const LONGEST: usize = 1024;

/// Why a certificate is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Not an X.509 certificate.
    #[error("saml.certificates: one of them is no X.509 certificate")]
    Unreadable,
    /// Its key is not RSA of 2048 to 8192 bits.
    #[error("saml.certificates: the key of one is not RSA of 2048 bits or more")]
    Key,
    /// It was good until then.
    #[error(
        "saml.certificates: one of them expired on {0}; put the identity provider's current one in its place"
    )]
    Expired(Timestamp),
}

/// Whether responses can be verified with it, and until when it is good.
///
/// # Errors
/// A [`CertificateFault`].
pub(crate) fn check_certificate(certificate: &SamlCertificate) -> Result<Timestamp, CertificateFault> {
    let read = Certificate::from_der(certificate.der()).map_err(|_| CertificateFault::Unreadable)?;
    let key = &read.tbs_certificate.subject_public_key_info;
    let bits = key.subject_public_key.as_bytes().ok_or(CertificateFault::Key)?;
    let length = modulus(bits).ok_or(CertificateFault::Key)?;
    if key.algorithm.oid != RSA || !(SHORTEST..=LONGEST).contains(&length) {
        return Err(CertificateFault::Key);
    }
    let until = read.tbs_certificate.validity.not_after.to_unix_duration();
    Ok(Timestamp::from_seconds(i64::try_from(until.as_secs()).unwrap_or(i64::MAX)))
}

/// The length of the modulus, in bytes.
fn modulus(key: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(key).ok()?;
    let length = reader.sequence(|inner| {
        let modulus = UintRef::decode(inner)?;
        let _exponent = UintRef::decode(inner)?;
        Ok(modulus.as_bytes().len())
    });
    length.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pem: &str) -> Result<Timestamp, CertificateFault> {
        check_certificate(&SamlCertificate::try_from(pem.to_owned()).expect("base64"))
    }

    #[test]
    fn only_rsa_keys_of_today_verify() {
        let until = check(include_str!("certificates/rsa.crt")).expect("good");
        assert!(until > Timestamp::from_seconds(1_790_000_000), "{until}");
        assert_eq!(check(include_str!("certificates/short.crt")), Err(CertificateFault::Key));
        assert_eq!(check(include_str!("certificates/ec.crt")), Err(CertificateFault::Key));
        assert_eq!(check("AAEC"), Err(CertificateFault::Unreadable));
    }
}
