//! Enrolment tokens: what shows that a machine is the organisation's.

use model::{Digest, Timestamp};
use sqlx::AnyConnection;

use super::{Revocation, Store, StoreFault};

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

type Row = (i64, String, i64, i64, Option<i64>, i64, Option<i64>);

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
        let mut transaction = self.write().await?;
        let id = sqlx::query_scalar(
            "INSERT INTO enrolment_tokens (digest, made_by, made_at, expires_at, uses) VALUES ($1, $2, $3, $4, $5)
             RETURNING id",
        )
        .bind(token.digest.to_string())
        .bind(token.made_by)
        .bind(now.micros())
        .bind(token.expires.micros())
        .bind(token.uses.map(i64::from))
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(id)
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
            uses: uses.map(number),
            used: number(used),
            revoked_at: revoked_at.map(Timestamp::from_micros),
        };
        Ok(rows.into_iter().map(token).collect())
    }

    /// Has a token enrol nothing any more. `false` where there is none of this number.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn revoke_enrolment_token(&self, id: i64, now: Timestamp) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        let found =
            sqlx::query("UPDATE enrolment_tokens SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2")
                .bind(now.micros())
                .bind(id)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
        self.note(now, vec![Revocation::EnrolmentTokenRevoked { token: id }]).await?;
        transaction.commit().await?;
        Ok(found > 0)
    }
}

fn number(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}

/// Uses a token once, within the transaction that enrols with it. Its number, and what is to be written down; `None` where it is not good, or not any more.
pub(super) async fn spend(
    connection: &mut AnyConnection,
    digest: Digest,
    now: Timestamp,
) -> Result<Option<(i64, Revocation)>, StoreFault> {
    let row: Option<(i64, i64)> = sqlx::query_as(
        "UPDATE enrolment_tokens SET used = used + 1
         WHERE digest = $1 AND revoked_at IS NULL AND expires_at > $2 AND (uses IS NULL OR used < uses)
         RETURNING id, used",
    )
    .bind(digest.to_string())
    .bind(now.micros())
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(token, used)| (token, Revocation::EnrolmentTokenUsed { token, used })))
}
