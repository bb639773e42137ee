//! One history: it begins well, troubles come as the seed wants them, and then they end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use control::admin::{Answer, Ask, Secret};
use control::testing::{ANALYST_SECRET, FINANCE_SECRET};
use model::{DeviceId, Timestamp};
use org_protocol::HaltTarget;
use os::{Clock as _, ManualClock, SystemClock};
use turmoil::Sim;
use vault::testing::MemoryKeychain;

use super::dice::Dice;
use super::laptop::{Laptop, folder};
use super::laws::{Count, Laws};
use super::network::CONTROL;
use super::world::{Acme, VERSIONS, control, put_secret};

/// The grain of simulated time.
const TICK: Duration = Duration::from_millis(20);
/// How long troubles go on.
const TROUBLES: Duration = Duration::from_secs(60);
/// Within this after the last trouble everything has come right: the longest pause between attempts, the longest silence, and what a
/// request may take.
const HEALED: Duration = Duration::from_secs(240);
/// How long an administrator waits, in simulated time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Real time that a database has for a tick while somebody waits for it.
const BREATH: Duration = Duration::from_micros(50);
/// Real time that databases and the provider have for a tick besides, where something takes long: on a busy machine the ten seconds
/// that the provider has are otherwise gone within a fifth of a real one, whenever it is asked.
const REST: Duration = Duration::from_millis(3);

/// Tells a history.
///
/// # Errors
/// The laws that were broken.
pub(super) fn tell(seed: u64, acme: &Acme) -> Result<BTreeMap<Count, u64>, String> {
    let mut story = Story::begin(seed, acme).map_err(|fault| format!("it did not begin: {fault}"))?;
    let told = story.troubles().and_then(|()| story.healing());
    let verdict = story.laws.verdict();
    told.and(verdict)
}

/// What lies between a desktop and the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Whole,
    Cut,
    Held,
}

struct Story<'a> {
    acme: &'a Acme,
    sim: Sim<'a>,
    data: PathBuf,
    clock: Arc<ManualClock>,
    laws: Laws,
    dice: Dice,
    laptops: Vec<Arc<Laptop>>,
    is_calm: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    published: usize,
    halt: Option<u64>,
    /// What ends when, in simulated time.
    ends: Vec<(Duration, End)>,
    wires: Vec<Wire>,
    is_up: bool,
    are_up: Vec<bool>,
    _folder: tempfile::TempDir,
}

/// The end of a trouble.
#[derive(Debug, Clone, Copy)]
enum End {
    Wire(usize),
    Server,
    Laptop(usize),
}

type Told<T = ()> = Result<T, String>;

impl<'a> Story<'a> {
    fn begin(seed: u64, acme: &'a Acme) -> Told<Self> {
        let text = |fault: std::io::Error| fault.to_string();
        let dice = Dice::new(seed);
        let folder = folder().map_err(text)?;
        let data = folder.path().join("data");
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let laws = Laws::new(Arc::clone(&clock), Arc::clone(&acme.signed));
        let mut network = turmoil::Builder::new();
        network.rng_seed(seed).tick_duration(TICK).simulation_duration(Duration::MAX).enable_tokio_io();
        network.enable_random_order().max_message_latency(Duration::from_millis(100));
        let mut sim = network.build();
        let (at, url, now) = (data.clone(), acme.config_url.clone(), Arc::clone(&clock));
        sim.host(CONTROL, move || control(at.clone(), url.clone(), Arc::clone(&now)));
        let (is_calm, is_over) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let manifests = Arc::<Mutex<_>>::default();
        let mut laptops = Vec::new();
        for (name, user) in [("one", "alice"), ("two", "bob")] {
            laptops.push(Arc::new(Laptop {
                name,
                user,
                device: DeviceId::new(),
                home: self::folder().map_err(text)?,
                keychain: MemoryKeychain::new(),
                laws: laws.clone(),
                dice: Arc::new(Dice::new(seed ^ dice.below(u64::MAX))),
                config_url: acme.config_url.clone(),
                fingerprint: acme.fingerprint,
                provider: Arc::clone(&acme.provider),
                is_calm: Arc::clone(&is_calm),
                is_over: Arc::clone(&is_over),
                manifests: Arc::clone(&manifests),
            }));
        }
        let (wires, are_up) = (vec![Wire::Whole; laptops.len()], vec![true; laptops.len()]);
        let mut story = Self {
            acme,
            sim,
            data,
            clock,
            laws,
            dice,
            laptops,
            is_calm,
            is_over,
            wires,
            are_up,
            published: 0,
            halt: None,
            ends: Vec::new(),
            is_up: true,
            _folder: folder,
        };
        story.goes_well()?;
        Ok(story)
    }

