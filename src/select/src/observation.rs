//! From what the workers observed to the inputs of each test.
//!
//! A worker process tells which module imported which, and what each module, file and test read. Modules are known by their
//! absolute file, since two modules may share a name. What a module read stays with the module (it may have kept it in a
//! cache), so a test's inputs are all that its file, its conftests and the plugins reach through imports, with everything that any
//! of those modules read in this process, and what was read in the test itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Files of modules that were imported, and files that were read.
    pub files: BTreeSet<Arc<str>>,
    /// Everything else that was read.
    pub reads: BTreeSet<Read>,
    /// Names that were imported, found or not: where they come from is an input.
    pub modules: BTreeSet<Arc<str>>,
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

#[derive(Default)]
struct Node {
    imports: Vec<Arc<str>>,
    missing: Vec<Arc<str>>,
    reads: Vec<Read>,
    /// What was read by its functions.
    inner: BTreeSet<Read>,
}

/// Everything that one worker process has observed so far.
#[derive(Default)]
pub struct Observation {
    nodes: HashMap<Arc<str>, Node>,
    names: HashMap<Arc<str>, Vec<Arc<str>>>,
    contexts: HashMap<Arc<str>, Vec<Read>>,
}

impl Observation {
    /// An observation of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A module of that name was loaded from that file.
    pub fn module(&mut self, name: &str, file: &str) {
        self.names.entry(file.into()).or_default().push(name.into());
    }

    /// The module of file `importer` imported the one of file `imported`; an `imported` that starts with `?` is a name that
    /// wasn't found. The importer `""` stands for the process: every test depends on it.
    pub fn import(&mut self, importer: &str, imported: &str) {
        let node = self.nodes.entry(importer.into()).or_default();
        match imported.strip_prefix('?') {
            Some(name) => node.missing.push(name.into()),
            None => node.imports.push(imported.into()),
        }
    }

    /// `owner` read something. Owners are written as in the protocol: `m:` and a module's file, with a zero byte and a number behind it
    /// if it was a function of the module; `t:` and a test ID, `f:` and the node ID of a collected file.
    pub fn read(&mut self, owner: &str, kind: ReadKind, key: &str) {
        let entry = (kind, Arc::from(key));
        if let Some(module) = owner.strip_prefix("m:") {
            let (file, is_inner) = match module.split_once('\0') {
                Some((file, _)) => (file, true),
                None => (module, false),
            };
            let node = self.nodes.entry(file.into()).or_default();
            match is_inner {
                true => drop(node.inner.insert(entry)),
                false => node.reads.push(entry),
            }
        } else {
            self.contexts.entry(owner.into()).or_default().push(entry);
        }
    }

    /// Whether the file with that node ID was collected, with or without finding a test in it.
    pub fn was_collected(&self, file: &str) -> bool {
        self.contexts.contains_key(format!("f:{file}").as_str())
    }

    /// Whether a test, or code that ran below its file's module, read the text of that file itself: for its lines, say.
    pub fn reads_own_file(&self, test: &str, file: &str) -> bool {
        let is_it = |(kind, key): &Read| *kind == ReadKind::File && &**key == file;
        let node = self.nodes.get(file);
        let context = self.contexts.get(format!("t:{test}").as_str());
        node.is_some_and(|node| node.reads.iter().chain(&node.inner).any(is_it))
            || context.is_some_and(|reads| reads.iter().any(is_it))
    }

    /// Whether a module of that file was loaded in this process.
    pub fn is_loaded(&self, file: &str) -> bool {
        self.names.contains_key(file)
    }

    /// The files of all modules that were loaded in this process.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(|file| &**file)
    }

    /// The inputs that all tests of a collected file share: `roots` are the file itself, its conftests and what they import
    /// statically; `file` is the file's node ID.
    pub fn of_file<'a>(
        &self,
        file: &str,
        roots: impl IntoIterator<Item = &'a str>,
        by_functions: ByFunctions<'_>,
    ) -> Inputs {
        let mut inputs = Inputs::default();
        let mut queue: Vec<Arc<str>> = vec!["".into()];
        queue.extend(roots.into_iter().map(Arc::from));
        self.take_context(&format!("f:{file}"), &mut inputs, &mut queue);
        self.close(&mut inputs, queue, by_functions);
        inputs
    }

    /// The inputs of a test beyond those of its file.
    pub fn of_test(&self, test: &str, shared: &Inputs, by_functions: ByFunctions<'_>) -> Inputs {
        let mut own = Inputs::default();
        let mut queue = Vec::new();
        self.take_context(&format!("t:{test}"), &mut own, &mut queue);
        let reads_more = matches!(by_functions, ByFunctions::Only([_, ..]));
        if !reads_more && queue.is_empty() && own == Inputs::default() {
            return own;
        }
        self.close(&mut own, queue, by_functions);
        own.files.retain(|file| !shared.files.contains(file));
        own.reads.retain(|read| !shared.reads.contains(read));
        own.modules.retain(|name| !shared.modules.contains(name));
        own
    }

    fn take_context(&self, owner: &str, inputs: &mut Inputs, queue: &mut Vec<Arc<str>>) {
        for read in self.contexts.get(owner).into_iter().flatten() {
            Self::take_read(read, inputs, queue);
        }
    }

    fn take_read(read: &Read, inputs: &mut Inputs, queue: &mut Vec<Arc<str>>) {
        match read.0 {
            ReadKind::File => queue.push(read.1.clone()),
            _ => {
                inputs.reads.insert(read.clone());
            }
        }
    }

    fn close(&self, inputs: &mut Inputs, mut queue: Vec<Arc<str>>, by_functions: ByFunctions<'_>) {
        if let ByFunctions::Only(reads) = by_functions {
            for read in reads {
                Self::take_read(read, inputs, &mut queue);
            }
        }
        while let Some(file) = queue.pop() {
            if !file.is_empty() && !inputs.files.insert(file.clone()) {
                continue;
            }
            for name in self.names.get(&file).into_iter().flatten() {
                inputs.modules.insert(name.clone());
            }
            let Some(node) = self.nodes.get(&file) else {
                continue;
            };
            inputs.modules.extend(node.missing.iter().cloned());
            for read in &node.reads {
                Self::take_read(read, inputs, &mut queue);
            }
            if matches!(by_functions, ByFunctions::All) {
                for read in &node.inner {
                    Self::take_read(read, inputs, &mut queue);
                }
            }
            queue.extend(
                node.imports
                    .iter()
                    .filter(|imported| !inputs.files.contains(*imported))
                    .cloned(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(inputs: &Inputs) -> Vec<&str> {
        inputs.files.iter().map(|file| &**file).collect()
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
        assert_eq!(
            seen.of_test("test_b.py::test_y", &b, ByFunctions::All),
            Inputs::default()
        );
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
        assert_eq!(test(&[]), Inputs::default());
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
