//! Segment files: lines of JSON, the first a header, the rest records; then zero bytes up to the file's end.
//!
//! There is no framing beside the line end and no checksum beside the record's own digest, so that a segment can be
//! read and checked with a text tool.

use std::io;
use std::path::{Path, PathBuf};

use model::{DeviceId, Digest};
use org_protocol::{CallContext, seal, sealed_digest, to_one_line};
use serde::{Deserialize, Serialize};

use crate::fault::JournalFault;

/// The format version of segments that this program writes. Format 1, which is read as well, holds records of format 1 alone: a program
/// that knows no other leaves a segment of this format as it is and begins another chain.
const SEGMENT_FORMAT: u32 = 2;
const FIRST_FORMAT: u32 = 1;

const EXTENSION: &str = ".ndjson";

/// A segment's file name: its epoch and its first record. In the order of names, segments are in the order of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    pub(crate) epoch: u64,
    pub(crate) first_seq: u64,
}

impl SegmentName {
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{:016}-{:012}{EXTENSION}", self.epoch, self.first_seq))
    }

    fn parse(name: &str) -> Option<Self> {
        let (epoch, first_seq) = name.strip_suffix(EXTENSION)?.split_once('-')?;
        Some(Self { epoch: epoch.parse().ok()?, first_seq: first_seq.parse().ok()? })
    }
}

/// The segments in `dir` in order; none where there is no such directory.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<SegmentName>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().to_str().and_then(SegmentName::parse));
    }
    names.sort_unstable();
    Ok(names)
}

/// The first line of a segment, sealed as a record is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentHeader {
    segment: u32,
    pub(crate) device: DeviceId,
    pub(crate) epoch: u64,
    pub(crate) first_seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) org: Option<String>,
    /// Whose signature checkpoints have: a verifier key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint_key: Option<String>,
    /// Calls whose intents lie in earlier segments and whose outcomes do not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) open: Vec<CallContext>,
    /// Written by [`seal`], not with the rest.
    #[serde(default, skip_serializing)]
    digest: Option<Digest>,
}

impl SegmentHeader {
    pub(crate) fn new(
        device: DeviceId,
        org: Option<String>,
        checkpoint_key: String,
        name: SegmentName,
        open: Vec<CallContext>,
    ) -> Self {
        Self {
            segment: SEGMENT_FORMAT,
            device,
            epoch: name.epoch,
            first_seq: name.first_seq,
            org,
            checkpoint_key: Some(checkpoint_key),
            open,
            digest: None,
        }
    }

    /// Whether records of today may be written into the segment.
    pub(crate) fn is_current(&self) -> bool {
        self.segment == SEGMENT_FORMAT
    }

    /// The same without the people of those calls of which `is_erased` says so. `None` where there is none.
    pub(crate) fn without_people(&self, is_erased: impl Fn(&CallContext) -> bool) -> Option<Self> {
        let mut header = self.clone();
        header.open.iter_mut().filter(|call| is_erased(call)).for_each(CallContext::forget_person);
        (header.open != self.open).then_some(header)
    }

    /// The line with its line end.
    pub(crate) fn line(&self) -> Result<String, serde_json::Error> {
        let mut line = to_one_line(self)?;
        line.pop(); // the closing brace comes back with the digest
        seal(&mut line, 0);
        line.push('\n');
        Ok(line)
    }

    /// Reads a line. The fault is for people.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let header: Self =
            serde_json::from_str(line).map_err(|fault| format!("its header cannot be read: {fault}"))?;
        if !(FIRST_FORMAT..=SEGMENT_FORMAT).contains(&header.segment) {
            return Err(format!("it has format {}, which this version cannot read", header.segment));
        }
        if header.digest.is_none() || header.digest != sealed_digest(line) {
            return Err("its header does not match its digest".to_owned());
        }
        Ok(header)
    }
}

/// A segment's bytes in memory.
pub(crate) struct Segment {
    bytes: Vec<u8>,
}

/// A piece of a segment: a line without its end, or what is at the end without being a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A complete line, and where the next begins.
    Line { text: &'a str, end: u64 },
    /// A complete line that is not even text.
    Garbage { bytes: &'a [u8] },
    /// Bytes after the last line that are not all zero.
    Torn { bytes: &'a [u8] },
}

impl Piece<'_> {
    /// Whether it has bytes that were never written. A segment is full of zeros before; where the operating system crashes, later
    /// parts of what was being written may be on the disk without earlier ones.
    pub(crate) fn has_a_hole(&self) -> bool {
        match self {
            Self::Line { text, .. } => text.contains('\0'),
            Self::Garbage { bytes, .. } | Self::Torn { bytes } => bytes.contains(&0),
        }
    }

    /// Writes it as it stands.
    pub(crate) fn push_into(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Line { text, .. } => bytes.extend_from_slice(text.as_bytes()),
            Self::Garbage { bytes: garbage } => bytes.extend_from_slice(garbage),
            Self::Torn { bytes: torn } => return bytes.extend_from_slice(torn),
        }
        bytes.push(b'\n');
    }

    /// How many bytes it takes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Line { text, .. } => text.len() as u64 + 1,
            Self::Garbage { bytes, .. } => bytes.len() as u64 + 1,
            Self::Torn { bytes } => bytes.len() as u64,
        }
    }
}

impl Segment {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Ok(Self { bytes: std::fs::read(path)? })
    }

    /// The segment at `path`; none where it has been pruned since it was listed.
    pub(crate) fn read_unless_pruned(path: &Path) -> Result<Option<Self>, JournalFault> {
        match Self::read(path) {
            Ok(segment) => Ok(Some(segment)),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(JournalFault::storage(path, fault)),
        }
    }

    /// The header line alone, without reading the rest.
    pub(crate) fn read_header(path: &Path) -> io::Result<Result<SegmentHeader, String>> {
        use std::io::BufRead as _;
        let mut line = Vec::new();
        io::BufReader::new(std::fs::File::open(path)?).read_until(b'\n', &mut line)?;
        Ok(match std::str::from_utf8(&line) {
            Ok(line) => SegmentHeader::parse(line.trim_end_matches('\n')),
            Err(_) => Err("its header is not text".to_owned()),
        })
    }

    /// What is after `offset`, up to the last byte that is not zero.
    pub(crate) fn used_from(&self, offset: u64) -> &[u8] {
        let rest =
            usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..)).unwrap_or_default();
        let used = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        rest.get(..used).unwrap_or_default()
    }

    pub(crate) fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The pieces in order, the header first.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        Pieces { bytes: &self.bytes, at: 0 }
    }
}

pub(crate) struct Pieces<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Pieces<'_> {
    /// Skips up to `count` lines without looking at them.
    pub(crate) fn skip_lines(&mut self, count: u64) {
        for _ in 0..count {
            let Some(length) = self.rest().iter().position(|byte| *byte == b'\n') else { return };
            self.at += length + 1;
        }
    }
}

impl<'a> Pieces<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let rest = self.rest();
        // Zeros to the end are the room that is left; this is looked at only where a line cannot begin.
        if rest.first().is_none_or(|byte| *byte == 0) && rest.iter().all(|byte| *byte == 0) {
            return None;
        }
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(length) => {
                self.at += length + 1;
                let end = self.at as u64;
                let line = rest.get(..length).unwrap_or_default();
                Some(match std::str::from_utf8(line) {
                    Ok(text) => Piece::Line { text, end },
                    Err(_) => Piece::Garbage { bytes: line },
                })
            }
            None => {
                self.at = self.bytes.len();
                let used = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                Some(Piece::Torn { bytes: rest.get(..used).unwrap_or_default() })
            }
        }
    }
}
