//! What is left when the process is killed.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use model::CallId;

use super::support::*;
use crate::*;

const CHILD: &str = "AUDIT_TEST_DIR";
const ROUNDS: usize = 6;

/// Makes calls and says so, an intent when it is acknowledged, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test below"]
async fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let device = std::env::var("AUDIT_TEST_DEVICE").unwrap().parse().unwrap();
    let config = JournalConfig { segment_bytes: 64 * 1024, ..JournalConfig::new(dir, device, KEY) };
    let (journal, _) = Journal::open(config, Arc::new(os::SystemClock)).unwrap();
    let callers: Vec<_> = (0..8).map(|_| tokio::spawn(calls(journal.clone()))).collect();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}

async fn calls(journal: Journal) -> Result<(), JournalFault> {
    loop {
        let intent = journal.intent(intent()).await?;
        // The effect: after the intent, before the outcome.
        let said = format!("did {}\n", intent.call());
        std::io::stdout().write_all(said.as_bytes()).unwrap();
        journal.outcome(intent, ok())?;
    }
}

#[test]
fn no_effect_is_without_an_intent_and_no_intent_without_an_outcome_after_kills() {
    let home = Home::new();
    let mut effects: BTreeSet<CallId> = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::crash::child", "--ignored", "--nocapture"])
            .env(CHILD, home.dir())
            .env("AUDIT_TEST_DEVICE", home.device.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let enough = 1 + round * 97;
        let mut seen = 0;
        let did = |line: &str| line.strip_prefix("did ").and_then(|id| id.parse::<CallId>().ok());
        while seen < enough {
            let line = lines.next().expect("the child goes on until it is killed");
            seen += did(&line).map(|call| effects.insert(call)).map_or(0, usize::from);
        }
        child.kill().unwrap();
        effects.extend(lines.filter_map(|line| did(&line)));
        child.wait().unwrap();
    }

    let clock: Arc<os::ManualClock> = Arc::clone(&home.clock);
    let (journal, recovery) = Journal::open(home.config(), clock).unwrap();
    assert_eq!(recovery.began, None, "{}", recovery.detail);
    let records = all(&journal);
    let intents: BTreeSet<CallId> = records
        .iter()
        .filter_map(|record| {
            let RecordBody::Intent(intent) = record.body() else { return None };
            Some(intent.call)
        })
        .collect();
    let ended: Vec<CallId> = outcomes(&records).into_iter().map(|(call, ..)| call).collect();
    assert!(effects.is_subset(&intents), "an effect without an intent");
    assert!(effects.len() > ROUNDS);
    assert_eq!(ended.iter().copied().collect::<BTreeSet<_>>(), intents, "each intent has an outcome");
    assert_eq!(ended.len(), intents.len(), "and only one");
    journal.close();
    assert_eq!(home.findings(), []);
}
