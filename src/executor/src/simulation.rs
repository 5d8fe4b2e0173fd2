//! Runs against simulated workers, which crash, hang and stop where they are told to.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use dx_py_core::{Doing, TestId, TestResult, TestStatus};
use dx_py_daemon::{ExitCause, LaunchError};
use dx_py_protocol::{Collected, CollectedItem, CollectionDone, Command, Hello, Report};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::connection::{Connection, Launcher};
use crate::patience::{Patience, was_idle};
use crate::queue::Job;
use crate::run::{Handler, Outcome, RunPlan, RunnerEvent, run};
use crate::standby::{Foreseen, Standby};

/// What goes wrong with a test.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Fails,
    Crashes,
    Hangs,
}

type Suite = Vec<Vec<Fault>>;

fn name(file: usize, test: usize) -> TestId {
    TestId::new(format!("{file}.py::test_{test}"))
}

struct Simulated {
    suite: Rc<Suite>,
    reports: VecDeque<Report>,
    jobs: VecDeque<(u64, VecDeque<TestId>)>,
    dead: bool,
    hung: bool,
    finish: bool,
    asked: bool,
    process: usize,
    private: usize,
    /// The files whose items it has made, and those of its share.
    made: BTreeSet<usize>,
    collected: bool,
    dies_waiting: bool,
    /// Whether it uses CPU time while it hangs, and since when it is there.
    busy: bool,
    began: Instant,
}

impl Simulated {
    /// Makes the items of a file. Each process has IDs of its own in the private files.
    fn make(&mut self, number: usize) {
        self.made.insert(number);
        let file = format!("{number}.py");
        let id = if number < self.private {
            self.process.to_string()
        } else {
            String::new()
        };
        self.reports.push_back(Report::Collected(Collected {
            path: format!("/{file}"),
            file,
            items: vec![CollectedItem {
                id,
                ..CollectedItem::default()
            }],
        }));
    }

    fn number(file: &str) -> usize {
        file.trim_end_matches(".py").parse().unwrap()
    }

    fn fault(&self, test: &TestId) -> Fault {
        let file: usize = test.file().trim_end_matches(".py").parse().unwrap();
        let number: usize = test.name()["test_".len()..].parse().unwrap();
        self.suite[file][number]
    }

    /// One step of the worker's own loop.
    fn step(&mut self) {
        let Some((number, left)) = self
            .jobs
            .front()
            .map(|(number, tests)| (*number, tests.len()))
        else {
            if self.finish && !self.dead {
                self.reports.push_back(Report::Bye {
                    code: 0,
                    decided: false,
                });
                self.dead = true;
            }
            return;
        };
        if left == 1 && !self.asked && !self.finish {
            self.asked = true;
            self.reports.push_back(Report::Next);
            return;
        }
        if left == 1 && self.jobs.len() < 2 && !self.finish {
            return;
        }
        let test = self.jobs[0].1.pop_front();
        let Some(test) = test else {
            self.reports.push_back(Report::JobDone { job: number });
            self.jobs.pop_front();
            self.asked = false;
            return;
        };
        self.reports.push_back(Report::TestStarted(test.clone()));
        let status = match self.fault(&test) {
            Fault::Crashes => return self.dead = true,
            Fault::Hangs => return self.hung = true,
            Fault::Fails => TestStatus::Failed,
            Fault::None => TestStatus::Passed,
        };
        let result = TestResult::bare(test, status, Duration::ZERO);
        self.reports
            .push_back(Report::TestFinished(Box::new(result)));
    }
}

impl Connection for Simulated {
    async fn send(&mut self, command: &Command, sequence: u64) -> Result<(), String> {
        match command {
            Command::Collect { share, .. } => {
                let files: Vec<usize> = match share {
                    Some(share) => share.iter().map(|file| Self::number(file)).collect(),
                    None => (0..self.suite.len()).collect(),
                };
                for number in files {
                    self.make(number);
                }
                self.reports
                    .push_back(Report::CollectionDone(CollectionDone::default()));
                if !std::mem::replace(&mut self.collected, true) {
                    self.reports.push_back(Report::Next);
                }
            }
            Command::Run { .. } if self.dies_waiting => self.dead = true,
            Command::Run { file, .. }
                if Self::number(file) < self.private
                    && !self.made.contains(&Self::number(file)) =>
            {
                self.make(Self::number(file));
                self.reports.push_back(Report::Lacks { job: sequence });
            }
            Command::Run { tests, .. } => {
                self.jobs
                    .push_back((sequence, tests.iter().cloned().collect()));
            }
            Command::TellTest { .. } | Command::TellCollection { .. } => {
                unreachable!("a worker isn't told of other tests")
            }
            Command::Begin => {}
            Command::Finish => self.finish = true,
            Command::Stop => {
                self.jobs.clear();
                self.finish = true;
            }
        }
        Ok(())
    }

