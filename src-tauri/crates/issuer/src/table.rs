//! The grants in memory, by token and by family: what the check of every request looks at.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use model::{Digest, ServerId, Subject, Timestamp};
use serde::{Deserialize, Serialize};

use crate::secret::FamilyId;
use crate::{AccessGrant, AssistantGrant};

/// What is stored of a grant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GrantRecord {
    pub(crate) format: u32,
    pub(crate) client_id: String,
    pub(crate) client_name: String,
    pub(crate) server: ServerId,
    pub(crate) resource: String,
    pub(crate) subject: Subject,
    pub(crate) executable: Option<String>,
    pub(crate) since: Timestamp,
    pub(crate) last_used: Timestamp,
    pub(crate) access: Vec<AccessRecord>,
    pub(crate) refresh: Digest,
    pub(crate) refresh_expires: Timestamp,
}

/// What is stored of an access token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccessRecord {
    pub(crate) digest: Digest,
    pub(crate) expires: Timestamp,
}

impl GrantRecord {
    pub(crate) fn is_for(&self, subject: &Subject) -> bool {
        self.subject.is_same_person(subject)
    }
}

/// An access token in memory.
pub(crate) struct Access {
    pub(crate) family: FamilyId,
    pub(crate) grant: Arc<AccessGrant>,
    pub(crate) resource: Arc<str>,
    pub(crate) used: Arc<AtomicI64>,
}

/// A grant in memory.
pub(crate) struct Family {
    pub(crate) record: GrantRecord,
    pub(crate) used: Arc<AtomicI64>,
}

/// All live grants and their access tokens.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) access: HashMap<Digest, Access>,
    pub(crate) families: BTreeMap<FamilyId, Family>,
}

impl Table {
    /// Inserts a grant or replaces it with its tokens.
    pub(crate) fn insert(&mut self, id: FamilyId, record: GrantRecord) {
        let known = self.families.get(&id).map(|family| Arc::clone(&family.used));
        let used = known.unwrap_or_else(|| Arc::new(AtomicI64::new(record.last_used.micros())));
        used.fetch_max(record.last_used.micros(), Ordering::Relaxed);
        self.access.retain(|_, access| access.family != id);
        let resource: Arc<str> = record.resource.as_str().into();
        let subject = Arc::new(record.subject.clone());
        for token in &record.access {
            let grant = AccessGrant {
                client_id: record.client_id.clone(),
                client_name: record.client_name.clone(),
                subject: Arc::clone(&subject),
                server: record.server.clone(),
                expires: token.expires,
                executable: record.executable.clone(),
                process: None,
            };
            let access = Access {
                family: id,
                grant: Arc::new(grant),
                resource: Arc::clone(&resource),
                used: Arc::clone(&used),
            };
            self.access.insert(token.digest, access);
        }
        self.families.insert(id, Family { record, used });
    }

    /// Removes a grant with its tokens.
    pub(crate) fn remove(&mut self, id: &FamilyId) -> Option<GrantRecord> {
        self.access.retain(|_, access| access.family != *id);
        self.families.remove(id).map(|family| family.record)
    }
}

impl Family {
    /// When a token of the grant was last used.
    pub(crate) fn last_used(&self) -> Timestamp {
        Timestamp::from_micros(self.used.load(Ordering::Relaxed))
    }

    /// The client's id and name, and the grant for display.
    pub(crate) fn shown(&self) -> (String, String, AssistantGrant) {
        let record = &self.record;
        let grant = AssistantGrant {
            server: record.server.clone(),
            subject: record.subject.label().to_owned(),
            since: record.since,
            last_used: self.last_used(),
            expires: record.refresh_expires,
            executable: record.executable.clone(),
        };
        (record.client_id.clone(), record.client_name.clone(), grant)
    }
}
