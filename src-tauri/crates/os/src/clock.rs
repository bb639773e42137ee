//! The one place where time is read.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use model::Timestamp;

/// Time as the rest of the program sees it.
pub trait Clock: Send + Sync {
    /// The wall clock. It may jump in either direction when somebody sets it.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary point, usually the machine's start. It never runs backwards and goes on while the
    /// machine is suspended; it says nothing about the time of day.
    fn boot_time(&self) -> Duration;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match since {
            Ok(after) => Timestamp::from_micros(micros(after)),
            Err(before) => Timestamp::from_micros(micros(before.duration()).saturating_neg()),
        }
    }

    #[cfg(target_os = "linux")]
    fn boot_time(&self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};
        let at = clock_gettime(ClockId::Boottime);
        Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0))
    }

    // `Instant` counts suspend on Windows; on macOS it does not, and a deadline then runs late after a suspend.
    #[cfg(not(target_os = "linux"))]
    fn boot_time(&self) -> Duration {
        use std::sync::OnceLock;
        use std::time::Instant;
        static START: OnceLock<Instant> = OnceLock::new();
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let now = Instant::now();
        now.saturating_duration_since(*START.get_or_init(|| now))
    }
}

/// When the next day begins for the person at this machine: at six in the morning, in their time zone.
pub fn next_morning(now: Timestamp) -> Timestamp {
    morning_after(now, &chrono::Local).unwrap_or_else(|| now.plus(Duration::from_secs(12 * 60 * 60)))
}

fn morning_after<Z: chrono::TimeZone>(now: Timestamp, zone: &Z) -> Option<Timestamp> {
    let now = chrono::DateTime::from_timestamp_micros(now.micros())?.with_timezone(zone);
    let morning = now.date_naive().succ_opt()?.and_hms_opt(6, 0, 0)?;
    Some(Timestamp::from_micros(zone.from_local_datetime(&morning).earliest()?.timestamp_micros()))
}

/// The day, as the person at this machine counts it: "2026-11-27".
pub fn local_day(now: Timestamp) -> String {
    day_in(now, &chrono::Local).unwrap_or_default()
}

fn day_in<Z: chrono::TimeZone>(now: Timestamp, zone: &Z) -> Option<String> {
    Some(chrono::DateTime::from_timestamp_micros(now.micros())?.with_timezone(zone).date_naive().to_string())
}

/// A clock that stands still until it is moved, for tests.
#[derive(Debug)]
pub struct ManualClock {
    micros: AtomicI64,
    boot_micros: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { micros: AtomicI64::new(now.micros()), boot_micros: AtomicU64::new(0) }
    }

    /// Sets the wall clock, as a person or a time server would; [`Clock::boot_time`] does not move.
    pub fn set(&self, now: Timestamp) {
        self.micros.store(now.micros(), Ordering::SeqCst);
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.boot_micros.fetch_add(micros, Ordering::SeqCst);
        self.micros.fetch_add(i64::try_from(micros).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// 2026-11-23T14:00:00Z.
    fn default() -> Self {
        Self::new(Timestamp::from_seconds(1_795_442_400))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn boot_time(&self) -> Duration {
        Duration::from_micros(self.boot_micros.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_shows_this_century_and_never_runs_backwards() {
        let clock = SystemClock;
        assert!(clock.now() > Timestamp::from_seconds(1_700_000_000));
        let first = clock.boot_time();
        assert!(clock.boot_time() >= first);
    }

    #[test]
    fn the_day_is_the_one_where_the_person_is() {
        let late = Timestamp::from_seconds(1_700_000_000 - 1_700_000_000 % 86_400 + 20 * 3600);
        assert_eq!(day_in(late, &chrono::Utc).unwrap(), "2023-11-14");
        assert_eq!(day_in(late, &chrono::FixedOffset::east_opt(9 * 3600).unwrap()).unwrap(), "2023-11-15");
    }

    #[test]
    fn the_next_day_begins_in_the_morning_where_the_person_is() {
        let at = |text: &str| {
            Timestamp::from_micros(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros())
        };
        let east = chrono::FixedOffset::east_opt(9 * 3600).unwrap();
        for (now, morning) in [
            ("2026-11-27T08:00:00Z", "2026-11-28T06:00:00+09:00"),
            ("2026-11-27T14:59:00Z", "2026-11-28T06:00:00+09:00"),
            ("2026-11-27T15:00:00Z", "2026-11-29T06:00:00+09:00"),
        ] {
            assert_eq!(morning_after(at(now), &east), Some(at(morning)), "{now}");
        }
        let now = SystemClock.now();
        let hours = (next_morning(now).micros() - now.micros()) / 3_600_000_000;
        assert!((5..=31).contains(&hours), "{hours}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn boot_time_is_the_kernels_own_count_with_suspend() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let kernel: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let ours = SystemClock.boot_time().as_secs_f64();
        assert!((ours - kernel).abs() < 5.0, "{ours} and {kernel}");
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(Timestamp::from_seconds(100));
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.now(), Timestamp::from_seconds(105));
        assert_eq!(clock.boot_time(), Duration::from_secs(5));
        clock.set(Timestamp::from_seconds(50));
        assert_eq!(clock.now(), Timestamp::from_seconds(50));
        assert_eq!(
            clock.boot_time(),
            Duration::from_secs(5),
            "setting the time of day is no passing of time"
        );
    }
}
