//! From tests to jobs: by files, for several workers; in the order of the session, for one.

use std::time::Duration;

use dx_py_core::TestId;
use dx_py_executor::Job;

/// How long a test is taken to run if it never did.
pub const UNKNOWN: Duration = Duration::from_millis(10);

/// A test that is to run.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The test.
    pub id: TestId,
    /// The node ID of its file.
    pub file: String,
    /// Its place in the order of the session.
    pub place: u32,
    /// How long it is expected to take.
    pub expected: Duration,
}

/// One job for each file, whose tests come one after the other.
pub fn by_file(tests: Vec<Planned>) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for test in tests {
        match jobs.last_mut() {
            Some(job) if job.file == test.file => {
                job.tests.push(test.id);
                job.expected += test.expected;
            }
            _ => jobs.push(Job {
                file: test.file,
                tests: vec![test.id],
                expected: test.expected,
            }),
        }
    }
    jobs
}

/// Jobs for one worker: as long as the tests of a file follow each other in the order of the session they are one job.
pub fn in_order(mut tests: Vec<Planned>) -> Vec<Job> {
    tests.sort_by_key(|test| test.place);
    let mut jobs = by_file(tests);
    for job in &mut jobs {
        // The order of jobs is that of their expected times: this keeps it.
        job.expected = Duration::ZERO;
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(id: &str, place: u32) -> Planned {
        let id = TestId::new(id);
        Planned {
            file: id.file().to_owned(),
            id,
            place,
            expected: UNKNOWN,
        }
    }

    #[test]
    fn one_worker_follows_the_session_and_several_take_whole_files() {
        let tests = vec![
            planned("a.py::1", 0),
            planned("a.py::3", 2),
            planned("b.py::2", 1),
        ];
        let files = |jobs: &[Job]| -> Vec<String> {
            jobs.iter()
                .map(|job| format!("{} {}", job.file, job.tests.len()))
                .collect()
        };
        assert_eq!(files(&by_file(tests.clone())), ["a.py 2", "b.py 1"]);
        let ordered = in_order(tests);
        assert_eq!(files(&ordered), ["a.py 1", "b.py 1", "a.py 1"]);
        assert!(ordered.iter().all(|job| job.expected.is_zero()));
    }
}
