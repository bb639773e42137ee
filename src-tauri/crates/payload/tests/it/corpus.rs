use std::collections::BTreeMap;

use org_protocol::{PayloadDirection, PayloadSettings};
use payload::{Screen, Sieve};
use serde::Deserialize;
use serde_json::Value;

/// The least share of the positives of each class that is found.
const LEAST_FOUND: f64 = 0.95;
/// The most of the negatives in which anything is found.
const MOST_FALSE: f64 = 0.02;

#[derive(Deserialize)]
struct Positive {
    class: String,
    payload: Value,
}

#[derive(Deserialize)]
struct Negative {
    kind: String,
    payload: Value,
}

fn sieve() -> Sieve {
    let settings: PayloadSettings = serde_json::from_value(serde_json::json!({
        "rule": [{"id": "all", "detect": ["secrets", "personal_data"], "action": "log"}]
    }))
    .expect("settings");
    let screen = Screen::compile(&settings, |_| true).expect("compiles");
    screen.sieve(&"any".parse().expect("an id"), None, PayloadDirection::Response).expect("a rule")
}

fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    text.replace('¦', "")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of the corpus"))
        .collect()
}

fn share(part: usize, whole: usize) -> f64 {
    let number = |count| f64::from(u32::try_from(count).expect("small"));
    number(part) / number(whole)
}

#[test]
#[expect(clippy::print_stdout, reason = "it is for the one who looks at it")]
fn the_corpus_is_found() {
    let sieve = sieve();
    let classes = |payload: &Value| -> Vec<String> {
        sieve.json(&payload.to_string()).findings.into_iter().map(|finding| finding.class).collect()
    };
    // By class: how many there are, how many were found as what they are, and as anything of the kind.
    let mut by_class: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    for Positive { class, payload } in read(include_str!("../../testdata/positives.jsonl")) {
        let found = classes(&payload);
        let family = class.split_once([':', '.']).map_or(class.as_str(), |(family, _)| family);
        let entry = by_class.entry(class.clone()).or_default();
        entry.0 += 1;
        entry.1 += usize::from(found.contains(&class));
        entry.2 += usize::from(found.iter().any(|one| one.starts_with(family)));
    }
    println!("{:44} {:>9} {:>8} {:>8}", "class", "positives", "as named", "found");
    for (class, (all, named, found)) in &by_class {
        println!("{class:44} {all:9} {named:8} {found:8}");
    }
    let negatives: Vec<Negative> = read(include_str!("../../testdata/negatives.jsonl"));
    let mut by_kind: BTreeMap<String, (usize, usize, Vec<String>)> = BTreeMap::new();
    for Negative { kind, payload } in &negatives {
        let found = classes(payload);
        let entry = by_kind.entry(kind.clone()).or_default();
        entry.0 += 1;
        entry.1 += usize::from(!found.is_empty());
        entry.2.extend(found);
    }
    println!("{:44} {:>9} {:>8}", "kind", "negatives", "found");
    for (kind, (all, found, as_what)) in &by_kind {
        println!("{kind:44} {all:9} {found:8} {}", as_what.join(" "));
    }
    let wrong: usize = by_kind.values().map(|(_, found, _)| found).sum();
    let all: (usize, usize) = by_class.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.2));
    println!(
        "found {} of {} positives ({:.3}); found something in {wrong} of {} negatives ({:.4})",
        all.1,
        all.0,
        share(all.1, all.0),
        negatives.len(),
        share(wrong, negatives.len())
    );
    for (class, (all, _, found)) in by_class {
        assert!(share(found, all) >= LEAST_FOUND, "{class}: {found} of {all}");
    }
    assert!(share(wrong, negatives.len()) <= MOST_FALSE, "{wrong} of {}", negatives.len());
}
