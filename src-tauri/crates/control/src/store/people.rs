//! Whom this server knows, by the claims of their last sign-in.

use model::{Subject, Timestamp};

use super::{Store, StoreFault, from_json};

impl Store {
    /// Everybody who had a session, with the claims of the latest and when it was opened.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn last_claims(&self) -> Result<Vec<(Subject, Timestamp)>, StoreFault> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT one.subject, one.opened_at FROM sessions AS one
             WHERE NOT EXISTS (SELECT 1 FROM sessions AS later
                 WHERE later.issuer = one.issuer AND later.person = one.person
                   AND (later.opened_at > one.opened_at
                        OR (later.opened_at = one.opened_at AND later.token_digest > one.token_digest)))
             ORDER BY one.issuer, one.person",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|(subject, at)| Ok((from_json("subject", &subject)?, Timestamp::from_micros(at))))
            .collect()
    }
}
