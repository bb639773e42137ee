//! Devices.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{DeviceId, Digest, Subject, Timestamp};
use org_protocol::{DeviceDescription, EventKind, KeyProtection};

use super::enrolment::spend;
use super::replicas::is_own;
use super::{Revocation, Store, StoreFault, from_json, parsed};

/// A device that is known.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Its operating system.
    pub platform: String,
    /// The version of Deskgate on it, when it last opened a session.
    pub app_version: String,
    /// The formats of a bundle that it reads.
    pub content_formats: BTreeSet<u32>,
    /// Who enrolled it, for people.
    pub enrolled_by: String,
    /// When.
    pub enrolled_at: Timestamp,
    /// When it last opened a session.
    pub seen_at: Timestamp,
    /// When its last audit record came; none where none ever did.
    pub recorded_at: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked_at: Option<Timestamp>,
    /// Since when it is suspended, because another device holds its key as well.
    pub suspended_at: Option<Timestamp>,
    /// What keeps its key, where it has said so.
    pub key_protection: Option<KeyProtection>,
    /// The number of the enrolment token that it came with.
    pub enrolment_token: Option<i64>,
}

/// What became of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Enrolment {
    /// The device is known.
    Known(Box<Device>),
    /// It is not: it needs a token, and has shown none that is good.
    NoToken,
}

#[cfg(test)]
impl Enrolment {
    /// The device, in tests that show all that is needed.
    pub(crate) fn known(self) -> Device {
        match self {
            Self::Known(device) => *device,
            Self::NoToken => panic!("a token was needed"),
        }
    }
}

/// A device to be known from now on.
#[derive(Debug, Clone)]
pub(crate) struct NewDevice<'a> {
    /// The thumbprint of its key.
    pub thumbprint: &'a str,
    /// The id that it proposes.
    pub id: DeviceId,
    /// How it describes itself.
    pub description: &'a DeviceDescription,
    /// Who enrols it.
    pub subject: &'a Subject,
    /// What keeps its key.
    pub key_protection: Option<KeyProtection>,
    /// Whether a device that is not known yet needs a token, and the one that it shows.
    pub token: (bool, Option<Digest>),
}

/// What every look at a device reads.
const COLUMNS: &str =
    "id, name, platform, app_version, content_formats, label, enrolled_at, seen_at, revoked_at, suspended_at,
                       key_protection, enrolment_token,
                       (SELECT heads.received_at FROM heads WHERE heads.device = devices.id) AS recorded_at";

type DeviceRow = (
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<i64>,
);

/// A device that runs writes a heartbeat four times in this time.
const SILENCE: Duration = Duration::from_secs(60 * 60);
/// How long a device that has come back may take to deliver what it has.
const COMING_BACK: Duration = Duration::from_secs(5 * 60);

impl Device {
    /// Whether it was here long after its last audit record came: it runs, and its records do not arrive.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        let last = self.recorded_at.unwrap_or(self.enrolled_at);
        let is_ours = self.revoked_at.is_none() && self.suspended_at.is_none();
        is_ours && self.seen_at.since(last) > SILENCE && now.since(self.seen_at) > COMING_BACK
    }
}

