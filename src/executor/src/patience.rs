//! Notices a worker that does nothing.
//!
//! What was never run in parallel may wait in vain beside others: for a port that another worker has, say. Such a test would hang for ever
//! where pytest runs it in a moment. A worker that uses no CPU time waits for something; if that takes longer than a test was ever seen to,
//! it is ended, and its test can be heard again alone.

use std::collections::HashMap;
use std::time::Duration;

use dx_py_core::{TestId, TestResult};
use tokio::time::Instant;

/// How a message begins that tells of a test whose worker did nothing.
const DID_NOTHING: &str = "did nothing for ";

/// How many looks are taken in the time after which patience ends.
const LOOKS: u32 = 6;

/// What share of the time a worker that does nothing may still use: it may look again and again whether what
/// it waits for is there.
const IDLE: f64 = 0.1;

/// How long workers may do nothing.
#[derive(Clone, Debug)]
pub struct Patience {
    /// For how long.
    pub limit: Duration,
    /// How long tests may that are known to take long.
    pub known: HashMap<TestId, Duration>,
}

impl Patience {
    /// How often to look.
    pub(crate) fn period(&self) -> Duration {
        self.limit / LOOKS
    }

    /// How long a worker may do nothing in that test.
    pub(crate) fn limit(&self, test: &TestId) -> Duration {
        self.known
            .get(test)
            .copied()
            .unwrap_or_default()
            .max(self.limit)
    }

    /// What is said of a test whose worker has done nothing for so long.
    pub(crate) fn message(idle: Duration) -> String {
        format!("{DID_NOTHING}{} s beside other tests", idle.as_secs())
    }
}

/// Whether a test failed since its worker did nothing for too long.
pub fn was_idle(result: &TestResult) -> bool {
    result.status.is_bad() && result.message().starts_with(DID_NOTHING)
}

/// Since when a worker has done nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    since: Instant,
    cpu: Duration,
}

impl Idle {
    /// Looks at the CPU time that a worker has used by now: gives since when it does nothing, which is now if it has done something.
    pub(crate) fn look(before: Option<Self>, cpu: Duration) -> Self {
        let now = Instant::now();
        match before {
            Some(idle) if cpu.saturating_sub(idle.cpu) <= (now - idle.since).mul_f64(IDLE) => idle,
            _ => Self { since: now, cpu },
        }
    }

    /// For how long.
    pub(crate) fn elapsed(self) -> Duration {
        self.since.elapsed()
    }
}
