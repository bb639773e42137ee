//! Proof of possession of the device key: DPoP (RFC 9449) with ES256 and nothing else.
//!
//! Making and checking a proof is pure. That a proof is used once only is for the server to see: it keeps the `jti`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Timestamp;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

/// How old a proof may be, or how far ahead of the server's clock.
pub const PROOF_WINDOW: Duration = Duration::from_secs(300);
/// The longest proof, in characters.
const PROOF_LIMIT: usize = 4096;
/// The shortest and longest `jti`, in characters: 96 bits in base64 at least.
const JTI_LENGTH: std::ops::RangeInclusive<usize> = 16..=128;

/// A P-256 public key as JSON Web Key (RFC 7518, section 6.2). A private key is refused when read.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    /// Always `EC`.
    pub kty: String,
    /// Always `P-256`.
    pub crv: String,
    /// The x coordinate in base64url.
    pub x: String,
    /// The y coordinate in base64url.
    pub y: String,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// Not a signed JSON Web Token in compact form, or too long.
    #[error("the proof is not a compact JSON Web Signature")]
    Form,
    /// `typ` is not `dpop+jwt`.
    #[error("the proof's type is not dpop+jwt")]
    Type,
    /// `alg` is not ES256.
    #[error("the proof's algorithm is not ES256")]
    Algorithm,
    /// The key in the header is not a public P-256 key.
    #[error("the proof's key is not a public P-256 key")]
    Key,
    /// The signature does not verify.
    #[error("the proof's signature is not by its key")]
    Signature,
    /// The proof is for another method.
    #[error("the proof is for method {0:?}")]
    Method(String),
    /// The proof is for another address.
    #[error("the proof is for {0:?}")]
    Target(String),
    /// The proof's `jti` is too short or too long.
    #[error("the proof's jti has no usable length")]
    Jti,
    /// The proof is older than [`PROOF_WINDOW`] or from further ahead.
    #[error("the proof was issued at {issued}, this clock shows {now}")]
    Time {
        /// The proof's time.
        issued: Timestamp,
        /// The server's.
        now: Timestamp,
    },
    /// The proof belongs to another access token, or to none.
    #[error("the proof is not for this access token")]
    Token,
}

/// What a proof must be for.
#[derive(Debug, Clone, Copy)]
pub struct ProofFor<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The address; query and fragment do not count.
    pub url: &'a Url,
    /// The access token that goes with it.
    pub access_token: Option<&'a str>,
}

/// A proof that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The key's thumbprint (RFC 7638): what tokens are bound to.
    pub thumbprint: String,
    /// The key.
    pub key: Jwk,
    /// The proof's unique id: to be accepted once within [`PROOF_WINDOW`] on either side of its time.
    pub jti: String,
    /// When it was issued.
    pub issued: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Header {
    typ: String,
    alg: String,
    jwk: Jwk,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
}

/// What makes a proof another one than any before.
#[derive(Debug, Clone, Copy)]
pub struct Fresh<'a> {
    /// Unguessable, and used once.
    pub jti: &'a str,
    /// When it is made.
    pub now: Timestamp,
    /// What the server wants to see in it (RFC 9449, section 8).
    pub nonce: Option<&'a str>,
}

impl Jwk {
    /// The key's thumbprint (RFC 7638): base64url of SHA-256 over its required members in order.
    pub fn thumbprint(&self) -> String {
        let Self { kty, crv, x, y } = self;
        let canonical = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
    }

    /// The key as a point of the curve, uncompressed (SEC 1, section 2.3.3); `None` where it cannot be one.
    pub fn to_sec1(&self) -> Option<Vec<u8>> {
        if self.kty != "EC" || self.crv != "P-256" {
            return None;
        }
        let mut point = vec![4];
        for coordinate in [&self.x, &self.y] {
            let bytes = URL_SAFE_NO_PAD.decode(coordinate).ok()?;
            point.extend_from_slice(<&[u8; 32]>::try_from(bytes.as_slice()).ok()?);
        }
        Some(point)
    }

    /// Whether the signature is by this key: ES256 (RFC 7518, section 3.4).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let (key, signature) = (self.verifying_key(), Signature::from_slice(signature));
        key.is_some_and(|key| signature.is_ok_and(|signature| key.verify(message, &signature).is_ok()))
    }

    fn verifying_key(&self) -> Option<VerifyingKey> {
        VerifyingKey::from_sec1_bytes(&self.to_sec1()?).ok()
    }
}

