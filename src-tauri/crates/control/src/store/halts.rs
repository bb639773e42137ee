//! What administrators have stopped.

use std::collections::BTreeSet;

use model::{DeviceId, Subject, Timestamp};
use org_protocol::{EventKind, Halt, HaltTarget, Halts};
use sqlx::AnyConnection;

use super::{Revocation, Store, StoreFault, from_json, parsed, signed, unsigned};

/// A halt that is in force, as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StandingHalt {
    /// What everybody whom it concerns is told.
    #[serde(flatten)]
    pub halt: Halt,
    /// Which administrator stopped it.
    pub by: String,
}

/// Somebody who has signed in on a device.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KnownPerson {
    /// The device.
    pub device: DeviceId,
    /// The person, with what their last sign-in said of them.
    pub subject: Subject,
}

impl KnownPerson {
    /// Whether a halt of a person or device hits them.
    pub fn is_hit(&self, target: &HaltTarget) -> bool {
        let halt = Halt {
            id: 0,
            target: target.clone(),
            subjects: BTreeSet::new(),
            since: Timestamp::from_micros(0),
            reason: String::new(),
        };
        let halts = Halts::new(vec![halt]);
        halts.of_person(&self.subject).or_else(|| halts.of_device(self.device)).is_some()
    }
}

/// How many people are looked at at most, the latest.
const MOST_PEOPLE: u32 = 1000;

type HaltRow = (i64, String, String, String, String, i64);

impl Store {
    /// Stops something, and tells all devices. What is stopped already stays as it was.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn halt(
        &self,
        target: &HaltTarget,
        subjects: &BTreeSet<String>,
        reason: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<StandingHalt, StoreFault> {
        let mut transaction = self.write().await?;
        let standing = standing(&mut transaction).await?;
        if let Some(known) = standing.into_iter().find(|known| known.halt.target == *target) {
            return Ok(known);
        }
        let text = serde_json::to_string(target)
            .map_err(|fault| StoreFault::Unreadable { what: "halt", reason: fault.to_string() })?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO halts (target, subjects, reason, by, at) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .bind(text)
        .bind(serde_json::to_string(subjects).unwrap_or_default())
        .bind(reason)
        .bind(by)
        .bind(now.micros())
        .fetch_one(&mut *transaction)
        .await?;
        tell(&mut transaction, now).await?;
        let halted = Revocation::Halted {
            id: unsigned(id),
            target: target.clone(),
            subjects: subjects.clone(),
            reason: reason.to_owned(),
            by: by.to_owned(),
        };
        self.note(now, vec![halted]).await?;
        transaction.commit().await?;
        self.changed();
        let halt = Halt {
            id: unsigned(id),
            target: target.clone(),
            subjects: subjects.clone(),
            since: now,
            reason: reason.to_owned(),
        };
        Ok(StandingHalt { halt, by: by.to_owned() })
    }

    /// Lets something go on, and tells all devices. `false` where there is no such halt in force.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn lift(&self, id: u64, by: &str, now: Timestamp) -> Result<bool, StoreFault> {
        let mut transaction = self.write().await?;
        let lifted = sqlx::query(
            "UPDATE halts SET lifted_at = $1, lifted_by = $2 WHERE id = $3 AND lifted_at IS NULL",
        )
        .bind(now.micros())
        .bind(by)
        .bind(signed(id))
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if lifted == 0 {
            return Ok(false);
        }
        tell(&mut transaction, now).await?;
        self.note(now, vec![Revocation::Lifted { id, by: by.to_owned() }]).await?;
        transaction.commit().await?;
        self.changed();
        Ok(true)
    }

    /// Everything that is stopped, in the order in which it was.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn halts(&self) -> Result<Vec<StandingHalt>, StoreFault> {
        standing(&mut *self.readers.acquire().await?).await
    }

    /// The people who signed in last, each once for each of their devices.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn known_people(&self) -> Result<Vec<KnownPerson>, StoreFault> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT device, subject FROM sessions
             WHERE (device, issuer, person, opened_at) IN
                   (SELECT device, issuer, person, max(opened_at) FROM sessions GROUP BY device, issuer, person)
             ORDER BY opened_at DESC LIMIT $1",
        )
        .bind(i64::from(MOST_PEOPLE))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|(device, subject)| {
                Ok(KnownPerson {
                    device: parsed("device id", &device)?,
                    subject: from_json("subject", &subject)?,
                })
            })
            .collect()
    }
}

async fn standing(connection: &mut AnyConnection) -> Result<Vec<StandingHalt>, StoreFault> {
    let rows: Vec<HaltRow> = sqlx::query_as(
        "SELECT id, target, subjects, reason, by, at FROM halts WHERE lifted_at IS NULL ORDER BY id",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(id, target, subjects, reason, by, at)| {
            let subjects = from_json("halt", &subjects)?;
            let target = from_json("halt", &target)?;
            let since = Timestamp::from_micros(at);
            let halt = Halt { id: unsigned(id), target, subjects, since, reason };
            Ok(StandingHalt { halt, by })
        })
        .collect()
}

async fn tell(connection: &mut AnyConnection, now: Timestamp) -> Result<(), StoreFault> {
    sqlx::query("INSERT INTO events (at, what) VALUES ($1, $2)")
        .bind(now.micros())
        .bind(serde_json::to_string(&EventKind::HaltsChanged).unwrap_or_default())
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::on_each;
    use super::*;

    #[tokio::test]
    async fn a_halt_stands_until_it_is_lifted_and_is_told() {
        on_each(async |store: Store| {
            let (now, later) = (Timestamp::from_seconds(1), Timestamp::from_seconds(2));
            let target = HaltTarget::Connector { connector: "mail".parse().expect("an id") };
            let first = store.halt(&target, &BTreeSet::new(), "It leaks", "uid 0", now).await.expect("stops");
            let again = store
                .halt(&target, &BTreeSet::new(), "Another reason", "uid 1", later)
                .await
                .expect("is stopped already");
            assert_eq!(first, again);
            assert_eq!(store.halts().await.expect("reads"), std::slice::from_ref(&first));
            assert_eq!(store.last_event().await.expect("reads"), 1, "nothing changed the second time");
            assert!(store.lift(first.halt.id, "uid 0", later).await.expect("lifts"));
            assert!(!store.lift(first.halt.id, "uid 0", later).await.expect("was lifted already"));
            assert!(store.halts().await.expect("reads").is_empty());
            let next = store.halt(&target, &BTreeSet::new(), "", "uid 0", later).await.expect("stops again");
            assert!(next.halt.id > first.halt.id);
        })
        .await;
    }
}
