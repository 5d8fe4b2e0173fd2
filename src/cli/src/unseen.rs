//! Changes of a file's frame that a test can't see: a constant, a helper, a version number that nothing mentions which the test reached.
//!
//! A fact about a frame is one fingerprint. If it isn't what it was, the frame of now is compared with what that one was made of
//! (`discovery::symbols::Layout`). Where only parts differ, plain definitions that can't fail, they matter to those who ask for them by
//! their names, or who get hold of the module and look through it. So a test sees a changed part if its name is mentioned
//!
//! - by a function of the project's that the test reached, or by the frame of a file that it depends on: in another file as an attribute,
//!   in a string or in an import;
//! - anywhere in a file that it depends on as a whole: its own, data, settings, and, but for what modules import, installed modules;
//! - in a variable of the environment that it read;
//!
//! or asks for annotations, if they or what they mention has changed, or for docstrings, if these have; or if code that it reached may get
//! any module (`sys.modules`, `globals()`), hands that module around as a value, or has its name at the end of a string (`ways`).
//!
//! A function's docstring is seen by who asks for docstrings and has hold of the function: other than to call it some code that the test
//! reached must mention it, or, if it is a class's, may get attributes by names that it makes up.

use std::path::Path;

use dx_py_core::{Digest, Fact, Input, LOOKED_AT};
use dx_py_discovery::Symbols;
use dx_py_discovery::symbols::{ABOUT_ITSELF, Asks, INSIDE, Layout, Questions, name_hash};
use dx_py_select::Change;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::standard_library::{is_certainly_there, standard_file};
use crate::variables;
use crate::words::{has_at_start_of_word, has_word};
use crate::world::World;

mod documented;
mod ways;

use documented::OfDocs;
use ways::{Modules, Ways};

/// Judges changes of frames.
pub struct Unseen<'a> {
    world: &'a World,
    /// For changes of frames, by their files and former fingerprints, what differs; none if it counts for everybody.
    differences: FxHashMap<Vec<(String, Digest)>, Option<Difference>>,
}

impl<'a> Unseen<'a> {
    /// Nothing is judged yet.
    pub fn new(world: &'a World) -> Self {
        Self {
            world,
            differences: FxHashMap::default(),
        }
    }

    /// Whether a test with these facts sees nothing of these changes.
    pub fn covers<'f, I: Iterator<Item = &'f Fact>>(
        &mut self,
        changes: &[Change],
        facts: impl Fn() -> I,
    ) -> bool {
        let frames: Option<Vec<(String, Digest)>> = changes.iter().map(frame).collect();
        let Some(frames) = frames.filter(|frames| !frames.is_empty()) else {
            return false;
        };
        let world = self.world;
        let difference = self
            .differences
            .entry(frames)
            .or_insert_with_key(|frames| Difference::of(frames, world));
        let Some(difference) = difference else {
            return false;
        };
        let in_parts: FxHashSet<&str> = facts()
            .filter_map(|fact| match (&fact.input, fact.input.part_of_file()) {
                (Input::Symbol(_), Some((file, ""))) => Some(file),
                _ => None,
            })
            .collect();
        let mut documented = OfDocs::default();
        let mut ways = Ways::default();
        let (mut members, mut modules) = (FxHashSet::default(), Vec::new());
        for fact in facts().filter(|fact| !fact.digest.is_absent()) {
            let file = match (&fact.input, fact.input.part_of_file()) {
                (Input::File(file), _) => Some(&**file),
                (Input::Symbol(_), Some((file, "*"))) => Some(file),
                _ => None,
            };
            if let Some(file) = file {
                ways.add(difference.ways_of(file, world));
                members.extend(difference.members.get(file).into_iter().flatten());
                modules.push(file);
            }
            let is_seen = match &fact.input {
                Input::File(file) if in_parts.contains(&**file) => ways.lead_there(),
                input => {
                    documented.add(difference.of_docs(input, world));
                    let is_seen = difference.is_seen_by(input, world);
                    ways.executes |= difference.executing.contains(input);
                    is_seen
                }
            };
            if is_seen {
                return false;
            }
        }
        let is_there = !members.is_empty() && are_modules(&members, &modules, world);
        !(documented.asks && documented.hands || ways.lead_there() || is_there)
    }
}

