//! Finds the files that an import runs, among those of the project, as Python's import system does.

use std::collections::{BTreeSet, HashSet};

use dx_py_core::RelPath;

use crate::imports::Import;

/// Resolves imports over a set of files.
#[derive(Debug)]
pub struct Resolver<'a> {
    files: &'a HashSet<RelPath>,
    folders: HashSet<RelPath>,
    roots: Vec<RelPath>,
}

impl<'a> Resolver<'a> {
    /// A resolver over `files`, with the folders that modules are imported from, in order. To these are added what pytest's
    /// `prepend` mode inserts: for each test file or conftest the first folder above it that isn't a package.
    pub fn new(files: &'a HashSet<RelPath>, roots: &[RelPath]) -> Self {
        let folders = files.iter().flat_map(RelPath::ancestors).collect();
        let mut seen: HashSet<RelPath> = HashSet::new();
        let mut all: Vec<RelPath> = roots
            .iter()
            .filter(|root| seen.insert((*root).clone()))
            .cloned()
            .collect();
        let mut inserted: BTreeSet<RelPath> = BTreeSet::new();
        for file in files.iter().filter(|file| is_test_file(file)) {
            let base = file
                .ancestors()
                .find(|folder| !files.contains(&folder.join("__init__.py")));
            inserted.extend(base);
        }
        all.extend(
            inserted
                .into_iter()
                .filter(|root| seen.insert(root.clone())),
        );
        Self {
            files,
            folders,
            roots: all,
        }
    }

    /// The folders that modules are imported from, in order.
    pub fn roots(&self) -> &[RelPath] {
        &self.roots
    }

    /// The files that `import` in `file` runs: the module, its parents' `__init__.py`, and submodules that it names.
    pub fn resolve(&self, file: &RelPath, import: &Import) -> BTreeSet<RelPath> {
        let mut found = BTreeSet::new();
        let parts: Vec<&str> = import
            .module
            .split('.')
            .filter(|part| !part.is_empty())
            .collect();
        if import.level > 0 {
            // A file's package is its folder; each further dot goes one up.
            let Some(base) = file.ancestors().nth(import.level as usize - 1) else {
                return found;
            };
            self.module(&[base], &parts, &import.names, &mut found);
            return found;
        }
        // The file's own folder stands in for what a script or an unusual path setting makes importable; it comes last, so that
        // it never hides what Python would find.
        let mut places = self.roots.clone();
        places.extend(file.parent());
        self.module(&places, &parts, &import.names, &mut found);
        found
    }

    /// Follows a dotted name from `places`, the candidates for the folder that holds its first part.
    fn module(
        &self,
        places: &[RelPath],
        parts: &[&str],
        names: &[String],
        found: &mut BTreeSet<RelPath>,
    ) {
        let Some((first, rest)) = parts.split_first() else {
            // `from . import x`: the package itself, and its submodules.
            for place in places {
                self.package(place, names, found);
            }
            return;
        };
        let mut portions = Vec::new();
        for place in places {
            let folder = place.join(first);
            let init = folder.join("__init__.py");
            let module = place.join(&format!("{first}.py"));
            if self.files.contains(&init) {
                found.insert(init);
                return self.module_rest(&[folder], rest, names, found);
            }
            if self.files.contains(&module) {
                found.insert(module);
                return;
            }
            if self.folders.contains(&folder) {
                portions.push(folder);
            }
        }
        // A namespace package: every folder of that name is a portion of it.
        if !portions.is_empty() {
            self.module_rest(&portions, rest, names, found);
        }
    }

    fn module_rest(
        &self,
        folders: &[RelPath],
        rest: &[&str],
        names: &[String],
        found: &mut BTreeSet<RelPath>,
    ) {
        if rest.is_empty() {
            for folder in folders {
                self.package(folder, names, found);
            }
        } else {
            self.module(folders, rest, names, found);
        }
    }

    /// What `from package import names` runs.
    fn package(&self, folder: &RelPath, names: &[String], found: &mut BTreeSet<RelPath>) {
        let init = folder.join("__init__.py");
        if self.files.contains(&init) {
            found.insert(init);
        }
        for name in names.iter().filter(|name| *name != "*") {
            let inner = folder.join(name).join("__init__.py");
            let module = folder.join(&format!("{name}.py"));
            if self.files.contains(&inner) {
                found.insert(inner);
            } else if self.files.contains(&module) {
                found.insert(module);
            }
        }
    }

