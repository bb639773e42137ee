//! Checking the stored chains: what was edited, removed, put in or reordered since it arrived.

use std::collections::BTreeMap;

use model::DeviceId;
use org_protocol::{AuditRecord, ChainWalk, Finding, FindingKind, Head, Known, RecordBody};
use serde::{Deserialize, Serialize};

use crate::store::{ChainEnd, Store, StoreFault};

/// How many lines are read at once.
const PAGE: u32 = 1000;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// Each device's chain.
    pub chains: Vec<ChainVerdict>,
}

/// What was found in one device's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainVerdict {
    /// The device.
    pub device: DeviceId,
    /// How many records could be read.
    pub records: u64,
    /// How many epochs they have.
    pub epochs: u64,
    /// How many personal fields of them were erased.
    #[serde(default)]
    pub erased: u64,
    /// What is wrong; nothing, for an unbroken history.
    pub findings: Vec<Finding>,
}

impl ChainVerdict {
    /// Whether nothing is wrong: what a device has set aside is told, and is no tampering.
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| finding.kind == FindingKind::SetAside)
    }
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.chains.iter().all(ChainVerdict::is_good)
    }
}

/// Checks every stored chain against itself, the heads that were acknowledged, and what each epoch says of the one
/// before it.
pub(super) async fn verify(store: &Store) -> Result<Verdict, StoreFault> {
    let mut verdict = Verdict::default();
    for ChainEnd { device, head } in store.heads().await? {
        verdict.chains.push(chain(store, device, head).await?);
    }
    Ok(verdict)
}

async fn chain(store: &Store, device: DeviceId, acknowledged: Head) -> Result<ChainVerdict, StoreFault> {
    let mut epochs = store.epochs(device).await?;
    if !epochs.contains(&acknowledged.epoch) {
        epochs.push(acknowledged.epoch);
    }
    let known = known_heads(store, device, &epochs, acknowledged).await?;
    let mut verdict =
        ChainVerdict { device, records: 0, epochs: epochs.len() as u64, erased: 0, findings: Vec::new() };
    for epoch in epochs {
        let mut walk = ChainWalk::new(device, epoch, known.get(&epoch).map_or(&[], Vec::as_slice));
        let mut seq = 0;
        loop {
            let lines = store.chain_lines(device, epoch, seq, PAGE).await?;
            let Some((last, _)) = lines.last() else { break };
            seq = *last;
            for (_, line) in &lines {
                walk.push(line);
            }
        }
        let report = walk.finish();
        verdict.records += report.records;
        verdict.erased += report.erased;
        verdict.findings.extend(report.findings);
    }
    Ok(verdict)
}

/// The heads that are known of each epoch: what was acknowledged, and what later epochs say of earlier ones.
async fn known_heads(
    store: &Store,
    device: DeviceId,
    epochs: &[u64],
    acknowledged: Head,
) -> Result<BTreeMap<u64, Vec<Known>>, StoreFault> {
    let mut known: BTreeMap<u64, Vec<Known>> = BTreeMap::new();
    let receipt = Known { head: acknowledged, from: "what was acknowledged".to_owned() };
    known.entry(acknowledged.epoch).or_default().push(receipt);
    for epoch in epochs {
        let first = store.chain_lines(device, *epoch, 0, 1).await?;
        let record = first.first().and_then(|(_, line)| AuditRecord::parse(line).ok());
        if let Some(RecordBody::Epoch(body)) = record.as_ref().map(AuditRecord::body)
            && let Some(previous) = body.previous
            && epochs.contains(&previous.epoch)
        {
            let from = format!("the beginning of epoch {epoch}");
            known.entry(previous.epoch).or_default().push(Known { head: previous, from });
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use org_protocol::{HeartbeatRecord, PreparedBody};

    use super::*;
    use crate::store::tests::store;

    async fn stored() -> (tempfile::TempDir, Store, DeviceId) {
        let (dir, store) = store().await;
        let device = DeviceId::new();
        let mut head = Head::before(1);
        let body = PreparedBody::heartbeat(&HeartbeatRecord { open_calls: 0 }).expect("JSON");
        let now = Timestamp::from_seconds(1_800_000_000);
        let records: Vec<AuditRecord> = std::iter::repeat_with(|| {
            let mut line = String::new();
            head = AuditRecord::seal_into(&mut line, device, &head, now, 1, &body).expect("seals");
            AuditRecord::parse(line.trim_end()).expect("reads")
        })
        .take(5)
        .collect();
        store.append_records(device, &records, now).await.expect("stores");
        (dir, store, device)
    }

    async fn findings_after(sql: &'static str) -> Vec<FindingKind> {
        let (_dir, store, _) = stored().await;
        store.tamper(sql).await;
        let verdict = verify(&store).await.expect("verifies");
        verdict.chains.iter().flat_map(|chain| &chain.findings).map(|finding| finding.kind).collect()
    }

    #[tokio::test]
    async fn an_untouched_history_is_good() {
        let (_dir, store, device) = stored().await;
        let verdict = verify(&store).await.expect("verifies");
        assert!(verdict.is_good());
        assert_eq!(
            verdict.chains,
            [ChainVerdict { device, records: 5, epochs: 1, erased: 0, findings: Vec::new() }]
        );
    }

    #[tokio::test]
    async fn whoever_edits_the_database_is_found_out() {
        assert_eq!(
            findings_after("UPDATE records SET line = replace(line, '\"open_calls\":0', '\"open_calls\":9') WHERE seq = 3").await,
            [FindingKind::Edited]
        );
        assert_eq!(findings_after("DELETE FROM records WHERE seq = 3").await, [FindingKind::Removed]);
        assert_eq!(findings_after("DELETE FROM records WHERE seq > 3").await, [FindingKind::Truncated]);
        assert_eq!(findings_after("DELETE FROM records").await, [FindingKind::Truncated]);
        assert!(
            !findings_after("UPDATE records SET seq = CASE seq WHEN 2 THEN 30 WHEN 3 THEN 2 ELSE seq END")
                .await
                .is_empty()
        );
    }
}
