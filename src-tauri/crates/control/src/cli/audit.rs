//! `audit`: the questions of an auditor, asked of the running server or of an export, anywhere and without one.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use control::admin::{Answer, Ask};
use control::{DeniedBy, Filter, Sieve};
use model::{ConnectorId, DeviceId, Digest, ServerId, Timestamp};
use org_protocol::{AuditRecord, EventRecord, ExportCheck, ExportReport, LONGEST_LINE, RecordBody};
use os::Clock as _;
use serde_json::json;

use super::ask::{asked, lines_or, unexpected};
use super::remote::Socket;
use super::{Failure, said, say, say_json};

/// The longest first line of an export, in bytes: it names every chain that there is.
const LONGEST_HEADER: u64 = 256 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Look up records. The question itself is recorded.
    Query(Box<QueryArgs>),
    /// Check all stored chains; or an export, on any machine and without the server.
    Verify(VerifyArgs),
    /// Write all records of a time to a file, with the proof that none is missing and none was changed.
    Export(ExportArgs),
    /// Erase personal data from stored records, of one person or before a time. The records stay, and so does the proof that none is missing.
    Erase(EraseArgs),
    /// Count what was refused, by policy.
    Denials(TimeArgs),
    /// List what was published when, by whom, and whose keys had signed it.
    Policies(TimeArgs),
}

