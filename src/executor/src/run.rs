//! One run, from the first worker to the last result.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use dx_py_core::{Doing, TestId, TestResult};
use dx_py_daemon::LaunchError;
use dx_py_protocol::{
    Collected, CollectionDone, CollectionReport, Command, EngineReport, Hello, SnapshotReport,
    Trace,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::connection::Launcher;
use crate::driver;
use crate::job_control::Suspension;
use crate::ledger::Ledger;
use crate::patience::Patience;
use crate::queue::{Job, Queues};

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// How many workers.
    pub workers: usize,
    /// What each collects: everything, or only these paths.
    pub collect: Option<Vec<String>>,
    /// Absolute paths of test modules that are new: each worker rewrites its share of them before it collects.
    pub rewrite: Vec<String>,
    /// For each slot the node IDs of the files whose items it makes; empty if each makes all. Each imports all that is collected,
    /// but for what is `inert`.
    pub shares: Vec<Vec<String>>,
    /// The node IDs of files whose import does nothing but bind names, with what must be imported already for that: who shares the
    /// collection with others needn't import theirs. See [`Command::Collect`].
    pub inert: Vec<(String, String)>,
    /// The folders of the files that a session imports which collects everything. See [`Command::Collect`].
    pub folders: Vec<(String, bool)>,
    /// How long a test may take.
    pub timeout: Option<Duration>,
    /// After how long, and then after how long again, it is told what a worker is busy with.
    pub slow_after: Option<Duration>,
    /// How long a worker may do nothing before its test counts as one that hangs; none if that is the test's affair.
    pub patience: Option<Patience>,
    /// After how many failures to stop.
    pub maxfail: Option<usize>,
    /// How many processes earlier phases of the same run have had: they are numbered on from there.
    pub first_process: u32,
}

/// Something that happened. `process` numbers worker processes; one that replaces a dead one has a new number.
#[derive(Debug)]
pub enum RunnerEvent {
    /// A worker is there.
    Hello {
        /// The process.
        process: u32,
        /// What it says of itself.
        hello: Hello,
    },
    /// A file couldn't be collected or skipped itself.
    CollectionReport(CollectionReport),
    /// A test began.
    TestStarted {
        /// The worker's slot.
        worker: u32,
        /// The test.
        id: TestId,
    },
    /// A worker has been busy with the same thing for long.
    Slow {
        /// The worker's slot.
        worker: u32,
        /// With what.
        doing: Doing,
        /// For how long.
        elapsed: Duration,
    },
    /// The terminal wants everything to stop for a while, which it does next.
    Suspended,
    /// A test ended.
    TestFinished(Box<TestResult>),
    /// What a process observed.
    Trace {
        /// The process.
        process: u32,
        /// What is new.
        trace: Trace,
    },
    /// A job ended in the process that ran all of it.
    JobDone {
        /// The process.
        process: u32,
        /// The file's node ID.
        file: String,
        /// The tests.
        tests: Vec<TestId>,
    },
    /// pytest recorded a warning.
    Warning {
        /// Where.
        node: String,
        /// The warning.
        text: String,
    },
    /// What plugins have to say at the end of a session.
    Section(String),
    /// How a session ran its tests.
    Engine(EngineReport),
    /// What a session has to tell of snapshots.
    Snapshots(SnapshotReport),
    /// Something that the user should know.
    Note(String),
}

/// Whoever a run works for.
pub trait Handler {
    /// The first worker has collected, or each its share of the files: these are those with tests. Gives what is to be run.
    fn collected(&mut self, process: u32, files: Vec<Collected>, done: CollectionDone) -> Vec<Job>;
    /// Something happened. False ends the run.
    fn event(&mut self, event: RunnerEvent) -> bool;
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Submitted tests that never ran.
    pub not_run: Vec<TestId>,
    /// Why the run stopped early.
    pub stopped: Option<String>,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// The exit codes of the workers' pytest sessions.
    pub exit_codes: Vec<u8>,
    /// The exit code that a hook of the user's decided on.
    pub decided_code: Option<u8>,
    /// What a worker said that ends the run, with pytest's exit code.
    pub fatal: Option<(u8, String)>,
    /// What a worker said that could not start, while others could.
    pub failed_start: Option<String>,
    /// The number of the last process.
    pub last_process: u32,
}

impl Outcome {
    pub(crate) fn add_exit(&mut self, code: u8, decided: bool) {
        self.exit_codes.push(code);
        if decided {
            self.decided_code = Some(code);
        }
    }

