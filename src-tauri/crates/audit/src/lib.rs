//! The durable, chained journal of what was done and refused; its offline check, receipts and SIEM encodings.
//!
//! An effect is preceded by an intent that is on disk: [`Journal::intent`] returns after the sync. Nothing here opens a
//! socket, and no record is ever altered. Whole segments are removed when the organisation has signed for them some days ago.
#![forbid(unsafe_code)]

mod checkpoint;
mod collected;
mod coverage;
mod export;
mod fate;
mod fault;
mod head_file;
mod journal;
mod kept;
mod past;
mod pruned;
mod reader;
mod receipts;
mod segment;
pub mod siem;
mod small_file;
mod storage;
mod verify;

pub use export::export;
pub use fate::{Fate, Fates, of_call};
pub use fault::JournalFault;
pub use journal::{
    Erased, Fill, Health, Intent, Journal, JournalConfig, JournalRules, Position, Recovery, Usage,
};
pub use past::{PastCall, PastCalls};
pub use verify::{CheckpointReport, EpochReport, PrunedReport, Report, VerifyFault, verify, verify_signed};
// The records themselves are part of the contract with the control plane.
pub use org_protocol::{
    ApprovalRecord, Argument, ArgumentKind, ArgumentSummary, AuditEvent, AuditRecord, CallContext,
    DenialRecord, Effect, EffectMethod, EffectTarget, EpochReason, EpochRecord, Erasure, EventRecord,
    Finding, FindingKind, GapRecord, Head, HeartbeatRecord, IntentRecord, NoteFault, NoteKey, OnAuditFailure,
    Outcome, OutcomeRecord, OutcomeStatus, PolicyReference, Receipt, RecordBody, RecordedUri, SignedReceipt,
    verify_receipt,
};

#[cfg(test)]
mod tests;
