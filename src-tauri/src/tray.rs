//! Draws the tray's value. What is in it is decided by `controller::tray`.

use controller::tray::{TrayAction, TrayItem, TrayMenu};
use controller::{Act, Place, Status};
use tauri::image::Image;
use tauri::menu::{IsMenuItem, Menu, MenuItem, PredefinedMenuItem, Submenu};
use tauri::tray::{MouseButton, MouseButtonState, TrayIconBuilder, TrayIconEvent};
use tauri::{AppHandle, Wry};

use crate::core::act;

/// The tray icon's id, which is the StatusNotifierItem's id too.
const ID: &str = "deskgate";

/// Keeps what is drawn, so that only what has changed is drawn anew.
#[derive(Default)]
pub(crate) struct Tray {
    drawn: Option<(TrayMenu, Panel)>,
}

/// How bright the panel is that the icon is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Panel {
    /// Dark: the icon is light.
    Dark,
    /// Light: the icon is dark.
    Light,
    /// The system tints it.
    Template,
}

impl Tray {
    /// Draws the menu if it differs from what is drawn. Runs on the main thread.
    ///
    /// # Errors
    /// When the desktop has no tray: it may come later, so the next call tries again.
    pub(crate) fn draw(&mut self, app: &AppHandle, menu: &TrayMenu, panel: Panel) -> tauri::Result<()> {
        let Some(tray) = app.tray_by_id(ID) else {
            build(app, menu, panel)?;
            self.drawn = Some((menu.clone(), panel));
            return Ok(());
        };
        let before = self.drawn.replace((menu.clone(), panel));
        let before = before.as_ref();
        if before.is_none_or(|(old, on)| old.icon != menu.icon || *on != panel) {
            tray.set_icon(Some(icon(menu.icon, panel)?))?;
        }
        if before.is_none_or(|(old, _)| old.tooltip != menu.tooltip) {
            tray.set_tooltip(Some(&menu.tooltip))?;
        }
        if before.is_none_or(|(old, _)| old.items != menu.items) {
            tray.set_menu(Some(entries(app, &menu.items)?))?;
        }
        Ok(())
    }
}

/// What the person does by choosing an entry, now.
pub(crate) fn act_of(entry: &TrayAction) -> Act {
    entry.act(|| os::next_morning(os::Clock::now(&os::SystemClock)))
}

/// Guesses how bright the panel is. GNOME's is always dark; elsewhere it follows the theme.
pub(crate) fn panel() -> Panel {
    if cfg!(target_os = "macos") {
        return Panel::Template;
    }
    let desktop = std::env::var("XDG_CURRENT_DESKTOP").unwrap_or_default().to_lowercase();
    if desktop.contains("gnome") || theme_is_dark() { Panel::Dark } else { Panel::Light }
}

#[cfg(target_os = "linux")]
fn theme_is_dark() -> bool {
    use gtk::prelude::GtkSettingsExt as _;
    gtk::Settings::default().is_some_and(|settings| {
        settings.is_gtk_application_prefer_dark_theme()
            || settings.gtk_theme_name().is_some_and(|name| name.to_lowercase().contains("dark"))
    })
}

#[cfg(not(target_os = "linux"))]
fn theme_is_dark() -> bool {
    true
}

fn build(app: &AppHandle, menu: &TrayMenu, panel: Panel) -> tauri::Result<()> {
    TrayIconBuilder::with_id(ID)
        .title(say::tray_name())
        .icon(icon(menu.icon, panel)?)
        .icon_as_template(panel == Panel::Template)
        .tooltip(&menu.tooltip)
        .menu(&entries(app, &menu.items)?)
        .show_menu_on_left_click(false)
        .on_menu_event(|app, event| match event.id().as_ref().parse::<TrayAction>() {
            Ok(entry) => act(app, act_of(&entry)),
            Err(fault) => tracing::debug!(%fault, id = event.id().as_ref(), "a menu entry does nothing"),
        })
        .on_tray_icon_event(|tray, event| {
            if let TrayIconEvent::Click {
                button: MouseButton::Left,
                button_state: MouseButtonState::Up,
                ..
            } = event
            {
                act(tray.app_handle(), Act::Open(Place::Overview));
            }
        })
        .build(app)
        .map(|_| ())
}

fn entries(app: &AppHandle, items: &[TrayItem]) -> tauri::Result<Menu<Wry>> {
    let menu = Menu::new(app)?;
    for item in items {
        menu.append(entry(app, item)?.as_ref())?;
    }
    Ok(menu)
}

fn entry(app: &AppHandle, item: &TrayItem) -> tauri::Result<Box<dyn IsMenuItem<Wry>>> {
    Ok(match item {
        TrayItem::Text { id, text } => {
            Box::new(MenuItem::with_id(app, *id, label(text), false, None::<&str>)?)
        }
        TrayItem::Action { action, text } => {
            Box::new(MenuItem::with_id(app, action.to_string(), label(text), true, None::<&str>)?)
        }
        TrayItem::Submenu { id, text, items } => {
            let submenu = Submenu::with_id(app, *id, label(text), true)?;
            for item in items {
                submenu.append(entry(app, item)?.as_ref())?;
            }
            Box::new(submenu)
        }
        TrayItem::Separator => Box::new(PredefinedMenuItem::separator(app)?),
    })
}

/// An ampersand marks the key of an entry; a doubled one is an ampersand.
fn label(text: &str) -> String {
    text.replace('&', "&&")
}

fn icon(status: Status, panel: Panel) -> tauri::Result<Image<'static>> {
    macro_rules! gate {
        ($name:literal) => {
            match panel {
                Panel::Dark => include_bytes!(concat!("../../icons/tray/", $name, "-on-dark.png")).as_slice(),
                Panel::Light => {
                    include_bytes!(concat!("../../icons/tray/", $name, "-on-light.png")).as_slice()
                }
                Panel::Template => {
                    include_bytes!(concat!("../../icons/tray/", $name, "-template.png")).as_slice()
                }
            }
        };
    }
    Image::from_bytes(match status {
        Status::Starting => gate!("starting"),
        Status::Ready => gate!("ready"),
        Status::Attention => gate!("attention"),
        Status::Paused => gate!("paused"),
        Status::Offline => gate!("offline"),
        Status::Refused | Status::Expired => gate!("refused"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_an_icon_of_its_own() {
        let states = [
            Status::Starting,
            Status::Ready,
            Status::Attention,
            Status::Paused,
            Status::Offline,
            Status::Refused,
        ];
        // An ended session is one more way in which nothing works: the same bar.
        assert_eq!(
            icon(Status::Expired, Panel::Dark).unwrap().rgba(),
            icon(Status::Refused, Panel::Dark).unwrap().rgba()
        );
        for panel in [Panel::Dark, Panel::Light, Panel::Template] {
            let mut seen = std::collections::BTreeSet::new();
            for state in states {
                let icon = icon(state, panel).unwrap();
                assert_eq!((icon.width(), icon.height()), (64, 64));
                assert!(seen.insert(icon.rgba().to_vec()), "{state:?} looks like another on {panel:?}");
            }
        }
    }

    /// The feature that replaces GTK's tray by plain D-Bus only reaches Tauri while both mean the same version.
    #[test]
    fn there_is_one_tray_icon_in_the_tree() {
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
        let lock = std::fs::read_to_string(lock).unwrap();
        assert_eq!(lock.matches("name = \"tray-icon\"\n").count(), 1);
        assert!(lock.contains("name = \"ksni\"\n"));
    }

    #[test]
    fn an_ampersand_is_no_mark() {
        assert_eq!(label("R&D"), "R&&D");
    }
}
