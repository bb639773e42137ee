//! The secrets of shared accounts.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use control::admin::{Answer, Ask, CredentialAccess, PersonAccess, Rotated, Secret};
use control::{LiveLease, StoredCredential};
use model::CredentialId;
use serde_json::json;

use super::ask::{asked, done, lines_or, unexpected};
use super::author::read_secret;
use super::remote::Socket;
use super::source::SourceArgs;
use super::{Failure, said};

#[derive(Debug, Subcommand)]
pub(super) enum CredentialCommand {
    /// Store a secret, read from standard input or a file; it is never shown. With --source it says where the secret comes from,
    /// and what is read opens that. One that is in use is better rotated.
    Put(Box<PutArgs>),
    /// Test a new secret with every connector that uses the credential, and have it take the earlier one's place. Calls that are
    /// under way finish on that, and programs that hold a lease are started anew. Change the secret where it belongs so that both
    /// work for two minutes, or right before.
    Rotate(Box<RotateArgs>),
    /// List credentials, without their secrets.
    List(Socket),
    /// Say who may use a credential now, of the people who had a session, by the policy and the claims of their last one; and who
    /// holds a lease of it. `lease revoke` ends one, `halt credential` all of them.
    Show {
        /// The credential.
        id: CredentialId,
        #[command(flatten)]
        socket: Socket,
    },
    /// Remove a secret; connectors that hold it are ended.
    Remove {
        /// The credential.
        id: CredentialId,
        #[command(flatten)]
        socket: Socket,
    },
}

#[derive(Debug, Args)]
pub(super) struct PutArgs {
    /// The credential.
    id: CredentialId,
    /// A file with the secret, or with what opens its source; standard input if not given.
    #[arg(long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    socket: Socket,
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The credential.
    id: CredentialId,
    /// A file with the new secret, or with what opens its source; standard input if not given.
    #[arg(long)]
    file: Option<PathBuf>,
    /// The source is as before where none is given.
    #[command(flatten)]
    source: SourceArgs,
    /// Do not test it: where the connector cannot be reached, or does not run on the server.
    #[arg(long)]
    untested: bool,
    #[command(flatten)]
    socket: Socket,
}

pub(super) async fn run(command: CredentialCommand, json: bool) -> Result<(), Failure> {
    match command {
        CredentialCommand::Put(args) => put(*args, json).await,
        CredentialCommand::Rotate(args) => rotate(*args, json).await,
        CredentialCommand::List(socket) => list(&socket, json).await,
        CredentialCommand::Show { id, socket } => show(id, &socket, json).await,
        CredentialCommand::Remove { id, socket } => remove(id, &socket, json).await,
    }
}

async fn put(args: PutArgs, json: bool) -> Result<(), Failure> {
    let PutArgs { id, file, source, socket } = args;
    let source = source.spec()?;
    let secret = Secret(read_secret(file.as_deref().unwrap_or(Path::new("-")))?);
    let Answer::Stored(stored) = asked(&socket, &Ask::PutCredential { id, secret, source }).await? else {
        return Err(unexpected());
    };
    said(json, &stored, || format!("Stored version {} of {}.", stored.version, stored.id));
    Ok(())
}

async fn rotate(args: RotateArgs, json: bool) -> Result<(), Failure> {
    let RotateArgs { id, file, source, untested, socket } = args;
    let source = source.spec()?;
    let secret = Secret(read_secret(file.as_deref().unwrap_or(Path::new("-")))?);
    let question = Ask::RotateCredential { id, secret, source, untested };
    let Answer::Rotated(rotated) = asked(&socket, &question).await? else { return Err(unexpected()) };
    said(json, &rotated, || {
        let Rotated { stored, tested, draining, leases } = &rotated;
        let tested: Vec<String> = tested.iter().map(ToString::to_string).collect();
        let tested = if tested.is_empty() {
            "untested".to_owned()
        } else {
            format!("works with {}", tested.join(", "))
        };
        format!(
            "Version {} of {} is in use ({tested}). Sessions that finish on the one before: {draining}; devices that were told: {leases}.",
            stored.version, stored.id
        )
    });
    Ok(())
}

async fn list(socket: &Socket, json: bool) -> Result<(), Failure> {
    let Answer::Credentials { credentials } = asked(socket, &Ask::ListCredentials).await? else {
        return Err(unexpected());
    };
    said(json, &credentials, || lines_or(credentials.iter().map(line).collect(), "No credential is stored."));
    Ok(())
}

fn line(one: &StoredCredential) -> String {
    let source = one.source.as_ref().map(|source| format!("  from {source}")).unwrap_or_default();
    let exposed = one.exposed_at.map(|at| format!("  exposed {at}: rotate")).unwrap_or_default();
    format!(
        "{:<32} version {:<4} changed {}{source}{exposed}",
        one.id.to_string(),
        one.version,
        one.changed_at
    )
}

async fn show(id: CredentialId, socket: &Socket, json: bool) -> Result<(), Failure> {
    let Answer::Access(access) = asked(socket, &Ask::ShowCredential { id }).await? else {
        return Err(unexpected());
    };
    said(json, &access, || {
        let CredentialAccess { stored, connectors, people, leases } = &*access;
        let stored = stored.as_ref().map_or_else(|| "No secret is stored.".to_owned(), line);
        let connectors: Vec<String> = connectors.iter().map(ToString::to_string).collect();
        let person = |one: &PersonAccess| {
            format!(
                "  {:<28} {} through {}  as of {}",
                one.subject.label(),
                one.connector,
                one.server,
                one.claims_of
            )
        };
        let held = |one: &LiveLease| {
            format!("  {:<28} {}  on {}  until {}", one.subject.label(), one.id, one.device, one.expires)
        };
        let list = |title: &str, lines: Vec<String>, none: &str| {
            format!("{title}\n{}", lines_or(lines, &format!("  {none}")))
        };
        [
            stored,
            format!("Connectors: {}", lines_or(connectors, "none")),
            list("May use it:", people.iter().map(person).collect(), "nobody who had a session"),
            list("Hold it:", leases.iter().map(held).collect(), "nobody"),
        ]
        .join("\n")
    });
    Ok(())
}

async fn remove(id: CredentialId, socket: &Socket, json: bool) -> Result<(), Failure> {
    done(&asked(socket, &Ask::RemoveCredential { id: id.clone() }).await?)?;
    said(json, &json!({"removed": id}), || format!("Removed {id}."));
    Ok(())
}
