//! `kill -9` under load: whatever the moment, no effect is without its intent, and each intent has one outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Url;
use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{Gateway, full_size, until};
use tokio::task::JoinSet;

use super::export;
use crate::common::{Personal, SOON};
use crate::hostile::call;

/// How many assistants call, and how many calls each has under way.
const ASSISTANTS: usize = 3;
const AT_ONCE: usize = 3;
/// The most calls before a round's end.
const LONGEST: u64 = 150;

fn random(below: u64) -> u64 {
    // Keyed by the operating system's random numbers.
    RandomState::new().build_hasher().finish() % below
}

/// Assistants that call without a pause.
struct Load {
    url: Url,
    tokens: Vec<String>,
    /// Each call has a number of its own, so that an effect can be told from every other.
    numbers: Arc<AtomicU64>,
}

impl Load {
    fn begin(&self) -> JoinSet<u64> {
        let each = self.tokens.iter().flat_map(|token| std::iter::repeat_n(token, AT_ONCE));
        each.map(|token| calls(self.url.clone(), token.clone(), Arc::clone(&self.numbers))).collect()
    }
}

/// Calls until the gateway is gone. How many were answered.
async fn calls(url: Url, token: String, numbers: Arc<AtomicU64>) -> u64 {
    let client = reqwest::Client::new();
    for answered in 0.. {
        let message = format!("effect {}", numbers.fetch_add(1, Ordering::SeqCst));
        let request = client.post(url.clone()).bearer_auth(&token);
        let request = request.header("accept", "application/json, text/event-stream");
        let sent = request.json(&call("echo", &json!({"message": message}))).send().await;
        let Ok(answer) = sent else { return answered };
        let Ok(answer) = answer.json::<Value>().await else { return answered };
        assert_eq!(answer["result"]["content"][0]["text"], message.as_str(), "{answer}");
    }
    unreachable!("there is always a next call")
}

/// What a journal says of calls, by the message that is an effect's name.
#[derive(Default)]
struct Recorded {
    /// The call of each effect.
    intents: BTreeMap<String, Value>,
    outcomes: BTreeMap<String, Vec<Value>>,
}

impl Recorded {
    fn read(records: &[Value]) -> Self {
        let mut recorded = Self::default();
        for record in records {
            let body = &record["body"];
            if record["kind"] == "intent" {
                let name = body["arguments"]["arguments"][0]["value"].as_str().expect("captured").to_owned();
                let earlier = recorded.intents.insert(name, body["call"].clone());
                assert_eq!(earlier, None, "a call is recorded once");
            } else if record["kind"] == "outcome" {
                let call = body["of"]["call"].to_string();
                recorded.outcomes.entry(call).or_default().push(body["outcome"].clone());
            }
        }
        recorded
    }
}

async fn verify(gateway: &Gateway) -> Value {
    let output = gateway.deskgate(&["audit", "verify", "--json"]).await.expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    serde_json::from_str(&told).expect("JSON")
}

/// Kills it at once, or when so many more effects were caused.
async fn kill(gateway: &mut Gateway, echo: &Echo, load: &Load, round: u64) -> u64 {
    if round % 5 == 4 {
        // While it starts: another start is cut off.
        gateway.spawn().expect("started");
        gateway.stop();
        gateway.restart().await.expect("it comes back");
    }
    let mut callers = load.begin();
    let enough = echo.heard().len() as u64 + 1 + random(LONGEST);
    let effects = until("effects", SOON, async || (echo.heard().len() as u64 >= enough).then_some(()));
    effects.await.unwrap_or_else(|fault| panic!("{fault}\n{}", gateway.log()));
    gateway.stop();
    let mut answered = 0;
    while let Some(caller) = callers.join_next().await {
        answered += caller.expect("each answer was right");
    }
    answered
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "it is for the one who looks at it")]
async fn killed_under_load_it_has_an_intent_for_every_effect_and_one_outcome_for_each_intent() {
    let rounds = if full_size() { 200 } else { 20 };
    let echo = Echo::listening().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let personal = Personal::default().http("echo", &upstream).server("desk", &["echo"]);
    let mut setup = personal.setup();
    // Values are recorded, so that an effect is found by what it was asked.
    setup.settings.insert_str(0, "capture_arguments = true\n");
    setup.usual_log = true;
    let deskgate = testkit::program(testkit::Program::Deskgate).expect("built");
    let mut gateway = Gateway::start(&deskgate, setup).await.expect("the gateway starts");
    let mut tokens = Vec::new();
    for number in 0..ASSISTANTS {
        let let_in = gateway.connect("desk", &format!("Assistant {number}")).await.expect("let in");
        tokens.push(let_in.tokens.access_token);
    }
    let load = Load { url: gateway.url("desk").expect("a URL"), tokens, numbers: Arc::default() };
    let mut answered = 0;
    for round in 0..rounds {
        answered += kill(&mut gateway, &echo, &load, round).await;
        gateway.restart().await.expect("it comes back");
        let report = verify(&gateway).await;
        assert_eq!(report["epochs"].as_array().map(Vec::len), Some(1), "one chain goes on: {report}");
    }
    gateway.stop();

    let records = export(&gateway).await;
    let recorded = Recorded::read(&records);
    let heard = echo.heard();
    let effects: BTreeSet<&String> = heard.iter().collect();
    assert_eq!(heard.len(), effects.len(), "no effect was caused twice");
    for effect in &effects {
        assert!(recorded.intents.contains_key(*effect), "{effect} has no intent");
    }
    let calls: BTreeSet<String> = recorded.intents.values().map(ToString::to_string).collect();
    assert_eq!(calls, recorded.outcomes.keys().cloned().collect(), "each intent has an outcome");
    assert!(recorded.outcomes.values().all(|outcomes| outcomes.len() == 1), "and only one");
    let unknown =
        recorded.outcomes.values().flatten().filter(|outcome| outcome["status"] == "unknown").count();
    let numbers: Vec<u64> = records.iter().filter_map(|record| record["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=records.len() as u64).collect::<Vec<_>>(), "no gap");
    assert!(answered <= effects.len() as u64);
    println!(
        "rounds {rounds}, records {}, answered {answered}, effects {}, intents {}, outcomes {}, of them unknown {unknown}",
        records.len(),
        effects.len(),
        recorded.intents.len(),
        recorded.outcomes.len()
    );
}