    /// The outcome of this phase and then of another one.
    pub fn followed_by(mut self, next: Self) -> Self {
        self.not_run.extend(next.not_run);
        self.exit_codes.extend(next.exit_codes);
        Self {
            not_run: self.not_run,
            exit_codes: self.exit_codes,
            decided_code: next.decided_code.or(self.decided_code),
            stopped: self.stopped.or(next.stopped),
            interrupted: self.interrupted || next.interrupted,
            fatal: self.fatal.or(next.fatal),
            failed_start: self.failed_start.or(next.failed_start),
            last_process: next.last_process,
        }
    }
}

/// The run couldn't go on.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// A worker couldn't be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Workers die before they run anything.
    #[error("a worker died before it ran any test: {cause}\n{output}")]
    StartUp {
        /// How.
        cause: String,
        /// What it printed last.
        output: String,
    },
    /// Signals can't be handled.
    #[error("can't handle signals")]
    Signals(#[source] std::io::Error),
}

/// How far the run is to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Halt {
    /// It isn't.
    No,
    /// After the tests that run now.
    Soon,
    /// At once.
    Now,
}

/// What the drivers share. It is never borrowed across an await.
pub(crate) struct Shared<'a> {
    pub(crate) plan: RunPlan,
    pub(crate) queues: Queues,
    pub(crate) ledger: Ledger,
    pub(crate) planned: bool,
    homes: HashMap<String, u32>,
    homebound: VecDeque<(u32, Job)>,
    /// The slots that were told that there is no more work.
    left: HashSet<u32>,
    contents: HashMap<String, u64>,
    /// The slots whose share of the files hasn't been collected yet.
    open_shares: BTreeSet<u32>,
    /// Tells slots that wait for work when there may be more.
    pub(crate) news: Rc<Notify>,
    /// Shares of slots that have ended before that.
    orphans: Vec<Vec<String>>,
    reported: HashSet<String>,
    pub(crate) failures: usize,
    pub(crate) failed_starts: Vec<(u8, String)>,
    greeted: bool,
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<ExecutorError>,
    pub(crate) halt: watch::Sender<Halt>,
    /// Whether the terminal wants everything to stand still.
    pub(crate) suspended: watch::Sender<bool>,
    pub(crate) handler: &'a mut dyn Handler,
    next_process: u32,
}

