//! Diagnostics that administrators ask devices for. What comes is sealed before it is here; nobody here knows what is in it.

use model::{DeviceId, Digest, Timestamp};
use org_protocol::{DIAGNOSTICS_STAND, DiagnosticsRequest, EventKind, PlainLine};
use sqlx::AnyConnection;

use super::{Revocation, Store, StoreFault, parsed, signed, unsigned};

/// How a request for diagnostics stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiagnosticsState {
    /// Nobody has answered yet.
    Open,
    /// The person sent them: they are here.
    Sent,
    /// The person does not send them.
    Refused,
    /// An administrator does not want them any more.
    Withdrawn,
    /// Nobody answered in time.
    Expired,
}

impl DiagnosticsState {
    const ALL: [Self; 5] = [Self::Open, Self::Sent, Self::Refused, Self::Withdrawn, Self::Expired];

    /// As it is stored, recorded and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }
}

/// A request for diagnostics, as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AskedDiagnostics {
    /// Its number.
    pub id: u64,
    /// The device.
    pub device: DeviceId,
    /// Which administrator asked.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// How it stands.
    pub state: DiagnosticsState,
    /// Since when it stands so; none while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Who answered at the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// The SHA-256 of what was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// How long that is, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What is to be asked.
pub(crate) struct NewDiagnostics<'a> {
    pub(crate) device: DeviceId,
    /// How records name the administrator.
    pub(crate) by: &'a str,
    /// How the person at the device is told who it is.
    pub(crate) shown_by: Option<&'a PlainLine>,
    pub(crate) reason: &'a PlainLine,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asking {
    Asked(u64),
    /// This one waits already.
    Waits(u64),
    /// There is no such device, or it was revoked.
    NoDevice,
}

/// An archive as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedDiagnostics {
    pub(crate) sha256: Digest,
    pub(crate) bytes: u64,
    pub(crate) sealed: Vec<u8>,
}

const COLUMNS: &str =
    "id, device, asked_by, reason, asked_at, until_at, state, ended_at, answered_by, sha256, bytes";
type Row =
    (i64, String, String, String, i64, i64, String, Option<i64>, Option<String>, Option<String>, Option<i64>);

/// Takes a request away that was over when the backup was not made yet. Its number may have been given to another since an earlier
/// restore.
pub(super) async fn take_away(
    connection: &mut AnyConnection,
    request: u64,
    asked_at: Timestamp,
) -> Result<(), StoreFault> {
    sqlx::query("DELETE FROM diagnostics WHERE id = $1 AND asked_at = $2")
        .bind(signed(request))
        .bind(asked_at.micros())
        .execute(connection)
        .await?;
    Ok(())
}

