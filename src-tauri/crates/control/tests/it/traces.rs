//! Traces of what the server does: what they say, what they never say, and whose they are a part of.

use control::testing::{ANALYST_SECRET, StandInCollector, ToldSpan};
use model::{CallId, TraceParent};
use org_protocol::{BrokerContext, TRACE_PARENT_HEADER};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use crate::harness::{Device, Org, context, modern, served, signed_in};

const CALL: &str = "POST /v1/broker/{connector}/mcp";

/// The spans of a trace, once the request's own is among them: it ends last.
async fn trace_of(collector: &StandInCollector, trace: &str) -> Vec<ToldSpan> {
    collector
        .until(|spans| {
            let of_it: Vec<ToldSpan> = spans.iter().filter(|span| span.trace == trace).cloned().collect();
            of_it.iter().any(|span| span.name == CALL).then_some(of_it)
        })
        .await
}

fn the<'s>(spans: &'s [ToldSpan], name: &str) -> &'s ToldSpan {
    let mut found = spans.iter().filter(|span| span.name == name);
    match (found.next(), found.next()) {
        (Some(span), None) => span,
        other => panic!("not one {name}: {other:?} in {spans:#?}"),
    }
}

async fn sends(request: RequestBuilder) -> StatusCode {
    let answer = request.send().await.expect("answers");
    let status = answer.status();
    answer.bytes().await.expect("a body");
    status
}

/// A call as a desktop makes it.
fn calling(device: &Device<'_>, context: &BrokerContext, sql: &str) -> RequestBuilder {
    device
        .calling(context, "query", json!({"sql": sql}))
        .header(TRACE_PARENT_HEADER, TraceParent::of_call(context.call).to_string())
}

fn id_of(call: CallId) -> String {
    call.to_string().replace('-', "")
}