impl Shared<'_> {
    pub(crate) fn new_process(&mut self) -> u32 {
        self.next_process += 1;
        self.next_process
    }

    pub(crate) fn emit(&mut self, event: RunnerEvent) {
        self.greeted |= matches!(event, RunnerEvent::Hello { .. });
        if !self.handler.event(event) {
            self.stop(Halt::Now, None);
        }
    }

    pub(crate) fn stop(&mut self, how: Halt, reason: Option<String>) {
        if self.outcome.stopped.is_none() {
            self.outcome.stopped = reason;
        }
        self.halt.send_if_modified(|now| {
            let more = how > *now;
            *now = how.max(*now);
            more
        });
    }

    /// Plans from the first collection, or from that of a slot's share. The slot that made it is home to files that others collect
    /// differently.
    pub(crate) fn plan_jobs(
        &mut self,
        slot: u32,
        process: u32,
        files: Vec<Collected>,
        done: CollectionDone,
    ) {
        self.planned = true;
        for file in &files {
            self.homes.insert(file.file.clone(), slot);
            self.contents.insert(file.file.clone(), content(file));
        }
        let mut jobs = self.handler.collected(process, files, done);
        for job in &mut jobs {
            // A file that is planned again, since it was collected differently, may have run in part.
            job.tests.retain(|test| self.ledger.submit(test.clone()));
        }
        jobs.retain(|job| !job.tests.is_empty());
        if self.is_split() {
            self.queues.add_to(slot as usize, jobs);
        } else {
            self.queues.add(jobs);
        }
        self.news.notify_waiters();
    }

    /// Whether each slot collects a share of the files.
    pub(crate) fn is_split(&self) -> bool {
        !self.plan.shares.is_empty()
    }

    /// Whether a slot's collection is to be planned from: the first of all, or the first of its share.
    pub(crate) fn wants_collection(&mut self, slot: u32) -> bool {
        if self.is_split() {
            self.open_shares.remove(&slot)
        } else {
            !self.planned
        }
    }

    /// Whether to tell what became of a collector: the workers that only import the rest find the same there.
    pub(crate) fn is_news(&mut self, node: &str) -> bool {
        if self.is_split() {
            self.reported.insert(node.to_owned())
        } else {
            !self.planned
        }
    }

    /// Whether there are other slots that have workers.
    pub(crate) fn has_others(&self, slot: u32) -> bool {
        (0..self.plan.workers as u32).any(|other| other != slot && !self.left.contains(&other))
    }

    /// A slot has ended. What it should have collected is left to the others.
    pub(crate) fn leave(&mut self, slot: u32) {
        self.left.insert(slot);
        if self.open_shares.remove(&slot)
            && let Some(share) = self.plan.shares.get(slot as usize)
        {
            self.orphans.push(share.clone());
        }
    }

    /// A share that another slot has left behind.
    pub(crate) fn adopt(&mut self) -> Option<Vec<String>> {
        self.orphans.pop()
    }

    /// Whether other slots will have jobs that they haven't found yet.
    pub(crate) fn is_incomplete(&self) -> bool {
        !self.open_shares.is_empty() || !self.orphans.is_empty()
    }

    /// Takes back a job whose tests a slot doesn't have. If the slot that has them is gone, those that this one has instead are planned;
    /// tells whether that is so.
    pub(crate) fn bring_home(
        &mut self,
        job: Job,
        slot: u32,
        process: u32,
        found: Vec<Collected>,
    ) -> bool {
        let home = self.homes.get(&job.file).copied().unwrap_or_default();
        let is_gone = home != slot && self.left.contains(&home);
        if is_gone {
            for test in &job.tests {
                self.ledger.withdraw(test);
            }
            self.plan_jobs(slot, process, found, CollectionDone::default());
        } else {
            self.homebound.push_back((home, job));
        }
        is_gone
    }

    /// The planned files that this collection of a slot's has not, or not with the same tests: IDs may hold the time of day or an
    /// address, and a module may bind a port that only one process can have. Of files beyond the slot's share nothing is known.
    pub(crate) fn missing_in(&self, files: &[Collected], slot: u32) -> HashSet<String> {
        let theirs: HashMap<&str, u64> = files
            .iter()
            .map(|file| (file.file.as_str(), content(file)))
            .collect();
        let is_asked_for = |file: &String| !self.is_split() || self.homes.get(file) == Some(&slot);
        self.contents
            .iter()
            .filter(|(file, ours)| is_asked_for(file) && theirs.get(file.as_str()) != Some(ours))
            .map(|(file, _)| file.clone())
            .collect()
    }

    /// The next job for a slot whose process doesn't have the tests of `lacks`. One that `is_patient` leaves others their last job if it would
    /// have to make its items first.
    pub(crate) fn take(
        &mut self,
        slot: u32,
        lacks: &HashSet<String>,
        is_patient: bool,
    ) -> Option<Job> {
        let spares_last = is_patient && self.is_split();
        loop {
            // What waits for a slot that is gone is nobody's.
            let mut waiting = self.homebound.iter();
            let own = waiting.position(|(home, _)| *home == slot || self.left.contains(home));
            let job = match own.and_then(|at| self.homebound.remove(at)) {
                Some((_, job)) => job,
                None => self.queues.take(slot as usize, spares_last)?,
            };
            if !lacks.contains(&job.file) {
                return Some(job);
            }
            let home = self.homes.get(&job.file).copied().unwrap_or_default();
            if slot != home && !self.left.contains(&home) {
                // It leaves only when no queue has a job, so it comes by.
                self.homebound.push_back((home, job));
                continue;
            }
            for test in job.tests {
                let message = "no worker has this test any more: its file was collected differently each time";
                let message = message.to_owned();
                let result = TestResult::failure(test, Duration::ZERO, message, String::new());
                self.settle(Box::new(result), slot);
            }
        }
    }

    /// A slot is told that there is no more work.
    pub(crate) fn send_away(&mut self, slot: u32) {
        self.left.insert(slot);
    }

    /// Whether a slot's own queue is far from its end, or the one for all is, so that nobody will wait for a job that is given early.
    pub(crate) fn is_plenty(&self, slot: u32) -> bool {
        self.homebound.is_empty() && self.queues.is_plenty(slot as usize)
    }

    /// Whether there is work that nobody has taken.
    pub(crate) fn has_jobs(&self) -> bool {
        !self.homebound.is_empty() || !self.queues.is_empty()
    }

    /// Takes in a result, once.
    pub(crate) fn settle(&mut self, mut result: Box<TestResult>, slot: u32) {
        if !self.ledger.settle(&result.id) {
            let note = format!("a second result of {} was ignored", result.id);
            return self.emit(RunnerEvent::Note(note));
        }
        result.worker = slot;
        self.failures += usize::from(result.status.is_bad());
        self.emit(RunnerEvent::TestFinished(result));
        if let Some(limit) = self.plan.maxfail
            && self.failures >= limit
        {
            let plural = if limit == 1 { "" } else { "s" };
            self.stop(
                Halt::Soon,
                Some(format!("stopping after {limit} failure{plural}")),
            );
        }
    }
}

