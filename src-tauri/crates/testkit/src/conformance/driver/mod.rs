//! The client of one scenario: a gateway whose only connector is the suite's server, and an assistant before it that does
//! what the scenario asks for, in the era under test.

mod assistant;
mod headers;
mod steps;
mod stream;

use serde_json::Value;
use testkit::PeerFault;
use url::Url;

use crate::client_leg::is_sign_in;
use crate::driver::assistant::Assistant;
use crate::settings::{Connector, Way, gateway, token};
use crate::suite::REVISIONS;

const SERVER: &str = "conf";

/// Performs the scenario that the environment names.
///
/// # Errors
/// If the gateway does not start or a step fails; with the end of the gateway's log.
pub(crate) async fn perform(url: &Url) -> Result<(), PeerFault> {
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO").unwrap_or_default();
    if is_sign_in(&scenario) {
        // The list of requirements cannot be run without them; their results are not looked at.
        return Ok(());
    }
    let revision = std::env::var("MCP_CONFORMANCE_PROTOCOL_VERSION").unwrap_or_default();
    let context = std::env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let context: Value = serde_json::from_str(&context).unwrap_or(Value::Null);
    let connector = Connector { id: SERVER.to_owned(), way: Way::Url(url.clone()) };
    let gateway = gateway(&[connector]).await?;
    let bearer = token(&gateway, SERVER).await?;
    let modern = REVISIONS.last().is_some_and(|newest| *newest == revision);
    let mut assistant = Assistant::new(gateway.url(SERVER)?, bearer, revision, modern);
    let outcome = steps::perform(&scenario, &context, &mut assistant).await;
    outcome.map_err(|fault| PeerFault::answer(scenario, format!("{fault}\n{}", gateway.log())))
}
