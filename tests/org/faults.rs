//! Faults by name, end to end: what the employee and IT are shown, that nothing is let through that should not be, and that all goes on
//! without a restart.

use std::net::SocketAddr;

use serde_json::Value;
use testkit::{
    Database, ForwardProxy, Interceptor, ManagedMachine, Meddler, Meddling, MovedClock, SmallDisk,
    WithEnvironment,
};

use super::*;

/// Alice, who has signed in and whose assistant reads a file of her own and the organisation's warehouse.
struct Alice {
    gateway: Gateway,
    analyst: Assistant,
    opened: Opened,
}

impl Alice {
    async fn at(acme: &Acme, program: &Path, environment: Vec<(String, String)>) -> Self {
        let mut opened = Opened::new().expect("a browser opener");
        let settings = format!("answer_in_terminal = true\n\n{}", acme.organisation.settings());
        let setup =
            Setup { settings, path: vec![opened.folder().to_owned()], environment, ..Setup::default() };
        let gateway = Gateway::start(program, setup).await.expect("the gateway starts");
        signs_in_to_acme(&gateway, &mut opened, Employee::alice()).await;
        let analyst = assistant(&gateway, "analyst").await;
        let alice = Self { gateway, analyst, opened };
        alice.works(acme).await;
        alice
    }

    /// The answers to reading the file, writing it, which policy forbids her, and asking the warehouse.
    async fn asks(&self, acme: &Acme) -> [Value; 3] {
        let (note, _) = acme.note();
        let steps = [
            Step::call("read_text_file", json!({"path": note})),
            Step::call("write_file", json!({"path": note, "content": "x"})),
            sql(VISITS),
        ];
        let transcript = self.analyst.run(None, &steps).await;
        let transcript = transcript.unwrap_or_else(|fault| panic!("{fault}\n{}", self.gateway.log()));
        transcript.answers.try_into().expect("three answers")
    }

    /// Everything works that should, by itself and soon.
    async fn works(&self, acme: &Acme) {
        let (_, text) = acme.note();
        let works = until("that everything works", SOON, async || {
            let [file, written, visits] = self.asks(acme).await;
            let holds = file.to_string().contains(text.trim_end()) && is_refused(&written);
            (holds && visits.to_string().contains("172")).then_some(())
        });
        works.await.unwrap_or_else(|fault| panic!("{fault}\n{}", self.gateway.log()));
    }

    /// The warehouse rests, in these words; the policy decides on everything else as before.
    async fn is_told(&self, acme: &Acme, words: &str) {
        let last = std::cell::RefCell::new(String::new());
        let told = until(words, SOON, async || {
            let [file, written, visits] = self.asks(acme).await;
            assert!(file.to_string().contains(acme.note().1.trim_end()), "{file}");
            assert!(is_refused(&written), "what is forbidden stays forbidden: {written}");
            *last.borrow_mut() = visits.to_string();
            (is_refused(&visits) && refusal_text(&visits).contains(words)).then_some(())
        });
        told.await.unwrap_or_else(|fault| panic!("{fault}: {}\n{}", last.borrow(), self.gateway.log()));
    }
}

