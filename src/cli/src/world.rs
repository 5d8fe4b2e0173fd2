//! The digests of inputs now. The only place that reads the file system to find out whether something changed.
//!
//! A file's digest is cached by its size, times and inode (git's rule: a file that was modified as late as it was last hashed is
//! hashed again). Everything is computed when it is asked for, once for each run.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dx_py_catalog::{FrameRow, ParsedReader, ParsedRow, StatRow};
use dx_py_core::{Digest, FileStat, Hasher, Input, LOOKED_AT, RelPath};
use dx_py_discovery::symbols::{Layout, Questions};
use dx_py_discovery::{Parsed, ScannedFile, Slices, Symbols, parsed};
use rustc_hash::FxHashMap;

use crate::{ini, variables};

mod sought;
mod while_running;

use sought::Sought;

/// Of how many sources it is worth it to parse them before it is known which of them matter.
const MOST_AHEAD: usize = 4;

/// Names that no listing counts: caches that running tests leaves behind.
const IGNORED_NAMES: [&str; 6] = [
    "__pycache__",
    ".dx",
    ".pytest_cache",
    ".hypothesis",
    ".git",
    ".coverage",
];

/// What a world is made of, beside the file system.
#[derive(Debug, Clone)]
pub struct WorldSpec {
    /// The project's root.
    pub root: PathBuf,
    /// Digest of the invocation.
    pub invocation: Digest,
    /// Digest of the interpreter.
    pub interpreter: Digest,
    /// Digest of the installed pytest plugins.
    pub plugins: Digest,
    /// Folders of the project that modules are imported from, in order, absolute.
    pub project_path: Vec<PathBuf>,
    /// These, and then the entries of the interpreter's path, as far as they are known.
    pub import_path: Vec<PathBuf>,
    /// Folders of the standard library.
    pub standard_library: Vec<PathBuf>,
}

/// Answers what the digest of an input is now.
pub struct World {
    spec: WorldSpec,
    import_path: RefCell<Vec<PathBuf>>,
    standard_library: RefCell<Vec<PathBuf>>,
    stats: RefCell<FxHashMap<String, StatRow>>,
    fresh_stats: RefCell<FxHashMap<String, StatRow>>,
    digests: RefCell<FxHashMap<Input, Digest>>,
    listings: RefCell<FxHashMap<PathBuf, Arc<BTreeSet<String>>>>,
    slices: Sought<Slices>,
    symbols: Sought<Symbols>,
    questions: Sought<Questions>,
    /// The catalog that has what earlier runs found in sources, and a reader of it once it is asked.
    catalog: Option<PathBuf>,
    found_before: OnceCell<Option<ParsedReader>>,
    newly_found: RefCell<Vec<ParsedRow>>,
    new_frames: RefCell<Vec<FrameRow>>,
    /// Files that were looked at since `look_again`, and whether they had changed.
    looked: RefCell<FxHashMap<String, bool>>,
    now_ns: i64,
}

impl World {
    /// A world over `spec`, with the stat cache of earlier runs; `now_ns` is the file system's time at the start of the run.
    pub fn new(spec: WorldSpec, stats: FxHashMap<String, StatRow>, now_ns: i64) -> Self {
        Self {
            import_path: RefCell::new(spec.import_path.clone()),
            standard_library: RefCell::new(spec.standard_library.clone()),
            spec,
            stats: RefCell::new(stats),
            fresh_stats: RefCell::default(),
            digests: RefCell::default(),
            listings: RefCell::default(),
            slices: Sought::default(),
            symbols: Sought::default(),
            questions: Sought::default(),
            catalog: None,
            found_before: OnceCell::new(),
            newly_found: RefCell::default(),
            new_frames: RefCell::default(),
            looked: RefCell::default(),
            now_ns,
        }
    }

