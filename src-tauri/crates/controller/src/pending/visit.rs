//! Sign-ins that an assistant shows the way to: an address whose last part nobody can guess.

use gateway::{Visit, Visits};
use model::{AccountId, SignInPurpose};

use super::{PendingDesk, Question, Surface};
use crate::event::{Act, Event};

/// The name of a sign-in in its address. `None` for other questions, and without randomness.
pub(super) fn name_of(question: &Question) -> Option<String> {
    let Question::SignIn(_) = question else { return None };
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    Some(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl PendingDesk {
    /// Waits until a sign-in to this connector is under way; its name.
    pub(crate) async fn sign_in_to(&self, connector: &AccountId) -> String {
        let mut put = self.shared.put.subscribe();
        loop {
            if let Some(name) = self.name_of_sign_in_to(connector) {
                return name;
            }
            if put.changed().await.is_err() {
                // The desk is gone, and with it everything that could be waited for.
                std::future::pending::<()>().await;
            }
        }
    }

    fn name_of_sign_in_to(&self, wanted: &AccountId) -> Option<String> {
        let leads_there = |question: &Question| match question {
            Question::SignIn(request) => {
                matches!(&request.purpose, SignInPurpose::Connector { account: connector, .. } if connector == wanted)
            }
            Question::Code(_) | Question::Consent(_) | Question::Approval(_) | Question::Diagnostics(_) => {
                false
            }
        };
        let waiting = self.waiting();
        waiting.items.values().find(|entry| leads_there(&entry.item.question))?.visit.clone()
    }
}

impl Visits for PendingDesk {
    fn visit(&self, name: &str) -> Option<Visit> {
        let waiting = self.waiting();
        let entry = waiting.items.values().find(|entry| entry.visit.as_deref() == Some(name))?;
        let Question::SignIn(request) = &entry.item.question else { return None };
        let (id, page) = (entry.item.id.clone(), request.authorize_url.clone());
        drop(waiting);
        match self.shared.surface {
            Surface::Desktop => {
                // Where it opens is decided in one place: a window, or the browser.
                self.tell(Event::Person(Act::Look(id)));
                Some(Visit::Shown)
            }
            Surface::Terminal { .. } => Some(Visit::Page(page)),
        }
    }
}
