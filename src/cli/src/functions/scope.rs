//! What the tests of one file, or one of them, reach of the functions that ran in their process.

use std::collections::BTreeSet;
use std::sync::Arc;

use dx_py_core::Input;
use dx_py_discovery::symbols::{self, ANY_ATTRIBUTE, Function};
use dx_py_select::Read;
use rustc_hash::FxHashSet;

use super::{Functions, Source, Tie};

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
            let Some(source) = functions.source(node) else {
                continue;
            };
            let Some(function) = functions.function(node) else {
                continue;
            };
            let is_special = function.is_special && function.class.is_some();
            if is_special && functions.early.contains(&number) {
                names.extend(function.class);
            }
            if functions.shared.contains(&number) || functions.leaves(node) {
                let mentions = source.symbols.mentions(function);
                names.extend(mentions.filter(|name| there.contains(name)));
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

/// How a function came to be reached, those that ran for others first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    /// It may have left something, or have been called by one that has.
    Left,
    /// It may have called one that has left something, and have given it that.
    Gave,
    /// It ran.
    Ran,
}

/// The functions that are known to be reached. One that ran may have run otherwise for others, and left what it didn't leave here.
struct Known {
    ran: Vec<bool>,
    left: Vec<Option<How>>,
}

impl Known {
    fn none_of(count: usize) -> Self {
        Self {
            ran: vec![false; count],
            left: vec![None; count],
        }
    }

    fn has(&self, number: usize) -> bool {
        self.ran[number] || self.left[number].is_some()
    }

    /// Whether that is news.
    fn add(&mut self, number: usize, how: How) -> bool {
        if how == How::Ran {
            return !std::mem::replace(&mut self.ran[number], true);
        }
        let known = &mut self.left[number];
        let is_new = *known < Some(how);
        *known = (*known).max(Some(how));
        is_new
    }
}

impl Functions {
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
            lasting: Arc::default(),
            symbols: Vec::new(),
            reads: Vec::new(),
        };
        scope.add_files(self, files, source)?;
        scope.lasting = Arc::new(Lasting::of(self, &scope.counts));
        let of_file = self.of_files.get(file).into_iter().flatten();
        let monkeypatch = symbols::monkeypatch();
        let has_own_monkeypatch = self
            .nodes
            .iter()
            .filter_map(|node| self.function(node))
            .any(|function| function.simple == monkeypatch);
        // Who sets attributes by names that it makes up may have set any.
        let wild = self.nodes.iter().enumerate().filter(|(_, node)| {
            self.function(node).is_some_and(|function| {
                let class = function.class;
                let is_lasting = class.is_none_or(|class| scope.lasting.classes.contains(&class));
                let is_wild = function.sets.contains(&ANY_ATTRIBUTE);
                is_lasting && (is_wild || has_own_monkeypatch && function.patches)
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

/// What the tests of one file reach, or one of them.
pub struct Scope {
    /// Of each file whether it is an input at all, and whether its symbols stand for it.
    counts: Vec<bool>,
    is_parted: Vec<bool>,
    /// Of each function whether every test reaches it.
    is_reached: Vec<bool>,
    lasting: Arc<Lasting>,
    /// The symbols.
    pub symbols: Vec<Input>,
    /// What was read by functions.
    pub reads: Vec<Read>,
}

impl Scope {
    /// What a test reaches beyond what all do: symbols, and what was read. `files` are those that only this test has as inputs, `texts`
    /// those whose text it has read. None if all of the files count.
    pub fn of_test<'b>(
        &self,
        functions: &Functions,
        test: &str,
        files: impl Iterator<Item = &'b str>,
        texts: impl Iterator<Item = &'b str>,
        source: impl Fn(&str) -> Option<Source>,
    ) -> Option<(Vec<Input>, Vec<Read>)> {
        let mut own = Scope {
            counts: self.counts.clone(),
            is_parted: self.is_parted.clone(),
            is_reached: self.is_reached.clone(),
            lasting: self.lasting.clone(),
            symbols: Vec::new(),
            reads: Vec::new(),
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
        Some((own.symbols, own.reads))
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
                self.reads
                    .extend(functions.files[number].reads.iter().cloned());
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
        let mut known = Known::none_of(functions.nodes.len());
        let mut pending: Vec<(usize, How)> = ran.iter().map(|number| (*number, How::Ran)).collect();
        pending.extend(wild.iter().map(|number| (*number, How::Left)));
        let mut reached = Vec::new();
        while let Some((number, how)) = pending.pop() {
            let node = &functions.nodes[number];
            let is_first = !known.has(number);
            if !self.counts[node.file] || !known.add(number, how) {
                continue;
            }
            let function = functions.function(node)?;
            if is_first {
                if function.sees_lines {
                    return None;
                }
                if !self.is_reached[number] {
                    reached.push(number);
                }
            }
            if how == How::Gave {
                let callers = node.callers.iter();
                pending.extend(callers.map(|caller| (*caller, How::Gave)));
            }
            // What it left when it ran for others, and may find again now.
            let leaves = how == How::Ran
                && is_elsewhere(number)
                && (functions.leaves(node)
                    || function.sets.iter().any(|key| lasts(function, *key)));
            for (tie, other) in &node.from {
                let other_node = &functions.nodes[*other];
                let other_function = functions.function(other_node);
                let sets = |key| other_function.is_some_and(|function| lasts(function, key));
                let reaches = match tie {
                    Tie::Call => leaves || how != How::Ran,
                    Tie::State => is_elsewhere(*other),
                    Tie::Borrowed(key) => is_elsewhere(*other) && functions.variables.contains(key),
                    Tie::Attribute(key) => is_elsewhere(*other) && sets(*key),
                };
                if !reaches {
                    continue;
                }
                pending.push((*other, How::Left));
                if *tie != Tie::Call && other_function.is_some_and(|function| function.takes) {
                    // What it left it may have been given.
                    let callers = other_node.callers.iter();
                    pending.extend(callers.map(|caller| (*caller, How::Gave)));
                }
            }
        }
        Some(reached)
    }

    fn add_symbols(&mut self, functions: &Functions, nodes: Vec<usize>) {
        for number in nodes {
            let node = &functions.nodes[number];
            self.reads.extend(node.reads.iter().cloned());
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
