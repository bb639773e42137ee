//! The catalogue: parsed once, asked often.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentError, FluentResource, FluentValue};

/// The file that the windows have as well.
pub(crate) const SOURCE: &str = include_str!("../../../../ui/words/en.ftl");

static CATALOGUE: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| {
    let mut bundle = FluentBundle::new_concurrent(vec!["en".parse().unwrap_or_default()]);
    // As in the windows: names lose what turns the direction of reading before they come here.
    bundle.set_use_isolating(false);
    // What can be read of it is better than nothing; a test reads all of it.
    let resource = FluentResource::try_new(SOURCE.to_owned()).unwrap_or_else(|(resource, _)| resource);
    drop(bundle.add_resource(resource));
    bundle
});

/// What a message says. A fault of the catalogue costs the words that it concerns, and no more.
pub(crate) fn say(message: &str, given: &[(&str, FluentValue<'_>)]) -> String {
    said(message, given).unwrap_or_else(|fault| {
        tracing::error!(message, faults = ?fault.faults, "a message of the catalogue cannot be said");
        fault.text
    })
}

/// A message that cannot be said as it was meant.
#[derive(Debug)]
pub(crate) struct Unsaid {
    /// What can be said; where there is no such message, its id.
    text: String,
    /// What is wrong; nothing where there is no such message.
    faults: Vec<FluentError>,
}

/// What a message says, where nothing is wrong with it.
pub(crate) fn said(message: &str, given: &[(&str, FluentValue<'_>)]) -> Result<String, Unsaid> {
    let id = message.replace('_', "-");
    let Some(pattern) = CATALOGUE.get_message(&id).and_then(|message| message.value()) else {
        return Err(Unsaid { text: id, faults: Vec::new() });
    };
    let given: FluentArgs<'_> = given.iter().map(|(name, value)| (*name, value.clone())).collect();
    let mut faults = Vec::new();
    let text = CATALOGUE.format_pattern(pattern, Some(&given), &mut faults).into_owned();
    if faults.is_empty() { Ok(text) } else { Err(Unsaid { text, faults }) }
}
