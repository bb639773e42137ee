//! Enrolment tokens: what shows that a machine is the organisation's.

use model::{Digest, Timestamp};
use sqlx::SqliteConnection;

use super::{Store, StoreFault};

/// An enrolment token, without the token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EnrolmentToken {
    /// Its number.
    pub id: i64,
    /// Who made it, as records name them.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
    /// Until when it enrols.
    pub expires_at: Timestamp,
    /// How many devices it enrols; any number where none is given.
    pub uses: Option<u32>,
    /// How many it has enrolled.
    pub used: u32,
    /// Since when it is revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A token to be good from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewEnrolmentToken<'a> {
    /// The digest of the token.
    pub digest: Digest,
    /// Who makes it.
    pub made_by: &'a str,
    /// Until when it enrols.
    pub expires: Timestamp,
    /// How many devices it enrols.
    pub uses: Option<u32>,
}

type Row = (i64, String, i64, i64, Option<u32>, u32, Option<i64>);

impl Store {
    /// Makes a token good. Gives its number.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn make_enrolment_token(
        &self,
        token: &NewEnrolmentToken<'_>,
        now: Timestamp,
    ) -> Result<i64, StoreFault> {
        let made = sqlx::query(
            "INSERT INTO enrolment_tokens (digest, made_by, made_at, expires_at, uses) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(token.digest.to_string())
        .bind(token.made_by)
        .bind(now.micros())
        .bind(token.expires.micros())
        .bind(token.uses)
        .execute(&self.writer)
        .await?;
        Ok(made.last_insert_rowid())
    }

    /// All of them, the latest first.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn enrolment_tokens(&self) -> Result<Vec<EnrolmentToken>, StoreFault> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, made_by, made_at, expires_at, uses, used, revoked_at FROM enrolment_tokens ORDER BY id DESC",
        )
        .fetch_all(&self.readers)
        .await?;
        let token = |(id, made_by, made_at, expires_at, uses, used, revoked_at): Row| EnrolmentToken {
            id,
            made_by,
            made_at: Timestamp::from_micros(made_at),
            expires_at: Timestamp::from_micros(expires_at),
            uses,
            used,
            revoked_at: revoked_at.map(Timestamp::from_micros),
        };
        Ok(rows.into_iter().map(token).collect())
    }

    /// Has a token enrol nothing any more. `false` where there is none of this number.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn revoke_enrolment_token(&self, id: i64, now: Timestamp) -> Result<bool, StoreFault> {
        let found =
            sqlx::query("UPDATE enrolment_tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?")
                .bind(now.micros())
                .bind(id)
                .execute(&self.writer)
                .await?;
        Ok(found.rows_affected() > 0)
    }
}

/// Uses a token once, within the transaction that enrols with it. Its number; `None` where it is not good, or not any more.
pub(super) async fn spend(
    connection: &mut SqliteConnection,
    digest: Digest,
    now: Timestamp,
) -> Result<Option<i64>, StoreFault> {
    let id = sqlx::query_scalar(
        "UPDATE enrolment_tokens SET used = used + 1
         WHERE digest = ? AND revoked_at IS NULL AND expires_at > ? AND (uses IS NULL OR used < uses)
         RETURNING id",
    )
    .bind(digest.to_string())
    .bind(now.micros())
    .fetch_optional(connection)
    .await?;
    Ok(id)
}
