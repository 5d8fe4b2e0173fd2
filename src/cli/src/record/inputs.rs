//! What the tests of a file, and each of them, depend on, by what processes have observed: as inputs, and as facts.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dx_py_core::{Fact, Input, RelPath, TestId};
use dx_py_discovery::symbols::name_hash;
use dx_py_select::{ByFunctions, Inputs, Read, ReadKind};
use rustc_hash::FxHashSet;

use super::{FileKeys, Manners, Recorder, Sliced, is_site};
use crate::functions::{Scope, Source};

/// What the tests of a file share where functions are told apart: what all of them reach, the inputs by that, and the facts.
pub(super) struct Parted {
    pub(super) scope: Scope,
    pub(super) inputs: Inputs,
    pub(super) facts: Vec<Fact>,
}

/// What a test reaches where functions are told apart: symbols, and whether one of the functions reads the test's own file.
pub(super) struct Reached {
    pub(super) symbols: Vec<Fact>,
    pub(super) reads_own_file: bool,
}

impl Recorder<'_> {
    /// A file of the project whose functions can be told apart.
    pub(super) fn source(&self, path: &str) -> Option<Source> {
        let inner = RelPath::new(self.world.root(), Path::new(path))?;
        self.graph.file(&inner)?;
        let key = self.world.key(path);
        let symbols = self.world.symbols(&key)?;
        Some(Source {
            shows_lines_to_importers: symbols.frame_sees_lines
                && !self.graph.importers(&inner).is_empty(),
            key,
            symbols,
        })
    }

    /// What all tests of a collected file reach of the project's functions; none if whole files count.
    pub(super) fn scope(
        &self,
        process: u32,
        file: &str,
        shared: &Inputs,
        path: &Path,
    ) -> Option<Scope> {
        let functions = self.functions.get(&process)?;
        let seen = self.observations.get(&process)?;
        let source = |file: &str| {
            // Of a test's own file its slice counts. A module whose code wasn't seen may have run any of it.
            let is_seen = functions.knows(file) || !seen.is_loaded(file);
            let is_text = || shared.reads.contains(&(ReadKind::Text, file.into()));
            (Path::new(file) != path && is_seen && !is_text())
                .then(|| self.source(file))
                .flatten()
        };
        let files = shared.files.iter().map(|file| &**file);
        functions.scope(file, &path.to_string_lossy(), files, source)
    }

    /// What the tests of a collected file share by the functions that all of them reach; none if whole files count. `shared` is what they
    /// share if all functions count.
    pub(super) fn parted(
        &self,
        process: u32,
        file: &str,
        shared: &Inputs,
        path: &Path,
    ) -> Result<Option<Parted>, String> {
        let Some(scope) = self.scope(process, file, shared, path) else {
            return Ok(None);
        };
        let reads = ByFunctions::Only(&scope.reads);
        let inputs = self.inputs_of_file(process, file, path, reads);
        let mut facts = self.shared_facts(process, &inputs, path)?;
        facts.extend(self.symbols(&scope.symbols));
        Ok(Some(Parted {
            scope,
            inputs,
            facts,
        }))
    }

    /// The inputs of a test of the file at `path` beyond those that all tests of the file share, and the functions that it reaches beyond
    /// those that they all do.
    pub(super) fn inputs_of_test(
        &self,
        process: u32,
        test: &TestId,
        path: &Path,
        shared: &Inputs,
        parted: Option<&Parted>,
    ) -> (Inputs, Option<Reached>) {
        let Some(seen) = self.observations.get(&process) else {
            return Default::default();
        };
        let own = seen.of_test(test.as_str(), shared, ByFunctions::All);
        let parts = parted.and_then(|parted| {
            let (symbols, reads) = self.reached_by(process, test, &parted.scope, &own)?;
            let inputs = seen.of_test(test.as_str(), &parted.inputs, ByFunctions::Only(&reads));
            let mut all_reads = reads.iter().chain(&parted.scope.reads);
            let reached = Reached {
                symbols: self.symbols(&symbols).collect(),
                reads_own_file: all_reads.any(|(_, key)| Path::new(&**key) == path),
            };
            Some((inputs, Some(reached)))
        });
        parts.unwrap_or((own, None))
    }

    /// The symbols that a test reaches beyond those that all tests of its file do, and what was read by them.
    pub(super) fn reached_by(
        &self,
        process: u32,
        test: &TestId,
        scope: &Scope,
        own: &Inputs,
    ) -> Option<(Vec<Input>, Vec<Read>)> {
        let seen = self.observations.get(&process)?;
        let functions = self.functions.get(&process)?;
        let texts = own.reads.iter().filter_map(|(kind, key)| match kind {
            ReadKind::Text => Some(&**key),
            _ => None,
        });
        let source = |file: &str| {
            let is_seen = functions.knows(file) || !seen.is_loaded(file);
            is_seen.then(|| self.source(file)).flatten()
        };
        let files = own.files.iter().map(|file| &**file);
        scope.of_test(functions, test.as_str(), files, texts, source)
    }

    pub(super) fn symbols(&self, symbols: &[Input]) -> impl Iterator<Item = Fact> {
        symbols.iter().map(|symbol| self.fact(symbol.clone()))
    }

    /// The slice of its own file that is all that a test can depend on of it, if it has one. `reached` is what was seen to run in it, where
    /// it was seen as well what the tests of the file left behind.
    pub(super) fn sliced(
        &self,
        process: u32,
        test: &TestId,
        path: &Path,
        reached: Option<&Reached>,
    ) -> Option<Input> {
        let Sliced { function, fixtures } = self.sliced.get(test)?;
        let file = path.to_str()?;
        let observed = self.observations.get(&process)?;
        let reads = match reached {
            Some(reached) => {
                reached.reads_own_file || observed.reads_outside_of_functions(test.as_str(), file)
            }
            None => observed.reads_own_file(test.as_str(), file),
        };
        if reads {
            return None;
        }
        let key = self.world.key(file);
        if reached.is_none() {
            // What others do to the value of such a fixture bears on it, whatever they are.
            return fixtures.is_empty().then(|| Input::slice(&key, function));
        }
        let slices = self.world.slices(&key)?;
        let is_of_file = |fixture| slices.shared().any(|name| name_hash(name) == fixture);
        let mut fixtures = fixtures.iter();
        if fixtures.any(|name| self.left.binds(test, *name, is_of_file(*name))) {
            return None;
        }
        let left = slices
            .shared()
            .filter_map(|name| Some((name, self.left.joined(test, name)?)));
        Some(Input::slice_by_leftovers(&key, function, left))
    }

    /// Whether code of the project that a file's tests reach, beside the file, may look at the lines that it is called from.
    pub(super) fn tells_lines(&self, file: &Path, shared: &Inputs) -> bool {
        let mut files = shared.files.iter();
        files.any(|other| self.manners(other).sees_lines && Path::new(&**other) != file)
    }

    /// What the import graph says of a file: asked of each that tests reach, of which most are the same in each job.
    fn manners(&self, path: &Arc<str>) -> Manners {
        let mut known = self.manners.borrow_mut();
        if let Some(manners) = known.get(path) {
            return *manners;
        }
        let inner = RelPath::new(self.world.root(), Path::new(&**path));
        let node = inner.and_then(|inner| self.graph.file(&inner));
        let manners = node.map_or_else(Manners::default, |node| Manners {
            is_opaque: node.imports.opaque,
            sees_lines: node.imports.sees_lines,
        });
        known.insert(path.clone(), manners);
        manners
    }

    pub(super) fn fact(&self, input: Input) -> Fact {
        Fact {
            digest: self.world.digest(&input),
            input,
        }
    }

    /// The facts that stand for what the tests of a collected file share, and for what every test of the place depends on; or the reason
    /// why nobody can say which state was seen.
    pub(super) fn shared_facts(
        &self,
        process: u32,
        shared: &Inputs,
        path: &Path,
    ) -> Result<Vec<Fact>, String> {
        let mut facts = self.facts(process, shared)?;
        facts.extend(self.base.iter().cloned());
        facts.extend(self.chain(path));
        Ok(facts)
    }

    /// The inputs that the tests of a collected file share, as process `process` observed them so far.
    pub(super) fn inputs_of_file(
        &self,
        process: u32,
        file: &str,
        path: &Path,
        reads: ByFunctions<'_>,
    ) -> Inputs {
        let root = self.world.root();
        let mut roots: HashSet<String> = HashSet::new();
        roots.insert(path.to_string_lossy().into_owned());
        if let Some(inner) = RelPath::new(root, path) {
            for folder in inner.ancestors() {
                let conftest = folder.join("conftest.py").to_path(root);
                if conftest.is_file() {
                    roots.insert(conftest.to_string_lossy().into_owned());
                }
            }
            let closure = self.graph.closure(&inner);
            roots.extend(
                closure
                    .iter()
                    .map(|each| each.to_path(root).to_string_lossy().into_owned()),
            );
        }
        let Some(seen) = self.observations.get(&process) else {
            return Inputs::default();
        };
        let inputs = seen.of_file(file, roots.iter().map(String::as_str), reads);
        // A module that imports by a name made up while it runs may have reached any module that was loaded by then.
        if !inputs.files.iter().any(|file| self.manners(file).is_opaque) {
            return inputs;
        }
        let loaded = seen.modules().filter(|file| {
            RelPath::new(root, Path::new(file))
                .is_some_and(|inner| !dx_py_graph::resolve::is_test_file(&inner))
        });
        let roots = roots.iter().map(String::as_str).chain(loaded);
        seen.of_file(file, roots, reads)
    }

    /// Inputs that stand for what could appear beside a file: conftests and `__init__.py` in the folders above it.
    pub(super) fn chain(&self, path: &Path) -> Vec<Fact> {
        let Some(inner) = RelPath::new(self.world.root(), path) else {
            return Vec::new();
        };
        inner
            .ancestors()
            .flat_map(|folder| {
                [
                    Input::File(folder.join("conftest.py").as_str().to_owned()),
                    Input::Existence(folder.join("__init__.py").as_str().to_owned()),
                ]
            })
            .map(|input| self.fact(input))
            .collect()
    }

    /// What a file stands for; nothing if it doesn't count.
    fn keys_of_file(&self, file: &str) -> Option<FileKeys> {
        if self.is_standard_library(file) || self.is_made_by_the_run(file) {
            return None;
        }
        let record = self.distributions.record_of(file);
        Some(FileKeys {
            file: self.world.key(file),
            record: record.map(|record| self.world.key(record)),
        })
    }

    /// The facts for inputs that were observed, or the reason why nobody can say which state a test saw.
    pub(super) fn facts(&self, process: u32, inputs: &Inputs) -> Result<Vec<Fact>, String> {
        let mut found: FxHashSet<Input> = FxHashSet::default();
        let mut doubt = None;
        let mut known = self.files.borrow_mut();
        for file in inputs.files.iter() {
            if !known.contains_key(file) {
                known.insert(file.clone(), self.keys_of_file(file));
            }
            let Some(Some(FileKeys { file: key, record })) = known.get(file) else {
                continue;
            };
            let writer = self.writers.get(file);
            // Setting a file's times or mode changes its stat and leaves its content.
            let only_touched = writer.is_none() && self.touched.contains(&**file);
            if !only_touched && self.world.changed_while_running(key) {
                let reason = match writer {
                    Some(writer) if *writer == process => {
                        format!("a test wrote {key}, and it was read")
                    }
                    Some(_) => format!("a test in another process wrote {key}"),
                    None => format!("{key} changed while running"),
                };
                // All of them are looked at, so that the next run knows what it has to compare with.
                if writer.is_some() || !self.world.is_as_known(key) {
                    doubt.get_or_insert(reason);
                }
            }
            found.extend(record.clone().map(Input::File));
            found.insert(Input::File(key.clone()));
        }
        if let Some(reason) = doubt {
            return Err(reason);
        }
        for name in &inputs.modules {
            // A module of the project is watched by its full name, since a package may come to hide it; of an installed
            // distribution only the top level can be hidden by something of the project's.
            let top = name.split('.').next().unwrap_or(name);
            found.insert(Input::ModuleOrigin(top.to_owned()));
            if self.graph_has(name) {
                found.insert(Input::ModuleOrigin(name.to_string()));
            }
        }
        for (kind, key) in &inputs.reads {
            let is_path = matches!(kind, ReadKind::Existence | ReadKind::Listing);
            if is_path && self.is_made_by_the_run(key) {
                continue;
            }
            found.insert(match kind {
                // It says how a file counts that is an input already.
                ReadKind::Text => continue,
                ReadKind::File => Input::File(self.world.key(key)),
                ReadKind::Existence => Input::Existence(self.world.key(key)),
                ReadKind::Listing => Input::Listing(self.world.key(key)),
                ReadKind::Variable => Input::Variable(key.to_string()),
                ReadKind::Project => Input::Project,
                ReadKind::Unknowable => Input::Unknowable(key.to_string()),
            });
        }
        Ok(found.into_iter().map(|input| self.fact(input)).collect())
    }

    /// Whether a dotted name may be a module of the project, or wasn't found and may come to be one.
    pub(super) fn graph_has(&self, name: &str) -> bool {
        name.contains('.')
            && !self
                .distributions
                .has_top_level(name.split('.').next().unwrap_or(name))
    }

    /// Whether a path belongs to what tests put into the temporary folder.
    pub(super) fn is_made_by_the_run(&self, path: &str) -> bool {
        let path = Path::new(path);
        !path.starts_with(self.world.root()) && self.temporary.is_new(path)
    }

    pub(super) fn is_standard_library(&self, file: &str) -> bool {
        !is_site(file)
            && self
                .standard_library
                .iter()
                .any(|folder| Path::new(file).starts_with(folder))
    }

    /// The facts under which pytest's list of collected files holds: the folders it looked into, and every file there that was
    /// imported and held no test. With them the paths from the root of the Python files there that weren't looked into, sorted.
    pub fn file_list_facts(
        &self,
        process: u32,
        listings: &[String],
        collected: &HashSet<PathBuf>,
    ) -> Option<(Vec<Fact>, Vec<String>)> {
        let (mut facts, mut passed_over) = (self.base.clone(), Vec::new());
        let (mut symbols, mut whole) = (Vec::new(), HashSet::new());
        for folder in listings {
            let place = self.world.key(folder);
            // What is there by the fact, not what has come since.
            let names = self.world.names(&place)?;
            facts.push(self.fact(Input::PythonListing(place)));
            for name in names.iter().filter(|name| name.ends_with(".py")) {
                let path = Path::new(folder).join(name);
                if collected.contains(&path) {
                    continue;
                }
                let key = self.world.key(&path.to_string_lossy());
                let seen = self.observations.get(&process);
                let candidate =
                    name == "conftest.py" || seen.is_some_and(|seen| seen.was_collected(&key));
                if !candidate {
                    passed_over.push(key);
                } else {
                    let inputs = self.inputs_of_file(process, &key, &path, ByFunctions::All);
                    facts.extend(self.facts(process, &inputs).ok()?);
                    let scope = self.scope(process, "", &inputs, Path::new(""));
                    let own: Vec<Fact> = scope
                        .iter()
                        .flat_map(|scope| self.symbols(&scope.symbols))
                        .collect();
                    let parted: HashSet<&str> = own.iter().filter_map(file_of).collect();
                    let files = inputs.files.iter().map(|file| self.world.key(file));
                    whole.extend(files.filter(|file| !parted.contains(&**file)));
                    symbols.extend(own);
                }
            }
        }
        // What counts as a whole for one counts so for the list.
        symbols.retain(|fact| file_of(fact).is_some_and(|file| !whole.contains(file)));
        facts.extend(symbols);
        facts.sort();
        facts.dedup();
        passed_over.sort();
        Some((facts, passed_over))
    }
}

/// The file that a fact is about a part of.
fn file_of(fact: &Fact) -> Option<&str> {
    fact.input.part_of_file().map(|(file, _)| file)
}
