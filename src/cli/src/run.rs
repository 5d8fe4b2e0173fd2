//! `dx-py test`: from the verdicts to the last line.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Context;
use dx_py_core::{Event, RunSummary, TestId};

use crate::args::TestArgs;
use crate::changes;
use crate::coverage::Coverage;
use crate::daemon;
use crate::early::Early;
use crate::execution::{Execution, execute};
use crate::forecast::Forecast;
use crate::invocation::Invocation;
use crate::opening::Opening;
use crate::places;
use crate::plan::{Plan, explain, make_plan};
use crate::report::{Reporter, emit, reporters, text_output};
use crate::scratch;
use crate::selection::Selection;
use crate::session::Session;
use crate::settings::{Project, Workers, working_directory};
use crate::specs::snapshot_mode;
use crate::verification::Sample;
use crate::walk::Walk;

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

/// Runs `dx-py audit`: everything, whatever is recorded of it; gives the exit code, which is 1 if a fresh test has another outcome now.
///
/// # Errors
/// As [`test`].
pub fn audit(args: &TestArgs) -> anyhow::Result<u8> {
    test(&TestArgs {
        verify_fresh: Some(100.0),
        ..args.clone()
    })
}

/// Runs `dx-py test`; gives the exit code.
///
/// # Errors
/// If the run can't be done. [`exit_code_of`] tells the code.
pub fn test(args: &TestArgs) -> anyhow::Result<u8> {
    let began = Instant::now();
    let mut invocation = Invocation {
        engine: args.engine,
        ..Invocation::new(&args.pytest_args, args.no_capture, &working_directory()?)
    };
    let mut project = Project::of_places(args.patterns.iter().chain(&invocation.paths))?;
    project.config.select = args.select.or(project.config.select);
    invocation.override_selection(
        &project.addopts(),
        args.keywords.is_some(),
        args.marks.is_some(),
    );
    let flag = args.workers.as_deref().or(invocation.workers());
    let wanted = project.workers(flag)?;
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
    if let Some(shard) = args.shard {
        selection.only_shard(shard);
    }
    let opening = Opening::new(project, args.common.python.as_deref(), &invocation)?;
    let told = opening.busyness.clone();
    let of_all = told.as_ref().map_or(Duration::ZERO, |told| told.elapsed);
    let most = wanted.count(told.as_ref(), of_all);
    let early = Early::for_all(&opening, args, &invocation, most)?;
    let walk = Walk::of(opening)?;
    let early = match early {
        None => Early::for_change(&walk, args, &invocation, most)?,
        early => early,
    };
    let mut session = Session::compare(walk, &invocation)?;
    places::narrow_to_places(&mut session, &mut invocation, &selection)?;
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
    let sample = Sample::new(args.verify_fresh.unwrap_or(0.0), scratch::salt());
    let plan = make_plan(&session, &selection, forced, sample)?;
    if !plan.ask_pytest {
        selection.named().check(&session, &plan)?;
    }
    if args.dry_run {
        session.save_sources()?;
        let forecast = Forecast::of(&session, &plan, &selection);
        forecast.print(&mut text_output(args))?;
        if let Some(target) = &args.json {
            forecast.write_json(target)?;
        }
        return Ok(0);
    }
    let is_known = !args.all && !plan.ask_pytest;
    let workers = match wanted {
        Workers::Auto(_) if is_known => wanted.count(told.as_ref(), expected(&session, &plan)),
        _ => most,
    };
    if let (Workers::Auto(cores), Some(told)) = (wanted, &told)
        && workers > cores
    {
        let waiting = 100.0 * told.idle_part();
        session.notes.push(format!(
            "more workers than cores: the tests waited for {waiting:.0} % of their time"
        ));
    }
    let mut reporters = reporters(args);
    if args.explain {
        explain(&plan, &session, &mut text_output(args))?;
    }
    if !plan.ask_pytest && plan.paths.is_empty() {
        let code = all_fresh(&mut session, &plan, &selection, &mut reporters, began)?;
        daemon::keep_warm(&session.project, &session.interpreter.executable, None);
        // It holds a record of each test, too.
        std::mem::forget(plan);
        session.end_with_process();
        return Ok(code);
    }
    let execution = Execution {
        args,
        selection: &selection,
        invocation: &invocation,
        coverage,
        workers,
        began,
    };
    let code = execute(&mut session, plan, &execution, &mut reporters, early)?;
    session.end_with_process();
    Ok(code)
}

/// How long the tests that run are expected to take, one after the other.
fn expected(session: &Session, plan: &Plan) -> Duration {
    let dirty: HashSet<&TestId> = plan.dirty.iter().map(|(test, _)| test).collect();
    let tests = session.state.files.iter().flat_map(|file| &file.tests);
    let dirty = tests.filter(|test| dirty.contains(&test.id));
    dirty.filter_map(|test| test.elapsed).sum()
}

fn all_fresh(
    session: &mut Session,
    plan: &Plan,
    selection: &Selection,
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
    summary.exit_code = if summary.fresh_total() == 0 && !selection.may_be_empty() {
        exit::NO_TESTS
    } else {
        0
    };
    for note in &session.notes {
        emit(reporters, &Event::Note(note.clone()))?;
    }
    session.keep_what_was_looked_at()?;
    summary.wall = began.elapsed();
    emit(reporters, &Event::Finished(summary.clone()))?;
    Ok(summary.exit_code)
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
        .args(args.as_pytest_arguments())
        .envs(snapshot_mode(args))
        .status()
        .with_context(|| format!("can't start {}", interpreter.executable.display()))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(exit::INTERNAL))
}
