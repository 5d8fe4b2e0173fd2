//! How many workers `-n auto` stands for: one for each core, and more for tests that wait.
//!
//! A test that sleeps, or waits for a server or a disk, leaves its core to others. Workers tell how long they had nothing to do while
//! they ran tests, and what each costs to start; from that follows with how many the tests would have ended first.

use std::time::Duration;

use dx_py_protocol::Load;
use serde::{Deserialize, Serialize};

/// From which idle part of the time on more workers than cores are considered: less may be noise.
const WORTH_IT: f64 = 0.15;
/// How many workers there may be for each core.
const MOST_FOR_A_CORE: usize = 4;
/// By how much more workers must shorten a run to be worth their memory.
const GAIN: f64 = 0.95;
/// Which part of the memory that is free workers may take.
const OF_MEMORY: u64 = 2;

/// What the workers of a run have told of it, together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Busyness {
    /// For how long they ran tests.
    pub elapsed: Duration,
    /// For how much of that they had nothing to do.
    pub idle: Duration,
    /// The CPU time that the slowest of them to start needed before its first test.
    pub start: Duration,
    /// The most memory that one of them had, in bytes.
    pub memory: u64,
}

impl Busyness {
    /// Adds what one worker has told.
    pub fn add(&mut self, load: &Load) {
        self.elapsed += load.elapsed;
        self.idle += load.idle;
        self.start = self.start.max(load.start);
        self.memory = self.memory.max(load.memory);
    }

    /// Whether it says more than what an earlier run has told: a run of few tests says little of the others.
    pub fn is_better_than(&self, known: Option<&Self>) -> bool {
        !self.elapsed.is_zero() && known.is_none_or(|known| self.elapsed * 2 >= known.elapsed)
    }

    /// The part of the time in which they had nothing to do.
    pub fn idle_part(&self) -> f64 {
        if self.elapsed.is_zero() {
            return 0.0;
        }
        self.idle.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// With how many workers tests end first that take so long one after the other, on so many cores and with so many bytes of memory
    /// that are free. Never fewer than cores.
    pub fn workers(&self, tests: Duration, cores: usize, free: u64) -> usize {
        let idle = self.idle_part();
        if idle < WORTH_IT {
            return cores;
        }
        let affordable = (free / OF_MEMORY).checked_div(self.memory);
        let affordable = affordable.map_or(usize::MAX, |count| count as usize);
        let most = (cores * MOST_FOR_A_CORE).min(affordable).max(cores);
        let time = |workers: usize| {
            let (count, cores) = (workers as f64, cores as f64);
            let starts = self.start.as_secs_f64() * (count / cores).max(1.0);
            let tests = tests.as_secs_f64();
            starts + (tests * (1.0 - idle) / cores).max(tests / count)
        };
        (cores..=most).fold(cores, |best, count| {
            if time(count) < GAIN * time(best) {
                count
            } else {
                best
            }
        })
    }
}

/// The memory that could be had without swapping, in bytes; as good as endless where the system doesn't tell.
pub fn free_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map_or(u64::MAX, |kilobytes| kilobytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn told(elapsed: u64, idle: u64) -> Busyness {
        Busyness {
            elapsed: Duration::from_millis(elapsed),
            idle: Duration::from_millis(idle),
            start: Duration::from_millis(300),
            memory: 100 * MB,
        }
    }

    #[test]
    fn tests_that_wait_get_more_workers_than_cores() {
        let minute = Duration::from_secs(60);
        let workers = |idle| told(1000, idle).workers(minute, 2, 8192 * MB);
        assert_eq!(workers(0), 2);
        assert_eq!(workers(140), 2);
        // As many as keep the cores busy.
        assert_eq!(workers(500), 4);
        assert_eq!(workers(660), 6);
        assert_eq!(workers(990), 8);
        assert_eq!(told(0, 0).workers(minute, 2, 8192 * MB), 2);
    }

    #[test]
    fn a_worker_must_be_worth_its_start_and_its_memory() {
        let told = told(1000, 900);
        let long = Duration::from_secs(60);
        assert_eq!(told.workers(long, 2, 8192 * MB), 8);
        assert_eq!(told.workers(Duration::from_secs(2), 2, 8192 * MB), 3);
        assert_eq!(told.workers(Duration::from_millis(200), 2, 8192 * MB), 2);
        assert_eq!(told.workers(long, 2, 1000 * MB), 5);
        assert_eq!(told.workers(long, 2, 10 * MB), 2);
    }

    #[test]
    fn a_run_of_few_tests_changes_nothing() {
        let mut whole = told(1000, 500);
        assert!(whole.is_better_than(None));
        assert!(!told(499, 0).is_better_than(Some(&whole)));
        assert!(told(500, 0).is_better_than(Some(&whole)));
        assert!(!told(0, 0).is_better_than(None));
        whole.add(&Load {
            elapsed: Duration::from_millis(1000),
            idle: Duration::ZERO,
            start: Duration::from_millis(400),
            memory: 7,
        });
        assert!((whole.idle_part() - 0.25).abs() < 1e-9);
        assert_eq!(
            (whole.start, whole.memory),
            (Duration::from_millis(400), 100 * MB)
        );
    }
}