/// The file of a frame that has changed, and its former fingerprint; none for other changes.
fn frame(change: &Change) -> Option<(String, Digest)> {
    match (&change.input, change.input.part_of_file()) {
        (Input::Symbol(_), Some((file, ""))) if !change.before.is_absent() => {
            Some((file.to_owned(), change.before))
        }
        _ => None,
    }
}

/// Which parts of frames differ, and what was found about who sees that.
#[derive(Default)]
struct Difference {
    /// The names, and those among them that installed modules may ask for.
    names: Vec<String>,
    names_for_installed: Vec<String>,
    /// Whether annotations differ, or mention what does.
    is_in_annotations: bool,
    /// The functions whose docstrings differ, and whether one of them is a class's.
    documented: Vec<String>,
    has_documented_methods: bool,
    /// Whether other docstrings differ, those of classes left aside, and whether those do.
    is_in_docs: bool,
    is_in_docs_of_classes: bool,
    /// Whether something may be documented that wasn't, or be so no more.
    is_in_presence_of_docs: bool,
    /// Whether what only type checkers read differs.
    is_for_type_checkers: bool,
    hashes: FxHashSet<u64>,
    /// Those of names that aren't bound where they were before: new ones, those that are gone, and those that have moved.
    moved: FxHashSet<u64>,
    /// The same by the file that they are of.
    by_file: FxHashMap<String, FxHashSet<u64>>,
    /// The modules.
    modules: Modules,
    /// What strings end in that name a module, and its name within its package.
    endings: Vec<String>,
    dotted: Vec<String>,
    seen: FxHashMap<Input, bool>,
    /// The inputs that are functions which run code with the names for it to know, or files with one of which all counts.
    executing: FxHashSet<Input>,
    of_docs: FxHashMap<Input, OfDocs>,
    ways: FxHashMap<String, Ways>,
    /// By files what they hand an attribute of around that is called as one of the modules.
    members: FxHashMap<String, Vec<u64>>,
}

impl Difference {
    fn of(frames: &[(String, Digest)], world: &World) -> Option<Self> {
        let mut found = Self::default();
        for (file, before) in frames {
            let before = world.layout(*before)?;
            found.add(file, [&before, &world.symbols(file)?.layout], world)?;
        }
        found.hashes = found.names.iter().map(|name| name_hash(name)).collect();
        Some(found)
    }

