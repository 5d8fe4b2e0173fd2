//! Which paths in the system's temporary folder a run has made: they are no inputs, since they are there only for as long as it goes on.
//!
//! A worker leaves out what it has made itself. What other workers, child processes and native code make is told by the names that were
//! there when the run began.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The temporary folders as they were when the run began.
#[derive(Debug, Default)]
pub struct TemporaryFolders {
    names: BTreeMap<PathBuf, HashSet<OsString>>,
}

impl TemporaryFolders {
    /// As they are now: those that Python's `tempfile` may choose.
    pub fn now() -> Self {
        let variables = ["TMPDIR", "TEMP", "TMP"];
        let named = variables.iter().filter_map(std::env::var_os);
        let usual = ["/tmp", "/var/tmp", "/usr/tmp"].map(OsString::from);
        Self::of(named.chain(usual).map(PathBuf::from))
    }

    fn of(folders: impl Iterator<Item = PathBuf>) -> Self {
        let mut names = BTreeMap::new();
        for folder in folders {
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            let there: HashSet<OsString> =
                entries.flatten().map(|entry| entry.file_name()).collect();
            if let Ok(real) = fs::canonicalize(&folder) {
                names.insert(real, there.clone());
            }
            names.insert(folder, there);
        }
        Self { names }
    }

    /// Whether `path` lies in a temporary folder below something that is there, and wasn't when the run began. What is there neither
    /// way may be missed by a test, and is no product of the run.
    pub fn is_new(&self, path: &Path) -> bool {
        self.names.iter().any(|(folder, names)| {
            let Some(first) = path
                .strip_prefix(folder)
                .ok()
                .and_then(|inner| inner.iter().next())
            else {
                return false;
            };
            !names.contains(first) && folder.join(first).symlink_metadata().is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_is_what_was_not_there_at_the_beginning_and_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("old")).unwrap();
        let folders = TemporaryFolders::of([dir.path().to_path_buf()].into_iter());
        fs::create_dir(at("new")).unwrap();
        fs::write(at("old/data"), "1").unwrap();
        for (name, is_new) in [
            ("new", true),
            ("new/missing", true),
            ("old", false),
            ("old/data", false),
            ("missing", false),
        ] {
            assert_eq!(folders.is_new(&at(name)), is_new, "{name}");
        }
        assert!(!folders.is_new(dir.path()) && !folders.is_new(Path::new("/elsewhere")));
    }
}
