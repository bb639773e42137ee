//! Programs that Deskgate runs, each with all its descendants in a process group of its own.
//!
//! A group never outlives its [`ChildGroup`], nor Deskgate, however that ends. A descendant that makes itself a new
//! session escapes; nothing short of a container stops that.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::account::Account;

/// A running program and its descendants. Dropping it kills them all at once (SIGKILL); nobody is left unreaped.
#[derive(Debug)]
pub struct ChildGroup {
    /// The program's standard input, until taken.
    pub stdin: Option<tokio::process::ChildStdin>,
    /// The program's standard output, until taken.
    pub stdout: Option<tokio::process::ChildStdout>,
    /// The program's standard error, until taken.
    pub stderr: Option<tokio::process::ChildStderr>,
    pid: u32,
    leash: Leash,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl ChildGroup {
    /// Starts `program` with exactly the environment `env`, in `directory` or the current one, with piped standard
    /// streams. `program` is looked up in the `PATH` of `env`; there is no shell. Must be called within a tokio runtime.
    /// With an `account` it runs as that user and with their group alone, which only root can give.
    ///
    /// # Errors
    /// Whatever the system says: the program is missing or not executable, a limit is reached.
    pub async fn spawn(
        program: &str,
        args: &[String],
        env: &BTreeMap<String, String>,
        directory: Option<&Path>,
        account: Option<&Account>,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(env);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        if let Some(account) = account {
            account.given_to(&mut command)?;
        }
        isolate(&mut command);

        let (started, start) = oneshot::channel();
        let (report, exit) = watch::channel(None);
        // The kernel sends the death signal when the *thread* that started the child ends, so that thread is one that
        // lives exactly as long as the child; it also reaps it.
        std::thread::Builder::new()
            .name("child".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || attend(command, started, &report))?;
        let Started { pid, leash, stdin, stdout, stderr } =
            start.await.map_err(|_| io::Error::other("the child's thread ended"))??;
        Ok(Self {
            stdin: stdin.map(tokio::process::ChildStdin::from_std).transpose()?,
            stdout: stdout.map(tokio::process::ChildStdout::from_std).transpose()?,
            stderr: stderr.map(tokio::process::ChildStderr::from_std).transpose()?,
            pid,
            leash,
            exit,
        })
    }

    /// The program's process id, which is also its group's; meaningless after its end.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How the program ended, if it has. Whatever it left running in its group has then been killed.
    pub fn exited(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits for the program's end, however it comes. Can be cancelled and called again.
    ///
    /// # Errors
    /// Where the system lost track of the child; it has then ended, with an unknown status.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let lost = || io::Error::other("the child's end was not observed");
        self.exit.wait_for(Option::is_some).await.map_err(|_| lost())?.ok_or_else(lost)
    }

    /// Asks the whole group to end (SIGTERM), waits up to `grace`, then kills what is left.
    ///
    /// # Errors
    /// As for [`ChildGroup::wait`].
    pub async fn shut_down(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.leash.0.signal(End::Ask);
        if let Ok(ended) = tokio::time::timeout(grace, self.wait()).await {
            return ended;
        }
        self.kill().await
    }

    /// Kills the whole group (SIGKILL) and waits until the program is reaped.
    ///
    /// # Errors
    /// As for [`ChildGroup::wait`].
    pub async fn kill(&mut self) -> io::Result<ExitStatus> {
        self.leash.0.signal(End::Kill);
        self.wait().await
    }
}

struct Started {
    pid: u32,
    leash: Leash,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

// Dropped with the `ChildGroup`, or before it came to be where the caller of `spawn` was cancelled.
#[derive(Debug)]
struct Leash(Arc<Group>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.signal(End::Kill);
    }
}

fn attend(
    mut command: Command,
    started: oneshot::Sender<io::Result<Started>>,
    report: &watch::Sender<Option<ExitStatus>>,
) {
    let spawned = command.spawn();
    // Closes the pipes' far ends and whatever else the command holds.
    drop(command);
    let mut child = match spawned {
        Ok(child) => child,
        Err(fault) => {
            let _ = started.send(Err(fault));
            return;
        }
    };
    #[cfg(unix)]
    crate::survivors::add(child.id());
    let group = Arc::new(Group::of(&child));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let leash = Leash(Arc::clone(&group));
    let _ = started.send(Ok(Started { pid: child.id(), leash, stdin, stdout, stderr }));
    if let Ok(status) = group.attend(&mut child) {
        report.send_replace(Some(status));
    }
}

#[derive(Debug, Clone, Copy)]
enum End {
    Ask,
    Kill,
}

#[cfg(unix)]
pub(crate) use unix::gain_nothing;
#[cfg(unix)]
use unix::{Group, isolate};

#[cfg(unix)]
mod unix {
    use std::os::unix::process::CommandExt as _;

    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

