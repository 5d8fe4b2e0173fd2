//! What running in parallel changes is made up for here.
//!
//! Suites that nobody ever ran in parallel share ports, files and databases, and some tests lean on what another one of their file
//! left behind. A failure that no changed input explains is kept back, and its file is run once more: alone, in one worker, with
//! everything collected, as pytest would. If the test passes there, that is its outcome; the run says so, and the file runs alone
//! for a while (`lessons`). Flakiness isn't hidden by it: such outcomes are marked in the catalog.
//!
//! To collect everything is most of what that takes. So where nothing was missing beside the others, the file is first collected and run
//! by itself: a test that fails there as well, and in the same way, doesn't fail for what ran beside it.

mod lessons;
mod skips;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use dx_py_core::{TestId, TestResult};
use dx_py_executor::was_idle;
use dx_py_protocol::CollectionReport;
pub use lessons::{Learned, Serial};
use skips::Skips;

/// How many files are given a second opinion in one run.
const MOST_FILES: usize = 20;

/// How a failure is heard again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hearing {
    /// It isn't: it failed before, or would fail in pytest for all that is known.
    #[default]
    None,
    /// Its file is collected and run alone. A changed input may explain the failure, and so may a test that ran beside it.
    Alone,
    /// Everything is collected, and its file is run alone: no changed input explains the failure.
    Full,
}

/// Which files run alone, and which failures may be heard again.
#[derive(Debug, Default)]
pub struct Policy {
    /// The files that run alone.
    pub serial: Serial,
    /// Whether such files are put off to a phase of their own: not if there is one worker that has collected everything.
    pub defers: bool,
    /// Whether second opinions are asked for.
    pub asks: bool,
    /// How a failure of a test that ran before is heard again.
    pub hearings: HashMap<TestId, Hearing>,
    /// How a failure of a new test in a known file is heard again.
    pub new_tests: Hearing,
    /// Tests that failed before and now run without others of their file: that one passes may be owed to those others' absence.
    pub suspicious: HashSet<TestId>,
    /// Whether a failure may be owed to imports of other files that are missing.
    pub lacks_imports: bool,
    /// Files of which a test has run before.
    pub known_files: HashSet<String>,
    /// Paths of files that couldn't be collected before either.
    pub known_broken: HashSet<String>,
}

impl Policy {
    fn hearing(&self, test: &TestId) -> Hearing {
        match self.hearings.get(test) {
            Some(hearing) => *hearing,
            None if self.known_files.contains(test.file()) => self.new_tests,
            None => Hearing::Full,
        }
    }
}

/// The phases of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Parallel, or narrow.
    #[default]
    First,
    /// Files of failures, by themselves.
    Check,
    /// What runs alone, and what the check left open.
    Last,
}

/// What is to be done with a result of a later phase.
#[derive(Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is the outcome of its test.
    Counts,
    /// It is the outcome of its test, which was told to be fresh.
    CountsAfterAll,
    /// Its test has an outcome already, and this one doesn't contradict it.
    Known,
    /// Its test has an outcome already, and failed here.
    Contradicts,
}

/// The tests of a file that run in the last phase though the file doesn't.
#[derive(Debug, Default)]
struct Doubted {
    leavers: HashSet<String>,
    finders: HashSet<TestId>,
}

/// The state of the phases of a run.
#[derive(Debug, Default)]
pub struct Alone {
    policy: Policy,
    stage: Stage,
    deferred: BTreeSet<String>,
    /// The files that ran alone before, and are tried beside others.
    tried: BTreeSet<String>,
    held: Vec<TestResult>,
    skips: Skips,
    reports: Vec<CollectionReport>,
    reopened: BTreeSet<String>,
    overturned: BTreeMap<String, String>,
    waited_in_vain: Option<TestId>,
    ordered: String,
    /// By files the test functions whose tests run again, since they leave something, and fresh tests that run since they may find it.
    doubted: BTreeMap<String, Doubted>,
    /// By files tests that weren't there when a part of the files was collected.
    missing: BTreeMap<String, HashSet<TestId>>,
    whole: bool,
    is_checked: bool,
}

impl Alone {
    /// Before the first phase.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Whether the first phase is over.
    pub fn is_later_phase(&self) -> bool {
        self.stage != Stage::First
    }

