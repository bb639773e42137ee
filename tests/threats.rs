//! Attacks on the loopback server, by their number in the table of SECURITY.md.

use serde_json::{Value, json};
use testkit::Gateway;
use testkit::bench::Echo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::Personal;
use crate::hostile::{Answer, MODERN, Raw, Upstream, call, done, modern, request, response, tool};

/// The routes that need no token, and the one that does.
const OPEN: [(&str, &str); 6] = [
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/.well-known/oauth-protected-resource/s/desk/mcp"),
    ("POST", "/oauth/register"),
    ("GET", "/oauth/authorize"),
    ("POST", "/oauth/token"),
    ("POST", "/oauth/revoke"),
];
const CLOSED: &str = "/s/desk/mcp";

pub(crate) async fn in_front_of(upstream: &Upstream) -> (Gateway, Raw) {
    let gateway = Personal::default().http("acts", &upstream.url()).server("desk", &["acts"]).start().await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let raw = Raw { port: gateway.port(), token };
    let listed = raw.post(&[], request("tools/list", json!({})).to_string()).await;
    assert!(listed.body.contains("\"act\""), "{listed:?}");
    (gateway, raw)
}

pub(crate) async fn acting() -> Upstream {
    Upstream::start(|mut stream, _, id| async move {
        let _gone = stream.write_all(&response("200 OK", "", done(&id).as_bytes())).await;
    })
    .await
}

/// A request whose head is these lines.
pub(crate) async fn sent(raw: &Raw, method: &str, path: &str, lines: &[String], body: &str) -> Answer {
    let head = format!("{method} {path} HTTP/1.1\r\n{}", lines.concat());
    let length = body.len();
    raw.send(format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes()).await
}

#[tokio::test]
async fn threat_1_no_route_answers_to_another_name_or_to_a_page() {
    let upstream = acting().await;
    let (gateway, raw) = in_front_of(&upstream).await;
    let port = raw.port;
    let own = format!("Host: 127.0.0.1:{port}\r\n");
    let hosts = [
        "Host: evil.example\r\n".to_owned(),
        format!("Host: evil.example:{port}\r\n"),
        format!("Host: 127.0.0.1.nip.io:{port}\r\n"),
        format!("Host: localhost.:{port}\r\n"),
        format!("Host: 0.0.0.0:{port}\r\n"),
        format!("Host: [::1]:{port}\r\n"),
        "Host: 127.0.0.1:1\r\n".to_owned(),
        format!("Host: user@127.0.0.1:{port}\r\n"),
        format!("{own}{own}"),
        format!("{own}Host: evil.example\r\n"),
        "Host: \r\n".to_owned(),
        String::new(),
    ];
    let origins = ["null", "http://evil.example", "http://localhost:3000", "https://127.0.0.1"];
    let allowed = ["".to_owned(), format!("Origin: http://127.0.0.1:{port}\r\n")];
    let credential = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", raw.token);
    let body = call("act", &json!({})).to_string();

    for (method, path) in OPEN.iter().copied().chain([("POST", CLOSED), ("GET", CLOSED), ("DELETE", CLOSED)])
    {
        for host in &hosts {
            for origin in &allowed {
                let lines = [host.clone(), origin.clone(), credential.clone()];
                let answer = sent(&raw, method, path, &lines, &body).await;
                assert!([400, 421].contains(&answer.status), "{method} {path} {host:?}: {answer:?}");
            }
        }
        for origin in origins {
            let lines = [own.clone(), format!("Origin: {origin}\r\n"), credential.clone()];
            let answer = sent(&raw, method, path, &lines, &body).await;
            assert_eq!(answer.status, 403, "{method} {path} {origin}: {answer:?}");
        }
        let lines = [own.clone(), credential.clone()];
        let absolute = sent(&raw, method, &format!("http://evil.example{path}"), &lines, &body).await;
        assert_eq!(absolute.status, 421, "{method} {path}, asked of another server: {absolute:?}");
    }
    assert_eq!(upstream.calls(), 0, "no connector was called");
    for origin in allowed {
        let lines = [own.clone(), origin, credential.clone()];
        assert_eq!(sent(&raw, "POST", CLOSED, &lines, &body).await.status, 200, "the honest request works");
    }
    let recorded = gateway.deskgate(&["audit", "export"]).await.expect("it runs").stdout;
    let recorded = String::from_utf8_lossy(&recorded).into_owned();
    for breach in ["host", "origin"] {
        assert!(
            recorded.contains(&format!("\"breach\":\"{breach}\"")),
            "{breach} is recorded: {recorded:.3000}"
        );
    }
}

