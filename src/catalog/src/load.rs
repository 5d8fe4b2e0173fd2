//! All that is known of a universe, read at the start of each run.

use std::cmp::Reverse;
use std::time::Duration;

use dx_py_core::{TestId, blob};
use rusqlite::Connection;
use rustc_hash::FxHashMap;

use crate::open::now;
use crate::sets::SetId;
use crate::tests::{
    CollectedTest, Keywords, KnownFile, KnownTest, Pass, PassId, UniverseId, UniverseState,
    duration, status,
};
use crate::{Catalog, CatalogError};

impl Catalog {
    /// All that is known of a universe.
    ///
    /// # Errors
    /// If it can't be read, or holds what can't be.
    pub fn load_universe(&self, universe: UniverseId) -> Result<UniverseState, CatalogError> {
        // Each table is read once in the order of its rows, and sorted here: for 100,000 tests, joining and sorting them in SQL took
        // three times as long.
        let reading = self.db.unchecked_transaction()?;
        let mut state = UniverseState::default();
        let mut numbers: FxHashMap<i64, usize> = FxHashMap::default();
        let mut query = reading.prepare_cached(
            "SELECT id, file, path FROM collections WHERE universe = ? ORDER BY id",
        )?;
        let mut rows = query.query([universe.0])?;
        while let Some(row) = rows.next()? {
            numbers.insert(row.get(0)?, state.files.len());
            state.files.push(KnownFile {
                file: row.get(1)?,
                path: row.get(2)?,
                tests: Vec::new(),
                sets: Vec::new(),
            });
        }
        load_collection_sets(&reading, &numbers, &mut state)?;
        let passes = load_passes(&reading)?;
        let mut found = load_tests(&reading, &numbers, passes)?;
        found.sort_unstable_by_key(|found| (found.file, found.position, found.id));
        for FoundTest { file, test, .. } in found {
            state.files[file].tests.push(test);
        }
        Ok(state)
    }
}

/// A test with what its place among the others follows from.
struct FoundTest {
    file: usize,
    position: i64,
    id: i64,
    test: KnownTest,
}

/// The input sets of collections, given the numbers of their files.
fn load_collection_sets(
    db: &Connection,
    numbers: &FxHashMap<i64, usize>,
    state: &mut UniverseState,
) -> Result<(), CatalogError> {
    let mut query = db.prepare_cached(
        "SELECT collection, input_set FROM collection_sets ORDER BY at DESC, input_set DESC",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(file) = numbers.get(&row.get(0)?) {
            state.files[*file].sets.push(SetId(row.get(1)?));
        }
    }
    Ok(())
}

/// Passes with the tests that they are of, whatever universe those are of: by test, the newest first.
fn load_passes(db: &Connection) -> Result<Vec<(i64, Pass)>, CatalogError> {
    let now = now();
    let mut query =
        db.prepare_cached("SELECT test, id, input_set, status, duration, at FROM passes")?;
    let mut rows = query.query([])?;
    let mut passes = Vec::new();
    while let Some(row) = rows.next()? {
        let pass = Pass {
            id: PassId(row.get(1)?),
            set: SetId(row.get(2)?),
            status: status(row.get(3)?)?,
            duration: duration(row.get(4)?),
            age: Duration::from_millis((now - row.get::<_, i64>(5)?).max(0).unsigned_abs()),
        };
        passes.push((row.get(0)?, pass));
    }
    passes.sort_unstable_by_key(|(test, pass)| (*test, pass.age, Reverse(pass.id.0)));
    Ok(passes)
}

/// The tests of these files, in no order.
fn load_tests(
    db: &Connection,
    numbers: &FxHashMap<i64, usize>,
    passes: Vec<(i64, Pass)>,
) -> Result<Vec<FoundTest>, CatalogError> {
    let mut query = db.prepare_cached(
        "SELECT id, collection, position, name, function, class, line, keywords, markers, status, duration FROM tests
         ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    let mut found = Vec::with_capacity(passes.len());
    let mut passes = passes.into_iter().peekable();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        while passes.next_if(|(test, _)| *test < id).is_some() {}
        let own = std::iter::from_fn(|| passes.next_if(|(test, _)| *test == id));
        let own: Vec<Pass> = own.map(|(_, pass)| pass).collect();
        let Some(file) = numbers.get(&row.get(1)?) else {
            continue;
        };
        let text = |column| -> Result<&str, CatalogError> {
            let value = row.get_ref(column)?;
            let text = value.as_str_or_null().ok().flatten();
            text.ok_or_else(|| CatalogError::Value("a test".into()))
        };
        let test = KnownTest {
            test: CollectedTest {
                id: TestId::new(text(3)?),
                function: text(4)?.to_owned(),
                class: row.get(5)?,
                line: row.get(6)?,
                keywords: Keywords::from_blob(row.get_ref(7)?.as_blob().unwrap_or_default()),
                markers: blob::decode(row.get_ref(8)?.as_blob().unwrap_or_default())?,
            },
            passes: own,
            last: row.get::<_, Option<u8>>(9)?.map(status).transpose()?,
            duration: row.get::<_, Option<i64>>(10)?.map(duration),
        };
        found.push(FoundTest {
            file: *file,
            position: row.get(2)?,
            id,
            test,
        });
    }
    Ok(found)
}
