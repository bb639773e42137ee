//! Follows what changes by itself: the settings file, the keychain, the journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use audit::{AuditEvent, EventRecord, Fill, Journal, JournalFault, Usage};
use model::{Advice, ForPerson as _};
use os::{Again, FolderWatch};
use tokio::sync::watch;
use vault::{KeychainState, Vault};

use super::offering::{Offering, Validity};
use super::settings::{Loaded, SettingsFault};
use super::tell::{Lamp, Tell};
use crate::event::Event;
use crate::state::{AuditHealth, AuditState};

/// How often the settings file is looked at where the system does not tell of changes.
const SETTINGS_POLL: Duration = Duration::from_millis(500);
/// What is written in several steps is waited for as long.
const WRITTEN_IN: Duration = Duration::from_millis(100);

/// Offers what the person's settings say, and what they say after each change; wrong settings are reported, and the last
/// right ones stay. `first` is what was read at the start, with what was wrong then.
pub(crate) fn follow_settings(
    path: PathBuf,
    tell: Tell,
    first: &Result<Loaded, SettingsFault>,
) -> watch::Receiver<Arc<Offering>> {
    if let Err(fault) = first {
        tell.event(Event::FaultRaised(fault.advice()));
    }
    let mut last = first.as_ref().ok().cloned().unwrap_or_default();
    let (send, receive) = watch::channel(Arc::new(Offering::personal(&last)));
    tokio::spawn(async move {
        let mut seen = stamp(&path, &last);
        let mut watch = FolderWatch::new(SETTINGS_POLL);
        loop {
            watch.look_at(&folders(&path, &last).iter().map(PathBuf::as_path).collect::<Vec<_>>());
            let stamp = stamp(&path, &last);
            if stamp == seen {
                tokio::select! {
                    () = watch.changed() => tokio::time::sleep(WRITTEN_IN).await,
                    () = send.closed() => return,
                }
                continue;
            }
            seen = stamp;
            if let Some(loaded) = read_settings(&path, &tell)
                && loaded != last
            {
                let mut offering = Offering::personal(&loaded);
                if loaded.settings.organisation.is_some() {
                    // What an organisation decides is not for the person's own settings to decide meanwhile.
                    offering.validity = Validity::Denied(organisation_appeared());
                }
                send.send_replace(Arc::new(offering));
                last = loaded;
            }
        }
    });
    receive
}

fn organisation_appeared() -> Advice {
    Advice::new(
        "organisation-appeared",
        "Your settings name an organisation now.",
        "Deskgate joins it when it starts; until then no call is made.",
        "Quit Deskgate and start it again.",
    )
}

fn read_settings(path: &Path, tell: &Tell) -> Option<Loaded> {
    match Loaded::read(path) {
        Ok(loaded) => {
            for code in ["settings-wrong", "settings-unreadable"] {
                tell.event(Event::FaultCleared { code: code.to_owned() });
            }
            Some(loaded)
        }
        Err(fault) => {
            tracing::error!(%fault, "the settings are refused");
            tell.event(Event::FaultRaised(fault.advice()));
            None
        }
    }
}

/// Where the file and the policies beside it lie.
fn folders(path: &Path, loaded: &Loaded) -> Vec<PathBuf> {
    let parent = path.parent().map(Path::to_owned);
    let policies =
        loaded.settings.policies.as_ref().zip(parent.as_ref()).map(|(name, parent)| parent.join(name));
    // The file may be a link to where it really lies.
    let linked = std::fs::canonicalize(path).ok().and_then(|path| path.parent().map(Path::to_owned));
    parent.into_iter().chain(linked).chain(policies).collect()
}

/// When the file and the policies beside it last changed.
fn stamp(path: &Path, loaded: &Loaded) -> Vec<Option<SystemTime>> {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    let mut stamps = vec![changed(path)];
    if let (Some(folder), Some(parent)) = (&loaded.settings.policies, path.parent()) {
        let folder = parent.join(folder);
        stamps.push(changed(&folder));
        stamps.extend(loaded.policies.keys().map(|name| changed(&folder.join(name))));
    }
    stamps
}

/// Tells whether the keychain can be used, and records it where it cannot and where that changes.
pub(crate) fn follow_keychain(vault: Vault, journal: Journal, tell: Tell) {
    tokio::spawn(async move {
        let mut states = vault.watch();
        let mut recorded = KeychainState::Available;
        loop {
            let state = *states.borrow_and_update();
            if std::mem::replace(&mut recorded, state) != state {
                tell.note(
                    &journal,
                    &EventRecord::new(AuditEvent::KeychainState).with("what", keychain_word(state)),
                );
            }
            for other in [KeychainState::Locked, KeychainState::Denied, KeychainState::Absent] {
                let advice = other.advice();
                if other == state {
                    tell.event(Event::FaultRaised(advice));
                } else {
                    tell.event(Event::FaultCleared { code: advice.code });
                }
            }
            if states.changed().await.is_err() {
                return;
            }
        }
    });
}

