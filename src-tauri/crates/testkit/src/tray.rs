//! A tray icon as its host sees it: the StatusNotifierItem that the panel has registered, and its menu over D-Bus
//! (com.canonical.dbusmenu).

use std::collections::HashMap;
use std::time::Duration;

use zbus::{Connection, OwnedObjectPath, OwnedVariant, Proxy, Variant};

use crate::{PeerFault, until};

const SOON: Duration = Duration::from_secs(60);
const ITEM: &str = "org.kde.StatusNotifierItem";

/// A menu entry as it comes over the bus: id, properties, children.
type Node = (i32, HashMap<String, OwnedVariant>, Vec<OwnedVariant>);

/// A picture: width, height, pixels (ARGB, network order).
pub type Picture = (i32, i32, Vec<u8>);

/// A tray icon.
#[derive(Debug)]
pub struct Tray {
    bus: Connection,
    service: String,
    path: String,
    menu: OwnedObjectPath,
}

/// One entry of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its text, without marks of keys.
    pub text: String,
    /// Whether it can be chosen.
    pub enabled: bool,
    /// How deep it lies: 0 in the menu, 1 in a submenu.
    pub depth: usize,
    id: i32,
}

impl Tray {
    /// The icon with this id among those that the session's panel has registered.
    ///
    /// # Errors
    /// If there is none.
    pub async fn find(bus_address: &str, id: &str) -> Result<Self, PeerFault> {
        let bus = zbus::connection::Builder::address(bus_address).build().await.map_err(told)?;
        let watcher = Proxy::new(
            &bus,
            "org.kde.StatusNotifierWatcher",
            "/StatusNotifierWatcher",
            "org.kde.StatusNotifierWatcher",
        )
        .await
        .map_err(told)?;
        let items: Vec<String> = watcher.get_property("RegisteredStatusNotifierItems").await.map_err(told)?;
        for item in items {
            let (service, path) = match item.split_once('/') {
                Some((service, path)) => (service.to_owned(), format!("/{path}")),
                None => (item, "/StatusNotifierItem".to_owned()),
            };
            let proxy = Proxy::new(&bus, service.clone(), path.clone(), ITEM).await.map_err(told)?;
            if proxy.get_property::<String>("Id").await.is_ok_and(|found| found == id) {
                let menu = proxy.get_property("Menu").await.map_err(told)?;
                drop(proxy);
                return Ok(Self { bus, service, path, menu });
            }
        }
        Err(PeerFault::answer("panel", format!("it shows no icon {id}")))
    }

    /// What is said when the pointer rests on it.
    ///
    /// # Errors
    /// If the icon is gone.
    pub async fn tooltip(&self) -> Result<String, PeerFault> {
        let tip: (String, Vec<Picture>, String, String) = self
            .item()
            .await?
            .get_property::<OwnedVariant>("ToolTip")
            .await
            .map_err(told)?
            .try_into()
            .map_err(told)?;
        Ok(tip.3)
    }

    /// The picture that is shown.
    ///
    /// # Errors
    /// If the icon is gone or has none.
    pub async fn picture(&self) -> Result<Picture, PeerFault> {
        let pictures: Vec<Picture> = self
            .item()
            .await?
            .get_property::<OwnedVariant>("IconPixmap")
            .await
            .map_err(told)?
            .try_into()
            .map_err(told)?;
        pictures.into_iter().next().ok_or_else(|| PeerFault::answer("tray", "no picture"))
    }

    /// Clicks the icon itself.
    ///
    /// # Errors
    /// If the icon is gone.
    pub async fn activate(&self) -> Result<(), PeerFault> {
        self.item().await?.call_method("Activate", &(0_i32, 0_i32)).await.map_err(told)?;
        Ok(())
    }

