//! A database that is lost and begins again from a backup: what was taken away stays away, what was recorded comes again, and nobody
//! is taken for a copy who is none.

use std::collections::BTreeSet;

use control::admin::{Answer, Ask};
use org_protocol::{AUDIT_PATH, EVENTS_PATH, EventKind, HALTS_PATH, HaltTarget, UploadRefused, write_batch};
use reqwest::{Method, StatusCode};

use crate::harness::{Device, Org, read, served, signed_in};
use crate::records::{Chain, receipt, upload};

async fn opens(device: &mut Device<'_>, user: &str) -> String {
    let token = device.id_token(user, &["analysts"]);
    opens_by(device, &token).await
}

async fn opens_by(device: &mut Device<'_>, id_token: &str) -> String {
    device.token = None;
    loop {
        match device.open_session(id_token.to_owned()).await {
            Ok(_) => return "accepted".to_owned(),
            // Proofs count seconds: one made in the second in which the new epoch began is of before.
            Err((_, code)) if code == "proof-replayed" => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            Err((_, code)) => return code,
        }
    }
}

/// What a computer has, wherever it is served from.
struct Disk(
    p256::ecdsa::SigningKey,
    Option<model::DeviceId>,
    org_protocol::NonceSeed,
    Option<String>,
    Option<String>,
);

impl Disk {
    fn of(device: &Device<'_>) -> Self {
        let Device { key, id, seed, secret, token, .. } = device;
        Self(key.clone(), *id, seed.clone(), secret.clone(), token.clone())
    }

    fn at<'o>(&self, org: &'o Org) -> Device<'o> {
        let Self(key, id, seed, secret, token) = self;
        Device {
            key: key.clone(),
            id: *id,
            seed: seed.clone(),
            secret: secret.clone(),
            token: token.clone(),
            ..Device::new(org)
        }
    }
}

#[tokio::test]
async fn what_was_taken_away_since_the_backup_stays_away() {
    let org = served().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("backup");
    let lost = signed_in(&org, "alice", &["analysts"]).await;
    let mut left = signed_in(&org, "bob", &["analysts"]).await;
    let old_token = left.id_token("bob", &["analysts"]);
    org.backup(&file).await;

    let target = HaltTarget::Connector { connector: "warehouse".parse().expect("an id") };
    org.ask(&Ask::RevokeDevice { id: lost.id.expect("enrolled") }).await.expect("revokes");
    org.ask(&Ask::SignOutPerson { person: "bob".to_owned() }).await.expect("signs out");
    org.ask(&Ask::Halt { target: target.clone(), reason: "examined".to_owned() }).await.expect("stops");
    org.ask(&Ask::RemoveCredential { id: "warehouse-finance".parse().expect("an id") })
        .await
        .expect("removes");
    org.put_credential("warehouse-analyst", "another").await;
    let (lost, left_disk) = (Disk::of(&lost), Disk::of(&left));
    drop(left);

    let (org, restored) = org.restored(&file).await;
    assert!(!restored.publish_again);
    assert_eq!(restored.credentials_to_store, ["warehouse-analyst", "warehouse-finance"]);
    assert_eq!(opens(&mut lost.at(&org), "alice").await, "device-revoked");
    left = left_disk.at(&org);
    let again = opens_by(&mut left, &old_token).await;
    assert!(!["accepted", "device-suspended"].contains(&again.as_str()), "his sign-in was ended: {again}");
    let Answer::Halts { halts, .. } = org.ask(&Ask::ListHalts).await.expect("lists") else { panic!("halts") };
    assert_eq!(halts.into_iter().map(|standing| standing.halt.target).collect::<Vec<_>>(), [target]);
    let Answer::Credentials { credentials } = org.ask(&Ask::ListCredentials).await.expect("lists") else {
        panic!("credentials")
    };
    assert!(credentials.is_empty(), "{credentials:?}");
}

#[tokio::test]
async fn nothing_is_restored_unasked_where_nobody_says_what_was_revoked() {
    let org = served().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("backup");
    org.backup(&file).await;
    let plan = |without_revocations| control::RestorePlan {
        data: dir.path().join("data"),
        database: control::Database::Sqlite(dir.path().join("restored.sqlite")),
        file: file.clone(),
        revocations: Vec::new(),
        without_revocations,
    };
    let now = crate::harness::now();
    let refused = control::restore(&plan(false), now).await;
    assert!(matches!(refused, Err(control::RestoreFault::NoRevocations)), "{refused:?}");
    control::restore(&plan(true), now).await.expect("restores");
}

#[cfg(unix)]
#[tokio::test]
async fn what_root_restores_belongs_to_whom_the_folder_belongs() {
    use std::os::unix::fs::{MetadataExt as _, chown};

    let org = served().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (file, data) = (dir.path().join("backup"), dir.path().join("data"));
    org.backup(&file).await;
    std::fs::create_dir(&data).expect("made");
    // Whoever is not root restores for themselves.
    let owner = std::fs::metadata(&data).expect("there").uid();
    let owner = if owner == 0 { 61_184 } else { owner };
    chown(&data, Some(owner), None).expect("given");
    let database = control::Database::Sqlite(data.join("control.sqlite"));
    let plan = control::RestorePlan {
        data: data.clone(),
        database,
        file,
        revocations: Vec::new(),
        without_revocations: true,
    };
    control::restore(&plan, crate::harness::now()).await.expect("restores");
    let files: Vec<_> =
        std::fs::read_dir(&data).expect("readable").map(|entry| entry.expect("an entry")).collect();
    assert!(files.iter().any(|file| file.file_name() == "control.sqlite"));
    for file in files {
        assert_eq!(file.metadata().expect("there").uid(), owner, "{}", file.path().display());
    }
}

