//! Who gets records, and whether they have.

use super::receipts::{keys, receipt, signed};
use super::support::*;
use crate::*;

fn fates(home: &Home) -> Vec<Fate> {
    let fates = Fates::read(&home.dir()).unwrap();
    let records = export(&home.dir(), Position::default(), 100).unwrap();
    records.iter().map(|record| fates.of(record).1).collect()
}

#[tokio::test]
async fn of_each_record_it_is_told_who_has_it() {
    let home = Home::new();
    let (journal, _) = home.open();
    let own = call(&journal).await;
    reached(&journal, 3).await;
    journal.close();
    assert_eq!(fates(&home), [Fate::Stays; 3]);

    let (journal, _) = home.open_with(home.org_config("acme"));
    let first = call(&journal).await;
    reached(&journal, 3).await;
    let had = journal.head();
    journal.receipted(&signed(&receipt(&home, "acme", had)), &keys()).unwrap();
    journal.event(EventRecord::new(AuditEvent::Paused)).await.unwrap();
    journal.keep(Position { epoch: had.epoch, seq: 2 }).unwrap();
    let told = [Fate::Received, Fate::Refused, Fate::Received, Fate::Waits];
    assert_eq!(fates(&home)[3..], told);
    journal.close();

    for call in [own, first] {
        let records = of_call(&home.dir(), call).unwrap();
        assert_eq!(kinds(&records), ["intent", "outcome"], "of one call and no other");
        assert!(records.iter().all(|record| record.body().call() == Some(call)));
    }
    assert_eq!(of_call(&home.dir(), model::CallId::new()).unwrap(), []);
}
