//! Which functions of the project's files a test reached, so that an edit of the others leaves it fresh.
//!
//! What ran in a test was seen. But the test may also have found what another one left behind in the same process: a value in a cache or in
//! a variable, an attribute of an object that lives on. Workers compare what the project's code can reach before and after each test, and
//! tell under which names that which differs is found. A test that mentions one of these names, in any function that it ran, reaches
//! whatever the other one ran, and whatever that one may have found in turn.
//!
//! What ran outside of tests (imports, collection) is every test's, but for what importing a file of tests ran and left nothing: that is of
//! those who import the file. What ran for a fixture that tests share is of the tests that use it. What a function read it may have kept in the
//! same ways. If that was in a test, those depend on it that find what the test left; else those tests that reach the function.

mod behind;
mod scope;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use dx_py_core::TestId;
use dx_py_discovery::Symbols;
use dx_py_discovery::symbols::{Function, name_hash};
use dx_py_protocol::Trace;
use dx_py_select::{Read, ReadKind};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::bearings::{Filled, Ran};
use crate::leftovers::{Common, Fills, Names, Place, fill, is_reordered, key_in};

use behind::Mentions;
pub use scope::Scope;

/// Behind a function's number: it read that in a test that is an owner, too.
const OF_TEST: char = '\0';

/// In place of a name: whoever runs later may find it.
pub const ANYBODY: &str = "*";

/// A file whose functions can be told apart: its key in inputs, and its symbols.
#[derive(Clone)]
pub struct Source {
    /// The key.
    pub key: String,
    /// The symbols.
    pub symbols: Arc<Symbols>,
    /// Whether its frame asks for lines, and a file of the project imports it.
    pub shows_lines_to_importers: bool,
}

/// What of a test bears on what is found under a name.
///
/// Where a crowd leaves something, as in a registry or a cache, or it isn't compared and each that mentions the name counts, tests find what
/// any number of others left there, in whatever order. So what the *project* does there bears on all; an edit of one test among them is
/// taken to be that test's own matter. Else the edit of any test would run them all. So it is with what more than one test was seen to leave
/// just the same, as each does that comes first: without the one, another one does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Behind {
    /// Nothing: in a crowd, nobody can go by the order in which one test left what others had left.
    Nothing,
    /// What it ran of the project.
    Project,
    /// All that it ran, its own code included.
    All,
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
    /// What ran before the first test, and what ran later for all of them.
    early: BTreeSet<usize>,
    shared: BTreeSet<usize>,
    /// Those whose code the project's own looked at.
    looked_at: BTreeSet<usize>,
    /// What importing files of tests ran, by their paths; and these paths by the files' node IDs.
    of_imports: FxHashMap<String, BTreeSet<usize>>,
    imported: FxHashMap<String, String>,
    /// What tests ran, each in pieces that are those of others as well.
    of_tests: FxHashMap<String, Vec<Arc<BTreeSet<usize>>>>,
    /// What ran for fixtures that tests share, and their numbers by the names that the worker gives them.
    of_fixtures: Vec<BTreeSet<usize>>,
    fixture_numbers: FxHashMap<String, usize>,
    /// What the tests of each test function ran, in the order in which they were told of, and their numbers by the names of these functions.
    runs: Vec<Run>,
    run_numbers: FxHashMap<String, usize>,
    /// The files that they are in, by their node IDs, which are those of inputs where pytest's root is the project's; with their numbers.
    test_files: FxHashMap<String, Vec<usize>>,
    /// By places who left something there; and those where any that mentions their names may have. A place is its name's hash, unless only the
    /// tests of one file find what is there.
    leavers: FxHashMap<u64, Vec<Leaver>>,
    opaque: FxHashSet<u64>,
    /// Such of both that only the tests of a file find, by the keys of their places.
    in_files: FxHashSet<u64>,
    /// The names of all of them.
    watched: FxHashSet<u64>,
    /// By places and fills what bears on those that more than one test function left.
    bearings: FxHashMap<(u64, u64), Arc<Ran>>,
    /// Who mentions what, since the last addition, if it was asked for.
    mentions: RefCell<Option<Arc<Mentions>>>,
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

