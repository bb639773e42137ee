//! The odd server on standard streams.

use std::io::{BufRead as _, Write as _};

use super::server::{Manner, Message, OddEra, Server};

/// Serves until standard input ends.
///
/// # Errors
/// If the streams fail.
pub fn serve_stdio(era: OddEra, manner: Manner) -> std::io::Result<()> {
    let server = Server::new(era, false);
    let mut opened = era == OddEra::Modern;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        // Most servers report what they cannot read and go on.
        let Ok(message) = serde_json::from_str::<Message<'_>>(&line) else {
            continue;
        };
        opened |= message.method == "initialize";
        let Some(id) = message.id else { continue };
        let answer = match manner {
            _ if opened => server.reply(&message).framed(id),
            Manner::Refuses => super::server::Reply::Error(-32602, "Not initialized").framed(id),
            Manner::Silent => continue,
            Manner::Dies => return Err(std::io::Error::other("a request before initialize")),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
