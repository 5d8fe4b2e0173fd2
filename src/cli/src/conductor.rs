//! Stands between the executor, which runs jobs, and everything that wants to know of them: the recorder and the reporters.

mod ending;
mod planning;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use dx_py_catalog::KnownTest;
use dx_py_core::{Event, RunSummary, TestId, TestResult, TestStatus, Verdict};
use dx_py_daemon::{LaunchSpec, Preloads};
use dx_py_executor::{Foreseen, Handler, Job, Outcome, RunnerEvent};
use dx_py_protocol::{Collected, CollectionDone, CollectionReport, Hello, Trace};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::alone::{Alone, Judgement, Policy};
use crate::arrangement::Arrangement;
use crate::auto::Busyness;
use crate::file_list::Renewal;
use crate::leftovers::{Leftovers, News, Place};
use crate::listener::{Listener, Start};
use crate::named::Named;
use crate::pytest_cache::PytestCache;
use crate::record::{Recorder, RecorderThread, asks_of_project, has_failed_late};
use crate::report::Reporter;
use crate::report::emit;
use crate::report::style::count;
use crate::selection::Selection;
use crate::session::Environment;

/// What a later phase collects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextPhase {
    /// Everything.
    Everything,
    /// Files, by their paths from the root.
    Only(Vec<String>),
}

/// What was known of tests before a run.
pub type KnownTests<'a> = FxHashMap<&'a TestId, &'a KnownTest>;

/// What a run is meant to do.
pub struct Intent<'a> {
    /// Which tests it is about.
    pub selection: &'a Selection,
    /// What the records say of each known test.
    pub verdicts: FxHashMap<TestId, Verdict>,
    /// The tests that are known.
    pub known: &'a KnownTests<'a>,
    /// Fresh tests that run all the same, with their recorded outcomes.
    pub verified: HashMap<TestId, TestStatus>,
    /// Whether everything runs.
    pub force: bool,
    /// How many workers there are.
    pub workers: usize,
    /// How many were wanted.
    pub wanted: usize,
    /// The paths that are collected, if not everything is.
    pub narrow: Option<BTreeSet<String>>,
    /// The files that hold the tests which are known of them, as far as what they read and import says.
    pub settled: HashSet<String>,
    /// Whether each worker makes the items of a share of them only, and tells of these.
    pub split: bool,
    /// The list of files as it will be when those that are new have been collected: all of them are in this run.
    pub renewal: Option<Renewal>,
    /// Files that are collected again, so that their fresh tests are heard of then.
    pub heard_of: BTreeSet<String>,
    /// Fresh tests by file.
    pub known_fresh: BTreeMap<String, Vec<(TestId, TestStatus, Duration)>>,
    /// Conftests of some folder whose hooks pytest calls for all tests, as far as they were known when the passes were stored.
    pub wide: Vec<String>,
    /// Under which name the list of collected files is kept.
    pub file_list_key: String,
    /// Under which name what the interpreter says of itself is kept.
    pub environment_note: String,
    /// Which files run alone, and which failures may be heard again.
    pub policy: Policy,
    /// Under which name the files that were found to need to run alone are kept.
    pub learned_note: String,
    /// How sessions were arranged last.
    pub arrangement: Arrangement,
    /// Under which name that is kept.
    pub arrangement_note: String,
    /// How busy workers were, as an earlier run tells.
    pub busyness: Option<Busyness>,
    /// Under which name that is kept.
    pub busyness_note: String,
    /// What tests were seen to leave behind in earlier runs.
    pub leftovers: Leftovers,
    /// Under which name that is kept.
    pub leftovers_note: String,
    /// Whether fresh tests run after all if a test leaves something else than before, which they may find.
    pub doubts: bool,
    /// Whether all runs see which functions their tests run.
    pub are_all_seen: bool,
}

impl Intent<'_> {
    /// Whether the tests of all files are collected.
    fn hears_of_all(&self) -> bool {
        self.narrow.is_none() && !self.split
    }
}