#[tokio::test]
async fn threat_2_what_a_page_may_send_without_asking_has_no_effect() {
    let upstream = acting().await;
    let (_gateway, raw) = in_front_of(&upstream).await;
    let own = format!("Host: 127.0.0.1:{}\r\n", raw.port);
    // A page cannot have the token; even with it these would do nothing.
    let credential = format!("Authorization: Bearer {}\r\n", raw.token);
    let body = call("act", &json!({})).to_string();
    for content_type in [
        "text/plain",
        "text/plain; charset=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain, application/json",
    ] {
        let lines = [own.clone(), credential.clone(), format!("Content-Type: {content_type}\r\n")];
        let answer = sent(&raw, "POST", CLOSED, &lines, &body).await;
        assert_eq!(answer.status, 415, "{content_type}: {answer:?}");
    }
    let untyped = sent(&raw, "POST", CLOSED, &[own.clone(), credential.clone()], &body).await;
    assert_eq!(untyped.status, 415, "{untyped:?}");
    let json = "Content-Type: application/json\r\n".to_owned();
    for site in ["cross-site", "same-site", "nonsense"] {
        let site = format!("Sec-Fetch-Site: {site}\r\n");
        let lines = [own.clone(), credential.clone(), json.clone(), site.clone()];
        let answer = sent(&raw, "POST", CLOSED, &lines, &body).await;
        assert_eq!(answer.status, 403, "{site}: {answer:?}");
    }
    for (method, path) in OPEN.iter().copied().chain([("POST", CLOSED), ("OPTIONS", CLOSED)]) {
        let asked = "Access-Control-Request-Method: POST\r\n".to_owned();
        let lines = [own.clone(), "Origin: http://evil.example\r\n".to_owned(), asked, json.clone()];
        let preflight = sent(&raw, "OPTIONS", path, &lines, "").await;
        assert_eq!(preflight.status, 403, "{path}: {preflight:?}");
        let honest = sent(&raw, method, path, &[own.clone(), credential.clone()], "").await;
        for answer in [preflight, honest] {
            let head = answer.head.to_ascii_lowercase();
            assert!(!head.contains("access-control-"), "{method} {path}: no page is invited: {head}");
        }
    }
    assert_eq!(upstream.calls(), 0, "no connector was called");
}

#[tokio::test]
async fn threat_3_only_this_computer_can_connect() {
    let upstream = acting().await;
    let (_gateway, raw) = in_front_of(&upstream).await;
    let port = format!(":{:04X}", raw.port);
    let mut addresses = Vec::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            // 0A: it listens.
            if fields[3] == "0A" && fields[1].ends_with(&port) {
                addresses.push(fields[1].to_owned());
            }
        }
    }
    assert_eq!(addresses, [format!("0100007F{port}")], "127.0.0.1 and nothing else");
}

