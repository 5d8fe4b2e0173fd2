//! How code may get hold of a changed module as an object, without any name that tells which.

use std::path::Path;

use dx_py_discovery::Symbols;
use dx_py_discovery::symbols::{ANY_MODULE, name_hash};
use rustc_hash::FxHashSet;

use crate::words::has_word;
use crate::world::World;

/// The modules of changed frames, by hashes of names.
#[derive(Default)]
pub(super) struct Modules {
    /// Their last names.
    names: FxHashSet<u64>,
    /// The names of those that are in no package, whose name alone imports them.
    outermost: FxHashSet<u64>,
    /// The last names of the packages of others.
    packages: FxHashSet<u64>,
    /// All of these.
    said: Vec<String>,
}

/// What the files that a test reached have of such ways.
#[derive(Clone, Copy, Default)]
pub(super) struct Ways {
    /// There is one.
    is_open: bool,
    /// A string ends in the name of a module, without that of its package.
    ends_in_name: bool,
    /// The package is handed around, or begins a string that may go on with the name.
    begins_with_package: bool,
    /// Code is run with the names for it to know, by a function that the test reached or by what is outside of functions.
    pub(super) executes: bool,
    /// Code in a string may import the module.
    is_in_code: bool,
}

impl Ways {
    /// A way.
    pub(super) const OPEN: Self = Self {
        is_open: true,
        ends_in_name: false,
        begins_with_package: false,
        executes: false,
        is_in_code: false,
    };

    /// Adds those of another file. One may say the package, and the other its module.
    pub(super) fn add(&mut self, other: Self) {
        self.is_open |= other.is_open;
        self.ends_in_name |= other.ends_in_name;
        self.begins_with_package |= other.begins_with_package;
        self.executes |= other.executes;
        self.is_in_code |= other.is_in_code;
    }

    /// Whether they lead to one of the modules.
    pub(super) fn lead_there(self) -> bool {
        self.is_open
            || self.ends_in_name && self.begins_with_package
            || self.executes && self.is_in_code
    }
}

impl Modules {
    /// Adds that of a file.
    pub(super) fn add(&mut self, file: &str, package: Option<&str>, module: &str, world: &World) {
        self.names.insert(name_hash(module));
        // Of a folder without that file it can't be told.
        match package.filter(|_| is_in_package(file, world)) {
            Some(package) => self.packages.insert(name_hash(package)),
            None => self.outermost.insert(name_hash(module)),
        };
        let said = [Some(module), package].into_iter().flatten();
        self.said.extend(said.map(str::to_owned));
    }

    /// Those that a file has which is no Python file: code that is run may be in it.
    pub(super) fn ways_of_text(&self, text: &[u8]) -> Ways {
        let mut said = self.said.iter();
        Ways {
            is_in_code: has_word(text, "import") && said.any(|name| has_word(text, name)),
            ..Ways::default()
        }
    }

    /// The last names of what a file imports and hands an attribute of around that is called as one of the modules: that is a way to it if
    /// it is an attribute of a module, which may have imported it.
    pub(super) fn members_of(&self, symbols: &Symbols) -> Vec<u64> {
        let members = symbols.module_values.members.iter();
        let are_called_so = members
            .filter(|(_, member)| self.names.contains(member) || self.packages.contains(member));
        are_called_so.map(|(module, _)| *module).collect()
    }

    /// Those that a file has; `is_package` says whether it is that of a package. What its functions run is told elsewhere.
    pub(super) fn ways_of(&self, symbols: &Symbols, is_package: bool) -> Ways {
        let has =
            |words: &[u64], names: &FxHashSet<u64>| words.iter().any(|word| names.contains(word));
        let (values, strings) = (&symbols.module_values.whole, &symbols.strings);
        let ends_in_name = has(&strings.bare, &self.names);
        let ends_in_package =
            has(&strings.bare, &self.packages) || has(&strings.after_dots, &self.packages);
        // The modules of a package are among what its own file knows; what another one imports is handed around where it asks for all.
        let mut functions = symbols.functions().iter();
        let asks_for_globals = is_package
            && (symbols.frame_gets_globals || functions.any(|function| function.gets_globals));
        Ways {
            is_open: values.contains(&ANY_MODULE)
                || has(values, &self.names)
                || has(&strings.after_dots, &self.names)
                || has(&strings.bare, &self.outermost)
                || ends_in_name && ends_in_package,
            ends_in_name,
            begins_with_package: asks_for_globals
                || has(values, &self.packages)
                || has(&strings.before_dots, &self.packages),
            executes: false,
            is_in_code: strings.has_ways
                || has(&strings.in_code, &self.names)
                || has(&strings.in_code, &self.packages),
        }
    }
}

/// Whether a module's file is in the folder of a package.
fn is_in_package(file: &str, world: &World) -> bool {
    let file = Path::new(file);
    let is_package = file.file_name().is_some_and(|name| name == "__init__.py");
    let folder = if is_package {
        file.parent().and_then(Path::parent)
    } else {
        file.parent()
    };
    let init = folder.map(|folder| folder.join("__init__.py"));
    init.is_some_and(|init| init.to_str().is_some_and(|init| world.path(init).is_file()))
}
