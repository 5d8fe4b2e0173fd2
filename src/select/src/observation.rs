//! From what the workers observed to the inputs of each test.
//!
//! A worker process tells which module imported which, and what each module, file and test read. Modules are known by their
//! absolute file, since two modules may share a name. What a module read stays with the module (it may have kept it in a
//! cache), so a test's inputs are all that its file, its conftests and the plugins reach through imports, with everything that any
//! of those modules read in this process, and what was read in the test itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use fixedbitset::FixedBitSet;
use rustc_hash::{FxHashMap, FxHashSet};

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadKind {
    /// The content of a file.
    File,
    /// Whether a path exists and what it is.
    Existence,
    /// The names in a folder.
    Listing,
    /// An environment variable.
    Variable,
    /// A child process was started, which may have read anything of the project.
    Project,
    /// Something without a digest.
    Unknowable,
    /// The text of a Python file, by something else than its import: no part of it can be left out of account.
    Text,
}

impl ReadKind {
    /// The kind whose number in the protocol is `code`.
    pub fn from_code(code: u8) -> Option<Self> {
        [
            Self::File,
            Self::Existence,
            Self::Listing,
            Self::Variable,
            Self::Project,
            Self::Unknowable,
            Self::Text,
        ]
        .get(usize::from(code))
        .copied()
    }
}

/// The inputs of a test or of a file's collection. Paths are absolute, as the worker saw them.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Files of modules that were imported, and files that were read.
    pub files: Files,
    /// Everything else that was read.
    pub reads: BTreeSet<Read>,
    /// Names that were imported, found or not: where they come from is an input.
    pub modules: FxHashSet<Arc<str>>,
}

impl Inputs {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.reads.is_empty() && self.modules.is_empty()
    }
}

/// Files, each once, in no order.
#[derive(Clone, Debug, Default)]
pub struct Files {
    paths: Vec<Arc<str>>,
    /// The numbers of those that the observation knows.
    numbers: FixedBitSet,
    /// The others.
    strangers: BTreeSet<Arc<str>>,
}

impl Files {
    /// Their paths.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.paths.iter().chain(&self.strangers)
    }

    fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.strangers.is_empty()
    }
}

/// Something that was read: what, and its name.
pub type Read = (ReadKind, Arc<str>);

/// Which reads by functions count, beside those by modules.
#[derive(Clone, Copy, Debug)]
pub enum ByFunctions<'a> {
    /// Those by all functions of the files that are reached.
    All,
    /// These.
    Only(&'a [Read]),
}

/// A file: what is known of it as a module, and of its reading.
struct Node {
    path: Arc<str>,
    /// The names under which it is imported.
    names: Vec<Arc<str>>,
    imports: Vec<usize>,
    missing: Vec<Arc<str>>,
    reads: Reads,
    /// What was read by its functions.
    inner: Reads,
}

/// What somebody read: files by their numbers, and everything else.
#[derive(Default)]
struct Reads {
    files: Vec<usize>,
    others: Vec<Read>,
}

/// Everything that one worker process has observed so far.
///
/// A test's inputs are asked for once for each test file, and are a thousand files where much is installed. So files have numbers here, and
/// a set of them is bits.
#[derive(Default)]
pub struct Observation {
    numbers: FxHashMap<Arc<str>, usize>,
    nodes: Vec<Node>,
    contexts: FxHashMap<Arc<str>, Reads>,
}

impl Observation {
    /// An observation of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A module of that name was loaded from that file.
    pub fn module(&mut self, name: &str, file: &str) {
        self.node(file).names.push(name.into());
    }

    /// The module of file `importer` imported the one of file `imported`; an `imported` that starts with `?` is a name that
    /// wasn't found. The importer `""` stands for the process: every test depends on it.
    pub fn import(&mut self, importer: &str, imported: &str) {
        match imported.strip_prefix('?') {
            Some(name) => self.node(importer).missing.push(name.into()),
            None => {
                let imported = self.number(imported);
                self.node(importer).imports.push(imported);
            }
        }
    }

    /// `owner` read something. Owners are written as in the protocol: `m:` and a module's file, with a zero byte and a number behind it
    /// if it was a function of the module; `t:` and a test ID, `f:` and the node ID of a collected file.
    pub fn read(&mut self, owner: &str, kind: ReadKind, key: &str) {
        let file = (kind == ReadKind::File).then(|| self.number(key));
        let reads = match owner.strip_prefix("m:") {
            Some(module) => match module.split_once('\0') {
                Some((file, _)) => &mut self.node(file).inner,
                None => &mut self.node(module).reads,
            },
            None => self.contexts.entry(owner.into()).or_default(),
        };
        match file {
            Some(file) => reads.files.push(file),
            None => reads.others.push((kind, key.into())),
        }
    }

