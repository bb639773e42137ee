//! Debian's PostgreSQL, in a cluster of its own.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::place::{on_path, tools};
use crate::{PeerFault, Process, Spec, free_port};

/// Who may do everything in a cluster, and the password.
pub(crate) const OWNER: (&str, &str) = ("owner", "owner-s3cret");

/// A running database cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    // Ended before its folder is removed.
    pub(crate) process: Process,
    pub(crate) port: u16,
    programs: PathBuf,
    folder: TempDir,
}

impl Cluster {
    /// Makes a fresh cluster and starts it.
    ///
    /// # Errors
    /// If it cannot be made or started.
    pub(crate) async fn start() -> Result<Self, PeerFault> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("deskgate-postgres-").tempdir()?;
        let account = Account::usable()?;
        let data = account.own_folder(folder.path(), "data")?;
        copy(&pattern(&account, &programs)?, &data)?;
        let port = free_port()?;
        let process = serve(&account, &programs, &data, port).await?;
        Ok(Self { process, port, programs, folder })
    }

    /// Ends it as its machine's end would.
    pub(crate) fn stop(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was.
    ///
    /// # Errors
    /// If it does not come back.
    pub(crate) async fn again(&mut self) -> Result<(), PeerFault> {
        let data = self.folder.path().join("data");
        self.process = serve(&Account::usable()?, &self.programs, &data, self.port).await?;
        Ok(())
    }

    /// What somebody gets for a statement: unaligned rows, or the error.
    ///
    /// # Errors
    /// With the database's words if it refuses.
    pub(crate) fn query(
        &self,
        database: &str,
        (user, password): (&str, &str),
        sql: &str,
    ) -> Result<String, PeerFault> {
        let output = Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"])
            .args(["--host=127.0.0.1", "--command", sql])
            .arg(format!("--port={}", self.port))
            .arg(format!("--username={user}"))
            .arg(format!("--dbname={database}"))
            .env("PGPASSWORD", password)
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(PeerFault::answer("warehouse", String::from_utf8_lossy(&output.stderr).trim()))
        }
    }
}

/// A fresh cluster that is never started, for all others to be copied from: making one takes longer than all else.
fn pattern(account: &Account, programs: &Path) -> Result<PathBuf, PeerFault> {
    let initdb = programs.join("initdb");
    let made = std::fs::metadata(&initdb)?;
    let pattern = tools().join(format!("postgres-{}-{}", made.len(), made.mtime()));
    if pattern.is_dir() {
        return Ok(pattern);
    }
    let folder = tempfile::Builder::new().prefix("deskgate-postgres-").tempdir()?;
    let data = account.own_folder(folder.path(), "data")?;
    let superuser_password = folder.path().join("password");
    std::fs::write(&superuser_password, OWNER.1)?;
    std::fs::set_permissions(&superuser_password, std::fs::Permissions::from_mode(0o644))?;
    let initdb = account
        .command(&initdb)
        .args(["--auth=scram-sha-256", "--username=owner", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .arg(format!("--pwfile={}", superuser_password.display()))
        .arg("--pgdata")
        .arg(&data)
        .current_dir("/")
        .output()?;
    if !initdb.status.success() {
        return Err(PeerFault::answer("initdb", String::from_utf8_lossy(&initdb.stderr)));
    }
    let beside = tempfile::Builder::new().prefix("postgres-").tempdir_in(tools())?;
    copy(&data, &beside.path().join("data"))?;
    // Of those who made one at once, the first has its way.
    match std::fs::rename(beside.path().join("data"), &pattern) {
        Err(fault) if !pattern.is_dir() => Err(fault.into()),
        _ => Ok(pattern),
    }
}

/// Copies a folder with its owners.
fn copy(from: &Path, to: &Path) -> Result<(), PeerFault> {
    let copied = Command::new("cp")
        .args(["--archive", "--no-target-directory", "--reflink=auto"])
        .arg(from)
        .arg(to)
        .output()?;
    if !copied.status.success() {
        return Err(PeerFault::answer("cp", String::from_utf8_lossy(&copied.stderr)));
    }
    Ok(())
}

async fn serve(account: &Account, programs: &Path, data: &Path, port: u16) -> Result<Process, PeerFault> {
    let mut process = account
        .spec("postgres", &programs.join("postgres"))
        .arg("-D")
        .arg(data)
        .args(["-p", &port.to_string()])
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        .args(["-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=60"])
        .folder("/")
        .start()?
        // Nobody reads what it would still write.
        .stopped_by(Signal::QUIT);
    process
        .ready("accepting connections", Duration::from_secs(60), async |log| {
            log.contains("database system is ready to accept connections").then_some(())
        })
        .await?;
    Ok(process)
}

/// PostgreSQL refuses to run as root; then it runs as the account that Debian's package makes for it.
struct Account(Option<(u32, u32)>);

impl Account {
    fn usable() -> Result<Self, PeerFault> {
        if !rustix::process::getuid().is_root() {
            return Ok(Self(None));
        }
        let accounts = std::fs::read_to_string("/etc/passwd")?;
        let ids = accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == "postgres").then_some(())?;
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        ids.map(|ids| Self(Some(ids))).ok_or_else(|| PeerFault::Missing("the account postgres".to_owned()))
    }

    /// A folder that the account owns, under one that it can pass through.
    fn own_folder(&self, parent: &Path, name: &str) -> Result<PathBuf, PeerFault> {
        let folder = parent.join(name);
        std::fs::create_dir(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        if let Some((user, group)) = self.0 {
            std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o711))?;
            std::os::unix::fs::chown(&folder, Some(user), Some(group))?;
        }
        Ok(folder)
    }

    fn words(&self) -> Vec<String> {
        let Some((user, group)) = self.0 else { return Vec::new() };
        vec![
            "setpriv".to_owned(),
            format!("--reuid={user}"),
            format!("--regid={group}"),
            "--clear-groups".to_owned(),
        ]
    }

    fn command(&self, program: &Path) -> Command {
        let mut words = self.words().into_iter();
        let Some(first) = words.next() else { return Command::new(program) };
        let mut command = Command::new(first);
        command.args(words).arg(program);
        command
    }

    fn spec(&self, name: &str, program: &Path) -> Spec {
        let mut words = self.words().into_iter();
        match words.next() {
            None => Spec::new(name, program),
            Some(first) => Spec::new(name, first).args(words).arg(program),
        }
    }
}

/// The newest server programs: Debian keeps them beside the path, one folder for each release.
fn programs() -> Result<PathBuf, PeerFault> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("initdb").is_file())
        .collect();
    found.sort();
    if let Some((_, folder)) = found.pop() {
        return Ok(folder);
    }
    let initdb = on_path("initdb").ok_or_else(|| PeerFault::Missing("PostgreSQL".to_owned()))?;
    Ok(initdb.parent().map(Path::to_owned).unwrap_or_default())
}
