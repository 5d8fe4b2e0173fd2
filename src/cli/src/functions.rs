//! Which functions of the project's files a test reached, so that an edit of the others leaves it fresh.
//!
//! What ran in a test was seen. But the test may also have got something that code left behind which ran earlier in the same process, for
//! another test: a value in a cache or in a variable, an attribute of an object that lives on. So a function that ran for others counts
//! too, if a function of the test mentions the cache, the variable or the attribute that it may leave something in; and with it the
//! functions that it may have called, since what it left may come from them, and those that may have called it, up to the tests, with all
//! that these may have called, since they may have given it what it left. What any of them found was left by others in turn.
//!
//! Attributes matter for objects that may live on: those of classes of which a module makes one while it is imported, or which code
//! mentions that keeps things or that ran outside of tests, and of their relatives. What ran outside of tests (imports, collection,
//! fixtures that tests share) is every test's. What a function read it may have kept in the same ways, so it is an input of those tests
//! that reach the function.

mod scope;

use std::collections::BTreeSet;
use std::sync::Arc;

use dx_py_discovery::Symbols;
use dx_py_discovery::symbols::Function;
use dx_py_protocol::Trace;
use dx_py_select::{Read, ReadKind};
use rustc_hash::{FxHashMap, FxHashSet};

pub use scope::Scope;

/// A file whose functions can be told apart: its key in inputs, and its symbols.
#[derive(Clone)]
pub struct Source {
    /// The key.
    pub key: String,
    /// The symbols.
    pub symbols: Arc<Symbols>,
}

/// The functions that ran in one process.
#[derive(Default)]
pub struct Functions {
    /// Whether some weren't seen.
    is_blind: bool,
    files: Vec<File>,
    file_numbers: FxHashMap<String, usize>,
    code: Vec<Code>,
    /// Those that ran.
    nodes: Vec<Node>,
    node_numbers: FxHashMap<(usize, usize), usize>,
    ties: Ties,
    /// Keys of the variables of all modules, by their names.
    variables: FxHashSet<u64>,
    /// What names stand for beside themselves, by their keys.
    aliases: FxHashMap<u64, FxHashSet<u64>>,
    /// What ran before the first test, and what ran later for all of them.
    early: BTreeSet<usize>,
    shared: BTreeSet<usize>,
    of_files: FxHashMap<String, BTreeSet<usize>>,
    of_tests: FxHashMap<String, BTreeSet<usize>>,
}

struct File {
    source: Option<Source>,
    /// What was read by code that isn't known to be of one of its functions.
    reads: BTreeSet<Read>,
    /// Whether code ran that isn't its text.
    is_opaque: bool,
}

/// A piece of code: its file, its first line, and, once it ran, the functions that it is of.
struct Code {
    file: usize,
    line: u32,
    nodes: Option<Arc<[usize]>>,
}

/// A function that ran: its file, its number there, in how many tests, those that may bear on it, and what was read while it ran.
struct Node {
    file: usize,
    function: usize,
    tests: usize,
    from: Vec<(Tie, usize)>,
    /// Those that may have called it.
    callers: Vec<usize>,
    /// The names under which it may leave something in variables of other modules, if they have such.
    borrows: FxHashSet<u64>,
    reads: BTreeSet<Read>,
}

/// How a function may bear on another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tie {
    /// By a cache or a variable.
    State,
    /// By a variable of another module, if there is one of the name with that key.
    Borrowed(u64),
    /// By that attribute.
    Attribute(u64),
    /// The other one may call it.
    Call,
}

/// By which keys functions are tied.
#[derive(Default)]
struct Ties {
    leavers: FxHashMap<u64, Vec<usize>>,
    borrowers: FxHashMap<u64, Vec<usize>>,
    setters: FxHashMap<u64, Vec<usize>>,
    getters: FxHashMap<u64, Vec<usize>>,
    called: FxHashMap<u64, Vec<usize>>,
    callers: FxHashMap<u64, Vec<usize>>,
}

/// The functions under a key.
fn under<'a>(
    map: &'a FxHashMap<u64, Vec<usize>>,
    keys: &'a [u64],
) -> impl Iterator<Item = (u64, usize)> + 'a {
    keys.iter().flat_map(move |key| {
        let nodes = map.get(key).into_iter().flatten();
        nodes.map(move |node| (*key, *node))
    })
}

fn put(map: &mut FxHashMap<u64, Vec<usize>>, keys: &[u64], node: usize) {
    for key in keys {
        map.entry(*key).or_default().push(node);
    }
}

