//! Shared credentials that are lent to devices, and who holds them.

use std::net::IpAddr;

use model::{ConnectorId, CredentialId, DeviceId, LeaseId, ServerId, Subject, Timestamp};
use org_protocol::EventKind;

use super::{Revocation, Store, StoreFault, from_json, parsed, signed, unsigned};

/// A lease that holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LiveLease {
    /// The lease.
    pub id: LeaseId,
    /// What is lent.
    pub credential: CredentialId,
    /// Counts the credential's secrets.
    pub version: u64,
    /// Which connector holds it.
    pub connector: ConnectorId,
    /// Through which virtual server it was asked for.
    pub server: ServerId,
    /// For which assistant: its client identifier.
    pub client_id: String,
    /// And its name, as it claims.
    pub client_name: String,
    /// Of which program it is, by its full path, where the device could tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The address that it was asked for from, or asked to go on, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// On which device.
    pub device: DeviceId,
    /// For whom, with the claims that this server verified.
    pub subject: Subject,
    /// When it was lent, or renewed the last time.
    pub issued: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
}

type LeaseRow = (
    String,
    String,
    i64,
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<String>,
    Option<String>,
);

/// The columns of a [`LeaseRow`].
const COLUMNS: &str = "id, credential, version, connector, server, client_id, client_name, device, subject, issued_at, expires_at, program, address";