/// A function that ran: its file, its number there, the names that it mentions of those under which something was left, and what was read
/// while it ran outside of tests.
struct Node {
    file: usize,
    function: usize,
    names: Vec<u64>,
    reads: BTreeSet<Read>,
}

/// A test function, by its run, that left something under a name, and what it was, if that is known.
#[derive(Clone, Copy, PartialEq)]
struct Leaver {
    run: usize,
    fill: Option<u64>,
    /// Whether it was there before, in another order.
    is_reordered: bool,
    behind: Behind,
}

/// What the tests of a function ran: their file, by its node ID, and the functions; which of the fixtures that tests share they use; and what
/// was read meanwhile.
struct Run {
    file: String,
    ran: Vec<Arc<BTreeSet<usize>>>,
    fixtures: BTreeSet<usize>,
    reads: BTreeSet<Read>,
}

impl Run {
    /// Adds functions, of which it is told for each of the tests that ran them.
    fn add(&mut self, ran: &Arc<BTreeSet<usize>>) {
        let last = self.ran.last();
        if last.is_none_or(|last| !Arc::ptr_eq(last, ran)) {
            self.ran.push(ran.clone());
        }
    }
}

impl Functions {
    /// Nothing has run yet; these places are known to be opaque, of which some have other names than themselves.
    pub fn new(opaque: &BTreeSet<u64>, names: &Names) -> Self {
        let in_files = opaque.iter().filter(|place| names.is_in_file(**place));
        Self {
            opaque: opaque.iter().copied().collect(),
            in_files: in_files.copied().collect(),
            watched: opaque.iter().map(|place| names.of(*place)).collect(),
            ..Self::default()
        }
    }

    /// Adds what a worker told; `source` gives files by their absolute paths, `fills` what was left by more than one test function. Gives
    /// what was left of which all is known, where there is no crowd, with what had run by then.
    pub fn add(
        &mut self,
        trace: &Trace,
        fills: &Fills,
        source: impl Fn(&str) -> Option<Source>,
    ) -> Vec<Filled> {
        let mut filled = Vec::new();
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
        for (owners, numbers) in &trace.ran {
            let mut nodes = BTreeSet::new();
            for number in numbers {
                match self.nodes_of(*number as usize) {
                    Some(found) => nodes.extend(found.iter().copied()),
                    None => self.is_blind = true,
                }
            }
            let nodes = Arc::new(nodes);
            for owner in owners {
                self.add_ran(owner, &nodes);
            }
        }
        for left in &trace.left {
            // What the set-up of a fixture has left comes of what that ran.
            let run = if left.fixture.is_empty() {
                self.run_of(&left.test)
            } else {
                self.run_of(&format!("x:{}", left.fixture))
            };
            for (told, digests) in left.by_names() {
                let name = self.watch(Place::of(told));
                let is_reordered = is_reordered(&digests);
                let fill = fill(digests);
                let behind = match (fills.is_crowded(name), fills.are_common(name, fill)) {
                    (true, _) if is_reordered => Behind::Nothing,
                    (false, false) => Behind::All,
                    _ => Behind::Project,
                };
                let leaver = Leaver {
                    run,
                    fill,
                    is_reordered,
                    behind,
                };
                if let Some(fill) = fill
                    && !is_reordered
                    && !fills.is_crowded(name)
                {
                    filled.push(Filled {
                        place: name,
                        fill,
                        leaver: name_hash(TestId::new(&*left.test).function()),
                        ran: self.ran_by(run),
                    });
                }
                let known = self.leavers.entry(name).or_default();
                if known.last() != Some(&leaver) {
                    known.push(leaver);
                }
            }
        }
        for told in &trace.opaque {
            let place = self.watch(Place::of(told));
            self.opaque.insert(place);
        }
        *self.mentions.get_mut() = None;
        filled
    }

