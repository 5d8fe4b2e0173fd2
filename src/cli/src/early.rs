//! The first workers of a run, which get ready while it is looked up what they shall do.
//!
//! Where everything runs in any case they are started before anything is compared with the world.

use anyhow::Context;
use dx_py_daemon::Role;
use dx_py_executor::{HeadStart, Processes};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::args::TestArgs;
use crate::arrangement::Arrangement;
use crate::coverage::Coverage;
use crate::invocation::Invocation;
use crate::opening::Opening;
use crate::specs::Specs;

/// Workers that were started, and the event loop that they belong to.
pub struct Early {
    /// How the processes of the run are started.
    pub specs: Specs,
    /// The workers; none if a controller has to come before them.
    pub workers: Option<HeadStart<Processes>>,
    /// What their events go to. It ends after them.
    pub local: LocalSet,
    /// The event loop.
    pub runtime: Runtime,
    count: usize,
}

impl Early {
    /// Starts so many workers, with more arguments for pytest; none if the run has a controller, which would have to come before them.
    ///
    /// # Errors
    /// If there can't be an event loop.
    pub fn start(
        specs: Specs,
        count: usize,
        arrangement: &Arrangement,
        measured: bool,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("can't start the event loop")?;
        let local = LocalSet::new();
        let workers = (count == 1 || !arrangement.controller).then(|| {
            let spec = specs.workers(count, role(count, false, measured), more);
            let workers = HeadStart::new(Processes(spec));
            let slots = u32::try_from(count).unwrap_or(u32::MAX);
            local.block_on(&runtime, async { workers.start(slots) });
            workers
        });
        Ok(Self {
            specs,
            workers,
            local,
            runtime,
            count,
        })
    }

    /// Starts the workers of a run that is sure to need so many: all tests run, and there are as many files. Nothing otherwise.
    ///
    /// # Errors
    /// If the catalog can't be read, or the worker's files not be written.
    pub fn for_all(
        opening: &Opening,
        args: &TestArgs,
        invocation: &Invocation,
        wanted: usize,
    ) -> anyhow::Result<Option<Self>> {
        let is_whole = args.all
            && !args.dry_run
            && !args.lf
            && args.patterns.is_empty()
            && args.keywords.is_none()
            && args.marks.is_none()
            && args.shard.is_none()
            && args.changed_since.is_none()
            && invocation.paths.is_empty()
            && Coverage::of(invocation, &opening.project) == Coverage::Absent;
        if !is_whole || opening.catalog.file_count(opening.universe)? < wanted {
            return Ok(None);
        }
        let specs = Specs::new(
            &opening.project,
            &opening.interpreter,
            args,
            invocation,
            wanted,
            opening.project.level().sees_functions(false),
        )?;
        let count = opening.arrangement.workers(wanted);
        Self::start(specs, count, &opening.arrangement, false, &[]).map(Some)
    }

    /// Whether these are the workers of a run with so many of them, arranged like this, and with these arguments more.
    pub fn is_for(&self, workers: usize, arrangement: &Arrangement, more: &[&str]) -> bool {
        let has_workers = workers == 1 || !arrangement.controller;
        self.count == workers && self.workers.is_some() == has_workers && more.is_empty()
    }
}

/// What so many workers do about plugins that report.
pub fn role(workers: usize, has_controller: bool, measured: bool) -> Role {
    match workers {
        _ if has_controller => Role::Told,
        1 if !measured => Role::Lone,
        _ => Role::Mute,
    }
}
