//! Whether a program let a secret out: into a file of its folders, into its log, into the arguments or the environment
//! of a program that it started. Looked for at the end of every program that is under test, whatever the test is about.
//!
//! Secrets are known by their form (tokens of Deskgate's own, signed tokens), or were planted here by whoever handed
//! them out: passwords, shared accounts, what the identity provider issued.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Larger files are not read: nothing under test writes any, and benches do.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Lines by which a counterpart tells in its log what it issued: `secret <what> <value>`.
const ISSUED: &str = "secret ";

/// The shortest secret that is told from ordinary text.
const SHORTEST: usize = 8;

static PLANTED: Mutex<Planted> = Mutex::new(Planted { secrets: Vec::new(), logs: Vec::new() });

struct Planted {
    secrets: Vec<Secret>,
    /// Logs of counterparts that tell what they issue.
    logs: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Secret {
    what: String,
    value: String,
}

/// From here on, no program under test may show this.
pub(crate) fn plant(what: &str, value: &str) {
    let secret = Secret { what: what.to_owned(), value: value.to_owned() };
    let mut planted = planted();
    if value.len() >= SHORTEST && !planted.secrets.contains(&secret) {
        planted.secrets.push(secret);
    }
}

/// From here on, no program under test may show what this log says was issued.
pub(crate) fn plant_from(log: PathBuf) {
    planted().logs.push(log);
}

fn planted() -> MutexGuard<'static, Planted> {
    PLANTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What of the planted secrets, of those in `more` (what each is, and its bytes) and of tokens by their form can be read in the files
/// below `folder`: as it is, and in base64 or hexadecimal digits, also within something longer.
pub fn readable_secrets(folder: &Path, more: &[(&str, &[u8])]) -> Vec<String> {
    let search = Search::prepare();
    let planted = search.secrets.iter().map(|secret| (secret.what.as_str(), secret.value.as_bytes()));
    let forms: Vec<(&str, Vec<u8>)> = planted
        .chain(more.iter().copied())
        .flat_map(|(what, value)| encoded(value).into_iter().map(move |form| (what, form)))
        .collect();
    let Ok(patterns) = AhoCorasick::new(forms.iter().map(|(_, form)| form)) else {
        return vec!["nothing can be looked for".to_owned()];
    };
    let mut found =
        Guard { folders: vec![folder.to_owned()], lends_to_children: false }.look_at_files(folder);
    for (path, bytes) in files_below(folder) {
        let hits =
            patterns.find_overlapping_iter(&bytes).filter_map(|hit| forms.get(hit.pattern().as_usize()));
        found.extend(hits.map(|(what, _)| format!("{what} is readable in {}", path.display())));
    }
    found
}

fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => files.extend(std::fs::read(entry.path()).ok().map(|bytes| (entry.path(), bytes))),
                Err(_) => {}
            }
        }
    }
    files
}

/// The bytes as they are, in hexadecimal digits, and the letters of base64 that say them wherever they begin.
fn encoded(value: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![value.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    for before in 0..3_usize {
        let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(value.iter().copied()).collect();
        for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            let whole = (before * 8).div_ceil(6)..padded.len() * 8 / 6;
            forms.extend(text.get(whole).map(|form| form.as_bytes().to_vec()));
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// What is looked at, for one program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard {
    /// Everything below.
    pub(crate) folders: Vec<PathBuf>,
    /// Whether its children may have secrets in their environment, and nowhere else.
    pub(crate) lends_to_children: bool,
}

impl Guard {
    /// What the running program `id` and those that it started show of themselves.
    pub(crate) fn look_at_programs(&self, id: u32) -> Vec<String> {
        let search = Search::prepare();
        let mut found = Vec::new();
        for (id, own) in descendants(id) {
            found.extend(search.file(&PathBuf::from(format!("/proc/{id}/cmdline"))));
            if own || !self.lends_to_children {
                found.extend(search.file(&PathBuf::from(format!("/proc/{id}/environ"))));
            }
        }
        found
    }

    /// What lies in the program's files.
    pub(crate) fn look_at_files(&self, log: &Path) -> Vec<String> {
        let search = Search::prepare();
        let mut found: Vec<String> = search.file(log).into_iter().collect();
        let mut folders = self.folders.clone();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) if kind.is_file() => found.extend(search.file(&entry.path())),
                    Ok(_) | Err(_) => {}
                }
            }
        }
        found
    }
}

/// The program itself, and all that descend from it.
fn descendants(id: u32) -> Vec<(u32, bool)> {
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, parent_of(id)?)))
        .collect();
    let mut family = vec![(id, true)];
    let mut next = 0;
    while let Some((parent, _)) = family.get(next).copied() {
        next += 1;
        family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(child, _)| (*child, false)));
    }
    family
}

