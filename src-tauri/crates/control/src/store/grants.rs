//! Sign-ins by SAML: questions that wait, answers that were believed, and what desktops hold since.

use model::{Digest, Subject, Timestamp};
use sqlx::AnyConnection;

use super::database::Turn;
use super::sessions::is_ended;
use super::{Store, StoreFault, from_json};
use crate::identity::SignIn;
use crate::op::{Granted, Question};

/// How many questions may wait at a time. Anybody can ask one, so there has to be an end; beyond it the oldest goes. A person who
/// takes a minute is so pushed out by nobody who asks less than 1,600 times a second.
///
/// A question would need no place here if it could come back with the answer. The relay state holds 80 bytes (SAML Bindings 2.0, section
/// 3.4.3), too few for it, and the browser's cookies are not certain to come along when another site sends a form.
const MOST_QUESTIONS: i64 = 100_000;

/// A sign-in to be held by a desktop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewGrant<'a> {
    /// Its id.
    pub id: &'a str,
    /// Who it is, and what for.
    pub granted: &'a Granted,
    /// The digest of its code.
    pub code: Digest,
    /// Until when the code is good.
    pub code_until: Timestamp,
    /// When the sign-in ends.
    pub expires: Timestamp,
}

/// A sign-in that a desktop holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Its id.
    pub id: String,
    /// Who it is, and what for.
    pub granted: Granted,
    /// When it ends.
    pub expires: Timestamp,
}

type GrantRow = (String, String, i64);

impl Store {
    /// Notes a question, in the place of the oldest where too many wait.
    ///
    /// Kept by the connection whose commits do not wait for the disk: anybody can ask, and whoever is forgotten asks again.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn ask_by_saml(
        &self,
        relay: Digest,
        question: &Question,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let mut transaction = self.database.begin(&self.quick, Turn::Question).await?;
        sqlx::query("DELETE FROM saml_questions WHERE expires_at <= $1")
            .bind(now.micros())
            .execute(&mut *transaction)
            .await?;
        // The numbers grow with time: what lies so far behind the latest is too much, and need not be counted.
        sqlx::query("DELETE FROM saml_questions WHERE id <= (SELECT max(id) FROM saml_questions) + 1 - $1")
            .bind(MOST_QUESTIONS)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO saml_questions (relay, question, expires_at) VALUES ($1, $2, $3)")
            .bind(relay.to_string())
            .bind(serde_json::to_string(question).unwrap_or_default())
            .bind(until.micros())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Takes a question out: whatever comes of its answer, it is not answered again.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn take_question(
        &self,
        relay: Digest,
        now: Timestamp,
    ) -> Result<Option<Question>, StoreFault> {
        let mut transaction = self.database.begin(&self.quick, Turn::Question).await?;
        let found: Option<(String, i64)> =
            sqlx::query_as("DELETE FROM saml_questions WHERE relay = $1 RETURNING question, expires_at")
                .bind(relay.to_string())
                .fetch_optional(&mut *transaction)
                .await?;
        transaction.commit().await?;
        let found = found.filter(|(_, until)| *until > now.micros());
        found.map(|(question, _)| from_json("SAML question", &question)).transpose()
    }