    async fn recv(&mut self) -> Result<Option<Report>, String> {
        loop {
            tokio::task::yield_now().await;
            if let Some(report) = self.reports.pop_front() {
                return Ok(Some(report));
            }
            if self.dead {
                return Ok(None);
            }
            if !self.hung {
                self.step();
            }
            // It waits for an answer, or for ever.
            if self.reports.is_empty() && !self.dead {
                std::future::pending::<()>().await;
            }
        }
    }

    fn interrupt(&mut self) {
        self.dead = true;
        self.hung = false;
    }

    fn suspend(&mut self, _stands: bool) {}

    async fn ended(&mut self) -> (ExitCause, String) {
        (ExitCause::Signal(11), "last words".into())
    }

    fn cpu_time(&self) -> Option<Duration> {
        let works = self.busy || !self.hung;
        Some(if works {
            self.began.elapsed()
        } else {
            Duration::ZERO
        })
    }

    async fn kill(&mut self) -> String {
        "stacks".into()
    }
}

struct Simulation {
    suite: Rc<Suite>,
    launched: Cell<usize>,
    private: usize,
    /// The workers of the first so many slots can't start.
    unable: u32,
    /// The first worker dies when it would be given work.
    dies_waiting: bool,
    busy: bool,
}

impl Launcher for Simulation {
    type Worker = Simulated;

    fn launch(&self, slot: u32) -> Result<Simulated, LaunchError> {
        self.launched.set(self.launched.get() + 1);
        let first = if slot < self.unable {
            Report::Fatal {
                code: 4,
                text: "no".into(),
            }
        } else {
            Report::Hello(Hello::default())
        };
        Ok(Simulated {
            suite: self.suite.clone(),
            reports: VecDeque::from([first]),
            jobs: VecDeque::new(),
            dead: false,
            hung: false,
            busy: self.busy,
            began: Instant::now(),
            finish: false,
            asked: false,
            process: self.launched.get(),
            private: self.private,
            made: BTreeSet::new(),
            collected: false,
            dies_waiting: self.dies_waiting && self.launched.get() == 1,
        })
    }
}

#[derive(Default)]
struct Record {
    suite: Rc<Suite>,
    started: Vec<TestId>,
    results: BTreeMap<TestId, TestResult>,
    repeated: bool,
    slow: Vec<(Doing, u64)>,
}

impl Handler for Record {
    fn collected(&mut self, _: u32, files: Vec<Collected>, _: CollectionDone) -> Vec<Job> {
        let numbers = files.iter().map(|file| Simulated::number(&file.file));
        let jobs = numbers
            .map(|number| (number, &self.suite[number]))
            .filter(|(_, tests)| !tests.is_empty());
        jobs.map(|(file, tests)| Job {
            file: format!("{file}.py"),
            tests: (0..tests.len()).map(|test| name(file, test)).collect(),
            expected: Duration::from_millis(tests.len() as u64),
        })
        .collect()
    }

    fn event(&mut self, event: RunnerEvent) -> bool {
        match event {
            RunnerEvent::TestStarted { id, .. } => self.started.push(id),
            RunnerEvent::TestFinished(result) => {
                self.repeated |= self.results.insert(result.id.clone(), *result).is_some();
            }
            RunnerEvent::Slow { doing, elapsed, .. } => {
                self.slow.push((doing, elapsed.as_secs()));
            }
            _ => {}
        }
        true
    }
}

fn simulate(suite: Suite, workers: usize, maxfail: Option<usize>) -> (Record, Outcome, usize) {
    simulate_with(suite, workers, maxfail, Twists::default())
}

/// What isn't as usual.
#[derive(Clone, Copy, Debug, Default)]
struct Twists {
    /// The first so many files are collected differently by each process.
    private: usize,
    /// Each worker makes the items of a share of the files only.
    split: bool,
    /// The workers of the first so many slots can't start; one always can.
    unable: usize,
    /// Workers that do nothing are ended after so many seconds, and those that hang after 100.
    patience: Option<u64>,
    /// Those that hang use CPU time.
    busy: bool,
}