/// The conductor of one run.
pub struct Conductor<'scope, 'a> {
    recorder: RecorderThread<'scope, 'a>,
    has_looked_at_project: bool,
    reporters: &'a mut Vec<Box<dyn Reporter>>,
    intent: Intent<'a>,
    alone: Alone,
    /// The totals so far.
    pub summary: RunSummary,
    /// What a warm interpreter could import, by what workers told.
    pub preloads: Preloads,
    /// The folders of the files that hold tests, absolute and in pytest's order, if one worker has told of all of them; none of these
    /// files is a conftest.
    pub folders: Vec<(String, bool)>,
    announced: FxHashSet<TestId>,
    /// Fresh tests that run after all.
    doubted: FxHashSet<TestId>,
    /// The tests that the user names and that weren't seen yet.
    named: Named,
    /// The paths of files that couldn't be collected, or not all of them; and those of which the phase at hand says so.
    broken: BTreeSet<String>,
    broken_now: HashSet<String>,
    seen_reports: HashSet<String>,
    greeted: bool,
    dirty: usize,
    planned: usize,
    told_reason: bool,
    one_worker: String,
    options_told: bool,
    rearranged: Option<Arrangement>,
    listener: Listener,
    cache: PytestCache,
    failure: Option<anyhow::Error>,
    foreseen: Rc<Foreseen>,
    busyness: Busyness,
    /// What was left for the first time, and nobody has run again for it yet.
    news: News,
    has_new_leftovers: bool,
}

