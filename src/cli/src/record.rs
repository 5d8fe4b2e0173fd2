//! Writes what happens in a run into the catalog, as it happens.
//!
//! Outcomes are written in batches. Passes, which make tests fresh in later runs, are written when a job has ended, since only then is it
//! known what its tests depended on.

mod finders;
mod inputs;
mod left;
mod thread;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dx_py_catalog::{
    Catalog, CatalogError, CollectedFile, CollectedTest, Keywords, PassId, RunId, SetId,
    UniverseId, now_ms,
};
use dx_py_core::{Fact, Input, Phase, PhaseReport, TestId, TestResult, TestStatus, blob};
use dx_py_graph::ImportGraph;
use dx_py_protocol::{Collected, CollectedItem, Hello, Trace};
use dx_py_select::{ByFunctions, Observation, ReadKind};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use serde::Serialize;

use crate::bearings::Filled;
use crate::conductor::KnownTests;
use crate::distributions::Distributions;
use crate::functions::Functions;
use crate::leftovers::Leftovers;
use crate::states::SetStates;
use crate::temporary::TemporaryFolders;
use crate::world::World;
use dx_py_discovery::symbols::name_hash;
use left::Left;

pub use thread::RecorderThread;

/// How many collected files are recorded in one go: what they depend on is kept in memory until then.
const AT_ONCE: usize = 64;
/// How often a pass that is asked for all the time is written anew until it would expire.
const RENEWALS: u32 = 30;

/// A pass to be written: the test, its inputs, how it passed and how fast.
type Pass = (TestId, SetId, TestStatus, Duration);
/// A test that passed, how and how fast.
type Passed<'a> = (&'a TestId, TestStatus, Duration);

/// The keys of what a file stands for: itself, and the record of the distribution that it belongs to.
struct FileKeys {
    file: String,
    record: Option<String>,
}

/// How the code of a file of the project goes about: whether it imports by names made up while it runs, and whether it may look at the
/// lines that it is called from.
#[derive(Clone, Copy, Default)]
struct Manners {
    is_opaque: bool,
    sees_lines: bool,
}

/// The recorder of one run.
pub struct Recorder<'a> {
    catalog: &'a mut Catalog,
    universe: UniverseId,
    run: RunId,
    world: &'a mut World,
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
    /// What files stand for that were imported or read: none for those that don't count.
    files: RefCell<FxHashMap<Arc<str>, Option<FileKeys>>>,
    /// How the code of those that are the project's goes about.
    manners: RefCell<FxHashMap<Arc<str>, Manners>>,
    /// The tests of which a part of the file may be all that counts.
    sliced: FxHashMap<TestId, Sliced>,
    good: FxHashMap<TestId, (TestStatus, Duration)>,
    /// Files with a test whose teardown failed.
    unsettled: HashSet<String>,
    known: &'a KnownTests<'a>,
    now_ms: i64,
    /// From which age on a pass is written anew although it says the same.
    old: Option<Duration>,
    sets: &'a mut SetStates,
    /// Tests whose passes don't count any more: a number of one that is gone may be that of another pass by now.
    refuted: FxHashSet<TestId>,
    left: Left,
    /// Whether it was looked up what is known to bear on that, and under which name it is kept.
    knows_bearings: bool,
    bearings_note: String,
    /// What the next batch writes: outcomes, fingerprints of what tests depended on, and passes.
    pending: Vec<TestResult>,
    fingerprints: FxHashMap<TestId, i64>,
    passes: Vec<Pass>,
    /// Files and tests that could not be stored as reusable, with the reason.
    pub uncacheable: HashMap<String, String>,
}

