//! Erasing personal data from a journal: the chain stays, a crash leaves whole segments, and the organisation loses nothing.

use model::{Subject, Timestamp};
use org_protocol::{RECEIPT_FORMAT, Receipt, SigningKey};

use super::support::*;
use crate::*;

fn of(person: &str) -> Erasure {
    Erasure::of(Some(person.to_owned()), None).unwrap()
}

fn by() -> EventRecord {
    EventRecord::new(AuditEvent::PersonalDataErased).of(Subject::local("somebody-else"))
}

/// Every byte of the journal's directory.
fn bytes(home: &Home) -> Vec<u8> {
    home.segments().iter().flat_map(|path| std::fs::read(path).unwrap()).collect()
}

fn has(home: &Home, text: &str) -> bool {
    bytes(home).windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_person_is_gone_from_every_file_and_the_chain_verifies() {
    let home = Home::new();
    filled(&home, 400).await;
    let (journal, _) = home.open();
    assert!(home.segments().len() > 2 && has(&home, "employee"));
    let before = journal.head();
    let open = journal.intent(intent()).await.unwrap();
    let erased = journal.erase(of("employee"), by()).await.unwrap();
    assert_eq!((erased.records, erased.waiting), (801, 0), "the one that is under way as well");
    assert!(!has(&home, "employee"), "not in a header either");
    journal.outcome(open, ok()).unwrap();
    journal.close();

    let report = verify(&home.dir()).unwrap();
    assert!(report.is_good(), "{report}");
    assert_eq!(report.erased, erased.fields);
    assert!(report.to_string().contains("erased"), "{report}");
    let (journal, recovery) = home.open();
    assert_eq!((recovery.began, recovery.unknown_outcomes.len()), (None, 0));
    let records = all(&journal);
    assert!(records.iter().any(|record| record.link().head() == before));
    let told: Vec<_> = records
        .iter()
        .filter_map(|record| {
            let RecordBody::Event(event) = record.body() else { return None };
            (event.event == AuditEvent::PersonalDataErased).then(|| event.facts.clone())
        })
        .collect();
    let [asked, done] = &told[..] else { panic!("{told:?}") };
    assert_eq!((asked.get("state"), done["state"].as_str()), (None, "done"));
    assert_eq!((&asked["of"], done["fields"].parse()), (&journal.keyed("employee"), Ok(erased.fields)));
}

#[tokio::test]
async fn only_what_is_old_is_erased_and_an_erased_value_cannot_be_put_back_changed() {
    let home = Home::new();
    filled(&home, 3).await;
    let (journal, _) = home.open();
    let nothing = Erasure::of(None, Some(Timestamp::from_seconds(-1))).unwrap();
    assert_eq!(journal.erase(nothing, by()).await.unwrap(), Erased::default());
    journal.close();
    let first = &home.segments()[0];
    let text = std::fs::read_to_string(first).unwrap();
    std::fs::write(first, text.replacen(r#""value":"Assistant""#, r#""value":"Assistent""#, 1)).unwrap();
    assert_eq!(home.findings(), [(FindingKind::Edited, 2, 2)]);
}

#[tokio::test]
async fn what_the_organisation_does_not_have_stays() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("acme"));
    call(&journal).await;
    reached(&journal, 3).await;
    let waiting = journal.erase(of("employee"), by()).await.unwrap();
    assert_eq!((waiting.records, waiting.waiting), (0, 2));
    let head = all(&journal)[2].link().head();
    signed_for(&home, &journal, head);
    let erased = journal.erase(of("employee"), by()).await.unwrap();
    assert_eq!((erased.records, erased.waiting), (2, 0));
    let pending = journal.pending(100).unwrap();
    assert!(pending.iter().all(|record| record.link().seq > head.seq), "the receipt still counts");
    journal.close();
    assert_eq!(home.findings(), []);
}

/// The organisation signs for the records up to there.
fn signed_for(home: &Home, journal: &Journal, head: Head) {
    let key = SigningKey::from_seed(&[1; 32]);
    let receipt = Receipt {
        format: RECEIPT_FORMAT,
        org: "acme".to_owned(),
        device: home.device,
        epoch: head.epoch,
        seq: head.seq,
        head: head.digest,
        stored_at: os::Clock::now(&*home.clock),
    };
    journal.receipted(&SignedReceipt::sign(&receipt, &key).unwrap(), &[key.public()]).unwrap();
}

#[tokio::test]
async fn outcomes_that_had_to_wait_are_erased_when_it_is_asked_again_by_address() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("acme"));
    let address = "alice@example.test";
    let alice = || IntentRecord {
        subject: Subject { email: Some(address.to_owned()), ..Subject::local("opaque-of-alice") },
        ..intent()
    };
    let (waits, goes_on) = (journal.intent(alice()).await.unwrap(), journal.intent(alice()).await.unwrap());
    journal.outcome(waits, ok()).unwrap();
    reached(&journal, 4).await;
    // The intents are signed for, the outcome of one is not, and that of the other is not there.
    signed_for(&home, &journal, all(&journal)[2].link().head());
    assert_eq!(journal.erase(of(address), by()).await.unwrap().records, 2);
    journal.outcome(goes_on, ok()).unwrap();
    journal.event(EventRecord::new(AuditEvent::Paused)).await.unwrap();
    assert!(has(&home, "opaque-of-alice"));
    signed_for(&home, &journal, all(&journal).last().unwrap().link().head());
    let again = journal.erase(of(address), by()).await.unwrap();
    assert_eq!((again.records, again.waiting), (2, 0));
    assert!(!has(&home, "opaque-of-alice") && !has(&home, address));
    journal.close();
    assert_eq!(home.findings(), []);
}

