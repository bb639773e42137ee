//! How the control plane starts a connector's program: without a shell, in an environment of its own making, and as a user who may
//! do nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use org_protocol::{CREDENTIAL_PLACEHOLDER, ConnectorSpec};
use os::Account;
use secrecy::{ExposeSecret as _, SecretString};
use upstream::Program;

/// What of the control plane's own environment a connector's program gets. Never its secrets.
const PASSED_ON: [&str; 5] = ["HOME", "LANG", "LC_ALL", "PATH", "TMPDIR"];

/// As whom programs are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunAs {
    /// As the user of this process, who is not root.
    Ourselves,
    /// As a user that was named.
    Named(Account),
    /// Not at all: this is root, and nobody was named.
    Nobody,
}

/// Why programs cannot be run as the user that was named.
#[derive(Debug, thiserror::Error)]
pub enum CommandsUserFault {
    /// There is no such user.
    #[error(
        "there is no user {0} on this computer: make one for connectors' programs, such as with `useradd --system {0}`"
    )]
    Unknown(String),
    /// Only root can run programs as others.
    #[error("only root can run programs as {0}: start the server as root, or as {0} itself")]
    NotRoot(String),
}

impl RunAs {
    /// As the user of this name; as whom this process runs where none is given, unless that is root.
    ///
    /// # Errors
    /// [`CommandsUserFault`].
    pub(crate) fn named(name: Option<&str>) -> Result<Self, CommandsUserFault> {
        let root = os::current_user().0 == 0;
        let Some(name) = name else { return Ok(if root { Self::Nobody } else { Self::Ourselves }) };
        let account = Account::named(name).ok_or_else(|| CommandsUserFault::Unknown(name.to_owned()))?;
        if account.is_current() || root {
            Ok(Self::Named(account))
        } else {
            Err(CommandsUserFault::NotRoot(name.to_owned()))
        }
    }
}

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
    let (program, arguments) = (program.clone(), arguments.to_vec());
    Some(Program { program, arguments, environment, directory: None, account: None })
}

/// The same as the server runs it. The fault is for its log.
pub(crate) fn program_as(
    run_as: &RunAs,
    spec: &ConnectorSpec,
    secret: &SecretString,
) -> Result<Option<Program>, &'static str> {
    let Some(program) = program(spec, Some(secret)) else { return Ok(None) };
    match run_as {
        RunAs::Ourselves => Ok(Some(program)),
        RunAs::Nobody => Err(
            "this server runs as root and runs no programs as root: name a user for them with --commands-user",
        ),
        RunAs::Named(account) if account.is_current() => Ok(Some(program)),
        RunAs::Named(account) => {
            let mut environment = program.environment;
            // Another's home is closed to them.
            if !spec.environment.contains_key("HOME") {
                environment.insert("HOME".to_owned(), account.home.display().to_string());
            }
            let (directory, account) = (Some(PathBuf::from("/")), Some(account.clone()));
            Ok(Some(Program { environment, directory, account, ..program }))
        }
    }
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

    #[test]
    fn root_runs_no_program_unless_a_user_is_named() {
        let secret = SecretString::from("s3cret");
        let refused = program_as(&RunAs::Nobody, &spec(), &secret).expect_err("refused");
        assert!(refused.contains("--commands-user") && !refused.contains("s3cret"), "{refused}");
        let nobody = Account::named("nobody").expect("every Linux has it");
        let started =
            program_as(&RunAs::Named(nobody.clone()), &spec(), &secret).expect("runs").expect("a program");
        assert_eq!(started.account.as_ref(), Some(&nobody));
        assert_eq!(started.environment["HOME"], nobody.home.display().to_string());
        let unknown = RunAs::named(Some("nobody-of-this-name"));
        assert!(matches!(unknown, Err(CommandsUserFault::Unknown(_))));
        let own = os::current_user();
        if own.0 == 0 {
            assert_eq!(RunAs::named(None).expect("nobody was named"), RunAs::Nobody);
            assert_eq!(RunAs::named(Some("nobody")).expect("there"), RunAs::Named(nobody));
        } else {
            assert_eq!(RunAs::named(None).expect("nobody was named"), RunAs::Ourselves);
            assert!(matches!(RunAs::named(Some("nobody")), Err(CommandsUserFault::NotRoot(_))));
        }
    }
}
