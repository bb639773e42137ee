//! Commands that work on files alone.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use control::author::{
    self, AuthorFault, Documents, Examined, Rollback, RootPlan, SignPlan, add_signature, describe_root,
    read_private, read_public, read_signing,
};
use control::{MasterKey, Published, TransitKey};
use model::{ConnectorId, Digest};
use org_protocol::{Envelope, Root};
use os::Clock as _;
use secrecy::SecretString;
use serde_json::json;

use super::ask::Live;
use super::{Failure, RollbackArgs, RootArgs, TransitArgs, complain, said};

const DAY: Duration = Duration::from_secs(86_400);

pub(super) struct SignArgs {
    pub(super) folder: PathBuf,
    pub(super) roots: Vec<PathBuf>,
    pub(super) key: PathBuf,
    pub(super) out: PathBuf,
    pub(super) days: u32,
    pub(super) rollout: Option<u32>,
    pub(super) revoke: Vec<Digest>,
}

pub(super) fn init(folder: &Path, id: &str, json: bool) -> Result<(), Failure> {
    let files = author::init(folder, id).map_err(|(path, fault)| file_failure(&path, &fault))?;
    said(json, &files, || {
        format!("Wrote {} files to {}. Begin with README.md.", files.len(), folder.display())
    });
    Ok(())
}

pub(super) fn schema(out: &Path, json: bool) -> Result<(), Failure> {
    let files = author::write_schemas(out).map_err(|(path, fault)| file_failure(&path, &fault))?;
    said(json, &files, || format!("Wrote {} schemas to {}.", files.len(), out.display()));
    Ok(())
}

pub(super) fn new_key(file: &Path, json: bool) -> Result<(), Failure> {
    let public = author::new_key(file).map_err(Failure::new)?;
    let id = public.id();
    said(json, &json!({"id": id, "private": file}), || {
        format!("Made key {id}: {} (private) and {}.pub", file.display(), file.display())
    });
    Ok(())
}

pub(super) async fn new_master(file: &Path, transit: TransitArgs, json: bool) -> Result<(), Failure> {
    let TransitArgs { transit, address, namespace, mount, vault_token } = transit;
    let made = match (transit, address) {
        (Some(key), Some(address)) => {
            let by = TransitKey { address, namespace, mount, key };
            MasterKey::create_wrapped(file, by, vault_token.as_deref()).await
        }
        _ => MasterKey::create(file),
    };
    made.map_err(Failure::new)?;
    said(json, &json!({"master": file}), || {
        format!(
            "Made a master key: {}. Without it, stored secrets cannot be opened; keep a copy apart.",
            file.display()
        )
    });
    Ok(())
}

pub(super) fn new_root(args: &RootArgs, json: bool) -> Result<(), Failure> {
    let publics = |paths: &[PathBuf]| -> Result<Vec<_>, Failure> {
        paths.iter().map(|path| read_public(path).map_err(Failure::new)).collect()
    };
    let previous = args.previous.as_deref().map(read_root).transpose()?;
    let plan = RootPlan {
        org: args.org.clone(),
        previous,
        root_keys: publics(&args.root_keys)?,
        threshold: args.threshold,
        manifest_keys: publics(&args.manifest_keys)?,
        receipt_keys: publics(&args.receipt_keys)?,
        new_epoch: args.new_epoch,
        expires: os::SystemClock.now().plus(DAY * args.days),
    };
    let keys: Vec<_> = args
        .sign_with
        .iter()
        .map(|path| read_signing(path).map_err(Failure::new))
        .collect::<Result<_, _>>()?;
    let envelope = author::new_root(&plan, &keys).map_err(Failure::new)?;
    write(&args.out, &envelope.to_json())?;
    say_root(&envelope, json)
}

pub(super) fn sign_root(file: &Path, key: &Path, json: bool) -> Result<(), Failure> {
    let mut envelope = Envelope::parse(&read(file)?).map_err(Failure::new)?;
    add_signature(&mut envelope, &read_signing(key).map_err(Failure::new)?).map_err(Failure::new)?;
    write(file, &envelope.to_json())?;
    say_root(&envelope, json)
}

pub(super) fn show_root(file: &Path, json: bool) -> Result<(), Failure> {
    let envelope = Envelope::parse(&read(file)?).map_err(Failure::new)?;
    say_root(&envelope, json)
}

