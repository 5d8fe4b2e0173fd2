//! `dx-py test`: from the verdicts to the last line.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use anyhow::Context;
use dx_py_core::{Event, RunSummary, TestId, TestStatus, Verdict};
use dx_py_daemon::LaunchSpec;
use dx_py_executor::{Outcome, Processes, RunPlan};

use crate::alone::{Hearing, Policy};
use crate::args::TestArgs;
use crate::conductor::{Conductor, Intent};
use crate::coverage::Coverage;
use crate::invocation::Invocation;
use crate::plan::{Plan, dry_run, explain, make_plan};
use crate::record::{Recorder, Recording};
use crate::report::{Reporter, emit, reporters, text_output};
use crate::selection::Selection;
use crate::session::Session;
use crate::settings::Project;
use crate::{changes, coverage, scratch, worker_files};

/// pytest's exit codes.
pub mod exit {
    /// Tests failed.
    pub const FAILED: u8 = 1;
    /// A signal, or `pytest.exit`.
    pub const INTERRUPTED: u8 = 2;
    /// An error of pytest's or dx-py's own.
    pub const INTERNAL: u8 = 3;
    /// A wrong argument.
    pub const USAGE: u8 = 4;
    /// No test matched.
    pub const NO_TESTS: u8 = 5;
}

/// Runs `dx-py test`; gives the exit code.
///
/// # Errors
/// If the run can't be done. [`exit_code_of`] tells the code.
pub fn test(args: &TestArgs) -> anyhow::Result<u8> {
    let began = Instant::now();
    let project = Project::find()?;
    let workers = project.workers(args.workers.as_deref())?;
    let invocation = Invocation::new(&args.pytest_args, args.no_capture, &project.cwd);
    if let Some(option) = invocation.needs_pytest_itself() {
        return hand_over(&project, args, option);
    }
    let mut selection = Selection::new(
        &args.patterns,
        args.keywords.as_deref(),
        args.marks.as_deref(),
        &project.root,
        &project.cwd,
    )?;
    if args.lf {
        selection.only_last_failed();
    }
    let mut session = Session::open(project, args.common.python.as_deref(), &invocation)?;
    if let Some(revision) = &args.changed_since {
        let changed = changes::since(revision, &session.project.root)?;
        let (tests, files) = changes::reached(&session, &changed);
        selection.only_reached(tests, files);
    }
    let coverage = Coverage::of(&invocation, &session.project);
    let forced = match coverage {
        _ if args.all => Some("--all was given"),
        Coverage::Asked => Some("coverage is measured"),
        _ => None,
    };
    let plan = make_plan(&session, &selection, forced);
    if args.dry_run {
        dry_run(&session, &plan, &selection, &mut text_output(args))?;
        return Ok(0);
    }
    let mut reporters = reporters(args);
    if args.explain {
        explain(&plan, &session, &mut text_output(args))?;
    }
    if !plan.ask_pytest && plan.paths.is_empty() {
        return all_fresh(&mut session, &plan, &mut reporters, began);
    }
    execute(
        &mut session,
        plan,
        &selection,
        args,
        &invocation,
        coverage,
        workers,
        &mut reporters,
        began,
    )
}

fn all_fresh(
    session: &mut Session,
    plan: &Plan,
    reporters: &mut [Box<dyn Reporter>],
    began: Instant,
) -> anyhow::Result<u8> {
    let mut summary = RunSummary {
        deselected: plan.deselected,
        ..RunSummary::default()
    };
    for (id, status, duration) in plan.fresh.values().flatten() {
        summary.count_fresh(*status);
        summary.recorded += *duration;
        emit(
            reporters,
            &Event::TestFresh {
                id: id.clone(),
                status: *status,
                duration: *duration,
            },
        )?;
    }
    summary.exit_code = if summary.fresh_total() == 0 {
        exit::NO_TESTS
    } else {
        0
    };
    for note in &session.notes {
        emit(reporters, &Event::Note(note.clone()))?;
    }
    session
        .catalog
        .store_file_stats(&session.world.new_stats())?;
    summary.wall = began.elapsed();
    emit(reporters, &Event::Finished(summary.clone()))?;
    Ok(summary.exit_code)
}

