//! `dx-py test`: from the verdicts to the last line.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use dx_py_core::{Event, RelPath, RunSummary, TestId, TestStatus, Verdict};
use dx_py_daemon::LaunchSpec;
use dx_py_executor::{Outcome, Processes, RunPlan};

use crate::args::{ColorChoice, TestArgs};
use crate::conductor::{Conductor, Intent};
use crate::invocation::Invocation;
use crate::record::{Recorder, Recording};
use crate::report::Reporter;
use crate::report::github::GithubReporter;
use crate::report::json::JsonReporter;
use crate::report::junit::JunitReporter;
use crate::report::terminal::{TerminalOptions, TerminalReporter};
use crate::selection::{Candidate, Selection};
use crate::session::Session;
use crate::settings::Project;
use crate::{changes, scratch, worker_files};

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

/// What is to be run, as far as the records tell.
struct Plan {
    /// Fresh tests: their IDs, outcomes and durations, by file.
    fresh: BTreeMap<String, Vec<(TestId, TestStatus, Duration)>>,
    /// Dirty tests with reasons, in pytest's order.
    dirty: Vec<(TestId, String)>,
    /// Files that hold dirty tests, or that must be collected, as paths for pytest.
    paths: Vec<String>,
    /// How many files are known.
    known_files: usize,
    /// Tests that were left out by the selection.
    deselected: usize,
    /// Whether pytest must be asked which files there are.
    ask_pytest: bool,
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
    let plan = make_plan(&session, &selection, args);
    if args.dry_run {
        return dry_run(&session, &plan, &selection);
    }
    let mut reporters = reporters(args);
    if args.explain {
        explain(&plan, &session);
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
        workers,
        &mut reporters,
        began,
    )
}

fn forced(args: &TestArgs) -> Option<&'static str> {
    args.all.then_some("--all was given")
}

/// Compares every known test with the world.
fn make_plan(session: &Session, selection: &Selection, args: &TestArgs) -> Plan {
    let mut plan = Plan {
        fresh: BTreeMap::new(),
        dirty: Vec::new(),
        paths: Vec::new(),
        known_files: 0,
        deselected: 0,
        ask_pytest: session.file_list.is_none(),
    };
    let listed: Option<HashMap<&str, usize>> = session.file_list.as_ref().map(|list| {
        list.files
            .iter()
            .enumerate()
            .map(|(at, file)| (file.as_str(), at))
            .collect()
    });
    let mut files: Vec<_> = session
        .state
        .files
        .iter()
        .filter(|file| {
            listed
                .as_ref()
                .is_none_or(|listed| listed.contains_key(file.file.as_str()))
        })
        .collect();
    if let Some(listed) = &listed {
        files.sort_by_key(|file| listed.get(file.file.as_str()));
    }
    for file in files {
        plan.known_files += 1;
        let closure = RelPath::from_text(&file.path)
            .map(|path| session.sources.graph.closure(&path))
            .unwrap_or_default();
        let mut dirty = false;
        for test in &file.tests {
            let candidate = Candidate {
                id: &test.test.id,
                keywords: &test.test.keywords,
                markers: &test.test.markers,
                last: test.last,
            };
            if !selection.includes(&candidate) {
                plan.deselected += 1;
                continue;
            }
            match session.verdict_with(&closure, test, forced(args)) {
                Verdict::Fresh { status, duration } => {
                    plan.fresh.entry(file.file.clone()).or_default().push((
                        test.test.id.clone(),
                        status,
                        duration,
                    ));
                }
                Verdict::Dirty { reason } => {
                    dirty = true;
                    plan.dirty.push((test.test.id.clone(), reason));
                }
            }
        }
        if dirty {
            plan.paths.push(file.path.clone());
        }
    }
    if let Some(list) = &session.file_list {
        let broken = list
            .broken
            .iter()
            .filter(|path| selection.may_include_file(path));
        plan.paths.extend(broken.cloned());
    }
    // A place that the user names, and that pytest hasn't collected by itself, is collected all the same.
    let root = &session.project.root;
    let places = selection.places(root);
    let unknown = |place: &&PathBuf| {
        let inner = RelPath::new(root, place);
        place.is_file()
            && inner.is_some_and(|inner| {
                !session
                    .state
                    .files
                    .iter()
                    .any(|file| file.path == inner.as_str())
            })
    };
    let outside: Vec<String> = places
        .iter()
        .filter(unknown)
        .map(|place| place.display().to_string())
        .collect();
    if plan.ask_pytest && !places.is_empty() && outside.len() == places.len() {
        plan.ask_pytest = false;
    }
    plan.paths.extend(outside);
    plan
}