    /// The menu, from top to bottom, without separators.
    ///
    /// # Errors
    /// If the icon is gone.
    pub async fn menu(&self) -> Result<Vec<Entry>, PeerFault> {
        let none: Vec<String> = Vec::new();
        let (_, root): (u32, Node) =
            self.menu_proxy().await?.call("GetLayout", &(0_i32, -1_i32, none)).await.map_err(told)?;
        let mut entries = Vec::new();
        collect(root, 0, &mut entries)?;
        Ok(entries)
    }

    /// The texts of the menu, from top to bottom.
    ///
    /// # Errors
    /// If the icon is gone.
    pub async fn lines(&self) -> Result<Vec<String>, PeerFault> {
        Ok(self.menu().await?.into_iter().map(|entry| entry.text).collect())
    }

    /// Waits until an entry has this text or begins with it, and returns it.
    ///
    /// # Errors
    /// If there is none in time; the menu as it is then is told.
    pub async fn entry(&self, text: &str) -> Result<Entry, PeerFault> {
        self.find_entry(text, |_| true).await
    }

    /// Waits for an entry that can be chosen, and chooses it.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn choose(&self, text: &str) -> Result<(), PeerFault> {
        let fits = |entry: &Entry| entry.enabled;
        let mut entry = self.find_entry(text, fits).await?;
        loop {
            let event = (entry.id, "clicked", Variant::from(0_i32), 0_u32);
            // Whoever chooses "Quit" gets no reply.
            self.menu_proxy().await?.call_noreply("Event", &event).await.map_err(told)?;
            let Ok(menu) = self.menu().await else { return Ok(()) };
            // A menu that was drawn anew between the look and the click has other ids: then nothing was clicked. A person
            // has the menu open meanwhile, and it stays as it is.
            match menu.into_iter().find(|now| now.text.starts_with(text) && fits(now)) {
                Some(now) if now.id != entry.id => entry = now,
                Some(_) | None => return Ok(()),
            }
        }
    }

    async fn find_entry(&self, text: &str, fits: impl Fn(&Entry) -> bool) -> Result<Entry, PeerFault> {
        let found = until(text, SOON, async || {
            self.menu().await.ok()?.into_iter().find(|entry| entry.text.starts_with(text) && fits(entry))
        });
        match found.await {
            Ok(entry) => Ok(entry),
            Err(_) => {
                Err(PeerFault::answer("tray", format!("no entry {text:?} in {:#?}", self.lines().await?)))
            }
        }
    }

    async fn item(&self) -> Result<Proxy<'_>, PeerFault> {
        uncached(&self.bus, &self.service, &self.path, ITEM).await
    }

    async fn menu_proxy(&self) -> Result<Proxy<'_>, PeerFault> {
        uncached(&self.bus, &self.service, self.menu.as_str(), "com.canonical.dbusmenu").await
    }
}

/// A proxy that asks each time: what is shown changes.
async fn uncached<'a>(
    bus: &Connection,
    service: &str,
    path: &str,
    interface: &str,
) -> Result<Proxy<'a>, PeerFault> {
    zbus::proxy::Builder::new(bus)
        .destination(service.to_owned())
        .path(path.to_owned())
        .interface(interface.to_owned())
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await
        .map_err(told)
}

fn collect(node: Node, depth: usize, entries: &mut Vec<Entry>) -> Result<(), PeerFault> {
    for child in node.2 {
        let child: Node = child.try_into().map_err(told)?;
        let property = |name: &str| child.1.get(name).and_then(|value| value.try_clone().ok());
        let text = property("label").and_then(|value| String::try_from(value).ok()).unwrap_or_default();
        let enabled = property("enabled").and_then(|value| bool::try_from(value).ok()).unwrap_or(true);
        if !text.is_empty() {
            // A single underscore marks a key; a doubled one is an underscore.
            let text = text.replace("__", "\u{0}").replace('_', "").replace('\u{0}', "_");
            entries.push(Entry { text, enabled, depth, id: child.0 });
        }
        collect(child, depth + 1, entries)?;
    }
    Ok(())
}

fn told(fault: impl std::fmt::Display) -> PeerFault {
    PeerFault::answer("session bus", fault.to_string())
}