fn keychain_word(state: KeychainState) -> &'static str {
    match state {
        KeychainState::Available => "available",
        KeychainState::Locked => "locked",
        KeychainState::Denied => "denied",
        KeychainState::Absent => "absent",
    }
}

/// Tells how far the journal is, how much of it an organisation that gets it has (`shared`), and whether it can be
/// written.
pub(crate) fn follow_journal(journal: Journal, shared: bool, tell: Tell) {
    tokio::spawn(async move {
        let (mut heads, mut health) = (journal.watch(), journal.health());
        let (mut receipts, mut usage) = (journal.watch_acknowledged(), journal.usage());
        let (mut lamp, mut filling) = (Lamp::new(tell.clone()), Lamp::new(tell.clone()));
        drop(journal);
        loop {
            let head = *heads.borrow_and_update();
            let receipted = match *receipts.borrow_and_update() {
                Some(last) if last.epoch == head.epoch => last.seq,
                Some(_) | None => 0,
            };
            tell.event(Event::Audit(AuditState {
                records: head.seq,
                receipted: shared.then_some(receipted),
                health: AuditHealth::NotChecked,
            }));
            let fault = match &*health.borrow_and_update() {
                audit::Health::Writing => None,
                audit::Health::Failed(fault) => Some(fault.advice()),
                audit::Health::BestEffort { fault, missing } => Some(unrecorded(fault, *missing)),
            };
            lamp.show(fault);
            filling.show(nearly_full(*usage.borrow_and_update()));
            tokio::select! {
                changed = heads.changed() => if changed.is_err() { return },
                changed = health.changed() => if changed.is_err() { return },
                changed = receipts.changed() => if changed.is_err() { return },
                changed = usage.changed() => if changed.is_err() { return },
            }
            // A thousand calls a second are not worth a thousand looks.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
}

/// Has the journal kept, and its records delivered, as is wanted by whoever decides here, until the program ends.
pub(crate) fn follow_audit(offerings: &watch::Receiver<Arc<Offering>>, journal: &Journal, again: &Again) {
    follow_rules(offerings.clone(), journal.clone());
    follow_collector(offerings.clone(), journal.clone(), again.clone());
}

/// Tells when the machine woke, left the network or is back in it.
pub(crate) fn follow_machine(tell: Tell) {
    tokio::spawn(async move {
        os::follow_machine(|upheaval| tell.event(Event::Upheaval(upheaval))).await;
        tracing::debug!("nobody tells when this computer wakes");
    });
}

/// What nobody knows for now stays as it was.
fn follow_rules(mut offerings: watch::Receiver<Arc<Offering>>, journal: Journal) {
    tokio::spawn(async move {
        loop {
            let rules = offerings.borrow_and_update().journal;
            if let Some(rules) = rules {
                journal.set_rules(rules);
            }
            if offerings.changed().await.is_err() {
                return;
            }
        }
    });
}

/// Has the journal's records go to whoever collects them from this device directly.
fn follow_collector(mut offerings: watch::Receiver<Arc<Offering>>, journal: Journal, again: Again) {
    tokio::spawn(async move {
        let collecting = watch::Sender::new(offerings.borrow_and_update().collecting.clone());
        tokio::spawn(org::collect(journal, collecting.subscribe(), again));
        while offerings.changed().await.is_ok() {
            let now = offerings.borrow_and_update().clone();
            // Where nobody knows for now, what waits waits.
            collecting.send_if_modified(|before| {
                let changed = *before != now.collecting;
                before.clone_from(&now.collecting);
                changed
            });
        }
    });
}

/// Calls are made without a record, because the organisation wants them to go on.
fn unrecorded(fault: &JournalFault, missing: u64) -> Advice {
    let Advice { code, happened, todo, .. } = fault.advice();
    let means = format!(
        "Calls go on without a record of each, as your organisation wants it: {} so far. How many there were is recorded as soon as it can be.",
        crate::words::counted(usize::try_from(missing).unwrap_or(usize::MAX), "call")
    );
    Advice::new(code, happened, means, todo)
}

/// The journal will reach its quota before long.
fn nearly_full(usage: Usage) -> Option<Advice> {
    match usage.fill() {
        // What is reached is said with what follows from it.
        Fill::Low | Fill::Half | Fill::Full => None,
        Fill::High | Fill::Near => Some(Advice::new(
            "audit-filling",
            format!("The audit journal takes {} percent of its quota.", usage.percent()),
            "When it takes all of it, calls may be refused.",
            "Connect to the organisation, so that it can take the records over, or have the quota raised.",
        )),
    }
}
