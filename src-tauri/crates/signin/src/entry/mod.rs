//! A page on which a person types a secret that no server hands out: an access token, an API key, a client's secret.
//!
//! It is shown where people sign in anyway: in a sign-in window, which has no capability and no way to the rest of Deskgate,
//! or in the browser; so a first use waits, is announced and goes on like any sign-in, and the main window's web view never
//! sees a secret. The alternatives are worse: a dialog of the main window would put the secret into that web view, and a
//! command line would leave it in the shell's history.
//!
//! Deskgate itself is the authorization endpoint here. The secret comes in the body of a form and stays in this process; what
//! goes to the redirect URI is a code that is good for nothing elsewhere. The page has an address that nobody can guess,
//! answers this user's own programs alone, runs no script, cannot be framed, and is gone with the question.

mod http;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use model::{Person, PersonFault, SignInOutcome, SignInPurpose, SignInRequest};
use oauth2::CsrfToken;
use secrecy::SecretString;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use crate::answer::{self, Expected};
use crate::{FaultKind, loopback_redirect};

/// How often another program may be faster at the redirect port before the attempt ends.
const MOST_PORTS: usize = 3;
/// How many connections may be open at once; browsers open a few ahead of need.
const MOST_CONNECTIONS: usize = 16;
/// Random bytes in what nobody may guess.
const UNGUESSABLE: u32 = 32;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Why; decides the words around the page.
    pub purpose: SignInPurpose,
    /// The page's heading.
    pub title: String,
    /// What the person has to know, a paragraph each.
    pub words: Vec<String>,
    /// The field's name.
    pub label: String,
    /// Whether a text can be it at all. A person who pastes something else is told at once.
    pub fits: fn(&str) -> bool,
    /// How long to wait.
    pub deadline: Duration,
}

/// Has the person type a secret.
///
/// # Errors
/// [`FaultKind`]: why there is none.
pub async fn typed(person: &dyn Person, entry: &Entry) -> Result<SecretString, FaultKind> {
    for _ in 0..MOST_PORTS {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(|fault| FaultKind::Internal(format!("no free port: {fault}")))?;
        let page = Arc::new(Page::new(entry, &listener)?);
        let request = page.request(entry);
        let answered = tokio::select! {
            answered = crate::ask(person, request) => answered,
            never = serve(listener, &page) => match never {},
        };
        match answered {
            Ok(outcome) => return page.taken(&outcome),
            Err(PersonFault::PortTaken) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Err(PersonFault::PortTaken.into())
}

/// The page of one attempt.
struct Page {
    /// Its address, without what follows for the form's two buttons.
    address: Url,
    redirect_uri: Url,
    state: String,
    title: String,
    words: Vec<String>,
    label: String,
    fits: fn(&str) -> bool,
    /// The code and what was typed, once it was.
    secret: Mutex<Option<(String, SecretString)>>,
}

impl Page {
    fn new(entry: &Entry, listener: &TcpListener) -> Result<Self, FaultKind> {
        let internal = |fault: &dyn std::fmt::Display| FaultKind::Internal(fault.to_string());
        let port = listener.local_addr().map_err(|fault| internal(&fault))?.port();
        let address = format!("http://127.0.0.1:{port}/{}", unguessable());
        Ok(Self {
            address: Url::parse(&address).map_err(|fault| internal(&fault))?,
            redirect_uri: loopback_redirect()?,
            state: unguessable(),
            title: entry.title.clone(),
            words: entry.words.clone(),
            label: entry.label.clone(),
            fits: entry.fits,
            secret: Mutex::default(),
        })
    }

    fn request(&self, entry: &Entry) -> SignInRequest {
        let mut authorize_url = self.address.clone();
        authorize_url.query_pairs_mut().append_pair("state", &self.state);
        let mut entrance = self.redirect_uri.clone();
        entrance.set_path(&format!("/enter/{}", unguessable()));
        SignInRequest {
            purpose: entry.purpose.clone(),
            authorize_url,
            // Whoever lists processes must not be able to type something in the person's place.
            entrance: Some(entrance),
            redirect_uri: self.redirect_uri.clone(),
            deadline: entry.deadline,
        }
    }

    /// Takes what was typed; the address that the browser goes to then. `None` if something was typed already.
    fn take(&self, secret: SecretString) -> Option<Url> {
        let mut typed = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        if typed.is_some() {
            return None;
        }
        let code = unguessable();
        let mut back = self.redirect_uri.clone();
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &self.state);
        *typed = Some((code, secret));
        Some(back)
    }

    fn given_up(&self) -> Url {
        let mut back = self.redirect_uri.clone();
        back.query_pairs_mut().append_pair("error", "access_denied").append_pair("state", &self.state);
        back
    }

    fn is_done(&self) -> bool {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What was typed, if this is the end of this attempt.
    fn taken(&self, outcome: &SignInOutcome) -> Result<SecretString, FaultKind> {
        let expected = Expected {
            redirect_uri: &self.redirect_uri,
            state: &self.state,
            issuer: self.address.as_str(),
            issuer_announced: false,
        };
        let code = match answer::code(outcome, &expected) {
            Err(FaultKind::Refused(error)) if error == "access_denied" => return Err(FaultKind::Cancelled),
            other => other?,
        };
        let typed = self.secret.lock().unwrap_or_else(PoisonError::into_inner).take();
        match typed {
            Some((expected, secret)) if expected == code => Ok(secret),
            Some(_) | None => Err(FaultKind::Mismatch("code".to_owned())),
        }
    }
}

async fn serve(listener: TcpListener, page: &Arc<Page>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, peer)) => drop(connections.spawn(http::answer(stream, peer, Arc::clone(page)))),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

fn unguessable() -> String {
    CsrfToken::new_random_len(UNGUESSABLE).secret().clone()
}

#[cfg(test)]
mod tests;