fn simulate_with(
    suite: Suite,
    workers: usize,
    maxfail: Option<usize>,
    twists: Twists,
) -> (Record, Outcome, usize) {
    let suite = Rc::new(suite);
    let simulation = Simulation {
        suite: suite.clone(),
        launched: Cell::new(0),
        private: twists.private,
        unable: twists.unable.min(workers - 1) as u32,
        busy: twists.busy,
        dies_waiting: false,
    };
    let mut shares = Vec::new();
    if twists.split {
        shares.resize(workers, Vec::new());
        for number in 0..suite.len() {
            shares[number % workers].push(format!("{number}.py"));
        }
    }
    let mut record = Record {
        suite,
        ..Record::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let plan = RunPlan {
        workers,
        collect: None,
        rewrite: Vec::new(),
        shares,
        inert: Vec::new(),
        folders: Vec::new(),
        timeout: Some(Duration::from_secs(match twists.patience {
            Some(_) => 100,
            None => 5,
        })),
        slow_after: Some(Duration::from_secs(2)),
        maxfail,
        patience: twists.patience.map(|limit| Patience {
            limit: Duration::from_secs(limit),
            known: [(name(0, 2), Duration::from_secs(60))].into(),
        }),
        first_process: 0,
    };
    let local = tokio::task::LocalSet::new();
    let outcome = local
        .block_on(&runtime, run(plan, &simulation, &mut record))
        .unwrap();
    (record, outcome, simulation.launched.get())
}

fn suites() -> impl Strategy<Value = Suite> {
    let fault = prop_oneof![8 => Just(Fault::None), 2 => Just(Fault::Fails), 1 => Just(Fault::Crashes), 1 => Just(Fault::Hangs)];
    prop::collection::vec(prop::collection::vec(fault, 0..8), 0..10)
}

proptest! {
    // Property 11: test distribution completeness
    #[test]
    fn each_test_is_handed_out_exactly_once(suite in suites(), workers in 1usize..5) {
        let all: BTreeSet<TestId> = suite.iter().enumerate().flat_map(|(file, tests)| (0..tests.len()).map(move |test| name(file, test))).collect();
        let (record, _, _) = simulate(suite, workers, None);
        let started: BTreeSet<TestId> = record.started.iter().cloned().collect();
        prop_assert_eq!(started.len(), record.started.len());
        prop_assert_eq!(started, all);
    }

    // Property 12: result aggregation completeness
    #[test]
    fn every_submitted_test_has_one_result_or_is_told_as_not_run(suite in suites(), workers in 1usize..5, maxfail in prop::option::of(1usize..4)) {
        let total: usize = suite.iter().map(Vec::len).sum();
        let (record, outcome, _) = simulate(suite, workers, maxfail);
        prop_assert!(!record.repeated);
        prop_assert_eq!(record.results.len() + outcome.not_run.len(), total);
        prop_assert!(outcome.not_run.iter().all(|test| !record.results.contains_key(test)));
        prop_assert!(maxfail.is_some() || outcome.not_run.is_empty());
    }

    // Property 13: executor fault tolerance
    #[test]
    fn a_crash_or_a_hang_costs_only_the_test_that_ran(suite in suites(), workers in 1usize..5) {
        let (record, _, _) = simulate(suite.clone(), workers, None);
        for (file, tests) in suite.iter().enumerate() {
            for (test, fault) in tests.iter().enumerate() {
                let result = &record.results[&name(file, test)];
                prop_assert_eq!(result.status.is_bad(), *fault != Fault::None);
                match fault {
                    Fault::Crashes => prop_assert_eq!(result.message(), format!("worker gw{} died: signal 11 (SIGSEGV) while it ran this test", result.worker)),
                    Fault::Hangs => prop_assert_eq!(result.message(), "timed out after 5 s"),
                    _ => {}
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_processes_collect_differently_runs_where_it_was_planned(suite in suites(), workers in 1usize..5, private in 0usize..10) {
        let total: usize = suite.iter().map(Vec::len).sum();
        let (record, outcome, _) = simulate_with(suite.clone(), workers, None, Twists { private, ..Twists::default() });
        prop_assert_eq!(record.results.len(), total);
        prop_assert!(!record.repeated && outcome.not_run.is_empty());
        let calm = suite.iter().flatten().all(|fault| matches!(fault, Fault::None | Fault::Fails));
        let homes: BTreeSet<u32> = (0..private.min(suite.len())).flat_map(|file| (0..suite[file].len()).map(move |test| name(file, test))).map(|test| record.results[&test].worker).collect();
        prop_assert!(!calm || homes.len() <= 1);
        prop_assert!(!calm || record.started.len() == total);
    }
}

proptest! {
    // Property 11: test distribution completeness
    #[test]
    fn workers_that_share_the_collection_hand_out_each_test_once(suite in suites(), workers in 1usize..5, private in 0usize..10, unable in 0usize..4) {
        let total: usize = suite.iter().map(Vec::len).sum();
        let (record, outcome, _) = simulate_with(suite.clone(), workers, None, Twists { private, split: true, unable, ..Twists::default() });
        prop_assert!(!record.repeated && outcome.not_run.is_empty());
        prop_assert_eq!(record.results.len(), total);
        let started: BTreeSet<TestId> = record.started.iter().cloned().collect();
        prop_assert_eq!(started.len(), record.started.len());
        let calm = suite.iter().flatten().all(|fault| matches!(fault, Fault::None | Fault::Fails));
        prop_assert!(!calm || record.started.len() == total);
    }
}

/// Runs the suite in a phase whose worker was prepared beside an earlier one, which ended after so many turns of the event loop; gives
/// how many workers were launched.
fn simulate_prepared(suite: Suite, turns: usize, dies_waiting: bool) -> (Record, usize) {
    let suite = Rc::new(suite);
    let standby = Standby::new(Simulation {
        suite: suite.clone(),
        launched: Cell::new(0),
        private: 0,
        unable: 0,
        dies_waiting,
        busy: false,
    });
    let mut record = Record {
        suite,
        ..Record::default()
    };
    let plan = RunPlan {
        workers: 1,
        collect: None,
        rewrite: Vec::new(),
        shares: Vec::new(),
        inert: Vec::new(),
        folders: Vec::new(),
        timeout: Some(Duration::from_secs(5)),
        slow_after: None,
        maxfail: None,
        patience: None,
        first_process: 0,
    };
    let foreseen = Foreseen::default();
    foreseen.phase();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let earlier = async {
            for turn in 0..turns {
                if turn == 10 {
                    foreseen.everything();
                }
                tokio::task::yield_now().await;
            }
        };
        standby.beside(earlier, &plan, &foreseen).await;
        run(plan, &standby, &mut record).await.unwrap();
    });
    (record, standby.launcher().launched.get())
}

proptest! {
    // Property 11: test distribution completeness
    #[test]
    fn a_prepared_worker_is_as_good_as_one_that_starts_then(suite in suites(), turns in 0usize..40, dies_waiting: bool) {
        let total: usize = suite.iter().map(Vec::len).sum();
        let faults = suite.iter().flatten().filter(|fault| matches!(fault, Fault::Crashes | Fault::Hangs)).count();
        let (record, launched) = simulate_prepared(suite, turns, dies_waiting);
        prop_assert!(!record.repeated);
        prop_assert_eq!((record.results.len(), record.started.len()), (total, total));
        prop_assert!(launched <= 1 + faults + usize::from(dies_waiting), "{} workers", launched);
    }
}

#[test]
fn it_is_told_again_and_again_what_a_worker_is_busy_with() {
    let suite = vec![vec![Fault::None, Fault::Hangs, Fault::None]];
    let (record, _, _) = simulate(suite, 2, None);
    let hung = || Doing::Test(name(0, 1));
    assert_eq!(record.slow, [(hung(), 2), (hung(), 4)]);
}

#[test]
fn a_worker_that_does_nothing_is_ended_and_one_that_works_is_not() {
    let suite = vec![vec![Fault::None, Fault::Hangs, Fault::Hangs, Fault::None]];
    let twists = |busy| Twists {
        patience: Some(30),
        busy,
        ..Twists::default()
    };
    for (busy, expected) in [
        (
            false,
            [
                "did nothing for 30 s beside other tests",
                "did nothing for 60 s beside other tests",
            ],
        ),
        (true, ["timed out after 100 s"; 2]),
    ] {
        let (record, _, _) = simulate_with(suite.clone(), 2, None, twists(busy));
        let result = |number| &record.results[&name(0, number)];
        assert_eq!([1, 2].map(|number| result(number).message()), expected);
        assert_eq!(was_idle(result(1)), !busy);
        assert!(!was_idle(result(3)) && record.results.len() == 4);
    }
}

#[test]
fn a_healthy_run_starts_each_worker_once() {
    let (record, outcome, launched) = simulate(vec![vec![Fault::None; 3]; 4], 2, None);
    assert_eq!((record.results.len(), launched), (12, 2));
    assert!(outcome.not_run.is_empty() && outcome.stopped.is_none());
}
