//! What can be said on the command line.

use std::path::PathBuf;

use ::assistants::{ASSISTANTS, Assistant, MANAGED, ManagedFile};
use clap::{Args, Parser, Subcommand, ValueEnum};
use model::{AccountId, ConnectorId, ServerId, Timestamp};

/// A local gateway between AI assistants and company tools.
#[derive(Debug, Parser)]
#[command(name = "deskgate", version, about, propagate_version = true)]
pub(crate) struct Arguments {
    /// The folder of the installation, instead of DESKGATE_HOME or the platform's place for application data.
    #[arg(long, global = true)]
    pub(crate) home: Option<PathBuf>,
    /// Print JSON for scripts.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the gateway without a display.
    Serve {
        /// How long what a connector listed last stays offered while it does not answer; short in tests.
        #[arg(long, value_name = "SECONDS", hide = true)]
        list_grace: Option<u64>,
    },
    /// Connect an assistant that speaks only standard input and output; it starts this itself.
    Bridge {
        /// The virtual server.
        server: ServerId,
    },
    /// Say how the running gateway is.
    Status,
    /// Look for what is wrong, and say what to do about it. Works whether or not Deskgate runs; starts and changes nothing.
    Doctor,
    /// Collect what helps to find out what is wrong in one archive, for your IT department. You see what is in it first; it holds no
    /// secrets and no calls, and nothing is sent, unless they ask for it and you say so with --send.
    Diagnostics {
        /// The archive to write; a name with the time in this folder where none is given.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Say what is in it, and write nothing.
        #[arg(long, conflicts_with_all = ["out", "yes"])]
        list: bool,
        /// Print one part of it, by the name that the list shows, and write nothing.
        #[arg(long, value_name = "NAME", conflicts_with_all = ["out", "yes", "list"])]
        show: Option<String>,
        /// Write it, or send it, without asking.
        #[arg(long)]
        yes: bool,
        /// Send it to your IT department, where they ask for it: as it was shown, and not without your word. Where a desktop runs, it is
        /// sent from its window; elsewhere the settings have to allow answers in a terminal.
        #[arg(long, conflicts_with_all = ["out", "list", "show"])]
        send: bool,
    },
    /// Say where assistants reach Deskgate, or move it to another port, if another program has its own.
    Port {
        /// Move to this port, or to the next that is free. Assistants need their new addresses then, which are printed.
        #[arg(long = "move", value_name = "PORT", num_args = 0..=1)]
        to: Option<Option<u16>>,
    },
    /// List what waits for you.
    Pending,
    /// Answer what waits, where the settings allow it and no desktop runs.
    Answer {
        /// The id that `deskgate pending` shows.
        id: String,
        /// Your answer.
        choice: Choice,
    },
    /// List what you have allowed for more than one call.
    Approvals {
        /// Take this one back, by the id that the list shows: you are asked again.
        #[arg(long, value_name = "ID")]
        forget: Option<String>,
    },
    /// List what connectors say otherwise than it was accepted, with what differs: it is held until somebody accepts it.
    Held {
        /// Accept this change, by the id that the list shows.
        #[arg(long, value_name = "ID")]
        accept: Option<String>,
    },
    /// Say what policy decides about a call, and which rule.
    Explain {
        /// The virtual server.
        server: ServerId,
        /// The tool, as assistants name it.
        #[arg(required_unless_present_any = ["resource", "prompt"])]
        tool: Option<String>,
        /// The arguments, as a JSON object.
        #[arg(long, default_value = "{}")]
        args: String,
        /// Not a tool, but the resource of this URI.
        #[arg(long, value_name = "URI", requires = "connector", conflicts_with_all = ["tool", "prompt"])]
        resource: Option<String>,
        /// Not a tool, but the prompt that the connector calls so.
        #[arg(long, value_name = "NAME", requires = "connector", conflicts_with = "tool")]
        prompt: Option<String>,
        /// The connector that the resource or prompt is of.
        #[arg(long, conflicts_with = "tool")]
        connector: Option<ConnectorId>,
        /// As if the assistant were this program: the full path. It is not known otherwise.
        #[arg(long, value_name = "PATH")]
        program: Option<String>,
        /// As if this computer had this address in the network, instead of its own.
        #[arg(long, value_name = "IP")]
        address: Option<std::net::IpAddr>,
    },
    /// Sign in to your organisation, or to a connector before a call needs it.
    SignIn {
        /// The connector, or one of your accounts there, as in `mail/work`; your organisation if none is named.
        connector: Option<AccountId>,
        /// Sign in to your organisation on another device, by a code that is shown here. Where no browser can be opened, this is
        /// done anyway if your organisation allows it.
        #[arg(long, conflicts_with = "connector")]
        device: bool,
    },
    /// Sign out of your organisation, or forget your account at a connector.
    SignOut {
        /// The connector, or one of your accounts there, as in `mail/work`; your organisation if none is named.
        connector: Option<AccountId>,
        /// Forget your accounts at all connectors too, where others use this computer or you will not come back. Without,
        /// they stay here, locked, until you sign in again.
        #[arg(long, conflicts_with = "connector")]
        forget_accounts: bool,
    },
    /// Confirm that the organisation which Deskgate has met is yours, by the fingerprint that your IT department gave you. Until then
    /// its connectors start no programs on this computer. Not needed where the fingerprint was set beforehand.
    Trust {
        /// The fingerprint, as IT gave it: `sha256:` and 64 digits and letters.
        fingerprint: String,
    },
    /// Show what a connector prints to its standard error, and what failed on the way to it. Kept in memory only.
    Logs {
        /// The connector, or one of your accounts there, as in `mail/work`.
        connector: AccountId,
        /// Go on until interrupted.
        #[arg(short, long)]
        follow: bool,
    },
    /// Open a socket for assistants in a container or on another computer, to one virtual server and nothing else. You are asked first,
    /// each time; it is open until this ends. See EMPLOYEE.md for how to lead it there.
    Door {
        /// The virtual server.
        server: ServerId,
        /// Where the socket is to be: a path that is free, in a folder of yours.
        path: PathBuf,
    },
    /// List the assistants on this computer, by what each was found, which virtual servers it is connected to, and the names of its
    /// MCP servers outside Deskgate.
    Assistants,
    /// Connect an assistant on this computer to a virtual server: shows the exact change of its configuration, asks, and makes it.
    Connect {
        /// The assistant, by the name that `deskgate assistants` shows.
        #[arg(value_parser = assistant)]
        assistant: &'static Assistant,
        #[command(flatten)]
        change: Changing,
    },
    /// Take back what `deskgate connect` did, byte for byte; where you have changed the file since, only its entry goes.
    Disconnect {
        /// The assistant, by the name that `deskgate assistants` shows.
        #[arg(value_parser = assistant)]
        assistant: &'static Assistant,
        #[command(flatten)]
        change: Changing,
    },
    /// Take over the MCP servers that an assistant has outside Deskgate: they become connectors of yours, their secrets are sealed, and
    /// their entries leave the assistant's configuration. Shows the exact change first, with secrets as dots, and asks.
    Import {
        /// The assistant, by the name that `deskgate assistants` shows.
        #[arg(value_parser = assistant)]
        assistant: &'static Assistant,
        /// Only this server; can be given several times. All where none is named.
        #[arg(long = "server", value_name = "NAME")]
        servers: Vec<String>,
        /// The virtual server that gets the connectors; needed where there are several.
        #[arg(long, value_name = "SERVER", conflicts_with = "undo")]
        into: Option<ServerId>,
        /// Take an import back: the entries stand in the configuration again, with their secrets, and the connectors go.
        #[arg(long)]
        undo: bool,
        /// Only show what would be changed.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask: for scripts.
        #[arg(long)]
        yes: bool,
    },
    /// Print the managed configuration by which an assistant reaches your virtual servers and nothing else, for IT to write on
    /// employees' computers.
    ManagedConfig {
        /// The assistant; of those that have such a configuration.
        #[arg(value_parser = managed_file)]
        assistant: &'static ManagedFile,
        /// Only this virtual server; can be given several times. All where none is named.
        #[arg(long = "server", value_name = "SERVER")]
        servers: Vec<ServerId>,
        /// Write it to this file.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Look for an update that your organisation offers: fetches it, checks its publisher's signature, and says how it is installed.
    Update {
        /// As root: install this package. It is copied out of everybody's reach and checked there first; `release.json` and
        /// `release.json.minisig` lie beside it.
        #[arg(long, value_name = "FILE")]
        install: Option<PathBuf>,
        /// Go back to an earlier version.
        #[arg(long, requires = "install")]
        allow_older: bool,
    },
    /// Try the keychain again, after you have unlocked or started it.
    Keychain,
    /// Read and check the audit journal.
    Audit {
        #[command(subcommand)]
        action: AuditAction,
    },
    /// Refuse every call until resumed.
    Pause,
    /// Take calls again.
    Resume,
    /// Take Deskgate off your account on this computer: gives back what it changed in your assistants, hands over what is recorded,
    /// signs you out everywhere, and removes its key and its folder. Shows all of it first, and asks. The program itself goes the way
    /// that it was installed.
    Uninstall {
        /// Only show what would be done.
        #[arg(long)]
        dry_run: bool,
        /// Leave the audit records here that your organisation has not received.
        #[arg(long, conflicts_with = "delete_records")]
        keep_records: bool,
        /// Delete audit records too that your organisation may not have received. Without, they stay where Deskgate does not run.
        #[arg(long)]
        delete_records: bool,
        /// Go on although Deskgate does not run, cannot sign you out, or cannot reach the keychain: sign-ins end only when they expire,
        /// the secrets of servers that were imported are lost, and what cannot be undone is named.
        #[arg(long)]
        as_it_is: bool,
        /// Do not ask: for scripts.
        #[arg(long)]
        yes: bool,
    },
    /// End the running gateway.
    Quit,
    /// Write man pages and completions, for packages.
    #[command(hide = true)]
    Pages {
        /// Where to.
        folder: PathBuf,
    },
}

/// How a configuration of an assistant is changed.
#[derive(Debug, Args)]
pub(crate) struct Changing {
    /// The virtual server; needed where there are several.
    #[arg(long)]
    pub(crate) server: Option<ServerId>,
    /// Only show what would be changed.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask: for scripts.
    #[arg(long)]
    pub(crate) yes: bool,
}

fn managed_file(id: &str) -> Result<&'static ManagedFile, String> {
    let known = || MANAGED.iter().map(|it| it.assistant).collect::<Vec<_>>().join(", ");
    ManagedFile::of(id).ok_or_else(|| format!("these have such a configuration: {}", known()))
}

