//! How the sessions of a run are arranged: over how many workers, and whether a controller stands beside them.
//!
//! Only the sessions know: which hooks conftests and plugins implement, and in which order they put the tests. What they say is kept,
//! so that the next run is arranged well from the start; a run that finds that it isn't is begun again before any test has run.

use std::collections::BTreeSet;

use dx_py_protocol::Hello;
use serde::{Deserialize, Serialize};

use crate::lesson::Lesson;

/// An arrangement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrangement {
    /// Why one worker runs everything, in pytest's order; empty if several may.
    pub one_worker: String,
    /// How often it was seen to go wrong with several workers. As long as that is heeded no session can take it back.
    #[serde(default)]
    lesson: Lesson,
    /// What may need a controller, as workers say.
    pub reporting: Vec<String>,
    /// Whether the controller's own session agrees.
    pub controller: bool,
    /// The files, by their node IDs, of which some tests were seen to be there only if all files are collected.
    pub together: BTreeSet<String>,
}

impl Arrangement {
    /// How many workers there are if so many are wanted.
    pub fn workers(&self, wanted: usize) -> usize {
        if self.one_worker.is_empty() {
            wanted
        } else {
            1
        }
    }

    /// Whether one of these files must be collected with all others.
    pub fn keeps_together<'f>(&self, mut files: impl Iterator<Item = &'f String>) -> bool {
        !self.together.is_empty() && files.any(|file| self.together.contains(file))
    }

    /// The arrangement that a worker's greeting asks for, if it isn't this one.
    pub fn after_hello(&self, hello: &Hello, workers: usize) -> Option<Self> {
        let mut better = self.clone();
        if better.one_worker.is_empty() {
            better.one_worker.clone_from(&hello.one_worker);
        }
        if self.reporting != hello.reporting {
            better.reporting.clone_from(&hello.reporting);
            better.controller = !hello.reporting.is_empty();
        }
        (better != *self && workers > 1).then_some(better)
    }

    /// The arrangement after everything was collected: `hello` and `collected` say why one worker is needed, if it is.
    pub fn after_collection(&self, hello: &str, collected: &str) -> Self {
        let mut better = self.clone();
        if !self.lesson.is_heeded() {
            let reason = if hello.is_empty() { collected } else { hello };
            better.one_worker = reason.to_owned();
        }
        better
    }

    /// Learns that one worker is needed, for that reason. Gives for how many runs that is heeded.
    fn learn(&mut self, reason: String) -> u32 {
        self.one_worker = reason;
        self.lesson.went_wrong()
    }

    /// Tests failed in several workers, and passed in one and in the order that `ordered` says. Gives for how many runs one is used.
    pub fn learn_order(&mut self, ordered: &str) -> u32 {
        self.learn(ordered.to_owned())
    }

    /// That test waited in vain beside others. Gives for how many runs one worker is used.
    pub fn learn_vain_wait(&mut self, test: &str) -> u32 {
        self.learn(format!("{test} waits in vain beside others, and not alone"))
    }

    /// A worker could not start beside others. Gives for how many runs one is used.
    pub fn learn_failed_start(&mut self, text: &str) -> u32 {
        let text = text.trim();
        let last = text.lines().next_back().unwrap_or(text);
        self.learn(format!("a worker could not start beside others: {last}"))
    }

    /// Counts a run with so many workers in which nothing of that kind was learned. When it was heeded for long enough several are tried again.
    pub fn went_well(&mut self, workers: usize) {
        if self.lesson.is_heeded() {
            self.lesson.was_heeded();
            if !self.lesson.is_heeded() {
                self.one_worker.clear();
            }
        } else if workers > 1 {
            self.lesson.went_well();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(one_worker: &str, reporting: &[&str]) -> Hello {
        Hello {
            one_worker: one_worker.into(),
            reporting: reporting.iter().map(|text| (*text).to_owned()).collect(),
            ..Hello::default()
        }
    }

    #[test]
    fn several_workers_are_kept_as_long_as_nothing_speaks_against_it() {
        let plain = Arrangement::default();
        assert_eq!(plain.workers(4), 4);
        assert_eq!(plain.after_hello(&hello("", &[]), 4), None);
        let single = plain.after_hello(&hello("--stepwise", &[]), 4).unwrap();
        assert_eq!(single.workers(4), 1);
        assert_eq!(single.after_hello(&hello("--stepwise", &[]), 1), None);
        assert_eq!(single.after_collection("", ""), plain);
    }

    #[test]
    fn a_controller_is_asked_for_once_for_the_same_hooks() {
        let asked = Arrangement::default()
            .after_hello(&hello("", &["a hook"]), 2)
            .unwrap();
        assert!(asked.controller);
        let idle = Arrangement {
            controller: false,
            ..asked
        };
        assert_eq!(idle.after_hello(&hello("", &["a hook"]), 2), None);
        let other = idle.after_hello(&hello("", &["another"]), 2).unwrap();
        assert!(other.controller);
    }

    #[test]
    fn what_was_learned_stays_for_some_runs() {
        let mut learned = Arrangement::default();
        for expected in [8, 16] {
            let runs = learned.learn_failed_start("x\nOSError: port in use\n");
            assert_eq!(runs, expected);
            for _ in 0..runs {
                assert!(learned.one_worker.ends_with("OSError: port in use"));
                assert_eq!(learned.after_collection("", ""), learned);
                learned.went_well(1);
            }
            // What sessions say counts meanwhile.
            assert_eq!(learned.workers(4), 4);
            assert_eq!(learned.after_collection("--stepwise", "").workers(4), 1);
        }
        learned.went_well(1);
        assert_ne!(learned, Arrangement::default());
        learned.went_well(4);
        learned.went_well(4);
        assert_eq!(learned, Arrangement::default());
    }
}
