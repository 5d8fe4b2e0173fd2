//! The first workers of a run, which get ready while it is looked up what they shall do.
//!
//! Where everything runs in any case they are started before anything is compared with the world. Where a source has changed they are, too,
//! but run nothing of the project's until it is known that there are tests for them: what a conftest begins, such as a database, isn't begun
//! in vain, and not ended half-way.

use anyhow::Context;
use dx_py_core::{Digest, blob};
use dx_py_daemon::{LaunchSpec, Role};
use dx_py_executor::{HeadStart, Processes};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::args::TestArgs;
use crate::arrangement::Arrangement;
use crate::changes::Head;
use crate::coverage::Coverage;
use crate::invocation::Invocation;
use crate::opening::{Opening, shape_note};
use crate::session::Session;
use crate::settings::Project;
use crate::specs::Specs;
use crate::walk::Walk;

/// What workers are started for, as far as they must know it from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// How many there are.
    pub workers: usize,
    /// Whether coverage is measured.
    pub measured: bool,
    /// Whether they see which functions run.
    pub sees_functions: bool,
    /// What pytest starts from, where it isn't told by itself.
    pub paths: Vec<String>,
}

impl Shape {
    /// What the workers of the last run were started for, if that was for a change of the same sources. Whoever edits a file will again.
    fn after_same_change(opening: &Opening, change: Digest) -> anyhow::Result<Option<Self>> {
        let note = opening.catalog.note(&shape_note(opening.key))?;
        let known = note.and_then(|value| blob::decode::<(Digest, Self)>(&value).ok());
        Ok(known
            .filter(|(last, _)| *last == change)
            .map(|(_, shape)| shape))
    }

    /// What they are likely to be started for if these sources have changed.
    fn guess(walk: &Walk, invocation: &Invocation, most: usize) -> Self {
        let project = &walk.opening.project;
        let new = &walk.sources.new;
        let are_tests = new.iter().all(|path| project.is_test_file(path));
        let wanted = if are_tests { most.min(new.len()) } else { most };
        Self {
            workers: walk.opening.arrangement.workers(wanted),
            measured: false,
            sees_functions: project.level().sees_functions(true),
            paths: invocation.paths.clone(),
        }
    }

    /// Keeps it for the next change of the same sources.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn keep_for_change(&self, session: &mut Session) -> anyhow::Result<()> {
        if session.sources.new.is_empty() {
            return Ok(());
        }
        let (note, value) = (session.shape_note(), blob::encode(&(session.change, self))?);
        if session.catalog.note(&note)?.as_ref() != Some(&value) {
            session.catalog.set_note(&note, &value)?;
        }
        Ok(())
    }
}

/// When workers may run what is the project's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// At once.
    Now,
    /// When [`Early::begin`] says so.
    Later,
}

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
    /// Which commit is checked out.
    pub head: Head,
    shape: Shape,
    beginning: Beginning,
}

impl Early {
    /// Starts workers; none if the run has a controller, which would have to come before them.
    ///
    /// # Errors
    /// If there can't be an event loop.
    pub fn start(
        project: &Project,
        specs: Specs,
        shape: &Shape,
        arrangement: &Arrangement,
        coverage: Coverage,
        beginning: Beginning,
    ) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("can't start the event loop")?;
        let local = LocalSet::new();
        let count = shape.workers;
        let workers = (count == 1 || !arrangement.controller).then(|| {
            let (role, more) = (
                role(count, false, shape.measured),
                coverage.arguments(shape.measured),
            );
            let spec = specs.workers(count, role, more);
            let waiting = Processes(LaunchSpec {
                waits: beginning == Beginning::Later,
                ..spec.clone()
            });
            let workers = HeadStart::new(Processes(spec));
            let slots = u32::try_from(count).unwrap_or(u32::MAX);
            local.block_on(&runtime, async { workers.start(&waiting, slots) });
            workers
        });
        Ok(Self {
            specs,
            workers,
            local,
            runtime,
            head: Head::ask(&project.root),
            shape: shape.clone(),
            beginning,
        })
    }

    /// Lets the workers begin that wait for that: there are tests for them.
    pub fn begin(&self) {
        if self.beginning == Beginning::Later
            && let Some(workers) = &self.workers
        {
            self.local.block_on(&self.runtime, workers.begin());
        }
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
        let shape = Shape {
            workers: opening.arrangement.workers(wanted),
            measured: false,
            sees_functions: opening.project.level().sees_functions(false),
            paths: Vec::new(),
        };
        Self::of(opening, args, invocation, &shape, Beginning::Now).map(Some)
    }

    /// Starts the workers that tests are likely to need if sources have changed. Nothing if none has a content that is new, or nothing is
    /// recorded.
    ///
    /// # Errors
    /// If the catalog can't be read, or the worker's files not be written.
    pub fn for_change(
        walk: &Walk,
        args: &TestArgs,
        invocation: &Invocation,
        most: usize,
    ) -> anyhow::Result<Option<Self>> {
        let opening = &walk.opening;
        let is_forced = args.all || Coverage::of(invocation, &opening.project) == Coverage::Asked;
        let has_records = walk
            .recorded
            .state
            .files
            .iter()
            .any(|file| !file.tests.is_empty());
        if is_forced || args.dry_run || walk.unseen.is_empty() || !has_records {
            return Ok(None);
        }
        let known = Shape::after_same_change(opening, walk.change())?;
        let shape = known.unwrap_or_else(|| Shape::guess(walk, invocation, most));
        Self::of(opening, args, invocation, &shape, Beginning::Later).map(Some)
    }

    fn of(
        opening: &Opening,
        args: &TestArgs,
        invocation: &Invocation,
        shape: &Shape,
        beginning: Beginning,
    ) -> anyhow::Result<Self> {
        let Opening {
            project,
            interpreter,
            arrangement,
            ..
        } = opening;
        let (count, sees_functions) = (shape.workers, shape.sees_functions);
        let started = Invocation {
            paths: shape.paths.clone(),
            ..invocation.clone()
        };
        let specs = Specs::new(project, interpreter, args, &started, count, sees_functions)?;
        let coverage = Coverage::of(invocation, project);
        Self::start(project, specs, shape, arrangement, coverage, beginning)
    }

    /// Whether these are the workers of a run of that shape, arranged like this.
    pub fn is_for(&self, shape: &Shape, arrangement: &Arrangement) -> bool {
        let has_workers = shape.workers == 1 || !arrangement.controller;
        self.shape == *shape && self.workers.is_some() == has_workers
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
