//! How connectors spoke the last time. Each person and each secret has a session of its own, and a program of the earlier era that
//! ends over a question of the newer one would be started twice for each; one that keeps silent would be waited for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache::{Cache, Recovery, Table};
use mcp::Dialect;
use model::{Digest, Timestamp};
use org_protocol::ConnectorSpec;
use serde::{Deserialize, Serialize};

/// For how long it is believed: what speaks as before may have learnt the newer era meanwhile.
const BELIEVED_FOR: Duration = Duration::from_secs(86_400);

/// What is remembered of all connectors, over restarts too. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dialects {
    cache: Cache,
    table: Table<Spoken>,
    /// What the table holds: nobody who calls waits for the disk.
    known: Arc<Mutex<BTreeMap<String, Spoken>>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Spoken {
    revision: String,
    at: Timestamp,
}

impl Dialects {
    /// Those that lie in this folder. Blocks for the disk, seconds where what lies there is damaged.
    pub(crate) fn open(folder: &Path) -> Self {
        let (cache, recovery) = Cache::open(folder);
        if let Recovery::Disabled { why } = recovery {
            tracing::warn!(%why, "how connectors speak is not remembered");
        }
        let table = cache.table("dialects");
        let known = Arc::new(Mutex::new(table.iter().collect()));
        Self { cache, table, known }
    }

    /// How this connector spoke, if that may be believed still.
    pub(super) fn last(&self, spec: &ConnectorSpec, now: Timestamp) -> Option<Dialect> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let spoken = known.get(&key(spec)).filter(|spoken| now.since(spoken.at) < BELIEVED_FOR)?;
        Dialect::known(&spoken.revision)
    }

    /// Remembers how a connector speaks.
    pub(super) async fn note(&self, spec: &ConnectorSpec, dialect: Dialect, now: Timestamp) {
        let spoken = Spoken { revision: dialect.revision().to_owned(), at: now };
        self.keep(key(spec), Some(spoken)).await;
    }

    /// Assumes nothing of a connector that failed: it may have become another one.
    pub(super) async fn doubt(&self, spec: &ConnectorSpec) {
        self.keep(key(spec), None).await;
    }

    async fn keep(&self, key: String, spoken: Option<Spoken>) {
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match spoken.clone() {
                Some(spoken) => drop(known.insert(key.clone(), spoken)),
                None => drop(known.remove(&key)),
            }
        }
        let this = self.clone();
        let kept = tokio::task::spawn_blocking(move || {
            match spoken {
                Some(spoken) => this.table.put(&key, &spoken),
                None => this.table.remove(&key),
            }
            this.cache.flush();
        });
        // What cannot be remembered is found out again.
        let _ = kept.await;
    }
}

/// Where IT has another program or address, or sets another thing for it, it is another connector.
fn key(spec: &ConnectorSpec) -> String {
    Digest::of(&serde_json::to_vec(&(&spec.url, &spec.command, &spec.environment)).unwrap_or_default()).hex()
}

#[cfg(test)]
mod tests {
    use mcp::Revision;

    use super::*;

    fn spec(program: &str) -> ConnectorSpec {
        serde_json::from_value(serde_json::json!({ "title": "T", "command": [program] }))
            .expect("a connector")
    }

    #[tokio::test]
    async fn what_a_connector_spoke_is_known_after_a_restart_for_a_day_unless_it_failed() {
        let dir = tempfile::tempdir().expect("a folder");
        let old = Dialect::of(Revision::V2025_06_18);
        let noted = Timestamp::from_seconds(1_800_000_000);
        let later = |hours: u64| noted.plus(Duration::from_secs(3_600 * hours));
        {
            let dialects = Dialects::open(dir.path());
            assert_eq!(dialects.last(&spec("a"), noted), None);
            dialects.note(&spec("a"), old, noted).await;
        }
        let dialects = Dialects::open(dir.path());
        assert_eq!(dialects.last(&spec("a"), later(23)), Some(old));
        assert_eq!(dialects.last(&spec("a"), later(24)), None, "it is asked anew");
        assert_eq!(dialects.last(&spec("b"), noted), None);
        dialects.doubt(&spec("a")).await;
        assert_eq!(dialects.last(&spec("a"), noted), None);
    }
}
