//! An assistant is told where the person can sign in, while a call of it waits for that.

use std::time::Duration;

use mcp::{Ask, AskKind};
use model::ForPerson as _;
use signin::FaultKind;
use upstream::Ear;

use crate::connector::Connector;
use crate::fault::CallFault;
use crate::seams::AccountFault;

impl Connector {
    /// Waits for what may need a sign-in. While one is under way, an assistant that can be asked to have a URL visited is asked
    /// that too: the person may be looking there. Whoever declines there has nothing done in their name.
    pub(crate) async fn invite<T>(
        &self,
        ear: Option<&Ear>,
        work: impl Future<Output = Result<T, CallFault>>,
    ) -> Result<T, CallFault> {
        let Some(ear) = ear else { return work.await };
        let work = self.patiently(ear, work);
        if !ear.allows(AskKind::Url) {
            return work.await;
        }
        let title = &self.spec.title;
        let invited = async {
            let url = self.seams.accounts.visit(&self.id).await;
            let words = format!("Sign in to {title}. The call goes on by itself when you have.");
            ear.ask(Ask::visit(url.as_str(), &words)).await
        };
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => done,
            answer = invited => match answer {
                Some(Ok(answer)) if Ask::is_declined(&answer) => Err(declined(title).into()),
                // Accepted is not done; and whoever cannot be asked may sign in all the same.
                Some(_) | None => work.await,
            },
        }
    }
}

/// How long a call may be silent before it says that a person is waited for.
pub const SILENT_AT_FIRST: Duration = Duration::from_secs(2);
/// How long it is silent between two times that it says so. Many assistants give up after a minute.
pub const SILENT_AT_MOST: Duration = Duration::from_secs(15);

impl Connector {
    /// Waits for what may need a sign-in, and says so from time to time.
    async fn patiently<T>(&self, ear: &Ear, work: impl Future<Output = T>) -> T {
        let words = format!("Waiting for you to sign in to {}.", self.spec.title);
        tokio::pin!(work);
        let mut next = SILENT_AT_FIRST;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(next) => {
                    ear.waits(&words);
                    next = SILENT_AT_MOST;
                }
            }
        }
    }
}

/// The person said so to the assistant.
fn declined(title: &str) -> AccountFault {
    AccountFault::SignInNeeded(FaultKind::Cancelled.at(title).advice())
}
