//! Audit records from devices: stored once, acknowledged with a signature, and nothing else.

use control::admin::{Answer, Ask};
use model::{DeviceId, Subject, Timestamp};
use org_protocol::{
    AUDIT_PATH, AuditEvent, AuditRecord, BATCH_CODING, EpochReason, EpochRecord, EventRecord, FindingKind,
    Head, HeartbeatRecord, PreparedBody, Receipt, Resumed, SetAside, SignedReceipt, SigningKey,
    UploadRefused, pack_batch, verify_receipt, write_batch,
};
use reqwest::{Method, Response, StatusCode};

use crate::harness::{Device, read, served, signed_in};

/// What a desktop's journal has.
pub(crate) struct Chain {
    device: DeviceId,
    pub(crate) head: Head,
    pub(crate) records: Vec<AuditRecord>,
}

impl Chain {
    /// The beginning of an epoch, and `count` records more.
    pub(crate) fn new(device: DeviceId, org: Option<&str>, count: usize) -> Self {
        let mut chain = Self { device, head: Head::before(1), records: Vec::new() };
        chain.write(&PreparedBody::epoch(&EpochRecord {
            org: org.map(ToOwned::to_owned),
            reason: EpochReason::First,
            previous: None,
            checkpoint_key: None,
            detail: String::new(),
        }));
        for _ in 0..count {
            chain.beat(0);
        }
        chain
    }

    pub(crate) fn beat(&mut self, open_calls: u64) {
        self.write(&PreparedBody::heartbeat(&HeartbeatRecord { open_calls }));
    }

    fn write(&mut self, body: &Result<PreparedBody, serde_json::Error>) {
        let body = body.as_ref().expect("JSON");
        let mut line = String::new();
        let at = Timestamp::from_seconds(1_800_000_000);
        self.head = AuditRecord::seal_into(&mut line, self.device, &self.head, at, 1, body).expect("seals");
        self.records.push(AuditRecord::parse(line.trim_end()).expect("reads"));
    }
}

pub(crate) async fn upload(device: &Device<'_>, records: &[AuditRecord]) -> Response {
    device.request(Method::POST, AUDIT_PATH).body(write_batch(records)).send().await.expect("answers")
}

pub(crate) async fn receipt(answer: Response) -> Head {
    let signed: SignedReceipt = read(answer).await.expect("a receipt");
    let key = SigningKey::from_seed(&[3; 32]).public();
    let receipt = verify_receipt(&signed, [&key]).expect("signed by the receipts key");
    assert_eq!(receipt.org, "acme");
    receipt.head()
}

#[tokio::test]
async fn records_are_stored_once_and_acknowledged() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let mut chain = Chain::new(device.id.expect("enrolled"), Some("acme"), 3);
    assert_eq!(receipt(upload(&device, &chain.records[..2]).await).await, chain.records[1].link().head());
    assert_eq!(receipt(upload(&device, &chain.records).await).await, chain.head, "an overlap is passed over");
    chain.beat(1);
    assert_eq!(receipt(upload(&device, &chain.records[4..]).await).await, chain.head);
}

#[tokio::test]
async fn gaps_and_forks_are_refused_with_what_is_stored() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let id = device.id.expect("enrolled");
    let chain = Chain::new(id, Some("acme"), 3);
    receipt(upload(&device, &chain.records[..1]).await).await;

    let gap = upload(&device, &chain.records[2..]).await;
    assert_eq!(gap.status(), StatusCode::CONFLICT);
    let refused: UploadRefused = gap.json().await.expect("JSON");
    assert_eq!(
        (refused.error.code.as_str(), refused.stored),
        ("audit-gap", Some(chain.records[0].link().head()))
    );

    let mut forked = Chain::new(id, Some("acme"), 0);
    forked.beat(9);
    receipt(upload(&device, &chain.records).await).await;
    let fork = upload(&device, &forked.records[1..]).await;
    assert_eq!(fork.status(), StatusCode::CONFLICT);
    let refused: UploadRefused = fork.json().await.expect("JSON");
    assert_eq!((refused.error.code.as_str(), refused.stored), ("audit-fork", Some(chain.head)));
}