    /// Begins a sign-in, if all that its answer is named by is new. `false` where any was believed before.
    ///
    /// # Errors
    /// A [`StoreFault`]; nothing is then believed.
    pub(crate) async fn begin_grant(
        &self,
        once: &[(Digest, Timestamp)],
        grant: &NewGrant<'_>,
    ) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        for (digest, until) in once {
            let fresh = sqlx::query(
                "INSERT INTO saml_believed (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            )
            .bind(digest.to_string())
            .bind(until.micros())
            .execute(&mut *transaction)
            .await?;
            if fresh.rows_affected() != 1 {
                return Ok(false);
            }
        }
        sqlx::query(
            "INSERT INTO grants (id, granted, code, code_until, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(grant.id)
        .bind(serde_json::to_string(grant.granted).unwrap_or_default())
        .bind(grant.code.to_string())
        .bind(grant.code_until.micros())
        .bind(grant.expires.micros())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Redeems a code, which makes `refresh` the sign-in's first refresh token. A code that comes a second time ends the
    /// sign-in: two have it (RFC 6749, section 4.1.2).
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn redeem_code(
        &self,
        code: Digest,
        refresh: Digest,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreFault> {
        let mut transaction = self.write().await?;
        let row: Option<GrantRow> = sqlx::query_as(
            "UPDATE grants SET refresh = $1 WHERE code = $2 AND refresh IS NULL AND code_until > $3 AND expires_at > $4
             RETURNING id, granted, expires_at",
        )
        .bind(refresh.to_string())
        .bind(code.to_string())
        .bind(now.micros())
        .bind(now.micros())
        .fetch_optional(&mut *transaction)
        .await?;
        let grant = living(&mut transaction, row).await?;
        if grant.is_none() {
            sqlx::query("DELETE FROM grants WHERE code = $1")
                .bind(code.to_string())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(grant)
    }

    /// Puts `next` in the place of the refresh token that is presented. One that is neither the current nor the one before
    /// ends the sign-in: two have it (RFC 9700, section 4.14.2). So does the end of the sign-in elsewhere.
    ///
    /// # Errors
    /// A [`StoreFault`]; the token is then as good as before.
    pub(crate) async fn renew_grant(
        &self,
        id: &str,
        presented: Digest,
        next: Digest,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreFault> {
        let mut transaction = self.write().await?;
        // Presented again, the one before shows that its answer was lost: nobody has used the one that came with it.
        let row: Option<GrantRow> = sqlx::query_as(
            "UPDATE grants SET previous = $2, refresh = $3
             WHERE id = $1 AND (refresh = $2 OR previous = $2) AND expires_at > $4
             RETURNING id, granted, expires_at",
        )
        .bind(id)
        .bind(presented.to_string())
        .bind(next.to_string())
        .bind(now.micros())
        .fetch_optional(&mut *transaction)
        .await?;
        let grant = living(&mut transaction, row).await?;
        if grant.is_none() {
            sqlx::query("DELETE FROM grants WHERE id = $1").bind(id).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(grant)
    }

    /// Ends the sign-in of this id.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn end_grant(&self, id: &str) -> Result<(), StoreFault> {
        self.run(sqlx::query("DELETE FROM grants WHERE id = $1").bind(id)).await?;
        Ok(())
    }

    /// Forgets what would be refused for its age.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn forget_grants(&self, now: Timestamp) -> Result<(), StoreFault> {
        let mut questions = self.database.begin(&self.quick, Turn::Question).await?;
        sqlx::query("DELETE FROM saml_questions WHERE expires_at <= $1")
            .bind(now.micros())
            .execute(&mut *questions)
            .await?;
        questions.commit().await?;
        for statement in [
            "DELETE FROM saml_believed WHERE expires_at <= $1",
            "DELETE FROM grants WHERE expires_at <= $1 OR (refresh IS NULL AND code_until <= $1)",
        ] {
            self.run(sqlx::query(statement).bind(now.micros())).await?;
        }
        Ok(())
    }
}

/// The sign-in, unless it was ended elsewhere.
async fn living(connection: &mut AnyConnection, row: Option<GrantRow>) -> Result<Option<Grant>, StoreFault> {
    let Some((id, granted, expires)) = row else { return Ok(None) };
    let granted: Granted = from_json("grant", &granted)?;
    let (subject, sign_in): (&Subject, SignIn) = (&granted.subject, granted.sign_in());
    if is_ended(connection, subject, &sign_in).await? {
        return Ok(None);
    }
    Ok(Some(Grant { id, granted, expires: Timestamp::from_micros(expires) }))
}

#[cfg(test)]
mod tests;
