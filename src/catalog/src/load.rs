//! All that is known of a universe, read at the start of each run.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use dx_py_core::{Marker, TestId, blob};
use rusqlite::{Connection, OpenFlags, Row};
use rustc_hash::FxHashMap;

use crate::open::PATIENCE;
use crate::sets::{FactTable, SetId, load_facts};
use crate::tests::{
    Keywords, KnownFile, KnownTest, Pass, PassId, UniverseId, UniverseState, duration, status,
};
use crate::{Catalog, CatalogError};

/// From how many passes on it pays to read with two connections.
const MANY: i64 = 5_000;

impl Catalog {
    /// All that is known of a universe, and the facts of all its sets, as they are at one moment.
    ///
    /// # Errors
    /// If it can't be read, or holds what can't be.
    pub fn records(
        &self,
        universe: UniverseId,
    ) -> Result<(UniverseState, FactTable), CatalogError> {
        // Which sets a universe has is known from its passes alone only if there is no other.
        let is_worth_it = "SELECT (SELECT max(id) FROM passes) >= ?
             AND NOT EXISTS (SELECT 1 FROM collections WHERE universe <> ?)";
        let is_worth_it: Option<bool> =
            self.db
                .query_row(is_worth_it, [MANY, universe.0], |row| row.get(0))?;
        if is_worth_it == Some(true)
            && let Some([first, second]) = self.snapshots()
        {
            return read_records(&first, universe, Some(second));
        }
        let reading = self.db.unchecked_transaction()?;
        read_records(&reading, universe, None)
    }

    /// How many files of a universe are known to hold tests.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn file_count(&self, universe: UniverseId) -> Result<usize, CatalogError> {
        let query = "SELECT count(*) FROM collections WHERE universe = ?";
        let count: u32 = self.db.query_row(query, [universe.0], |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Two connections that see the very same state of the catalog; none if another process is writing, or if they can't be had.
    fn snapshots(&self) -> Option<[Connection; 2]> {
        let path = self.db.path()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        self.db.busy_timeout(Duration::ZERO).ok()?;
        // Nobody writes between the moments at which they begin.
        let begun = self.db.execute_batch("BEGIN IMMEDIATE");
        self.db.busy_timeout(PATIENCE).ok()?;
        begun.ok()?;
        let begin = || -> rusqlite::Result<Connection> {
            let db = Connection::open_with_flags(path, flags)?;
            db.execute_batch("BEGIN")?;
            // A transaction sees what is there when it first reads.
            db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            Ok(db)
        };
        let both = (begin(), begin());
        self.db.execute_batch("ROLLBACK").ok()?;
        Some([both.0.ok()?, both.1.ok()?])
    }

    /// The names that `-k` looks into, of each test of a universe. Other runs don't read them.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn keywords(
        &self,
        universe: UniverseId,
    ) -> Result<HashMap<TestId, Keywords>, CatalogError> {
        let mut query = self.db.prepare_cached(
            "SELECT name, keywords FROM tests WHERE collection IN (SELECT id FROM collections WHERE universe = ?)",
        )?;
        let mut rows = query.query([universe.0])?;
        let mut keywords = HashMap::new();
        while let Some(row) = rows.next()? {
            let names = Keywords::from_blob(row.get_ref(1)?.as_blob().unwrap_or_default());
            keywords.insert(TestId::new(text(row, 0)?), names);
        }
        Ok(keywords)
    }
}

/// What `db` has of a universe. If it is the only one, facts may be read through a `second` connection meanwhile.
fn read_records(
    db: &Connection,
    universe: UniverseId,
    second: Option<Connection>,
) -> Result<(UniverseState, FactTable), CatalogError> {
    // Each table is read once in the order of its rows, and sorted here: for 100,000 tests, joining and sorting them in SQL took
    // three times as long.
    let mut state = UniverseState::default();
    let mut numbers: FxHashMap<i64, usize> = FxHashMap::default();
    // By the rows, not by the index of universes, which would have to be sorted.
    let mut query = db
        .prepare_cached("SELECT id, file, path FROM collections WHERE +universe = ? ORDER BY id")?;
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
    load_collection_sets(db, &numbers, &mut state)?;
    let passes = load_passes(db)?;
    let of_collections = state.files.iter().flat_map(|file| &file.sets);
    let mut sets: Vec<SetId> = of_collections.copied().collect();
    let facts = match second {
        None => {
            load_tests(db, &numbers, &passes, &mut state)?;
            let tests = state.files.iter().flat_map(|file| &file.tests);
            sets.extend(tests.flat_map(|test| &test.passes).map(|pass| pass.set));
            load_facts(db, sets)
        }
        Some(second) => thread::scope(|scope| {
            sets.extend(passes.iter().map(|(_, pass)| pass.set));
            let facts = scope.spawn(move || load_facts(&second, sets));
            let tests = load_tests(db, &numbers, &passes, &mut state);
            let facts = facts.join().unwrap_or_else(|panic| resume_unwind(panic));
            tests.and(facts)
        }),
    };
    Ok((state, facts?))
}

/// The input sets of collections, given the numbers of their files.
fn load_collection_sets(
    db: &Connection,
    numbers: &FxHashMap<i64, usize>,
    state: &mut UniverseState,
) -> Result<(), CatalogError> {
    // Sorted here: SQLite would take its memory for that.
    let mut query = db.prepare_cached("SELECT collection, input_set, at FROM collection_sets")?;
    let mut rows = query.query([])?;
    let mut found: Vec<(usize, i64, i64)> = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(file) = numbers.get(&row.get(0)?) {
            found.push((*file, row.get(2)?, row.get(1)?));
        }
    }
    found.sort_unstable_by_key(|(file, at, set)| (*file, Reverse(*at), Reverse(*set)));
    for (file, _, set) in found {
        state.files[file].sets.push(SetId(set));
    }
    Ok(())
}