    /// Lets the last phase run everything, if failures are heard in it: a hook has decided on the order of all tests, for the reason
    /// that is given.
    pub fn heed_order(&mut self, reason: String) {
        self.ordered = reason;
    }

    /// Why everything ran in the second phase, if that overturned a failure.
    pub fn overturned_by_order(&mut self) -> Option<String> {
        if !self.whole || self.overturned.is_empty() {
            return None;
        }
        self.overturned.clear();
        Some(std::mem::take(&mut self.ordered))
    }

    /// The first test that waited in vain beside others, and not alone: what it waited for, any other may wait for as well.
    pub fn waited_in_vain(&mut self) -> Option<TestId> {
        self.waited_in_vain.take()
    }

    /// Puts a file off to the last phase if it is to run alone.
    pub fn defers(&mut self, file: &str) -> bool {
        let defers = self.policy.defers && self.policy.serial.includes(file);
        if defers {
            self.deferred.insert(file.to_owned());
        } else if self.policy.defers && self.policy.serial.learned.tries(file) {
            self.tried.insert(file.to_owned());
        }
        defers
    }

    /// Keeps a result of the first phase back, if it is a failure that may be heard again, or a pass that its file may contradict;
    /// else gives it back.
    pub fn hold(&mut self, result: Box<TestResult>) -> Option<Box<TestResult>> {
        let doubtful = if result.status.is_bad() {
            self.policy.hearing(&result.id) != Hearing::None
        } else {
            self.policy.suspicious.contains(&result.id)
        };
        if !self.policy.asks || self.is_later_phase() {
            return Some(result);
        }
        if !doubtful {
            return self.skips.hold(result);
        }
        self.held.push(*result);
        None
    }

    /// A part of a file's tests has run: gives those of its outcomes that were kept back beside failures, if there is none that is heard
    /// again.
    pub fn job_done(&mut self, file: &str) -> Vec<TestResult> {
        if self.held.iter().any(|result| result.id.file() == file) {
            return Vec::new();
        }
        self.skips.release(|one| one == file)
    }

    /// Keeps a collection error of the first phase back, if its file never ran, and one of the check if a result waits for its file to be
    /// collected; else gives it back.
    pub fn hold_report(&mut self, report: CollectionReport) -> Option<CollectionReport> {
        let is_heard_again = |result: &TestResult| result.id.file() == report.node;
        if self.stage == Stage::Check
            && report.status.is_bad()
            && self.held.iter().any(is_heard_again)
        {
            return None;
        }
        let holds = self.policy.asks
            && !self.is_later_phase()
            && report.status.is_bad()
            && !self.policy.known_files.contains(&report.node)
            && !self.policy.known_broken.contains(&report.path);
        if !holds {
            return Some(report);
        }
        if self.reports.iter().any(|held| held.node == report.node) {
            return None;
        }
        self.reports.push(report);
        None
    }

    /// Lets fresh tests run in the last phase, in one worker with those of the test functions that leave what they may find.
    pub fn doubt(&mut self, finders: Vec<TestId>, leavers: impl IntoIterator<Item = String>) {
        for leaver in leavers {
            let file = TestId::new(&*leaver).file().to_owned();
            self.doubted.entry(file).or_default().leavers.insert(leaver);
        }
        for finder in finders {
            let file = finder.file().to_owned();
            self.doubted.entry(file).or_default().finders.insert(finder);
        }
    }

    /// Lets tests run in the last phase, with everything collected, if they are there then.
    pub fn miss(&mut self, tests: Vec<TestId>) {
        for test in tests {
            let file = test.file().to_owned();
            self.missing.entry(file).or_default().insert(test);
        }
    }

    /// Whether a test is one of them.
    pub fn misses(&self, test: &TestId) -> bool {
        let missing = self.missing.get(test.file());
        missing.is_some_and(|missing| missing.contains(test))
    }

    /// Whether a test of a file that runs in a later phase does so.
    pub fn includes(&self, test: &TestId) -> bool {
        let doubted = self.doubted.get(test.file());
        self.is_whole(test.file())
            || self.misses(test)
            || doubted.is_some_and(|doubted| {
                doubted.finders.contains(test) || doubted.leavers.contains(test.function())
            })
    }

