//! What zygotes import beside what they are told to: the installed modules that the tests of earlier runs were seen to import.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use dx_py_protocol::Preloadable;
use serde::{Deserialize, Serialize};

use crate::zygote::Zygotes;

/// The file in the folder of zygotes that has what was learned for each interpreter. They read it.
const FILE: &str = "preloads";

/// What was learned for an interpreter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preloads {
    modules: BTreeSet<String>,
    packages: BTreeSet<String>,
    rewritten: BTreeSet<String>,
    folders: BTreeSet<String>,
    /// Variables that code changes while tests are collected.
    #[serde(default)]
    variables: BTreeSet<String>,
    /// Whether some stay changed.
    #[serde(default)]
    stay_changed: bool,
    /// Whether a worker was seen in which importing ahead would not have been the same.
    is_unlike: bool,
}

impl Preloads {
    /// Takes in what a worker told.
    pub fn add(&mut self, told: Preloadable) {
        self.join(Self {
            is_unlike: told.packages.is_empty(),
            modules: told.modules.into_iter().collect(),
            packages: told.packages.into_iter().collect(),
            rewritten: told.rewritten.into_iter().collect(),
            folders: told.folders.into_iter().collect(),
            variables: told.variables.into_iter().collect(),
            stay_changed: told.stay_changed,
        });
    }

    fn join(&mut self, other: Self) {
        self.is_unlike |= other.is_unlike;
        self.modules.extend(other.modules);
        self.packages.extend(other.packages);
        self.rewritten.extend(other.rewritten);
        self.folders.extend(other.folders);
        self.variables.extend(other.variables);
        self.stay_changed |= other.stay_changed;
    }
}

impl Zygotes {
    /// Keeps what a run has learned for the interpreter `python`, in place of what was known before if the run has collected all tests.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn teach(&self, python: &Path, preloads: Preloads, is_whole: bool) -> io::Result<()> {
        if !self.auto_preload {
            return Ok(());
        }
        let file = self.folder.join(FILE);
        let mut known: BTreeMap<String, Preloads> = fs::read(&file)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let python = python.to_string_lossy().into_owned();
        let mut new = preloads;
        let before = known.get(&python);
        if let Some(before) = before
            && !is_whole
            && !new.is_unlike
        {
            new.join(before.clone());
        }
        if before == Some(&new) {
            return Ok(());
        }
        known.insert(python, new);
        self.prepare_folder()?;
        let mut written = tempfile::NamedTempFile::new_in(&self.folder)?;
        written.write_all(&serde_json::to_vec(&known)?)?;
        written.persist(&file)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn told(modules: &[&str]) -> Preloads {
        let mut preloads = Preloads::default();
        preloads.add(Preloadable {
            modules: modules.iter().map(|&name| name.to_owned()).collect(),
            packages: vec!["pytest".to_owned()],
            rewritten: Vec::new(),
            folders: Vec::new(),
            variables: Vec::new(),
            stay_changed: false,
        });
        preloads
    }

    #[test]
    fn a_whole_collection_replaces_what_was_known_and_a_part_adds_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let zygotes = Zygotes {
            folder: dir.path().join("zygote"),
            preload: Vec::new(),
            auto_preload: true,
            idle: Duration::ZERO,
        };
        let python = Path::new("/bin/python");
        let known = || -> BTreeMap<String, Preloads> {
            serde_json::from_slice(&fs::read(zygotes.folder.join(FILE)).unwrap()).unwrap()
        };
        zygotes.teach(python, told(&["a", "b"]), true).unwrap();
        zygotes.teach(python, told(&["c"]), false).unwrap();
        assert_eq!(known()["/bin/python"], told(&["a", "b", "c"]));
        zygotes.teach(python, told(&["c"]), true).unwrap();
        assert_eq!(known()["/bin/python"], told(&["c"]));
        let mut unlike = told(&["c"]);
        unlike.add(Preloadable::default());
        zygotes.teach(python, unlike, false).unwrap();
        assert!(known()["/bin/python"].is_unlike);
        zygotes.teach(python, told(&["c"]), false).unwrap();
        assert!(known()["/bin/python"].is_unlike, "until all was collected");
        fs::write(zygotes.folder.join(FILE), "damaged").unwrap();
        zygotes.teach(python, told(&["c"]), false).unwrap();
        assert_eq!(known()["/bin/python"], told(&["c"]));
    }
}
