//! `dx-py plugin`: what a session of plain pytest asks before it runs tests, and tells when it has.
//!
//! pytest itself collects and runs there; the plugin (`worker/…/plain_selection.py`) leaves out what the answer names. Nothing observes
//! such a session, so that no pass is stored of it. What it tells are outcomes: a test that failed is dirty from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::time::Duration;

use dx_py_catalog::{KnownTest, PassId, SetId};
use dx_py_core::{
    Fact, Input, Phase, PhaseReport, RelPath, RunSummary, TestId, TestResult, TestStatus, Verdict,
};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::args::{PluginAction, PluginArgs};
use crate::changes;
use crate::invocation::Invocation;
use crate::session::Session;
use crate::settings::{Project, working_directory};

/// What is told isn't what a session of the plugin tells.
#[derive(Debug, thiserror::Error)]
pub enum ToldError {
    /// It can't be read.
    #[error("can't read what pytest tells from standard input")]
    Read(#[source] std::io::Error),
    /// It isn't in the form that the plugin gives it.
    #[error(
        "what was told on standard input is no outcome of a session of pytest: {0}\nThe package dx_py_test_runner must be of the same version as dx-py: install both with `pip install dx-py`."
    )]
    Invalid(#[from] serde_json::Error),
}

/// What a session may leave out.
#[derive(Debug, Default, Serialize)]
struct Answer {
    /// The root directory that IDs are relative to.
    root: String,
    /// How many tests are on record for the interpreter and the arguments; with none, nothing is known.
    recorded: usize,
    /// Tests that are fresh.
    fresh: Vec<String>,
    /// Tests that are fresh if these modules are found in the working directory, where `python -m pytest` looks and `pytest` doesn't.
    fresh_from_here: BTreeMap<String, Vec<String>>,
    /// Of the others those that the changes since a revision can't reach.
    not_reached: Vec<String>,
    /// Files whose tests run all or not at all, by node ID.
    units: Vec<String>,
    /// Conftests of some folder that have a say in tests of others, as far as is known; absolute.
    wide: Vec<String>,
}

/// What a session tells.
#[derive(Debug, Deserialize)]
struct Told {
    /// How long it took, in seconds.
    wall: f64,
    /// pytest's exit code.
    exit_code: u8,
    /// How many tests it left out, since they were fresh.
    left_out: usize,
    /// What it was started with, for the history.
    command: String,
    tests: Vec<Outcome>,
}

/// What came of one test.
#[derive(Debug, Deserialize)]
struct Outcome {
    id: String,
    outcome: TestStatus,
    /// In seconds.
    duration: f64,
    /// A line.
    message: String,
    /// Whether it ran although the answer said that it is fresh.
    was_fresh: bool,
}

/// Runs `dx-py plugin`.
///
/// # Errors
/// If the database can't be used, or what is told isn't valid.
pub fn plugin(args: &PluginArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let (PluginAction::Ask(asked) | PluginAction::Tell(asked)) = &args.action;
    let mut invocation =
        Invocation::new(&asked.pytest_args, asked.no_capture, &working_directory()?);
    let project = Project::of_places(&invocation.paths)?;
    // pytest has collected what they name. What is known of folders is known of a run without any.
    invocation.paths.clear();
    let open = |project| Session::open(project, asked.common.python.as_deref(), &invocation);
    // Who only asks leaves nothing behind where dx-py was never used.
    let is_known = project.dx_dir().join("catalog.db").exists();
    match &args.action {
        PluginAction::Ask(_) if !is_known => print(&unknown(&project), out)?,
        PluginAction::Tell(_) if !is_known => {}
        PluginAction::Ask(args) => {
            let mut session = open(project)?;
            let answer = answer(&session, args.changed_since.as_deref())?;
            session.keep_what_was_looked_at()?;
            print(&answer, out)?;
        }
        PluginAction::Tell(_) => {
            let mut text = String::new();
            let mut input = std::io::stdin().lock();
            input.read_to_string(&mut text).map_err(ToldError::Read)?;
            let told: Told = serde_json::from_str(&text).map_err(ToldError::Invalid)?;
            record(&mut open(project)?, told)?;
        }
    }
    Ok(0)
}

fn print(answer: &Answer, out: &mut dyn Write) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, answer)?;
    writeln!(out)?;
    Ok(())
}

fn unknown(project: &Project) -> Answer {
    Answer {
        root: project.root.display().to_string(),
        ..Answer::default()
    }
}

