//! Forbids that are tried out before they are enforced: marked `@observe`, they are asked of what was permitted, and what they
//! would have refused is told. Nothing here refuses, hides or chooses anything.

use cedar_policy::RestrictedExpression;

use crate::decide::Route;
use crate::facts::{FactFault, Target};
use crate::outcome::CredentialChoice;
use crate::set::{Answer, Ask, Case, CredentialView, InForce};

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
            found.extend(would_refuse(case, ask, None));
        }
        if let Some(observed) = &self.act.ask.observed {
            match self.act.input_of(observed, target) {
                Ok(input) => found.extend(would_refuse(case, &self.act.ask, input)),
                // Arguments that cannot be read are refused wherever a policy that is enforced has to read them.
                Err(_) => found.extend(reading(self.force, observed)),
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
                found.extend(would_refuse(case, ask, None));
                break;
            }
            // One that was refused anyway stays refused; but where a policy fails, no further one is tried.
            if let Some(observed) = &ask.observed
                && let Ok(Answer::Failed(rules)) = case.ask(observed, None)
            {
                found.extend(rules);
            }
        }
        found
    }
}

/// The observed forbids that refuse what was asked.
pub(crate) fn would_refuse(case: &Case<'_>, ask: &Ask, input: Option<RestrictedExpression>) -> Vec<usize> {
    let Some(observed) = &ask.observed else { return Vec::new() };
    match case.ask(observed, input) {
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

/// The observed forbids that read the arguments.
pub(crate) fn reading(force: &InForce, observed: &Ask) -> Vec<usize> {
    let reads = |at: &usize| force.rules.get(*at).is_some_and(|rule| rule.reads.input);
    observed.slice.rules.iter().copied().filter(reads).collect()
}
