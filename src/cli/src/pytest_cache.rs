//! What pytest would remember of a run for `--lf`, `--ff` and `--nf`: workers don't write it.
//!
//! The rules are those of pytest's cache plugin: a test that failed is added, one that passed or was skipped is removed, all others
//! stay; so do files that can't be collected, until they can.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dx_py_core::{TestId, TestResult, TestStatus};
use dx_py_protocol::{Collected, CollectionReport};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use serde_json::{Value, json};

const LAST_FAILED: &str = "v/cache/lastfailed";
const NODE_IDS: &str = "v/cache/nodeids";

/// The files with which pytest keeps its cache out of version control and backups.
const SUPPORTING_FILES: [(&str, &str); 3] = [
    (".gitignore", "# Created by dx-py, as pytest does it.\n*\n"),
    (
        "CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is the cache of pytest; see https://bford.info/cachedir/\n",
    ),
    (
        "README.md",
        "# pytest's cache\n\nData for pytest's `--lf` and `--ff` options and for its `cache` fixture. Do not commit it.\n",
    ),
];

/// The cache can't be written.
#[derive(Debug, thiserror::Error)]
#[error("pytest's cache can't be written, so `pytest --lf` won't know of this run: {path}: {source}\nCheck the permissions of the folder, or leave the cache out with `-p no:cacheprovider`.", path = .path.display())]
pub struct CacheError {
    path: PathBuf,
    source: io::Error,
}

/// What a run has to tell pytest's cache.
#[derive(Debug, Default)]
pub struct PytestCache {
    folder: Option<PathBuf>,
    outcomes: FxHashMap<TestId, TestStatus>,
    /// What files hold that the cache names as failed.
    items: BTreeMap<String, Vec<String>>,
    selected: Vec<TestId>,
    uncollected: BTreeMap<String, TestStatus>,
}

impl PytestCache {
    /// Files were collected, by a session whose cache is in `folder`; an empty path means that it does without.
    pub fn collected(&mut self, files: &[Collected], folder: &str) {
        if !folder.is_empty() {
            self.folder = Some(PathBuf::from(folder));
        }
        let Some(folder) = &self.folder else { return };
        let failed = read(&folder.join(LAST_FAILED));
        for file in files.iter().filter(|file| failed.get(&file.file).is_some()) {
            let ids = file.items.iter().map(|item| item.id.clone());
            self.items.insert(file.file.clone(), ids.collect());
        }
    }

    /// A test is among those that the run is about.
    pub fn selected(&mut self, id: &TestId) {
        self.selected.push(id.clone());
    }

    /// A file failed to be collected, or skipped itself.
    pub fn not_collected(&mut self, report: &CollectionReport) {
        self.uncollected.insert(report.node.clone(), report.status);
    }

    /// A test came to its outcome.
    pub fn finished(&mut self, result: &TestResult) {
        self.outcomes.insert(result.id.clone(), result.status);
    }

    /// Writes what changed.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self) -> Result<(), CacheError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let known_failed = read(&folder.join(LAST_FAILED));
        let mut failed = BTreeMap::new();
        if let Value::Object(known) = &known_failed {
            failed.extend(known.clone());
        }
        self.update_failed(&mut failed);
        replace(
            folder,
            LAST_FAILED,
            &known_failed,
            &json!(failed),
            &json!({}),
        )?;
        let text = fs::read_to_string(folder.join(NODE_IDS)).unwrap_or_default();
        let known = node_ids(&text);
        let selected = self.selected.iter().map(TestId::as_str);
        if let Some(known) = &known {
            let known: FxHashSet<&str> = known.iter().map(Cow::as_ref).collect();
            if selected.clone().all(|id| known.contains(id)) {
                return Ok(());
            }
        }
        let known = known.iter().flatten().map(Cow::as_ref);
        let ids: BTreeSet<&str> = selected.chain(known).collect();
        store(folder, NODE_IDS, &ids)
    }

    fn update_failed(&self, failed: &mut BTreeMap<String, Value>) {
        for (file, ids) in &self.items {
            // What a file holds that couldn't be collected counts as failed: tests until they have run, and classes, which don't.
            if failed.remove(file).is_some() {
                failed.extend(ids.iter().map(|id| (child(file, id), json!(true))));
            }
        }
        let outcomes = self.outcomes.iter();
        let outcomes = outcomes.map(|(test, status)| (test.as_str(), status));
        let uncollected = self.uncollected.iter();
        let uncollected = uncollected.map(|(node, status)| (node.as_str(), status));
        for (node, status) in uncollected.chain(outcomes) {
            if status.is_bad() {
                failed.insert(node.to_owned(), json!(true));
            } else {
                failed.remove(node);
            }
        }
    }
}

/// What a test of a file is, or is in, directly below the file.
fn child(file: &str, id: &str) -> String {
    let rest = id.get(file.len() + 2..).unwrap_or_default();
    // The names of parameters may hold anything.
    let name = rest.split('[').next().unwrap_or_default();
    match name.split_once("::") {
        Some((class, _)) => format!("{file}::{class}"),
        None => id.to_owned(),
    }
}

/// A value of the cache; null if there is none, or if it can't be read.
fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// The node IDs in such a list; none if it isn't one. There may be a hundred thousand, of which few have something escaped.
fn node_ids(text: &str) -> Option<Vec<Cow<'_, str>>> {
    if let Ok(ids) = serde_json::from_str::<Vec<&str>>(text) {
        return Some(ids.into_iter().map(Cow::Borrowed).collect());
    }
    let ids: Vec<String> = serde_json::from_str(text).ok()?;
    Some(ids.into_iter().map(Cow::Owned).collect())
}

/// Replaces a `known` value, unless it is the same. `absent` is what a value that isn't there stands for.
fn replace(
    folder: &Path,
    name: &str,
    known: &Value,
    value: &Value,
    absent: &Value,
) -> Result<(), CacheError> {
    if known == value || known.is_null() && value == absent {
        return Ok(());
    }
    store(folder, name, value)
}

/// Writes a value of the cache.
fn store(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), CacheError> {
    let path = folder.join(name);
    let failed = |source| CacheError {
        path: path.clone(),
        source,
    };
    if !folder.is_dir() {
        fs::create_dir_all(folder).map_err(failed)?;
        for (name, text) in SUPPORTING_FILES {
            fs::write(folder.join(name), text).map_err(failed)?;
        }
    }
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(failed)?;
    // As others may read what pytest writes, while temporary files are for their owner only.
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(parent)
        .map_err(failed)?;
    let text = serde_json::to_string_pretty(value).map_err(|error| failed(error.into()))?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_read_with_and_without_what_is_escaped() {
        let read = |text| node_ids(text).map(|ids| ids.join(" "));
        assert_eq!(read("[\"a::b\", \"c::é\"]").as_deref(), Some("a::b c::é"));
        assert_eq!(
            read(r#"["a::b[\\x00]", "c"]"#).as_deref(),
            Some("a::b[\\x00] c")
        );
        assert_eq!(read("[]").as_deref(), Some(""));
        for text in ["", "{}", "[1]", "[\"a\""] {
            assert_eq!(node_ids(text), None, "{text}");
        }
    }
}