/// Runs a plan. Must be called within a `LocalSet` of a current-thread runtime. When it returns, no worker is left.
///
/// # Errors
/// If workers can't be started, or die before they run anything.
pub async fn run<L: Launcher>(
    plan: RunPlan,
    launcher: &L,
    handler: &mut dyn Handler,
) -> Result<Outcome, ExecutorError> {
    let (halt, _) = watch::channel(Halt::No);
    let (suspended, _) = watch::channel(false);
    let workers = plan.workers.max(1);
    let next_process = plan.first_process;
    let shared = Rc::new(RefCell::new(Shared {
        queues: Queues::new(workers),
        open_shares: (0..).zip(&plan.shares).map(|(slot, _)| slot).collect(),
        news: Rc::default(),
        orphans: Vec::new(),
        reported: HashSet::new(),
        plan,
        ledger: Ledger::default(),
        planned: false,
        homes: HashMap::new(),
        homebound: VecDeque::new(),
        left: HashSet::new(),
        contents: HashMap::new(),
        failures: 0,
        failed_starts: Vec::new(),
        greeted: false,
        outcome: Outcome::default(),
        error: None,
        halt,
        suspended,
        handler,
        next_process,
    }));
    let mut signals = Vec::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        signals.push(signal(kind).map_err(ExecutorError::Signals)?);
    }
    let drivers = async {
        let all: Vec<_> = (0..workers)
            .map(|slot| driver::drive(slot, launcher, &shared))
            .collect();
        join_all(all).await;
    };
    tokio::pin!(drivers);
    let [interrupt, terminate, hangup] = &mut signals[..] else {
        unreachable!("three signals were asked for");
    };
    let mut suspension = Suspension::new().map_err(ExecutorError::Signals)?;
    let mut is_suspending = false;
    loop {
        tokio::select! {
            // The drivers first: they have stopped their workers when it is this process's turn.
            biased;
            () = &mut drivers => break,
            _ = interrupt.recv() => halt_by_signal(&shared),
            _ = terminate.recv() => halt_by_signal(&shared),
            _ = hangup.recv() => halt_by_signal(&shared),
            () = suspension.asked() => {
                is_suspending = true;
                shared.borrow_mut().emit(RunnerEvent::Suspended);
                shared.borrow().suspended.send_replace(true);
            }
            () = tokio::task::yield_now(), if is_suspending => {
                Suspension::stop();
                is_suspending = false;
                shared.borrow().suspended.send_replace(false);
            }
        }
    }
    let mut shared = shared.borrow_mut();
    if let Some(error) = shared.error.take() {
        return Err(error);
    }
    let mut outcome = std::mem::take(&mut shared.outcome);
    if !shared.failed_starts.is_empty() {
        let (code, text) = shared.failed_starts.swap_remove(0);
        if shared.greeted {
            outcome.failed_start = Some(text);
        } else {
            outcome.fatal.get_or_insert((code, text));
        }
    }
    outcome.not_run = shared.ledger.unsettled();
    outcome.last_process = shared.next_process;
    Ok(outcome)
}

/// A hash of the IDs of a file's tests, in their order.
fn content(file: &Collected) -> u64 {
    let mut hasher = DefaultHasher::new();
    for item in &file.items {
        item.id.hash(&mut hasher);
    }
    hasher.finish()
}

fn halt_by_signal(shared: &RefCell<Shared<'_>>) {
    let mut shared = shared.borrow_mut();
    shared.outcome.interrupted = true;
    shared.stop(Halt::Now, Some("interrupted".into()));
}

/// Drives all futures on this task until each has ended.
async fn join_all<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut pending: Vec<_> = futures.into_iter().map(|one| Some(Box::pin(one))).collect();
    std::future::poll_fn(move |context| {
        let mut left = false;
        for slot in &mut pending {
            if let Some(future) = slot {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(()) => *slot = None,
                    std::task::Poll::Pending => left = true,
                }
            }
        }
        if left {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
}

/// The command that the collection of the worker in this slot starts with.
pub(crate) fn collect_command(plan: &RunPlan, slot: u32) -> Command {
    let rewrite = plan.rewrite.iter().skip(slot as usize);
    let share = plan.shares.get(slot as usize);
    let own: HashSet<&String> = share.into_iter().flatten().collect();
    let others = plan
        .inert
        .iter()
        .filter(|(file, _)| share.is_some() && !own.contains(file));
    Command::Collect {
        only: plan.collect.clone(),
        rewrite: rewrite.step_by(plan.workers.max(1)).cloned().collect(),
        share: share.cloned(),
        inert: others.cloned().collect(),
        folders: match plan.collect {
            Some(_) => plan.folders.clone(),
            None => Vec::new(),
        },
    }
}
