//! Which changes of files matter: those of sources, of configuration, and of what a test was seen to depend on.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use dx_py_catalog::Catalog;
use dx_py_core::{Digest, Input, RelPath};
use dx_py_discovery::walk::is_passed_over;

/// Files that say what runs and how, wherever they lie.
const CONFIGURATION: [&str; 8] = [
    "pyproject.toml",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "setup.cfg",
    "tox.ini",
    "dx-py.toml",
];

/// What a change can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of a source or of the configuration: what runs at the moment is out of date.
    Source,
    /// Of something that a test depends on, and may have written itself.
    Data,
}

/// Tells changes that matter from others.
pub struct Filter {
    root: PathBuf,
    path: PathBuf,
    /// Opened when it is asked for: a branch that is moved to changes thousands of files.
    catalog: Option<Catalog>,
    contents: HashMap<PathBuf, Option<Digest>>,
}

/// Whether a file is one of an editor's own, which comes and goes while another one is saved.
fn is_passing(name: &str) -> bool {
    name.ends_with('~')
        || name.starts_with(".#")
        || name.starts_with('#') && name.ends_with('#')
        || name == "4913"
        || [".swp", ".swo", ".swx", ".tmp", ".pyc", ".pyo"]
            .iter()
            .any(|ending| name.ends_with(ending))
        || name.contains("___jb_")
}

impl Filter {
    /// A filter for the files below `root`, whose catalog is at the given path.
    pub fn new(root: &Path, catalog: PathBuf) -> Self {
        Self {
            root: root.to_path_buf(),
            path: catalog,
            catalog: None,
            contents: HashMap::new(),
        }
    }

    /// Lets the catalog go: a run may set it aside, or the user delete it.
    pub fn close(&mut self) {
        self.catalog = None;
    }

    /// What a change of this path means; none if nothing depends on it.
    pub fn kind(&mut self, path: &Path) -> Option<Kind> {
        let inner = RelPath::new(&self.root, path)?;
        let name = path.file_name()?.to_string_lossy();
        let mut folder = path.parent()?;
        while folder != self.root {
            if is_passed_over(folder) {
                return None;
            }
            folder = folder.parent()?;
        }
        if CONFIGURATION.contains(&&*name) {
            return Some(Kind::Source);
        }
        if is_passing(&name) {
            return None;
        }
        match path.extension() {
            Some(extension) if extension == "py" => Some(Kind::Source),
            _ => self.is_input(&inner).then_some(Kind::Data),
        }
    }

    /// Whether a test was seen to depend on a path, or on what its folder holds. Without a catalog nothing is known to.
    fn is_input(&mut self, path: &RelPath) -> bool {
        if self.catalog.is_none() && self.path.exists() {
            self.catalog = Catalog::open(&self.path).ok().map(|(catalog, _)| catalog);
        }
        let Some(catalog) = &self.catalog else {
            return false;
        };
        let key = path.as_str().to_owned();
        let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
        let inputs = [
            Input::Listing(folder.to_owned()),
            Input::File(key.clone()),
            Input::Existence(key),
        ];
        let mut all = inputs.iter();
        all.any(|input| catalog.has_input(input).unwrap_or(false))
    }

    /// Whether a file holds something else than when it was looked at last; a file that never was does.
    pub fn is_new(&mut self, path: &Path) -> bool {
        let content = fs::read(path).ok().map(|bytes| Digest::of(&bytes));
        match self.contents.insert(path.to_path_buf(), content) {
            Some(before) => before != content,
            // One that is gone again before anybody has seen it.
            None => content.is_some() || !path.exists(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_configuration_matter_and_what_editors_and_caches_write_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("venv")).unwrap();
        fs::write(root.join("venv/pyvenv.cfg"), "").unwrap();
        let mut filter = Filter::new(root, root.join(".dx/none.db"));
        let mut kind = |path: &str| filter.kind(&root.join(path));
        for path in [
            "a.py",
            "sub/b.py",
            "pytest.ini",
            "sub/pyproject.toml",
            "gone/c.py",
        ] {
            assert_eq!(kind(path), Some(Kind::Source), "{path}");
        }
        for path in [
            ".dx/x.py",
            "sub/__pycache__/a.pyc",
            "a.py~",
            ".#a.py",
            "4913",
            "a.py.swp",
            "venv/lib/x.py",
            "report.xml",
        ] {
            assert_eq!(kind(path), None, "{path}");
        }
        assert_eq!(filter.kind(Path::new("/elsewhere/a.py")), None);
    }

    #[test]
    fn a_file_that_is_written_as_it_was_has_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.py");
        let mut filter = Filter::new(dir.path(), dir.path().join("none.db"));
        fs::write(&path, "1").unwrap();
        assert!(filter.is_new(&path));
        fs::write(&path, "1").unwrap();
        assert!(!filter.is_new(&path));
        fs::write(&path, "2").unwrap();
        assert!(filter.is_new(&path));
        fs::remove_file(&path).unwrap();
        assert!(filter.is_new(&path));
        assert!(!filter.is_new(&path));
    }
}
