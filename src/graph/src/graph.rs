//! The graph of a project's files: who imports whom.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use dx_py_core::{Digest, RelPath, TestId};
use petgraph::Direction;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;
use serde::{Deserialize, Serialize};

use crate::imports::FileImports;
use crate::resolve::{Resolver, is_test_file};

/// A file of the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNode {
    /// Where it is.
    pub path: RelPath,
    /// The digest of its content.
    pub digest: Digest,
    /// The tests that discovery found in it.
    pub tests: Vec<TestId>,
    /// What it imports.
    pub imports: FileImports,
}

/// Why a file depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EdgeKind {
    /// An import that runs.
    Import,
    /// The conftest of a folder above.
    Conftest,
    /// An import for type checkers. It isn't executed, so no outcome depends on it; where some code executes it after all, the
    /// worker observes that.
    TypesOnly,
}

/// The import graph. Edges go from a file to what it depends on.
#[derive(Clone, Debug, Default)]
pub struct ImportGraph {
    graph: StableDiGraph<FileNode, EdgeKind>,
    nodes: HashMap<RelPath, NodeIndex>,
    roots: Vec<RelPath>,
}

impl ImportGraph {
    /// The graph of these files, with the folders that modules are imported from.
    pub fn build(files: Vec<FileNode>, roots: Vec<RelPath>) -> Self {
        let mut graph = Self {
            roots,
            ..Self::default()
        };
        for file in files {
            let path = file.path.clone();
            let node = graph.graph.add_node(file);
            graph.nodes.insert(path, node);
        }
        graph.connect(None);
        graph
    }

    /// Brings the graph up to date with changed, new and removed files and the folders that modules are imported from. If what
    /// exists has changed, every import is resolved again, since any may resolve otherwise; if only contents have, only theirs.
    pub fn update(&mut self, changed: Vec<FileNode>, removed: &[RelPath], roots: Vec<RelPath>) {
        let mut everything = self.roots != roots;
        self.roots = roots;
        for path in removed {
            if let Some(node) = self.nodes.remove(path) {
                self.graph.remove_node(node);
                everything = true;
            }
        }
        let mut touched = Vec::new();
        for file in changed {
            match self.nodes.get(&file.path) {
                Some(node) => {
                    touched.push(*node);
                    self.graph[*node] = file;
                }
                None => {
                    let path = file.path.clone();
                    let node = self.graph.add_node(file);
                    self.nodes.insert(path, node);
                    everything = true;
                }
            }
        }
        if everything {
            self.connect(None);
        } else if !touched.is_empty() {
            self.connect(Some(touched));
        }
    }

    /// Resolves the imports of these nodes, or of all.
    fn connect(&mut self, only: Option<Vec<NodeIndex>>) {
        let files: HashSet<RelPath> = self.nodes.keys().cloned().collect();
        let resolver = Resolver::new(&files, &self.roots);
        let sources = only.unwrap_or_else(|| self.graph.node_indices().collect());
        for source in sources {
            let old: Vec<_> = self.graph.edges(source).map(|edge| edge.id()).collect();
            for edge in old {
                self.graph.remove_edge(edge);
            }
            for (target, kind) in targets(&resolver, &self.graph[source]) {
                if let Some(target) = self.nodes.get(&target)
                    && *target != source
                {
                    self.graph.add_edge(source, *target, kind);
                }
            }
        }
    }

    /// The folders that modules are imported from, with those that pytest inserts for test files.
    pub fn import_path(&self) -> Vec<RelPath> {
        let files: HashSet<RelPath> = self.nodes.keys().cloned().collect();
        Resolver::new(&files, &self.roots).roots().to_vec()
    }

    /// The file at `path`.
    pub fn file(&self, path: &RelPath) -> Option<&FileNode> {
        self.nodes.get(path).map(|node| &self.graph[*node])
    }