impl Functions {
    /// Adds what a worker told; `source` gives files by their absolute paths.
    pub fn add(&mut self, trace: &Trace, source: impl Fn(&str) -> Option<Source>) {
        self.is_blind |= !trace.is_traced;
        for (path, line) in &trace.code {
            let file = self.file(path, &source);
            self.files[file].is_opaque |= *line == 0;
            self.code.push(Code {
                file,
                line: *line,
                nodes: None,
            });
        }
        for read in &trace.reads {
            self.add_read(&read.owner, read.kind, &read.key, &source);
        }
        for (owner, numbers) in &trace.ran {
            let mut nodes = BTreeSet::new();
            for number in numbers {
                match self.nodes_of(*number as usize) {
                    Some(found) => nodes.extend(found.iter().copied()),
                    None => self.is_blind = true,
                }
            }
            if owner.is_empty() {
                self.early.extend(nodes);
            } else if owner == "s:" {
                self.shared.extend(nodes);
            } else if let Some(file) = owner.strip_prefix("f:") {
                self.of_files
                    .entry(file.to_owned())
                    .or_default()
                    .extend(nodes);
            } else {
                let known = self.of_tests.entry(owner.clone()).or_default();
                for node in nodes {
                    if known.insert(node) {
                        self.nodes[node].tests += 1;
                    }
                }
            }
        }
    }

    /// Adds what was read, if it was by a function: who else reads owns it by other means.
    fn add_read(
        &mut self,
        owner: &str,
        kind: u8,
        key: &str,
        source: &impl Fn(&str) -> Option<Source>,
    ) {
        let Some((path, number)) = owner
            .strip_prefix("m:")
            .and_then(|module| module.split_once('\0'))
        else {
            return;
        };
        let Some(kind) = ReadKind::from_code(kind) else {
            return;
        };
        let read: Read = (kind, key.into());
        let number = number.parse().ok();
        match number.and_then(|number| self.nodes_of(number)) {
            Some(nodes) if !nodes.is_empty() => {
                for node in nodes.iter() {
                    self.nodes[*node].reads.insert(read.clone());
                }
            }
            _ => {
                let file = self.file(path, source);
                self.files[file].reads.insert(read);
            }
        }
    }

    fn file(&mut self, path: &str, source: impl Fn(&str) -> Option<Source>) -> usize {
        if let Some(number) = self.file_numbers.get(path) {
            return *number;
        }
        let number = self.files.len();
        let source = source(path);
        if let Some(source) = &source {
            self.variables.extend(source.symbols.variables());
        }
        for alias in source.iter().flat_map(|source| &source.symbols.aliases) {
            self.add_alias(alias.key, &alias.meanings);
        }
        self.files.push(File {
            source,
            reads: BTreeSet::new(),
            is_opaque: false,
        });
        self.file_numbers.insert(path.to_owned(), number);
        number
    }

    /// Whoever mentions a name gets what those mention get for which it stands.
    fn add_alias(&mut self, name: u64, meanings: &[u64]) {
        let known = self.aliases.entry(name).or_default();
        let new: Vec<u64> = meanings
            .iter()
            .copied()
            .filter(|meaning| known.insert(*meaning))
            .collect();
        for node in self.ties.getters.get(&name).cloned().unwrap_or_default() {
            self.add_getter(node, self.all_meanings(&new));
        }
        for node in self.ties.borrowers.get(&name).cloned().unwrap_or_default() {
            self.add_borrower(node, self.all_meanings(&new));
        }
    }

    /// Ties a function to those that get something of variables whose names it has from elsewhere.
    fn add_borrower(&mut self, node: usize, names: Vec<u64>) {
        for (key, other) in under(&self.ties.getters, &names) {
            self.nodes[other].from.push((Tie::Borrowed(key), node));
        }
        put(&mut self.ties.borrowers, &names, node);
        self.nodes[node].borrows.extend(names);
    }

    /// These keys, and those that they stand for.
    fn all_meanings(&self, keys: &[u64]) -> Vec<u64> {
        let mut found: FxHashSet<u64> = keys.iter().copied().collect();
        let mut pending = keys.to_vec();
        while let Some(key) = pending.pop() {
            let meant = self.aliases.get(&key).into_iter().flatten();
            pending.extend(meant.filter(|meant| found.insert(**meant)));
        }
        found.into_iter().collect()
    }

    /// Ties a function to those that leave something under these keys.
    fn add_getter(&mut self, node: usize, gets: Vec<u64>) {
        let ties = &mut self.ties;
        let from: BTreeSet<(Tie, usize)> = under(&ties.leavers, &gets)
            .map(|(_, other)| (Tie::State, other))
            .chain(under(&ties.setters, &gets).map(|(key, other)| (Tie::Attribute(key), other)))
            .chain(under(&ties.borrowers, &gets).map(|(key, other)| (Tie::Borrowed(key), other)))
            .collect();
        put(&mut ties.getters, &gets, node);
        self.nodes[node].from.extend(from);
    }