fn parent_of(id: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it may hold anything, brackets too.
    status.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The beginnings of what is known by its form.
const FORMS: [&str; 6] = ["dga_", "dgr_", "dgc_", "dgs_", "dgo_", "eyJ"];

struct Search {
    secrets: Vec<Secret>,
    /// The forms, then the secrets.
    patterns: Option<AhoCorasick>,
}

impl Search {
    fn prepare() -> Self {
        let planted = planted();
        let mut secrets = planted.secrets.clone();
        for log in &planted.logs {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            secrets.extend(text.lines().filter_map(issued));
        }
        let patterns = FORMS.iter().copied().chain(secrets.iter().map(|secret| secret.value.as_str()));
        let patterns = AhoCorasick::new(patterns).ok();
        Self { secrets, patterns }
    }

    fn file(&self, path: &Path) -> Option<String> {
        if std::fs::metadata(path).ok()?.len() > LARGEST {
            return None;
        }
        let bytes = std::fs::read(path).ok()?;
        Some(format!("{} is readable in {}", self.first(&bytes)?, path.display()))
    }

    fn first(&self, bytes: &[u8]) -> Option<String> {
        let patterns = self.patterns.as_ref()?;
        patterns.find_overlapping_iter(bytes).find_map(|hit| {
            let rest = bytes.get(hit.start()..)?;
            match FORMS.get(hit.pattern().as_usize()) {
                Some(&"eyJ") => is_signed_token(rest).then(|| "a signed token".to_owned()),
                Some(form) => is_own_token(rest, form.len()).then(|| format!("a token {form}…")),
                None => {
                    let secret = self.secrets.get(hit.pattern().as_usize() - FORMS.len())?;
                    Some(secret.what.clone())
                }
            }
        })
    }
}

fn issued(line: &str) -> Option<Secret> {
    let (what, value) = line.strip_prefix(ISSUED)?.split_once(' ')?;
    (value.len() >= SHORTEST).then(|| Secret { what: what.to_owned(), value: value.to_owned() })
}

/// Deskgate's own: a prefix and at least 256 random bits (base64url).
fn is_own_token(bytes: &[u8], prefix: usize) -> bool {
    token_letters(bytes.get(prefix..).unwrap_or_default()) >= 43
}

/// A JWS in its compact form (RFC 7515, section 7.1): header, payload and signature, the first two of them JSON.
fn is_signed_token(bytes: &[u8]) -> bool {
    let header = token_letters(bytes);
    let Some(payload) = bytes.get(header..).and_then(|rest| rest.strip_prefix(b".")) else { return false };
    let length = token_letters(payload);
    let signature = payload.get(length..).and_then(|rest| rest.strip_prefix(b"."));
    payload.starts_with(b"eyJ") && signature.is_some_and(|signature| token_letters(signature) >= 32)
}

fn token_letters(bytes: &[u8]) -> usize {
    let other = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    bytes.iter().position(other).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Spec;

    fn search(text: &str) -> Option<String> {
        Search::prepare().first(text.as_bytes())
    }

    #[test]
    fn tokens_are_known_by_their_form_and_other_words_are_not() {
        let letters = "Ab3-_".repeat(10);
        assert!(search(&format!("x dga_{letters}")).is_some());
        assert!(search(&format!("Bearer eyJ{letters}.eyJ{letters}.{letters}\"")).is_some());
        assert_eq!(search("dga_ is how they begin, dga_short"), None);
        // A signed document of the organisation: base64 of JSON, and no more.
        assert_eq!(search(&format!("\"payload\":\"eyJ{letters}\"")), None);
        assert_eq!(search(&format!("eyJ{letters}.eyJ{letters}")), None, "half a token is none");
    }

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        use base64::engine::general_purpose::STANDARD;
        let folder = tempfile::tempdir().expect("a folder");
        let (file, secret) = (folder.path().join("file"), b"some-bytes-\x00\xff");
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        for before in ["", "a", "ab"] {
            let longer = [before.as_bytes(), secret, b"more"].concat();
            for text in [longer.clone(), STANDARD.encode(&longer).into_bytes(), hex.clone().into_bytes()] {
                std::fs::write(&file, text).expect("written");
                assert!(!readable_secrets(folder.path(), &[("bytes", secret)]).is_empty());
            }
        }
        std::fs::write(&file, "nothing").expect("written");
        assert_eq!(readable_secrets(folder.path(), &[("bytes", secret)]), [] as [String; 0]);
        std::fs::write(&file, format!("dga_{}", "a".repeat(43))).expect("written");
        assert_eq!(readable_secrets(folder.path(), &[]).len(), 1, "tokens by their form");
    }

    #[tokio::test]
    async fn a_secret_is_found_in_a_log_a_file_the_arguments_and_the_environment() {
        const PASSWORD: &str = "planted-in-the-canarys-own-test";
        plant("a password", PASSWORD);
        let folder = tempfile::tempdir().expect("a folder");
        let guard = Guard { folders: vec![folder.path().to_owned()], lends_to_children: false };
        let started = |script: &str, value: &str| {
            Spec::new("shell", "/bin/sh")
                .args(["-c", script, value])
                .env("VALUE", value)
                .start()
                .expect("a shell")
        };
        let mut open = started("echo out; sleep 600", PASSWORD);
        open.ready_line("out", Duration::from_secs(60)).await.expect("it runs");
        let shown = guard.look_at_programs(open.id());
        for place in ["/cmdline", "/environ"] {
            assert!(shown.iter().any(|found| found.ends_with(place)), "{place}: {shown:?}");
        }
        let mut closed = started("echo out; sleep 600", "nothing");
        closed.ready_line("out", Duration::from_secs(60)).await.expect("it runs");
        assert_eq!(guard.look_at_programs(closed.id()), [] as [String; 0]);

        let log = folder.path().join("log");
        std::fs::write(&log, "nothing").expect("written");
        assert_eq!(guard.look_at_files(&log), [] as [String; 0]);
        std::fs::create_dir(folder.path().join("below")).expect("made");
        std::fs::write(folder.path().join("below/file"), format!("x{PASSWORD}x")).expect("written");
        assert_eq!(guard.look_at_files(&log).len(), 1);
        std::fs::write(&log, PASSWORD).expect("written");
        assert_eq!(guard.look_at_files(&log).len(), 3, "the log lies in the folder too");
    }
}
