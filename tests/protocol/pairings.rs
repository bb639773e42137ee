//! Every pairing of an assistant's era with a connector's era and transport: nothing is lost between them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use testkit::{Gateway, OddEra, OddHttp, Program, program, until};

use crate::common::{Personal, SOON};

/// The eras of assistants.
pub(super) const ERAS: [OddEra; 2] = [OddEra::Legacy, OddEra::Modern];

/// Arguments that a typed relay changes.
const ARGUMENTS: &str = r#"{"n":12345678901234567890123,"x":1.50,"t":"caf\u00e9 \ud83d\ude00","deep":{"a":[1e400,-0.0]},"":null}"#;

pub(super) fn name(era: OddEra) -> &'static str {
    match era {
        OddEra::Legacy => "legacy",
        OddEra::Modern => "modern",
    }
}

/// The text of a request in one of the eras.
pub(super) fn body(era: OddEra, method: &str, params: &str) -> String {
    let meta = match era {
        OddEra::Legacy => r#""_meta":{"traceparent":"00-trace"}"#.to_owned(),
        OddEra::Modern => concat!(
            r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
            r#""io.modelcontextprotocol/clientCapabilities":{},"traceparent":"00-trace"}"#
        )
        .to_owned(),
    };
    let comma = if params.is_empty() { "" } else { "," };
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{params}{comma}{meta}}}}}"#)
}

