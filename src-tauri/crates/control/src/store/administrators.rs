//! Sessions of administrators.

use model::{Digest, Subject, Timestamp};
use sqlx::AnyConnection;

use super::sessions::is_ended;
use super::{Store, StoreFault, from_json};
use crate::identity::SignIn;

/// A session to be opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewAdministrator<'a> {
    /// The digest of its token.
    pub token: Digest,
    /// The thumbprint of the key that the token is bound to.
    pub thumbprint: &'a str,
    /// Who it is.
    pub subject: &'a Subject,
    /// The sign-in that it comes from.
    pub sign_in: &'a SignIn,
    /// When it ends.
    pub expires: Timestamp,
}

impl Store {
    /// Opens a session, unless its sign-in was ended: `false` then.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn admit(&self, new: &NewAdministrator<'_>) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        if is_ended(&mut transaction, new.subject, new.sign_in).await? {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO administrators (token_digest, thumbprint, issuer, person, sid, subject, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(new.token.to_string())
        .bind(new.thumbprint)
        .bind(&new.subject.issuer)
        .bind(&new.subject.subject)
        .bind(&new.sign_in.sid)
        .bind(serde_json::to_string(new.subject).unwrap_or_default())
        .bind(new.expires.micros())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Whose live session it is, and the thumbprint of its key.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn administrator(
        &self,
        token: Digest,
        now: Timestamp,
    ) -> Result<Option<(Subject, String)>, StoreFault> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT subject, thumbprint FROM administrators WHERE token_digest = $1 AND expires_at > $2",
        )
        .bind(token.to_string())
        .bind(now.micros())
        .fetch_optional(&self.readers)
        .await?;
        row.map(|(subject, thumbprint)| Ok((from_json("subject", &subject)?, thumbprint))).transpose()
    }

    /// Ends a session.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn dismiss(&self, token: Digest) -> Result<(), StoreFault> {
        self.run(sqlx::query("DELETE FROM administrators WHERE token_digest = $1").bind(token.to_string()))
            .await?;
        Ok(())
    }

    /// Forgets sessions that are over.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn forget_administrators(&self, now: Timestamp) -> Result<(), StoreFault> {
        self.run(sqlx::query("DELETE FROM administrators WHERE expires_at <= $1").bind(now.micros())).await?;
        Ok(())
    }
}

/// Ends the sessions of a session at the provider, or of a person; with both, a person's that name no session of the provider: any of
/// these may be the one that ended. An administrator's session is short: those of later sign-ins end as well.
pub(super) async fn dismiss_all(
    connection: &mut AnyConnection,
    issuer: &str,
    (sid, person): (Option<&str>, Option<&str>),
) -> Result<(), StoreFault> {
    sqlx::query(
        "DELETE FROM administrators
         WHERE issuer = $1 AND (sid = $2 OR (person = $3 AND ($2 IS NULL OR sid IS NULL)))",
    )
    .bind(issuer)
    .bind(sid)
    .bind(person)
    .execute(connection)
    .await?;
    Ok(())
}