    /// The organisation opens, and the desktops come.
    fn goes_well(&mut self) -> Told {
        let socket = self.data.join("admin.sock");
        self.until("the server", PATIENCE, |_| socket.exists())?;
        self.publish()?;
        self.ask(put_secret())?.ok_or("the secret was not stored")?;
        for laptop in self.laptops.clone() {
            let name = laptop.name;
            self.sim.host(name, move || Arc::clone(&laptop).run());
        }
        self.until("that everybody works", HEALED, Self::is_well)
    }

    fn step(&mut self) -> Told {
        self.sim.step().map_err(|fault| format!("a program ended: {fault}"))?;
        self.clock.advance(TICK);
        self.laws.look(self.sim.elapsed());
        std::thread::sleep(BREATH);
        Ok(())
    }

    fn until(&mut self, what: &str, within: Duration, is_so: impl Fn(&Self) -> bool) -> Told {
        let begun = self.sim.elapsed();
        let end = begun + within;
        while !is_so(self) {
            if self.sim.elapsed() - begun > within / 8 {
                std::thread::sleep(REST);
            }
            if self.sim.elapsed() > end {
                let stand: Vec<_> = self
                    .laptops
                    .iter()
                    .map(|laptop| {
                        self.laws
                            .of(laptop.device, |seen| (seen.promised, seen.now.clone(), seen.told.clone()))
                    })
                    .collect();
                let laws = self.laws.verdict().err().unwrap_or_default();
                return Err(format!(
                    "not within {within:?}: {what}; {} published, {stand:?} {laws}",
                    self.published
                ));
            }
            self.step()?;
        }
        Ok(())
    }

    /// Has an administrator ask. `None` where it is not known whether it was done.
    fn ask(&mut self, question: Ask) -> Told<Option<Answer>> {
        let asked = self.acme.ask(&self.data, question);
        let end = self.sim.elapsed() + PATIENCE;
        while !asked.is_finished() && self.sim.elapsed() < end {
            self.step()?;
        }
        if !asked.is_finished() {
            asked.abort();
            return Ok(None);
        }
        let answer = self.acme.runtime.block_on(asked).map_err(|fault| fault.to_string())?;
        Ok(answer.ok())
    }

    fn publish(&mut self) -> Told {
        if self.published < VERSIONS && self.ask(self.acme.publication(self.published + 1))?.is_some() {
            self.published += 1;
        }
        Ok(())
    }

    /// Asks what was done of that of which nobody heard whether it was. `false` while nobody answers.
    fn takes_stock(&mut self) -> Told<bool> {
        let Some(Answer::Published(published)) = self.ask(Ask::Status)? else { return Ok(false) };
        let Some(Answer::Halts { halts }) = self.ask(Ask::ListHalts)? else { return Ok(false) };
        self.published = usize::try_from(published.version).unwrap_or(0);
        self.halt = halts.first().map(|standing| standing.halt.id);
        Ok(true)
    }

    /// Whether everything is as it should be at a desktop, and has been since `since`.
    fn stands_well(&self, laptop: &Laptop, since: Timestamp) -> bool {
        self.laws.of(laptop.device, |seen| {
            let now = &seen.now;
            now.version == self.published as u64
                && now.has_session
                && now.delivered
                && now.halts == usize::from(self.halt.is_some())
                && now.lent.is_some_and(|lent| lent > since)
        })
    }

