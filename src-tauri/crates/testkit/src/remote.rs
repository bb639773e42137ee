//! Another computer, as far as SSH is concerned: an OpenSSH server of its own on 127.0.0.1, where the same user may sign in by a key.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::place::{text, tools};
use crate::{Assistant, PeerFault, Process, Spec, free_port};

const SOON: Duration = Duration::from_secs(30);
/// An sshd that is root wants a user of its own and a folder in /run, which not every machine has.
const AROUND: &str = r#"#!/bin/sh
[ "$(id -u)" = 0 ] || exec "$@"
exec unshare --mount sh -c '
folder=$1; shift
(grep -v "^sshd:" /etc/passwd; echo "sshd:x:110:65534::/run/sshd:/usr/sbin/nologin") > "$folder/passwd" || exit 1
mount --bind "$folder/passwd" /etc/passwd && mount -t tmpfs -o mode=0755 tmpfs /run && mkdir /run/sshd || exit 1
exec "$@"' sh "$(dirname "$0")" "$@"
"#;

/// A running server, and the keys to it.
#[derive(Debug)]
pub struct Remote {
    _process: Process,
    port: u16,
    user: String,
    folder: TempDir,
}

impl Remote {
    /// Starts one.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start() -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-remote-").tempdir()?;
        let file = |name: &str| folder.path().join(name);
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(file(key))
                .status()?;
            if !made.success() {
                return Err(PeerFault::answer("ssh-keygen", "no key was made"));
            }
        }
        let port = free_port()?;
        std::fs::write(file("settings"), settings(folder.path(), port))?;
        std::fs::write(file("around"), AROUND)?;
        std::fs::set_permissions(file("around"), std::fs::Permissions::from_mode(0o755))?;
        let mut process = Spec::new("SSH server", file("around"))
            .env("LD_LIBRARY_PATH", libraries()?)
            .arg(root().join("usr/sbin/sshd"))
            .args(["-D", "-e", "-f"])
            .arg(file("settings"))
            .start()?;
        process
            .ready("an open port", SOON, async |_| {
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(())
            })
            .await?;
        let user = String::from_utf8_lossy(&Command::new("id").arg("-un").output()?.stdout).trim().to_owned();
        Ok(Self { _process: process, port, user, folder })
    }

    /// Where a file of this name would be there.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Leads a socket there to one here, as `ssh -R` does, until it is ended.
    ///
    /// # Errors
    /// If SSH cannot be started, or there is no socket in time.
    pub async fn leads(&self, there: &Path, here: &Path) -> Result<Process, PeerFault> {
        let forward = format!("{}:{}", there.display(), here.display());
        let mut process =
            Spec::new("ssh", "ssh").args(self.arguments()).args(["-N", "-R", &forward]).start()?;
        process.ready("a socket there", SOON, async |_| there.exists().then_some(())).await?;
        Ok(process)
    }

    /// Runs a command there.
    ///
    /// # Errors
    /// If it fails.
    pub async fn runs(&self, command: &str) -> Result<(), PeerFault> {
        let ended = tokio::process::Command::new("ssh").args(self.arguments()).arg(command).output().await?;
        if ended.status.success() {
            return Ok(());
        }
        Err(PeerFault::answer("ssh", String::from_utf8_lossy(&ended.stderr)))
    }

    /// An assistant that runs there, and reaches what a socket there leads to.
    ///
    /// # Errors
    /// If it gets no folder of its own.
    pub fn assistant(&self, socket: &Path) -> Result<Assistant, PeerFault> {
        let program = format!(
            "LD_LIBRARY_PATH='{}' '{}' - 'UNIX-CONNECT:{}'",
            text(&libraries()?),
            text(&root().join("usr/bin/socat")),
            text(socket)
        );
        let command = [vec!["ssh".to_owned()], self.arguments(), vec![program]].concat();
        Assistant::starting(&command, &[])
    }

    fn arguments(&self) -> Vec<String> {
        let user = &self.user;
        let option = |name: &str, file: &str| format!("{name}={}", text(&self.file(file)));
        let options = [option("IdentityFile", "user"), option("UserKnownHostsFile", "known")];
        let fixed = [
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=accept-new",
            "ExitOnForwardFailure=yes",
            "LogLevel=ERROR",
        ];
        let options =
            options.into_iter().chain(fixed.map(str::to_owned)).flat_map(|it| ["-o".to_owned(), it]);
        let place = ["-p".to_owned(), self.port.to_string(), format!("{user}@127.0.0.1")];
        ["-F".to_owned(), "none".to_owned()].into_iter().chain(options).chain(place).collect()
    }
}

fn settings(folder: &Path, port: u16) -> String {
    let session = root().join("usr/lib/openssh/sshd-session");
    // Later versions have a program of its own for each session.
    let session =
        if session.exists() { format!("SshdSessionPath {}\n", session.display()) } else { String::new() };
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/user.pub\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\n{session}",
        folder.display()
    )
}

fn root() -> PathBuf {
    tools().join("ssh")
}

fn libraries() -> Result<PathBuf, PeerFault> {
    let folders = std::fs::read_dir(root().join("usr/lib")).into_iter().flatten().flatten();
    folders
        .map(|entry| entry.path())
        .find(|path| path.join("libwrap.so.0").exists())
        .ok_or_else(|| PeerFault::Missing("OpenSSH's server".to_owned()))
}
