//! Everything that is known before Python is started: the project, its catalog, and how the records compare with the world now.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context;
use dx_py_catalog::{
    Catalog, CatalogError, KnownFile, KnownTest, Pass, SetId, UniverseId, UniverseState,
};
use dx_py_core::{Digest, Input, Marker, RelPath, Verdict, blob};
use dx_py_select::verdict::PassState;
use dx_py_select::{SetState, Subject, verdict};
use globset::{Glob, GlobSet, GlobSetBuilder};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::alone::Serial;
use crate::arrangement::Arrangement;
use crate::auto::Busyness;
use crate::compiles;
use crate::file_list::{FileList, Folders, Renewal};
use crate::ini::CANDIDATES;
use crate::invocation::Invocation;
use crate::leftovers::Leftovers;
use crate::opening::{self, Opening, hex};
use crate::python::Interpreter;
use crate::settings::Project;
use crate::sources::Sources;
use crate::states::{SetStates, counts};
use crate::walk::{self, Recorded, Walk};
use crate::world::{World, WorldSpec, import_path};

/// What an interpreter said of itself when it last ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Python's version.
    pub python: String,
    /// pytest's version.
    pub pytest: String,
    /// `sys.path`.
    pub sys_path: Vec<String>,
    /// The folders of the standard library.
    pub stdlib: Vec<String>,
}

/// The session.
pub struct Session {
    /// The project.
    pub project: Project,
    /// The interpreter.
    pub interpreter: Interpreter,
    /// What it said of itself.
    pub environment: Option<Environment>,
    /// The catalog.
    pub catalog: Catalog,
    /// The universe of the invocation.
    pub universe: UniverseId,
    /// What is known of it.
    pub state: UniverseState,
    /// Index and graph.
    pub sources: Sources,
    /// The digests now.
    pub world: World,
    /// The list of collected files, if its facts hold, or only test files have come or gone.
    pub file_list: Option<FileList>,
    /// The test files that have come since, and the list as it will be when they have been collected.
    pub renewal: Option<Renewal>,
    /// Conftests of some folder whose hooks pytest calls for all tests, when everything was last collected.
    pub wide: Vec<String>,
    /// Why there is no list that holds.
    pub file_list_reason: String,
    /// How sessions were arranged last.
    pub arrangement: Arrangement,
    /// How busy workers were last.
    pub busyness: Option<Busyness>,
    /// The files that run alone.
    pub serial: Serial,
    /// Things to tell the user.
    pub notes: Vec<String>,
    /// The recorded sets of inputs, compared with the digests now.
    pub sets: SetStates,
    opened_ms: i64,
    /// Which sources have changed since a run last looked at them.
    pub change: Digest,
    /// The files and folders that pytest starts from, if that can be told.
    pub start: Option<Vec<RelPath>>,
    always: GlobSet,
    key: Digest,
    base: Digest,
}

impl Session {
    /// Opens the project's database and compares it with the world now. Starts no Python.
    ///
    /// # Errors
    /// As [`Opening::new`] and [`Session::compare`].
    pub fn open(
        project: Project,
        python: Option<&std::path::Path>,
        invocation: &Invocation,
    ) -> anyhow::Result<Self> {
        let walk = Walk::of(Opening::new(project, python, invocation)?)?;
        Self::compare(walk, invocation)
    }

