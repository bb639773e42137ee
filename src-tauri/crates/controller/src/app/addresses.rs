//! What assistants are connected to: the virtual servers and their addresses, whether or not an instance runs.

use model::{Advice, ForPerson as _, ServerId};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::home::Home;
use super::settings::Settings;
use super::socket::{Client, ClientFault, Command, Report};

/// A virtual server and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Address {
    /// The virtual server.
    pub id: ServerId,
    /// Its title.
    pub title: String,
    /// Its address on this machine.
    pub url: Url,
}

/// Every virtual server: as the running instance says, or, while none runs, as the person's own settings and the kept port say.
///
/// # Errors
/// Why it is not known, and what to do.
pub async fn addresses(home: &Home) -> Result<Vec<Address>, Advice> {
    match Client::new(home.clone()).ask(&Command::Status).await {
        Ok(Report::Ok { json, .. }) => {
            let told = as_told(&json)?;
            // An instance that has only just started has not got that far.
            if told.is_empty() { Ok(at_rest(home).unwrap_or_default()) } else { Ok(told) }
        }
        Ok(Report::Refused { advice }) => Err(advice),
        Err(ClientFault::NotRunning) => at_rest(home),
        Err(fault @ ClientFault::Silent(_)) => Err(fault.advice()),
    }
}

fn as_told(status: &Value) -> Result<Vec<Address>, Advice> {
    serde_json::from_value(status["servers"].clone()).map_err(|_| {
        Advice::new(
            "other-version",
            "The running Deskgate does not say which virtual servers it has.",
            "",
            "Quit it and start it again: it may be of another version.",
        )
    })
}

fn at_rest(home: &Home) -> Result<Vec<Address>, Advice> {
    let start = |why: &str| {
        Advice::new(
            "addresses-unknown",
            format!("Deskgate is not running, and {why}."),
            "",
            "Start the desktop application, or `deskgate serve`, and do this again.",
        )
    };
    // What an organisation offers is known to the instance that has verified it.
    if !matches!(managed::read(), Ok(None)) {
        return Err(start("what is set on this machine decides which virtual servers there are"));
    }
    let port = home.kept_port().ok_or_else(|| start("it has not chosen its port yet"))?;
    let text = std::fs::read_to_string(home.settings()).map_err(|_| start("it has no settings"))?;
    let settings = Settings::parse(&text).map_err(|fault| {
        Advice::new(
            "settings-wrong",
            format!("There is a mistake in {}: {fault}", home.settings().display()),
            "",
            "Correct the file.",
        )
    })?;
    if settings.organisation.is_some() {
        return Err(start("your organisation decides which virtual servers there are"));
    }
    let address = |(id, server): (&ServerId, &org_protocol::ServerSpec)| {
        let url = Url::parse(&format!("http://127.0.0.1:{port}/s/{id}/mcp")).ok()?;
        Some(Address { id: id.clone(), title: server.title.clone(), url })
    };
    Ok(settings.servers.iter().filter_map(address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &str, port: Option<&str>, expected: Result<&[&str], &str>) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        std::fs::write(home.settings(), settings).unwrap();
        if let Some(port) = port {
            std::fs::write(folder.path().join("port"), port).unwrap();
        }
        match (at_rest(&home), expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.iter().map(|it| it.url.as_str()).collect::<Vec<_>>(), expected);
            }
            (Err(advice), Err(code)) => assert_eq!(advice.code, code, "{advice}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn addresses_are_known_while_nothing_runs() {
        let own = "[servers.desk]\ntitle = \"Desk\"\nconnectors = []\n";
        check(own, Some("7717\n"), Ok(&["http://127.0.0.1:7717/s/desk/mcp"]));
        check("", Some("7717\n"), Ok(&[]));
        check(own, None, Err("addresses-unknown"));
        check("servers = 1", Some("7717\n"), Err("settings-wrong"));
        let org = "[organisation]\nconfig_url = \"https://deskgate.acme.example/\"\n";
        check(org, Some("7717\n"), Err("addresses-unknown"));
    }
}
