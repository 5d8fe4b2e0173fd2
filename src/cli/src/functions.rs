//! Which functions of the project's files a test reached, so that an edit of the others leaves it fresh.
//!
//! What ran in a test was seen. But the test may also have got something that code left behind which ran earlier in the same process, for
//! another test: a value in a cache or in a variable, an attribute of an object that lives on. So a function that ran for others counts
//! too, if a function of the test mentions the cache, the variable or the attribute that it may leave something in; and with it the
//! functions that it mentions, since what it left may come from them: all of them for caches and variables, those at first hand for
//! attributes. Attributes matter for objects that may live on: those of classes of which a module makes one while it is imported, or which
//! code mentions that keeps things or that ran outside of tests, and of their relatives.
//! What ran outside of tests (imports, collection, fixtures that tests share) is every test's.

use std::collections::BTreeSet;
use std::rc::Rc;

use dx_py_core::Input;
use dx_py_discovery::Symbols;
use dx_py_discovery::symbols::{ANY_ATTRIBUTE, Function};
use dx_py_protocol::Trace;
use rustc_hash::{FxHashMap, FxHashSet};

/// A file whose functions can be told apart: its key in inputs, and its symbols.
#[derive(Clone)]
pub struct Source {
    /// The key.
    pub key: String,
    /// The symbols.
    pub symbols: Rc<Symbols>,
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
    /// What ran before the first test, and what ran later for all of them.
    early: BTreeSet<usize>,
    shared: BTreeSet<usize>,
    of_files: FxHashMap<String, BTreeSet<usize>>,
    of_tests: FxHashMap<String, BTreeSet<usize>>,
}

struct File {
    source: Option<Source>,
    /// Whether code ran that isn't its text.
    is_opaque: bool,
}

/// A piece of code: its file, its first line, and, once it ran, the functions that it is of.
struct Code {
    file: usize,
    line: u32,
    nodes: Option<Rc<[usize]>>,
}

/// A function that ran: its file, its number there, in how many tests, and those that may bear on it.
struct Node {
    file: usize,
    function: usize,
    tests: usize,
    from: Vec<(Tie, usize)>,
}

/// How a function may bear on another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tie {
    /// By a cache or a variable.
    State,
    /// By that attribute.
    Attribute(u64),
    /// The other one may call it.
    Call,
}

/// By which keys functions are tied.
#[derive(Default)]
struct Ties {
    leavers: FxHashMap<u64, Vec<usize>>,
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

    fn file(&mut self, path: &str, source: impl Fn(&str) -> Option<Source>) -> usize {
        if let Some(number) = self.file_numbers.get(path) {
            return *number;
        }
        let number = self.files.len();
        self.files.push(File {
            source: source(path),
            is_opaque: false,
        });
        self.file_numbers.insert(path.to_owned(), number);
        number
    }

    /// The functions that a piece of code is of, which has run; none if nobody told of that piece.
    fn nodes_of(&mut self, code: usize) -> Option<Rc<[usize]>> {
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
                self.add_node(file, number, &symbols.functions()[number]);
            }
            nodes.push(node);
        }
        let nodes: Rc<[usize]> = nodes.into();
        self.code[code].nodes = Some(nodes.clone());
        Some(nodes)
    }

    fn add_node(&mut self, file: usize, number: usize, function: &Function) {
        let node = self.nodes.len();
        // Who makes an object of a class, or of one below it, names that class and not its methods.
        let mut names = vec![function.simple];
        if let Some(class) = function.class.filter(|_| function.is_special) {
            names.extend(self.below(class));
        }
        // A method may make objects of its class without the class's name.
        let calls: Vec<u64> = function
            .mentions
            .iter()
            .copied()
            .chain(function.class)
            .collect();
        let ties = &mut self.ties;
        let mut from: BTreeSet<(Tie, usize)> = BTreeSet::new();
        from.extend(under(&ties.leavers, &function.gets).map(|(_, other)| (Tie::State, other)));
        from.extend(
            under(&ties.setters, &function.gets).map(|(key, other)| (Tie::Attribute(key), other)),
        );
        from.extend(under(&ties.called, &calls).map(|(_, other)| (Tie::Call, other)));
        let mut to: BTreeSet<(Tie, usize)> = BTreeSet::new();
        to.extend(under(&ties.getters, &function.leaves).map(|(_, other)| (Tie::State, other)));
        to.extend(
            under(&ties.getters, &function.sets).map(|(key, other)| (Tie::Attribute(key), other)),
        );
        to.extend(under(&ties.callers, &names).map(|(_, other)| (Tie::Call, other)));
        put(&mut ties.leavers, &function.leaves, node);
        put(&mut ties.setters, &function.sets, node);
        put(&mut ties.getters, &function.gets, node);
        put(&mut ties.called, &names, node);
        put(&mut ties.callers, &calls, node);
        self.nodes.push(Node {
            file,
            function: number,
            tests: 0,
            from: from.into_iter().collect(),
        });
        for (tie, other) in to {
            self.nodes[other].from.push((tie, node));
        }
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

    fn source(&self, node: &Node) -> Option<&Source> {
        self.files[node.file].source.as_ref()
    }

    fn function(&self, node: &Node) -> Option<&Function> {
        self.source(node)?.symbols.functions().get(node.function)
    }

    /// What all tests of the file with the node ID `file` reach, whose inputs are `files`, by their absolute paths; `source` gives those
    /// whose functions can be told apart. None if all of the files count.
    pub fn scope<'a>(
        &self,
        file: &str,
        files: impl Iterator<Item = &'a str>,
        source: impl Fn(&str) -> Option<Source>,
    ) -> Option<Scope> {
        if self.is_blind {
            return None;
        }
        let mut scope = Scope {
            counts: vec![false; self.files.len()],
            is_parted: vec![false; self.files.len()],
            is_reached: vec![false; self.nodes.len()],
            lasting: Rc::default(),
            symbols: Vec::new(),
        };
        scope.add_files(self, files, source)?;
        scope.lasting = Rc::new(Lasting::of(self, &scope.counts));
        let of_file = self.of_files.get(file).into_iter().flatten();
        // Who sets attributes by names that it makes up may have set any.
        let wild = self.nodes.iter().enumerate().filter(|(_, node)| {
            self.function(node).is_some_and(|function| {
                let class = function.class;
                let is_lasting = class.is_none_or(|class| scope.lasting.classes.contains(&class));
                is_lasting && function.sets.contains(&ANY_ATTRIBUTE)
            })
        });
        let wild: Vec<usize> = wild.map(|(number, _)| number).collect();
        let start: BTreeSet<usize> = self.shared.iter().chain(of_file).copied().collect();
        let mut early = Vec::new();
        for number in &self.early {
            let node = &self.nodes[*number];
            if scope.counts[node.file] {
                if self.function(node)?.sees_lines {
                    return None;
                }
                // Nothing was left behind for them, and what they left is known by what they called.
                scope.is_reached[*number] = true;
                early.push(*number);
            }
        }
        scope.add_symbols(self, early);
        let reached = scope.reached_from(self, &start, &wild)?;
        for node in &reached {
            scope.is_reached[*node] = true;
        }
        scope.add_symbols(self, reached);
        Some(scope)
    }
}

