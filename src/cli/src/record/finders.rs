//! Who may find what a test left: tests that reach code which mentions the name that it is found under.

use std::path::Path;

use dx_py_catalog::{CatalogError, SetId};
use dx_py_core::{Digest, Fact, Input, RelPath, TestId};
use dx_py_discovery::Symbols;
use dx_py_discovery::symbols::Function;
use rustc_hash::{FxHashMap, FxHashSet};

use super::Recorder;
use crate::functions::ANYBODY;
use crate::leftovers::Place;

impl Recorder<'_> {
    /// Of these fresh tests those that may find what is left under one of these names, as their sets of inputs say. Those of which no function is
    /// told apart are among them only if `are_all_seen`: else they were recorded by runs that didn't look at functions, nor at what is left.
    ///
    /// # Errors
    /// If the catalog can't be read.
    pub fn finders(
        &mut self,
        tests: Vec<TestId>,
        names: &[String],
        are_all_seen: bool,
    ) -> Result<Vec<TestId>, CatalogError> {
        let holding = tests.iter().flat_map(|test| self.holding(test));
        let holding: Vec<SetId> = holding.collect();
        self.sets.load_parts(self.catalog, holding)?;
        let recorder = &*self;
        let places: Vec<Place<'_>> = names.iter().map(|told| Place::of(told)).collect();
        let files: FxHashSet<&str> = places.iter().filter_map(|place| place.file).collect();
        // By the files which have places of their own, and one for all others.
        let mut searches: FxHashMap<Option<&str>, Search<'_>> = FxHashMap::default();
        let mut found: Vec<TestId> = tests
            .into_iter()
            .filter(|test| {
                let file = files.get(test.file()).copied();
                let meant = || {
                    places
                        .iter()
                        .filter(|place| place.file.is_none_or(|own| Some(own) == file))
                };
                let search = searches.entry(file).or_insert_with(|| Search {
                    recorder,
                    names: meant().map(|place| place.hash()).collect(),
                    is_anybodys: meant().any(|place| place.name == ANYBODY),
                    known: FxHashMap::default(),
                });
                !search.names.is_empty()
                    && recorder.holding(test).any(|set| {
                        let sets = &recorder.sets;
                        let facts: Vec<&Fact> =
                            sets.facts_of(set).chain(sets.parts_of(set)).collect();
                        let is_symbol = |fact: &&Fact| matches!(fact.input, Input::Symbol(_));
                        (are_all_seen || facts.iter().any(is_symbol))
                            && (search.is_anybodys || search.is_mentioned(&facts))
                    })
            })
            .collect();
        found.sort_unstable();
        Ok(found)
    }

    /// The sets of a test's passes that hold.
    fn holding(&self, test: &TestId) -> impl Iterator<Item = SetId> {
        let known = self.known.get(test).into_iter();
        known.flat_map(|known| self.sets.matching(known).map(|pass| pass.set))
    }

    /// What of the files of the project that tests of this run wrote, and of the folders around them, isn't what it was; each with its
    /// digest by now.
    pub fn changed_by_tests(&self) -> FxHashMap<Input, Digest> {
        let mut changed = FxHashMap::default();
        for path in self.writers.keys() {
            let Some(path) = RelPath::new(self.world.root(), Path::new(&**path)) else {
                continue;
            };
            let key = path.as_str().to_owned();
            let folder = path.parent().map(|folder| folder.as_str().to_owned());
            let of_path = [Input::File(key.clone()), Input::Existence(key.clone())];
            let of_folder =
                folder.map(|key| [Input::Listing(key.clone()), Input::PythonListing(key)]);
            for input in of_path.into_iter().chain(of_folder.into_iter().flatten()) {
                if let Some(now) = self.world.changed_since(&input) {
                    changed.insert(input, now);
                }
            }
        }
        changed
    }

    /// Of these fresh tests those that have read what has `changed` where it was.
    pub fn readers_of(
        &self,
        tests: Vec<TestId>,
        changed: &FxHashMap<Input, Digest>,
    ) -> Vec<TestId> {
        let is_other = |fact: &Fact| {
            changed
                .get(&fact.input)
                .is_some_and(|now| *now != fact.digest)
        };
        let reads = |test: &TestId| {
            let mut sets = self.holding(test);
            sets.any(|set| self.sets.facts_of(set).any(is_other))
        };
        let mut found: Vec<TestId> = tests.into_iter().filter(reads).collect();
        found.sort_unstable();
        found
    }
}

/// A search for names in the code of the project.
struct Search<'a> {
    recorder: &'a Recorder<'a>,
    names: FxHashSet<u64>,
    /// Whether who runs later finds it, whatever that mentions.
    is_anybodys: bool,
    known: FxHashMap<(String, String), bool>,
}

impl Search<'_> {
    /// Whether a function that these facts stand for mentions one of the names.
    fn is_mentioned(&mut self, facts: &[&Fact]) -> bool {
        let parts = facts.iter().filter_map(|fact| fact.input.part_of_file());
        let in_parts: FxHashSet<&str> = parts.map(|(file, _)| file).collect();
        facts.iter().any(|fact| match &fact.input {
            Input::Symbol(_) => {
                let part = fact.input.part_of_file();
                part.is_some_and(|(file, name)| self.is_in(file, name))
            }
            Input::Slice(_) => {
                let part = fact.input.part_of_file();
                part.is_some_and(|(file, slice)| self.is_in_slice(file, slice))
            }
            Input::File(file) => !in_parts.contains(&**file) && self.is_in(file, "*"),
            _ => false,
        })
    }

    /// Whether functions of that name in a file do, or any for `*`. What runs when the file is imported finds nothing that tests left.
    fn is_in(&mut self, file: &str, name: &str) -> bool {
        let key = (file.to_owned(), name.to_owned());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let is_of_project =
            RelPath::from_text(file).is_some_and(|path| self.recorder.graph.file(&path).is_some());
        let found = is_of_project
            && match self.recorder.world.symbols(file) {
                Some(symbols) => self.is_said(&symbols, name),
                None => true,
            };
        self.known.insert(key, found);
        found
    }

    /// Whether functions of a slice do: all but those of tests that it leaves out.
    fn is_in_slice(&mut self, file: &str, slice: &str) -> bool {
        let key = (file.to_owned(), format!("|{slice}"));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let world = &self.recorder.world;
        let found = match (world.slices(file), world.symbols(file)) {
            (Some(slices), Some(symbols)) => {
                let left_out = slices.left_out(slice);
                let is_in = |function: &Function| {
                    let mut names = function.name.split('.');
                    !names.any(|name| left_out.contains(name))
                };
                let mut functions = symbols.functions().iter();
                functions.any(|function| is_in(function) && self.mentions(&symbols, function))
            }
            _ => true,
        };
        self.known.insert(key, found);
        found
    }

    fn is_said(&self, symbols: &Symbols, name: &str) -> bool {
        let functions = symbols.functions().iter();
        let mut functions = functions.filter(|function| name == "*" || function.name == name);
        functions.any(|function| self.mentions(symbols, function))
    }

    fn mentions(&self, symbols: &Symbols, function: &Function) -> bool {
        let mut mentioned = symbols.mentions(function);
        self.names.contains(&function.simple) || mentioned.any(|one| self.names.contains(&one))
    }
}
