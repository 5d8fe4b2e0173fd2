//! The list of files with tests that pytest gave when it was asked, and what it becomes when test files come and go.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use dx_py_core::{Fact, Input};
use dx_py_select::Change;
use serde::{Deserialize, Serialize};

/// The files that pytest collected for a set of base arguments, and the facts under which that holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// What must hold.
    pub facts: Vec<Fact>,
    /// The node IDs of the files with tests, in pytest's order.
    pub files: Vec<String>,
    /// Paths of files that couldn't be collected, for pytest.
    pub broken: Vec<String>,
    /// Files whose tests can be run in several pieces.
    pub divisible: Vec<String>,
    /// How many tests of which files pytest's options and hooks left out.
    pub deselected: Vec<(String, u32)>,
    /// Conftests of some folder whose hooks pytest calls for all tests.
    pub wide: Vec<String>,
    /// The paths of other Python files in the folders that pytest looked into, sorted: it was told to pass them over, or their names say so.
    pub passed_over: Vec<String>,
}

/// A list in which test files have come or gone since pytest was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The list without those that are gone, with facts as they are now.
    pub list: FileList,
    /// The paths of Python files that have come. What pytest finds in them isn't known yet.
    pub new: Vec<String>,
}

/// What can be asked of folders and files now.
pub struct Folders<'a> {
    /// The names in a folder, those of folders with a `/`; none if there is no such folder.
    pub names: &'a dyn Fn(&str) -> Option<Arc<BTreeSet<String>>>,
    /// Whether pytest may find something in a folder that it didn't look into.
    pub holds_python: &'a dyn Fn(&str) -> bool,
    /// Whether a file is named as pytest's configuration says that test files are.
    pub is_test_file: &'a dyn Fn(&str) -> bool,
}

impl FileList {
    /// The list as it is now, if all that changed is that Python files came or test files went in folders that pytest looks into. None
    /// if pytest must be asked: for a conftest, a package, a new folder, or where it wasn't the order of paths in which it gave the files.
    /// `paths` are the paths of files by their node IDs.
    pub fn renewed(
        &self,
        changes: &[Change],
        paths: &HashMap<&str, &str>,
        folders: &Folders<'_>,
    ) -> Option<Renewal> {
        let (mut list, mut new) = (self.clone(), Vec::new());
        let files = self
            .files
            .iter()
            .filter_map(|file| paths.get(file.as_str()));
        let known_files: Vec<&str> = files.copied().collect();
        let mut known: HashSet<&str> = known_files.iter().copied().collect();
        known.extend(
            self.broken
                .iter()
                .chain(&self.passed_over)
                .map(String::as_str),
        );
        let mut looked_into = HashSet::new();
        for fact in &self.facts {
            match &fact.input {
                Input::File(path) => {
                    known.insert(path);
                }
                Input::PythonListing(folder) => {
                    looked_into.insert(folder.as_str());
                }
                _ => {}
            }
        }
        if changes.is_empty() || !self.wide.is_empty() {
            return None;
        }
        // Else somebody collects from files with other names as well.
        let only_test_files = known_files.iter().all(|path| (folders.is_test_file)(path));
        for change in changes {
            let Input::PythonListing(folder) = &change.input else {
                return None;
            };
            let names = (folders.names)(folder)?;
            for name in names.iter() {
                if let Some(folder_name) = name.strip_suffix('/') {
                    let inner = join(folder, folder_name);
                    if !looked_into.contains(inner.as_str()) && (folders.holds_python)(&inner) {
                        return None;
                    }
                } else if name.ends_with(".py") && !known.contains(join(folder, name).as_str()) {
                    if matches!(name.as_str(), "conftest.py" | "__init__.py") {
                        return None;
                    }
                    let path = join(folder, name);
                    match (folders.is_test_file)(&path) {
                        true => new.push(path),
                        false if only_test_files => {}
                        false => return None,
                    }
                }
            }
            let is_gone = |path: &str| {
                let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
                parent == folder && !names.contains(name)
            };
            let is_lost = |file: &str| paths.get(file).is_some_and(|path| is_gone(path));
            list.files.retain(|file| !is_lost(file));
            list.divisible.retain(|file| !is_lost(file));
            list.deselected.retain(|(file, _)| !is_lost(file));
            list.broken.retain(|path| !is_gone(path));
            for fact in list
                .facts
                .iter_mut()
                .filter(|fact| fact.input == change.input)
            {
                fact.digest = change.now;
            }
        }
        if !new.is_empty() && !list.files.is_sorted_by(|a, b| by_place(a, b).is_le()) {
            return None;
        }
        new.sort_by(|a, b| by_place(a, b));
        Some(Renewal { list, new })
    }

