use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::Digest;

use super::*;
use crate::record::{
    AuditEvent, EpochReason, EpochRecord, EventRecord, GapRecord, HeartbeatRecord, PreparedBody,
};
use crate::root::{ROOT_FORMAT, ROOT_TYPE, Role, Roles, Root};

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn minute(minute: u64) -> Timestamp {
    START.plus(Duration::from_secs(60 * minute))
}

fn root_key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn receipt_key() -> SigningKey {
    SigningKey::from_seed(&[2; 32])
}

fn root(receipts: &SigningKey) -> (Vec<u8>, RootFingerprint) {
    let role = |key: &SigningKey| Role { threshold: 1, keys: BTreeSet::from([key.public().id()]) };
    let keys = [root_key().public(), receipts.public()];
    let root = Root {
        format: ROOT_FORMAT,
        org: "acme".to_owned(),
        version: 1,
        epoch: 1,
        expires: minute(1_000_000),
        keys: keys.into_iter().map(|key| (key.id(), key)).collect::<BTreeMap<_, _>>(),
        roles: Roles { root: role(&root_key()), manifest: role(receipts), receipts: role(receipts) },
    };
    let payload = serde_json::to_vec(&root).unwrap();
    (Envelope::sign(ROOT_TYPE, &payload, &[&root_key()]).to_json(), root.fingerprint())
}

/// One device's records, one a quarter of an hour.
struct Chain {
    device: DeviceId,
    head: Head,
    lines: Vec<String>,
    minute: u64,
}

impl Chain {
    /// So many records: the beginning, and heartbeats.
    fn of(records: usize) -> Self {
        let mut chain = Self { device: DeviceId::new(), head: Head::before(1), lines: Vec::new(), minute: 0 };
        let epoch = EpochRecord {
            org: Some("acme".to_owned()),
            reason: EpochReason::First,
            previous: None,
            checkpoint_key: None,
            detail: String::new(),
        };
        chain.write(&PreparedBody::epoch(&epoch).unwrap());
        (1..records).for_each(|_| chain.beat());
        chain
    }

    fn write(&mut self, body: &PreparedBody) {
        let mut line = String::new();
        let at = minute(self.minute);
        self.head = AuditRecord::seal_into(&mut line, self.device, &self.head, at, 1, body).unwrap();
        self.lines.push(line.trim_end().to_owned());
        self.minute += 15;
    }

    fn beat(&mut self) {
        self.write(&PreparedBody::heartbeat(&HeartbeatRecord { open_calls: 0 }).unwrap());
    }

    fn head_at(&self, seq: u64) -> Head {
        let line = &self.lines[usize::try_from(seq).unwrap() - 1];
        AuditRecord::parse(line).unwrap().link().head()
    }

    /// What is exported of it.
    fn part(&self, first: u64, last: u64) -> (ExportedChain, Vec<String>) {
        let ends = last == self.lines.len() as u64;
        let lines = (first..=last).map(|seq| self.lines[usize::try_from(seq).unwrap() - 1].clone());
        let lines = lines.collect();
        (
            ExportedChain { device: self.device, first, last: self.head_at(last), ends, after_loss: false },
            lines,
        )
    }
}

/// The lines of an export of these parts, from minute 30 to minute 90.
fn export(parts: &[(ExportedChain, Vec<String>)]) -> Vec<String> {
    let statement = statement(parts);
    let header = export_header(&statement, &receipt_key(), &root(&receipt_key()).0).unwrap();
    std::iter::once(header).chain(parts.iter().flat_map(|(_, lines)| lines.clone())).collect()
}

fn statement(parts: &[(ExportedChain, Vec<String>)]) -> ExportStatement {
    ExportStatement {
        format: EXPORT_FORMAT,
        org: "acme".to_owned(),
        since: minute(30),
        until: minute(90),
        made_at: minute(200),
        chains: parts.iter().map(|(chain, _)| *chain).collect(),
        set_aside: Vec::new(),
    }
}

fn check(lines: &[String]) -> Result<ExportReport, ExportFault> {
    let mut check = ExportCheck::begin(&lines[0], root(&receipt_key()).1)?;
    for line in &lines[1..] {
        check.push(line)?;
    }
    check.finish()
}

