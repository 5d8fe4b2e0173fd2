//! Universes, collected files, their tests and their passes.

use std::time::Duration;

use dx_py_core::{Digest, Marker, TestId, TestStatus, blob};
use rusqlite::{Connection, OptionalExtension, params};
use smallvec::SmallVec;

use crate::open::now_ms;
use crate::sets::SetId;
use crate::{Catalog, CatalogError};

/// How many passes are kept for each test, and how many sets of inputs for each collected file.
pub(crate) const PASSES_KEPT: u32 = 8;

/// The identity of a universe: one way of invoking pytest, with one interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UniverseId(pub(crate) i64);

/// The identity of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PassId(pub(crate) i64);

/// The names that `-k` looks into, as they are stored: few runs ask for them.
#[derive(Clone, PartialEq, Eq)]
pub struct Keywords(Box<[u8]>);

impl Keywords {
    /// These names.
    ///
    /// # Errors
    /// If they can't be encoded.
    pub fn new(names: &[String]) -> Result<Self, CatalogError> {
        Ok(Self(blob::encode(&names)?.into()))
    }

    pub(crate) fn from_blob(blob: &[u8]) -> Self {
        Self(blob.into())
    }

    fn as_blob(&self) -> &[u8] {
        &self.0
    }

    /// The names; nothing if the record is damaged.
    pub fn names(&self) -> Option<Vec<String>> {
        blob::decode(&self.0).ok()
    }
}

impl std::fmt::Debug for Keywords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.names().fmt(f)
    }
}

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
    pub keywords: Keywords,
    /// Its marks.
    pub markers: Vec<Marker>,
}

#[cfg(test)]
impl CollectedTest {
    /// A function of a module, with nothing else to it.
    pub(crate) fn bare(id: &str) -> Self {
        let id = TestId::new(id);
        Self {
            function: id.name().to_owned(),
            class: None,
            line: 1,
            keywords: Keywords(Box::default()),
            markers: Vec::new(),
            id,
        }
    }
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
    pub(crate) nanoseconds: u64,
    pub(crate) at_ms: i64,
}

impl Pass {
    /// How long the test took.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }

    /// Whether it tells of another pass as well: with the same inputs and outcome, in about the same time.
    pub fn is_like(&self, set: SetId, status: TestStatus, duration: Duration) -> bool {
        self.set == set && self.status == status && is_about(self.duration(), duration)
    }

    /// How long ago it was stored, if it is `now_ms` now.
    pub fn age(&self, now_ms: i64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.at_ms).max(0).unsigned_abs())
    }
}

/// A test that was collected before, as far as selection asks for it: a run that finds nothing changed spends most of its time on the
/// memory that these take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTest {
    /// The test ID.
    pub id: TestId,
    /// Its marks.
    pub markers: Box<[Marker]>,
    /// Its passes, the newest first: mostly one.
    pub passes: SmallVec<[Pass; 1]>,
    /// The outcome of its last run.
    pub last: Option<TestStatus>,
    /// For how long its last run kept its worker busy, which is more than the duration that is told.
    pub elapsed: Option<Duration>,
}

impl KnownTest {
    /// Whether its last run is like one with this outcome, a good one: what a test that failed has come to since then isn't known here.
    pub fn was_like(&self, status: TestStatus, elapsed: Duration) -> bool {
        let about = |last: Duration| is_about(last, elapsed);
        !status.is_bad() && self.last == Some(status) && self.elapsed.is_some_and(about)
    }
}

/// Whether a recorded duration is as good as another one: forecasts are no more certain.
fn is_about(recorded: Duration, duration: Duration) -> bool {
    recorded.abs_diff(duration) <= (duration / 10).max(Duration::from_micros(200))
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
    /// The inputs under each of which these tests, and no others, were collected from it, the newest first.
    pub sets: Vec<SetId>,
}

/// A file as it was collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedFile {
    /// Its node ID.
    pub file: String,
    /// Its path: relative to the root below it, else absolute.
    pub path: String,
    /// Its tests in pytest's order.
    pub tests: Vec<CollectedTest>,
    /// The inputs of its collection, if they are known.
    pub set: Option<SetId>,
}

