//! Desktops and a control plane in a simulated network (turmoil) that delays, holds and loses what they say, while servers and
//! computers crash, people give up, proofs are sent twice and answers are not what the server said.
//!
//! Each seed is one history of such troubles. The seed decides on all of them; only how fast disk and processor are it does not.
//! Whatever happens, the laws of [`laws`] hold; and once the troubles end, everything comes right by itself.
//!
//! `DESKGATE_SIMULATION_SEED=7` runs that one seed again.

mod dice;
mod laptop;
mod laws;
mod network;
mod story;
mod world;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use laws::Count;
use world::Acme;

/// Names the one history that is to be run again.
const SEED: &str = "DESKGATE_SIMULATION_SEED";

#[test]
fn whatever_the_network_does_the_laws_of_fetch_session_lease_and_upload_hold() {
    match std::env::var(SEED) {
        Ok(one) => {
            let seed = one.parse().expect("a number");
            hold(seed..=seed);
        }
        Err(_) => hold_and_show_something(1..=20),
    }
}

/// Two hundred histories at full size, in parts that each end before tests are taken to hang.
macro_rules! at_full_size {
    ($($name:ident: $seeds:expr,)+) => {$(
        #[test]
        fn $name() {
            if testkit::full_size() {
                hold_and_show_something($seeds);
            }
        }
    )+};
}

at_full_size! {
    at_full_size_the_laws_hold_in_histories_to_50: 21..=50,
    at_full_size_the_laws_hold_in_histories_to_80: 51..=80,
    at_full_size_the_laws_hold_in_histories_to_110: 81..=110,
    at_full_size_the_laws_hold_in_histories_to_140: 111..=140,
    at_full_size_the_laws_hold_in_histories_to_170: 141..=170,
    at_full_size_the_laws_hold_in_histories_to_200: 171..=200,
}

fn hold_and_show_something(seeds: RangeInclusive<u64>) {
    let counts = hold(seeds);
    let never: Vec<Count> = Count::ALL.into_iter().filter(|what| !counts.contains_key(what)).collect();
    assert!(never.is_empty(), "what never happened proves nothing: {never:?} of {counts:?}");
}

/// Tells histories; what happened in them how often, if no law was broken.
fn hold(seeds: RangeInclusive<u64>) -> BTreeMap<Count, u64> {
    let acme = Acme::prepared();
    let left = Mutex::new(seeds);
    let (broken, counts) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::<Count, u64>::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = { left.lock().expect("whole").next() } {
                    match catch_unwind(AssertUnwindSafe(|| story::tell(seed, &acme))) {
                        Ok(Ok(counted)) => {
                            let mut counts = counts.lock().expect("whole");
                            counted
                                .into_iter()
                                .for_each(|(what, times)| *counts.entry(what).or_default() += times);
                        }
                        Ok(Err(why)) => broken.lock().expect("whole").push(format!("{SEED}={seed}: {why}")),
                        Err(_) => broken
                            .lock()
                            .expect("whole")
                            .push(format!("{SEED}={seed}: it panicked, see above")),
                    }
                }
            });
        }
    });
    let (broken, counts) = (broken.into_inner().expect("whole"), counts.into_inner().expect("whole"));
    assert!(broken.is_empty(), "{}\nOf all: {counts:?}", broken.join("\n"));
    counts
}