#[tokio::test]
async fn a_device_speaks_for_itself_and_for_this_organisation() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let id = device.id.expect("enrolled");
    for chain in [
        Chain::new(DeviceId::new(), Some("acme"), 0),
        Chain::new(id, Some("other"), 0),
        Chain::new(id, None, 0),
    ] {
        let answer = upload(&device, &chain.records).await;
        let refused = read::<SignedReceipt>(answer).await.expect_err("refused");
        assert_eq!(refused, (StatusCode::FORBIDDEN, "audit-foreign".to_owned()));
    }
}

#[tokio::test]
async fn edited_and_unreadable_batches_are_refused_whole() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let chain = Chain::new(device.id.expect("enrolled"), Some("acme"), 2);
    let edited = write_batch(&chain.records).replace("\"open_calls\":0", "\"open_calls\":7");
    for body in [edited.as_str(), "", "{}\n"] {
        let request = device.request(Method::POST, AUDIT_PATH).body(body.to_owned());
        let answer = request.send().await.expect("answers");
        assert_eq!(read::<SignedReceipt>(answer).await.expect_err("refused").1, "bad-request");
    }
    assert_eq!(
        receipt(upload(&device, &chain.records).await).await,
        chain.head,
        "nothing of them was stored"
    );
}

#[tokio::test]
async fn personal_data_that_are_missing_on_arrival_are_put_on_record() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let id = device.id.expect("enrolled");
    let mut chain = Chain::new(id, Some("acme"), 1);
    for _ in 0..3 {
        let event = EventRecord::new(AuditEvent::SignedIn).of(Subject::local("alice"));
        chain.write(&PreparedBody::event(&event));
    }
    let without = |record: &AuditRecord| {
        let erased = record.without_personal(|_, _| true).expect("reads");
        erased.map_or(record.clone(), |(record, _)| record)
    };
    receipt(upload(&device, &chain.records[..3]).await).await;
    let stripped: Vec<_> = chain.records.iter().map(without).collect();
    for _ in 0..2 {
        let head = receipt(upload(&device, &stripped).await).await;
        assert_eq!(head, chain.head, "the chain goes on");
    }
    let of_event =
        control::Filter { event: Some("personal-data-erased".to_owned()), ..control::Filter::default() };
    let told = org.records(of_event).await;
    let [told] = &told[..] else { panic!("once, of what is new: {told:#?}") };
    let facts = &told["body"]["facts"];
    assert_eq!((&facts["state"], &facts["device"]), (&"missing-on-arrival".into(), &id.to_string().into()));
    assert_eq!((&facts["seq"], &facts["records"], &facts["fields"]), (&"4".into(), &"2".into(), &"2".into()));
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let chain = Chain::new(device.id.expect("enrolled"), Some("acme"), 3);
    receipt(upload(&device, &chain.records).await).await;
    let (token, key) = (device.token.clone(), device.key.clone());
    drop(device);
    let org = org.restart().await;
    let device = Device { token, key, ..Device::new(&org) };
    assert_eq!(receipt(upload(&device, &chain.records).await).await, chain.head);
}

/// Delivers these lines as they are, packed.
async fn upload_packed(device: &Device<'_>, batch: &str) -> Response {
    let request = device.request(Method::POST, AUDIT_PATH).header("content-encoding", BATCH_CODING);
    request.body(pack_batch(batch)).send().await.expect("answers")
}

#[tokio::test]
async fn a_batch_may_be_packed_and_what_unpacks_to_too_much_is_refused() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let chain = Chain::new(device.id.expect("enrolled"), Some("acme"), 3);
    let bomb = upload_packed(&device, &" ".repeat(100 * 1024 * 1024)).await;
    assert_eq!(read::<SignedReceipt>(bomb).await.expect_err("refused").1, "bad-request");
    let other = device.request(Method::POST, AUDIT_PATH).header("content-encoding", "gzip");
    let other = other.body(write_batch(&chain.records)).send().await.expect("answers");
    assert_eq!(read::<SignedReceipt>(other).await.expect_err("refused").1, "bad-request");
    assert_eq!(receipt(upload_packed(&device, &write_batch(&chain.records)).await).await, chain.head);
}

