//! A proxy that ends TLS in front of a server, with certificates of an authority of its own: PyPI `mitmproxy`. A company that looks
//! into what its computers send has one, and has its authority in their system store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use crate::place::tools;
use crate::{PeerFault, Process, Spec, lasting_port};

/// A running proxy.
#[derive(Debug)]
pub struct Interceptor {
    process: Process,
    url: Url,
    behind: Url,
    folder: TempDir,
}

/// Makes a certificate for `localhost` that has expired yesterday, with mitmproxy's own library and the authority of its folder.
const EXPIRED: &str = r#"
import datetime, pathlib, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
folder = pathlib.Path(sys.argv[1])
authority = folder.joinpath("mitmproxy-ca.pem").read_bytes()
signer = serialization.load_pem_private_key(authority, None)
issuer = x509.load_pem_x509_certificate(authority)
key = ec.generate_private_key(ec.SECP256R1())
now = datetime.datetime.now(datetime.timezone.utc)
day = datetime.timedelta(days=1)
certificate = (
    x509.CertificateBuilder()
    .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
    .issuer_name(issuer.subject)
    .public_key(key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(now - 30 * day)
    .not_valid_after(now - day)
    .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), False)
    .sign(signer, hashes.SHA256())
)
pem, form, nothing = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
sys.stdout.buffer.write(key.private_bytes(pem, form, nothing) + certificate.public_bytes(pem))
"#;

fn expired(folder: &Path) -> Result<PathBuf, PeerFault> {
    let python = tools().join("interceptor/bin/python");
    let made = std::process::Command::new(python).args(["-c", EXPIRED]).arg(folder).output()?;
    if !made.status.success() {
        return Err(PeerFault::answer("an expired certificate", String::from_utf8_lossy(&made.stderr)));
    }
    let file = folder.join("expired.pem");
    std::fs::write(&file, made.stdout)?;
    Ok(file)
}

impl Interceptor {
    /// In front of the server at `behind`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn before(behind: &Url) -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-interceptor-").tempdir()?;
        Self::start(behind, folder, lasting_port()?, None).await
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
