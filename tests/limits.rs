//! Limits and bad input: whoever breaks the rules gets the specified answer, and nobody else notices.

use std::process::Command;

use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{Gateway, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{Personal, SOON, is_refused};
use crate::hostile::{
    Answer, MODERN, Raw, Upstream, answer, call, done, handles, modern, request, resident, response, script,
};

const HEADER_MISMATCH: i64 = -32020;
const UNSUPPORTED_VERSION: i64 = -32022;
const PARSE: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;

/// A gateway with the virtual server `desk` in front of these connectors, an assistant that was let in, and its process.
struct Desk {
    gateway: Gateway,
    raw: Raw,
    pid: u32,
}

impl Desk {
    async fn start(personal: Personal) -> Self {
        let mut gateway = personal.start().await;
        let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
        let raw = Raw { port: gateway.port(), token };
        let pid = gateway.process().expect("it runs").id();
        let desk = Self { gateway, raw, pid };
        desk.lists().await;
        desk
    }

    /// In front of a connector that echoes.
    async fn echo() -> (Self, Echo) {
        let echo = Echo::start().await.expect("an upstream");
        let url = format!("http://{}/mcp", echo.address());
        (Self::start(Personal::default().http("echo", &url).server("desk", &["echo"])).await, echo)
    }

    async fn before(upstream: &Upstream) -> Self {
        Self::start(Personal::default().http("acts", &upstream.url()).server("desk", &["acts"])).await
    }

    async fn lists(&self) -> Vec<Value> {
        let listed = self.raw.post(&[], request("tools/list", json!({})).to_string()).await;
        assert_eq!(listed.status, 200, "{listed:?}");
        listed.json()["result"]["tools"].as_array().cloned().unwrap_or_default()
    }

    async fn call(&self, tool: &str) -> Value {
        self.raw.post(&[], call(tool, &json!({})).to_string()).await.json()["result"].clone()
    }

    fn resident(&self) -> u64 {
        resident(self.pid)
    }
}

/// The headers of a request, some of them replaced or, with `None`, left out.
fn changed<'a>(
    headers: &'a [(String, String)],
    name: &'a str,
    values: &[&'a str],
) -> Vec<(&'a str, &'a str)> {
    let others = headers.iter().filter(|(known, _)| known != name).map(|(n, v)| (n.as_str(), v.as_str()));
    others.chain(values.iter().map(|value| (name, *value))).collect()
}

#[tokio::test]
async fn each_protocol_header_must_be_there_once_and_agree_with_the_body() {
    let (desk, _echo) = Desk::echo().await;
    let (headers, body) = modern("tools/call", json!({"name": "echo", "arguments": {"message": "hello"}}));
    let body = body.to_string();
    let with = async |name: &str, values: &[&str]| {
        let answer = desk.raw.post(&changed(&headers, name, values), &body).await;
        (answer.status, answer.code(), answer.json())
    };
    let encoded = "=?base64?ZWNobw==?=";
    let accepted: &[(&str, &[&str])] = &[
        ("MCP-Protocol-Version", &[MODERN]),
        ("Mcp-Method", &["tools/call"]),
        ("Mcp-Name", &["echo"]),
        ("Mcp-Name", &[encoded]),
        ("Mcp-Param-Unknown", &["whatever"]),
    ];
    for (name, values) in accepted {
        let (status, _, answer) = with(name, values).await;
        assert_eq!(status, 200, "{name}: {values:?} {answer}");
        assert_eq!(answer["result"]["content"][0]["text"], "hello", "{name}: {values:?}");
    }
    let refused: &[(&str, &[&str])] = &[
        ("MCP-Protocol-Version", &[]),
        ("MCP-Protocol-Version", &["2025-11-25"]),
        ("MCP-Protocol-Version", &["2026-07-2\u{e9}"]),
        ("MCP-Protocol-Version", &[MODERN, MODERN]),
        ("MCP-Protocol-Version", &[MODERN, "2025-11-25"]),
        ("MCP-Protocol-Version", &[""]),
        ("Mcp-Method", &[]),
        ("Mcp-Method", &["tools/list"]),
        ("Mcp-Method", &["Tools/Call"]),
        ("Mcp-Method", &["tools/c\u{e4}ll"]),
        ("Mcp-Method", &["tools/call", "tools/list"]),
        ("Mcp-Method", &["=?base64?dG9vbHMvY2FsbA==?="]),
        ("Mcp-Name", &[]),
        ("Mcp-Name", &["tool-1"]),
        ("Mcp-Name", &["Echo"]),
        ("Mcp-Name", &["ech\u{f6}"]),
        ("Mcp-Name", &["echo", "tool-1"]),
        ("Mcp-Name", &["=?base64?dG9vbC0x?="]),
        ("Mcp-Name", &["=?base64?ZWNobw?="]),
        ("Mcp-Name", &["=?base64?%%%%?="]),
        ("Mcp-Name", &["=?BASE64?ZWNobw==?="]),
    ];
    for (name, values) in refused {
        let (status, code, answer) = with(name, values).await;
        assert_eq!((status, code), (400, HEADER_MISMATCH), "{name}: {values:?} {answer}");
        assert_eq!(answer["id"], 1, "the assistant can tell what was refused");
    }
    let (status, _, _) = with("Mcp-Name", &["ec\u{1}ho"]).await;
    assert_eq!(status, 400, "a control character is no part of a header");

    let (status, code, answer) = with("MCP-Protocol-Version", &["2031-01-01"]).await;
    assert_eq!((status, code), (400, UNSUPPORTED_VERSION), "{answer}");
    let data = &answer["error"]["data"];
    assert_eq!(data["requested"], "2031-01-01");
    assert!(data["supported"].as_array().expect("a list").contains(&json!(MODERN)), "{data}");

    let old = call("echo", &json!({"message": "hello"})).to_string();
    let unreadable = desk.raw.post(&[("MCP-Protocol-Version", "2025-11-2\u{e9}")], &old).await;
    assert_eq!(unreadable.status, 400, "also in revisions with sessions: {unreadable:?}");
}

#[tokio::test]
async fn what_is_not_one_message_is_refused_with_its_code() {
    let (desk, _echo) = Desk::echo().await;
    let one = request("tools/list", json!({})).to_string();
    let bodies: &[(&str, Vec<u8>, i64)] = &[
        ("nothing", Vec::new(), PARSE),
        ("half a message", one.as_bytes()[..20].to_vec(), PARSE),
        ("not UTF-8", b"{\"jsonrpc\":\"\xff\"}".to_vec(), PARSE),
        ("a key twice", br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list"}"#.to_vec(), PARSE),
        (
            "a key twice, once escaped",
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","\u006dethod":"tools/call"}"#.to_vec(),
            PARSE,
        ),
        ("100,000 levels", [b"[".repeat(100_000), b"]".repeat(100_000)].concat(), PARSE),
        ("an absurd number", br#"{"jsonrpc":"2.0","id":1e999999,"method":"tools/list"}"#.to_vec(), PARSE),
        ("a batch", format!("[{one},{one}]").into_bytes(), INVALID_REQUEST),
        ("an empty batch", b"[]".to_vec(), INVALID_REQUEST),
        ("a text", b"\"tools/list\"".to_vec(), INVALID_REQUEST),
        ("another version", br#"{"jsonrpc":"1.0","id":1,"method":"tools/list"}"#.to_vec(), INVALID_REQUEST),
        ("no id", br#"{"jsonrpc":"2.0","method":"tools/list"}"#.to_vec(), INVALID_REQUEST),
        ("id null", br#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#.to_vec(), INVALID_REQUEST),
        ("an imitation", br#"{"jsonrpc":"2.0","id":1,"Method":"tools/list"}"#.to_vec(), INVALID_REQUEST),
    ];
    for (what, body, code) in bodies {
        let answer = desk.raw.post(&[], body).await;
        assert_eq!((answer.status, answer.code()), (400, *code), "{what}: {answer:?}");
        assert_eq!(answer.json()["id"], Value::Null, "{what}");
    }
    let notified =
        desk.raw.post(&[], r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}"#).await;
    assert_eq!((notified.status, notified.body.as_str()), (202, ""), "{notified:?}");
}

#[tokio::test]
async fn other_types_encodings_methods_and_paths_are_named() {
    let (desk, _echo) = Desk::echo().await;
    let one = request("tools/list", json!({})).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let answer = desk.raw.post(&[("Content-Type", content_type)], &one).await;
        assert_eq!(answer.status, 415, "{content_type:?}: {answer:?}");
    }
    let answer = desk.raw.post(&[("Content-Type", "Application/JSON; charset=utf-8")], &one).await;
    assert_eq!(answer.status, 200, "{answer:?}");

    for encoding in ["gzip", "br", "zstd", "identity, gzip"] {
        let answer = desk.raw.post(&[("Content-Encoding", encoding)], &one).await;
        assert_eq!(answer.status, 415, "{encoding}: {answer:?}");
        assert_eq!(answer.header("accept-encoding"), Some("identity"), "RFC 9110, section 15.5.16");
    }
    assert_eq!(desk.raw.post(&[("Content-Encoding", "identity")], &one).await.status, 200);

    let bare = async |method: &str, path: &str| {
        let head = desk.raw.head(&[("Content-Length", "0")]);
        let head = head.replacen("POST /s/desk/mcp", &format!("{method} {path}"), 1);
        desk.raw.send(format!("{head}\r\n").as_bytes()).await
    };
    for method in ["PUT", "PATCH", "OPTIONS", "BREW"] {
        let answer = bare(method, "/s/desk/mcp").await;
        assert_eq!(answer.status, 405, "{method}: {answer:?}");
        assert_eq!(answer.header("allow"), Some("DELETE, GET, HEAD, POST"), "RFC 9110, section 15.5.6");
    }
    let answer = bare("DELETE", "/s/desk/mcp").await;
    assert_eq!(answer.status, 400, "it names no session to end: {answer:?}");
    for (path, allowed) in [
        ("/oauth/token", "POST"),
        ("/oauth/register", "POST"),
        ("/.well-known/oauth-authorization-server", "GET"),
    ] {
        let answer = bare("PUT", path).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{path}: {answer:?}");
    }
    for path in
        ["/", "/s/desk", "/s/desk/mcp/", "/s/desk/MCP", "/s/..%2f/mcp", "/mcp", "/oauth", "/favicon.ico"]
    {
        assert_eq!(bare("POST", path).await.status, 404, "{path}");
    }
    let unknown = desk.raw.post(&[], request("tools/destroy", json!({})).to_string()).await;
    assert_eq!((unknown.status, unknown.code()), (200, -32601), "{unknown:?}");
    let (headers, body) = modern("tools/destroy", json!({}));
    let unknown = desk.raw.post(&changed(&headers, "", &[]), body.to_string()).await;
    assert_eq!((unknown.status, unknown.code()), (404, -32601), "{unknown:?}");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_refusal_arrives() {
    let (desk, _echo) = Desk::echo().await;
    let before = desk.resident();
    let large = call("echo", &json!({"message": "x".repeat(5 * 1024 * 1024)})).to_string();
    let told = desk.raw.post(&[], &large).await;
    assert_eq!((told.status, told.code()), (413, INVALID_REQUEST), "{told:?}");

    let untold = format!(
        "{}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        desk.raw.head(&[]),
        large.len()
    );
    let untold = desk.raw.send(untold.as_bytes()).await;
    assert_eq!((untold.status, untold.code()), (413, INVALID_REQUEST), "{untold:?}");

    let head = desk.raw.head(&[("Content-Length", "500000000"), ("Expect", "100-continue")]);
    let asked = desk.raw.send(format!("{head}\r\n").as_bytes()).await;
    assert_eq!(asked.status, 413, "it is not asked to send: {asked:?}");

    let form = format!("a={}", "x".repeat(100_000));
    let head = desk.raw.head(&[("Content-Type", "application/x-www-form-urlencoded")]);
    let head = head.replacen("/s/desk/mcp", "/oauth/token", 1);
    let length = form.len();
    let token = desk.raw.send(format!("{head}Content-Length: {length}\r\n\r\n{form}").as_bytes()).await;
    assert_eq!(token.status, 413, "{token:?}");

    let long = "x".repeat(4_000_000);
    let long = desk.raw.post(&[("X-Long", &long)], "{}").await.status;
    assert!([0, 431].contains(&long), "refused, or cut off by a closed connection: {long}");
    let many: Vec<_> = (0..300).map(|number| (format!("X-{number}"), "x")).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(desk.raw.post(&many, "{}").await.status, 431);
    for nonsense in ["99999999999999999999999", "-1", "1, 2", "abc"] {
        let head = desk.raw.head(&[("Content-Length", nonsense)]);
        assert_eq!(desk.raw.send(format!("{head}\r\n{{}}").as_bytes()).await.status, 400, "{nonsense}");
    }
    let grown = desk.resident().saturating_sub(before);
    assert!(grown < 32, "{grown} MiB more");
}

#[tokio::test]
async fn a_million_keys_cost_no_memory() {
    let (desk, _echo) = Desk::echo().await;
    let keys = |count: usize| {
        let keys: Vec<String> = (0..count).map(|key| format!("\"{key:x}\":0")).collect();
        let arguments = format!("{{{}}}", keys.join(","));
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{arguments}}}}}"#
        )
    };
    let (million, most) = (keys(1_000_000), keys(420_000));
    assert!(most.len() < 4 * 1024 * 1024, "as many as fit into a message");
    let before = desk.resident();
    assert_eq!(desk.raw.post(&[], &million).await.status, 413);
    for _ in 0..3 {
        let answer = desk.raw.post(&[], &most).await;
        assert!(answer.json()["error"].is_object() || is_refused(&answer.json()["result"]), "{answer:?}");
    }
    let grown = desk.resident().saturating_sub(before);
    assert!(grown < 32, "{grown} MiB more");
    assert!(!desk.lists().await.is_empty());
}

#[tokio::test]
async fn half_a_head_or_half_a_message_keeps_no_connection() {
    let (desk, _echo) = Desk::echo().await;
    let head = desk.raw.head(&[("Content-Length", "100")]);
    let token = head.replacen("/s/desk/mcp", "/oauth/token", 1);
    let nobody = head.replacen("Bearer ", "Bearer x", 1);
    let halves = [
        ("nothing", String::new(), None),
        ("half a head", head[..60].to_owned(), None),
        ("half a message", format!("{head}\r\n{{"), Some(408)),
        ("half a message of nobody", format!("{nobody}\r\n{{"), Some(401)),
        ("half a form", format!("{token}\r\na="), Some(408)),
    ];
    let mut open = Vec::new();
    for (what, half, status) in halves {
        let mut stream = TcpStream::connect(("127.0.0.1", desk.raw.port)).await.expect("connected");
        stream.write_all(half.as_bytes()).await.expect("sent");
        open.push((what, stream, status));
    }
    assert!(!desk.lists().await.is_empty(), "others are served meanwhile");
    for (what, mut stream, status) in open {
        let mut read = Vec::new();
        let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut read)).await;
        ended.unwrap_or_else(|_| panic!("{what}: the connection is still open")).expect("closed in order");
        let text = String::from_utf8_lossy(&read).into_owned();
        let told = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        assert!(status.is_none() || told == status, "{what}: {text}");
    }
}

