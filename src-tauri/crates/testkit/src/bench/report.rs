//! What was measured, as a table for people and as JSON for scripts.

use std::fmt;

use serde::Serialize;

use super::light::Lightness;
use super::scale::Growth;
use super::search::SearchFigures;

/// Latencies and rate of one way to make calls, at one number of callers. The medians over all rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Median latency, µs.
    pub p50_us: f64,
    /// 99th percentile of the latency, µs.
    pub p99_us: f64,
    /// Calls per second over all callers.
    pub calls_per_second: f64,
    /// Processor time of the process in the middle, µs per call; none where there is no process.
    pub cpu_us_per_call: Option<f64>,
}

/// Everything at one number of callers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Level {
    /// Callers at the same time.
    pub callers: usize,
    /// The upstream, called directly.
    pub direct: Figures,
    /// The same through the bare relay.
    pub pass_through: Figures,
    /// The same through the gateway.
    pub gateway: Figures,
    /// What the relay adds to the median, µs; paired by round.
    pub pass_through_added_p50_us: f64,
    /// What the gateway adds to the median, µs; paired by round.
    pub gateway_added_p50_us: f64,
    /// What the relay adds to the 99th percentile, µs; paired by round.
    pub pass_through_added_p99_us: f64,
    /// What the gateway adds to the 99th percentile, µs; paired by round.
    pub gateway_added_p99_us: f64,
    /// One record written as the journal writes it, with fdatasync, directly before and after the gateway's calls, µs.
    pub sync_us: f64,
}

/// One whole measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The format of this document.
    pub format: u32,
    /// Rounds, and calls in each.
    pub rounds: usize,
    /// Calls in each round and way.
    pub calls: usize,
    /// Policies in force, beside the built-in one.
    pub policies: usize,
    /// Those of them that are about the tool.
    pub policies_reaching: usize,
    /// The mean size of a journal record, bytes.
    pub record_bytes: usize,
    /// By number of callers.
    pub levels: Vec<Level>,
    /// From the start of the program to the first answered call: median, ms.
    pub cold_start_ms: f64,
    /// Memory of the gateway before the load, KiB.
    pub idle_memory_kib: u64,
    /// Memory of the gateway after the load, KiB.
    pub loaded_memory_kib: u64,
    /// From the start of a bridge that was let in before to its first answer: median, ms.
    pub bridge_start_ms: f64,
    /// Memory of a bridge then, KiB: the most of several.
    pub bridge_memory_kib: u64,
    /// What a call costs where a gateway has to know more.
    pub growth: Vec<Growth>,
    /// Searching among a thousand tools.
    pub search: SearchFigures,
    /// What the programs are while nobody uses them.
    pub lightness: Lightness,
}

/// An aim and how far it was reached.
pub(super) struct Aim {
    pub(super) text: String,
    pub(super) ratio: f64,
    pub(super) reached: bool,
}

/// Added p50 at most this many times what the relay and one sync add.
const MOST_ADDED: f64 = 2.0;
/// Calls per second at least this share of the relay's.
const LEAST_RATE: f64 = 0.3;

impl Report {
    /// Whether every aim was reached. The measurement itself does not fail by it: machines differ.
    pub fn aims_reached(&self) -> bool {
        self.aims().iter().all(|aim| aim.reached)
    }

