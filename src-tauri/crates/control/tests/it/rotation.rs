//! A secret that takes an earlier one's place.

use control::admin::{Answer, Ask, AskFault, Rotated, Secret};
use control::testing::FINANCE_SECRET;
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::harness::{Org, served, signed_in};

const NEW: &str = "postgres://analyst:another-password@db/warehouse";

async fn rotated(org: &Org, id: &str, secret: &str, untested: bool) -> Result<Rotated, AskFault> {
    let id = id.parse().expect("an id");
    let secret = Secret(SecretString::from(secret));
    let answer = org.ask(&Ask::RotateCredential { id, secret, source: None, untested }).await?;
    let Answer::Rotated(rotated) = answer else { panic!("{answer:?}") };
    Ok(rotated)
}

fn code<T: std::fmt::Debug>(outcome: Result<T, AskFault>) -> String {
    let fault = outcome.expect_err("refused");
    let AskFault::Refused(advice) = fault else { panic!("{fault}") };
    advice.code
}

async fn acts(org: &Org) -> Vec<Value> {
    let records = org.records(control::Filter::default()).await;
    records
        .into_iter()
        .map(|record| record["body"].clone())
        .filter(|body| body["event"].is_string())
        .collect()
}

/// A connector that starts with one secret only, and says what it was given.
fn choosy(folder: &std::path::Path) {
    let file = folder.join("connectors/warehouse.toml");
    let text = std::fs::read_to_string(&file).expect("reads");
    let choosy = text.replace(
        "'''while",
        "'''case \"$DSN\" in *wrong*) echo \"no login with $DSN\" >&2; exit 1;; esac\nwhile",
    );
    assert_ne!(choosy, text);
    std::fs::write(file, choosy).expect("writes");
}

#[tokio::test]
async fn a_secret_that_its_connector_does_not_take_changes_nothing() {
    let mut org = served().await;
    org.publish(choosy).await.expect("publishes");
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let wrong = "postgres://analyst:wrong-password@db/warehouse";
    let refused = rotated(&org, "warehouse-analyst", wrong, false).await;
    let Err(AskFault::Refused(advice)) = refused else { panic!("{refused:?}") };
    assert_eq!(advice.code, "secret-not-taken");
    assert!(
        advice.happened.contains("Warehouse") && !advice.to_string().contains("wrong-password"),
        "{advice}"
    );
    let (status, _) = alice.call("query", json!({"sql": "x"})).await;
    assert_eq!(status, StatusCode::OK, "the earlier one stays in use");
    let acts = acts(&org).await;
    let refusal = acts.iter().find(|act| act["facts"]["act"] == "credential-refused").expect("a record");
    assert_eq!(refusal["facts"]["connector"], "warehouse");
    assert!(!format!("{acts:?}").contains("password"), "no secret is recorded");

    let untested = rotated(&org, "warehouse-analyst", wrong, true).await.expect("as it was asked");
    assert!(untested.tested.is_empty() && untested.stored.version == 2);
}

#[tokio::test]
async fn calls_under_way_finish_on_the_earlier_secret_and_later_ones_use_the_new() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let bob = signed_in(&org, "bob", &["analysts"]).await;
    bob.call("query", json!({"sql": "x"})).await;
    let gate = org.dir.path().join("gate");
    let slow = alice.call("query", json!({"sql": format!("wait {}", gate.display())}));
    let meanwhile = async {
        while !gate.with_extension("begun").exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let rotated = rotated(&org, "warehouse-analyst", NEW, false).await.expect("rotates");
        assert_eq!(rotated.tested.iter().map(ToString::to_string).collect::<Vec<_>>(), ["warehouse"]);
        assert_eq!(rotated.draining, 2, "alice's that is under way, and bob's");
        let (status, answer) = bob.call("query", json!({"sql": "y"})).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let drained = acts(&org).await.iter().any(|act| act["event"] == "credential-drained");
        assert!(!drained, "a call is still under way");
        std::fs::write(&gate, "").expect("writes");
    };
    let ((status, answer), ()) = tokio::join!(slow, meanwhile);
    assert_eq!(status, StatusCode::OK, "{answer}");
    for _ in 0..1000 {
        if acts(&org).await.iter().any(|act| act["event"] == "credential-drained") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("that nothing uses the earlier one any more is not recorded");
}

#[tokio::test]
async fn what_nothing_can_test_is_rotated_only_if_that_is_said() {
    let mut org = served().await;
    assert_eq!(code(rotated(&org, "nobody", NEW, false).await), "unknown");
    assert_eq!(code(rotated(&org, "warehouse-finance", "", false).await), "empty-secret");
    org.publish(|folder| {
        let file = folder.join("connectors/warehouse.toml");
        let text = std::fs::read_to_string(&file).expect("reads");
        std::fs::write(file, text.replace("\"warehouse-finance\", ", "")).expect("writes");
        let file = folder.join("policies/all.cedar");
        let text = std::fs::read_to_string(&file).expect("reads");
        std::fs::write(
            file,
            text.replace("Credential::\"warehouse-finance\"", "Credential::\"warehouse-analyst\""),
        )
        .expect("writes");
    })
    .await
    .expect("publishes");
    assert_eq!(code(rotated(&org, "warehouse-finance", FINANCE_SECRET, false).await), "secret-untestable");
    let done = rotated(&org, "warehouse-finance", FINANCE_SECRET, true).await.expect("as it was asked");
    assert_eq!(done.stored.version, 2);
}
