//! What somebody with a text editor does to a closed journal, and what `verify` calls it.

use super::support::*;
use crate::*;

/// A journal of five segments or more; its lines by segment, headers first.
struct Tampered {
    home: Home,
    segments: Vec<Vec<String>>,
}

impl Tampered {
    async fn new() -> Self {
        let home = Home::new();
        filled(&home, 400).await;
        let read = |path: &std::path::PathBuf| {
            let text = std::fs::read_to_string(path).unwrap();
            text.trim_end_matches('\0').lines().map(str::to_owned).collect()
        };
        let segments: Vec<Vec<String>> = home.segments().iter().map(read).collect();
        assert!(segments.len() >= 4, "{}", segments.len());
        let tampered = Self { home, segments };
        assert_eq!(tampered.write_and_verify(), [], "before");
        tampered
    }

    fn write_and_verify(&self) -> Vec<(FindingKind, u64, u64)> {
        for (path, lines) in self.home.segments().iter().zip(&self.segments) {
            std::fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        }
        self.home.findings()
    }

    /// The number of the record at `line` of segment 1.
    fn seq(&self, line: usize) -> u64 {
        AuditRecord::parse(&self.segments[1][line]).unwrap().link().seq
    }
}

#[tokio::test]
async fn edit() {
    let mut journal = Tampered::new().await;
    let seq = journal.seq(5);
    journal.segments[1][5] = journal.segments[1][5].replace("warehouse", "warehousf");
    assert_eq!(journal.write_and_verify(), [(FindingKind::Edited, seq, seq)]);
}

#[tokio::test]
async fn delete() {
    let mut journal = Tampered::new().await;
    let seq = journal.seq(5);
    journal.segments[1].drain(5..8);
    assert_eq!(journal.write_and_verify(), [(FindingKind::Removed, seq, seq + 2)]);
}

#[tokio::test]
async fn insert() {
    let mut journal = Tampered::new().await;
    let copied = journal.segments[2][9].clone();
    let seq = AuditRecord::parse(&copied).unwrap().link().seq;
    journal.segments[1].insert(5, copied);
    assert_eq!(journal.write_and_verify(), [(FindingKind::Inserted, seq, seq)]);
}

#[tokio::test]
async fn reorder() {
    let mut journal = Tampered::new().await;
    let seq = journal.seq(5);
    journal.segments[1].swap(5, 6);
    assert_eq!(journal.write_and_verify(), [(FindingKind::Reordered, seq + 1, seq + 1)]);
}

#[tokio::test]
async fn truncate_tail() {
    let mut journal = Tampered::new().await;
    let last = journal.segments.last_mut().unwrap();
    let lost = 3;
    last.truncate(last.len() - lost);
    assert_eq!(journal.write_and_verify(), [(FindingKind::Truncated, 801 - lost as u64 + 1, 801)]);
}

#[tokio::test]
async fn truncate_head() {
    let mut journal = Tampered::new().await;
    let seq = journal.seq(1);
    std::fs::remove_file(&journal.home.segments()[0]).unwrap();
    journal.segments.remove(0);
    assert_eq!(journal.write_and_verify(), [(FindingKind::Removed, 1, seq - 1)]);
}

#[tokio::test]
async fn delete_a_segment() {
    let mut journal = Tampered::new().await;
    let (from, to) = (journal.seq(1), journal.seq(journal.segments[1].len() - 1));
    std::fs::remove_file(&journal.home.segments()[1]).unwrap();
    journal.segments.remove(1);
    assert_eq!(journal.write_and_verify(), [(FindingKind::Removed, from, to)]);
}

#[tokio::test]
async fn swap_segments() {
    let mut journal = Tampered::new().await;
    journal.segments.swap(1, 2);
    let findings = journal.write_and_verify();
    assert!(findings.iter().all(|(kind, ..)| *kind == FindingKind::Reordered), "{findings:?}");
    assert_eq!(findings.len(), 3, "both names, and the records: {findings:?}");
}

#[tokio::test]
async fn change_a_header() {
    let mut journal = Tampered::new().await;
    let seq = journal.seq(1);
    journal.segments[1][0] = journal.segments[1][0].replace("\"segment\":2", "\"segment\": 2");
    assert_eq!(journal.write_and_verify(), [(FindingKind::Edited, seq, seq)]);
}

#[tokio::test]
async fn write_anew_with_digests() {
    let mut journal = Tampered::new().await;
    let from = journal.seq(5);
    // Everything from there on, as somebody who can compute digests would: only the head file knows better.
    let mut prev = AuditRecord::parse(&journal.segments[1][4]).unwrap().link().head();
    let texts: Vec<(usize, usize)> = (1..journal.segments.len())
        .flat_map(|at| (1..journal.segments[at].len()).map(move |line| (at, line)))
        .filter(|(at, line)| (*at, *line) >= (1, 5))
        .collect();
    for (at, line) in texts {
        let text = &mut journal.segments[at][line];
        let link = AuditRecord::parse(text).unwrap().link().clone();
        let personal = text.find(r#","personal":["#).map(|at| text.split_off(at));
        text.truncate(text.len() - 84 + usize::from(personal.is_some()));
        *text = text.replace(&link.prev.to_string(), &prev.digest.to_string());
        if link.seq == from {
            *text = text.replace("warehouse", "warehousf");
        }
        org_protocol::seal(text, 0);
        if let Some(personal) = personal {
            text.pop();
            text.push_str(&personal);
        }
        prev = AuditRecord::parse(text).unwrap().link().head();
    }
    assert_eq!(journal.write_and_verify(), [(FindingKind::Forked, 801, 801)]);
}
