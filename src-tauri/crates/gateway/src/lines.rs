//! One assistant behind a bridge: a message a line, both ways, over a connection that was let in.
//!
//! Each message goes the way of one that came over HTTP, and whether the connection is still let in is asked for each of
//! them. Nothing here depends on the protocol's revision.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use issuer::{AccessGrant, Admission, TokenFault};
use mcp::RpcError;
use mcp::assistant::{self, Answer, Asked, Conversation, Dialect, Incoming, Notification, Request};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::changes::Changes;
use crate::end::End;
use crate::gate::Gate;
use crate::outlet::Outlet;
use crate::routes::BODY_LIMIT;
use crate::rpc::{self, Answered};
use crate::serve::stopped;
use crate::streams;
use crate::voice::Voice;

/// How many requests of one assistant are under way at a time, streams of notices included.
const MOST_UNDER_WAY: usize = 32;
/// How many answers may wait for an assistant that does not read.
const MOST_UNREAD: usize = 32;
/// How long the last answers may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Answers an assistant until it goes away, is no longer let in, or `stop` becomes true. Whatever is then under way is
/// dropped, as when a connection over HTTP breaks.
pub async fn converse<R, W>(
    gate: Arc<Gate>,
    admission: Arc<Admission>,
    reader: R,
    writer: W,
    mut stop: watch::Receiver<bool>,
) where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (answers, queue) = mpsc::channel(MOST_UNREAD);
    let writing = write(queue, writer);
    tokio::pin!(writing);
    let line = Arc::new(Line { gate, admission, answers, over: Notify::new() });
    let mut talk = Talk {
        line: Arc::clone(&line),
        conversation: Conversation::default(),
        end: None,
        under_way: UnderWay::default(),
    };
    tokio::select! {
        () = &mut writing => return,
        () = talk.listen(reader) => {}
        () = line.over.notified() => {}
        () = stopped(&mut stop) => {}
    }
    talk.under_way.drop_all().await;
    drop((talk, line));
    if tokio::time::timeout(LAST_WORDS, writing).await.is_err() {
        tracing::debug!("an assistant did not read its last answers");
    }
}

/// What every task of one connection shares.
struct Line {
    gate: Arc<Gate>,
    admission: Arc<Admission>,
    answers: mpsc::Sender<Vec<u8>>,
    /// The connection is no longer let in, which somebody noticed who does not read.
    over: Notify,
}

impl Line {
    fn admitted(&self) -> Result<Arc<AccessGrant>, TokenFault> {
        self.admission.check(self.gate.clock.now())
    }

    async fn say(&self, line: Vec<u8>) {
        // Whoever does not listen any more has gone, and so has the connection.
        let _ = self.answers.send(line).await;
    }

    /// Answers one request.
    async fn answer(&self, grant: &Arc<AccessGrant>, id: &RawValue, voice: &Voice, request: Request<'_>) {
        match rpc::answer(&self.gate, grant, None, id, request, voice).await {
            Answered::Now(answer) => self.say(answer.into_line()).await,
            Answered::Notices(asked) => {
                let (changes, first) = streams::listen(&self.gate, grant, id, &asked, voice).await;
                self.say(first.into_bytes()).await;
                self.tell(changes).await;
            }
        }
    }

    /// Tells of changes until told to stop, as long as the connection is let in.
    async fn tell(&self, mut changes: Changes) {
        while let Some(notices) = changes.next().await {
            if self.admitted().is_err() {
                self.over.notify_one();
                return;
            }
            for notice in notices {
                self.say(notice.into_bytes()).await;
            }
        }
    }
}

/// The reading side of one connection.
struct Talk {
    line: Arc<Line>,
    conversation: Conversation,
    /// What was agreed on at the beginning of a session.
    end: Option<Arc<End>>,
    under_way: UnderWay,
}

impl Talk {
    /// Reads and obeys until nothing more comes or the connection is no longer let in. Never waits for an answer, so that
    /// what is under way can be cancelled.
    async fn listen<R: AsyncBufRead + Unpin>(&mut self, mut reader: R) {
        loop {
            match next(&mut reader).await {
                Ok(Some(Read::Line(text))) => match self.line.admitted() {
                    Ok(grant) => self.hear(&text, grant).await,
                    Err(fault) => return self.part(&text, fault).await,
                },
                Ok(Some(Read::TooLong)) => self.line.say(rpc::too_large().into_line()).await,
                Ok(None) => return,
                Err(error) => return tracing::debug!(%error, "a bridge went away"),
            }
        }
    }

    async fn hear(&mut self, text: &[u8], grant: Arc<AccessGrant>) {
        if text.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match self.conversation.read(text) {
            Err(refusal) => self.line.say(Answer::refusal(&refusal).into_line()).await,
            Ok(Incoming::Notification(Notification::Other)) => {}
            Ok(Incoming::Notification(Notification::Initialized)) => {
                let line = Arc::clone(&self.line);
                let changes = Changes::all(&line.gate.snapshots, &line.admission.server(), self.end.as_ref());
                self.under_way.begin_notices(async move { line.tell(changes).await });
            }
            Ok(Incoming::Notification(Notification::Cancelled(id))) => self.under_way.cancel(&id),
            Ok(Incoming::Response(response)) => {
                if let Some(end) = &self.end {
                    end.answer(&response);
                }
            }
            Ok(Incoming::Request(asked)) => self.obey(asked, grant).await,
        }
    }

