//! What IT sees of the server, and what nobody sees.

use control::testing::KeptLog;
use org_protocol::{EVENTS_PATH, HALTS_PATH};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Org, context, served, signed_in, unpublished};

async fn look(org: &Org, path: &str) -> (StatusCode, String) {
    let address = org.running.metrics.expect("metrics are served");
    let answer = reqwest::get(format!("http://{address}/{path}")).await.expect("answers");
    (answer.status(), answer.text().await.expect("a body"))
}

#[tokio::test]
async fn metrics_tell_routes_and_numbers_and_name_nobody() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let (status, _) = device.call("query", json!({"sql": "select 'a-secret-statement'"})).await;
    assert_eq!(status, StatusCode::OK);
    let stream = device.request(Method::GET, EVENTS_PATH).send().await.expect("answers");
    reqwest::get(org.url("nowhere/alice@example.test")).await.expect("answers");

    let (status, text) = look(&org, "metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "deskgate_requests_total{method=\"POST\",route=\"/v1/broker/{connector}/mcp\",status=\"200\"} 1",
        "deskgate_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "deskgate_request_duration_seconds_count{route=\"/v1/session\"} 1",
        "deskgate_event_streams 1",
        "deskgate_kept{kind=\"devices\"} 1",
        "deskgate_kept{kind=\"sessions\"} 1",
        "deskgate_ready 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    for name in ["alice", "example.test", "secret", "warehouse"] {
        assert!(!text.contains(name), "{name} is in\n{text}");
    }
    drop(stream);
    for (path, status) in [("metrics", 404), ("readyz", 200), ("healthz", 200)] {
        let public = reqwest::get(org.url(path)).await.expect("answers");
        assert_eq!(public.status().as_u16(), status, "{path} where desktops come");
    }
}

#[tokio::test]
async fn a_server_is_ready_once_it_can_decide() {
    let mut org = unpublished(None).await;
    let (status, why) = look(&org, "readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(why.contains("nothing is published"), "{why}");
    org.publish(|_| ()).await.expect("publishes");
    assert_eq!(look(&org, "readyz").await.0, StatusCode::OK);
    assert_eq!(look(&org, "healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn each_request_has_one_line_without_names_and_secrets() {
    let log = KeptLog::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let id_token = device.id_token("alice", &["analysts"]);
    let answer = device.request(Method::GET, &format!("{HALTS_PATH}?token=a-typed-secret")).send().await;
    let id = answer.expect("answers").headers()["x-request-id"].to_str().expect("text").to_owned();
    device.call("query", json!({"sql": "select 'a-secret-statement'"})).await;

    let text = log.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let answered: Vec<&Value> =
        lines.iter().map(|line| &line["fields"]).filter(|fields| fields["message"] == "answered").collect();
    let of_id: Vec<_> = answered.iter().filter(|fields| fields["request"] == id).collect();
    assert_eq!(of_id.len(), 1, "{answered:?}");
    assert_eq!((&of_id[0]["method"], &of_id[0]["route"]), (&Value::from("GET"), &Value::from("/v1/halts")));
    assert!(of_id[0]["milliseconds"].is_u64() && of_id[0]["status"].is_u64());
    assert_eq!(answered.iter().filter(|fields| fields["route"] == "/v1/broker/{connector}/mcp").count(), 1);
    let token = device.token.as_deref().expect("a session");
    let secret = device.secret.as_deref().expect("a secret");
    for secret in
        [token, secret, &id_token, "a-typed-secret", "a-secret-statement", control::testing::ANALYST_SECRET]
    {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off_and_counted() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let request = device.calling(&context(model::CallId::new()), "query", json!({"sql": "sleep"}));
    let hangs = tokio::spawn(request.send());
    loop {
        let (_, text) = look(&org, "metrics").await;
        if text.contains("deskgate_requests_running 1") {
            break;
        }
    }
    drop(device);
    assert_eq!(org.running.stop().await, 1);
    // The process would end here, and its connections with it.
    hangs.abort();
}