fn answer(session: &Session, changed_since: Option<&str>) -> anyhow::Result<Answer> {
    let reached = changed_since
        .map(|revision| changes::since(revision, &session.project.root))
        .transpose()?
        .map(|changed| changes::reached(session, &changed));
    let mut here = Here::of(session);
    let mut answer = Answer {
        wide: session.wide.clone(),
        ..unknown(&session.project)
    };
    for file in &session.state.files {
        answer.recorded += file.tests.len();
        if session.serial.includes(&file.file) {
            answer.units.push(file.file.clone());
        }
        let reach = session.reach(&file.path);
        let path = RelPath::from_text(&file.path);
        let is_reached = |test: &KnownTest| {
            reached.as_ref().is_none_or(|(tests, files)| {
                tests.contains(&test.id) || path.as_ref().is_none_or(|path| files.contains(path))
            })
        };
        for test in &file.tests {
            if test.last.is_some_and(TestStatus::is_bad) {
                // With other inputs it has passed, perhaps with those of now. But it just failed: plain pytest shows whether it still does.
                continue;
            }
            let id = || test.id.as_str().to_owned();
            if let Verdict::Fresh { .. } = reach.verdict(test, None) {
                let modules = here.modules_of(test);
                if modules.is_empty() {
                    answer.fresh.push(id());
                } else {
                    answer.fresh_from_here.insert(id(), modules);
                }
            } else if !session.always_runs(test) && !is_reached(test) {
                answer.not_reached.push(id());
            }
        }
    }
    Ok(answer)
}

/// What can be imported from the working directory, and which tests have.
struct Here<'a> {
    session: &'a Session,
    names: FxHashSet<String>,
    /// The names among what the tests of a file share.
    shared: FxHashMap<SetId, Vec<String>>,
}

impl<'a> Here<'a> {
    fn of(session: &'a Session) -> Self {
        let key = session
            .world
            .key(&session.project.cwd.display().to_string());
        let entries = session.world.names(&key);
        let module = |entry: &String| {
            let name = entry.split(['.', '/']).next().unwrap_or(entry);
            let is_module = [".py", ".so", ".pyd", "/"]
                .iter()
                .any(|end| entry.ends_with(end));
            // pytest loads conftests by their paths.
            (is_module && name != "conftest").then(|| name.to_owned())
        };
        Self {
            session,
            names: entries
                .iter()
                .flat_map(|entries| entries.iter())
                .filter_map(module)
                .collect(),
            shared: FxHashMap::default(),
        }
    }

    /// The modules, or packages, by their names, that a test had when it passed.
    fn modules_of(&mut self, test: &KnownTest) -> Vec<String> {
        let mut found = BTreeSet::new();
        for pass in &test.passes {
            if let Some(base) = self.session.sets.base_of(pass.set) {
                let (session, names) = (self.session, &self.names);
                let shared = self.shared.entry(base);
                let shared =
                    shared.or_insert_with(|| named(session.sets.facts_of(base), names).collect());
                found.extend(shared.iter().cloned());
            }
            found.extend(named(self.session.sets.own_facts_of(pass.set), &self.names));
        }
        found.into_iter().collect()
    }
}

/// Those of the names that modules of these facts have, or packages that they are in.
fn named<'a>(
    facts: impl Iterator<Item = &'a Fact>,
    names: &FxHashSet<String>,
) -> impl Iterator<Item = String> {
    facts.filter_map(|fact| match &fact.input {
        Input::ModuleOrigin(name) => {
            let top = name.split('.').next().unwrap_or(name);
            names.get(top).cloned()
        }
        _ => None,
    })
}

/// Writes outcomes into the catalog. A test that failed has no pass any more that matches the digests of now; if it was fresh when the
/// session began, nobody knows which of its passes that was by, and all go.
fn record(session: &mut Session, told: Told) -> anyhow::Result<()> {
    let failed = |outcome: &&Outcome| outcome.outcome.is_bad();
    let failed: FxHashMap<&str, &Outcome> = told
        .tests
        .iter()
        .filter(failed)
        .map(|outcome| (outcome.id.as_str(), outcome))
        .collect();
    if !failed.is_empty() {
        session.settle_all()?;
        let known = session.state.tests();
        let mut passes: Vec<PassId> = Vec::new();
        for test in known {
            let Some(outcome) = failed.get(test.id.as_str()) else {
                continue;
            };
            if outcome.was_fresh {
                passes.extend(test.passes.iter().map(|pass| pass.id));
            } else {
                passes.extend(session.sets.matching(test).map(|pass| pass.id));
            }
        }
        session.catalog.delete_passes(&passes)?;
    }
    let mut summary = RunSummary {
        wall: seconds(told.wall),
        exit_code: told.exit_code,
        ..RunSummary::default()
    };
    summary.fresh[usize::from(TestStatus::Passed.code())] = told.left_out;
    let results: Vec<TestResult> = told.tests.into_iter().map(result).collect();
    for result in &results {
        summary.count_ran(result.status);
    }
    let run = session.catalog.begin_run(
        &told.command,
        changes::head(&session.project.root).as_deref(),
    )?;
    session.catalog.record_outcomes(
        run,
        session.universe,
        &results,
        &FxHashMap::default(),
        |_| false,
    )?;
    session.catalog.finish_run(run, &summary)?;
    Ok(())
}

fn result(outcome: Outcome) -> TestResult {
    let id = TestId::new(outcome.id.as_str());
    let mut result = TestResult::bare(id, outcome.outcome, seconds(outcome.duration));
    if !outcome.message.is_empty() {
        result.reports.push(PhaseReport {
            phase: Phase::Call,
            status: outcome.outcome,
            message: outcome.message,
            text: String::new(),
        });
    }
    result
}

/// A time; none where it is no time at all.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}
