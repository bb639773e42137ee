//! A connector that is a program: one JSON message a line on its standard streams (MCP 2025-11-25, basic/transports,
//! "stdio").

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp::connector::{FromConnector, Notice};
use os::ChildGroup;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::MESSAGE_LIMIT;
use crate::calls::Calls;
use crate::fault::UpstreamFault;
use crate::log::{LOG_LIMIT, Line, LogWriter};

/// How many messages may wait to be written before a writer waits.
const OUTBOX: usize = 64;
/// How long a program that closed its output may take to end by itself, so that it is known how it did.
const ENDS_WITHIN: Duration = Duration::from_millis(200);
/// How long the rest of what an ended program printed is read; something that it started may hold on to the pipe.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);
/// A program may fill the log once in this time. It waits then: nobody could read it anyway, and to read it would keep
/// everybody else waiting.
const LOG_FILLS_IN: Duration = Duration::from_millis(64);

/// A program to run as a connector; no shell is involved.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment. May hold a secret, so it is never printed.
    pub environment: BTreeMap<String, String>,
    /// Its working directory.
    pub directory: Option<PathBuf>,
    /// As whom it runs, if not as this process's user.
    pub account: Option<os::Account>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("program", &self.program).finish_non_exhaustive()
    }
}

pub(crate) type Outcome = Result<Box<RawValue>, Box<RawValue>>;

/// The running program. Dropping it ends the program and all that it started.
#[derive(Debug)]
pub(crate) struct Stdio {
    outbox: mpsc::Sender<String>,
    shared: Arc<Shared>,
    /// Ends the pump, and with it the program, when it is dropped.
    leash: Mutex<Option<oneshot::Sender<()>>>,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    log: LogWriter,
    lists_changed: watch::Sender<u64>,
    calls: Arc<Calls>,
}

#[derive(Debug, Default)]
struct Waiting {
    answers: HashMap<u64, oneshot::Sender<Outcome>>,
    ended: bool,
    /// It ended because of a line that does not end.
    too_large: bool,
}

impl Stdio {
    /// Starts the program. What it says without saying to whom, `calls` hear; what it prints beside, `log` keeps.
    pub(crate) async fn start(
        program: &Program,
        log: &LogWriter,
        calls: Arc<Calls>,
    ) -> Result<Self, UpstreamFault> {
        let failed = |error: std::io::Error| UpstreamFault::Start {
            program: program.program.clone(),
            reason: error.to_string(),
        };
        let mut child = ChildGroup::spawn(
            &program.program,
            &program.arguments,
            &program.environment,
            program.directory.as_deref(),
            program.account.as_ref(),
        )
        .await
        .map_err(failed)?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(failed(std::io::Error::other("no standard streams")));
        };
        let (outbox, letters) = mpsc::channel(OUTBOX);
        let (leash, unleashed) = oneshot::channel();
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            log: log.started(&program.program, child.pid()),
            lists_changed: watch::Sender::new(0),
            calls,
        });
        let errors = tokio::spawn(listen_to_errors(stderr, shared.log.clone()));
        let streams = Streams { stdin, stdout, errors };
        tokio::spawn(pump(child, streams, letters, outbox.clone(), Arc::clone(&shared), unleashed));
        Ok(Self { outbox, shared, leash: Mutex::new(Some(leash)) })
    }

    /// Sends a request and waits for its answer; being dropped while waiting forgets the request.
    pub(crate) async fn request(&self, id: u64, message: String) -> Result<Outcome, UpstreamFault> {
        let (answer, awaited) = oneshot::channel();
        {
            let mut waiting = lock(&self.shared.waiting);
            if waiting.ended {
                drop(waiting);
                return Err(self.ended());
            }
            waiting.answers.insert(id, answer);
        }
        let _forget = Forget { shared: &self.shared, id };
        self.send(message).await?;
        awaited.await.map_err(|_| self.ended())
    }

    pub(crate) async fn send(&self, message: String) -> Result<(), UpstreamFault> {
        self.outbox.send(message).await.map_err(|_| self.ended())
    }

    /// Sends without waiting; a full outbox drops the message.
    pub(crate) fn send_if_room(&self, message: String) {
        if self.outbox.try_send(message).is_err() {
            tracing::debug!("a notification was dropped");
        }
    }

    /// What sends replies to the program.
    pub(crate) fn replier(&self) -> crate::calls::Replier {
        let outbox = self.outbox.clone();
        Arc::new(move |reply| reply_to(&outbox, reply))
    }

    /// Ends the program now, whoever still holds the connection.
    pub(crate) fn end(&self) {
        drop(lock(&self.leash).take());
    }

    pub(crate) fn is_alive(&self) -> bool {
        !lock(&self.shared.waiting).ended
    }

    pub(crate) fn lists_changed(&self) -> watch::Receiver<u64> {
        self.shared.lists_changed.subscribe()
    }

    fn ended(&self) -> UpstreamFault {
        if lock(&self.shared.waiting).too_large {
            return UpstreamFault::TooLarge;
        }
        UpstreamFault::Ended
    }
}

