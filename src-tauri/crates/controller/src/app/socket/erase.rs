//! Erasing personal data from this computer's own records, for whoever sits at it.

use std::time::Duration;

use audit::{AuditEvent, Erased, Erasure, EventRecord};
use model::{Advice, ForPerson as _, Subject, Timestamp};
use serde_json::json;

use super::{Desk, Report, done, refused};

/// How long a command line waits. A large journal takes longer; it is erased all the same.
const WITHIN: Duration = Duration::from_secs(8);

impl Desk {
    pub(super) async fn erase(&self, person: Option<String>, before: Option<Timestamp>) -> Report {
        let Some(erasure) = Erasure::of(person, before) else { return refused(nothing_named()) };
        let by = self.present.now().map_or_else(|| Subject::local(os::current_user().1), |by| (*by).clone());
        let event = EventRecord::new(AuditEvent::PersonalDataErased).of(by);
        match tokio::time::timeout(WITHIN, self.journal.erase(erasure, event)).await {
            Ok(Ok(erased)) => {
                let Erased { records, fields, waiting } = erased;
                let json = json!({"records": records, "fields": fields, "waiting": waiting});
                Report::Ok { text: words(&erased), json }
            }
            Ok(Err(fault)) => refused(fault.advice()),
            Err(_) => {
                done("It takes a while and goes on. A record says when it is done: deskgate audit tail")
            }
        }
    }
}

fn words(erased: &Erased) -> String {
    let Erased { records, fields, waiting } = erased;
    let left = match waiting {
        0 => String::new(),
        waiting => format!(
            " {waiting} records were left alone, because your organisation has not received them; ask again later."
        ),
    };
    format!("{fields} personal fields were erased from {records} records on this computer.{left}")
}

fn nothing_named() -> Advice {
    Advice::new(
        "nothing-named",
        "Neither a person nor a time was given.",
        "Nothing was erased.",
        "Name one of them.",
    )
}
