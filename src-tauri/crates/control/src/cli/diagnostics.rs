//! `diagnostics`: asking a device for what helps to find a fault, and saving what its person sent.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use control::admin::{Answer, Ask};
use control::{AskedDiagnostics, DiagnosticsState};
use model::{DeviceId, Digest};
use org_protocol::PlainLine;
use serde_json::json;

use super::ask::{asked, done, lines_or, unexpected};
use super::remote::Socket;
use super::{Failure, said};

#[derive(Debug, Subcommand)]
pub(super) enum DiagnosticsCommand {
    /// Ask a device. Whoever uses it sees who asks and why, and everything that would go; then they send it, or do not. The request
    /// ends by itself after seven days.
    Ask {
        /// The device, by the id that `device list` shows.
        device: DeviceId,
        /// Why, in one line: the person reads it.
        #[arg(long, value_name = "REASON")]
        because: PlainLine,
        #[command(flatten)]
        socket: Socket,
    },
    /// List what was asked, and what came of it.
    List(Socket),
    /// Save what was sent: an archive of plain texts, which only its owner may read.
    Save {
        /// The request's number.
        id: u64,
        /// The file to write, which is not there yet; a name with the device and the number in this folder where none is given.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        socket: Socket,
    },
    /// Do not ask any more: whoever was asked is not any longer.
    Withdraw {
        /// The request's number.
        id: u64,
        #[command(flatten)]
        socket: Socket,
    },
    /// Erase a request that is over, with what was sent.
    Erase {
        /// The request's number.
        id: u64,
        #[command(flatten)]
        socket: Socket,
    },
}

pub(super) async fn run(command: DiagnosticsCommand, json: bool) -> Result<(), Failure> {
    match command {
        DiagnosticsCommand::Ask { device, because, socket } => ask(device, because, &socket, json).await,
        DiagnosticsCommand::List(socket) => list(&socket, json).await,
        DiagnosticsCommand::Save { id, out, socket } => save(id, out, &socket, json).await,
        DiagnosticsCommand::Withdraw { id, socket } => {
            done(&asked(&socket, &Ask::WithdrawDiagnostics { id }).await?)?;
            said(json, &json!({"withdrawn": id}), || format!("Request {id} is withdrawn."));
            Ok(())
        }
        DiagnosticsCommand::Erase { id, socket } => {
            done(&asked(&socket, &Ask::EraseDiagnostics { id }).await?)?;
            said(json, &json!({"erased": id}), || {
                format!("Request {id} is erased. What was saved elsewhere and backups have it still.")
            });
            Ok(())
        }
    }
}

async fn ask(device: DeviceId, reason: PlainLine, socket: &Socket, json: bool) -> Result<(), Failure> {
    let Answer::AskedDiagnostics(one) = asked(socket, &Ask::AskDiagnostics { device, reason }).await? else {
        return Err(unexpected());
    };
    said(json, &*one, || {
        format!(
            "Request {} asks the person at {device}, until {}. See what came of it with: deskgate-control diagnostics list",
            one.id, one.until
        )
    });
    Ok(())
}

async fn list(socket: &Socket, json: bool) -> Result<(), Failure> {
    let Answer::Diagnostics { diagnostics } = asked(socket, &Ask::ListDiagnostics).await? else {
        return Err(unexpected());
    };
    said(json, &diagnostics, || {
        lines_or(diagnostics.iter().map(line).collect(), "No device was asked for diagnostics.")
    });
    Ok(())
}

/// A request in one line.
fn line(one: &AskedDiagnostics) -> String {
    let state = one.state.as_str();
    let by = one.answered_by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    let how = match (one.state, one.ended_at, one.bytes) {
        (DiagnosticsState::Open, ..) => format!("open until {}", one.until),
        (_, Some(at), Some(bytes)) => format!("{state}{by} {at}, {bytes} bytes"),
        (_, Some(at), None) => format!("{state}{by} {at}"),
        (_, None, _) => state.to_owned(),
    };
    format!("{:<4} {}  {how}  asked {} by {}: \"{}\"", one.id, one.device, one.asked_at, one.by, one.reason)
}

async fn save(id: u64, out: Option<PathBuf>, socket: &Socket, json: bool) -> Result<(), Failure> {
    let name = |one: &AskedDiagnostics| format!("deskgate-diagnostics-{}-{id}.tar.gz", one.device);
    if let Some(out) = &out {
        free(out)?;
    }
    let Answer::SentDiagnostics(sent) = asked(socket, &Ask::ReadDiagnostics { id }).await? else {
        return Err(unexpected());
    };
    let archive = STANDARD.decode(&sent.archive).map_err(|_| unexpected())?;
    if sent.asked.sha256 != Some(Digest::of(&archive)) {
        return Err(Failure::new("what came is not what the device sent"));
    }
    let out = out.unwrap_or_else(|| PathBuf::from(name(&sent.asked)));
    free(&out)?;
    let fault = |fault| Failure::new(format!("{} cannot be written: {fault}", out.display()));
    // A name alone is in the folder where the administrator is.
    let whole = std::path::absolute(&out).map_err(fault)?;
    os::write_durable(&whole, &archive).map_err(fault)?;
    said(json, &json!({"file": out, "sha256": sent.asked.sha256, "bytes": archive.len()}), || {
        format!("Written to {}. Reading it was recorded with your name.", out.display())
    });
    Ok(())
}

fn free(out: &Path) -> Result<(), Failure> {
    match out.try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => {
            Err(Failure::new(format!("{} is there already: name another file with --out", out.display())))
        }
        Err(fault) => Err(Failure::new(format!("{}: {fault}", out.display()))),
    }
}
