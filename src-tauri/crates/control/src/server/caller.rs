//! Who calls: a device that proves its key with each request, and the person whose session it holds.

use axum::http::{HeaderMap, Method, StatusCode, header};
use model::{Advice, DeviceId, Digest, Subject, Timestamp};
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
                ProofFault::Time { issued, now } => clocks_differ(issued, now),
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

/// What a device is told whose clock shows another time: it cannot know by itself which of the two is wrong.
fn clocks_differ(device: Timestamp, here: Timestamp) -> Fault {
    let (by, how) =
        if device < here { (here.since(device), "behind") } else { (device.since(here), "ahead of") };
    let minutes = by.as_secs() / 60;
    let by =
        if minutes < 120 { format!("{minutes} minutes") } else { format!("{} hours", (minutes + 30) / 60) };
    let advice = Advice::new(
        "proof-time",
        format!("This computer's clock is {by} {how} that of the organisation's server."),
        "The server takes nothing from this computer until the two agree; shared accounts cannot be used meanwhile.",
        "Set this computer's clock. If it is right, tell your IT department.",
    );
    Fault::challenging(StatusCode::UNAUTHORIZED, advice, INVALID_PROOF)
}

/// The token of an `Authorization: DPoP` header (RFC 9449, section 7.1).
pub(crate) fn session_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("dpop").then(|| token.trim())
}