fn call(era: OddEra, tool: &str, arguments: &str) -> String {
    body(era, "tools/call", &format!(r#""name":"{tool}","arguments":{arguments},"vendor":[1.50]"#))
}

/// Sends a request and gives the text of the answer.
pub(super) async fn post(
    url: &str,
    token: Option<&str>,
    era: OddEra,
    method: &str,
    tool: &str,
    body: String,
) -> String {
    let mut request = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(body);
    request = match era {
        OddEra::Legacy => {
            // Each end of the gateway has sessions of its own.
            let request =
                if token.is_none() { request.header("mcp-session-id", "odd-session") } else { request };
            request.header("mcp-protocol-version", "2025-11-25")
        }
        OddEra::Modern => request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", method),
    };
    if era == OddEra::Modern && !tool.is_empty() {
        request = request.header("mcp-name", tool);
    }
    if tool == "headed" {
        request = request.header("mcp-param-region", "eu");
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.expect("an answer").text().await.expect("text")
}

/// A gateway over the odd server of each era and transport, each behind a virtual server of its own.
pub(super) struct Pairings {
    pub(super) gateway: Gateway,
    pub(super) direct: BTreeMap<&'static str, OddHttp>,
    pub(super) tokens: BTreeMap<String, String>,
}

impl Pairings {
    pub(super) async fn start(policy: &str) -> Self {
        let odd = program(Program::Odd).expect("built");
        let odd = odd.to_str().expect("text").to_owned();
        let mut personal = Personal::default();
        if !policy.is_empty() {
            personal = personal.policy("odd", policy);
        }
        let mut direct = BTreeMap::new();
        for era in ERAS {
            let server = OddHttp::start(era).await.expect("a server");
            let command = [odd.clone(), "--era".to_owned(), name(era).to_owned()];
            let (http, stdio) = (format!("{}-http", name(era)), format!("{}-stdio", name(era)));
            personal = personal
                .http(&http, &server.url())
                .stdio(&stdio, &command)
                .server(&http, &[&http])
                .server(&stdio, &[&stdio]);
            direct.insert(name(era), server);
        }
        let gateway = personal.start().await;
        let mut tokens = BTreeMap::new();
        for era in ERAS {
            for transport in ["http", "stdio"] {
                let server = format!("{}-{transport}", name(era));
                let connected = gateway.connect(&server, "Differ").await.expect("let in");
                tokens.insert(server, connected.tokens.access_token);
            }
        }
        Self { gateway, direct, tokens }
    }

    pub(super) async fn through(
        &self,
        server: &str,
        era: OddEra,
        method: &str,
        tool: &str,
        body: String,
    ) -> String {
        let url = self.gateway.url(server).expect("a URL");
        post(url.as_str(), Some(&self.tokens[server]), era, method, tool, body).await
    }

    pub(super) async fn directly(&self, era: OddEra, method: &str, tool: &str, body: String) -> String {
        post(&self.direct[name(era)].url(), None, era, method, tool, body).await
    }

    /// Does the same with an assistant of each era and a connector of each era and transport.
    pub(super) async fn each(&self, mut check: impl AsyncFnMut(&Self, OddEra, OddEra, &str)) {
        for connector in ERAS {
            for transport in ["http", "stdio"] {
                for assistant in ERAS {
                    let server = format!("{}-{transport}", name(connector));
                    check(self, assistant, connector, &server).await;
                }
            }
        }
    }
}

/// An answer without what only one era has.
fn common(answer: &str) -> String {
    answer.replace(r#","resultType":"complete""#, "")
}

pub(super) fn members(text: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(super) fn texts(list: &RawValue) -> Vec<String> {
    let entries: Vec<Box<RawValue>> = serde_json::from_str(list.get()).expect("a list");
    entries.iter().map(|entry| entry.get().to_owned()).collect()
}

#[tokio::test]
async fn results_and_errors_pass_to_the_digit_in_every_pairing() {
    let pairings = Pairings::start("").await;
    let check = async |at: &Pairings, assistant, connector, server: &str| {
        for tool in ["mirror", "fail"] {
            let direct = at.directly(connector, "tools/call", tool, call(connector, tool, ARGUMENTS)).await;
            let through =
                at.through(server, assistant, "tools/call", tool, call(assistant, tool, ARGUMENTS)).await;
            assert!(direct.contains("12345678901234567890123"), "{direct}");
            assert_eq!(common(&through), common(&direct), "{tool}: {assistant:?} over {server}");
            let is_modern_result = assistant == OddEra::Modern && tool == "mirror";
            assert_eq!(through.contains("resultType"), is_modern_result, "{through}");
        }
    };
    pairings.each(check).await;
}

#[tokio::test]
async fn definitions_pass_to_the_digit_and_a_malformed_tool_is_left_out_alone() {
    let pairings = Pairings::start("").await;
    let check = async |at: &Pairings, assistant, connector, server: &str| {
        let mut expected = Vec::new();
        for cursor in ["", r#""cursor":"two""#] {
            let page = at.directly(connector, "tools/list", "", body(connector, "tools/list", cursor)).await;
            expected.extend(texts(&members(members(&page)["result"].get())["tools"]));
        }
        assert_eq!(expected.len(), 9, "{expected:?}");
        expected.retain(|tool| tool.starts_with(r#"{"name":""#));
        let list = at.through(server, assistant, "tools/list", "", body(assistant, "tools/list", "")).await;
        let result = members(members(&list)["result"].get());
        assert_eq!(texts(&result["tools"]), expected, "{assistant:?} over {server}");
        for modern in ["resultType", "ttlMs", "cacheScope"] {
            assert_eq!(result.contains_key(modern), assistant == OddEra::Modern, "{modern}: {list}");
        }
    };
    pairings.each(check).await;
}

#[tokio::test]
async fn a_question_that_cannot_be_asked_is_answered_in_words() {
    let pairings = Pairings::start("").await;
    let check = async |at: &Pairings, assistant, connector, server: &str| {
        if connector == OddEra::Modern {
            let answer =
                at.through(server, assistant, "tools/call", "asks", call(assistant, "asks", "{}")).await;
            assert!(answer.contains(r#""isError":true"#) && !answer.contains("inputRequests"), "{answer}");
        }
    };
    pairings.each(check).await;
}

#[tokio::test]
async fn a_message_hidden_in_an_argument_is_never_a_message_of_its_own() {
    let forbidden: String = ["legacy-stdio", "modern-stdio"]
        .map(|connector| {
            format!(
                "@id(\"no-danger-{connector}\")\n@reason(\"dangerous\")\n\
                 forbid (principal, action == Action::\"{connector}/danger\", resource);\n"
            )
        })
        .concat();
    let pairings = Pairings::start(&forbidden).await;
    let check = async |at: &Pairings, assistant, connector, server: &str| {
        if !server.ends_with("-stdio") {
            return;
        }
        // Spaces between the tokens of JSON may be line ends, and a line is a message on standard streams.
        for line_end in ["\n", "\r\n", "\r"] {
            let hidden = call(connector, "danger", "{}");
            let arguments = format!("{{\"a\":{line_end}{hidden}{line_end}}}");
            let answer = call(assistant, "mirror", &arguments);
            let answer = at.through(server, assistant, "tools/call", "mirror", answer).await;
            assert!(answer.contains("structuredContent"), "the call itself goes through: {answer}");
        }
        let called =
            at.through(server, assistant, "tools/call", "called", call(assistant, "called", "{}")).await;
        assert!(called.contains("mirror") && !called.contains("danger"), "{called}");
    };
    pairings.each(check).await;
}

#[tokio::test]
async fn an_old_program_is_found_out_however_it_takes_an_unknown_question() {
    let odd = program(Program::Odd).expect("built");
    let mut personal = Personal::default();
    let manners = ["refuses", "silent", "dies"];
    for manner in manners {
        let command = [odd.to_str().expect("text"), "--era", "legacy", "--manner", manner].map(str::to_owned);
        personal = personal.stdio(manner, &command).server(manner, &[manner]);
    }
    let gateway = personal.start().await;
    for manner in manners {
        let token = gateway.connect(manner, "Test").await.expect("let in").tokens.access_token;
        let url = gateway.url(manner).expect("a URL");
        let era = OddEra::Modern;
        let answer =
            post(url.as_str(), Some(&token), era, "tools/call", "mirror", call(era, "mirror", "{}")).await;
        assert!(answer.contains("structuredContent"), "{manner}: {answer}");
    }
}

#[tokio::test]
async fn a_connector_behind_a_url_tells_of_its_new_tools_in_either_era() {
    let pairings = Pairings::start("").await;
    let check = async |at: &Pairings, assistant, connector, server: &str| {
        if !server.ends_with("-http") {
            return;
        }
        let odd = &at.direct[name(connector)];
        let listed = || at.through(server, assistant, "tools/list", "", body(assistant, "tools/list", ""));
        listed().await;
        let listens = async || (odd.listeners() > 0).then_some(());
        until("the gateway listens", SOON, listens).await.expect("it does");
        odd.change();
        let is_there = async || listed().await.contains(r#""name":"late""#).then_some(());
        until("the new tool is listed", SOON, is_there).await.expect("it is");
    };
    pairings.each(check).await;
}

#[tokio::test]
async fn headers_that_repeat_arguments_are_written_for_connectors_that_want_them() {
    let mut pairings = Pairings::start("").await;
    let check = async |at: &Pairings, assistant, _: OddEra, server: &str| {
        let call = call(assistant, "headed", r#"{"region":"eu"}"#);
        let answer = at.through(server, assistant, "tools/call", "headed", call).await;
        assert!(answer.contains(r#""content":[]"#), "{assistant:?} over {server}: {answer}");
    };
    pairings.each(check).await;
    // After a restart the tools are known before the connector was asked for them again.
    pairings.gateway.restart().await.expect("it comes back");
    pairings.each(check).await;
}

#[tokio::test]
async fn a_connector_that_is_taken_out_of_the_settings_ends_with_its_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let note = folder.path().join("pid");
    let odd = program(Program::Odd).expect("built");
    let run = format!("echo $$ > {}; exec {} --era legacy", note.display(), odd.display());
    let command = ["/bin/sh", "-c", &run].map(str::to_owned);
    let gateway = Personal::default().stdio("odd", &command).server("desk", &["odd"]).start().await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    let era = OddEra::Legacy;
    let answer =
        post(url.as_str(), Some(&token), era, "tools/call", "mirror", call(era, "mirror", "{}")).await;
    assert!(answer.contains("structuredContent"), "{answer}");
    let pid = std::fs::read_to_string(&note).expect("it runs");
    let process = std::path::Path::new("/proc").join(pid.trim());
    assert!(process.exists());

    let settings = "policies = \"policies\"\nanswer_in_terminal = true\n";
    std::fs::write(gateway.home().join("deskgate.toml"), settings).expect("written");
    let gone = async || (!process.exists()).then_some(());
    until("the program ends", SOON, gone).await.expect("it does");
}