struct Forget<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.shared.waiting).answers.remove(&self.id);
    }
}

/// The standard streams of a running program.
struct Streams {
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// Reads the third.
    errors: JoinHandle<()>,
}

/// Moves messages until the program ends, sends nonsense, or nobody holds the connection any more.
async fn pump(
    mut child: ChildGroup,
    Streams { stdin, stdout, errors }: Streams,
    letters: mpsc::Receiver<String>,
    outbox: mpsc::Sender<String>,
    shared: Arc<Shared>,
    unleashed: oneshot::Receiver<()>,
) {
    let is_closed = tokio::select! {
        () = write(stdin, letters) => true,
        () = read(stdout, outbox, &shared) => true,
        _ = unleashed => false,
    };
    {
        let mut waiting = lock(&shared.waiting);
        waiting.ended = true;
        waiting.answers.clear();
    }
    shared.lists_changed.send_modify(|count| *count += 1);
    if is_closed {
        // Whether it does is seen below.
        let _ = tokio::time::timeout(ENDS_WITHIN, child.wait()).await;
    }
    let status = child.exited();
    if let Err(error) = child.kill().await {
        tracing::warn!(%error, "a connector's program was lost sight of");
    }
    let _ = tokio::time::timeout(LAST_WORDS_WITHIN, errors).await;
    shared.log.ended(status.map(|status| status.to_string()));
}

async fn write(mut stdin: ChildStdin, mut letters: mpsc::Receiver<String>) {
    while let Some(mut letter) = letters.recv().await {
        letter.push('\n');
        if stdin.write_all(letter.as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

async fn read(stdout: ChildStdout, outbox: mpsc::Sender<String>, shared: &Shared) {
    let mut lines = BufReader::with_capacity(64 * 1024, stdout);
    let mut line = Vec::new();
    loop {
        match next_line(&mut lines, &mut line, MESSAGE_LIMIT).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "a connector's output cannot be read");
                lock(&shared.waiting).too_large = error.kind() == std::io::ErrorKind::FileTooLarge;
                return;
            }
        }
        // Lines that lie in the buffer cost no waiting: a program that never pauses would be all that is attended to.
        tokio::task::coop::consume_budget().await;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match FromConnector::parse(&line) {
            Ok(FromConnector::Answer { id, outcome }) => {
                if let Some(answer) = lock(&shared.waiting).answers.remove(&id) {
                    // Whoever asked may have stopped waiting.
                    let _ = answer.send(outcome);
                }
            }
            Ok(FromConnector::Question(question)) => {
                if let Some(refusal) = shared.calls.ask(question) {
                    reply_to(&outbox, refusal);
                }
            }
            Ok(FromConnector::Reply(reply)) => reply_to(&outbox, reply),
            Ok(FromConnector::Notice(Notice::Changed(_))) => {
                shared.lists_changed.send_modify(|count| *count += 1);
            }
            Ok(FromConnector::Notice(notice)) => shared.calls.tell(notice),
            Ok(FromConnector::Other) => {}
            // Programs do print to standard output by mistake; one bad line is no reason to end.
            Err(fault) => tracing::debug!(%fault, "a line of a connector is no message"),
        }
    }
}

fn reply_to(outbox: &mpsc::Sender<String>, reply: String) {
    if outbox.try_send(reply).is_err() {
        tracing::debug!("a connector asks faster than it reads");
    }
}

/// Reads one line without its end into `line`. `false` at the end of the stream.
async fn next_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    limit: usize,
) -> std::io::Result<bool> {
    line.clear();
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(!line.is_empty());
        }
        let (taken, complete) = match chunk.iter().position(|&byte| byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (chunk.len(), false),
        };
        line.extend_from_slice(&chunk[..taken - usize::from(complete)]);
        reader.consume(taken);
        if line.len() > limit {
            return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "a line is too long"));
        }
        if complete {
            return Ok(true);
        }
    }
}

/// Keeps the last of what the program prints beside its messages. Reads to the end in any case: a program whose standard
/// error is closed is ended by its next word, and a bar of progress is one line without end.
async fn listen_to_errors(stderr: ChildStderr, log: LogWriter) {
    let mut reader = BufReader::new(stderr);
    let mut line = Line::default();
    let (mut written, mut since) = (0, Instant::now());
    loop {
        let chunk = match reader.fill_buf().await {
            Ok([]) | Err(_) => break,
            Ok(chunk) => chunk,
        };
        written += line.take(chunk, &log);
        let taken = chunk.len();
        reader.consume(taken);
        if written >= LOG_LIMIT {
            tokio::time::sleep_until(since + LOG_FILLS_IN).await;
            (written, since) = (0, Instant::now());
        }
        // There is always more of a flood, and everybody else's work is to go on in between.
        tokio::task::yield_now().await;
    }
    line.end(&log);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