#[derive(Debug, Args)]
pub(super) struct QueryArgs {
    /// Calls that used this credential, with their outcomes: a shared one, or an account of the people's own as records name
    /// it, such as `user:shared-inbox`.
    #[arg(long)]
    credential: Option<String>,
    /// Calls to this connector.
    #[arg(long)]
    connector: Option<ConnectorId>,
    /// Calls through this virtual server.
    #[arg(long, value_name = "VIRTUAL SERVER")]
    through: Option<ServerId>,
    /// Calls of this tool; or what was done with this prompt or resource.
    #[arg(long)]
    tool: Option<String>,
    /// A person: e-mail address or subject.
    #[arg(long)]
    user: Option<String>,
    /// What this device recorded.
    #[arg(long)]
    device: Option<DeviceId>,
    /// One call.
    #[arg(long)]
    call: Option<String>,
    /// Calls that this policy permitted or refused.
    #[arg(long)]
    rule: Option<String>,
    /// Calls that this policy, which is only observed, would have refused.
    #[arg(long, value_name = "RULE")]
    observed: Option<String>,
    /// Events of this kind, such as `bundle-applied`.
    #[arg(long)]
    event: Option<String>,
    /// Only what was refused.
    #[arg(long)]
    denied: bool,
    /// Not before this time (RFC 3339).
    #[arg(long)]
    since: Option<Timestamp>,
    /// Before this time (RFC 3339).
    #[arg(long)]
    until: Option<Timestamp>,
    /// At most so many, the latest.
    #[arg(long, default_value_t = 1000)]
    limit: u32,
    /// Ask this export instead of a server. It is checked first.
    #[arg(long = "in", value_name = "FILE", requires = "fingerprint")]
    export: Option<PathBuf>,
    /// The organisation's fingerprint, for an export.
    #[arg(long, requires = "export")]
    fingerprint: Option<Digest>,
    #[command(flatten)]
    socket: Socket,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// An export; the stored chains of the server without it.
    #[arg(requires = "fingerprint")]
    export: Option<PathBuf>,
    /// The organisation's fingerprint, as you know it from elsewhere, for an export.
    #[arg(long, requires = "export")]
    fingerprint: Option<Digest>,
    #[command(flatten)]
    socket: Socket,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Not before this time (RFC 3339).
    #[arg(long)]
    since: Timestamp,
    /// Before this time (RFC 3339); now if none is given.
    #[arg(long)]
    until: Option<Timestamp>,
    /// The file to write; it must not exist. Only its owner may read it.
    #[arg(long)]
    to: PathBuf,
    #[command(flatten)]
    socket: Socket,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(super) struct EraseArgs {
    /// Everything about this person: subject or e-mail address.
    #[arg(long, group = "what")]
    subject: Option<String>,
    /// Records before this time only (RFC 3339); of all people, where none is named.
    #[arg(long, group = "what")]
    before: Option<Timestamp>,
    #[command(flatten)]
    socket: Socket,
}

/// What is asked of a time.
#[derive(Debug, Args)]
pub(super) struct TimeArgs {
    /// Not before this time (RFC 3339).
    #[arg(long)]
    since: Option<Timestamp>,
    /// Before this time (RFC 3339).
    #[arg(long)]
    until: Option<Timestamp>,
    #[command(flatten)]
    socket: Socket,
}

pub(super) async fn run(command: AuditCommand, json: bool) -> Result<(), Failure> {
    match command {
        AuditCommand::Query(args) => query(*args).await,
        AuditCommand::Verify(VerifyArgs { export: Some(file), fingerprint: Some(fingerprint), .. }) => {
            verify_export(&file, fingerprint, json)
        }
        AuditCommand::Verify(args) => verify(&args.socket, json).await,
        AuditCommand::Export(args) => export(args, json).await,
        AuditCommand::Erase(args) => erase(args, json).await,
        AuditCommand::Denials(args) => denials(args, json).await,
        AuditCommand::Policies(args) => policies(args, json).await,
    }
}

/// Records are JSON lines by themselves: they are printed as they were written.
async fn query(args: QueryArgs) -> Result<(), Failure> {
    let QueryArgs { export, fingerprint, socket, .. } = &args;
    let filter = args.filter();
    let lines = match (export, fingerprint) {
        (Some(file), Some(fingerprint)) => query_export(file, *fingerprint, &filter)?,
        (Some(_) | None, _) => {
            let Answer::Records { lines } = asked(socket, &Ask::QueryAudit { filter }).await? else {
                return Err(unexpected());
            };
            lines
        }
    };
    lines.iter().for_each(|line| say(line));
    Ok(())
}

impl QueryArgs {
    fn filter(&self) -> Filter {
        Filter {
            credential: self.credential.clone(),
            connector: self.connector.clone(),
            server: self.through.clone(),
            tool: self.tool.clone(),
            user: self.user.clone(),
            device: self.device,
            call: self.call.clone(),
            rule: self.rule.clone(),
            observed: self.observed.clone(),
            event: self.event.clone(),
            denied: self.denied,
            since: self.since,
            until: self.until,
            limit: Some(self.limit),
        }
    }
}

/// Goes twice through the file: what becomes of a call belongs to the answer although only its intent says what is asked for.
fn query_export(file: &Path, fingerprint: Digest, filter: &Filter) -> Result<Vec<String>, Failure> {
    let mut sieve = Sieve::new(filter);
    checked(file, fingerprint, |record| sieve.first(record))?;
    let mut found = Vec::new();
    checked(file, fingerprint, |record| {
        if sieve.lets_through(record) {
            found.push((record.link().at, record.line().to_owned()));
        }
    })?;
    found.sort_by_key(|(at, _)| *at);
    let surplus = found.len().saturating_sub(filter.limit.map_or(usize::MAX, |limit| limit as usize));
    Ok(found.into_iter().skip(surplus).map(|(_, line)| line).collect())
}

async fn verify(socket: &Socket, json: bool) -> Result<(), Failure> {
    let Answer::Verified(verdict) = asked(socket, &Ask::VerifyAudit).await? else {
        return Err(unexpected());
    };
    if json {
        say_json(&verdict);
    } else {
        for chain in &verdict.chains {
            let state = if chain.is_good() { "unbroken" } else { "NOT UNBROKEN" };
            say(&format!("{}  {} records in {} epochs: {state}", chain.device, chain.records, chain.epochs));
            if chain.erased > 0 {
                say(&format!("  {} personal fields were erased", chain.erased));
            }
            for finding in &chain.findings {
                say(&format!("  {finding}"));
            }
        }
    }
    if verdict.is_good() { Ok(()) } else { Err(Failure::new("The stored records were tampered with.")) }
}

fn verify_export(file: &Path, fingerprint: Digest, json: bool) -> Result<(), Failure> {
    let report = checked(file, fingerprint, |_| ())?;
    said(json, &report, || proved(&report));
    Ok(())
}

/// What was proved, for people.
fn proved(report: &ExportReport) -> String {
    let ExportReport { statement, records, erased, remarks } = report;
    let devices: std::collections::BTreeSet<DeviceId> =
        statement.chains.iter().map(|chain| chain.device).collect();
    let mut text = format!(
        "Unbroken: {records} records of {} from {} to {}, in {} chains of {} devices, as stated at {}.\n\
         None that was stored is missing, and none was changed since.",
        statement.org,
        statement.since,
        statement.until,
        statement.chains.len(),
        devices.len(),
        statement.made_at
    );
    if *erased > 0 {
        text.push_str(&format!(
            "\n{erased} personal fields were erased: the chain proves that they were there, and no more what they said."
        ));
    }
    if !remarks.is_empty() {
        text.push_str("\nWhat the chains themselves say of what they do not hold:");
    }
    for remark in remarks {
        text.push_str(&format!("\n  {remark}"));
    }
    text
}

async fn export(args: ExportArgs, json: bool) -> Result<(), Failure> {
    let ExportArgs { since, until, to, socket } = args;
    let until = until.unwrap_or_else(|| os::SystemClock.now());
    let Answer::Published(published) = asked(&socket, &Ask::Status).await? else {
        return Err(Failure::new(
            "Nothing is published yet, so there is nobody whose records these could be.",
        ));
    };
    let Answer::Export { header } = asked(&socket, &Ask::ExportAudit { since, until }).await? else {
        return Err(unexpected());
    };
    let part = to.with_added_extension("part");
    // Another export that is being written there is not ours to remove.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    let file =
        file.map_err(|fault| Failure::new(format!("{} cannot be written: {fault}", part.display())))?;
    let written = fetch(&header, (file, &part), published.fingerprint, &socket).await;
    let report = match written.and_then(|report| put_in_place(&part, &to).map(|()| report)) {
        Ok(report) => report,
        Err(failure) => {
            // It is of no use, and says so by its name where it cannot be removed.
            let _ = std::fs::remove_file(&part);
            return Err(failure);
        }
    };
    said(json, &report, || {
        format!(
            "{}\nWritten to {file}. Check it on any machine:\n  deskgate-control audit verify {file} --fingerprint {}",
            proved(&report),
            published.fingerprint,
            file = to.display()
        )
    });
    Ok(())
}

/// Writes the header and the lines that it states, and checks them on the way.
async fn fetch(
    header: &str,
    (file, to): (File, &Path),
    fingerprint: Digest,
    socket: &Socket,
) -> Result<ExportReport, Failure> {
    let failed = |fault: std::io::Error| Failure::new(format!("{} cannot be written: {fault}", to.display()));
    let mut file = BufWriter::new(file);
    writeln!(file, "{header}").map_err(failed)?;
    let mut check = ExportCheck::begin(header, fingerprint).map_err(Failure::new)?;
    for chain in check.statement().chains.clone() {
        let mut first = chain.first;
        while first <= chain.last.seq {
            let (device, epoch, last) = (chain.device, chain.last.epoch, chain.last.seq);
            let question = Ask::ExportLines { device, epoch, first, last };
            let Answer::Records { lines } = asked(socket, &question).await? else { return Err(unexpected()) };
            if lines.is_empty() {
                return Err(Failure::new(format!(
                    "The server states record {first} of {device} in epoch {epoch} and does not have it."
                )));
            }
            for line in &lines {
                check.push(line).map_err(Failure::new)?;
                writeln!(file, "{line}").map_err(failed)?;
            }
            first = first.saturating_add(lines.len() as u64);
        }
    }
    file.into_inner().map_err(|fault| failed(fault.into_error()))?.sync_all().map_err(failed)?;
    check.finish().map_err(Failure::new)
}

/// An export that is there already may be evidence.
fn put_in_place(part: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |fault| Failure::new(format!("{} cannot be written: {fault}", to.display()));
    std::fs::hard_link(part, to).map_err(failed)?;
    std::fs::remove_file(part).map_err(failed)
}

/// Checks an export and shows each record within its range.
fn checked(
    path: &Path,
    fingerprint: Digest,
    mut show: impl FnMut(&AuditRecord),
) -> Result<ExportReport, Failure> {
    let unproved =
        |fault: &dyn std::fmt::Display| Failure::new(format!("{} proves nothing: {fault}.", path.display()));
    let file = File::open(path)
        .map_err(|fault| Failure::new(format!("{} cannot be read: {fault}", path.display())))?;
    let mut lines = Lines(BufReader::new(file));
    let header = lines.next(LONGEST_HEADER).map_err(|fault| unproved(&fault))?.unwrap_or_default();
    let mut check = ExportCheck::begin(&header, fingerprint).map_err(|fault| unproved(&fault))?;
    while let Some(line) = lines.next(LONGEST_LINE as u64 + 1).map_err(|fault| unproved(&fault))? {
        if let Some(record) = check.push(&line).map_err(|fault| unproved(&fault))? {
            show(&record);
        }
    }
    check.finish().map_err(|fault| unproved(&fault))
}

/// A file's lines, none longer than allowed.
struct Lines(BufReader<File>);

impl Lines {
    fn next(&mut self, longest: u64) -> std::io::Result<Option<String>> {
        use std::io::Read as _;
        let mut line = String::new();
        let read = self.0.by_ref().take(longest).read_line(&mut line)?;
        Ok((read > 0).then(|| line.trim_end_matches('\n').to_owned()))
    }
}

async fn erase(args: EraseArgs, json: bool) -> Result<(), Failure> {
    let EraseArgs { subject, before, socket } = args;
    let Answer::Erased(erased) = asked(&socket, &Ask::EraseAudit { person: subject, before }).await? else {
        return Err(unexpected());
    };
    said(json, &erased, || {
        let (records, fields) = (erased.records, erased.fields);
        format!(
            "{fields} personal fields were erased from {records} records. Receivers, exports and backups have what they got."
        )
    });
    Ok(())
}

async fn denials(args: TimeArgs, json: bool) -> Result<(), Failure> {
    let TimeArgs { since, until, socket } = args;
    let Answer::Denials { denied } = asked(&socket, &Ask::CountDenials { since, until }).await? else {
        return Err(unexpected());
    };
    said(json, &denied, || {
        let line = |one: &DeniedBy| {
            let rule = one.rule.as_deref().unwrap_or("-");
            format!(
                "{:>7} calls  {:>4} people  {:<32} {:<20} last {}",
                one.calls, one.people, rule, one.kind, one.last
            )
        };
        lines_or(denied.iter().map(line).collect(), "Nothing was refused.")
    });
    Ok(())
}

async fn policies(args: TimeArgs, json: bool) -> Result<(), Failure> {
    let TimeArgs { since, until, socket } = args;
    let mut found = Vec::new();
    for event in ["bundle-applied", "bundle-refused"] {
        let filter = Filter { event: Some(event.to_owned()), since, until, ..Filter::default() };
        let Answer::Records { lines } = asked(&socket, &Ask::QueryAudit { filter }).await? else {
            return Err(unexpected());
        };
        found.extend(lines.iter().filter_map(|line| Publication::of(line)));
    }
    found.sort_by_key(|publication| publication.at);
    let values: Vec<_> = found.iter().map(Publication::json).collect();
    said(json, &values, || lines_or(found.iter().map(Publication::text).collect(), "Nothing was published."));
    Ok(())
}

/// What an administrator published, or was refused.
struct Publication {
    at: Timestamp,
    event: EventRecord,
}

impl Publication {
    /// Desktops record what they obey as well; only who published says by whom.
    fn of(line: &str) -> Option<Self> {
        let record = AuditRecord::parse(line).ok()?;
        let RecordBody::Event(event) = record.body() else { return None };
        event.facts.get("by")?;
        Some(Self { at: record.link().at, event: (**event).clone() })
    }

    fn fact(&self, name: &str) -> &str {
        self.event.facts.get(name).map_or("-", String::as_str)
    }

    fn json(&self) -> serde_json::Value {
        json!({"at": self.at, "event": self.event.event, "facts": self.event.facts})
    }

    fn text(&self) -> String {
        if self.event.facts.contains_key("reason") {
            return format!("{}  REFUSED          by {}: {}", self.at, self.fact("by"), self.fact("reason"));
        }
        let version = format!("{} (epoch {})", self.fact("version"), self.fact("epoch"));
        format!(
            "{}  version {version}  by {}  signed by {}  root {} signed by {}  {}",
            self.at,
            self.fact("by"),
            self.fact("signed_by"),
            self.fact("root"),
            self.fact("root_signed_by"),
            self.fact("bundle")
        )
    }
}