impl<'scope, 'a: 'scope> Conductor<'scope, 'a> {
    /// A conductor before the run.
    pub fn new(
        recorder: RecorderThread<'scope, 'a>,
        reporters: &'a mut Vec<Box<dyn Reporter>>,
        mut intent: Intent<'a>,
    ) -> Self {
        let named = intent.selection.named();
        Self {
            alone: Alone::new(std::mem::take(&mut intent.policy)),
            recorder,
            has_looked_at_project: false,
            reporters,
            intent,
            summary: RunSummary::default(),
            preloads: Preloads::default(),
            folders: Vec::new(),
            busyness: Busyness::default(),
            announced: FxHashSet::default(),
            doubted: FxHashSet::default(),
            named,
            broken: BTreeSet::new(),
            broken_now: HashSet::new(),
            seen_reports: HashSet::new(),
            greeted: false,
            dirty: 0,
            planned: 0,
            told_reason: false,
            one_worker: String::new(),
            options_told: false,
            rearranged: None,
            listener: Listener::default(),
            cache: PytestCache::default(),
            failure: None,
            foreseen: Rc::default(),
            news: News::new(),
            has_new_leftovers: false,
        }
    }

    /// Tells why the dirty tests run, of the start, if it is known by now what Python will say of itself, and of fresh tests that no
    /// worker will collect.
    ///
    /// # Errors
    /// If a report can't be written.
    pub fn begin(
        &mut self,
        dirty: Vec<(TestId, String)>,
        environment: Option<&Environment>,
    ) -> anyhow::Result<()> {
        self.dirty = dirty.len();
        emit(self.reporters, &Event::Dirty(dirty))?;
        if let Some(known) = environment
            && !self.intent.hears_of_all()
        {
            self.greet(format!("Python {}, pytest-{}", known.python, known.pytest))?;
        }
        if !self.intent.hears_of_all() {
            // Whether those of files that are collected again are still there is seen then.
            let fresh: Vec<_> = self
                .intent
                .known_fresh
                .iter()
                .filter(|(file, _)| !self.intent.heard_of.contains(*file))
                .flat_map(|(_, tests)| tests)
                .cloned()
                .collect();
            for (id, status, duration) in fresh {
                self.fresh(id, status, duration)?;
            }
        }
        Ok(())
    }

    fn greet(&mut self, python: String) -> anyhow::Result<()> {
        self.greeted = true;
        let fresh = self.intent.known_fresh.values().map(Vec::len).sum();
        let event = Event::Started {
            dirty: self.dirty,
            fresh,
            workers: self.intent.workers,
            python,
        };
        Ok(emit(self.reporters, &event)?)
    }

    /// Tells the user something.
    ///
    /// # Errors
    /// If a report can't be written.
    pub fn note(&mut self, text: String) -> anyhow::Result<()> {
        Ok(emit(self.reporters, &Event::Note(text))?)
    }

    fn fresh(&mut self, id: TestId, status: TestStatus, duration: Duration) -> anyhow::Result<()> {
        self.named.meet(&id);
        if self.announced.insert(id.clone()) {
            self.summary.count_fresh(status);
            self.summary.recorded += duration;
            emit(
                self.reporters,
                &Event::TestFresh {
                    id,
                    status,
                    duration,
                },
            )?;
        }
        Ok(())
    }

    fn take_hello(&mut self, hello: &Hello) -> anyhow::Result<()> {
        if self.rearranged.is_some() {
            return Ok(());
        }
        let arrangement = &self.intent.arrangement;
        self.rearranged = arrangement.after_hello(hello, self.intent.workers);
        if self.rearranged.is_some() {
            return Ok(());
        }
        self.one_worker.clone_from(&hello.one_worker);
        if !self.options_told {
            self.options_told = true;
            let event = Event::Asked {
                report_chars: hello.report_chars.clone(),
                durations: hello.durations.map(|count| count as usize),
            };
            emit(self.reporters, &event)?;
        }
        let told = hello.clone();
        self.recorder.later(move |recorder| {
            recorder.hello(&told);
            Ok(())
        });
        let known = Environment {
            python: hello.python.clone(),
            pytest: hello.pytest.clone(),
            sys_path: hello.sys_path.clone(),
            stdlib: hello.stdlib.clone(),
        };
        self.keep_note(&self.intent.environment_note, known);
        if !self.greeted {
            self.greet(format!("Python {}, pytest-{}", hello.python, hello.pytest))?;
        }
        Ok(())
    }

    fn take_collection_report(&mut self, report: CollectionReport) -> anyhow::Result<()> {
        if report.status.is_bad() {
            self.broken.insert(report.path.clone());
            self.broken_now.insert(report.path.clone());
            if self.alone.is_later_phase() {
                self.alone.confirm_report(&report.node);
            }
        }
        match self.alone.hold_report(report) {
            Some(report) => self.tell_collection_report(report),
            None => Ok(()),
        }
    }

    fn tell_collection_report(&mut self, report: CollectionReport) -> anyhow::Result<()> {
        // Everything may have been collected, while the run is about a part.
        if !self.intent.selection.concerns(&report.node) {
            return Ok(());
        }
        if !self.seen_reports.insert(report.node.clone()) {
            return Ok(());
        }
        self.listener.hear_of_file(&report);
        self.cache.not_collected(&report);
        if report.status.is_bad() {
            self.summary.collection_errors += 1;
            emit(
                self.reporters,
                &Event::CollectionFailed {
                    node: report.node,
                    text: report.text,
                    sections: report.sections,
                },
            )?;
        } else {
            emit(
                self.reporters,
                &Event::CollectionSkipped {
                    node: report.node,
                    reason: report.text,
                },
            )?;
        }
        Ok(())
    }

    /// Whether a controller is to be started, as far as is known.
    pub fn wants_controller(&self) -> bool {
        !self.listener.is_there() && self.intent.arrangement.controller
    }

    /// Whether there is a controller.
    pub fn has_controller(&self) -> bool {
        self.listener.is_there()
    }

    /// Starts the controller. One whose own session has nothing to report isn't asked for again.
    ///
    /// # Errors
    /// If a report can't be written.
    pub fn start_controller(
        &mut self,
        spec: &LaunchSpec,
        more: &[&str],
        verbose: bool,
    ) -> anyhow::Result<()> {
        match self.listener.start(spec, more) {
            Start::Needed(reporting) if verbose => {
                let reporting = reporting.join(", ");
                return self.note(format!("a session of its own for {reporting}"));
            }
            Start::Needed(_) => {}
            Start::Idle => self.intent.arrangement.controller = false,
            Start::Failed(text) => {
                self.intent.arrangement.controller = false;
                return self.note(text);
            }
        }
        Ok(())
    }

    /// The arrangement with which the run is to be begun again, if the one it had wasn't right. No test has run then.
    pub fn rearranged(&mut self) -> Option<&Arrangement> {
        self.intent.arrangement = self.rearranged.take()?;
        self.intent.workers = self.intent.arrangement.workers(self.intent.workers);
        self.intent.split = false;
        if self.intent.workers == 1 {
            // Its session has heard of nothing yet; the one worker will say what plugins have to say.
            self.listener.end(false);
        }
        Some(&self.intent.arrangement)
    }

    /// Begins the phase after those that came to `outcome`, if there is anything left to run alone and nothing stopped them.
    ///
    /// # Errors
    /// If a report can't be written.
    pub fn next_phase(&mut self, outcome: &Outcome) -> anyhow::Result<Option<NextPhase>> {
        if outcome.fatal.is_some()
            || outcome.interrupted
            || outcome.stopped.is_some()
            || self.failure.is_some()
        {
            return Ok(None);
        }
        self.doubt_finders()?;
        self.doubt_readers()?;
        let Some((files, dropped)) = self.alone.begin_next_phase(self.intent.wide.is_empty())
        else {
            return Ok(None);
        };
        self.broken_now.clear();
        let count = dropped.iter().filter(|one| one.status.is_bad()).count();
        if count > 0 {
            self.note(format!(
                "{count} more failures are in too many files to be run again alone"
            ))?;
        }
        for result in dropped {
            self.tell(Box::new(result))?;
        }
        if self.alone.needs_everything() || !self.intent.wide.is_empty() {
            return Ok(Some(NextPhase::Everything));
        }
        let paths = self.recorder.ask(move |recorder| {
            let paths = files.iter().map(|file| recorder.path_of(file));
            Ok(paths.collect::<Option<Vec<String>>>())
        });
        Ok(Some(match paths.flatten() {
            Some(paths) => NextPhase::Only(paths),
            None => NextPhase::Everything,
        }))
    }

    /// What is known of the next phase while this one runs.
    pub fn foreseen(&self) -> Rc<Foreseen> {
        self.foreseen.clone()
    }

    fn foresee(&self) {
        if self.alone.foresees_everything() {
            self.foreseen.everything();
        } else if self.alone.foresees_a_phase() {
            self.foreseen.phase();
        }
    }

    fn finished(&mut self, result: Box<TestResult>) -> anyhow::Result<()> {
        if has_failed_late(&result) {
            let file = result.id.file().to_owned();
            self.recorder.later(|recorder| {
                recorder.distrust(file);
                Ok(())
            });
        }
        let Some(mut result) = self.alone.hold(result) else {
            self.foresee();
            return Ok(());
        };
        if self.alone.is_later_phase() {
            match self.alone.judge(&mut result) {
                Judgement::Counts => {}
                Judgement::CountsAfterAll => self.uncount_fresh(&result.id),
                Judgement::Known => return Ok(()),
                Judgement::Contradicts => {
                    return self.note(format!("{} failed when its file was run alone", result.id));
                }
            }
        }
        self.tell(result)
    }

    fn uncount_fresh(&mut self, test: &TestId) {
        if let Some(Verdict::Fresh { status, duration }) = self.intent.verdicts.get(test)
            && self.announced.contains(test)
        {
            self.summary.uncount_fresh(*status);
            self.summary.recorded = self.summary.recorded.saturating_sub(*duration);
        }
    }

    /// The fresh tests that may find what is otherwise left than before, and those that left it.
    fn take_finders(&mut self) -> (Vec<TestId>, News) {
        let news = std::mem::take(&mut self.news);
        if news.is_empty() || !self.may_doubt() {
            return (Vec::new(), news);
        }
        let names: Vec<String> = news.keys().cloned().collect();
        let tests = self.doubtable();
        let are_all_seen = self.intent.are_all_seen;
        let found = self
            .recorder
            .ask(move |recorder| recorder.finders(tests, &names, are_all_seen));
        let found = found.unwrap_or_default();
        self.doubt_passes(&found);
        (found, news)
    }

    /// Whether there are fresh tests that run after all if a test leaves something else than before, which they may find.
    fn may_doubt(&self) -> bool {
        self.intent.doubts && !self.intent.known_fresh.is_empty()
    }

    /// These tests, as long as they haven't been doubted.
    fn doubtable(&self) -> Vec<TestId> {
        let fresh = self.intent.known_fresh.values().flatten();
        let fresh = fresh.map(|(id, ..)| id);
        let fresh = fresh.filter(|id| !self.doubted.contains(*id));
        fresh.cloned().collect()
    }

    /// What these tests passed with says nothing of what is left now.
    fn doubt_passes(&mut self, tests: &[TestId]) {
        self.doubted.extend(tests.iter().cloned());
        let passed = tests.to_vec();
        self.recorder
            .later(move |recorder| recorder.forget_passes(&passed));
    }

    /// Lets fresh tests run that read a file of the project, if tests of this run have made another one of it.
    fn doubt_readers(&mut self) -> anyhow::Result<()> {
        // Snapshots that are written in this run are the next one's affair: the tests that have the others of their files would find
        // what is theirs as it was.
        let snapshots = &self.summary.snapshots;
        let writes = !snapshots.accepted.is_empty() || !snapshots.pending.is_empty();
        if !self.may_doubt() || writes {
            return Ok(());
        }
        // Most runs end here: which tests are fresh is many, and rarely asked.
        let changed = self
            .recorder
            .ask(|recorder| Ok(recorder.changed_by_tests()));
        let changed = changed.unwrap_or_default();
        let Some(first) = changed.keys().min().map(ToString::to_string) else {
            return Ok(());
        };
        let tests = self.doubtable();
        let found = self
            .recorder
            .ask(move |recorder| Ok(recorder.readers_of(tests, &changed)));
        let readers = found.unwrap_or_default();
        if readers.is_empty() {
            return Ok(());
        }
        self.doubt_passes(&readers);
        let found = count(readers.len(), "fresh test");
        self.note(format!(
            "also running {found} since tests have changed what they read: {first}"
        ))?;
        self.alone.doubt(readers, []);
        Ok(())
    }

    /// Lets fresh tests run that may find what a test left otherwise than before, after that test and in the same process.
    fn doubt_finders(&mut self) -> anyhow::Result<()> {
        let (finders, news) = self.take_finders();
        if finders.is_empty() {
            return Ok(());
        }
        if let Some((name, leavers)) = news.iter().next() {
            let who = leavers.iter().next();
            let who = who.map_or("a test", |test| test.as_str());
            let (found, name) = (count(finders.len(), "fresh test"), Place::of(name).name);
            self.note(format!(
                "also running {found}: {who} leaves something else behind than before, which they may find ({name})"
            ))?;
        }
        self.alone.doubt(finders, news.into_values().flatten());
        Ok(())
    }

    fn tell(&mut self, result: Box<TestResult>) -> anyhow::Result<()> {
        self.summary.count_ran(result.status);
        self.summary.recorded += result.duration;
        let told = TestResult::clone(&result);
        self.recorder.later(|recorder| recorder.finished(told));
        self.listener.hear(&result);
        self.cache.finished(&result);
        let (id, status) = (result.id.clone(), result.status);
        emit(self.reporters, &Event::TestFinished(result))?;
        if let Some(recorded) = self.intent.verified.remove(&id) {
            self.summary.verified.0 += 1;
            if recorded != status {
                self.summary.verified.1 += 1;
                let contradicted = Event::Contradicted {
                    id,
                    recorded,
                    status,
                };
                emit(self.reporters, &contradicted)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, event: RunnerEvent) -> anyhow::Result<()> {
        match event {
            RunnerEvent::Hello { hello, .. } => self.take_hello(&hello)?,
            RunnerEvent::CollectionReport(report) => self.take_collection_report(report)?,
            RunnerEvent::TestStarted { worker, id } => {
                emit(self.reporters, &Event::TestStarted { id, worker })?
            }
            RunnerEvent::Slow {
                worker,
                doing,
                elapsed,
            } => emit(
                self.reporters,
                &Event::Slow {
                    worker,
                    doing,
                    elapsed,
                },
            )?,
            RunnerEvent::Suspended => {
                for reporter in self.reporters.iter_mut() {
                    reporter.suspended()?;
                }
            }
            RunnerEvent::TestFinished(result) => self.finished(result)?,
            RunnerEvent::Trace { process, trace } => {
                self.look_at_project(&trace);
                self.has_new_leftovers |= self.intent.leftovers.add(&trace, &mut self.news);
                self.recorder.later(move |recorder| {
                    recorder.trace(process, &trace);
                    Ok(())
                });
            }
            RunnerEvent::JobDone {
                process,
                file,
                tests,
            } => {
                for result in self.alone.job_done(&file) {
                    self.tell(Box::new(result))?;
                }
                let job =
                    move |recorder: &mut Recorder<'a>| recorder.job_done(process, &file, &tests);
                self.recorder.later(job);
            }
            RunnerEvent::Warning { node, text } => {
                emit(self.reporters, &Event::WarningRecorded { node, text })?
            }
            RunnerEvent::Section(text) => emit(self.reporters, &Event::Section(text))?,
            RunnerEvent::Engine(engine) => {
                // The worker ends, which takes as long as to record what it has told last.
                self.recorder.hurry();
                self.summary.lean += engine.lean as usize;
                self.busyness.add(&engine.load);
                for (reason, count) in engine.full_protocol {
                    *self.summary.full_protocol.entry(reason).or_default() += count as usize;
                }
            }
            RunnerEvent::Snapshots(told) => {
                let snapshots = &mut self.summary.snapshots;
                snapshots.pending.extend(told.pending);
                snapshots.accepted.extend(told.accepted);
                snapshots.unused.extend(told.unused);
                snapshots.problems.extend(told.problems);
            }
            RunnerEvent::Note(text) => self.note(text)?,
        }
        Ok(())
    }

    /// Keeps a named value in the catalog.
    fn keep_note<T: Serialize + Send + 'static>(&self, key: &str, value: T) {
        let key = key.to_owned();
        self.recorder
            .later(move |recorder| recorder.keep_note(&key, &value));
    }

    /// If a trace says that something may have read all of the project, has it looked at now: what comes until the trace is recorded, such
    /// as the files that pytest's session leaves at its end, is none of it.
    fn look_at_project(&mut self, trace: &Trace) {
        if !self.has_looked_at_project && asks_of_project(trace) {
            self.has_looked_at_project = true;
            self.recorder.ask(|recorder| {
                recorder.look_at_project();
                Ok(())
            });
        }
    }

    fn keep_failure(&mut self, error: anyhow::Error) {
        self.failure.get_or_insert(error);
    }
}

impl<'scope, 'a: 'scope> Handler for Conductor<'scope, 'a> {
    fn collected(&mut self, process: u32, files: Vec<Collected>, done: CollectionDone) -> Vec<Job> {
        match self.plan(process, files, done) {
            Ok(jobs) => jobs,
            Err(error) => {
                self.keep_failure(error);
                Vec::new()
            }
        }
    }

    fn event(&mut self, event: RunnerEvent) -> bool {
        if let Err(error) = self.take(event) {
            self.keep_failure(error);
        }
        self.failure.is_none() && self.rearranged.is_none() && !self.recorder.has_failed()
    }
}