    fn aims(&self) -> Vec<Aim> {
        self.levels
            .iter()
            .flat_map(|level| {
                let floor = level.pass_through_added_p50_us + level.sync_us;
                let added = level.gateway_added_p50_us / floor;
                let rate = level.gateway.calls_per_second / level.pass_through.calls_per_second;
                let callers = level.callers;
                [
                    Aim {
                        text: format!(
                            "{callers} callers: added p50 <= {MOST_ADDED} x (pass-through's + sync)"
                        ),
                        ratio: added,
                        reached: added <= MOST_ADDED,
                    },
                    Aim {
                        text: format!("{callers} callers: calls/s >= {LEAST_RATE} x pass-through's"),
                        ratio: rate,
                        reached: rate >= LEAST_RATE,
                    },
                ]
            })
            .chain(self.growth.iter().map(Growth::aim))
            .chain(self.search.aims())
            .chain(self.lightness.aims())
            .collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, calls, policies, policies_reaching, .. } = self;
        writeln!(
            f,
            "{rounds} rounds of {calls} calls each way, in turn; {policies} policies, {policies_reaching} reach the tool\n"
        )?;
        writeln!(
            f,
            "{:>7}  {:<12} {:>9} {:>9} {:>11} {:>11} {:>9} {:>13}",
            "callers", "way", "p50 µs", "p99 µs", "added p50", "added p99", "calls/s", "CPU µs/call"
        )?;
        for level in &self.levels {
            let rows = [
                ("direct", level.direct, None),
                (
                    "pass-through",
                    level.pass_through,
                    Some((level.pass_through_added_p50_us, level.pass_through_added_p99_us)),
                ),
                ("gateway", level.gateway, Some((level.gateway_added_p50_us, level.gateway_added_p99_us))),
            ];
            for (way, figures, added) in rows {
                write_row(f, level.callers, way, figures, added)?;
            }
        }
        writeln!(f)?;
        for level in &self.levels {
            writeln!(
                f,
                "one fdatasync of a record of {} bytes, around the gateway's calls at {} callers: {:.0} µs",
                self.record_bytes, level.callers, level.sync_us
            )?;
        }
        writeln!(f, "cold start to the first answered call: {:.0} ms", self.cold_start_ms)?;
        writeln!(
            f,
            "memory: {:.1} MiB idle, {:.1} MiB after the load",
            mib(self.idle_memory_kib),
            mib(self.loaded_memory_kib)
        )?;
        writeln!(
            f,
            "bridge: {:.0} ms from its start to its first answer, {:.1} MiB\n",
            self.bridge_start_ms,
            mib(self.bridge_memory_kib)
        )?;
        Growth::write_head(f)?;
        for growth in &self.growth {
            writeln!(f, "{growth}")?;
        }
        writeln!(f, "\n{}", self.search)?;
        writeln!(f, "{}", self.lightness)?;
        for aim in self.aims() {
            let word = if aim.reached { "reached" } else { "MISSED" };
            writeln!(f, "{word:<8} {:>6.2}  {}", aim.ratio, aim.text)?;
        }
        Ok(())
    }
}

fn write_row(
    f: &mut fmt::Formatter<'_>,
    callers: usize,
    way: &str,
    figures: Figures,
    added: Option<(f64, f64)>,
) -> fmt::Result {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
    writeln!(
        f,
        "{callers:>7}  {way:<12} {:>9.0} {:>9.0} {:>11} {:>11} {:>9.0} {:>13}",
        figures.p50_us,
        figures.p99_us,
        number(added.map(|(p50, _)| p50)),
        number(added.map(|(_, p99)| p99)),
        figures.calls_per_second,
        number(figures.cpu_us_per_call),
    )
}

pub(super) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{light, scale, search};

    fn figures(p50_us: f64, calls_per_second: f64) -> Figures {
        Figures { p50_us, p99_us: 2.0 * p50_us, calls_per_second, cpu_us_per_call: None }
    }

    fn report(added: f64, rate: f64) -> Report {
        Report {
            format: 6,
            rounds: 1,
            calls: 10,
            policies: 100,
            policies_reaching: 10,
            record_bytes: 400,
            levels: vec![Level {
                callers: 1,
                direct: figures(70.0, 10_000.0),
                pass_through: figures(110.0, 1_000.0),
                gateway: figures(70.0 + added, rate),
                pass_through_added_p50_us: 40.0,
                gateway_added_p50_us: added,
                pass_through_added_p99_us: 80.0,
                gateway_added_p99_us: 2.0 * added,
                sync_us: 60.0,
            }],
            cold_start_ms: 9.0,
            idle_memory_kib: 4096,
            loaded_memory_kib: 8192,
            bridge_start_ms: 5.0,
            bridge_memory_kib: 5120,
            growth: vec![scale::tests::growth(1.0)],
            search: search::tests::figures(),
            lightness: light::tests::figures(),
        }
    }

    #[test]
    fn aims_are_what_was_promised() {
        assert!(report(200.0, 300.0).aims_reached(), "2 x (40 + 60) and 0.3 x 1000");
        assert!(!report(201.0, 300.0).aims_reached());
        assert!(!report(200.0, 299.0).aims_reached());
    }

    #[test]
    fn the_table_shows_misses() {
        let text = report(300.0, 200.0).to_string();
        assert!(text.contains("MISSED     3.00  1 callers: added p50"), "{text}");
        assert!(text.contains("MISSED     0.20  1 callers: calls/s"), "{text}");
        assert!(text.contains("bridge: 5 ms from its start to its first answer, 5.0 MiB"), "{text}");
    }
}
