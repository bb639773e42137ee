//! The assistant's side of a bridge: `deskgate bridge SERVER` between an assistant that speaks only standard input and
//! output and the running instance.
//!
//! It understands nothing of what it copies, decides nothing and keeps nothing; who may come in is decided by the instance.
//! Three threads and no runtime: it is started with every assistant and lives as long.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use model::{Advice, ForPerson, ServerId};

use super::home::Home;
use super::socket::{ClientFault, Command, Report};

/// What is copied at a time.
const CHUNK: usize = 64 * 1024;
/// What an assistant may say before it is let in: more than its longest message.
const MOST_EARLY: usize = 5 * 1024 * 1024;
/// How many chunks of the assistant's wait to be copied.
const WAITING: usize = 4;
/// How long the instance may take to take the command; the person has longer to answer.
const SOON: Duration = Duration::from_secs(10);

/// Why a bridge ends before its assistant does.
#[derive(Debug, thiserror::Error)]
pub enum BridgeFault {
    /// The instance cannot be reached.
    #[error(transparent)]
    Instance(#[from] ClientFault),
    /// The assistant is not let in.
    #[error("{0}")]
    Refused(Advice),
    /// The instance ended the connection.
    #[error("the running instance ended the connection")]
    Ended,
    /// The assistant says too much before it is let in.
    #[error("the assistant said too much before it was let in")]
    TooEarly,
}

impl ForPerson for BridgeFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Instance(fault) => fault.advice(),
            Self::Refused(advice) => advice.clone(),
            Self::Ended => Advice::new(
                "bridge-ended",
                "Deskgate ended the connection: it was quit, or the assistant is no longer let in.",
                "",
                "Start the assistant's connection again.",
            ),
            Self::TooEarly => Advice::new(
                "bridge-too-early",
                "The assistant sent too much before it was let in.",
                "",
                "Start the assistant's connection again.",
            ),
        }
    }
}

/// Copies between standard input and output and the running instance until the assistant ends, which is success. What is
/// wrong is told at once; then the first request of an assistant that is not let in is answered with the same words.
///
/// # Errors
/// A [`BridgeFault`], which was told already. What is not for the assistant is never written to standard output.
pub fn bridge(home: &Home, server: &ServerId, tell: impl FnOnce(&Advice)) -> Result<(), BridgeFault> {
    let connected = UnixStream::connect(home.socket()).map_err(|_| ClientFault::NotRunning);
    relay(connected, server, io::stdin(), io::stdout(), tell)
}

/// What the threads tell the one that decides.
enum Heard<W> {
    /// The assistant said something.
    Assistant(Vec<u8>),
    /// The assistant has ended.
    AssistantEnded,
    /// The instance lets the assistant in; from now on its answers are copied.
    Admitted,
    /// The instance does not.
    NotAdmitted(BridgeFault, W),
    /// The instance has ended the connection.
    InstanceEnded,
}

/// A bridge that ends before its assistant does.
struct Parting<W> {
    fault: BridgeFault,
    /// Where the assistant has still to be answered: its end of the bridge, and what it said so far.
    unanswered: Option<(W, Vec<u8>)>,
}

impl<W> From<BridgeFault> for Parting<W> {
    fn from(fault: BridgeFault) -> Self {
        Self { fault, unanswered: None }
    }
}

fn relay<R, W>(
    connected: Result<UnixStream, ClientFault>,
    server: &ServerId,
    input: R,
    output: W,
    say: impl FnOnce(&Advice),
) -> Result<(), BridgeFault>
where
    R: Read + Send + 'static,
    W: Write + Send + 'static,
{
    let (tell, heard) = sync_channel(WAITING);
    let to_decider = tell.clone();
    let asked = connected.and_then(|instance| {
        let answers = ask(&instance, server).map_err(ClientFault::Silent)?;
        Ok((instance, answers))
    });
    std::thread::spawn(move || listen(input, &to_decider));
    let ended = match asked {
        Ok((instance, answers)) => {
            std::thread::spawn(move || follow(answers, output, &tell));
            pump(instance, &heard)
        }
        Err(fault) => Err(Parting { fault: fault.into(), unanswered: Some((output, Vec::new())) }),
    };
    ended.map_err(|Parting { fault, unanswered }| {
        let advice = fault.advice();
        say(&advice);
        if let Some((output, said)) = unanswered {
            refuse(&advice.to_string(), output, said, &heard);
        }
        fault
    })
}

