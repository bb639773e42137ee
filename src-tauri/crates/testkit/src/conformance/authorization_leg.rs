//! The suite as an assistant that signs in: at the gateway's own authorization server.

use std::collections::BTreeSet;
use std::time::Duration;

use testkit::{Browser, Employee, PeerFault, free_port, until};
use url::Url;

use crate::matrix::{Kind, Matrix};
use crate::requirements::Scenarios;
use crate::settings::{Connector, Way, gateway};
use crate::suite::Suite;
use crate::verdict::Verdict;

const SERVER: &str = "conf";
const CELL: &str = "authorization";
const SOON: Duration = Duration::from_secs(60);

/// The suite keeps no list of these: the protocol leaves authorization servers to others.
const SCENARIOS: [&str; 2] = ["authorization-server-metadata-endpoint", "authorization-code-grant"];

/// The client that the settings name, because the suite does not register.
const CLIENT: &str = "conformance";
const NAMED: &str =
    "[assistants.conformance]\ntitle = \"Conformance\"\nredirect_uris = [\"http://127.0.0.1/callback\"]\n";

/// Runs the leg.
///
/// # Errors
/// If something cannot be started, or the person is not asked.
pub(crate) async fn run(suite: &Suite, only: &str, matrix: &mut Matrix) -> Result<(), PeerFault> {
    if !CELL.contains(only) {
        return Ok(());
    }
    let way = Way::Command(vec!["/bin/false".to_owned()]);
    let gateway = gateway(&[Connector { id: SERVER.to_owned(), way, credential: None }], NAMED).await?;
    gateway.offers(SERVER).await?;
    let resource = gateway.url(SERVER)?;
    let issuer = Url::parse(&format!("http://127.0.0.1:{}", gateway.port()))?;
    let asked = async {
        // It prints the address that a person should open.
        let page = until("the address to open", SOON, async || address(&suite.log(CELL), &issuer)).await?;
        let mut browser = Browser::new(Employee::alice())?;
        let (shown, question) = tokio::join!(browser.open(&page), gateway.answer(true));
        question?;
        shown.map(drop)
    };
    let run =
        suite.authorization(CELL, issuer.as_str().trim_end_matches('/'), CLIENT, free_port()?, &resource);
    let (found, asked) = tokio::join!(run, asked);
    asked?;
    let scored: BTreeSet<String> = SCENARIOS.map(str::to_owned).into();
    let scenarios = Scenarios { scored, unscored: BTreeSet::new() };
    matrix.add(CELL, Kind::Through, Verdict::of(&scenarios, &found?, None));
    Ok(())
}

/// The authorization request in what the suite has printed so far.
fn address(log: &str, issuer: &Url) -> Option<Url> {
    let whole = log.rsplit_once('\n')?.0;
    let mut lines =
        whole.lines().filter(|line| line.starts_with(issuer.as_str()) && line.contains("code_challenge="));
    Url::parse(lines.next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_taken_when_its_line_is_whole() {
        let issuer = Url::parse("http://127.0.0.1:7717").expect("a URL");
        let page = "http://127.0.0.1:7717/oauth/authorize?code_challenge=x";
        assert_eq!(address(&format!("Open http://127.0.0.1:7717\n{page}"), &issuer), None);
        assert_eq!(address(&format!("Open\n{page}\n"), &issuer).map(String::from).as_deref(), Some(page));
    }
}
