//! How many tests had which outcome, as runners say it, and whether that is what pytest says.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use super::peers::Peer;

/// Numbers of tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
    /// Failed as expected.
    pub xfailed: usize,
    /// Passed against expectation.
    pub xpassed: usize,
    /// Errors in fixtures or in collection.
    pub errors: usize,
    /// Tests that weren't run since nothing reached them, and whose outcomes the line doesn't tell.
    pub unnamed: usize,
}

/// What a run is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Every outcome is told as pytest tells it.
    All,
    /// Only some tests run: none fails that doesn't in pytest, and where the others are counted, the sum is pytest's.
    Part,
    /// Nothing runs.
    Nothing,
}

#[expect(clippy::unwrap_used, reason = "the pattern is valid")]
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(\d+)\s+(?:collection )?(passed|failed|skipped|xfailed|xpassed|errors?|fresh|total)\b",
    )
    .unwrap()
});
#[expect(clippy::unwrap_used, reason = "the pattern is valid")]
static COLOUR: LazyLock<Regex> = LazyLock::new(|| Regex::new("\x1b\\[[0-9;]*m").unwrap());
#[expect(clippy::unwrap_used, reason = "the pattern is valid")]
static ENDING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"in \d+(\.\d+)? ?m?s\b").unwrap());

/// Whether this is the line with which the runner ends.
fn is_last_line(peer: Peer, line: &str) -> bool {
    match peer {
        Peer::Karva => line.contains("Summary ["),
        Peer::Tiderace => line.ends_with(" total"),
        Peer::Rustest => line.contains(" passed") && ENDING.is_match(line),
        Peer::Pytest | Peer::Xdist | Peer::Testmon | Peer::Dx => {
            ENDING.is_match(line)
                && (NUMBER.is_match(line)
                    || line.contains("no tests ran")
                    || line.contains("no tests to run"))
        }
    }
}

impl Counts {
    /// Reads what a runner printed; none if there is no line of the form with which it ends.
    pub fn parse(peer: Peer, text: &str) -> Option<Self> {
        let text = COLOUR.replace_all(text, "");
        let line = text.lines().rev().find(|line| is_last_line(peer, line))?;
        let (mut counts, mut total) = (Self::default(), None);
        for found in NUMBER.captures_iter(line) {
            let number: usize = found[1].parse().ok()?;
            match &found[2] {
                "passed" => counts.passed += number,
                "failed" => counts.failed += number,
                "skipped" => counts.skipped += number,
                "xfailed" => counts.xfailed += number,
                "xpassed" => counts.xpassed += number,
                "fresh" => counts.unnamed += number,
                "total" => total = Some(number),
                _ => counts.errors += number,
            }
        }
        // dx-py names the outcomes of fresh tests when nothing else is there to tell.
        if line.contains("nothing to run") {
            counts.unnamed = 0;
        }
        // tiderace's line counts expected failures only in the total.
        if let Some(total) = total {
            counts.xfailed = total.saturating_sub(counts.total());
        }
        Some(counts)
    }

    /// The sum.
    pub fn total(&self) -> usize {
        self.kinds().iter().map(|(_, number)| number).sum::<usize>() + self.unnamed
    }

