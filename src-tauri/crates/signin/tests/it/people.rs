//! Stand-ins for the person in front of the screen. They bind the redirect port first, as the real thing does.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use model::{
    Approval, ApprovalRequest, BoxFuture, CodeRequest, Consent, ConsentRequest, Person, PersonFault,
    SignInOutcome, SignInRequest,
};
use testkit::{Browser, Employee};
use tokio::net::TcpListener;
use url::Url;

type Reaction = Box<dyn Fn(&SignInRequest) -> Result<Url, PersonFault> + Send + Sync>;

/// Somebody who signs in.
pub(crate) struct Someone {
    how: How,
    requests: Mutex<Vec<SignInRequest>>,
    codes: Mutex<Vec<CodeRequest>>,
    gives_codes_up: AtomicBool,
    no_pages: AtomicBool,
    taken: AtomicUsize,
}

enum How {
    /// With a browser, at forms.
    Browser(Box<tokio::sync::Mutex<Browser>>),
    /// With a browser, pressing "Cancel".
    Cancel(Box<tokio::sync::Mutex<Browser>>),
    /// By a rule.
    Rule(Reaction),
}

impl Someone {
    pub(crate) fn at_a_browser(employee: Employee) -> Self {
        Self::new(How::Browser(Box::new(tokio::sync::Mutex::new(Browser::new(employee).unwrap()))))
    }

    pub(crate) fn who_presses_cancel(employee: Employee) -> Self {
        Self::new(How::Cancel(Box::new(tokio::sync::Mutex::new(Browser::new(employee).unwrap()))))
    }

    pub(crate) fn who(
        reaction: impl Fn(&SignInRequest) -> Result<Url, PersonFault> + Send + Sync + 'static,
    ) -> Self {
        Self::new(How::Rule(Box::new(reaction)))
    }

    /// Another program is faster at the redirect port this many times.
    pub(crate) fn with_ports_taken(self, times: usize) -> Self {
        self.taken.store(times, Ordering::SeqCst);
        self
    }

    fn new(how: How) -> Self {
        Self {
            how,
            requests: Mutex::default(),
            codes: Mutex::default(),
            gives_codes_up: AtomicBool::default(),
            no_pages: AtomicBool::default(),
            taken: AtomicUsize::new(0),
        }
    }

    /// Where no page can be opened.
    pub(crate) fn without_pages(self) -> Self {
        self.no_pages.store(true, Ordering::SeqCst);
        self
    }

    /// Gives a sign-in by code up as soon as it is shown.
    pub(crate) fn who_gives_codes_up(self) -> Self {
        self.gives_codes_up.store(true, Ordering::SeqCst);
        self
    }

    /// The codes that were shown.
    pub(crate) fn codes(&self) -> Vec<CodeRequest> {
        self.codes.lock().unwrap().clone()
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
        if self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(PersonFault::PortTaken);
        }
        let redirected_to = match &self.how {
            How::Browser(browser) => browser.lock().await.sign_in(&request.authorize_url).await.unwrap(),
            How::Cancel(browser) => browser.lock().await.cancel(&request.authorize_url).await.unwrap(),
            How::Rule(rule) => rule(&request)?,
        };
        drop(listener);
        Ok(SignInOutcome { redirected_to })
    }
}

impl Person for Someone {
    fn sign_in(&self, request: SignInRequest) -> BoxFuture<'_, Result<SignInOutcome, PersonFault>> {
        Box::pin(self.answer(request))
    }

    fn opens_pages(&self) -> bool {
        !self.no_pages.load(Ordering::SeqCst)
    }

    fn show_code(&self, request: CodeRequest) -> BoxFuture<'_, PersonFault> {
        self.codes.lock().unwrap().push(request);
        if self.gives_codes_up.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(PersonFault::Cancelled));
        }
        Box::pin(std::future::pending())
    }

    fn consent(&self, _: ConsentRequest) -> BoxFuture<'_, Result<Consent, PersonFault>> {
        Box::pin(async { Err(PersonFault::Nobody("not asked here".to_owned())) })
    }

    fn approve(&self, _: ApprovalRequest) -> BoxFuture<'_, Result<Approval, PersonFault>> {
        Box::pin(async { Err(PersonFault::Nobody("not asked here".to_owned())) })
    }
}
