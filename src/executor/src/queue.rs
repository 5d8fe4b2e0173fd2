//! The queues of jobs: one for all, one for each worker, and stealing between them.
//!
//! A worker takes from its own queue first, then from the one for all, then steals from another's. The one for all is in the order
//! of longest processing time first (Graham 1969), which bounds how late the last worker ends; one worker runs pytest's order.

use std::time::Duration;

use crossbeam::deque::{Injector, Steal, Stealer, Worker};
use dx_py_core::TestId;

/// Tests of one file, to be run in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The file's node ID.
    pub file: String,
    /// The tests in pytest's order; never empty.
    pub tests: Vec<TestId>,
    /// How long they are expected to take.
    pub expected: Duration,
}

/// The queues of a run.
#[derive(Debug)]
pub struct Queues {
    shared: Injector<Job>,
    local: Vec<Worker<Job>>,
    stealers: Vec<Stealer<Job>>,
}

impl Queues {
    /// Empty queues for so many workers.
    pub fn new(workers: usize) -> Self {
        let local: Vec<Worker<Job>> = (0..workers).map(|_| Worker::new_fifo()).collect();
        let stealers = local.iter().map(Worker::stealer).collect();
        Self {
            shared: Injector::new(),
            local,
            stealers,
        }
    }

    /// Adds jobs for all, the longest first; for one worker, and among equals, in the order that they have.
    pub fn add(&self, mut jobs: Vec<Job>) {
        if self.local.len() > 1 {
            jobs.sort_by_key(|job| std::cmp::Reverse(job.expected));
        }
        for job in jobs {
            self.shared.push(job);
        }
    }

    /// Gives back what a worker didn't finish. It goes to that slot's own queue, from which others may steal it.
    pub fn give_back(&self, slot: usize, job: Job) {
        self.local[slot].push(job);
    }

    /// The next job for a slot, if any queue has one.
    pub fn take(&self, slot: usize) -> Option<Job> {
        let local = &self.local[slot];
        if let Some(job) = local.pop() {
            return Some(job);
        }
        // A batch saves contention while there are many jobs; near the end every job is taken alone, so that the balance holds.
        // One worker takes them one by one too, so that what it gives back comes before the rest.
        let batch = match self.local.len() {
            1 => 1,
            workers => (self.shared.len() / (8 * workers)).max(1),
        };
        loop {
            match self.shared.steal_batch_with_limit_and_pop(local, batch) {
                Steal::Success(job) => return Some(job),
                Steal::Empty => break,
                Steal::Retry => {}
            }
        }
        let others = self.stealers.iter().enumerate();
        for (_, stealer) in others.filter(|(other, _)| *other != slot) {
            loop {
                match stealer.steal() {
                    Steal::Success(job) => return Some(job),
                    Steal::Empty => break,
                    Steal::Retry => {}
                }
            }
        }
        None
    }

    /// Whether no queue has a job.
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.local.iter().all(Worker::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn job(number: usize, expected: u64) -> Job {
        Job {
            file: number.to_string(),
            tests: vec![TestId::new(number.to_string())],
            expected: Duration::from_millis(expected),
        }
    }

    proptest! {
        // Property 11: test distribution completeness
        #[test]
        fn every_job_is_taken_exactly_once(times in prop::collection::vec(0u64..100, 0..200), workers in 1usize..5, order in prop::collection::vec(0usize..5, 1..50)) {
            let queues = Queues::new(workers);
            queues.add(times.iter().enumerate().map(|(number, time)| job(number, *time)).collect());
            let mut taken = BTreeSet::new();
            let mut turn = order.iter().cycle();
            while let Some(job) = queues.take(*turn.next().unwrap() % workers) {
                prop_assert!(taken.insert(job.file.clone()), "{} was handed out twice", job.file);
            }
            prop_assert_eq!(taken.len(), times.len());
            prop_assert!(queues.is_empty());
        }
    }

    #[test]
    fn the_longest_comes_first_and_leftovers_can_be_stolen() {
        let queues = Queues::new(2);
        queues.add(vec![job(0, 1), job(1, 9), job(2, 5)]);
        assert_eq!(queues.take(0).unwrap().file, "1");
        queues.give_back(0, job(7, 1));
        assert_eq!(queues.take(1).unwrap().file, "2");
        assert_eq!(queues.take(1).unwrap().file, "0");
        assert_eq!(queues.take(1).unwrap().file, "7");
        assert_eq!(queues.take(0), None);
    }

    #[test]
    fn one_worker_keeps_the_order_and_what_it_gives_back_comes_first() {
        let queues = Queues::new(1);
        queues.add((0..20).map(|number| job(number, number as u64)).collect());
        assert_eq!(queues.take(0).unwrap().file, "0");
        queues.give_back(0, job(0, 0));
        let order: Vec<String> = std::iter::from_fn(|| queues.take(0))
            .map(|job| job.file)
            .collect();
        let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        assert_eq!(order, expected);
    }
}
