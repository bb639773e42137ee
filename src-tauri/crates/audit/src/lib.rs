//! Records, redaction, the durable chained journal, receipts, SIEM encodings; no network.
#![forbid(unsafe_code)]
