//! Forbids that are tried out before they are enforced: marked `@observe`, they are asked of what was permitted, and what they
//! would have refused is told. Nothing here refuses, hides or chooses anything.

use crate::decide::Route;
use crate::facts::{FactFault, Target};
use crate::given::Given;
use crate::outcome::CredentialChoice;
use crate::set::{Answer, Ask, Case, CredentialView};

impl Route<'_> {
    /// The observed forbids because of which a permitted call would have been refused, or made with another credential, if they
    /// were enforced. In the order in which they were written.
    pub(crate) fn observed(
        &self,
        case: &Case<'_>,
        target: &Target<'_>,
        credential: &CredentialChoice,
    ) -> Vec<usize> {
        let mut found = Vec::new();
        for ask in [&self.server.see, &self.connector.expose] {
            found.extend(would_refuse(case, ask, Given::default()));
        }
        if let Some(observed) = &self.act.ask.observed {
            match self.act.given_to(observed, target) {
                Ok(given) => found.extend(would_refuse(case, &self.act.ask, given)),
                // What cannot be read is refused wherever a policy that is enforced has to read it.
                Err(fault) => found.extend(self.force.reading(&observed.slice, &fault)),
            }
        }
        found.extend(self.observed_of_credentials(case, credential));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What of the credentials that were tried, the chosen one last.
    fn observed_of_credentials(&self, case: &Case<'_>, chosen: &CredentialChoice) -> Vec<usize> {
        let (CredentialView::Shared(shared), CredentialChoice::Shared(chosen)) =
            (&self.connector.credential, chosen)
        else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (id, ask) in shared {
            if id == chosen {
                found.extend(would_refuse(case, ask, Given::default()));
                break;
            }
            // One that was refused anyway stays refused; but where a policy fails, no further one is tried.
            if let Some(observed) = &ask.observed
                && let Ok(Answer::Failed(rules)) = case.ask(observed, Given::default())
            {
                found.extend(rules);
            }
        }
        found
    }
}

/// The observed forbids that refuse what was asked.
pub(crate) fn would_refuse(case: &Case<'_>, ask: &Ask, given: Given) -> Vec<usize> {
    let Some(observed) = &ask.observed else { return Vec::new() };
    match case.ask(observed, given) {
        Ok(Answer::Forbidden(rules) | Answer::Failed(rules)) => rules,
        // Forbids alone: nothing permits here, and that is no refusal.
        Ok(Answer::NoPermit | Answer::Permitted(_)) => Vec::new(),
        Err(fault) => not_known(observed, &fault),
    }
}

/// Enforced, what cannot be asked refuses.
fn not_known(observed: &Ask, fault: &FactFault) -> Vec<usize> {
    tracing::error!(%fault, "a question could not be put to the policies that are observed");
    observed.slice.rules.clone()
}