    /// Begins the next phase, if there is anything to do in it: gives the files that run, and the results that are not heard again: the
    /// failures because there are too many. `may_be_narrow` says whether it may collect less than everything.
    pub fn begin_next_phase(
        &mut self,
        may_be_narrow: bool,
    ) -> Option<(BTreeSet<String>, Vec<TestResult>)> {
        if self.stage == Stage::Last {
            return None;
        }
        let mut files: BTreeSet<String> = BTreeSet::new();
        let (kept, mut dropped): (Vec<_>, Vec<_>) = self.held.drain(..).partition(|result| {
            let file = result.id.file();
            files.contains(file)
                || files.len() < MOST_FILES && {
                    files.insert(file.to_owned());
                    true
                }
        });
        self.held = kept;
        dropped.extend(self.skips.release(|file| !files.contains(file)));
        files.extend(self.deferred.iter().cloned());
        files.extend(self.reports.iter().map(|report| report.node.clone()));
        files.extend(self.doubted.keys().cloned());
        files.extend(self.missing.keys().cloned());
        if files.is_empty() {
            return None;
        }
        self.whole = !self.ordered.is_empty() && !self.held.is_empty();
        let can_be_checked = self.stage == Stage::First
            && may_be_narrow
            && !self.whole
            && !self.policy.lacks_imports
            && self.deferred.is_empty()
            && self.doubted.is_empty()
            && self.missing.is_empty()
            && self.reports.is_empty();
        self.is_checked = self.stage == Stage::Check;
        self.stage = if can_be_checked {
            Stage::Check
        } else {
            Stage::Last
        };
        Some((files, dropped))
    }

    /// Whether this later phase must collect everything. What the check has left open could not be settled by its file alone.
    pub fn needs_everything(&self) -> bool {
        self.stage == Stage::Last
            && (self.whole
                || self.is_checked
                || !self.deferred.is_empty()
                || !self.reports.is_empty()
                || !self.missing.is_empty()
                || self.is_unsettled_alone())
    }

    /// Whether a result is left for which it isn't enough that its file runs alone.
    fn is_unsettled_alone(&self) -> bool {
        let mut held = self.held.iter();
        held.any(|result| self.policy.hearing(&result.id) == Hearing::Full)
    }

    /// Whether there will be another phase, if nothing stops this one.
    pub fn foresees_a_phase(&self) -> bool {
        !self.held.is_empty() || !self.deferred.is_empty() || !self.missing.is_empty()
    }

    /// Whether it is likely by now that the next phase will collect everything. What can't be collected beside others can't be collected
    /// for it beside them either.
    pub fn foresees_everything(&self) -> bool {
        let is_held = !self.held.is_empty();
        self.reports.is_empty()
            && (!self.deferred.is_empty()
                || !self.missing.is_empty()
                || is_held && !self.ordered.is_empty()
                || self.policy.lacks_imports && self.is_unsettled_alone())
    }

    /// Whether a collected file is to be run in a later phase; a collection error that was kept back and isn't there again is
    /// overturned by it.
    pub fn runs_now(&mut self, file: &str) -> bool {
        if let Some(at) = self.reports.iter().position(|report| report.node == file) {
            self.reports.remove(at);
            self.reopened.insert(file.to_owned());
            self.overturned.insert(
                file.to_owned(),
                "it can be collected there, and not in parallel".into(),
            );
        }
        self.is_whole(file) || self.doubted.contains_key(file) || self.missing.contains_key(file)
    }

    /// Whether all tests of a file run in a later phase.
    fn is_whole(&self, file: &str) -> bool {
        self.whole
            || self.reopened.contains(file)
            || self.deferred.contains(file)
            || self.held.iter().any(|result| result.id.file() == file)
    }

    /// The file failed to be collected in a later phase too.
    pub fn confirm_report(&mut self, node: &str) {
        self.reports.retain(|report| report.node != node);
    }

    /// Whether this phase can't tell that a test has another outcome than before: everything must be collected for that.
    fn leaves_open(&self, test: &TestId) -> bool {
        self.stage == Stage::Check && self.policy.hearing(test) == Hearing::Full
    }