    /// Compares what a database says with the world now.
    ///
    /// # Errors
    /// If the database can't be read.
    pub fn compare(walk: Walk, invocation: &Invocation) -> anyhow::Result<Self> {
        let change = walk.change();
        let Walk {
            opening,
            sites,
            sources,
            unseen,
            recorded,
        } = walk;
        let Opening {
            project,
            interpreter,
            catalog,
            universe,
            arrangement,
            busyness,
            notes,
            key,
            invocation: invocation_digest,
            now_ns,
        } = opening;
        let dx = project.dx_dir();
        let Recorded {
            state,
            facts,
            stats,
        } = recorded;
        let asks = project.level().counts_functions() && !state.files.is_empty();
        let asked = if asks { &unseen[..] } else { &[] };
        let compiled = compiles::Ahead::ask(&project, &interpreter.executable, asked);
        let environment: Option<Environment> = catalog
            .note(&environment_note(&interpreter))?
            .and_then(|value| blob::decode(&value).ok());
        let project_path: Vec<PathBuf> = sources
            .graph
            .import_path()
            .iter()
            .map(|folder| folder.to_path(&project.root))
            .collect();
        let known = environment.as_ref();
        let sys_path = known.map_or(&[][..], |known| &known.sys_path);
        let standard_library: Vec<PathBuf> = known
            .iter()
            .flat_map(|known| known.stdlib.iter().map(PathBuf::from))
            .collect();
        let spec = WorldSpec {
            root: project.root.clone(),
            invocation: invocation_digest,
            interpreter: interpreter.digest(&sites),
            plugins: interpreter.plugins_digest(&sites),
            import_path: import_path(&project_path, sys_path, &standard_library),
            project_path,
            standard_library,
        };
        let world = World::new(spec, stats, now_ns).with_found_in(dx.join("catalog.db"));
        world.learn_files(sources.scan.files.iter());
        let level = project.level();
        if !state.files.is_empty() {
            world.parse_ahead(&unseen, level.counts_functions(), |source| {
                project.is_test_file(source)
            });
        }
        let mut sets = SetStates::compare(facts, &world, level);
        sets.settle_what_matters(&state, &catalog, &world)?;
        let held = sets.held_by_symbols();
        let held = held.iter().map(String::as_str);
        sets.distrust(&compiles::broken(
            &project,
            &interpreter.executable,
            &world,
            held,
            compiled,
        ));
        let (base, start) = (
            invocation.base_digest(&project),
            invocation.starting_points(&project),
        );
        let learned = catalog
            .note(&learned_note(key))?
            .and_then(|value| blob::decode(&value).ok())
            .unwrap_or_default();
        let mut session = Self {
            arrangement,
            busyness,
            interpreter,
            environment,
            catalog,
            universe,
            state,
            sources,
            world,
            file_list: None,
            renewal: None,
            wide: Vec::new(),
            file_list_reason: String::new(),
            notes,
            sets,
            opened_ms: dx_py_catalog::now_ms(),
            change,
            always: globs("always", &project.config.always)?,
            serial: Serial {
                configured: globs("serial", &project.config.serial)?,
                learned,
            },
            start,
            key,
            base,
            project,
        };
        session.check_file_list()?;
        Ok(session)
    }

    /// Lets pytest start from the paths of this invocation, which is the session's in all else.
    ///
    /// # Errors
    /// If the catalog can't be read.
    pub fn start_from(&mut self, invocation: &Invocation) -> anyhow::Result<()> {
        self.base = invocation.base_digest(&self.project);
        self.start = invocation.starting_points(&self.project);
        (self.file_list, self.renewal) = (None, None);
        self.wide.clear();
        self.file_list_reason.clear();
        self.check_file_list()
    }

    /// Whether a file lies where pytest starts from, as far as that can be told.
    pub fn starts_around(&self, file: &RelPath) -> bool {
        let start = self.start.as_ref();
        start.is_none_or(|points| points.iter().any(|point| file.is_within(point)))
    }

    fn check_file_list(&mut self) -> anyhow::Result<()> {
        let Some(value) = self.catalog.note(&self.file_list_note(self.base))? else {
            self.file_list_reason = "pytest has not yet been asked which files hold tests".into();
            return Ok(());
        };
        let list: FileList = match blob::decode(&value) {
            Ok(list) => list,
            Err(_) => {
                self.file_list_reason = "the list of files was kept by another version".into();
                return Ok(());
            }
        };
        let level = self.project.level();
        let facts = list.facts.iter().filter(|fact| counts(level, fact));
        let state = SetState::of_facts(facts, |input| self.world.digest(input));
        self.wide = list.wide.clone();
        match (state.reason(), self.renewed(&list, &state)) {
            (None, _) => self.file_list = Some(list),
            (Some(_), Some(renewal)) => {
                self.file_list = Some(renewal.list.clone());
                self.renewal = Some(renewal);
            }
            (Some(reason), None) => self.file_list_reason = reason,
        }
        Ok(())
    }

    /// What has become of a list of files, if pytest needn't be asked for it.
    fn renewed(&self, list: &FileList, state: &SetState) -> Option<Renewal> {
        let files = self.state.files.iter();
        let paths = files.map(|file| (file.file.as_str(), file.path.as_str()));
        let holds_python = |folder: &str| {
            RelPath::from_text(folder).is_some_and(|folder| {
                let mut files = self.sources.scan.files.iter();
                let is_there = |path: &RelPath| path.is_within(&folder) && self.starts_around(path);
                self.project.looks_into(&folder) && files.any(|file| is_there(&file.path))
            })
        };
        let is_test_file = |path: &str| {
            RelPath::from_text(path)
                .is_some_and(|path| self.project.is_test_file(&path) && self.starts_around(&path))
        };
        let folders = Folders {
            names: &|folder| self.world.names(folder),
            holds_python: &holds_python,
            is_test_file: &is_test_file,
        };
        list.renewed(state.changes(), &paths.collect(), &folders)
    }