impl Store {
    /// Asks a device, and tells it.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn ask_diagnostics(
        &self,
        new: &NewDiagnostics<'_>,
        now: Timestamp,
    ) -> Result<Asking, StoreFault> {
        let device = new.device.to_string();
        let mut transaction = self.write().await?;
        let known: i64 =
            sqlx::query_scalar("SELECT count(*) FROM devices WHERE id = $1 AND revoked_at IS NULL")
                .bind(&device)
                .fetch_one(&mut *transaction)
                .await?;
        if known == 0 {
            return Ok(Asking::NoDevice);
        }
        let waits: Option<i64> =
            sqlx::query_scalar("SELECT id FROM diagnostics WHERE device = $1 AND state = 'open'")
                .bind(&device)
                .fetch_optional(&mut *transaction)
                .await?;
        if let Some(waits) = waits {
            return Ok(Asking::Waits(unsigned(waits)));
        }
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO diagnostics (device, asked_by, shown_by, reason, asked_at, until_at, state)
             VALUES ($1, $2, $3, $4, $5, $6, 'open') RETURNING id",
        )
        .bind(&device)
        .bind(new.by)
        .bind(new.shown_by.map(PlainLine::as_str))
        .bind(new.reason.as_str())
        .bind(now.micros())
        .bind(now.plus(DIAGNOSTICS_STAND).micros())
        .fetch_one(&mut *transaction)
        .await?;
        tell(&mut transaction, &device, now).await?;
        transaction.commit().await?;
        self.changed();
        Ok(Asking::Asked(unsigned(id)))
    }

    /// What waits for an answer of the device.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn diagnostics_wanted(
        &self,
        device: DeviceId,
        now: Timestamp,
    ) -> Result<Option<DiagnosticsRequest>, StoreFault> {
        let row: Option<(i64, Option<String>, String, i64, i64)> = sqlx::query_as(
            "SELECT id, shown_by, reason, asked_at, until_at FROM diagnostics
             WHERE device = $1 AND state = 'open' AND until_at > $2",
        )
        .bind(device.to_string())
        .bind(now.micros())
        .fetch_optional(&self.readers)
        .await?;
        row.map(|(id, by, reason, since, until)| {
            Ok(DiagnosticsRequest {
                id: unsigned(id),
                by: by.map(|by| parsed("name", &by)).transpose()?,
                reason: parsed("reason", &reason)?,
                since: Timestamp::from_micros(since),
                until: Timestamp::from_micros(until),
            })
        })
        .transpose()
    }

    /// Keeps what a device sends, once. `false` where nothing waits for it.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn diagnostics_sent(
        &self,
        (id, device): (u64, DeviceId),
        archive: &SealedDiagnostics,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let statement = sqlx::query(
            "UPDATE diagnostics
             SET state = 'sent', ended_at = $1, answered_by = $2, sha256 = $3, bytes = $4, sealed = $5
             WHERE id = $6 AND device = $7 AND state = 'open' AND until_at > $1",
        )
        .bind(now.micros())
        .bind(by)
        .bind(archive.sha256.to_string())
        .bind(signed(archive.bytes))
        .bind(&archive.sealed)
        .bind(signed(id))
        .bind(device.to_string());
        Ok(self.run(statement).await? > 0)
    }

    /// Whether a device has sent exactly this in answer to a request.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn has_diagnostics(
        &self,
        (id, device): (u64, DeviceId),
        sha256: Digest,
    ) -> Result<bool, StoreFault> {
        let known: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM diagnostics WHERE id = $1 AND device = $2 AND state = 'sent' AND sha256 = $3",
        )
        .bind(signed(id))
        .bind(device.to_string())
        .bind(sha256.to_string())
        .fetch_one(&self.readers)
        .await?;
        Ok(known > 0)
    }

    /// Notes that the person does not send them. `false` where nothing waits for an answer.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn diagnostics_refused(
        &self,
        (id, device): (u64, DeviceId),
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        let since: Option<i64> = sqlx::query_scalar(
            "UPDATE diagnostics SET state = 'refused', ended_at = $1, answered_by = $2
             WHERE id = $3 AND device = $4 AND state = 'open' AND until_at > $1 RETURNING asked_at",
        )
        .bind(now.micros())
        .bind(by)
        .bind(signed(id))
        .bind(device.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(since) = since else { return Ok(false) };
        self.note_end(id, since, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Does not want them any more, and tells the device. `false` where nothing waits.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn withdraw_diagnostics(&self, id: u64, now: Timestamp) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        let row: Option<(String, i64)> = sqlx::query_as(
            "UPDATE diagnostics SET state = 'withdrawn', ended_at = $1
             WHERE id = $2 AND state = 'open' RETURNING device, asked_at",
        )
        .bind(now.micros())
        .bind(signed(id))
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((device, since)) = row else { return Ok(false) };
        tell(&mut transaction, &device, now).await?;
        self.note_end(id, since, now).await?;
        transaction.commit().await?;
        self.changed();
        Ok(true)
    }

    /// Erases a request that is over, with what was sent. `false` where there is none.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn erase_diagnostics(&self, id: u64, now: Timestamp) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        let since: Option<i64> = sqlx::query_scalar(
            "DELETE FROM diagnostics WHERE id = $1 AND state <> 'open' RETURNING asked_at",
        )
        .bind(signed(id))
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(since) = since else { return Ok(false) };
        self.note_end(id, since, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Ends what nobody answered in time: which, and of which device.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn expire_diagnostics(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(u64, DeviceId)>, StoreFault> {
        let late: i64 =
            sqlx::query_scalar("SELECT count(*) FROM diagnostics WHERE state = 'open' AND until_at <= $1")
                .bind(now.micros())
                .fetch_one(&self.readers)
                .await?;
        if late == 0 {
            return Ok(Vec::new());
        }
        let mut transaction = self.write().await?;
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "UPDATE diagnostics SET state = 'expired', ended_at = until_at
             WHERE state = 'open' AND until_at <= $1 RETURNING id, device",
        )
        .bind(now.micros())
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        rows.into_iter().map(ended).collect()
    }

    /// Erases what was over before a time: which requests, and of which device.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn forget_diagnostics(
        &self,
        before: Timestamp,
    ) -> Result<Vec<(u64, DeviceId)>, StoreFault> {
        let old: i64 = sqlx::query_scalar("SELECT count(*) FROM diagnostics WHERE ended_at < $1")
            .bind(before.micros())
            .fetch_one(&self.readers)
            .await?;
        if old == 0 {
            return Ok(Vec::new());
        }
        let mut transaction = self.write().await?;
        let rows: Vec<(i64, String)> =
            sqlx::query_as("DELETE FROM diagnostics WHERE ended_at < $1 RETURNING id, device")
                .bind(before.micros())
                .fetch_all(&mut *transaction)
                .await?;
        transaction.commit().await?;
        rows.into_iter().map(ended).collect()
    }

    /// Every request that is kept, the latest first, without what was sent.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn diagnostics(&self) -> Result<Vec<AskedDiagnostics>, StoreFault> {
        let statement = format!("SELECT {COLUMNS} FROM diagnostics ORDER BY id DESC");
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(&self.readers).await?;
        rows.into_iter().map(asked).collect()
    }

    /// What was sent, sealed, with the request that it answers.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn sent_diagnostics(
        &self,
        id: u64,
    ) -> Result<Option<(AskedDiagnostics, SealedDiagnostics)>, StoreFault> {
        let Some(asked) = self.diagnostics().await?.into_iter().find(|one| one.id == id) else {
            return Ok(None);
        };
        let sealed: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT sealed FROM diagnostics WHERE id = $1 AND sealed IS NOT NULL")
                .bind(signed(id))
                .fetch_optional(&self.readers)
                .await?;
        let (Some(sha256), Some(bytes), Some(sealed)) = (asked.sha256, asked.bytes, sealed) else {
            return Ok(None);
        };
        Ok(Some((asked, SealedDiagnostics { sha256, bytes, sealed })))
    }

    /// A restored backup does not bring back what is over.
    async fn note_end(&self, id: u64, since: i64, now: Timestamp) -> Result<(), StoreFault> {
        let asked_at = Timestamp::from_micros(since);
        self.note(now, vec![Revocation::DiagnosticsEnded { request: id, asked_at }]).await
    }
}

