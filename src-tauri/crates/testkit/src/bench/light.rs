//! Whether the programs can be forgotten: what they hold in memory and how often they wake up while nobody uses them, and what
//! becomes of a window's memory once it is closed.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::echo::Echo;
use super::measure::micros;
use super::meter::{held_together, resident, wakes};
use super::report::{Aim, mib};
use crate::{Desktop, Gateway, PeerFault, SessionParts, Setup, until};

/// How long a program is left alone before it counts as idle: its first lists are known, its journal is checked.
const SETTLED: Duration = Duration::from_secs(20);
/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(60);
/// How long a closed window may take to give its memory back.
const GIVEN_BACK: Duration = Duration::from_secs(15);
const SOON: Duration = Duration::from_secs(60);

/// The desktop application without a window holds at most so much.
const DESKTOP_MIB: f64 = 60.0;
/// `deskgate serve` holds at most so much.
const SERVE_MIB: f64 = 25.0;
/// At most so many voluntary context switches in an idle minute.
const WAKES: f64 = 60.0;
/// After a window was closed the application holds at most so many times what it held before.
const LEFT_BEHIND: f64 = 1.2;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lightness {
    /// Memory of `deskgate serve` while idle, KiB (`VmRSS`).
    pub serve_memory_kib: u64,
    /// Voluntary context switches of `deskgate serve` in an idle minute.
    pub serve_wakes: u64,
    /// From the start of the desktop application to its tray icon, ms.
    pub to_tray_ms: f64,
    /// Memory of the desktop application without a window and of all that it started, KiB (`Pss`).
    pub desktop_memory_kib: u64,
    /// Voluntary context switches of the same in an idle minute.
    pub desktop_wakes: u64,
    /// The same memory with the main window, KiB.
    pub window_memory_kib: u64,
    /// The same memory after it was closed, KiB.
    pub closed_memory_kib: u64,
}

/// Measures the two programs, one after the other.
///
/// # Errors
/// If one does not start, or does not do as it is told.
pub(super) async fn light(programs: &Path) -> Result<Lightness, PeerFault> {
    let echo = Echo::start().await?;
    let settings = format!(
        "[connectors.echo]\ntitle = \"Echo\"\nurl = \"http://{}/mcp\"\n\n[servers.desk]\ntitle = \"Desk\"\nconnectors = [\"echo\"]\n",
        echo.address()
    );
    let setup = || Setup { settings: settings.clone(), usual_log: true, ..Setup::default() };
    let (serve_memory_kib, serve_wakes) = serve(programs, setup()).await?;

    let program = programs.join("deskgate-desktop");
    let mut desktop = Desktop::prepared(&program, setup(), SessionParts::DESKTOP).await?;
    let begun = Instant::now();
    desktop.launch(&["--background"])?;
    let tray = desktop.tray().await?;
    let to_tray_ms = micros(begun.elapsed()) / 1000.0;
    desktop.offers("desk").await?;
    let process =
        desktop.process().ok_or_else(|| PeerFault::answer("deskgate-desktop", "it has ended"))?.id();
    sleep(SETTLED).await;
    let desktop_memory_kib = held_together(process)?;
    let desktop_wakes = watched(process).await?;

    tray.activate().await?;
    let screen = desktop.screen().await?;
    screen.shows("Deskgate", "Ready").await?;
    sleep(SETTLED / 4).await;
    let window_memory_kib = held_together(process)?;
    desktop.close_window("Deskgate").await?;
    until("no window", SOON, async || {
        let open = desktop.windows().await.ok()?;
        (!open.iter().any(|title| title == "Deskgate")).then_some(())
    })
    .await?;
    sleep(GIVEN_BACK).await;
    let closed_memory_kib = held_together(process)?;
    Ok(Lightness {
        serve_memory_kib,
        serve_wakes,
        to_tray_ms,
        desktop_memory_kib,
        desktop_wakes,
        window_memory_kib,
        closed_memory_kib,
    })
}

async fn serve(programs: &Path, setup: Setup) -> Result<(u64, u64), PeerFault> {
    let mut gateway = Gateway::start(&programs.join("deskgate"), setup).await?;
    let process = gateway.process().ok_or_else(|| PeerFault::answer("deskgate serve", "it has ended"))?.id();
    sleep(SETTLED).await;
    Ok((resident(process)?, watched(process).await?))
}

async fn watched(process: u32) -> Result<u64, PeerFault> {
    let before = wakes(process)?;
    sleep(WATCHED).await;
    Ok(wakes(process)?.saturating_sub(before))
}

impl Lightness {
    pub(super) fn aims(&self) -> [Aim; 5] {
        let most = |text: String, ratio: f64, most: f64| Aim { text, ratio, reached: ratio <= most };
        [
            most(format!("deskgate serve holds <= {SERVE_MIB} MiB"), mib(self.serve_memory_kib), SERVE_MIB),
            most(
                format!("deskgate serve wakes <= {WAKES} times in an idle minute"),
                self.serve_wakes as f64,
                WAKES,
            ),
            most(
                format!("the desktop without a window holds <= {DESKTOP_MIB} MiB"),
                mib(self.desktop_memory_kib),
                DESKTOP_MIB,
            ),
            most(
                format!("the desktop wakes <= {WAKES} times in an idle minute"),
                self.desktop_wakes as f64,
                WAKES,
            ),
            most(
                format!("after a window was closed it holds <= {LEFT_BEHIND} x what it held before"),
                self.closed_memory_kib as f64 / self.desktop_memory_kib as f64,
                LEFT_BEHIND,
            ),
        ]
    }
}

impl fmt::Display for Lightness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "idle: deskgate serve {:.1} MiB and {} wakes a minute; desktop {:.1} MiB and {} wakes a minute",
            mib(self.serve_memory_kib),
            self.serve_wakes,
            mib(self.desktop_memory_kib),
            self.desktop_wakes,
        )?;
        writeln!(
            f,
            "desktop: {:.0} ms to its tray icon; {:.1} MiB with its window, {:.1} MiB after that was closed",
            self.to_tray_ms,
            mib(self.window_memory_kib),
            mib(self.closed_memory_kib),
        )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::bench) fn figures() -> Lightness {
        Lightness {
            serve_memory_kib: 20 * 1024,
            serve_wakes: 14,
            to_tray_ms: 400.0,
            desktop_memory_kib: 50 * 1024,
            desktop_wakes: 60,
            window_memory_kib: 200 * 1024,
            closed_memory_kib: 60 * 1024,
        }
    }

    #[test]
    fn what_is_too_much_misses_its_aim() {
        let missed = |figures: Lightness| figures.aims().iter().filter(|aim| !aim.reached).count();
        assert_eq!(missed(figures()), 0);
        assert_eq!(missed(Lightness { serve_memory_kib: 25 * 1024 + 1, ..figures() }), 1);
        assert_eq!(missed(Lightness { desktop_wakes: 61, ..figures() }), 1);
        assert_eq!(missed(Lightness { closed_memory_kib: 61 * 1024, ..figures() }), 1);
    }
}
