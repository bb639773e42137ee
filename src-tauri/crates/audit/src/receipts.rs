//! The receipts that the organisation gave: how far the journal has been taken over. The last one is the upload's cursor.

use std::path::{Path, PathBuf};

use model::{DeviceId, Timestamp};
use org_protocol::{Head, Receipt, SignedReceipt};
use serde::{Deserialize, Serialize};

use crate::fault::JournalFault;
use crate::small_file;

const RECEIPTS_FORMAT: u32 = 1;

/// How many days a receipt may be waited for until what it covers is removed, and one more.
const LONGEST_KEPT: i64 = 91;

/// The day of a receipt, by the organisation's clock.
fn day(receipt: &Receipt) -> i64 {
    receipt.stored_at.seconds().div_euclid(24 * 60 * 60)
}

/// The last receipt of each epoch and the last of each day before, with their signatures, as evidence: what was signed for some
/// days ago may be removed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Receipts {
    kept: Vec<(Receipt, SignedReceipt)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    receipts: Vec<SignedReceipt>,
}

impl Receipts {
    fn path(dir: &Path) -> PathBuf {
        dir.join("receipts.json")
    }

    /// Reads the receipts of a journal directory. Signatures are not checked anew: whoever can change this file can
    /// delete it as well, and then everything is sent again.
    pub(crate) fn read(dir: &Path) -> Result<Self, String> {
        let written: Option<Written> = small_file::read(&Self::path(dir), RECEIPTS_FORMAT)?;
        let receipts = written.map(|written| written.receipts).unwrap_or_default();
        let read =
            |signed: SignedReceipt| Ok((signed.unverified().map_err(|fault| fault.to_string())?, signed));
        Ok(Self { kept: receipts.into_iter().map(read).collect::<Result<_, String>>()? })
    }

    /// Reads them, and moves a file that cannot be read out of the way.
    pub(crate) fn read_or_set_aside(dir: &Path) -> Result<(Self, Option<PathBuf>), JournalFault> {
        match Self::read(dir) {
            Ok(receipts) => Ok((receipts, None)),
            Err(_) => {
                let path = Self::path(dir);
                let aside = os::set_aside(&path).map_err(|fault| JournalFault::storage(path, fault))?;
                Ok((Self::default(), Some(aside)))
            }
        }
    }

    /// The last receipt for records of this device and organisation.
    pub(crate) fn last(&self, device: DeviceId, org: &str) -> Option<&Receipt> {
        self.all().filter(|r| r.device == device && r.org == org).max_by_key(|r| (r.epoch, r.seq))
    }

    /// The newest receipt for the records of an epoch up to `end` of which `is_old` says that it was given long enough ago.
    pub(crate) fn covering(
        &self,
        device: DeviceId,
        org: &str,
        end: Head,
        is_old: impl Fn(Timestamp) -> bool,
    ) -> Option<&SignedReceipt> {
        let covers = |receipt: &Receipt| {
            (receipt.device, receipt.org.as_str(), receipt.epoch) == (device, org, end.epoch)
                && receipt.seq >= end.seq
                && is_old(receipt.stored_at)
        };
        let covering = self.kept.iter().filter(|(receipt, _)| covers(receipt));
        covering.max_by_key(|(receipt, _)| receipt.seq).map(|(_, signed)| signed)
    }

    /// Every receipt kept.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Receipt> {
        self.kept.iter().map(|(receipt, _)| receipt)
    }

    /// Keeps one more, durably; an earlier one of the same epoch and day is given up. Blocks for the disk.
    pub(crate) fn keep(
        &mut self,
        dir: &Path,
        receipt: Receipt,
        signed: SignedReceipt,
    ) -> Result<(), JournalFault> {
        let same = |kept: &Receipt| {
            (kept.device, kept.epoch, &kept.org) == (receipt.device, receipt.epoch, &receipt.org)
        };
        if self.all().any(|kept| same(kept) && kept.seq >= receipt.seq) {
            return Ok(());
        }
        let (others, mut same): (Vec<_>, Vec<_>) =
            self.kept.iter().cloned().partition(|(kept, _)| !same(kept));
        let today = day(&receipt);
        same.retain(|(kept, _)| day(kept) != today && day(kept) + LONGEST_KEPT > today);
        let kept: Vec<_> = others.into_iter().chain(same).chain([(receipt, signed)]).collect();
        let written = Written {
            format: RECEIPTS_FORMAT,
            receipts: kept.iter().map(|(_, signed)| signed.clone()).collect(),
        };
        let text = serde_json::to_vec(&written).map_err(|fault| JournalFault::Encoding(fault.to_string()))?;
        let path = Self::path(dir);
        os::write_durable(&path, &text).map_err(|fault| JournalFault::storage(path, fault))?;
        self.kept = kept;
        Ok(())
    }
}
