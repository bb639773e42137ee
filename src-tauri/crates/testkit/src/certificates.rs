//! Certificates for tests, made with the library that the intercepting proxy brings.

use std::path::Path;

use crate::PeerFault;
use crate::place::tools;

/// A function that makes a key and a certificate, from yesterday on for a month unless it is said otherwise.
const PRELUDE: &str = r#"
import datetime, pathlib, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
folder = pathlib.Path(sys.argv[1])
now = datetime.datetime.now(datetime.timezone.utc)
day = datetime.timedelta(days=1)
pem, form, nothing = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
def certificate(name, signer=None, usage=None, begins=now - day, ends=now + 30 * day):
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key, issuer = signer if signer else (key, named(name))
    made = (
        x509.CertificateBuilder().subject_name(named(name)).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
        .add_extension(x509.BasicConstraints(signer is None, None), True)
    )
    if usage:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        made = made.add_extension(x509.ExtendedKeyUsage([usage]), False)
    return key, made.sign(issuer_key, hashes.SHA256())
def private(key):
    return key.private_bytes(pem, form, nothing)
"#;

/// Runs what makes certificates in `folder`.
pub(crate) fn make(folder: &Path, script: &str) -> Result<(), PeerFault> {
    let python = tools().join("interceptor/bin/python");
    let script = format!("{PRELUDE}{script}");
    let made = std::process::Command::new(python).args(["-c", &script]).arg(folder).output()?;
    if made.status.success() {
        Ok(())
    } else {
        Err(PeerFault::answer("certificates", String::from_utf8_lossy(&made.stderr)))
    }
}
