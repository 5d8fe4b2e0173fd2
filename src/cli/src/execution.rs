//! Runs what the plan says: the phases of a run, and what is begun again when the sessions ask for another arrangement.

mod collecting;

use std::collections::{BTreeSet, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use dx_py_catalog::KnownTest;
use dx_py_core::{Event, RelPath, RunSummary, TestId, Verdict};
use dx_py_daemon::Role;
use dx_py_executor::{HeadStart, Outcome, Patience, Processes, RunPlan, Standby};
use rustc_hash::FxHashMap;

use collecting::{
    files_at_start, for_pytest, has_long_divisible_file, inert, modules_to_rewrite, shares,
};

use crate::alone::{Hearing, Policy};
use crate::args::TestArgs;
use crate::conductor::{Conductor, Intent, KnownTests, NextPhase};
use crate::coverage::{self, Coverage};
use crate::daemon;
use crate::database;
use crate::early::{Beginning, Early, Shape, role};
use crate::file_list::FileList;
use crate::invocation::Invocation;
use crate::places;
use crate::plan::Plan;
use crate::record::{Recorder, RecorderThread, Recording};
use crate::report::{Reporter, emit};
use crate::run::exit;
use crate::search_path;
use crate::selection::Selection;
use crate::session::Session;
use crate::snapshots;
use crate::specs::Specs;

/// After how many seconds it is told what a worker is busy with, if no setting says.
const SLOW_AFTER: f64 = 60.0;

/// For how long a worker may do nothing beside others, if its test isn't known to take long: tests that wait for so long are few, and the
/// outcome of such a one is right all the same, since it runs again alone.
const PATIENCE: f64 = 30.0;

/// How many times as long as it took before a test may do nothing.
const PATIENCE_WITH_KNOWN: u32 = 4;

/// What a run was asked for.
pub struct Execution<'a> {
    /// The arguments.
    pub args: &'a TestArgs,
    /// Which tests it is about.
    pub selection: &'a Selection,
    /// The arguments for pytest.
    pub invocation: &'a Invocation,
    /// Whether coverage is measured.
    pub coverage: Coverage,
    /// How many workers are wanted.
    pub workers: usize,
    /// When it began.
    pub began: Instant,
}

impl Execution<'_> {
    /// Whether tests run whatever is recorded of them.
    fn is_forced(&self) -> bool {
        self.args.all || self.coverage == Coverage::Asked
    }
}

