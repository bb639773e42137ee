//! The signed documents and the trust ratchet, changed together.

use std::collections::BTreeMap;

use model::{Digest, Timestamp};
use org_protocol::{EventKind, Ratchet};
use sqlx::AnyConnection;

use super::{Revocation, Store, StoreFault, from_json};

/// Epoch and version of the manifest that is stored; zeros where none is.
pub(super) async fn published(connection: &mut AnyConnection) -> Result<(u64, u64), StoreFault> {
    let text: Option<String> =
        sqlx::query_scalar("SELECT ratchet FROM trust WHERE one = 1").fetch_optional(connection).await?;
    let ratchet: Option<serde_json::Value> =
        text.map(|text| from_json("trust ratchet", &text)).transpose()?;
    let manifest = ratchet.map(|ratchet| ratchet["applied"]["manifest"].clone()).unwrap_or_default();
    let number = |name: &str| manifest[name].as_u64().unwrap_or(0);
    Ok((number("epoch"), number("version")))
}

impl Store {
    /// Stores a publication: documents, ratchet in the place of the one before, and the event that tells desktops, all or nothing. Bundles that no
    /// document names any more stay: a desktop may be fetching one.
    ///
    /// # Errors
    /// A [`StoreFault`]; nothing is then changed.
    pub(crate) async fn publish(
        &self,
        documents: &BTreeMap<String, Vec<u8>>,
        (before, ratchet): (Option<&Ratchet>, &Ratchet),
        event: &EventKind,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let mut transaction = self.write().await?;
        let stored: Option<String> = sqlx::query_scalar("SELECT ratchet FROM trust WHERE one = 1")
            .fetch_optional(&mut *transaction)
            .await?;
        let stored: Option<Ratchet> = stored.map(|text| from_json("trust ratchet", &text)).transpose()?;
        if stored.as_ref() != before {
            return Err(StoreFault::Overtaken);
        }
        for (path, body) in documents {
            sqlx::query(
                "INSERT INTO documents (path, digest, body) VALUES ($1, $2, $3)
                 ON CONFLICT (path) DO UPDATE SET digest = excluded.digest, body = excluded.body",
            )
            .bind(path)
            .bind(Digest::of(body).to_string())
            .bind(body)
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query("INSERT INTO trust (one, ratchet) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET ratchet = excluded.ratchet")
            .bind(serde_json::to_string(ratchet).unwrap_or_default())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO events (at, device, what) VALUES ($1, NULL, $2)")
            .bind(now.micros())
            .bind(serde_json::to_string(event).unwrap_or_default())
            .execute(&mut *transaction)
            .await?;
        if let EventKind::BundleUpdated { epoch, version } = event {
            self.note(now, vec![Revocation::Published { epoch: *epoch, version: *version }]).await?;
        }
        transaction.commit().await?;
        self.changed();
        Ok(())
    }

    /// The trust ratchet, once something was published.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn ratchet(&self) -> Result<Option<Ratchet>, StoreFault> {
        let text: Option<String> = sqlx::query_scalar("SELECT ratchet FROM trust WHERE one = 1")
            .fetch_optional(&self.readers)
            .await?;
        text.map(|text| from_json("trust ratchet", &text)).transpose()
    }

    /// A document with its digest.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn document(&self, path: &str) -> Result<Option<(String, Vec<u8>)>, StoreFault> {
        Ok(sqlx::query_as("SELECT digest, body FROM documents WHERE path = $1")
            .bind(path)
            .fetch_optional(&self.readers)
            .await?)
    }
}
