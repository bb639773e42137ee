//! The desk of an administrator: a folder in which `deskgate-control` is typed.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::canary::Guard;
use crate::{PeerFault, Spec};

/// Makes the root document and tells its fingerprint.
pub(super) const ROOT: &[&str] = &[
    "root",
    "new",
    "--org=acme",
    "--root-key=keys/root.pem.pub",
    "--manifest-key=keys/manifest.pem.pub",
    "--receipts-key=keys/receipts.pem.pub",
    "--sign-with=keys/root.pem",
    "--out=root/1.json",
    "--json",
];

/// Checks the authored folder and signs its next version.
pub(super) const SIGN: &[&str] =
    &["bundle", "sign", "org", "--root=root/1.json", "--key=keys/manifest.pem", "--out=public"];

/// Starts the server; where it listens is to be added.
const SERVE: &[&str] = &[
    "--json",
    "serve",
    "--data=data",
    "--master-key=keys/master",
    "--receipts-key=keys/receipts.pem",
    "--listen",
];

#[derive(Debug)]
pub(super) struct Desk {
    program: PathBuf,
    home: PathBuf,
}

impl Desk {
    pub(super) fn new(program: &Path, home: &Path) -> Self {
        Self { program: program.to_owned(), home: home.to_owned() }
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Runs a command to its end, with `input` on standard input.
    pub(super) async fn run(&self, arguments: &[&str], input: &str) -> Result<Output, PeerFault> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(&self.home)
            .env("DESKGATE_CONTROL_SOCKET", self.home.join("data/admin.sock"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| self.fault_at_start(source))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that ends without reading tells why in its output.
            drop(stdin.write_all(input.as_bytes()).await);
        }
        Ok(child.wait_with_output().await?)
    }

    /// What a command says on standard output; its complaint where it fails.
    pub(super) async fn says(&self, arguments: &[&str], input: &str) -> Result<String, PeerFault> {
        let output = self.run(arguments, input).await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let complaint = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        Err(PeerFault::answer(format!("deskgate-control {}", arguments.join(" ")), complaint))
    }

    /// How the server is started.
    pub(super) fn serve(&self, port: u16) -> Spec {
        Spec::new("deskgate-control serve", &self.program)
            .args(SERVE)
            .arg(format!("127.0.0.1:{port}"))
            // Where everything is root's, nobody else can run the programs that are installed for tests.
            .args(rustix::process::getuid().is_root().then_some("--commands-user=root"))
            .folder(&self.home)
            // The connectors that it runs are lent shared accounts.
            .guarded(Guard { folders: vec![self.home.join("data")], lends_to_children: true })
    }

    fn fault_at_start(&self, source: std::io::Error) -> PeerFault {
        PeerFault::Start { name: self.program.display().to_string(), source }
    }
}