#[tokio::test]
async fn threat_24_more_idle_connections_than_there_is_room_for_keep_nobody_out() {
    let (desk, _echo) = Desk::echo().await;
    let before = handles(desk.pid);
    let idle = async |count: usize| {
        let mut open = Vec::new();
        for number in 0..count {
            let mut stream = TcpStream::connect(("127.0.0.1", desk.raw.port)).await.expect("connected");
            if number % 2 == 1 {
                stream.write_all(b"POST /s/desk/mcp HTTP/1.1\r\nHost: 127").await.expect("sent");
            }
            open.push(stream);
        }
        open
    };
    let some = idle(500).await;
    until("all of them to be accepted", SOON, async || (handles(desk.pid) >= before + 400).then_some(()))
        .await
        .expect("accepted");
    assert!(!desk.lists().await.is_empty(), "others are served beside 500 idle connections");
    let more = idle(700).await;
    assert!(!desk.lists().await.is_empty(), "and beside more than there is room for");
    drop((some, more));
    until("the file handles to return", SOON, async || (handles(desk.pid) <= before + 4).then_some(()))
        .await
        .expect("returned");
}

#[tokio::test]
async fn threat_24_one_assistant_s_streams_leave_room_for_others() {
    let (desk, _echo) = Desk::echo().await;
    let before = handles(desk.pid);
    let open = async || {
        let head = desk.raw.head(&[]).replacen("POST", "GET", 1);
        let mut stream = TcpStream::connect(("127.0.0.1", desk.raw.port)).await.expect("connected");
        stream.write_all(format!("{head}\r\n").as_bytes()).await.expect("sent");
        let mut read = Vec::new();
        while !read.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut read).await.expect("readable"), 0, "an answer");
        }
        let status = String::from_utf8_lossy(&read).split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or(0_u16), stream)
    };
    let mut streams = Vec::new();
    let refused = loop {
        match open().await {
            (200, stream) => streams.push(stream),
            (status, _) => break status,
        }
        assert!(streams.len() < 400, "one assistant may have them all");
    };
    assert_eq!(refused, 429);
    assert!(streams.len() >= 16, "an assistant with many windows is well served: {}", streams.len());
    assert!(!desk.lists().await.is_empty(), "its requests are still answered");

    let other = desk.gateway.connect("desk", "Another").await.expect("let in").tokens.access_token;
    let other = Raw { port: desk.raw.port, token: other };
    let listed = other.post(&[], request("tools/list", json!({})).to_string()).await;
    assert_eq!(listed.status, 200, "and so are those of others");
    drop(streams);
    until("the file handles to return", SOON, async || (handles(desk.pid) <= before + 4).then_some(()))
        .await
        .expect("returned");
    let again = until("a stream", SOON, async || (open().await.0 == 200).then_some(())).await;
    again.expect("who closed streams may open one");
}

