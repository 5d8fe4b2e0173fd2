//! What a walk came to, in figures and as a table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::compare::Sort;
use super::history::short;
use super::journal::Record;
use super::states::Kind;

/// The figures of a walk. The first state that was compared, where nothing is recorded, is apart from the others.
#[derive(Debug, Default)]
pub struct Figures {
    /// States in which outcomes were compared.
    pub compared: usize,
    /// Plain ones among them.
    pub plain: usize,
    /// States in which they couldn't be.
    pub skipped: usize,
    /// Tests of the last state.
    pub tests: usize,
    /// Tests that pytest isn't sure of, at most in one state.
    pub unstable: usize,
    /// Outcomes that changed from one state to the next; new tests; tests that went.
    pub changes: (usize, usize, usize),
    /// How often dx-py and pytest disagree, by sort.
    pub findings: BTreeMap<Sort, usize>,
    /// The tests that were missed: a miss stays until the test runs again.
    pub missed: BTreeSet<String>,
    /// Failures that second opinions overturned.
    pub overturned: usize,
    /// Kinds of reasons, and how many tests ran for them.
    pub reasons: BTreeMap<String, usize>,
    /// dx-py in all states but the first.
    pub dx: Side,
    /// dx-py in the plain states that testmon was run in.
    pub dx_beside_testmon: Side,
    /// pytest-testmon in these.
    pub testmon: Side,
}

/// A runner that selects, against pytest that runs everything.
#[derive(Debug, Default)]
pub struct Side {
    ran: usize,
    tests: usize,
    seconds: f64,
    pytest_seconds: f64,
    /// Natural logarithms of the ratios.
    logs: Vec<f64>,
}

impl Side {
    fn add(&mut self, ran: usize, tests: usize, seconds: f64, pytest_seconds: f64) {
        self.ran += ran;
        self.tests += tests;
        self.seconds += seconds;
        self.pytest_seconds += pytest_seconds;
        if seconds > 0.0 && pytest_seconds > 0.0 {
            self.logs.push((pytest_seconds / seconds).ln());
        }
    }

    /// How many of 100 tests ran.
    #[expect(clippy::cast_precision_loss, reason = "tests are no 2^52")]
    pub fn percent(&self) -> f64 {
        100.0 * self.ran as f64 / self.tests.max(1) as f64
    }

    /// How often faster than pytest: the geometric mean over the states.
    #[expect(clippy::cast_precision_loss, reason = "states are few")]
    pub fn ratio(&self) -> Option<f64> {
        let count = self.logs.len();
        (count > 0).then(|| (self.logs.iter().sum::<f64>() / count as f64).exp())
    }

    fn row(&self, name: &str) -> String {
        let ratio = self.ratio();
        let ratio = ratio.map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}"));
        format!(
            "| {name} | {} of {} ({:.1} %) | {:.1} | {:.1} | {ratio} |\n",
            self.ran,
            self.tests,
            self.percent(),
            self.seconds,
            self.pytest_seconds,
        )
    }
}

impl Figures {
    /// Of the states of a walk.
    pub fn new(records: &[Record]) -> Self {
        let mut figures = Self::default();
        for record in records {
            for finding in &record.findings {
                *figures.findings.entry(finding.sort).or_default() += 1;
                if finding.sort == Sort::Miss {
                    figures.missed.insert(finding.test.clone());
                }
            }
            if record.skipped.is_some() {
                figures.skipped += 1;
                continue;
            }
            let is_first = figures.compared == 0;
            figures.compared += 1;
            figures.plain += usize::from(record.kind == Kind::Plain);
            figures.tests = record.tests;
            figures.unstable = figures.unstable.max(record.unstable.len());
            figures.overturned += record.overturned;
            if let Some(changes) = record.changes {
                figures.changes.0 += changes.changed;
                figures.changes.1 += changes.new;
                figures.changes.2 += changes.gone;
            }
            if is_first {
                continue;
            }
            for (kind, count) in &record.reasons {
                *figures.reasons.entry(kind.clone()).or_default() += count;
            }
            let (tests, pytest) = (record.ran + record.fresh, record.pytest_seconds);
            figures.dx.add(record.ran, tests, record.dx_seconds, pytest);
            if let Some(run) = &record.testmon {
                let beside = &mut figures.dx_beside_testmon;
                beside.add(record.ran, tests, record.dx_seconds, pytest);
                let testmon = &mut figures.testmon;
                testmon.add(run.ran, record.tests, run.seconds, pytest);
            }
        }
        figures
    }

    /// How many disagreements of a sort there are.
    pub fn count(&self, sort: Sort) -> usize {
        self.findings.get(&sort).copied().unwrap_or(0)
    }

    /// How many outcomes dx-py reports without running the test, or keeps from the user, that pytest doesn't have.
    pub fn wrong(&self) -> usize {
        self.count(Sort::Miss) + self.count(Sort::Unknown) + self.count(Sort::Lost)
    }
}

