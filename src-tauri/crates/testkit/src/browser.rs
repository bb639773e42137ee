//! A person's web browser, as far as signing in needs one: it follows redirects, keeps cookies, fills in the identity
//! provider's forms and clicks. It knows nothing about tokens.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use url::Url;

use crate::{Employee, PeerFault};

/// The browser of one person. Its cookies live as long as it does: the second sign-in asks for no password.
#[derive(Debug)]
pub struct Browser {
    employee: Employee,
    client: Client,
    cookies: BTreeMap<(String, String), String>,
    asked: Vec<String>,
}

/// What the person does when asked for consent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Allow,
    Cancel,
}

/// What is typed and hidden in a form.
type Form = Vec<(String, String)>;

/// What follows when a page is opened.
enum Step {
    Redirected(Url),
    Shown(Response),
}

impl Browser {
    /// A fresh browser for this person.
    ///
    /// # Errors
    /// If HTTP cannot be set up.
    pub fn new(employee: Employee) -> Result<Self, PeerFault> {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { employee, client, cookies: BTreeMap::new(), asked: Vec::new() })
    }

    /// Has another person sit down at the browser, or the same one with another account. It keeps its cookies.
    pub fn hand_to(&mut self, employee: Employee) {
        self.employee = employee;
    }

    /// The titles of the pages that asked the person for something, in order.
    pub fn asked(&self) -> &[String] {
        &self.asked
    }

    /// Opens an authorization request, signs in and allows, until the provider sends the browser away; returns that
    /// address without opening it.
    ///
    /// # Errors
    /// If the provider refuses the name or the password, or shows something else than its forms.
    pub async fn sign_in(&mut self, authorize: &Url) -> Result<Url, PeerFault> {
        self.walk(authorize, Answer::Allow).await
    }

    /// Opens an authorization request and presses "Cancel" at the first question.
    ///
    /// # Errors
    /// As [`Browser::sign_in`].
    pub async fn cancel(&mut self, authorize: &Url) -> Result<Url, PeerFault> {
        self.walk(authorize, Answer::Cancel).await
    }

    /// As [`Browser::sign_in`], and opens the address that the provider sent the browser to: what a real browser does
    /// with a loopback redirect. Returns the page that it then shows.
    ///
    /// # Errors
    /// As [`Browser::sign_in`], or if nobody answers there.
    pub async fn sign_in_and_return(&mut self, authorize: &Url) -> Result<String, PeerFault> {
        let back = self.sign_in(authorize).await?;
        self.open(&back).await
    }

    /// Opens a page that leads to the provider's question whether to sign out, says yes, and goes where that leads. Returns
    /// the page that is then shown.
    ///
    /// # Errors
    /// If the provider shows something else.
    pub async fn sign_out(&mut self, page: &Url) -> Result<String, PeerFault> {
        let (mut at, mut form) = (page.clone(), None::<Form>);
        for _ in 0..20 {
            let response = match self.step(&at, form.take()).await? {
                Step::Redirected(next) => {
                    at = next;
                    continue;
                }
                Step::Shown(response) => response,
            };
            let html = response.text().await?;
            let confirm = between(&html, "action=\"", "\"").filter(|action| action.ends_with("/confirm"));
            let (Some(confirm), Some(xsrf)) = (confirm, between(&html, "name=\"xsrf\" value=\"", "\""))
            else {
                return Ok(html);
            };
            self.asked.push(between(&html, "<title>", "</title>").unwrap_or_default().to_owned());
            at = at.join(confirm)?;
            form = Some(typed([("xsrf", xsrf), ("logout", "yes")]));
        }
        Err(PeerFault::answer("browser", "the provider keeps asking"))
    }

    /// Opens the page where codes of other devices are typed (RFC 8628, section 3.3), types one, signs in and allows. Returns the
    /// page that is then shown.
    ///
    /// # Errors
    /// As [`Browser::sign_in`], or if the code is not known there.
    pub async fn type_code(&mut self, page: &Url, code: &str) -> Result<String, PeerFault> {
        self.at_codes(page, code, Answer::Allow).await
    }

    /// As [`Browser::type_code`], and says there that this is not wanted.
    ///
    /// # Errors
    /// As [`Browser::type_code`].
    pub async fn refuse_code(&mut self, page: &Url, code: &str) -> Result<String, PeerFault> {
        self.at_codes(page, code, Answer::Cancel).await
    }

    async fn at_codes(&mut self, page: &Url, code: &str, answer: Answer) -> Result<String, PeerFault> {
        let (mut at, mut form, mut typed_in) = (page.clone(), None::<Form>, false);
        for _ in 0..20 {
            let response = match self.step(&at, form.take()).await? {
                Step::Redirected(next) => {
                    at = next;
                    continue;
                }
                Step::Shown(response) => response,
            };
            let (status, html) = (response.status(), response.text().await?);
            let next = if html.contains("op.deviceInputForm") && !typed_in {
                typed_in = true;
                Some([hidden(&html), typed([("user_code", code)])].concat())
            } else if html.contains("op.deviceConfirmForm") && answer == Answer::Allow {
                Some(hidden(&html))
            } else if html.contains("op.deviceConfirmForm") {
                Some([hidden(&html), typed([("abort", "yes")])].concat())
            } else {
                None
            };
            let next = match next {
                Some(fields) => between(&html, "action=\"", "\"").map(|action| (action.to_owned(), fields)),
                None if html.contains("/login\"") || html.contains("/consent\"") => self.fill(&html, answer),
                None if status.is_success() => return Ok(html),
                None => {
                    return Err(PeerFault::answer("identity provider", format!("{status} at {at}: {html}")));
                }
            };
            let strange = || PeerFault::answer("identity provider", format!("{status} at {at}"));
            let (action, fields) = next.ok_or_else(strange)?;
            at = at.join(&action)?;
            form = Some(fields);
        }
        Err(PeerFault::answer("browser", "the provider keeps asking"))
    }

    /// Types a secret at a page that asks for one; returns where that leads, without opening it.
    ///
    /// # Errors
    /// If the page asks for none, or does not take it.
    pub async fn type_secret(&mut self, page: &Url, secret: &str) -> Result<Url, PeerFault> {
        let mut at = page.clone();
        let opened = loop {
            match self.step(&at, None).await? {
                Step::Redirected(next) => at = next,
                Step::Shown(response) => break response,
            }
        };
        let html = opened.text().await?;
        self.asked.push(between(&html, "<title>", "</title>").unwrap_or_default().to_owned());
        let action = between(&html, "action=\"", "\"").filter(|action| action.ends_with("/enter"));
        let action =
            action.ok_or_else(|| PeerFault::answer("page", format!("it asks for no secret: {html}")))?;
        let enter = at.join(action)?;
        let origin = at.origin().ascii_serialization();
        let form = self
            .client
            .request(Method::POST, enter.clone())
            .header("origin", origin)
            .form(&[("secret", secret)]);
        let taken = self.send(form, &enter).await?;
        redirect(&taken, &enter)?.ok_or_else(|| PeerFault::answer("page", "the secret was not taken"))
    }

    /// Opens a page and follows redirects to wherever they lead.
    ///
    /// # Errors
    /// If a request fails, or after 20 redirects.
    pub async fn open(&mut self, page: &Url) -> Result<String, PeerFault> {
        let mut at = page.clone();
        for _ in 0..20 {
            match self.step(&at, None).await? {
                Step::Redirected(next) => at = next,
                Step::Shown(response) => return Ok(response.text().await?),
            }
        }
        Err(PeerFault::answer("browser", format!("redirects without end from {page}")))
    }

    async fn walk(&mut self, authorize: &Url, answer: Answer) -> Result<Url, PeerFault> {
        let home = authorize.origin();
        let mut at = authorize.clone();
        let mut form: Option<Form> = None;
        for _ in 0..20 {
            let response = match self.step(&at, form.take()).await? {
                Step::Redirected(next) if next.origin() != home => return Ok(next),
                Step::Redirected(next) => {
                    at = next;
                    continue;
                }
                Step::Shown(response) => response,
            };
            if response.status() == StatusCode::UNAUTHORIZED {
                return Err(PeerFault::answer("identity provider", "name or password is wrong"));
            }
            let status = response.status();
            let html = response.text().await?;
            let (action, fields) = self
                .fill(&html, answer)
                .ok_or_else(|| PeerFault::answer("identity provider", format!("{status} at {at}: {html}")))?;
            at = at.join(&action)?;
            form = Some(fields);
        }
        Err(PeerFault::answer("browser", "the provider keeps asking"))
    }

    /// Which button is pressed, and what is typed before.
    fn fill(&mut self, html: &str, answer: Answer) -> Option<(String, Form)> {
        if html.contains("document.forms[0].submit()") {
            // The page's script sends it: nobody is asked.
            return Some((between(html, "action=\"", "\"").map(unescaped)?, hidden(html)));
        }
        let title = between(html, "<title>", "</title>")?.to_owned();
        let actions: Vec<&str> =
            html.split("action=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let action = |suffix: &str| {
            actions.iter().find(|action| action.ends_with(suffix)).map(|found| (*found).to_owned())
        };
        self.asked.push(title);
        if answer == Answer::Cancel {
            return Some((action("/cancel")?, Vec::new()));
        }
        if let Some(login) = action("/login") {
            let fields = typed([("login", &self.employee.login), ("password", &self.employee.password)]);
            return Some((login, fields));
        }
        Some((action("/consent")?, Vec::new()))
    }

    /// Opens a page that leads to a SAML identity provider, signs in there if asked, and presses the button of the form that
    /// carries the answer: returns where that form goes and what it holds, without sending it.
    ///
    /// # Errors
    /// If the provider refuses the name or the password, or shows something else than its forms.
    pub(crate) async fn saml_form(&mut self, page: &Url) -> Result<(Url, Vec<(String, String)>), PeerFault> {
        let (mut at, mut form) = (page.clone(), None::<Form>);
        let mut tried = false;
        for _ in 0..20 {
            let response = match self.step(&at, form.take()).await? {
                Step::Redirected(next) => {
                    at = next;
                    continue;
                }
                Step::Shown(response) => response,
            };
            let html = response.text().await?;
            let fields = hidden(&html);
            let action = between(&html, "action=\"", "\"").map(unescaped);
            let strange = || PeerFault::answer("SAML identity provider", format!("at {at}: {html}"));
            let action = at.join(&action.ok_or_else(strange)?)?;
            if fields.iter().any(|(name, _)| name == "SAMLResponse") {
                return Ok((action, fields));
            }
            if tried || !html.contains("name=\"password\"") {
                return Err(strange());
            }
            tried = true;
            self.asked.push(between(&html, "<title>", "</title>").unwrap_or_default().trim().to_owned());
            let person = typed([("username", &self.employee.login), ("password", &self.employee.password)]);
            form = Some([fields, person].concat());
            at = action;
        }
        Err(PeerFault::answer("browser", "the provider keeps asking"))
    }

    /// Sends a form, and returns where the answer sends the browser.
    ///
    /// # Errors
    /// If the answer is no redirect, with its text.
    pub(crate) async fn submit(&mut self, to: &Url, fields: &[(String, String)]) -> Result<Url, PeerFault> {
        match self.step(to, Some(fields.to_vec())).await? {
            Step::Redirected(next) => Ok(next),
            Step::Shown(response) => {
                let status = response.status();
                Err(PeerFault::answer("browser", format!("{status} at {to}: {}", response.text().await?)))
            }
        }
    }

    /// As [`Browser::sign_in`] where the authorization request leads to a SAML identity provider.
    ///
    /// # Errors
    /// As [`Browser::sign_in`].
    pub async fn sign_in_by_saml(&mut self, authorize: &Url) -> Result<Url, PeerFault> {
        let (to, fields) = self.saml_form(authorize).await?;
        self.submit(&to, &fields).await
    }

    /// Opens a page, or sends a form there.
    async fn step(&mut self, at: &Url, form: Option<Form>) -> Result<Step, PeerFault> {
        let request = match form {
            None => self.client.request(Method::GET, at.clone()),
            Some(fields) => self.client.request(Method::POST, at.clone()).form(&fields),
        };
        let response = self.send(request, at).await?;
        Ok(redirect(&response, at)?.map_or(Step::Shown(response), Step::Redirected))
    }

    async fn send(&mut self, request: RequestBuilder, at: &Url) -> Result<Response, PeerFault> {
        let host = host(at);
        let held: Vec<String> = self
            .cookies
            .iter()
            .filter(|((owner, _), _)| *owner == host)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let request = if held.is_empty() { request } else { request.header(COOKIE, held.join("; ")) };
        let response = request.send().await?;
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap_or_default();
            let Some((name, value)) = cookie.split(';').next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let key = (host.clone(), name.to_owned());
            if value.is_empty() {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
        Ok(response)
    }
}

fn typed<const N: usize>(fields: [(&str, &str); N]) -> Form {
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn redirect(response: &Response, at: &Url) -> Result<Option<Url>, PeerFault> {
    if !response.status().is_redirection() {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location =
        location.ok_or_else(|| PeerFault::answer("browser", format!("a redirect to nowhere at {at}")))?;
    Ok(Some(at.join(location)?))
}

/// Browsers keep cookies by host; here by host and port, as every peer is another site.
fn host(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}

/// The hidden fields of a page's form.
fn hidden(html: &str) -> Vec<(String, String)> {
    let inputs = html.split("<input").skip(1).filter_map(|rest| rest.split_once('>')).map(|(input, _)| input);
    let hidden = inputs.filter(|input| input.contains("type=\"hidden\""));
    let pair = |input: &str| {
        let name = between(input, "name=\"", "\"")?;
        Some((name.to_owned(), unescaped(between(input, "value=\"", "\"")?)))
    };
    hidden.filter_map(pair).collect()
}

/// The five entities that a form's values are written with.
fn unescaped(text: &str) -> String {
    let known = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#039;", "'"), ("&amp;", "&")];
    known.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}
