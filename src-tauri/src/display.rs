//! Looks for a display before the toolkit does, which would end the program with a panic.

use model::Advice;

/// Whether windows can be shown.
pub(crate) fn check() -> Result<(), Advice> {
    if cfg!(target_os = "linux") && !named() {
        return Err(none("neither DISPLAY nor WAYLAND_DISPLAY is set"));
    }
    opens()
}

fn named() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(target_os = "linux")]
fn opens() -> Result<(), Advice> {
    gtk::init().map_err(|_| none("the display does not answer"))
}

#[cfg(not(target_os = "linux"))]
fn opens() -> Result<(), Advice> {
    Ok(())
}

fn none(why: &str) -> Advice {
    Advice::new(
        "no-display",
        format!("Deskgate found no display: {why}."),
        "Its tray and windows cannot be shown.",
        "To run it without one, use: deskgate serve",
    )
}
