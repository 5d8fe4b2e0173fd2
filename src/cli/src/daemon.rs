//! `dx-py daemon`: the interpreter that is kept warm between runs.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use dx_py_core::Engine;
use dx_py_daemon::{LaunchSpec, Preloads, Role, Status};

use crate::args::{CommonArgs, DaemonAction};
use crate::settings::Project;
use crate::{database, python, scratch, worker_files};

/// `dx-py daemon start|stop|status`.
///
/// # Errors
/// If there is no interpreter, or it can't be started.
pub fn daemon(action: &DaemonAction, out: &mut dyn Write) -> anyhow::Result<u8> {
    let project = Project::find()?;
    let zygotes = project.zygotes_of_project();
    match action {
        DaemonAction::Start(common) => start(&project, common, out)?,
        DaemonAction::Stop => match zygotes.stop() {
            0 => writeln!(out, "no interpreter is kept warm")?,
            1 => writeln!(out, "ended the warm interpreter")?,
            count => writeln!(out, "ended {count} warm interpreters")?,
        },
        DaemonAction::Status => {
            let all = zygotes.status();
            if all.is_empty() {
                writeln!(out, "no interpreter is kept warm")?;
            }
            for status in all {
                tell(&status, out)?;
            }
        }
    }
    Ok(0)
}

fn start(project: &Project, common: &CommonArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let interpreter = python::find(
        common.python.as_deref(),
        project.config.python.as_deref(),
        &project.root,
        &project.cwd,
    )?;
    let dx = project.dx_dir();
    database::prepare(&dx).with_context(|| format!("can't use {}", dx.display()))?;
    let spec = any_worker(project, interpreter.executable)?;
    let zygotes = project.zygotes_of_project();
    let state = zygotes
        .start_and_wait(&spec)
        .with_context(|| format!("can't start {}", spec.python.display()))?;
    match state {
        Some(status) => tell(&status, out),
        None => bail!(
            "{} ended before it was ready\nIs pytest installed there? Runs go on without a warm interpreter.",
            spec.python.display()
        ),
    }
}

/// Lets an interpreter get warm for the next run, if one is to be kept: a run without changes is often the one before an edit. `seen` is
/// what the tests of this run were seen to import, and whether it has collected all. That it can't be started changes nothing.
pub fn keep_warm(project: &Project, python: &Path, seen: Option<(Preloads, bool)>) {
    if let Some(zygotes) = project.zygotes()
        && let Ok(spec) = any_worker(project, python.to_path_buf())
    {
        if let Some((preloads, is_whole)) = seen {
            let _ = zygotes.teach(python, preloads, is_whole);
        }
        let _ = zygotes.start(&spec);
    }
}

/// What all workers of the project have in common, which is what a warm interpreter has to be for.
///
/// # Errors
/// If the worker's files can't be written.
pub fn any_worker(project: &Project, python: PathBuf) -> anyhow::Result<LaunchSpec> {
    let dx = project.dx_dir();
    Ok(LaunchSpec {
        python,
        worker_dir: worker_files::unpack(&dx)
            .with_context(|| format!("can't write the worker into {}", dx.display()))?,
        cwd: project.cwd.clone(),
        env: scratch::hash_seed_variable(scratch::hash_seed()),
        pytest_args: Vec::new(),
        basetemp: None,
        workers: 1,
        run_id: scratch::run_id(),
        role: Role::Mute,
        engine: Engine::default(),
        waits: false,
        inherit_output: false,
        zygotes: None,
    })
}

/// One line for the interpreter, and one for each module that the project asked for.
fn tell(status: &Status, out: &mut dyn Write) -> anyhow::Result<()> {
    let state: serde_json::Value = serde_json::from_str(&status.state).unwrap_or_default();
    if let Some(why) = state["unfit"].as_str() {
        writeln!(out, "no interpreter can be kept warm here: {why}")?;
        return Ok(());
    }
    let python = state["python"].as_str().unwrap_or("an interpreter");
    if !status.serves {
        writeln!(out, "{python} has ended")?;
        return Ok(());
    }
    let (pid, modules) = (&state["pid"], &state["modules"]);
    writeln!(
        out,
        "{python} is warm: process {pid}, {modules} modules imported"
    )?;
    for (name, count) in state["preloaded"].as_object().into_iter().flatten() {
        writeln!(out, "  {name}: {count} modules")?;
    }
    for (name, count) in state["seen"].as_object().into_iter().flatten() {
        writeln!(out, "  {name}: {count} modules, as tests import it")?;
    }
    for from in ["refused", "left out"] {
        for (name, why) in state[from].as_object().into_iter().flatten() {
            let why = why.as_str().unwrap_or_default();
            writeln!(out, "  {name} isn't imported ahead: it {why}")?;
        }
    }
    Ok(())
}
