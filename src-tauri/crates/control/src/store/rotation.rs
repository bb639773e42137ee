//! Putting a secret in an earlier one's place while calls with that one are under way.

use model::{CredentialId, DeviceId, LeaseId, Timestamp};
use org_protocol::EventKind;

use super::{IMMEDIATE, SealedCredential, Store, StoreFault, parsed, signed};

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
        let mut transaction = self.writer.begin_with(IMMEDIATE).await?;
        sqlx::query(
            "UPDATE credentials SET version = ?, sealed = ?, changed_at = ?, source = ?, exposed_at = NULL WHERE id = ?",
        )
        .bind(signed(credential.version))
        .bind(&credential.sealed)
        .bind(now.micros())
        .bind(&credential.source)
        .bind(id.as_str())
        .execute(&mut *transaction)
        .await?;
        let rows: Vec<(String, String)> = sqlx::query_as(
            "UPDATE leases SET retires_at = ? WHERE credential = ? AND version < ? AND ended_at IS NULL AND expires_at > ?
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
            sqlx::query("INSERT INTO events (at, device, what) VALUES (?, ?, ?)")
                .bind(now.micros())
                .bind(device.to_string())
                .bind(serde_json::to_string(&EventKind::LeaseRetires { lease }).unwrap_or_default())
                .execute(&mut *transaction)
                .await?;
            leases.push(lease);
        }
        transaction.commit().await?;
        self.changed();
        Ok(leases)
    }

    /// Takes back that a secret is known where it must not be used any more, as the ending of a lease at that time noted: its source
    /// has ended it.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn not_exposed(&self, id: &CredentialId, noted: Timestamp) -> Result<(), StoreFault> {
        sqlx::query("UPDATE credentials SET exposed_at = NULL WHERE id = ? AND exposed_at = ?")
            .bind(id.as_str())
            .bind(noted.micros())
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}
