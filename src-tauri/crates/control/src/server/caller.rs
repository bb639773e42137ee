//! Who calls: a device that proves its key with each request, and the person whose session it holds.

use axum::http::{HeaderMap, Method, header};
use model::{DeviceId, Digest, Subject, Timestamp};
use org_protocol::dpop::{self, Jwk, Proof, ProofFault, ProofFor};

use super::{Fault, Plane};

/// A device with a live session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The device.
    pub(crate) device: DeviceId,
    /// The person, with the claims that this server verified.
    pub(crate) subject: Subject,
    /// The session, by the digest of its token.
    pub(crate) session: Digest,
    /// When the session ends.
    pub(crate) expires: Timestamp,
    /// The device's key.
    pub(crate) key: Jwk,
}

const INVALID_PROOF: &str = r#"DPoP error="invalid_dpop_proof", algs="ES256""#;
pub(super) const INVALID_TOKEN: &str = r#"DPoP error="invalid_token", algs="ES256""#;

impl Plane {
    /// The proof that a request carries for the server's address at `path`; good once.
    pub(crate) async fn proof(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        access_token: Option<&str>,
    ) -> Result<Proof, Fault> {
        let bad = |happened: &str| Fault::unauthorized("proof-refused", happened, INVALID_PROOF);
        let mut proofs = headers.get_all("dpop").iter();
        let (Some(proof), None) = (proofs.next(), proofs.next()) else {
            return Err(bad("The request does not prove the device's key."));
        };
        let proof = proof.to_str().map_err(|_| bad("The proof of the device's key cannot be read."))?;
        let url = self.public_url.join(path).map_err(|_| Fault::not_found())?;
        let proof_for = ProofFor { method: method.as_str(), url: &url, access_token };
        let proof = dpop::check(proof, proof_for, self.clock.now()).map_err(|fault| {
            tracing::info!(%fault, "a proof was refused");
            match fault {
                ProofFault::Time { .. } => Fault::unauthorized(
                    "proof-time",
                    "The clocks of this device and of the organisation's server differ by minutes.",
                    INVALID_PROOF,
                ),
                ProofFault::Form
                | ProofFault::Type
                | ProofFault::Algorithm
                | ProofFault::Key
                | ProofFault::Signature
                | ProofFault::Method(_)
                | ProofFault::Target(_)
                | ProofFault::Jti
                | ProofFault::Token => bad("The proof of the device's key is not good."),
            }
        })?;
        self.limits.device(&proof.thumbprint)?;
        if self.store.use_proof(&proof).await? {
            Ok(proof)
        } else {
            tracing::warn!(thumbprint = proof.thumbprint, "a proof was used twice");
            Err(Fault::unauthorized(
                "proof-replayed",
                "A proof of the device's key was used a second time.",
                INVALID_PROOF,
            ))
        }
    }

    /// The device and person behind a request with a session token.
    pub(crate) async fn caller(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Caller, Fault> {
        let refused = || {
            Fault::unauthorized(
                "session-ended",
                "The session with the organisation has ended.",
                INVALID_TOKEN,
            )
        };
        let token = session_token(headers).ok_or_else(refused)?;
        let proof = self.proof(method, path, headers, Some(token)).await?;
        let digest = Digest::of(token.as_bytes());
        let session = self.store.session(digest, self.clock.now()).await?.ok_or_else(refused)?;
        if session.thumbprint != proof.thumbprint {
            tracing::warn!(device = %session.device, "a session token was used with another key");
            return Err(refused());
        }
        Ok(Caller {
            device: session.device,
            subject: session.subject,
            session: digest,
            expires: session.expires,
            key: proof.key,
        })
    }
}

/// The token of an `Authorization: DPoP` header (RFC 9449, section 7.1).
pub(crate) fn session_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("dpop").then(|| token.trim())
}
