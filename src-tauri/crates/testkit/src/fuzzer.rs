//! PyPI `schemathesis`: reads a description of an API and sends what fits it, and what does not, to every endpoint.

use std::time::Duration;

use url::Url;

use crate::place::{script, tools};
use crate::{PeerFault, Spec};

/// Asks every endpoint that the OpenAPI description at `description` names, from `seed`, with up to `examples` generated requests
/// each beside those for its limits, and gives what it says. It fails where any answer says that the server failed (5xx).
///
/// # Errors
/// With what it says, where it finds something, or cannot run.
pub async fn send_nonsense(description: &Url, seed: u64, examples: u32) -> Result<String, PeerFault> {
    let program = tools().join("fuzzer/bin/st");
    if !program.is_file() {
        return Err(PeerFault::Missing("schemathesis".to_owned()));
    }
    let folder = tempfile::tempdir()?;
    let mut process = Spec::new("schemathesis", program)
        .args(["run", description.as_str(), "--checks", "not_a_server_error", "--phases", "coverage,fuzzing"])
        .args(["--max-examples", &examples.to_string(), "--seed", &seed.to_string()])
        .args(["--continue-on-failure", "--no-color", "--warnings", "off"])
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", script("fuzzer"))
        .env("HOME", folder.path())
        .folder(folder.path())
        .start()?;
    let status = process.wait(Duration::from_secs(300)).await?;
    let said = process.log();
    if status.success() { Ok(said) } else { Err(PeerFault::answer("schemathesis", said)) }
}
