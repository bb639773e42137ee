//! A call through desktop and organisation is one trace, which IT finds by the call's record.

use testkit::{OddEra, OddHttp};

use super::*;

const TOOLS: &str = r#"[{"name":"mirror","inputSchema":{"type":"object"}}]"#;
const POLICY: &str = r#"
@id("mirror")
permit (principal, action, resource in Server::"mirror");
"#;

/// A brokered connector and a virtual server of the same name.
fn write(folder: &Path, url: &str) {
    let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).expect("written");
    let credential = "{ kind = \"brokered\", credentials = [\"mirror\"] }";
    write(
        "connectors/mirror.toml",
        &format!("title = \"Mirror\"\nurl = \"{url}\"\ncredential = {credential}\n"),
    );
    write("connectors/mirror.tools.json", TOOLS);
    write("servers/mirror.toml", "title = \"Mirror\"\nconnectors = [\"mirror\"]\n");
    write("policies/mirror.cedar", POLICY);
}

/// Calls until the session with the organisation, which opens after the sign-in, lets it. The `traceparent` that the connector sees.
async fn seen(gateway: &Gateway, token: &str, meta: serde_json::Value) -> String {
    let params = json!({"name": "mirror", "arguments": {}, "_meta": meta});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    until("the call's answer", SOON, async || {
        let request = reqwest::Client::new().post(gateway.url("mirror").ok()?).bearer_auth(token);
        let request =
            request.header("accept", "application/json, text/event-stream").json(&call).timeout(SOON);
        let answer = request.send().await.expect("an answer").text().await.expect("text");
        // It has numbers that a typed reader does not take.
        let (_, trace) = answer.split_once(r#""trace":""#)?;
        trace.split('"').next().map(str::to_owned)
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()))
}

#[tokio::test]
async fn a_brokered_call_is_one_trace_that_is_found_by_its_record() {
    let mut acme = acme().await;
    let odd = OddHttp::start(OddEra::Modern).await.expect("a server");
    acme.organisation.publish(|folder| write(folder, &odd.url())).await.expect("published");
    acme.organisation.put_credential("mirror", "the-token-of-the-mirror").await.expect("stored");
    let mut opened = Opened::new().expect("a browser opener");
    let gateway = desktop(&acme, &opened).await;
    signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
    let token = gateway.connect("mirror", "Test").await.expect("let in").tokens.access_token;

    let own = seen(&gateway, &token, json!({})).await;
    let (_, trace, span) = parts(&own);
    let theirs = "4bf92f3577b34da6a3ce929d0e0e4736";
    let said = json!({"traceparent": format!("00-{theirs}-00f067aa0ba902b7-00"), "tracestate": "acme=1"});
    let passed = seen(&gateway, &token, said).await;
    assert_eq!(parts(&passed).1, theirs, "the assistant's own trace is kept: {passed}");
    assert_ne!(parts(&passed).2, "00f067aa0ba902b7", "below the control plane's span");

    let records = acme.organisation.records(&["--connector", "mirror"]).await.expect("told");
    let calls: BTreeSet<String> = records
        .iter()
        .filter_map(|record| record["body"]["call"].as_str())
        .map(|call| call.replace('-', ""))
        .collect();
    assert!(calls.contains(trace), "{trace} is no call of {records:#?}");
    // The span that the connector was told came to the collector too, below the request's.
    let own_span = format!("Trace ID       : {trace}\n");
    acme.collector.receives(&own_span, SOON).await.expect("told");
    acme.collector.receives(&format!("ID             : {span}\n"), SOON).await.expect("told");
    acme.collector.receives(&format!("Trace ID       : {theirs}\n"), SOON).await.expect("told");
    for said in [
        "Name           : tools/call mirror",
        "mcp.method.name: Str(tools/call)",
        "http.route: Str(/v1/broker",
    ] {
        acme.collector.receives(said, SOON).await.expect("told");
    }
}

/// Version, trace and span of a `traceparent`.
fn parts(text: &str) -> (&str, &str, &str) {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, "01"] = parts.as_slice() else { panic!("{text}") };
    (version, trace, span)
}