/// A test of which a part of its file may be all that counts.
struct Sliced {
    function: String,
    /// The names, as hashes, of the project's fixtures that it is given and that live longer than it.
    fixtures: Box<[u64]>,
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
    pub world: &'a mut World,
    /// The import graph.
    pub graph: &'a ImportGraph,
    /// Inputs of every test.
    pub base: Vec<Input>,
    /// The tests that were known before: a failure deletes those of their passes that match the digests now.
    pub known: &'a KnownTests<'a>,
    /// After which time a pass expires, if any does.
    pub expiry: Option<Duration>,
    /// The recorded sets of inputs, compared with the digests now.
    pub sets: &'a mut SetStates,
    /// What tests left in earlier runs.
    pub leftovers: Leftovers,
    /// Under which name it is kept what bears on that.
    pub bearings_note: String,
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
            files: RefCell::default(),
            manners: RefCell::default(),
            sliced: FxHashMap::default(),
            good: FxHashMap::default(),
            unsettled: HashSet::new(),
            known: recording.known,
            now_ms: now_ms(),
            old: recording.expiry.map(|expiry| expiry / RENEWALS),
            sets: recording.sets,
            refuted: FxHashSet::default(),
            left: Left::new(recording.leftovers),
            knows_bearings: false,
            bearings_note: recording.bearings_note,
            pending: Vec::new(),
            fingerprints: FxHashMap::default(),
            passes: Vec::new(),
            uncacheable: HashMap::new(),
        }
    }

    /// Looks at what is asked of known tests when they have passed: older passes, too, may match the world.
    fn look_up(&mut self) -> Result<(), CatalogError> {
        self.sets.settle_all(self.catalog, self.world)?;
        let tests = self.known.values().copied();
        self.sets.load_slices(self.catalog, tests)
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

    /// Files were collected by process `process`: what they hold replaces what was known of them, but for those that are `uncertain`.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn collected(
        &mut self,
        process: u32,
        files: &[Collected],
        uncertain: &HashSet<String>,
    ) -> Result<(), CatalogError> {
        for files in files.chunks(AT_ONCE) {
            self.record_collected(process, files, uncertain)?;
        }
        for file in files {
            self.paths
                .insert(file.file.clone(), PathBuf::from(&file.path));
            self.left.add_tests(&file.file, &file.items);
            let alone = file.items.iter().filter(|item| !item.is_bound);
            self.sliced.extend(alone.map(|item| {
                let fixtures = item.shared_fixtures.iter();
                let sliced = Sliced {
                    function: item.function.clone(),
                    fixtures: fixtures.map(|name| name_hash(name)).collect(),
                };
                (TestId::new(&*item.id), sliced)
            }));
        }
        Ok(())
    }

    fn record_collected(
        &mut self,
        process: u32,
        files: &[Collected],
        uncertain: &HashSet<String>,
    ) -> Result<(), CatalogError> {
        let certain = files.iter().filter(|file| !uncertain.contains(&file.file));
        let inputs: Vec<(&Collected, Option<Vec<Fact>>)> = certain
            .map(|file| {
                let path = Path::new(&file.path);
                let shared = self.inputs_of_file(process, &file.file, path, ByFunctions::All);
                let facts = match self.parted(process, &file.file, &shared, path) {
                    Ok(Some(parted)) => Ok(parted.facts),
                    Ok(None) => self.shared_facts(process, &shared, path),
                    Err(reason) => Err(reason),
                };
                (file, facts.ok())
            })
            .collect();
        let known: Vec<&[Fact]> = inputs
            .iter()
            .filter_map(|(_, facts)| facts.as_deref())
            .collect();
        let mut sets = self.catalog.intern_sets(&known)?.into_iter();
        let row = |(file, facts): &(&Collected, Option<Vec<Fact>>)| {
            let tests = file.items.iter().map(collected_test);
            Ok(CollectedFile {
                file: file.file.clone(),
                path: self.world.key(&file.path),
                tests: tests.collect::<Result<_, CatalogError>>()?,
                // Without inputs the file is collected again, as one is whose inputs have changed.
                set: facts.as_ref().and_then(|_| sets.next()),
            })
        };
        let rows = inputs
            .iter()
            .map(row)
            .collect::<Result<Vec<_>, CatalogError>>()?;
        self.catalog.record_collections(self.universe, &rows)
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
        for (name, common) in self.left.add(trace) {
            for functions in self.functions.values_mut() {
                functions.is_common(name, common);
            }
        }
        let functions = self.functions.remove(&process);
        let mut functions =
            functions.unwrap_or_else(|| Functions::new(self.left.opaque(), self.left.names()));
        let filled = functions.add(trace, self.left.fills(), |path| self.source(path));
        self.functions.insert(process, functions);
        if !filled.is_empty() {
            self.add_filled(filled);
        }
    }

    /// Tests left something of which all is known.
    fn add_filled(&mut self, filled: Vec<Filled>) {
        if !self.knows_bearings {
            self.knows_bearings = true;
            // Without it what any of them ran bears on it, for a while.
            let kept = self.catalog.note(&self.bearings_note).ok().flatten();
            let kept = kept.and_then(|value| blob::decode(&value).ok());
            self.left.learn(kept.unwrap_or_default());
        }
        for one in filled {
            let (place, fill) = (one.place, one.fill);
            let ran = self.left.bears(one);
            for functions in self.functions.values_mut() {
                functions.bears(place, fill, ran.clone());
            }
        }
    }

    /// Keeps for other runs what bears on what tests left.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn keep_bearings(&mut self) -> Result<(), CatalogError> {
        if !self.knows_bearings {
            return Ok(());
        }
        let (note, bearings) = (self.bearings_note.clone(), self.left.bearings());
        self.keep_note(&note, &bearings)
    }

    /// What a file's tests depended on can't be told, since a teardown failed in it.
    pub fn distrust(&mut self, file: String) {
        self.unsettled.insert(file);
    }

    /// A test ended.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn finished(&mut self, result: TestResult) -> Result<(), CatalogError> {
        if result.status.is_bad() {
            // pytest has shown the file's text: whoever asks for it in this process now isn't seen to read it.
            let file = result.id.file();
            self.sliced.retain(|test, _| test.file() != file);
            self.refute(&result.id)?;
        } else if !result.second_opinion {
            self.good
                .insert(result.id.clone(), (result.status, result.duration));
        }
        self.pending.push(result);
        Ok(())
    }

    /// Takes it back that tests have passes with the inputs of now.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn forget_passes(&mut self, tests: &[TestId]) -> Result<(), CatalogError> {
        tests.iter().try_for_each(|test| self.refute(test))
    }

    fn refute(&mut self, test: &TestId) -> Result<(), CatalogError> {
        if let Some(known) = self.known.get(test)
            && self.refuted.insert(test.clone())
        {
            let passes = self.sets.matching(known).map(|pass| pass.id);
            let passes: Vec<PassId> = passes.collect();
            self.catalog.delete_passes(&passes)?;
        }
        Ok(())
    }

    /// Looks at all of the project now.
    pub fn look_at_project(&self) {
        self.world.digest(&Input::Project);
    }

    /// Tells that all jobs which are handed to `job_done` from now on, until it is told again, have ended: the files that they depend
    /// on are looked at once for all of them.
    fn look_again(&self) {
        self.world.look_again();
    }

    /// Keeps a named value.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn keep_note<T: Serialize>(&mut self, key: &str, value: &T) -> Result<(), CatalogError> {
        self.catalog.set_note(key, &blob::encode(value)?)
    }

    /// Writes what is gathered.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn flush(&mut self) -> Result<(), CatalogError> {
        let fingerprints = &mut self.fingerprints;
        let is_known = |result: &TestResult| {
            let known = self.known.get(&result.id);
            known.is_some_and(|known| known.was_like(result.status, result.elapsed))
        };
        self.catalog.record_outcomes(
            self.run,
            self.universe,
            &self.pending,
            fingerprints,
            is_known,
        )?;
        for result in self.pending.drain(..) {
            fingerprints.remove(&result.id);
        }
        // Those of outcomes that an earlier batch has written.
        self.catalog.record_inputs(self.run, fingerprints)?;
        fingerprints.clear();
        self.catalog.record_passes(self.universe, &self.passes)?;
        self.passes.clear();
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
        let shared = self.inputs_of_file(process, file, &path, ByFunctions::All);
        let facts = self.shared_facts(process, &shared, &path);
        let parted = self.parted(process, file, &shared, &path);
        let (facts, parted) = match (facts, parted) {
            (Ok(facts), Ok(parted)) => (facts, parted),
            (Err(reason), _) | (_, Err(reason)) => {
                self.uncacheable.insert(file.to_owned(), reason);
                return Ok(());
            }
        };
        let own_key = self.world.key(&path.to_string_lossy());
        let common = fingerprint(&facts);
        let parted_facts = parted.iter().map(|parted| parted.facts.as_slice());
        let lists: Vec<&[Fact]> = iter::once(facts.as_slice()).chain(parted_facts).collect();
        let sets = self.catalog.intern_sets(&lists)?;
        // There is a set for each list.
        let (whole, parted_set) = (sets[0], sets.get(1).copied());
        let is_complete = self.functions.get(&process);
        let is_complete = is_complete.is_some_and(Functions::is_complete);
        let lines_count = !is_complete && self.tells_lines(&path, &shared);
        let mut within: BTreeMap<SetId, (Vec<Passed<'_>>, Vec<Vec<Fact>>)> = BTreeMap::new();
        for test in tests {
            let good = self.good.remove(test);
            let (own, reached) =
                self.inputs_of_test(process, test, &path, &shared, parted.as_ref());
            let lines_count = lines_count || is_complete && reached.is_none();
            let sliced = self.sliced(process, test, &path, reached.as_ref());
            let symbols = reached.map(|reached| reached.symbols);
            let sliced = sliced.filter(|_| !lines_count);
            let base = match (&symbols, parted_set) {
                (Some(_), Some(parted)) => parted,
                _ => whole,
            };
            if own.is_empty()
                && symbols.as_ref().is_none_or(Vec::is_empty)
                && let Some((status, duration)) = good
                && let Some(known) = self.known.get(test)
                && let Some((within, set, slice)) = self.sets.matching_slice(known)
                && sliced.as_ref() == Some(slice)
                && within == base
            {
                self.fingerprints.insert(test.clone(), common);
                self.passed(test, set, status, duration);
                continue;
            }
            let own = self.facts(process, &own);
            if let Ok(own) = &own {
                let fingerprint = common.wrapping_add(fingerprint(own));
                self.fingerprints.insert(test.clone(), fingerprint);
            }
            let Some((status, duration)) = good else {
                continue;
            };
            let mut own = match own {
                Ok(own) => own,
                Err(reason) => {
                    self.uncacheable.insert(test.to_string(), reason);
                    continue;
                }
            };
            let slice = sliced.map(|input| self.fact(input));
            let slice = slice.filter(|fact| !fact.digest.is_absent());
            // Without a slice all of its own file counts, whatever of it has a symbol.
            let is_sliced = slice.is_some();
            own.extend(slice);
            let symbols = symbols.into_iter().flatten();
            own.extend(symbols.filter(|fact| is_sliced || !fact.input.is_part_of(&own_key)));
            let (passed, owns) = within.entry(base).or_default();
            passed.push((test, status, duration));
            owns.push(own);
        }
        for (base, (passed, owns)) in within {
            let sets = self.catalog.intern_within(base, &owns)?;
            for ((test, status, duration), set) in passed.into_iter().zip(sets) {
                self.passed(test, set, status, duration);
            }
        }
        if let Some(functions) = self.functions.get_mut(&process) {
            tests
                .iter()
                .for_each(|test| functions.forget(test.as_str()));
        }
        Ok(())
    }

    /// A test passed with these inputs. Most that passed with them before need nothing to be written.
    fn passed(&mut self, test: &TestId, set: SetId, status: TestStatus, duration: Duration) {
        let newest = self.known.get(test).and_then(|known| known.passes.first());
        let is_told = newest.is_some_and(|pass| {
            pass.is_like(set, status, duration)
                && self.old.is_none_or(|old| pass.age(self.now_ms) < old)
        });
        if !is_told || self.refuted.contains(test) {
            self.passes.push((test.clone(), set, status, duration));
        }
    }

    /// The path from the root of a file, by its node ID, in which tests were found in this run.
    pub fn path_of(&self, file: &str) -> Option<String> {
        let path = self.paths.get(file)?;
        Some(self.key(&path.to_string_lossy()))
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
                let inputs =
                    self.inputs_of_file(*process, key, &self.world.path(key), ByFunctions::All);
                facts.extend(self.facts(*process, &inputs).ok()?);
            }
        }
        Some(facts)
    }
}

/// Whether a test's teardown failed, also where a mark makes that an expected failure.
pub fn has_failed_late(result: &TestResult) -> bool {
    let late = |report: &PhaseReport| {
        report.phase == Phase::Teardown && report.status != TestStatus::Passed
    };
    result.reports.iter().any(late)
}

/// Whether a trace says that something may have read all of the project.
pub fn asks_of_project(trace: &Trace) -> bool {
    let is_project = |kind| ReadKind::from_code(kind) == Some(ReadKind::Project);
    trace.reads.iter().any(|read| is_project(read.kind))
}

/// A number for the state of inputs: equal ones have the same, in whatever order. Parts of files don't count: their file does.
fn fingerprint(facts: &[Fact]) -> i64 {
    let whole = facts.iter().filter(|fact| !fact.input.is_part());
    let mut hashes: Vec<u64> = whole.map(|fact| FxBuildHasher.hash_one(fact)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.into_iter().fold(0, u64::wrapping_add).cast_signed()
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
