//! The sub-commands on sources, configuration and the database as a whole.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::CommandFactory;
use dx_py_core::RelPath;
use dx_py_graph::{EdgeKind, environment};
use serde_json::json;

use crate::args::{Cli, CommonArgs, CompletionsArgs, ConfigAction, DiscoverArgs, GraphArgs};
use crate::library;
use crate::python;
use crate::run::exit;
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
/// If the configuration can't be read, or a path isn't in the project.
pub fn discover(args: &DiscoverArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let cwd = std::env::current_dir().context("the working directory can't be determined")?;
    let found = library::discover(&cwd, &args.paths)?;
    for (file, problem) in &found.problems {
        eprintln!("{file}: {problem}");
    }
    if args.json {
        let rows: Vec<_> = found
            .tests
            .iter()
            .map(|(test, collected)| {
                json!({
                    "id": test.id.as_str(), "line": test.line, "collected": collected,
                    "markers": test.markers.iter().map(|marker| &marker.name).collect::<Vec<_>>(),
                })
            })
            .collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
    } else {
        for (test, collected) in &found.tests {
            let note = if *collected {
                ""
            } else {
                "  (not collected by pytest's configuration)"
            };
            writeln!(out, "{}{note}", test.id)?;
        }
        eprintln!("{} tests in {} files", found.tests.len(), found.files);
    }
    Ok(if found.tests.is_empty() {
        exit::NO_TESTS
    } else {
        0
    })
}

/// `dx-py graph`.
///
/// # Errors
/// If the configuration can't be read, or the file isn't one of the project's.
pub fn graph(args: &GraphArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
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
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(0);
    }
    for file in &files {
        writeln!(out, "{file}")?;
        for (path, edge) in graph.dependencies(file) {
            writeln!(out, "  → {path} ({})", kind(&edge))?;
        }
        if args.file.is_some() {
            for (path, edge) in graph.importers(file) {
                writeln!(out, "  ← {path} ({})", kind(&edge))?;
            }
            let dependents = graph.dependents([file]);
            writeln!(
                out,
                "a change reaches {} files and {} tests found in sources",
                dependents.len() - 1,
                graph.affected_tests([file]).len()
            )?;
        }
    }
    Ok(0)
}

/// `dx-py completions`.
///
/// # Errors
/// If it can't be printed.
pub fn completions(args: &CompletionsArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    // It panics where it can't write: whoever reads may stop at any line.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dx-py", &mut script);
    out.write_all(&script)?;
    Ok(0)
}

/// `dx-py clean`.
///
/// # Errors
/// If the folder can't be removed.
pub fn clean(out: &mut dyn Write) -> anyhow::Result<u8> {
    let dx = Project::find()?.dx_dir();
    if !dx.exists() {
        writeln!(out, "nothing to clean: there is no {}", dx.display())?;
        return Ok(0);
    }
    std::fs::remove_dir_all(&dx).with_context(|| format!("can't remove {}", dx.display()))?;
    writeln!(out, "removed {}", dx.display())?;
    Ok(0)
}

/// `dx-py config show`.
///
/// # Errors
/// If the configuration can't be read.
pub fn config(action: &ConfigAction, out: &mut dyn Write) -> anyhow::Result<u8> {
    let ConfigAction::Show(CommonArgs { python }) = action;
    let project = Project::find()?;
    let shown = |path: &Option<PathBuf>| {
        path.as_ref()
            .map_or("none".to_owned(), |path| path.display().to_string())
    };
    writeln!(out, "root            {}", project.root.display())?;
    writeln!(out, "pytest's file   {}", shown(&project.ini.file))?;
    writeln!(out, "dx-py's file    {}", shown(&project.config_path))?;
    match python::find(
        python.as_deref(),
        project.config.python.as_deref(),
        &project.root,
        &project.cwd,
    ) {
        Ok(found) => writeln!(
            out,
            "python          {} (from {})",
            found.executable.display(),
            found.source
        )?,
        Err(error) => writeln!(
            out,
            "python          {}",
            error.to_string().lines().next().unwrap_or_default()
        )?,
    }
    writeln!(out, "workers         {}", project.workers(None)?)?;
    writeln!(
        out,
        "timeout         {}",
        project
            .config
            .timeout
            .map_or("none".to_owned(), |seconds| format!("{seconds} s"))
    )?;
    writeln!(
        out,
        "passes expire   {}",
        project.expiry().map_or("never".to_owned(), |limit| format!(
            "after {} days",
            limit.as_secs() / 86_400
        ))
    )?;
    let level = project.level();
    writeln!(out, "selects by      {}", level.as_str())?;
    writeln!(out, "env             {}", project.config.env.join(" "))?;
    writeln!(out, "always          {}", project.config.always.join(" "))?;
    let is_kept = if project.zygotes().is_some() {
        "yes"
    } else {
        "no"
    };
    writeln!(out, "daemon          {is_kept}")?;
    writeln!(out, "preload         {}", project.config.preload.join(" "))?;
    let is_automatic = project.config.auto_preload.unwrap_or(true);
    writeln!(out, "auto-preload    {is_automatic}")?;
    writeln!(out, "testpaths       {}", project.ini.test_paths.join(" "))?;
    writeln!(out, "pythonpath      {}", project.ini.python_path.join(" "))?;
    writeln!(
        out,
        "python_files    {}",
        project
            .ini
            .python_files
            .iter()
            .chain(&project.config.python_files)
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    )?;
    writeln!(out, "norecursedirs   {}", project.ini.no_recurse.join(" "))?;
    Ok(0)
}