#[allow(clippy::too_many_arguments)] // they are the parts of one run, and it is called once
fn execute(
    session: &mut Session,
    plan: Plan,
    selection: &Selection,
    args: &TestArgs,
    invocation: &Invocation,
    coverage: Coverage,
    workers: usize,
    reporters: &mut Vec<Box<dyn Reporter>>,
    began: Instant,
) -> anyhow::Result<u8> {
    // Collecting a part spares time while the part is small; else everything is collected, which is what pytest does.
    let narrow = !plan.ask_pytest && plan.paths.len() * 2 <= plan.known_files.max(2);
    let workers = if plan.ask_pytest {
        workers
    } else {
        workers.min(plan.paths.len()).max(1)
    };
    let measured = coverage == Coverage::Asked
        || coverage == Coverage::Configured && plan.fresh.is_empty() && plan.deselected == 0;
    let (first, second): (&[&str], &[&str]) = match (coverage, measured) {
        (Coverage::Absent, _) => (&[], &[]),
        (_, true) => (&[], &["--cov-append"]),
        (_, false) => (&["--no-cov"], &["--no-cov"]),
    };
    let (spec, base_temp) = launch_spec(session, args, invocation, workers, first)?;
    let (spec_alone, _) = launch_spec(session, args, invocation, 1, second)?;
    let policy = policy(session, &plan, args, workers > 1, narrow);
    let paths_by_file: HashMap<String, String> = session
        .state
        .files
        .iter()
        .map(|file| (file.file.clone(), file.path.clone()))
        .collect();
    let learned_note = session.learned_note();
    let command: Vec<String> = std::env::args().skip(1).collect();
    let run = session.catalog.begin_run(&command.join(" "))?;
    let matching = session.matching_passes();
    let base = session.base_inputs();
    let verdicts: HashMap<TestId, Verdict> = plan
        .dirty
        .iter()
        .map(|(id, reason)| {
            (
                id.clone(),
                Verdict::Dirty {
                    reason: reason.clone(),
                },
            )
        })
        .chain(plan.fresh.values().flatten().map(|(id, status, duration)| {
            (
                id.clone(),
                Verdict::Fresh {
                    status: *status,
                    duration: *duration,
                },
            )
        }))
        .collect();
    let expected: HashMap<TestId, Duration> = session
        .state
        .files
        .iter()
        .flat_map(|file| &file.tests)
        .filter_map(|test| Some((test.test.id.clone(), test.duration?)))
        .collect();
    let last: HashMap<TestId, TestStatus> = session
        .state
        .files
        .iter()
        .flat_map(|file| &file.tests)
        .filter_map(|test| Some((test.test.id.clone(), test.last?)))
        .collect();
    let notes = session.notes.clone();
    let file_list_key = session
        .file_list_record(&crate::session::FileList::default())?
        .0;
    let environment_note = session.environment_note();
    let recorder = Recorder::new(Recording {
        catalog: &mut session.catalog,
        universe: session.universe,
        run,
        world: &session.world,
        graph: &session.sources.graph,
        base,
        matching,
    });
    let timeout = args
        .timeout
        .or(session.project.config.timeout)
        .filter(|seconds| *seconds > 0.0);
    let run_plan = RunPlan {
        workers,
        collect: narrow.then(|| plan.paths.clone()),
        timeout: timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        maxfail: args.failure_limit(),
        first_process: 0,
    };
    let mut conductor = Conductor::new(
        recorder,
        reporters,
        Intent {
            selection,
            verdicts,
            expected,
            last,
            force: args.all || coverage == Coverage::Asked,
            workers,
            narrow: narrow.then(|| plan.paths.iter().cloned().collect::<BTreeSet<String>>()),
            known_fresh: plan.fresh,
            file_list_key,
            environment_note,
            policy,
            learned_note,
        },
    );
    conductor.summary.deselected = plan.deselected;
    conductor.begin(plan.dirty.len(), session.environment.as_ref())?;
    for note in notes {
        conductor.note(note)?;
    }
    if coverage != Coverage::Absent && !measured {
        let note = "coverage is off, since only a part of the tests runs: --all measures it";
        conductor.note(note.to_owned())?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the event loop")?;
    let local = tokio::task::LocalSet::new();
    let run_phase = |plan, spec, conductor: &mut Conductor<'_>| {
        local.block_on(
            &runtime,
            dx_py_executor::run(plan, &Processes(spec), conductor),
        )
    };
    let mut outcome = run_phase(run_plan.clone(), spec, &mut conductor)?;
    drop(base_temp);
    if let Some((files, everything)) = conductor.second_phase(&outcome)? {
        let collect = if everything {
            plan.names_files.then(|| plan.paths.clone())
        } else {
            files
                .iter()
                .map(|file| paths_by_file.get(file).cloned())
                .collect()
        };
        let alone = RunPlan {
            workers: 1,
            collect,
            first_process: outcome.last_process,
            ..run_plan
        };
        outcome = outcome.followed_by(run_phase(alone, spec_alone.clone(), &mut conductor)?);
    }
    let mut summary = conductor.end(&outcome, began)?;
    if measured && outcome.fatal.is_none() && !outcome.interrupted {
        let report = coverage::report(&spec_alone)?;
        emit(reporters, &Event::Section(report.text))?;
        if !report.is_good && summary.exit_code == 0 {
            summary.exit_code = exit::FAILED;
        }
        summary.wall = began.elapsed();
    }
    session
        .catalog
        .store_file_stats(&session.world.new_stats())?;
    session.catalog.finish_run(run, &summary)?;
    report_end(reporters, &summary, &outcome)
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
        learned: session.learned.clone(),
        defers: parallel || narrow,
        asks: (parallel || narrow || !plan.fresh.is_empty())
            && !args.no_second_opinion
            && args.failure_limit().is_none(),
        new_tests: explained,
        ..Policy::default()
    };
    if let Some(list) = &session.file_list {
        policy.known_broken.extend(list.broken.iter().cloned());
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
            let holds = |pass: &dx_py_catalog::Pass| {
                session
                    .set_state(pass.set)
                    .is_some_and(dx_py_select::SetState::holds)
            };
            if last.is_bad() && partial {
                policy.suspicious.insert(test.test.id.clone());
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
            policy.hearings.insert(test.test.id.clone(), hearing);
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

fn launch_spec(
    session: &Session,
    args: &TestArgs,
    invocation: &Invocation,
    workers: usize,
    more: &[&str],
) -> anyhow::Result<(LaunchSpec, Option<scratch::BaseTemp>)> {
    let dx = session.project.dx_dir();
    let worker_dir = worker_files::unpack(&dx)
        .with_context(|| format!("can't write the worker into {}", dx.display()))?;
    let mut arguments = invocation.worker_arguments();
    if let Some(style) = args.tb {
        arguments.insert(0, format!("--tb={}", style.as_str()));
    }
    // A worker stops itself at once; that the others stop is the executor's part.
    if let Some(limit) = args.failure_limit() {
        arguments.insert(0, format!("--maxfail={limit}"));
    }
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    let own_basetemp = arguments
        .iter()
        .any(|argument| argument.starts_with("--basetemp"));
    let seed = std::env::var_os("PYTHONHASHSEED").is_none() && workers > 1;
    let base_temp = if own_basetemp || workers == 1 {
        None
    } else {
        scratch::base_temp().ok()
    };
    let spec = LaunchSpec {
        python: session.interpreter.executable.clone(),
        worker_dir,
        cwd: session.project.cwd.clone(),
        // One seed for all workers, so that tests parametrised over a set have the same IDs in each.
        env: seed
            .then(|| {
                (
                    "PYTHONHASHSEED".into(),
                    scratch::hash_seed().to_string().into(),
                )
            })
            .into_iter()
            .collect(),
        pytest_args: arguments.into_iter().map(Into::into).collect(),
        basetemp: base_temp.as_ref().map(|folder| folder.path.clone()),
        workers,
        run_id: scratch::run_id(),
        inherit_output: args.no_capture,
    };
    Ok((spec, base_temp))
}

/// Gives the terminal to pytest, for options with which it does something else than run tests.
fn hand_over(project: &Project, args: &TestArgs, option: &str) -> anyhow::Result<u8> {
    let interpreter = crate::python::find(
        args.common.python.as_deref(),
        project.config.python.as_deref(),
        &project.root,
        &project.cwd,
    )?;
    eprintln!("dx-py: {option} is pytest's own affair: running pytest itself");
    let status = std::process::Command::new(&interpreter.executable)
        .args(["-m", "pytest"])
        .args(&args.pytest_args)
        .args(&args.patterns)
        .status()
        .with_context(|| format!("can't start {}", interpreter.executable.display()))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(exit::INTERNAL))
}
