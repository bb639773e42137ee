//! A program that runs beside a test: a process group of its own, its outputs in a file, gone when dropped.
//!
//! A test that is killed cannot drop anything. So each group has a reaper: a shell that waits for the end of a pipe
//! whose other end only this process holds, and then kills the group.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::canary::Guard;
use crate::{PeerFault, until};

/// How a program is to be started.
#[derive(Debug)]
pub struct Spec {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    inherit: bool,
    folder: Option<PathBuf>,
    input: Option<Vec<u8>>,
    guard: Option<Guard>,
}

impl Spec {
    /// A program with a minimal environment: the search path, and a home of its own.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            inherit: false,
            folder: None,
            input: None,
            guard: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets variables of the environment.
    #[must_use]
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        for (name, value) in pairs {
            self = self.env(name, value);
        }
        self
    }

    /// Hands the whole environment of the test on.
    #[must_use]
    pub fn inherit_environment(mut self) -> Self {
        self.inherit = true;
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Gives it something to read on standard input, which then ends.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Makes it a program under test: when it ends, no secret may lie readable in what it left or started.
    #[must_use]
    pub(crate) fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// The program.
    pub(crate) fn program_path(&self) -> &Path {
        &self.program
    }

    /// The variables that were set.
    pub(crate) fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    /// Starts the program.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(self) -> Result<Process, PeerFault> {
        let home = tempfile::Builder::new().prefix("deskgate-peer-").tempdir()?;
        let log = home.path().join("log.txt");
        let output = File::create(&log)?;
        let input = match self.input {
            None => Stdio::null(),
            Some(bytes) => {
                let path = home.path().join("input");
                std::fs::write(&path, bytes)?;
                File::open(path)?.into()
            }
        };
        let mut command = Command::new(&self.program);
        if !self.inherit {
            command.env_clear();
            for name in ["PATH", "LANG", "TMPDIR"] {
                if let Some(value) = std::env::var_os(name) {
                    command.env(name, value);
                }
            }
            command.env("HOME", home.path());
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.as_deref().unwrap_or(home.path()))
            .stdin(input)
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let child = command.spawn().map_err(|source| PeerFault::Start { name: self.name.clone(), source })?;
        let reaper = Reaper::start(child.id())?;
        let guard = self.guard;
        Ok(Process {
            name: self.name,
            child,
            reaper: Some(reaper),
            log,
            stop: Signal::KILL,
            guard,
            _home: home,
        })
    }
}

/// A program that runs until this value is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    reaper: Option<Reaper>,
    log: PathBuf,
    stop: Signal,
    guard: Option<Guard>,
    _home: TempDir,
}

impl Process {
    /// The process id, which is also the id of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The name that it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All that it has printed, on both outputs.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn ended(&mut self) -> Result<Option<std::process::ExitStatus>, PeerFault> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// If it is still running at the deadline.
    pub async fn wait(&mut self, deadline: Duration) -> Result<std::process::ExitStatus, PeerFault> {
        let what = format!("the end of {}", self.name);
        let ended = until(&what, deadline, async || self.child.try_wait().ok().flatten()).await;
        ended.map_err(|fault| self.with_log(fault))
    }