/// As a version before wrote them: no personal fields, and segments that say so.
fn of_the_format_before(home: &Home) {
    for path in home.segments() {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut head = None;
        let mut before = String::new();
        for line in text.trim_end_matches('\0').lines() {
            let mut line = match AuditRecord::parse(line) {
                Err(_) => line.replace(r#""segment":2"#, r#""segment":1"#),
                Ok(record) => {
                    let prev = head.unwrap_or(org_protocol::GENESIS);
                    line.split(r#","personal":"#)
                        .next()
                        .unwrap()
                        .trim_end_matches('}')
                        .to_owned()
                        .replace(r#""format":2"#, r#""format":1"#)
                        .replace(&record_prev(&record), &prev.to_string())
                        + "}"
                }
            };
            without_key(&mut line);
            line.truncate(line.len() - 84);
            head = Some(org_protocol::seal(&mut line, 0)).filter(|_| !line.starts_with(r#"{"segment""#));
            before.push_str(&line);
            before.push('\n');
        }
        std::fs::write(path, before).unwrap();
    }
    std::fs::remove_file(home.root.path().join("journal.head")).unwrap();
    std::fs::remove_file(home.root.path().join("journal.checkpoint")).unwrap();
}

/// Nor did they name a key.
fn without_key(line: &mut String) {
    let name = r#","checkpoint_key":""#;
    let Some(at) = line.find(name) else { return };
    let end = at + name.len() + line[at + name.len()..].find('"').unwrap() + 1;
    line.replace_range(at..end, "");
}

fn record_prev(record: &AuditRecord) -> String {
    record.link().prev.to_string()
}

#[tokio::test]
async fn a_journal_of_the_format_before_goes_on_in_another_chain() {
    let home = Home::new();
    let (journal, _) = home.open();
    for _ in 0..3 {
        journal.event(EventRecord::new(AuditEvent::Paused)).await.unwrap();
    }
    journal.close();
    of_the_format_before(&home);
    assert_eq!(home.findings(), []);
    let old = std::fs::read(&home.segments()[0]).unwrap();
    let (journal, recovery) = home.open();
    assert_eq!(recovery.began, Some(EpochReason::KeyChanged), "the chain before named no key");
    call(&journal).await;
    reached(&journal, 3).await;
    journal.close();
    assert_eq!(home.segments().len(), 2);
    assert_eq!(std::fs::read(&home.segments()[0]).unwrap(), old, "what is written stays as it is");
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn a_segment_of_a_later_format_is_left_as_it_is() {
    let home = Home::new();
    filled(&home, 2).await;
    let path = &home.segments()[0];
    let later = std::fs::read_to_string(path).unwrap().replace(r#""segment":2"#, r#""segment":3"#);
    std::fs::write(path, &later).unwrap();
    let (journal, recovery) = home.open();
    assert_eq!(recovery.began, Some(EpochReason::HistoryDamaged));
    assert!(recovery.detail.contains("format 3"), "{}", recovery.detail);
    journal.close();
    assert_eq!(std::fs::read_to_string(&home.segments()[0]).unwrap(), later);
}
