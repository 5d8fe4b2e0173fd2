//! What jobs depended on waits to be recorded until workers have been served: they never wait for the catalog. And files that many
//! tests depend on are looked at once for all jobs that have ended by then, not once for each.

use std::collections::VecDeque;
use std::time::Instant;

use dx_py_core::TestId;
use dx_py_protocol::Trace;

use super::Conductor;

enum Entry {
    Trace(u32, Trace),
    JobDone(u32, String, Vec<TestId>),
}

/// What waits, in the order in which it happened.
#[derive(Default)]
pub(super) struct Waiting {
    entries: VecDeque<Entry>,
    /// How many of them were there when files were last looked at.
    seen: usize,
}

impl Waiting {
    /// A process observed something.
    pub fn trace(&mut self, process: u32, trace: Trace) {
        self.entries.push_back(Entry::Trace(process, trace));
    }

    /// A process has run the tests of a job.
    pub fn job_done(&mut self, process: u32, file: String, tests: Vec<TestId>) {
        let entry = Entry::JobDone(process, file, tests);
        self.entries.push_back(entry);
    }
}

impl Conductor<'_> {
    /// Records what waits; if there is a time until which it may go on, the rest waits for another moment.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub(super) fn record_waiting(&mut self, until: Option<Instant>) -> anyhow::Result<()> {
        while until.is_none_or(|until| Instant::now() < until) {
            let Some(entry) = self.waiting.entries.pop_front() else {
                break;
            };
            if self.waiting.seen == 0 {
                self.recorder.jobs_have_ended();
                self.waiting.seen = self.waiting.entries.len() + 1;
            }
            self.waiting.seen -= 1;
            match entry {
                Entry::Trace(process, trace) => self.recorder.trace(process, &trace),
                Entry::JobDone(process, file, tests) => {
                    self.recorder.job_done(process, &file, &tests)?;
                }
            }
        }
        if self.waiting.entries.is_empty() {
            // Who asks next asks about what was read until then.
            self.recorder.jobs_have_ended();
        }
        Ok(())
    }
}
