//! The administrators' guide, run as it is written: keys made, lost and replaced, with a desktop that follows.

use std::path::Path;

use control::author::read_signing;
use model::Timestamp;
use org_protocol::{Envelope, MANIFEST_TYPE, Manifest, Refusal, Root, TrustState};

use crate::commands::{Desk, Served};

const GUIDE: &str = include_str!("../../../../../ADMIN.md");

/// The command lines by the heading that they stand under, in the order of the guide.
fn sections() -> Vec<(String, Vec<String>)> {
    let mut sections: Vec<(String, Vec<String>)> = Vec::new();
    for typed in testkit::commands(GUIDE) {
        let command = typed.command.strip_prefix("deskgate-control ").expect("a command of Deskgate");
        match sections.last_mut().filter(|(heading, _)| *heading == typed.heading) {
            Some((_, commands)) => commands.push(command.to_owned()),
            None => sections.push((typed.heading, vec![command.to_owned()])),
        }
    }
    sections
}

fn now() -> Timestamp {
    os::Clock::now(&os::SystemClock)
}

fn read(folder: &Path, path: &str) -> Vec<u8> {
    std::fs::read(folder.join(path)).expect(path)
}

fn begun(folder: &Path) -> TrustState {
    let first = read(folder, "v1/root/1.json");
    let payload =
        Envelope::parse(&first).and_then(|envelope| envelope.unverified_payload()).expect("a payload");
    let fingerprint = Root::parse(&payload).expect("a root document").fingerprint();
    TrustState::begin(fingerprint, &first, now()).expect("begins")
}

/// What a desktop does that finds these documents.
fn followed(trust: &TrustState, folder: &Path) -> Result<TrustState, Refusal> {
    let mut trust = trust.clone();
    while let Ok(next) = std::fs::read(folder.join(format!("v1/root/{}.json", trust.root().version + 1))) {
        trust = trust.accept_root(&next, now())?;
    }
    let trust = trust.accept_manifest(&read(folder, "v1/manifest.json"), now())?;
    let bundle = trust.wanted(None)?.expect("something new");
    trust.accept_bundle(None, &read(folder, &bundle.path)).map(|(trust, _)| trust)
}

/// Types the commands of one heading. A server takes the place of the one before.
fn typed(desk: &Desk, commands: &[String], served: &mut Option<Served>) {
    for command in commands {
        if command.starts_with("serve ") {
            drop(served.take());
            *served = Some(desk.serve_as(command));
        } else {
            desk.says(&command.replace("FINGERPRINT", &fingerprint(desk)));
        }
    }
}

/// The organisation's, as its first root document says.
fn fingerprint(desk: &Desk) -> String {
    let Ok(document) = std::fs::read(desk.dir.path().join("root/1.json")) else { return String::new() };
    TrustState::fingerprint_of(&document).map(|digest| digest.to_string()).unwrap_or_default()
}

/// A manifest of the highest version that there can be, which the old manifest key has signed.
fn by_the_old_key(desk: &Desk) -> Vec<u8> {
    let payload = Envelope::parse(&read(desk.dir.path(), "public/v1/manifest.json"))
        .and_then(|envelope| envelope.unverified_payload())
        .expect("a payload");
    let manifest: Manifest = serde_json::from_slice(&payload).expect("a manifest");
    let absurd = Manifest { version: u64::MAX, ..manifest };
    let key = read_signing(&desk.dir.path().join("manifest.pem")).expect("the old key");
    Envelope::sign(MANIFEST_TYPE, &serde_json::to_vec(&absurd).expect("JSON"), &[&key]).to_json()
}

#[test]
fn every_command_of_the_administrators_guide_does_what_it_says() {
    let desk = Desk::new();
    let public = desk.dir.path().join("public");
    let mut served = None;
    let mut desktop: Option<TrustState> = None;
    let mut headings = Vec::new();
    for (heading, commands) in sections() {
        let stolen = (heading == "The manifest key is lost or stolen").then(|| by_the_old_key(&desk));
        if let (Some(stolen), Some(trust)) = (&stolen, &desktop) {
            desktop = Some(trust.accept_manifest(stolen, now()).expect("a thief could do this"));
        }
        typed(&desk, &commands, &mut served);
        headings.push(heading.clone());
        if !commands.iter().any(|command| command.starts_with("bundle publish")) {
            continue;
        }
        if heading == "All root keys are lost" {
            let trust = desktop.as_ref().expect("begun");
            let anew = desk.dir.path().join("public-2");
            assert!(followed(trust, &anew).is_err(), "nobody follows without the new fingerprint");
            let again = followed(&begun(&anew), &anew).expect("with it they do");
            assert_ne!(again.root().fingerprint(), begun(&public).root().fingerprint());
            continue;
        }
        let before = desktop.take().unwrap_or_else(|| begun(&public));
        let trust = followed(&before, &public).unwrap_or_else(|refusal| panic!("{heading}: {refusal}"));
        if let Some(stolen) = stolen {
            let refused = trust.accept_manifest(&stolen, now());
            assert!(matches!(refused, Err(Refusal::Envelope(_))), "{refused:?}");
        }
        desktop = Some(trust);
    }
    assert_eq!(
        headings,
        [
            "Begin",
            "Save and begin again",
            "Publish a change",
            "Shared accounts",
            "Stop something at once",
            "Answer an auditor",
            "A root key is lost",
            "The manifest key is lost or stolen",
            "The receipts key is lost",
            "All root keys are lost"
        ]
    );
    let root = desktop.as_ref().expect("begun").root();
    assert_eq!((root.version, root.epoch, root.receipt_keys().len()), (4, 2, 1));
}
