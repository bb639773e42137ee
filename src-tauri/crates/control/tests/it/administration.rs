//! What administrators do: refused where it must be, recorded always.

use control::admin::{Answer, Ask, AskFault, Secret, ask};
use secrecy::SecretString;

use crate::harness::{Org, served, signed_in};

fn code(outcome: Result<impl std::fmt::Debug, AskFault>) -> String {
    match outcome {
        Err(AskFault::Refused(advice)) => advice.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_broken_or_older_publication_changes_nothing() {
    let mut org = served().await;
    let status = async |org: &Org| {
        let answer = org.ask(&Ask::Status).await.expect("answers");
        let Answer::Published(published) = answer else { panic!("{answer:?}") };
        published
    };
    let before = status(&org).await;
    let old = org.signed(|_| ());
    let current = org.publish(|_| ()).await.expect("publishes");
    assert_eq!((before.version, current.version), (1, 3));

    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).expect("JSON");
    let documents = old.iter().map(|(path, bytes)| (path.clone(), text(bytes))).collect();
    assert_eq!(code(org.ask(&Ask::Publish { documents, leave_behind: false }).await), "bundle-rollback");
    let truncated = old.iter().map(|(path, bytes)| (path.clone(), text(bytes)[1..].to_owned())).collect();
    assert_eq!(
        code(org.ask(&Ask::Publish { documents: truncated, leave_behind: false }).await),
        "bundle-envelope"
    );
    assert_eq!(status(&org).await, current);
}

#[tokio::test]
async fn every_act_and_every_question_is_a_record() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    org.ask(&Ask::RevokeDevice { id: device.id.expect("enrolled") }).await.expect("revokes");
    org.records(control::Filter { user: Some("alice".to_owned()), ..Default::default() }).await;
    org.ask(&Ask::VerifyAudit).await.expect("answers");
    let acts = async || -> Vec<String> {
        let records = org.records(control::Filter::default()).await;
        let act = |record: &serde_json::Value| record["body"]["facts"]["act"].as_str().map(ToOwned::to_owned);
        records.iter().filter_map(act).collect()
    };
    let mut found = acts().await;
    while found.iter().filter(|act| *act == "audit-verify").count() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        found = acts().await;
    }
    assert_eq!(
        found[..5],
        ["credential-put", "credential-put", "device-revoke", "audit-query", "audit-verify"]
    );
}

#[tokio::test]
async fn credentials_are_listed_without_their_secrets_and_counted() {
    let org = served().await;
    org.put_credential("warehouse-analyst", "another").await;
    let Answer::Credentials { credentials } = org.ask(&Ask::ListCredentials).await.expect("answers") else {
        panic!("another answer");
    };
    let listed: Vec<(&str, u64)> = credentials.iter().map(|one| (one.id.as_str(), one.version)).collect();
    assert_eq!(listed, [("warehouse-analyst", 2), ("warehouse-finance", 1)]);
    let empty = Ask::PutCredential {
        id: "x".parse().expect("an id"),
        secret: Secret(SecretString::from("\n")),
        source: None,
    };
    assert_eq!(code(org.ask(&empty).await), "empty-secret");
    let unknown = Ask::RemoveCredential { id: "x".parse().expect("an id") };
    assert_eq!(code(org.ask(&unknown).await), "unknown");
}

#[tokio::test]
async fn the_chains_are_unbroken_and_tampering_is_found() {
    let org = served().await;
    signed_in(&org, "alice", &["analysts"]).await;
    let verify = async |org: &Org| {
        let answer = org.ask(&Ask::VerifyAudit).await.expect("answers");
        let Answer::Verified(verdict) = answer else { panic!("{answer:?}") };
        verdict
    };
    assert!(verify(&org).await.is_good());
    // A reader of the file cannot take a record out unseen.
    let sql = "DELETE FROM records WHERE seq = 3";
    org.tamper(sql).await;
    assert!(!verify(&org).await.is_good());
}

#[tokio::test]
async fn nonsense_is_answered_and_a_second_server_is_refused() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let org = served().await;
    let mut stream = tokio::net::UnixStream::connect(&org.running.admin_socket).await.expect("connects");
    stream.write_all(b"{\"ask\":\"take_over\"}").await.expect("writes");
    stream.shutdown().await.expect("ends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reads");
    assert!(answer.contains("bad-request"), "{answer}");

    let config = control::ServeConfig {
        data: org.data(""),
        database: control::Database::Sqlite(org.data("another.sqlite")),
        revocations: None,
        listen: "127.0.0.1:0".parse().expect("an address"),
        public_url: None,
        admin_socket: None,
        commands_user: None,
        master_key: control::MasterKey::parse("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").expect("a key"),
        receipt_key: org_protocol::SigningKey::from_seed(&[3; 32]),
        sinks: control::SinkConfig::default(),
        traces: None,
        diagnostics_kept: control::DIAGNOSTICS_KEPT,
        metrics: None,
    };
    let second = control::start(config, std::sync::Arc::new(os::SystemClock)).await;
    assert!(matches!(second, Err(control::ServeFault::Lock(_))), "{second:?}");
}

#[tokio::test]
async fn plain_http_never_leaves_the_machine() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = |listen: &str, public: Option<&str>| control::ServeConfig {
        data: dir.path().join("data"),
        database: control::Database::Sqlite(dir.path().join("control.sqlite")),
        revocations: None,
        listen: listen.parse().expect("an address"),
        public_url: public.map(|url| url.parse().expect("a URL")),
        admin_socket: None,
        commands_user: None,
        master_key: control::MasterKey::parse("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").expect("a key"),
        receipt_key: org_protocol::SigningKey::from_seed(&[3; 32]),
        sinks: control::SinkConfig::default(),
        traces: None,
        diagnostics_kept: control::DIAGNOSTICS_KEPT,
        metrics: None,
    };
    let start = async |config| control::start(config, std::sync::Arc::new(os::SystemClock)).await;
    assert!(matches!(start(config("0.0.0.0:0", None)).await, Err(control::ServeFault::NotLoopback(_))));
    for public in ["http://control.acme.test/", "https://control.acme.test/no-slash"] {
        let refused = start(config("127.0.0.1:0", Some(public))).await;
        assert!(matches!(refused, Err(control::ServeFault::PublicUrl(_))), "{public}");
    }
}

#[tokio::test]
async fn nobody_listening_is_said() {
    let fault = ask(std::path::Path::new("/nowhere/admin.sock"), &Ask::Status).await;
    assert!(matches!(fault, Err(AskFault::Connect { .. })));
}