/// What the control plane says to whoever asks whether it is ready.
async fn readiness(acme: &Acme) -> Option<(u16, String)> {
    let url = acme.organisation.config_url().join("readyz").expect("a URL");
    let answer = reqwest::get(url).await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

async fn is_ready(acme: &Acme, status: u16, words: &str) {
    let ready = until(words, SOON, async || {
        readiness(acme).await.filter(|(found, why)| *found == status && why.contains(words))
    });
    ready.await.unwrap_or_else(|fault| panic!("{fault}\n{}", acme.organisation.log()));
}

const AWAY: &str = "The organisation's server cannot use its database just now.";

/// No answer said that the server is broken.
fn nothing_broke(acme: &Acme) {
    let log = acme.organisation.log();
    let broken: Vec<_> = log.lines().filter(|line| line.contains("status=500")).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn a_database_that_is_gone_for_a_while_is_said_and_missed_no_longer_than_that() {
    let mut database = Database::start().await.expect("PostgreSQL starts");
    let control = program(Program::Control).expect("built");
    let control =
        WithEnvironment::around(&control, &[("DESKGATE_DATABASE", &database.url())]).expect("a program");
    let acme = Acme::start(&control.program()).await.expect("the organisation starts");
    let alice = Alice::at(&acme, &program(Program::Deskgate).expect("built"), Vec::new()).await;
    is_ready(&acme, 200, "true").await;

    database.stop();
    is_ready(&acme, 503, "the database does not answer").await;
    alice.is_told(&acme, AWAY).await;

    database.again().await.expect("it is back");
    is_ready(&acme, 200, "true").await;
    alice.works(&acme).await;
    everything_is_delivered(&alice.gateway).await;
    nothing_broke(&acme);
}

#[tokio::test]
async fn a_full_disk_under_the_database_is_said_and_needs_no_more_than_room() {
    let disk = SmallDisk::under_database(&program(Program::Control).expect("built")).expect("a disk");
    let acme = Acme::start(&disk.program()).await.expect("the organisation starts");
    let alice = Alice::at(&acme, &program(Program::Deskgate).expect("built"), Vec::new()).await;
    is_ready(&acme, 200, "true").await;

    disk.fill().await.expect("full");
    alice.is_told(&acme, AWAY).await;
    is_ready(&acme, 503, "cannot be written").await;

    disk.grow().expect("room is made");
    is_ready(&acme, 200, "true").await;
    alice.works(&acme).await;
    everything_is_delivered(&alice.gateway).await;
    nothing_broke(&acme);
}

#[tokio::test]
async fn where_the_organisation_wants_it_calls_go_on_over_a_full_disk_and_are_counted() {
    let acme = acme().await;
    let wanted = acme.organisation.publish(|folder| {
        let file = folder.join("org.toml");
        let text = std::fs::read_to_string(&file).expect("settings");
        let wanted = "\n[audit]\ncapture_arguments = true\non_failure = \"best_effort\"\n";
        let text = text + wanted;
        std::fs::write(&file, text).expect("written");
    });
    wanted.await.expect("published");
    let disk = SmallDisk::tiny(&program(Program::Deskgate).expect("built")).expect("a disk");
    let alice = Alice::at(&acme, &disk.program(), Vec::new()).await;

    // Records of calls with long arguments fill it.
    let long = "x".repeat(3500);
    let steps = vec![Step::call("read_text_file", json!({"path": long})); 20];
    until("the end of the room", SOON, async || {
        alice.analyst.run(None, &steps).await.expect("connected");
        let status = alice.gateway.deskgate(&["status"]).await.ok()?;
        String::from_utf8_lossy(&status.stdout).contains("The disk is full").then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", alice.gateway.log()));
    alice.works(&acme).await;
    let told = tells(&alice.gateway, "Calls go on without a record of each").await;
    assert!(!told.contains("0 calls so far"), "{told}");

    disk.grow().expect("room is made");
    // The disk is the gateway's alone, so it is the organisation that is asked.
    let missing = until("the count", SOON, async || {
        let records = acme.organisation.records(&[]).await.ok()?;
        let mut gaps = records.iter().filter(|record| record["kind"] == "gap");
        gaps.find_map(|record| record["body"]["missing"].as_u64())
    });
    let missing = missing.await.unwrap_or_else(|fault| panic!("{fault}\n{}", alice.gateway.log()));
    assert!(missing > 0);
    alice.works(&acme).await;
    everything_is_delivered(&alice.gateway).await;
}

async fn everything_is_delivered(gateway: &Gateway) {
    let delivered = until("everything is acknowledged", SOON, async || {
        let status = gateway.deskgate_json(&["status"]).await.ok()?;
        status["audit"]["receipted"].as_u64().filter(|all| status["audit"]["records"] == *all)
    });
    delivered.await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
}

#[tokio::test]
async fn a_page_that_a_network_shows_instead_of_the_organisation_is_said() {
    let mut acme = acme().await;
    let behind = acme.organisation.config_url().socket_addrs(|| None).expect("an address")[0];
    let between = Meddler::before(behind).await.expect("listens");
    acme.organisation.restart_behind(between.url()).await.expect("it is back");
    let mut alice = Alice::at(&acme, &program(Program::Deskgate).expect("built"), Vec::new()).await;

    between.does(Meddling::Portal);
    alice.is_told(&acme, "gave an answer that cannot be used").await;
    // What a person sees who comes to such a network.
    alice.gateway.restart().await.expect("it starts all the same");
    tells(&alice.gateway, "The organisation's server gave an answer that cannot be used.").await;
    between.does(Meddling::Nothing);
    alice.works(&acme).await;
    until("that nothing is said any more", SOON, async || {
        let status = alice.gateway.deskgate(&["status"]).await.ok()?;
        (!String::from_utf8_lossy(&status.stdout).contains("cannot be used")).then_some(())
    })
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", alice.gateway.log()));
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_named_and_a_good_one_is_enough() {
    let mut acme = acme().await;
    let proxy = Interceptor::before(acme.organisation.config_url()).await.expect("a proxy");
    acme.organisation.restart_behind(proxy.url()).await.expect("it is back");
    let machine = ManagedMachine::around(&program(Program::Deskgate).expect("built")).expect("a machine");
    machine.believes(&proxy.authority()).expect("the company's authority");
    let mut alice = Alice::at(&acme, &machine.program(), Vec::new()).await;

    let proxy = proxy.again(true).await.expect("it is back, with an expired certificate");
    alice.is_told(&acme, "The certificate of the organisation's server has expired.").await;
    // What a person sees who starts their computer meanwhile.
    alice.gateway.restart().await.expect("it starts all the same");
    let told = tells(&alice.gateway, "The certificate of the organisation's server has expired.").await;
    assert!(told.contains("Check this computer's clock"), "{told}");
    assert!(!proxy.seen().contains("/v1/"), "nothing is said to it: {}", proxy.seen());

    let _proxy = proxy.again(false).await.expect("it is back, with a good one");
    alice.works(&acme).await;
}

#[tokio::test]
async fn a_clock_that_is_wrong_by_hours_is_said_and_setting_it_is_enough() {
    let acme = acme().await;
    let clock = MovedClock::new().expect("a clock");
    let mut alice = Alice::at(&acme, &program(Program::Deskgate).expect("built"), clock.environment()).await;
    clock.offset("+5h").expect("it is set");
    let told = tells(&alice.gateway, "This computer's clock is 5 hours ahead of that").await;
    assert!(told.contains("Set this computer's clock."), "{told}");
    // Her assistant's access has run out by that clock.
    alice.analyst = assistant(&alice.gateway, "analyst").await;
    let [file, written, visits] = alice.asks(&acme).await;
    assert!(file.to_string().contains(acme.note().1.trim_end()), "what needs nobody else goes on: {file}");
    assert!(is_refused(&written) && is_refused(&visits), "{written} {visits}");
    clock.offset("+0").expect("it is right");
    alice.works(&acme).await;

    if !testkit::full_size() {
        return;
    }
    // What was signed later than the clock shows is not obeyed by it.
    clock.offset("-5h").expect("it is set");
    let told = tells(&alice.gateway, "This computer's clock is wrong: it is later than").await;
    assert!(told.contains("Set the clock."), "{told}");
    for answer in alice.asks(&acme).await {
        assert!(is_refused(&answer), "{answer}");
    }
    clock.offset("+0").expect("it is right");
    alice.works(&acme).await;
}

/// Everything for others goes through the company's proxy, and nothing for this machine does.
#[tokio::test]
async fn an_ordinary_proxy_carries_what_is_for_the_organisation_and_nothing_that_stays_here() {
    const CONFIG: &str = "config.acme.test";
    let mut acme = acme().await;
    let ends_tls = Interceptor::before(acme.organisation.config_url()).await.expect("a proxy");
    let place = ends_tls.url().socket_addrs(|| None).expect("an address");
    let place = place.into_iter().find(SocketAddr::is_ipv4).expect("an address");
    let places = BTreeMap::from([(format!("{CONFIG}:443"), place)]);
    let proxy = ForwardProxy::to(places).await.expect("a proxy");
    let public = format!("https://{CONFIG}/").parse().expect("a URL");
    acme.organisation.restart_behind(&public).await.expect("it is back");
    let machine = ManagedMachine::around(&program(Program::Deskgate).expect("built")).expect("a machine");
    machine.believes(&ends_tls.authority()).expect("the company's authority");
    let alice = Alice::at(&acme, &machine.program(), proxy.environment()).await;
    let mail = [Step::call("list_messages", json!({}))];
    let Alice { analyst, mut opened, .. } = alice;
    let (first, _) = tokio::join!(analyst.run(None, &mail), signs_in(&mut opened, Employee::alice()));
    assert_eq!(first.expect("connected").answers[0]["structuredContent"]["account"], "alice");
    let asked: BTreeSet<String> = proxy.asked().into_iter().collect();
    assert_eq!(asked, BTreeSet::from([format!("CONNECT {CONFIG}:443")]), "and nothing else");
}
