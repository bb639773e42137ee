use std::sync::Mutex;

use model::{Advice, Timestamp};

use super::*;
use crate::effect::{Order, PauseFor};
use crate::event::Act;
use crate::state::Status;

#[derive(Default)]
struct Recorder {
    done: Mutex<Vec<String>>,
}

impl Shell for Recorder {
    fn perform(&self, effect: Effect) {
        self.done.lock().unwrap().push(format!("{effect:?}"));
    }
}

impl Engine for Recorder {
    fn order(&self, order: Order) {
        self.done.lock().unwrap().push(format!("order {order:?}"));
    }
}

#[tokio::test]
async fn events_become_effects_in_order_and_the_last_state_is_published() {
    let recorder = Arc::new(Recorder::default());
    let (send, events) = mpsc::unbounded_channel();
    let (published, seen) = watch::channel(Arc::new(AppState::starting(true)));
    let now: Now = Arc::new(|| Timestamp::from_seconds(5));
    let running = tokio::spawn(run(
        AppState::starting(true),
        events,
        published,
        now,
        recorder.clone(),
        recorder.clone(),
    ));

    send.send(Event::Listening { address: "http://127.0.0.1:1".to_owned() }).unwrap();
    send.send(Event::FaultRaised(Advice::new("c", "It broke.", "", ""))).unwrap();
    send.send(Event::Person(Act::Pause(PauseFor::Open))).unwrap();
    send.send(Event::Person(Act::Quit)).unwrap();
    running.await.unwrap();

    assert_eq!(seen.borrow().status(), Status::Paused);
    let done = recorder.done.lock().unwrap().clone();
    assert_eq!(done.len(), 3, "{done:?}");
    assert!(done[0].starts_with("Notify"), "{done:?}");
    assert_eq!(done[1..], ["order Pause", "Quit"]);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_nobody_follows_up_is_still_published() {
    let recorder = Arc::new(Recorder::default());
    let (send, events) = mpsc::unbounded_channel();
    let (published, mut seen) = watch::channel(Arc::new(AppState::starting(true)));
    let now: Now = Arc::new(|| Timestamp::from_seconds(5));
    tokio::spawn(run(AppState::starting(true), events, published, now, recorder.clone(), recorder));
    for port in 1..=50 {
        send.send(Event::Listening { address: format!("http://127.0.0.1:{port}") }).unwrap();
    }
    let last = seen.wait_for(|state| state.address.as_deref() == Some("http://127.0.0.1:50")).await;
    assert!(last.is_ok());
}
