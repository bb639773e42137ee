//! What a connector at the organisation tells while it works reaches the assistant, whatever eras both speak.

use testkit::Spec;

use super::*;
use crate::protocol::dialogues::{Era, Talk, talk};

const TOOLS: &str = r#"[
{"name":"test_tool_with_progress","inputSchema":{"type":"object"}},
{"name":"test_tool_with_logging","inputSchema":{"type":"object"}}
]"#;
const POLICY: &str = r#"
@id("telling")
permit (principal, action, resource in Server::"telling-legacy");
@id("telling-too")
permit (principal, action, resource in Server::"telling-modern");
"#;

/// A brokered connector and a virtual server of the same name.
fn write(folder: &Path, name: &str, url: &str) {
    let write = |file: String, text: &str| std::fs::write(folder.join(file), text).expect("written");
    let credential = "{ kind = \"brokered\", credentials = [\"telling\"] }";
    write(
        format!("connectors/{name}.toml"),
        &format!("title = \"Telling\"\nurl = \"{url}\"\ncredential = {credential}\n"),
    );
    write(format!("connectors/{name}.tools.json"), TOOLS);
    write(format!("servers/{name}.toml"), &format!("title = \"Telling\"\nconnectors = [\"{name}\"]\n"));
    write("policies/telling.cedar".to_owned(), POLICY);
}

/// Calls until the session with the organisation, which opens after the sign-in, lets it.
async fn called(talk: &mut Talk, call: &serde_json::Value) {
    let done = async {
        while talk.does("tools/call", call.clone()).await["isError"] == true {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(SOON, done).await.expect("the call is made");
}

#[tokio::test]
async fn what_a_connector_at_the_organisation_tells_reaches_assistants_of_either_era() {
    let acme = acme().await;
    let fixture = program(Program::Fixture).expect("built");
    let mut connectors = Vec::new();
    let mut urls = Vec::new();
    for era in ["legacy", "modern"] {
        let spec = Spec::new("telling", &fixture).args(["--era", era, "--transport", "http"]);
        let mut process = spec.start().expect("it starts");
        let url: String = process.ready_line("ready ", SOON).await.expect("it is ready");
        urls.push((format!("telling-{era}"), url));
        connectors.push(process);
    }
    let published = acme.organisation.publish(|folder| {
        urls.iter().for_each(|(name, url)| write(folder, name, url));
    });
    published.await.expect("published");
    acme.organisation.put_credential("telling", "the-token-of-the-org").await.expect("stored");
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    for (name, _) in &urls {
        for era in [Era::Legacy, Era::Modern] {
            let mut talk = talk(&gateway, name, era).await;
            let call = json!({"name": "test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": "mine"}});
            called(&mut talk, &call).await;
            let told = talk.notices("notifications/progress");
            let steps: Vec<f64> =
                told.iter().map(|one| one["params"]["progress"].as_f64().expect("a number")).collect();
            assert_eq!(steps, [0.0, 50.0, 100.0], "{name} to {era:?}: {told:?}\n{}", gateway.log());
            assert!(told.iter().all(|one| one["params"]["progressToken"] == "mine"), "{told:?}");
            let call = json!({"name": "test_tool_with_logging", "arguments": {}});
            called(&mut talk, &call).await;
            let lines = talk.notices("notifications/message");
            // Older servers put their log on a stream of its own, which nobody follows at the organisation.
            let expected = if name.ends_with("modern") { 3 } else { 0 };
            assert_eq!(lines.len(), expected, "{name} to {era:?}: {lines:?}\n{}", gateway.log());
        }
    }
}