    /// Waits until `condition` gives a value, as long as the program runs.
    ///
    /// # Errors
    /// If the program ends before, or at the deadline; both with the end of its log.
    pub async fn ready<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut condition: impl AsyncFnMut(&str) -> Option<T>,
    ) -> Result<T, PeerFault> {
        let what = format!("{}: {what}", self.name);
        let outcome = until(&what, deadline, async || {
            // Asked in this order, so that the last words of a program that ended are still seen.
            let ended = self.child.try_wait().ok().flatten();
            if let Some(value) = condition(&self.log()).await {
                return Some(Ok(value));
            }
            ended.map(|status| Err(status.to_string()))
        })
        .await;
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(status)) => Err(PeerFault::Ended { name: self.name.clone(), status, log: self.tail() }),
            Err(fault) => Err(self.with_log(fault)),
        }
    }

    /// Waits for a line that begins with `prefix` and returns the rest of it.
    ///
    /// # Errors
    /// As [`Process::ready`].
    pub async fn ready_line(&mut self, prefix: &str, deadline: Duration) -> Result<String, PeerFault> {
        let what = format!("a line {prefix:?}");
        self.ready(&what, deadline, async |log| {
            // Only a line that has its end is whole.
            let whole = log.rsplit_once('\n')?.0;
            whole.lines().find_map(|line| line.strip_prefix(prefix)).map(|rest| rest.trim().to_owned())
        })
        .await
    }

    /// Sends a signal to the program alone, not to its group.
    ///
    /// # Errors
    /// If the program is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), PeerFault> {
        let pid = pid(self.child.id())?;
        rustix::process::kill_process(pid, signal).map_err(|errno| PeerFault::File(errno.into()))
    }

    /// Does what Ctrl+C does in a terminal.
    ///
    /// # Errors
    /// If the program is gone.
    pub fn interrupt(&self) -> Result<(), PeerFault> {
        self.signal(Signal::INT)
    }

    /// Ends the whole group at once and waits for the program's end.
    ///
    /// # Panics
    /// If it is under test and a secret lies readable in what it left or started.
    pub fn kill(&mut self) {
        let guard = self.guard.take();
        let shown = guard.as_ref().map(|guard| guard.look_at_programs(self.child.id()));
        end(self.reaper.take(), &mut self.child, self.stop);
        let left = guard.map(|guard| guard.look_at_files(&self.log));
        let secrets = [shown.unwrap_or_default(), left.unwrap_or_default()].concat();
        assert!(secrets.is_empty() || std::thread::panicking(), "{}: {secrets:#?}", self.name);
    }

    /// Where [`Process::log`] is written.
    pub(crate) fn log_file(&self) -> &Path {
        &self.log
    }

    /// Ends with this signal instead of a kill, for programs that hold what outlives them.
    #[must_use]
    pub fn stopped_by(mut self, signal: Signal) -> Self {
        self.stop = signal;
        self
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
    }

    fn with_log(&self, fault: PeerFault) -> PeerFault {
        let PeerFault::Deadline { what, seconds, .. } = fault else { return fault };
        PeerFault::Deadline { what, seconds, log: self.tail() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn end(reaper: Option<Reaper>, child: &mut Child, signal: Signal) {
    let Some(reaper) = reaper else { return };
    // Until it is waited for, the child keeps its id: nobody else's group can be hit.
    if let Ok(group) = pid(child.id()) {
        let still_running = child.try_wait().is_ok_and(|status| status.is_none());
        if still_running && signal != Signal::KILL {
            let _gone = rustix::process::kill_process(group, signal);
            wait_a_little(child);
        }
        let _gone = kill_process_group(group, Signal::KILL);
    }
    drop(child.wait());
    reaper.dismiss();
}

/// Waits up to five seconds; a destructor cannot be async.
fn wait_a_little(child: &mut Child) {
    for _ in 0..500 {
        if child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Kills a process group when this process ends without having dropped it.
#[derive(Debug)]
struct Reaper {
    shell: Child,
    _open: Option<ChildStdin>,
}

impl Reaper {
    fn start(group: u32) -> Result<Self, PeerFault> {
        let script = format!("read -r _; kill -s KILL -- -{group}");
        let mut shell = Command::new("/bin/sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| PeerFault::Start { name: "reaper".to_owned(), source })?;
        let open = shell.stdin.take();
        Ok(Self { shell, _open: open })
    }

    fn dismiss(mut self) {
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}

fn pid(id: u32) -> Result<Pid, PeerFault> {
    i32::try_from(id)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| PeerFault::answer("process", format!("{id} is no process id")))
}

/// The processes whose environment holds `marker`, such as those that a session bus started by itself.
pub(crate) fn marked(marker: &str) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|id| holds(Path::new(&format!("/proc/{id}/environ")), marker))
        .collect()
}

/// Kills one process by its id.
pub(crate) fn kill_one(id: u32) {
    if let Ok(pid) = pid(id) {
        let _gone = rustix::process::kill_process(pid, Signal::KILL);
    }
}

fn holds(environment: &Path, marker: &str) -> bool {
    std::fs::read(environment)
        .is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    fn sh(script: &str) -> Process {
        Spec::new("sh", "/bin/sh").args(["-c", script]).start().expect("sh starts")
    }

    fn alive(id: &str) -> bool {
        // A zombie that its new parent has not yet waited for is not alive.
        std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
    }

    #[tokio::test]
    async fn the_whole_group_ends_when_dropped() {
        let mut process = sh("sleep 600 & echo child $!; wait");
        let grandchild = process.ready_line("child ", SOON).await.expect("it starts");
        assert!(alive(&grandchild));
        drop(process);
        until("the grandchild's end", SOON, async || (!alive(&grandchild)).then_some(()))
            .await
            .expect("killed");
    }

    #[tokio::test]
    async fn an_early_end_is_told_with_the_last_words() {
        let mut process = sh("echo 'no disk' >&2; exit 3");
        let fault = process.ready_line("ready", SOON).await.expect_err("it never gets ready");
        let PeerFault::Ended { status, log, .. } = fault else { panic!("{fault}") };
        assert!(status.contains('3'), "{status}");
        assert_eq!(log, "no disk");
    }

    #[tokio::test]
    async fn the_environment_of_the_test_is_not_handed_on() {
        let mut process = sh("echo \"cargo ${CARGO_MANIFEST_DIR-unset}\"");
        assert_eq!(process.ready_line("cargo ", SOON).await.expect("printed"), "unset");
    }

    #[tokio::test]
    async fn the_reaper_kills_the_group_when_its_pipe_closes() {
        let mut process = sh("echo up; sleep 600");
        process.ready_line("up", SOON).await.expect("it starts");
        // What the kernel does to the pipe of a test that is killed.
        process.reaper.as_mut().expect("there is one")._open = None;
        let status = process.wait(SOON).await.expect("it ends");
        assert!(!status.success());
    }
}
