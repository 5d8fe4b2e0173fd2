//! The sub-commands that look into the catalog.

use std::io::Write;
use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat};
use dx_py_catalog::{Catalog, Evidence, FlakyRow, HistoryRow, KnownFile, KnownTest, Pass, RunRow};
use dx_py_core::{TestStatus, Verdict};
use dx_py_select::SetState;
use serde_json::{Value, json};

use crate::args::{FlakyArgs, HistoryArgs, WhyArgs};
use crate::invocation::Invocation;
use crate::library;
use crate::report::style::duration;
use crate::run::exit;
use crate::session::Session;
use crate::settings::Project;

/// `dx-py why`.
///
/// # Errors
/// If the database can't be used.
pub fn why(args: &WhyArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let (project, wanted) = Project::of_test(&args.test)?;
    let invocation = Invocation::new(&args.pytest_args, false, &project.cwd);
    let mut session = Session::open(project, args.common.python.as_deref(), &invocation)?;
    session.save_sources()?;
    let meant = session.state.files.iter().flat_map(|file| &file.tests);
    let meant = meant.filter(|test| test.id.as_str().contains(&wanted));
    let sets: Vec<_> = meant
        .flat_map(|test| &test.passes)
        .map(|pass| pass.set)
        .collect();
    session.load_parts(sets)?;
    let tests: Vec<_> = session
        .state
        .files
        .iter()
        .flat_map(|file| file.tests.iter().map(move |test| (file, test)))
        .collect();
    let exact: Vec<_> = tests
        .iter()
        .filter(|(_, test)| test.id.as_str() == wanted)
        .collect();
    let found = if exact.is_empty() {
        tests
            .iter()
            .filter(|(_, test)| test.id.as_str().contains(&wanted))
            .collect()
    } else {
        exact
    };
    if found.is_empty() {
        eprintln!(
            "no test whose ID contains `{wanted}` is on record\nRecords belong to an interpreter, to a working directory and to the arguments for pytest: run `dx-py test` first, or ask in the folder where it was started, with the same --python and, after `--`, the same arguments."
        );
        return Ok(exit::NO_TESTS);
    }
    if args.json {
        let told = found
            .iter()
            .map(|(file, test)| as_json(&session, file, test));
        return print_json(told, out);
    }
    for (file, test) in found.iter().take(50) {
        match session.reach(&file.path).verdict(test, None) {
            Verdict::Fresh {
                status,
                duration: time,
            } => writeln!(out, "{} is fresh: {status}, {}", test.id, duration(time))?,
            Verdict::Dirty { reason } => writeln!(out, "{} is dirty: {reason}", test.id)?,
        }
        let Some(pass) = telling_pass(&session, test) else {
            continue;
        };
        for change in changes(&session, pass) {
            writeln!(out, "  {change}")?;
        }
        if found.len() == 1 {
            writeln!(out, "  it depends on:")?;
            for input in inputs(&session, pass) {
                writeln!(out, "    {input}")?;
            }
        }
    }
    if found.len() > 50 {
        writeln!(out, "… and {} more", found.len() - 50)?;
    }
    Ok(0)
}

/// The pass that tells most: what a fresh test depends on is what the pass that still holds saw; else the newest tells what has changed.
fn telling_pass<'a>(session: &Session, test: &'a KnownTest) -> Option<&'a Pass> {
    let holds = |set| matches!(session.sets.state(set), Some(SetState::Holds));
    let mut passes = test.passes.iter();
    passes.find(|pass| holds(pass.set)).or(test.passes.first())
}

