//! Calls of programs here that hold a shared credential of the organisation, for as long as it is lent.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mcp::{CallParams, Capabilities};
use model::{Advice, CredentialId, Subject};
use tokio::sync::watch;
use upstream::{Answer, Authority, Ear, Session};

use crate::Connectors;
use crate::connector::{Connector, Means};
use crate::fault::CallFault;
use crate::seams::{BrokerFault, Caller, Lent, Loan};

impl Connectors {
    /// Makes a call with a credential that is lent for it. A call under way ends with the lease.
    #[expect(clippy::too_many_arguments, reason = "they are those of a call")]
    pub(crate) async fn called_with_loan(
        &self,
        connector: &Arc<Connector>,
        authority: Authority<'_>,
        credential: &CredentialId,
        params: &CallParams<'_>,
        caller: Caller<'_>,
        deadline: Duration,
        ear: Option<&Ear>,
    ) -> Result<Answer, CallFault> {
        let lender = self.seams().lender.as_ref().ok_or(CallFault::Credential)?;
        let permit = authority.permit();
        let loan = Loan { connector: permit.connector(), credential, server: permit.server(), caller };
        let lent = lender.lend(loan).await?;
        let mut ended = lent.ended.clone();
        let nothing = Capabilities::default();
        let capabilities = ear.map_or(&nothing, |ear| &ear.wants().capabilities);
        let call = async {
            let session =
                self.lent_session(connector, caller.subject, credential, &lent, capabilities).await?;
            let outcome = session.call(authority, params, None, deadline, ear).await;
            if session.is_over_after(&outcome) {
                let means = Means { bearer: None, lent: Some((credential, &lent)) };
                connector.discard(caller.subject, means, &session).await;
            }
            Ok(outcome?)
        };
        tokio::select! {
            // That the program ends with it is no news then.
            biased;
            _ = ended.wait_for(|ended| *ended) => Err(BrokerFault::Failed(taken_back(&connector.spec.title)).into()),
            outcome = call => outcome,
        }
    }

    /// A session with a program that holds what is lent. What it lists is looked at when it has begun: its tools were accepted
    /// beforehand, and may be others by now.
    async fn lent_session(
        &self,
        connector: &Arc<Connector>,
        subject: &Subject,
        credential: &CredentialId,
        lent: &Lent,
        capabilities: &Capabilities,
    ) -> Result<Arc<Session>, CallFault> {
        let means = Means { bearer: None, lent: Some((credential, lent)) };
        let era = connector.era();
        let session = connector.session(subject, means, Some(capabilities)).await?;
        if session.begins_to_be_followed() {
            let unlisted = Unlisted(Some(Arc::clone(&session)));
            tokio::spawn(end_with_the_lease(Arc::downgrade(&session), lent.ended.clone()));
            connector.list(&session, None, era).await?;
            unlisted.listed();
            self.changed();
        }
        Ok(session)
    }
}

/// A session whose tools were not looked at is used by nobody: it ends where nobody goes on looking.
struct Unlisted(Option<Arc<Session>>);

impl Unlisted {
    fn listed(mut self) {
        self.0 = None;
    }
}

impl Drop for Unlisted {
    fn drop(&mut self) {
        if let Some(session) = &self.0 {
            session.end();
        }
    }
}

/// Ends the program that holds what was lent, whoever still uses it.
async fn end_with_the_lease(session: Weak<Session>, mut ended: watch::Receiver<bool>) {
    let _ = ended.wait_for(|ended| *ended).await;
    if let Some(session) = session.upgrade() {
        session.end();
    }
}

fn taken_back(title: &str) -> Advice {
    Advice::new(
        "lease-ended",
        format!("The organisation has taken back the account that {title} works with."),
        "The call was broken off.",
        "Look whether it was done before it is made again.",
    )
}
