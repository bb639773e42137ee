//! `halt`: stopping something at once, without signing anything.

use clap::{Args, Subcommand};
use control::StandingHalt;
use control::admin::{Answer, Ask, Halted};
use model::{ConnectorId, CredentialId, DeviceId, ToolName};
use org_protocol::HaltTarget;
use serde_json::json;

use super::ask::{asked, done, lines_or, unexpected};
use super::remote::Socket;
use super::{Failure, said};

#[derive(Debug, Subcommand)]
pub(super) enum HaltCommand {
    /// Stop a person: their calls are refused on every device.
    User {
        /// Their e-mail address, or their subject at the identity provider.
        person: String,
        #[command(flatten)]
        how: How,
    },
    /// Stop a device.
    Device {
        /// The device.
        id: DeviceId,
        #[command(flatten)]
        how: How,
    },
    /// Stop an assistant, for everybody. One that claims another name is not hit.
    Assistant {
        /// Its client id, or its name as records have it.
        client: String,
        #[command(flatten)]
        how: How,
    },
    /// Stop a connector, with all that it offers.
    Connector {
        /// The connector.
        id: ConnectorId,
        #[command(flatten)]
        how: How,
    },
    /// Stop one tool.
    Tool {
        /// Its connector.
        connector: ConnectorId,
        /// The connector's own name of it.
        tool: ToolName,
        #[command(flatten)]
        how: How,
    },
    /// Stop the use of a shared credential. Calls that would use it are refused, not made with another.
    Credential {
        /// The credential.
        id: CredentialId,
        #[command(flatten)]
        how: How,
    },
    /// List what is stopped.
    List(Socket),
    /// Let something go on.
    Lift {
        /// The halt's number.
        id: u64,
        #[command(flatten)]
        socket: Socket,
    },
}

#[derive(Debug, Args)]
pub(super) struct How {
    /// Why, in one line: whoever is hit reads it, and so do their assistants.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    socket: Socket,
}

pub(super) async fn run(command: HaltCommand, json: bool) -> Result<(), Failure> {
    let (target, how) = match command {
        HaltCommand::User { person, how } => (HaltTarget::User { person }, how),
        HaltCommand::Device { id, how } => (HaltTarget::Device { device: id }, how),
        HaltCommand::Assistant { client, how } => (HaltTarget::Assistant { client }, how),
        HaltCommand::Connector { id, how } => (HaltTarget::Connector { connector: id }, how),
        HaltCommand::Tool { connector, tool, how } => (HaltTarget::Tool { connector, tool }, how),
        HaltCommand::Credential { id, how } => (HaltTarget::Credential { credential: id }, how),
        HaltCommand::List(socket) => return list(&socket, json).await,
        HaltCommand::Lift { id, socket } => return lift(id, &socket, json).await,
    };
    let question = Ask::Halt { target, reason: how.reason };
    let Answer::Halted(Halted { standing, known }) = asked(&how.socket, &question).await? else {
        return Err(unexpected());
    };
    said(json, &json!({"halt": standing, "known": known}), || {
        let StandingHalt { halt, .. } = &standing;
        let unknown =
            if known { "" } else { "\nNothing of this name was seen here yet; it holds when it comes." };
        format!(
            "Halt {} stops {}.{unknown}\nLet it go on with: deskgate-control halt lift {}",
            halt.id, halt.target, halt.id
        )
    });
    Ok(())
}

async fn list(socket: &Socket, json: bool) -> Result<(), Failure> {
    let Answer::Halts { halts } = asked(socket, &Ask::ListHalts).await? else { return Err(unexpected()) };
    said(json, &halts, || lines_or(halts.iter().map(line).collect(), "Nothing is stopped."));
    Ok(())
}

async fn lift(id: u64, socket: &Socket, json: bool) -> Result<(), Failure> {
    done(&asked(socket, &Ask::Lift { id }).await?)?;
    said(json, &json!({"lifted": id}), || format!("Halt {id} is lifted."));
    Ok(())
}

/// A halt in one line.
pub(super) fn line(standing: &StandingHalt) -> String {
    let StandingHalt { halt, by } = standing;
    let reason = if halt.reason.is_empty() { String::new() } else { format!("  \"{}\"", halt.reason) };
    format!("{:<4} {:<44} since {} by {by}{reason}", halt.id, halt.target.to_string(), halt.since)
}