#[tokio::test]
async fn threat_23_a_compressed_answer_is_not_unpacked() {
    let packed = Command::new("/bin/sh")
        .args(["-c", "head -c 268435456 /dev/zero | tr '\\0' ' ' | gzip -9"])
        .output()
        .expect("gzip runs")
        .stdout;
    assert!(packed.len() < 1024 * 1024, "one to a thousand: {}", packed.len());
    let upstream = Upstream::start(move |mut stream, head, _| {
        let packed = packed.clone();
        async move {
            assert!(head.contains("accept-encoding: identity"), "it is said that none is wanted: {head}");
            let answer = response("200 OK", "Content-Encoding: gzip\r\n", &packed);
            let _gone = stream.write_all(&answer).await;
        }
    })
    .await;
    let desk = Desk::before(&upstream).await;
    let before = desk.resident();
    for _ in 0..3 {
        let answer = desk.call("act").await;
        assert!(is_refused(&answer), "{answer}");
        let text = answer["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        assert!(text.contains("cannot be used"), "{text}");
    }
    let grown = desk.resident().saturating_sub(before);
    assert!(grown < 32, "{grown} MiB more");
}

#[tokio::test]
async fn an_answer_of_a_connector_that_does_not_end_is_cut_off() {
    const KINDS: [&str; 4] = [
        "Content-Type: application/json\r\nContent-Length: 500000000",
        "Content-Type: application/json\r\nTransfer-Encoding: chunked",
        "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked",
        "Content-Type: text/event-stream",
    ];
    let kinds = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Upstream::start(move |mut stream, _, _| {
        let kind = KINDS[kinds.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % KINDS.len()];
        async move {
            let piece = if kind.contains("event-stream") {
                ": on and on\n\n".repeat(5000)
            } else {
                " ".repeat(60_000)
            };
            let piece = match kind.contains("chunked") {
                true => format!("{:x}\r\n{piece}\r\n", piece.len()),
                false => piece,
            };
            let mut sent = stream.write_all(format!("HTTP/1.1 200 OK\r\n{kind}\r\n\r\n").as_bytes()).await;
            while sent.is_ok() {
                sent = stream.write_all(piece.as_bytes()).await;
            }
        }
    })
    .await;
    let desk = Desk::before(&upstream).await;
    let before = desk.resident();
    for kind in KINDS {
        let answer = desk.call("act").await;
        assert!(is_refused(&answer), "{kind}: {answer}");
    }
    assert_eq!(upstream.calls(), KINDS.len(), "none was tried twice");
    let grown = desk.resident().saturating_sub(before);
    assert!(grown < 96, "{grown} MiB more");
}

#[tokio::test]
async fn a_program_s_line_that_does_not_end_is_an_answer_and_the_program_is_started_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let endless = script(folder.path(), "endless", "while :; do printf '%04000d' 0; done");
    let large = script(
        folder.path(),
        "large",
        "printf '{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"x\":\"' \"$id\"; head -c 20000000 /dev/zero | tr '\\0' x; echo '\"}}'",
    );
    let personal = Personal::default().stdio("endless", &endless).stdio("large", &large);
    let desk = Desk::start(personal.server("desk", &["endless", "large"])).await;
    let before = desk.resident();
    for _ in 0..2 {
        for tool in ["endless", "large"] {
            let answer = desk.call(tool).await;
            let text = answer["content"][0]["text"].as_str().unwrap_or_default().to_owned();
            assert!(is_refused(&answer) && text.contains("cannot be used"), "{tool}: {answer}");
        }
    }
    let grown = desk.resident().saturating_sub(before);
    assert!(grown < 96, "{grown} MiB more");
}

