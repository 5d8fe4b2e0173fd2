//! The driver of one worker slot: keeps an interpreter alive, serves its requests, and makes up for its death.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use dx_py_core::{Doing, TestId, TestResult};
use dx_py_protocol::{Collected, Command, Report};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connection::{Connection, Launcher};
use crate::patience::{Idle, Patience};
use crate::queue::Job;
use crate::run::{ExecutorError, Halt, RunnerEvent, Shared, collect_command};

/// How long a worker that was told to stop at once may take to do so.
const GRACE: Duration = Duration::from_millis(1000);

/// What one process is doing.
struct Session {
    process: u32,
    slot: u32,
    collected: Vec<Collected>,
    jobs: VecDeque<(u64, Job)>,
    last_job: u64,
    running: Option<(TestId, Instant)>,
    last_sign: Instant,
    /// Until when it has been told what it has been busy with since then.
    told_slow: Duration,
    /// Since when it does nothing, as far as it was looked; and when it is looked again.
    idle: Option<Idle>,
    /// Since when it stands still, with all that is timed here.
    suspended: Option<Instant>,
    next_look: Instant,
    progress: bool,
    finished: bool,
    stopping: Option<Instant>,
    /// Planned files whose tests this process doesn't have.
    lacks: HashSet<String>,
    greeted: bool,
    /// Whether the answer to its next request for work has been sent.
    is_ahead: bool,
    /// Since when it waits for work, which others may still find, and whether it has done so for long enough to take a last job.
    waits_since: Option<Instant>,
    is_impatient: bool,
    /// Whether it makes the items of another slot's share, and waits for work.
    is_adopting: bool,
}

impl Session {
    fn doing(&self) -> Doing {
        match &self.running {
            Some((test, _)) => Doing::Test(test.clone()),
            None if !self.jobs.is_empty() => Doing::BetweenTests,
            None if self.finished => Doing::Ending,
            None => Doing::Collecting,
        }
    }

    /// It is told what to do next. While it waited for that it gave no sign, and the test in whose teardown it asks took no time.
    fn waits_no_more(&mut self) {
        self.last_sign = Instant::now();
        self.is_impatient = false;
        if let Some(since) = self.waits_since.take() {
            self.idle = None;
            if let Some((_, started)) = &mut self.running {
                *started += since.elapsed();
            }
        }
    }
}

/// All that is timed begins later by what the terminal had everything stand still for.
impl Session {
    fn suspend(&mut self) {
        self.suspended.get_or_insert_with(Instant::now);
    }

    fn go_on(&mut self) {
        let Some(since) = self.suspended.take() else {
            return;
        };
        let stood = since.elapsed();
        self.last_sign += stood;
        self.next_look += stood;
        self.idle = None;
        let running = self.running.as_mut().map(|(_, started)| started);
        let all = [running, self.stopping.as_mut(), self.waits_since.as_mut()];
        for instant in all.into_iter().flatten() {
            *instant += stood;
        }
    }
}

enum End {
    /// It ended as it should.
    Well,
    /// It died or was killed.
    Died,
    /// It was killed since its test took too long: in it, or since it did nothing.
    GivenUp { is_idle: bool },
}

/// How often it is looked whether there is work that others have found; and how long a worker waits before it takes another one's last
/// job, whose items it has to make first: that takes about as long.
const LOOK: Duration = Duration::from_millis(5);

/// Keeps slot `slot` supplied with a worker until there is no more work.
pub(crate) async fn drive<L: Launcher>(slot: usize, launcher: &L, shared: &RefCell<Shared<'_>>) {
    keep(slot, launcher, shared).await;
    shared.borrow_mut().leave(slot as u32);
}

