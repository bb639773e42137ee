//! What a person without an assistant or a browser of their own can do: `deskgate-demo ask` and `deskgate-demo browse`.

use std::path::PathBuf;

use serde_json::Value;
use testkit::{Access, Assistant, Browser, Employee, Opened, PeerFault, Step};
use url::Url;

use crate::desk::SOON;
use crate::stage::wait_at;

/// Asks a virtual server as an assistant would, and prints the answer. Without a tool, the names of all tools.
///
/// # Errors
/// If it is not let in, or the arguments are no JSON.
pub(crate) async fn ask(
    server: Url,
    memory: PathBuf,
    tool: Option<String>,
    arguments: &str,
) -> Result<(), PeerFault> {
    let assistant = Assistant::new(server, Access::OAuth)?.remembering(memory);
    let step = match tool {
        Some(tool) => Step::call(tool, serde_json::from_str::<Value>(arguments)?),
        None => Step::ListTools,
    };
    let mut opened = Opened::new()?;
    let path = opened.path();
    let steps = [step];
    let work = assistant.run(Some(path), &steps);
    let page = async {
        // It opens a page only where it was not let in before.
        if let Ok(page) = opened.next(SOON).await {
            println!("Deskgate asks you whether this assistant may in.");
            let _answered = wait_at(page).await;
        }
        std::future::pending::<()>().await;
    };
    let transcript = tokio::select! {
        transcript = work => transcript?,
        () = page => return Ok(()),
    };
    match (&steps[0], transcript.text(0)) {
        (Step::ListTools, _) => println!("{}", transcript.tool_names(0).join("\n")),
        (Step::Call { .. }, Some(text)) => println!("{text}"),
        (Step::Call { .. }, None) => println!("{}", Value::Array(transcript.answers)),
    }
    Ok(())
}

/// Signs a person of Acme in at a page, as they would in a browser.
///
/// # Errors
/// If there is no such person, or the page does not let them.
pub(crate) async fn browse(login: &str, page: &Url) -> Result<(), PeerFault> {
    let known = [Employee::alice(), Employee::bob(), Employee::ivy()];
    let person = known.into_iter().find(|person| person.login == login);
    let person = person.ok_or_else(|| PeerFault::answer("Acme", format!("it has no {login}")))?;
    Browser::new(person)?.sign_in_and_return(page).await?;
    println!("{login} has signed in.");
    Ok(())
}
