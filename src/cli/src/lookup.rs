//! The sub-commands that look into the catalog.

use std::io::Write;

use chrono::{DateTime, Local};
use dx_py_catalog::Catalog;
use dx_py_core::{TestStatus, Verdict};
use dx_py_select::SetState;
use globset::Glob;

use crate::args::{HistoryArgs, WhyArgs};
use crate::invocation::Invocation;
use crate::report::style::duration;
use crate::run::exit;
use crate::session::Session;
use crate::settings::Project;

/// `dx-py why`.
///
/// # Errors
/// If the database can't be used.
pub fn why(args: &WhyArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let project = Project::find()?;
    let invocation = Invocation::new(&args.pytest_args, false, &project.cwd);
    let session = Session::open(project, args.common.python.as_deref(), &invocation)?;
    let tests: Vec<_> = session
        .state
        .files
        .iter()
        .flat_map(|file| file.tests.iter().map(move |test| (file, test)))
        .collect();
    let exact: Vec<_> = tests
        .iter()
        .filter(|(_, test)| test.test.id.as_str() == args.test)
        .collect();
    let found = if exact.is_empty() {
        tests
            .iter()
            .filter(|(_, test)| test.test.id.as_str().contains(&args.test))
            .collect()
    } else {
        exact
    };
    if found.is_empty() {
        eprintln!(
            "no test whose ID contains `{}` is on record\nRecords belong to an interpreter and to the arguments for pytest: run `dx-py test` first, or give the same --python and, after `--`, the same arguments as in the run.",
            args.test
        );
        return Ok(exit::NO_TESTS);
    }
    for (file, test) in found.iter().take(50) {
        match session.reach(&file.path).verdict(test, None) {
            Verdict::Fresh {
                status,
                duration: time,
            } => writeln!(
                out,
                "{} is fresh: {status}, {}",
                test.test.id,
                duration(time)
            )?,
            Verdict::Dirty { reason } => writeln!(out, "{} is dirty: {reason}", test.test.id)?,
        }
        let state = |set| session.set_state(set);
        let holds = |set| matches!(state(set), Some(SetState::Holds));
        // What a fresh test depends on is what the pass that still holds saw; else the newest pass tells what has changed.
        let Some(pass) = test
            .passes
            .iter()
            .find(|pass| holds(pass.set))
            .or(test.passes.first())
        else {
            continue;
        };
        if let Some(SetState::Broken(changes)) = state(pass.set) {
            for change in changes {
                writeln!(out, "  {change}")?;
            }
        }
        if found.len() == 1 {
            writeln!(out, "  it depends on:")?;
            let mut inputs: Vec<_> = session
                .facts_of(pass.set)
                .filter(|fact| !fact.digest.is_absent())
                .map(|fact| &fact.input)
                .collect();
            inputs.sort();
            for input in inputs {
                writeln!(out, "    {input}")?;
            }
        }
    }
    if found.len() > 50 {
        writeln!(out, "… and {} more", found.len() - 50)?;
    }
    Ok(0)
}

fn existing_catalog() -> anyhow::Result<Option<Catalog>> {
    let path = Project::find()?.dx_dir().join("catalog.db");
    if !path.exists() {
        eprintln!("nothing is on record yet: run `dx-py test` first");
        return Ok(None);
    }
    let (catalog, aside) = Catalog::open(&path)?;
    if let Some(aside) = aside {
        eprintln!(
            "the catalog was damaged; it is kept as {}, and a new one was begun",
            aside.kept_as.display()
        );
    }
    Ok(Some(catalog))
}

/// Milliseconds since 1970 as `2026-01-31 12:00:00` in local time.
fn timestamp(milliseconds: i64) -> String {
    DateTime::from_timestamp_millis(milliseconds).map_or_else(String::new, |time| {
        let local = time.with_timezone(&Local);
        local.format("%Y-%m-%d %H:%M:%S").to_string()
    })
}

/// `dx-py history`.
///
/// # Errors
/// If the database can't be read.
pub fn history(args: &HistoryArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let Some(catalog) = existing_catalog()? else {
        return Ok(exit::NO_TESTS);
    };
    let Some(wanted) = &args.test else {
        for run in catalog.runs(args.limit)? {
            let wall = run.wall.map_or("unfinished".to_owned(), duration);
            let code = run
                .exit_code
                .map_or(String::new(), |code| format!("exit {code}"));
            writeln!(
                out,
                "{:>5}  {}  {wall:>10}  {code:<7} {:>6} ran {:>6} fresh  {}",
                run.id.to_string(),
                timestamp(run.started),
                run.ran,
                run.fresh,
                run.command
            )?;
        }
        return Ok(0);
    };
    let glob = Glob::new(wanted).ok().map(|glob| glob.compile_matcher());
    let rows = catalog.history(
        |test| test.contains(wanted) || glob.as_ref().is_some_and(|glob| glob.is_match(test)),
        args.limit,
    )?;
    for row in &rows {
        let message = row.message.lines().next().unwrap_or("");
        let shown = if row.status == TestStatus::Passed {
            ""
        } else {
            message
        };
        writeln!(
            out,
            "{}  {:<7} {:>9}  {}  {shown}",
            timestamp(row.started),
            row.status,
            duration(row.duration),
            row.test
        )?;
    }
    if rows.is_empty() {
        eprintln!("no outcome of a test whose ID contains `{wanted}` is on record");
        return Ok(exit::NO_TESTS);
    }
    Ok(0)
}

/// `dx-py flaky`.
///
/// # Errors
/// If the database can't be read.
pub fn flaky(out: &mut dyn Write) -> anyhow::Result<u8> {
    let Some(catalog) = existing_catalog()? else {
        return Ok(exit::NO_TESTS);
    };
    let rows = catalog.flaky()?;
    for row in &rows {
        writeln!(
            out,
            "{:>3} flips  {:>4} good  {:>4} bad  {:>3} second opinions  {}",
            row.flips, row.passes, row.failures, row.second_opinions, row.test
        )?;
    }
    if rows.is_empty() {
        eprintln!("no test on record went back and forth");
    }
    Ok(0)
}
