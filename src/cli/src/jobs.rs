//! From tests to jobs: by files, or parts of long ones, for several workers; in the order of the session, for one.

use std::collections::HashMap;
use std::time::Duration;

use dx_py_core::TestId;
use dx_py_executor::Job;
use petgraph::unionfind::UnionFind;

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
    /// What it has in common with other tests of its file, which then stay together; `*` stands for the file.
    pub bonds: Vec<String>,
}

/// How the bond of a wide fixture begins. It lives until its file ends, and what its teardown comes to lands on the last test there,
/// so it binds all tests from its first user on.
const WIDE: char = '>';

/// What it must gain, in expected time, that a file isn't run in one go.
pub const WORTHWHILE: Duration = Duration::from_millis(100);

/// One job for each file; a file that would take longer than its share of all the work becomes several, so that the last worker isn't
/// left alone with it. Tests that have something in common stay together.
pub fn shared_out(tests: Vec<Planned>, workers: usize) -> Vec<Job> {
    let workers = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
    let share = tests.iter().map(|test| test.expected).sum::<Duration>() / workers;
    let files = tests.chunk_by(|one, next| one.file == next.file);
    let mut jobs = Vec::new();
    for file in files {
        let expected: Duration = file.iter().map(|test| test.expected).sum();
        if workers > 1 && expected > share + WORTHWHILE {
            // Pieces of a quarter of a share leave something to balance with.
            jobs.extend(pieces(file, (share / 4).max(WORTHWHILE)));
        } else {
            jobs.append(&mut by_file(file.to_vec()));
        }
    }
    jobs
}

/// Whether the tests of a file, of which these are the bonds, can be run in several pieces.
pub fn is_divisible<'a>(bonds: impl Iterator<Item = &'a [String]>) -> bool {
    units(bonds).len() > 1
}

/// The tests of a file in jobs that are expected to take at least `least` each; as few more as what they have in common allows.
fn pieces(tests: &[Planned], least: Duration) -> Vec<Job> {
    let mut jobs: Vec<Vec<usize>> = Vec::new();
    let mut filled = least;
    for unit in units(tests.iter().map(|test| &test.bonds[..])) {
        if filled >= least {
            jobs.push(Vec::new());
            filled = Duration::ZERO;
        }
        filled += unit.iter().map(|at| tests[*at].expected).sum::<Duration>();
        if let Some(job) = jobs.last_mut() {
            job.extend(unit);
        }
    }
    let as_job = |mut places: Vec<usize>| {
        places.sort_unstable();
        by_file(places.iter().map(|at| tests[*at].clone()).collect())
    };
    jobs.into_iter().flat_map(as_job).collect()
}

