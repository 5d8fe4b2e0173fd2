//! How the processes of a run are started: one base for all, and what differs between its parts.

use std::ffi::OsString;

use anyhow::Context;
use dx_py_core::Engine;
use dx_py_daemon::{LaunchSpec, Role};

use crate::args::TestArgs;
use crate::invocation::Invocation;
use crate::python::Interpreter;
use crate::settings::Project;
use crate::{scratch, worker_files};

/// Tells workers' plugin what to do with snapshots. A variable, since an option would be a part of the invocation: whether snapshots may be
/// written makes no other tests.
pub fn snapshot_mode(args: &TestArgs) -> Option<(OsString, OsString)> {
    let mode = match (args.update_snapshots, args.ci) {
        (true, _) => "update",
        (false, true) => "ci",
        (false, false) => return None,
    };
    Some(("DX_PY_SNAPSHOTS".into(), mode.into()))
}

/// Tells workers how many megabytes cached fixtures may take, if the configuration says it.
fn fixtures_limit(project: &Project) -> Option<(OsString, OsString)> {
    let megabytes = project.config.fixtures_mb?;
    Some(("DX_PY_FIXTURES_MB".into(), megabytes.to_string().into()))
}

/// What the processes of a run have in common.
pub struct Specs {
    base: LaunchSpec,
    base_temp: Option<scratch::BaseTemp>,
    seed: u32,
}

impl Specs {
    /// What the configuration and the arguments ask for. `sees_functions` says whether workers see which functions run.
    ///
    /// # Errors
    /// If the worker's files can't be written.
    pub fn new(
        project: &Project,
        interpreter: &Interpreter,
        args: &TestArgs,
        invocation: &Invocation,
        workers: usize,
        sees_functions: bool,
    ) -> anyhow::Result<Self> {
        let dx = project.dx_dir();
        let worker_dir = worker_files::unpack(&dx)
            .with_context(|| format!("can't write the worker into {}", dx.display()))?;
        let mut arguments = args.display_arguments();
        // A worker stops itself at once; that the others stop is the executor's part.
        if let Some(limit) = args.failure_limit() {
            arguments.push(format!("--maxfail={limit}"));
        }
        arguments.extend(invocation.worker_arguments());
        let own_basetemp = arguments
            .iter()
            .any(|argument| argument.starts_with("--basetemp"));
        let base_temp = if own_basetemp || workers == 1 {
            None
        } else {
            scratch::base_temp().ok()
        };
        let base = LaunchSpec {
            python: interpreter.executable.clone(),
            worker_dir,
            cwd: project.cwd.clone(),
            env: snapshot_mode(args)
                .into_iter()
                .chain(fixtures_limit(project))
                .chain(sees_functions.then(|| ("DX_PY_FUNCTIONS".into(), "1".into())))
                .chain((!project.level().tracks()).then(|| ("DX_PY_UNTRACKED".into(), "1".into())))
                .collect(),
            pytest_args: arguments.into_iter().map(Into::into).collect(),
            basetemp: None,
            workers: 1,
            run_id: scratch::run_id(),
            role: Role::Mute,
            engine: args.engine,
            waits: false,
            inherit_output: args.no_capture,
            zygotes: project.zygotes(),
        };
        Ok(Self {
            base,
            base_temp,
            seed: scratch::hash_seed(),
        })
    }

    /// For one worker that runs tests as pytest does, whatever the arguments say.
    pub fn alone(&self, spec: LaunchSpec) -> LaunchSpec {
        LaunchSpec {
            engine: Engine::Pytest,
            ..spec
        }
    }

    /// For so many workers in that role, with more arguments for pytest.
    pub fn workers(&self, count: usize, role: Role, more: &[&str]) -> LaunchSpec {
        let mut spec = self.base.clone();
        spec.workers = count;
        spec.role = role;
        spec.pytest_args.extend(more.iter().map(Into::into));
        if count > 1 {
            spec.basetemp = self.base_temp.as_ref().map(|folder| folder.path.clone());
            // One seed for all workers, so that tests parametrised over a set have the same IDs in each.
            spec.env.extend(scratch::hash_seed_variable(self.seed));
        }
        spec
    }
}
