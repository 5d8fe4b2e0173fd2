//! What other programs may ask without the command line: the bindings for Python do. Nothing here prints, reads the arguments of the
//! process, or looks at its working directory.

use std::path::{Path, PathBuf};

use dx_py_catalog::{Catalog, CatalogError, SetAside};
use dx_py_core::{RelPath, TestCase};
use dx_py_discovery::{Index, WalkOptions, scan};
use globset::Glob;

use crate::settings::{Project, SettingsError};

/// A question that can't be answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The configuration can't be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The catalog can't be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A path isn't there.
    #[error("file or directory not found: {path}", path = .path.display())]
    NotFound {
        /// The path, as it was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A path isn't one of the project's.
    #[error("{path} lies outside of {root}", path = .path.display(), root = .root.display())]
    Outside {
        /// The path, as it was given.
        path: PathBuf,
        /// The project's root.
        root: PathBuf,
    },
}

/// The tests of a project as its sources say.
#[derive(Debug, Default)]
pub struct Discovery {
    /// The project's root, without links.
    pub root: PathBuf,
    /// The tests in the order of their files and lines, each with whether pytest's configuration would let it collect them.
    pub tests: Vec<(TestCase, bool)>,
    /// Files that couldn't be read, and why.
    pub problems: Vec<(RelPath, String)>,
    /// How many files were looked at.
    pub files: usize,
}

/// Finds the tests of the project around `folder`, all of them or those below `paths`, without starting Python. Relative paths start
/// from `folder`.
///
/// # Errors
/// If the folder or a path isn't there, a path lies outside of the project, or the configuration is unreadable or invalid.
pub fn discover(folder: &Path, paths: &[PathBuf]) -> Result<Discovery, QueryError> {
    let project = Project::around(folder)?;
    let wanted = paths
        .iter()
        .map(|path| inside(&project, path))
        .collect::<Result<Vec<_>, _>>()?;
    // What an earlier run has parsed is taken from its index, and nothing is written.
    let index = Index::open(&project.dx_dir().join("index.dxti"));
    let index = index.ok().map(std::sync::Arc::new);
    let options = WalkOptions {
        no_recurse: project.ini.no_recurse.clone(),
    };
    let scan = scan(&project.root, &options, index.as_ref(), 0, &|_, _, _| {});
    let collected = project.collected();
    let mut found = Discovery {
        files: scan.files.len(),
        ..Discovery::default()
    };
    for file in scan.files {
        if !wanted.is_empty() && !wanted.iter().any(|path| file.path.is_within(path)) {
            continue;
        }
        if let Some(problem) = &file.problem {
            found.problems.push((file.path.clone(), problem.clone()));
        }
        let tests = file.tests().into_owned().into_iter().map(|test| {
            let is_collected = collected.test(&file.path, &test);
            (test, is_collected)
        });
        found.tests.extend(tests);
    }
    found.root = project.root;
    Ok(found)
}

fn inside(project: &Project, path: &Path) -> Result<RelPath, QueryError> {
    let full = project
        .cwd
        .join(path)
        .canonicalize()
        .map_err(|source| QueryError::NotFound {
            path: path.to_path_buf(),
            source,
        })?;
    RelPath::new(&project.root, &full).ok_or_else(|| QueryError::Outside {
        path: path.to_path_buf(),
        root: project.root.clone(),
    })
}

/// The records of the project around `folder`, and where a damaged catalog was put, if it was; `None` if no run was recorded yet.
///
/// # Errors
/// If the folder isn't there, or the configuration or the catalog can't be used.
pub fn records(folder: &Path) -> Result<Option<(Catalog, Option<SetAside>)>, QueryError> {
    let path = Project::around(folder)?.dx_dir().join("catalog.db");
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(Catalog::open(&path)?))
}

/// Whether a test is one of those that a user means: by its ID, a part of it, or a glob over it.
pub fn is_meant(wanted: &str) -> impl Fn(&str) -> bool + use<'_> {
    let glob = Glob::new(wanted).ok().map(|glob| glob.compile_matcher());
    move |test| test.contains(wanted) || glob.as_ref().is_some_and(|glob| glob.is_match(test))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_that_is_asked_for_counts_and_not_the_working_directory() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("pytest.ini", "[pytest]\npython_files = test_a.py\n");
        write("test_a.py", "def test_one(): pass\n");
        write("test_b.py", "def test_two(): pass\n");
        let found = discover(dir.path(), &[]).unwrap();
        let told: Vec<(&str, bool)> = found
            .tests
            .iter()
            .map(|(test, collected)| (test.id.as_str(), *collected))
            .collect();
        assert_eq!(
            told,
            [
                ("test_a.py::test_one", true),
                ("test_b.py::test_two", false)
            ]
        );
        let only = discover(dir.path(), &["test_b.py".into()]).unwrap();
        assert_eq!(only.tests.len(), 1);
        assert!(records(dir.path()).unwrap().is_none());
    }

    #[test]
    fn paths_that_are_not_there_or_outside_are_told_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pytest.ini"), "[pytest]\n").unwrap();
        let told = |path: &str| {
            let error = discover(dir.path(), &[path.into()]).unwrap_err();
            error.to_string()
        };
        assert_eq!(told("none.py"), "file or directory not found: none.py");
        assert!(told("/").starts_with("/ lies outside of "));
        assert!(discover(&dir.path().join("none"), &[]).is_err());
    }
}
