//! Shared secrets, sealed before they come here.

use model::{CredentialId, Timestamp};

use super::{Revocation, Store, StoreFault, parsed, signed, unsigned};

/// What may be known of a stored secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoredCredential {
    /// Its reference.
    pub id: CredentialId,
    /// Counts its secrets, from 1.
    pub version: u64,
    /// When the secret was last changed.
    pub changed_at: Timestamp,
    /// Since when it may be known to somebody who must not use it any more: it was lent, and the lease was ended. It should be
    /// rotated.
    #[serde(default)]
    pub exposed_at: Option<Timestamp>,
    /// Where it comes from, in words; nothing where it is stored here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A sealed secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedCredential {
    /// Counts the credential's secrets, from 1. The seal is bound to it.
    pub version: u64,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
    /// Where the secret comes from, in words; nothing where it is what was sealed.
    pub source: Option<String>,
}

/// Notes that a number is taken, for good.
pub(super) async fn count_version(
    connection: &mut sqlx::AnyConnection,
    id: &CredentialId,
    version: u64,
) -> Result<(), StoreFault> {
    sqlx::query(
        "INSERT INTO credential_versions (id, last) VALUES ($1, $2)
         ON CONFLICT (id) DO UPDATE SET last = excluded.last WHERE excluded.last > credential_versions.last",
    )
    .bind(id.as_str())
    .bind(signed(version))
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    /// The version that the next secret of a credential gets.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn next_credential_version(&self, id: &CredentialId) -> Result<u64, StoreFault> {
        // One that was removed may be lent still, or be known to somebody: its number is not given to another secret.
        let version: Option<i64> = sqlx::query_scalar("SELECT last FROM credential_versions WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await?;
        Ok(version.map_or(0, unsigned).saturating_add(1))
    }

    /// Stores a secret in the place of an earlier one.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn put_credential(
        &self,
        id: &CredentialId,
        credential: &SealedCredential,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let mut transaction = self.write().await?;
        let stored = sqlx::query(
            "INSERT INTO credentials (id, version, sealed, changed_at, source) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (id) DO UPDATE
             SET version = excluded.version, sealed = excluded.sealed, changed_at = excluded.changed_at,
                 source = excluded.source, exposed_at = NULL
             WHERE excluded.version > credentials.version",
        )
        .bind(id.as_str())
        .bind(signed(credential.version))
        .bind(&credential.sealed)
        .bind(now.micros())
        .bind(&credential.source)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if stored == 0 {
            // Another control plane was faster: this number is another secret's by now.
            return Err(StoreFault::Overtaken);
        }
        count_version(&mut transaction, id, credential.version).await?;
        // Nothing is let go on with an earlier one, not even what was to retire.
        sqlx::query("UPDATE leases SET retires_at = NULL WHERE credential = $1")
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        let stored = Revocation::CredentialStored { credential: id.clone(), version: credential.version };
        self.note(now, vec![stored]).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// A sealed secret.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn credential(&self, id: &CredentialId) -> Result<Option<SealedCredential>, StoreFault> {
        let row: Option<(i64, Vec<u8>, Option<String>)> =
            sqlx::query_as("SELECT version, sealed, source FROM credentials WHERE id = $1")
                .bind(id.as_str())
                .fetch_optional(&self.readers)
                .await?;
        Ok(row.map(|(version, sealed, source)| SealedCredential {
            version: unsigned(version),
            sealed,
            source,
        }))
    }

    /// All credentials, without their secrets.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn credentials(&self) -> Result<Vec<StoredCredential>, StoreFault> {
        type Row = (String, i64, i64, Option<i64>, Option<String>);
        let rows: Vec<Row> =
            sqlx::query_as("SELECT id, version, changed_at, exposed_at, source FROM credentials ORDER BY id")
                .fetch_all(&self.readers)
                .await?;
        rows.into_iter()
            .map(|(id, version, changed_at, exposed_at, source)| {
                Ok(StoredCredential {
                    id: parsed("credential id", &id)?,
                    version: unsigned(version),
                    changed_at: Timestamp::from_micros(changed_at),
                    exposed_at: exposed_at.map(Timestamp::from_micros),
                    source,
                })
            })
            .collect()
    }

    /// Removes a secret. `false` where there is none.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn remove_credential(
        &self,
        id: &CredentialId,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        let version: Option<i64> =
            sqlx::query_scalar("DELETE FROM credentials WHERE id = $1 RETURNING version")
                .bind(id.as_str())
                .fetch_optional(&mut *transaction)
                .await?;
        let Some(version) = version else { return Ok(false) };
        let removed = Revocation::CredentialRemoved { credential: id.clone(), version: unsigned(version) };
        self.note(now, vec![removed]).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