/// The classes of which objects may outlive a test.
#[derive(Default)]
struct Lasting {
    classes: FxHashSet<u64>,
    /// The attributes that their methods set, and those that any methods do.
    attributes: FxHashSet<u64>,
    known: FxHashSet<u64>,
}

impl Lasting {
    fn of(functions: &Functions, counts: &[bool]) -> Self {
        let files = functions
            .files
            .iter()
            .zip(counts)
            .filter(|(_, counts)| **counts);
        let sources: Vec<&Source> = files.filter_map(|(file, _)| file.source.as_ref()).collect();
        let classes = || sources.iter().flat_map(|source| &source.symbols.classes);
        let there: FxHashSet<u64> = classes().map(|class| class.name).collect();
        let mut names: FxHashSet<u64> = FxHashSet::default();
        for source in &sources {
            names.extend(
                source
                    .symbols
                    .called
                    .iter()
                    .filter(|name| there.contains(name)),
            );
        }
        for (number, node) in functions.nodes.iter().enumerate() {
            let Some(function) = functions.function(node) else {
                continue;
            };
            let is_special = function.is_special && function.class.is_some();
            if is_special && functions.early.contains(&number) {
                names.extend(function.class);
            }
            if functions.shared.contains(&number) || !function.leaves.is_empty() {
                names.extend(function.mentions.iter().filter(|name| there.contains(name)));
            }
        }
        // With their relatives: a method that they have may be another class's.
        loop {
            let before = names.len();
            for class in classes() {
                let own = class.bases.iter().filter(|base| there.contains(base));
                let family: Vec<u64> = own.copied().chain([class.name]).collect();
                if family.iter().any(|name| names.contains(name)) {
                    names.extend(family);
                }
            }
            if names.len() == before {
                break;
            }
        }
        let mut lasting = Self {
            classes: names,
            ..Self::default()
        };
        for function in sources.iter().flat_map(|source| source.symbols.functions()) {
            if let Some(class) = function.class {
                lasting.known.extend(&function.sets);
                if lasting.classes.contains(&class) {
                    lasting.attributes.extend(&function.sets);
                }
            }
        }
        lasting
    }

    /// Whether an attribute that a function sets may be one of an object that lives on.
    fn has(&self, function: &Function, attribute: u64) -> bool {
        function
            .class
            .is_some_and(|class| self.classes.contains(&class))
            || self.attributes.contains(&attribute)
            || !self.known.contains(&attribute)
    }
}

/// How a function came to be reached, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    /// One that set an attribute for others calls it.
    CalledOnce,
    /// It may have set an attribute of an object that lives on.
    LeftAttribute,
    /// It may have left something in a cache or a variable, or is called by one that has.
    LeftState,
    /// It ran.
    Ran,
}

/// What the tests of one file reach, or one of them.
pub struct Scope {
    /// Of each file whether it is an input at all, and whether its symbols stand for it.
    counts: Vec<bool>,
    is_parted: Vec<bool>,
    /// Of each function whether every test reaches it.
    is_reached: Vec<bool>,
    lasting: Rc<Lasting>,
    /// The symbols.
    pub symbols: Vec<Input>,
}

