//! Putting a secret in an earlier one's place while calls with that one are under way.

use model::{CredentialId, DeviceId, LeaseId, Timestamp};
use org_protocol::EventKind;

use super::{Revocation, SealedCredential, Store, StoreFault, parsed, signed};

impl Store {
    /// Stores a secret in the place of an earlier one, has the leases of that go on until `retires`, and tells their devices. Gives
    /// those leases.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn rotate_credential(
        &self,
        id: &CredentialId,
        credential: &SealedCredential,
        now: Timestamp,
        retires: Timestamp,
    ) -> Result<Vec<LeaseId>, StoreFault> {
        let mut transaction = self.write().await?;
        let rotated = sqlx::query(
            "UPDATE credentials SET version = $1, sealed = $2, changed_at = $3, source = $4, exposed_at = NULL
             WHERE id = $5 AND version < $1",
        )
        .bind(signed(credential.version))
        .bind(&credential.sealed)
        .bind(now.micros())
        .bind(credential.source.clone())
        .bind(id.as_str())
        .execute(&mut *transaction)
        .await?;
        if rotated.rows_affected() == 0 {
            // It was removed, or another control plane was faster.
            return Err(StoreFault::Overtaken);
        }
        super::credentials::count_version(&mut transaction, id, credential.version).await?;
        let rows: Vec<(String, String)> = sqlx::query_as(
            "UPDATE leases SET retires_at = $1 WHERE credential = $2 AND version < $3 AND ended_at IS NULL AND expires_at > $4
             RETURNING id, device",
        )
        .bind(retires.micros())
        .bind(id.as_str())
        .bind(signed(credential.version))
        .bind(now.micros())
        .fetch_all(&mut *transaction)
        .await?;
        let mut leases = Vec::new();
        for (lease, device) in rows {
            let (lease, device): (LeaseId, DeviceId) =
                (parsed("lease id", &lease)?, parsed("device id", &device)?);
            sqlx::query("INSERT INTO events (at, device, what) VALUES ($1, $2, $3)")
                .bind(now.micros())
                .bind(device.to_string())
                .bind(serde_json::to_string(&EventKind::LeaseRetires { lease }).unwrap_or_default())
                .execute(&mut *transaction)
                .await?;
            leases.push(lease);
        }
        let stored = Revocation::CredentialStored { credential: id.clone(), version: credential.version };
        self.note(now, vec![stored]).await?;
        transaction.commit().await?;
        self.changed();
        Ok(leases)
    }

    /// What was made for a lease was ended at its source. The credential is not exposed any more, unless another lease that was ended
    /// left something behind.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn lease_secret_ended(
        &self,
        lease: LeaseId,
        credential: &CredentialId,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE leases SET secret_ended_at = $1 WHERE id = $2")
            .bind(now.micros())
            .bind(lease.to_string())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "UPDATE credentials SET exposed_at = NULL
             WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM leases
                 WHERE leases.credential = credentials.id AND leases.version = credentials.version
                   AND leases.ended_at IS NOT NULL AND leases.secret_ended_at IS NULL)",
        )
        .bind(credential.as_str())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}
