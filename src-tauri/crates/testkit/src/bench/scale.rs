//! Whether the cost of a call grows with what a gateway has to know: connectors, tools, sessions.
//!
//! A small and a large gateway run side by side and are called in turn; what is compared is always one round of each,
//! made directly after the other.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use super::measure::{Plan, Sample, Way, median, micros, take};
use super::meter::resident;
use super::report::Aim;
use super::subject::{Size, Subject};
use crate::PeerFault;

/// What grows, from the small gateway to the large one.
const STEPS: [(&str, Size, Size); 3] = [
    ("connectors", Size::LEAST, Size { connectors: 50, ..Size::LEAST }),
    ("tools", Size::LEAST, Size { tools: 5_000, ..Size::LEAST }),
    ("sessions", Size { sessions: 1, ..Size::LEAST }, Size { sessions: 200, ..Size::LEAST }),
];
/// The numbers of callers that are measured.
const CALLERS: [usize; 2] = [1, 32];
/// The large gateway's cost is at most this many times the small one's.
const MOST: f64 = 1.1;

/// One thing that grows, at one number of callers. Medians over all rounds; ratios are paired by round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Growth {
    /// What grows.
    pub of: &'static str,
    /// The small gateway.
    pub from: Size,
    /// The large one.
    pub to: Size,
    /// Callers at the same time.
    pub callers: usize,
    /// Processor time of the gateway, µs per call: small, large.
    pub cpu_us_per_call: [f64; 2],
    /// Large by small.
    pub cpu_ratio: f64,
    /// Median latency, µs: small, large.
    pub p50_us: [f64; 2],
    /// Large by small.
    pub p50_ratio: f64,
    /// Memory of the gateway after the load, KiB: small, large.
    pub memory_kib: [u64; 2],
}

impl Growth {
    pub(super) fn aim(&self) -> Aim {
        Aim {
            text: format!("{} callers, more {}: CPU of a call <= {MOST} x", self.callers, self.of),
            ratio: self.cpu_ratio,
            reached: self.cpu_ratio <= MOST,
        }
    }

    pub(super) fn write_head(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22} {:>7} {:>15} {:>7} {:>15} {:>7} {:>15}",
            "growing", "callers", "CPU µs/call", "ratio", "p50 µs", "ratio", "memory MiB"
        )
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |size: &Size| match self.of {
            "connectors" => size.connectors,
            "tools" => size.tools,
            _ => size.sessions,
        };
        let what = format!("{} {} -> {}", self.of, count(&self.from), count(&self.to));
        let pair = |[small, large]: [f64; 2], digits: usize| format!("{small:.digits$} {large:.digits$}");
        let memory = self.memory_kib.map(|kib| kib as f64 / 1024.0);
        write!(
            f,
            "{what:<22} {:>7} {:>15} {:>7.2} {:>15} {:>7.2} {:>15}",
            self.callers,
            pair(self.cpu_us_per_call, 0),
            self.cpu_ratio,
            pair(self.p50_us, 0),
            self.p50_ratio,
            pair(memory, 1),
        )
    }
}

/// Measures each step against the upstream at this address.
///
/// # Errors
/// If a gateway does not start or any call is not answered as it must.
pub(super) async fn scale(
    plan: &Plan,
    upstream: SocketAddr,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Growth>, PeerFault> {
    let mut grown = Vec::new();
    for (of, from, to) in STEPS {
        say(&format!("more {of}"));
        let mut small = Subject::start(&plan.programs, upstream, from).await?;
        let mut large = Subject::start(&plan.programs, upstream, to).await?;
        let processes = [small.process()?, large.process()?];
        let ways = [(small.target(), Some(processes[0])), (large.target(), Some(processes[1]))];
        for way in &ways {
            take(way, 32, plan.calls / 2).await?;
        }
        let mut turns = vec![Vec::new(); CALLERS.len()];
        for number in 0..plan.rounds {
            for (callers, turns) in CALLERS.iter().zip(&mut turns) {
                turns.push(turn(&ways, number, *callers, plan.calls).await?);
            }
        }
        let memory_kib = [resident(processes[0])?, resident(processes[1])?];
        grown.extend(CALLERS.iter().zip(&turns).map(|(callers, turns)| {
            let cpu = |sample: &Sample| sample.cpu_per_call().unwrap_or_default();
            let p50 = |sample: &Sample| micros(sample.round.quantile(0.5));
            let ([cpu_us_per_call, p50_us], [cpu_ratio, p50_ratio]) =
                ([both(turns, cpu), both(turns, p50)], [ratio(turns, cpu), ratio(turns, p50)]);
            Growth {
                of,
                from,
                to,
                callers: *callers,
                cpu_us_per_call,
                cpu_ratio,
                p50_us,
                p50_ratio,
                memory_kib,
            }
        }));
    }
    Ok(grown)
}

/// The small gateway and the large one in one round.
type Turn = [Sample; 2];

/// Which of them goes first changes with each round, so that neither gains by it.
async fn turn(
    [small, large]: &[Way; 2],
    number: usize,
    callers: usize,
    calls: usize,
) -> Result<Turn, PeerFault> {
    if number.is_multiple_of(2) {
        let small = take(small, callers, calls).await?;
        return Ok([small, take(large, callers, calls).await?]);
    }
    let large = take(large, callers, calls).await?;
    Ok([take(small, callers, calls).await?, large])
}

fn both(turns: &[Turn], figure: impl Fn(&Sample) -> f64) -> [f64; 2] {
    [
        median(turns.iter().map(|[small, _]| figure(small))),
        median(turns.iter().map(|[_, large]| figure(large))),
    ]
}

fn ratio(turns: &[Turn], figure: impl Fn(&Sample) -> f64) -> f64 {
    median(turns.iter().map(|[small, large]| figure(large) / figure(small)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::bench) fn growth(cpu_ratio: f64) -> Growth {
        let [(of, from, to), ..] = STEPS;
        let (cpu_us_per_call, p50_us) = ([100.0, 100.0 * cpu_ratio], [400.0, 400.0]);
        Growth {
            of,
            from,
            to,
            callers: 1,
            cpu_us_per_call,
            cpu_ratio,
            p50_us,
            p50_ratio: 1.0,
            memory_kib: [30_720, 33_792],
        }
    }

    #[test]
    fn a_tenth_more_is_the_most() {
        assert!(growth(1.1).aim().reached);
        assert!(!growth(1.11).aim().reached);
    }

    #[test]
    fn a_row_shows_both() {
        let row = growth(1.05).to_string();
        assert!(row.starts_with("connectors 1 -> 50"), "{row}");
        assert!(row.contains("100 105    1.05"), "{row}");
        assert!(row.ends_with("30.0 33.0"), "{row}");
    }
}
