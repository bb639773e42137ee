use super::*;

#[test]
fn diagnostics_that_it_asks_for_are_told_and_open_no_window() {
    let mut state = AppState::starting(true);
    let request = org_protocol::DiagnosticsRequest {
        id: 3,
        by: None,
        reason: "Mail fails".parse().unwrap(),
        since: NOW,
        until: NOW.plus(Duration::from_secs(300)),
    };
    let item = PendingItem { question: Question::Diagnostics(Arc::new(request)), ..consent_item("a1") };
    let effects = state.handle(Event::PendingAdded(item.clone()), NOW);
    let [Effect::Notify(notice)] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(!notice.body.contains("Mail fails"), "it is seen on locked screens");
    let looked = state.handle(Event::Person(Act::Look(item.id)), NOW);
    assert!(matches!(looked.as_slice(), [Effect::OpenQuestionWindow { .. }]), "{looked:?}");
}