    /// Judges a result of a later phase, and marks it if it overturns a failure.
    pub fn judge(&mut self, result: &mut TestResult) -> Judgement {
        let file = result.id.file().to_owned();
        if let Some(at) = self.held.iter().position(|held| held.id == result.id) {
            if self.leaves_open(&result.id) && !is_same_failure(&self.held[at], result) {
                return Judgement::Known;
            }
            let before = self.held.remove(at);
            // Who waits for as long where nobody is beside it doesn't wait in vain.
            let is_slow = result.duration >= before.duration;
            if was_idle(&before) && (is_slow || !result.status.is_bad()) {
                if !is_slow {
                    result.second_opinion = true;
                    self.waited_in_vain.get_or_insert(before.id);
                }
                return Judgement::Counts;
            }
            let why = match (before.status.is_bad(), result.status.is_bad()) {
                (true, false) => {
                    result.second_opinion = true;
                    let message = before.message().lines().next().unwrap_or_default();
                    format!(
                        "{} passes there, and failed beside others: {message}",
                        before.id
                    )
                }
                (false, true) => {
                    format!(
                        "{} fails there, and passed without others of its file",
                        before.id
                    )
                }
                _ => return Judgement::Counts,
            };
            self.overturned.entry(file).or_insert(why);
            return Judgement::Counts;
        }
        if let Some(held) = self.skips.find(&result.id)
            && !result.status.is_bad()
        {
            let is_same = held.status == result.status;
            if !is_same && self.leaves_open(&result.id) {
                return Judgement::Known;
            }
            if !is_same {
                result.second_opinion = true;
                let why = format!(
                    "{} is {} there, and {} beside others",
                    held.id, result.status, held.status
                );
                self.overturned.entry(file).or_insert(why);
            }
            self.skips.settle(&result.id);
            return Judgement::Counts;
        }
        if let Some(missing) = self.missing.get_mut(&file)
            && missing.remove(&result.id)
        {
            return Judgement::Counts;
        }
        if let Some(doubted) = self.doubted.get_mut(&file) {
            if doubted.finders.remove(&result.id) {
                return Judgement::CountsAfterAll;
            }
            if doubted.leavers.contains(result.id.function()) {
                return Judgement::Known;
            }
        }
        if self.deferred.contains(&file) {
            return Judgement::Counts;
        }
        if self.reopened.contains(&file) {
            result.second_opinion = !result.status.is_bad();
            return Judgement::Counts;
        }
        // In the check it may fail for imports that are missing.
        if result.status.is_bad() && self.stage == Stage::Last {
            return Judgement::Contradicts;
        }
        Judgement::Known
    }

    /// What was kept back and never heard again.
    pub fn release(&mut self) -> (Vec<TestResult>, Vec<CollectionReport>) {
        let mut held = std::mem::take(&mut self.held);
        held.extend(self.skips.release(|_| true));
        (held, std::mem::take(&mut self.reports))
    }

    /// The files that were found to need to run alone in this run, each with why and for how many runs; and, if it isn't what it was, what is
    /// known of all now.
    pub fn learned(&mut self) -> (Vec<(String, String, u32)>, Option<Learned>) {
        let new = std::mem::take(&mut self.overturned);
        let learned = &mut self.policy.serial.learned;
        let before = learned.clone();
        let mut runs = learned.take_in(&self.deferred, &self.tried, &new);
        let told = new.into_iter().map(|(file, why)| {
            let runs = runs.remove(&file).unwrap_or_default();
            (file, why, runs)
        });
        (
            told.collect(),
            (*learned != before).then(|| learned.clone()),
        )
    }
}