    /// Adds what differs between two layouts of a file; none if that counts for everybody.
    fn add(&mut self, file: &str, layouts: [&Layout; 2], world: &World) -> Option<()> {
        let [before, now] = layouts;
        let mut imports = layouts
            .into_iter()
            .flat_map(|layout| layout.parts.values())
            .flat_map(|part| part.import.iter().chain(&part.decorators));
        // With another module of that name it may be the order that differs.
        if !imports.all(|import| standard_file(import, world).is_ok()) {
            return None;
        }
        let mut own: FxHashSet<u64> = FxHashSet::default();
        for name in before.difference(now)? {
            let parts = layouts.iter().filter_map(|layout| layout.parts.get(name));
            let mut places = parts.clone().map(|part| part.place);
            let place = places.next();
            if places.next() != place {
                self.moved.insert(name_hash(name));
            }
            let is_imported = parts.clone().any(|part| part.import.is_some());
            let mut asked = parts.flat_map(|part| part.import.iter().chain(&part.decorators));
            if !asked.all(|import| is_certainly_there(import, world)) {
                return None;
            }
            if !is_imported && !ABOUT_ITSELF.contains(&name) {
                self.names_for_installed.push(name.to_owned());
            }
            own.insert(name_hash(name));
            self.names.push(name.to_owned());
        }
        let mut annotated = layouts.iter().flat_map(|layout| &layout.annotated);
        self.is_in_annotations |=
            before.differs_in_annotations(now) || annotated.any(|name| own.contains(name));
        for name in before.documented_otherwise(now) {
            let (class, simple) = name.rsplit_once('.').unwrap_or(("", name));
            // Two underscores may be put behind the name of a class, and the language takes some letters for others.
            let is_said = !simple.is_empty() && simple.is_ascii() && !simple.starts_with("__");
            match is_said && !name.ends_with(INSIDE) {
                true => {
                    self.has_documented_methods |= !class.is_empty();
                    self.documented.push(simple.to_owned());
                }
                false => self.is_in_docs = true,
            }
        }
        self.is_in_docs_of_classes |= before.differs_in_docs_of_classes(now);
        self.is_in_presence_of_docs |= before.without_docs != now.without_docs;
        self.is_for_type_checkers |= before.type_checking != now.type_checking;
        self.by_file.insert(file.to_owned(), own);
        let (package, module) = names_of_module(Path::new(file))?;
        self.modules.add(file, package, module, world);
        self.endings
            .extend(["'", "\""].map(|quote| format!("{module}{quote}")));
        let package = package.filter(|package| !package.is_empty());
        self.dotted
            .extend(package.map(|package| format!("{package}.{module}")));
        Some(())
    }

    /// Whether a test that has this input may see the difference by it.
    fn is_seen_by(&mut self, input: &Input, world: &World) -> bool {
        if let Some(known) = self.seen.get(input) {
            return *known;
        }
        let seen = match input {
            Input::Symbol(_) => match input.part_of_file() {
                Some((file, "*")) => self.is_seen_in(file, world),
                // It didn't run.
                Some((_, name)) if name.starts_with(LOOKED_AT) => false,
                Some((file, name)) => self.is_mentioned(file, name, world),
                None => true,
            },
            Input::File(file) => self.is_seen_in(file, world),
            Input::PytestSection(file) => match world.pytest_section(file) {
                Some(text) => {
                    let text = text.as_bytes();
                    self.is_said_in(text, &self.names) || self.names_module(text)
                }
                None => true,
            },
            Input::Variable(name) => variables::values_of(name).iter().any(|value| {
                let value = value.as_encoded_bytes();
                let quoted = [value, b"'"].concat();
                self.is_said_in(value, &self.names) || self.names_module(&quoted)
            }),
            Input::Project | Input::Unknowable(_) => true,
            // Of a test's own file all counts, which is an input too.
            Input::Slice(_)
            | Input::Existence(_)
            | Input::Listing(_)
            | Input::PythonListing(_)
            | Input::ModuleOrigin(_)
            | Input::Interpreter
            | Input::Plugins
            | Input::Invocation => false,
        };
        if executes(input, world) {
            self.executing.insert(input.clone());
        }
        self.seen.insert(input.clone(), seen);
        seen
    }

    /// Whether the functions of that name in a file mention one of the names, or what is outside of its functions does.
    fn is_mentioned(&self, file: &str, name: &str, world: &World) -> bool {
        let Some(symbols) = world.symbols(file) else {
            return true;
        };
        let own = self.by_file.get(file);
        let counts = |name: &u64| {
            self.hashes.contains(name)
                && (own.is_some_and(|own| own.contains(name))
                    || symbols.asked.binary_search(name).is_ok())
        };
        // To hand a name on fails if it isn't there, or not yet; what it stands for matters to those who mention it.
        let is_moved = |name: &u64| self.moved.contains(name) && counts(name);
        if name.is_empty() {
            return symbols.frame_gets_modules
                || symbols.frame_gets_globals && self.is_known_in(file, &symbols)
                || self.sees_docs(symbols.frame_asks)
                || symbols.frame_names.iter().any(counts)
                || symbols.handed_on.iter().any(is_moved)
                || own.is_none() && symbols.layout.annotated.iter().any(counts)
                || self.is_imported(&symbols, world);
        }
        let functions = symbols.functions().iter();
        let mut functions = functions.filter(|function| function.name == name);
        functions.any(|function| {
            let mut mentions = symbols.mentions(function);
            function.gets_modules
                || function.gets_globals && self.is_known_in(file, &symbols)
                || self.sees_docs(function.asks)
                || mentions.any(|name| counts(&name))
        })
    }