/// Copies what the assistant says, once it is let in, until either side ends.
fn pump<W>(mut instance: UnixStream, heard: &Receiver<Heard<W>>) -> Result<(), Parting<W>> {
    let (mut early, mut admitted) = (Vec::new(), false);
    while let Ok(news) = heard.recv() {
        match news {
            Heard::Assistant(said) if admitted => {
                instance.write_all(&said).map_err(|_| BridgeFault::Ended)?;
            }
            Heard::Assistant(said) => {
                early.extend(said);
                if early.len() > MOST_EARLY {
                    return Err(BridgeFault::TooEarly.into());
                }
            }
            Heard::Admitted => {
                harden();
                admitted = true;
                instance.write_all(&std::mem::take(&mut early)).map_err(|_| BridgeFault::Ended)?;
            }
            Heard::NotAdmitted(fault, output) => {
                return Err(Parting { fault, unanswered: Some((output, early)) });
            }
            Heard::AssistantEnded => return Ok(()),
            Heard::InstanceEnded => return Err(BridgeFault::Ended.into()),
        }
    }
    Err(BridgeFault::Ended.into())
}

/// Says which virtual server is wanted. The answer comes when the person has given theirs.
fn ask(instance: &UnixStream, server: &ServerId) -> io::Result<BufReader<UnixStream>> {
    instance.set_write_timeout(Some(SOON))?;
    let mut line = serde_json::to_vec(&Command::Bridge { server: server.clone() })?;
    line.push(b'\n');
    let mut writing = instance;
    writing.write_all(&line)?;
    // From now on whoever is slow is waited for.
    instance.set_write_timeout(None)?;
    Ok(BufReader::new(instance.try_clone()?))
}

/// Until it is let in the bridge holds nothing worth reading, and the instance looks at which program it is; the kernel
/// lets others do that only before this.
fn harden() {
    if let Err(error) = os::harden_process() {
        tracing::warn!(%error, "the bridge could not be hardened against memory dumps");
    }
}

/// Reads the assistant.
fn listen<W>(mut input: impl Read, tell: &SyncSender<Heard<W>>) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let heard = match input.read(&mut chunk) {
            Ok(0) => Heard::AssistantEnded,
            Ok(length) => Heard::Assistant(chunk[..length].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => Heard::AssistantEnded,
        };
        let ended = matches!(heard, Heard::AssistantEnded);
        if tell.send(heard).is_err() || ended {
            return;
        }
    }
}

/// Reads the instance: first its answer, then what its side of the conversation says.
fn follow<W: Write>(mut answers: BufReader<UnixStream>, mut output: W, tell: &SyncSender<Heard<W>>) {
    // Nobody receives when the bridge has ended.
    let _ = match admitted(&mut answers) {
        Err(fault) => tell.send(Heard::NotAdmitted(fault, output)),
        Ok(()) => tell.send(Heard::Admitted).and_then(|()| tell.send(copy(answers, &mut output))),
    };
}

fn admitted(answers: &mut BufReader<UnixStream>) -> Result<(), BridgeFault> {
    let mut line = String::new();
    let read = answers.read_line(&mut line).map_err(ClientFault::Silent)?;
    if read == 0 {
        return Err(BridgeFault::Ended);
    }
    match serde_json::from_str(&line) {
        Ok(Report::Ok { .. }) => Ok(()),
        Ok(Report::Refused { advice }) => Err(BridgeFault::Refused(advice)),
        Err(fault) => Err(ClientFault::Silent(fault.into()).into()),
    }
}