/// What isn't any more as it was at a pass.
fn changes(session: &Session, pass: &Pass) -> Vec<String> {
    match session.sets.state(pass.set) {
        Some(SetState::Broken(changes)) => changes.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// What was there at a pass and counted, in order.
fn inputs(session: &Session, pass: &Pass) -> Vec<String> {
    let mut inputs: Vec<_> = session
        .sets
        .facts_of(pass.set)
        .chain(session.sets.parts_of(pass.set))
        .filter(|fact| !fact.digest.is_absent())
        .map(|fact| &fact.input)
        .collect();
    inputs.sort();
    inputs.iter().map(ToString::to_string).collect()
}

fn as_json(session: &Session, file: &KnownFile, test: &KnownTest) -> Value {
    let mut told = match session.reach(&file.path).verdict(test, None) {
        Verdict::Fresh { status, duration } => json!({
            "verdict": "fresh",
            "outcome": status.as_str(),
            "duration": duration.as_secs_f64(),
        }),
        Verdict::Dirty { reason } => json!({"verdict": "dirty", "reason": reason}),
    };
    told["test"] = json!(test.id.as_str());
    if let Some(pass) = telling_pass(session, test) {
        told["changes"] = json!(changes(session, pass));
        told["depends_on"] = json!(inputs(session, pass));
    }
    told
}

fn print_json(rows: impl Iterator<Item = Value>, out: &mut dyn Write) -> anyhow::Result<u8> {
    serde_json::to_writer_pretty(&mut *out, &rows.collect::<Vec<_>>())?;
    writeln!(out)?;
    Ok(0)
}

fn existing_catalog(project: &Project) -> anyhow::Result<Option<Catalog>> {
    let Some((catalog, aside)) = library::records(&project.root)? else {
        eprintln!("nothing is on record yet: run `dx-py test` first");
        return Ok(None);
    };
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

/// Milliseconds since 1970 as `2026-01-31T12:00:00.000Z`.
fn iso(milliseconds: i64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(milliseconds)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Eight heights, from the shortest time to the longest.
fn sparkline(times: &[Duration]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let seconds = times.iter().map(Duration::as_secs_f64);
    let (least, most) = seconds
        .clone()
        .fold((f64::MAX, 0.0_f64), |(least, most), time| {
            (least.min(time), most.max(time))
        });
    let height = |time: f64| {
        // A tenth more or less is noise.
        let span = (most - least).max(most / 10.0).max(f64::MIN_POSITIVE);
        BARS[(((time - least) / span * 7.0).round() as usize).min(7)]
    };
    seconds.map(height).collect()
}

/// `dx-py history`.
///
/// # Errors
/// If the database can't be read.
pub fn history(args: &HistoryArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let (project, wanted) = match &args.test {
        Some(test) => Project::of_test(test).map(|(project, part)| (project, Some(part)))?,
        None => (Project::find()?, None),
    };
    let Some(catalog) = existing_catalog(&project)? else {
        return Ok(exit::NO_TESTS);
    };
    let Some(wanted) = &wanted else {
        if args.json {
            let told = |run: &RunRow| {
                json!({
                    "run": run.id.to_string(),
                    "started": iso(run.started),
                    "wall": run.wall.map(|wall| wall.as_secs_f64()),
                    "exit_code": run.exit_code,
                    "ran": run.ran,
                    "fresh": run.fresh,
                    "command": run.command,
                    "commit": run.commit,
                })
            };
            return print_json(catalog.runs(args.limit)?.iter().map(told), out);
        }
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
    let rows = catalog.history(library::is_meant(wanted), args.limit)?;
    if args.json {
        let told = |row: &HistoryRow| {
            json!({
                "test": row.test,
                "run": row.run.to_string(),
                "started": iso(row.started),
                "outcome": row.status.as_str(),
                "duration": row.duration.as_secs_f64(),
                "message": row.message,
                "commit": row.commit,
            })
        };
        return print_json(rows.iter().map(told), out);
    }
    if let [newest, .., oldest] = &rows[..]
        && rows.iter().all(|row| row.test == newest.test)
    {
        let times: Vec<Duration> = rows.iter().rev().map(|row| row.duration).collect();
        writeln!(
            out,
            "{}  {} to {}, oldest first",
            sparkline(&times),
            duration(oldest.duration),
            duration(newest.duration)
        )?;
    }
    let has_commits = rows.iter().any(|row| row.commit.is_some());
    for row in &rows {
        let commit = match &row.commit {
            _ if !has_commits => String::new(),
            commit => format!("{:<8}  ", commit.as_deref().map_or("", short)),
        };
        let message = row.message.lines().next().unwrap_or("");
        let shown = match row.status {
            TestStatus::Passed => String::new(),
            _ => format!("  {message}"),
        };
        writeln!(
            out,
            "{}  {commit}{:<7} {:>9}  {}{shown}",
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
pub fn flaky(args: &FlakyArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let Some(catalog) = existing_catalog(&Project::find()?)? else {
        return Ok(exit::NO_TESTS);
    };
    let rows = catalog.flaky()?;
    if args.json {
        let told = |row: &FlakyRow| {
            let evidence = row.evidence.as_ref();
            json!({
                "test": row.test,
                "probability": evidence.map(Evidence::probability),
                "tries": evidence.map_or(0, |evidence| evidence.tries),
                "failures": evidence.map_or(0, |evidence| evidence.bad),
                "runs": evidence.map_or(Vec::new(), |evidence| told_runs(evidence, usize::MAX)),
                "flips": row.flips,
                "good": row.passes,
                "bad": row.failures,
                "second_opinions": row.second_opinions,
            })
        };
        return print_json(rows.iter().map(told), out);
    }
    let (flaky, changing): (Vec<&FlakyRow>, Vec<&FlakyRow>) =
        rows.iter().partition(|row| row.evidence.is_some());
    for (row, evidence) in flaky
        .iter()
        .filter_map(|row| Some((row, row.evidence.as_ref()?)))
    {
        let mut runs = told_runs(evidence, RUNS_SHOWN).join(", ");
        if evidence.runs.len() > RUNS_SHOWN {
            runs += " …";
        }
        let opinions = match row.second_opinions {
            0 => String::new(),
            1 => "; a second opinion turned one".to_owned(),
            many => format!("; second opinions turned {many}"),
        };
        writeln!(
            out,
            "{:>3.0} %  {}\n       {} of {} tries with the same inputs failed, in {} {runs}{opinions}",
            100.0 * evidence.probability(),
            row.test,
            evidence.bad,
            evidence.tries,
            if evidence.runs.len() == 1 {
                "run"
            } else {
                "runs"
            },
        )?;
    }
    if !changing.is_empty() {
        if !flaky.is_empty() {
            writeln!(out)?;
        }
        writeln!(
            out,
            "Went back and forth, but what they depend on changed too, or isn't known:"
        )?;
    }
    for row in changing {
        writeln!(
            out,
            "{:>3} {}, {} good, {} bad  {}",
            row.flips,
            if row.flips == 1 { "flip" } else { "flips" },
            row.passes,
            row.failures,
            row.test
        )?;
    }
    if rows.is_empty() {
        eprintln!("no test on record went back and forth");
    }
    Ok(0)
}

/// How many runs are named for a flaky test.
const RUNS_SHOWN: usize = 8;

fn told_runs(evidence: &Evidence, most: usize) -> Vec<String> {
    let runs = evidence.runs.iter().take(most);
    runs.map(ToString::to_string).collect()
}

/// The part of a commit's ID that a person needs.
fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_shows_what_differs_and_no_noise() {
        let line = |times: &[u64]| {
            let times: Vec<Duration> = times.iter().copied().map(Duration::from_millis).collect();
            sparkline(&times)
        };
        assert_eq!(line(&[0, 10, 20, 70]), "▁▂▃█");
        assert_eq!(line(&[100, 101, 100]), "▁▂▁");
        assert_eq!(line(&[5, 5]), "▁▁");
        assert_eq!(line(&[0, 0]), "▁▁");
        assert_eq!(line(&[]), "");
    }
}
