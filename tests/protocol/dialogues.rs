//! What connectors ask and tell while a call is under way, through a bridge: assistants of either era over connectors of
//! either era and transport.

use serde_json::{Value, json};
use testkit::{Bridge, Browser, Employee, Gateway, Process, Program, Spec, program, until};

use url::Url;

use crate::common::{Personal, SOON};

/// What connectors may ask of the assistants here.
fn capabilities() -> Value {
    json!({"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {"listChanged": true}})
}

/// The eras of assistants and connectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Legacy,
    Modern,
}

/// A gateway with one virtual server over each of the fixture's eras and transports.
struct Desk {
    gateway: Gateway,
    _connectors: Vec<Process>,
}

const SERVERS: [&str; 4] = ["legacy-http", "legacy-stdio", "modern-http", "modern-stdio"];

impl Desk {
    async fn start() -> Self {
        let fixture = program(Program::Fixture).expect("built");
        let mut personal = Personal::default();
        let mut connectors = Vec::new();
        for server in SERVERS {
            let (era, transport) = server.split_once('-').expect("two words");
            if transport == "http" {
                let spec = Spec::new(server, &fixture).args(["--era", era, "--transport", "http"]);
                let mut process = spec.start().expect("it starts");
                let url = process.ready_line("ready ", SOON).await.expect("it is ready");
                personal = personal.http(server, &url);
                connectors.push(process);
            } else {
                let program = fixture.to_str().expect("text");
                let command = [program, "--era", era, "--transport", "stdio"].map(str::to_owned);
                personal = personal.stdio(server, &command);
            }
            personal = personal.server(server, &[server]);
        }
        Self { gateway: personal.start().await, _connectors: connectors }
    }

    async fn talk(&self, server: &str, era: Era) -> Talk {
        talk(&self.gateway, server, era).await
    }
}

/// Starts a bridge to a virtual server and opens a conversation over it.
pub(crate) async fn talk(gateway: &Gateway, server: &str, era: Era) -> Talk {
    gateway.offers(server).await.expect("offered");
    let mut bridge = gateway.bridge(server).expect("started");
    let first = match era {
        Era::Legacy => {
            let params = json!({
                "protocolVersion": "2025-11-25", "capabilities": capabilities(),
                "clientInfo": {"name": "talker", "version": "1"},
            });
            json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
        }
        Era::Modern => message(Era::Modern, 0, "server/discover", json!({})),
    };
    // Once a program was let in to a virtual server it is not asked about again.
    let lets_in = async {
        let _not_asked = gateway.answer(true).await;
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        answer = bridge.ask(&first) => answer,
        () = lets_in => return Box::pin(talk(gateway, server, era)).await,
    };
    assert!(answer.expect("answered")["result"]["capabilities"]["tools"].is_object());
    if era == Era::Legacy {
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        bridge.say(&ready).await.expect("said");
    }
    Talk { bridge, era, next: 1, told: Vec::new(), visited: Vec::new() }
}

fn message(era: Era, id: u64, method: &str, mut params: Value) -> Value {
    if era == Era::Modern {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities();
        params["_meta"]["io.modelcontextprotocol/logLevel"] = json!("debug");
    }
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// An assistant behind a bridge, and all that it was told.
pub(crate) struct Talk {
    bridge: Bridge,
    era: Era,
    next: u64,
    told: Vec<Value>,
    /// The URLs that the person was asked to visit, and did.
    pub(super) visited: Vec<Url>,
}

impl Talk {
    /// Makes a request and answers whatever is asked, in the way of the era; the result.
    pub(crate) async fn does(&mut self, method: &str, params: Value) -> Value {
        let mut rounds = params.clone();
        loop {
            let result = self.asks(method, rounds.clone()).await;
            if result["resultType"] != "input_required" {
                return result;
            }
            assert_eq!(self.era, Era::Modern, "others are asked by requests: {result}");
            rounds = params.clone();
            if let Some(state) = result.get("requestState") {
                rounds["requestState"] = state.clone();
            }
            let asked = result["inputRequests"].as_object().expect("questions");
            for (key, question) in asked {
                rounds["inputResponses"][key] = self.says_to(question).await;
            }
        }
    }

    async fn asks(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        self.next += 1;
        self.bridge.say(&message(self.era, id, method, params)).await.expect("said");
        loop {
            let heard = self.bridge.next().await.expect("an answer");
            match (heard.get("method"), heard.get("id")) {
                (Some(_), Some(question)) => {
                    assert_eq!(self.era, Era::Legacy, "requests are not for the stateless: {heard}");
                    let answer =
                        json!({"jsonrpc": "2.0", "id": question, "result": self.says_to(&heard).await});
                    self.bridge.say(&answer).await.expect("said");
                }
                (Some(_), None) => self.told.push(heard),
                (None, _) => {
                    assert_eq!(heard["id"], id, "{heard}");
                    assert!(heard.get("error").is_none(), "{heard}");
                    return heard["result"].clone();
                }
            }
        }
    }

    /// The assistant's answer to a question. Whoever is asked to visit a URL signs in there first.
    async fn says_to(&mut self, question: &Value) -> Value {
        let Some(url) = question["params"]["url"].as_str() else { return said_to(question) };
        let url = Url::parse(url).expect("a URL");
        self.visited.push(url.clone());
        let http =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("HTTP");
        let answer = http.get(url).send().await.expect("it answers");
        let page = answer.headers().get("location").and_then(|page| page.to_str().ok()).expect("a page");
        let mut browser = Browser::new(Employee::alice()).expect("a browser");
        browser.sign_in_and_return(&Url::parse(page).expect("a URL")).await.expect("signed in");
        json!({"action": "accept"})
    }

    async fn calls(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.does("tools/call", json!({"name": tool, "arguments": arguments})).await;
        result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned()
    }

    /// What was told by these notifications, and is forgotten with that.
    pub(crate) fn notices(&mut self, method: &str) -> Vec<Value> {
        let all = std::mem::take(&mut self.told);
        let (these, others) = all.into_iter().partition(|notice| notice["method"] == method);
        self.told = others;
        these
    }

    /// Waits for a notification that is not in answer to anything.
    async fn hears(&mut self, method: &str) -> Value {
        loop {
            if let Some(notice) = self.notices(method).pop() {
                return notice;
            }
            let heard = self.bridge.next().await.expect("a notice");
            self.told.push(heard);
        }
    }
}

/// The assistant's answer to a question.
fn said_to(question: &Value) -> Value {
    match question["method"].as_str().expect("a method") {
        "roots/list" => json!({"roots": [{"uri": "file:///work", "name": "work"}]}),
        "sampling/createMessage" => {
            json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "Paris"}})
        }
        "elicitation/create" => {
            let fields = question["params"]["requestedSchema"]["properties"].as_object().expect("fields");
            let value =
                |name: &String| (name.clone(), json!(if name == "color" { "green" } else { "Alice" }));
            let mut content: serde_json::Map<_, _> = fields.keys().map(value).collect();
            content.insert("name".to_owned(), json!("Alice"));
            json!({"action": "accept", "content": content})
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn questions_of_connectors_are_answered_in_every_pairing() {
    let desk = Desk::start().await;
    for server in SERVERS {
        for era in [Era::Legacy, Era::Modern] {
            let mut talk = desk.talk(server, era).await;
            let at = format!("{era:?} over {server}");
            assert_eq!(
                talk.calls("test_input_required_result_elicitation", json!({})).await,
                "Hello, Alice!",
                "{at}"
            );
            let sampled = talk.calls("test_sampling", json!({"prompt": "Where?"})).await;
            assert_eq!(sampled, "LLM response: Paris", "{at}");
            let roots = talk.calls("test_input_required_result_list_roots", json!({})).await;
            assert!(roots.contains("file:///work"), "{at}: {roots}");
            let rounds = talk.calls("test_input_required_result_multi_round", json!({})).await;
            assert_eq!(rounds, "Alice likes green.", "{at}");
            let all = talk.calls("test_input_required_result_multiple_inputs", json!({})).await;
            assert_eq!(all, "All three were answered.", "{at}");
            let prompt = talk.does("prompts/get", json!({"name": "test_input_required_result_prompt"})).await;
            assert!(prompt["messages"].is_array(), "{at}: {prompt}");
        }
    }
}

#[tokio::test]
async fn progress_and_log_messages_come_before_the_answer_in_every_pairing() {
    let desk = Desk::start().await;
    for server in SERVERS {
        for era in [Era::Legacy, Era::Modern] {
            let mut talk = desk.talk(server, era).await;
            let at = format!("{era:?} over {server}");
            let params = json!({"name": "test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": "mine"}});
            talk.does("tools/call", params).await;
            let progress = talk.notices("notifications/progress");
            let done: Vec<_> = progress.iter().map(|notice| notice["params"]["progress"].as_f64()).collect();
            assert_eq!(done, [Some(0.0), Some(50.0), Some(100.0)], "{at}");
            assert!(progress.iter().all(|notice| notice["params"]["progressToken"] == "mine"), "{at}");
            if era == Era::Legacy {
                talk.does("logging/setLevel", json!({"level": "debug"})).await;
            }
            talk.calls("test_tool_with_logging", json!({})).await;
            let told = talk.notices("notifications/message").len();
            // This server logs on a stream of its own, and the last line may be slower than the answer.
            let least = if server == "legacy-http" { 1 } else { 3 };
            assert!((least..=3).contains(&told), "{at}: {told}");
            if era == Era::Legacy {
                talk.does("logging/setLevel", json!({"level": "error"})).await;
                talk.calls("test_tool_with_logging", json!({})).await;
                assert_eq!(talk.notices("notifications/message").len(), 0, "{at}: not grave enough");
            }
        }
    }
}

#[tokio::test]
async fn a_resource_is_followed_and_left_in_every_pairing() {
    const WATCHED: &str = "test://watched-resource";
    let desk = Desk::start().await;
    for server in SERVERS {
        for era in [Era::Legacy, Era::Modern] {
            let mut talk = desk.talk(server, era).await;
            let at = format!("{era:?} over {server}");
            match era {
                Era::Legacy => {
                    talk.does("resources/subscribe", json!({"uri": WATCHED})).await;
                }
                Era::Modern => {
                    let filter =
                        json!({"notifications": {"resourceSubscriptions": [WATCHED, "test://no-such"]}});
                    let listen = message(Era::Modern, 700, "subscriptions/listen", filter);
                    talk.bridge.say(&listen).await.expect("said");
                    let granted = talk.hears("notifications/subscriptions/acknowledged").await;
                    let granted = &granted["params"]["notifications"]["resourceSubscriptions"];
                    assert!(
                        granted.as_array().is_some_and(|all| all.contains(&json!(WATCHED))),
                        "{at}: {granted}"
                    );
                }
            }
            // A stateless connector is asked for it on a stream that may only just be opening.
            let updated = until("an update", SOON, async || {
                talk.calls("test_trigger_resource_change", json!({})).await;
                talk.calls("test_simple_text", json!({})).await;
                talk.notices("notifications/resources/updated").pop()
            });
            let updated = updated.await.unwrap_or_else(|fault| panic!("{at}: {fault}"));
            assert_eq!(updated["params"]["uri"], WATCHED, "{at}");
            let tag = &updated["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
            assert_eq!(*tag, if era == Era::Modern { json!(700) } else { Value::Null }, "{at}");
            if era == Era::Legacy {
                talk.does("resources/unsubscribe", json!({"uri": WATCHED})).await;
                talk.notices("notifications/resources/updated");
                talk.calls("test_trigger_resource_change", json!({})).await;
                talk.calls("test_simple_text", json!({})).await;
                assert!(talk.notices("notifications/resources/updated").is_empty(), "{at}: left");
            }
        }
    }
    let journal = desk.gateway.deskgate(&["audit", "export"]).await.expect("exported");
    let journal = String::from_utf8_lossy(&journal.stdout).into_owned();
    assert!(journal.contains("resources/subscribe") && journal.contains(WATCHED), "each is recorded");
}

#[tokio::test]
async fn each_round_is_a_decision_and_a_record_of_its_own() {
    let desk = Desk::start().await;
    for server in ["legacy-stdio", "modern-http"] {
        let mut talk = desk.talk(server, Era::Modern).await;
        talk.calls("test_input_required_result_elicitation", json!({})).await;
        let journal = desk.gateway.deskgate(&["audit", "export"]).await.expect("exported");
        let journal = String::from_utf8_lossy(&journal.stdout).into_owned();
        let of = |kind: &str, text: &str| {
            let (kind, server) = (format!("\"kind\":\"{kind}\""), format!("\"server\":\"{server}\""));
            journal
                .lines()
                .filter(|line| line.contains(&kind) && line.contains(&server) && line.contains(text))
                .count()
        };
        assert_eq!(of("intent", "test_input_required_result_elicitation"), 2, "{server}: {journal}");
        assert_eq!(of("outcome", "input-required"), 1, "{server}: {journal}");
    }
}

/// A connector of the newest revision with sessions whose tool is called as a task or not at all.
const JOBS: &str = r#"
import json, sys

TOOL = {"name": "build", "inputSchema": {"type": "object"}, "execution": {"taskSupport": "required"}}
TASK = {"taskId": "t1", "status": "working", "createdAt": "2026-01-01T00:00:00Z",
        "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": 60000}

def answer(method, params):
    if method == "initialize":
        tasks = {"requests": {"tools": {"call": {}}}, "cancel": {}}
        return {"result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "tasks": tasks},
                           "serverInfo": {"name": "jobs", "version": "1"}}}
    if method == "tools/list":
        return {"result": {"tools": [TOOL]}}
    if method == "tools/call":
        return {"result": {"task": TASK}} if "task" in params else {"error": {"code": -32601, "message": "as a task"}}
    if method == "tasks/result" and params["taskId"] == "t1":
        meta = {"io.modelcontextprotocol/related-task": {"taskId": "t1"}}
        return {"result": {"content": [{"type": "text", "text": "built"}], "n": 1.50, "_meta": meta}}
    return {"error": {"code": -32601, "message": "unknown method"}}

for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        sent = {"jsonrpc": "2.0", "id": message["id"], **answer(message["method"], message.get("params", {}))}
        print(json.dumps(sent), flush=True)
"#;

#[tokio::test]
async fn a_tool_that_works_as_a_task_only_answers_like_any_other() {
    let command = ["python3", "-c", JOBS].map(str::to_owned);
    let gateway = Personal::default().stdio("jobs", &command).server("jobs", &["jobs"]).start().await;
    let desk = Desk { gateway, _connectors: Vec::new() };
    for era in [Era::Legacy, Era::Modern] {
        let mut talk = desk.talk("jobs", era).await;
        for _ in 0..2 {
            let result = talk.does("tools/call", json!({"name": "build"})).await;
            assert_eq!(result["content"][0]["text"], "built", "{era:?}: {result}");
            assert!(
                result["_meta"].get("io.modelcontextprotocol/related-task").is_none(),
                "{era:?}: {result}"
            );
        }
    }
}