    /// The `__init__.py` files that importing `file` runs first: those of the packages around it.
    pub fn packages(&self, file: &RelPath) -> Vec<RelPath> {
        file.ancestors()
            .map(|folder| folder.join("__init__.py"))
            .take_while(|init| self.files.contains(init))
            .filter(|init| init != file)
            .collect()
    }

    /// The conftests that pytest loads for `file`.
    pub fn conftests(&self, file: &RelPath) -> Vec<RelPath> {
        file.ancestors()
            .map(|folder| folder.join("conftest.py"))
            .filter(|conftest| conftest != file && self.files.contains(conftest))
            .collect()
    }
}

/// Whether pytest, by its defaults, imports the file itself: a test file or a conftest.
pub fn is_test_file(file: &RelPath) -> bool {
    let stem = file.stem();
    stem == "conftest" || stem.starts_with("test_") || stem.ends_with("_test")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(
        files: &[&str],
        roots: &[&str],
        from: &str,
        module: &str,
        names: &[&str],
        level: u32,
    ) -> Vec<String> {
        let path = |text: &&str| RelPath::from_text(text).unwrap();
        let files: HashSet<RelPath> = files.iter().map(path).collect();
        let roots: Vec<RelPath> = roots.iter().map(path).collect();
        let import = Import {
            module: module.into(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            level,
            type_checking: false,
        };
        let resolver = Resolver::new(&files, &roots);
        resolver
            .resolve(&path(&from), &import)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    const FILES: [&str; 8] = [
        "src/pkg/__init__.py",
        "src/pkg/a.py",
        "src/pkg/sub/__init__.py",
        "src/pkg/sub/b.py",
        "src/space/c.py",
        "more/space/d.py",
        "tests/helpers.py",
        "tests/test_x.py",
    ];

    #[test]
    fn dotted_names_run_every_package_on_the_way() {
        let all = |module, names: &[&str]| {
            resolved(
                &FILES,
                &["src", "more"],
                "tests/test_x.py",
                module,
                names,
                0,
            )
        };
        assert_eq!(
            all("pkg.sub.b", &[]),
            [
                "src/pkg/__init__.py",
                "src/pkg/sub/__init__.py",
                "src/pkg/sub/b.py"
            ]
        );
        assert_eq!(
            all("pkg", &["a", "name"]),
            ["src/pkg/__init__.py", "src/pkg/a.py"]
        );
        assert_eq!(all("pkg", &["*"]), ["src/pkg/__init__.py"]);
        assert_eq!(all("json", &[]), Vec::<String>::new());
    }

    #[test]
    fn relative_imports_start_at_the_files_package() {
        let from = |file, module, names: &[&str], level| {
            resolved(&FILES, &["src"], file, module, names, level)
        };
        assert_eq!(
            from("src/pkg/sub/b.py", "", &["b"], 1),
            ["src/pkg/sub/__init__.py", "src/pkg/sub/b.py"]
        );
        assert_eq!(from("src/pkg/sub/b.py", "a", &["f"], 2), ["src/pkg/a.py"]);
        assert_eq!(
            from("src/pkg/__init__.py", "sub", &[], 1),
            ["src/pkg/sub/__init__.py"]
        );
        assert_eq!(from("src/pkg/a.py", "", &[], 9), Vec::<String>::new());
    }

    #[test]
    fn namespace_packages_have_a_portion_in_every_root() {
        let all = |module| resolved(&FILES, &["src", "more"], "tests/test_x.py", module, &[], 0);
        assert_eq!(all("space.c"), ["src/space/c.py"]);
        assert_eq!(all("space.d"), ["more/space/d.py"]);
    }

    #[test]
    fn a_package_hides_a_module_and_an_earlier_root_a_later_one() {
        let files = ["a/x.py", "a/x/__init__.py", "b/x.py", "b/y.py"];
        let all = |module| resolved(&files, &["a", "b"], "b/y.py", module, &[], 0);
        assert_eq!(all("x"), ["a/x/__init__.py"]);
    }

    #[test]
    fn helpers_beside_a_test_are_found_as_pytest_inserts_their_folder() {
        assert_eq!(
            resolved(&FILES, &["src"], "src/pkg/a.py", "helpers", &[], 0),
            ["tests/helpers.py"]
        );
    }
}
