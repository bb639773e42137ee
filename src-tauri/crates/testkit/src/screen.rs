//! The windows of a session as a screen reader sees them (AT-SPI over D-Bus), and a person's hands: buttons are pressed
//! through their own action, keys are typed with `xdotool`.
//!
//! Texts cannot be put into a web page's fields from outside, so they are typed: ASCII only.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use zbus::{Connection, ObjectPath, OwnedObjectPath, Proxy};

use crate::{PeerFault, until};

const SOON: Duration = Duration::from_secs(60);

// Roles and states of AT-SPI 2.46, `atspi-constants.h`.
const FRAME: u32 = 23;
const PASSWORD: u32 = 40;
const BUTTON: u32 = 43;
const ENTRY: u32 = 79;
const CHECK_BOX: u32 = 7;
const COMBO_BOX: u32 = 11;
const RADIO_BUTTON: u32 = 44;
const TOGGLE_BUTTON: u32 = 62;
const LINK: u32 = 88;
const CONTROLS: [u32; 8] = [PASSWORD, BUTTON, ENTRY, CHECK_BOX, COMBO_BOX, RADIO_BUTTON, TOGGLE_BUTTON, LINK];
const FOCUSED: u32 = 1 << 12;
const ENABLED: u32 = 1 << 8;
const SENSITIVE: u32 = 1 << 24;

/// How often a text is typed before it is given up, and how long each time may take to arrive.
const TYPED_AT_MOST: usize = 5;
const TYPED_WITHIN: Duration = Duration::from_secs(6);

/// Deeper than any page that is looked at.
const DEPTH: u8 = 30;

/// A thing on the screen: who owns it, and where.
type Thing = (String, OwnedObjectPath);

