//! Diagnostics, as a window shows them before they are sent.

use model::Digest;

use super::millis;
use super::shapes::{Count, DiagnosticsEntryView, DiagnosticsView};
use crate::app::Diagnostics;

/// Makes the view of what was collected, packed into an archive of so many bytes.
pub(crate) fn diagnostics(diagnostics: &Diagnostics, sha256: &Digest, bytes: usize) -> DiagnosticsView {
    let entry = |entry: &crate::app::Entry| DiagnosticsEntryView {
        name: entry.name.to_owned(),
        about: entry.about.to_owned(),
        bytes: count(entry.text.len()),
        text: model::visible(&entry.text),
    };
    DiagnosticsView {
        sha256: sha256.to_string(),
        bytes: count(bytes),
        collected: millis(diagnostics.at()),
        entries: diagnostics.entries().iter().map(entry).collect(),
    }
}

fn count(bytes: usize) -> Count {
    Count(u64::try_from(bytes).unwrap_or(u64::MAX))
}
