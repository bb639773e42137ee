//! How far the signature of a checkpoint reaches: back to the beginning of its chain, and over the ends that beginnings name to those before.
//!
//! Nothing else is believed here, and not what was pruned: that is written down under a key that nobody has who asks.

use std::collections::BTreeMap;

use org_protocol::Head;

/// What the signature over `signed` does not cover, in sentences; nothing where it covers all that is not later. `begins` is the end of the
/// chain before, as each chain's first record names it, and none where that record is gone or names none; `pruned` how far chains were removed.
pub(crate) fn uncovered(
    signed: Head,
    begins: &BTreeMap<u64, Option<Head>>,
    pruned: &BTreeMap<u64, Head>,
) -> Vec<String> {
    let Head { epoch, seq, .. } = signed;
    if !begins.contains_key(&epoch) {
        return vec![format!("epoch {epoch}, whose record {seq} is signed, is gone")];
    }
    let mut faults = Vec::new();
    if let Some(end) = pruned.get(&epoch).filter(|end| end.seq > seq) {
        faults.push(format!(
            "what was removed of epoch {epoch} is said to reach to record {}, and record {seq} is signed",
            end.seq
        ));
    }
    let mut next = Some(epoch);
    for (epoch, previous) in begins.iter().rev().filter(|(epoch, _)| **epoch <= signed.epoch) {
        if next.is_some_and(|next| next == *epoch) {
            next = previous.map(|previous| previous.epoch);
        } else {
            faults.push(format!(
                "epoch {epoch} is not covered by the signature: the record that names its end is gone, or there never was one"
            ));
        }
    }
    faults
}
