//! Passes of tests that can be reused.

use std::time::Duration;

use dx_py_core::{TestId, TestStatus};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use smallvec::SmallVec;

use crate::open::now_ms;
use crate::sets::SetId;
use crate::tests::{CollectionIds, PASSES_KEPT, PassId, UniverseId, nanoseconds};
use crate::{Catalog, CatalogError};

impl Catalog {
    /// Stores first-try passes: tests with the input set that each holds for. Of each test the newest are kept. Tests and sets that another
    /// process has removed meanwhile are passed over.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn record_passes(
        &mut self,
        universe: UniverseId,
        passes: &[(TestId, SetId, TestStatus, Duration)],
    ) -> Result<(), CatalogError> {
        if passes.is_empty() {
            return Ok(());
        }
        let at = now_ms();
        let db = self.write()?;
        let mut files = CollectionIds::new(&db, universe);
        let mut table = Table::new(&db)?;
        for (test, set, status, duration) in passes {
            let Some(collection) = files.of(test)? else {
                continue;
            };
            if let Some(test) = table.test(collection, test)? {
                let pass = Row {
                    set: set.0,
                    status: status.code(),
                    duration: nanoseconds(*duration),
                    at,
                };
                table.record(test, &pass)?;
            }
        }
        drop((files, table));
        Ok(db.commit()?)
    }

    /// Forgets passes that a failure with the same inputs has contradicted.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn delete_passes(&mut self, passes: &[PassId]) -> Result<(), CatalogError> {
        let db = self.write()?;
        for pass in passes {
            db.prepare_cached("DELETE FROM passes WHERE id = ?")?
                .execute([pass.0])?;
        }
        Ok(db.commit()?)
    }
}

/// A pass as it is written.
struct Row {
    set: i64,
    status: u8,
    duration: i64,
    at: i64,
}

/// The statements that a pass is recorded by: a run of all tests makes one of each.
struct Table<'a> {
    test: CachedStatement<'a>,
    known: CachedStatement<'a>,
    has_set: CachedStatement<'a>,
    replace: CachedStatement<'a>,
    insert: CachedStatement<'a>,
}

impl<'a> Table<'a> {
    fn new(db: &'a Connection) -> Result<Self, CatalogError> {
        Ok(Self {
            test: db.prepare_cached("SELECT id FROM tests WHERE collection = ? AND name = ?")?,
            known: db.prepare_cached("SELECT at, id, input_set FROM passes WHERE test = ?")?,
            has_set: db.prepare_cached("SELECT 1 FROM input_sets WHERE id = ?")?,
            replace: db.prepare_cached(
                "UPDATE passes SET input_set = ?, status = ?, duration = ?, at = ? WHERE id = ?",
            )?,
            insert: db.prepare_cached(
                "INSERT INTO passes (input_set, status, duration, at, test) VALUES (?, ?, ?, ?, ?)",
            )?,
        })
    }

    /// The row of a test; none if it isn't known.
    fn test(&mut self, collection: i64, test: &TestId) -> Result<Option<i64>, CatalogError> {
        let id = self
            .test
            .query_row(params![collection, test.as_str()], |row| row.get(0));
        Ok(id.optional()?)
    }

    /// Records a pass of a test in the place of the one with the same inputs, or of the oldest if there are as many as are kept.
    fn record(&mut self, test: i64, pass: &Row) -> Result<(), CatalogError> {
        let known = self
            .known
            .query_map([test], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut known: SmallVec<[(i64, i64, i64); PASSES_KEPT as usize]> =
            known.collect::<Result<_, _>>()?;
        known.sort_unstable();
        let same = known.iter().find(|(_, _, set)| *set == pass.set);
        if same.is_none() && !self.has_set.exists([pass.set])? {
            return Ok(());
        }
        let oldest = known
            .first()
            .filter(|_| known.len() >= PASSES_KEPT as usize);
        let Row {
            set,
            status,
            duration,
            at,
        } = pass;
        match same.or(oldest) {
            Some((_, id, _)) => self
                .replace
                .execute(params![set, status, duration, at, id])?,
            None => self
                .insert
                .execute(params![set, status, duration, at, test])?,
        };
        Ok(())
    }
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::tests::{CollectedFile, CollectedTest};
    use dx_py_core::{Digest, Fact, Input};

    #[test]
    fn the_newest_passes_are_kept_and_one_with_the_same_inputs_takes_the_place_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let (mut catalog, _) = Catalog::open(&dir.path().join("c.db")).unwrap();
        let universe = catalog.universe(Digest::of(b"u")).unwrap();
        let set = |catalog: &mut Catalog, content: u8| {
            let fact = Fact {
                input: Input::File("a.py".into()),
                digest: Digest::of(&[content]),
            };
            catalog.intern_set(&[fact]).unwrap()
        };
        let test = CollectedTest::bare("a.py::x");
        let id = test.id.clone();
        let file = CollectedFile {
            file: "a.py".into(),
            path: "a.py".into(),
            tests: vec![test],
            set: None,
        };
        catalog.record_collections(universe, &[file]).unwrap();
        let sets: Vec<SetId> = (0..11).map(|content| set(&mut catalog, content)).collect();
        let lost = SetId(sets[10].0 + 1);
        // The second set comes once more after the eighth, and the one that nobody knows not at all.
        let order = [0, 1, 2, 3, 4, 5, 6, 7, 1, 8, 9, 10];
        for (millis, set) in (0..).zip(order.map(|at| sets[at]).into_iter().chain([lost])) {
            let row = (
                id.clone(),
                set,
                TestStatus::Passed,
                Duration::from_millis(millis),
            );
            catalog.record_passes(universe, &[row]).unwrap();
            // Which is newer is told by milliseconds.
            std::thread::sleep(Duration::from_millis(2));
        }
        let state = catalog.records(universe).unwrap().0;
        let passes = &state.files[0].tests[0].passes;
        let kept: Vec<SetId> = passes.iter().map(|pass| pass.set).collect();
        assert_eq!(kept, [10, 9, 8, 1, 7, 6, 5, 4].map(|at| sets[at]));
        assert_eq!(passes[3].duration(), Duration::from_millis(8));
    }
}
