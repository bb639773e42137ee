//! What a virtual server lists and says of itself beside its tools, in every pairing.

use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{OddEra, OddHttp, OddList, until};

use super::pairings::{ERAS, Pairings, body, members, name, post, texts};
use crate::common::{Personal, SOON};

/// Method, member of the result, how a well-formed entry begins.
const LISTS: [(&str, &str, &str); 3] = [
    ("resources/list", "resources", r#"{"uri":""#),
    ("resources/templates/list", "resourceTemplates", r#"{"uriTemplate":""#),
    ("prompts/list", "prompts", r#"{"name":""#),
];

/// The well-formed entries that the odd server itself gives, all pages.
async fn directly(
    at: &Pairings,
    connector: OddEra,
    (method, member, begins): (&str, &str, &str),
) -> Vec<String> {
    let mut entries = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = at.directly(connector, method, "", body(connector, method, &cursor)).await;
        let result = members(members(&page)["result"].get());
        entries.extend(texts(&result[member]));
        let Some(next) = result.get("nextCursor") else { break };
        cursor = format!(r#""cursor":{next}"#);
    }
    entries.retain(|entry| entry.starts_with(begins) && !entry.contains("twice"));
    entries
}

fn opening(era: OddEra) -> (&'static str, String) {
    let (method, params) = match era {
        OddEra::Legacy => (
            "initialize",
            r#""protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}"#,
        ),
        OddEra::Modern => ("server/discover", ""),
    };
    (method, body(era, method, params))
}

#[tokio::test]
async fn lists_pass_to_the_digit_and_malformed_entries_are_left_out_alone() {
    let pairings = Pairings::start("").await;
    let check = async |at: &Pairings, assistant, connector, server: &str| {
        for list in LISTS {
            let (method, member, _) = list;
            let expected = directly(at, connector, list).await;
            assert!(!expected.is_empty() && expected.concat().contains("1.50"), "{expected:?}");
            let answer = at.through(server, assistant, method, "", body(assistant, method, "")).await;
            let result = members(members(&answer)["result"].get());
            assert_eq!(texts(&result[member]), expected, "{method}: {assistant:?} over {server}");
            for modern in ["resultType", "ttlMs", "cacheScope"] {
                assert_eq!(result.contains_key(modern), assistant == OddEra::Modern, "{modern}: {answer}");
            }
        }
    };
    pairings.each(check).await;
}

#[tokio::test]
async fn an_unknown_cursor_is_refused_whatever_the_list() {
    let pairings = Pairings::start("").await;
    let check = async |at: &Pairings, assistant, _: OddEra, server: &str| {
        for method in ["tools/list", "resources/list", "resources/templates/list", "prompts/list"] {
            for cursor in [r#""two""#, "7"] {
                let asked = body(assistant, method, &format!(r#""cursor":{cursor}"#));
                let answer = at.through(server, assistant, method, "", asked).await;
                assert!(answer.contains(r#""code":-32602"#), "{method}: {answer}");
            }
        }
    };
    pairings.each(check).await;
}

#[tokio::test]
async fn what_a_connector_says_of_itself_is_said_in_either_era() {
    let pairings = Pairings::start("").await;
    let check = async |at: &Pairings, assistant, connector, server: &str| {
        // Once its tools are listed it has been heard.
        at.through(server, assistant, "tools/list", "", body(assistant, "tools/list", "")).await;
        let (method, asked) = opening(connector);
        let direct = members(&at.directly(connector, method, "", asked).await);
        let direct = members(direct["result"].get());
        let (method, asked) = opening(assistant);
        let through = members(&at.through(server, assistant, method, "", asked).await);
        let through = members(through["result"].get());

        assert_eq!(
            through["instructions"].get(),
            direct["instructions"].get(),
            "{assistant:?} over {server}"
        );
        let capabilities = members(through["capabilities"].get());
        let mut expected = vec![
            ("completions", "{}"),
            ("logging", "{}"),
            ("prompts", r#"{"listChanged":true}"#),
            ("resources", r#"{"listChanged":true,"subscribe":true}"#),
            ("tools", r#"{"listChanged":true}"#),
        ];
        if assistant == OddEra::Modern {
            expected.push(("experimental", r#"{"vendor/odd":{"n":12345678901234567890123}}"#));
            if connector == OddEra::Modern {
                let extensions = r#"{"vendor/ext":{"n":1.50},"io.modelcontextprotocol/tasks":{}}"#;
                expected.push(("extensions", extensions));
            }
        }
        expected.sort_unstable();
        let told: Vec<(&str, &str)> =
            capabilities.iter().map(|(name, value)| (name.as_str(), value.get())).collect();
        assert_eq!(told, expected, "{assistant:?} over {server}");
    };
    pairings.each(check).await;
}

#[tokio::test]
async fn what_no_connector_has_is_not_declared_once_all_were_heard() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default().http("echo", &upstream).server("desk", &["echo"]).start().await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    for era in ERAS {
        post(url.as_str(), Some(&token), era, "tools/list", "", body(era, "tools/list", "")).await;
        let (method, asked) = opening(era);
        let answer = members(&post(url.as_str(), Some(&token), era, method, "", asked).await);
        let result = members(answer["result"].get());
        assert_eq!(result["capabilities"].get(), r#"{"tools":{"listChanged":true}}"#);
        assert!(!result.contains_key("instructions"), "{result:?}");
        let (method, _, _) = LISTS[2];
        let prompts = post(url.as_str(), Some(&token), era, method, "", body(era, method, "")).await;
        assert!(prompts.contains(r#""prompts":[]"#), "{prompts}");
    }
}

#[tokio::test]
async fn two_connectors_in_one_virtual_server_keep_what_is_theirs() {
    let first = OddHttp::start(OddEra::Legacy).await.expect("a server");
    let second = OddHttp::start(OddEra::Modern).await.expect("a server");
    let gateway = Personal::default()
        .http("first", &first.url())
        .http("second", &second.url())
        .server("desk", &["first", "second"])
        .start()
        .await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    for era in ERAS {
        let list = async |method: &str, member: &str| {
            let answer = post(url.as_str(), Some(&token), era, method, "", body(era, method, "")).await;
            texts(&members(members(&answer)["result"].get())[member])
        };
        let prompt = |connector: &str| {
            [
                format!(
                    r#"{{"name":"{connector}_review","title":"Review \u00e9","arguments":[{{"name":"code","required":true,"x-vendor":12345678901234567890123}}],"vendor":[1.50]}}"#
                ),
                format!(r#"{{"name":"{connector}_café talk","_meta":{{"vendor/x":1e400}}}}"#),
            ]
        };
        let expected = [prompt("first"), prompt("second")].concat();
        assert_eq!(list("prompts/list", "prompts").await, expected, "{era:?}");
        assert_eq!(list("resources/list", "resources").await.len(), 2, "the first keeps both URIs");
        assert_eq!(list("resources/templates/list", "resourceTemplates").await.len(), 1);

        let (method, asked) = opening(era);
        let answer: Value =
            serde_json::from_str(&post(url.as_str(), Some(&token), era, method, "", asked).await)
                .expect("JSON");
        let said = "Ask the odd server \"politely\":\nsay café.";
        let both = format!("## Connector first\n{said}\n\n## Connector second\n{said}");
        assert_eq!(answer["result"]["instructions"], both);
    }
}

/// A connector with tools, whose other lists fail, do not end, or never come.
const BROKEN: &str = r#"
import json, sys

for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if "id" not in message or method == "resources/templates/list":
        continue
    if method == "initialize":
        info = {"name": "broken", "version": "1"}
        capabilities = {"tools": {}, "prompts": {}, "resources": {}}
        answer = {"result": {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info}}
    elif method == "tools/list":
        answer = {"result": {"tools": [{"name": "works", "inputSchema": {"type": "object"}}]}}
    elif method == "resources/list":
        answer = {"result": {"resources": [{"uri": "a:b", "name": "x" * 1000}] * 200, "nextCursor": "on"}}
    else:
        answer = {"error": {"code": -32601, "message": "unknown method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
"#;

#[tokio::test]
async fn a_list_that_fails_does_not_spoil_the_tools() {
    let command = ["python3", "-c", BROKEN].map(str::to_owned);
    let gateway = Personal::default().stdio("broken", &command).server("desk", &["broken"]).start().await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    for era in ERAS {
        let list = async |method: &str| {
            post(url.as_str(), Some(&token), era, method, "", body(era, method, "")).await
        };
        assert!(list("tools/list").await.contains(r#""name": "works""#), "{}", list("tools/list").await);
        for (method, member, _) in LISTS {
            assert!(list(method).await.contains(&format!(r#""{member}":[]"#)), "{method}");
        }
    }
}

/// A stream of notices, as an assistant reads it.
pub(super) struct Stream {
    response: reqwest::Response,
    read: String,
}

impl Stream {
    async fn open(at: &Pairings, server: &str, era: OddEra) -> Self {
        let filter = r#"{"promptsListChanged":true,"resourcesListChanged":true,"vendor":true}"#;
        Self::of(at.gateway.url(server).expect("a URL"), &at.tokens[server], era, filter).await
    }

    pub(super) async fn of(url: url::Url, token: &str, era: OddEra, filter: &str) -> Self {
        let client = reqwest::Client::new();
        let request = match era {
            OddEra::Legacy => client
                .get(url)
                .header("accept", "text/event-stream")
                .header("mcp-protocol-version", "2025-11-25"),
            OddEra::Modern => client
                .post(url)
                .header("accept", "application/json, text/event-stream")
                .header("content-type", "application/json")
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", "subscriptions/listen")
                .body(body(era, "subscriptions/listen", &format!(r#""notifications":{filter}"#))),
        };
        let response = request.bearer_auth(token).send().await.expect("answered");
        assert!(response.status().is_success(), "{response:?}");
        Self { response, read: String::new() }
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let message =
                    event.strip_prefix("data: ").map(|data| serde_json::from_str(data).expect("JSON"));
                self.read = rest.to_owned();
                match message {
                    Some(message) => return message,
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(SOON, self.response.chunk()).await.expect("in time");
            let chunk = chunk.expect("readable").expect("it goes on");
            self.read += std::str::from_utf8(&chunk).expect("text");
        }
    }
}

#[tokio::test]
async fn changes_of_every_list_reach_those_who_asked_for_them() {
    let pairings = Pairings::start("").await;
    for connector in ERAS {
        let server = format!("{}-http", name(connector));
        let odd = &pairings.direct[name(connector)];
        let prompts = || body(OddEra::Legacy, "prompts/list", "");
        pairings.through(&server, OddEra::Legacy, "prompts/list", "", prompts()).await;
        let listens = async || (odd.listeners() > 0).then_some(());
        until("the gateway listens", SOON, listens).await.expect("it does");
        if connector == OddEra::Modern {
            let wanted: Value = serde_json::from_str(&odd.wanted()).expect("JSON");
            let all =
                json!({"toolsListChanged": true, "resourcesListChanged": true, "promptsListChanged": true});
            assert_eq!(wanted, all, "all that the connector tells");
        }

        let mut legacy = Stream::open(&pairings, &server, OddEra::Legacy).await;
        let mut modern = Stream::open(&pairings, &server, OddEra::Modern).await;
        let acknowledged = modern.next().await;
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
        let granted = json!({"resourcesListChanged": true, "promptsListChanged": true});
        assert_eq!(acknowledged["params"]["notifications"], granted);

        for (list, topic) in
            [(OddList::Tools, "tools"), (OddList::Prompts, "prompts"), (OddList::Resources, "resources")]
        {
            odd.change_of(list);
            let method = format!("notifications/{topic}/list_changed");
            assert_eq!(legacy.next().await, json!({"jsonrpc": "2.0", "method": method, "params": {}}));
            // The first of the three was not asked for.
            if list != OddList::Tools {
                let notice = modern.next().await;
                assert_eq!(notice["method"], method, "{notice}");
                assert_eq!(notice["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 7);
            }
        }
        let listed = pairings.through(&server, OddEra::Legacy, "prompts/list", "", prompts()).await;
        assert!(listed.contains("late prompt"), "{listed}");
    }
}

#[tokio::test]
async fn what_policy_forbids_is_not_listed() {
    let odd = OddHttp::start(OddEra::Modern).await.expect("a server");
    let policy = "@id(\"no-review\")\nforbid (principal, action == Action::\"get_prompt\", resource)\n\
                  when { context.input.name == \"review\" };\n\
                  @id(\"no-two\")\nforbid (principal, action == Action::\"read_resource\", resource)\n\
                  when { context.input.uri == \"odd://two\" };\n";
    let gateway = Personal::default()
        .http("odd", &odd.url())
        .server("desk", &["odd"])
        .policy("less", policy)
        .start()
        .await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    for era in ERAS {
        let list = async |method: &str| {
            post(url.as_str(), Some(&token), era, method, "", body(era, method, "")).await
        };
        let prompts = list("prompts/list").await;
        assert!(prompts.contains("talk") && !prompts.contains("review"), "{prompts}");
        let resources = list("resources/list").await;
        assert!(resources.contains("/one") && !resources.contains("odd://two"), "{resources}");
        assert!(list("resources/templates/list").await.contains("odd://item"), "some may be read");
    }
}
