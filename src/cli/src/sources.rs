//! The project's sources as they are now: the test index and the import graph, brought up to date.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use dx_py_core::{Digest, RelPath};
use dx_py_discovery::{Index, Scan, WalkOptions, scan};
use dx_py_graph::{FileImports, FileNode, ImportGraph, environment, extract};

use crate::settings::Project;

/// What the sources say.
pub struct Sources {
    /// The files and the tests in them.
    pub scan: Scan,
    /// Who imports whom.
    pub graph: ImportGraph,
    /// The files with a content that was not there when they were last looked at.
    pub new: Vec<RelPath>,
    /// The contents that these, and files that are gone, had then.
    pub replaced: Vec<Digest>,
    /// Where index and graph are to be kept, if they have changed.
    unsaved: Option<(PathBuf, PathBuf)>,
}

impl Sources {
    /// Scans the project. Only files that changed since the last time are read; index and graph are to be saved if something did.
    /// Without a usable `dx` folder everything is parsed, and nothing is kept.
    pub fn load(project: &Project, sites: &[PathBuf], dx: Option<&Path>, now_ns: i64) -> Self {
        let index_path = dx.map(|dx| dx.join("index.dxti"));
        let graph_path = dx.map(|dx| dx.join("graph.bin"));
        let mut graph = graph_path
            .as_deref()
            .and_then(|path| ImportGraph::load(path).ok());
        // Imports are kept in the graph alone: without it the index can't spare parsing.
        let index = index_path
            .as_deref()
            .filter(|_| graph.is_some())
            .and_then(|path| Index::open(path).ok())
            .map(Arc::new);
        let options = WalkOptions {
            no_recurse: project.ini.no_recurse.clone(),
        };
        let imports: Mutex<HashMap<RelPath, FileImports>> = Mutex::default();
        let scan = scan(
            &project.root,
            &options,
            index.as_ref(),
            now_ns,
            &|path, tree, source| {
                let found = extract(tree, source);
                if let Ok(mut imports) = imports.lock() {
                    imports.insert(path.clone(), found);
                }
            },
        );
        let mut imports = imports.into_inner().unwrap_or_default();
        let roots = import_roots(project, sites);
        let present: HashSet<&RelPath> = scan.files.iter().map(|file| &file.path).collect();
        let old = graph.take().unwrap_or_default();
        let (mut changed, mut replaced) = (Vec::new(), Vec::new());
        for file in &scan.files {
            let known = old.file(&file.path);
            if known.is_some_and(|known| known.digest == file.digest)
                && !imports.contains_key(&file.path)
            {
                continue;
            }
            let own = imports.remove(&file.path);
            replaced.extend(known.map(|known| known.digest));
            changed.push(FileNode {
                path: file.path.clone(),
                digest: file.digest,
                tests: file.tests().iter().map(|test| test.id.clone()).collect(),
                imports: own
                    .or_else(|| known.map(|known| known.imports.clone()))
                    .unwrap_or_default(),
            });
        }
        let gone = || {
            old.files()
                .into_iter()
                .filter(|file| !present.contains(&file.path))
        };
        let removed: Vec<RelPath> = gone().map(|file| file.path.clone()).collect();
        replaced.extend(gone().map(|file| file.digest));
        let new = changed.iter().map(|file| file.path.clone()).collect();
        let dirty = !changed.is_empty() || !removed.is_empty();
        let mut graph = old;
        graph.update(changed, &removed, roots);
        let unsaved = index_path
            .zip(graph_path)
            .filter(|_| dirty || scan.read > 0);
        Self {
            scan,
            graph,
            new,
            replaced,
            unsaved,
        }
    }

    /// Replaces index and graph on disk, if something has changed. Apart from loading them, since that is waited for.
    pub fn save(&mut self) {
        if let Some((index, graph)) = self.unsaved.take() {
            // Both only spare work: a run on a full disk goes on without them, and the catalog tells of the disk.
            let _ = self.graph.save(&graph).is_ok() && self.scan.write_index(&index).is_ok();
        }
    }

    /// The file at a path as a user names it, if it is one of the project's.
    pub fn find(&self, project: &Project, path: &Path) -> Option<RelPath> {
        let full = project.cwd.join(path);
        let inner = RelPath::new(&project.root, &full.canonicalize().unwrap_or(full))?;
        self.graph.file(&inner).map(|file| file.path.clone())
    }
}

/// The folders of the project that modules are imported from: the working directory, `pythonpath`, those that the environment
/// names, the root, and `src` where a project has it.
fn import_roots(project: &Project, sites: &[PathBuf]) -> Vec<RelPath> {
    let mut roots: Vec<RelPath> = RelPath::new(&project.root, &project.cwd)
        .into_iter()
        .collect();
    let configured = project.ini.python_path.iter();
    roots.extend(configured.filter_map(|path| RelPath::new(&project.root, Path::new(path))));
    roots.extend(environment::project_roots(sites, &project.root));
    roots.push(RelPath::root());
    if project.root.join("src").is_dir() {
        roots.extend(RelPath::from_text("src"));
    }
    let mut seen = HashSet::new();
    roots.retain(|root| seen.insert(root.clone()));
    roots
}