/// Makes a proof. `sign` is ES256 by the private half of `jwk` (RFC 7518, section 3.4).
///
/// # Errors
/// Whatever `sign` fails with.
pub fn prove<E>(
    jwk: &Jwk,
    proof_for: ProofFor<'_>,
    fresh: Fresh<'_>,
    sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
) -> Result<String, E> {
    let header = Header { typ: "dpop+jwt".to_owned(), alg: "ES256".to_owned(), jwk: jwk.clone() };
    let claims = Claims {
        jti: fresh.jti.to_owned(),
        htm: proof_for.method.to_owned(),
        htu: target(proof_for.url),
        iat: fresh.now.seconds(),
        ath: proof_for.access_token.map(token_hash),
        nonce: fresh.nonce.map(str::to_owned),
    };
    let input = format!("{}.{}", encode(&header), encode(&claims));
    let signature = sign(input.as_bytes())?;
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Checks a proof (RFC 9449, section 4.3), except that it is new.
///
/// # Errors
/// The first [`ProofFault`] found.
pub fn check(proof: &str, proof_for: ProofFor<'_>, now: Timestamp) -> Result<Proof, ProofFault> {
    let (header, claims) = signed(proof)?;
    if header.typ != "dpop+jwt" {
        return Err(ProofFault::Type);
    }
    if claims.htm != proof_for.method {
        return Err(ProofFault::Method(claims.htm));
    }
    let matches = Url::parse(&claims.htu).is_ok_and(|htu| target(&htu) == target(proof_for.url));
    if !matches {
        return Err(ProofFault::Target(claims.htu));
    }
    if !JTI_LENGTH.contains(&claims.jti.len()) {
        return Err(ProofFault::Jti);
    }
    let issued = Timestamp::from_seconds(claims.iat);
    if issued.since(now) > PROOF_WINDOW || now.since(issued) > PROOF_WINDOW {
        return Err(ProofFault::Time { issued, now });
    }
    if claims.ath != proof_for.access_token.map(token_hash) {
        return Err(ProofFault::Token);
    }
    let key = header.jwk;
    Ok(Proof { thumbprint: key.thumbprint(), key, jti: claims.jti, issued })
}

fn signed(proof: &str) -> Result<(Header, Claims), ProofFault> {
    if proof.len() > PROOF_LIMIT {
        return Err(ProofFault::Form);
    }
    let (input, signature) = proof.rsplit_once('.').ok_or(ProofFault::Form)?;
    let (header, claims) = input.split_once('.').ok_or(ProofFault::Form)?;
    let header: serde_json::Value = decode(header).ok_or(ProofFault::Form)?;
    if header.get("alg").and_then(|alg| alg.as_str()) != Some("ES256") {
        return Err(ProofFault::Algorithm);
    }
    let header: Header = serde_json::from_value(header).map_err(|_| ProofFault::Key)?;
    let key = header.jwk.verifying_key().ok_or(ProofFault::Key)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| ProofFault::Form)?;
    let signature = Signature::from_slice(&signature).map_err(|_| ProofFault::Signature)?;
    key.verify(input.as_bytes(), &signature).map_err(|_| ProofFault::Signature)?;
    let claims = decode(claims).ok_or(ProofFault::Form)?;
    Ok((header, claims))
}

