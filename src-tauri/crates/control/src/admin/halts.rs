//! Stopping something at once, and letting it go on.

use std::collections::BTreeSet;

use org_protocol::{HALT_REASON_LIMIT, HaltTarget};

use super::acts::ActFault;
use super::administrator::{Administrator, lifts};
use super::{Answer, Halted};
use crate::server::Plane;
use crate::store::{KnownPerson, StandingHalt, StoreFault};

impl Plane {
    /// Stops something. Its calls are refused from now on; those under way are broken off.
    pub(super) async fn halt(
        &self,
        target: HaltTarget,
        reason: &str,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        let is_line = reason.chars().count() <= HALT_REASON_LIMIT
            && !reason.chars().any(|c| c.is_control() || model::is_deceiving(c));
        if !is_line {
            return Err(ActFault::Reason);
        }
        if target == HaltTarget::Unknown {
            return Err(ActFault::Unknown("thing to stop"));
        }
        let known = self.knows(&target).await?;
        // People and assistants are found out to be meant when they come; anything else is misspelt.
        let may_come = matches!(target, HaltTarget::User { .. } | HaltTarget::Assistant { .. });
        if !known && !may_come {
            return Err(ActFault::Unknown(kind(&target)));
        }
        let facts = [("target", target.to_string()), ("reason", reason.to_owned())];
        self.record(by, "halt", &facts).await?;
        let subjects = match &target {
            HaltTarget::User { person } => {
                self.store.people(person).await?.into_iter().map(|(_, subject)| subject).collect()
            }
            HaltTarget::Device { .. }
            | HaltTarget::Assistant { .. }
            | HaltTarget::Connector { .. }
            | HaltTarget::Tool { .. }
            | HaltTarget::Credential { .. }
            | HaltTarget::Unknown => BTreeSet::new(),
        };
        let standing = self.store.halt(&target, &subjects, reason, by.by(), self.clock.now()).await?;
        self.stopped.refresh(&self.store).await?;
        if let HaltTarget::Credential { credential } = &target {
            self.broker.end_credential(credential);
        }
        self.review.ask();
        Ok(Answer::Halted(Halted { standing, known }))
    }

    /// Lets it go on.
    pub(super) async fn lift(&self, id: u64, by: &Administrator) -> Result<Answer, ActFault> {
        let standing = self.store.halts().await?.into_iter().find(|standing| standing.halt.id == id);
        let Some(standing) = standing else { return Err(ActFault::Unknown("halt in force")) };
        let role = lifts(&standing.halt.target);
        if !by.is(role) {
            return Err(ActFault::Role(vec![role]));
        }
        let facts = [("halt", id.to_string()), ("target", standing.halt.target.to_string())];
        self.record(by, "halt-lift", &facts).await?;
        let lifted = self.store.lift(id, by.by(), self.clock.now()).await?;
        self.stopped.refresh(&self.store).await?;
        if lifted { Ok(Answer::Done) } else { Err(ActFault::Unknown("halt in force")) }
    }

    /// What is stopped now.
    pub(super) async fn list_halts(&self) -> Result<Answer, ActFault> {
        Ok(Answer::Halts { halts: self.store.halts().await? })
    }

    /// What is stopped, and whom it hits of those who are known: nobody else's claims leave the server.
    pub(super) async fn stopped_people(&self) -> Result<(Vec<StandingHalt>, Vec<KnownPerson>), StoreFault> {
        let halts = self.store.halts().await?;
        let everybody = halts.iter().any(|one| matches!(one.halt.target, HaltTarget::Assistant { .. }));
        let mut people = if halts.is_empty() { Vec::new() } else { self.store.known_people().await? };
        people.retain(|known| everybody || halts.iter().any(|one| known.is_hit(&one.halt.target)));
        Ok((halts, people))
    }
}

fn kind(target: &HaltTarget) -> &'static str {
    match target {
        HaltTarget::User { .. } => "user",
        HaltTarget::Device { .. } => "device",
        HaltTarget::Assistant { .. } => "assistant",
        HaltTarget::Connector { .. } => "connector",
        HaltTarget::Tool { .. } => "tool",
        HaltTarget::Credential { .. } => "credential",
        HaltTarget::Unknown => "thing",
    }
}
