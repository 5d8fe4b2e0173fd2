//! Snapshots that no test uses, as runs have found them: kept until the test file or the snapshot file changes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context;
use dx_py_catalog::{Catalog, CatalogError};
use dx_py_core::{Digest, SnapshotName, blob};
use dx_py_snapshot::Store;
use serde::{Deserialize, Serialize};

const NOTE: &str = "snapshots:unused";

/// One of them, and the state of the files in which that was so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    name: SnapshotName,
    snapshots: Digest,
    source: Digest,
}

/// Those that are known, as far as their files are as they were.
///
/// # Errors
/// If the catalog can't be read.
pub fn known(catalog: &Catalog, root: &Path) -> Result<BTreeSet<SnapshotName>, CatalogError> {
    Ok(read(catalog, root)?
        .into_iter()
        .map(|known| known.name)
        .collect())
}

/// Keeps those that a run has found, beside those that are known.
///
/// # Errors
/// If the catalog can't be written.
pub fn keep(
    catalog: &mut Catalog,
    root: &Path,
    found: &BTreeSet<SnapshotName>,
) -> anyhow::Result<()> {
    let before = read(catalog, root)?;
    let mut after: Vec<Known> = before
        .iter()
        .filter(|known| !found.contains(&known.name))
        .cloned()
        .collect();
    after.extend(found.iter().filter_map(|name| state(name, root)));
    if after != before {
        let value =
            blob::encode(&after).context("the snapshots that no test uses can't be kept")?;
        catalog.set_note(NOTE, &value)?;
    }
    Ok(())
}

fn read(catalog: &Catalog, root: &Path) -> Result<Vec<Known>, CatalogError> {
    let kept: Option<Vec<Known>> = catalog
        .note(NOTE)?
        .and_then(|value| blob::decode(&value).ok());
    let kept = kept.unwrap_or_default().into_iter();
    Ok(kept
        .filter(|known| state(&known.name, root).as_ref() == Some(known))
        .collect())
}

/// The state of its files now.
fn state(name: &SnapshotName, root: &Path) -> Option<Known> {
    let path = root.join(&name.0);
    let source = Store::new(root, root).source_of(&path).ok()?;
    Some(Known {
        name: name.clone(),
        snapshots: Digest::of(&fs::read(&path).ok()?),
        source: Digest::of(&fs::read(source).ok()?),
    })
}
