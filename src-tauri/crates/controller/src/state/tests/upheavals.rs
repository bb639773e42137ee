//! The machine sleeps, and leaves and enters networks.

use super::*;

const TRY: Effect = Effect::Order(Order::TryNow);

#[test]
fn without_a_network_it_is_offline_and_needs_nobody() {
    let mut state = ready();
    let silent = ConnectorStatus::Unreachable(Advice::new("x", "There is no route.", "", ""));
    let (connector, status) = ("mail".parse().unwrap(), silent);
    state.handle(Event::ConnectorStatus { connector, status }, NOW);
    assert_eq!(state.status(), Status::Attention);
    assert_eq!(
        state.handle(Event::Upheaval(Upheaval::NetworkAway), NOW),
        [],
        "nothing is tried, nobody is told"
    );
    assert_eq!(state.status(), Status::Offline);
    assert!(crate::words::summary(&state).contains("in no network"), "{}", crate::words::summary(&state));
    assert_eq!(state.handle(Event::Upheaval(Upheaval::Woke), NOW), [TRY], "it may have moved meanwhile");
    assert_eq!(state.status(), Status::Offline);
    assert_eq!(state.handle(Event::Upheaval(Upheaval::NetworkBack), NOW), [TRY]);
    assert_eq!(state.status(), Status::Attention, "that it does not answer is its own fault now");
}

#[test]
fn a_pause_that_ended_while_the_machine_slept_is_over_when_it_wakes() {
    let mut state = ready();
    state.handle(Event::Person(Act::Pause(PauseFor::Duration(Duration::from_secs(15 * 60)))), NOW);
    let effects = state.handle(Event::Upheaval(Upheaval::Woke), NOW.plus(Duration::from_secs(8 * 60 * 60)));
    assert_eq!(effects, [TRY, Effect::Order(Order::Resume)]);
}
