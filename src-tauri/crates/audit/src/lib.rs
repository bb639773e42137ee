//! The durable, chained journal of what was done and refused; its offline check, receipts and SIEM encodings.
//!
//! An effect is preceded by an intent that is on disk: [`Journal::intent`] returns after the sync. Nothing here opens a
//! socket, and no record is ever altered or removed.
#![forbid(unsafe_code)]

mod export;
mod fault;
mod head_file;
mod journal;
mod reader;
mod receipts;
mod segment;
pub mod siem;
mod storage;
mod verify;

pub use export::export;
pub use fault::JournalFault;
pub use journal::{Health, Intent, Journal, JournalConfig, Position, Recovery};
pub use verify::{EpochReport, Report, VerifyFault, verify};
// The records themselves are part of the contract with the control plane.
pub use org_protocol::{
    ApprovalRecord, Argument, ArgumentKind, ArgumentSummary, AuditEvent, AuditRecord, CallContext,
    DenialRecord, Effect, EffectMethod, EffectTarget, EpochReason, EpochRecord, EventRecord, Finding,
    FindingKind, GapRecord, Head, HeartbeatRecord, IntentRecord, Outcome, OutcomeRecord, OutcomeStatus,
    PolicyReference, Receipt, RecordBody, RecordedUri, SignedReceipt, verify_receipt,
};

#[cfg(test)]
mod tests;