#[tokio::test]
async fn desktops_go_on_in_the_new_epoch_and_older_copies_do_not() {
    let org = served().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("backup");
    let mut device = signed_in(&org, "alice", &["analysts"]).await;
    let mut other = signed_in(&org, "bob", &["analysts"]).await;
    for (device, user) in [(&mut device, "alice"), (&mut other, "bob")] {
        assert_eq!(opens(device, user).await, "accepted");
    }
    let old_copy = Disk::of(&other);
    for _ in 0..3 {
        assert_eq!(opens(&mut device, "alice").await, "accepted");
        assert_eq!(opens(&mut other, "bob").await, "accepted");
    }
    org.backup(&file).await;
    for _ in 0..3 {
        assert_eq!(opens(&mut device, "alice").await, "accepted");
    }
    let proof = device.proof(&Method::GET, &org.url(HALTS_PATH), device.token.as_deref());
    let disk = Disk::of(&device);
    drop((device, other));

    let (org, _) = org.restored(&file).await;
    let mut device = disk.at(&org);
    let old = device.request_with(org.running.address, Method::GET, HALTS_PATH, proof).send().await;
    let old = read::<()>(old.expect("answers")).await.expect_err("a proof from before");
    assert_eq!(old, (StatusCode::UNAUTHORIZED, "proof-replayed".to_owned()));
    let ended = loop {
        let answer = device.request(Method::GET, HALTS_PATH).send().await.expect("answers");
        let (_, code) = read::<()>(answer).await.expect_err("no session goes on");
        if code != "proof-replayed" {
            break code;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(ended, "session-ended");
    for _ in 0..3 {
        assert_eq!(opens(&mut device, "alice").await, "accepted", "what it shows is later than the backup");
    }
    assert_eq!(opens(&mut disk.at(&org), "alice").await, "device-suspended", "it was given others since");
    assert_eq!(opens(&mut old_copy.at(&org), "bob").await, "device-suspended", "older than the backup");

    let heard = signed_in(&org, "carol", &["analysts"]).await;
    let request = heard.request(Method::GET, EVENTS_PATH).header("last-event-id", "1");
    let mut stream = request.send().await.expect("answers");
    let mut text = String::new();
    while !text.contains("\n\n") {
        text += std::str::from_utf8(&stream.chunk().await.expect("reads").expect("goes on")).expect("text");
    }
    let resync = serde_json::to_string(&EventKind::Resync).expect("JSON");
    assert!(
        text.contains(resync.trim_matches(['{', '}'])),
        "who heard of later events fetches everything: {text}"
    );
}

#[tokio::test]
async fn records_come_again_and_the_history_is_whole() {
    let org = served().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("backup");
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let mut chain = Chain::new(device.id.expect("enrolled"), Some("acme"), 3);
    receipt(upload(&device, &chain.records).await).await;
    org.backup(&file).await;
    let stored = chain.head;
    for _ in 0..3 {
        chain.beat(1);
    }
    receipt(upload(&device, &chain.records[4..]).await).await;
    let disk = Disk::of(&device);
    drop(device);

    let (org, _) = org.restored(&file).await;
    let mut device = disk.at(&org);
    assert_eq!(opens(&mut device, "alice").await, "accepted");
    chain.beat(2);
    let request = device.request(Method::POST, AUDIT_PATH).body(write_batch(&chain.records[7..]));
    let answer = request.send().await.expect("answers");
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let refused: UploadRefused = answer.json().await.expect("JSON");
    assert_eq!(refused.stored, Some(stored), "it says how far it knows");
    assert_eq!(receipt(upload(&device, &chain.records[4..]).await).await, chain.head);
    let Answer::Verified(verdict) = org.ask(&Ask::VerifyAudit).await.expect("answers") else {
        panic!("a verdict")
    };
    assert!(verdict.is_good(), "{verdict:?}");
    let records = org.records(control::Filter::default()).await;
    let seqs: BTreeSet<u64> = records
        .iter()
        .filter(|record| record["device"] == chain.records[0].link().device.to_string())
        .filter_map(|record| record["seq"].as_u64())
        .collect();
    assert_eq!(seqs, (1..=8).collect(), "nothing of it is missing");
}

#[tokio::test]
async fn an_older_policy_is_not_in_force_after_a_newer_one_was() {
    let mut org = served().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("backup");
    org.backup(&file).await;
    let documents = org.signed(|_| ());
    let newer = org.publish_documents(&documents).await.expect("publishes");

    let (org, restored) = org.restored(&file).await;
    assert!(restored.publish_again);
    let status = org.ask(&Ask::Status).await.expect("answers");
    assert!(matches!(status, Answer::Nothing), "{status:?}");
    assert_eq!(org.publish_documents(&documents).await.expect("publishes again"), newer);
}