    /// Whether what differs may be among all that a file knows by some name: its own, or what it asks others for.
    fn is_known_in(&self, file: &str, symbols: &Symbols) -> bool {
        let mut names = self.hashes.iter();
        self.by_file.get(file).is_some_and(|own| !own.is_empty())
            || names.any(|name| symbols.asked.binary_search(name).is_ok())
    }

    /// Whether a part of a frame imports one of the names from elsewhere than the standard library.
    fn is_imported(&self, symbols: &Symbols, world: &World) -> bool {
        let parts = symbols.layout.parts.values();
        let mut imports = parts.filter_map(|part| part.import.as_ref());
        imports.any(|import| {
            let name = import.name.as_ref().unwrap_or(&import.module);
            self.hashes.contains(&name_hash(name)) && !is_certainly_there(import, world)
        })
    }

    /// How code of a file may get a changed module, and look for names that it makes up.
    fn ways_of(&mut self, file: &str, world: &World) -> Ways {
        if let Some(known) = self.ways.get(file) {
            return *known;
        }
        let found = match (is_installed(file), file.ends_with(".py")) {
            (true, _) => Ways::default(),
            (false, false) => match world.content(file) {
                Some(text) => self.modules.ways_of_text(&text),
                None => Ways::default(),
            },
            (false, true) => match world.symbols(file) {
                Some(symbols) if self.is_for_type_checkers && symbols.sets_type_checking => {
                    Ways::OPEN
                }
                Some(symbols) => {
                    let members = self.modules.members_of(&symbols);
                    if !members.is_empty() {
                        self.members.insert(file.to_owned(), members);
                    }
                    let is_package = Path::new(file).ends_with("__init__.py");
                    self.modules.ways_of(&symbols, is_package)
                }
                None => Ways::OPEN,
            },
        };
        self.ways.insert(file.to_owned(), found);
        found
    }

    /// Whether a file of which all counts has one of the names, or names a module.
    fn is_seen_in(&self, file: &str, world: &World) -> bool {
        let Some(text) = world.content(file) else {
            return !world.path(file).is_dir();
        };
        if is_installed(file) && !is_about_distribution(file) {
            let asks = || match questions_of(file, &text, world) {
                Some(questions) => {
                    self.is_in_annotations && questions.annotations
                        || self.sees_docs(questions.docs)
                }
                None => true,
            };
            let differs = self.is_in_annotations || self.is_in_docs || self.is_in_docs_of_classes;
            return self.is_said_in(&text, &self.names_for_installed)
                || differs && !is_pytests(file) && asks();
        }
        let Some(symbols) = world.symbols(file).filter(|_| file.ends_with(".py")) else {
            return self.is_said_in(&text, &self.names) || self.names_module(&text);
        };
        let mut functions = symbols.functions().iter();
        let mut asked = symbols.asked.iter();
        let is_known = self.is_known_in(file, &symbols);
        symbols.frame_gets_modules
            || self.sees_docs(symbols.frame_asks)
            || symbols.frame_gets_globals && is_known
            || functions.any(|function| {
                function.gets_modules
                    || function.gets_globals && is_known
                    || self.sees_docs(function.asks)
            })
            || asked.any(|name| self.hashes.contains(name))
    }

    /// Whether code that asks so for docstrings may see that some differ.
    fn sees_docs(&self, asks: Asks) -> bool {
        asks.sees(
            self.is_in_docs,
            self.is_in_docs_of_classes,
            self.is_in_presence_of_docs,
        )
    }