impl Store {
    /// Knows a device by its key. The same key again keeps its id and only renews the description; an id that another
    /// has is not given a second time.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn enrol(
        &self,
        device: &NewDevice<'_>,
        now: Timestamp,
    ) -> Result<Enrolment, StoreFault> {
        let (description, subject) = (device.description, device.subject);
        let mut transaction = self.write().await?;
        let known: i64 = sqlx::query_scalar("SELECT count(*) FROM devices WHERE thumbprint = $1")
            .bind(device.thumbprint)
            .fetch_one(&mut *transaction)
            .await?;
        let token = match device.token {
            (_, Some(digest)) if known == 0 => spend(&mut transaction, digest, now).await?,
            (_, Some(_) | None) => None,
        };
        let (token, used) = token.unzip();
        if known == 0 && device.token.0 && token.is_none() {
            return Ok(Enrolment::NoToken);
        }
        let taken: i64 =
            sqlx::query_scalar("SELECT count(*) FROM devices WHERE id = $1 AND thumbprint <> $2")
                .bind(device.id.to_string())
                .bind(device.thumbprint)
                .fetch_one(&mut *transaction)
                .await?;
        let taken = taken > 0 || is_own(&mut transaction, device.id).await?;
        let id = if taken { DeviceId::new() } else { device.id };
        sqlx::query(
            "INSERT INTO devices (id, thumbprint, name, platform, app_version, content_formats, issuer, subject, label, enrolled_at, seen_at,
                                  key_protection, enrolment_token)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             ON CONFLICT (thumbprint) DO UPDATE
             SET name = excluded.name, platform = excluded.platform, app_version = excluded.app_version,
                 content_formats = excluded.content_formats, key_protection = excluded.key_protection",
        )
        .bind(id.to_string())
        .bind(device.thumbprint)
        .bind(&description.name)
        .bind(&description.platform)
        .bind(&description.app_version)
        .bind(serde_json::to_string(&description.content_formats).unwrap_or_default())
        .bind(&subject.issuer)
        .bind(&subject.subject)
        .bind(subject.label())
        .bind(now.micros())
        .bind(now.micros())
        .bind(device.key_protection.map(KeyProtection::as_str))
        .bind(token)
        .execute(&mut *transaction)
        .await?;
        if let Some(used) = used {
            self.note(now, vec![used]).await?;
        }
        transaction.commit().await?;
        let known = self.device_of_key(device.thumbprint).await?;
        let known = known
            .ok_or_else(|| StoreFault::Unreadable { what: "device", reason: "it is not there".to_owned() })?;
        Ok(Enrolment::Known(Box::new(known)))
    }

    /// The device that holds a key.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn device_of_key(&self, thumbprint: &str) -> Result<Option<Device>, StoreFault> {
        let row: Option<DeviceRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM devices WHERE thumbprint = $1"
        )))
        .bind(thumbprint)
        .fetch_optional(&self.readers)
        .await?;
        row.map(device).transpose()
    }

    /// Renews how a device that is known describes itself.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn describe_device(
        &self,
        device: &Device,
        description: &DeviceDescription,
    ) -> Result<(), StoreFault> {
        let DeviceDescription { name, platform, app_version, content_formats } = description;
        let known = (&device.name, &device.platform, &device.app_version, &device.content_formats);
        if known == (name, platform, app_version, content_formats) {
            return Ok(());
        }
        self.run(sqlx::query(
            "UPDATE devices SET name = $1, platform = $2, app_version = $3, content_formats = $4 WHERE id = $5",
        )
        .bind(name)
        .bind(platform)
        .bind(app_version)
        .bind(serde_json::to_string(content_formats).unwrap_or_default())
        .bind(device.id.to_string())).await?;
        Ok(())
    }

    /// All devices, the latest first.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn devices(&self) -> Result<Vec<Device>, StoreFault> {
        let rows: Vec<DeviceRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM devices ORDER BY enrolled_at DESC, id"
        )))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(device).collect()
    }

    /// Ends a device: its sessions, and its right to open others. Tells it. `false` where there is no such device.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn revoke_device(&self, id: DeviceId, now: Timestamp) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        let found = sqlx::query("UPDATE devices SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2")
            .bind(now.micros())
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        if found == 0 {
            return Ok(false);
        }
        sqlx::query("UPDATE sessions SET revoked_at = $1 WHERE device = $2 AND revoked_at IS NULL")
            .bind(now.micros())
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO events (at, device, what) VALUES ($1, $2, $3)")
            .bind(now.micros())
            .bind(id.to_string())
            .bind(serde_json::to_string(&EventKind::SessionRevoked).unwrap_or_default())
            .execute(&mut *transaction)
            .await?;
        self.note(now, vec![Revocation::DeviceRevoked { device: id }]).await?;
        transaction.commit().await?;
        self.changed();
        Ok(true)
    }
}

fn device(row: DeviceRow) -> Result<Device, StoreFault> {
    let (id, name, platform, app_version, formats, enrolled_by, enrolled_at, seen_at, revoked_at, ..) = &row;
    let (.., suspended_at, key_protection, enrolment_token, recorded_at) = &row;
    Ok(Device {
        id: parsed("device id", id)?,
        name: name.clone(),
        platform: platform.clone(),
        app_version: app_version.clone(),
        content_formats: from_json("list of formats", formats)?,
        enrolled_by: enrolled_by.clone(),
        enrolled_at: Timestamp::from_micros(*enrolled_at),
        seen_at: Timestamp::from_micros(*seen_at),
        recorded_at: recorded_at.map(Timestamp::from_micros),
        revoked_at: revoked_at.map(Timestamp::from_micros),
        suspended_at: suspended_at.map(Timestamp::from_micros),
        // What a later version wrote is not known here.
        key_protection: key_protection
            .as_ref()
            .and_then(|it| serde_json::from_value(it.as_str().into()).ok()),
        enrolment_token: *enrolment_token,
    })
}

#[cfg(test)]
mod tests {
    use org_protocol::{AuditRecord, Head, HeartbeatRecord, PreparedBody};

    use super::super::NewSession;
    use super::super::tests::on_each;
    use super::*;
    use crate::identity::SignIn;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const LATER: Timestamp = Timestamp::from_seconds(1_800_003_600);