async fn keep<L: Launcher>(slot: usize, launcher: &L, shared: &RefCell<Shared<'_>>) {
    let mut fruitless = 0;
    loop {
        let mut halt = shared.borrow().halt.subscribe();
        let mut suspended = shared.borrow().suspended.subscribe();
        if *halt.borrow_and_update() != Halt::No {
            return;
        }
        let process = shared.borrow_mut().new_process();
        let patience = shared.borrow().plan.patience.as_ref().map(Patience::period);
        let mut worker = match launcher.launch(slot as u32) {
            Ok(worker) => worker,
            Err(error) => return fail(shared, error.into()),
        };
        let mut session = Session {
            process,
            slot: slot as u32,
            collected: Vec::new(),
            jobs: VecDeque::new(),
            last_job: 0,
            running: None,
            last_sign: Instant::now(),
            told_slow: Duration::ZERO,
            suspended: None,
            idle: None,
            // To look takes a few milliseconds, and more where many processes are: most runs end before.
            next_look: Instant::now() + patience.unwrap_or_default(),
            progress: false,
            finished: false,
            stopping: None,
            lacks: HashSet::new(),
            greeted: false,
            is_ahead: false,
            waits_since: None,
            is_impatient: false,
            is_adopting: false,
        };
        let end = serve(
            &mut session,
            &mut worker,
            (&mut halt, &mut suspended),
            shared,
        )
        .await;
        match end {
            End::Well => return,
            End::GivenUp { is_idle } => {
                worker.ended().await;
                give_back(&mut session, &shared.borrow());
                // What it waited for another worker may have, for as long as that one runs. The next one here would wait as well.
                if is_idle && shared.borrow().has_others(slot as u32) {
                    return;
                }
            }
            End::Died => {
                let (cause, output) = worker.ended().await;
                if session.stopping.is_some() || session.finished && session.jobs.is_empty() {
                    return;
                }
                fruitless = if session.progress { 0 } else { fruitless + 1 };
                if fruitless == 2 {
                    let cause = cause.to_string();
                    return fail(shared, ExecutorError::StartUp { cause, output });
                }
                let message = format!("worker gw{slot} died: {cause}");
                bury(&mut session, shared, &message, output);
                let shared = shared.borrow();
                if shared.planned && !shared.has_jobs() && !shared.is_incomplete() {
                    return;
                }
            }
        }
    }
}

fn fail(shared: &RefCell<Shared<'_>>, error: ExecutorError) {
    let mut shared = shared.borrow_mut();
    shared.error.get_or_insert(error);
    shared.stop(Halt::Now, None);
}

/// Accounts for what a dead worker was doing: the test that it ran has failed, the others are given back.
fn bury(session: &mut Session, shared: &RefCell<Shared<'_>>, message: &str, output: String) {
    let mut shared = shared.borrow_mut();
    let killed = session.running.take();
    match &killed {
        Some((test, started)) => {
            let message = format!("{message} while it ran this test");
            let result = TestResult::failure(test.clone(), started.elapsed(), message, output);
            shared.settle(Box::new(result), session.slot);
        }
        None => shared.emit(RunnerEvent::Note(format!(
            "{message} between tests\n{output}"
        ))),
    }
    give_back(session, &shared);
}

/// Gives back what a worker was to run.
fn give_back(session: &mut Session, shared: &Shared<'_>) {
    for (_, mut job) in session.jobs.drain(..) {
        job.tests.retain(|test| shared.ledger.is_open(test));
        if !job.tests.is_empty() {
            shared.queues.give_back(session.slot as usize, job);
        }
    }
}