#[tokio::test]
async fn threat_4_without_a_token_nothing_but_the_way_in_answers() {
    let upstream = acting().await;
    let (_gateway, raw) = in_front_of(&upstream).await;
    let own = format!("Host: 127.0.0.1:{}\r\nContent-Type: application/json\r\n", raw.port);
    let body = call("act", &json!({})).to_string();
    let wrong =
        ["", "Authorization: Bearer x\r\n", "Authorization: Basic eDp4\r\n", "Authorization: Bearer \r\n"];
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        for path in [CLOSED, "/s/other/mcp"] {
            for credential in wrong {
                let lines = [own.clone(), credential.to_owned()];
                let answer = sent(&raw, method, path, &lines, &body).await;
                assert_eq!(answer.status, 401, "{method} {path} {credential:?}: {answer:?}");
                let challenge = answer.header("www-authenticate").unwrap_or_default();
                assert!(
                    challenge.starts_with("Bearer ") && challenge.contains("resource_metadata="),
                    "{challenge}"
                );
            }
        }
        let query = format!("{CLOSED}?access_token={}", raw.token);
        let answer = sent(&raw, method, &query, std::slice::from_ref(&own), &body).await;
        assert_eq!(answer.status, 401, "{method}: a token in the address opens nothing");
        for path in [
            "/",
            "/s",
            "/s/desk",
            "/mcp",
            "/sse",
            "/admin",
            "/status",
            "/metrics",
            "/debug",
            "/oauth/clients",
            "/sign-in/",
            "/sign-in/00112233445566778899aabbccddeeff",
        ] {
            let answer = sent(&raw, method, path, std::slice::from_ref(&own), &body).await;
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        }
    }
    for (method, path) in OPEN {
        let answer = sent(&raw, method, path, std::slice::from_ref(&own), "").await;
        assert!(![401, 404, 405].contains(&answer.status), "{method} {path} is the way in: {answer:?}");
    }
    assert_eq!(upstream.calls(), 0, "no connector was called");
    let routes = include_str!("../src-tauri/crates/gateway/src/routes.rs");
    assert_eq!(routes.matches(".route(").count(), 2, "a new route belongs into this test");
    assert_eq!(routes.matches(".nest").count() + routes.matches(".merge(").count(), 0);
}

#[tokio::test]
async fn threat_16_a_session_s_id_opens_nothing_without_its_token() {
    let upstream = acting().await;
    let (gateway, raw) = in_front_of(&upstream).await;
    let own = format!("Host: 127.0.0.1:{}\r\nContent-Type: application/json\r\n", raw.port);
    let credential = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let mine = credential(&raw.token);
    let opened = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
    let body = request("initialize", opened).to_string();
    let answer = sent(&raw, "POST", CLOSED, &[own.clone(), mine.clone()], &body).await;
    let id = answer.header("mcp-session-id").expect("a session").to_owned();
    let session = format!("Mcp-Session-Id: {id}\r\n");
    let act = call("act", &json!({})).to_string();

    let nobody = sent(&raw, "POST", CLOSED, &[own.clone(), session.clone()], &act).await;
    assert_eq!(nobody.status, 401, "a session is no token: {nobody:?}");
    let somebody = sent(&raw, "POST", CLOSED, &[own.clone(), mine.clone(), session.clone()], &act).await;
    assert_eq!(somebody.status, 200, "{somebody:?}");
    for guessed in ["6f1c9e0a-5d0b-4c39-9f7a-2f1d9d3b7c11", "1.AAAA", "\"", ""] {
        let guessed = format!("Mcp-Session-Id: {guessed}\r\n");
        let unknown = sent(&raw, "POST", CLOSED, &[own.clone(), mine.clone(), guessed.clone()], &act).await;
        assert_eq!(unknown.status, 404, "{guessed}: {unknown:?}");
    }

    // What another assistant does with the id is of its own session and not of this one.
    let other = credential(&gateway.connect("desk", "Other").await.expect("let in").tokens.access_token);
    let theirs = [own.clone(), other, session.clone()];
    assert_eq!(sent(&raw, "DELETE", CLOSED, &theirs, "").await.status, 204);
    assert_eq!(sent(&raw, "POST", CLOSED, &theirs, &act).await.status, 404, "it has ended");
    let still = sent(&raw, "POST", CLOSED, &[own.clone(), mine.clone(), session.clone()], &act).await;
    assert_eq!(still.status, 200, "{still:?}");

    let (headers, discovered) = modern("server/discover", json!({}));
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let alone = [own.clone(), mine.clone(), headers, "Mcp-Session-Id: x\r\n".to_owned()];
    let alone = sent(&raw, "POST", CLOSED, &alone, &discovered.to_string()).await;
    assert_eq!((alone.status, alone.header("mcp-session-id")), (200, None), "it stands alone");

    assert_eq!(
        sent(&raw, "DELETE", CLOSED, &[own.clone(), mine.clone(), session.clone()], "").await.status,
        204
    );
    assert_eq!(sent(&raw, "POST", CLOSED, &[own, mine, session], &act).await.status, 404, "it has ended");
}

