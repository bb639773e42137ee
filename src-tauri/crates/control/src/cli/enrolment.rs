//! `enrolment-token` and `device resume`: which machines become devices, and which devices go on.

use clap::Subcommand;
use control::EnrolmentToken;
use control::admin::{Answer, Ask};
use model::DeviceId;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::ask::{asked, done, lines_or, unexpected};
use super::remote::Socket;
use super::{Failure, said};

#[derive(Debug, Subcommand)]
pub(super) enum EnrolmentTokenCommand {
    /// Make one, and print it this once.
    New {
        /// For how many days it enrols.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
        /// How many devices it enrols; any number where it is not given.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        uses: Option<u32>,
        #[command(flatten)]
        socket: Socket,
    },
    /// List them, without the tokens.
    List(Socket),
    /// Have one enrol nothing any more. Devices that came with it stay.
    Revoke {
        /// Its number.
        id: i64,
        #[command(flatten)]
        socket: Socket,
    },
}

pub(super) async fn run(command: EnrolmentTokenCommand, json: bool) -> Result<(), Failure> {
    match command {
        EnrolmentTokenCommand::New { days, uses, socket } => {
            let question = Ask::NewEnrolmentToken { days, uses };
            let Answer::EnrolmentToken { id, token } = asked(&socket, &question).await? else {
                return Err(unexpected());
            };
            let token = token.0.expose_secret();
            said(json, &json!({"id": id, "token": token}), || token.to_owned());
        }
        EnrolmentTokenCommand::List(socket) => {
            let Answer::EnrolmentTokens { tokens } = asked(&socket, &Ask::ListEnrolmentTokens).await? else {
                return Err(unexpected());
            };
            said(json, &tokens, || {
                lines_or(tokens.iter().map(line).collect(), "There is no enrolment token.")
            });
        }
        EnrolmentTokenCommand::Revoke { id, socket } => {
            done(&asked(&socket, &Ask::RevokeEnrolmentToken { id }).await?)?;
            said(json, &json!({"revoked": id}), || format!("Revoked enrolment token {id}."));
        }
    }
    Ok(())
}

fn line(token: &EnrolmentToken) -> String {
    let state = match token.revoked_at {
        Some(at) => format!("revoked {at}"),
        None => format!("good until {}", token.expires_at),
    };
    let uses = token.uses.map_or_else(|| "any number".to_owned(), |uses| uses.to_string());
    format!("{:<5} by {:<24} enrolled {} of {uses}  {state}", token.id, token.made_by, token.used)
}

pub(super) async fn resume(id: DeviceId, socket: &Socket, json: bool) -> Result<(), Failure> {
    done(&asked(socket, &Ask::ResumeDevice { id }).await?)?;
    said(json, &json!({"resumed": id}), || format!("{id} may go on."));
    Ok(())
}
