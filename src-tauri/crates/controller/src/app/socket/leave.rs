//! Removing Deskgate from a person's account: what the running instance knows, and what it does of it.

use std::collections::BTreeSet;
use std::time::Duration;

use audit::{AuditEvent, EventRecord};
use model::{Advice, ForPerson as _};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Desk, Report, done, refused};
use crate::effect::PauseFor;
use crate::event::Act;

/// More records than these are not counted one by one.
const COUNTED: usize = 1000;
/// How long the organisation has to take note of a sign-out.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// One step of leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leave {
    /// Only say what is here.
    Look,
    /// Refuse calls from now on, and record that the person leaves where the organisation can still receive it.
    Begin,
    /// Forget every account.
    ForgetAccounts,
    /// Sign out of the organisation.
    SignOut,
}

/// What is here of a person that only the running instance can give back or hand over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// The organisation, by its name.
    pub organisation: Option<String>,
    /// Whether somebody is signed in to it.
    pub signed_in: bool,
    /// The assistants, by id, whose servers were imported and not given back.
    pub imported: BTreeSet<String>,
    /// The accounts that a sign-out forgets.
    pub accounts: BTreeSet<String>,
    /// How many records the organisation has not received.
    pub undelivered: usize,
}

impl Desk {
    pub(super) async fn leave(&self, step: Leave) -> Report {
        match step {
            Leave::Look => match self.standing().await {
                Ok(standing) => Report::Ok { text: String::new(), json: json!(standing) },
                Err(advice) => refused(advice),
            },
            Leave::Begin => self.begin().await,
            Leave::ForgetAccounts => match self.accounts.forget_all().await.first() {
                Some(fault) => refused(fault.advice()),
                None => done("The accounts are forgotten."),
            },
            Leave::SignOut => self.sign_off().await,
        }
    }

    async fn begin(&self) -> Report {
        let paused = self.act(Act::Pause(PauseFor::Open), "Calls are refused.");
        if self.sign_in.is_none() || self.present.now().is_none() {
            return paused;
        }
        match self.journal.event(EventRecord::new(AuditEvent::Leaving)).await {
            Ok(()) => paused,
            Err(fault) => refused(fault.advice()),
        }
    }

    async fn standing(&self) -> Result<Standing, Advice> {
        let journal = self.journal.clone();
        let pending = tokio::task::spawn_blocking(move || journal.pending(COUNTED)).await;
        let undelivered = match pending {
            Ok(pending) => pending.map_err(|fault| fault.advice())?.len(),
            Err(_) => return Err(Advice::new("ending", "Deskgate is ending.", "", "")),
        };
        let state = self.state.borrow().clone();
        Ok(Standing {
            organisation: self.sign_in.as_ref().map(|_| crate::words::organisation(&state).into_owned()),
            signed_in: self.sign_in.is_some() && self.present.now().is_some(),
            imported: self.imports.assistants().await?,
            accounts: self.accounts.signed_in().iter().map(ToString::to_string).collect(),
            undelivered,
        })
    }

    async fn sign_off(&self) -> Report {
        let Some(sign_in) = &self.sign_in else { return done("There is nothing to sign out of.") };
        if let Err(advice) = sign_in.sign_out().await {
            return refused(advice);
        }
        sign_in.farewell_said(HEARD_WITHIN).await;
        done("Signed out.")
    }
}