/// Whether a test failed twice, in the same way.
fn is_same_failure(one: &TestResult, other: &TestResult) -> bool {
    one.status.is_bad()
        && one.status == other.status
        && !one.message().is_empty()
        && one.message() == other.message()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dx_py_core::TestStatus;
    use std::time::Duration;

    fn ended(id: &str, status: TestStatus) -> Box<TestResult> {
        Box::new(TestResult::bare(TestId::new(id), status, Duration::ZERO))
    }

    fn asking() -> Alone {
        Alone::new(Policy {
            asks: true,
            hearings: HashMap::from([
                (TestId::new("a.py::explained"), Hearing::None),
                (TestId::new("a.py::odd"), Hearing::Alone),
            ]),
            known_files: HashSet::from(["a.py".into()]),
            ..Policy::default()
        })
    }

    #[test]
    fn failures_that_were_there_before_are_not_heard_again() {
        let mut alone = asking();
        for heard_now in ["a.py::explained", "a.py::new"] {
            assert!(alone.hold(ended(heard_now, TestStatus::Failed)).is_some());
        }
        assert!(alone.hold(ended("a.py::odd", TestStatus::Passed)).is_some());
        let mut other = asking();
        for alone in [&mut alone, &mut other] {
            assert!(alone.hold(ended("a.py::odd", TestStatus::Failed)).is_none());
        }
        other.begin_next_phase(false).unwrap();
        assert!(!other.needs_everything());
        assert!(alone.hold(ended("b.py::new", TestStatus::Error)).is_none());
        let (files, dropped) = alone.begin_next_phase(false).unwrap();
        assert!(alone.needs_everything());
        assert_eq!(files, BTreeSet::from(["a.py".into(), "b.py".into()]));
        assert!(dropped.is_empty());
    }

    #[test]
    fn a_pass_overturns_a_failure_and_is_learned() {
        let mut alone = asking();
        alone.hold(ended("b.py::x", TestStatus::Failed));
        alone.hold(ended("b.py::y", TestStatus::Failed));
        alone.begin_next_phase(false).unwrap();
        assert!(alone.runs_now("b.py") && !alone.runs_now("c.py"));
        let mut x = ended("b.py::x", TestStatus::Passed);
        assert_eq!(alone.judge(&mut x), Judgement::Counts);
        assert!(x.second_opinion);
        let mut y = ended("b.py::y", TestStatus::Failed);
        assert_eq!(alone.judge(&mut y), Judgement::Counts);
        assert!(!y.second_opinion);
        let mut again = ended("b.py::z", TestStatus::Passed);
        assert_eq!(alone.judge(&mut again), Judgement::Known);
        let (new, all) = alone.learned();
        let files: Vec<&str> = new.iter().map(|(file, ..)| &**file).collect();
        assert_eq!(files, ["b.py"]);
        assert!(all.unwrap().includes("b.py"));
    }

    #[test]
    fn a_skip_beside_a_failure_is_heard_again_with_it() {
        let mut alone = asking();
        for (id, status) in [
            ("b.py::x", TestStatus::Failed),
            ("b.py::y", TestStatus::Skipped),
            ("b.py::z", TestStatus::XFailed),
            ("c.py::x", TestStatus::Skipped),
            ("d.py::x", TestStatus::Skipped),
        ] {
            assert!(alone.hold(ended(id, status)).is_none());
        }
        assert!(
            alone
                .hold(ended("b.py::passes", TestStatus::Passed))
                .is_some()
        );
        let told = |results: Vec<TestResult>| -> Vec<String> {
            results.iter().map(|result| result.id.to_string()).collect()
        };
        assert!(alone.job_done("b.py").is_empty());
        assert_eq!(told(alone.job_done("c.py")), ["c.py::x"]);
        let (files, dropped) = alone.begin_next_phase(false).unwrap();
        assert_eq!(files, BTreeSet::from(["b.py".into()]));
        assert_eq!(told(dropped), ["d.py::x"]);
        let mut y = ended("b.py::y", TestStatus::Passed);
        assert_eq!(alone.judge(&mut y), Judgement::Counts);
        assert!(y.second_opinion);
        // A failure is none of theirs.
        let mut z = ended("b.py::z", TestStatus::Failed);
        assert_eq!(alone.judge(&mut z), Judgement::Contradicts);
        assert_eq!(told(alone.release().0), ["b.py::x", "b.py::z"]);
        assert!(alone.learned().1.unwrap().includes("b.py"));
    }

    #[test]
    fn a_pass_without_the_rest_of_the_file_may_be_contradicted_by_it() {
        let mut alone = Alone::new(Policy {
            asks: true,
            suspicious: HashSet::from([TestId::new("a.py::x")]),
            ..Policy::default()
        });
        assert!(alone.hold(ended("a.py::x", TestStatus::Passed)).is_none());
        alone.begin_next_phase(false).unwrap();
        assert!(alone.runs_now("a.py"));
        let mut x = ended("a.py::x", TestStatus::Error);
        assert_eq!(alone.judge(&mut x), Judgement::Counts);
        assert!(!x.second_opinion && alone.learned().1.unwrap().includes("a.py"));
    }

    #[test]
    fn where_a_hook_decides_on_the_order_everything_is_run_again() {
        let mut alone = asking();
        alone.heed_order("a hook".into());
        alone.hold(ended("b.py::x", TestStatus::Failed));
        alone.begin_next_phase(true).unwrap();
        assert!(alone.needs_everything() && alone.runs_now("c.py"));
        assert_eq!(
            alone.judge(&mut ended("c.py::y", TestStatus::Passed)),
            Judgement::Known
        );
        alone.judge(&mut ended("b.py::x", TestStatus::Passed));
        assert_eq!(alone.overturned_by_order().as_deref(), Some("a hook"));
        assert!(alone.learned().0.is_empty());
    }

    fn failed(id: &str, message: &str) -> TestResult {
        TestResult::failure(
            TestId::new(id),
            Duration::ZERO,
            message.into(),
            String::new(),
        )
    }

    fn broken(file: &str) -> CollectionReport {
        CollectionReport {
            node: file.into(),
            path: format!("/{file}"),
            text: String::new(),
            sections: Vec::new(),
            status: TestStatus::Error,
        }
    }

    #[test]
    fn a_failure_is_settled_by_the_same_one_in_its_file_alone() {
        let mut alone = asking();
        for id in ["b.py::same", "b.py::other", "b.py::passes", "c.py::lost"] {
            assert!(alone.hold(Box::new(failed(id, "assert 1"))).is_none());
        }
        alone.begin_next_phase(true).unwrap();
        assert!(!alone.needs_everything());
        for (id, message, judgement) in [
            ("b.py::same", "assert 1", Judgement::Counts),
            ("b.py::other", "assert 2", Judgement::Known),
            ("b.py::unheard", "no import", Judgement::Known),
        ] {
            assert_eq!(alone.judge(&mut failed(id, message)), judgement, "{id}");
        }
        let mut passes = ended("b.py::passes", TestStatus::Passed);
        assert_eq!(alone.judge(&mut passes), Judgement::Known);
        assert!(alone.hold_report(broken("c.py")).is_none());

        let (files, _) = alone.begin_next_phase(true).unwrap();
        assert_eq!(files, BTreeSet::from(["b.py".into(), "c.py".into()]));
        assert!(alone.needs_everything());
        assert_eq!(
            alone.judge(&mut failed("b.py::unheard", "x")),
            Judgement::Contradicts
        );
        for id in ["b.py::other", "b.py::passes", "c.py::lost"] {
            assert_eq!(alone.judge(&mut failed(id, "x")), Judgement::Counts);
        }
        assert!(alone.begin_next_phase(true).is_none() && alone.learned().0.is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_collected_by_itself_is_heard_with_everything() {
        let mut alone = asking();
        alone.hold(ended("a.py::odd", TestStatus::Failed));
        alone.begin_next_phase(true).unwrap();
        assert!(alone.hold_report(broken("a.py")).is_none());
        assert!(alone.begin_next_phase(true).is_some() && alone.needs_everything());
    }

    #[test]
    fn everything_is_collected_at_once_where_that_is_needed_in_any_case() {
        let policies = [
            (true, false, false),
            (false, true, false),
            (false, false, true),
            (false, false, false),
        ];
        let mut learned = Learned::default();
        let why = BTreeMap::from([("s.py".into(), String::new())]);
        learned.take_in(&BTreeSet::new(), &BTreeSet::new(), &why);
        for (lacks_imports, defers, is_ordered) in policies {
            let mut alone = Alone::new(Policy {
                asks: true,
                lacks_imports,
                defers,
                serial: Serial {
                    learned: learned.clone(),
                    ..Serial::default()
                },
                ..Policy::default()
            });
            if is_ordered {
                alone.heed_order("a hook".into());
            }
            assert!(!alone.foresees_everything());
            alone.defers("s.py");
            alone.hold(ended("b.py::x", TestStatus::Failed));
            let is_foreseen = alone.foresees_everything();
            alone.begin_next_phase(true).unwrap();
            let is_needed = lacks_imports || defers || is_ordered;
            assert_eq!(
                (is_foreseen, alone.needs_everything()),
                (is_needed, is_needed)
            );
        }
    }

    #[test]
    fn too_many_files_are_not_heard_again() {
        let mut alone = asking();
        for file in 0..25 {
            alone.hold(ended(&format!("f{file:02}.py::x"), TestStatus::Failed));
        }
        let (files, dropped) = alone.begin_next_phase(true).unwrap();
        assert_eq!((files.len(), dropped.len()), (MOST_FILES, 5));
    }

    #[test]
    fn without_anything_to_do_there_is_no_second_phase() {
        assert!(asking().begin_next_phase(true).is_none());
    }
}