    /// This under a name is known to be common.
    pub fn is_common(&mut self, name: u64, common: Common) {
        if common == Common::Crowd {
            self.bearings.retain(|(place, _), _| *place != name);
        }
        let leavers = self.leavers.get_mut(&name).into_iter().flatten();
        let counts = |leaver: &&mut Leaver| match common {
            Common::Fill(fill) => leaver.fill == Some(fill),
            Common::Crowd => true,
        };
        for leaver in leavers.filter(counts) {
            leaver.behind = match common {
                Common::Crowd if leaver.is_reordered => Behind::Nothing,
                _ => leaver.behind.min(Behind::Project),
            };
        }
    }

    fn add_ran(&mut self, owner: &str, ran: &Arc<BTreeSet<usize>>) {
        let nodes = ran.iter().copied();
        if owner.is_empty() {
            self.early.extend(nodes);
        } else if owner == "s:" {
            self.shared.extend(nodes);
        } else if owner == "c:" {
            self.looked_at.extend(nodes);
        } else if let Some((file, path)) = owner
            .strip_prefix("i:")
            .and_then(|file| file.split_once('\0'))
        {
            self.imported.insert(file.to_owned(), path.to_owned());
            let known = self.of_imports.entry(path.to_owned()).or_default();
            known.extend(nodes);
        } else if let Some(name) = owner.strip_prefix("x:") {
            let number = self.fixture(name);
            self.of_fixtures[number].extend(nodes);
        } else if let Some((name, user)) = owner
            .strip_prefix("u:")
            .and_then(|use_of| use_of.split_once('\0'))
        {
            let (number, run) = (self.fixture(name), self.run_of(user));
            self.runs[run].fixtures.insert(number);
        } else {
            let run = self.run_of(owner);
            self.runs[run].add(ran);
            let known = self.of_tests.entry(owner.to_owned()).or_default();
            known.push(ran.clone());
        }
    }

    /// The number of a fixture.
    fn fixture(&mut self, name: &str) -> usize {
        if let Some(number) = self.fixture_numbers.get(name) {
            return *number;
        }
        self.of_fixtures.push(BTreeSet::new());
        let number = self.of_fixtures.len() - 1;
        self.fixture_numbers.insert(name.to_owned(), number);
        number
    }