/// All that is known of a universe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UniverseState {
    /// The files in the order in which they were first collected.
    pub files: Vec<KnownFile>,
}

impl UniverseState {
    /// The tests of all files.
    pub fn tests(&self) -> impl Iterator<Item = &KnownTest> {
        self.files.iter().flat_map(|file| &file.tests)
    }
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
            params![key.0, now_ms()],
        )?;
        let id = db.query_row(find, [key.0], |row| row.get(0))?;
        db.commit()?;
        Ok(UniverseId(id))
    }

    /// Files were collected, and this is what they hold: tests that are no more in them are forgotten with their passes, others
    /// keep theirs. The inputs of earlier collections are kept while they gave the same tests.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn record_collections(
        &mut self,
        universe: UniverseId,
        files: &[CollectedFile],
    ) -> Result<(), CatalogError> {
        let db = self.write()?;
        db.execute(
            "UPDATE universes SET used = ? WHERE id = ?",
            params![now_ms(), universe.0],
        )?;
        let at = now_ms();
        for CollectedFile {
            file,
            path,
            tests,
            set,
        } in files
        {
            db.prepare_cached(
                "INSERT INTO collections (universe, file, path) VALUES (?, ?, ?)
                 ON CONFLICT (universe, file) DO UPDATE SET path = excluded.path",
            )?
            .execute(params![universe.0, file, path])?;
            let collection: i64 = db
                .prepare_cached("SELECT id FROM collections WHERE universe = ? AND file = ?")?
                .query_row(params![universe.0, file], |row| row.get(0))?;
            let recorded = compare(&db, collection, tests)?;
            if recorded == Recorded::Other {
                db.prepare_cached("DELETE FROM collection_sets WHERE collection = ?")?
                    .execute([collection])?;
            }
            if let Some(set) = set {
                db.prepare_cached(
                    "INSERT INTO collection_sets (collection, input_set, at) VALUES (?, ?, ?)
                     ON CONFLICT (collection, input_set) DO UPDATE SET at = excluded.at",
                )?
                .execute(params![collection, set.0, at])?;
                let count: u32 = db
                    .prepare_cached("SELECT count(*) FROM collection_sets WHERE collection = ?")?
                    .query_row([collection], |row| row.get(0))?;
                // SQLite makes a table for this, which takes as long as ten of the other statements.
                if count > PASSES_KEPT {
                    db.prepare_cached(
                        "DELETE FROM collection_sets WHERE collection = ?1 AND input_set NOT IN
                             (SELECT input_set FROM collection_sets WHERE collection = ?1 ORDER BY at DESC, input_set DESC LIMIT ?2)",
                    )?
                    .execute(params![collection, PASSES_KEPT])?;
                }
            }
            if recorded == Recorded::Same {
                continue;
            }
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
                    test.keywords.as_blob(),
                    blob::encode(&test.markers)?
                ])?;
            }
            db.prepare_cached("DELETE FROM tests WHERE collection = ? AND position = -1")?
                .execute([collection])?;
        }
        Ok(db.commit()?)
    }
}

/// The rows of a universe's collected files, each looked up once while tests of one file follow each other.
pub(crate) struct CollectionIds<'a> {
    db: &'a Connection,
    universe: UniverseId,
    last: Option<(String, Option<i64>)>,
}

impl<'a> CollectionIds<'a> {
    pub(crate) fn new(db: &'a Connection, universe: UniverseId) -> Self {
        Self {
            db,
            universe,
            last: None,
        }
    }

