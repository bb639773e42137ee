//! A page of our own windows through WebKitWebDriver (W3C WebDriver), for tests that look at what a window shows.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::place::{debian, pictures, window_package};
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
        let element = self.element(&format!("the button {name:?}"), &xpath).await?;
        let click = self.http.post(format!("{}/element/{element}/click", self.session)).json(&json!({}));
        send(click).await.map(|_| ())
    }

    /// Presses the tabulator.
    ///
    /// # Errors
    /// If nothing takes keys.
    pub async fn tab(&self) -> Result<(), PeerFault> {
        let keys = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": "\u{e004}" }));
        let actions = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] });
        send(self.http.post(format!("{}/actions", self.session)).json(&actions)).await.map(|_| ())
    }

    /// Waits for a field of this label, and types into it.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn write(&self, label: &str, text: &str) -> Result<(), PeerFault> {
        let literal = serde_json::to_string(label)?;
        let xpath =
            format!("//input[@aria-label={literal} or @id=//label[normalize-space()={literal}]/@for]");
        let element = self.element(&format!("the field {label:?}"), &xpath).await?;
        let keys = json!({ "text": text });
        let typed = self.http.post(format!("{}/element/{element}/value", self.session)).json(&keys);
        send(typed).await.map(|_| ())
    }

    async fn element(&self, what: &str, xpath: &str) -> Result<String, PeerFault> {
        until(what, SOON, async || {
            let asked = json!({ "using": "xpath", "value": xpath });
            let found = send(self.http.post(format!("{}/element", self.session)).json(&asked)).await.ok()?;
            found[ELEMENT].as_str().map(str::to_owned)
        })
        .await
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

    /// Goes over to the window at this page that says this, waiting for it.
    ///
    /// # Errors
    /// If there is none in time; the addresses of those that there are, are told.
    pub async fn turns_to(&self, page: &str, text: &str) -> Result<(), PeerFault> {
        let turned = until(text, SOON, async || {
            for handle in self.windows().await.ok()? {
                self.turns_to_window(&handle).await.ok()?;
                let at = self.script("return location.href").await.ok()?;
                if at.as_str()?.contains(page) && self.text().await.ok()?.contains(text) {
                    return Some(());
                }
            }
            None
        });
        if turned.await.is_ok() {
            return Ok(());
        }
        let mut there = Vec::new();
        for handle in self.windows().await? {
            self.turns_to_window(&handle).await?;
            there.push(self.script("return location.href").await?.to_string());
        }
        Err(PeerFault::answer("windows", format!("none says {text:?}, of {there:?}")))
    }

    async fn windows(&self) -> Result<Vec<Value>, PeerFault> {
        let found = send(self.http.get(format!("{}/window/handles", self.session))).await?;
        Ok(found.as_array().cloned().unwrap_or_default())
    }

    async fn turns_to_window(&self, handle: &Value) -> Result<(), PeerFault> {
        send(self.http.post(format!("{}/window", self.session)).json(&json!({ "handle": handle })))
            .await
            .map(drop)
    }

    /// Takes a picture of the page as it is after the next frame, for people to look at: a PNG in `target/pictures`.
    ///
    /// # Errors
    /// If there is none to be had.
    pub async fn picture(&self, name: &str) -> Result<PathBuf, PeerFault> {
        let frames = "const done = arguments[arguments.length - 1];
                      requestAnimationFrame(() => requestAnimationFrame(() => done(null)));";
        self.script_later(frames).await?;
        let shot = send(self.http.get(format!("{}/screenshot", self.session))).await?;
        let png = STANDARD
            .decode(shot.as_str().unwrap_or_default())
            .map_err(|fault| PeerFault::answer("screenshot", fault.to_string()))?;
        let path = pictures()?.join(name).with_extension("png");
        std::fs::write(&path, png)?;
        Ok(path)
    }

    /// What axe-core finds wrong for people who see, hear or move otherwise (WCAG 2.2, level AA): each rule, and where.
    ///
    /// # Errors
    /// If the page cannot be looked at.
    pub async fn barriers(&self) -> Result<Vec<String>, PeerFault> {
        let axe = std::fs::read_to_string(window_package("axe-core/axe.min.js")?)?;
        self.script(&axe).await?;
        let found = self
            .script_later(
                "const done = arguments[arguments.length - 1];
                 const where = rule => rule.nodes.map(node => `${rule.id}: ${node.html} ${node.failureSummary}`);
                 axe.run(document).then(found => done(found.violations.flatMap(where)), fault => done([String(fault)]));",
            )
            .await?;
        Ok(serde_json::from_value(found)?)
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