    use super::{Child, Command, End, ExitStatus, Mutex, MutexGuard, PoisonError, io};

    #[derive(Debug)]
    pub(super) struct Group {
        leader: Option<Pid>,
        // Once the leader is reaped its id may belong to strangers.
        reaped: Mutex<bool>,
    }

    impl Group {
        pub(super) fn of(child: &Child) -> Self {
            let leader = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            Self { leader, reaped: Mutex::new(false) }
        }

        pub(super) fn signal(&self, end: End) {
            let signal = match end {
                End::Ask => Signal::TERM,
                End::Kill => Signal::KILL,
            };
            let reaped = self.lock();
            if let Some(leader) = self.leader.filter(|_| !*reaped) {
                // The only fault is that nobody is left, which is what was wanted.
                let _ = kill_process_group(leader, signal);
            }
        }

        // Waits for the leader's end without reaping it, so that its id still names the group while the rest is killed.
        pub(super) fn attend(&self, child: &mut Child) -> io::Result<ExitStatus> {
            if let Some(leader) = self.leader {
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                while matches!(waitid(WaitId::Pid(leader), options), Err(rustix::io::Errno::INTR)) {}
            }
            self.signal(End::Kill);
            crate::survivors::remove(child.id());
            let mut reaped = self.lock();
            let status = child.wait();
            *reaped = true;
            status
        }

        fn lock(&self) -> MutexGuard<'_, bool> {
            self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    pub(super) fn isolate(command: &mut Command) {
        command.process_group(0);
        #[cfg(target_os = "linux")]
        die_with_us(command);
    }

    /// Has a program gain no rights by what it starts: programs of others that run as those (`PR_SET_NO_NEW_PRIVS`, prctl(2)).
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "there is no safe way to run code between fork and exec")]
    pub(crate) fn gain_nothing(command: &mut Command) {
        let nothing = || Ok(rustix::thread::set_no_new_privs(true)?);
        // SAFETY: the closure runs in the forked child and makes one system call; it neither allocates, locks nor panics.
        unsafe { command.pre_exec(nothing) };
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn gain_nothing(_command: &mut Command) {}

    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "there is no safe way to run code between fork and exec")]
    fn die_with_us(command: &mut Command) {
        use rustix::process::{getpid, getppid, set_parent_process_death_signal};
        let us = getpid();
        let die = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // We may have ended before the line above.
            if getppid() == Some(us) { Ok(()) } else { Err(rustix::io::Errno::CHILD.into()) }
        };
        // SAFETY: the closure runs in the forked child and makes two system calls; it neither allocates, locks nor
        // panics, and touches no memory but its own copy of `us`.
        unsafe { command.pre_exec(die) };
    }
}

#[cfg(not(unix))]
use elsewhere::{Group, isolate};

// Without process groups only the program itself is killed, and "ask" has no counterpart.
#[cfg(not(unix))]
mod elsewhere {
    use super::{Child, Command, Duration, End, ExitStatus, Mutex, PoisonError, io};

    #[derive(Debug)]
    pub(super) struct Group {
        kill: Mutex<bool>,
    }

    impl Group {
        pub(super) fn of(_child: &Child) -> Self {
            Self { kill: Mutex::new(false) }
        }

        pub(super) fn signal(&self, end: End) {
            match end {
                End::Ask => {}
                End::Kill => *self.kill.lock().unwrap_or_else(PoisonError::into_inner) = true,
            }
        }

        pub(super) fn attend(&self, child: &mut Child) -> io::Result<ExitStatus> {
            loop {
                if let Some(status) = child.try_wait()? {
                    return Ok(status);
                }
                if *self.kill.lock().unwrap_or_else(PoisonError::into_inner) {
                    child.kill()?;
                    return child.wait();
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    pub(super) fn isolate(_command: &mut Command) {}
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

    use super::*;

    fn sh(script: &str) -> (String, Vec<String>) {
        ("sh".to_owned(), vec!["-c".to_owned(), script.to_owned()])
    }

    fn path() -> BTreeMap<String, String> {
        BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())])
    }

    async fn start(script: &str) -> ChildGroup {
        let (program, args) = sh(script);
        ChildGroup::spawn(&program, &args, &path(), None, None).await.unwrap()
    }