    fn number(&mut self, path: &str) -> usize {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let (number, path) = (self.nodes.len(), Arc::<str>::from(path));
        self.numbers.insert(path.clone(), number);
        self.nodes.push(Node {
            path,
            names: Vec::new(),
            imports: Vec::new(),
            missing: Vec::new(),
            reads: Reads::default(),
            inner: Reads::default(),
        });
        number
    }

    fn node(&mut self, path: &str) -> &mut Node {
        let number = self.number(path);
        &mut self.nodes[number]
    }

    fn known(&self, path: &str) -> Option<&Node> {
        Some(&self.nodes[*self.numbers.get(path)?])
    }

    /// Whether the file with that node ID was collected, with or without finding a test in it.
    pub fn was_collected(&self, file: &str) -> bool {
        self.contexts.contains_key(format!("f:{file}").as_str())
    }

    /// Whether a test, or code that ran below its file's module, read the text of that file itself: for its lines, say.
    pub fn reads_own_file(&self, test: &str, file: &str) -> bool {
        let inner = self.known(file).map(|node| &node.inner);
        self.reads_outside_of_functions(test, file) || self.reads(inner, file)
    }

    /// The same, but for what functions read of which it is known that it was they.
    pub fn reads_outside_of_functions(&self, test: &str, file: &str) -> bool {
        let context = self.contexts.get(format!("t:{test}").as_str());
        let module = self.known(file).map(|node| &node.reads);
        self.reads(context, file) || self.reads(module, file)
    }

    fn reads(&self, reads: Option<&Reads>, file: &str) -> bool {
        let number = self.numbers.get(file);
        number.is_some_and(|number| reads.is_some_and(|reads| reads.files.contains(number)))
    }

    /// Whether a module of that file was loaded in this process.
    pub fn is_loaded(&self, file: &str) -> bool {
        self.known(file).is_some_and(|node| !node.names.is_empty())
    }

