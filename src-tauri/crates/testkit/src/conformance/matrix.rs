//! The matrix as it is printed.

use std::fmt;

use crate::verdict::{Verdict, Weight};

/// The verdicts of all cells, in order.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    cells: Vec<Cell>,
}

#[derive(Debug)]
struct Cell {
    name: String,
    kind: Kind,
    verdict: Verdict,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Without the gateway, in the era that is spoken there: whatever fails is our own fault.
    Clean,
    /// Without the gateway, for comparison only.
    Compared,
    /// Through the gateway.
    Through,
}

/// No suite message needs to be read whole here: the results are kept.
const WORDS: usize = 240;

impl Matrix {
    /// Adds a cell.
    pub(crate) fn add(&mut self, name: impl Into<String>, kind: Kind, verdict: Verdict) {
        self.cells.push(Cell { name: name.into(), kind, verdict });
    }

    /// Whether no failure counts.
    pub(crate) fn is_clean(&self) -> bool {
        self.counted().all(|cell| cell.verdict.failed() == 0)
    }

    fn counted(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.kind != Kind::Compared)
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<36} {:>15} {:>15} {:>12} {:>8}", "", "scored", "unscored", "also direct", "advice")?;
        for cell in &self.cells {
            let verdict = &cell.verdict;
            let of = |weight| verdict.told.iter().filter(|told| told.weight == weight).count();
            let pair = |count: crate::verdict::Count| format!("{} / {}", count.passed, count.failed);
            writeln!(
                f,
                "{:<36} {:>15} {:>15} {:>12} {:>8}",
                cell.name,
                pair(verdict.scored),
                pair(verdict.unscored),
                verdict.also_direct(),
                of(Weight::Advice)
            )?;
            if cell.kind != Kind::Compared {
                for told in &verdict.told {
                    let words: String =
                        told.words.chars().map(|c| if c == '\n' { ' ' } else { c }).take(WORDS).collect();
                    writeln!(f, "    {:<12} {}: {words}", title(told.weight), told.check)?;
                }
            }
        }
        let sum = |of: fn(&Verdict) -> usize| self.counted().map(|cell| of(&cell.verdict)).sum::<usize>();
        let (passed, failed) = (sum(Verdict::passed), sum(Verdict::failed));
        write!(f, "conformance: {passed} passed, {failed} failed")?;
        let also = sum(Verdict::also_direct);
        if also > 0 { write!(f, ", {also} skipped") } else { Ok(()) }
    }
}

fn title(weight: Weight) -> &'static str {
    match weight {
        Weight::Required => "FAILED",
        Weight::Lost => "LOST",
        Weight::AlsoDirect => "also direct",
        Weight::Advice => "advice",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Count, Told};

    fn verdict(weight: Weight) -> Verdict {
        let told = Told { weight, check: "ping:a".to_owned(), words: "expected {}\ngot 1".to_owned() };
        Verdict { scored: Count { passed: 2, failed: 1 }, unscored: Count::default(), told: vec![told] }
    }

    #[test]
    fn runs_for_comparison_do_not_count() {
        let mut matrix = Matrix::default();
        matrix.add("direct", Kind::Compared, verdict(Weight::Required));
        assert!(matrix.is_clean());
        assert!(matrix.to_string().ends_with("conformance: 0 passed, 0 failed"), "{matrix}");
        matrix.add("through", Kind::Through, verdict(Weight::Lost));
        assert!(!matrix.is_clean());
        assert!(matrix.to_string().ends_with("conformance: 2 passed, 1 failed"), "{matrix}");
        assert!(matrix.to_string().contains("    LOST         ping:a: expected {} got 1\n"), "{matrix}");
    }

    #[test]
    fn what_fails_without_the_gateway_too_is_counted_apart() {
        let mut matrix = Matrix::default();
        matrix.add("through", Kind::Through, verdict(Weight::AlsoDirect));
        assert!(matrix.is_clean());
        assert!(matrix.to_string().ends_with("conformance: 2 passed, 0 failed, 1 skipped"), "{matrix}");
    }
}
