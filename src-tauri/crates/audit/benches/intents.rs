//! What a durable intent costs: alone, and when many calls want theirs at once and share a sync of the disk. Run by
//! `cargo xtask bench`.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "whoever measures takes the time")]

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{IntentRecord, Journal, JournalConfig, Outcome, OutcomeStatus};
use model::{CallId, DeviceId};
use serde_json::json;

const TURNS: usize = 200;
const CALLERS: [usize; 3] = [1, 8, 32];
const PROBES: usize = 200;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn intent() -> Fallible<IntentRecord> {
    Ok(serde_json::from_value(json!({
        "call": CallId::new(),
        "subject": {"issuer": "https://idp.acme.test", "subject": "ann", "groups": ["analysts"]},
        "server": "analyst",
        "connector": "warehouse",
        "method": "tools/call",
        "tool": "execute_sql",
        "client_id": "client",
        "client_name": "Assistant",
        "policy": {"label": "1", "digest": model::Digest::of(b"policy")},
        "rules": ["analysts-read"],
        "credential": "shared:warehouse",
        "arguments": {"bytes": 18, "digest": "hmac-sha256:00", "fields": []},
    }))?)
}

/// One sync of what one intent takes, where the journal lies: the median, in a file that is there already.
fn sync(folder: &std::path::Path) -> Fallible<Duration> {
    let path = folder.join("probe");
    let mut file = std::fs::File::create(&path)?;
    let record = vec![b' '; 700];
    file.write_all(&vec![0; record.len() * PROBES])?;
    file.sync_all()?;
    let mut file = std::fs::OpenOptions::new().write(true).open(&path)?;
    let mut took = Vec::new();
    for _ in 0..PROBES {
        let begun = Instant::now();
        file.write_all(&record)?;
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok(took.get(PROBES / 2).copied().unwrap_or_default())
}

async fn callers(journal: &Journal, callers: usize) -> Fallible<Duration> {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let journal = journal.clone();
        tasks.spawn(async move {
            for _ in 0..TURNS {
                let intent = journal.intent(intent()?).await?;
                journal.outcome(intent, Outcome::new(OutcomeStatus::Ok))?;
            }
            Fallible::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(begun.elapsed())
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let config = JournalConfig::new(folder.path().join("journal"), DeviceId::new(), [7; 32]);
    let (journal, _) = Journal::open(config, Arc::new(os::SystemClock))?;
    let mut text = String::new();
    for number in CALLERS {
        let sync = sync(folder.path())?;
        let took = callers(&journal, number).await?;
        let intents = f64::from(u32::try_from(number * TURNS)?);
        let syncs = took.as_secs_f64() / sync.as_secs_f64();
        text += &format!(
            "durable intents, {number:>2} at once: {:.0}/s, {:.0} µs each; one sync of the disk takes {:.0} µs, so a sync has at least {:.1} of them\n",
            intents / took.as_secs_f64(),
            took.as_secs_f64() * 1e6 / intents,
            sync.as_secs_f64() * 1e6,
            intents / syncs,
        );
    }
    journal.close();
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