/// The windows of a session.
#[derive(Debug)]
pub struct Screen {
    bus: Connection,
    environment: Vec<(&'static str, OsString)>,
}

impl Screen {
    pub(crate) async fn open(
        session: &str,
        environment: &[(&'static str, OsString)],
    ) -> Result<Self, PeerFault> {
        let session = connect(session).await?;
        let launcher =
            Proxy::new(&session, "org.a11y.Bus", "/org/a11y/bus", "org.a11y.Bus").await.map_err(told)?;
        let address: String = launcher.call("GetAddress", &()).await.map_err(told)?;
        Ok(Self { bus: connect(&address).await?, environment: environment.to_vec() })
    }

    /// Waits for a button that can be pressed, in the window whose title begins so, and presses it.
    ///
    /// # Errors
    /// If it does not appear in time.
    pub async fn press(&self, window: &str, button: &str) -> Result<(), PeerFault> {
        let what = format!("the button {button:?} of {window:?}");
        until(&what, SOON, async || {
            let thing = self.find(window, &[BUTTON], |name| name == button).await.ok().flatten()?;
            if self.state(&thing).await.ok()? & (ENABLED | SENSITIVE) != ENABLED | SENSITIVE {
                return None;
            }
            let pressed: bool =
                self.at(&thing, "Action").await.ok()?.call("DoAction", &(0_i32)).await.ok()?;
            pressed.then_some(())
        })
        .await
    }

    /// Waits for a form's fields, in the window whose title begins so, and types a text into each. What did not arrive
    /// whole is typed again: a machine under load loses keys, and a page may move the cursor after it was shown.
    ///
    /// # Errors
    /// If a field does not appear in time, or a text never arrives whole.
    pub async fn fill(&self, window: &str, fields: &[(&str, &str)]) -> Result<(), PeerFault> {
        for _ in 0..=TYPED_AT_MOST {
            let mut whole = true;
            for (field, text) in fields {
                if !self.holds(window, field, text).await {
                    whole = false;
                    self.type_into(window, field, text).await?;
                }
            }
            if whole {
                return Ok(());
            }
        }
        Err(PeerFault::answer("screen", format!("what was typed into {window:?} never arrived whole")))
    }

    /// What can be pressed, chosen or written into in the window whose title begins so, by the name that is read out, in no order.
    ///
    /// # Errors
    /// If there is no such window.
    pub async fn controls(&self, window: &str) -> Result<Vec<String>, PeerFault> {
        let frame = self.frame(window).await?;
        let frame = frame.ok_or_else(|| PeerFault::answer("screen", format!("no window {window:?}")))?;
        let mut names = Vec::new();
        let mut waiting = vec![(frame, DEPTH)];
        while let Some((thing, depth)) = waiting.pop() {
            let Ok(proxy) = self.at(&thing, "Accessible").await else { continue };
            let role: u32 = proxy.call("GetRole", &()).await.unwrap_or_default();
            if CONTROLS.contains(&role) {
                names.push(proxy.get_property::<String>("Name").await.unwrap_or_default());
            }
            if depth > 0 {
                waiting.extend(self.children(&proxy).await.into_iter().map(|child| (child, depth - 1)));
            }
        }
        Ok(names)
    }

    /// All texts of the window whose title begins so, from top to bottom.
    ///
    /// # Errors
    /// If there is no such window.
    pub async fn texts(&self, window: &str) -> Result<Vec<String>, PeerFault> {
        let frame = self.frame(window).await?;
        let frame = frame.ok_or_else(|| PeerFault::answer("screen", format!("no window {window:?}")))?;
        let mut texts = Vec::new();
        let mut waiting = vec![(frame, DEPTH)];
        while let Some((thing, depth)) = waiting.pop() {
            let Ok(proxy) = self.at(&thing, "Accessible").await else { continue };
            let text = match proxy.get_property::<String>("Name").await {
                Ok(name) if !name.is_empty() => name,
                Ok(_) | Err(_) => self.text(&thing).await,
            };
            if !text.is_empty() {
                texts.push(text);
            }
            if depth > 0 {
                let mut children = self.children(&proxy).await;
                children.reverse();
                waiting.extend(children.into_iter().map(|child| (child, depth - 1)));
            }
        }
        Ok(texts)
    }

    /// Waits until the window whose title begins so shows this text, alone or within another.
    ///
    /// # Errors
    /// If it does not in time; what it shows then is told.
    pub async fn shows(&self, window: &str, text: &str) -> Result<(), PeerFault> {
        let shown = until(text, SOON, async || {
            self.texts(window).await.ok()?.iter().any(|shown| shown.contains(text)).then_some(())
        });
        match shown.await {
            Ok(()) => Ok(()),
            Err(_) => {
                Err(PeerFault::answer("screen", format!("no {text:?} in {:#?}", self.texts(window).await)))
            }
        }
    }

    /// Waits until no window has a title that begins so.
    ///
    /// # Errors
    /// If one stays.
    pub async fn gone(&self, window: &str) -> Result<(), PeerFault> {
        until(&format!("the end of the window {window:?}"), SOON, async || {
            self.frame(window).await.is_ok_and(|frame| frame.is_none()).then_some(())
        })
        .await
    }

    /// Types keys, such as `Return`, into the window that is in front.
    ///
    /// # Errors
    /// If they cannot be typed.
    pub async fn key(&self, key: &str) -> Result<(), PeerFault> {
        self.xdotool(&["key", "--clearmodifiers", key]).await
    }

    /// Replaces what a field holds, and waits a little for the text to arrive.
    async fn type_into(&self, window: &str, field: &str, text: &str) -> Result<(), PeerFault> {
        self.focus(window, field).await?;
        self.xdotool(&["key", "--clearmodifiers", "ctrl+a", "Delete"]).await?;
        self.xdotool(&["type", "--clearmodifiers", "--delay", "4", text]).await?;
        // What has not arrived then is typed again.
        let _arrived =
            until(field, TYPED_WITHIN, async || self.holds(window, field, text).await.then_some(())).await;
        Ok(())
    }

    /// Whether a field holds as many characters as this text has; a password does not tell more.
    async fn holds(&self, window: &str, field: &str, text: &str) -> bool {
        let Ok(Some(thing)) = self.field(window, field).await else { return false };
        let Ok(proxy) = self.at(&thing, "Text").await else { return false };
        let held: i32 = proxy.get_property("CharacterCount").await.unwrap_or_default();
        usize::try_from(held).is_ok_and(|held| held == text.chars().count())
    }

    /// A field by its label. WebKit adds what a field holds to a label that is written around it.
    async fn field(&self, window: &str, label: &str) -> Result<Option<Thing>, PeerFault> {
        let fits = |name: &str| {
            name.strip_prefix(label).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        self.find(window, &[ENTRY, PASSWORD], fits).await
    }

    /// Waits for a field and puts the cursor into it.
    async fn focus(&self, window: &str, field: &str) -> Result<(), PeerFault> {
        until(&format!("the field {field:?} of {window:?}"), SOON, async || {
            let thing = self.field(window, field).await.ok().flatten()?;
            let title = format!("^{}", literally(window));
            let in_front = ["search", "--onlyvisible", "--name", &title, "windowactivate", "--sync"];
            self.xdotool(&in_front).await.ok()?;
            let _focused: bool =
                self.at(&thing, "Component").await.ok()?.call("GrabFocus", &()).await.ok()?;
            (self.state(&thing).await.ok()? & FOCUSED != 0).then_some(())
        })
        .await
    }

    /// What a paragraph says; the places of other things in it are left out.
    async fn text(&self, thing: &Thing) -> String {
        let Ok(proxy) = self.at(thing, "Text").await else { return String::new() };
        let text: String = proxy.call("GetText", &(0_i32, -1_i32)).await.unwrap_or_default();
        text.replace('\u{fffc}', " ").trim().to_owned()
    }

    async fn find(
        &self,
        window: &str,
        roles: &[u32],
        fits: impl Fn(&str) -> bool,
    ) -> Result<Option<Thing>, PeerFault> {
        let Some(frame) = self.frame(window).await? else { return Ok(None) };
        let mut waiting = vec![(frame, DEPTH)];
        while let Some((thing, depth)) = waiting.pop() {
            // Things vanish while a page changes: those are not what is looked for.
            let Ok(proxy) = self.at(&thing, "Accessible").await else { continue };
            let role: u32 = proxy.call("GetRole", &()).await.unwrap_or_default();
            let named: String = proxy.get_property("Name").await.unwrap_or_default();
            if roles.contains(&role) && fits(&named) {
                return Ok(Some(thing));
            }
            if depth > 0 {
                waiting.extend(self.children(&proxy).await.into_iter().map(|child| (child, depth - 1)));
            }
        }
        Ok(None)
    }

    async fn frame(&self, window: &str) -> Result<Option<Thing>, PeerFault> {
        let root = ObjectPath::try_from("/org/a11y/atspi/accessible/root").map_err(told)?;
        let root: Thing = ("org.a11y.atspi.Registry".to_owned(), root.into());
        let root = self.at(&root, "Accessible").await?;
        for application in self.children(&root).await {
            let Ok(application) = self.at(&application, "Accessible").await else { continue };
            for frame in self.children(&application).await {
                let Ok(proxy) = self.at(&frame, "Accessible").await else { continue };
                let role: u32 = proxy.call("GetRole", &()).await.unwrap_or_default();
                let title: String = proxy.get_property("Name").await.unwrap_or_default();
                if role == FRAME && title.starts_with(window) {
                    return Ok(Some(frame));
                }
            }
        }
        Ok(None)
    }

    /// One by one: asked for all at once, a GTK parent leaves the web page out.
    async fn children(&self, parent: &Proxy<'_>) -> Vec<Thing> {
        let count: i32 = parent.get_property("ChildCount").await.unwrap_or_default();
        let mut children = Vec::new();
        for at in 0..count {
            if let Ok(child) = parent.call("GetChildAtIndex", &(at)).await {
                children.push(child);
            }
        }
        children
    }

    async fn state(&self, thing: &Thing) -> Result<u32, PeerFault> {
        let state: Vec<u32> =
            self.at(thing, "Accessible").await?.call("GetState", &()).await.map_err(told)?;
        Ok(state.first().copied().unwrap_or_default())
    }

    async fn at(&self, thing: &Thing, interface: &str) -> Result<Proxy<'_>, PeerFault> {
        zbus::proxy::Builder::new(&self.bus)
            .destination(thing.0.clone())
            .path(thing.1.clone())
            .interface(format!("org.a11y.atspi.{interface}"))
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await
            .map_err(told)
    }

    async fn xdotool(&self, arguments: &[&str]) -> Result<(), PeerFault> {
        let mut command = tokio::process::Command::new("xdotool");
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (*name, value)));
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).status().await?;
        if status.success() {
            Ok(())
        } else {
            Err(PeerFault::answer("xdotool", format!("{arguments:?}: {status}")))
        }
    }
}

/// A text as the regular expression that stands for it alone.
fn literally(text: &str) -> String {
    let each =
        text.chars().map(|c| if r".^$*+?()[]{}|\".contains(c) { format!("\\{c}") } else { c.to_string() });
    each.collect()
}

async fn connect(address: &str) -> Result<Connection, PeerFault> {
    zbus::connection::Builder::address(address).build().await.map_err(told)
}

fn told(fault: impl std::fmt::Display) -> PeerFault {
    PeerFault::answer("accessibility bus", fault.to_string())
}
