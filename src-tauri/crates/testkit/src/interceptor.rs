//! A proxy that ends TLS in front of a server, with certificates of an authority of its own: PyPI `mitmproxy`. A company that looks
//! into what its computers send has one, and has its authority in their system store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use crate::place::tools;
use crate::{PeerFault, Process, Spec, certificates, free_port};

/// A running proxy.
#[derive(Debug)]
pub struct Interceptor {
    process: Process,
    url: Url,
    behind: Url,
    folder: TempDir,
}

/// Makes a certificate for `localhost` that has expired yesterday, with the authority of mitmproxy's folder.
const EXPIRED: &str = r#"
authority = folder.joinpath("mitmproxy-ca.pem").read_bytes()
signer = serialization.load_pem_private_key(authority, None), x509.load_pem_x509_certificate(authority).subject
key, made = certificate("localhost", signer, ExtendedKeyUsageOID.SERVER_AUTH, now - 30 * day, now - day)
folder.joinpath("expired.pem").write_bytes(private(key) + made.public_bytes(pem))
"#;

fn expired(folder: &Path) -> Result<PathBuf, PeerFault> {
    certificates::make(folder, EXPIRED)?;
    Ok(folder.join("expired.pem"))
}

impl Interceptor {
    /// In front of the server at `behind`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn before(behind: &Url) -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-interceptor-").tempdir()?;
        Self::start(behind, folder, free_port()?, None).await
    }

    /// Ends it and begins anew at the same place, with a certificate of the same authority that has expired, or with good ones.
    ///
    /// # Errors
    /// If it does not come back.
    pub async fn again(self, is_expired: bool) -> Result<Self, PeerFault> {
        let Self { process, url, behind, folder } = self;
        drop(process);
        let certificate = if is_expired { Some(expired(folder.path())?) } else { None };
        Self::start(&behind, folder, url.port().unwrap_or_default(), certificate.as_deref()).await
    }

    async fn start(
        behind: &Url,
        folder: TempDir,
        port: u16,
        certificate: Option<&Path>,
    ) -> Result<Self, PeerFault> {
        let program = tools().join("interceptor/bin/mitmdump");
        if !program.is_file() {
            return Err(PeerFault::Missing("mitmproxy".to_owned()));
        }
        let place = behind.origin().ascii_serialization();
        let mut process = Spec::new("interceptor", program)
            .args(["--mode", &format!("reverse:{place}@127.0.0.1:{port}")])
            .args(["--set", &format!("confdir={}", folder.path().display())])
            // Streams of events are passed on as they come.
            .args(["--set", "stream_large_bodies=1"])
            .args([
                "--set",
                "keep_host_header=true",
                "--set",
                "connection_strategy=lazy",
                "--flow-detail",
                "1",
            ])
            .args(certificate.into_iter().flat_map(|file| ["--certs".to_owned(), file.display().to_string()]))
            .start()?;
        process
            .ready("an open port", Duration::from_secs(60), async |_| {
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(())
            })
            .await?;
        let url = Url::parse(&format!("https://localhost:{port}/"))?;
        Ok(Self { process, url, behind: behind.clone(), folder })
    }

    /// Where it answers, with encryption.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The certificate of its authority (PEM).
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("mitmproxy-ca-cert.pem")
    }

    /// What it has read: a line for each request.
    pub fn seen(&self) -> String {
        self.process.log()
    }
}