#[tokio::test]
async fn threat_17_no_stream_can_be_taken_up_again() {
    let upstream = acting().await;
    let (_gateway, raw) = in_front_of(&upstream).await;
    let (headers, body) =
        modern("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
    let body = body.to_string();
    let mut lines: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let length = body.len().to_string();
    lines.extend([("Last-Event-ID", "1"), ("Content-Length", &length)]);
    let mut stream = TcpStream::connect(("127.0.0.1", raw.port)).await.expect("connected");
    stream.write_all(format!("{}\r\n{body}", raw.head(&lines)).as_bytes()).await.expect("sent");
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("subscriptions/acknowledged") {
        assert_ne!(
            stream.read_buf(&mut read).await.expect("readable"),
            0,
            "{}",
            String::from_utf8_lossy(&read)
        );
    }
    let text = String::from_utf8_lossy(&read).into_owned();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("text/event-stream"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("id")), "no event has an id to come back with: {text}");
}

#[tokio::test]
async fn threat_20_a_tool_that_is_not_listed_cannot_be_called() {
    let tools = json!([tool("act"), tool("forbidden"), tool("elsewhere")]);
    let upstream = Upstream::offering(tools, |mut stream, _, id| async move {
        let _gone = stream.write_all(&response("200 OK", "", done(&id).as_bytes())).await;
    })
    .await;
    let other = Echo::start().await.expect("an upstream");
    let other = format!("http://{}/mcp", other.address());
    let mut setup = Personal::default()
        .http("acts", &upstream.url())
        .http("echo", &other)
        .server("desk", &["acts"])
        .server("lab", &["echo"])
        .policy("no", r#"@id("no") forbid(principal, action == Action::"acts/forbidden", resource);"#)
        .setup();
    setup.settings += "[servers.desk.tools]\nacts = [\"act\", \"forbidden\"]\n";
    let deskgate = testkit::program(testkit::Program::Deskgate).expect("built");
    let gateway = Gateway::start(&deskgate, setup).await.expect("it starts");
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let raw = Raw { port: gateway.port(), token };
    let listed = raw.post(&[], request("tools/list", json!({})).to_string()).await.json();
    let listed: Vec<&Value> =
        listed["result"]["tools"].as_array().expect("a list").iter().map(|tool| &tool["name"]).collect();
    assert_eq!(listed, ["act"]);

    let names = ["forbidden", "elsewhere", "echo", "acts_act", "acts__act", "ACT", "act ", "", "nothing"];
    for name in names {
        let answer = raw.post(&[], call(name, &json!({})).to_string()).await.json();
        assert_eq!(answer["error"]["message"], format!("Unknown tool: {name}"), "all look alike: {answer}");
        let (mut headers, body) = modern("tools/call", json!({"name": name, "arguments": {}}));
        if name.ends_with(' ') {
            headers.retain(|(header, _)| header != "Mcp-Name");
            headers.push(("Mcp-Name".to_owned(), "=?base64?YWN0IA==?=".to_owned()));
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = raw.post(&headers, body.to_string()).await.json();
        assert_eq!(answer["error"]["code"], -32602, "{name:?} in {MODERN}: {answer}");
    }
    assert_eq!(upstream.calls(), 0, "no connector was called");
    assert_eq!(raw.post(&[], call("act", &json!({})).to_string()).await.status, 200);
    assert_eq!(upstream.calls(), 1, "the one that is listed was");
}
