//! Diagnostics that IT asks for. They are collected when the person looks, and what was looked at is what goes, byte for byte, by
//! their word alone: nothing here sends by itself, and no setting or policy makes it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal};
use bytes::Bytes;
use model::{Advice, Digest, ForPerson as _, PersonFault, Subject};
use org::{Org, OrgFault};
use org_protocol::{DIAGNOSTICS_LIMIT, DIAGNOSTICS_NOT_ASKED, DiagnosticsRequest};

use super::Diagnostics;
use crate::app::doctor::Doctor;
use crate::app::home::Home;
use crate::app::present::Present;
use crate::app::tell::Tell;
use crate::pending::{AnswerFault, PendingDesk};
use crate::view::{self, DiagnosticsView};

/// How soon the person is asked again where too much waited for them.
const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// What it needs.
pub(crate) struct AskedParts {
    /// Where an organisation decides.
    pub(crate) org: Option<Org>,
    pub(crate) home: Home,
    pub(crate) doctor: Doctor,
    pub(crate) desk: PendingDesk,
    pub(crate) present: Present,
    pub(crate) journal: Journal,
    pub(crate) tell: Tell,
}

/// Shows and sends what IT asks for. Clones are the same.
#[derive(Clone)]
pub struct AskedDiagnostics(Arc<Inner>);

struct Inner {
    parts: AskedParts,
    /// What was shown last.
    shown: Mutex<Option<Shown>>,
    /// What the person has answered, so that its end is nothing to tell of.
    answered: Mutex<Option<Arc<DiagnosticsRequest>>>,
    /// One sending at a time. Whoever judges an end waits for it.
    sending: tokio::sync::Mutex<()>,
}

/// What somebody has seen.
#[derive(Clone)]
struct Shown {
    request: Arc<DiagnosticsRequest>,
    person: Arc<Subject>,
    archive: Bytes,
    sha256: Digest,
}

impl AskedDiagnostics {
    pub(crate) fn of(parts: AskedParts) -> Self {
        let (shown, answered, sending) = (Mutex::default(), Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { parts, shown, answered, sending }))
    }

    /// Collects what would be sent, to be looked at. What was shown before cannot be sent any more.
    ///
    /// # Errors
    /// The words: nothing is asked for, nobody is signed in, or it cannot be collected without secrets.
    pub async fn show(&self) -> Result<(Diagnostics, DiagnosticsView), Advice> {
        let (request, person) = self.wanted()?;
        let AskedParts { home, doctor, .. } = &self.0.parts;
        let diagnostics = Diagnostics::collect(home, &doctor.examine().await).await?;
        let archive = Bytes::from(diagnostics.archive().map_err(|fault| unpacked(&fault))?);
        if archive.len() > DIAGNOSTICS_LIMIT {
            return Err(too_large());
        }
        let sha256 = Digest::of(&archive);
        let view = view::diagnostics(&diagnostics, &sha256, archive.len());
        *self.shown() = Some(Shown { request, person, archive, sha256 });
        Ok((diagnostics, view))
    }

    /// Sends what was shown under this digest.
    ///
    /// # Errors
    /// The words. Where it was not sent, or perhaps not, it is kept as it was seen, and can be sent again.
    pub async fn send(&self, sha256: &str) -> Result<(), Advice> {
        let _one = self.0.sending.lock().await;
        let (request, person) = self.wanted()?;
        let seen = |shown: &Shown| {
            let is_same = (shown.request.id, shown.request.since) == (request.id, request.since);
            is_same && shown.person.is_same_person(&person) && shown.sha256.to_string() == sha256
        };
        let shown = self.shown().clone().filter(seen).ok_or_else(unseen)?;
        let AskedParts { org, journal, .. } = &self.0.parts;
        let org = org.as_ref().ok_or_else(not_asked)?;
        let sending = of_archive(record("sending", &request), &shown).of((*person).clone());
        journal.event(sending).await.map_err(|fault| fault.advice())?;
        let sent = org.send_diagnostics(&request, &person, shown.archive.clone()).await.map_err(not_sent);
        if sent.as_ref().err().is_none_or(|advice| advice.code == DIAGNOSTICS_NOT_ASKED) {
            *self.answered() = Some(Arc::clone(&request));
        }
        sent?;
        self.note(&of_archive(record("sent", &request), &shown).of((*person).clone()));
        *self.shown() = None;
        Ok(())
    }

    /// Sends from a terminal, where settings let a person decide there and no desktop runs.
    ///
    /// # Errors
    /// The words.
    pub(crate) fn may_from_terminal(&self) -> Result<(), AnswerFault> {
        self.0.parts.desk.answers_from_terminal()
    }

    /// Asks the person for as long as something is asked for. Runs until it is dropped.
    pub(crate) async fn follow(self) {
        let Some(org) = self.0.parts.org.clone() else { return };
        let mut asked = org.diagnostics_asked();
        let mut told: Option<Arc<DiagnosticsRequest>> = None;
        loop {
            let request = asked.borrow_and_update().clone();
            if let Some(gone) = told.take_if(|told| Some(&*told) != request.as_ref()) {
                self.over(&gone).await;
            }
            if let Some(request) = &request
                && told.is_none()
            {
                if org.first_told_of_diagnostics(request).await {
                    self.note(&asked_record(request));
                }
                told = Some(Arc::clone(request));
            }
            let Some(request) = request else {
                if asked.changed().await.is_err() {
                    return;
                }
                continue;
            };
            tokio::select! {
                changed = asked.changed() => if changed.is_err() { return },
                () = self.ask(&org, request) => {}
            }
        }
    }

    /// Returns when the person has said no, or cannot be asked just now.
    async fn ask(&self, org: &Org, request: Arc<DiagnosticsRequest>) {
        match self.0.parts.desk.diagnostics(Arc::clone(&request)).await {
            Ok(()) => {
                self.note(&self.of_person(record("refused", &request)));
                match org.refuse_diagnostics(&request).await {
                    Ok(()) => *self.answered() = Some(request),
                    Err(fault) => tracing::warn!(%fault, "that diagnostics are not sent could not be kept"),
                }
            }
            Err(PersonFault::Nobody(why)) => {
                tracing::info!(why, "diagnostics are asked for later");
                tokio::time::sleep(ASKED_AGAIN).await;
            }
            // The organisation says itself when it is over.
            Err(PersonFault::Deadline | PersonFault::Cancelled | PersonFault::PortTaken) => {
                std::future::pending().await
            }
        }
    }

    /// What is asked for does not wait here any more: it was answered, withdrawn or is over, or the person has left.
    async fn over(&self, gone: &DiagnosticsRequest) {
        let _one = self.0.sending.lock().await;
        *self.shown() = None;
        if self.answered().take().is_none_or(|answered| *answered != *gone) {
            self.note(&record("gone", gone));
        }
    }

    /// What is asked for, and who is here to answer.
    pub(crate) fn wanted(&self) -> Result<(Arc<DiagnosticsRequest>, Arc<Subject>), Advice> {
        let AskedParts { org, present, .. } = &self.0.parts;
        let asked = org.as_ref().and_then(|org| org.diagnostics_asked().borrow().clone());
        let request = asked.ok_or_else(not_asked)?;
        Ok((request, present.now().ok_or_else(|| OrgFault::NoSession.advice())?))
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Option<Shown>> {
        self.0.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) -> std::sync::MutexGuard<'_, Option<Arc<DiagnosticsRequest>>> {
        self.0.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_person(&self, record: EventRecord) -> EventRecord {
        match self.0.parts.present.now() {
            Some(person) => record.of((*person).clone()),
            None => record,
        }
    }

    fn note(&self, record: &EventRecord) {
        self.0.parts.tell.note(&self.0.parts.journal, record);
    }
}

