//! The queues of jobs: one for all, one for each worker, and stealing between them.
//!
//! A worker takes from its own queue first, then from the one for all, then steals from another's. Jobs are dealt to the workers by
//! longest processing time first (Graham 1969), which bounds how late the last one ends. Each runs those that it was dealt in pytest's
//! order, since suites lean on it: what one file leaves behind is met by those that pytest runs after it, as under pytest-xdist. The
//! end of the session waits in the queue for all, and makes up for what was expected wrongly; of a share that was collected for one
//! worker a few short jobs come last, for others to steal. One worker runs pytest's order.

use std::cmp::Reverse;
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

/// Which part of the work is left to whoever comes first: a fourth of it.
const OPEN_PART: u32 = 4;
/// Which part of a worker's share is too long to be left for the end: an eighth.
const LONG_PART: u32 = 8;
/// Which part of a worker's share shall be short jobs at its end, if it has such: an eighth. Forecasts are about as wrong.
const SHORT_PART: u32 = 8;

/// How many jobs for each worker are plenty.
const PLENTY: usize = 4;

/// Which worker each piece of work goes to, by longest processing time first.
pub fn longest_first(expected: &[Duration], workers: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..expected.len()).collect();
    order.sort_by_key(|at| (Reverse(expected[*at]), *at));
    let mut loads = vec![Duration::ZERO; workers];
    let mut slots = vec![0; expected.len()];
    for at in order {
        let lightest = (0..workers).min_by_key(|slot| loads[*slot]);
        if let Some(slot) = lightest {
            loads[slot] += expected[at];
            slots[at] = slot;
        }
    }
    slots
}

