//! A client's private key, by which it proves who it is (`private_key_jwt`; OpenID Connect Core 1.0, section 9; RFC 7523,
//! section 2.2). P-256 alone: ES256 is what every server that takes keys knows.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use model::Timestamp;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use secrecy::SecretString;
use serde::Serialize;

use crate::FaultKind;

/// RFC 7523, section 2.2.
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion is good for, in seconds.
const LASTS: i64 = 60;

/// A client's private key, and where and when it is used.
pub struct ClientKey {
    key: SigningKey,
    audience: String,
    now: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

impl ClientKey {
    /// Reads a key in PKCS #8 PEM (RFC 7468, section 10), also where its line breaks were lost. `audience` is the issuer
    /// identifier of the authorization server.
    ///
    /// # Errors
    /// [`FaultKind::Unreadable`] if it is no P-256 key.
    pub fn read(pem: &str, audience: &str, now: Timestamp) -> Result<Self, FaultKind> {
        let body = pem.split_once("-----BEGIN PRIVATE KEY-----").and_then(|(_, rest)| {
            let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
            STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
        });
        let key = body.and_then(|der| SigningKey::from_pkcs8_der(&der).ok());
        let key = key.ok_or_else(|| FaultKind::Unreadable("a private key".to_owned()))?;
        Ok(Self { key, audience: audience.to_owned(), now })
    }

    pub(crate) fn assertion(&self, client_id: &str) -> Result<SecretString, FaultKind> {
        let iat = self.now.seconds();
        let claims = Claims {
            iss: client_id,
            sub: client_id,
            aud: &self.audience,
            jti: oauth2::CsrfToken::new_random_len(16).secret().clone(),
            iat,
            exp: iat.saturating_add(LASTS),
        };
        let claims = serde_json::to_vec(&claims).map_err(|fault| FaultKind::Internal(fault.to_string()))?;
        let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ES256"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature: Signature = self.key.sign(signed.as_bytes());
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())).into())
    }
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Verifier as _;
    use p256::elliptic_curve::Generate as _;
    use p256::pkcs8::EncodePrivateKey as _;
    use secrecy::ExposeSecret as _;

    use super::*;

    const ISSUER: &str = "https://as.example";

    #[test]
    fn a_key_proves_its_client_at_one_server_for_a_minute() {
        let key = SigningKey::generate();
        let der = STANDARD.encode(key.to_pkcs8_der().unwrap().as_bytes());
        let now = Timestamp::from_seconds(1_700_000_000);
        for pem in [
            format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"),
            format!("-----BEGIN PRIVATE KEY-----{der}-----END PRIVATE KEY-----"),
        ] {
            let read = ClientKey::read(&pem, ISSUER, now).unwrap();
            let assertion = read.assertion("service").unwrap();
            let (signed, signature) = assertion.expose_secret().rsplit_once('.').unwrap();
            let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
            key.verifying_key().verify(signed.as_bytes(), &signature).unwrap();
            let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
            let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
            assert_eq!(
                (&claims["iss"], &claims["sub"], &claims["aud"]),
                (&"service".into(), &"service".into(), &ISSUER.into())
            );
            assert_eq!(claims["exp"], 1_700_000_060);
        }
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        for wrong in [
            "",
            "secret",
            "-----BEGIN PRIVATE KEY-----AAAA-----END PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----",
        ] {
            assert!(ClientKey::read(wrong, ISSUER, Timestamp::from_seconds(0)).is_err(), "{wrong}");
        }
    }
}
