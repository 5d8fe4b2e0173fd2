//! Writes what happens in a run into the catalog, as it happens.
//!
//! Outcomes are written in batches as they arrive. Passes, which make tests fresh in later runs, are written when a job has ended,
//! since only then is it known what its tests depended on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dx_py_catalog::{
    Catalog, CatalogError, CollectedFile, CollectedTest, Keywords, PassId, RunId, SetId, UniverseId,
};
use dx_py_core::{Fact, Input, Phase, PhaseReport, RelPath, TestId, TestResult, TestStatus};
use dx_py_graph::ImportGraph;
use dx_py_protocol::{Collected, CollectedItem, Hello, Trace};
use dx_py_select::{Inputs, Observation, ReadKind};
use rustc_hash::FxHashMap;

use crate::distributions::Distributions;
use crate::functions::{Functions, Scope, Source};
use crate::temporary::TemporaryFolders;
use crate::world::World;

/// How many outcomes, or how much time, one batch of writes gathers at the most.
const BATCH: usize = 200;
const BATCH_TIME: Duration = Duration::from_millis(250);

/// A test that passed, how and how fast.
type Passed<'a> = (&'a TestId, TestStatus, Duration);

/// The recorder of one run.
pub struct Recorder<'a> {
    catalog: &'a mut Catalog,
    universe: UniverseId,
    run: RunId,
    world: &'a World,
    graph: &'a ImportGraph,
    base_inputs: Vec<Input>,
    base: Vec<Fact>,
    distributions: Distributions,
    standard_library: Vec<PathBuf>,
    observations: HashMap<u32, Observation>,
    functions: HashMap<u32, Functions>,
    writers: HashMap<Arc<str>, u32>,
    touched: HashSet<String>,
    temporary: TemporaryFolders,
    paths: HashMap<String, PathBuf>,
    /// The functions of tests of which a part of the file may be all that counts.
    sliced: FxHashMap<TestId, String>,
    good: HashMap<TestId, (TestStatus, Duration)>,
    /// Files with a test whose teardown failed.
    unsettled: HashSet<String>,
    matching: HashMap<TestId, Vec<PassId>>,
    slices: HashMap<TestId, (SetId, SetId)>,
    pending: Vec<TestResult>,
    flushed: Instant,
    /// Files and tests that could not be stored as reusable, with the reason.
    pub uncacheable: HashMap<String, String>,
}

/// What a recorder works with.
pub struct Recording<'a> {
    /// The catalog.
    pub catalog: &'a mut Catalog,
    /// The universe of the run.
    pub universe: UniverseId,
    /// The run.
    pub run: RunId,
    /// The digests now.
    pub world: &'a World,
    /// The import graph.
    pub graph: &'a ImportGraph,
    /// Inputs of every test.
    pub base: Vec<Input>,
    /// Passes that match the digests now: a failure deletes them.
    pub matching: HashMap<TestId, Vec<PassId>>,
    /// Sets with the slices of tests as they are now, and the sets that they are within.
    pub slices: HashMap<TestId, (SetId, SetId)>,
}

impl<'a> Recorder<'a> {
    /// A recorder that has recorded nothing yet.
    pub fn new(recording: Recording<'a>) -> Self {
        Self {
            catalog: recording.catalog,
            universe: recording.universe,
            run: recording.run,
            world: recording.world,
            graph: recording.graph,
            base_inputs: recording.base,
            base: Vec::new(),
            distributions: Distributions::default(),
            standard_library: Vec::new(),
            observations: HashMap::new(),
            functions: HashMap::new(),
            writers: HashMap::new(),
            touched: HashSet::new(),
            temporary: TemporaryFolders::now(),
            paths: HashMap::new(),
            sliced: FxHashMap::default(),
            good: HashMap::new(),
            unsettled: HashSet::new(),
            matching: recording.matching,
            slices: recording.slices,
            pending: Vec::new(),
            flushed: Instant::now(),
            uncacheable: HashMap::new(),
        }
    }