fn dry_run(session: &Session, plan: &Plan, selection: &Selection) -> anyhow::Result<u8> {
    let mut total = plan.dirty.len();
    for (test, reason) in &plan.dirty {
        println!("{test}: {reason}");
    }
    if plan.ask_pytest {
        let known: HashSet<&str> = session
            .state
            .files
            .iter()
            .map(|file| file.path.as_str())
            .collect();
        for file in session
            .sources
            .scan
            .files
            .iter()
            .filter(|file| !known.contains(file.path.as_str()))
        {
            for test in file.tests.iter().filter(|test| {
                selection.is_everything()
                    || selection.includes(&Candidate {
                        id: &test.id,
                        keywords: &[],
                        markers: &test.markers,
                        last: None,
                    })
            }) {
                total += 1;
                println!("{}: it never ran (predicted from the source)", test.id);
            }
        }
        println!(
            "pytest would be asked which tests there are: {}",
            session.file_list_reason
        );
    }
    let fresh: usize = plan.fresh.values().map(Vec::len).sum();
    println!("{total} would run, {fresh} are fresh; nothing was run");
    Ok(0)
}

fn explain(plan: &Plan, session: &Session) {
    let mut groups: BTreeMap<(&str, &str), Vec<&TestId>> = BTreeMap::new();
    for (test, reason) in &plan.dirty {
        groups.entry((test.file(), reason)).or_default().push(test);
    }
    for ((file, reason), tests) in groups {
        if let [test] = tests[..] {
            println!("{test}: {reason}");
        } else {
            println!("{file} ({} tests): {reason}", tests.len());
        }
    }
    if plan.ask_pytest {
        println!("all files are collected: {}", session.file_list_reason);
    }
}

fn reporters(args: &TestArgs) -> Vec<Box<dyn Reporter>> {
    let dash = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
    // A report on standard output takes the place of the text, which goes to standard error then.
    let aside = dash(&args.json) || dash(&args.junit_xml);
    let terminal = if aside {
        io::stderr().is_terminal()
    } else {
        io::stdout().is_terminal()
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let color = match args.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && !no_color && !dumb,
    };
    let size =
        rustix::termios::tcgetwinsize(io::stdout()).map_or(80, |size| usize::from(size.ws_col));
    let level = |count: u8| i8::try_from(count).unwrap_or(i8::MAX);
    let options = TerminalOptions {
        verbosity: level(args.verbose).saturating_sub(level(args.quiet)),
        color,
        progress: terminal && !dumb && !args.no_capture,
        width: if size == 0 { 80 } else { size.min(120) },
        durations: args.durations,
        tracebacks: args.tb != Some(crate::args::TracebackStyle::No),
    };
    let mut all: Vec<Box<dyn Reporter>> = Vec::new();
    if aside {
        all.push(Box::new(TerminalReporter::new(io::stderr(), options)));
    } else {
        all.push(Box::new(TerminalReporter::new(io::stdout(), options)));
    }
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        all.push(Box::new(GithubReporter(io::stdout())));
    }
    all.extend(
        args.json
            .clone()
            .map(|path| Box::new(JsonReporter::new(path)) as Box<dyn Reporter>),
    );
    all.extend(
        args.junit_xml
            .clone()
            .map(|path| Box::new(JunitReporter::new(path)) as Box<dyn Reporter>),
    );
    all
}

/// Sends an event to every reporter.
pub fn emit(reporters: &mut [Box<dyn Reporter>], event: &Event) -> io::Result<()> {
    reporters
        .iter_mut()
        .try_for_each(|reporter| reporter.event(event))
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
    let (spec, base_temp) = launch_spec(session, args, invocation, workers)?;
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
    };
    let mut conductor = Conductor::new(
        recorder,
        reporters,
        Intent {
            selection,
            verdicts,
            expected,
            last,
            force: args.all,
            workers,
            narrow: narrow.then(|| plan.paths.iter().cloned().collect::<BTreeSet<String>>()),
            known_fresh: plan.fresh,
            file_list_key,
            environment_note,
        },
    );
    conductor.summary.deselected = plan.deselected;
    conductor.begin(plan.dirty.len(), session.environment.as_ref())?;
    for note in notes {
        conductor.note(note)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the event loop")?;
    let local = tokio::task::LocalSet::new();
    let outcome = local.block_on(
        &runtime,
        dx_py_executor::run(run_plan, &Processes(spec), &mut conductor),
    )?;
    drop(base_temp);
    let summary = conductor.end(&outcome, began)?;
    session
        .catalog
        .store_file_stats(&session.world.new_stats())?;
    session.catalog.finish_run(run, &summary)?;
    report_end(reporters, &summary, &outcome)
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
