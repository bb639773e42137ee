//! Passing records on to a collector: all of them, in order, also after the collector was away.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use url::Url;

use crate::harness::{signed_in, unpublished};

#[derive(Clone, Default)]
struct Collector {
    bodies: Arc<Mutex<Vec<Value>>>,
    away: Arc<Mutex<bool>>,
}

impl Collector {
    async fn start(self) -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let url = format!("http://{}/v1/logs", listener.local_addr().expect("an address"));
        let app = Router::new().route("/v1/logs", post(take)).with_state(self);
        tokio::spawn(async move { axum::serve(listener, app).await });
        url.parse().expect("a URL")
    }

    /// The ids of the records that came, in order.
    fn records(&self) -> Vec<String> {
        let bodies = self.bodies.lock().expect("not poisoned");
        let records = bodies.iter().flat_map(|body| {
            body["resourceLogs"].as_array().into_iter().flatten().flat_map(|resource| {
                resource["scopeLogs"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .flat_map(|scope| scope["logRecords"].as_array().into_iter().flatten())
            })
        });
        records.map(ToString::to_string).collect()
    }

    async fn until(&self, needle: &str) {
        for _ in 0..2000 {
            if self.records().iter().any(|record| record.contains(needle)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{needle} does not come: {:?}", self.records());
    }
}

async fn take(State(collector): State<Collector>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    if *collector.away.lock().expect("not poisoned") {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({})));
    }
    collector.bodies.lock().expect("not poisoned").push(body);
    (StatusCode::OK, Json(json!({"partialSuccess": null})))
}

#[tokio::test]
async fn records_reach_the_collector_also_after_it_was_away() {
    let collector = Collector::default();
    let url = collector.clone().start().await;
    let mut org = unpublished(Some(url)).await;
    org.publish(|_| ()).await.expect("publishes");
    signed_in(&org, "alice", &["analysts"]).await;
    collector.until("alice").await;

    *collector.away.lock().expect("not poisoned") = true;
    signed_in(&org, "bob", &["analysts"]).await;
    let mut org = org.restart().await;
    *collector.away.lock().expect("not poisoned") = false;
    org.publish(|_| ()).await.expect("publishes");
    collector.until("bob").await;

    let records = collector.records();
    let unique: std::collections::BTreeSet<&String> = records.iter().collect();
    assert_eq!(unique.len(), records.len(), "nothing came twice");
}
