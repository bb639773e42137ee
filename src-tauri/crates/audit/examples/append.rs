//! Measures what a durable intent costs: `cargo run --release --example append -p audit [DIR]`.
//!
//! At one caller, each intent is paired with a bare write and fdatasync of as many bytes into a zero-filled file, taken
//! in turn, so that both see the same disk.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use audit::{Effect, IntentRecord, Journal, JournalConfig, Outcome, OutcomeStatus, PolicyReference};
use model::{CallId, DeviceId, Digest, Subject};
use os::{Clock as _, SystemClock};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ROUNDS: usize = 3000;
const CALLERS: usize = 32;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let root = tempfile::tempdir_in(std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into))?;
    let began = SystemClock.boot_time();
    let config = JournalConfig::new(root.path().join("journal"), DeviceId::new(), [7; 32]);
    let (journal, _) = Journal::open(config.clone(), Arc::new(SystemClock))?;
    println!("open an empty journal: {} µs", (SystemClock.boot_time() - began).as_micros());

    let mut bare = zero_filled(&root.path().join("bare"))?;
    let head = journal.head();
    drop(journal.intent(intent(&journal)?).await?);
    let line = journal.after(head.into(), 1)?.first().map_or(1024, |record| record.line().len());
    println!("record: {line} bytes");
    one_caller(&journal, &mut bare, &vec![b'x'; line]).await?;
    many_callers(&journal).await?;
    drop(journal);
    let began = SystemClock.boot_time();
    let (journal, _) = Journal::open(config, Arc::new(SystemClock))?;
    println!("open it again: {} µs", (SystemClock.boot_time() - began).as_micros());
    journal.close();
    Ok(())
}

async fn one_caller(journal: &Journal, bare: &mut File, bytes: &[u8]) -> Result<(), Failure> {
    let (mut syncs, mut intents) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        if round % 2000 == 0 {
            bare.rewind()?;
        }
        let began = SystemClock.boot_time();
        bare.write_all(bytes)?;
        bare.sync_data()?;
        syncs.push(SystemClock.boot_time() - began);

        let began = SystemClock.boot_time();
        let intent = journal.intent(intent(journal)?).await?;
        intents.push(SystemClock.boot_time() - began);
        journal.outcome(intent, Outcome::new(OutcomeStatus::Ok))?;
    }
    let (sync50, intent50) = (percentile(&mut syncs, 50), percentile(&mut intents, 50));
    println!("1 caller, bare fdatasync: p50 {sync50} p99 {} µs", percentile(&mut syncs, 99));
    println!("1 caller, intent: p50 {intent50} p99 {} µs", percentile(&mut intents, 99));
    println!("1 caller, added to the sync: p50 {} µs", intent50.saturating_sub(sync50));
    Ok(())
}

async fn many_callers(journal: &Journal) -> Result<(), Failure> {
    let began = SystemClock.boot_time();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                for _ in 0..ROUNDS / 4 {
                    let began = SystemClock.boot_time();
                    let intent = journal.intent(intent(&journal)?).await?;
                    times.push(SystemClock.boot_time() - began);
                    journal.outcome(intent, Outcome::new(OutcomeStatus::Ok))?;
                }
                Ok::<_, Failure>(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await??);
    }
    let seconds = (SystemClock.boot_time() - began).as_secs_f64();
    println!(
        "{CALLERS} callers, intent: p50 {} p99 {} µs, {:.0} intents/s (and as many outcomes)",
        percentile(&mut times, 50),
        percentile(&mut times, 99),
        times.len() as f64 / seconds
    );
    Ok(())
}

fn intent(journal: &Journal) -> Result<IntentRecord, Failure> {
    let mut subject = Subject::local("employee");
    subject.groups = ["analysts".to_owned(), "staff".to_owned()].into();
    Ok(IntentRecord {
        call: CallId::new(),
        subject,
        server: "analyst".parse()?,
        connector: "warehouse".parse()?,
        effect: Effect::tool_call("execute_sql"),
        client_id: "b1c0a2f4-measure".to_owned(),
        client_name: "Measuring assistant".to_owned(),
        process: None,
        policy: PolicyReference { label: "2026-11-23.1".to_owned(), digest: Digest::of(b"policy") },
        rules: vec!["analysts-read".to_owned()],
        observed: Vec::new(),
        approval: None,
        credential: "shared:warehouse-analyst".to_owned(),
        arguments: journal.summary(r#"{"sql":"select 1","limit":10}"#, false),
        payload: Vec::new(),
    })
}

fn zero_filled(path: &Path) -> Result<File, Failure> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    file.write_all(&vec![0; 8 * 1024 * 1024])?;
    file.sync_all()?;
    file.rewind()?;
    Ok(file)
}

fn percentile(times: &mut [Duration], percent: usize) -> u128 {
    times.sort_unstable();
    times.get(times.len() * percent / 100).map_or(0, Duration::as_micros)
}