    /// With what earlier runs found in sources, which the catalog at that path has.
    pub fn with_found_in(mut self, catalog: PathBuf) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// Begins to parse these sources, unless they are many: nobody has seen them as they are now. The functions of all of them are looked for
    /// if they count, and the slices of those that hold tests.
    pub fn parse_ahead(
        &self,
        sources: &[RelPath],
        functions_count: bool,
        has_tests: impl Fn(&RelPath) -> bool,
    ) {
        for source in sources.iter().filter(|_| sources.len() <= MOST_AHEAD) {
            let path = source.to_path(&self.spec.root);
            if functions_count {
                self.symbols.begin(source.as_str(), &path);
            }
            if has_tests(source) {
                self.slices.begin(source.as_str(), &path);
            }
        }
    }

    /// The project's root.
    pub fn root(&self) -> &Path {
        &self.spec.root
    }

    /// Takes in what an interpreter says of its path, which is what later runs will compare with.
    pub fn learn(&self, sys_path: &[String], stdlib: &[String]) {
        let standard: Vec<PathBuf> = stdlib.iter().map(PathBuf::from).collect();
        let path = import_path(&self.spec.project_path, sys_path, &standard);
        if *self.import_path.borrow() == path && *self.standard_library.borrow() == standard {
            return;
        }
        self.import_path.replace(path);
        self.standard_library.replace(standard);
        self.digests
            .borrow_mut()
            .retain(|input, _| !matches!(input, Input::ModuleOrigin(_)));
    }