    async fn obey(&mut self, asked: Asked<'_>, grant: Arc<AccessGrant>) {
        let Asked { id, dialect, means, request } = asked;
        if let Err(error) = self.under_way.room_for(id) {
            return self.line.say(Answer::error(dialect, id, &error).into_line()).await;
        }
        if let Request::Initialize { revision, capabilities } = &request {
            let end = End::new(Dialect::of(*revision), capabilities.clone());
            self.end = Some(Arc::new(end));
        }
        let outlet = Outlet::Lines(self.line.answers.clone());
        let voice = Voice::new(dialect, means, self.end.clone().filter(|_| !dialect.is_stateless()), outlet);
        let (line, id, request) = (Arc::clone(&self.line), id.to_owned(), request.into_owned());
        let key = id.clone();
        self.under_way.begin(&key, async move { line.answer(&grant, &id, &voice, request).await });
    }

    /// The last answer to somebody who is not let in any more.
    async fn part(&self, text: &[u8], fault: TokenFault) {
        tracing::info!(%fault, server = %self.line.admission.server(), "a bridge is no longer let in");
        let words = format!("Deskgate does not let this assistant in any more: {fault}.");
        if let Some(answer) = assistant::refused(text, &words) {
            self.line.say(answer).await;
        }
    }
}

/// The requests that are not answered yet, by id as it was written.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    requests: HashMap<String, AbortHandle>,
    notices: Option<AbortHandle>,
}

impl UnderWay {
    /// Whether one more request may begin.
    fn room_for(&mut self, id: &RawValue) -> Result<(), RpcError> {
        while self.tasks.try_join_next().is_some() {}
        self.requests.retain(|_, task| !task.is_finished());
        if self.requests.contains_key(id.get()) {
            return Err(RpcError::new(RpcError::INVALID_REQUEST, "A request with this id is under way."));
        }
        if self.requests.len() >= MOST_UNDER_WAY {
            let text = format!("{MOST_UNDER_WAY} requests are under way. Wait for an answer first.");
            return Err(RpcError::new(RpcError::BUSY, text));
        }
        Ok(())
    }

    fn begin(&mut self, id: &RawValue, work: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(work);
        self.requests.insert(id.get().to_owned(), task);
    }

    /// Once for each connection, however often it says that it is ready.
    fn begin_notices(&mut self, notices: impl Future<Output = ()> + Send + 'static) {
        if self.notices.is_none() {
            self.notices = Some(self.tasks.spawn(notices));
        }
    }

    fn cancel(&mut self, id: &RawValue) {
        if let Some(task) = self.requests.remove(id.get()) {
            task.abort();
        }
    }

    async fn drop_all(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// What came as a line.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Line(Vec<u8>),
    /// Longer than any message may be; none of it was kept.
    TooLong,
}

/// The next line, without its end; what comes after the last end is none.
async fn next<R: AsyncBufRead + Unpin>(reader: &mut R) -> io::Result<Option<Read>> {
    let (mut line, mut too_long) = (Vec::new(), false);
    loop {
        let read = reader.fill_buf().await?;
        if read.is_empty() {
            return Ok(None);
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        let part = &read[..end.unwrap_or(read.len())];
        too_long = too_long || line.len() + part.len() > BODY_LIMIT;
        if too_long {
            line = Vec::new();
        } else {
            line.extend_from_slice(part);
        }
        let taken = part.len() + usize::from(end.is_some());
        reader.consume(taken);
        if end.is_some() {
            return Ok(Some(if too_long { Read::TooLong } else { Read::Line(line) }));
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(mut queue: mpsc::Receiver<Vec<u8>>, mut writer: W) {
    while let Some(mut line) = queue.recv().await {
        line.push(b'\n');
        if let Err(error) = writer.write_all(&line).await {
            return tracing::debug!(%error, "a bridge went away");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    fn id(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[tokio::test]
    async fn lines_are_read_up_to_the_limit_and_skipped_beyond() {
        let mut input = b"one\n\r\n".to_vec();
        input.extend(std::iter::repeat_n(b'x', BODY_LIMIT));
        input.push(b'\n');
        input.extend(std::iter::repeat_n(b'x', BODY_LIMIT + 1));
        input.extend(b"\ntwo\nunfinished");
        let mut reader = BufReader::new(input.as_slice());
        let mut lines = Vec::new();
        while let Some(read) = next(&mut reader).await.unwrap() {
            lines.push(match read {
                Read::Line(line) => line.len(),
                Read::TooLong => usize::MAX,
            });
        }
        assert_eq!(lines, [3, 1, BODY_LIMIT, usize::MAX, 3]);
    }

    #[tokio::test]
    async fn requests_under_way_are_bounded_and_a_cancelled_one_makes_room() {
        let mut under_way = UnderWay::default();
        for number in 0..MOST_UNDER_WAY {
            let id = id(&number.to_string());
            under_way.room_for(&id).unwrap();
            under_way.begin(&id, std::future::pending());
        }
        assert_eq!(under_way.room_for(&id("99")).unwrap_err().code, RpcError::BUSY);
        assert_eq!(under_way.room_for(&id("7")).unwrap_err().code, RpcError::INVALID_REQUEST);
        under_way.cancel(&id("\"7\""));
        assert!(under_way.room_for(&id("99")).is_err(), "a text is not the number");
        under_way.cancel(&id("7"));
        under_way.room_for(&id("7")).unwrap();
        under_way.drop_all().await;
        under_way.room_for(&id("0")).unwrap();
    }
}