    /// All files, in the order of their paths.
    pub fn files(&self) -> Vec<&FileNode> {
        let mut files: Vec<&FileNode> = self.graph.node_weights().collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// What a file depends on directly.
    pub fn dependencies(&self, path: &RelPath) -> BTreeMap<RelPath, EdgeKind> {
        self.neighbours(path, Direction::Outgoing)
    }

    /// What depends on a file directly.
    pub fn importers(&self, path: &RelPath) -> BTreeMap<RelPath, EdgeKind> {
        self.neighbours(path, Direction::Incoming)
    }

    fn neighbours(&self, path: &RelPath, direction: Direction) -> BTreeMap<RelPath, EdgeKind> {
        let Some(node) = self.nodes.get(path) else {
            return BTreeMap::new();
        };
        self.graph
            .edges_directed(*node, direction)
            .map(|edge| {
                let other = if direction == Direction::Outgoing {
                    edge.target()
                } else {
                    edge.source()
                };
                (self.graph[other].path.clone(), *edge.weight())
            })
            .collect()
    }

    /// A file and all that it depends on, directly or not. Empty for a file that isn't in the graph.
    pub fn closure(&self, path: &RelPath) -> BTreeSet<RelPath> {
        self.reach([path], Direction::Outgoing)
    }

    /// These files and all that depend on one of them, directly or not.
    pub fn dependents<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a RelPath>,
    ) -> BTreeSet<RelPath> {
        self.reach(paths, Direction::Incoming)
    }

    /// The tests of these files and of all that depend on one of them.
    pub fn affected_tests<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a RelPath>,
    ) -> BTreeSet<TestId> {
        self.dependents(paths)
            .iter()
            .filter_map(|path| self.file(path))
            .flat_map(|file| file.tests.iter().cloned())
            .collect()
    }

    fn reach<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a RelPath>,
        direction: Direction,
    ) -> BTreeSet<RelPath> {
        let mut stack: Vec<NodeIndex> = paths
            .into_iter()
            .filter_map(|path| self.nodes.get(path))
            .copied()
            .collect();
        let mut seen: HashSet<NodeIndex> = stack.iter().copied().collect();
        while let Some(node) = stack.pop() {
            for edge in self.graph.edges_directed(node, direction) {
                let other = if direction == Direction::Outgoing {
                    edge.target()
                } else {
                    edge.source()
                };
                if *edge.weight() != EdgeKind::TypesOnly && seen.insert(other) {
                    stack.push(other);
                }
            }
        }
        seen.into_iter()
            .map(|node| self.graph[node].path.clone())
            .collect()
    }

    /// The folders as they were given.
    pub(crate) fn given_roots(&self) -> &[RelPath] {
        &self.roots
    }
}

