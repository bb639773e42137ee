//! Diagnostics that IT asks for, as a window shows them.

use serde::Serialize;
use specta::Type;

use super::{Count, Millis};

/// What is asked for, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct AskedDiagnosticsView {
    /// Who asks, as the organisation calls them; none where it does not say.
    pub asked_by: Option<String>,
    /// Why, in their words.
    pub reason: String,
    /// Since when.
    pub since: Millis,
}

/// Everything that would be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct DiagnosticsView {
    /// The SHA-256 of the archive, by which it is sent.
    pub sha256: String,
    /// How long the archive is, in bytes.
    pub bytes: Count,
    /// When it was collected.
    pub collected: Millis,
    /// What is in it.
    pub entries: Vec<DiagnosticsEntryView>,
}

/// One text of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Type)]
pub struct DiagnosticsEntryView {
    /// Its name in the archive.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// How long it is, in bytes.
    pub bytes: Count,
    /// All of it; what nobody would see is written out.
    pub text: String,
}
