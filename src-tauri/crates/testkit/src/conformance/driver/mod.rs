//! The client of one scenario: a gateway whose only connector is the suite's server, and an assistant before it, of either
//! era, that does what the scenario asks for.

mod assistant;
mod headers;
mod sign_in;
mod steps;
mod stream;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testkit::{PeerFault, until};
use url::Url;

use crate::client_leg::{is_performed, is_sign_in};
use crate::driver::assistant::Assistant;
use crate::era::Era;
use crate::settings::{Connector, Way, gateway, token};

const SERVER: &str = "conf";

/// The suite starts all clients at once, and each starts a gateway: more than these would only be late together.
const AT_ONCE: usize = 2;
const TURN: Duration = Duration::from_secs(100);

/// Performs the scenario that the environment names.
///
/// # Errors
/// If the gateway does not start or a step fails; with the end of the gateway's log.
pub(crate) async fn perform(era: Era, turns: &Path, url: &Url) -> Result<(), PeerFault> {
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO").unwrap_or_default();
    if !is_performed(&scenario, era) {
        // The list of requirements cannot be run without them; their results are not looked at.
        return Ok(());
    }
    let _turn = turn(turns).await?;
    let context = std::env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let context: Value = serde_json::from_str(&context).unwrap_or(Value::Null);
    if is_sign_in(&scenario) {
        return sign_in::perform(&scenario, &context, url).await;
    }
    let connector = Connector { id: SERVER.to_owned(), way: Way::Url(url.clone()), credential: None };
    let gateway = gateway(&[connector], "").await?;
    let bearer = token(&gateway, SERVER).await?;
    let mut assistant = Assistant::new(gateway.url(SERVER)?, bearer, era);
    let outcome = steps::perform(&scenario, &context, &mut assistant).await;
    outcome.map_err(|fault| PeerFault::answer(scenario, format!("{fault}\n{}", gateway.log())))
}

/// Waits for one of the turns that there are, which lasts until dropped, or until this program ends.
async fn turn(folder: &Path) -> Result<File, PeerFault> {
    std::fs::create_dir_all(folder)?;
    let files: Result<Vec<File>, _> =
        (0..AT_ONCE).map(|number| File::create(folder.join(number.to_string()))).collect();
    let mut files = files?;
    let free = until("a turn", TURN, async || files.iter().position(|file| file.try_lock().is_ok())).await?;
    Ok(files.swap_remove(free))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_are_only_so_many_turns() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(turn(folder.path()).await.expect("a turn"));
        }
        let mut next = Box::pin(turn(folder.path()));
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(taken.pop());
        next.await.expect("the turn that was given back");
    }
}