#[tokio::test]
async fn the_chain_goes_on_over_a_record_that_was_set_aside_and_a_check_names_it() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let chain = Chain::new(device.id.expect("enrolled"), Some("acme"), 4);
    receipt(upload(&device, &chain.records[..2]).await).await;
    let aside = SetAside::of(&chain.records[2], "it cannot be read").line().expect("JSON");
    let head = receipt(upload_packed(&device, &aside).await).await;
    assert_eq!(head, chain.records[2].link().head(), "its place is signed for");
    assert_eq!(receipt(upload(&device, &chain.records[3..]).await).await, chain.head);
    let forged = SetAside::of(&Chain::new(device.id.expect("enrolled"), Some("acme"), 6).records[5], "x");
    let forged = forged.line().expect("JSON").replace("\"seq\":6", "\"seq\":9");
    assert_eq!(upload_packed(&device, &forged).await.status(), StatusCode::CONFLICT, "it has a place too");

    let Answer::Verified(verdict) = org.ask(&Ask::VerifyAudit).await.expect("answers") else { panic!() };
    let chain = verdict.chains.iter().find(|chain| Some(chain.device) == device.id).expect("checked");
    let found: Vec<_> = chain.findings.iter().map(|found| (found.kind, found.from, found.to)).collect();
    assert_eq!(found, [(FindingKind::SetAside, 3, 3)]);
    assert!(chain.is_good(), "it is told, and is no tampering");
}

#[tokio::test]
async fn a_server_that_lost_what_it_signed_for_takes_its_own_receipt_for_records_that_are_nowhere() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let id = device.id.expect("enrolled");
    let chain = Chain::new(id, Some("acme"), 6);
    let answer = upload(&device, &chain.records[..5]).await;
    let signed: SignedReceipt = read(answer).await.expect("a receipt");
    org.tamper("DELETE FROM records WHERE epoch = 1 AND seq > 2").await;
    let head = chain.records[1].link().head();
    org.tamper(
        "UPDATE heads SET seq = 2, digest = (SELECT digest FROM records WHERE epoch = 1 AND seq = 2) WHERE epoch = 1",
    )
    .await;
    let gap = upload(&device, &chain.records[4..]).await;
    let refused: UploadRefused = gap.json().await.expect("JSON");
    assert_eq!((refused.error.code.as_str(), refused.stored), ("audit-gap", Some(head)));

    let resumed = |end, receipt| Resumed::new(end, receipt).line().expect("JSON") + "\n";
    let rest = write_batch(&chain.records[4..]);
    let end = chain.records[3].link().head();
    let own = Receipt { org: "acme".to_owned(), ..signed.unverified().expect("a receipt") };
    let stranger = SignedReceipt::sign(&own, &SigningKey::from_seed(&[9; 32])).expect("signs");
    let answer = upload_packed(&device, &(resumed(end, stranger) + &rest)).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "whose receipt it is matters");
    let too_far = chain.records[5].link().head();
    let answer = upload_packed(&device, &(resumed(too_far, signed.clone()) + &rest)).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "and so does how far it goes");
    let answer = upload_packed(&device, &(resumed(end, signed) + &rest)).await;
    assert_eq!(receipt(answer).await, chain.head);

    let Answer::Verified(verdict) = org.ask(&Ask::VerifyAudit).await.expect("answers") else { panic!() };
    let checked = verdict.chains.iter().find(|chain| chain.device == id).expect("checked");
    let found: Vec<_> = checked.findings.iter().map(|found| (found.kind, found.from, found.to)).collect();
    assert_eq!(found, [(FindingKind::Removed, 3, 4)], "what is missing is named");
}