    fn is_well(&self) -> bool {
        let since = Timestamp::from_seconds(0);
        self.laptops.iter().all(|laptop| self.stands_well(laptop, since))
    }

    fn troubles(&mut self) -> Told {
        self.is_calm.store(false, Ordering::SeqCst);
        let end = self.sim.elapsed() + TROUBLES;
        while self.sim.elapsed() < end {
            let next = self.sim.elapsed() + self.dice.millis(200, 2_000);
            while self.sim.elapsed() < next {
                self.end_what_is_due()?;
                self.step()?;
            }
            self.trouble()?;
        }
        Ok(())
    }

    fn end_what_is_due(&mut self) -> Told {
        let now = self.sim.elapsed();
        let due: Vec<End> = self.ends.extract_if(.., |(at, _)| *at <= now).map(|(_, end)| end).collect();
        due.into_iter().for_each(|end| self.end(end));
        Ok(())
    }

    fn end(&mut self, end: End) {
        match end {
            End::Server => {
                self.sim.bounce(CONTROL);
                self.is_up = true;
            }
            End::Laptop(index) => {
                self.sim.bounce(self.laptops[index].name);
                self.are_up[index] = true;
            }
            End::Wire(index) => {
                let name = self.laptops[index].name;
                match self.wires[index] {
                    Wire::Whole => {}
                    Wire::Cut => self.sim.repair(name, CONTROL),
                    Wire::Held => self.sim.release(name, CONTROL),
                }
                self.wires[index] = Wire::Whole;
            }
        }
    }

    fn later(&mut self, from: u64, to: u64, end: End) {
        let at = self.sim.elapsed() + self.dice.millis(from, to);
        self.ends.push((at, end));
    }

    fn trouble(&mut self) -> Told {
        let index = usize::try_from(self.dice.below(self.laptops.len() as u64)).unwrap_or(0);
        let (name, user) = (self.laptops[index].name, self.laptops[index].user);
        match self.dice.below(16) {
            0 | 1 if self.wires[index] == Wire::Whole => {
                match self.dice.below(3) {
                    0 => self.sim.partition(name, CONTROL),
                    1 => self.sim.partition_oneway(name, CONTROL),
                    _ => self.sim.partition_oneway(CONTROL, name),
                }
                self.laws.count(Count::Cut);
                self.wires[index] = Wire::Cut;
                self.later(500, 60_000, End::Wire(index));
            }
            2 if self.wires[index] == Wire::Whole => {
                self.sim.hold(name, CONTROL);
                self.laws.count(Count::Held);
                self.wires[index] = Wire::Held;
                self.later(500, 50_000, End::Wire(index));
            }
            3 if self.is_up => self.crash_server(),
            4 if self.are_up[index] => {
                self.sim.crash(name);
                self.laws.crashed(self.laptops[index].device);
                self.laws.count(Count::LaptopCrash);
                self.are_up[index] = false;
                self.later(100, 8_000, End::Laptop(index));
            }
            5 if self.dice.once_in(3) => {
                // Everybody's lid is closed: clocks go on, programs do not.
                self.clock.advance(self.dice.millis(20_000, 70 * 60_000));
                self.laws.count(Count::Slept);
            }
            6 => {
                let slowest = self.dice.millis(20, 4_000);
                self.sim.set_max_message_latency(slowest);
            }
            7 => self
                .sim
                .set_fail_rate([0.0, 0.0, 0.002, 0.01][usize::try_from(self.dice.below(4)).unwrap_or(0)]),
            8 | 9 if self.is_up => self.publish()?,
            10 | 11 if self.is_up => self.take_a_lease_back()?,
            12 if self.is_up => self.sign_out(index, user)?,
            13 if self.is_up => self.halt()?,
            14 if self.is_up => self.change_secret()?,
            _ => {}
        }
        Ok(())
    }

    /// Kills the server. Law: what it has said is stored is stored.
    fn crash_server(&mut self) {
        self.sim.crash(CONTROL);
        self.laws.count(Count::ServerCrash);
        self.is_up = false;
        self.later(100, 20_000, End::Server);
        self.promises_are_kept();
    }

