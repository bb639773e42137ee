//! The command line: what can be said, and how it is answered.

mod ask;
mod audit;
mod author;
mod credential;
mod database;
mod diagnostics;
mod enrolment;
mod halt;
mod keeping;
mod remote;
mod serve;
mod sinks;
mod source;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use model::{ConnectorId, DeviceId, Digest, LeaseId};
use remote::{SignInArgs, SignOutArgs, Socket};
use serde::Serialize;
use url::Url;

/// The control plane of a Deskgate organisation, and the tools with which IT writes and publishes its policy.
#[derive(Debug, Parser)]
#[command(name = "deskgate-control", version)]
pub(crate) struct Cli {
    /// Answer in JSON where a script would read it.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented example organisation that works.
    Init {
        /// The folder to write; it must be empty or not exist.
        folder: PathBuf,
        /// The organisation's id: small letters, digits and hyphens. It stands in every signed document and never changes.
        #[arg(long, default_value = "example")]
        id: String,
    },
    /// Write JSON Schemas of the authored files, by which an editor completes them and marks mistakes. `init` writes them too; write them
    /// again when this program was updated.
    Schema {
        /// The folder to write to: `schemas` in the authored folder, where the files' first lines look for them.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make and sign root documents.
    #[command(subcommand)]
    Root(RootCommand),
    /// Check, sign and publish policy.
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Work with connectors.
    #[command(subcommand)]
    Connector(ConnectorCommand),
    /// Run the server.
    Serve(Box<ServeArgs>),
    /// Save everything that the control plane knows to a file, while it serves. Sealed secrets stay sealed: keep the master key too, elsewhere.
    Backup(keeping::BackupArgs),
    /// Begin again from a backup: into an empty database, with what was revoked since taken away once more.
    Restore(keeping::RestoreArgs),
    /// Store, rotate, list and remove the secrets of shared accounts.
    #[command(subcommand)]
    Credential(credential::CredentialCommand),
    /// List and revoke devices.
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Make, list and revoke what shows that a machine is yours: set it there as EnrolmentToken.
    #[command(subcommand)]
    EnrolmentToken(enrolment::EnrolmentTokenCommand),
    /// Sign people out.
    #[command(subcommand)]
    Person(PersonCommand),
    /// Stop a person, device, assistant, connector, tool or credential within seconds, until it is let go on.
    #[command(subcommand)]
    Halt(halt::HaltCommand),
    /// See who holds shared credentials now, and end that.
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// Ask a device for diagnostics, and save what its person sends: they see it first, and nothing goes without their word.
    #[command(subcommand)]
    Diagnostics(diagnostics::DiagnosticsCommand),
    /// Look up and verify audit records.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Sign in to a server that runs elsewhere, at the organisation's identity provider, as an administrator.
    SignIn(SignInArgs),
    /// Sign out of it.
    SignOut(SignOutArgs),
    /// Say what is published.
    Status(Socket),
    /// Write man pages and completions, for packages.
    #[command(hide = true)]
    Pages {
        /// Where to.
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make an Ed25519 key for the root, manifest or receipts role: FILE and FILE.pub.
    New {
        /// Where the private half goes; only its owner may read it.
        file: PathBuf,
    },
    /// Make a master key, which seals shared secrets.
    Master {
        /// Where it goes; only its owner may read it. Keep it apart from the database.
        file: PathBuf,
        #[command(flatten)]
        transit: TransitArgs,
    },
}

/// By what a master key is wrapped.
#[derive(Debug, Args)]
struct TransitArgs {
    /// The key of Vault's or OpenBao's transit engine that makes it and wraps it: the file then opens nothing without the engine.
    #[arg(long, value_name = "KEY", requires = "address")]
    transit: Option<String>,
    /// The server, such as https://vault.example:8200/.
    #[arg(long, requires = "transit")]
    address: Option<Url>,
    /// The namespace there.
    #[arg(long, requires = "transit")]
    namespace: Option<String>,
    /// Where the engine is mounted there.
    #[arg(long, default_value = "transit", requires = "transit")]
    mount: String,
    /// The file of the token for it; else it is taken from VAULT_TOKEN.
    #[arg(long, value_name = "FILE", requires = "transit")]
    vault_token: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum RootCommand {
    /// Make a root document, or the next version of one, and sign it with the keys at hand.
    New(Box<RootArgs>),
    /// Add a key holder's signature.
    Sign {
        /// The root document.
        file: PathBuf,
        /// The private key.
        #[arg(long)]
        sign_with: PathBuf,
    },
    /// Say what a root document says, who has signed it and what to pin.
    Show {
        /// The root document.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct RootArgs {
    /// The organisation's id.
    #[arg(long)]
    org: String,
    /// A public root key; give each.
    #[arg(long = "root-key", required = true)]
    root_keys: Vec<PathBuf>,
    /// How many root keys must sign.
    #[arg(long, default_value_t = 1)]
    threshold: usize,
    /// A public manifest key.
    #[arg(long = "manifest-key", required = true)]
    manifest_keys: Vec<PathBuf>,
    /// A public receipts key.
    #[arg(long = "receipts-key", required = true)]
    receipt_keys: Vec<PathBuf>,
    /// For how many days the document vouches.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// The root document before this one; the new one is its next version.
    #[arg(long)]
    previous: Option<PathBuf>,
    /// Begin a new epoch of manifests: after a manifest key was stolen.
    #[arg(long, requires = "previous")]
    new_epoch: bool,
    /// A private key to sign with; give each that is at hand.
    #[arg(long)]
    sign_with: Vec<PathBuf>,
    /// Where to write the document.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Subcommand)]
enum BundleCommand {
    /// Find every mistake in the authored folder.
    Check {
        /// The authored folder.
        folder: PathBuf,
    },
    /// Check the folder and sign it: root documents, manifest and bundle, as desktops fetch them.
    Sign {
        /// The authored folder.
        folder: PathBuf,
        /// A root document; give all versions from the first, in order.
        #[arg(long = "root", required = true)]
        roots: Vec<PathBuf>,
        /// The private manifest key.
        #[arg(long)]
        key: PathBuf,
        /// Where to write; what was signed there before is continued.
        #[arg(long)]
        out: PathBuf,
        /// For how many days desktops may rely on it.
        #[arg(long, default_value_t = 7)]
        days: u32,
        /// Only so many percent of the desktops take it; the others stay on what was signed before. Which ones follows from their ids
        /// alone. Say a higher number later to go on, and 100 to end the rollout; `bundle rollback` takes everybody back.
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
        rollout: Option<u32>,
        /// Revoke a bundle that was signed before (sha256:…, as `status` and audit records name it), in every format: a desktop
        /// that has it permits nothing until it has the new one.
        #[arg(long, value_name = "DIGEST")]
        revoke: Vec<Digest>,
    },
    /// Sign the content of an earlier bundle again, as a new version, and say what comes back by it. Publish it afterwards.
    Rollback(Box<RollbackArgs>),
    /// Say what differs between the authored folder and what is live: connectors, virtual servers, accounts, policies, pinned
    /// tools, and settings key by key; and what administrators have stopped that the folder does not. Exits with 0 where nothing differs, 1 where something does, 2 where it cannot be told.
    Diff {
        /// The authored folder.
        folder: PathBuf,
        /// Compare with this folder, which `bundle sign` wrote, and not with the server that runs on this machine.
        #[arg(long)]
        against: Option<PathBuf>,
        #[command(flatten)]
        socket: Socket,
    },
    /// Publish what `bundle sign` wrote: on the server that runs on this machine, or to a folder.
    Publish {
        /// The folder that `bundle sign` wrote.
        folder: PathBuf,
        /// Publish to this folder, from which a static HTTPS host serves, and not on the server. Older or foreign documents are
        /// not put over newer ones; desktops that fetch meanwhile see the old publication or the new one.
        #[arg(long)]
        to: Option<PathBuf>,
        /// Publish also where desktops that were seen in the last 90 days would have no bundle that they can read. A folder cannot
        /// tell who reads it, so this is about the server only.
        #[arg(long, conflicts_with = "to")]
        leave_behind: bool,
        #[command(flatten)]
        socket: Socket,
    },
}

#[derive(Debug, Args)]
struct RollbackArgs {
    /// The folder that `bundle sign` wrote; the new version is written there.
    folder: PathBuf,
    /// What comes back: the digest of a bundle that was signed into the folder (sha256:…, as `status` and audit records name it),
    /// or its file there.
    #[arg(long)]
    to: String,
    /// A root document; give all versions from the first, in order.
    #[arg(long = "root", required = true)]
    roots: Vec<PathBuf>,
    /// The private manifest key.
    #[arg(long)]
    key: PathBuf,
    /// For how many days desktops may rely on it.
    #[arg(long, default_value_t = 7)]
    days: u32,
}

#[derive(Debug, Subcommand)]
enum ConnectorCommand {
    /// Ask a connector for its tools and write them down for review.
    Pin {
        /// The authored folder.
        folder: PathBuf,
        /// The connector.
        connector: ConnectorId,
        /// A file with what the connector wants to see: the secret of a brokered one, or an access token of your own
        /// for one where each person signs in; `-` for standard input.
        #[arg(long)]
        credential_file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Where everything is kept.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    database: database::DatabaseArgs,
    /// Where to listen: a loopback address; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// The configuration URL as desktops reach it, if a proxy stands in front.
    #[arg(long)]
    public_url: Option<Url>,
    /// The administrators' socket; admin.sock in the data directory if not given.
    #[arg(long)]
    admin_socket: Option<PathBuf>,
    /// Where what is taken away from somebody is written down for a later `restore`; revocations.jsonl in the data directory if not
    /// given. Best on another disk than the database.
    #[arg(long, value_name = "FILE")]
    revocations: Option<PathBuf>,
    /// The user whom brokered connectors' programs run as: one who owns nothing and may do nothing else. A server that runs as root
    /// runs no programs without it.
    #[arg(long, value_name = "USER")]
    commands_user: Option<String>,
    /// The master key's file; else it is taken from DESKGATE_MASTER_KEY.
    #[arg(long)]
    master_key: Option<PathBuf>,
    /// The file of the token with which a master key is opened that Vault's transit engine wrapped; else it is taken from VAULT_TOKEN.
    #[arg(long, value_name = "FILE")]
    vault_token: Option<PathBuf>,
    /// The private receipts key.
    #[arg(long)]
    receipts_key: PathBuf,
    #[command(flatten)]
    sinks: sinks::SinkArgs,
    /// Where traces are told over OTLP/HTTP, such as http://127.0.0.1:4318/v1/traces; else where OTEL_EXPORTER_OTLP_ENDPOINT and the
    /// other variables of the standard say, and nowhere without them.
    #[arg(long)]
    traces_url: Option<Url>,
    /// For how many days diagnostics are kept that devices sent.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    keep_diagnostics: u32,
    /// Where Prometheus finds metrics (/metrics) and health (/healthz, /readyz): an address of its own, which names nobody but is not for
    /// everybody. Nowhere if not given.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// List devices.
    List(Socket),
    /// Let a device go on that was suspended because two computers held its key: whichever opens a session first is the one
    /// from then on. Find out before which of them is the copy.
    Resume {
        /// The device.
        id: DeviceId,
        #[command(flatten)]
        socket: Socket,
    },
    /// End a device and its sessions.
    Revoke {
        /// The device.
        id: DeviceId,
        #[command(flatten)]
        socket: Socket,
    },
}

#[derive(Debug, Subcommand)]
enum PersonCommand {
    /// End somebody's sign-ins on every device, within seconds. Disable them at the identity provider first: whoever may
    /// sign in there can sign in again.
    SignOut {
        /// Their e-mail address, or their subject at the identity provider.
        person: String,
        #[command(flatten)]
        socket: Socket,
    },
}

#[derive(Debug, Subcommand)]
enum LeaseCommand {
    /// List who holds which credential now, on which device and until when.
    List(Socket),
    /// End a lease within seconds. Its device may ask for another: stop the person, device or credential to keep it from that.
    Revoke {
        /// The lease.
        id: LeaseId,
        #[command(flatten)]
        socket: Socket,
    },
}

/// A failure, in words for whoever typed the command.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    fn new(text: impl std::fmt::Display) -> Self {
        Self { text: text.to_string(), code: 1 }
    }

    /// Where 1 means something else.
    fn trouble(self) -> Self {
        Self { code: 2, ..self }
    }

    /// What the program exits with.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

/// Sets logging up: the server logs to standard error, commands only when `RUST_LOG` says so.
pub(crate) fn log(cli: &Cli) {
    let usual = if matches!(cli.command, Command::Serve(_)) { "info" } else { "off" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).init();
}

/// Does what was said.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let json = cli.json;
    let done = match cli.command {
        Command::Init { folder, id } => author::init(&folder, &id, json),
        Command::Schema { out } => author::schema(&out, json),
        Command::Key(KeyCommand::New { file }) => author::new_key(&file, json),
        Command::Key(KeyCommand::Master { file, transit }) => author::new_master(&file, transit, json).await,
        Command::Root(RootCommand::New(args)) => author::new_root(&args, json),
        Command::Root(RootCommand::Sign { file, sign_with }) => author::sign_root(&file, &sign_with, json),
        Command::Root(RootCommand::Show { file }) => author::show_root(&file, json),
        Command::Bundle(BundleCommand::Check { folder }) => author::check(&folder, json),
        Command::Bundle(BundleCommand::Sign { folder, roots, key, out, days, rollout, revoke }) => {
            author::sign(&author::SignArgs { folder, roots, key, out, days, rollout, revoke }, json)
        }
        Command::Bundle(BundleCommand::Rollback(args)) => author::rollback(&args, json),
        Command::Bundle(BundleCommand::Diff { folder, against, socket }) => {
            let live = match against {
                Some(signed) => author::signed(&signed),
                None => ask::live(&socket).await,
            };
            return live.and_then(|live| author::diff(&folder, &live, json)).map_err(Failure::trouble);
        }
        Command::Bundle(BundleCommand::Publish { folder, to: Some(to), leave_behind: _, socket: _ }) => {
            ask::publish_to(&folder, &to, json)
        }
        Command::Bundle(BundleCommand::Publish { folder, to: None, leave_behind, socket }) => {
            ask::publish(&folder, leave_behind, &socket, json).await
        }
        Command::Connector(ConnectorCommand::Pin { folder, connector, credential_file }) => {
            author::pin(&folder, &connector, credential_file.as_deref(), json).await
        }
        Command::Serve(args) => serve::serve(*args, json).await,
        Command::Backup(args) => keeping::save(args, json).await,
        Command::Restore(args) => keeping::begin_again(args, json).await,
        Command::Credential(command) => credential::run(command, json).await,
        Command::Device(DeviceCommand::List(socket)) => ask::list_devices(&socket, json).await,
        Command::EnrolmentToken(command) => enrolment::run(command, json).await,
        Command::Device(DeviceCommand::Resume { id, socket }) => enrolment::resume(id, &socket, json).await,
        Command::Device(DeviceCommand::Revoke { id, socket }) => ask::revoke_device(id, &socket, json).await,
        Command::Person(PersonCommand::SignOut { person, socket }) => {
            ask::sign_out_person(person, &socket, json).await
        }
        Command::Halt(command) => halt::run(command, json).await,
        Command::Lease(LeaseCommand::List(socket)) => ask::list_leases(&socket, json).await,
        Command::Lease(LeaseCommand::Revoke { id, socket }) => ask::revoke_lease(id, &socket, json).await,
        Command::Diagnostics(command) => diagnostics::run(command, json).await,
        Command::Audit(command) => audit::run(command, json).await,
        Command::SignIn(args) => remote::enter(args, json).await,
        Command::SignOut(args) => remote::leave(&args, json).await,
        Command::Status(socket) => ask::status(&socket, json).await,
        Command::Pages { folder } => pages::write(&Cli::command(), &folder).map_err(Failure::new),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Says something on standard error.
#[expect(clippy::print_stderr, reason = "the command line speaks to a person")]
pub(crate) fn complain(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "the command line speaks to a person")]
fn say(text: &str) {
    println!("{text}");
}

fn say_json(value: &impl Serialize) {
    say(&serde_json::to_string(value).unwrap_or_default());
}

fn said(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) {
    if json {
        say_json(value);
    } else {
        say(&text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_its_page() {
        let folder = tempfile::tempdir().expect("a folder");
        pages::write(&Cli::command(), folder.path()).expect("writes");
        let names = pages::names(&Cli::command());
        for name in ["deskgate-control.1", "deskgate-control-serve.1", "deskgate-control-bundle-sign.1"] {
            assert!(names.iter().any(|it| it == name), "{name} is missing in {names:?}");
        }
        for name in &names {
            let text = std::fs::read_to_string(folder.path().join("man").join(name)).expect("a page");
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}: {text}");
        }
        assert!(!names.iter().any(|name| name == "deskgate-control-pages.1"), "it is hidden");
    }
}
