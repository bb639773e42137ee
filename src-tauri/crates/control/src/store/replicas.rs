//! The control planes that share a database: what each must know of the others.

use model::{DeviceId, Digest, Timestamp};
use sqlx::AnyConnection;

use super::{Store, StoreFault, parsed, unsigned};

/// For how long a control plane counts as running after it was last heard of, in seconds.
const PRESENT: i64 = 30;

/// How far the database is: it differs as soon as anybody changed what others keep at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// The number of the last event, 0 before the first.
    pub events: u64,
    /// The last record.
    pub records: i64,
    /// How many credentials there are, and when the last was changed.
    pub credentials: (i64, i64),
}

impl Store {
    /// The id that this database's only control plane had before ids lay beside their journals.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn former_device(&self) -> Result<Option<DeviceId>, StoreFault> {
        let text: Option<String> = sqlx::query_scalar("SELECT device FROM identity WHERE one = 1")
            .fetch_optional(&self.readers)
            .await?;
        text.map(|text| parsed("device id", &text)).transpose()
    }

    /// Says that a control plane runs, and what all that run must have alike. `false` where another one runs that differs; this one
    /// then does not count.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn join(
        &self,
        own: DeviceId,
        setup: Digest,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        let others: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM replicas WHERE device <> $1 AND setup <> $2 AND seen_at > $3",
        )
        .bind(own.to_string())
        .bind(setup.to_string())
        .bind(Timestamp::from_seconds(now.seconds().saturating_sub(PRESENT)).micros())
        .fetch_one(&mut *transaction)
        .await?;
        if others > 0 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO replicas (device, setup, seen_at) VALUES ($1, $2, $3)
             ON CONFLICT (device) DO UPDATE SET setup = excluded.setup, seen_at = excluded.seen_at",
        )
        .bind(own.to_string())
        .bind(setup.to_string())
        .bind(now.micros())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Says that a control plane does not run any more.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn leave(&self, own: DeviceId) -> Result<(), StoreFault> {
        self.run(sqlx::query("UPDATE replicas SET seen_at = 0 WHERE device = $1").bind(own.to_string()))
            .await?;
        Ok(())
    }

    /// How far the database is.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn progress(&self) -> Result<Progress, StoreFault> {
        let (events, records, credentials, changed): (i64, i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT coalesce(max(seq), 0) FROM events), (SELECT coalesce(max(id), 0) FROM records),
                    (SELECT count(*) FROM credentials), (SELECT coalesce(max(changed_at), 0) FROM credentials)",
        )
        .fetch_one(&self.readers)
        .await?;
        Ok(Progress { events: unsigned(events), records, credentials: (credentials, changed) })
    }

    /// Tells everybody here who waits for changes that there may be some of another control plane's.
    pub(crate) fn changed_elsewhere(&self) {
        self.changed();
    }
}

/// Whether the id is, or was, a control plane's.
pub(super) async fn is_own(connection: &mut AnyConnection, id: DeviceId) -> Result<bool, StoreFault> {
    let known: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM replicas WHERE device = $1) + (SELECT count(*) FROM identity WHERE device = $1)",
    )
    .bind(id.to_string())
    .fetch_one(connection)
    .await?;
    Ok(known > 0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::on_each;
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[tokio::test]
    async fn who_differs_joins_only_when_the_others_are_gone() {
        on_each(async |store: Store| {
            let (one, two) = (DeviceId::new(), DeviceId::new());
            let (same, other) = (Digest::of(b"same"), Digest::of(b"other"));
            let join = async |own, setup, now| store.join(own, setup, now).await.expect("answers");
            assert!(join(one, same, NOW).await);
            assert!(join(two, same, NOW).await, "several may");
            assert!(!join(DeviceId::new(), other, NOW).await);
            store.leave(two).await.expect("leaves");
            assert!(!join(two, other, NOW).await, "the first is there still");
            let later = Timestamp::from_seconds(NOW.seconds() + PRESENT);
            assert!(join(two, other, later).await, "it has not been heard of");
            assert!(join(two, same, later).await, "who is alone may change");
        })
        .await;
    }

    #[tokio::test]
    async fn whatever_others_keep_at_hand_moves_the_progress() {
        on_each(async |store: Store| {
            let begun = store.progress().await.expect("reads");
            assert_eq!(begun, Progress::default());
            let target = org_protocol::HaltTarget::Connector { connector: "mail".parse().expect("an id") };
            store.halt(&target, &Default::default(), "", "uid 0", NOW).await.expect("stops");
            let halted = store.progress().await.expect("reads");
            assert_ne!(halted, begun);
            let secret = super::super::SealedCredential { version: 1, sealed: vec![1], source: None };
            let id = "warehouse".parse().expect("an id");
            store.put_credential(&id, &secret, NOW).await.expect("stores");
            let stored = store.progress().await.expect("reads");
            assert_ne!(stored, halted);
            assert!(store.remove_credential(&id, NOW).await.expect("removes"));
            assert_ne!(store.progress().await.expect("reads"), stored);
        })
        .await;
    }
}