impl Scope {
    /// What a test reaches beyond what all do. `files` are those that only this test has as inputs, `texts` those whose text it has read.
    /// None if all of the files count.
    pub fn of_test<'b>(
        &self,
        functions: &Functions,
        test: &str,
        files: impl Iterator<Item = &'b str>,
        texts: impl Iterator<Item = &'b str>,
        source: impl Fn(&str) -> Option<Source>,
    ) -> Option<Vec<Input>> {
        let mut own = Scope {
            counts: self.counts.clone(),
            is_parted: self.is_parted.clone(),
            is_reached: self.is_reached.clone(),
            lasting: self.lasting.clone(),
            symbols: Vec::new(),
        };
        let texts: FxHashSet<&str> = texts.collect();
        own.add_files(functions, files, |path| {
            source(path).filter(|_| !texts.contains(path))
        })?;
        for text in &texts {
            let file = functions.file_numbers.get(*text);
            let whole = file.filter(|file| std::mem::take(&mut own.is_parted[**file]));
            let source = whole.and_then(|file| functions.files[*file].source.as_ref());
            let whole = source.map(|source| Input::symbol(&source.key, "*"));
            own.symbols.extend(whole);
        }
        let nothing = BTreeSet::new();
        let ran = functions.of_tests.get(test).unwrap_or(&nothing);
        let reached = own.reached_from(functions, ran, &[])?;
        own.add_symbols(functions, reached);
        Some(own.symbols)
    }

    fn add_files<'b>(
        &mut self,
        functions: &Functions,
        files: impl Iterator<Item = &'b str>,
        source: impl Fn(&str) -> Option<Source>,
    ) -> Option<()> {
        for path in files {
            let number = functions.file_numbers.get(path).copied();
            let is_opaque = number.is_some_and(|number| functions.files[number].is_opaque);
            if let Some(number) = number {
                self.counts[number] = true;
            }
            let Some(source) = source(path).filter(|_| !is_opaque) else {
                continue;
            };
            if source.symbols.frame_sees_lines {
                return None;
            }
            if let Some(number) = number {
                self.is_parted[number] = true;
            }
            self.symbols.push(Input::symbol(&source.key, ""));
        }
        Some(())
    }

    /// The functions that code which `ran` reaches, but for those that every test does; none if one of them may learn of lines.
    fn reached_from(
        &self,
        functions: &Functions,
        ran: &BTreeSet<usize>,
        wild: &[usize],
    ) -> Option<Vec<usize>> {
        // What ran for others, too.
        let is_elsewhere = |number: usize| {
            let node = &functions.nodes[number];
            functions.shared.contains(&number) || node.tests > usize::from(ran.contains(&number))
        };
        let lasts = |function: &Function, key: u64| self.lasting.has(function, key);
        let mut known: Vec<Option<How>> = vec![None; functions.nodes.len()];
        let mut pending: Vec<(usize, How)> = ran.iter().map(|number| (*number, How::Ran)).collect();
        pending.extend(wild.iter().map(|number| (*number, How::LeftAttribute)));
        let mut reached = Vec::new();
        while let Some((number, how)) = pending.pop() {
            let node = &functions.nodes[number];
            if !self.counts[node.file] || known[number] >= Some(how) {
                continue;
            }
            let function = functions.function(node)?;
            if known[number].replace(how).is_none() {
                if function.sees_lines {
                    return None;
                }
                if !self.is_reached[number] {
                    reached.push(number);
                }
            }
            // What it left when it ran for others, and may find again now.
            let leaves = how == How::Ran && is_elsewhere(number);
            let leaves_state = leaves && !function.leaves.is_empty();
            let leaves_attribute = leaves && function.sets.iter().any(|key| lasts(function, *key));
            for (tie, other) in &node.from {
                let other_function = || functions.function(&functions.nodes[*other]);
                let reaches = match (tie, how) {
                    (Tie::State, How::Ran) if is_elsewhere(*other) => Some(How::LeftState),
                    (Tie::Attribute(key), How::Ran) if is_elsewhere(*other) => other_function()
                        .is_some_and(|function| lasts(function, *key))
                        .then_some(How::LeftAttribute),
                    (Tie::Call, How::LeftState) => Some(How::LeftState),
                    (Tie::Call, How::Ran) if leaves_state => Some(How::LeftState),
                    (Tie::Call, How::Ran) if leaves_attribute => Some(How::CalledOnce),
                    (Tie::Call, How::LeftAttribute) => Some(How::CalledOnce),
                    _ => None,
                };
                pending.extend(reaches.map(|how| (*other, how)));
            }
        }
        Some(reached)
    }

    fn add_symbols(&mut self, functions: &Functions, nodes: Vec<usize>) {
        for number in nodes {
            let node = &functions.nodes[number];
            if self.is_parted[node.file]
                && let (Some(source), Some(function)) =
                    (functions.source(node), functions.function(node))
            {
                self.symbols
                    .push(Input::symbol(&source.key, &function.name));
            }
        }
    }
}