    /// The row of a test's file; none if it isn't known.
    pub(crate) fn of(&mut self, test: &TestId) -> Result<Option<i64>, CatalogError> {
        let file = test.file();
        if let Some((known, id)) = &self.last
            && known == file
        {
            return Ok(*id);
        }
        let id = self
            .db
            .prepare_cached("SELECT id FROM collections WHERE universe = ? AND file = ?")?
            .query_row(params![self.universe.0, file], |row| row.get(0))
            .optional()?;
        self.last = Some((file.to_owned(), id));
        Ok(id)
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

/// What is recorded of a collected file, compared with what it holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recorded {
    /// Other tests, or another order.
    Other,
    /// The same tests in other lines.
    Moved,
    /// The very same.
    Same,
}

fn compare(
    db: &Connection,
    collection: i64,
    tests: &[CollectedTest],
) -> Result<Recorded, CatalogError> {
    let mut query = db.prepare_cached(
        "SELECT name, function, class, keywords, markers, line FROM tests WHERE collection = ? ORDER BY position",
    )?;
    let mut rows = query.query([collection])?;
    let mut recorded = Recorded::Same;
    for test in tests {
        let Some(row) = rows.next()? else {
            return Ok(Recorded::Other);
        };
        let same = row.get_ref(0)?.as_str().ok() == Some(test.id.as_str())
            && row.get_ref(1)?.as_str().ok() == Some(test.function.as_str())
            && row.get::<_, Option<String>>(2)? == test.class
            && row.get_ref(3)?.as_blob().ok() == Some(test.keywords.as_blob())
            && row.get_ref(4)?.as_blob().ok() == Some(&blob::encode(&test.markers)?);
        if !same {
            return Ok(Recorded::Other);
        }
        if row.get::<_, u32>(5)? != test.line {
            recorded = Recorded::Moved;
        }
    }
    Ok(match rows.next()? {
        Some(_) => Recorded::Other,
        None => recorded,
    })
}

#[cfg(test)]
mod unit {
    use super::*;
    use dx_py_core::{Fact, Input, TestResult};
    use rustc_hash::FxHashMap;

    fn test(name: &str) -> CollectedTest {
        CollectedTest {
            keywords: Keywords::new(&[name.into()]).unwrap(),
            markers: vec![Marker::bare("slow")],
            ..CollectedTest::bare(&format!("a.py::{name}"))
        }
    }

    fn file(tests: Vec<CollectedTest>, set: Option<SetId>) -> CollectedFile {
        CollectedFile {
            file: "a.py".into(),
            path: "a.py".into(),
            tests,
            set,
        }
    }

    #[test]
    fn what_is_recorded_of_a_good_run_says_the_same_of_one_that_took_about_as_long() {
        let known = |last, millis| KnownTest {
            id: TestId::new("a.py::x"),
            markers: Box::default(),
            passes: SmallVec::default(),
            last,
            elapsed: Some(Duration::from_millis(millis)),
        };
        let was_like = |last, before, status, now| {
            known(last, before).was_like(status, Duration::from_micros(now))
        };
        let (passed, failed) = (TestStatus::Passed, TestStatus::Failed);
        assert!(was_like(Some(passed), 1, passed, 1_200));
        assert!(!was_like(Some(passed), 1, passed, 1_300));
        assert!(was_like(Some(passed), 91, passed, 100_000));
        assert!(!was_like(Some(passed), 89, passed, 100_000));
        assert!(!was_like(Some(TestStatus::Skipped), 1, passed, 1_000));
        assert!(!was_like(None, 1, passed, 1_000));
        assert!(!was_like(Some(failed), 1, failed, 1_000));
    }

    #[test]
    fn the_row_of_a_test_that_is_known_to_say_the_same_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (mut catalog, _) = Catalog::open(&dir.path().join("c.db")).unwrap();
        let universe = catalog.universe(Digest::of(b"u")).unwrap();
        let all = vec![test("x"), test("y")];
        catalog
            .record_collections(universe, &[file(all.clone(), None)])
            .unwrap();
        let run = catalog.begin_run("test", None).unwrap();
        let result = |test: &CollectedTest| {
            TestResult::bare(test.id.clone(), TestStatus::Passed, Duration::ZERO)
        };
        let results: Vec<TestResult> = all.iter().map(result).collect();
        let is_y = |result: &TestResult| result.id == all[1].id;
        catalog
            .record_outcomes(run, universe, &results, &FxHashMap::default(), is_y)
            .unwrap();
        let state = catalog.records(universe).unwrap().0;
        let last: Vec<_> = state.files[0].tests.iter().map(|test| test.last).collect();
        assert_eq!(last, [Some(TestStatus::Passed), None]);
        assert_eq!(catalog.history(|_| true, 9).unwrap().len(), 2);
    }

