//! Errors as text.

use std::error::Error;

/// An error with its causes, outermost first: many say by themselves only that something failed. For logs, and for faults
/// that keep the text.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