    /// Under which name the files that were found to need to run alone are kept.
    pub fn learned_note(&self) -> String {
        learned_note(self.key)
    }

    /// Under which name the arrangement of sessions is kept.
    pub fn arrangement_note(&self) -> String {
        opening::arrangement_note(self.key)
    }

    /// Under which name it is kept what workers were started for, when these sources had changed.
    pub fn shape_note(&self) -> String {
        opening::shape_note(self.key)
    }

    /// What tests were seen to leave behind, and under which name that is kept.
    ///
    /// # Errors
    /// If the catalog can't be read.
    pub fn leftovers(&self) -> Result<(Leftovers, String), CatalogError> {
        let note = format!("left:{}", hex(self.key));
        let known = self.catalog.note(&note)?;
        let known = known.and_then(|value| blob::decode(&value).ok());
        Ok((known.unwrap_or_default(), note))
    }

    /// Under which name it is kept what bears on what tests left.
    pub fn bearings_note(&self) -> String {
        format!("bearings:{}", hex(self.key))
    }

    /// Under which name it is kept how busy workers were.
    pub fn busyness_note(&self) -> String {
        opening::busyness_note(self.key)
    }

    /// Under which name it is kept of which places the files are known, by the names of their lists.
    pub fn lists_note(&self) -> String {
        format!("lists:{}", hex(self.key))
    }

    /// Under which name the list of the files is kept that pytest collects when it starts from paths with this digest.
    pub fn file_list_note(&self, base: Digest) -> String {
        format!("files:{}:{}", hex(self.key), hex(base))
    }

    /// Keeps a list of collected files.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn file_list_record(&self, list: &FileList) -> anyhow::Result<(String, Vec<u8>)> {
        Ok((self.file_list_note(self.base), blob::encode(list)?))
    }

    /// Inputs that every test has.
    pub fn base_inputs(&self) -> Vec<Input> {
        let mut inputs = vec![
            Input::Interpreter,
            Input::Plugins,
            Input::Invocation,
            Input::ModuleOrigin("*".into()),
        ];
        let here =
            RelPath::new(&self.project.root, &self.project.cwd).unwrap_or_else(RelPath::root);
        let mut folders = vec![here.clone()];
        folders.extend(here.ancestors());
        for folder in folders {
            inputs.extend(
                CANDIDATES
                    .iter()
                    .map(|name| Input::PytestSection(folder.join(name).as_str().to_owned())),
            );
        }
        inputs.extend(self.project.config.env.iter().cloned().map(Input::Variable));
        inputs
    }

    /// What the file at `path` reaches through its imports and by pytest now, to judge its tests by.
    pub fn reach(&self, path: &str) -> Reach<'_> {
        let closure = RelPath::from_text(path).map(|path| self.sources.graph.closure(&path));
        let mut closure = closure.unwrap_or_default();
        // A conftest that has a say in all tests bears on those that ran where pytest didn't come to it, too.
        let wide = self.wide.iter().map(std::path::Path::new);
        closure.extend(wide.filter_map(|file| RelPath::new(&self.project.root, file)));
        Reach {
            session: self,
            closure,
            unknown: RefCell::default(),
        }
    }

    /// Whether the configuration or a mark says that the test always runs.
    pub fn always_runs(&self, test: &KnownTest) -> bool {
        let marked = |marker: &Marker| marker.name == "dx_always";
        self.always.is_match(test.id.as_str()) || test.markers.iter().any(marked)
    }

    /// Compares all recorded sets of inputs with the world now, those of older passes too.
    ///
    /// # Errors
    /// If the catalog can't be read.
    pub fn settle_all(&mut self) -> Result<(), CatalogError> {
        self.sets.settle_all(&self.catalog, &self.world)
    }

    /// Reads the facts about parts of files of these sets, which are only looked at where a file has changed.
    ///
    /// # Errors
    /// If the catalog can't be read.
    pub fn load_parts(
        &mut self,
        sets: impl IntoIterator<Item = SetId>,
    ) -> Result<(), CatalogError> {
        self.sets.load_parts(&self.catalog, sets)
    }

    /// Replaces what is kept of the sources, if they have changed.
    ///
    /// # Errors
    /// If the catalog can't be written.
    pub fn save_sources(&mut self) -> anyhow::Result<()> {
        self.sources.save();
        walk::remember(
            &mut self.catalog,
            &std::mem::take(&mut self.sources.replaced),
        )
    }

    /// Keeps the digests of files that this run had to look at, and what it found in them, for later runs.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn keep_what_was_looked_at(&mut self) -> anyhow::Result<()> {
        self.save_sources()?;
        self.catalog.store_file_stats(&self.world.new_stats())?;
        let (found, frames) = self.world.take_newly_found();
        Ok(self.catalog.store_parsed(&found, &frames)?)
    }

    /// Closes the catalog, and leaves the rest to the end of the process. To free each record of 100,000 tests takes a tenth of a run that
    /// has nothing to do.
    pub fn end_with_process(self) {
        let Self {
            catalog,
            state,
            sources,
            world,
            file_list,
            sets,
            ..
        } = self;
        std::mem::forget((state, sources, world, file_list, sets));
        drop(catalog);
    }

    /// The name under which what the interpreter says of itself is kept.
    pub fn environment_note(&self) -> String {
        environment_note(&self.interpreter)
    }
}