/// Passes with the tests that they are of, whatever universe those are of: by test, the newest first.
fn load_passes(db: &Connection) -> Result<Vec<(i64, Pass)>, CatalogError> {
    let count: i64 = db.query_row("SELECT count(*) FROM passes", [], |row| row.get(0))?;
    let mut passes = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let mut query =
        db.prepare_cached("SELECT test, id, input_set, status, duration, at FROM passes")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let pass = Pass {
            id: PassId(row.get(1)?),
            set: SetId(row.get(2)?),
            status: status(row.get(3)?)?,
            nanoseconds: row.get::<_, i64>(4)?.cast_unsigned(),
            at_ms: row.get(5)?,
        };
        passes.push((row.get(0)?, pass));
    }
    passes.sort_unstable_by_key(|(test, pass)| (*test, Reverse(pass.at_ms), Reverse(pass.id.0)));
    Ok(passes)
}

/// Adds the tests of these files to them, in pytest's order.
fn load_tests(
    db: &Connection,
    numbers: &FxHashMap<i64, usize>,
    mut passes: &[(i64, Pass)],
    state: &mut UniverseState,
) -> Result<(), CatalogError> {
    let mut query = db.prepare_cached(
        "SELECT id, collection, position, name, markers, status, duration FROM tests ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    // The places of each file's tests: mostly the rows are in their order, and nothing has to be moved.
    let mut positions: Vec<Vec<i64>> = vec![Vec::new(); state.files.len()];
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let Some(file) = numbers.get(&row.get(1)?) else {
            continue;
        };
        let before = passes.iter().take_while(|(test, _)| *test < id).count();
        passes = &passes[before..];
        let own = passes.iter().take_while(|(test, _)| *test == id);
        let markers: Vec<Marker> = blob::decode(row.get_ref(4)?.as_blob().unwrap_or_default())?;
        state.files[*file].tests.push(KnownTest {
            id: TestId::new(text(row, 3)?),
            markers: markers.into(),
            passes: own.map(|(_, pass)| pass.clone()).collect(),
            last: row.get::<_, Option<u8>>(5)?.map(status).transpose()?,
            elapsed: row.get::<_, Option<i64>>(6)?.map(duration),
        });
        positions[*file].push(row.get(2)?);
    }
    for (file, positions) in state.files.iter_mut().zip(positions) {
        if !positions.is_sorted() {
            let mut tests: Vec<_> = positions.into_iter().zip(file.tests.drain(..)).collect();
            tests.sort_by_key(|(position, _)| *position);
            file.tests = tests.into_iter().map(|(_, test)| test).collect();
        }
    }
    Ok(())
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, CatalogError> {
    let text = row.get_ref(column)?.as_str_or_null().ok().flatten();
    text.ok_or_else(|| CatalogError::Value("a test".into()))
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::{CollectedFile, CollectedTest};
    use dx_py_core::{Digest, Fact, Input, TestStatus};

    #[test]
    fn two_connections_read_what_one_reads() {
        let dir = tempfile::tempdir().unwrap();
        let (mut catalog, _) = Catalog::open(&dir.path().join("c.db")).unwrap();
        let universe = catalog.universe(Digest::of(b"u")).unwrap();
        let mut passes = Vec::new();
        for file in 0..60 {
            let path = format!("test_{file}.py");
            let id = |number: usize| TestId::new(format!("{path}::test_{number}"));
            let fact = Fact {
                input: Input::File(path.clone()),
                digest: Digest::of(path.as_bytes()),
            };
            let base = catalog.intern_set(&[fact]).unwrap();
            let slices: Vec<Vec<Fact>> = (0..100)
                .map(|number| {
                    vec![Fact {
                        input: Input::Variable(format!("{file}-{number}")),
                        digest: Digest::ABSENT,
                    }]
                })
                .collect();
            let sets = catalog.intern_within(base, &slices).unwrap();
            let tests = (0..100)
                .rev()
                .map(|number| CollectedTest::bare(id(number).as_str()));
            let collected = CollectedFile {
                file: path.clone(),
                path: path.clone(),
                tests: tests.collect(),
                set: Some(base),
            };
            catalog.record_collections(universe, &[collected]).unwrap();
            let took = Duration::from_millis(1);
            let pass = |(number, set)| (id(number), set, TestStatus::Passed, took);
            passes.extend(sets.into_iter().enumerate().map(pass));
        }
        catalog.record_passes(universe, &passes).unwrap();

        assert!(catalog.snapshots().is_some(), "nobody writes");
        let (state, facts) = catalog.records(universe).unwrap();
        let (same, same_facts) = read_records(&catalog.db, universe, None).unwrap();
        assert_eq!(state, same);
        assert_eq!(
            (&facts.facts, &facts.sets),
            (&same_facts.facts, &same_facts.sets)
        );
        assert_eq!(facts.sets.len(), 60 + 6_000);
        assert_eq!(state.files[7].tests[0].id.as_str(), "test_7.py::test_99");

        // While somebody writes, one connection does.
        let mut writer = Connection::open(dir.path().join("c.db")).unwrap();
        let writing = writer
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .unwrap();
        assert!(catalog.snapshots().is_none());
        assert_eq!(catalog.records(universe).unwrap().0, state);
        drop(writing);

        let other = catalog.universe(Digest::of(b"other")).unwrap();
        let (empty, facts) = catalog.records(other).unwrap();
        assert_eq!((empty.files.len(), facts.sets.len()), (0, 0));
    }
}