/// Puts the last short ones of a share behind the long ones that follow them: whoever has nothing left can then take something, while the
/// last job of a worker may be one that takes a third of its time.
fn short_last(jobs: Vec<Job>) -> Vec<Job> {
    let share = jobs.iter().map(|job| job.expected).sum::<Duration>();
    let mut at_the_end = Duration::ZERO;
    let (mut last, mut first): (Vec<Job>, Vec<Job>) = jobs.into_iter().rev().partition(|job| {
        let is_last = at_the_end < share / SHORT_PART && job.expected <= share / LONG_PART;
        at_the_end += if is_last {
            job.expected
        } else {
            Duration::ZERO
        };
        is_last
    });
    first.reverse();
    last.reverse();
    first.append(&mut last);
    first
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

    /// Adds jobs, which come in pytest's order.
    pub fn add(&self, jobs: Vec<Job>) {
        let slots = self.deal(&jobs);
        for (job, slot) in jobs.into_iter().zip(slots) {
            match slot {
                Some(slot) => self.local[slot].push(job),
                None => self.shared.push(job),
            }
        }
    }

    /// Adds jobs, a share in pytest's order, to a slot's own queue. With more than one slot the share ends in short jobs.
    pub fn add_to(&self, slot: usize, jobs: Vec<Job>) {
        let is_alone = self.local.len() == 1;
        for job in if is_alone { jobs } else { short_last(jobs) } {
            self.local[slot].push(job);
        }
    }

    /// Which slot's queue each job goes to; none for the one for all.
    fn deal(&self, jobs: &[Job]) -> Vec<Option<usize>> {
        let mut slots = vec![None; jobs.len()];
        let workers = u32::try_from(self.local.len()).unwrap_or(u32::MAX);
        if workers == 1 {
            return slots;
        }
        let share = jobs.iter().map(|job| job.expected).sum::<Duration>() / workers;
        let mut at_the_end = Duration::ZERO;
        let mut dealt: Vec<usize> = (0..jobs.len())
            .rev()
            .filter(|at| {
                at_the_end += jobs[*at].expected;
                at_the_end > share * workers / OPEN_PART || jobs[*at].expected > share / LONG_PART
            })
            .collect();
        dealt.reverse();
        let expected: Vec<Duration> = dealt.iter().map(|at| jobs[*at].expected).collect();
        for (at, slot) in dealt.iter().zip(longest_first(&expected, self.local.len())) {
            slots[*at] = Some(slot);
        }
        slots
    }

    /// Gives back what a worker didn't finish. It goes to that slot's own queue, from which others may steal it.
    pub fn give_back(&self, slot: usize, job: Job) {
        self.local[slot].push(job);
    }

    /// The next job for a slot, if any queue has one; of another slot's jobs not the last one if `spares_last`.
    pub fn take(&self, slot: usize, spares_last: bool) -> Option<Job> {
        let least = if spares_last { 2 } else { 1 };
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
        loop {
            // From whoever has most before it.
            let others = self.stealers.iter().enumerate();
            let (_, victim) = others
                .filter(|(other, stealer)| *other != slot && stealer.len() >= least)
                .max_by_key(|(_, stealer)| stealer.len())?;
            if let Steal::Success(job) = victim.steal() {
                return Some(job);
            }
        }
    }

    /// Whether so many jobs wait that one may be taken before its time.
    pub fn is_plenty(&self, slot: usize) -> bool {
        let workers = self.local.len();
        let open = self.shared.len();
        open > PLENTY * workers || self.local[slot].len() > PLENTY || workers == 1 && open > 0
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
            while let Some(job) = queues.take(*turn.next().unwrap() % workers, false) {
                prop_assert!(taken.insert(job.file.clone()), "{} was handed out twice", job.file);
            }
            prop_assert_eq!(taken.len(), times.len());
            prop_assert!(queues.is_empty());
        }
    }

    fn all_of(queues: &Queues, slot: usize) -> Vec<String> {
        std::iter::from_fn(|| queues.local[slot].pop())
            .map(|job| job.file)
            .collect()
    }

    #[test]
    fn the_longest_are_dealt_first_and_each_worker_keeps_the_order() {
        let queues = Queues::new(2);
        let times = [10, 40, 10, 30, 20, 50, 1, 1, 30, 2];
        queues.add(
            times
                .iter()
                .enumerate()
                .map(|(number, time)| job(number, *time))
                .collect(),
        );
        // 50, 30, 10 and 10 against 40, 30 and 20.
        assert_eq!(all_of(&queues, 0), ["0", "2", "5", "8"]);
        assert_eq!(all_of(&queues, 1), ["1", "3", "4"]);
        let shared: Vec<String> = std::iter::from_fn(|| queues.take(0, false))
            .map(|job| job.file)
            .collect();
        assert_eq!(shared, ["6", "7", "9"]);
    }

    #[test]
    fn leftovers_can_be_stolen_from_whoever_has_most() {
        let queues = Queues::new(3);
        queues.give_back(0, job(6, 1));
        queues.give_back(1, job(7, 1));
        queues.give_back(1, job(8, 1));
        let order: Vec<String> = std::iter::from_fn(|| queues.take(2, false))
            .map(|job| job.file)
            .collect();
        assert_eq!(order, ["7", "8", "6"]);
    }

    #[test]
    fn the_last_job_of_another_slot_may_be_left_to_it() {
        let queues = Queues::new(2);
        queues.add_to(0, vec![job(1, 1), job(2, 1)]);
        let take = |slot, spares_last| queues.take(slot, spares_last).map(|job| job.file);
        assert_eq!(take(1, true).as_deref(), Some("1"));
        assert_eq!(take(1, true), None);
        assert_eq!(take(1, false).as_deref(), Some("2"));
        queues.add_to(0, vec![job(3, 1)]);
        assert_eq!(take(0, true).as_deref(), Some("3"));
    }

    #[test]
    fn a_share_ends_in_short_jobs() {
        let order = |workers, times: &[u64]| {
            let queues = Queues::new(workers);
            let jobs = times.iter().enumerate();
            queues.add_to(0, jobs.map(|(number, time)| job(number, *time)).collect());
            all_of(&queues, 0).join(" ")
        };
        // Of 400 ms those up to 50 are short, and at least 50 in all come last.
        assert_eq!(order(2, &[30, 40, 20, 90, 10, 210]), "0 3 5 1 2 4");
        assert_eq!(order(2, &[50, 130, 40, 90, 70, 20]), "0 1 3 4 2 5");
        assert_eq!(order(2, &[130, 90, 70, 60, 50]), "0 1 2 3 4");
        assert_eq!(order(2, &[100, 100, 100, 100]), "0 1 2 3");
        assert_eq!(order(1, &[30, 40, 20, 90, 10, 210]), "0 1 2 3 4 5");
    }

    proptest! {
        #[test]
        fn dealing_keeps_the_order_and_no_worker_gets_too_much(times in prop::collection::vec(1u64..100, 1..60), workers in 2usize..5) {
            let queues = Queues::new(workers);
            queues.add(times.iter().enumerate().map(|(number, time)| job(number, *time)).collect());
            let longest = *times.iter().max().unwrap() as f64;
            let best = (times.iter().sum::<u64>() as f64 / workers as f64).max(longest);
            for slot in 0..workers {
                let of: Vec<usize> = all_of(&queues, slot).iter().map(|file| file.parse().unwrap()).collect();
                prop_assert!(of.is_sorted());
                let dealt: u64 = of.iter().map(|at| times[*at]).sum();
                prop_assert!(dealt as f64 <= best + longest, "{dealt} of {best}");
            }
        }
    }

    #[test]
    fn one_worker_keeps_the_order_and_what_it_gives_back_comes_first() {
        let queues = Queues::new(1);
        queues.add((0..20).map(|number| job(number, number as u64)).collect());
        assert_eq!(queues.take(0, false).unwrap().file, "0");
        queues.give_back(0, job(0, 0));
        let order: Vec<String> = std::iter::from_fn(|| queues.take(0, false))
            .map(|job| job.file)
            .collect();
        let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        assert_eq!(order, expected);
    }
}
