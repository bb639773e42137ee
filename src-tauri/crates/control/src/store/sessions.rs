//! Sessions, and the sign-ins at the identity provider that they come from. A sign-in that was ended opens none again.

use model::{DeviceId, Digest, Subject, Timestamp};
use org_protocol::EventKind;
use sqlx::AnyConnection;

use super::administrators::dismiss_all;
use super::{Revocation, Store, StoreFault, from_json, parsed};
use crate::identity::SignIn;

/// How long it is remembered which sign-ins were ended, in seconds. A provider that renewed an older one would be odd.
const REMEMBERED: i64 = 400 * 86_400;
/// How long sessions are kept after their end, in microseconds: calls that were made with them may still be under way, and be ended.
const OUTLIVED_BY_CALLS: i64 = 3_600_000_000;

/// A session to be opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewSession<'a> {
    /// The digest of its token.
    pub token: Digest,
    /// The device.
    pub device: DeviceId,
    /// The person.
    pub subject: &'a Subject,
    /// The sign-in that it comes from.
    pub sign_in: &'a SignIn,
    /// When it begins.
    pub now: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRow {
    /// The device.
    pub device: DeviceId,
    /// The thumbprint of the device's key.
    pub thumbprint: String,
    /// The person.
    pub subject: Subject,
    /// The sign-in that it comes from.
    pub sign_in: SignIn,
    /// When it ends.
    pub expires: Timestamp,
}

/// Which sign-ins end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending<'a> {
    /// All of one person, on every device.
    Person {
        /// Who says who it is.
        issuer: &'a str,
        /// The person.
        subject: &'a str,
        /// Whoever signed in later stays signed in.
        before: Timestamp,
        /// Whether all that is known here ends, whatever the provider's clock says of when it began.
        all: bool,
    },
    /// Those of one session at the provider.
    Session {
        /// Who says who it is.
        issuer: &'a str,
        /// The provider's name of the session.
        sid: &'a str,
        /// Whose it is. Their sign-ins that name no session may be of this one, so they end as well.
        subject: Option<&'a str>,
        /// Whoever signed in later, without the name of a session, stays signed in.
        before: Timestamp,
    },
}

/// A session that was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndedSession {
    /// The device.
    pub device: DeviceId,
    /// The person.
    pub subject: Subject,
}

type EndedRow = (String, String, String, Option<String>);