#[tokio::test]
async fn a_brokered_call_is_told_part_by_part_under_the_id_of_its_records_and_without_a_secret() {
    let collector = StandInCollector::start().await.expect("listens");
    let org = Org::traced(&collector.url()).await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let context = context(CallId::new());
    assert_eq!(sends(calling(&alice, &context, "select 'a-statement'")).await, StatusCode::OK);

    let spans = trace_of(&collector, &id_of(context.call)).await;
    let (request, call) = (the(&spans, CALL), the(&spans, "brokered call"));
    assert_eq!(request.parent, format!("{:016x}", TraceParent::of_call(context.call).span()));
    assert_eq!(call.parent, request.id);
    for part in ["decide", "record the intent", "credential", "open a session", "tools/call query"] {
        assert_eq!(the(&spans, part).parent, call.id, "{part}");
    }
    assert_eq!(spans.len(), 7, "{spans:#?}");
    for (span, key, value) in [
        (CALL, "http.request.method", "POST"),
        (CALL, "http.route", "/v1/broker/{connector}/mcp"),
        (CALL, "http.response.status_code", "200"),
        (CALL, "url.scheme", "http"),
        (CALL, "server.address", "127.0.0.1"),
        ("brokered call", "deskgate.call.id", &context.call.to_string()),
        ("decide", "deskgate.decision", "permit"),
        ("credential", "deskgate.credential", "warehouse-analyst"),
        ("tools/call query", "mcp.method.name", "tools/call"),
        ("tools/call query", "gen_ai.operation.name", "execute_tool"),
        ("tools/call query", "gen_ai.tool.name", "query"),
        ("tools/call query", "network.transport", "pipe"),
    ] {
        assert_eq!(the(&spans, span).says.get(key).map(String::as_str), Some(value), "{span}: {key}");
    }
    assert!(!request.says.contains_key("status"), "{request:?}");
    let session = collector.until(|spans| spans.iter().find(|span| span.name == "POST /v1/session").cloned());
    let session = session.await;
    let written = collector
        .until(|spans| spans.iter().find(|span| span.name == "write" && span.parent == session.id).cloned());
    assert_eq!(written.await.says["db.system.name"], "sqlite");

    let token = alice.token.as_deref().expect("a token");
    let came = collector.received().concat();
    for secret in [ANALYST_SECRET, "password", token, "alice", "a-statement", "as [redacted]"] {
        let found = came.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
        assert!(!found, "{secret} was told");
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_by_its_code() {
    let collector = StandInCollector::start().await.expect("listens");
    let org = Org::traced(&collector.url()).await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let denied = context(CallId::new());
    assert_eq!(sends(calling(&alice, &denied, "drop it")).await, StatusCode::FORBIDDEN);
    let spans = trace_of(&collector, &id_of(denied.call)).await;
    assert_eq!(the(&spans, "decide").says["deskgate.decision"], "denial");
    assert_eq!(the(&spans, "brokered call").says["error.type"], "policy-forbids");
    assert!(!the(&spans, CALL).says.contains_key("status"), "a refusal is no fault of the server");

    let crashed = context(CallId::new());
    let request = alice
        .calling(&crashed, "crash", json!({}))
        .header(TRACE_PARENT_HEADER, TraceParent::of_call(crashed.call).to_string());
    assert_eq!(sends(request).await, StatusCode::BAD_GATEWAY);
    let spans = trace_of(&collector, &id_of(crashed.call)).await;
    assert_eq!(the(&spans, "tools/call crash").says["error.type"], "ended");
    assert_eq!(the(&spans, CALL).says["error.type"], "502");
}

#[tokio::test]
async fn a_call_that_tells_of_its_progress_is_one_trace_as_well() {
    let collector = StandInCollector::start().await.expect("listens");
    let org = Org::traced(&collector.url()).await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let context = context(CallId::new());
    let mut request = modern("tools/call", json!({"name": "query", "arguments": {"sql": "tell"}}));
    request["params"]["_meta"]["progressToken"] = json!(7);
    assert_eq!(sends(calling(&alice, &context, "tell").body(request.to_string())).await, StatusCode::OK);
    let trace = id_of(context.call);
    let told = collector.until(|spans| {
        spans.iter().find(|span| span.trace == trace && span.name == "brokered call").cloned()
    });
    assert_eq!(told.await.parent, the(&trace_of(&collector, &trace).await, CALL).id);
}

#[tokio::test]
async fn what_is_no_trace_of_anybody_begins_one_of_its_own() {
    let collector = StandInCollector::start().await.expect("listens");
    let org = Org::traced(&collector.url()).await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for said in [vec![], vec!["00-x"], vec![good, good], vec![&good[..54]], vec!["é"]] {
        let call = context(CallId::new());
        let mut request = alice.calling(&call, "query", json!({"sql": "x"}));
        for one in said {
            request = request.header(TRACE_PARENT_HEADER, one);
        }
        assert_eq!(sends(request).await, StatusCode::OK);
        let id = call.call.to_string();
        let told = collector
            .until(|spans| spans.iter().find(|span| span.says.get("deskgate.call.id") == Some(&id)).cloned());
        let spans = trace_of(&collector, &told.await.trace).await;
        assert_eq!(the(&spans, CALL).parent, "", "{call:?}");
    }
    // Who asks whether the server lives is not told of; who types anything is, without what they typed.
    for path in ["healthz", "nowhere/alice@example.test"] {
        assert!(sends(reqwest::Client::new().get(org.url(path))).await.as_u16() < 500);
    }
    let odd = Method::from_bytes(b"PR0PATCH").expect("a method");
    sends(reqwest::Client::new().request(odd, org.url("healthz"))).await;
    let nowhere = collector.until(|spans| spans.iter().find(|span| span.name == "GET").cloned()).await;
    assert_eq!(nowhere.says["http.response.status_code"], "404");
    org.running.stop().await;
    assert!(collector.spans().iter().all(|span| !span.name.contains("healthz")));
    let came = collector.received().concat();
    for typed in ["example.test", "PR0PATCH"] {
        assert!(!came.windows(typed.len()).any(|bytes| bytes == typed.as_bytes()), "{typed}");
    }
}

#[tokio::test]
async fn without_a_collector_nothing_is_told_and_with_one_that_is_away_the_server_serves() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    assert_eq!(sends(calling(&alice, &context(CallId::new()), "x")).await, StatusCode::OK);
    assert_eq!(spans(&org).await, (0, 0));

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let nobody = format!("http://{}/v1/traces", listener.local_addr().expect("an address"));
    drop(listener);
    let org = Org::traced(&nobody.parse().expect("a URL")).await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    assert_eq!(sends(calling(&alice, &context(CallId::new()), "x")).await, StatusCode::OK);
    assert_eq!(spans(&org).await.0, 0);
}

/// How many spans a collector has, and how many nobody has.
async fn spans(org: &Org) -> (u64, u64) {
    let address = org.running.metrics.expect("metrics are served");
    let text = reqwest::get(format!("http://{address}/metrics")).await.expect("answers");
    let text = text.text().await.expect("a body");
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
    };
    (number("deskgate_trace_spans_total"), number("deskgate_trace_spans_dropped_total"))
}
