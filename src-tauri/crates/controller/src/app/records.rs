//! The records of calls as they were written, and who gets them: for whoever sits at this computer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use audit::{Fates, JournalFault, PastCalls, of_call};
use model::CallId;

use super::present::Present;
use crate::state::AppState;
use crate::view::{self, ActivityFilter, PastView, RecordView};

/// How many calls are told at once.
const PAGE: usize = 200;

/// The records of calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Records {
    journal: PathBuf,
    present: Present,
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
        Self { journal, present, looking: Arc::default() }
    }

    /// The records of one call, the oldest first; none where they were removed.
    ///
    /// # Errors
    /// A [`JournalFault`] where the journal cannot be read.
    pub async fn of_call(&self, call: CallId) -> Result<Vec<RecordView>, JournalFault> {
        let dir = self.journal.clone();
        blocking(move || {
            let records = of_call(&dir, call)?;
            let fates = Fates::read(&dir)?;
            Ok(records.iter().map(|record| view::record(record, fates.of(record))).collect())
        })
        .await
    }

    /// The next page of the calls that the present person's assistants made, back from the newest, the running and the latest ones
    /// included. `number` names one look back: a greater one begins anew, and ends the one before. A page may be empty and not the last, where what is wanted is
    /// rare.
    ///
    /// # Errors
    /// A [`JournalFault`] where the journal cannot be read.
    pub async fn past(
        &self,
        state: Arc<AppState>,
        number: u32,
        filter: ActivityFilter,
    ) -> Result<PastView, JournalFault> {
        let this = self.clone();
        blocking(move || this.look(&state, number, &filter)).await
    }

    fn look(&self, state: &AppState, number: u32, filter: &ActivityFilter) -> Result<PastView, JournalFault> {
        let Some(present) = self.present.now() else { return Ok(PastView::default()) };
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        if looking.as_ref().is_some_and(|looking| looking.number > number) {
            // Whoever asked wants something else by now.
            return Ok(PastView::default());
        }
        let kept = looking.take().filter(|looking| looking.number == number);
        let mut calls = match kept {
            Some(looking) => looking.calls,
            None => PastCalls::of(&self.journal)?,
        };
        let wanted = |past: &audit::PastCall| {
            view::past(state, &present, past).filter(|call| view::passes(call, filter))
        };
        let found = calls.further(PAGE, wanted)?;
        let page =
            PastView { calls: found, back_to: calls.back_to().map(view::millis), is_over: calls.is_over() };
        // What is over needs no memory.
        *looking = (!page.is_over).then_some(Looking { number, calls });
        Ok(page)
    }

    /// Forgets where somebody was who looked back: the window is closed.
    pub fn close(&self) {
        *self.looking.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, JournalFault> + Send + 'static,
) -> Result<T, JournalFault> {
    tokio::task::spawn_blocking(read).await.unwrap_or(Err(JournalFault::Closed))
}

#[cfg(test)]
mod tests {
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
        let records = Records::of(dir.path().to_owned(), Present::always(Subject::local("ada")));
        (dir, records)
    }

    async fn told(records: &Records, number: u32, text: &str, outcome: Option<OutcomeKind>) -> Vec<String> {
        let filter = ActivityFilter { text: text.to_owned(), outcome };
        let page = records.past(Arc::new(AppState::starting(true)), number, filter).await.unwrap();
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
        assert_eq!(told(&records, 1, "", None).await, all);
        assert_eq!(told(&records, 2, "", Some(OutcomeKind::Failed)).await, all[1..3]);
        assert_eq!(
            told(&records, 3, "  CURSOR Move ", None).await,
            all[2..3],
            "every word, wherever it stands"
        );
        assert_eq!(told(&records, 4, "analysts", Some(OutcomeKind::Done)).await, all[4..]);
        assert!(told(&records, 5, "cursor mail", None).await.is_empty());
    }
}
