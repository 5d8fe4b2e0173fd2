//! What the file system and the catalog say, each for itself: before anything is compared.

use std::path::PathBuf;

use dx_py_catalog::{Catalog, CatalogError, FactTable, StatRow, UniverseId, UniverseState};
use dx_py_core::{Digest, Hasher, RelPath, blob};
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
    /// The sources with a content that they were never seen with. Of others there may be records, so that nothing has to run.
    pub unseen: Vec<RelPath>,
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
        let unseen = unseen(&opening.catalog, &sources)?;
        Ok(Self {
            sites,
            sources,
            unseen,
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

/// Under which name it is kept which contents sources had before the ones that they have.
const CONTENTS: &str = "contents";

/// How many contents are remembered. Who takes back more than this at once has moved to another branch.
const MOST_CONTENTS: usize = 256;

fn contents(catalog: &Catalog) -> Result<Vec<Digest>, CatalogError> {
    let kept = catalog.note(CONTENTS)?;
    Ok(kept
        .and_then(|value| blob::decode(&value).ok())
        .unwrap_or_default())
}

fn unseen(catalog: &Catalog, sources: &Sources) -> Result<Vec<RelPath>, CatalogError> {
    if sources.new.is_empty() {
        return Ok(Vec::new());
    }
    let seen = contents(catalog)?;
    let is_new = |path: &&RelPath| {
        let file = sources.graph.file(path);
        file.is_none_or(|file| !seen.contains(&file.digest))
    };
    Ok(sources.new.iter().filter(is_new).cloned().collect())
}

/// Remembers contents that sources had, the oldest of which are forgotten.
///
/// # Errors
/// If they can't be written.
pub fn remember(catalog: &mut Catalog, replaced: &[Digest]) -> anyhow::Result<()> {
    if replaced.is_empty() {
        return Ok(());
    }
    let mut all = contents(catalog)?;
    all.retain(|content| !replaced.contains(content));
    all.extend(replaced);
    let begin = all.len().saturating_sub(MOST_CONTENTS);
    catalog.set_note(CONTENTS, &blob::encode(&all[begin..].to_vec())?)?;
    Ok(())
}