/// The address without query and fragment (RFC 9449, section 4.2), in the URL parser's normal form.
fn target(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

fn token_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

fn encode(value: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::Signer as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const JTI: &str = "0123456789abcdef";

    fn key(seed: u8) -> (SigningKey, Jwk) {
        let key = SigningKey::from_slice(&[seed; 32]).expect("a scalar");
        let point = key.verifying_key().to_sec1_point(false);
        let bytes = point.as_bytes();
        let coordinate = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&bytes[range]);
        let jwk = Jwk {
            kty: "EC".to_owned(),
            crv: "P-256".to_owned(),
            x: coordinate(1..33),
            y: coordinate(33..65),
        };
        (key, jwk)
    }

    fn url(text: &str) -> Url {
        text.parse().expect("a URL")
    }

    fn made(method: &str, address: &str, token: Option<&str>, jti: &str, at: Timestamp) -> String {
        let (key, jwk) = key(5);
        let address = url(address);
        let proof_for = ProofFor { method, url: &address, access_token: token };
        prove(&jwk, proof_for, Fresh { jti, now: at, nonce: None }, |input| {
            let signature: Signature = key.sign(input);
            Ok::<_, Infallible>(signature.to_bytes().into())
        })
        .expect("infallible")
    }

    fn checked(proof: &str, token: Option<&str>) -> Result<Proof, ProofFault> {
        let address = url("https://control.acme.test/v1/session");
        check(proof, ProofFor { method: "POST", url: &address, access_token: token }, NOW)
    }

    #[test]
    fn a_proof_is_accepted_for_what_it_was_made_for() {
        let proof = made("POST", "https://control.acme.test/v1/session?x=1#y", Some("t"), JTI, NOW);
        let (_, jwk) = key(5);
        assert_eq!(
            checked(&proof, Some("t")),
            Ok(Proof { thumbprint: jwk.thumbprint(), key: jwk.clone(), jti: JTI.to_owned(), issued: NOW })
        );
    }

    #[test]
    fn the_thumbprint_is_rfc_7638() {
        // RFC 9449, section 6.1: the key of figure 2 and its thumbprint.
        let jwk = Jwk {
            kty: "EC".to_owned(),
            crv: "P-256".to_owned(),
            x: "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs".to_owned(),
            y: "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA".to_owned(),
        };
        assert_eq!(jwk.thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    #[test]
    fn the_proof_of_rfc_9449_is_accepted() {
        // RFC 9449, section 4.1, figure 1.
        let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
        let address = url("https://server.example.com/token");
        let proof_for = ProofFor { method: "POST", url: &address, access_token: None };
        let accepted = check(proof, proof_for, Timestamp::from_seconds(1_562_262_616));
        assert_eq!(accepted.map(|proof| proof.jti), Ok("-BwC3ESc6acc2lTc".to_owned()));
    }

    #[test]
    fn each_fault_has_its_name() {
        let here = "https://control.acme.test/v1/session";
        assert_eq!(
            checked(&made("GET", here, None, JTI, NOW), None),
            Err(ProofFault::Method("GET".to_owned()))
        );
        let elsewhere = "https://control.acme.test/v1/enrol";
        assert_eq!(
            checked(&made("POST", elsewhere, None, JTI, NOW), None),
            Err(ProofFault::Target(elsewhere.to_owned()))
        );
        assert_eq!(checked(&made("POST", here, Some("a"), JTI, NOW), Some("b")), Err(ProofFault::Token));
        assert_eq!(checked(&made("POST", here, None, JTI, NOW), Some("b")), Err(ProofFault::Token));
        assert_eq!(checked(&made("POST", here, None, "short", NOW), None), Err(ProofFault::Jti));
        for seconds in [-301, 301] {
            let issued = Timestamp::from_seconds(NOW.seconds() + seconds);
            assert_eq!(
                checked(&made("POST", here, None, JTI, issued), None),
                Err(ProofFault::Time { issued, now: NOW })
            );
        }
        assert_eq!(checked("a.b", None), Err(ProofFault::Form));
        assert_eq!(checked(&"a".repeat(5000), None), Err(ProofFault::Form));
    }

    #[test]
    fn another_key_s_signature_another_algorithm_and_a_private_key_are_refused() {
        let here = "https://control.acme.test/v1/session";
        let proof = made("POST", here, None, JTI, NOW);
        let parts: Vec<&str> = proof.split('.').collect();
        let with_header = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut header: serde_json::Value = decode(parts[0]).expect("JSON");
            change(&mut header);
            checked(&format!("{}.{}.{}", encode(&header), parts[1], parts[2]), None)
        };

        let (_, other) = key(6);
        let other = serde_json::to_value(other).expect("JSON");
        assert_eq!(with_header(&|header| header["jwk"] = other.clone()), Err(ProofFault::Signature));
        assert_eq!(with_header(&|header| header["alg"] = "none".into()), Err(ProofFault::Algorithm));
        assert_eq!(with_header(&|header| header["alg"] = "HS256".into()), Err(ProofFault::Algorithm));
        assert_eq!(with_header(&|header| header["jwk"]["d"] = "AA".into()), Err(ProofFault::Key));
        assert_eq!(with_header(&|header| header["jwk"]["crv"] = "P-384".into()), Err(ProofFault::Key));
        assert_eq!(with_header(&|header| header["typ"] = "jwt".into()), Err(ProofFault::Signature));
    }
}