async fn serve<C: Connection>(
    session: &mut Session,
    worker: &mut C,
    (halt, suspended): (&mut watch::Receiver<Halt>, &mut watch::Receiver<bool>),
    shared: &RefCell<Shared<'_>>,
) -> End {
    loop {
        let stands = session.suspended.is_some();
        let deadline = deadline(session, &shared.borrow().plan.timeout);
        let slow = slow_at(session, &shared.borrow().plan.slow_after);
        let looks = session.running.is_some()
            && session.waits_since.is_none()
            && shared.borrow().plan.patience.is_some();
        let news = Rc::clone(&shared.borrow().news);
        tokio::select! {
            // What the worker has said in time counts, however late it is heard.
            biased;
            Ok(()) = suspended.changed() => {
                let stands = *suspended.borrow_and_update();
                worker.suspend(stands);
                match stands {
                    true => session.suspend(),
                    false => session.go_on(),
                }
            }
            Ok(()) = halt.changed(), if session.stopping.is_none() || *halt.borrow() == Halt::Now => {
                let how = *halt.borrow_and_update();
                if how == Halt::Now {
                    if !session.progress && session.running.is_none() {
                        // It has set up nothing that must be torn down.
                        worker.kill().await;
                        session.stopping = Some(Instant::now());
                        return End::Died;
                    }
                    worker.interrupt();
                    session.stopping = Some(Instant::now() + GRACE);
                } else if worker.send(&Command::Stop, 0).await.is_err() {
                    return End::Died;
                }
            },
            mut report = worker.recv() => loop {
                match report {
                    Ok(Some(report)) => {
                        session.last_sign = Instant::now();
                        session.told_slow = Duration::ZERO;
                        session.idle = None;
                        if let Some(end) = take_in(session, worker, report, shared).await {
                            return end;
                        }
                    }
                    Ok(None) => return End::Died,
                    Err(error) => {
                        let note = format!("worker gw{}: {error}", session.slot);
                        shared.borrow_mut().emit(RunnerEvent::Note(note));
                        worker.kill().await;
                        return End::Died;
                    }
                }
                // What has come with it isn't waited for.
                report = match worker.arrived() {
                    Ok(None) => break,
                    more => more,
                };
            },
            () = news.notified(), if session.waits_since.is_some() => {
                session.is_impatient = false;
                if let Some(end) = answer(session, worker, shared).await {
                    return end;
                }
            },
            () = tokio::time::sleep(LOOK), if !stands && session.waits_since.is_some() => {
                session.is_impatient = true;
                if let Some(end) = answer(session, worker, shared).await {
                    return end;
                }
            },
            () = tokio::time::sleep_until(deadline.unwrap_or_else(far)), if !stands && deadline.is_some() => {
                if session.stopping.is_some() {
                    worker.kill().await;
                    return End::Died;
                }
                let stacks = worker.kill().await;
                if session.running.is_none() {
                    return End::Died; // no test is to blame
                }
                let seconds = shared.borrow().plan.timeout.unwrap_or_default().as_secs_f64();
                give_up(session, shared, format!("timed out after {seconds} s"), stacks);
                return End::GivenUp { is_idle: false };
            },
            () = tokio::time::sleep_until(session.next_look), if !stands && looks && session.stopping.is_none() => {
                if let Some(idle) = idle_for_too_long(session, worker, shared) {
                    let stacks = worker.kill().await;
                    give_up(session, shared, Patience::message(idle), stacks);
                    return End::GivenUp { is_idle: true };
                }
            },
            () = tokio::time::sleep_until(slow.unwrap_or_else(far)), if !stands && slow.is_some() => {
                let elapsed = session.last_sign.elapsed();
                session.told_slow = elapsed;
                shared.borrow_mut().emit(RunnerEvent::Slow {
                    worker: session.slot,
                    doing: session.doing(),
                    elapsed,
                });
            },
        }
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn deadline(session: &Session, timeout: &Option<Duration>) -> Option<Instant> {
    if session.stopping.is_some() {
        return session.stopping;
    }
    if session.waits_since.is_some() {
        return None;
    }
    let timeout = (*timeout)?;
    match &session.running {
        Some((_, started)) => Some(*started + timeout),
        // Set-up of what lies between tests, and teardown of wide fixtures: no test is to blame, so be patient.
        None => (!session.jobs.is_empty()).then(|| session.last_sign + timeout * 2),
    }
}

/// When to tell what a worker is busy with; none while it waits for others.
fn slow_at(session: &Session, period: &Option<Duration>) -> Option<Instant> {
    if session.stopping.is_some() || session.waits_since.is_some() {
        return None;
    }
    let period = (*period)?;
    // Told late, as after the machine has slept, it counts for all the times that have passed.
    let told = session.told_slow.as_nanos() / period.as_nanos().max(1);
    let told = u32::try_from(told).unwrap_or(u32::MAX - 1);
    Some(session.last_sign + period.saturating_mul(told + 1))
}

/// Looks whether a worker does anything; gives for how long it hasn't if that is too long.
fn idle_for_too_long<C: Connection>(
    session: &mut Session,
    worker: &C,
    shared: &RefCell<Shared<'_>>,
) -> Option<Duration> {
    let shared = shared.borrow();
    let patience = shared.plan.patience.as_ref()?;
    session.next_look = Instant::now() + patience.period();
    let (test, _) = session.running.as_ref()?;
    let idle = Idle::look(session.idle, worker.cpu_time()?);
    session.idle = Some(idle);
    Some(idle.elapsed()).filter(|elapsed| *elapsed >= patience.limit(test))
}

/// Accounts for a test whose worker was ended.
fn give_up(session: &mut Session, shared: &RefCell<Shared<'_>>, message: String, stacks: String) {
    session.progress = true;
    if let Some((test, started)) = session.running.take() {
        let result = TestResult::failure(test, started.elapsed(), message, stacks);
        shared.borrow_mut().settle(Box::new(result), session.slot);
    }
}

async fn take_in<C: Connection>(
    session: &mut Session,
    worker: &mut C,
    report: Report,
    shared: &RefCell<Shared<'_>>,
) -> Option<End> {
    let process = session.process;
    match report {
        Report::Hello(hello) => {
            session.greeted = true;
            let command = {
                let mut shared = shared.borrow_mut();
                shared.emit(RunnerEvent::Hello { process, hello });
                collect_command(&shared.plan, session.slot)
            };
            if worker.send(&command, 0).await.is_err() {
                return Some(End::Died);
            }
        }
        Report::Collected(file) => session.collected.push(file),
        Report::CollectionReport(report) => {
            let mut shared = shared.borrow_mut();
            if shared.is_news(&report.node) {
                shared.emit(RunnerEvent::CollectionReport(report));
            }
        }
        Report::CollectionDone(done) => {
            let files = std::mem::take(&mut session.collected);
            {
                let mut shared = shared.borrow_mut();
                if session.is_adopting || shared.wants_collection(session.slot) {
                    shared.plan_jobs(session.slot, process, files, done);
                } else {
                    session.lacks = shared.missing_in(&files, session.slot);
                }
            }
            if session.is_adopting {
                session.is_adopting = false;
                return answer(session, worker, shared).await;
            }
        }
        Report::Next => return answer(session, worker, shared).await,
        Report::TestStarted(id) => {
            session.progress = true;
            session.running = Some((id.clone(), Instant::now()));
            let worker = session.slot;
            shared
                .borrow_mut()
                .emit(RunnerEvent::TestStarted { worker, id });
        }
        Report::TestFinished(result) => {
            session.running = None;
            shared.borrow_mut().settle(result, session.slot);
        }
        Report::JobDone { job } => {
            if let Some(at) = session.jobs.iter().position(|(number, _)| *number == job)
                && let Some((_, job)) = session.jobs.remove(at)
            {
                let (file, tests) = (job.file, job.tests);
                shared.borrow_mut().emit(RunnerEvent::JobDone {
                    process,
                    file,
                    tests,
                });
            }
        }
        Report::Lacks { job } => {
            if let Some(at) = session.jobs.iter().position(|(number, _)| *number == job)
                && let Some((_, job)) = session.jobs.remove(at)
            {
                let found = std::mem::take(&mut session.collected);
                let file = job.file.clone();
                let mut shared = shared.borrow_mut();
                if !shared.bring_home(job, session.slot, process, found) {
                    session.lacks.insert(file);
                }
            }
            return answer(session, worker, shared).await;
        }
        Report::Warning { node, text } => shared
            .borrow_mut()
            .emit(RunnerEvent::Warning { node, text }),
        Report::Trace(trace) => shared
            .borrow_mut()
            .emit(RunnerEvent::Trace { process, trace }),
        Report::Fatal { code, text } if !session.greeted => {
            // Others may have started well, and can do the work.
            shared.borrow_mut().failed_starts.push((code, text));
            worker.ended().await;
            return Some(End::Well);
        }
        Report::Fatal { code, text } => {
            let mut shared = shared.borrow_mut();
            shared.outcome.fatal.get_or_insert((code, text));
            shared.stop(Halt::Now, None);
            session.stopping = Some(Instant::now() + GRACE);
        }
        Report::Stopped { reason } => {
            session.finished = true;
            shared.borrow_mut().stop(Halt::Soon, Some(reason));
        }
        Report::Section(text) => shared.borrow_mut().emit(RunnerEvent::Section(text)),
        Report::Engine(engine) => shared.borrow_mut().emit(RunnerEvent::Engine(engine)),
        Report::Snapshots(told) => shared.borrow_mut().emit(RunnerEvent::Snapshots(told)),
        Report::Bye { code, decided } => {
            shared.borrow_mut().outcome.add_exit(code, decided);
            // A worker that ended without having been told to leaves no other work behind than what it holds.
            if !session.finished && session.stopping.is_none() {
                let note = format!(
                    "worker gw{} ended early, with exit code {code}",
                    session.slot
                );
                shared.borrow_mut().emit(RunnerEvent::Note(note));
                session.progress = true;
            }
            worker.done().await;
            return Some(End::Well);
        }
    }
    None
}

/// Answers a request for work: with a job, or that there is none. While there is plenty, the answer to the next request is sent ahead,
/// so that the worker needn't wait until all that it has told before is taken in.
async fn answer<C: Connection>(
    session: &mut Session,
    worker: &mut C,
    shared: &RefCell<Shared<'_>>,
) -> Option<End> {
    if session.is_ahead {
        session.is_ahead = false;
    } else {
        let job = next_job(session, shared);
        if job.is_none() && *shared.borrow().halt.borrow() == Halt::No {
            let share = shared.borrow_mut().adopt();
            if let Some(share) = share {
                session.is_adopting = true;
                session.waits_no_more();
                let command = Command::Collect {
                    only: None,
                    rewrite: Vec::new(),
                    share: Some(share),
                    inert: Vec::new(),
                    folders: Vec::new(),
                };
                return worker.send(&command, 0).await.err().map(|_| End::Died);
            }
            let shared = shared.borrow();
            let may_take_last = !session.is_impatient && shared.is_split() && shared.has_jobs();
            if shared.is_incomplete() || may_take_last {
                session.waits_since.get_or_insert_with(Instant::now);
                return None;
            }
        }
        let is_last = job.is_none();
        if let Some(end) = send_job(session, worker, job, shared).await {
            return Some(end);
        }
        if is_last {
            return None;
        }
    }
    if !shared.borrow().is_plenty(session.slot) {
        return None;
    }
    match next_job(session, shared) {
        Some(job) => {
            session.is_ahead = true;
            send_job(session, worker, Some(job), shared).await
        }
        None => None,
    }
}

fn next_job(session: &Session, shared: &RefCell<Shared<'_>>) -> Option<Job> {
    let mut shared = shared.borrow_mut();
    let halted = *shared.halt.borrow() != Halt::No;
    if halted {
        None
    } else {
        shared.take(session.slot, &session.lacks, !session.is_impatient)
    }
}

async fn send_job<C: Connection>(
    session: &mut Session,
    worker: &mut C,
    job: Option<Job>,
    shared: &RefCell<Shared<'_>>,
) -> Option<End> {
    session.waits_no_more();
    let sent = match job {
        Some(job) => {
            session.last_job += 1;
            let number = session.last_job;
            let command = Command::Run {
                file: job.file.clone(),
                tests: job.tests.clone(),
            };
            session.jobs.push_back((number, job));
            worker.send(&command, number).await
        }
        None => {
            session.finished = true;
            shared.borrow_mut().send_away(session.slot);
            worker.send(&Command::Finish, 0).await
        }
    };
    sent.err().map(|_| End::Died)
}

#[cfg(test)]
#[path = "simulation.rs"]
mod simulation;
