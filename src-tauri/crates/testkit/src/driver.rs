//! A page of our own windows through WebKitWebDriver (W3C WebDriver), for tests that look at what a window shows.

use std::time::Duration;

use serde_json::{Value, json};

use crate::place::debian;
use crate::{PeerFault, Process, Session, Spec, free_port, until};

const SOON: Duration = Duration::from_secs(60);

/// The key under which WebDriver names an element (W3C WebDriver, section 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A driven program with one window.
#[derive(Debug)]
pub struct Driver {
    http: reqwest::Client,
    session: String,
    driver: Process,
}

impl Driver {
    /// Starts the driver, which starts the program with its window.
    ///
    /// # Errors
    /// If either does not start.
    pub async fn start(session: &Session, program: Spec, arguments: &[&str]) -> Result<Self, PeerFault> {
        let port = free_port()?;
        let base = format!("http://127.0.0.1:{port}");
        let binary = program.program_path().to_string_lossy().into_owned();
        // The program inherits the driver's environment.
        let mut driver = session
            .spec("WebKitWebDriver", debian("WebKitWebDriver")?)
            .arg(format!("--port={port}"))
            .envs(program.environment().iter().map(|(name, value)| (name, value)))
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .start()?;
        let http = reqwest::Client::builder().timeout(SOON).build()?;
        driver
            .ready("an answer", SOON, async |_| {
                http.get(format!("{base}/status")).send().await.ok().map(|_| ())
            })
            .await?;
        let capabilities = json!({ "webkitgtk:browserOptions": { "binary": binary, "args": arguments } });
        let asked = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let answer = send(http.post(format!("{base}/session")).json(&asked)).await?;
        let id = answer["sessionId"]
            .as_str()
            .ok_or_else(|| PeerFault::answer("WebKitWebDriver", answer.to_string()))?;
        Ok(Self { session: format!("{base}/session/{id}"), http, driver })
    }

    /// Waits until the page shows this text.
    ///
    /// # Errors
    /// If it does not in time; what it shows then is told.
    pub async fn shows(&self, text: &str) -> Result<(), PeerFault> {
        let shown = until(text, SOON, async || self.text().await.ok()?.contains(text).then_some(()));
        match shown.await {
            Ok(()) => Ok(()),
            Err(_) => Err(PeerFault::answer("window", format!("no {text:?} in {:?}", self.text().await?))),
        }
    }

    /// The text of the whole page.
    ///
    /// # Errors
    /// If the page cannot be asked.
    pub async fn text(&self) -> Result<String, PeerFault> {
        let text = self.script("return document.body.innerText").await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits for a button of this name or text, and clicks it.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn click(&self, name: &str) -> Result<(), PeerFault> {
        let literal = serde_json::to_string(name)?;
        let xpath = format!("//button[not(@disabled)][@aria-label={literal} or normalize-space()={literal}]");
        let element = until(&format!("the button {name:?}"), SOON, async || {
            let asked = json!({ "using": "xpath", "value": xpath });
            let found = send(self.http.post(format!("{}/element", self.session)).json(&asked)).await.ok()?;
            found[ELEMENT].as_str().map(str::to_owned)
        })
        .await?;
        let click = self.http.post(format!("{}/element/{element}/click", self.session)).json(&json!({}));
        send(click).await.map(|_| ())
    }

    /// Runs a script in the page and returns what it returns.
    ///
    /// # Errors
    /// If it throws.
    pub async fn script(&self, script: &str) -> Result<Value, PeerFault> {
        let asked = json!({ "script": script, "args": [] });
        send(self.http.post(format!("{}/execute/sync", self.session)).json(&asked)).await
    }

    /// Runs a script that calls its last argument with the result.
    ///
    /// # Errors
    /// If it throws.
    pub async fn script_later(&self, script: &str) -> Result<Value, PeerFault> {
        let asked = json!({ "script": script, "args": [] });
        send(self.http.post(format!("{}/execute/async", self.session)).json(&asked)).await
    }

    /// The driver's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.driver
    }
}

async fn send(request: reqwest::RequestBuilder) -> Result<Value, PeerFault> {
    let mut answer: Value = request.send().await?.json().await?;
    let value = answer["value"].take();
    match value["error"].as_str() {
        Some(_) => Err(PeerFault::answer("WebKitWebDriver", value.to_string())),
        None => Ok(value),
    }
}
