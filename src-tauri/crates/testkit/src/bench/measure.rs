//! The order of the measurement.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::light::{Lightness, light};
use super::load::{Round, Target, round};
use super::meter::{SyncProbe, cpu_time, resident};
use super::report::{Figures, Level, Report};
use super::scale::scale;
use super::search::search;
use super::subject::{POLICIES, REACHING, Size, Subject};
use crate::{PeerFault, Process, Spec};

/// The numbers of callers that are measured.
const CALLERS: [usize; 2] = [1, 32];
/// How often the program is started.
const STARTS: usize = 5;
/// How often the disk is asked before and after each sample of the gateway.
const SYNCS: usize = 50;

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

/// Measures: in each round the three ways one after the other, at each number of callers. The disk is asked directly
/// before and after the gateway: what a sync takes changes with whatever else the machine does.
///
/// # Errors
/// If a program does not start or any call is not answered as it must.
pub async fn measure(plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<Report, PeerFault> {
    let (upstream, upstream_address) = peer(plan, &["upstream".to_owned()]).await?;
    let to = ["pass-through".to_owned(), "--to".to_owned(), upstream_address.to_string()];
    let (relay, relay_address) = peer(plan, &to).await?;
    say("starting the gateway");
    let mut subject = Subject::start(&plan.programs, upstream_address, Size::LEAST).await?;
    let idle_memory_kib = resident(subject.process()?)?;
    let record_bytes = record_size(&subject).await?;

    let plain = |name, address| Target { name, address, path: "/mcp".to_owned(), speakers: Vec::new() };
    let ways = [
        (plain("direct", upstream_address), None),
        (plain("pass-through", relay_address), Some(relay.id())),
        (subject.target(), Some(subject.process()?)),
    ];
    for (target, _) in &ways {
        // Connections, caches and clocks warm up.
        round(target, 32, plan.calls / 2).await?;
    }
    let mut probe = SyncProbe::prepare(subject.gateway.home(), record_bytes)?;
    let mut samples = vec![Vec::new(); CALLERS.len()];
    for number in 1..=plan.rounds {
        say(&format!("round {number} of {}", plan.rounds));
        for (callers, samples) in CALLERS.iter().zip(&mut samples) {
            samples.push(Turn::take(&ways, &mut probe, *callers, plan.calls).await?);
        }
    }
    let loaded_memory_kib = resident(subject.process()?)?;
    say("bridges");
    let bridges = bridges(&subject).await?;
    say("cold starts");
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(subject.cold_start().await?);
    }
    drop(subject);
    let growth = scale(plan, upstream_address, say).await?;
    drop(upstream);
    say("searches");
    let search = search(&plan.programs).await?;
    let lightness = lightness(&plan.programs, say).await?;
    Ok(Report {
        format: 6,
        rounds: plan.rounds,
        calls: plan.calls,
        policies: POLICIES,
        policies_reaching: REACHING,
        record_bytes,
        levels: CALLERS.iter().zip(&samples).map(|(callers, samples)| level(*callers, samples)).collect(),
        cold_start_ms: median(starts.into_iter().map(micros)) / 1000.0,
        idle_memory_kib,
        loaded_memory_kib,
        bridge_start_ms: median(bridges.iter().map(|(took, _)| micros(*took))) / 1000.0,
        bridge_memory_kib: bridges.iter().map(|(_, memory)| *memory).max().unwrap_or_default(),
        growth,
        search,
        lightness,
    })
}

/// What the programs are while nobody uses them.
///
/// # Errors
/// If one does not start, or does not do as it is told.
pub async fn lightness(programs: &Path, say: &mut dyn FnMut(&str)) -> Result<Lightness, PeerFault> {
    say("idle minutes");
    light(programs).await
}

/// Bridges that are let in because one was before: the time from the start of each to its first answer, and the memory that
/// it holds then.
async fn bridges(subject: &Subject) -> Result<Vec<(Duration, u64)>, PeerFault> {
    let (first, asked) = tokio::join!(subject.bridge(), subject.gateway.answer(true));
    asked?;
    drop(first?);
    let mut bridges = Vec::new();
    for _ in 0..STARTS {
        let (bridge, took) = subject.bridge().await?;
        let process = bridge.id().ok_or_else(|| PeerFault::answer("bridge", "it has ended"))?;
        bridges.push((took, resident(process)?));
    }
    Ok(bridges)
}

/// Where calls go, and the process whose processor time counts.
pub(super) type Way = (Target, Option<u32>);

/// The three ways in one round, at one number of callers.
#[derive(Debug, Clone)]
struct Turn {
    direct: Sample,
    pass_through: Sample,
    gateway: Sample,
    /// One fdatasync: the mean of what it took before and after the gateway's calls.
    sync: Duration,
}

/// One of the three.
type WayOf = fn(&Turn) -> &Sample;

impl Turn {
    async fn take(
        ways: &[Way; 3],
        probe: &mut SyncProbe,
        callers: usize,
        calls: usize,
    ) -> Result<Self, PeerFault> {
        let [direct, pass_through, gateway] = ways;
        let direct = take(direct, callers, calls).await?;
        let pass_through = take(pass_through, callers, calls).await?;
        let before = probe.ask(SYNCS)?;
        let gateway = take(gateway, callers, calls).await?;
        let sync = (before + probe.ask(SYNCS)?) / 2;
        Ok(Self { direct, pass_through, gateway, sync })
    }
}

/// One way in one round.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) round: Round,
    pub(super) cpu: Option<Duration>,
}

impl Sample {
    /// Processor time of the process in the middle, µs per call.
    pub(super) fn cpu_per_call(&self) -> Option<f64> {
        self.cpu.map(|cpu| micros(cpu) / self.round.calls() as f64)
    }
}

pub(super) async fn take((target, process): &Way, callers: usize, calls: usize) -> Result<Sample, PeerFault> {
    let process = *process;
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

fn level(callers: usize, turns: &[Turn]) -> Level {
    let over = |figure: &dyn Fn(&Turn) -> f64| median(turns.iter().map(figure));
    let added = |way: WayOf, share: f64| {
        over(&|turn| micros(way(turn).round.quantile(share)) - micros(turn.direct.round.quantile(share)))
    };
    let (pass_through, gateway): (WayOf, WayOf) = (|turn| &turn.pass_through, |turn| &turn.gateway);
    Level {
        callers,
        direct: figures(turns, |turn| &turn.direct),
        pass_through: figures(turns, pass_through),
        gateway: figures(turns, gateway),
        pass_through_added_p50_us: added(pass_through, 0.5),
        gateway_added_p50_us: added(gateway, 0.5),
        pass_through_added_p99_us: added(pass_through, 0.99),
        gateway_added_p99_us: added(gateway, 0.99),
        sync_us: over(&|turn| micros(turn.sync)),
    }
}

fn figures(turns: &[Turn], way: WayOf) -> Figures {
    let over = |figure: &dyn Fn(&Sample) -> f64| median(turns.iter().map(|turn| figure(way(turn))));
    Figures {
        p50_us: over(&|sample| micros(sample.round.quantile(0.5))),
        p99_us: over(&|sample| micros(sample.round.quantile(0.99))),
        calls_per_second: over(&|sample| sample.round.rate()),
        cpu_us_per_call: turns
            .iter()
            .all(|turn| way(turn).cpu.is_some())
            .then(|| over(&|sample| sample.cpu_per_call().unwrap_or_default())),
    }
}

pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
