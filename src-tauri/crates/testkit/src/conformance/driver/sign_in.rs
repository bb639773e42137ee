//! The scenarios about signing in at a connector: the assistant calls a tool, the person signs in.

use serde_json::{Value, json};
use testkit::{Browser, Employee, Opened, PeerFault};
use url::Url;

use super::SERVER;
use super::assistant::Assistant;
use crate::era::Era;
use crate::settings::{Connector, Way, gateway_with, token};

/// Those in which something is wrong with the server, so that the call must not succeed.
const REFUSED: [&str; 7] = [
    "auth/iss-supported-missing",
    "auth/iss-unexpected",
    "auth/iss-wrong-issuer",
    "auth/iss-normalized",
    "auth/metadata-issuer-mismatch",
    "auth/resource-mismatch",
    "auth/scope-retry-limit",
];

/// The client that the suite takes by its document.
const DOCUMENT: &str = "client_metadata_url = \"https://conformance-test.local/client-metadata.json\"\n";

/// Does what a scenario wants.
///
/// # Errors
/// If a call ends otherwise than it must; with the gateway's log.
pub(super) async fn perform(scenario: &str, context: &Value, url: &Url) -> Result<(), PeerFault> {
    let mut opened = Opened::new()?;
    let connector = Connector {
        id: SERVER.to_owned(),
        way: Way::Url(url.clone()),
        credential: Some(credential(scenario, context)),
    };
    let secret = secret(scenario, context);
    let gateway = gateway_with(&[connector], DOCUMENT, Some(&opened)).await?;
    let mut assistant = Assistant::new(gateway.url(SERVER)?, token(&gateway, SERVER).await?, Era::Modern);
    let called = async {
        assistant.open().await?;
        assistant.call("test-tool", json!({})).await
    };
    let result = tokio::select! {
        result = called => result,
        fault = browse(&mut opened, secret) => Err(fault),
    };
    let wrong = |words: &str| PeerFault::answer(scenario, format!("{words}\n{}", gateway.log()));
    let succeeded = match result {
        Ok(result) => result["isError"] != true,
        Err(PeerFault::Answer { .. }) => false,
        Err(fault) => return Err(wrong(&fault.to_string())),
    };
    match (succeeded, REFUSED.contains(&scenario)) {
        (true, false) | (false, true) => Ok(()),
        (false, false) => Err(wrong("the call failed")),
        (true, true) => Err(wrong("the call succeeded")),
    }
}

/// The person follows every page to its end, and types what a program's account needs. Never returns but with a fault.
async fn browse(opened: &mut Opened, secret: Option<&str>) -> PeerFault {
    loop {
        let walked = async {
            let page = opened.next(super::TURN).await?;
            let mut browser = Browser::new(Employee::alice())?;
            let page = match secret {
                Some(secret) => browser.type_secret(&page, secret).await?,
                None => page,
            };
            browser.open(&page).await
        };
        if let Err(fault) = walked.await {
            return fault;
        }
    }
}

/// Whether a scenario is about a program's account.
fn is_of_program(scenario: &str) -> bool {
    scenario.starts_with("auth/client-credentials")
}

/// What is typed for a program's account.
fn secret<'a>(scenario: &str, context: &'a Value) -> Option<&'a str> {
    let text = |name: &str| context[name].as_str();
    text("private_key_pem").or_else(|| text("client_secret")).filter(|_| is_of_program(scenario))
}

/// Who Deskgate is at the server: as the context says, else it finds out.
fn credential(scenario: &str, context: &Value) -> String {
    if let Some(client_id) = context["client_id"].as_str().filter(|_| is_of_program(scenario)) {
        let authentication =
            if context["private_key_pem"].is_string() { "private_key_jwt" } else { "secret" };
        return format!(
            "{{ kind = \"client_credentials\", client_id = {client_id:?}, authentication = {authentication:?} }}"
        );
    }
    let text =
        |name: &str| context[name].as_str().map(|value| format!(", {name} = {value:?}")).unwrap_or_default();
    format!("{{ kind = \"user_oauth\"{}{} }}", text("client_id"), text("client_secret"))
}