#[tokio::test]
async fn a_program_may_write_to_its_standard_error_without_end() {
    let folder = tempfile::tempdir().expect("a folder");
    // One line of 24 MB, as a bar of progress is, before each answer.
    let act = "head -c 24000000 /dev/zero | tr '\\0' '#' >&2 || exit 1; done_";
    let noisy = script(folder.path(), "noisy", act);
    let desk = Desk::start(Personal::default().stdio("noisy", &noisy).server("desk", &["noisy"])).await;
    let before = desk.resident();
    for _ in 0..3 {
        assert_eq!(desk.call("noisy").await["content"][0]["text"], "done");
    }
    let grown = desk.resident().saturating_sub(before);
    assert!(grown < 8, "{grown} MiB more");
}

#[tokio::test]
async fn a_call_that_the_assistant_abandons_is_cancelled() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("told");
    // It answers nothing, and writes down what it is told next.
    let act = format!("echo called >'{0}'; read -r line; printf '%s' \"$line\" >'{0}'", told.display());
    let slow = script(folder.path(), "slow", &act);
    let hung = Upstream::start(|stream, _, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let personal = Personal::default().stdio("slow", &slow).http("hung", &hung.url());
    let desk = Desk::start(personal.server("desk", &["slow", "hung"])).await;
    let begin = async |tool: &str| {
        let body = call(tool, &json!({})).to_string();
        let head = desk.raw.head(&[]);
        let mut stream = TcpStream::connect(("127.0.0.1", desk.raw.port)).await.expect("connected");
        let sent = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(sent.as_bytes()).await.expect("sent");
        stream
    };
    let stream = begin("act").await;
    until("the call", SOON, async || (hung.calls() == 1).then_some(())).await.expect("it came");
    assert_eq!(hung.cancelled(), 0);
    drop(stream);
    let cancelled = until("the cancellation", SOON, async || (hung.cancelled() == 1).then_some(()));
    cancelled.await.expect("told");

    let stream = begin("slow").await;
    let read = async || std::fs::read_to_string(&told).ok();
    until("the call", SOON, async || read().await).await.expect("it came");
    drop(stream);
    let told = until("the cancellation", SOON, async || {
        read().await.filter(|text| text.contains("notifications/cancelled"))
    });
    told.await.expect("told");
}

