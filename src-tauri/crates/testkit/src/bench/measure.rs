//! The order of the measurement.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::load::{Round, Target, round};
use super::meter::{cpu_time, resident, sync_time};
use super::report::{Figures, Level, Report};
use super::subject::{POLICIES, REACHING, Subject};
use crate::{PeerFault, Process, Spec};

/// The numbers of callers that are measured.
const CALLERS: [usize; 2] = [1, 32];
/// How often the program is started.
const STARTS: usize = 5;
/// How often the disk is asked in each round.
const SYNCS: usize = 100;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The folder with `deskgate` and this harness, built for measurement.
    pub programs: PathBuf,
    /// How often the three ways are measured in turn.
    pub rounds: usize,
    /// Calls in each round and way.
    pub calls: usize,
}

/// Measures: in each round the disk, then the three ways one after the other, at each number of callers.
///
/// # Errors
/// If a program does not start or any call is not answered as it must.
pub async fn measure(plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<Report, PeerFault> {
    let (upstream, upstream_address) = peer(plan, &["upstream".to_owned()]).await?;
    let to = ["pass-through".to_owned(), "--to".to_owned(), upstream_address.to_string()];
    let (relay, relay_address) = peer(plan, &to).await?;
    say("starting the gateway");
    let mut subject = Subject::start(&plan.programs, upstream_address).await?;
    let idle_memory_kib = resident(subject.process()?)?;
    let record_bytes = record_size(&subject).await?;

    let plain = |name, address| Target { name, address, path: "/mcp".to_owned(), token: None };
    let ways = [
        (plain("direct", upstream_address), None),
        (plain("pass-through", relay_address), Some(relay.id())),
        (subject.target(), Some(subject.process()?)),
    ];
    for (target, _) in &ways {
        // Connections, caches and clocks warm up.
        round(target, 32, plan.calls / 2).await?;
    }
    let mut syncs = Vec::new();
    let mut samples = vec![Vec::new(); CALLERS.len()];
    for number in 1..=plan.rounds {
        say(&format!("round {number} of {}", plan.rounds));
        syncs.push(sync_time(subject.gateway.home(), record_bytes, SYNCS)?);
        for (callers, samples) in CALLERS.iter().zip(&mut samples) {
            let mut sample = Vec::new();
            for (target, process) in &ways {
                sample.push(take(target, *process, *callers, plan.calls).await?);
            }
            samples.push(sample);
        }
    }
    let loaded_memory_kib = resident(subject.process()?)?;
    say("cold starts");
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(subject.cold_start().await?);
    }
    drop(upstream);
    Ok(Report {
        format: 1,
        rounds: plan.rounds,
        calls: plan.calls,
        policies: POLICIES,
        policies_reaching: REACHING,
        record_bytes,
        sync_us: median(syncs.into_iter().map(micros)),
        levels: CALLERS.iter().zip(&samples).map(|(callers, samples)| level(*callers, samples)).collect(),
        cold_start_ms: median(starts.into_iter().map(micros)) / 1000.0,
        idle_memory_kib,
        loaded_memory_kib,
    })
}

/// One way in one round.
#[derive(Debug, Clone)]
struct Sample {
    round: Round,
    cpu: Option<Duration>,
}

async fn take(
    target: &Target,
    process: Option<u32>,
    callers: usize,
    calls: usize,
) -> Result<Sample, PeerFault> {
    let before = process.map(cpu_time).transpose()?;
    let round = round(target, callers, calls).await?;
    let after = process.map(cpu_time).transpose()?;
    let cpu = after.zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok(Sample { round, cpu })
}

/// This harness again, as a process of its own, so that its processor time can be told apart.
async fn peer(plan: &Plan, arguments: &[String]) -> Result<(Process, SocketAddr), PeerFault> {
    let name = arguments.first().cloned().unwrap_or_default();
    let mut process = Spec::new(name, plan.programs.join("deskgate-bench")).args(arguments).start()?;
    let address = process.ready_line("ready ", Duration::from_secs(30)).await?;
    let address =
        address.parse().map_err(|_| PeerFault::answer("harness", format!("no address: {address}")))?;
    Ok((process, address))
}

/// A call leaves two records, its intent and its outcome.
async fn record_size(subject: &Subject) -> Result<usize, PeerFault> {
    const CALLS: usize = 500;
    let before = subject.journal()?;
    round(&subject.target(), 4, CALLS).await?;
    let grown = subject.journal()?.saturating_sub(before);
    let size = grown / (2 * CALLS);
    if size == 0 {
        return Err(PeerFault::answer("journal", "it does not grow with calls"));
    }
    Ok(size)
}

fn level(callers: usize, samples: &[Vec<Sample>]) -> Level {
    let of = |way: usize, figure: &dyn Fn(&Sample) -> f64| {
        median(samples.iter().filter_map(|ways| ways.get(way)).map(figure))
    };
    let figures = |way: usize| Figures {
        p50_us: of(way, &|sample| micros(sample.round.quantile(0.5))),
        p99_us: of(way, &|sample| micros(sample.round.quantile(0.99))),
        calls_per_second: of(way, &|sample| sample.round.rate()),
        cpu_us_per_call: samples
            .iter()
            .all(|ways| ways.get(way).is_some_and(|sample| sample.cpu.is_some()))
            .then(|| {
                of(way, &|sample| sample.cpu.map(micros).unwrap_or_default() / sample.round.calls() as f64)
            }),
    };
    let added = |way: usize, share: f64| {
        median(samples.iter().filter_map(|ways| {
            let (direct, other) = (ways.first()?, ways.get(way)?);
            Some(micros(other.round.quantile(share)) - micros(direct.round.quantile(share)))
        }))
    };
    Level {
        callers,
        direct: figures(0),
        pass_through: figures(1),
        gateway: figures(2),
        pass_through_added_p50_us: added(1, 0.5),
        gateway_added_p50_us: added(2, 0.5),
        pass_through_added_p99_us: added(1, 0.99),
        gateway_added_p99_us: added(2, 0.99),
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
