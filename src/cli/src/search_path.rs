//! The folders that a session of pytest's adds to `sys.path`, so that one that collects a part has the same path when tests run.

use std::collections::{HashMap, HashSet};

use dx_py_core::{Input, RelPath};

use crate::file_list::by_place;
use crate::plan::Plan;
use crate::session::Session;

/// The folders, absolute, of the test files and conftests that a session imports which collects everything, each time that it comes to a
/// file of another one, and whether that is a conftest. Nothing if that isn't known.
pub fn folders(session: &Session, plan: &Plan) -> Vec<(String, bool)> {
    let Some(list) = &session.file_list else {
        return Vec::new();
    };
    let files = session.state.files.iter();
    let known: HashMap<&str, &str> = files.map(|file| (&*file.file, &*file.path)).collect();
    let with_tests = list
        .files
        .iter()
        .filter_map(|file| known.get(file.as_str()));
    let mut paths: Vec<&str> = with_tests.copied().collect();
    let is_sorted = paths.is_sorted_by(|a, b| by_place(a, b).is_le());
    // A file without a test is imported too, as is one that is new.
    let looked_at = list.facts.iter().filter_map(|fact| match &fact.input {
        Input::File(path) => Some(path.as_str()),
        _ => None,
    });
    let project = &session.project;
    let is_imported = |path: &&str| {
        is_conftest(path)
            || RelPath::from_text(path).is_some_and(|path| project.is_test_file(&path))
    };
    let new = plan.paths.iter().map(String::as_str);
    let others = looked_at.filter(is_imported).chain(new);
    let known: HashSet<&str> = paths.iter().copied().collect();
    let mut others: Vec<&str> = others.filter(|path| !known.contains(path)).collect();
    others.sort_by_cached_key(|path| visit_key(path));
    paths.extend(others);
    if is_sorted {
        paths.sort_by_cached_key(|path| visit_key(path));
    }
    visits(&paths)
        .into_iter()
        .map(|(folder, is_conftest)| {
            let folder = folder.to_path(&project.root);
            (folder.display().to_string(), is_conftest)
        })
        .collect()
}

fn is_conftest(path: &str) -> bool {
    path.rsplit('/').next() == Some("conftest.py")
}

/// By this pytest orders the files that it imports: as [`by_place`], but a folder's conftest comes before all else that is there.
fn visit_key(path: &str) -> Vec<&str> {
    let named = path
        .strip_suffix("conftest.py")
        .filter(|_| is_conftest(path));
    named.unwrap_or(path).split('/').collect()
}

/// The folders of files in this order, each time that another one is come to.
fn visits(files: &[&str]) -> Vec<(RelPath, bool)> {
    let mut visits = Vec::new();
    for path in files {
        let folder = RelPath::from_text(path).and_then(|file| file.parent());
        let visit = folder.map(|folder| (folder, is_conftest(path)));
        if visit.is_some() && visits.last() != visit.as_ref() {
            visits.extend(visit);
        }
    }
    visits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_as_pytest_comes_to_them() {
        let mut files = [
            "t/b/test_v.py",
            "t/b/test_w.py",
            "t/b/c/d/test_x.py",
            "t/b/c/conftest.py",
            "t/b/d/test_y.py",
            "t/test_z.py",
            "t/conftest.py",
            "conftest.py",
        ];
        files.sort_by_cached_key(|path| visit_key(path));
        let visits = visits(&files);
        let folders: Vec<String> = visits
            .iter()
            .map(|(folder, _)| folder.to_string())
            .collect();
        assert_eq!(folders, [".", "t", "t/b/c", "t/b/c/d", "t/b/d", "t/b", "t"]);
        let conftests: Vec<bool> = visits.iter().map(|(_, is_conftest)| *is_conftest).collect();
        assert_eq!(conftests, [true, true, true, false, false, false, false]);
    }
}
