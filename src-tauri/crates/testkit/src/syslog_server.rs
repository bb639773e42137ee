//! A syslog server that takes records over TLS from whoever has a certificate for it: Debian's `rsyslog` with GnuTLS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::place::tools;
use crate::{PeerFault, Process, Spec, certificates, free_port};

/// Makes an authority, a certificate for `localhost`, one for a client, and one of another authority.
const CERTIFICATES: &str = r#"
def kept(name, signer=None, usage=None):
    key, made = certificate(name, signer, usage)
    folder.joinpath(name + ".key").write_bytes(private(key))
    folder.joinpath(name + ".pem").write_bytes(made.public_bytes(pem))
    return key, made.subject
authority = kept("authority")
kept("localhost", authority, ExtendedKeyUsageOID.SERVER_AUTH)
kept("deskgate-control", authority, ExtendedKeyUsageOID.CLIENT_AUTH)
kept("stranger", kept("another"), ExtendedKeyUsageOID.CLIENT_AUTH)
"#;

/// A running server.
#[derive(Debug)]
pub struct SyslogServer {
    process: Option<Process>,
    port: u16,
    folder: TempDir,
}

impl SyslogServer {
    /// Starts one.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start() -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-syslog-").tempdir()?;
        certificates::make(folder.path(), CERTIFICATES)?;
        let mut server = Self { process: None, port: free_port()?, folder };
        std::fs::write(server.file("rsyslog.conf"), server.settings())?;
        server.resume().await?;
        Ok(server)
    }

    /// Starts it again where it was.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn resume(&mut self) -> Result<(), PeerFault> {
        let root = tools().join("rsyslog");
        let program = root.join("usr/sbin/rsyslogd");
        let libraries = std::fs::read_dir(root.join("usr/lib"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.join("rsyslog").is_dir())
            .ok_or_else(|| PeerFault::Missing("rsyslog".to_owned()))?;
        let port = self.port;
        let mut process = Spec::new("syslog server", program)
            .env("LD_LIBRARY_PATH", &libraries)
            .args(["-n", "-C", "-f"])
            .arg(self.file("rsyslog.conf"))
            .arg("-i")
            .arg(self.file("pid"))
            .arg("-M")
            .arg(libraries.join("rsyslog"))
            .start()?;
        process
            .ready("an open port", Duration::from_secs(30), async |_| {
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(())
            })
            .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it; what it has received stays.
    pub fn end(&mut self) {
        self.process = None;
    }

    fn settings(&self) -> String {
        let [folder, authority, certificate, key, received] =
            [".", "authority.pem", "localhost.pem", "localhost.key", "received"]
                .map(|name| self.file(name).display().to_string());
        format!(
            "global(workDirectory=\"{folder}\" maxMessageSize=\"256k\" DefaultNetstreamDriver=\"gtls\"\n\
             DefaultNetstreamDriverCAFile=\"{authority}\" DefaultNetstreamDriverCertFile=\"{certificate}\"\n\
             DefaultNetstreamDriverKeyFile=\"{key}\")\n\
             module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\"\n\
             StreamDriver.AuthMode=\"x509/name\" PermittedPeer=\"deskgate-control\")\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{}\")\n\
             template(name=\"told\" type=\"string\"\n\
             string=\"%pri% %hostname% %app-name% %msgid% %structured-data%%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{received}\" template=\"told\")\n",
            self.port
        )
    }

    /// A file of its folder: `authority.pem`, and the certificate and key of `deskgate-control` and of a `stranger`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where it listens, as `localhost`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has received: priority, host, program, kind, structured data and message of each, a line each.
    pub fn received(&self) -> String {
        read(&self.file("received"))
    }
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}