/// A file and what it reaches through its imports now. Most tests of a file share their inputs: each set is looked at once.
pub struct Reach<'a> {
    session: &'a Session,
    closure: BTreeSet<RelPath>,
    unknown: RefCell<FxHashMap<SetId, Option<RelPath>>>,
}

impl Reach<'_> {
    /// The verdict on a known test of the file.
    pub fn verdict(&self, test: &KnownTest, forced: Option<&str>) -> Verdict {
        let always = || {
            self.session
                .always_runs(test)
                .then_some("it is marked to run always")
        };
        let expiry = self.session.project.expiry();
        let state = |pass: &Pass| {
            let set = self.session.sets.state(pass.set)?;
            Some(PassState {
                status: pass.status,
                duration: pass.duration(),
                set,
                unknown_import: set.holds().then(|| self.unknown_import(pass.set)).flatten(),
                expired: expiry.is_some_and(|limit| pass.age(self.session.opened_ms) > limit),
            })
        };
        verdict(&Subject {
            passes: test.passes.iter().filter_map(state).collect(),
            last: test.last,
            forced: forced.or_else(always).map(str::to_owned),
        })
    }

    /// Why nobody can say which tests the file holds now; nothing if it is known.
    pub fn staleness(&self, file: &KnownFile) -> Option<String> {
        let mut reason = None;
        for set in &file.sets {
            let broken = match self.session.sets.state(*set).map(SetState::reason) {
                Some(Some(broken)) => broken,
                Some(None) => format!("its imports now reach {}", self.unknown_import(*set)?),
                None => "the inputs of its collection are lost".to_owned(),
            };
            reason.get_or_insert(broken);
        }
        Some(reason.unwrap_or_else(|| "the inputs of its collection aren't known".to_owned()))
    }

    /// A file that is reached now, and of which the set knows nothing.
    fn unknown_import(&self, set: SetId) -> Option<RelPath> {
        // What the tests of a file share tells mostly all.
        if let Some(base) = self.session.sets.base_of(set) {
            self.unknown_to(base)?;
        }
        self.unknown_to(set)
    }

    fn unknown_to(&self, set: SetId) -> Option<RelPath> {
        let find = || {
            // A set has many more files than a test file imports.
            let mut missing: FxHashSet<&str> = self.closure.iter().map(RelPath::as_str).collect();
            for fact in self.session.sets.facts_of(set) {
                if missing.is_empty() {
                    break;
                }
                if let Input::File(path) = &fact.input {
                    missing.remove(path.as_str());
                }
            }
            let mut reached = self.closure.iter();
            reached
                .find(|file| missing.contains(file.as_str()))
                .cloned()
        };
        let mut unknown = self.unknown.borrow_mut();
        unknown.entry(set).or_insert_with(find).clone()
    }
}

fn environment_note(interpreter: &Interpreter) -> String {
    let (binary, prefix) = interpreter.identity();
    format!("environment:{}:{}", binary.display(), prefix.display())
}

fn learned_note(key: Digest) -> String {
    format!("lessons:{}", hex(key))
}

fn globs(key: &str, patterns: &[String]) -> anyhow::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).with_context(|| {
            format!("`{key}` in the configuration: `{pattern}` is not a valid glob")
        })?);
    }
    Ok(set.build()?)
}