#[test]
fn a_range_is_proved_with_the_records_around_it() {
    let (one, two) = (Chain::of(10), Chain::of(5));
    // Minutes 15 to 90 of one; of the other, which ends within, from minute 15 on.
    let report = check(&export(&[one.part(2, 7), two.part(2, 5)])).unwrap();
    assert_eq!(report.records, 4 + 3);
    assert_eq!(report.remarks, [], "a silence of half an hour is none");
    let none = check(&export(&[])).unwrap();
    assert_eq!((none.records, none.remarks), (0, Vec::new()));
}

#[test]
fn what_is_changed_left_out_or_put_in_is_found() {
    let chain = Chain::of(10);
    let good = export(&[chain.part(2, 7)]);
    let broken = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = good.clone();
        change(&mut lines);
        check(&lines).unwrap_err()
    };
    let edited = broken(&|lines| lines[3] = lines[3].replace("\"open_calls\":0", "\"open_calls\":1"));
    assert!(matches!(edited, ExportFault::Line { line: 4, fault: LineFault::Edited(_) }), "{edited}");
    let left_out = broken(&|lines| drop(lines.remove(3)));
    assert!(matches!(left_out, ExportFault::Chain { line: 4, fault: ChainFault::Gap { .. } }), "{left_out}");
    let swapped = broken(&|lines| lines.swap(3, 4));
    assert!(matches!(swapped, ExportFault::Chain { line: 4, .. }), "{swapped}");
    let cut = broken(&|lines| drop(lines.pop()));
    assert_eq!(cut, ExportFault::CutOff { device: chain.device, epoch: 1, seq: 7 });
    let more = broken(&|lines| lines.push(chain.lines[7].clone()));
    assert_eq!(more, ExportFault::Surplus { line: 8 });
    let foreign = broken(&|lines| lines.insert(3, Chain::of(1).lines[0].clone()));
    assert!(matches!(foreign, ExportFault::Foreign { line: 4, .. }), "{foreign}");
    let first = broken(&|lines| drop(lines.remove(1)));
    assert!(matches!(first, ExportFault::Chain { line: 2, .. }), "{first}");
}

#[test]
fn what_the_organisation_has_lost_it_states() {
    let chain = Chain::of(10);
    let (mut before, mut after) = (chain.part(2, 3), chain.part(5, 7));
    let loss = |parts: &[_]| check(&export(parts)).map(|report| report.remarks);
    assert!(loss(&[before.clone(), after.clone()]).is_err(), "not stated");
    before.0.ends = true;
    after.0.after_loss = true;
    let kinds: Vec<RemarkKind> =
        loss(&[before, after]).unwrap().into_iter().map(|remark| remark.kind).collect();
    assert_eq!(kinds, [RemarkKind::Lost]);
}

#[test]
fn only_what_is_stated_to_have_been_set_aside_may_stand_for_a_record() {
    let chain = Chain::of(10);
    let parts = [chain.part(2, 7)];
    let record = AuditRecord::parse(&chain.lines[3]).unwrap();
    let aside = crate::SetAside::of(&record, "it cannot be read");
    let mut lines = export(&parts);
    lines[3] = aside.line().unwrap();
    let fault = check(&lines).unwrap_err();
    assert!(matches!(fault, ExportFault::Line { line: 4, .. }), "{fault}");

    let link = aside.link();
    let place = AsidePlace { device: link.device, place: link.head(), at: link.at };
    let stated = ExportStatement { set_aside: vec![place], ..statement(&parts) };
    lines[0] = export_header(&stated, &receipt_key(), &root(&receipt_key()).0).unwrap();
    let report = check(&lines).unwrap();
    let kinds: Vec<RemarkKind> = report.remarks.into_iter().map(|remark| remark.kind).collect();
    assert_eq!(kinds, [RemarkKind::SetAside]);
    lines[3] = lines[3].replace(&minute(45).to_string(), &minute(10).to_string());
    assert!(check(&lines).is_err(), "with another time it is another place");
}

