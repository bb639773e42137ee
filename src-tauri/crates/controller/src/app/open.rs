//! Opens what an installation keeps on disk, and joins the organisation that decides there.

use std::sync::Arc;
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal, JournalConfig, JournalFault};
use model::DeviceId;
use os::{Clock, InstanceLock};
use vault::{Keychain, Vault};

use super::fault::StartFault;
use super::machine::Machine;
use super::membership::{self, Joined};
use super::settings::{Loaded, SettingsFault};
use super::start::Options;

/// How soon an organisation that was never met is asked again.
const MEET_AGAIN: Duration = Duration::from_secs(5);

/// The parts that hold state on disk, opened.
pub(super) struct Opened {
    pub(super) lock: InstanceLock,
    pub(super) device: DeviceId,
    pub(super) vault: Vault,
    pub(super) machine: Machine,
    pub(super) settings: Result<Loaded, SettingsFault>,
    pub(super) joined: Option<Joined>,
    pub(super) journal: Journal,
    pub(super) found: Vec<EventRecord>,
}

/// Opens them.
///
/// # Errors
/// As [`start`](super::start::start).
pub(super) async fn open(
    options: &Options,
    keychain: Arc<dyn Keychain>,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, StartFault> {
    let home = &options.home;
    home.create()?;
    let lock = os::lock_instance(&home.lock())?;
    let device = home.device()?;
    let vault = Vault::open(&home.vault(), keychain, Arc::clone(clock)).await;
    let (machine, joined) = joined(options, device, &vault, clock).await?;
    let settings = machine.own_settings(&home.settings());
    let config = JournalConfig {
        // Records of another organisation, or of none, are never sent to this one.
        org: joined.as_ref().map(|joined| joined.id.clone()),
        ..JournalConfig::new(home.journal(), device, vault.mac_key("audit"))
    };
    let journal_clock = Arc::clone(clock);
    let (journal, recovery) = tokio::task::spawn_blocking(move || Journal::open(config, journal_clock))
        .await
        .map_err(|_| JournalFault::Closed)??;
    let mut found: Vec<_> = vault
        .found()
        .into_iter()
        .map(|found| EventRecord::new(AuditEvent::StateSetAside).with("what", format!("{:?}", found.finding)))
        .collect();
    if !recovery.detail.is_empty() {
        found.push(EventRecord::new(AuditEvent::JournalRepaired).with("detail", recovery.detail));
    }
    Ok(Opened { lock, device, vault, machine, settings, joined, journal, found })
}

/// Joins the organisation that decides, if one does. The one that IT has set on this machine is waited for: there is nothing else that
/// could be offered. What is set is read again each time, since it may be what is wrong.
async fn joined(
    options: &Options,
    device: DeviceId,
    vault: &Vault,
    clock: &Arc<dyn Clock>,
) -> Result<(Machine, Option<Joined>), StartFault> {
    let home = &options.home;
    let mut told = None;
    loop {
        let machine = Machine::read();
        let Some(at) = machine.organisation(&home.settings()) else { return Ok((machine, None)) };
        let joined = membership::join(at.clone(), home, device, vault.clone(), Arc::clone(clock)).await;
        match joined {
            Err(advice) if membership::is_not_met(&advice) && machine.managed().is_some() => {
                tracing::warn!(%advice, "the organisation is waited for");
                if told.as_ref() != Some(&at) {
                    options.shell.perform(membership::waiting_for(&at));
                    told = Some(at);
                }
                tokio::time::sleep(MEET_AGAIN).await;
            }
            joined => {
                let joined = joined.map_err(StartFault::Organisation)?;
                joined.org.show_when_enrolling(machine.enrolment_token());
                return Ok((machine, Some(joined)));
            }
        }
    }
}
