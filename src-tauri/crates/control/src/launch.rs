//! How the control plane starts a connector's program: without a shell, in an environment of its own making.

use std::collections::BTreeMap;

use org_protocol::{CREDENTIAL_PLACEHOLDER, ConnectorSpec};
use secrecy::{ExposeSecret as _, SecretString};
use upstream::Program;

/// What of the control plane's own environment a connector's program gets. Never its secrets.
const PASSED_ON: [&str; 5] = ["HOME", "LANG", "LC_ALL", "PATH", "TMPDIR"];

/// The program of a stdio connector, with `secret` put in where its environment has the placeholder. `None` where the
/// connector is no program.
pub(crate) fn program(spec: &ConnectorSpec, secret: Option<&SecretString>) -> Option<Program> {
    let (program, arguments) = spec.command.split_first()?;
    let passed_on = PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let mut environment: BTreeMap<String, String> = passed_on.collect();
    for (name, value) in &spec.environment {
        let value = match secret {
            Some(secret) => value.replace(CREDENTIAL_PLACEHOLDER, secret.expose_secret()),
            None => value.clone(),
        };
        environment.insert(name.clone(), value);
    }
    Some(Program { program: program.clone(), arguments: arguments.to_vec(), environment, directory: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ConnectorSpec {
        toml::from_str(
            "title = \"W\"\ncommand = [\"dbhub\", \"--stdio\"]\nenvironment = { DSN = \"x=${credential};\" }",
        )
        .expect("a connector")
    }

    #[test]
    fn the_secret_replaces_the_placeholder_and_nothing_else_is_passed_on() {
        let started = program(&spec(), Some(&SecretString::from("s3cret"))).expect("a program");
        assert_eq!(started.program, "dbhub");
        assert_eq!(started.arguments, ["--stdio"]);
        assert_eq!(started.environment["DSN"], "x=s3cret;");
        let unexpected: Vec<_> = started
            .environment
            .keys()
            .filter(|name| *name != "DSN" && !PASSED_ON.contains(&name.as_str()))
            .collect();
        assert!(unexpected.is_empty(), "{unexpected:?}");
    }
}
