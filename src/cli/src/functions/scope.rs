//! What the tests of one file, or one of them, reach of the functions that ran in their process.

use std::collections::BTreeSet;

use dx_py_core::Input;
use dx_py_discovery::symbols::name_hash;
use dx_py_select::Read;
use rustc_hash::FxHashSet;

use super::{ANYBODY, Functions, Source};

impl Functions {
    /// What all tests of the file with the node ID `file` reach, whose inputs are `files`, by their absolute paths, and which is `own`
    /// itself; `source` gives those whose functions can be told apart. None if all of the files count.
    pub fn scope<'a>(
        &self,
        file: &str,
        own: &str,
        files: impl Iterator<Item = &'a str>,
        source: impl Fn(&str) -> Option<Source>,
    ) -> Option<Scope> {
        if self.is_blind {
            return None;
        }
        let mut scope = Scope {
            own: self.file_numbers.get(own).copied(),
            counts: vec![false; self.files.len()],
            is_parted: vec![false; self.files.len()],
            is_reached: vec![false; self.nodes.len()],
            symbols: Vec::new(),
            of_own: Vec::new(),
            reads: Vec::new(),
            file: file.to_owned(),
            names: FxHashSet::default(),
        };
        scope.add_files(self, files, source)?;
        let own = self.of_imports.get(own).into_iter().flatten();
        let start: BTreeSet<usize> = self.shared.iter().chain(own).copied().collect();
        scope.add(self, self.early.iter())?;
        scope.add(self, start.iter())?;
        // What these mention matters to those that use them alone.
        scope.add(self, self.nodes_of_fixtures(&self.usual_fixtures(file)))?;
        let mut names = self.names_of(&start);
        names.insert(name_hash(ANYBODY));
        scope.add_left(self, names)?;
        Some(scope)
    }
}

/// What the tests of one file reach, or one of them.
pub struct Scope {
    /// The file that the tests are in, if code of it ran.
    own: Option<usize>,
    /// Of each file whether it is an input at all, and whether its symbols stand for it.
    counts: Vec<bool>,
    is_parted: Vec<bool>,
    /// Of each function whether every test reaches it.
    is_reached: Vec<bool>,
    /// The symbols, with files that aren't inputs otherwise.
    pub symbols: Vec<Input>,
    /// Symbols of the tests' own file, which count beside the slices of tests.
    of_own: Vec<Input>,
    /// What was read by functions.
    pub reads: Vec<Read>,
    /// The node ID of the file, whose tests alone find some things.
    file: String,
    /// The places of which it was found what is behind them.
    names: FxHashSet<u64>,
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
            own: self.own,
            counts: self.counts.clone(),
            is_parted: self.is_parted.clone(),
            is_reached: self.is_reached.clone(),
            symbols: Vec::new(),
            of_own: self.of_own.clone(),
            reads: Vec::new(),
            file: self.file.clone(),
            names: self.names.clone(),
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
        for ran in functions.of_tests.get(test).into_iter().flatten() {
            own.add(functions, ran.iter())?;
            own.add_left(functions, functions.names_of(&**ran))?;
        }
        let of_fixtures: BTreeSet<usize> = functions.nodes_for(test).copied().collect();
        own.add(functions, of_fixtures.iter())?;
        own.add_left(functions, functions.names_of(&of_fixtures))?;
        own.symbols.append(&mut own.of_own);
        Some((own.symbols, own.reads))
    }

    fn add_files<'b>(
        &mut self,
        functions: &Functions,
        files: impl Iterator<Item = &'b str>,
        source: impl Fn(&str) -> Option<Source>,
    ) -> Option<()> {
        let mut imported = BTreeSet::new();
        for path in files {
            imported.extend(functions.of_imports.get(path).into_iter().flatten());
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
            // The frame of a file of tests that nobody imports ran while it was collected: whoever gets at it later wasn't there.
            let ran_alone = functions.was_collected(path) && !source.shows_lines_to_importers;
            if source.symbols.frame_sees_lines && !ran_alone {
                return None;
            }
            self.symbols.push(Input::symbol(&source.key, ""));
            if let Some(number) = number {
                self.is_parted[number] = true;
                self.look_at_code(functions, number, &source.key);
            }
        }
        self.add(functions, imported.iter())?;
        self.add_left(functions, functions.names_of(&imported))
    }

    /// Adds the functions of a file whose code was looked at.
    fn look_at_code(&mut self, functions: &Functions, file: usize, key: &str) {
        let nodes = functions
            .looked_at
            .iter()
            .map(|node| &functions.nodes[*node]);
        let found = nodes
            .filter(|node| node.file == file)
            .filter_map(|node| functions.function(node));
        self.symbols
            .extend(found.map(|function| Input::code_of(key, &function.name)));
    }

    /// Adds functions that ran, as far as their files count; none if one of them may learn of lines.
    fn add<'n>(
        &mut self,
        functions: &Functions,
        nodes: impl Iterator<Item = &'n usize>,
    ) -> Option<()> {
        for number in nodes {
            let node = &functions.nodes[*number];
            if !self.counts[node.file] {
                continue;
            }
            if functions.function(node)?.sees_lines {
                return None;
            }
            if !self.is_reached[*number] {
                self.reach(functions, *number);
            }
        }
        Some(())
    }

    /// Adds a function, whose file counts.
    fn reach(&mut self, functions: &Functions, number: usize) {
        let node = &functions.nodes[number];
        self.is_reached[number] = true;
        self.reads.extend(node.reads.iter().cloned());
        if self.is_parted[node.file]
            && let (Some(source), Some(function)) =
                (functions.source(node), functions.function(node))
        {
            self.symbols
                .push(Input::symbol(&source.key, &function.name));
        }
    }

    /// Adds what is behind what was left under these names, functions in whatever file; none if one isn't known. If one of them may learn
    /// of lines, it's those of the test that left something, which runs again then, and is seen to leave something else.
    fn add_left(&mut self, functions: &Functions, names: FxHashSet<u64>) -> Option<()> {
        let places = functions.places_of(names, &self.file);
        let origin = functions.behind(&places, &mut self.names);
        self.reads.extend(origin.reads);
        for number in &origin.nodes {
            let node = &functions.nodes[*number];
            if self.is_reached[*number] {
                continue;
            }
            let (source, function) = (functions.source(node)?, functions.function(node)?);
            let symbol = Input::symbol(&source.key, &function.name);
            if self.own == Some(node.file) {
                self.is_reached[*number] = true;
                self.of_own.push(symbol);
                continue;
            }
            if !self.counts[node.file] {
                self.counts[node.file] = true;
                self.is_parted[node.file] = !functions.files[node.file].is_opaque;
                self.symbols.push(Input::File(source.key.clone()));
                let frame = Input::symbol(&source.key, "");
                self.symbols
                    .extend(self.is_parted[node.file].then_some(frame));
            }
            self.reach(functions, *number);
        }
        Some(())
    }
}
