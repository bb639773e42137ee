//! A gateway with a virtual server over each of some connectors.

use std::fmt::Write as _;

use testkit::{Gateway, Opened, PeerFault, Program, Setup, beside};
use url::Url;

/// A connector, by the id that its virtual server has too.
pub(crate) struct Connector {
    /// The id.
    pub(crate) id: String,
    /// How it is reached.
    pub(crate) way: Way,
    /// How calls to it are authenticated: TOML, or nothing.
    pub(crate) credential: Option<String>,
}

/// How a connector is reached.
pub(crate) enum Way {
    /// At an address.
    Url(Url),
    /// By starting a program.
    Command(Vec<String>),
}

/// Starts a gateway over them, with more at the start of its settings.
///
/// # Errors
/// If it does not start.
pub(crate) async fn gateway(connectors: &[Connector], more: &str) -> Result<Gateway, PeerFault> {
    gateway_with(connectors, more, None).await
}

/// As [`gateway`], for a person whose browser is this.
///
/// # Errors
/// If it does not start.
pub(crate) async fn gateway_with(
    connectors: &[Connector],
    more: &str,
    browser: Option<&Opened>,
) -> Result<Gateway, PeerFault> {
    let mut settings = format!("answer_in_terminal = true\n{more}\n");
    for Connector { id, way, credential } in connectors {
        let credential = credential.as_ref().map(|of| format!("credential = {of}\n")).unwrap_or_default();
        let way = match way {
            Way::Url(url) => format!("url = {:?}", url.as_str()),
            Way::Command(command) => format!("command = {command:?}"),
        };
        // Writing to a text cannot fail.
        let _written = write!(
            settings,
            "[connectors.{id}]\ntitle = \"{id}\"\n{way}\n{credential}\n[servers.{id}]\ntitle = \"{id}\"\nconnectors = [\"{id}\"]\n\n"
        );
    }
    let path = browser.map(|opened| opened.folder().to_owned()).into_iter().collect();
    Gateway::start(&beside(Program::Deskgate)?, Setup { settings, path, ..Setup::default() }).await
}

/// Lets an assistant in and returns its token.
///
/// # Errors
/// If it is not let in.
pub(crate) async fn token(gateway: &Gateway, server: &str) -> Result<String, PeerFault> {
    Ok(gateway.connect(server, "Conformance").await?.tokens.access_token)
}