    /// The functions that a piece of code is of, which has run; none if nobody told of that piece.
    fn nodes_of(&mut self, code: usize) -> Option<Arc<[usize]>> {
        let &Code {
            file,
            line,
            ref nodes,
        } = self.code.get(code)?;
        if let Some(nodes) = nodes {
            return Some(nodes.clone());
        }
        let source = self.files[file].source.as_ref();
        let symbols = source.map(|source| source.symbols.clone());
        let mut nodes = Vec::new();
        for (symbols, number) in symbols
            .iter()
            .flat_map(|symbols| symbols.at(line).map(move |number| (symbols, number)))
        {
            let new = self.nodes.len();
            let node = *self.node_numbers.entry((file, number)).or_insert(new);
            if node == new {
                self.add_node(file, number, symbols);
            }
            nodes.push(node);
        }
        let nodes: Arc<[usize]> = nodes.into();
        self.code[code].nodes = Some(nodes.clone());
        Some(nodes)
    }

    fn add_node(&mut self, file: usize, number: usize, symbols: &Symbols) {
        let node = self.nodes.len();
        let function = &symbols.functions()[number];
        // Who makes an object of a class, or of one below it, names that class and not its methods.
        let mut names = vec![function.simple];
        if let Some(class) = function.class.filter(|_| function.is_special) {
            names.extend(self.below(class));
        }
        // A method may make objects of its class without the class's name.
        let calls: Vec<u64> = symbols.mentions(function).chain(function.class).collect();
        let ties = &mut self.ties;
        let from: BTreeSet<(Tie, usize)> = under(&ties.called, &calls)
            .map(|(_, other)| (Tie::Call, other))
            .collect();
        let mut to: BTreeSet<(Tie, usize)> = BTreeSet::new();
        to.extend(under(&ties.getters, &function.leaves).map(|(_, other)| (Tie::State, other)));
        to.extend(
            under(&ties.getters, &function.sets).map(|(key, other)| (Tie::Attribute(key), other)),
        );
        to.extend(under(&ties.callers, &names).map(|(_, other)| (Tie::Call, other)));
        put(&mut ties.leavers, &function.leaves, node);
        put(&mut ties.setters, &function.sets, node);
        put(&mut ties.called, &names, node);
        put(&mut ties.callers, &calls, node);
        self.nodes.push(Node {
            file,
            function: number,
            tests: 0,
            from: from.iter().copied().collect(),
            callers: Vec::new(),
            borrows: FxHashSet::default(),
            reads: BTreeSet::new(),
        });
        let called = from.into_iter().filter(|(tie, _)| *tie == Tie::Call);
        for (_, other) in called {
            self.nodes[other].callers.push(node);
        }
        for (tie, other) in to {
            self.nodes[other].from.push((tie, node));
            if tie == Tie::Call {
                self.nodes[node].callers.push(other);
            }
        }
        self.add_borrower(node, self.all_meanings(&function.borrows));
        self.add_getter(node, self.all_meanings(&symbols.gets(function)));
    }

    /// A class and those that are derived from it, by their names.
    fn below(&self, class: u64) -> FxHashSet<u64> {
        let mut found = FxHashSet::from_iter([class]);
        loop {
            let before = found.len();
            let sources = self.files.iter().filter_map(|file| file.source.as_ref());
            for class in sources.flat_map(|source| &source.symbols.classes) {
                if class.bases.iter().any(|base| found.contains(base)) {
                    found.insert(class.name);
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }

    /// What a test ran isn't asked for again.
    pub fn forget(&mut self, test: &str) {
        self.of_tests.remove(test);
    }

    /// Whether all functions that ran were seen.
    pub fn is_complete(&self) -> bool {
        !self.is_blind
    }

    /// Whether code of that file was seen to run.
    pub fn knows(&self, path: &str) -> bool {
        self.file_numbers.contains_key(path)
    }

    /// Whether a function may leave something for those that run later, whatever objects live on.
    fn leaves(&self, node: &Node) -> bool {
        let function = self.function(node);
        function.is_some_and(|function| !function.leaves.is_empty())
            || node
                .borrows
                .iter()
                .any(|name| self.variables.contains(name))
    }

    fn source(&self, node: &Node) -> Option<&Source> {
        self.files[node.file].source.as_ref()
    }

    fn function(&self, node: &Node) -> Option<&Function> {
        self.source(node)?.symbols.functions().get(node.function)
    }
}
