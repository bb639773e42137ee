//! The sealed files of one vault, and the sealed index that makes a missing or an old one visible.
//!
//! `<kind>/<sha256 of key>` is one record; `index` lists every record with its generation. Each write takes the next
//! generation. A record is written before the index and removed after it, so that a crash in between leaves something
//! that can be told from tampering: a record newer than the index is an unfinished write, an unlisted older one an
//! unfinished removal. Whoever puts back the whole directory, index and all, is not noticed here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Digest;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::seal::{Place, RootKey};
use crate::{Finding, Kind, SecretBytes, VaultFault};

const INDEX: &str = "index";
const FORMAT: u32 = 1;

pub(crate) struct Store {
    dir: PathBuf,
    root: Arc<RootKey>,
    index: Index,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    format: u32,
    generation: u64,
    // By the kind's name: a version that knows more kinds may have written here.
    records: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Store {
    /// Opens the files in `dir` and checks every one of them. What is wrong is set aside and told in `findings`.
    pub(crate) fn open(
        dir: &Path,
        root: Arc<RootKey>,
        findings: &mut Vec<Finding>,
    ) -> Result<Self, VaultFault> {
        let mut store = Self { dir: dir.to_owned(), root, index: Index::empty() };
        store.sweep(dir)?;
        let (known, damaged) = match store.read_index()? {
            IndexFile::Absent => (None, false),
            IndexFile::Damaged => (None, true),
            IndexFile::Read(index) => (Some(index), false),
        };
        let mut present = known.as_ref().map_or_else(Index::empty, Index::of_unknown_kinds);
        for kind in Kind::ALL {
            store.survey(kind, known.as_ref(), &mut present, findings)?;
        }
        match &known {
            Some(known) => known.report_missing(&present, findings),
            None if damaged || !present.is_empty() => findings.push(Finding::IndexLost),
            None => {}
        }
        let changed = known.as_ref() != Some(&present);
        store.index = present;
        if changed {
            store.index.generation += 1;
            store.write_index()?;
        }
        Ok(store)
    }

    /// Whether `dir` has anything that a key was used for.
    pub(crate) fn holds_sealed_files(dir: &Path) -> io::Result<bool> {
        if dir.join(INDEX).try_exists()? {
            return Ok(true);
        }
        for kind in Kind::ALL {
            if file_names(&dir.join(kind.name()))?.iter().any(|name| is_record(name)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn put(&mut self, kind: Kind, key: &str, value: &[u8]) -> Result<(), VaultFault> {
        let generation = self.index.generation + 1;
        let name = record_name(key);
        let plain = pack(key, value);
        let sealed = self.root.seal(&Place { kind: kind.name(), name: &name }, generation, &plain);
        os::create_private_dir(&self.kind_dir(kind)).map_err(VaultFault::Disk)?;
        os::write_durable(&self.kind_dir(kind).join(name), &sealed).map_err(VaultFault::Disk)?;
        self.index.insert(kind, key.to_owned(), generation);
        self.index.generation = generation;
        if let Err(fault) = self.write_index() {
            // The record is durable and newer than the index on disk: the next opening takes it up.
            tracing::warn!(%fault, "the vault's index is behind");
        }
        Ok(())
    }

    pub(crate) fn get(
        &mut self,
        kind: Kind,
        key: &str,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<SecretBytes>, VaultFault> {
        let Some(listed) = self.index.generation_of(kind, key) else { return Ok(None) };
        let name = record_name(key);
        let path = self.kind_dir(kind).join(&name);
        let finding = match fs::read(&path) {
            Ok(bytes) => match self.unseal(kind, &name, &bytes) {
                Some(record) if record.generation >= listed => return Ok(Some(record.value)),
                Some(_) => Finding::RolledBack { kind, key: key.to_owned(), aside: aside(&path)? },
                None => Finding::Damaged { kind, key: Some(key.to_owned()), aside: aside(&path)? },
            },
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                Finding::Missing { kind, key: key.to_owned() }
            }
            Err(fault) => return Err(VaultFault::Disk(fault)),
        };
        findings.push(finding);
        self.unlist(kind, key)?;
        Err(VaultFault::Damaged { kind })
    }

    pub(crate) fn delete(&mut self, kind: Kind, key: &str) -> Result<(), VaultFault> {
        if self.index.generation_of(kind, key).is_none() {
            return Ok(());
        }
        self.unlist(kind, key)?;
        os::remove_durable(&self.kind_dir(kind).join(record_name(key))).map_err(VaultFault::Disk)
    }

    pub(crate) fn list(&self, kind: Kind) -> Vec<String> {
        self.index
            .records
            .get(kind.name())
            .map(|records| records.keys().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) fn contains(&self, kind: Kind, key: &str) -> bool {
        self.index.generation_of(kind, key).is_some()
    }

    fn unlist(&mut self, kind: Kind, key: &str) -> Result<(), VaultFault> {
        let before = self.index.clone();
        if let Some(records) = self.index.records.get_mut(kind.name()) {
            records.remove(key);
        }
        self.index.generation += 1;
        self.write_index().inspect_err(|_| self.index = before)
    }

    // Temporary files of a crash.
    fn sweep(&self, dir: &Path) -> Result<(), VaultFault> {
        for name in file_names(dir).map_err(VaultFault::Disk)? {
            if os::is_leftover(name.as_ref()) {
                os::remove_durable(&dir.join(name)).map_err(VaultFault::Disk)?;
            }
        }
        Ok(())
    }

    fn survey(
        &self,
        kind: Kind,
        known: Option<&Index>,
        present: &mut Index,
        findings: &mut Vec<Finding>,
    ) -> Result<(), VaultFault> {
        let dir = self.kind_dir(kind);
        self.sweep(&dir)?;
        for name in file_names(&dir).map_err(VaultFault::Disk)? {
            if !is_record(&name) {
                continue;
            }
            let path = dir.join(&name);
            let Some(record) = fs::read(&path).ok().and_then(|bytes| self.unseal(kind, &name, &bytes)) else {
                let key = known.and_then(|index| index.key_named(kind, &name));
                findings.push(Finding::Damaged { kind, key, aside: aside(&path)? });
                continue;
            };
            match known.map(|index| (index.generation_of(kind, &record.key), index.generation)) {
                Some((Some(listed), _)) if record.generation < listed => {
                    findings.push(Finding::RolledBack { kind, key: record.key, aside: aside(&path)? });
                }
                Some((None, newest)) if record.generation <= newest => {
                    tracing::warn!(%kind, "a removed vault record was still there");
                    os::remove_durable(&path).map_err(VaultFault::Disk)?;
                }
                Some(_) | None => {
                    present.generation = present.generation.max(record.generation);
                    present.insert(kind, record.key, record.generation);
                }
            }
        }
        Ok(())
    }

    fn unseal(&self, kind: Kind, name: &str, bytes: &[u8]) -> Option<Record> {
        let (generation, plain) = self.root.open(&Place { kind: kind.name(), name }, bytes)?;
        let (key, value) = unpack(&plain)?;
        (record_name(key) == name).then(|| Record { generation, key: key.to_owned(), value: value.into() })
    }

    fn read_index(&self) -> Result<IndexFile, VaultFault> {
        let path = self.dir.join(INDEX);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(IndexFile::Absent),
            Err(fault) => return Err(VaultFault::Disk(fault)),
        };
        let index = self
            .root
            .open(&INDEX_PLACE, &bytes)
            .and_then(|(_, plain)| serde_json::from_slice::<Index>(&plain).ok())
            .filter(|index| index.format == FORMAT);
        match index {
            Some(index) => Ok(IndexFile::Read(index)),
            None => aside(&path).map(|_| IndexFile::Damaged),
        }
    }

    fn write_index(&self) -> Result<(), VaultFault> {
        let plain = serde_json::to_vec(&self.index).map_err(|fault| VaultFault::Disk(fault.into()))?;
        let sealed = self.root.seal(&INDEX_PLACE, self.index.generation, &plain);
        os::write_durable(&self.dir.join(INDEX), &sealed).map_err(VaultFault::Disk)
    }

    fn kind_dir(&self, kind: Kind) -> PathBuf {
        self.dir.join(kind.name())
    }
}

impl Index {
    fn empty() -> Self {
        Self { format: FORMAT, generation: 0, records: BTreeMap::new() }
    }

    fn of_unknown_kinds(&self) -> Self {
        let mut rest = self.clone();
        rest.records.retain(|name, _| Kind::ALL.iter().all(|kind| kind.name() != name));
        rest
    }

    fn insert(&mut self, kind: Kind, key: String, generation: u64) {
        self.records.entry(kind.name().to_owned()).or_default().insert(key, generation);
    }

    fn is_empty(&self) -> bool {
        self.records.values().all(BTreeMap::is_empty)
    }

    fn generation_of(&self, kind: Kind, key: &str) -> Option<u64> {
        self.records.get(kind.name())?.get(key).copied()
    }

    fn key_named(&self, kind: Kind, name: &str) -> Option<String> {
        self.records.get(kind.name())?.keys().find(|key| record_name(key) == name).cloned()
    }

    // What was found damaged or rolled back has been told already.
    fn report_missing(&self, present: &Self, findings: &mut Vec<Finding>) {
        for kind in Kind::ALL {
            let listed = self.records.get(kind.name()).into_iter().flat_map(BTreeMap::keys);
            for key in listed.filter(|key| present.generation_of(kind, key).is_none()) {
                let told = findings.iter().any(|finding| finding.concerns(kind, key));
                if !told {
                    findings.push(Finding::Missing { kind, key: key.clone() });
                }
            }
        }
    }
}

const INDEX_PLACE: Place<'static> = Place { kind: INDEX, name: INDEX };

enum IndexFile {
    Absent,
    Damaged,
    Read(Index),
}

struct Record {
    generation: u64,
    key: String,
    value: SecretBytes,
}

fn record_name(key: &str) -> String {
    Digest::of(key.as_bytes()).hex()
}

fn is_record(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

// The key's length (4 bytes, big endian), the key, the value.
fn pack(key: &str, value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(4 + key.len() + value.len()));
    plain.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
    plain.extend_from_slice(key.as_bytes());
    plain.extend_from_slice(value);
    plain
}

fn unpack(plain: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = plain.split_first_chunk::<4>()?;
    let (key, value) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((std::str::from_utf8(key).ok()?, value))
}

fn aside(path: &Path) -> Result<PathBuf, VaultFault> {
    os::set_aside(path).map_err(VaultFault::Disk)
}

// Sorted, so that findings come in a stable order. A directory that is not there has no files.
fn file_names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_a_later_versions_kinds_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = Arc::new(RootKey::generate());
        let open = || {
            let mut findings = Vec::new();
            let store = Store::open(dir.path(), Arc::clone(&root), &mut findings).unwrap();
            assert_eq!(findings, []);
            store
        };
        let mut later = open();
        later.put(Kind::Grant, "mail", b"known").unwrap();
        later.index.records.insert("hologram".to_owned(), BTreeMap::from([("x".to_owned(), 1)]));
        later.write_index().unwrap();

        open().put(Kind::Grant, "chat", b"written by the earlier version").unwrap();

        assert_eq!(open().index.records["hologram"], BTreeMap::from([("x".to_owned(), 1)]));
        assert_eq!(open().list(Kind::Grant), ["chat", "mail"]);
    }
}
