//! The outcome of a test.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::TestId;

/// The outcome of a test, as pytest names it. The order is that of gravity: of several reports on one test, the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum TestStatus {
    /// The test ran and nothing was wrong.
    Passed = 0,
    /// It was skipped, by a mark or while running.
    Skipped = 1,
    /// It failed, as its `xfail` mark said it would.
    XFailed = 2,
    /// It passed, although it has an `xfail` mark that isn't strict.
    XPassed = 3,
    /// Its call failed, it took too long, or it brought its worker down.
    Failed = 4,
    /// Its set-up or teardown failed.
    Error = 5,
}

impl TestStatus {
    /// Every status, in the order of gravity.
    pub const ALL: [Self; 6] = [
        Self::Passed,
        Self::Skipped,
        Self::XFailed,
        Self::XPassed,
        Self::Failed,
        Self::Error,
    ];

    /// The status whose number in the protocol and the catalog is `code`.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The number in the protocol and the catalog.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Whether a run with this outcome ends with exit code 1.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }

    /// pytest's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::XFailed => "xfailed",
            Self::XPassed => "xpassed",
            Self::Failed => "failed",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for TestStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TestStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no outcome of a test"))
    }
}

/// How many assertions a test evaluated, where the worker counts them (pytest's `enable_assertion_pass_hook`); else zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AssertionStats {
    /// Assertions that held.
    pub passed: u32,
    /// Assertions that didn't: 0 or 1, since the first one ends the test.
    pub failed: u32,
}

/// A part of a test's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Phase {
    /// Fixtures are set up.
    Setup = 0,
    /// The test function runs.
    Call = 1,
    /// Fixtures are torn down.
    Teardown = 2,
}

impl Phase {
    /// The phase whose number in the protocol is `code`.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Setup, Self::Call, Self::Teardown]
            .get(usize::from(code))
            .copied()
    }

    /// pytest's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Call => "call",
            Self::Teardown => "teardown",
        }
    }
}

/// What went other than well in one phase of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// The phase.
    pub phase: Phase,
    /// What it came to.
    pub status: TestStatus,
    /// One line: the exception's text, the reason of a skip, the reason of an expected failure.
    pub message: String,
    /// The failure as pytest renders it, in the style that `--tb` asked for; for a skip where it was decided, such as
    /// `tests/test_a.py:7`; else empty.
    pub text: String,
}

/// What came of running one test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// The test.
    pub id: TestId,
    /// The gravest status of its phases.
    pub status: TestStatus,
    /// Wall time of set-up, call and teardown together.
    pub duration: Duration,
    /// Wall time from its start to its end, with what the worker does between the phases: what its process is busy for.
    pub elapsed: Duration,
    /// Wall time of each phase: set-up, call, teardown.
    pub phases: [Duration; 3],
    /// The phases that have something to tell: none for a test that simply passed.
    pub reports: Vec<PhaseReport>,
    /// Captured output: pytest's section titles, such as `Captured stdout call`, with their text.
    pub sections: Vec<(String, String)>,
    /// What `record_property` noted, as text.
    pub properties: Vec<(String, String)>,
    /// Counted assertions.
    pub assertions: AssertionStats,
    /// The worker that ran it, from 0.
    pub worker: u32,
    /// Whether the outcome is that of a second opinion: it failed at first, and passed alone under pytest's full protocol.
    pub second_opinion: bool,
    /// pytest's own reports for the controller, in a form that only Python reads; empty if there is none.
    pub raw: Vec<u8>,
}

impl TestResult {
    /// A result with nothing to tell but its status.
    pub fn bare(id: TestId, status: TestStatus, duration: Duration) -> Self {
        Self {
            id,
            status,
            duration,
            elapsed: duration,
            phases: [Duration::ZERO, duration, Duration::ZERO],
            reports: Vec::new(),
            sections: Vec::new(),
            properties: Vec::new(),
            assertions: AssertionStats::default(),
            worker: 0,
            second_opinion: false,
            raw: Vec::new(),
        }
    }

    /// A failure that no report of pytest's tells: the worker died, or the test took too long.
    pub fn failure(id: TestId, duration: Duration, message: String, text: String) -> Self {
        let mut result = Self::bare(id, TestStatus::Failed, duration);
        result.reports.push(PhaseReport {
            phase: Phase::Call,
            status: TestStatus::Failed,
            message,
            text,
        });
        result
    }

    /// The message of the gravest phase, empty if there is none.
    pub fn message(&self) -> &str {
        self.reports
            .iter()
            .max_by_key(|report| report.status)
            .map_or("", |report| &report.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_keep_their_codes_and_names() {
        for status in TestStatus::ALL {
            assert_eq!(TestStatus::from_code(status.code()), Some(status));
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert_eq!(TestStatus::from_code(6), None);
    }

    #[test]
    fn results_survive_serialisation() {
        let result = TestResult::failure(
            TestId::new("a.py::test_b[é]"),
            Duration::from_millis(3),
            "killed".into(),
            "signal 9".into(),
        );
        let bytes = crate::blob::encode(&result).unwrap();
        assert_eq!(crate::blob::decode::<TestResult>(&bytes).unwrap(), result);
        assert!(crate::blob::decode::<TestResult>(&bytes[..bytes.len() - 1]).is_err());
    }
}