fn assistant(id: &str) -> Result<&'static Assistant, String> {
    let known = || ASSISTANTS.iter().map(|it| it.id).collect::<Vec<_>>().join(", ");
    Assistant::named(id).ok_or_else(|| format!("it is not among the assistants that are known: {}", known()))
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditAction {
    /// Check that no record was edited, removed or moved.
    Verify {
        /// Insist that this device's key signed the journal's end: the key that the first record of its chain names (`checkpoint_key`),
        /// as the organisation received it.
        #[arg(long)]
        key: Option<::audit::NoteKey>,
    },
    /// Print the last records.
    Tail {
        /// How many.
        #[arg(short = 'n', long, default_value_t = 10)]
        count: usize,
    },
    /// Print every record, one JSON object a line.
    Export,
    /// Print the records that your organisation receives, as they are sent, and whether it has them. With --json nothing but the
    /// records. Those of your own, without an organisation, are never among them.
    Sent {
        /// How many, from the end.
        #[arg(short = 'n', long, default_value_t = 10)]
        count: usize,
    },
    /// Erase personal data from the records on this computer, of one person or before a time. The records stay, and the check still
    /// finds whatever else is done to them. What your organisation has received, it keeps.
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
    Erase {
        /// Everything about this person: subject or e-mail address.
        #[arg(long, group = "what")]
        subject: Option<String>,
        /// Records before this time only (RFC 3339); of all people, where none is named.
        #[arg(long, group = "what")]
        before: Option<Timestamp>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Choice {
    Allow,
    Deny,
}
