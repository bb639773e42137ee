//! The log of one connector: what its programs print to their standard error, when they start and end, and what failed on
//! the way to it.
//!
//! Programs print secrets. So only the last of it is kept, in memory and nowhere else, for the person they ran for; and
//! nothing in it can steer whatever shows it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Timestamp, is_deceiving};
use os::Clock;
use tokio::sync::watch;

/// How much is kept, in bytes: hours of what programs usually say, and no burden where thirty of them say as much.
pub const LOG_LIMIT: usize = 256 * 1024;
/// The longest line that is kept, in bytes; of longer ones the beginning.
const LONGEST_LINE: usize = 4096;
/// What an entry costs beside its text, so that empty ones are bounded too.
const ENTRY: usize = size_of::<LogEntry>();

/// One connector's log. Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

/// One thing that was said or happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number; they count up from 0 for as long as this program runs.
    pub number: u64,
    /// When it was read or happened.
    pub at: Timestamp,
    /// The process that it is of; `None` where there is none.
    pub process: Option<u32>,
    /// What it is.
    pub event: LogEvent,
}

/// What can be in a log. Texts are one line each, without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A program was started.
    Started {
        /// The program, without its arguments: they may hold a secret.
        program: Box<str>,
    },
    /// It printed a line.
    Printed(Box<str>),
    /// It has ended.
    Ended {
        /// How, in the system's words; `None` where it was ended, because nobody needs it any more or it cannot be used.
        status: Option<Box<str>>,
    },
    /// There was no answer; why.
    Failed(Box<str>),
}

/// What a log holds from some entry on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The entries, the oldest first.
    pub entries: Vec<LogEntry>,
    /// The number of the entry that comes next.
    pub next: u64,
    /// How many were asked for and are no longer kept.
    pub missed: u64,
    /// What was before the entry of this number was another person's.
    pub begun: u64,
}

struct Shared {
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
    /// The number of the entry that comes next.
    next: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<LogEntry>,
    /// Their cost.
    size: usize,
    next: u64,
    /// What was before this entry was another person's.
    begun: u64,
    /// Counts the people: what is still written for one is not kept for the next.
    era: u64,
}

