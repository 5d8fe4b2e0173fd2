//! The short summary: one line for each outcome that pytest's `-r` names, in the order of its letters.

use std::collections::BTreeMap;

use dx_py_core::{TestResult, TestStatus};

use super::style::{Look, Style, one_line};

/// What the summary will say.
#[derive(Debug)]
pub struct ShortSummary {
    chars: String,
    collection_errors: Vec<String>,
    results: Vec<TestResult>,
    /// Skips that have the same place and reason are told together.
    skipped: BTreeMap<(String, String), usize>,
}

impl Default for ShortSummary {
    fn default() -> Self {
        Self {
            // What pytest names if nothing is asked for.
            chars: "fE".to_owned(),
            collection_errors: Vec::new(),
            results: Vec::new(),
            skipped: BTreeMap::new(),
        }
    }
}

impl ShortSummary {
    /// Names these outcomes: letters of `-r`, as pytest resolves them.
    pub fn ask_for(&mut self, chars: &str) {
        chars.clone_into(&mut self.chars);
    }

    /// Takes in a result, as far as it will be told.
    pub fn add(&mut self, result: &TestResult) {
        for report in &result.reports {
            if report.status == TestStatus::Skipped {
                let place = if report.text.is_empty() {
                    result.id.file()
                } else {
                    &report.text
                };
                self.add_skipped(place.to_owned(), report.message.clone());
            }
        }
        let wanted = match result.status {
            TestStatus::Skipped => false,
            TestStatus::Passed => self.chars.contains(['p', 'P']),
            _ => true,
        };
        if wanted {
            self.results.push(result.clone());
        }
    }

    /// Takes in a skip.
    pub fn add_skipped(&mut self, place: String, reason: String) {
        *self.skipped.entry((place, reason)).or_default() += 1;
    }

    /// Takes in a file that couldn't be collected.
    pub fn add_collection_error(&mut self, node: &str) {
        self.collection_errors.push(node.to_owned());
    }

    /// The tests that passed and printed something, if `-rP` asks for them.
    pub fn passes_with_output(&self) -> Vec<TestResult> {
        let asked = self.chars.contains('P');
        let passes = self.results.iter().filter(|result| {
            asked && result.status == TestStatus::Passed && !result.sections.is_empty()
        });
        passes.cloned().collect()
    }

    /// The lines.
    pub fn lines(&self, style: &Style) -> Vec<String> {
        let mut lines = Vec::new();
        for letter in self.chars.chars() {
            match letter {
                'f' => self.reports(TestStatus::Failed, "FAILED", Look::Red, style, &mut lines),
                'E' => {
                    let word = style.paint(Look::Red, "ERROR");
                    let nodes = self.collection_errors.iter();
                    lines.extend(nodes.map(|node| format!("{word} {}", one_line(node))));
                    self.reports(TestStatus::Error, "ERROR", Look::Red, style, &mut lines);
                }
                'x' => self.reports(
                    TestStatus::XFailed,
                    "XFAIL",
                    Look::Yellow,
                    style,
                    &mut lines,
                ),
                'X' => self.reports(
                    TestStatus::XPassed,
                    "XPASS",
                    Look::Yellow,
                    style,
                    &mut lines,
                ),
                'p' => {
                    let word = style.paint(Look::Green, "PASSED");
                    let passed = self
                        .results
                        .iter()
                        .filter(|result| result.status == TestStatus::Passed);
                    lines.extend(
                        passed.map(|result| format!("{word} {}", one_line(result.id.as_str()))),
                    );
                }
                's' => {
                    let word = style.paint(Look::Yellow, "SKIPPED");
                    lines.extend(self.skipped.iter().map(|((place, reason), count)| {
                        format!("{word} [{count}] {}: {}", one_line(place), one_line(reason))
                    }));
                }
                _ => {}
            }
        }
        lines
    }

    fn reports(
        &self,
        status: TestStatus,
        word: &str,
        look: Look,
        style: &Style,
        lines: &mut Vec<String>,
    ) {
        let word = style.paint(look, word);
        for result in &self.results {
            for report in result
                .reports
                .iter()
                .filter(|report| report.status == status)
            {
                let message = report.message.lines().next().unwrap_or_default();
                let separator = if message.is_empty() { "" } else { " - " };
                let id = one_line(result.id.as_str());
                lines.push(format!("{word} {id}{separator}{}", one_line(message)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dx_py_core::{Phase, PhaseReport, TestId};
    use std::time::Duration;

    fn result(id: &str, status: TestStatus, message: &str, text: &str) -> TestResult {
        let mut result = TestResult::bare(TestId::new(id), status, Duration::ZERO);
        if status != TestStatus::Passed {
            result.reports.push(PhaseReport {
                phase: Phase::Call,
                status,
                message: message.into(),
                text: text.into(),
            });
        }
        result
    }

    #[test]
    fn outcomes_are_named_in_the_order_of_the_letters() {
        let mut summary = ShortSummary::default();
        summary.ask_for("sxXpfE");
        for one in [
            result("a.py::a", TestStatus::Failed, "assert 1 == 2\nmore", ""),
            result("a.py::b", TestStatus::Skipped, "not now", "a.py:7"),
            result("a.py::c", TestStatus::Skipped, "not now", "a.py:7"),
            result("a.py::d", TestStatus::XFailed, "", ""),
            result("a.py::e", TestStatus::Error, "RuntimeError: late", ""),
            result("a.py::f", TestStatus::Passed, "", ""),
        ] {
            summary.add(&one);
        }
        summary.add_collection_error("b.py");
        insta::assert_snapshot!(summary.lines(&Style { color: false }).join("\n"), @r"
        SKIPPED [2] a.py:7: not now
        XFAIL a.py::d
        PASSED a.py::f
        FAILED a.py::a - assert 1 == 2
        ERROR b.py
        ERROR a.py::e - RuntimeError: late
        ");
    }
}
