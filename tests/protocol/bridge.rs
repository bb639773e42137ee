//! Assistants that speak only standard input and output, through `deskgate bridge`.

use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{Bridge, Claude, Gateway, OddEra, OddHttp, OddList, Program, Step, program, until};

use crate::common::{Personal, SOON};

/// A connector whose tool `hang` never answers, and whose `greet` answers with line breaks between its values.
const SLOW: &str = r#"
import json, sys

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("hang", "greet")]

for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if "id" not in message or (method == "tools/call" and message["params"]["name"] == "hang"):
        continue
    if method == "initialize":
        info = {"name": "slow", "version": "1"}
        answer = {"result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}}
    elif method == "tools/list":
        answer = {"result": {"tools": TOOLS}}
    elif method == "tools/call":
        answer = {"result": {"content": [{"type": "text", "text": "hello\nthere"}]}}
    else:
        answer = {"error": {"code": -32601, "message": "unknown method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
"#;

fn slow() -> Vec<String> {
    ["python3", "-c", SLOW].map(str::to_owned).to_vec()
}

fn request(id: u32, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn notification(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

fn call(id: u32, tool: &str) -> Value {
    request(id, "tools/call", json!({"name": tool, "arguments": {}}))
}

fn initialize() -> Value {
    let about = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about});
    request(0, "initialize", params)
}

/// A bridge that the person lets in and whose tools are known, with the words in which they were asked.
async fn let_in(gateway: &Gateway, server: &str) -> (Bridge, String) {
    gateway.offers(server).await.expect("offered");
    let mut bridge = gateway.bridge(server).expect("started");
    let first = initialize();
    let (answer, question) = tokio::join!(bridge.ask(&first), gateway.answer(true));
    let question = question.expect("the person is asked");
    assert_eq!(answer.expect("answered")["result"]["protocolVersion"], "2025-11-25");
    bridge.say(&notification("notifications/initialized", json!({}))).await.expect("said");
    let tools = async || {
        let listed = bridge.ask(&request(0, "tools/list", json!({}))).await.ok()?;
        (!listed["result"]["tools"].as_array()?.is_empty()).then_some(())
    };
    until("the tools", SOON, tools).await.expect("listed");
    (bridge, question)
}

/// Asks for notices under the id 5, in the stateless revision; the acknowledgement.
async fn listen(bridge: &mut Bridge, filter: Value) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"notifications": filter, "_meta": meta});
    bridge.say(&request(5, "subscriptions/listen", params)).await.expect("said");
    loop {
        // A session on the same line may be told of the connector's first list just before.
        let message = bridge.next().await.expect("answered");
        if message["method"] == "notifications/subscriptions/acknowledged" {
            return message;
        }
    }
}

/// The stream that a notice is told on.
fn id_of(message: &Value) -> Value {
    message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone()
}

/// Waits until the journal has a record with all of these texts.
async fn recorded(gateway: &Gateway, texts: &[&str]) {
    let what = format!("{texts:?} in the journal");
    let found = until(&what, SOON, async || {
        let output = gateway.deskgate(&["audit", "export"]).await.ok()?;
        let journal = String::from_utf8_lossy(&output.stdout).into_owned();
        journal.lines().any(|line| texts.iter().all(|text| line.contains(text))).then_some(())
    });
    found.await.expect("recorded");
}

#[tokio::test]
async fn an_assistant_works_through_a_bridge_in_either_era() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default().http("echo", &upstream).server("desk", &["echo"]).start().await;
    gateway.offers("desk").await.expect("offered");
    for mode in ["auto", "legacy"] {
        let assistant = gateway.bridged("desk").expect("an assistant").speaking(mode);
        let steps = [Step::ListTools, Step::call("echo", json!({"message": "hello"}))];
        let (transcript, question) = tokio::join!(assistant.run(None, &steps), gateway.answer(true));
        let (transcript, question) = (transcript.expect("connected"), question.expect("asked"));
        assert!(question.contains("wants to use Server desk"), "{question}");
        assert!(question.contains("/python"), "the program that started the bridge: {question}");
        assert_eq!(transcript.protocol, if mode == "auto" { "2026-07-28" } else { "2025-11-25" });
        assert_eq!(transcript.tool_names(0).len(), 10, "all of the connector's");
        assert_eq!(transcript.text(1), Some("hello"));
    }
    recorded(&gateway, &["\"echo\"", "intent", "stdio:"]).await;
}