impl Store {
    /// Lends, or goes on lending. `false` where the person has no session on the device any more, where the device is revoked,
    /// where the secret is another one by now, or where a lease that was to go on has ended.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn lend(&self, lease: &LiveLease, renews: bool) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        let good: i64 = sqlx::query_scalar(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM sessions JOIN devices ON devices.id = sessions.device
                 WHERE sessions.device = $1 AND sessions.issuer = $2 AND sessions.person = $3
                   AND sessions.revoked_at IS NULL AND sessions.expires_at > $4 AND devices.revoked_at IS NULL)
             AND EXISTS (SELECT 1 FROM credentials WHERE id = $5 AND version = $6)
             AND ($7 = 0 OR EXISTS (SELECT 1 FROM leases WHERE id = $8 AND ended_at IS NULL AND expires_at > $4
                 AND device = $1 AND issuer = $2 AND person = $3 AND credential = $5 AND connector = $9))
             THEN 1 ELSE 0 END",
        )
        .bind(lease.device.to_string())
        .bind(&lease.subject.issuer)
        .bind(&lease.subject.subject)
        .bind(lease.issued.micros())
        .bind(lease.credential.as_str())
        .bind(signed(lease.version))
        .bind(i64::from(renews))
        .bind(lease.id.to_string())
        .bind(lease.connector.as_str())
        .fetch_one(&mut *transaction)
        .await?;
        if good == 0 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO leases (id, credential, version, connector, server, client_id, client_name, device, issuer, person,
                                 subject, issued_at, expires_at, program, address)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, subject = excluded.subject,
                 issued_at = excluded.issued_at, expires_at = excluded.expires_at, program = excluded.program,
                 address = excluded.address",
        )
        .bind(lease.id.to_string())
        .bind(lease.credential.as_str())
        .bind(signed(lease.version))
        .bind(lease.connector.as_str())
        .bind(lease.server.as_str())
        .bind(&lease.client_id)
        .bind(&lease.client_name)
        .bind(lease.device.to_string())
        .bind(&lease.subject.issuer)
        .bind(&lease.subject.subject)
        .bind(serde_json::to_string(&lease.subject).unwrap_or_default())
        .bind(lease.issued.micros())
        .bind(lease.expires.micros())
        .bind(lease.program.as_deref())
        .bind(lease.address.map(|address| address.to_string()))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Everything that is lent now, the oldest first.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn leases(&self, now: Timestamp) -> Result<Vec<LiveLease>, StoreFault> {
        let query = format!(
            "SELECT {COLUMNS} FROM leases WHERE ended_at IS NULL AND expires_at > $1 ORDER BY issued_at, id"
        );
        let rows: Vec<LeaseRow> =
            sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(now.micros()).fetch_all(&self.readers).await?;
        rows.into_iter().map(lease).collect()
    }

    /// Of the leases that hold, those whose ground is gone: no session of the person on the device, a device that is revoked, or
    /// another secret; each with why.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn groundless_leases(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(LeaseId, String)>, StoreFault> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT leases.id, CASE
                 WHEN devices.revoked_at IS NOT NULL THEN 'device-revoked'
                 WHEN credentials.version IS NULL OR credentials.version <> leases.version THEN 'secret-changed'
                 ELSE 'session-ended' END
             FROM leases JOIN devices ON devices.id = leases.device
                  LEFT JOIN credentials ON credentials.id = leases.credential
             WHERE leases.ended_at IS NULL AND leases.expires_at > $1
               AND (devices.revoked_at IS NOT NULL OR credentials.version IS NULL
                    OR (credentials.version <> leases.version
                        AND (leases.retires_at IS NULL OR leases.retires_at <= $1))
                    OR NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.device = leases.device
                           AND sessions.issuer = leases.issuer AND sessions.person = leases.person
                           AND sessions.revoked_at IS NULL AND sessions.expires_at > $1))",
        )
        .bind(now.micros())
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(|(id, why)| Ok((parsed("lease id", &id)?, why))).collect()
    }

    /// Ends a lease before its time, tells the device, and notes that the secret is known where it must not be used any more.
    /// `None` where it does not hold.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn end_lease(
        &self,
        id: LeaseId,
        why: &str,
        now: Timestamp,
    ) -> Result<Option<LiveLease>, StoreFault> {
        let mut transaction = self.write().await?;
        let query = format!(
            "UPDATE leases SET ended_at = $1, why = $2 WHERE id = $3 AND ended_at IS NULL AND expires_at > $1
             RETURNING {COLUMNS}"
        );
        let row: Option<LeaseRow> = sqlx::query_as(sqlx::AssertSqlSafe(query))
            .bind(now.micros())
            .bind(why)
            .bind(id.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(ended) = row.map(lease).transpose()? else { return Ok(None) };
        sqlx::query(
            "UPDATE credentials SET exposed_at = coalesce(exposed_at, $1) WHERE id = $2 AND version = $3",
        )
        .bind(now.micros())
        .bind(ended.credential.as_str())
        .bind(signed(ended.version))
        .execute(&mut *transaction)
        .await?;
        sqlx::query("INSERT INTO events (at, device, what) VALUES ($1, $2, $3)")
            .bind(now.micros())
            .bind(ended.device.to_string())
            .bind(serde_json::to_string(&EventKind::LeaseEnded { lease: id }).unwrap_or_default())
            .execute(&mut *transaction)
            .await?;
        let exposed =
            Revocation::CredentialExposed { credential: ended.credential.clone(), version: ended.version };
        self.note(now, vec![exposed]).await?;
        transaction.commit().await?;
        self.changed();
        Ok(Some(ended))
    }

    /// Forgets leases that ended long ago; records tell of them.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn forget_leases(&self, before: Timestamp) -> Result<(), StoreFault> {
        self.run(sqlx::query("DELETE FROM leases WHERE expires_at < $1").bind(before.micros())).await?;
        Ok(())
    }
}

fn lease(row: LeaseRow) -> Result<LiveLease, StoreFault> {
    let (
        id,
        credential,
        version,
        connector,
        server,
        client_id,
        client_name,
        device,
        subject,
        issued,
        expires,
        program,
        address,
    ) = row;
    Ok(LiveLease {
        id: parsed("lease id", &id)?,
        credential: parsed("credential id", &credential)?,
        version: unsigned(version),
        connector: parsed("connector id", &connector)?,
        server: parsed("server id", &server)?,
        client_id,
        client_name,
        program,
        address: address.map(|address| parsed("address", &address)).transpose()?,
        device: parsed("device id", &device)?,
        subject: from_json("subject", &subject)?,
        issued: Timestamp::from_micros(issued),
        expires: Timestamp::from_micros(expires),
    })
}