#[tokio::test]
async fn a_message_in_pieces_and_requests_in_a_row_are_understood() {
    let upstream = Upstream::start(|mut stream, _, id| async move {
        let _gone = stream.write_all(&response("200 OK", "", done(&id).as_bytes())).await;
    })
    .await;
    let desk = Desk::before(&upstream).await;
    let body = call("act", &json!({})).to_string();
    let one = format!("{}Content-Length: {}\r\n\r\n{body}", desk.raw.head(&[]), body.len());
    let stream = TcpStream::connect(("127.0.0.1", desk.raw.port)).await.expect("connected");
    let (mut reader, mut writer) = stream.into_split();
    for piece in one.as_bytes().chunks(7) {
        writer.write_all(piece).await.expect("sent");
        tokio::task::yield_now().await;
    }
    let first: Answer = answer(&mut reader).await;
    assert_eq!(first.json()["result"]["content"][0]["text"], "done", "{first:?}");
    writer.write_all(one.as_bytes()).await.expect("sent");
    let second = answer(&mut reader).await;
    assert_eq!(second.json()["result"]["content"][0]["text"], "done", "{second:?}");
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test]
async fn headers_that_repeat_arguments_must_agree_with_them() {
    let annotated = |name: &str, property: Value| json!({"name": name, "inputSchema": {"type": "object", "properties": {"region": property}}});
    let tools = json!([
        annotated("query", json!({"type": "string", "x-mcp-header": "Region"})),
        annotated("broken", json!({"type": "number", "x-mcp-header": "Region"})),
    ]);
    let upstream = Upstream::offering(tools, |mut stream, _, id| async move {
        let _gone = stream.write_all(&response("200 OK", "", done(&id).as_bytes())).await;
    })
    .await;
    let desk = Desk::before(&upstream).await;
    let names = |tools: &[Value]| {
        let names = tools.iter().filter_map(|tool| tool["name"].as_str());
        names.map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    let all = ["broken", "query"].map(str::to_owned).into();
    assert_eq!(names(&desk.lists().await), all, "sessions know no such headers");
    let (headers, body) = modern("tools/list", json!({}));
    let listed = desk.raw.post(&changed(&headers, "", &[]), body.to_string()).await.json();
    let listed = listed["result"]["tools"].as_array().expect("a list").clone();
    assert_eq!(names(&listed), ["query".to_owned()].into(), "no header can be known for the other");

    let called = async |tool: &str, region: Value, values: &[&str]| {
        let (headers, body) = modern("tools/call", json!({"name": tool, "arguments": {"region": region}}));
        desk.raw.post(&changed(&headers, "Mcp-Param-Region", values), body.to_string()).await
    };
    let accepted: [(Value, &[&str]); 3] =
        [(json!("us"), &["us"]), (json!("h\u{e9}"), &["=?base64?aMOp?="]), (Value::Null, &[])];
    for (region, values) in &accepted {
        let answer = called("query", region.clone(), values).await;
        assert_eq!(answer.json()["result"]["content"][0]["text"], "done", "{region}: {answer:?}");
    }
    let calls = upstream.calls();
    assert_eq!(calls, accepted.len());
    for values in [&[] as &[&str], &["eu"], &["us", "us"], &["=?base64?dX?="], &["\u{fc}s"]] {
        let answer = called("query", json!("us"), values).await;
        assert_eq!((answer.status, answer.code()), (400, HEADER_MISMATCH), "{values:?}: {answer:?}");
    }
    let broken = called("broken", json!(1), &[]).await;
    assert_eq!(broken.code(), -32602, "what is not listed is not there: {broken:?}");
    assert_eq!(upstream.calls(), calls, "none of these reached the connector");
    let audit = desk.gateway.deskgate(&["audit", "export"]).await.expect("the journal is read").stdout;
    let audit = String::from_utf8_lossy(&audit).into_owned();
    assert!(audit.contains("mcp-param-region"), "the contradiction is recorded: {audit:.2000}");
    let old = desk.raw.post(&[], call("query", &json!({"region": "us"})).to_string()).await;
    assert_eq!(old.json()["result"]["content"][0]["text"], "done", "sessions know no such headers: {old:?}");
}