impl std::fmt::Debug for AskedDiagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AskedDiagnostics")
    }
}

fn record(state: &str, request: &DiagnosticsRequest) -> EventRecord {
    EventRecord::new(AuditEvent::Diagnostics).with("request", request.id.to_string()).with("state", state)
}

fn asked_record(request: &DiagnosticsRequest) -> EventRecord {
    let record = record("asked", request).with("reason", request.reason.as_str());
    match &request.by {
        Some(by) => record.with("by", by.as_str()),
        None => record,
    }
}

fn of_archive(record: EventRecord, shown: &Shown) -> EventRecord {
    record.with("sha256", shown.sha256.to_string()).with("bytes", shown.archive.len().to_string())
}

fn not_asked() -> Advice {
    Advice::new(
        DIAGNOSTICS_NOT_ASKED,
        "Your IT department does not ask for diagnostics.",
        "Nothing was sent just now.",
        "To give them some all the same, write a file with: deskgate diagnostics",
    )
}

fn unseen() -> Advice {
    Advice::new(
        "diagnostics-unseen",
        "This is not what was shown last.",
        "Only what you have seen is sent. Nothing was sent.",
        "Look at what would be sent again.",
    )
}

fn unpacked(fault: &std::io::Error) -> Advice {
    Advice::new(
        "diagnostics-unpacked",
        format!("What was collected could not be packed: {fault}."),
        "Nothing was sent.",
        "Try again.",
    )
}

fn too_large() -> Advice {
    Advice::new(
        org_protocol::DIAGNOSTICS_TOO_LARGE,
        "What was collected is too large to be sent.",
        "Nothing was sent.",
        "Write it to a file with: deskgate diagnostics. Then give that to your IT department.",
    )
}

/// Why it was not sent, or perhaps not, and that it is kept.
fn not_sent(fault: OrgFault) -> Advice {
    let advice = fault.advice();
    if advice.code == DIAGNOSTICS_NOT_ASKED {
        return advice;
    }
    let (code, sent, means) = if fault.before_effect() {
        ("diagnostics-not-sent", "The diagnostics were not sent.", "What you have seen is kept as it is.")
    } else {
        (
            "diagnostics-perhaps-sent",
            "It is not known whether the diagnostics arrived.",
            "What you have seen is kept as it is. If it arrived, sending it again changes nothing.",
        )
    };
    Advice::new(
        code,
        format!("{sent} {}", advice.happened),
        means,
        ["Send it again in a while.", &advice.todo].join(" ").trim().to_owned(),
    )
}