impl Store {
    /// Opens a session. `false` where its sign-in was ended, however the two coincide.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn open_session(&self, session: &NewSession<'_>) -> Result<bool, StoreFault> {
        let NewSession { token, device, subject, sign_in, now, expires } = session;
        let mut transaction = self.write().await?;
        if is_ended(&mut transaction, subject, sign_in).await?
            || is_stopped(&mut transaction, *device).await?
        {
            return Ok(false);
        }
        sqlx::query("DELETE FROM sessions WHERE expires_at < $1")
            .bind(now.micros() - OUTLIVED_BY_CALLS)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO sessions
                 (token_digest, device, subject, issuer, person, sid, signed_in_at, nonce, opened_at, expires_at, email)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(token.to_string())
        .bind(device.to_string())
        .bind(serde_json::to_string(subject).unwrap_or_default())
        .bind(&subject.issuer)
        .bind(&subject.subject)
        .bind(&sign_in.sid)
        .bind(sign_in.at.micros())
        .bind(sign_in.nonce.map(|nonce| nonce.to_string()))
        .bind(now.micros())
        .bind(expires.micros())
        .bind(&subject.email)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE devices SET seen_at = $1 WHERE id = $2")
            .bind(now.micros())
            .bind(device.to_string())
            .execute(&mut *transaction)
            .await?;
        remember(&mut transaction, subject, sign_in, *now).await?;
        transaction.commit().await?;
        self.changed();
        Ok(true)
    }

    /// The session of a token, if it is live: neither expired nor revoked, and neither is its device.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn session(
        &self,
        token: Digest,
        now: Timestamp,
    ) -> Result<Option<SessionRow>, StoreFault> {
        type Row = (String, String, String, i64, Option<String>, i64, Option<String>);
        let row: Option<Row> = sqlx::query_as(
            "SELECT s.device, d.thumbprint, s.subject, s.expires_at, s.sid, s.signed_in_at, s.nonce
             FROM sessions s JOIN devices d ON d.id = s.device
             WHERE s.token_digest = $1 AND s.expires_at > $2 AND s.revoked_at IS NULL AND d.revoked_at IS NULL
                   AND d.suspended_at IS NULL",
        )
        .bind(token.to_string())
        .bind(now.micros())
        .fetch_optional(&self.readers)
        .await?;
        row.map(|(device, thumbprint, subject, expires, sid, at, nonce)| {
            let nonce = nonce.map(|nonce| parsed("digest", &nonce)).transpose()?;
            Ok(SessionRow {
                device: parsed("device id", &device)?,
                thumbprint,
                subject: from_json("subject", &subject)?,
                sign_in: SignIn { sid, at: Timestamp::from_micros(at), nonce },
                expires: Timestamp::from_micros(expires),
            })
        })
        .transpose()
    }

    /// Whether a session was ended, by whoever it is of or by others, or its device was. That it runs out is no end.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn is_session_ended(&self, token: Digest) -> Result<bool, StoreFault> {
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM sessions s JOIN devices d ON d.id = s.device
             WHERE s.token_digest = $1
                   AND (s.revoked_at IS NOT NULL OR d.revoked_at IS NOT NULL OR d.suspended_at IS NOT NULL)",
        )
        .bind(token.to_string())
        .fetch_one(&self.readers)
        .await?;
        Ok(ended > 0)
    }

    /// Whether a sign-in was ended.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn is_sign_in_ended(
        &self,
        subject: &Subject,
        sign_in: &SignIn,
    ) -> Result<bool, StoreFault> {
        let mut connection = self.readers.acquire().await?;
        is_ended(&mut connection, subject, sign_in).await
    }

    /// Ends sign-ins and their sessions, and tells the devices. Returns the sessions that were live.
    ///
    /// # Errors
    /// A [`StoreFault`]; nothing is then ended.
    pub(crate) async fn end_sign_ins(
        &self,
        ending: &Ending<'_>,
        now: Timestamp,
    ) -> Result<Vec<EndedSession>, StoreFault> {
        let mut transaction = self.write().await?;
        let ended = end(&mut transaction, ending, now).await?;
        self.note_ended(&mut transaction, now).await?;
        transaction.commit().await?;
        self.changed();
        Ok(ended)
    }

    /// As [`Store::end_sign_ins`], for a logout token that is good once: `token` names it, and nobody would accept it any
    /// more after `until`. `None` where it was obeyed before.
    ///
    /// # Errors
    /// A [`StoreFault`]; nothing is then ended, and the token is as good as before.
    pub(crate) async fn end_sign_ins_once(
        &self,
        token: Digest,
        until: Timestamp,
        ending: &Ending<'_>,
        now: Timestamp,
    ) -> Result<Option<Vec<EndedSession>>, StoreFault> {
        let mut transaction = self.write().await?;
        let fresh = sqlx::query(
            "INSERT INTO logout_tokens (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(token.to_string())
        .bind(until.micros())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if fresh == 0 {
            return Ok(None);
        }
        let ended = end(&mut transaction, ending, now).await?;
        self.note_ended(&mut transaction, now).await?;
        transaction.commit().await?;
        self.changed();
        Ok(Some(ended))
    }

    /// Ends the sign-in of one session because its person signs out: on this device, and nowhere else.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn sign_out(&self, token: Digest, now: Timestamp) -> Result<(), StoreFault> {
        let mut transaction = self.write().await?;
        // Sessions that were renewed are of the same sign-in, so all of them end.
        let rows: Vec<(String, Option<String>)> = sqlx::query_as(
            "UPDATE sessions SET revoked_at = coalesce(revoked_at, $1) WHERE token_digest = $2
                OR (device, nonce) = (SELECT device, nonce FROM sessions WHERE token_digest = $2)
             RETURNING issuer, nonce",
        )
        .bind(now.micros())
        .bind(token.to_string())
        .fetch_all(&mut *transaction)
        .await?;
        for (issuer, nonce) in rows {
            if let Some(nonce) = nonce {
                note(&mut transaction, (&issuer, "nonce", &nonce), now, now).await?;
            }
        }
        self.note_ended(&mut transaction, now).await?;
        transaction.commit().await?;
        self.changed();
        Ok(())
    }

    /// Writes down apart which sign-ins this transaction has ended.
    async fn note_ended(&self, connection: &mut AnyConnection, now: Timestamp) -> Result<(), StoreFault> {
        let rows: Vec<(String, String, String, i64)> =
            sqlx::query_as("SELECT issuer, kind, value, before FROM ended_sign_ins WHERE at = $1")
                .bind(now.micros())
                .fetch_all(connection)
                .await?;
        let ended = rows.into_iter().map(|(issuer, kind, value, before)| Revocation::SignInEnded {
            issuer,
            kind,
            value,
            before: Timestamp::from_micros(before),
        });
        self.note(now, ended.collect()).await
    }

    /// The people who are meant by a subject or an e-mail address: issuer and subject of each.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn people(&self, named: &str) -> Result<Vec<(String, String)>, StoreFault> {
        let people = sqlx::query_as(
            "SELECT issuer, person FROM sessions WHERE person = $1 OR lower(email) = lower($1)
             UNION SELECT issuer, subject FROM devices WHERE subject = $1 OR lower(label) = lower($1)",
        )
        .bind(named)
        .fetch_all(&self.readers)
        .await?;
        Ok(people)
    }

    /// Forgets logout tokens that would be refused for their age, and sign-ins that are long gone.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn forget_sign_ins(&self, now: Timestamp) -> Result<(), StoreFault> {
        let long_ago = Timestamp::from_seconds(now.seconds().saturating_sub(REMEMBERED));
        for (query, before) in [
            ("DELETE FROM logout_tokens WHERE expires_at < $1", now),
            ("DELETE FROM ended_sign_ins WHERE at < $1", long_ago),
            ("DELETE FROM sign_ins WHERE seen_at < $1", long_ago),
        ] {
            self.run(sqlx::query(query).bind(before.micros())).await?;
        }
        Ok(())
    }
}

