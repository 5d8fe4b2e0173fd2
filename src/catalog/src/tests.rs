//! Universes, collected files, their tests and their passes.

use std::collections::HashMap;
use std::time::Duration;

use dx_py_core::{Digest, Marker, TestId, TestStatus, blob};
use rusqlite::{OptionalExtension, params};

use crate::open::now;
use crate::sets::SetId;
use crate::{Catalog, CatalogError};

/// How many passes are kept for each test.
const PASSES_KEPT: i64 = 8;

/// The identity of a universe: one way of invoking pytest, with one interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UniverseId(pub(crate) i64);

/// The identity of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PassId(pub(crate) i64);

/// A test as a worker collected it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedTest {
    /// The test ID.
    pub id: TestId,
    /// The function's name without parameters.
    pub function: String,
    /// The classes around it.
    pub class: Option<String>,
    /// The line of its definition.
    pub line: u32,
    /// The names that `-k` looks into.
    pub keywords: Vec<String>,
    /// Its marks.
    pub markers: Vec<Marker>,
}

/// A stored pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Its identity.
    pub id: PassId,
    /// The inputs that it holds for.
    pub set: SetId,
    /// The outcome.
    pub status: TestStatus,
    /// How long the test took.
    pub duration: Duration,
    /// How long ago it was.
    pub age: Duration,
}

/// A test that was collected before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTest {
    /// What was collected.
    pub test: CollectedTest,
    /// Its passes, the newest first.
    pub passes: Vec<Pass>,
    /// The outcome of its last run.
    pub last: Option<TestStatus>,
    /// How long its last run took.
    pub duration: Option<Duration>,
}

/// A file that was collected before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFile {
    /// Its node ID.
    pub file: String,
    /// Its path: relative to the root below it, else absolute.
    pub path: String,
    /// Its tests in pytest's order.
    pub tests: Vec<KnownTest>,
}

/// All that is known of a universe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UniverseState {
    /// The files in the order in which they were first collected.
    pub files: Vec<KnownFile>,
}

impl Catalog {
    /// The universe with that key; made if it isn't there.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn universe(&mut self, key: Digest) -> Result<UniverseId, CatalogError> {
        let find = "SELECT id FROM universes WHERE key = ?";
        let found = self
            .db
            .query_row(find, [key.0], |row| row.get(0))
            .optional()?;
        if let Some(id) = found {
            return Ok(UniverseId(id));
        }
        let db = self.write()?;
        db.execute(
            "INSERT OR IGNORE INTO universes (key, used) VALUES (?, ?)",
            params![key.0, now()],
        )?;
        let id = db.query_row(find, [key.0], |row| row.get(0))?;
        db.commit()?;
        Ok(UniverseId(id))
    }

    /// All that is known of a universe.
    ///
    /// # Errors
    /// If it can't be read, or holds what can't be.
    pub fn load_universe(&self, universe: UniverseId) -> Result<UniverseState, CatalogError> {
        let mut passes: HashMap<i64, Vec<Pass>> = HashMap::new();
        let now = now();
        let mut query = self.db.prepare(
            "SELECT passes.test, passes.id, passes.input_set, passes.status, passes.duration, passes.at FROM passes
             JOIN tests ON tests.id = passes.test JOIN collections ON collections.id = tests.collection
             WHERE collections.universe = ? ORDER BY passes.at DESC, passes.id DESC",
        )?;
        let mut rows = query.query([universe.0])?;
        while let Some(row) = rows.next()? {
            passes.entry(row.get(0)?).or_default().push(Pass {
                id: PassId(row.get(1)?),
                set: SetId(row.get(2)?),
                status: status(row.get(3)?)?,
                duration: duration(row.get(4)?),
                age: Duration::from_millis((now - row.get::<_, i64>(5)?).max(0).unsigned_abs()),
            });
        }
        let mut state = UniverseState::default();
        let mut query = self.db.prepare(
            "SELECT collections.file, collections.path, tests.id, name, function, class, line, keywords, markers, status, duration
             FROM collections LEFT JOIN tests ON tests.collection = collections.id
             WHERE universe = ? ORDER BY collections.id, position",
        )?;
        let mut rows = query.query([universe.0])?;
        while let Some(row) = rows.next()? {
            let file: String = row.get(0)?;
            if state.files.last().is_none_or(|last| last.file != file) {
                state.files.push(KnownFile {
                    file,
                    path: row.get(1)?,
                    tests: Vec::new(),
                });
            }
            let Some(id) = row.get::<_, Option<i64>>(2)? else {
                continue;
            };
            let test = KnownTest {
                test: CollectedTest {
                    id: TestId::new(row.get::<_, String>(3)?),
                    function: row.get(4)?,
                    class: row.get(5)?,
                    line: row.get(6)?,
                    keywords: blob::decode(row.get_ref(7)?.as_blob().unwrap_or_default())?,
                    markers: blob::decode(row.get_ref(8)?.as_blob().unwrap_or_default())?,
                },
                passes: passes.remove(&id).unwrap_or_default(),
                last: row.get::<_, Option<u8>>(9)?.map(status).transpose()?,
                duration: row.get::<_, Option<i64>>(10)?.map(duration),
            };
            if let Some(file) = state.files.last_mut() {
                file.tests.push(test);
            }
        }
        Ok(state)
    }

    /// Files were collected, and this is what they hold: tests that are no more in them are forgotten with their passes, others
    /// keep theirs. Each file is its node ID, its path, and its tests in order.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn record_collections(
        &mut self,
        universe: UniverseId,
        files: &[(String, String, Vec<CollectedTest>)],
    ) -> Result<(), CatalogError> {
        let db = self.write()?;
        db.execute(
            "UPDATE universes SET used = ? WHERE id = ?",
            params![now(), universe.0],
        )?;
        for (file, path, tests) in files {
            db.prepare_cached(
                "INSERT INTO collections (universe, file, path) VALUES (?, ?, ?)
                 ON CONFLICT (universe, file) DO UPDATE SET path = excluded.path",
            )?
            .execute(params![universe.0, file, path])?;
            let collection: i64 = db
                .prepare_cached("SELECT id FROM collections WHERE universe = ? AND file = ?")?
                .query_row(params![universe.0, file], |row| row.get(0))?;
            db.prepare_cached("UPDATE tests SET position = -1 WHERE collection = ?")?
                .execute([collection])?;
            let mut upsert = db.prepare_cached(
                "INSERT INTO tests (collection, name, position, function, class, line, keywords, markers) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (collection, name) DO UPDATE SET position = excluded.position, function = excluded.function,
                     class = excluded.class, line = excluded.line, keywords = excluded.keywords, markers = excluded.markers",
            )?;
            for (position, test) in tests.iter().enumerate() {
                upsert.execute(params![
                    collection,
                    test.id.as_str(),
                    position as i64,
                    test.function,
                    test.class,
                    test.line,
                    blob::encode(&test.keywords)?,
                    blob::encode(&test.markers)?
                ])?;
            }
            db.prepare_cached("DELETE FROM tests WHERE collection = ? AND position = -1")?
                .execute([collection])?;
        }
        Ok(db.commit()?)
    }

    /// Stores first-try passes: tests with the input set that each holds for. Tests that another process has removed meanwhile are
    /// passed over.
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
        let at = now();
        let db = self.write()?;
        for (test, set, status, duration) in passes {
            let id: Option<i64> = db
                .prepare_cached(
                    "SELECT tests.id FROM tests JOIN collections ON collections.id = tests.collection WHERE universe = ? AND file = ? AND name = ?",
                )?
                .query_row(params![universe.0, test.file(), test.as_str()], |row| row.get(0))
                .optional()?;
            let Some(id) = id else { continue };
            db.prepare_cached(
                "INSERT INTO passes (test, input_set, status, duration, at) SELECT ?, id, ?, ?, ? FROM input_sets WHERE id = ?
                 ON CONFLICT (test, input_set) DO UPDATE SET status = excluded.status, duration = excluded.duration, at = excluded.at",
            )?
            .execute(params![id, status.code(), nanoseconds(*duration), at, set.0])?;
            db.prepare_cached(
                "DELETE FROM passes WHERE test = ?1 AND id NOT IN (SELECT id FROM passes WHERE test = ?1 ORDER BY at DESC, id DESC LIMIT ?2)",
            )?
            .execute(params![id, PASSES_KEPT])?;
        }
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

