//! Looking back through calls.

use model::CallId;

use super::support::*;
use crate::*;

fn told(call: &PastCall) -> Option<(CallId, bool)> {
    Some((call.begun.body().call()?, call.ended.is_some()))
}

#[tokio::test]
async fn calls_are_found_from_the_end_back_across_segments_each_with_its_end() {
    let home = Home::new();
    let (journal, _) = home.open_with(JournalConfig { segment_bytes: 3_000, ..home.config() });
    // Another segment is begun once one has been made ready beside.
    let segments = || home.segments().len();
    let early = journal.intent(intent()).await.unwrap();
    let mut made = vec![(early.call(), true)];
    while made.len() < 12 || segments() < 4 {
        made.push((call(&journal).await, true));
    }
    let under_way = journal.intent(intent()).await.unwrap();
    made.push((under_way.call(), false));
    // Its end is in a much later segment than its beginning.
    journal.outcome(early, Outcome::new(OutcomeStatus::Ok)).unwrap();
    reached(&journal, 2 * made.len() as u64).await;
    made.reverse();

    let mut past = PastCalls::of(&home.dir()).unwrap();
    let mut found = past.further(5, told).unwrap();
    assert_eq!(found.len(), 5);
    while !past.is_over() {
        found.extend(past.further(5, told).unwrap());
    }
    assert_eq!(found, made);
    let earliest = *made.last().unwrap();
    let first = |call: &PastCall| told(call).filter(|it| *it == earliest);
    let mut past = PastCalls::of(&home.dir()).unwrap();
    let mut rare = Vec::new();
    while !past.is_over() {
        rare.extend(past.further(5, first).unwrap());
    }
    assert_eq!(rare, [earliest], "what is rare is found at the other end");
}

#[tokio::test]
async fn what_cannot_be_read_is_passed_over() {
    let home = Home::new();
    let (journal, _) = home.open();
    let calls = [call(&journal).await, call(&journal).await];
    reached(&journal, 5).await;
    journal.close();
    let path = home.segments().pop().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let damaged = lines[2].replacen('{', "[", 1);
    std::fs::write(&path, text.replace(lines[2], &damaged)).unwrap();
    let found = PastCalls::of(&home.dir()).unwrap().further(5, told).unwrap();
    assert_eq!(found, [(calls[1], true)]);
}
