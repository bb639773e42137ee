//! Signing in and out, and confirming whose organisation it is, for whoever sits at a terminal.

use std::time::Duration;

use model::{AccountId, Advice, ForPerson as _, Person as _};
use serde_json::json;
use tokio::sync::oneshot;

use super::{Desk, PAGE_OPENS, Report, done, no_organisation, refused};
use crate::event::{Act, Event};
use crate::pending::{PendingItem, Question};
use crate::words;

/// How long the answer to signing out of an account waits for it; shorter than the command line waits.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(8);
/// How long a command line waits for a sign-in that it asked for to be shown.
const QUESTION_WITHIN: Duration = Duration::from_secs(8);

impl Desk {
    /// Takes the organisation that was met for the one whose fingerprint the person was given.
    pub(super) async fn trust(&self, fingerprint: &str) -> Report {
        match self.introduction.confirm(fingerprint).await {
            Ok(fingerprint) => Report::Ok {
                text: "Confirmed: this is your organisation. Its connectors may start programs on this computer."
                    .to_owned(),
                json: json!({"confirmed": fingerprint.to_string()}),
            },
            Err(advice) => refused(advice),
        }
    }

    /// Has the person asked to sign in to the organisation, and says how it goes on: a code is shown to whoever asks for it on
    /// this socket, and nowhere else.
    pub(super) async fn sign_in(&self, by_code: bool) -> Report {
        let Some(sign_in) = self.sign_in.clone() else { return refused(no_organisation()) };
        if !by_code && self.pending.opens_pages() {
            return self.organisation(Act::SignIn, PAGE_OPENS);
        }
        let shown = self.pending.items().into_iter().find(|item| is_code(&item.question));
        if let Some(item) = shown {
            return done(&words::detail(&item));
        }
        let mut attempt = tokio::spawn(async move {
            if by_code { sign_in.sign_in_by_code().await } else { sign_in.sign_in().await }
        });
        let asked = self.pending.sign_in_to_organisation(|question| !by_code || is_code(question));
        tokio::select! {
            ended = &mut attempt => match ended {
                Ok(Ok(())) => done("You are signed in."),
                Ok(Err(advice)) => refused(advice),
                Err(_) => refused(Advice::new("ending", "Deskgate is ending.", "", "")),
            },
            item = asked => done(&how_it_goes_on(&item)),
            () = tokio::time::sleep(QUESTION_WITHIN) => {
                done("A sign-in was asked for. It takes a while; see: deskgate pending")
            }
        }
    }

    /// Forgets an account, and says that it is forgotten only when no call is made with it any more.
    pub(super) async fn sign_out_of(&self, account: AccountId) -> Report {
        if let Err(advice) = self.own_account(&account) {
            return refused(advice);
        }
        let accounts = self.accounts.clone();
        let (tell, waited) = oneshot::channel();
        let events = self.events.clone();
        // It goes on where whoever asked for it goes away; what becomes of it then is said in the window.
        tokio::spawn(async move {
            let ended = accounts.sign_out(&account).await;
            if let Err(Err(fault)) = tell.send(ended) {
                let _ = events.send(Event::FaultRaised(fault.advice()));
            }
        });
        match tokio::time::timeout(FORGOTTEN_WITHIN, waited).await {
            Ok(Ok(Ok(()))) => done("The account is forgotten."),
            Ok(Ok(Err(fault))) => refused(fault.advice()),
            Ok(Err(_)) => refused(Advice::new("ending", "Deskgate is ending.", "", "")),
            Err(_) => refused(Advice::new(
                "still-forgetting",
                "The account is still being forgotten.",
                "Calls may be made with it until then.",
                "Where it stands: deskgate status",
            )),
        }
    }

    /// Whether this is an account of the person's own that is in use; else the ones that are, in words.
    pub(super) fn own_account(&self, wanted: &AccountId) -> Result<(), Advice> {
        let own = self.accounts.in_use();
        if own.contains(wanted) {
            return Ok(());
        }
        let own: Vec<_> = own.iter().map(ToString::to_string).collect();
        Err(Advice::new(
            "account-unknown",
            format!("No account of your own is used at {wanted}."),
            "",
            if own.is_empty() { String::new() } else { format!("Name one of these: {}.", own.join(", ")) },
        ))
    }
}

fn is_code(question: &Question) -> bool {
    matches!(question, Question::Code(_))
}

fn how_it_goes_on(item: &PendingItem) -> String {
    match &item.question {
        Question::SignIn(request) => format!(
            "No browser can be opened here. Open this address in one on this computer: {}",
            request.authorize_url
        ),
        Question::Code(_) | Question::Consent(_) | Question::Approval(_) | Question::Diagnostics(_) => {
            words::detail(item)
        }
    }
}
