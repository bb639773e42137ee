//! A manifest that another implementation of DSSE signed: `securesystemslib`, as TUF and in-toto use it.

use std::path::Path;
use std::process::Command;

use model::Timestamp;
use org_protocol::{Envelope, Refusal, Root, TrustState};

use crate::commands::Desk;

/// Signs the payload of an envelope anew: the envelope, the private key, and where the new one goes.
const SIGN: &str = r#"
import base64, json, sys
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner
ours = json.load(open(sys.argv[1]))
signer = CryptoSigner(load_pem_private_key(open(sys.argv[2], "rb").read(), None))
theirs = Envelope(base64.b64decode(ours["payload"]), ours["payloadType"], {})
theirs.sign(signer)
json.dump(theirs.to_dict(), open(sys.argv[3], "w"))
"#;

fn signed_by_them(desk: &Desk, key: &str) {
    let python = testkit::tools().join("venv/bin/python");
    let manifest = "public/v1/manifest.json";
    let mut command = Command::new(python);
    command.current_dir(desk.dir.path()).args(["-c", SIGN, manifest, key, manifest]);
    let output = command.output().expect("Python runs: `cargo xtask setup` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn now() -> Timestamp {
    os::Clock::now(&os::SystemClock)
}

/// What a desktop does with what lies in `public`.
fn desktop(folder: &Path) -> Result<String, Refusal> {
    let read = |path: &str| std::fs::read(folder.join(path)).expect("is there");
    let root = read("v1/root/1.json");
    let payload =
        Envelope::parse(&root).and_then(|envelope| envelope.unverified_payload()).expect("a payload");
    let fingerprint = Root::parse(&payload).expect("a root document").fingerprint();
    let trust =
        TrustState::begin(fingerprint, &root, now())?.accept_manifest(&read("v1/manifest.json"), now())?;
    let bundle = trust.wanted(None)?.expect("a new one");
    trust.accept_bundle(None, &read(&bundle.path)).map(|(_, content)| content.org.id)
}

#[test]
fn what_securesystemslib_signed_is_believed_by_desktops_and_published_and_with_another_key_is_not() {
    let desk = Desk::new();
    desk.prepare();
    desk.says("bundle sign org --root root/1.json --key manifest.pem --out public");
    let public = desk.dir.path().join("public");
    let _served = desk.serve();

    signed_by_them(&desk, "receipts.pem");
    assert!(matches!(desktop(&public), Err(Refusal::Envelope(_))), "not a manifest key");
    assert!(desk.complains("bundle publish public").contains("signature"), "refused for its signature");
    assert_eq!(desk.complains("status"), "Nothing is published yet.\n");

    signed_by_them(&desk, "manifest.pem");
    assert_eq!(desktop(&public), Ok("example".to_owned()));
    desk.says("bundle publish public");
    assert!(desk.says("status").contains("version       1 "));
}