    fn kinds(&self) -> [(&'static str, usize); 6] {
        [
            ("passed", self.passed),
            ("failed", self.failed),
            ("skipped", self.skipped),
            ("xfailed", self.xfailed),
            ("xpassed", self.xpassed),
            ("errors", self.errors),
        ]
    }

    /// The same tests as a runner counts them whose words for outcomes are fewer.
    fn in_the_words_of(mut self, peer: Peer) -> Self {
        match peer {
            Peer::Karva => {
                self.passed += std::mem::take(&mut self.xfailed);
                self.failed += std::mem::take(&mut self.xpassed);
            }
            Peer::Rustest => {
                self.skipped += std::mem::take(&mut self.xfailed);
                self.failed += std::mem::take(&mut self.errors);
            }
            Peer::Tiderace => self.xfailed += std::mem::take(&mut self.xpassed),
            Peer::Pytest | Peer::Xdist | Peer::Testmon | Peer::Dx => {}
        }
        self
    }

    /// What is wrong with these numbers of a runner's; none if they are right.
    pub fn wrong(&self, peer: Peer, pytest: &Self, expect: Expect) -> Option<String> {
        let pytest = pytest.in_the_words_of(peer);
        let pairs = self.kinds().into_iter().zip(pytest.kinds());
        let differences: Vec<String> = match expect {
            Expect::All => pairs
                .filter(|((_, got), (_, wanted))| got != wanted)
                .map(|((kind, got), (_, wanted))| format!("{got} {kind}, not {wanted}"))
                .chain((self.unnamed > 0).then(|| format!("{} were not run", self.unnamed)))
                .collect(),
            Expect::Part => {
                let sum = (self.total(), pytest.total());
                let adds_up = if self.unnamed > 0 {
                    sum.0 == sum.1
                } else {
                    sum.0 <= sum.1
                };
                pairs
                    .filter(|((kind, got), (_, wanted))| {
                        matches!(*kind, "failed" | "errors") && got > wanted
                    })
                    .map(|((kind, got), (_, wanted))| format!("{got} {kind}, not {wanted}"))
                    .chain((!adds_up).then(|| format!("{} tests, not {}", sum.0, sum.1)))
                    .collect()
            }
            Expect::Nothing => (self.total() > 0)
                .then(|| format!("{} ran", self.total()))
                .into_iter()
                .collect(),
        };
        (!differences.is_empty()).then(|| differences.join("; "))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self
            .kinds()
            .iter()
            .filter(|(_, number)| *number > 0)
            .map(|(kind, number)| format!("{number} {kind}"))
            .collect();
        if self.unnamed > 0 {
            parts.push(format!("{} fresh", self.unnamed));
        }
        if parts.is_empty() {
            parts.push("no tests ran".into());
        }
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(numbers: [usize; 7]) -> Counts {
        let [passed, failed, skipped, xfailed, xpassed, errors, unnamed] = numbers;
        Counts {
            passed,
            failed,
            skipped,
            xfailed,
            xpassed,
            errors,
            unnamed,
        }
    }

    #[test]
    fn last_lines_of_pytest_are_read() {
        for (line, wanted) in [
            (
                "1800 passed, 100 skipped, 100 xfailed in 1.91s",
                [1800, 0, 100, 100, 0, 0, 0],
            ),
            (
                "1 failed, 1 passed, 2 skipped, 1 xfailed, 1 xpassed, 1 error in 0.04s",
                [1, 1, 2, 1, 1, 1, 0],
            ),
            (
                "= 3 passed, 7 deselected, 2 warnings in 61.20s (0:01:01) =",
                [3, 0, 0, 0, 0, 0, 0],
            ),
            ("\n10 errors in 3.92s\n", [0, 0, 0, 0, 0, 10, 0]),
            ("no tests ran in 0.08s", [0; 7]),
        ] {
            assert_eq!(
                Counts::parse(Peer::Pytest, line),
                Some(counts(wanted)),
                "{line}"
            );
        }
        let printed = "5 passed in 1.00s\nmore that a plugin says\n";
        assert_eq!(
            Counts::parse(Peer::Xdist, printed),
            Some(counts([5, 0, 0, 0, 0, 0, 0]))
        );
        let selected = "1 failed, 6 deselected, 1 error in 0.09s";
        assert_eq!(
            Counts::parse(Peer::Testmon, selected),
            Some(counts([0, 1, 0, 0, 0, 1, 0]))
        );
    }

    #[test]
    fn last_lines_of_dx_are_read() {
        for (line, wanted) in [
            (
                "✓ 1800 passed, 100 skipped, 100 xfailed in 1.95 s",
                [1800, 0, 100, 100, 0, 0, 0],
            ),
            (
                "✓ nothing to run: 2000 fresh (1800 passed, 100 skipped, 100 xfailed) in 0.03 s",
                [1800, 0, 100, 100, 0, 0, 0],
            ),
            (
                "✓ 180 passed, 10 skipped, 10 xfailed in 0.47 s · 1800 fresh · 1.3x speed-up over recorded durations",
                [180, 0, 10, 10, 0, 0, 1800],
            ),
            (
                "✗ 1620 passed, 90 skipped, 90 xfailed, 10 collection errors in 32.42 s",
                [1620, 0, 90, 90, 0, 10, 0],
            ),
        ] {
            assert_eq!(
                Counts::parse(Peer::Dx, line),
                Some(counts(wanted)),
                "{line}"
            );
        }
    }

    #[test]
    fn last_lines_of_other_runners_are_read() {
        let karva = "────────────\n     Summary [   0.836s] 7 tests run: 2 passed, 2 failed, 1 error, 2 skipped\n";
        assert_eq!(
            Counts::parse(Peer::Karva, karva),
            Some(counts([2, 2, 2, 0, 0, 1, 0]))
        );
        let rustest = "\x1b[32m✓ \x1b[0m\x1b[1;32m1700\x1b[0m\x1b[32m passed\x1b[0m, \x1b[31m✗ \x1b[0m\x1b[1;31m100\x1b[0m\x1b[31m failed\x1b[0m, \x1b[33m⊘ \x1b[0m\x1b[1;33m200\x1b[0m\x1b[33m skipped\x1b[0m \x1b[2min \x1b[0m\x1b[1;2;36m2.\x1b[0m\x1b[2m41s\x1b[0m";
        assert_eq!(
            Counts::parse(Peer::Rustest, rustest),
            Some(counts([1700, 100, 200, 0, 0, 0, 0]))
        );
        let short = "✓ 1 passed, ✗ 3 failed, ⊘ 1 skipped in 4ms";
        assert_eq!(
            Counts::parse(Peer::Rustest, short),
            Some(counts([1, 3, 1, 0, 0, 0, 0]))
        );
        let tiderace = "1734 passed, 66 failed, 0 error, 100 skipped, 2000 total\ntiderace: memory: 2 workers, peak 30 MB each at most, 60 MB together";
        assert_eq!(
            Counts::parse(Peer::Tiderace, tiderace),
            Some(counts([1734, 66, 100, 100, 0, 0, 0]))
        );
        assert_eq!(
            Counts::parse(Peer::Tiderace, "tiderace: no such folder"),
            None
        );
    }

    #[test]
    fn numbers_are_held_to_what_pytest_says() {
        let pytest = counts([1800, 0, 100, 100, 0, 0, 0]);
        let wrong = |peer, numbers, expect| counts(numbers).wrong(peer, &pytest, expect);
        assert_eq!(
            wrong(Peer::Xdist, [1800, 0, 100, 100, 0, 0, 0], Expect::All),
            None
        );
        assert_eq!(
            wrong(Peer::Karva, [1900, 0, 100, 0, 0, 0, 0], Expect::All),
            None
        );
        assert_eq!(
            wrong(Peer::Rustest, [1800, 0, 200, 0, 0, 0, 0], Expect::All),
            None
        );
        let failed = wrong(Peer::Tiderace, [1734, 66, 100, 100, 0, 0, 0], Expect::All);
        assert_eq!(
            failed.as_deref(),
            Some("1734 passed, not 1800; 66 failed, not 0")
        );
        assert_eq!(
            wrong(Peer::Dx, [180, 0, 10, 10, 0, 0, 1800], Expect::Part),
            None
        );
        assert!(wrong(Peer::Dx, [180, 0, 10, 10, 0, 0, 1700], Expect::Part).is_some());
        assert!(wrong(Peer::Dx, [180, 0, 10, 10, 0, 0, 1800], Expect::All).is_some());
        assert_eq!(wrong(Peer::Testmon, [0; 7], Expect::Nothing), None);
    }
}
