//! Sleep and changes of the network, as the system tells of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use os::{Clock as _, SystemClock};
use testkit::{Gateway, MachineBus, Program, program, until};
use tokio::net::TcpListener;

use crate::common::{Personal, SOON};

/// What is asked again by itself once in half a minute is asked once at most within this time.
const LESS_THAN_A_PAUSE: Duration = Duration::from_secs(25);

/// A server that hangs up on everybody, and how often somebody came.
struct HangsUp {
    url: String,
    came: Arc<AtomicUsize>,
}

impl HangsUp {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
        let came = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&came);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        Self { url, came }
    }

    fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

/// How often it failed so far to list the connector's tools.
fn failures(gateway: &Gateway) -> usize {
    gateway.log().matches("its tools could not be listed").count()
}

#[tokio::test]
async fn what_waits_is_tried_at_once_after_a_sleep_and_when_the_network_is_back_and_nobody_is_asked() {
    let machine = MachineBus::start().await.expect("a system bus");
    machine.network(70).await.expect("it is told");
    let server = HangsUp::start().await;
    let mut setup = Personal::default().http("away", &server.url).server("desk", &["away"]).setup();
    setup.environment.push(machine.variable());
    let gateway = Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("started");
    // It listens a moment after it has started: until then it is told again.
    let heard = async || {
        machine.sleep(false).await.ok()?;
        gateway.log().contains("the computer woke").then_some(())
    };
    until("it listens", SOON, heard).await.expect("it does");

    let begun = SystemClock.boot_time();
    for wakes in [true, false, true, false] {
        let (failed, came) = (failures(&gateway), server.came());
        if wakes {
            machine.sleep(true).await.expect("it is told");
            machine.sleep(false).await.expect("it is told");
        } else {
            machine.network(20).await.expect("it is told");
            machine.network(70).await.expect("it is told");
        }
        let tried = async || (failures(&gateway) > failed && server.came() > came).then_some(());
        if let Err(fault) = until("another attempt that reached the server", SOON, tried).await {
            let counts = (failures(&gateway), failed, server.came(), came);
            panic!("it is made at once: {fault} {counts:?}\n{}", gateway.log());
        }
    }
    let took = SystemClock.boot_time() - begun;
    let log = gateway.log();
    assert!(took < LESS_THAN_A_PAUSE, "nothing of it was the ordinary look: {took:?}\n{log}");
    let pending = gateway.deskgate_json(&["pending"]).await.expect("it answers");
    assert_eq!(pending.as_array().map(Vec::len), Some(0), "{pending}");
}

#[tokio::test]
async fn without_a_system_bus_everything_works() {
    let mut setup = Personal::default().setup();
    setup.environment.push(("DBUS_SYSTEM_BUS_ADDRESS".to_owned(), "unix:path=/nowhere".to_owned()));
    let gateway = Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("started");
    let told = async || gateway.log().contains("nobody tells when this computer wakes").then_some(());
    until("the end of listening", SOON, told).await.expect("it is noticed");
    assert!(!gateway.log().contains(" WARN "), "without a word to anybody: {}", gateway.log());
}
