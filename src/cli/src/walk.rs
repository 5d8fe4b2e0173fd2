//! What the file system and the catalog say, each for itself: before anything is compared.

use std::path::PathBuf;

use dx_py_catalog::{Catalog, CatalogError, FactTable, StatRow, UniverseId, UniverseState};
use dx_py_core::{Digest, Hasher};
use dx_py_graph::environment;
use rustc_hash::FxHashMap;

use crate::opening::Opening;
use crate::sources::Sources;

/// What the catalog says of a universe.
pub struct Recorded {
    /// The files and tests, and how they ended.
    pub state: UniverseState,
    /// What they depended on.
    pub facts: FactTable,
    /// The digests of files that were looked at, and their state then.
    pub stats: FxHashMap<String, StatRow>,
}

impl Recorded {
    fn load(catalog: &Catalog, universe: UniverseId) -> Result<Self, CatalogError> {
        let (state, facts) = catalog.records(universe)?;
        let stats = catalog.file_stats()?;
        Ok(Self {
            state,
            facts,
            stats,
        })
    }
}

/// A database that was opened, the project's sources, and what is recorded of them.
pub struct Walk {
    /// The database.
    pub opening: Opening,
    /// Where the interpreter's packages are installed.
    pub sites: Vec<PathBuf>,
    /// The sources.
    pub sources: Sources,
    /// The records.
    pub recorded: Recorded,
}

impl Walk {
    /// Walks the project, and reads its records meanwhile.
    ///
    /// # Errors
    /// If the database can't be read.
    pub fn of(opening: Opening) -> Result<Self, CatalogError> {
        let project = &opening.project;
        let dx = project.dx_dir();
        let sites = environment::site_packages(opening.interpreter.prefix());
        // The walk waits for the file system, the catalog for nobody.
        let (sources, recorded) = std::thread::scope(|scope| {
            let load = || Sources::load(project, &sites, Some(&dx), opening.now_ns);
            let sources = scope.spawn(load);
            let recorded = Recorded::load(&opening.catalog, opening.universe);
            (sources.join(), recorded)
        });
        let sources = sources.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(Self {
            sites,
            sources,
            recorded: recorded?,
            opening,
        })
    }

    /// Which of the sources have changed since a run last looked at them, whatever has become of them.
    pub fn change(&self) -> Digest {
        let mut hasher = Hasher::new();
        for path in &self.sources.new {
            hasher.field(path.as_str());
        }
        hasher.finish()
    }
}
