//! What was learned from tests that went wrong beside others, and for how long that is heeded.
//!
//! That something goes wrong beside others, and not alone, may be due to what ran beside it, or to chance: a flaky test does the same now
//! and then, and a port may be taken by something that is gone tomorrow. To heed it costs time, so it is done for some runs, and then tried
//! again. If that goes wrong once more it is heeded for twice as many (exponential backoff); a run that goes well takes one lesson back.

use serde::{Deserialize, Serialize};

/// For how many runs it is heeded at first.
const AT_FIRST: u32 = 8;
/// How often that is doubled at most.
const DOUBLED: u32 = 6;

/// What was seen of something that may go wrong beside others. The default is that nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lesson {
    /// How often it did, less how often it went well since.
    times: u32,
    /// In how many runs that is still heeded.
    runs: u32,
}

impl Lesson {
    /// Whether it is heeded.
    pub fn is_heeded(&self) -> bool {
        self.runs > 0
    }

    /// Whether there is nothing to heed, and nothing to try again.
    pub fn is_over(&self) -> bool {
        self.times == 0
    }

    /// A run has heeded it.
    pub fn was_heeded(&mut self) {
        self.runs = self.runs.saturating_sub(1);
    }

    /// It went well beside others.
    pub fn went_well(&mut self) {
        self.times = self.times.saturating_sub(1);
    }

    /// It went wrong. Gives in how many runs that is heeded now.
    pub fn went_wrong(&mut self) -> u32 {
        self.times = self.times.saturating_add(1);
        self.runs = AT_FIRST << (self.times - 1).min(DOUBLED);
        self.runs
    }
}