pub(crate) fn status(code: u8) -> Result<TestStatus, CatalogError> {
    TestStatus::from_code(code).ok_or_else(|| CatalogError::Value(format!("test status {code}")))
}

pub(crate) fn duration(nanoseconds: i64) -> Duration {
    Duration::from_nanos(nanoseconds.cast_unsigned())
}

pub(crate) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod unit {
    use super::*;
    use dx_py_core::{Fact, Input};

    fn test(name: &str) -> CollectedTest {
        CollectedTest {
            id: TestId::new(format!("a.py::{name}")),
            function: name.into(),
            class: None,
            line: 1,
            keywords: vec![name.into()],
            markers: vec![Marker::bare("slow")],
        }
    }

    #[test]
    fn collecting_again_keeps_the_passes_of_tests_that_are_still_there() {
        let dir = tempfile::tempdir().unwrap();
        let (mut catalog, _) = Catalog::open(&dir.path().join("c.db")).unwrap();
        let universe = catalog.universe(Digest::of(b"u")).unwrap();
        let record = |catalog: &mut Catalog, names: &[&str]| {
            let tests = names.iter().map(|name| test(name)).collect();
            catalog
                .record_collections(universe, &[("a.py".into(), "a.py".into(), tests)])
                .unwrap();
        };
        record(&mut catalog, &["x", "y"]);
        let pass = |catalog: &mut Catalog, content: &str| {
            let fact = Fact {
                input: Input::File("a.py".into()),
                digest: Digest::of(content.as_bytes()),
            };
            let set = catalog.intern_set(&[fact]).unwrap();
            let row = |name: &str| {
                (
                    TestId::new(format!("a.py::{name}")),
                    set,
                    TestStatus::Passed,
                    Duration::from_millis(5),
                )
            };
            catalog
                .record_passes(universe, &[row("x"), row("y"), row("unknown")])
                .unwrap();
            set
        };
        let first = pass(&mut catalog, "1");
        let second = pass(&mut catalog, "2");
        record(&mut catalog, &["z", "x"]);
        let state = catalog.load_universe(universe).unwrap();
        let names: Vec<&str> = state.files[0]
            .tests
            .iter()
            .map(|test| &*test.test.function)
            .collect();
        assert_eq!(names, ["z", "x"]);
        let sets: Vec<SetId> = state.files[0].tests[1]
            .passes
            .iter()
            .map(|pass| pass.set)
            .collect();
        assert_eq!(sets, [second, first]);
        assert!(state.files[0].tests[0].passes.is_empty());
        assert_eq!(state.files[0].tests[1].test, test("x"));
        let ids: Vec<PassId> = state.files[0].tests[1]
            .passes
            .iter()
            .map(|pass| pass.id)
            .collect();
        catalog.delete_passes(&ids[..1]).unwrap();
        let state = catalog.load_universe(universe).unwrap();
        assert_eq!(state.files[0].tests[1].passes.len(), 1);
    }
}