    #[test]
    fn history_tells_what_the_phases_took_and_forecasts_what_the_worker_did() {
        let dir = tempfile::tempdir().unwrap();
        let (mut catalog, _) = Catalog::open(&dir.path().join("c.db")).unwrap();
        let universe = catalog.universe(Digest::of(b"u")).unwrap();
        let one = test("x");
        catalog
            .record_collections(universe, &[file(vec![one.clone()], None)])
            .unwrap();
        let run = catalog.begin_run("test", None).unwrap();
        let (told, busy) = (Duration::from_millis(3), Duration::from_millis(5));
        let mut result = TestResult::bare(one.id, TestStatus::Passed, told);
        result.elapsed = busy;
        catalog
            .record_outcomes(run, universe, &[result], &FxHashMap::default(), |_| false)
            .unwrap();
        let state = catalog.records(universe).unwrap().0;
        assert_eq!(state.files[0].tests[0].elapsed, Some(busy));
        assert_eq!(catalog.history(|_| true, 9).unwrap()[0].duration, told);
    }

    #[test]
    fn collecting_the_same_tests_keeps_the_inputs_of_earlier_collections() {
        let dir = tempfile::tempdir().unwrap();
        let (mut catalog, _) = Catalog::open(&dir.path().join("c.db")).unwrap();
        let universe = catalog.universe(Digest::of(b"u")).unwrap();
        let mut sets = Vec::new();
        for content in [b"1", b"2", b"3"] {
            let fact = Fact {
                input: Input::File("a.py".into()),
                digest: Digest::of(content),
            };
            sets.push(catalog.intern_set(&[fact]).unwrap());
        }
        let mut record = |tests: &[CollectedTest], set| {
            catalog
                .record_collections(universe, &[file(tests.to_vec(), set)])
                .unwrap();
            let state = catalog.records(universe).unwrap().0;
            state.files[0].sets.clone()
        };
        let (x, y) = (test("x"), test("y"));
        let both = [x.clone(), y.clone()];
        assert_eq!(record(&both, Some(sets[0])), [sets[0]]);
        let mut moved = both.clone();
        moved[1].line += 1;
        assert_eq!(record(&moved, Some(sets[1])).len(), 2);
        assert_eq!(record(&both, None).len(), 2);
        let mut marked = both.clone();
        marked[0].keywords = Keywords::new(&["slow".into()]).unwrap();
        assert_eq!(record(&marked, Some(sets[2])), [sets[2]]);
        assert_eq!(record(&both, Some(sets[2])), [sets[2]]);
        for tests in [&both[..1], &[], &[y, x], &both] {
            assert_eq!(record(tests, None), []);
            assert_eq!(record(tests, Some(sets[0])), [sets[0]]);
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
                .record_collections(universe, &[file(tests, None)])
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
        let state = catalog.records(universe).unwrap().0;
        let names: Vec<&str> = state.files[0]
            .tests
            .iter()
            .map(|test| test.id.name())
            .collect();
        assert_eq!(names, ["z", "x"]);
        let keywords = catalog.keywords(universe).unwrap();
        assert_eq!(keywords.len(), 2);
        assert_eq!(keywords.get(&test("x").id), Some(&test("x").keywords));
        let sets: Vec<SetId> = state.files[0].tests[1]
            .passes
            .iter()
            .map(|pass| pass.set)
            .collect();
        assert_eq!(sets, [second, first]);
        assert!(state.files[0].tests[0].passes.is_empty());
        assert_eq!(*state.files[0].tests[1].markers, *test("x").markers);
        let ids: Vec<PassId> = state.files[0].tests[1]
            .passes
            .iter()
            .map(|pass| pass.id)
            .collect();
        catalog.delete_passes(&ids[..1]).unwrap();
        let state = catalog.records(universe).unwrap().0;
        assert_eq!(state.files[0].tests[1].passes.len(), 1);
    }
}
