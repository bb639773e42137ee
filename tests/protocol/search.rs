//! Virtual servers whose tools are searched for, as assistants of either era meet them.

use serde_json::{Value, json};
use testkit::{Gateway, OddEra, OddHttp, OddList, Program, program, until};

use super::pairings::{ERAS, body, members, post, texts};
use crate::common::{Personal, SOON};
use crate::hostile::{Upstream, done, response};

const THREE: [&str; 3] = ["search_tools", "describe_tools", "call_tool"];

/// An assistant that speaks either era at the virtual server `desk`.
struct Desk {
    gateway: Gateway,
    token: String,
}

impl Desk {
    async fn over(personal: Personal) -> Self {
        let gateway = personal.start().await;
        let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
        Self { gateway, token }
    }

    async fn ask(&self, era: OddEra, method: &str, tool: &str, params: &str) -> String {
        let url = self.gateway.url("desk").expect("a URL");
        post(url.as_str(), Some(&self.token), era, method, tool, body(era, method, params)).await
    }

    async fn call(&self, era: OddEra, tool: &str, arguments: &str) -> String {
        self.ask(era, "tools/call", tool, &format!(r#""name":"{tool}","arguments":{arguments}"#)).await
    }

    /// The texts of a tool's result.
    async fn texts(&self, era: OddEra, tool: &str, arguments: &Value) -> Vec<String> {
        let answer = self.call(era, tool, &arguments.to_string()).await;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["result"]["isError"], Value::Null, "{answer}");
        let blocks = answer["result"]["content"].as_array().unwrap_or_else(|| panic!("{answer}"));
        blocks.iter().map(|block| block["text"].as_str().expect("text").to_owned()).collect()
    }

    async fn found(&self, era: OddEra, query: &str) -> String {
        self.texts(era, "search_tools", &json!({"query": query})).await.concat()
    }

    /// What the audit journal holds of calls, denied ones included.
    async fn recorded(&self) -> Vec<Value> {
        let output = self.gateway.deskgate(&["audit", "export"]).await.expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let records = text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line"));
        records.filter(|record: &Value| record.to_string().contains("\"tools/call\"")).collect()
    }
}

#[tokio::test]
async fn three_tools_stand_for_all_others_in_either_era() {
    let odd = OddHttp::start(OddEra::Modern).await.expect("a server");
    let desk = Desk::over(Personal::default().http("odd", &odd.url()).searched("desk", &["odd"])).await;
    for era in ERAS {
        let listed = desk.ask(era, "tools/list", "", "").await;
        let tools = texts(&members(members(&listed)["result"].get())["tools"]);
        let names: Vec<_> =
            tools.iter().map(|tool| members(tool)["name"].get().trim_matches('"').to_owned()).collect();
        assert_eq!(names, THREE, "{era:?}");

        assert_eq!(
            desk.found(era, "say what you are told").await,
            "1 tool matches:\nmirror(n?: any) - says what it was told"
        );
        let found =
            desk.texts(era, "search_tools", &json!({"query": "mirror danger called", "limit": 2})).await;
        assert!(found.concat().starts_with("3 tools match; the best 2:\n"), "{found:?}");
        assert_eq!(
            desk.found(era, "payroll").await,
            "No tool matches. Try other words for what it should do."
        );

        let page = |cursor| post_directly(&odd, "tools/list", "", cursor);
        let direct = [page("").await, page(r#""cursor":"two""#).await];
        let direct: Vec<_> =
            direct.iter().flat_map(|page| texts(&members(members(page)["result"].get())["tools"])).collect();
        let described = desk.texts(era, "describe_tools", &json!({"names": ["called", "mirror"]})).await;
        assert_eq!(described.len(), 2);
        assert!(described.iter().all(|tool| direct.contains(tool)), "to the digit: {described:?}");
        assert!(described[1].contains("12345678901234567890123"), "in the order of the names: {described:?}");
    }
    let (method, params) = ("initialize", r#""protocolVersion":"2025-11-25","capabilities":{}"#);
    let opened = desk.ask(OddEra::Legacy, method, "", params).await;
    let discovered = desk.ask(OddEra::Modern, "server/discover", "", "").await;
    for said in [opened, discovered] {
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let said = said["result"]["instructions"].as_str().expect("instructions");
        assert!(THREE.iter().all(|tool| said.contains(tool)), "how the tools are found: {said}");
        assert!(said.ends_with("\n\nAsk the odd server \"politely\":\nsay café."), "and the rest: {said}");
    }
}

async fn post_directly(odd: &OddHttp, method: &str, tool: &str, params: &str) -> String {
    post(&odd.url(), None, OddEra::Modern, method, tool, body(OddEra::Modern, method, params)).await
}

#[tokio::test]
async fn a_call_within_call_tool_is_the_call_itself_to_the_digit() {
    let arguments =
        r#"{"n":12345678901234567890123,"x":1.50,"t":"caf\u00e9","deep":{"a":[1e400,-0.0]},"":null}"#;
    for connector in ERAS {
        let odd = OddHttp::start(connector).await.expect("a server");
        let desk = Desk::over(Personal::default().http("odd", &odd.url()).searched("desk", &["odd"])).await;
        for era in ERAS {
            for tool in ["mirror", "fail"] {
                let direct = format!(r#""name":"{tool}","arguments":{arguments},"vendor":[1.50]"#);
                let direct = desk.ask(era, "tools/call", tool, &direct).await;
                let within = format!(
                    r#""name":"call_tool","arguments":{{"name":"{tool}","arguments":{arguments}}},"vendor":[1.50]"#
                );
                let within = desk.ask(era, "tools/call", "call_tool", &within).await;
                assert_eq!(within, direct, "{tool}: {era:?} over {connector:?}");
                assert!(tool == "fail" || within.contains(&arguments[1..]), "{within}");
            }
            let none = desk.call(era, "call_tool", r#"{"name":"mirror"}"#).await;
            assert!(none.contains(r#""arguments":{}"#), "arguments may be left out: {none}");
        }
    }
}

#[tokio::test]
async fn what_policy_hides_is_not_found_described_or_called_and_calls_are_recorded_as_what_they_are() {
    let odd = OddHttp::start(OddEra::Modern).await.expect("a server");
    let policy = "@id(\"no-danger\")\nforbid (principal, action == Action::\"odd/danger\", resource);\n\
                  @id(\"no-seven\")\n@reason(\"Not seven\")\n\
                  forbid (principal, action == Action::\"odd/headed\", resource)\n\
                  when { context.input has region && context.input.region == \"seven\" };\n";
    let personal =
        Personal::default().http("odd", &odd.url()).searched("desk", &["odd"]).policy("less", policy);
    let desk = Desk::over(personal).await;
    for era in ERAS {
        assert_eq!(
            desk.found(era, "danger").await,
            "No tool matches. Try other words for what it should do."
        );
        assert!(desk.found(era, "danger headed").await.starts_with("1 tool matches:\nheaded("));
        let unknown = |name: &str| format!(r#""code":-32602,"message":"Unknown tool: {name}""#);
        for name in ["danger", "nothing"] {
            let described =
                desk.call(era, "describe_tools", &format!(r#"{{"names":["headed","{name}"]}}"#)).await;
            assert!(described.contains(&unknown(name)), "{described}");
            let called =
                desk.call(era, "call_tool", &format!(r#"{{"name":"{name}","arguments":{{}}}}"#)).await;
            assert!(called.contains(&unknown(name)), "{called}");
            let direct = desk.call(era, name, "{}").await;
            assert_eq!(direct, called, "as if it had been called by its name");
        }
    }
    let before = desk.recorded().await;
    let denied = |record: &&Value, tool: &str| {
        let text = record.to_string();
        text.contains(&format!("\"{tool}\"")) && text.contains("no-danger")
    };
    assert_eq!(before.len(), 8, "searching and describing leave no record: {before:?}");
    assert_eq!(before.iter().filter(|record| denied(record, "danger")).count(), 4, "{before:?}");

    for era in ERAS {
        let refused =
            desk.call(era, "call_tool", r#"{"name":"headed","arguments":{"region":"seven"}}"#).await;
        assert!(refused.contains("(Not seven)") && refused.contains(r#""isError":true"#), "{refused}");
        let called = desk.call(era, "call_tool", r#"{"name":"headed","arguments":{"region":"eu"}}"#).await;
        assert!(called.contains(r#""content":[]"#), "{called}");
    }
    let after = desk.recorded().await;
    let text = after.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    assert!(!text.contains("call_tool") && text.matches("\"headed\"").count() >= 4, "{text}");
    assert!(text.contains("no-seven"), "{text}");
}

#[tokio::test]
async fn headers_beside_call_tool_say_nothing_of_the_tool_or_the_truth() {
    let odd = OddHttp::start(OddEra::Modern).await.expect("a server");
    let desk = Desk::over(Personal::default().http("odd", &odd.url()).searched("desk", &["odd"])).await;
    let url = desk.gateway.url("desk").expect("a URL");
    let send = async |name: &str, region: Option<&str>| {
        let call = r#""name":"call_tool","arguments":{"name":"headed","arguments":{"region":"eu"}}"#;
        let mut request = reqwest::Client::new()
            .post(url.clone())
            .bearer_auth(&desk.token)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", name)
            .body(body(OddEra::Modern, "tools/call", call));
        if let Some(region) = region {
            request = request.header("mcp-param-region", region);
        }
        request.send().await.expect("an answer").text().await.expect("text")
    };
    // The odd server refuses a call whose headers do not repeat its arguments.
    for region in [None, Some("eu")] {
        let answer = send("call_tool", region).await;
        assert!(answer.contains(r#""content":[]"#), "{region:?}: {answer}");
    }
    assert!(send("call_tool", Some("us")).await.contains(r#""code":-32020"#), "another region");
    assert!(send("headed", None).await.contains(r#""code":-32020"#), "the header names what is called");
}

#[tokio::test]
async fn a_connector_s_tool_named_like_one_of_the_three_is_reached_through_them() {
    let tools = json!([
        {"name": "search_tools", "description": "Looks for hammers.", "inputSchema": {"type": "object"}},
        {"name": "call_tool", "description": "Rings a hammer.", "inputSchema": {"type": "object"}},
    ]);
    let upstream = Upstream::offering(tools, |mut stream, _, id| async move {
        let _gone =
            tokio::io::AsyncWriteExt::write_all(&mut stream, &response("200 OK", "", done(&id).as_bytes()))
                .await;
    })
    .await;
    let desk =
        Desk::over(Personal::default().http("shed", &upstream.url()).searched("desk", &["shed"])).await;
    for (at, era) in ERAS.into_iter().enumerate() {
        let found = desk.found(era, "hammers").await;
        assert!(found.contains("\nsearch_tools() - Looks for hammers."), "{found}");
        assert!(found.contains("\ncall_tool() - Rings a hammer."), "{found}");
        let described = desk.texts(era, "describe_tools", &json!({"names": ["call_tool"]})).await;
        assert!(described.concat().contains("Rings a hammer."), "{described:?}");
        assert_eq!(upstream.calls(), 2 * at, "no connector was called");
        for tool in ["search_tools", "call_tool"] {
            let called =
                desk.call(era, "call_tool", &format!(r#"{{"name":"{tool}","arguments":{{}}}}"#)).await;
            assert!(called.contains("\"result\""), "{called}");
        }
        assert_eq!(upstream.calls(), 2 * (at + 1), "the connector's own were called");
    }
}

#[tokio::test]
async fn what_cannot_be_searched_described_or_called_is_answered_in_words() {
    let odd = OddHttp::start(OddEra::Legacy).await.expect("a server");
    let desk = Desk::over(Personal::default().http("odd", &odd.url()).searched("desk", &["odd"])).await;
    let long = format!(r#"{{"query":"{}"}}"#, "mirror ".repeat(100_000));
    let wrong = [
        ("search_tools", "{}", "query is missing"),
        ("search_tools", r#"{"query":""}"#, "no word in the query"),
        ("search_tools", &long, "longer than 300 characters"),
        ("search_tools", r#"{"query":"mirror","limit":21}"#, "from 1 to 20"),
        ("search_tools", r#"{"query":"mirror","all":true}"#, "nothing else is taken"),
        ("describe_tools", r#"{"names":[]}"#, "names is a list"),
        ("call_tool", "{}", "does not name"),
        ("call_tool", r#"{"name":"mirror","arguments":"{}"}"#, "the arguments are an object"),
        ("call_tool", r#"{"name":"mirror","arguments":{},"vendor":1}"#, "and nothing else"),
    ];
    for era in ERAS {
        for (tool, arguments, words) in wrong {
            let answer = desk.call(era, tool, arguments).await;
            let is_answered = answer.contains(words) && answer.contains(r#""isError":true"#);
            assert!(is_answered && answer.len() < 500, "{tool} {arguments:.99}: {answer:.999}");
        }
    }
    assert_eq!(desk.recorded().await, [Value::Null; 0], "nothing was asked of a connector");
}

#[tokio::test]
async fn a_tool_that_comes_later_is_found_and_the_list_stays_what_it_is() {
    let odd = OddHttp::start(OddEra::Modern).await.expect("a server");
    let desk = Desk::over(Personal::default().http("odd", &odd.url()).searched("desk", &["odd"])).await;
    let era = OddEra::Modern;
    assert!(desk.found(era, "late").await.starts_with("No tool"), "not there yet");
    let listens = async || (odd.listeners() > 0).then_some(());
    until("the gateway listens", SOON, listens).await.expect("it does");
    odd.change_of(OddList::Tools);
    let is_found = async || (desk.found(era, "late").await == "1 tool matches:\nlate()").then_some(());
    until("the new tool is found", SOON, is_found).await.expect("it is");
    let listed = desk.ask(era, "tools/list", "", "").await;
    assert!(THREE.iter().all(|tool| listed.contains(tool)) && !listed.contains("late"), "{listed}");
}

#[tokio::test]
async fn a_person_is_asked_through_call_tool_as_through_the_tool_itself() {
    let fixture = program(Program::Fixture).expect("built");
    let mut personal = Personal::default();
    for era in ["legacy", "modern"] {
        let command =
            [fixture.to_str().expect("text"), "--era", era, "--transport", "stdio"].map(str::to_owned);
        personal = personal.stdio(era, &command);
    }
    let desk = Desk::over(personal.searched("desk", &["legacy", "modern"])).await;
    let url = desk.gateway.url("desk").expect("a URL");
    let tool = "test_input_required_result_elicitation";
    let found = desk.found(OddEra::Modern, "ask the person for a name").await;
    for connector in ["legacy", "modern"] {
        let tool = format!("{connector}_{tool}");
        assert!(found.contains(&tool), "both have it, under a name of its own: {found}");
        let within = json!({"name": "call_tool", "arguments": {"name": tool, "arguments": {}}});
        assert_eq!(asked_in_rounds(&url, &desk.token, within.clone()).await, "Hello, Ann!", "{connector}");
        assert_eq!(asked_in_a_session(&url, &desk.token, within).await, "Hello, Ann!", "{connector}");
    }
}

/// Calls without a session, answers what is asked in the next request, and gives the text of the result.
async fn asked_in_rounds(url: &reqwest::Url, token: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    });
    for _ in 0..3 {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let answer = reqwest::Client::new()
            .post(url.clone())
            .bearer_auth(token)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "call_tool")
            .json(&request);
        let answer: Value = answer.send().await.expect("answered").json().await.expect("JSON");
        let result = &answer["result"];
        if result["resultType"] == "complete" {
            return result["content"][0]["text"].as_str().expect("text").to_owned();
        }
        let asked = result["inputRequests"].as_object().unwrap_or_else(|| panic!("{answer}"));
        let answers = asked.iter().map(|(key, request)| (key.clone(), name_given(request)));
        params["inputResponses"] = Value::Object(answers.collect());
        if let Some(state) = result.get("requestState") {
            params["requestState"] = state.clone();
        }
    }
    panic!("it asks without end");
}

/// Calls in a session, answers what is asked on the way, and gives the text of the result.
async fn asked_in_a_session(url: &reqwest::Url, token: &str, params: Value) -> String {
    let mut session = None;
    let mut send = async |message: Value| {
        let mut request = reqwest::Client::new()
            .post(url.clone())
            .bearer_auth(token)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .json(&message);
        if let Some(session) = &session {
            request = request.header("mcp-session-id", session);
        }
        let response = request.send().await.expect("answered");
        if let Some(id) = response.headers().get("mcp-session-id") {
            session = Some(id.to_str().expect("text").to_owned());
        }
        response
    };
    let capabilities = json!({"elicitation": {}});
    let opening = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}});
    send(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": opening})).await;
    let mut response =
        send(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params})).await;
    let mut read = String::new();
    loop {
        let Some((event, rest)) =
            read.split_once("\n\n").map(|(event, rest)| (event.to_owned(), rest.to_owned()))
        else {
            let chunk =
                tokio::time::timeout(SOON, response.chunk()).await.expect("in time").expect("readable");
            read += std::str::from_utf8(&chunk.unwrap_or_else(|| panic!("it goes on after {read}")))
                .expect("text");
            continue;
        };
        read = rest;
        let Some(message) = event.strip_prefix("data: ") else { continue };
        let message: Value = serde_json::from_str(message).expect("JSON");
        if message["method"] == "elicitation/create" {
            send(json!({"jsonrpc": "2.0", "id": message["id"], "result": name_given(&message)})).await;
        } else if message["id"] == 2 {
            return message["result"]["content"][0]["text"]
                .as_str()
                .unwrap_or_else(|| panic!("{message}"))
                .to_owned();
        }
    }
}

/// Fills in the form's one field. What came in a session was asked under another name, and is understood under its own.
fn name_given(request: &Value) -> Value {
    let fields = request["params"]["requestedSchema"]["properties"].as_object();
    let field = fields.and_then(|fields| fields.keys().next()).unwrap_or_else(|| panic!("{request}"));
    json!({"action": "accept", "content": {field: "Ann", "name": "Ann"}})
}
