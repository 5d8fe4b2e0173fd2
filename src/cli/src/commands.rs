//! The sub-commands that only read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use dx_py_catalog::Catalog;
use dx_py_core::{RelPath, TestStatus, Verdict};
use dx_py_graph::{EdgeKind, environment};
use globset::{Glob, GlobMatcher};
use serde_json::json;

use crate::args::{CommonArgs, ConfigAction, DiscoverArgs, GraphArgs, HistoryArgs, WhyArgs};
use crate::invocation::Invocation;
use crate::python;
use crate::report::style::duration;
use crate::run::exit;
use crate::session::Session;
use crate::settings::Project;
use crate::sources::Sources;

fn sources(project: &Project, python: Option<&std::path::Path>) -> Sources {
    let interpreter = python::find(
        python,
        project.config.python.as_deref(),
        &project.root,
        &project.cwd,
    );
    let sites = interpreter
        .map(|found| environment::site_packages(found.prefix()))
        .unwrap_or_default();
    Sources::load(project, &sites, None, 0)
}

/// `dx-py discover`.
///
/// # Errors
/// If the configuration can't be read.
pub fn discover(args: &DiscoverArgs) -> anyhow::Result<u8> {
    let project = Project::find()?;
    let sources = sources(&project, None);
    let wanted: Vec<RelPath> = args
        .paths
        .iter()
        .map(|path| {
            let full = project.cwd.join(path);
            let full = full
                .canonicalize()
                .with_context(|| format!("file or directory not found: {}", path.display()))?;
            RelPath::new(&project.root, &full).with_context(|| {
                format!(
                    "{} lies outside of {}",
                    path.display(),
                    project.root.display()
                )
            })
        })
        .collect::<Result<_, _>>()?;
    let globs: Vec<GlobMatcher> = project
        .ini
        .python_files
        .iter()
        .chain(&project.config.python_files)
        .filter_map(|pattern| Some(Glob::new(pattern).ok()?.compile_matcher()))
        .collect();
    let mut rows = Vec::new();
    for file in &sources.scan.files {
        if !wanted.is_empty() && !wanted.iter().any(|path| file.path.is_within(path)) {
            continue;
        }
        if let Some(problem) = &file.problem {
            eprintln!("{}: {problem}", file.path);
        }
        let collected_file = globs
            .iter()
            .any(|glob| glob.is_match(file.path.file_name()));
        for test in &file.tests {
            // pytest's own `python_functions` takes names that start with `test`; the others are found by their name's end or a mark.
            rows.push((test, collected_file && test.function.starts_with("test")));
        }
    }
    if args.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(test, collected)| {
                json!({
                    "id": test.id.as_str(), "line": test.line, "collected": collected,
                    "markers": test.markers.iter().map(|marker| &marker.name).collect::<Vec<_>>(),
                })
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        for (test, collected) in &rows {
            let note = if *collected {
                ""
            } else {
                "  (not collected by pytest's configuration)"
            };
            println!("{}{note}", test.id);
        }
        eprintln!("{} tests in {} files", rows.len(), sources.scan.files.len());
    }
    Ok(if rows.is_empty() { exit::NO_TESTS } else { 0 })
}

/// `dx-py graph`.
///
/// # Errors
/// If the configuration can't be read, or the file isn't one of the project's.
pub fn graph(args: &GraphArgs) -> anyhow::Result<u8> {
    let project = Project::find()?;
    let sources = sources(&project, args.common.python.as_deref());
    let graph = &sources.graph;
    let kind = |kind: &EdgeKind| match kind {
        EdgeKind::Import => "import",
        EdgeKind::Conftest => "conftest",
        EdgeKind::TypesOnly => "types only",
    };
    let files: Vec<RelPath> = match &args.file {
        Some(path) => match sources.find(&project, path) {
            Some(file) => vec![file],
            None => bail!("{} is no Python file of the project", path.display()),
        },
        None => graph.files().iter().map(|file| file.path.clone()).collect(),
    };
    if args.json {
        let all: BTreeMap<&str, _> = files.iter().map(|file| {
            let edges = |edges: BTreeMap<RelPath, EdgeKind>| edges.iter().map(|(path, edge)| json!({"file": path.as_str(), "kind": kind(edge)})).collect::<Vec<_>>();
            (file.as_str(), json!({"imports": edges(graph.dependencies(file)), "imported_by": edges(graph.importers(file))}))
        }).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(0);
    }
    for file in &files {
        println!("{file}");
        for (path, edge) in graph.dependencies(file) {
            println!("  → {path} ({})", kind(&edge));
        }
        if args.file.is_some() {
            for (path, edge) in graph.importers(file) {
                println!("  ← {path} ({})", kind(&edge));
            }
            let dependents = graph.dependents([file]);
            println!(
                "a change reaches {} files and {} tests found in sources",
                dependents.len() - 1,
                graph.affected_tests([file]).len()
            );
        }
    }
    Ok(0)
}

