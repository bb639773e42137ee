//! PyPI `schemathesis`: reads a description of an API and sends what fits it, and what does not, to every endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use url::Url;

use crate::place::{script, tools};
use crate::{PeerFault, Spec};

/// Somebody who proves who they are.
#[derive(Clone, Serialize)]
pub struct Caller {
    /// The private key: PKCS#8, in PEM.
    pub key: String,
    /// The token that is bound to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What is known of the API beyond its description.
#[derive(Clone, Default, Serialize)]
pub struct Insider {
    /// Who asks, by the name of a security scheme.
    pub callers: BTreeMap<&'static str, Caller>,
    /// Good values by the path: objects `path`, `headers` and `body`. A third of the requests has some of them, a third all.
    pub good: BTreeMap<&'static str, serde_json::Value>,
    /// Paths that are not asked.
    pub left_out: &'static [&'static str],
}

/// What was sent and answered.
#[derive(Debug)]
pub struct Nonsense {
    /// What the program says.
    pub said: String,
    /// How often it got which answer, by `METHOD path status`.
    pub answers: BTreeMap<String, u64>,
}

impl Nonsense {
    /// How often this operation was answered with a status that begins so: `2` means 200 and its like.
    pub fn answered(&self, operation: &str, status: &str) -> u64 {
        let counted = self.answers.iter().filter(|(answer, _)| {
            answer
                .strip_prefix(operation)
                .and_then(|rest| rest.strip_prefix(' '))
                .is_some_and(|it| it.starts_with(status))
        });
        counted.map(|(_, count)| count).sum()
    }
}

/// Asks every endpoint that the OpenAPI description at `description` names, from `seed`, with up to `examples` generated requests
/// each beside those for its limits. Where there is an insider, who proves who they are, what ends a session is not asked. It fails
/// where any answer says that the server failed (5xx).
///
/// # Errors
/// With what it says, where it finds something, or cannot run.
pub async fn send_nonsense(
    description: &Url,
    seed: u64,
    examples: u32,
    insider: Option<&Insider>,
) -> Result<Nonsense, PeerFault> {
    let program = tools().join("fuzzer/bin/st");
    if !program.is_file() {
        return Err(PeerFault::Missing("schemathesis".to_owned()));
    }
    let folder = tempfile::tempdir()?;
    let counts = folder.path().join("counts.json");
    let mut process = Spec::new("schemathesis", program)
        .args(["run", description.as_str(), "--checks", "not_a_server_error", "--phases", "coverage,fuzzing"])
        .args(["--max-examples", &examples.to_string(), "--seed", &seed.to_string()])
        .args(["--continue-on-failure", "--no-color", "--warnings", "off"])
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", script("fuzzer"))
        .env("HOME", folder.path())
        .env("FUZZER_COUNTS", &counts)
        .folder(folder.path());
    if let Some(insider) = insider {
        let file = folder.path().join("callers.json");
        let text = serde_json::to_vec(insider)
            .map_err(|fault| PeerFault::answer("schemathesis", fault.to_string()))?;
        std::fs::write(&file, text)?;
        process = process.env("FUZZER_CALLERS", file).args(["--exclude-method", "DELETE"]);
        process = process.args(insider.left_out.iter().flat_map(|path| ["--exclude-path", *path]));
    }
    let mut process = process.start()?;
    let status = process.wait(Duration::from_secs(300)).await?;
    let said = process.log();
    if !status.success() {
        return Err(PeerFault::answer("schemathesis", said));
    }
    let answers = serde_json::from_slice(&std::fs::read(counts)?);
    let answers = answers.map_err(|fault| PeerFault::answer("schemathesis", fault.to_string()))?;
    Ok(Nonsense { said, answers })
}