#[tokio::test]
async fn claude_starts_a_bridge_and_is_asked_about_once() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default().http("echo", &upstream).server("desk", &["echo"]).start().await;
    gateway.offers("desk").await.expect("offered");
    let claude = Claude::new().expect("installed");
    let deskgate = program(Program::Deskgate).expect("built");
    let (deskgate, home) = (deskgate.to_string_lossy(), gateway.home().to_string_lossy().into_owned());
    let command = [&*deskgate, "bridge", "desk"];
    claude.add_program("desk", &format!("DESKGATE_HOME={home}"), &command).await.expect("added");

    let (listed, question) = tokio::join!(claude.list(), gateway.answer(true));
    let (listed, question) = (listed.expect("listed"), question.expect("the person is asked"));
    assert!(question.contains("claude wants to use Server desk"), "{question}");
    assert!(listed.contains("Connected"), "{listed}");
    let again = claude.list().await.expect("listed");
    assert!(again.contains("Connected"), "the consent is remembered for the program: {again}");
}

#[tokio::test]
async fn a_bridge_that_is_denied_answers_in_words() {
    let gateway = Personal::default().stdio("slow", &slow()).server("desk", &["slow"]).start().await;
    gateway.offers("desk").await.expect("offered");
    let mut bridge = gateway.bridge("desk").expect("started");
    let first = initialize();
    let (answer, question) = tokio::join!(bridge.ask(&first), gateway.answer(false));
    let this = std::env::current_exe().expect("a path");
    let question = question.expect("asked");
    assert!(question.contains(&*this.to_string_lossy()), "the program that started the bridge: {question}");
    let answer = answer.expect("answered");
    let words = answer["error"]["message"].as_str().expect("words").to_owned();
    assert!(answer["id"] == 0 && words.contains("did not let the assistant in"), "{answer}");
    let (status, told) = bridge.ended().await.expect("it ends");
    assert!(!status.success());
    assert_eq!(told.trim_end(), words, "on standard error the same");
}

#[tokio::test]
async fn a_bridge_says_when_no_instance_is_running() {
    let mut gateway = Personal::default().start().await;
    gateway.stop();
    let mut bridge = gateway.bridge("desk").expect("started");
    let answer = bridge.ask(&initialize()).await.expect("answered");
    assert!(
        answer["error"]["message"].as_str().expect("words").contains("Deskgate is not running."),
        "{answer}"
    );
    let (status, told) = bridge.ended().await.expect("it ends");
    assert!(!status.success() && told.contains("Deskgate is not running."), "{told}");
}

#[tokio::test]
async fn a_bridge_ends_with_either_side() {
    let mut gateway = Personal::default().stdio("slow", &slow()).server("desk", &["slow"]).start().await;
    let (mut first, _) = let_in(&gateway, "desk").await;
    first.close();
    let (status, told) = first.ended().await.expect("it ends");
    assert!(status.success() && told.is_empty(), "an assistant may end: {told}");

    let mut second = gateway.bridge("desk").expect("started");
    second.ask(&initialize()).await.expect("the same program is not asked about again");
    gateway.stop();
    let (status, told) = second.ended().await.expect("it ends");
    assert!(!status.success() && told.contains("Deskgate ended the connection"), "{told}");
}

#[tokio::test]
async fn a_bridge_reaches_the_virtual_server_that_it_was_let_into_and_no_other() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default()
        .http("echo", &upstream)
        .stdio("slow", &slow())
        .server("desk", &["echo"])
        .server("lab", &["slow"])
        .start()
        .await;
    let (mut desk, _) = let_in(&gateway, "desk").await;
    let listed = desk.ask(&request(1, "tools/list", json!({}))).await.expect("listed");
    let tools = listed["result"]["tools"].as_array().expect("tools").clone();
    assert!(tools.len() == 10 && tools.iter().all(|tool| tool["name"] != "greet"), "{listed}");
    let unknown = desk.ask(&call(2, "greet")).await.expect("answered");
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");

    let (mut lab, question) = let_in(&gateway, "lab").await;
    assert!(question.contains("Server lab"), "each virtual server is asked about: {question}");
    let greeted = lab.ask(&call(1, "greet")).await.expect("answered");
    assert_eq!(greeted["result"]["content"][0]["text"], "hello\nthere");

    let mut none = gateway.bridge("absent").expect("started");
    let refused = none.ask(&initialize()).await.expect("answered");
    let words = refused["error"]["message"].as_str().expect("words");
    assert!(words.contains("no virtual server absent"), "{words}");
}

