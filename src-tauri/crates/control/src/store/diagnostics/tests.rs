use model::Subject;

use super::super::tests::{enrolled, on_each};
use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

async fn device(store: &Store, thumbprint: &str) -> DeviceId {
    enrolled(store, thumbprint, &Subject::local("alice"), NOW).await
}

async fn ask(store: &Store, device: DeviceId, now: Timestamp) -> Asking {
    let reason = "Mail fails".parse().expect("a line");
    let new = NewDiagnostics { device, by: "uid 0", shown_by: None, reason: &reason };
    store.ask_diagnostics(&new, now).await.expect("asks")
}

fn archive() -> SealedDiagnostics {
    SealedDiagnostics { sha256: Digest::of(b"x"), bytes: 1, sealed: vec![5, 1, 2, 3] }
}

async fn states(store: &Store) -> Vec<(u64, DiagnosticsState)> {
    store.diagnostics().await.expect("reads").into_iter().map(|one| (one.id, one.state)).collect()
}

#[tokio::test]
async fn a_device_is_asked_once_and_answers_once_for_itself() {
    on_each(async |store: Store| {
        let (one, other) = (device(&store, "a").await, device(&store, "b").await);
        let Asking::Asked(id) = ask(&store, one, NOW).await else { panic!("not asked") };
        assert_eq!(ask(&store, one, NOW).await, Asking::Waits(id));
        assert_eq!(ask(&store, DeviceId::new(), NOW).await, Asking::NoDevice);
        assert!(store.diagnostics_wanted(other, NOW).await.expect("reads").is_none());
        let wanted = store.diagnostics_wanted(one, NOW).await.expect("reads").expect("a request");
        assert_eq!((wanted.id, wanted.reason.as_str(), wanted.by), (id, "Mail fails", None));
        let heard = store.events_between(0, u64::MAX, one, Digest::of(b""), 9).await.expect("reads");
        assert_eq!(heard.last().map(|event| &event.what), Some(&EventKind::DiagnosticsChanged));
        assert!(
            store.events_between(0, u64::MAX, other, Digest::of(b""), 9).await.expect("reads").is_empty()
        );

        let sent = async |device| {
            store.diagnostics_sent((id, device), &archive(), "alice", NOW).await.expect("answers")
        };
        assert!(!sent(other).await, "another device");
        let has = async |device, archive: &[u8]| {
            store.has_diagnostics((id, device), Digest::of(archive)).await.expect("reads")
        };
        assert!(!has(one, b"x").await, "not yet");
        assert!(sent(one).await);
        assert!(!sent(one).await, "a second time");
        assert!(has(one, b"x").await);
        assert!(!has(one, b"y").await && !has(other, b"x").await);
        assert!(!store.diagnostics_refused((id, one), "alice", NOW).await.expect("answers"), "too late");
        let (asked, kept) = store.sent_diagnostics(id).await.expect("reads").expect("it was sent");
        assert_eq!((asked.state, asked.answered_by.as_deref()), (DiagnosticsState::Sent, Some("alice")));
        assert_eq!((kept, asked.sha256, asked.bytes), (archive(), Some(Digest::of(b"x")), Some(1)));
        assert!(!store.withdraw_diagnostics(id, NOW).await.expect("answers"));
        assert!(store.erase_diagnostics(id, NOW).await.expect("erases"));
        assert!(store.sent_diagnostics(id).await.expect("reads").is_none());
        assert!(states(&store).await.is_empty());
        store.revoke_device(one, NOW).await.expect("revokes");
        assert_eq!(ask(&store, one, NOW).await, Asking::NoDevice);
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_withdrawn_or_late_takes_no_answer_and_goes_with_time() {
    on_each(async |store: Store| {
        let one = device(&store, "a").await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let Asking::Asked(id) = ask(&store, one, NOW).await else { panic!("not asked") };
            match ids.len() {
                0 => assert!(store.diagnostics_refused((id, one), "alice", NOW).await.expect("answers")),
                1 => assert!(store.withdraw_diagnostics(id, NOW).await.expect("withdraws")),
                _ => assert!(!store.erase_diagnostics(id, NOW).await.expect("answers"), "it waits"),
            }
            ids.push(id);
        }
        let late = NOW.plus(DIAGNOSTICS_STAND);
        assert!(store.diagnostics_wanted(one, late).await.expect("reads").is_none());
        for id in &ids {
            let sent = store.diagnostics_sent((*id, one), &archive(), "alice", late).await;
            assert!(!sent.expect("answers"), "{id}");
        }
        let early = late.micros() - 1;
        let early = store.expire_diagnostics(Timestamp::from_micros(early)).await;
        assert!(early.expect("reads").is_empty());
        assert_eq!(store.expire_diagnostics(late).await.expect("ends"), [(ids[2], one)]);
        assert!(store.expire_diagnostics(late).await.expect("reads").is_empty());
        let ended = [DiagnosticsState::Expired, DiagnosticsState::Withdrawn, DiagnosticsState::Refused];
        let expected: Vec<_> = ids.iter().rev().copied().zip(ended).collect();
        assert_eq!(states(&store).await, expected);
        let forgotten = store.forget_diagnostics(late).await.expect("forgets");
        assert_eq!(forgotten.len(), 2, "what ended at that very time stays");
        assert_eq!(states(&store).await, expected[..1]);
    })
    .await;
}