    /// Takes in files that were looked at in this run, by the same rule, as the index was brought up to date.
    pub fn learn_files<'a>(&self, files: impl Iterator<Item = &'a ScannedFile>) {
        let (mut digests, mut stats) = (self.digests.borrow_mut(), self.stats.borrow_mut());
        for file in files.filter(|file| file.problem.is_none()) {
            let key = file.path.as_str().to_owned();
            digests.insert(Input::File(key.clone()), file.digest);
            stats.insert(key, self.row(file.stat, file.digest));
        }
    }

    /// What was hashed anew, for the stat cache.
    pub fn new_stats(&self) -> Vec<(String, StatRow)> {
        self.fresh_stats
            .borrow()
            .iter()
            .map(|(path, row)| (path.clone(), row.clone()))
            .collect()
    }

    /// Hands out what was found in files that had to be parsed, and their frames, for later runs.
    pub fn take_newly_found(&self) -> (Vec<ParsedRow>, Vec<FrameRow>) {
        (self.newly_found.take(), self.new_frames.take())
    }

    /// The key of a path in inputs: relative to the root below it, else absolute.
    pub fn key(&self, path: &str) -> String {
        RelPath::new(&self.spec.root, Path::new(path))
            .map_or_else(|| path.to_owned(), |inner| inner.as_str().to_owned())
    }

    /// The path that a key stands for.
    pub fn path(&self, key: &str) -> PathBuf {
        self.spec.root.join(key)
    }

    /// The digest of `input` now.
    pub fn digest(&self, input: &Input) -> Digest {
        if let Some(digest) = self.digests.borrow().get(input) {
            return *digest;
        }
        let digest = self.compute(input);
        self.digests.borrow_mut().insert(input.clone(), digest);
        digest
    }

    /// The digest of `input` as it is by now, if it isn't what it was when it was first asked for.
    pub fn changed_since(&self, input: &Input) -> Option<Digest> {
        let before = *self.digests.borrow().get(input)?;
        let known = self.listings.take();
        let now = self.compute(input);
        self.listings.replace(known);
        (now != before).then_some(now)
    }

    fn compute(&self, input: &Input) -> Digest {
        match input {
            Input::File(key) => self.file(key),
            Input::Slice(_) => self.slice(input).unwrap_or(Digest::ABSENT),
            Input::Symbol(_) => self.symbol(input).unwrap_or(Digest::ABSENT),
            Input::Existence(key) => existence(&self.path(key)),
            Input::Listing(key) => self.listing_digest(key, |_| true),
            Input::PythonListing(key) => {
                self.listing_digest(key, |name| name.ends_with('/') || name.ends_with(".py"))
            }
            Input::PytestSection(key) => self
                .pytest_section(key)
                .map_or(Digest::ABSENT, |text| Digest::of(text.as_bytes())),
            Input::ModuleOrigin(name) if name == "*" => self.shadowed_standard_library(),
            Input::ModuleOrigin(name) => self.origin(name),
            Input::Variable(name) if name == variables::ALL => variables::digest_of_all(),
            Input::Variable(name) => std::env::var_os(name)
                .map_or(Digest::ABSENT, |value| Digest::of(value.as_encoded_bytes())),
            Input::Interpreter => self.spec.interpreter,
            Input::Plugins => self.spec.plugins,
            Input::Invocation => self.spec.invocation,
            Input::Project => self.project(),
            Input::Unknowable(_) => Digest::ABSENT,
        }
    }

    fn file(&self, key: &str) -> Digest {
        let path = self.path(key);
        let Ok(meta) = fs::metadata(&path) else {
            return Digest::ABSENT;
        };
        if meta.is_dir() {
            return Digest::of(b"folder");
        }
        if !meta.is_file() {
            return Digest::of(b"special file");
        }
        let stat = FileStat::from(&meta);
        let known = self.stats.borrow().get(key).cloned();
        if let Some(row) = known
            && row.stat == stat
            && stat.latest_ns() < row.checked_ns
        {
            return row.digest;
        }
        match fs::read(&path) {
            Ok(content) => {
                let digest = Digest::of(&content);
                let row = self.row(stat, digest);
                self.fresh_stats.borrow_mut().insert(key.to_owned(), row);
                digest
            }
            // What can't be read has a digest of its own, so that it differs from any content.
            Err(error) => Digest::of(format!("unreadable: {:?}", error.kind()).as_bytes()),
        }
    }

    /// What is kept of a file that was looked at in this run.
    fn row(&self, stat: FileStat, digest: Digest) -> StatRow {
        StatRow {
            stat,
            digest,
            checked_ns: self.now_ns,
        }
    }

    /// The digest of a slice; none if all of the file counts for its tests.
    fn slice(&self, input: &Input) -> Option<Digest> {
        let (key, part) = input.part_of_file()?;
        self.slices(key)?.digest(part)
    }

    /// The slices of a file; none if all of it counts for its tests.
    pub fn slices(&self, key: &str) -> Option<Arc<Slices>> {
        self.slices.once(key, || self.find(key, &self.slices))
    }

    /// The digest of a symbol; none if its file has none of that name, or none at all.
    fn symbol(&self, input: &Input) -> Option<Digest> {
        let (key, name) = input.part_of_file()?;
        let symbols = self.symbols(key)?;
        match name {
            "" => Some(symbols.frame()),
            // Of a file whose text was read all counts.
            "*" => Some(self.digest(&Input::File(key.to_owned()))),
            name => symbols.digest(name.trim_start_matches(LOOKED_AT)),
        }
    }

    /// The symbols of a file; none if only its whole content can be compared.
    pub fn symbols(&self, key: &str) -> Option<Arc<Symbols>> {
        self.symbols.once(key, || self.find(key, &self.symbols))
    }

    /// What an installed module may ask objects of the project for; none if that can't be told.
    pub fn questions(&self, key: &str) -> Option<Arc<Questions>> {
        self.questions.once(key, || self.find(key, &self.questions))
    }

    /// What is in a source now: what was found earlier in the same content, or else what is found by parsing it.
    fn find<T: Parsed + Send + 'static>(&self, key: &str, sought: &Sought<T>) -> Option<T> {
        let known = self.found(key, T::WHAT);
        if let Some(found) = known.and_then(|bytes| parsed::from_bytes(&bytes)) {
            return found;
        }
        let digest = self.digest(&Input::File(key.to_owned()));
        let found = match sought.take(key, digest) {
            Some(found) => found,
            None => T::parse(&self.content(key)?, key),
        };
        if let Some((digest, layout)) = found.as_ref().and_then(T::frame)
            && let Ok(layout) = parsed::layout_to_bytes(layout)
        {
            let frame = FrameRow { digest, layout };
            self.new_frames.borrow_mut().push(frame);
        }
        // What can't be kept is found again.
        if let Ok(bytes) = parsed::to_bytes(found.as_ref()) {
            self.keep_found(key, T::WHAT, bytes);
        }
        found
    }

    /// What earlier runs found of that kind in the content that a file has now.
    pub fn found(&self, key: &str, what: &str) -> Option<Vec<u8>> {
        let digest = self.digest(&Input::File(key.to_owned()));
        self.found_before()?.found(key, what, digest).ok()?
    }

    /// Keeps for later runs what was found of that kind in the content that a file has now.
    pub fn keep_found(&self, key: &str, what: &'static str, found: Vec<u8>) {
        self.newly_found.borrow_mut().push(ParsedRow {
            path: key.to_owned(),
            what,
            digest: self.digest(&Input::File(key.to_owned())),
            found,
        });
    }

    /// What the frame with that fingerprint, of some earlier content, was made of; none if nobody knows any more.
    pub fn layout(&self, frame: Digest) -> Option<Layout> {
        let kept = self.found_before()?.frame(frame).ok()??;
        parsed::layout_from_bytes(&kept)
    }

    fn found_before(&self) -> Option<&ParsedReader> {
        let open = || ParsedReader::open(self.catalog.as_deref()?).ok();
        self.found_before.get_or_init(open).as_ref()
    }

    /// What pytest reads of a configuration file; none if that is nothing.
    pub fn pytest_section(&self, key: &str) -> Option<String> {
        let path = self.path(key);
        let content = fs::read(&path).ok()?;
        ini::pytest_section(&path, &content)
    }

    /// The content that the digest of a file is of; none if it has another one by now.
    pub fn content(&self, key: &str) -> Option<Vec<u8>> {
        let content = fs::read(self.path(key)).ok()?;
        let is_it = Digest::of(&content) == self.digest(&Input::File(key.to_owned()));
        is_it.then_some(content)
    }

    /// The names in a folder now, those of folders with a `/`; none if there is no such folder.
    pub fn names(&self, key: &str) -> Option<Arc<BTreeSet<String>>> {
        self.listing(&self.path(key))
    }

    fn listing(&self, path: &Path) -> Option<Arc<BTreeSet<String>>> {
        if let Some(names) = self.listings.borrow().get(path) {
            return Some(names.clone());
        }
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(path).ok()?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if IGNORED_NAMES.contains(&&*name) || name.ends_with(".pyc") {
                continue;
            }
            let is_dir = match entry.file_type() {
                Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
                Ok(kind) => kind.is_dir(),
                Err(_) => false,
            };
            names.insert(if is_dir { format!("{name}/") } else { name });
        }
        let names = Arc::new(names);
        self.listings
            .borrow_mut()
            .insert(path.to_path_buf(), names.clone());
        Some(names)
    }

    fn listing_digest(&self, key: &str, counts: impl Fn(&str) -> bool) -> Digest {
        let Some(names) = self.listing(&self.path(key)) else {
            return Digest::ABSENT;
        };
        let mut hasher = Hasher::new();
        for name in names.iter().filter(|name| counts(name)) {
            hasher.field(name);
        }
        hasher.finish()
    }

    /// Where a module of that dotted name would be found: the folders of the project that have its last part, after those of its
    /// parents, and else the first folder of the import path that does. In which order the project's folders come is pytest's affair:
    /// it puts that of each test file before the others as it collects. Extension modules count by their first name part.
    fn origin(&self, name: &str) -> Digest {
        let parts: Vec<&str> = name.split('.').collect();
        let (last, parents) = match parts.split_last() {
            Some(split) => split,
            None => return Digest::ABSENT,
        };
        let mut hasher = Hasher::new();
        let mut is_found = false;
        for folder in self.import_path.borrow().iter() {
            if is_found && !folder.starts_with(&self.spec.root) {
                continue;
            }
            let mut place = folder.clone();
            place.extend(parents);
            let Some(names) = self.listing(&place) else {
                continue;
            };
            let mut found: Vec<&str> = Vec::new();
            if names.contains(&format!("{last}/")) {
                found.push("package");
            }
            if names.contains(&format!("{last}.py")) {
                found.push("module");
            }
            let prefix = format!("{last}.");
            let extension = names
                .range(prefix.clone()..)
                .take_while(|entry| entry.starts_with(&prefix))
                .any(|entry| entry.ends_with(".so") || entry.ends_with(".pyd"));
            if extension {
                found.push("extension");
            }
            if !found.is_empty() {
                let at = self.key(&place.to_string_lossy());
                hasher.field(at).field(found.join(" "));
                is_found = true;
            }
        }
        if is_found {
            hasher.finish()
        } else {
            Digest::ABSENT
        }
    }

    /// Which modules of the standard library are hidden by files of the project: mostly none.
    fn shadowed_standard_library(&self) -> Digest {
        let mut standard = BTreeSet::new();
        for folder in self.standard_library.borrow().iter() {
            for names in [folder.clone(), folder.join("lib-dynload")] {
                for name in self.listing(&names).iter().flat_map(|names| names.iter()) {
                    let stem = name.split(['.', '/']).next().unwrap_or(name);
                    standard.insert(stem.to_owned());
                }
            }
        }
        let mut hasher = Hasher::new();
        for folder in self.import_path.borrow().iter() {
            if !folder.starts_with(&self.spec.root) {
                continue;
            }
            for name in self.listing(folder).iter().flat_map(|names| names.iter()) {
                let stem = name.split(['.', '/']).next().unwrap_or(name);
                let importable = name.ends_with('/') || name.ends_with(".py");
                if importable && standard.contains(stem) {
                    hasher
                        .field(folder.to_string_lossy().as_bytes())
                        .field(name);
                }
            }
        }
        hasher.finish()
    }

    /// Whether something on the path may hide a module of the standard library.
    pub fn may_hide(&self, module: &str) -> bool {
        // A folder without an `__init__` comes after all modules of that name.
        let is_package = |folder: &Path| {
            let names = self.listing(&folder.join(module));
            names.is_none_or(|names| names.iter().any(|name| name.starts_with("__init__.")))
        };
        let is_before_it = |folder: &PathBuf| {
            self.listing(folder).is_some_and(|names| {
                let mut names = names.iter();
                names.any(|name| match name.strip_suffix('/') {
                    Some(inner) => inner == module && is_package(folder),
                    None => name.split('.').next() == Some(module),
                })
            })
        };
        self.import_path.borrow().iter().any(is_before_it)
    }

    /// The file of a module of the standard library, as a key; none if it has no file there, or if something else on the path may hide it.
    pub fn standard_module(&self, module: &str) -> Option<String> {
        if self.may_hide(module) {
            return None;
        }
        let folders = self.standard_library.borrow();
        let files = folders.iter().flat_map(|folder| {
            [format!("{module}.py"), format!("{module}/__init__.py")].map(|file| folder.join(file))
        });
        let mut keys = files.map(|file| self.key(&file.to_string_lossy()));
        keys.find(|key| !self.digest(&Input::File(key.clone())).is_absent())
    }

    /// The digest of every file below the root but caches, the database and virtual environments.
    fn project(&self) -> Digest {
        let walk = ignore::WalkBuilder::new(&self.spec.root)
            .standard_filters(false)
            .follow_links(false)
            .sort_by_file_name(|a, b| a.cmp(b))
            .filter_entry(|entry| {
                let name = entry.file_name().to_string_lossy();
                let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
                let has = |inner: &str| is_dir && entry.path().join(inner).exists();
                // pytest's cache is where `cache_dir` says.
                !(IGNORED_NAMES.contains(&&*name) || has("pyvenv.cfg") || has("v/cache/nodeids"))
            })
            .build();
        let mut hasher = Hasher::new();
        for entry in walk.flatten() {
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            if is_file && !entry.path().to_string_lossy().ends_with(".pyc") {
                let key = self.key(&entry.path().to_string_lossy());
                hasher
                    .field(&key)
                    .field(self.digest(&Input::File(key.clone())).0);
            }
        }
        hasher.finish()
    }
}