    /// The live members of a process group: (pid, parent), zombies of other parents excluded.
    fn members(group: u32) -> Vec<u32> {
        let mut members = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
            let (state, parent, its_group) = (fields[0], fields[1], fields[2]);
            let ours = parent == std::process::id().to_string();
            if its_group == group.to_string() && (state != "Z" || ours) {
                members.push(pid);
            }
        }
        members
    }

    async fn until(what: &str, condition: impl Fn() -> bool) {
        for _ in 0..1000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within ten seconds: {what}");
    }

    #[tokio::test]
    async fn streams_are_piped_and_the_environment_is_the_given_one() {
        let mut env = path();
        env.insert("ONLY".to_owned(), "this".to_owned());
        let (program, args) = sh("read line; echo \"got $line\"; env | sort; echo oops >&2; exit 3");
        let mut child = ChildGroup::spawn(&program, &args, &env, Some(Path::new("/")), None).await.unwrap();
        child.stdin.take().unwrap().write_all(b"hello\n").await.unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
        child.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
        assert_eq!(out, "got hello\nONLY=this\nPATH=/usr/bin:/bin\nPWD=/\n");
        assert_eq!(err, "oops\n");
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
        assert_eq!(child.exited().and_then(|status| status.code()), Some(3));
    }

    #[tokio::test]
    async fn a_missing_program_is_a_fault() {
        let fault = ChildGroup::spawn("/no/such/program", &[], &path(), None, None).await.unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn killing_reaches_grandchildren() {
        let mut child = start("sleep 1000 & sleep 1000 & echo up; wait").await;
        let pid = child.pid();
        assert_eq!(first_line(&mut child).await, "up");
        assert_eq!(members(pid).len(), 3);
        let status = child.kill().await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        until("the group is empty", || members(pid).is_empty()).await;
    }

    #[tokio::test]
    async fn dropping_kills_and_reaps_all() {
        let mut child = start("sleep 1000 & echo up; sleep 1000").await;
        let pid = child.pid();
        assert_eq!(first_line(&mut child).await, "up");
        drop(child);
        until("the group is empty and our child is no zombie", || members(pid).is_empty()).await;
    }

    #[tokio::test]
    async fn what_the_program_leaves_behind_ends_with_it() {
        let mut child = start("sleep 1000 & exit 0").await;
        let pid = child.pid();
        assert!(child.wait().await.unwrap().success());
        until("the group is empty", || members(pid).is_empty()).await;
    }

    #[tokio::test]
    async fn a_polite_program_may_finish_and_a_stubborn_one_is_killed() {
        let mut polite = start("trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done").await;
        assert_eq!(first_line(&mut polite).await, "up");
        assert_eq!(polite.shut_down(Duration::from_secs(10)).await.unwrap().code(), Some(7));

        let mut stubborn = start("trap '' TERM; echo up; while :; do sleep 0.05; done").await;
        assert_eq!(first_line(&mut stubborn).await, "up");
        let status = stubborn.shut_down(Duration::from_millis(100)).await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }

    #[test]
    fn a_child_survives_the_runtime_thread_that_started_it() {
        // A death signal is tied to the starting thread; a short-lived one must not take the child with it.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut child = std::thread::spawn({
            let handle = runtime.handle().clone();
            move || handle.block_on(start("read line; exit 5"))
        })
        .join()
        .unwrap();
        runtime.block_on(async {
            assert_eq!(child.exited(), None);
            child.stdin.take().unwrap().write_all(b"go\n").await.unwrap();
            assert_eq!(child.wait().await.unwrap().code(), Some(5));
        });
    }

    #[test]
    fn a_child_dies_with_a_deskgate_that_was_killed() {
        // This test binary again, as the process that is killed.
        const ROLE: &str = "OS_TEST_PARENT";
        if std::env::var_os(ROLE).is_some() {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let child = runtime.block_on(start("sleep 1000 & exec sleep 1000"));
            runtime.block_on(until("both run", || members(child.pid()).len() == 2));
            #[expect(clippy::print_stdout, reason = "tells the other half of this test")]
            {
                println!("\npid {}", child.pid());
            }
            std::thread::sleep(Duration::from_secs(1000));
        }
        let name = "child::tests::a_child_dies_with_a_deskgate_that_was_killed";
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(ROLE, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = io::BufRead::lines(io::BufReader::new(parent.stdout.take().unwrap()));
        let pid: u32 =
            lines.map_while(Result::ok).find_map(|line| line.strip_prefix("pid ")?.parse().ok()).unwrap();
        assert_eq!(members(pid).len(), 2);
        parent.kill().unwrap();
        parent.wait().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(until("the child and its own are gone", || members(pid).is_empty()));
    }

    async fn first_line(child: &mut ChildGroup) -> String {
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }
}