/// Whether the device was revoked or suspended since it was looked at.
async fn is_stopped(connection: &mut AnyConnection, device: DeviceId) -> Result<bool, StoreFault> {
    let stopped: i64 = sqlx::query_scalar(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM devices
                        WHERE id = $1 AND (revoked_at IS NOT NULL OR suspended_at IS NOT NULL)) THEN 1 ELSE 0 END",
    )
    .bind(device.to_string())
    .fetch_one(connection)
    .await?;
    Ok(stopped != 0)
}

/// Notes the sign-in that opens a session. What its first ID token said stays: renewed ones may say less.
async fn remember(
    connection: &mut AnyConnection,
    subject: &Subject,
    sign_in: &SignIn,
    now: Timestamp,
) -> Result<(), StoreFault> {
    let Some(nonce) = sign_in.nonce else { return Ok(()) };
    sqlx::query(
        "INSERT INTO sign_ins (issuer, nonce, person, sid, signed_in_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (issuer, nonce) DO UPDATE SET sid = coalesce(sign_ins.sid, excluded.sid), seen_at = excluded.seen_at",
    )
    .bind(&subject.issuer)
    .bind(nonce.to_string())
    .bind(&subject.subject)
    .bind(&sign_in.sid)
    .bind(sign_in.at.micros())
    .bind(now.micros())
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the known sign-ins of a session at the provider, or of a person up to `before` in microseconds: those too that have
/// no session open now. With both, a person's sign-ins that name no session of the provider.
async fn note_known(
    connection: &mut AnyConnection,
    issuer: &str,
    (sid, person): (Option<&str>, Option<&str>),
    before: i64,
    now: Timestamp,
) -> Result<(), StoreFault> {
    sqlx::query(
        "INSERT INTO ended_sign_ins (issuer, kind, value, before, at)
             SELECT issuer, 'nonce', nonce, $5, $5 FROM sign_ins WHERE issuer = $1
                AND (sid = $2 OR (person = $3 AND signed_in_at <= $4 AND ($2 IS NULL OR sid IS NULL)))
         ON CONFLICT (issuer, kind, value) DO NOTHING",
    )
    .bind(issuer)
    .bind(sid)
    .bind(person)
    .bind(before)
    .bind(now.micros())
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the sign-in was ended by its person, its session at the provider or its nonce.
pub(super) async fn is_ended(
    connection: &mut AnyConnection,
    subject: &Subject,
    sign_in: &SignIn,
) -> Result<bool, StoreFault> {
    let found: i64 = sqlx::query_scalar(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM ended_sign_ins WHERE issuer = $1 AND (
                (kind = 'person' AND value = $2 AND before >= $4)
             OR (kind = 'unnamed' AND value = $2 AND before >= $4 AND $3 IS NULL)
             OR (kind = 'sid' AND value = $3)
             OR (kind = 'nonce' AND value = $5))) THEN 1 ELSE 0 END",
    )
    .bind(&subject.issuer)
    .bind(&subject.subject)
    .bind(&sign_in.sid)
    .bind(sign_in.at.micros())
    .bind(sign_in.nonce.map(|nonce| nonce.to_string()))
    .fetch_one(connection)
    .await?;
    Ok(found != 0)
}

async fn end(
    transaction: &mut AnyConnection,
    ending: &Ending<'_>,
    now: Timestamp,
) -> Result<Vec<EndedSession>, StoreFault> {
    let (issuer, sid, person, before) = match *ending {
        Ending::Person { issuer, subject, before, all } => {
            note(transaction, (issuer, "person", subject), before, now).await?;
            (issuer, None, Some(subject), if all { i64::MAX } else { before.micros() })
        }
        Ending::Session { issuer, sid, subject, before } => {
            note(transaction, (issuer, "sid", sid), before, now).await?;
            if let Some(subject) = subject {
                note(transaction, (issuer, "unnamed", subject), before, now).await?;
            }
            (issuer, Some(sid), subject, before.micros())
        }
    };
    dismiss_all(transaction, issuer, (sid, person)).await?;
    note_known(transaction, issuer, (sid, person), before, now).await?;
    let rows: Vec<EndedRow> = sqlx::query_as(
        "UPDATE sessions SET revoked_at = $1
         WHERE revoked_at IS NULL AND expires_at > $1 AND issuer = $2
           AND (sid = $3 OR (person = $4 AND signed_in_at <= $5 AND ($3 IS NULL OR sid IS NULL)))
         RETURNING token_digest, device, subject, nonce",
    )
    .bind(now.micros())
    .bind(issuer)
    .bind(sid)
    .bind(person)
    .bind(before)
    .fetch_all(&mut *transaction)
    .await?;
    let what = serde_json::to_string(&EventKind::SignInEnded).unwrap_or_default();
    let mut ended = Vec::new();
    for (token, device, subject, nonce) in rows {
        if let Some(nonce) = nonce {
            note(transaction, (issuer, "nonce", &nonce), now, now).await?;
        }
        sqlx::query("INSERT INTO events (at, device, session, what) VALUES ($1, $2, $3, $4)")
            .bind(now.micros())
            .bind(&device)
            .bind(token)
            .bind(&what)
            .execute(&mut *transaction)
            .await?;
        ended.push(EndedSession {
            device: parsed("device id", &device)?,
            subject: from_json("subject", &subject)?,
        });
    }
    Ok(ended)
}

async fn note(
    connection: &mut AnyConnection,
    (issuer, kind, value): (&str, &str, &str),
    before: Timestamp,
    now: Timestamp,
) -> Result<(), StoreFault> {
    sqlx::query(
        "INSERT INTO ended_sign_ins (issuer, kind, value, before, at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (issuer, kind, value) DO UPDATE
         SET before = CASE WHEN excluded.before > ended_sign_ins.before THEN excluded.before ELSE ended_sign_ins.before END,
             at = CASE WHEN excluded.at > ended_sign_ins.at THEN excluded.at ELSE ended_sign_ins.at END",
    )
    .bind(issuer)
    .bind(kind)
    .bind(value)
    .bind(before.micros())
    .bind(now.micros())
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
