//! How connectors spoke the last time. Each person and each secret has a session of its own, and a program of the earlier era that
//! ends over a question of the newer one would be started twice for each; one that keeps silent would be waited for.

use std::time::Duration;

use cache::{Cache, Table};
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
}

#[derive(Serialize, Deserialize)]
struct Spoken {
    revision: String,
    at: Timestamp,
}

impl Dialects {
    pub(crate) fn of(cache: &Cache) -> Self {
        Self { cache: cache.clone(), table: cache.table("dialects") }
    }

    /// How this connector spoke, if that may be believed still.
    pub(super) fn last(&self, spec: &ConnectorSpec, now: Timestamp) -> Option<Dialect> {
        let spoken = self.table.get(&key(spec)).filter(|spoken| now.since(spoken.at) < BELIEVED_FOR)?;
        Dialect::known(&spoken.revision)
    }

    /// Remembers how a connector speaks.
    pub(super) async fn note(&self, spec: &ConnectorSpec, dialect: Dialect, now: Timestamp) {
        let (this, key) = (self.clone(), key(spec));
        let spoken = Spoken { revision: dialect.revision().to_owned(), at: now };
        let noted = tokio::task::spawn_blocking(move || {
            this.table.put(&key, &spoken);
            this.cache.flush();
        });
        // What cannot be remembered is found out again.
        let _ = noted.await;
    }

    /// Assumes nothing of a connector that failed: it may have become another one.
    pub(super) fn doubt(&self, spec: &ConnectorSpec) {
        self.table.remove(&key(spec));
    }
}

/// Where IT has another program or address, it is another connector.
fn key(spec: &ConnectorSpec) -> String {
    Digest::of(&serde_json::to_vec(&(&spec.url, &spec.command)).unwrap_or_default()).hex()
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
            let dialects = Dialects::of(&Cache::open(dir.path()).0);
            assert_eq!(dialects.last(&spec("a"), noted), None);
            dialects.note(&spec("a"), old, noted).await;
        }
        let dialects = Dialects::of(&Cache::open(dir.path()).0);
        assert_eq!(dialects.last(&spec("a"), later(23)), Some(old));
        assert_eq!(dialects.last(&spec("a"), later(24)), None, "it is asked anew");
        assert_eq!(dialects.last(&spec("b"), noted), None);
        dialects.doubt(&spec("a"));
        assert_eq!(dialects.last(&spec("a"), noted), None);
    }
}