/// Copies until one of the two ends.
fn copy<W: Write>(mut answers: BufReader<UnixStream>, output: &mut W) -> Heard<W> {
    loop {
        let length = match answers.fill_buf() {
            Ok([]) => return Heard::InstanceEnded,
            Ok(said) => match output.write_all(said).and_then(|()| output.flush()) {
                Ok(()) => said.len(),
                Err(_) => return Heard::AssistantEnded,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Heard::InstanceEnded,
        };
        answers.consume(length);
    }
}

/// Answers the assistant's first request with these words. An assistant that asks nothing gets no answer.
fn refuse<W: Write>(words: &str, mut output: W, mut said: Vec<u8>, heard: &Receiver<Heard<W>>) {
    loop {
        while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = said.drain(..=end).collect();
            if let Some(mut answer) = mcp::assistant::refused(&line, words) {
                answer.push(b'\n');
                // An assistant that has gone needs no answer.
                let _ = output.write_all(&answer).and_then(|()| output.flush());
                return;
            }
        }
        match heard.recv() {
            Ok(Heard::Assistant(more)) if said.len() < MOST_EARLY => said.extend(more),
            Ok(
                Heard::Assistant(_)
                | Heard::AssistantEnded
                | Heard::Admitted
                | Heard::NotAdmitted(..)
                | Heard::InstanceEnded,
            )
            | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;

    use super::*;

    const INITIALIZE: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}\n";
    const ADMITTED: &str = "{\"answer\":\"ok\",\"text\":\"\",\"json\":null}\n";

    /// A bridge in a thread, and the other ends of its three connections.
    struct Stage {
        assistant: UnixStream,
        instance: BufReader<UnixStream>,
        bridge: std::thread::JoinHandle<Result<(), BridgeFault>>,
    }

    fn stage() -> Stage {
        let (assistant, theirs) = UnixStream::pair().unwrap();
        let (instance, wire) = UnixStream::pair().unwrap();
        let (input, output) = (theirs.try_clone().unwrap(), theirs);
        let server: ServerId = "desk".parse().unwrap();
        let bridge = std::thread::spawn(move || relay(Ok(wire), &server, input, output, |_| {}));
        let mut instance = BufReader::new(instance);
        assert_eq!(line(&mut instance), "{\"command\":\"bridge\",\"server\":\"desk\"}\n");
        Stage { assistant, instance, bridge }
    }

    fn line(reader: &mut BufReader<UnixStream>) -> String {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn a_bridge_copies_both_ways_and_ends_well_with_its_assistant() {
        let mut stage = stage();
        stage.assistant.write_all(INITIALIZE.as_bytes()).unwrap();
        stage.instance.get_mut().write_all(ADMITTED.as_bytes()).unwrap();
        assert_eq!(line(&mut stage.instance), INITIALIZE, "what was said before it was let in is not lost");
        stage.instance.get_mut().write_all(b"{\"answer\":1}\n").unwrap();
        let mut assistant = BufReader::new(stage.assistant.try_clone().unwrap());
        assert_eq!(line(&mut assistant), "{\"answer\":1}\n", "and nothing else");
        stage.assistant.shutdown(Shutdown::Write).unwrap();
        stage.bridge.join().unwrap().unwrap();
    }

    #[test]
    fn a_bridge_whose_instance_ends_says_so() {
        let mut stage = stage();
        stage.instance.get_mut().write_all(ADMITTED.as_bytes()).unwrap();
        drop(stage.instance);
        assert!(matches!(stage.bridge.join().unwrap(), Err(BridgeFault::Ended)));
    }

    #[test]
    fn a_bridge_that_is_refused_answers_the_first_request_in_the_same_words() {
        let mut stage = stage();
        let refusal = serde_json::to_vec(&Report::Refused { advice: Advice::new("x", "Not today.", "", "") });
        stage.instance.get_mut().write_all(&[refusal.unwrap(), b"\n".to_vec()].concat()).unwrap();
        let notice = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n";
        stage.assistant.write_all(format!("\nnonsense\n{notice}{INITIALIZE}").as_bytes()).unwrap();
        let mut assistant = BufReader::new(stage.assistant.try_clone().unwrap());
        let answer: serde_json::Value = serde_json::from_str(&line(&mut assistant)).unwrap();
        assert_eq!(
            (answer["id"].as_i64(), answer["error"]["message"].as_str()),
            (Some(1), Some("Not today."))
        );
        let fault = stage.bridge.join().unwrap().unwrap_err();
        assert_eq!(fault.advice().to_string(), "Not today.");
    }

    #[test]
    fn a_bridge_without_an_instance_tells_the_assistant() {
        let (mut assistant, theirs) = UnixStream::pair().unwrap();
        let (input, output) = (theirs.try_clone().unwrap(), theirs);
        let server: ServerId = "desk".parse().unwrap();
        let (told, telling) = std::sync::mpsc::channel();
        let bridge = std::thread::spawn(move || {
            let say = move |advice: &Advice| told.send(advice.to_string()).unwrap();
            relay(Err(ClientFault::NotRunning), &server, input, output, say)
        });
        assert!(telling.recv().unwrap().contains("Deskgate is not running."), "before anything is asked");
        assistant.write_all(INITIALIZE.as_bytes()).unwrap();
        let answer = line(&mut BufReader::new(assistant.try_clone().unwrap()));
        assert!(answer.contains("Deskgate is not running."), "{answer}");
        assert!(matches!(bridge.join().unwrap(), Err(BridgeFault::Instance(ClientFault::NotRunning))));
    }

    #[test]
    fn an_assistant_that_ends_before_it_is_let_in_ends_the_bridge() {
        let stage = stage();
        stage.assistant.shutdown(Shutdown::Write).unwrap();
        stage.bridge.join().unwrap().unwrap();
    }
}
