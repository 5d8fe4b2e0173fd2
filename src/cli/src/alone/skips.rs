//! Tests that didn't pass and didn't fail either, beside failures that are heard again.
//!
//! What makes tests of a file fail beside others may make its other tests skip themselves: a library that another test has loaded anew
//! for another platform, say. So such outcomes wait until their file has run. If a failure of it is heard again, so are they.

use dx_py_core::{TestId, TestResult, TestStatus};

/// The outcomes that wait.
#[derive(Debug, Default)]
pub(super) struct Skips(Vec<TestResult>);

impl Skips {
    /// Keeps a result back if it is one that waits; else gives it back.
    pub(super) fn hold(&mut self, result: Box<TestResult>) -> Option<Box<TestResult>> {
        if !matches!(result.status, TestStatus::Skipped | TestStatus::XFailed) {
            return Some(result);
        }
        self.0.push(*result);
        None
    }

    /// Those of files for which that is so, which wait no more.
    pub(super) fn release(&mut self, files: impl Fn(&str) -> bool) -> Vec<TestResult> {
        let held = std::mem::take(&mut self.0);
        let (released, held) = held.into_iter().partition(|result| files(result.id.file()));
        self.0 = held;
        released
    }

    /// The outcome of a test that waits.
    pub(super) fn find(&self, test: &TestId) -> Option<&TestResult> {
        self.0.iter().find(|held| held.id == *test)
    }

    /// It waits no more, since its test has run again.
    pub(super) fn settle(&mut self, test: &TestId) {
        self.0.retain(|held| held.id != *test);
    }
}
