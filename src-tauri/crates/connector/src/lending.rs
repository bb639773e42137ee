//! Calls of programs here that hold a shared credential of the organisation, for as long as it is lent.

use std::sync::Arc;
use std::time::Duration;

use mcp::{CallParams, Capabilities};
use model::{Advice, CredentialId, Subject};
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
            outcome = call => outcome,
            _ = ended.wait_for(|ended| *ended) => Err(BrokerFault::Failed(taken_back(&connector.spec.title)).into()),
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
        let session = connector.session(subject, means, Some(capabilities)).await?;
        if session.begins_to_be_followed() {
            let watched = Watched {
                connector: Arc::downgrade(connector),
                subject: subject.clone(),
                credential: credential.clone(),
            };
            tokio::spawn(watched.until(lent.clone()));
            connector.list(&session, None, connector.era()).await?;
            self.changed();
        }
        Ok(session)
    }
}

/// Somebody's sessions that hold a credential.
struct Watched {
    connector: std::sync::Weak<Connector>,
    subject: Subject,
    credential: CredentialId,
}

impl Watched {
    /// Ends them when the lease does.
    async fn until(self, lent: Lent) {
        let mut ended = lent.ended;
        // The secret is not held here any longer than needed.
        drop(lent.secret);
        let _ = ended.wait_for(|ended| *ended).await;
        if let Some(connector) = self.connector.upgrade() {
            connector.forget_lent(&self.subject, &self.credential);
        }
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