#[test]
fn history_that_was_written_anew_is_found() {
    let (chain, mut other) = (Chain::of(10), Chain::of(1));
    other.device = chain.device;
    (other.head, other.lines, other.minute) = (chain.head_at(3), chain.lines[..3].to_vec(), 50);
    (0..7).for_each(|_| other.beat());
    let (part, _) = chain.part(2, 7);
    let fault = check(&export(&[(part, other.part(2, 7).1)])).unwrap_err();
    assert_eq!(fault, ExportFault::OtherEnd { line: 7 });
}

#[test]
fn a_part_that_does_not_reach_around_the_range_is_no_proof() {
    let chain = Chain::of(10);
    let (device, epoch) = (chain.device, 1);
    assert_eq!(check(&export(&[chain.part(3, 7)])), Err(ExportFault::BeginsLate { device, epoch }));
    assert_eq!(check(&export(&[chain.part(2, 6)])), Err(ExportFault::EndsEarly { device, epoch }));
}

#[test]
fn only_the_organisation_s_own_statement_is_believed() {
    let chain = Chain::of(10);
    let parts = [chain.part(2, 7)];
    let good = export(&parts);

    let stranger = Digest::of(b"another organisation");
    assert!(matches!(ExportCheck::begin(&good[0], stranger), Err(ExportFault::Root(_))));

    let forger = SigningKey::from_seed(&[9; 32]);
    let forged = export_header(&statement(&parts), &forger, &root(&receipt_key()).0).unwrap();
    let begun = ExportCheck::begin(&forged, root(&receipt_key()).1);
    assert!(matches!(begun, Err(ExportFault::Signature(_))), "{begun:?}");

    let own_root = export_header(&statement(&parts), &forger, &root(&forger).0).unwrap();
    let begun = ExportCheck::begin(&own_root, root(&receipt_key()).1);
    assert!(begun.is_ok(), "whoever has the root key names the receipt keys");

    let other = ExportStatement { org: "other".to_owned(), ..statement(&parts) };
    let other = export_header(&other, &receipt_key(), &root(&receipt_key()).0).unwrap();
    assert!(matches!(ExportCheck::begin(&other, root(&receipt_key()).1), Err(ExportFault::Org { .. })));

    let later = good[0].replacen("\"format\":1", "\"format\":2", 1);
    assert!(matches!(ExportCheck::begin(&later, root(&receipt_key()).1), Err(ExportFault::Format(2))));
    let begun = ExportCheck::begin(&good[0], root(&receipt_key()).1).unwrap();
    assert_eq!(begun.statement(), &statement(&parts));
}

#[test]
fn what_chains_say_of_what_they_do_not_hold_is_remarked() {
    let mut chain = Chain::of(3);
    let gap = GapRecord { missing: 3, since: minute(31), reason: "disk full".to_owned() };
    chain.write(&PreparedBody::gap(&gap).unwrap());
    let stops = [AuditEvent::Stop, AuditEvent::Start];
    chain.minute = 50;
    chain.write(&PreparedBody::event(&EventRecord::new(stops[0].clone())).unwrap());
    // Stopped for long: no silence. Then silent for long, and to the end of the range.
    chain.minute = 88;
    chain.write(&PreparedBody::event(&EventRecord::new(stops[1].clone())).unwrap());
    let report = check(&export(&[chain.part(2, 6)])).unwrap();
    let kinds: Vec<RemarkKind> = report.remarks.into_iter().map(|remark| remark.kind).collect();
    assert_eq!(kinds, [RemarkKind::Gap { missing: 3, since: minute(31) }]);

    let mut silent = Chain::of(3);
    silent.minute = 80;
    silent.beat();
    silent.minute = 81;
    silent.beat();
    let report = check(&export(&[silent.part(2, 5)])).unwrap();
    let kinds: Vec<RemarkKind> = report.remarks.into_iter().map(|remark| remark.kind).collect();
    assert_eq!(kinds, [RemarkKind::Silence { from: minute(30), to: minute(80) }]);
    let gone = Chain::of(2);
    let report = check(&export(&[gone.part(2, 2)])).unwrap();
    let kinds: Vec<RemarkKind> = report.remarks.into_iter().map(|remark| remark.kind).collect();
    assert_eq!(kinds, [RemarkKind::Silence { from: minute(30), to: minute(90) }], "gone before the range");
}