    fn promises_are_kept(&self) {
        for laptop in &self.laptops {
            let promised = self.laws.of(laptop.device, |seen| seen.promised);
            let stored = self.acme.stored(&self.data, laptop.device);
            let last = stored.last().map(|(epoch, seq, _)| (*epoch, *seq));
            if promised > last {
                self.laws.broken(format!("a receipt to {promised:?}, and records to {last:?} are stored"));
            }
        }
    }

    fn take_a_lease_back(&mut self) -> Told {
        let Some(Answer::Leases { leases }) = self.ask(Ask::ListLeases)? else { return Ok(()) };
        let Some(lease) = leases.first() else { return Ok(()) };
        let id = lease.id;
        if self.ask(Ask::RevokeLease { id })?.is_some() {
            self.laws.lease_taken_back(id);
        }
        Ok(())
    }

    fn sign_out(&mut self, index: usize, user: &str) -> Told {
        let sessions = self.laws.sessions_of(self.laptops[index].device);
        if self.ask(Ask::SignOutPerson { person: user.to_owned() })?.is_some() {
            self.laws.sessions_revoked(sessions);
        }
        Ok(())
    }

    /// Stops something that nobody needs, or lets it go on.
    fn halt(&mut self) -> Told {
        if let Some(id) = self.halt {
            if self.ask(Ask::Lift { id })?.is_some() {
                self.halt = None;
            }
            return Ok(());
        }
        let target = HaltTarget::Credential { credential: "warehouse-finance".parse().map_err(|_| "an id")? };
        if let Some(Answer::Halted(halted)) = self.ask(Ask::Halt { target, reason: String::new() })? {
            self.halt = Some(halted.standing.halt.id);
        }
        Ok(())
    }

    fn change_secret(&mut self) -> Told {
        let text = [ANALYST_SECRET, FINANCE_SECRET][usize::try_from(self.dice.below(2)).unwrap_or(0)];
        let (id, secret) = ("warehouse-analyst".parse().map_err(|_| "an id")?, Secret(text.into()));
        self.ask(Ask::RotateCredential { id, secret, source: None, untested: true })?;
        Ok(())
    }

    /// The troubles end. Laws: everything comes right, every record is stored once, and nobody is taken for a copy.
    fn healing(&mut self) -> Told {
        self.is_calm.store(true, Ordering::SeqCst);
        self.sim.set_fail_rate(0.0);
        self.sim.set_max_message_latency(Duration::from_millis(100));
        std::mem::take(&mut self.ends).into_iter().for_each(|(_, end)| self.end(end));
        for laptop in &self.laptops {
            self.sim.repair(laptop.name, CONTROL);
        }
        let healed = self.clock.now();
        while !self.takes_stock()? {
            if self.clock.now().since(healed) > PATIENCE {
                return Err("nobody answers administrators".to_owned());
            }
            self.step()?;
        }
        self.publish()?;
        self.until("that everything has come right", HEALED, |story| {
            story.laptops.iter().all(|laptop| story.stands_well(laptop, healed))
        })?;
        self.is_over.store(true, Ordering::SeqCst);
        self.until("that everything is delivered", HEALED, |story| {
            story.laptops.iter().all(|laptop| {
                story.laws.of(laptop.device, |seen| seen.now.delivered && seen.now.records.is_some())
            })
        })?;
        self.promises_are_kept();
        for laptop in &self.laptops {
            let records = self.laws.of(laptop.device, |seen| seen.now.records.take()).unwrap_or_default();
            let stored = self.acme.stored(&self.data, laptop.device);
            if records != stored {
                self.laws.broken(format!(
                    "{} records were written, {} are stored",
                    records.len(),
                    stored.len()
                ));
            }
        }
        let Some(Answer::Devices { devices }) = self.ask(Ask::ListDevices)? else {
            return Err("the devices are not known".to_owned());
        };
        if devices.len() != self.laptops.len() || devices.iter().any(|one| one.suspended_at.is_some()) {
            self.laws.broken(format!("a desktop is taken for a copy: {devices:?}"));
        }
        Ok(())
    }
}