/// Which request is over, and of which device.
fn ended((id, device): (i64, String)) -> Result<(u64, DeviceId), StoreFault> {
    Ok((unsigned(id), parsed("device id", &device)?))
}

fn asked(row: Row) -> Result<AskedDiagnostics, StoreFault> {
    let (id, device, by, reason, asked_at, until, state, ended_at, answered_by, sha256, bytes) = row;
    let known = DiagnosticsState::ALL.into_iter().find(|known| known.as_str() == state);
    Ok(AskedDiagnostics {
        id: unsigned(id),
        device: parsed("device id", &device)?,
        by,
        reason,
        asked_at: Timestamp::from_micros(asked_at),
        until: Timestamp::from_micros(until),
        state: known.ok_or(StoreFault::Unreadable { what: "request for diagnostics", reason: state })?,
        ended_at: ended_at.map(Timestamp::from_micros),
        answered_by,
        sha256: sha256.map(|digest| parsed("digest", &digest)).transpose()?,
        bytes: bytes.map(unsigned),
    })
}

async fn tell(connection: &mut AnyConnection, device: &str, now: Timestamp) -> Result<(), StoreFault> {
    sqlx::query("INSERT INTO events (at, device, what) VALUES ($1, $2, $3)")
        .bind(now.micros())
        .bind(device)
        .bind(serde_json::to_string(&EventKind::DiagnosticsChanged).unwrap_or_default())
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