/// Writes to the log for the person whose log it is when this is made.
#[derive(Clone)]
pub struct LogWriter {
    log: Log,
    era: u64,
    process: Option<u32>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Log {
    /// An empty log.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let shared = Shared { clock, kept: Mutex::default(), next: watch::Sender::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Writes for the person of now.
    pub fn writer(&self) -> LogWriter {
        LogWriter { log: self.clone(), era: self.lock().era, process: None }
    }

    /// Forgets everything, and what is still written for the person until now.
    pub fn forget(&self) {
        let mut kept = self.lock();
        let (next, era) = (kept.next, kept.era + 1);
        *kept = Kept { next, begun: next, era, ..Kept::default() };
    }

    /// What it holds from the entry of this number on.
    pub fn since(&self, number: u64) -> LogPage {
        let kept = self.lock();
        let oldest = kept.entries.front().map_or(kept.next, |entry| entry.number);
        let from = usize::try_from(number.saturating_sub(oldest)).unwrap_or(usize::MAX);
        LogPage {
            entries: kept.entries.iter().skip(from).cloned().collect(),
            next: kept.next,
            missed: oldest.saturating_sub(number.max(kept.begun)),
            begun: kept.begun,
        }
    }

    /// Waits until there is an entry of this number.
    pub async fn reaches(&self, number: u64) {
        // The sender lives as long as this.
        let _ = self.shared.next.subscribe().wait_for(|next| *next > number).await;
    }

    fn write(&self, era: u64, process: Option<u32>, event: LogEvent) {
        let at = self.shared.clock.now();
        let mut kept = self.lock();
        if kept.era != era {
            return;
        }
        let number = kept.next;
        kept.next += 1;
        kept.size += cost(&event);
        kept.entries.push_back(LogEntry { number, at, process, event });
        while kept.size > LOG_LIMIT
            && let Some(oldest) = kept.entries.pop_front()
        {
            kept.size -= cost(&oldest.event);
        }
        drop(kept);
        self.shared.next.send_replace(number + 1);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogWriter {
    /// Notes why there was no answer.
    pub fn failed(&self, why: &str) {
        let (text, beyond) = bounded(why.as_bytes());
        self.write(LogEvent::Failed(readable(text, beyond).into()));
    }

    /// The writer of a program that has just been started.
    pub(crate) fn started(&self, program: &str, process: u32) -> Self {
        let writer = Self { process: Some(process), ..self.clone() };
        let (text, beyond) = bounded(program.as_bytes());
        writer.write(LogEvent::Started { program: readable(text, beyond).into() });
        writer
    }

    /// `status`: of a program that ended by itself.
    pub(crate) fn ended(&self, status: Option<String>) {
        self.write(LogEvent::Ended { status: status.map(Into::into) });
    }

    fn printed(&self, text: String) {
        self.write(LogEvent::Printed(text.into()));
    }

    fn write(&self, event: LogEvent) {
        self.log.write(self.era, self.process, event);
    }
}

/// The line that a program is printing: its beginning, and how much more there was.
#[derive(Default)]
pub(crate) struct Line {
    text: Vec<u8>,
    beyond: usize,
}

impl Line {
    /// Takes what a program printed and writes the lines that it completes. Gives what that cost, in bytes of the log.
    pub(crate) fn take(&mut self, printed: &[u8], log: &LogWriter) -> usize {
        let mut written = 0;
        // A bar of progress ends its lines by going back to their beginning.
        for piece in printed.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (piece, is_complete) = match piece.split_last() {
                Some((b'\n' | b'\r', piece)) => (piece, true),
                Some(_) | None => (piece, false),
            };
            let taken = piece.len().min(LONGEST_LINE - self.text.len());
            self.text.extend_from_slice(&piece[..taken]);
            self.beyond += piece.len() - taken;
            if is_complete {
                written += self.end(log);
            }
        }
        written
    }

    /// Writes what there is of a line, if it is anything. Gives what that cost.
    pub(crate) fn end(&mut self, log: &LogWriter) -> usize {
        let text = readable(&self.text, self.beyond);
        self.text.clear();
        self.beyond = 0;
        if text.is_empty() {
            return ENTRY;
        }
        let cost = ENTRY + text.len();
        log.printed(text);
        cost
    }
}

fn cost(event: &LogEvent) -> usize {
    let text = match event {
        LogEvent::Started { program: text } | LogEvent::Printed(text) | LogEvent::Failed(text) => text.len(),
        LogEvent::Ended { status } => status.as_ref().map_or(0, |status| status.len()),
    };
    ENTRY + text
}

fn bounded(text: &[u8]) -> (&[u8], usize) {
    let kept = text.len().min(LONGEST_LINE);
    (&text[..kept], text.len() - kept)
}

/// Makes a line that only says something: without a terminal's commands, control characters and characters that hide others
/// or turn the direction of reading.
fn readable(line: &[u8], beyond: usize) -> String {
    let plain = anstream::adapter::strip_bytes(line).into_vec();
    let mut text: String = String::from_utf8_lossy(&plain)
        .chars()
        .filter_map(|c| match c {
            '\t' => Some(' '),
            '\u{2028}' | '\u{2029}' => Some(' '),
            c if c.is_control() || is_deceiving(c) => None,
            c => Some(c),
        })
        .collect();
    text.truncate(text.trim_end().len());
    if beyond > 0 {
        text.push_str(&format!("… ({beyond} bytes more)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use os::ManualClock;

    use super::*;

    fn log() -> Log {
        Log::new(Arc::<ManualClock>::default())
    }

    fn print(writer: &LogWriter, bytes: &[u8]) {
        let mut line = Line::default();
        line.take(bytes, writer);
        line.end(writer);
    }

    fn lines(log: &Log) -> Vec<String> {
        let line = |entry: LogEntry| match entry.event {
            LogEvent::Printed(line) => Some(line.into_string()),
            LogEvent::Started { .. } | LogEvent::Ended { .. } | LogEvent::Failed(_) => None,
        };
        log.since(0).entries.into_iter().filter_map(line).collect()
    }

    #[test]
    fn what_a_program_prints_cannot_steer_whatever_shows_it() {
        for (printed, shown) in [
            ("plain caf\u{e9}", "plain caf\u{e9}"),
            ("\u{1b}[1;31merror\u{1b}[0m: no", "error: no"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]52;c;c2VjcmV0\u{1b}\\after", "after"),
            ("\u{1b}[2J\u{1b}[Hclean", "clean"),
            ("never closed \u{1b}]8;;http://evil.example", "never closed"),
            ("one byte \u{9b}31m of eight", "one byte 31m of eight"),
            ("back\u{8}space\u{7} bell\u{0} null\u{7f}", "backspace bell null"),
            ("turned \u{202e}txt.exe", "turned txt.exe"),
            ("two\u{2028}lines\tand a tab", "two lines and a tab"),
        ] {
            let log = log();
            print(&log.writer(), printed.as_bytes());
            assert_eq!(lines(&log), [shown], "{printed:?}");
        }
    }

    #[test]
    fn lines_end_where_they_end_and_long_ones_are_cut() {
        let log = log();
        let writer = log.writer();
        let mut line = Line::default();
        for piece in ["on", "e\r\n\ntw", "o\rthree"] {
            line.take(piece.as_bytes(), &writer);
        }
        assert_eq!(lines(&log), ["one", "two"]);
        line.end(&writer);
        print(&writer, &[b'#'; LONGEST_LINE + 10]);
        let lines = lines(&log);
        assert_eq!(lines[2], "three");
        assert_eq!(lines[3], format!("{}… (10 bytes more)", "#".repeat(LONGEST_LINE)));
        print(&writer, b"\xff\xfe no text");
        assert_eq!(log.since(4).entries.len(), 1, "it is kept all the same");
    }

    #[test]
    fn the_last_of_it_is_kept_and_what_is_gone_is_counted() {
        let log = log();
        let writer = log.writer();
        for number in 0..20_000 {
            print(&writer, format!("line {number}").as_bytes());
        }
        let page = log.since(0);
        assert_eq!((page.next, page.missed), (20_000, 20_000 - page.entries.len() as u64));
        assert!(page.entries.iter().map(|entry| cost(&entry.event)).sum::<usize>() <= LOG_LIMIT);
        assert_eq!(lines(&log).last().unwrap(), "line 19999");
        let page = log.since(19_998);
        assert_eq!((page.entries.len(), page.missed), (2, 0));
        assert_eq!((page.entries[0].number, log.since(20_000).entries), (19_998, Vec::new()));
        for _ in 0..20_000 {
            writer.ended(None);
        }
        assert!(log.since(0).entries.len() * ENTRY <= LOG_LIMIT, "entries without a text are bounded too");
    }

    #[test]
    fn another_person_finds_nothing_of_the_one_before() {
        let log = log();
        let before = log.writer().started("server", 7);
        print(&before, b"for Ann");
        log.forget();
        print(&before, b"still for Ann");
        before.ended(Some("exit status: 0".to_owned()));
        assert_eq!(log.since(0), LogPage { entries: Vec::new(), next: 2, missed: 0, begun: 2 });
        print(&log.writer(), b"for Bob");
        assert_eq!(lines(&log), ["for Bob"]);
    }

    #[tokio::test]
    async fn whoever_waits_for_an_entry_is_woken_by_it() {
        let log = log();
        print(&log.writer(), b"first");
        log.reaches(0).await;
        let waiting = tokio::spawn({
            let log = log.clone();
            async move { log.reaches(1).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        print(&log.writer(), b"second");
        waiting.await.unwrap();
    }
}