/// The walk as markdown: figures, what was skipped, and every disagreement.
pub fn markdown(name: &str, about: &str, records: &[Record]) -> String {
    let figures = Figures::new(records);
    let (changed, new, gone) = figures.changes;
    let mut text = format!("## Replay of {name}\n\n{about}\n\n");
    text += "| commits | crossed states | skipped | tests | unstable | outcomes that changed | new, gone | misses | unknown | lost | differences | overturned |\n";
    text += &format!("|{}\n", "---|".repeat(12));
    // Writing to a string can't fail.
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} | {} | {changed} | {new}, {gone} | {} | {} | {} | {} | {} |\n",
        figures.plain,
        figures.compared - figures.plain,
        figures.skipped,
        figures.tests,
        figures.unstable,
        figures.count(Sort::Miss),
        figures.count(Sort::Unknown),
        figures.count(Sort::Lost),
        figures.count(Sort::Difference),
        figures.overturned,
    );
    text += "| after the first state | tests that ran | s | pytest s | times faster, geometric mean |\n|---|---|---|---|---|\n";
    text += &figures.dx.row("dx-py, all states");
    if !figures.testmon.logs.is_empty() {
        text += &figures.dx_beside_testmon.row("dx-py, plain states");
        text += &figures.testmon.row("pytest-testmon, plain states");
    }
    if !figures.reasons.is_empty() {
        text += "\nWhy tests ran:\n\n| reason | tests |\n|---|---|\n";
        let mut reasons: Vec<_> = figures.reasons.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (kind, count) in reasons {
            let _ = writeln!(text, "| {kind} | {count} |");
        }
    }
    // Parameters with the time of day have other IDs in each run.
    let mut unstable: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for test in records.iter().flat_map(|one| &one.unstable) {
        let function = test.split('[').next().unwrap_or(test);
        unstable.entry(function).or_default().insert(test);
    }
    if !unstable.is_empty() {
        text += "\nLeft out, since pytest's own runs differ:\n\n";
        for (function, tests) in unstable {
            let ids = match tests.len() {
                1 => tests.first().copied().unwrap_or(function).to_owned(),
                count => format!("{function} with {count} IDs"),
            };
            let _ = writeln!(text, "- {ids}");
        }
    }
    for (title, has_it) in [
        (
            "Skipped",
            (|record| record.skipped.is_some()) as fn(&Record) -> bool,
        ),
        ("Where dx-py and pytest disagree", |record| {
            !record.findings.is_empty()
        }),
    ] {
        let mut listed = records.iter().filter(|record| has_it(record)).peekable();
        if listed.peek().is_some() {
            let _ = writeln!(text, "\n{title}:\n");
        }
        for record in listed {
            let commit = short(&record.commit);
            let reason = record.skipped.as_deref().unwrap_or_default();
            let separator = if reason.is_empty() { "" } else { ": " };
            let (title, kind) = (&record.title, record.kind);
            let _ = writeln!(text, "- {commit} {title} ({kind}){separator}{reason}");
            for finding in &record.findings {
                let _ = writeln!(text, "  - {finding}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::compare::{Changes, Finding};
    use crate::replay::journal::TestmonRun;

    fn record(kind: Kind, ran: usize, fresh: usize, dx_seconds: f64) -> Record {
        Record {
            commit: "0123456789".into(),
            title: "Title".into(),
            kind,
            skipped: None,
            installed: false,
            tests: ran + fresh,
            unstable: Vec::new(),
            changes: Some(Changes {
                changed: 1,
                new: 0,
                gone: 0,
            }),
            ran,
            fresh,
            reasons: BTreeMap::from([("source file".to_owned(), ran)]),
            overturned: 0,
            pytest_seconds: 4.0,
            dx_seconds,
            testmon: (kind == Kind::Plain).then_some(TestmonRun {
                ran: 10,
                seconds: 4.0,
            }),
            findings: Vec::new(),
        }
    }

    fn walk() -> Vec<Record> {
        let mut last = record(Kind::Plain, 2, 8, 4.0);
        last.findings.push(Finding {
            sort: Sort::Miss,
            test: "t.py::a".into(),
            told: Some("passed".into()),
            truth: Some("failed".into()),
        });
        let skipped = Record {
            skipped: Some("no pytest".into()),
            ..record(Kind::Plain, 0, 0, 0.0)
        };
        vec![
            record(Kind::Plain, 10, 0, 2.0),
            record(Kind::NewSource, 4, 6, 1.0),
            skipped,
            last,
        ]
    }

    #[test]
    fn the_first_state_and_skipped_ones_are_apart() {
        let figures = Figures::new(&walk());
        assert_eq!(
            (figures.compared, figures.plain, figures.skipped),
            (3, 2, 1)
        );
        assert!((figures.dx.percent() - 30.0).abs() < 1e-9);
        // Four times and as fast: twice in geometric mean.
        assert!((figures.dx.ratio().unwrap() - 2.0).abs() < 1e-9);
        assert!((figures.testmon.percent() - 100.0).abs() < 1e-9);
        assert!((figures.dx_beside_testmon.ratio().unwrap() - 1.0).abs() < 1e-9);
        assert_eq!((figures.wrong(), figures.changes), (1, (3, 0, 0)));
        assert_eq!(figures.reasons["source file"], 6);
    }

    #[test]
    fn the_table_names_what_was_skipped_and_every_miss() {
        let text = markdown("a", "About it.", &walk());
        assert!(
            text.contains("- 01234567 Title (plain): no pytest\n"),
            "{text}"
        );
        assert!(
            text.contains("  - miss: t.py::a: dx-py says passed, pytest failed\n"),
            "{text}"
        );
        assert!(text.contains("| source file | 6 |"), "{text}");
    }
}
