//! Stand-ins for the person in front of the screen. They bind the redirect port first, as the real thing does.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{
    AccountId, Approval, ApprovalRequest, BoxFuture, Consent, ConsentRequest, Person, PersonFault,
    SignInOutcome, SignInPurpose, SignInRequest,
};
use testkit::{Browser, Employee};
use tokio::net::TcpListener;
use url::Url;

type Reaction = Box<dyn Fn(&SignInRequest) -> Result<Url, PersonFault> + Send + Sync>;

/// Somebody who signs in.
pub(crate) struct Someone {
    how: How,
    requests: Mutex<Vec<SignInRequest>>,
    withdrawn: AtomicBool,
}

enum How {
    /// With a browser, at forms.
    Browser(Box<tokio::sync::Mutex<Browser>>),
    /// With one browser, at forms, as whoever the account is of.
    BrowserOfMany(Box<tokio::sync::Mutex<Browser>>, fn(&AccountId) -> Employee),
    /// By a rule.
    Rule(Reaction),
    /// By typing these secrets at the pages that ask for one, in order.
    Types(Mutex<VecDeque<String>>),
    /// Never.
    Never(Box<dyn Fn() + Send + Sync>),
}

impl Someone {
    pub(crate) fn at_a_browser(employee: Employee) -> Self {
        Self::new(How::Browser(Box::new(tokio::sync::Mutex::new(Browser::new(employee).unwrap()))))
    }

    /// Somebody who has several accounts, and signs in to all of them with one browser.
    pub(crate) fn with_accounts(whose: fn(&AccountId) -> Employee) -> Self {
        let browser = Browser::new(Employee::alice()).unwrap();
        Self::new(How::BrowserOfMany(Box::new(tokio::sync::Mutex::new(browser)), whose))
    }

    pub(crate) fn who(
        reaction: impl Fn(&SignInRequest) -> Result<Url, PersonFault> + Send + Sync + 'static,
    ) -> Self {
        Self::new(How::Rule(Box::new(reaction)))
    }

    pub(crate) fn who_types(secrets: &[&str]) -> Self {
        Self::new(How::Types(Mutex::new(secrets.iter().map(|secret| (*secret).to_owned()).collect())))
    }

    /// Somebody who looks at the question and does nothing.
    pub(crate) fn who_never_answers(seen: impl Fn() + Send + Sync + 'static) -> Self {
        Self::new(How::Never(Box::new(seen)))
    }

    /// Whether a question was taken back.
    pub(crate) fn withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::SeqCst)
    }

    fn new(how: How) -> Self {
        Self { how, requests: Mutex::default(), withdrawn: AtomicBool::new(false) }
    }

    pub(crate) fn requests(&self) -> Vec<SignInRequest> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    async fn answer(&self, request: SignInRequest) -> Result<SignInOutcome, PersonFault> {
        let port = request.redirect_uri.port().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(|_| PersonFault::PortTaken)?;
        self.requests.lock().unwrap().push(request.clone());
        let redirected_to = match &self.how {
            How::Browser(browser) => browser.lock().await.sign_in(&request.authorize_url).await.unwrap(),
            How::BrowserOfMany(browser, whose) => {
                let SignInPurpose::Connector { account, .. } = &request.purpose else {
                    return Err(PersonFault::Cancelled);
                };
                let mut browser = browser.lock().await;
                browser.hand_to(whose(account));
                browser.sign_in(&request.authorize_url).await.unwrap()
            }
            How::Rule(rule) => rule(&request)?,
            How::Types(secrets) => {
                let next = secrets.lock().unwrap().pop_front().ok_or(PersonFault::Cancelled)?;
                let mut browser = Browser::new(Employee::alice()).unwrap();
                browser.type_secret(&request.authorize_url, &next).await.unwrap()
            }
            How::Never(seen) => {
                let _told = Withdrawal(&self.withdrawn);
                seen();
                std::future::pending().await
            }
        };
        drop(listener);
        Ok(SignInOutcome { redirected_to })
    }
}

/// Notes the end of a question that was not answered.
struct Withdrawal<'a>(&'a AtomicBool);

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Person for Someone {
    fn sign_in(&self, request: SignInRequest) -> BoxFuture<'_, Result<SignInOutcome, PersonFault>> {
        Box::pin(self.answer(request))
    }

    fn consent(&self, _: ConsentRequest) -> BoxFuture<'_, Result<Consent, PersonFault>> {
        Box::pin(async { Err(PersonFault::Nobody("not asked here".to_owned())) })
    }

    fn approve(&self, _: ApprovalRequest) -> BoxFuture<'_, Result<Approval, PersonFault>> {
        Box::pin(async { Err(PersonFault::Nobody("not asked here".to_owned())) })
    }
}