/// Runs the plan, in the workers that were started early if they are the right ones; gives the exit code.
///
/// # Errors
/// If workers can't be started, or what they do can't be recorded or reported.
pub fn execute(
    session: &mut Session,
    plan: Plan,
    asked: &Execution<'_>,
    reporters: &mut Vec<Box<dyn Reporter>>,
    early: Option<Early>,
) -> anyhow::Result<u8> {
    let args = asked.args;
    // Collecting a part spares time while the part is small; else everything is collected, which is what pytest does.
    // A conftest of another folder that has a say in all tests must be loaded.
    let narrow = !plan.ask_pytest
        && session.wide.is_empty()
        && !session.arrangement.keeps_together(plan.collected_files())
        && plan.paths.len() * 2 <= plan.known_files.max(2);
    let wanted = if plan.ask_pytest {
        files_at_start(session, asked).map_or(asked.workers, |files| asked.workers.min(files))
    } else {
        match plan.paths.len() {
            files if files < asked.workers && has_long_divisible_file(session, &plan) => {
                asked.workers
            }
            files => asked.workers.min(files).max(1),
        }
    };
    let measured = asked.coverage == Coverage::Asked
        || asked.coverage == Coverage::Configured && plan.fresh.is_empty() && plan.deselected == 0;
    let more = asked.coverage.arguments(measured);
    let mut workers = session.arrangement.workers(wanted);
    let shape = Shape {
        workers,
        measured,
        sees_functions: sees_functions(session, asked),
        paths: asked.invocation.paths.clone(),
    };
    let early = match early.filter(|early| early.is_for(&shape, &session.arrangement)) {
        Some(early) => early,
        None => {
            let specs = Specs::new(
                &session.project,
                &session.interpreter,
                args,
                asked.invocation,
                workers,
                shape.sees_functions,
            )?;
            // The interpreters get ready while it is looked up what the run needs to know.
            let begins = Beginning::Now;
            let (project, arrangement) = (&session.project, &session.arrangement);
            Early::start(project, specs, &shape, arrangement, asked.coverage, begins)?
        }
    };
    early.begin();
    shape.keep_for_change(session)?;
    let Early {
        runtime,
        local,
        specs,
        workers: mut early,
        head,
        ..
    } = early;
    let processes = |has_controller, workers| {
        let role = role(workers, has_controller, measured);
        HeadStart::new(Processes(specs.workers(workers, role, more)))
    };
    session.save_sources()?;
    let shares = shares(session, &plan, workers);
    let split = !shares.is_empty();
    let policy = policy(session, &plan, args, workers > 1, narrow);
    let command: Vec<String> = std::env::args().skip(1).collect();
    let commit = head.answer();
    let run = session
        .catalog
        .begin_run(&command.join(" "), commit.as_deref())?;
    let notes = session.notes.clone();
    let timeout = args
        .timeout
        .or(session.project.config.timeout)
        .filter(|seconds| *seconds > 0.0);
    let patience = patience(session).filter(|_| policy.asks);
    let slow_after = session.project.config.slow_after.unwrap_or(SLOW_AFTER);
    let mut run_plan = RunPlan {
        workers,
        collect: narrow.then(|| for_pytest(&session.project, &plan.paths)),
        rewrite: modules_to_rewrite(session, &plan, workers, narrow),
        inert: inert(session, &shares),
        folders: search_path::folders(session, &plan),
        shares,
        timeout: timeout.and_then(as_duration),
        slow_after: as_duration(slow_after).filter(|period| !period.is_zero()),
        patience: None,
        maxfail: args.failure_limit(),
        first_process: 0,
    };
    let heard_of: BTreeSet<String> = plan.collected_files().cloned().collect();
    let renewal = session.renewal.take();
    let renewal = renewal.filter(|renewal| {
        let mut new = renewal.new.iter();
        narrow && new.all(|path| plan.paths.contains(path))
    });
    let (leftovers, leftovers_note) = session.leftovers()?;
    let bearings_note = session.bearings_note();
    let settled = settled(session, &plan);
    let known: KnownTests<'_> = session.state.tests().map(|test| (&test.id, test)).collect();
    let intent = Intent {
        renewal,
        heard_of,
        selection: asked.selection,
        verdicts: verdicts(&plan),
        verified: plan.verified,
        known: &known,
        force: asked.is_forced(),
        workers,
        wanted,
        settled,
        narrow: narrow.then(|| plan.paths.iter().cloned().collect::<BTreeSet<String>>()),
        split,
        known_fresh: plan.fresh,
        wide: session.wide.clone(),
        file_list_key: session.file_list_record(&FileList::default())?.0,
        environment_note: session.environment_note(),
        policy,
        learned_note: session.learned_note(),
        arrangement: session.arrangement.clone(),
        arrangement_note: session.arrangement_note(),
        busyness: session.busyness.clone(),
        busyness_note: session.busyness_note(),
        leftovers,
        leftovers_note,
        doubts: session.project.level().counts_functions() && !asked.is_forced(),
        are_all_seen: session.project.level().sees_functions(false),
    };
    let base = session.base_inputs();
    let expiry = session.project.expiry();
    let recorder = Recorder::new(Recording {
        catalog: &mut session.catalog,
        universe: session.universe,
        run,
        world: &mut session.world,
        graph: &session.sources.graph,
        base,
        known: &known,
        expiry,
        sets: &mut session.sets,
        leftovers: intent.leftovers.clone(),
        bearings_note,
    });
    let (mut summary, outcome, preloads) = thread::scope(|scope| -> anyhow::Result<_> {
        let recorder =
            RecorderThread::start(scope, recorder).context("can't start a thread that records")?;
        let mut conductor = Conductor::new(recorder, reporters, intent);
        conductor.summary.deselected = plan.deselected;
        conductor.begin(plan.dirty, session.environment.as_ref())?;
        for note in notes {
            conductor.note(note)?;
        }
        if asked.coverage != Coverage::Absent && !measured {
            let note = "coverage is off, since only a part of the tests runs: --all measures it";
            conductor.note(note.to_owned())?;
        }
        let whole = RunPlan {
            workers: 1,
            collect: None,
            rewrite: Vec::new(),
            shares: Vec::new(),
            inert: Vec::new(),
            ..run_plan.clone()
        };
        let foreseen = conductor.foreseen();
        let mut outcome;
        let standby = loop {
            if workers > 1 && conductor.wants_controller() {
                // pytest-cov has a session of its own at the end.
                let silent: &[&str] = match asked.coverage {
                    Coverage::Absent => &[],
                    _ => &["--no-cov"],
                };
                conductor.start_controller(
                    &specs.workers(1, Role::Mute, &[]),
                    silent,
                    args.verbose > 0,
                )?;
            }
            run_plan.workers = workers;
            run_plan.patience = patience.clone().filter(|_| workers > 1);
            let started = early.take();
            let processes =
                started.unwrap_or_else(|| processes(conductor.has_controller(), workers));
            // What was started once for all workers is there, and one that looks like plain pytest would start it again.
            let alone = specs.alone(if conductor.has_controller() {
                specs.workers(workers, Role::Told, more)
            } else {
                specs.workers(1, Role::Mute, more)
            });
            let standby = Standby::new(Processes(alone));
            let phase = dx_py_executor::run(run_plan.clone(), &processes, &mut conductor);
            outcome = local.block_on(&runtime, async {
                // Of a project that bears one session only nobody knows whether it bears one beside it.
                if workers > 1 {
                    standby.beside(phase, &whole, &foreseen).await
                } else {
                    phase.await
                }
            })?;
            run_plan.first_process = outcome.last_process;
            match conductor.rearranged() {
                Some(arrangement) => {
                    workers = arrangement.workers(wanted);
                    run_plan.shares.clear();
                    run_plan.inert.clear();
                }
                None => break standby,
            }
        };
        while let Some(next) = conductor.next_phase(&outcome)? {
            let mut later = RunPlan {
                first_process: outcome.last_process,
                ..whole.clone()
            };
            if let NextPhase::Only(paths) = next {
                local.block_on(&runtime, standby.keep_for_a_part());
                later.collect = Some(for_pytest(&session.project, &paths));
                if !conductor.folders.is_empty() {
                    later.folders = conductor.folders.clone();
                }
            }
            let phase = dx_py_executor::run(later, &standby, &mut conductor);
            outcome = outcome.followed_by(local.block_on(&runtime, phase)?);
        }
        if !outcome.interrupted {
            local.block_on(&runtime, standby.dismiss());
        }
        drop(standby);
        let preloads = std::mem::take(&mut conductor.preloads);
        let summary = conductor.end(&outcome, asked.began)?;
        Ok((summary, outcome, preloads))
    })?;
    if measured && outcome.fatal.is_none() && !outcome.interrupted {
        let report = coverage::report(&specs.workers(1, Role::Mute, more))?;
        emit(reporters, &Event::Section(report.text))?;
        if !report.is_good && summary.exit_code == 0 {
            summary.exit_code = exit::FAILED;
        }
        summary.wall = asked.began.elapsed();
    }
    snapshots::end(session, args, &mut summary)?;
    session.keep_what_was_looked_at()?;
    if !asked.invocation.paths.is_empty() {
        places::keep_latest_lists(session, asked.invocation)?;
    }
    session.catalog.finish_run(run, &summary)?;
    database::prune_bytecode(&session.project.dx_dir());
    if !outcome.interrupted && outcome.fatal.is_none() {
        daemon::keep_warm(
            &session.project,
            &session.interpreter.executable,
            Some((preloads, !narrow && asked.invocation.paths.is_empty())),
        );
    }
    report_end(reporters, &summary, &outcome)
}