    /// What ran for the fixtures with these numbers.
    fn nodes_of_fixtures<'a>(
        &'a self,
        fixtures: impl IntoIterator<Item = &'a usize>,
    ) -> impl Iterator<Item = &'a usize> {
        let fixtures = fixtures.into_iter();
        fixtures
            .filter_map(|number| self.of_fixtures.get(*number))
            .flatten()
    }

    /// The number of what the tests of a test's function ran.
    fn run_of(&mut self, test: &str) -> usize {
        let test = TestId::new(test);
        if let Some(run) = self.run_numbers.get(test.function()) {
            return *run;
        }
        let of_file = self.test_files.entry(test.file().to_owned()).or_default();
        of_file.push(self.runs.len());
        self.runs.push(Run {
            file: test.file().to_owned(),
            ran: Vec::new(),
            fixtures: BTreeSet::new(),
            reads: BTreeSet::new(),
        });
        self.run_numbers
            .insert(test.function().to_owned(), self.runs.len() - 1);
        self.runs.len() - 1
    }

    /// Finds who mentions a place's name from now on. Gives the key of the place.
    fn watch(&mut self, place: Place<'_>) -> u64 {
        let (name, key) = (place.hash(), place.key());
        if place.file.is_some() {
            self.in_files.insert(key);
        }
        if self.watched.insert(name) {
            for node in 0..self.nodes.len() {
                if self.mentions(node, name) {
                    self.nodes[node].names.push(name);
                }
            }
        }
        key
    }

    fn mentions(&self, node: usize, name: u64) -> bool {
        let node = &self.nodes[node];
        match (self.source(node), self.function(node)) {
            (Some(source), Some(function)) => {
                function.simple == name || source.symbols.mentions(function).any(|one| one == name)
            }
            _ => false,
        }
    }

    /// Adds what was read, if it was by a function or in a test: who else reads owns it by other means.
    fn add_read(
        &mut self,
        owner: &str,
        kind: u8,
        key: &str,
        source: &impl Fn(&str) -> Option<Source>,
    ) {
        let Some(kind) = ReadKind::from_code(kind) else {
            return;
        };
        let read: Read = (kind, key.into());
        if let Some(test) = owner.strip_prefix("t:") {
            let run = self.run_of(test);
            self.runs[run].reads.insert(read);
            return;
        }
        let Some((path, number)) = owner
            .strip_prefix("m:")
            .and_then(|module| module.split_once('\0'))
            .filter(|(_, number)| !number.ends_with(OF_TEST))
        else {
            return;
        };
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
        self.files.push(File {
            source: source(path),
            reads: BTreeSet::new(),
            is_opaque: false,
        });
        self.file_numbers.insert(path.to_owned(), number);
        number
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
        let found = symbols.iter().flat_map(|symbols| symbols.at(line));
        let nodes: Arc<[usize]> = found
            .map(|number| self.node(file, number))
            .collect::<Vec<usize>>()
            .into();
        self.code[code].nodes = Some(nodes.clone());
        Some(nodes)
    }

    fn node(&mut self, file: usize, function: usize) -> usize {
        if let Some(node) = self.node_numbers.get(&(file, function)) {
            return *node;
        }
        let node = self.nodes.len();
        self.nodes.push(Node {
            file,
            function,
            names: Vec::new(),
            reads: BTreeSet::new(),
        });
        self.node_numbers.insert((file, function), node);
        let watched = self.watched.iter().copied();
        self.nodes[node].names = watched.filter(|name| self.mentions(node, *name)).collect();
        node
    }

    /// The places that tests of a file with that node ID find if they mention these names.
    fn places_of(&self, mut names: FxHashSet<u64>, file: &str) -> FxHashSet<u64> {
        if !self.in_files.is_empty() {
            let file = name_hash(file);
            let own = names.iter().map(|name| key_in(*name, file));
            let own: Vec<u64> = own.filter(|place| self.in_files.contains(place)).collect();
            names.extend(own);
        }
        names
    }

    /// The names under which something was left that some of these functions mention.
    fn names_of<'n>(&self, nodes: impl IntoIterator<Item = &'n usize>) -> FxHashSet<u64> {
        let nodes = nodes.into_iter();
        nodes
            .flat_map(|node| self.nodes[*node].names.iter().copied())
            .collect()
    }

    /// The sets of functions that ran in tests of a function, when their file was imported, and for the fixtures that they use.
    fn sets_of_run(&self, run: usize) -> impl Iterator<Item = &BTreeSet<usize>> {
        let run = &self.runs[run];
        let path = self.imported.get(&run.file);
        let of_import = path.and_then(|path| self.of_imports.get(path));
        let of_fixtures = run.fixtures.iter().map(|number| &self.of_fixtures[*number]);
        let own = run.ran.iter().map(|ran| &**ran);
        own.chain(of_import).chain(of_fixtures)
    }

    /// The fixtures that all test functions of a file use which ran: what runs for them is kept once for all of its tests.
    fn usual_fixtures(&self, file: &str) -> BTreeSet<usize> {
        let runs = self.test_files.get(file).map_or(&[][..], Vec::as_slice);
        let mut counts: FxHashMap<usize, usize> = FxHashMap::default();
        for number in runs.iter().flat_map(|run| &self.runs[*run].fixtures) {
            *counts.entry(*number).or_default() += 1;
        }
        let usual = counts.into_iter().filter(|(_, count)| *count == runs.len());
        usual.map(|(number, _)| number).collect()
    }

    /// What ran for the fixtures that a test uses.
    fn nodes_for(&self, test: &str) -> impl Iterator<Item = &usize> {
        let run = self.run_numbers.get(TestId::new(test).function());
        let fixtures = run.map(|run| &self.runs[*run].fixtures);
        self.nodes_of_fixtures(fixtures.into_iter().flatten())
    }

    /// Whether a function is in a file of tests that ran.
    fn is_of_tests(&self, node: usize) -> bool {
        let source = self.source(&self.nodes[node]);
        source.is_some_and(|source| self.test_files.contains_key(&source.key))
    }

    /// Whether a file was collected as one of tests, so that pytest has run its frame, unless another file did before.
    fn was_collected(&self, path: &str) -> bool {
        self.of_imports.contains_key(path)
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
}