/// `dx-py why`.
///
/// # Errors
/// If the database can't be used.
pub fn why(args: &WhyArgs) -> anyhow::Result<u8> {
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
            "no test whose ID contains `{}` is on record\nRun `dx-py test` first; arguments for pytest go after `--`, as in the run.",
            args.test
        );
        return Ok(exit::NO_TESTS);
    }
    for (file, test) in found.iter().take(50) {
        match session.verdict(&file.path, test, None) {
            Verdict::Fresh {
                status,
                duration: time,
            } => println!("{} is fresh: {status}, {}", test.test.id, duration(time)),
            Verdict::Dirty { reason } => println!("{} is dirty: {reason}", test.test.id),
        }
        let Some(pass) = test.passes.first() else {
            continue;
        };
        if let Some(dx_py_select::SetState::Broken(changes)) = session.set_state(pass.set) {
            changes.iter().for_each(|change| println!("  {change}"));
        }
        if found.len() == 1 {
            println!("  it depends on:");
            let mut inputs: Vec<_> = session
                .facts_of(pass.set)
                .filter(|fact| !fact.digest.is_absent())
                .map(|fact| &fact.input)
                .collect();
            inputs.sort();
            inputs.iter().for_each(|input| println!("    {input}"));
        }
    }
    if found.len() > 50 {
        println!("… and {} more", found.len() - 50);
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

/// Milliseconds since 1970 as `2026-01-31 12:00:00` in UTC. From Howard Hinnant's `civil_from_days`.
fn timestamp(milliseconds: i64) -> String {
    let seconds = milliseconds.div_euclid(1000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// `dx-py history`.
///
/// # Errors
/// If the database can't be read.
pub fn history(args: &HistoryArgs) -> anyhow::Result<u8> {
    let Some(catalog) = existing_catalog()? else {
        return Ok(exit::NO_TESTS);
    };
    let Some(wanted) = &args.test else {
        for run in catalog.runs(args.limit)? {
            let wall = run.wall.map_or("unfinished".to_owned(), duration);
            let code = run
                .exit_code
                .map_or(String::new(), |code| format!("exit {code}"));
            println!(
                "{:>5}  {}  {wall:>10}  {code:<7} {:>6} ran {:>6} fresh  {}",
                run.id.to_string(),
                timestamp(run.started),
                run.ran,
                run.fresh,
                run.command
            );
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
        println!(
            "{}  {:<7} {:>9}  {}  {shown}",
            timestamp(row.started),
            row.status,
            duration(row.duration),
            row.test
        );
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
pub fn flaky() -> anyhow::Result<u8> {
    let Some(catalog) = existing_catalog()? else {
        return Ok(exit::NO_TESTS);
    };
    let rows = catalog.flaky()?;
    for row in &rows {
        println!(
            "{:>3} flips  {:>4} good  {:>4} bad  {}",
            row.flips, row.passes, row.failures, row.test
        );
    }
    if rows.is_empty() {
        eprintln!("no test on record went back and forth");
    }
    Ok(0)
}

/// `dx-py clean`.
///
/// # Errors
/// If the folder can't be removed.
pub fn clean() -> anyhow::Result<u8> {
    let dx = Project::find()?.dx_dir();
    if !dx.exists() {
        println!("nothing to clean: there is no {}", dx.display());
        return Ok(0);
    }
    std::fs::remove_dir_all(&dx).with_context(|| format!("can't remove {}", dx.display()))?;
    println!("removed {}", dx.display());
    Ok(0)
}

/// `dx-py config show`.
///
/// # Errors
/// If the configuration can't be read.
pub fn config(action: &ConfigAction) -> anyhow::Result<u8> {
    let ConfigAction::Show(CommonArgs { python }) = action;
    let project = Project::find()?;
    let shown = |path: &Option<PathBuf>| {
        path.as_ref()
            .map_or("none".to_owned(), |path| path.display().to_string())
    };
    println!("root            {}", project.root.display());
    println!("pytest's file   {}", shown(&project.ini.file));
    println!("dx-py's file    {}", shown(&project.config_path));
    match python::find(
        python.as_deref(),
        project.config.python.as_deref(),
        &project.root,
        &project.cwd,
    ) {
        Ok(found) => println!(
            "python          {} (from {})",
            found.executable.display(),
            found.source
        ),
        Err(error) => println!(
            "python          {}",
            error.to_string().lines().next().unwrap_or_default()
        ),
    }
    println!("workers         {}", project.workers(None)?);
    println!(
        "timeout         {}",
        project
            .config
            .timeout
            .map_or("none".to_owned(), |seconds| format!("{seconds} s"))
    );
    println!("env             {}", project.config.env.join(" "));
    println!("always          {}", project.config.always.join(" "));
    println!("testpaths       {}", project.ini.test_paths.join(" "));
    println!("pythonpath      {}", project.ini.python_path.join(" "));
    println!(
        "python_files    {}",
        project
            .ini
            .python_files
            .iter()
            .chain(&project.config.python_files)
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    );
    println!("norecursedirs   {}", project.ini.no_recurse.join(" "));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(timestamp(0), "1970-01-01 00:00:00");
        assert_eq!(timestamp(951_827_696_000), "2000-02-29 12:34:56");
    }
}