/// The files among those that are collected that hold the tests which are known of them, as far as what they read and import says.
fn settled(session: &Session, plan: &Plan) -> HashSet<String> {
    let asked: HashSet<&String> = plan.collected_files().collect();
    let files = session.state.files.iter();
    let files = files.filter(|file| asked.contains(&file.file));
    let files = files.filter(|file| file.sets.iter().any(|set| session.sets.holds(*set)));
    files.map(|file| file.file.clone()).collect()
}

/// Whether a run sees which functions its tests run.
fn sees_functions(session: &Session, asked: &Execution<'_>) -> bool {
    let is_for_a_change = !asked.is_forced() && most_have_run(session, asked.selection);
    session.project.level().sees_functions(is_for_a_change)
}

/// Whether most of the tests that may be meant have run before: what the others do for the first time is the smaller part of a run.
fn most_have_run(session: &Session, selection: &Selection) -> bool {
    let of_tests = match &session.file_list {
        Some(list) => {
            let files = list.files.iter();
            files
                .filter(|file| selection.may_include_file(file))
                .count()
        }
        // Nobody knows yet what pytest is told to pass over.
        None => {
            let files = session.sources.scan.files.iter().map(|file| &file.path);
            let files = files.filter(|path| selection.may_include_file(path.as_str()));
            let is_meant =
                |path: &&RelPath| session.project.is_test_file(path) && session.starts_around(path);
            files.filter(is_meant).count()
        }
    };
    let known = session.state.files.iter();
    let known: Vec<_> = known
        .filter(|file| selection.may_include_file(&file.file))
        .collect();
    let tests = known.iter().flat_map(|file| &file.tests);
    let (all, ran) = tests.fold((0, 0), |(all, ran), test| {
        (all + 1, ran + usize::from(test.last.is_some()))
    });
    ran > 0 && ran * 2 >= all && known.len() * 2 >= of_tests
}