#[tokio::test]
async fn a_slow_call_holds_up_nothing_and_is_cancelled_without_an_answer() {
    let gateway = Personal::default().stdio("slow", &slow()).server("desk", &["slow"]).start().await;
    let (mut bridge, _) = let_in(&gateway, "desk").await;
    bridge.say(&call(7, "hang")).await.expect("said");
    recorded(&gateway, &["\"hang\"", "intent"]).await;
    assert_eq!(bridge.ask(&request(8, "ping", json!({}))).await.expect("answered")["id"], 8);
    let twice = bridge.ask(&call(7, "greet")).await.expect("answered");
    assert_eq!(twice["error"]["code"], -32600, "an id is used once at a time: {twice}");

    bridge.say(&notification("notifications/cancelled", json!({"requestId": 7}))).await.expect("said");
    recorded(&gateway, &["outcome", "unknown", "dropped"]).await;
    let next = bridge.ask(&call(7, "greet")).await.expect("answered");
    assert_eq!(next["result"]["content"][0]["text"], "hello\nthere", "the cancelled call was not answered");
}

#[tokio::test]
async fn a_line_that_a_bridge_cannot_take_is_answered_and_the_next_one_works() {
    let gateway = Personal::default().stdio("slow", &slow()).server("desk", &["slow"]).start().await;
    let (mut bridge, _) = let_in(&gateway, "desk").await;
    let too_long = vec![b' '; 4 * 1024 * 1024 + 1];
    for (line, code) in [(&b"nonsense"[..], -32700), (b"{\"a\":1,\"a\":2}", -32700), (&too_long, -32600)] {
        bridge.write(line).await.expect("taken");
        let answer = bridge.answer().await.expect("answered");
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(code)), "{answer}");
    }
    assert_eq!(bridge.ask(&request(1, "ping", json!({}))).await.expect("answered")["result"], json!({}));
}

#[tokio::test]
async fn a_changed_tool_list_is_told_through_a_bridge_in_either_era() {
    let gateway = Personal::default().stdio("slow", &slow()).server("desk", &["slow"]).start().await;
    let (mut bridge, _) = let_in(&gateway, "desk").await;
    let message = listen(&mut bridge, json!({"toolsListChanged": true})).await;
    assert_eq!(id_of(&message), 5);

    let settings = gateway.home().join("deskgate.toml");
    let text = std::fs::read_to_string(&settings).expect("readable");
    std::fs::write(&settings, format!("{text}\n[servers.desk.tools]\nslow = [\"greet\"]\n"))
        .expect("written");
    let (mut legacy, mut modern) = (false, false);
    while !(legacy && modern) {
        let notice = bridge.next().await.expect("told");
        assert_eq!(notice["method"], "notifications/tools/list_changed", "{notice}");
        if id_of(&notice) == 5 { modern = true } else { legacy = true }
    }
    let tools = async || {
        let answer = bridge.ask(&request(6, "tools/list", json!({}))).await.ok()?;
        (answer["result"]["tools"].as_array()?.len() == 1).then_some(())
    };
    until("the shorter list", SOON, tools).await.expect("listed");
}

#[tokio::test]
async fn changes_of_prompts_and_resources_are_told_through_a_bridge_in_either_era() {
    let odd = OddHttp::start(OddEra::Legacy).await.expect("a server");
    let mut setup = Personal::default().http("odd", &odd.url()).server("desk", &["odd"]).setup();
    // The others are described with numbers that cannot be read here.
    setup.settings += "[servers.desk.tools]\nodd = [\"fail\"]\n";
    let deskgate = program(Program::Deskgate).expect("built");
    let gateway = Gateway::start(&deskgate, setup).await.expect("it starts");
    let (mut bridge, _) = let_in(&gateway, "desk").await;
    let listens = async || (odd.listeners() > 0).then_some(());
    until("the gateway listens", SOON, listens).await.expect("it does");
    let message = listen(&mut bridge, json!({"promptsListChanged": true})).await;
    assert_eq!(message["params"]["notifications"], json!({"promptsListChanged": true}));

    odd.change_of(OddList::Prompts);
    let mut told = Vec::new();
    while told.len() < 2 {
        let notice = bridge.next().await.expect("told");
        assert_eq!(notice["method"], "notifications/prompts/list_changed", "{notice}");
        told.push(id_of(&notice));
    }
    assert!(told.contains(&json!(5)) && told.contains(&Value::Null), "each once: {told:?}");
    odd.change_of(OddList::Resources);
    let notice = bridge.next().await.expect("told");
    assert_eq!(notice["method"], "notifications/resources/list_changed", "{notice}");
    assert_eq!(id_of(&notice), Value::Null, "the other asked for prompts only");
}