    fn is_said_in<'n>(&self, text: &[u8], names: impl IntoIterator<Item = &'n String>) -> bool {
        names.into_iter().any(|name| has_word(text, name))
    }

    fn names_module(&self, text: &[u8]) -> bool {
        let mut said = self.endings.iter().chain(&self.dotted);
        said.any(|name| has_at_start_of_word(text, name))
    }
}

/// Whether what an input stands for runs code with the names for it to know.
fn executes(input: &Input, world: &World) -> bool {
    let (file, name) = match (input, input.part_of_file()) {
        (Input::File(file), _) => (&**file, "*"),
        (Input::Symbol(_), Some(part)) => part,
        _ => return false,
    };
    if is_installed(file) || !file.ends_with(".py") {
        return false;
    }
    world.symbols(file).is_none_or(|symbols| {
        let mut functions = symbols.functions().iter();
        let executes =
            functions.any(|function| function.executes && (name == "*" || function.name == name));
        executes || symbols.frame_executes && matches!(name, "" | "*")
    })
}

/// Whether one of these names, as hashes, is that of a module among the files, or may be as one of them imports a module under another name.
fn are_modules(names: &FxHashSet<u64>, files: &[&str], world: &World) -> bool {
    let own = files
        .iter()
        .filter(|file| !is_installed(file) && file.ends_with(".py"));
    let modules = own.clone().map(|file| names_of_module(Path::new(file)));
    let Some(modules) = modules.collect::<Option<Vec<_>>>() else {
        return true;
    };
    // A package may be a folder without a file of its own.
    let modules = modules
        .into_iter()
        .flat_map(|(package, module)| package.into_iter().chain([module]));
    let modules: FxHashSet<u64> = modules.map(name_hash).collect();
    let renames = |file: &&str| {
        world.symbols(file).is_none_or(|symbols| {
            let mut renamed = symbols.module_values.renamed.iter();
            renamed.any(|name| modules.contains(name))
        })
    };
    names.iter().any(|name| modules.contains(name)) || own.into_iter().any(renames)
}

/// The last name of the package that a module is in, if its file tells it, and its own.
fn names_of_module(file: &Path) -> Option<(Option<&str>, &str)> {
    let path = match file.file_stem()?.to_str()? {
        "__init__" => file.parent()?,
        _ => file,
    };
    let module = path.file_stem()?.to_str()?;
    let package = path.parent().and_then(Path::file_name);
    Some((package.and_then(|name| name.to_str()), module))
}

/// The folders of pytest's own modules.
const PYTEST: [&str; 3] = ["_pytest", "pluggy", "pytest"];

/// Whether a file is one of those that tell of an installed distribution, and holds no code.
fn is_about_distribution(file: &str) -> bool {
    let folder = Path::new(file).parent().and_then(Path::extension);
    folder.is_some_and(|kind| kind == "dist-info" || kind == "egg-info")
}

/// What an installed module with that text may ask the project's objects for; none if that can't be told.
fn questions_of(file: &str, text: &[u8], world: &World) -> Option<Questions> {
    match Questions::are_in(text) {
        true => world.questions(file).map(|found| *found),
        false => Some(Questions::default()),
    }
}

/// Whether an installed file belongs to pytest, which looks at signatures to see which arguments there are.
fn is_pytests(file: &str) -> bool {
    file.split('/').any(|folder| PYTEST.contains(&folder))
}

/// Whether a file belongs to an installed package.
fn is_installed(file: &str) -> bool {
    file.split(['/', '\\'])
        .any(|folder| matches!(folder, "site-packages" | "dist-packages"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_has_the_name_of_its_file_or_folder() {
        let names = |file: &'static str| names_of_module(Path::new(file));
        assert_eq!(names("src/pkg/lib.py"), Some((Some("pkg"), "lib")));
        assert_eq!(names("src/pkg/__init__.py"), Some((Some("src"), "pkg")));
        assert_eq!(names("lib.py"), Some((None, "lib")));
        assert_eq!(names("__init__.py"), None);
    }
}
