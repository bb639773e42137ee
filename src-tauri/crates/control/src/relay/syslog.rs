//! A syslog server: messages of RFC 5424 with octet counting over TLS (RFC 5425), with a certificate of our own where IT gives one.
//!
//! Best effort, because the protocol confirms nothing: what a server that fails had taken into its buffers, or what was on its way
//! to one, is lost there, though not here. Whoever must prove that nothing is missing compares with `audit verify`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::sink::{Batch, SinkFault, SyslogConfig, io};

/// How long connecting and writing a batch may take, each.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long a server is given to refuse our certificate: in TLS 1.3 it does so after the handshake has ended here (RFC 8446,
/// section 4.4.2.4).
const REFUSAL: Duration = Duration::from_secs(2);

/// The server.
pub(crate) struct Syslog {
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: TlsConnector,
    connection: Mutex<Option<TlsStream<TcpStream>>>,
}

impl std::fmt::Debug for Syslog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Syslog({})", self.address())
    }
}

impl Syslog {
    pub(super) fn new(config: SyslogConfig) -> Result<Self, SinkFault> {
        let SyslogConfig { host, port, authorities, identity } = config;
        let bad = |why: &dyn std::fmt::Display| SinkFault::Tls { what: host.clone(), why: why.to_string() };
        let name = ServerName::try_from(host.clone()).map_err(|fault| bad(&fault))?;
        let verified = match authorities {
            Some(file) => ClientConfig::builder().with_root_certificates(roots(&file)?),
            None => ClientConfig::builder().with_platform_verifier().map_err(|fault| bad(&fault))?,
        };
        let tls = match identity {
            Some((certificate, key)) => {
                let chain = certificates(&certificate)?;
                let secret = PrivateKeyDer::from_pem_file(&key).map_err(|fault| unusable(&key, &fault))?;
                verified.with_client_auth_cert(chain, secret).map_err(|fault| unusable(&key, &fault))?
            }
            None => verified.with_no_client_auth(),
        };
        let tls = TlsConnector::from(Arc::new(tls));
        Ok(Self { host, port, name, tls, connection: Mutex::default() })
    }

    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(super) async fn take(&self, batch: Batch<'_>) -> Result<(), SinkFault> {
        let mut framed = Vec::new();
        for record in batch.records {
            let message = ::audit::siem::syslog_message(record, batch.org);
            framed.extend_from_slice(format!("{} ", message.len()).as_bytes());
            framed.extend_from_slice(message.as_bytes());
        }
        let mut kept = self.connection.lock().await;
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let written = tokio::time::timeout(DEADLINE, write(&mut stream, &framed)).await;
        written.map_err(|_| SinkFault::Late)?.map_err(io(format!("{} broke off", self.address())))?;
        *kept = Some(stream);
        Ok(())
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, SinkFault> {
        let connecting = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            self.tls.connect(self.name.clone(), stream).await
        };
        let connected = tokio::time::timeout(DEADLINE, connecting).await.map_err(|_| SinkFault::Late)?;
        let mut stream = connected.map_err(io(format!("{} is not reached", self.address())))?;
        match tokio::time::timeout(REFUSAL, stream.read(&mut [0])).await {
            Err(_) => Ok(stream),
            Ok(read) => {
                let fault = read.err().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into());
                Err(io(format!("{} has hung up; does it take our certificate?", self.address()))(fault))
            }
        }
    }
}

/// Writes, unless the server has hung up: then what was written would vanish without a word.
async fn write(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) -> io::Result<()> {
    let mut nothing = [0];
    tokio::select! {
        biased;
        // A syslog server says nothing (RFC 5425, section 4.3): whatever it sends is its farewell.
        read = stream.read(&mut nothing) => {
            read?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        () = std::future::ready(()) => {}
    }
    stream.write_all(bytes).await?;
    stream.flush().await
}

fn roots(file: &Path) -> Result<RootCertStore, SinkFault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|fault| unusable(file, &fault))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SinkFault> {
    let read = CertificateDer::pem_file_iter(file).map_err(|fault| unusable(file, &fault))?;
    let all: Vec<CertificateDer<'static>> =
        read.collect::<Result<_, _>>().map_err(|fault| unusable(file, &fault))?;
    if all.is_empty() { Err(unusable(file, &"it has no certificate")) } else { Ok(all) }
}

fn unusable(file: &Path, why: &dyn std::fmt::Display) -> SinkFault {
    SinkFault::Tls { what: file.display().to_string(), why: why.to_string() }
}