/// The folders that modules come from, in order: those of the project, then the entries of `sys.path` but the standard library's.
pub fn import_path(project: &[PathBuf], sys_path: &[String], standard: &[PathBuf]) -> Vec<PathBuf> {
    let mut path = project.to_vec();
    for entry in sys_path {
        let folder = PathBuf::from(entry);
        let is_standard = standard.iter().any(|lib| folder.starts_with(lib));
        if (!is_standard || crate::record::is_site(entry)) && !path.contains(&folder) {
            path.push(folder);
        }
    }
    path
}

/// The file system's idea of now, from a file made and removed in `folder`: its clock may lag behind the system's by a tick.
///
/// # Errors
/// If no file can be made there.
pub fn file_system_now(folder: &Path) -> std::io::Result<i64> {
    let file = tempfile::tempfile_in(folder)?;
    Ok(FileStat::from(&file.metadata()?).ctime_ns)
}

/// What a path is: a folder, a program or another file, and where a link leads; absent if there is nothing.
fn existence(path: &Path) -> Digest {
    let what = match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => "folder",
        Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o100 != 0 => "program",
        Ok(_) => "file",
        Err(_) => "",
    };
    match fs::read_link(path) {
        Ok(target) => {
            let mut hasher = Hasher::new();
            hasher
                .field(what)
                .field(target.as_os_str().as_encoded_bytes());
            hasher.finish()
        }
        Err(_) if what.is_empty() => Digest::ABSENT,
        Err(_) => Digest::of(what.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn world(root: &Path) -> World {
        let spec = WorldSpec {
            root: root.to_path_buf(),
            invocation: Digest::ABSENT,
            interpreter: Digest::ABSENT,
            plugins: Digest::ABSENT,
            project_path: Vec::new(),
            import_path: vec![root.join("tests"), root.join("src")],
            standard_library: Vec::new(),
        };
        World::new(spec, FxHashMap::default(), file_system_now(root).unwrap())
    }

    #[test]
    fn a_file_that_shadows_a_module_changes_its_origin() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("src/pkg")).unwrap();
        fs::create_dir_all(dir.path().join("tests")).unwrap();
        fs::write(dir.path().join("src/pkg/a.py"), "").unwrap();
        let origin = |name: &str| world(dir.path()).digest(&Input::ModuleOrigin(name.into()));
        let (pkg, sub) = (origin("pkg"), origin("pkg.a"));
        assert!(!pkg.is_absent() && !sub.is_absent());
        assert!(origin("other").is_absent());
        fs::create_dir(dir.path().join("src/pkg/a")).unwrap();
        assert_ne!(origin("pkg.a"), sub);
        fs::write(dir.path().join("tests/pkg.py"), "").unwrap();
        assert_ne!(origin("pkg"), pkg);
    }

    #[test]
    fn listings_and_the_project_ignore_caches() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.txt"), "1").unwrap();
        let both = || {
            let world = world(dir.path());
            (
                world.digest(&Input::Listing(String::new())),
                world.digest(&Input::Project),
            )
        };
        let before = both();
        fs::create_dir(dir.path().join("__pycache__")).unwrap();
        fs::write(dir.path().join("__pycache__/a.pyc"), "1").unwrap();
        assert_eq!(both(), before);
        fs::write(dir.path().join("a.txt"), "2").unwrap();
        let (listing, project) = both();
        assert_eq!(listing, before.0);
        assert_ne!(project, before.1);
    }
}
