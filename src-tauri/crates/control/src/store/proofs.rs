//! Proofs of possession that were used, and approvals: each is good once.

use std::sync::atomic::Ordering;

use model::{CallId, Digest, Timestamp};
use org_protocol::dpop::{PROOF_WINDOW, Proof};
use org_protocol::{Approved, CLOCK_SKEW};

use super::{Store, StoreFault};

/// What is there already is not inserted again.
const REMEMBER: &str = "INSERT INTO proofs (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";

impl Store {
    /// Remembers a proof. `false` where it was used before.
    ///
    /// Kept by the connection whose commits do not wait for the disk: what a power failure forgets is at most as old as
    /// the failure, and a replay would need the device's TLS connection besides.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn use_proof(&self, proof: &Proof) -> Result<bool, StoreFault> {
        // Which proofs were used before is not known: none of that time is good.
        if proof.issued < self.epoch.began {
            return Ok(false);
        }
        let digest = Digest::of_parts(&[proof.thumbprint.as_bytes(), proof.jti.as_bytes()]);
        self.write_proof(digest, proof.issued.plus(PROOF_WINDOW)).await
    }

    /// Remembers the approval that a call is made with. `false` where a call was made with it before.
    ///
    /// It is on disk before the call is made: an approval outlasts a restart, and a power failure.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn use_approval(&self, approved: &Approved) -> Result<bool, StoreFault> {
        let statement = approved.statement();
        // Which were used before is not known: none of that time is good.
        if statement.issued < self.epoch.began {
            return Ok(false);
        }
        // By the call: however often a device signs for one call, it is made once.
        let device = statement.device.to_string();
        let call = statement.call.to_string();
        let digest = Digest::of_parts(&[b"approval", device.as_bytes(), call.as_bytes()]);
        let expires = statement.valid_until.plus(CLOCK_SKEW).plus(CLOCK_SKEW);
        let remember = sqlx::query(REMEMBER).bind(digest.to_string()).bind(expires.micros());
        Ok(self.run(remember).await? == 1)
    }

    /// Writes something down that is forgotten at once, to see whether that is possible.
    ///
    /// # Errors
    /// A [`StoreFault`] where it is not.
    pub(crate) async fn try_to_write(&self) -> Result<(), StoreFault> {
        let never = Timestamp::from_seconds(0);
        self.write_proof(Digest::of(CallId::new().to_string().as_bytes()), never).await.map(drop)
    }

    /// Writes a proof down. Each request of a device does, so that it is known from here whether the database can be written.
    async fn write_proof(&self, digest: Digest, expires: Timestamp) -> Result<bool, StoreFault> {
        let inserted =
            sqlx::query(REMEMBER).bind(digest.to_string()).bind(expires.micros()).execute(&self.quick).await;
        self.writes.store(inserted.is_ok(), Ordering::Relaxed);
        Ok(inserted?.rows_affected() == 1)
    }

    /// Forgets proofs that would be refused for their age anyway.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn forget_proofs(&self, now: Timestamp) -> Result<(), StoreFault> {
        sqlx::query("DELETE FROM proofs WHERE expires_at < $1")
            .bind(now.micros())
            .execute(&self.quick)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::on_each;
    use super::*;

    #[tokio::test]
    async fn a_proof_is_good_once() {
        on_each(async |store: Store| {
            let proof = |jti: &str, thumbprint: &str| Proof {
                thumbprint: thumbprint.to_owned(),
                key: serde_json::from_str(r#"{"kty":"EC","crv":"P-256","x":"","y":""}"#).expect("a key"),
                jti: jti.to_owned(),
                issued: Timestamp::from_seconds(100),
            };
            assert!(store.use_proof(&proof("a", "k")).await.expect("stores"));
            assert!(!store.use_proof(&proof("a", "k")).await.expect("stores"));
            assert!(store.use_proof(&proof("b", "k")).await.expect("stores"));
            assert!(store.use_proof(&proof("a", "l")).await.expect("stores"), "another device's");
            store.forget_proofs(Timestamp::from_seconds(399)).await.expect("forgets");
            assert!(!store.use_proof(&proof("a", "k")).await.expect("stores"), "still within the window");
        })
        .await;
    }
}
