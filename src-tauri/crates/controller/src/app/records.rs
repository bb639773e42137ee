//! The records of calls as they were written, and who gets them: for whoever sits at this computer.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use audit::{Fates, JournalFault, PastCalls, of_call};
use model::CallId;

use super::present::Present;
use super::runtime::blocking_or;
use crate::state::AppState;
use crate::view::{self, ActivityFilter, PastView, RecordView};

/// How many calls are told at once.
const PAGE: usize = 500;

/// The records of calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Records {
    journal: PathBuf,
    present: Present,
    /// The look back that is wanted now; others are not gone on with.
    wanted: Arc<AtomicU32>,
    looking: Arc<Mutex<Option<Looking>>>,
}

/// Where somebody is who looks back.
#[derive(Debug)]
struct Looking {
    number: u32,
    calls: PastCalls,
}

impl Records {
    pub(crate) fn of(journal: PathBuf, present: Present) -> Self {
        Self { journal, present, wanted: Arc::default(), looking: Arc::default() }
    }

    /// The records of one call, the oldest first; none where they were removed.
    ///
    /// # Errors
    /// A [`JournalFault`] where the journal cannot be read.
    pub async fn of_call(&self, call: CallId) -> Result<Vec<RecordView>, JournalFault> {
        let dir = self.journal.clone();
        blocking_or(JournalFault::Closed, move || {
            let records = of_call(&dir, call)?;
            let fates = Fates::read(&dir)?;
            Ok(records.iter().map(|record| view::record(record, fates.of(record))).collect())
        })
        .await
    }

    /// Begins to look back, and gives up whatever look was under way; what [`Self::past`] is asked with.
    pub fn look_back(&self) -> u32 {
        self.wanted.fetch_add(1, Ordering::SeqCst).wrapping_add(1)
    }

    /// The next page of the calls that the present person's assistants made, back from the newest, the running and the latest ones
    /// included. A page may be empty and not the last, where what is wanted is rare. Of a look that was given up there are no more.
    ///
    /// # Errors
    /// A [`JournalFault`] where the journal cannot be read; asked again, it is tried again.
    pub async fn past(
        &self,
        state: Arc<AppState>,
        number: u32,
        filter: ActivityFilter,
    ) -> Result<PastView, JournalFault> {
        let this = self.clone();
        blocking_or(JournalFault::Closed, move || this.page(&state, number, &filter)).await
    }