/// The places of the tests that stay together, by the first of them; `bonds` are those of each test.
fn units<'a>(bonds: impl Iterator<Item = &'a [String]>) -> Vec<Vec<usize>> {
    let bonds: Vec<&[String]> = bonds.collect();
    let mut sets = UnionFind::<usize>::new(bonds.len());
    let mut first_with: HashMap<&str, usize> = HashMap::new();
    let mut fixture_from = bonds.len();
    let whole = bonds
        .iter()
        .any(|bonds| bonds.iter().any(|bond| bond == "*"));
    for (at, bonds) in bonds.iter().enumerate() {
        if whole {
            sets.union(0, at);
        }
        for bond in *bonds {
            if bond.starts_with(WIDE) {
                fixture_from = fixture_from.min(at);
            }
            let first = *first_with.entry(bond).or_insert(at);
            sets.union(first, at);
        }
    }
    for at in fixture_from..bonds.len() {
        sets.union(fixture_from, at);
    }
    let mut units: Vec<Vec<usize>> = Vec::new();
    let mut unit_of: HashMap<usize, usize> = HashMap::new();
    for at in 0..bonds.len() {
        let unit = *unit_of.entry(sets.find_mut(at)).or_insert_with(|| {
            units.push(Vec::new());
            units.len() - 1
        });
        units[unit].push(at);
    }
    units
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
    use proptest::prelude::*;

    fn planned(id: &str, place: u32) -> Planned {
        let id = TestId::new(id);
        Planned {
            file: id.file().to_owned(),
            id,
            place,
            expected: UNKNOWN,
            bonds: Vec::new(),
        }
    }

    /// Upper case letters are wide fixtures.
    fn bond(letter: char) -> String {
        if letter.is_uppercase() {
            format!("{WIDE}{letter}")
        } else {
            letter.to_string()
        }
    }

    /// Tests of one file, each with the letters that it has in common with others, and milliseconds.
    fn file(name: &str, tests: &[(&str, u64)]) -> Vec<Planned> {
        let planned = tests
            .iter()
            .enumerate()
            .map(|(number, (bonds, time))| Planned {
                expected: Duration::from_millis(*time),
                bonds: bonds.chars().map(bond).collect(),
                ..planned(&format!("{name}::{number}"), number as u32)
            });
        planned.collect()
    }

    #[test]
    fn a_file_that_is_longer_than_its_share_is_divided_where_tests_have_nothing_in_common() {
        let names = |jobs: &[Job]| -> Vec<String> {
            let of = |job: &Job| {
                job.tests
                    .iter()
                    .map(TestId::name)
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            jobs.iter().map(of).collect()
        };
        let long = file(
            "a.py",
            &[("a", 300), ("", 300), ("ab", 300), ("b", 300), ("", 300)],
        );
        assert_eq!(names(&shared_out(long.clone(), 2)), ["0 2 3", "1", "4"]);
        assert_eq!(names(&shared_out(long.clone(), 1)), ["0 1 2 3 4"]);
        let balanced = [long, file("b.py", &[("", 1500)])].concat();
        assert_eq!(names(&shared_out(balanced, 2)), ["0 1 2 3 4", "0"]);
        let wide = file("a.py", &[("", 300), ("", 300), ("F", 300), ("", 300)]);
        assert_eq!(names(&shared_out(wide, 2)), ["0", "1", "2 3"]);
        let whole = file("a.py", &[("", 900), ("*", 900)]);
        assert!(!is_divisible(whole.iter().map(|test| &test.bonds[..])));
        assert_eq!(names(&shared_out(whole, 2)), ["0 1"]);
        let short = file("a.py", &[("", 90), ("", 90)]);
        assert!(is_divisible(short.iter().map(|test| &test.bonds[..])));
        assert_eq!(names(&shared_out(short, 2)), ["0 1"]);
    }

    proptest! {
        // Property 11: test distribution completeness
        #[test]
        fn dividing_files_loses_no_test_and_keeps_the_order_and_what_belongs_together(
            tests in prop::collection::vec(("[a-d]{0,2}F{0,1}", 0u64..400), 1..40),
            workers in 1usize..5,
        ) {
            let tests: Vec<(&str, u64)> = tests.iter().map(|(bonds, time)| (bonds.as_str(), *time)).collect();
            let all = file("a.py", &tests);
            let jobs = shared_out(all.clone(), workers);
            let number = |id: &TestId| id.name().parse::<usize>().unwrap();
            let mut seen: Vec<usize> = jobs.iter().flat_map(|job| job.tests.iter().map(number)).collect();
            for job in &jobs {
                prop_assert!(job.tests.iter().map(number).is_sorted());
            }
            for bond in ["a", "b", "c", "d"] {
                let has = |id: &TestId| all[number(id)].bonds.iter().any(|other| other == bond);
                prop_assert!(jobs.iter().filter(|job| job.tests.iter().any(has)).count() <= 1);
            }
            if let Some(first) = tests.iter().position(|(bonds, _)| bonds.contains('F')) {
                let lives = |job: &&Job| job.tests.iter().any(|id| number(id) >= first);
                prop_assert_eq!(jobs.iter().filter(lives).count(), 1);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..all.len()).collect::<Vec<_>>());
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