fn targets(resolver: &Resolver<'_>, file: &FileNode) -> BTreeMap<RelPath, EdgeKind> {
    let mut found: BTreeMap<RelPath, EdgeKind> = BTreeMap::new();
    let mut add = |path: RelPath, kind: EdgeKind| {
        // The strongest reason counts, and that is the first in the order of kinds.
        found
            .entry(path)
            .and_modify(|old| *old = kind.min(*old))
            .or_insert(kind);
    };
    for import in &file.imports.imports {
        let kind = if import.type_checking {
            EdgeKind::TypesOnly
        } else {
            EdgeKind::Import
        };
        for path in resolver.resolve(&file.path, import) {
            add(path, kind);
        }
    }
    for path in resolver.packages(&file.path) {
        add(path, EdgeKind::Import);
    }
    if is_test_file(&file.path) || !file.tests.is_empty() {
        for path in resolver.conftests(&file.path) {
            add(path, EdgeKind::Conftest);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::Import;
    use proptest::prelude::*;

    fn path(number: usize) -> RelPath {
        RelPath::from_text(&format!("m{number}.py")).unwrap()
    }

    fn node(number: usize, imports: &[usize], typed: &[usize]) -> FileNode {
        let import = |target: &usize, type_checking| Import {
            module: format!("m{target}"),
            type_checking,
            ..Import::default()
        };
        let plain = imports.iter().map(|target| import(target, false));
        FileNode {
            path: path(number),
            digest: Digest::of(&[number as u8]),
            tests: vec![TestId::new(format!("m{number}.py::test"))],
            imports: FileImports {
                imports: plain
                    .chain(typed.iter().map(|target| import(target, true)))
                    .collect(),
                ..FileImports::default()
            },
        }
    }

    fn root() -> Vec<RelPath> {
        vec![RelPath::root()]
    }

    type Shape = Vec<(Vec<usize>, Vec<usize>)>;

    fn shapes() -> impl Strategy<Value = Shape> {
        (2usize..10).prop_flat_map(|count| {
            let some = || prop::collection::vec(0..count, 0..3);
            prop::collection::vec((some(), some()), count)
        })
    }

    fn nodes(shape: &Shape) -> Vec<FileNode> {
        shape
            .iter()
            .enumerate()
            .map(|(number, (imports, typed))| node(number, imports, typed))
            .collect()
    }

    fn edges(graph: &ImportGraph) -> BTreeMap<RelPath, BTreeMap<RelPath, EdgeKind>> {
        graph
            .files()
            .iter()
            .map(|file| (file.path.clone(), graph.dependencies(&file.path)))
            .collect()
    }

    proptest! {
        // Property 7: import graph construction
        #[test]
        fn edges_are_exactly_the_imports(shape in shapes()) {
            let graph = ImportGraph::build(nodes(&shape), root());
            for (number, (imports, typed)) in shape.iter().enumerate() {
                let mut expected: BTreeMap<RelPath, EdgeKind> = typed.iter().map(|target| (path(*target), EdgeKind::TypesOnly)).collect();
                expected.extend(imports.iter().map(|target| (path(*target), EdgeKind::Import)));
                expected.remove(&path(number));
                prop_assert_eq!(graph.dependencies(&path(number)), expected);
            }
        }

        // Property 8: transitive dependency detection
        #[test]
        fn dependents_are_all_files_from_which_a_change_can_be_reached(shape in shapes(), changed: prop::sample::Index) {
            let changed = changed.index(shape.len());
            let mut reaching = BTreeSet::from([changed]);
            for _ in 0..shape.len() {
                for (number, (imports, _)) in shape.iter().enumerate() {
                    if imports.iter().any(|target| reaching.contains(target)) {
                        reaching.insert(number);
                    }
                }
            }
            let graph = ImportGraph::build(nodes(&shape), root());
            let expected: BTreeSet<TestId> = reaching.iter().map(|number| TestId::new(format!("m{number}.py::test"))).collect();
            prop_assert_eq!(graph.affected_tests([&path(changed)]), expected);
            for number in 0..shape.len() {
                prop_assert_eq!(graph.closure(&path(number)).contains(&path(changed)), reaching.contains(&number));
            }
        }

        #[test]
        fn an_updated_graph_equals_a_new_one(before in shapes(), after in shapes(), same in prop::collection::vec(any::<bool>(), 10)) {
            let mut graph = ImportGraph::build(nodes(&before), root());
            let mut target = after.clone();
            for (number, shape) in target.iter_mut().enumerate() {
                if same[number] && let Some(old) = before.get(number) {
                    *shape = old.clone();
                }
            }
            let changed = nodes(&target).into_iter().filter(|file| graph.file(&file.path) != Some(file)).collect();
            let removed: Vec<RelPath> = (target.len()..before.len()).map(path).collect();
            graph.update(changed, &removed, root());
            prop_assert_eq!(edges(&graph), edges(&ImportGraph::build(nodes(&target), root())));
        }
    }

    #[test]
    fn conftests_and_packages_are_dependencies() {
        let file = |text: &str| FileNode {
            path: RelPath::from_text(text).unwrap(),
            digest: Digest::ABSENT,
            tests: Vec::new(),
            imports: FileImports::default(),
        };
        let names = [
            "conftest.py",
            "t/__init__.py",
            "t/conftest.py",
            "t/test_a.py",
            "t/lib.py",
            "u/conftest.py",
        ];
        let graph = ImportGraph::build(names.iter().map(|name| file(name)).collect(), root());
        let closure = |name: &str| -> Vec<String> {
            graph
                .closure(&RelPath::from_text(name).unwrap())
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(
            closure("t/test_a.py"),
            [
                "conftest.py",
                "t/__init__.py",
                "t/conftest.py",
                "t/test_a.py"
            ]
        );
        assert_eq!(closure("t/lib.py"), ["t/__init__.py", "t/lib.py"]);
    }
}