    /// The files of all modules that were loaded in this process.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        let loaded = self.nodes.iter().filter(|node| !node.names.is_empty());
        loaded.map(|node| &*node.path)
    }

    /// The inputs that all tests of a collected file share: `roots` are the file itself, its conftests and what they import
    /// statically; `file` is the file's node ID.
    pub fn of_file<'a>(
        &self,
        file: &str,
        roots: impl IntoIterator<Item = &'a str>,
        by_functions: ByFunctions<'_>,
    ) -> Inputs {
        let roots = std::iter::once("").chain(roots);
        self.close(&format!("f:{file}"), roots, by_functions)
    }

    /// The inputs of a test beyond those of its file.
    pub fn of_test(&self, test: &str, shared: &Inputs, by_functions: ByFunctions<'_>) -> Inputs {
        let mut own = self.close(&format!("t:{test}"), [], by_functions);
        if own.is_empty() {
            return own;
        }
        let files = &mut own.files;
        files.numbers.difference_with(&shared.files.numbers);
        let paths = files.numbers.ones().map(|number| &self.nodes[number].path);
        files.paths = paths.cloned().collect();
        files
            .strangers
            .retain(|file| !shared.files.strangers.contains(file));
        own.reads.retain(|read| !shared.reads.contains(read));
        own.modules.retain(|name| !shared.modules.contains(name));
        own
    }

    /// Everything that is reached from `roots`, and from what was read in a context.
    fn close<'a>(
        &self,
        context: &str,
        roots: impl IntoIterator<Item = &'a str>,
        by_functions: ByFunctions<'_>,
    ) -> Inputs {
        let mut inputs = Inputs::default();
        let Inputs {
            files,
            reads,
            modules,
        } = &mut inputs;
        let mut queue = Vec::new();
        let mut start = |path: &str, queue: &mut Vec<usize>| match self.numbers.get(path) {
            Some(number) => queue.push(*number),
            None if path.is_empty() => {}
            None => {
                let _ = files.strangers.insert(path.into());
            }
        };
        roots.into_iter().for_each(|root| start(root, &mut queue));
        if let ByFunctions::Only(more) = by_functions {
            for read in more {
                match read.0 {
                    ReadKind::File => start(&read.1, &mut queue),
                    _ => drop(reads.insert(read.clone())),
                }
            }
        }
        let mut take = |from: &Reads, queue: &mut Vec<usize>| {
            queue.extend(&from.files);
            reads.extend(from.others.iter().cloned());
        };
        if let Some(read) = self.contexts.get(context) {
            take(read, &mut queue);
        }
        if !queue.is_empty() {
            files.numbers.grow(self.nodes.len());
        }
        while let Some(number) = queue.pop() {
            if files.numbers.put(number) {
                continue;
            }
            let node = &self.nodes[number];
            if !node.path.is_empty() {
                files.paths.push(node.path.clone());
            }
            modules.extend(node.names.iter().cloned());
            modules.extend(node.missing.iter().cloned());
            take(&node.reads, &mut queue);
            if matches!(by_functions, ByFunctions::All) {
                take(&node.inner, &mut queue);
            }
            queue.extend(&node.imports);
        }
        inputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(inputs: &Inputs) -> Vec<&str> {
        let mut files: Vec<&str> = inputs.files.iter().map(|file| &**file).collect();
        files.sort_unstable();
        files
    }

    #[test]
    fn what_a_module_read_belongs_to_every_test_that_reaches_it() {
        let mut seen = Observation::new();
        seen.import("/p/test_a.py", "/p/lib.py");
        seen.import("/p/test_b.py", "/p/other.py");
        seen.read("m:/p/lib.py", ReadKind::File, "/p/data.txt");
        seen.read("t:test_b.py::test_x", ReadKind::Variable, "HOME");
        let a = seen.of_file("test_a.py", ["/p/test_a.py"], ByFunctions::All);
        let b = seen.of_file("test_b.py", ["/p/test_b.py"], ByFunctions::All);
        assert_eq!(files(&a), ["/p/data.txt", "/p/lib.py", "/p/test_a.py"]);
        assert_eq!(files(&b), ["/p/other.py", "/p/test_b.py"]);
        let x = seen.of_test("test_b.py::test_x", &b, ByFunctions::All);
        assert_eq!(x.reads.len(), 1);
        let y = seen.of_test("test_b.py::test_y", &b, ByFunctions::All);
        assert!(y.is_empty());
    }

    #[test]
    fn imports_made_in_a_test_are_followed() {
        let mut seen = Observation::new();
        seen.read("t:a.py::test_x", ReadKind::File, "/p/late.py");
        seen.import("/p/late.py", "/p/deep.py");
        let shared = seen.of_file("a.py", ["/p/a.py"], ByFunctions::All);
        let own = seen.of_test("a.py::test_x", &shared, ByFunctions::All);
        assert_eq!(files(&own), ["/p/deep.py", "/p/late.py"]);
    }

    #[test]
    fn what_a_function_read_belongs_to_those_who_reach_it() {
        let mut seen = Observation::new();
        seen.import("/p/a.py", "/p/lib.py");
        seen.read("m:/p/lib.py\u{0}12", ReadKind::File, "/p/data.txt");
        let data: Read = (ReadKind::File, "/p/data.txt".into());
        let roots = ["/p/a.py"];
        let all = seen.of_file("a.py", roots, ByFunctions::All);
        assert_eq!(files(&all), ["/p/a.py", "/p/data.txt", "/p/lib.py"]);
        let none = seen.of_file("a.py", roots, ByFunctions::Only(&[]));
        assert_eq!(files(&none), ["/p/a.py", "/p/lib.py"]);
        let test = |reads| seen.of_test("a.py::test_x", &none, ByFunctions::Only(reads));
        assert_eq!(files(&test(std::slice::from_ref(&data))), ["/p/data.txt"]);
        assert!(test(&[]).is_empty());
    }

    #[test]
    fn plugins_and_missing_names_count() {
        let mut seen = Observation::new();
        seen.import("", "/site/plugin.py");
        seen.module("plugin", "/site/plugin.py");
        seen.import("/p/a.py", "?yaml");
        let inputs = seen.of_file("a.py", ["/p/a.py"], ByFunctions::All);
        assert_eq!(files(&inputs), ["/p/a.py", "/site/plugin.py"]);
        let names: Vec<&str> = inputs.modules.iter().map(|name| &**name).collect();
        assert_eq!(names, ["plugin", "yaml"]);
    }
}