/// So many seconds; none if that is no duration.
fn as_duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// How long workers may do nothing beside others; none if for ever.
fn patience(session: &Session) -> Option<Patience> {
    let limit = as_duration(session.project.config.patience.unwrap_or(PATIENCE));
    let limit = limit.filter(|limit| !limit.is_zero())?;
    let of_test = |test: &KnownTest| {
        let known = test.elapsed?.saturating_mul(PATIENCE_WITH_KNOWN);
        Some(known).filter(|known| *known > limit)
    };
    Some(Patience {
        limit,
        known: session
            .state
            .tests()
            .filter_map(|test| Some((test.id.clone(), of_test(test)?)))
            .collect(),
    })
}

fn verdicts(plan: &Plan) -> FxHashMap<TestId, Verdict> {
    let dirty = plan.dirty.iter().map(|(id, reason)| {
        let reason = reason.clone();
        (id.clone(), Verdict::Dirty { reason })
    });
    let fresh = plan.fresh.values().flatten();
    let fresh = fresh.map(|(id, status, duration)| {
        let (status, duration) = (*status, *duration);
        (id.clone(), Verdict::Fresh { status, duration })
    });
    dirty.chain(fresh).collect()
}

/// Which files run alone, and how failures are heard again. No change explains those of tests that passed with the very inputs of now,
/// and of files that never ran. What a change may explain is heard again if tests ran beside it, or other files weren't even imported. A
/// test that failed before isn't heard again, so that it costs nothing while a failure is being worked on.
fn policy(session: &Session, plan: &Plan, args: &TestArgs, parallel: bool, narrow: bool) -> Policy {
    let explained = if narrow {
        Hearing::Full
    } else if parallel {
        Hearing::Alone
    } else {
        Hearing::None
    };
    let mut policy = Policy {
        serial: session.serial.clone(),
        defers: parallel || narrow,
        asks: (parallel || narrow || !plan.fresh.is_empty())
            && !args.no_second_opinion
            && args.failure_limit().is_none(),
        new_tests: explained,
        lacks_imports: narrow,
        ..Policy::default()
    };
    if let Some(list) = &session.file_list {
        let root = &session.project.root;
        let broken = list.broken.iter().map(|path| root.join(path));
        policy
            .known_broken
            .extend(broken.map(|path| path.display().to_string()));
    }
    for file in &session.state.files {
        if file.tests.iter().any(|test| test.last.is_some()) {
            policy.known_files.insert(file.file.clone());
        }
        let partial = plan.fresh.contains_key(&file.file);
        for test in &file.tests {
            let Some(last) = test.last else {
                continue;
            };
            let holds = |pass: &dx_py_catalog::Pass| session.sets.holds(pass.set);
            if last.is_bad() && partial {
                policy.suspicious.insert(test.id.clone());
            }
            let hearing = if last.is_bad() {
                Hearing::None
            } else if test.passes.iter().any(holds) {
                Hearing::Full
            } else if partial {
                explained.max(Hearing::Alone)
            } else {
                explained
            };
            policy.hearings.insert(test.id.clone(), hearing);
        }
    }
    policy
}

fn report_end(
    reporters: &mut [Box<dyn Reporter>],
    summary: &RunSummary,
    outcome: &Outcome,
) -> anyhow::Result<u8> {
    emit(reporters, &Event::Finished(summary.clone()))?;
    if let Some((_, text)) = &outcome.fatal {
        eprintln!("{}", text.trim_end());
    }
    Ok(summary.exit_code)
}