    /// Adds a file in its place.
    pub fn insert(&mut self, file: String) {
        let place = self
            .files
            .partition_point(|other| by_place(other, &file).is_lt());
        self.files.insert(place, file);
    }
}

/// The order in which pytest goes through files, since version 8: by the names on the way to them.
pub fn by_place(a: &str, b: &str) -> Ordering {
    a.split('/').cmp(b.split('/'))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dx_py_core::Digest;

    fn list() -> FileList {
        let listing = |folder: &str| Fact {
            input: Input::PythonListing(folder.into()),
            digest: Digest::of(b"before"),
        };
        let conftest = Fact {
            input: Input::File("t/conftest.py".into()),
            digest: Digest::of(b"c"),
        };
        FileList {
            facts: vec![listing(""), listing("t"), listing("t/u"), conftest],
            files: ["t/test_a.py", "t/test_c.py", "t/u/test_d.py"]
                .map(str::to_owned)
                .to_vec(),
            ..FileList::default()
        }
    }

    fn renewed(list: &FileList, names: &[&str], changed: &[Input]) -> Option<Renewal> {
        let changes: Vec<Change> = changed
            .iter()
            .map(|input| Change {
                input: input.clone(),
                before: Digest::of(b"before"),
                now: Digest::of(b"now"),
            })
            .collect();
        let paths = list
            .files
            .iter()
            .map(|file| (file.as_str(), file.as_str()))
            .collect();
        let names: Arc<BTreeSet<String>> =
            Arc::new(names.iter().map(|name| (*name).to_owned()).collect());
        let folders = Folders {
            names: &|_| Some(names.clone()),
            holds_python: &|folder| folder != "t/build",
            is_test_file: &|path| path.contains("/test_"),
        };
        list.renewed(&changes, &paths, &folders)
    }

    const BEFORE: [&str; 4] = ["conftest.py", "test_a.py", "test_c.py", "u/"];

    #[test]
    fn what_pytest_passed_over_before_has_not_come() {
        let mut list = list();
        list.passed_over = vec!["t/test_b.py".into()];
        let changed = [Input::PythonListing("t".into())];
        let names = [&BEFORE[..], &["build/", "test_b.py"]].concat();
        assert_eq!(renewed(&list, &names, &changed).unwrap().new, [""; 0]);
        let names = [&names[..], &["test_d.py"]].concat();
        assert_eq!(
            renewed(&list, &names, &changed).unwrap().new,
            ["t/test_d.py"]
        );
    }

    #[test]
    fn test_files_that_come_and_go_need_no_question() {
        let listing = [Input::PythonListing("t".into())];
        let with = |more: &[&'static str]| [&BEFORE[..], more].concat();
        let found = renewed(
            &list(),
            &with(&["helper.py", "test_b.py", "build/"]),
            &listing,
        )
        .unwrap();
        assert_eq!(found.new, ["t/test_b.py"]);
        let mut after = found.list;
        assert_eq!(after.facts[1].digest, Digest::of(b"now"));
        after.insert("t/test_b.py".into());
        assert_eq!(
            after.files,
            ["t/test_a.py", "t/test_b.py", "t/test_c.py", "t/u/test_d.py"]
        );
        let found = renewed(&list(), &["conftest.py", "test_c.py", "u/"], &listing).unwrap();
        assert_eq!((found.list.files.len(), found.new.len()), (2, 0));
        for names in [with(&["__init__.py"]), with(&["other/"])] {
            assert_eq!(renewed(&list(), &names, &listing), None, "{names:?}");
        }
    }

    #[test]
    fn pytest_is_asked_when_anything_else_has_changed() {
        let listing = Input::PythonListing("t".into());
        let more = [&BEFORE[..], &["test_b.py"]].concat();
        for changed in [
            vec![],
            vec![listing.clone(), Input::File("t/conftest.py".into())],
        ] {
            assert_eq!(renewed(&list(), &more, &changed), None);
        }
        let asked = [listing];
        let mut other = list();
        other.files.reverse();
        assert_eq!(renewed(&other, &more, &asked), None, "another order");
        let mut other = list();
        other.files.push("t/z.py".into());
        let helper = [&BEFORE[..], &["helper.py"]].concat();
        assert_eq!(
            renewed(&other, &helper, &asked),
            None,
            "other names are collected too"
        );
        let mut other = list();
        other.wide.push("t/conftest.py".into());
        assert_eq!(
            renewed(&other, &more, &asked),
            None,
            "a conftest with a say in all tests"
        );
    }
}
