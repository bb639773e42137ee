//! Erasing personal data from what is stored, and from this server's own journal.

use ::audit::{AuditEvent, Erased, Erasure, EventRecord};
use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::Answer;
use super::acts::ActFault;
use super::administrator::Administrator;
use crate::relay;
use crate::server::Plane;

/// How much was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedRecords {
    /// From how many records something was erased.
    pub records: u64,
    /// How many fields that were.
    pub fields: u64,
}

impl Plane {
    /// It is recorded before it is done; afterwards, how much it was. Of the person there is a digest with the journal's key.
    pub(super) async fn erase_audit(
        &self,
        person: Option<String>,
        before: Option<Timestamp>,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        let erasure = Erasure::of(person, before).ok_or(ActFault::NothingNamed)?;
        let mut facts = Vec::new();
        facts.extend(erasure.person().map(|person| ("of", self.journal.keyed(person))));
        facts.extend(before.map(|before| ("until", before.to_string())));
        self.record(by, "audit-erase", &facts).await?;
        // The journal's own lines are in the store as well: what is erased there later would come back otherwise.
        relay::copy_all(self).await?;
        let Erased { records, fields, .. } = self.store.erase_records(erasure.clone()).await?;
        let event = EventRecord::new(AuditEvent::PersonalDataErased).with("by", by.by());
        self.journal.erase(erasure, event).await?;
        facts.extend([("records", records.to_string()), ("fields", fields.to_string())]);
        self.record(by, "audit-erased", &facts).await?;
        Ok(Answer::Erased(ErasedRecords { records, fields }))
    }
}