fn say_root(envelope: &Envelope, json: bool) -> Result<(), Failure> {
    let summary = describe_root(envelope).map_err(Failure::new)?;
    said(json, &summary, || summary.to_string());
    Ok(())
}

pub(super) fn check(folder: &Path, json: bool) -> Result<(), Failure> {
    let found = author::examine(folder).map_err(|faults| author_failure(&faults))?;
    let Examined { content, cases, warnings, device_claims, flagged_tools } = found;
    let notes = content.org.identity_provider.notes();
    let found = json!({
        "connectors": content.connectors.len(),
        "servers": content.servers.len(),
        "policies": content.policies.len(),
        "cases": cases,
        "notes": notes,
        "warnings": warnings,
        "device_claims": device_claims,
        "flagged_tools": flagged_tools,
    });
    said(json, &found, || {
        let counts = format!(
            "Good: {}, {}, {}; {} of the policies hold.",
            counted(content.connectors.len(), "connector"),
            counted(content.servers.len(), "virtual server"),
            counted(content.policies.len(), "policy file"),
            counted(cases, "test"),
        );
        std::iter::once(counts)
            .chain(notes.iter().map(|note| format!("Note: {note}")))
            .chain(warnings.iter().map(|warning| format!("Warning: {warning}")))
            .chain(device_claims.iter().map(|claim| format!("Warning: {claim}")))
            .chain(flagged_tools.iter().map(|tool| format!("Warning: {tool}")))
            .collect::<Vec<_>>()
            .join("\n")
    });
    Ok(())
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(super) fn sign(args: &SignArgs, json: bool) -> Result<(), Failure> {
    let content = author::check(&args.folder).map_err(|faults| author_failure(&faults))?;
    let manifest = args.out.join("v1/manifest.json");
    let roots: Vec<Vec<u8>> = args.roots.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let mut revoke = BTreeSet::new();
    for digest in &args.revoke {
        revoke.extend(author::in_every_format(&args.out, *digest, &roots).map_err(Failure::new)?);
    }
    let plan = SignPlan {
        roots,
        previous: manifest.exists().then(|| read(&manifest)).transpose()?,
        rollout: args.rollout,
        revoke,
        valid_for: DAY * args.days,
        key: read_signing(&args.key).map_err(Failure::new)?,
        now: os::SystemClock.now(),
    };
    let documents = author::sign(&content, &plan).map_err(Failure::new)?;
    documents.write(&args.out).map_err(|(path, fault)| file_failure(&path, &fault))?;
    let Documents(documents) = documents;
    let paths: Vec<&String> = documents.keys().collect();
    said(json, &paths, || format!("Signed {} documents into {}.", paths.len(), args.out.display()));
    Ok(())
}

pub(super) fn rollback(args: &RollbackArgs, json: bool) -> Result<(), Failure> {
    let digest = match args.to.parse() {
        Ok(digest) => digest,
        Err(_) => Digest::of(&read(Path::new(&args.to))?),
    };
    let plan = SignPlan {
        roots: args.roots.iter().map(|path| read(path)).collect::<Result<_, _>>()?,
        previous: None,
        rollout: None,
        revoke: BTreeSet::new(),
        valid_for: DAY * args.days,
        key: read_signing(&args.key).map_err(Failure::new)?,
        now: os::SystemClock.now(),
    };
    let back = author::rollback(&args.folder, digest, &plan).map_err(Failure::new)?;
    back.documents.write(&args.folder).map_err(|(path, fault)| file_failure(&path, &fault))?;
    let Rollback { signed, content_of, differences, documents: _ } = back;
    said(json, &json!({"signed": signed, "content_of": content_of, "differences": differences}), || {
        let lines = differences.iter().map(|one| format!("\n  {one}")).collect::<String>();
        let (new, old) = (signed.version, content_of.version);
        format!(
            "Signed version {new} with the content of version {old}, of {}. Against what was signed last:{lines}\n\
             Publish it with `bundle publish`. Take the change back in the authored folder too: the next `bundle sign` signs what is there.",
            content_of.issued
        )
    });
    Ok(())
}

/// The documents of a signed folder.
pub(super) fn read_signed(folder: &Path) -> Result<Documents, Failure> {
    Documents::read(folder).map_err(|(path, fault)| file_failure(&path, &fault))
}

/// What a signed folder holds.
pub(super) fn signed(folder: &Path) -> Result<Live, Failure> {
    let (published, content) = author::signed_content(&read_signed(folder)?).map_err(Failure::new)?;
    Ok(Live { published, content, halts: Vec::new(), hit: Vec::new(), people: Vec::new() })
}

pub(super) fn diff(folder: &Path, live: &Live, json: bool) -> Result<ExitCode, Failure> {
    let Live { published, content: live, halts, hit, people } = live;
    let content = author::check(folder).map_err(|faults| author_failure(&faults))?;
    let found = author::differences(live, &content);
    let unsaid = author::unsaid(halts, hit, &content);
    let changes = if found.is_empty() {
        None
    } else {
        author::access_change(live, &content, people, os::SystemClock.now())
    };
    let report =
        json!({"against": published, "differences": found, "access": changes, "halted_only": unsaid});
    said(json, &report, || {
        let Published { org, version, epoch, .. } = published;
        let against = format!("version {version} (epoch {epoch}) of {org}");
        let count = match found.len() {
            0 => format!("Nothing differs from {against}."),
            count => format!("{} from {against}:", counted(count, "difference")),
        };
        let lines = found.iter().map(|one| format!("\n  {one}")).collect::<String>();
        let access = changes.as_ref().map(|changes| format!("\n{changes}")).unwrap_or_default();
        let stopped = unsaid.iter().map(|one| format!("\n  {}", super::halt::line(one))).collect::<String>();
        let heading = "\nStopped by administrators, and not by this folder yet:";
        let signed = super::ask::author_lines(published);
        format!("{count}{lines}{access}{}{stopped}{signed}", if unsaid.is_empty() { "" } else { heading })
    });
    Ok(ExitCode::from(u8::from(!found.is_empty() || !unsaid.is_empty())))
}

pub(super) async fn pin(
    folder: &Path,
    connector: &ConnectorId,
    credential: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    let secret = credential.map(read_secret).transpose()?;
    let pinned = author::pin(folder, connector, secret.as_ref()).await.map_err(Failure::new)?;
    said(json, &pinned, || {
        let mut text = format!("{}: {} tools", pinned.file.display(), pinned.tools);
        if let Some(beside) = &pinned.definitions {
            text.push_str(&format!(
                "\n{}: its prompts, resource templates and instructions",
                beside.display()
            ));
        }
        let kinds = [
            ("new", &pinned.added),
            ("changed", &pinned.changed),
            ("gone", &pinned.removed),
            ("left out", &pinned.left_out),
        ];
        for (kind, names) in kinds {
            if !names.is_empty() {
                text.push_str(&format!("\n  {kind}: {}", names.join(", ")));
            }
        }
        text
    });
    Ok(())
}

/// Reads a secret from a file that nobody else may read; `-` is standard input. A line end at its end is not part of it.
pub(super) fn read_secret(path: &Path) -> Result<SecretString, Failure> {
    let text = if path == Path::new("-") {
        if std::io::stdin().is_terminal() {
            complain(
                "Paste the secret, press Enter, then Ctrl-D. It can be seen here; a file or a pipe hides it.",
            );
        }
        let mut text = String::new();
        let read = std::io::stdin().take(1024 * 1024).read_to_string(&mut text);
        read.map_err(|fault| file_failure(path, &fault))?;
        text
    } else {
        read_private(path).map_err(Failure::new)?
    };
    let text = zeroize::Zeroizing::new(text);
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

fn read_root(path: &Path) -> Result<Root, Failure> {
    let payload = Envelope::parse(&read(path)?).and_then(|envelope| envelope.unverified_payload());
    Root::parse(&payload.map_err(Failure::new)?).map_err(Failure::new)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|fault| file_failure(path, &fault))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, bytes)).map_err(|fault| file_failure(path, &fault))
}

fn file_failure(path: &Path, fault: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {fault}", path.display()))
}

fn author_failure(faults: &[AuthorFault]) -> Failure {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Failure::new(lines.join("\n"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_secret_is_not_taken_from_a_file_that_others_may_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, "s3cret\r\n").expect("written");
        let allow =
            |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        allow(0o640);
        let refused = read_secret(&path).map(drop).expect_err("refused");
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
        allow(0o600);
        assert_eq!(read_secret(&path).expect("taken").expose_secret(), "s3cret");
    }
}