    /// A worker introduced itself.
    pub fn hello(&mut self, hello: &Hello) {
        if self.standard_library.is_empty() {
            self.standard_library = hello.stdlib.iter().map(PathBuf::from).collect();
            let sites: Vec<PathBuf> = hello
                .sys_path
                .iter()
                .filter(|path| is_site(path))
                .map(PathBuf::from)
                .collect();
            self.distributions = Distributions::read(&sites);
            self.world.learn(&hello.sys_path, &hello.stdlib);
            self.base = std::mem::take(&mut self.base_inputs)
                .into_iter()
                .map(|input| self.fact(input))
                .collect();
        }
    }

    /// The name of a path in the catalog.
    pub fn key(&self, path: &str) -> String {
        self.world.key(path)
    }

    /// Files were collected by process `process`: what they hold replaces what was known of them.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn collected(&mut self, process: u32, files: &[Collected]) -> Result<(), CatalogError> {
        let rows: Vec<CollectedFile> = files
            .iter()
            .map(|file| {
                // Without inputs the file is collected again, as one is whose inputs have changed.
                let shared = self.shared_facts(process, &file.file, Path::new(&file.path));
                let set = match shared {
                    Ok((shared, mut facts)) => {
                        let scope = self.scope(process, &file.file, &shared, Path::new(&file.path));
                        facts.extend(scope.iter().flat_map(|scope| self.symbols(&scope.symbols)));
                        Some(self.catalog.intern_set(&facts)?)
                    }
                    Err(_) => None,
                };
                let tests = file
                    .items
                    .iter()
                    .map(collected_test)
                    .collect::<Result<_, CatalogError>>()?;
                Ok(CollectedFile {
                    file: file.file.clone(),
                    path: self.world.key(&file.path),
                    tests,
                    set,
                })
            })
            .collect::<Result<_, CatalogError>>()?;
        self.catalog.record_collections(self.universe, &rows)?;
        for file in files {
            self.paths
                .insert(file.file.clone(), PathBuf::from(&file.path));
            let alone = file.items.iter().filter(|item| !item.is_bound);
            let functions = alone.map(|item| (TestId::new(&*item.id), item.function.clone()));
            self.sliced.extend(functions);
        }
        Ok(())
    }

    /// A worker told what it observed.
    pub fn trace(&mut self, process: u32, trace: &Trace) {
        let seen = self.observations.entry(process).or_default();
        for (name, file) in &trace.modules {
            seen.module(name, file);
        }
        for (importer, imported) in &trace.imports {
            seen.import(importer, imported);
        }
        for read in &trace.reads {
            if let Some(kind) = ReadKind::from_code(read.kind) {
                seen.read(&read.owner, kind, &read.key);
            }
        }
        for path in &trace.written {
            self.writers.insert(path.as_str().into(), process);
        }
        self.touched.extend(trace.touched.iter().cloned());
        let mut functions = self.functions.remove(&process).unwrap_or_default();
        functions.add(trace, |path| self.source(path));
        self.functions.insert(process, functions);
    }

    /// A worker told a result, whether or not it will be the test's outcome.
    pub fn notice(&mut self, result: &TestResult) {
        // Also where a mark makes it an expected failure.
        let late = |report: &PhaseReport| {
            report.phase == Phase::Teardown && report.status != TestStatus::Passed
        };
        if result.reports.iter().any(late) {
            self.unsettled.insert(result.id.file().to_owned());
        }
    }

    /// A test ended.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn finished(&mut self, result: &TestResult) -> Result<(), CatalogError> {
        if result.status.is_bad() {
            // pytest has shown the file's text: whoever asks for it in this process now isn't seen to read it.
            let file = result.id.file();
            self.sliced.retain(|test, _| test.file() != file);
            if let Some(passes) = self.matching.remove(&result.id) {
                self.catalog.delete_passes(&passes)?;
            }
        } else if !result.second_opinion {
            self.good
                .insert(result.id.clone(), (result.status, result.duration));
        }
        self.pending.push(result.clone());
        if self.pending.len() >= BATCH || self.flushed.elapsed() >= BATCH_TIME {
            self.flush()?;
        }
        Ok(())
    }

    /// If a trace says that something may have read all of the project, looks at it now: what comes until the trace is recorded, such as
    /// the files that pytest's session leaves at its end, is none of it.
    pub fn look_at_project(&self, trace: &Trace) {
        let is_project = |kind| ReadKind::from_code(kind) == Some(ReadKind::Project);
        if trace.reads.iter().any(|read| is_project(read.kind)) {
            self.world.digest(&Input::Project);
        }
    }

    /// Tells that all jobs which are handed to `job_done` from now on, until it is told again, have ended: the files that they depend
    /// on are looked at once for all of them.
    pub fn jobs_have_ended(&self) {
        self.world.look_again();
    }

    /// Keeps a named value.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn keep_note(&mut self, key: &str, value: &[u8]) -> Result<(), CatalogError> {
        self.catalog.set_note(key, value)
    }

    /// Writes what is gathered.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn flush(&mut self) -> Result<(), CatalogError> {
        self.catalog
            .record_outcomes(self.run, self.universe, &self.pending)?;
        self.pending.clear();
        self.flushed = Instant::now();
        Ok(())
    }

    /// A job ended: its tests' inputs are known, and those that passed are stored as reusable.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn job_done(
        &mut self,
        process: u32,
        file: &str,
        tests: &[TestId],
    ) -> Result<(), CatalogError> {
        self.flush()?;
        let Some(path) = self.paths.get(file).cloned() else {
            return Ok(());
        };
        if self.unsettled.contains(file) {
            // A wide fixture's failure lands on the last test that ran, while others set the fixture up: without them it wouldn't be seen.
            let passed = |test: &&TestId| self.good.contains_key(test);
            if tests.iter().any(|test| passed(&test)) {
                self.uncacheable
                    .insert(file.to_owned(), "a teardown failed".into());
            }
            return Ok(());
        }
        let (shared, facts) = match self.shared_facts(process, file, &path) {
            Ok(shared) => shared,
            Err(reason) => {
                self.uncacheable.insert(file.to_owned(), reason);
                return Ok(());
            }
        };
        let whole = self.catalog.intern_set(&facts)?;
        // The same, with the functions that all tests of the file reach.
        let scope = self.scope(process, file, &shared, &path);
        let parted = match &scope {
            Some(scope) => {
                let facts: Vec<Fact> = facts
                    .into_iter()
                    .chain(self.symbols(&scope.symbols))
                    .collect();
                Some(self.catalog.intern_set(&facts)?)
            }
            None => None,
        };
        let is_complete = self.functions.get(&process);
        let is_complete = is_complete.is_some_and(Functions::is_complete);
        let lines_count = !is_complete && self.tells_lines(&path, &shared);
        let mut passes: Vec<(TestId, SetId, TestStatus, Duration)> = Vec::new();
        let mut within: BTreeMap<SetId, (Vec<Passed<'_>>, Vec<Vec<Fact>>)> = BTreeMap::new();
        for test in tests {
            let Some((status, duration)) = self.good.remove(test) else {
                continue;
            };
            let own = self
                .observations
                .get(&process)
                .map(|seen| seen.of_test(test.as_str(), &shared))
                .unwrap_or_default();
            let symbols = self.symbols_of_test(process, test, scope.as_ref(), &own);
            let lines_count = lines_count || is_complete && symbols.is_none();
            let sliced = self.sliced(process, test, &path).filter(|_| !lines_count);
            let base = match (&symbols, parted) {
                (Some(_), Some(parted)) => parted,
                _ => whole,
            };
            if let Some((known, set)) = self.slices.get(test)
                && sliced.is_some()
                && own == Inputs::default()
                && symbols.as_ref().is_none_or(Vec::is_empty)
                && *known == base
            {
                passes.push((test.clone(), *set, status, duration));
                continue;
            }
            let mut own = match self.facts(process, &own) {
                Ok(own) => own,
                Err(reason) => {
                    self.uncacheable.insert(test.to_string(), reason);
                    continue;
                }
            };
            let slice = sliced.map(|input| self.fact(input));
            own.extend(slice.filter(|fact| !fact.digest.is_absent()));
            own.extend(symbols.into_iter().flatten());
            let (passed, owns) = within.entry(base).or_default();
            passed.push((test, status, duration));
            owns.push(own);
        }
        for (base, (passed, owns)) in within {
            let sets = self.catalog.intern_within(base, &owns)?;
            for ((test, status, duration), set) in passed.into_iter().zip(sets) {
                passes.push((test.clone(), set, status, duration));
            }
        }
        if let Some(functions) = self.functions.get_mut(&process) {
            tests
                .iter()
                .for_each(|test| functions.forget(test.as_str()));
        }
        self.catalog.record_passes(self.universe, &passes)
    }

    /// A file of the project whose functions can be told apart.
    fn source(&self, path: &str) -> Option<Source> {
        let inner = RelPath::new(self.world.root(), Path::new(path))?;
        self.graph.file(&inner)?;
        let key = self.world.key(path);
        let symbols = self.world.symbols(&key)?;
        Some(Source { key, symbols })
    }

    /// What all tests of a collected file reach of the project's functions; none if whole files count.
    fn scope(&self, process: u32, file: &str, shared: &Inputs, path: &Path) -> Option<Scope> {
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
        functions.scope(file, shared.files.iter().map(|file| &**file), source)
    }

    /// The functions that a test reaches beyond those that all tests of its file do; none if whole files count for it.
    fn symbols_of_test(
        &self,
        process: u32,
        test: &TestId,
        scope: Option<&Scope>,
        own: &Inputs,
    ) -> Option<Vec<Fact>> {
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
        let symbols = scope?.of_test(functions, test.as_str(), files, texts, source)?;
        Some(self.symbols(&symbols).collect())
    }

    fn symbols(&self, symbols: &[Input]) -> impl Iterator<Item = Fact> {
        symbols.iter().map(|symbol| self.fact(symbol.clone()))
    }

    /// The slice of its own file that is all that a test can depend on of it, if it has one.
    fn sliced(&self, process: u32, test: &TestId, path: &Path) -> Option<Input> {
        let function = self.sliced.get(test)?;
        let file = path.to_str()?;
        let observed = self.observations.get(&process)?;
        let reads = observed.reads_own_file(test.as_str(), file);
        (!reads).then(|| Input::slice(&self.world.key(file), function))
    }

    /// Whether code of the project that a file's tests reach, beside the file, may look at the lines that it is called from.
    fn tells_lines(&self, file: &Path, shared: &Inputs) -> bool {
        let root = self.world.root();
        let mut others = shared
            .files
            .iter()
            .filter(|other| Path::new(&***other) != file);
        others.any(|other| {
            RelPath::new(root, Path::new(&**other))
                .and_then(|inner| self.graph.file(&inner))
                .is_some_and(|node| node.imports.sees_lines)
        })
    }

    fn fact(&self, input: Input) -> Fact {
        Fact {
            digest: self.world.digest(&input),
            input,
        }
    }

    /// The inputs that the tests of a collected file share, as process `process` observed them so far, and the facts that stand for
    /// them and for what every test of the place depends on; or the reason why nobody can say which state was seen.
    fn shared_facts(
        &self,
        process: u32,
        file: &str,
        path: &Path,
    ) -> Result<(Inputs, Vec<Fact>), String> {
        let shared = self.inputs_of_file(process, file, path);
        let mut facts = self.facts(process, &shared)?;
        facts.extend(self.base.iter().cloned());
        facts.extend(self.chain(path));
        Ok((shared, facts))
    }

    /// The inputs that the tests of a collected file share, as process `process` observed them.
    fn inputs_of_file(&self, process: u32, file: &str, path: &Path) -> Inputs {
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
        let inputs = seen.of_file(file, roots.iter().map(String::as_str));
        // A module that imports by a name made up while it runs may have reached any module that was loaded by then.
        let opaque = inputs.files.iter().any(|file| {
            RelPath::new(root, Path::new(&**file))
                .and_then(|inner| self.graph.file(&inner))
                .is_some_and(|node| node.imports.opaque)
        });
        if !opaque {
            return inputs;
        }
        let loaded = seen.modules().filter(|file| {
            RelPath::new(root, Path::new(file))
                .is_some_and(|inner| !dx_py_graph::resolve::is_test_file(&inner))
        });
        seen.of_file(file, roots.iter().map(String::as_str).chain(loaded))
    }

    /// Inputs that stand for what could appear beside a file: conftests and `__init__.py` in the folders above it.
    fn chain(&self, path: &Path) -> Vec<Fact> {
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

    /// The facts for inputs that were observed, or the reason why nobody can say which state a test saw.
    fn facts(&self, process: u32, inputs: &Inputs) -> Result<Vec<Fact>, String> {
        let mut found: HashSet<Input> = HashSet::new();
        let mut doubt = None;
        for file in &inputs.files {
            if self.is_standard_library(file) || self.is_made_by_the_run(file) {
                continue;
            }
            let key = self.world.key(file);
            let writer = self.writers.get(file);
            // Setting a file's times or mode changes its stat and leaves its content.
            let only_touched = writer.is_none() && self.touched.contains(&**file);
            if !only_touched && self.world.changed_while_running(&key) {
                let reason = match writer {
                    Some(writer) if *writer == process => {
                        format!("a test wrote {key}, and it was read")
                    }
                    Some(_) => format!("a test of another worker wrote {key}"),
                    None => format!("{key} changed while running"),
                };
                // All of them are looked at, so that the next run knows what it has to compare with.
                if writer.is_some() || !self.world.is_as_known(&key) {
                    doubt.get_or_insert(reason);
                }
            }
            if let Some(record) = self.distributions.record_of(file) {
                found.insert(Input::File(self.world.key(record)));
            }
            found.insert(Input::File(key));
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
    fn graph_has(&self, name: &str) -> bool {
        name.contains('.')
            && !self
                .distributions
                .has_top_level(name.split('.').next().unwrap_or(name))
    }

    /// Whether a path belongs to what tests put into the temporary folder.
    fn is_made_by_the_run(&self, path: &str) -> bool {
        let path = Path::new(path);
        !path.starts_with(self.world.root()) && self.temporary.is_new(path)
    }

    fn is_standard_library(&self, file: &str) -> bool {
        !is_site(file)
            && self
                .standard_library
                .iter()
                .any(|folder| Path::new(file).starts_with(folder))
    }

    /// The node ID of the file at a path in which tests were found in this run.
    pub fn collected_from(&self, key: &str) -> Option<String> {
        let path = self.world.path(key);
        let mut files = self.paths.iter();
        files
            .find(|(_, collected)| **collected == path)
            .map(|(file, _)| file.clone())
    }

    /// The facts under which no test is found in a file: none if pytest didn't look into it, as its name says. Nothing if they aren't
    /// known.
    pub fn facts_without_tests(&self, key: &str) -> Option<Vec<Fact>> {
        let mut facts = Vec::new();
        for (process, seen) in &self.observations {
            if seen.was_collected(key) {
                let inputs = self.inputs_of_file(*process, key, &self.world.path(key));
                facts.extend(self.facts(*process, &inputs).ok()?);
            }
        }
        Some(facts)
    }

    /// The facts under which pytest's list of collected files holds: the folders it looked into, and every file there that was
    /// imported and held no test.
    pub fn file_list_facts(
        &self,
        process: u32,
        listings: &[String],
        collected: &HashSet<PathBuf>,
    ) -> Option<Vec<Fact>> {
        let mut facts = self.base.clone();
        let (mut symbols, mut whole) = (Vec::new(), HashSet::new());
        for folder in listings {
            facts.push(self.fact(Input::PythonListing(self.world.key(folder))));
            for entry in std::fs::read_dir(folder).ok()?.flatten() {
                let path = entry.path();
                let python = path.extension().is_some_and(|extension| extension == "py");
                if !python || collected.contains(&path) {
                    continue;
                }
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let candidate = name == "conftest.py"
                    || self.observations.get(&process).is_some_and(|seen| {
                        seen.was_collected(&self.world.key(&path.to_string_lossy()))
                    });
                if candidate {
                    let key = self.world.key(&path.to_string_lossy());
                    let inputs = self.inputs_of_file(process, &key, &path);
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
        Some(facts)
    }
}

/// The file that a fact is about a part of.
fn file_of(fact: &Fact) -> Option<&str> {
    fact.input.part_of_file().map(|(file, _)| file)
}

/// Whether a path lies where distributions are installed.
pub fn is_site(path: &str) -> bool {
    path.contains("site-packages") || path.contains("dist-packages")
}

fn collected_test(item: &CollectedItem) -> Result<CollectedTest, CatalogError> {
    Ok(CollectedTest {
        id: TestId::new(item.id.as_str()),
        function: item.function.clone(),
        class: Some(item.class_name.clone()).filter(|name| !name.is_empty()),
        line: item.line,
        keywords: Keywords::new(&item.keywords)?,
        markers: item.markers.clone(),
    })
}
