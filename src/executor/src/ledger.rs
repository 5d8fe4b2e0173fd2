//! The account of submitted tests: each gets exactly one result, or is told as not run.

use dx_py_core::TestId;
use rustc_hash::{FxHashMap, FxHashSet};

/// Which submitted tests have no result yet.
#[derive(Debug, Default)]
pub struct Ledger {
    open: FxHashMap<TestId, usize>,
    settled: FxHashSet<TestId>,
    submitted: usize,
}

impl Ledger {
    /// Submits a test; false if it has its result already, so that it must not run again. One that was submitted before and is still
    /// open isn't counted again.
    pub fn submit(&mut self, test: TestId) -> bool {
        if self.settled.contains(&test) {
            return false;
        }
        let next = self.submitted;
        if let std::collections::hash_map::Entry::Vacant(entry) = self.open.entry(test) {
            entry.insert(next);
            self.submitted += 1;
        }
        true
    }

    /// Takes in a result; false if the test wasn't open, so that the result must not be counted.
    pub fn settle(&mut self, test: &TestId) -> bool {
        match self.open.remove_entry(test) {
            Some((test, _)) => self.settled.insert(test),
            None => false,
        }
    }

    /// Takes a test back that turned out not to be there.
    pub fn withdraw(&mut self, test: &TestId) {
        self.open.remove(test);
    }

    /// Whether the test has no result yet.
    pub fn is_open(&self, test: &TestId) -> bool {
        self.open.contains_key(test)
    }

    /// How many tests were submitted.
    pub fn submitted(&self) -> usize {
        self.submitted
    }

    /// The tests without a result, in the order in which they were submitted.
    pub fn unsettled(&self) -> Vec<TestId> {
        let mut open: Vec<(&TestId, &usize)> = self.open.iter().collect();
        open.sort_by_key(|(_, number)| **number);
        open.into_iter().map(|(test, _)| test.clone()).collect()
    }
}