    async fn enrolled(store: &Store, thumbprint: &str) -> Device {
        enrolled_as(store, thumbprint, DeviceId::new()).await
    }

    async fn enrolled_as(store: &Store, thumbprint: &str, id: DeviceId) -> Device {
        let description = DeviceDescription {
            name: "laptop".to_owned(),
            platform: "linux".to_owned(),
            app_version: "0.1.0".to_owned(),
            content_formats: org_protocol::readable_formats(),
        };
        let subject = Subject::local("alice");
        let device = NewDevice {
            thumbprint,
            id,
            description: &description,
            subject: &subject,
            key_protection: Some(KeyProtection::Os),
            token: (false, None),
        };
        store.enrol(&device, NOW).await.expect("enrols").known()
    }

    async fn opened(store: &Store, token: Digest, device: DeviceId) {
        let (subject, sign_in) = (Subject::local("alice"), SignIn { sid: None, at: NOW, nonce: None });
        let session =
            NewSession { token, device, subject: &subject, sign_in: &sign_in, now: NOW, expires: LATER };
        assert!(store.open_session(&session).await.expect("opens"));
    }

    #[tokio::test]
    async fn a_key_is_one_device() {
        on_each(async |store: Store| {
            let one = enrolled(&store, "a").await;
            assert_eq!(enrolled(&store, "a").await.id, one.id);
            assert_ne!(enrolled(&store, "b").await.id, one.id);
            assert_eq!(store.devices().await.expect("lists").len(), 2);
        })
        .await;
    }

    #[tokio::test]
    async fn whoever_is_here_and_sends_no_record_is_silent() {
        on_each(async |store: Store| {
            let device = enrolled(&store, "a").await;
            assert_eq!(device.recorded_at, None);
            let hour = |count: u64| NOW.plus(Duration::from_secs(count * 3600 + 600));
            let seen = |at: Timestamp| Device { seen_at: at, ..device.clone() };
            assert!(!device.is_silent(hour(9)), "it was not here");
            assert!(seen(hour(1)).is_silent(hour(2)));
            assert!(!seen(hour(1)).is_silent(hour(1)), "it has come back this moment");
            assert!(!Device { revoked_at: Some(NOW), ..seen(hour(1)) }.is_silent(hour(2)));
            let mut line = String::new();
            let body = PreparedBody::heartbeat(&HeartbeatRecord::default()).expect("JSON");
            AuditRecord::seal_into(&mut line, device.id, &Head::before(1), NOW, 1, &body).expect("seals");
            let record = AuditRecord::parse(line.trim_end()).expect("reads");
            store.append_records(device.id, &[record], hour(1)).await.expect("stores");
            let device = store.devices().await.expect("lists").remove(0);
            assert_eq!(device.recorded_at, Some(hour(1)));
            assert!(!Device { seen_at: hour(1), ..device }.is_silent(hour(2)));
        })
        .await;
    }

    #[tokio::test]
    async fn a_proposed_id_is_taken_unless_somebody_has_it() {
        on_each(async |store: Store| {
            let id = DeviceId::new();
            assert_eq!(enrolled_as(&store, "a", id).await.id, id);
            assert_ne!(enrolled_as(&store, "b", id).await.id, id);
            assert_eq!(enrolled_as(&store, "a", DeviceId::new()).await.id, id, "a key keeps its id");
            let own = DeviceId::new();
            assert!(store.join(own, Digest::of(b""), NOW).await.expect("joins"));
            assert_ne!(enrolled_as(&store, "c", own).await.id, own, "nobody becomes the control plane");
        })
        .await;
    }

    #[tokio::test]
    async fn revoking_a_device_ends_its_sessions_and_is_told() {
        on_each(async |store: Store| {
            let device = enrolled(&store, "a").await;
            let token = Digest::of(b"token");
            opened(&store, token, device.id).await;
            assert!(store.revoke_device(device.id, NOW).await.expect("revokes"));
            assert_eq!(store.session(token, NOW).await.expect("reads"), None);
            assert_eq!(enrolled(&store, "a").await.revoked_at, Some(NOW), "enrolling again does not undo it");
            let events = store.events_between(0, u64::MAX, device.id, token, 10).await.expect("reads");
            assert_eq!(events.last().map(|event| event.what.clone()), Some(EventKind::SessionRevoked));
            assert!(
                store
                    .events_between(0, u64::MAX, DeviceId::new(), token, 10)
                    .await
                    .expect("reads")
                    .is_empty(),
                "nobody else's business"
            );
            assert!(!store.revoke_device(DeviceId::new(), NOW).await.expect("answers"));
        })
        .await;
    }
}