    fn page(&self, state: &AppState, number: u32, filter: &ActivityFilter) -> Result<PastView, JournalFault> {
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        // While somebody else was served, something else may have come to be wanted.
        if self.wanted.load(Ordering::SeqCst) != number {
            *looking = None;
            return Ok(PastView::default());
        }
        let Some(present) = self.present.now() else { return Ok(PastView::default()) };
        let Looking { calls, .. } = match looking.as_mut() {
            Some(kept) if kept.number == number => kept,
            _ => looking.insert(Looking { number, calls: PastCalls::of(&self.journal)? }),
        };
        let wanted = |past: &audit::PastCall| {
            view::past(state, &present, past).filter(|call| view::passes(call, filter))
        };
        let found = calls.further(PAGE, wanted)?;
        let (back_to, is_over) = (calls.back_to().map(view::millis), calls.is_over());
        if is_over {
            // What is over needs no memory.
            *looking = None;
        }
        Ok(PastView { calls: found, back_to, is_over })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use audit::{
        ArgumentSummary, DenialRecord, Effect, IntentRecord, Journal, JournalConfig, Outcome, OutcomeStatus,
        PolicyReference,
    };
    use model::{DeviceId, Digest, Subject};

    use super::*;
    use crate::view::OutcomeKind;

    fn intent(subject: &str, tool: &str) -> IntentRecord {
        IntentRecord {
            call: CallId::new(),
            subject: Subject::local(subject),
            server: "desk".parse().unwrap(),
            connector: "files".parse().unwrap(),
            effect: Effect::tool_call(tool),
            client_id: "client".to_owned(),
            client_name: "Cursor".to_owned(),
            process: None,
            policy: PolicyReference { label: "personal".to_owned(), digest: Digest::of(b"policy") },
            rules: vec!["analysts".to_owned()],
            observed: Vec::new(),
            approval: None,
            credential: String::new(),
            arguments: ArgumentSummary::of(r#"{"path":"a"}"#, &[1; 32], false),
            payload: Vec::new(),
        }
    }

    fn denial(subject: &str, tool: &str, connector: Option<&str>) -> DenialRecord {
        let IntentRecord { call, subject, server, effect, client_id, client_name, policy, .. } =
            intent(subject, tool);
        DenialRecord {
            call,
            subject,
            server,
            connector: connector.map(|id| id.parse().unwrap()),
            effect,
            client_id,
            client_name,
            process: None,
            policy,
            rules: Vec::new(),
            kind: "forbidden".to_owned(),
            reason: "Nobody may.".to_owned(),
            arguments: None,
            payload: Vec::new(),
        }
    }

    /// A journal of two people, and the records as one of them sees them.
    async fn journal() -> (tempfile::TempDir, Records) {
        let (dir, present) = journal_of_two().await;
        let records = Records::of(dir.path().to_owned(), present);
        (dir, records)
    }

    /// A journal of two people, of whom one is there.
    pub(crate) async fn journal_of_two() -> (tempfile::TempDir, Present) {
        let dir = tempfile::tempdir().unwrap();
        let config = JournalConfig::new(dir.path(), DeviceId::new(), [1; 32]);
        let (journal, _) = Journal::open(config, Arc::new(os::SystemClock)).unwrap();
        let ends = [
            ("read", Outcome::new(OutcomeStatus::Ok)),
            ("list", Outcome::new(OutcomeStatus::Failed).with_code("sign-in-needed")),
            ("move", Outcome::new(OutcomeStatus::Failed).with_code("connector-slow")),
            ("send", Outcome::new(OutcomeStatus::Unknown)),
        ];
        for (tool, outcome) in ends {
            for person in ["ada", "bob"] {
                let intent = journal.intent(intent(person, tool)).await.unwrap();
                journal.outcome(intent, outcome.clone()).unwrap();
            }
        }
        journal.denial(denial("ada", "drop", Some("files"))).await.unwrap();
        journal.denial(denial("ada", "nothing-of-the-kind", None)).await.unwrap();
        journal.denial(denial("bob", "drop", Some("files"))).await.unwrap();
        journal.close();
        (dir, Present::always(Subject::local("ada")))
    }

    async fn told(records: &Records, text: &str, outcome: Option<OutcomeKind>) -> Vec<String> {
        let filter = ActivityFilter { text: text.to_owned(), outcome };
        let page =
            records.past(Arc::new(AppState::starting(true)), records.look_back(), filter).await.unwrap();
        assert!(page.is_over && page.back_to.is_some());
        page.calls.into_iter().map(|call| format!("{} {}", call.target, call.outcome_words)).collect()
    }

    #[tokio::test]
    async fn a_person_sees_their_own_calls_and_how_each_went() {
        let (_dir, records) = journal().await;
        let all = [
            "drop Not allowed: Nobody may.",
            "send Failed: whether it took effect is not known",
            "move Failed: connector slow",
            "list Needed a sign-in",
            "read Done",
        ];
        assert_eq!(told(&records, "", None).await, all);
        assert_eq!(told(&records, "", Some(OutcomeKind::Failed)).await, all[1..3]);
        assert_eq!(told(&records, "  CURSOR Move ", None).await, all[2..3], "every word, wherever it stands");
        assert_eq!(told(&records, "analysts", Some(OutcomeKind::Done)).await, all[4..]);
        assert!(told(&records, "cursor mail", None).await.is_empty());
    }

    #[tokio::test]
    async fn a_look_that_was_given_up_finds_nothing_more_and_what_cannot_be_read_is_said() {
        let (dir, records) = journal().await;
        let (state, all) = (Arc::new(AppState::starting(true)), ActivityFilter::default());
        let given_up = records.look_back();
        let wanted = records.look_back();
        let page = records.past(Arc::clone(&state), given_up, all.clone()).await.unwrap();
        assert_eq!(page, PastView::default());
        let segment = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let segment =
            segment.into_iter().find(|path| path.extension().is_some_and(|it| it == "ndjson")).unwrap();
        let text = std::fs::read(&segment).unwrap();
        std::fs::remove_file(&segment).unwrap();
        std::fs::create_dir(&segment).unwrap();
        records.past(Arc::clone(&state), wanted, all.clone()).await.unwrap_err();
        std::fs::remove_dir(&segment).unwrap();
        std::fs::write(&segment, text).unwrap();
        let page = records.past(state, wanted, all).await.unwrap();
        assert_eq!((page.calls.len(), page.is_over), (5, true), "it is tried again");
    }
}
