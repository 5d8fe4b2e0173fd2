//! Which functions of the project's files a test reached, so that an edit of the others leaves it fresh.
//!
//! What ran in a test was seen. Code that ran earlier in the same process may have left something behind that the test got: a value in a
//! cache, a variable, an attribute, an object that lives on. So each function that ran before counts too if a function of the test
//! mentions its name, or a variable or an attribute that it changes; and so on from there. Functions that are called without their names,
//! or that keep what they gave, count whenever they ran. What ran outside of tests (imports, collection, fixtures that tests share) is
//! every test's.

use std::collections::BTreeSet;
use std::rc::Rc;

use dx_py_core::Input;
use dx_py_discovery::Symbols;
use dx_py_discovery::symbols::Function;
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
    /// The file and the first line of each piece of code.
    code: Vec<(usize, u32)>,
    /// Those that ran.
    nodes: Vec<Node>,
    node_numbers: FxHashMap<(usize, usize), usize>,
    /// Which of them leave something under a key, and which get it.
    leavers: FxHashMap<u64, Vec<usize>>,
    getters: FxHashMap<u64, Vec<usize>>,
    of_all: BTreeSet<usize>,
    of_tests: FxHashMap<String, Vec<usize>>,
}

struct File {
    source: Option<Source>,
    /// Whether code ran that isn't its text.
    is_opaque: bool,
}

/// A function that ran: its file, its number there, and those of which it may have got something.
struct Node {
    file: usize,
    function: usize,
    from: Vec<usize>,
}

impl Functions {
    /// Adds what a worker told; `source` gives files by their absolute paths.
    pub fn add(&mut self, trace: &Trace, source: impl Fn(&str) -> Option<Source>) {
        self.is_blind |= !trace.is_traced;
        for (path, line) in &trace.code {
            let file = self.file(path, &source);
            self.files[file].is_opaque |= *line == 0;
            self.code.push((file, *line));
        }
        for (owner, numbers) in &trace.ran {
            let mut nodes = Vec::new();
            for number in numbers {
                match self.code.get(*number as usize) {
                    Some((file, line)) => self.run(*file, *line, &mut nodes),
                    None => self.is_blind = true,
                }
            }
            match owner.is_empty() {
                true => self.of_all.extend(nodes),
                false => self
                    .of_tests
                    .entry(owner.clone())
                    .or_default()
                    .extend(nodes),
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

    fn run(&mut self, file: usize, line: u32, nodes: &mut Vec<usize>) {
        let Some(Source { symbols, .. }) = self.files[file].source.clone() else {
            return;
        };
        for number in symbols.at(line) {
            let new = self.nodes.len();
            let node = *self.node_numbers.entry((file, number)).or_insert(new);
            if node == new {
                self.add_node(file, number, &symbols.functions()[number]);
            }
            nodes.push(node);
        }
    }

    fn add_node(&mut self, file: usize, number: usize, function: &Function) {
        let node = self.nodes.len();
        let mut from: BTreeSet<usize> = BTreeSet::new();
        for key in &function.gets {
            from.extend(self.leavers.get(key).into_iter().flatten());
            self.getters.entry(*key).or_default().push(node);
        }
        let mut to: BTreeSet<usize> = BTreeSet::new();
        for key in &function.leaves {
            to.extend(self.getters.get(key).into_iter().flatten());
            self.leavers.entry(*key).or_default().push(node);
        }
        to.remove(&node);
        self.nodes.push(Node {
            file,
            function: number,
            from: from.into_iter().collect(),
        });
        for getter in to {
            self.nodes[getter].from.push(node);
        }
        if function.is_implicit {
            self.of_all.insert(node);
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

    fn function(&self, node: &Node) -> Option<(&Source, &Function)> {
        let source = self.files[node.file].source.as_ref()?;
        Some((source, source.symbols.functions().get(node.function)?))
    }

    /// What all tests reach whose inputs are `files`, by their absolute paths; `source` gives those whose functions can be told apart.
    /// None if all of the files count.
    pub fn scope<'a>(
        &self,
        files: impl Iterator<Item = &'a str>,
        source: impl Fn(&str) -> Option<Source>,
    ) -> Option<Scope> {
        let mut scope = Scope {
            counts: vec![false; self.files.len()],
            is_parted: vec![false; self.files.len()],
            is_reached: vec![false; self.nodes.len()],
            symbols: Vec::new(),
        };
        if self.is_blind {
            return None;
        }
        scope.add_files(self, files, source)?;
        let reached = scope.reached_from(self, &self.of_all)?;
        for node in &reached {
            scope.is_reached[*node] = true;
        }
        scope.add_symbols(self, reached);
        Some(scope)
    }
}

/// What the tests of one file reach, or one of them.
#[derive(Clone)]
pub struct Scope {
    /// Of each file whether it is an input at all, and whether its symbols stand for it.
    counts: Vec<bool>,
    is_parted: Vec<bool>,
    /// Of each function whether every test reaches it.
    is_reached: Vec<bool>,
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
        let mut scope = Scope {
            symbols: Vec::new(),
            ..self.clone()
        };
        let texts: FxHashSet<&str> = texts.collect();
        scope.add_files(functions, files, |path| {
            source(path).filter(|_| !texts.contains(path))
        })?;
        for text in &texts {
            let file = functions.file_numbers.get(*text);
            let whole = file.filter(|file| std::mem::take(&mut scope.is_parted[**file]));
            let source = whole.and_then(|file| functions.files[*file].source.as_ref());
            scope
                .symbols
                .extend(source.map(|source| Input::symbol(&source.key, "*")));
        }
        let ran = functions.of_tests.get(test).into_iter().flatten();
        let reached = scope.reached_from(functions, ran)?;
        scope.add_symbols(functions, reached);
        Some(scope.symbols)
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

    /// The functions that these reach, but for those that every test does; none if one of them may learn of lines.
    fn reached_from<'b>(
        &self,
        functions: &Functions,
        start: impl IntoIterator<Item = &'b usize>,
    ) -> Option<Vec<usize>> {
        let mut is_known = self.is_reached.clone();
        let mut pending: Vec<usize> = start.into_iter().copied().collect();
        let mut reached = Vec::new();
        while let Some(number) = pending.pop() {
            let node = &functions.nodes[number];
            if std::mem::replace(&mut is_known[number], true) || !self.counts[node.file] {
                continue;
            }
            let (_, function) = functions.function(node)?;
            if function.sees_lines {
                return None;
            }
            reached.push(number);
            pending.extend(&node.from);
        }
        Some(reached)
    }

    fn add_symbols(&mut self, functions: &Functions, nodes: Vec<usize>) {
        for number in nodes {
            let node = &functions.nodes[number];
            if self.is_parted[node.file]
                && let Some((source, function)) = functions.function(node)
            {
                self.symbols
                    .push(Input::symbol(&source.key, &function.name));
            }
        }
    }
}
