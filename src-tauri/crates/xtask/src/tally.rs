//! Counting what passed and what failed, from the closing lines of test runners.

use std::fmt;

/// How many tests and checks passed, failed and were skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Passed.
    pub(crate) passed: u64,
    /// Failed.
    pub(crate) failed: u64,
    /// Not run.
    pub(crate) skipped: u64,
}

impl Tally {
    /// Counts one check.
    pub(crate) fn check(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Adds another count.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Reads a line of nextest (`Summary [ 0.1s] 3 tests run: 2 passed, 1 failed, 4 skipped`), of libtest
    /// (`test result: ok. 2 passed; 1 failed; 4 ignored; ...`) or of our own harnesses (`conformance: 2 passed, 1 failed`).
    /// `None` for every other line.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let line = line.trim_start();
        let counts = if let Some(rest) = line.strip_prefix("Summary [") {
            rest.split_once(" run: ")?.1
        } else if let Some(rest) = line.strip_prefix("conformance: ") {
            rest
        } else {
            line.strip_prefix("test result: ")?.split_once(". ")?.1
        };
        let mut tally = Self::default();
        for part in counts.split([',', ';']) {
            let mut words = part.split_whitespace();
            let Some(count) = words.next().and_then(|word| word.parse::<u64>().ok()) else { continue };
            match words.next() {
                Some("passed") => tally.passed += count,
                // nextest names the ways to fail apart.
                Some("failed" | "timed" | "exec") => tally.failed += count,
                Some("skipped" | "ignored") => tally.skipped += count,
                Some(_) | None => {}
            }
        }
        Some(tally)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Option<Tally> {
        Some(Tally { passed, failed, skipped })
    }

    #[test]
    fn closing_lines_of_nextest_are_read() {
        let line = "     Summary [   0.105s] 3 tests run: 3 passed, 0 skipped";
        assert_eq!(Tally::of_line(line), tally(3, 0, 0));
        let line = "     Summary [  61.2s] 9 tests run: 5 passed (1 slow, 1 flaky), 2 failed, 1 timed out, 1 exec failed, 7 skipped";
        assert_eq!(Tally::of_line(line), tally(5, 4, 7));
    }

    #[test]
    fn a_run_that_was_cut_short_counts_what_ran() {
        let line = "     Summary [   0.105s] 3/17 tests run: 2 passed, 1 failed, 0 skipped";
        assert_eq!(Tally::of_line(line), tally(2, 1, 0));
    }

    #[test]
    fn closing_lines_of_libtest_are_read() {
        let line = "test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 3 filtered out; finished in 0.00s";
        assert_eq!(Tally::of_line(line), tally(2, 1, 4));
    }

    #[test]
    fn the_closing_line_of_our_own_harness_is_read() {
        assert_eq!(Tally::of_line("conformance: 700 passed, 2 failed, 30 skipped"), tally(700, 2, 30));
    }

    #[test]
    fn other_lines_are_not_counted() {
        assert_eq!(Tally::of_line("test tests::three_passed ... ok"), None);
    }

    #[test]
    fn the_closing_line_is_plain() {
        assert_eq!(tally(3, 0, 0).unwrap_or_default().to_string(), "3 passed, 0 failed");
        assert_eq!(tally(3, 1, 2).unwrap_or_default().to_string(), "3 passed, 1 failed, 2 skipped");
    }
}
