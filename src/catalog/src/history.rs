//! Runs and the outcomes of their tests.

use std::collections::BTreeMap;
use std::time::Duration;

use dx_py_core::{RunSummary, TestId, TestResult, TestStatus};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use rustc_hash::FxHashMap;

use crate::open::now_ms;
use crate::tests::{CollectionIds, UniverseId, duration, nanoseconds, status};
use crate::{Catalog, CatalogError, RunId};

/// How many runs are kept.
const RUNS_KEPT: i64 = 200;
/// How many universes are kept: interpreters and arguments that were used last.
const UNIVERSES_KEPT: i64 = 24;

/// A recorded run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its number.
    pub id: RunId,
    /// When it began, in milliseconds since 1970.
    pub started: i64,
    /// How long it took; `None` if it never ended.
    pub wall: Option<Duration>,
    /// Its exit code.
    pub exit_code: Option<u8>,
    /// Tests that ran.
    pub ran: usize,
    /// Tests that were fresh.
    pub fresh: usize,
    /// What was asked for.
    pub command: String,
    /// The ID of the commit that was checked out, if it is known.
    pub commit: Option<String>,
}

/// A recorded outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// The test.
    pub test: String,
    /// The run.
    pub run: RunId,
    /// When the run began, in milliseconds since 1970.
    pub started: i64,
    /// The outcome.
    pub status: TestStatus,
    /// How long it took.
    pub duration: Duration,
    /// The message of a failure, or a reason.
    pub message: String,
    /// The ID of the commit that was checked out, if it is known.
    pub commit: Option<String>,
}

/// A test that went back and forth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlakyRow {
    /// The test.
    pub test: String,
    /// How often its outcome went from good to bad or back.
    pub flips: usize,
    /// Good outcomes.
    pub passes: usize,
    /// Bad outcomes.
    pub failures: usize,
    /// Outcomes that a second opinion turned.
    pub second_opinions: usize,
    /// What shows that it isn't by what it depends on; nothing if that changed each time.
    pub evidence: Option<Evidence>,
}

/// Good and bad outcomes of a test for the same inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How often it ran, second opinions included.
    pub tries: usize,
    /// How often the outcome was bad.
    pub bad: usize,
    /// The runs with a bad outcome, the newest first.
    pub runs: Vec<RunId>,
}

impl Evidence {
    /// How likely it fails, as far as these outcomes say: from 0 to 1.
    pub fn probability(&self) -> f64 {
        self.bad as f64 / self.tries.max(1) as f64
    }
}

/// In milliseconds.
const A_DAY: i64 = 24 * 60 * 60 * 1000;

impl Catalog {
    /// Begins a run, with that commit checked out.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn begin_run(
        &mut self,
        command: &str,
        commit: Option<&str>,
    ) -> Result<RunId, CatalogError> {
        let db = self.write()?;
        db.execute(
            "INSERT INTO runs (started, command, commit_id) VALUES (?, ?, ?)",
            params![now_ms(), command, commit],
        )?;
        let id = RunId(db.last_insert_rowid());
        db.commit()?;
        Ok(id)
    }

    /// Ends a run, and forgets runs beyond the number that is kept with all that only they needed.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish_run(&mut self, run: RunId, summary: &RunSummary) -> Result<(), CatalogError> {
        let db = self.write()?;
        db.execute(
            "UPDATE runs SET wall = ?, exit_code = ?, ran = ?, fresh = ?, stopped = ? WHERE id = ?",
            params![
                nanoseconds(summary.wall),
                summary.exit_code,
                summary.ran_total() as i64,
                summary.fresh_total() as i64,
                summary.stopped,
                run.0
            ],
        )?;
        db.execute("DELETE FROM runs WHERE id <= ?", [run.0 - RUNS_KEPT])?;
        db.commit()?;
        if run.0 % 20 == 0 && self.runs_alone()? {
            self.compact()?;
        }
        Ok(())
    }

    /// Whether no other run is on, as far as is recorded: one that was killed counts for a day. A run remembers sets and facts by
    /// numbers, which compaction frees for others.
    fn runs_alone(&self) -> Result<bool, CatalogError> {
        let mut others = self
            .db
            .prepare_cached("SELECT 1 FROM runs WHERE exit_code IS NULL AND started > ?")?;
        Ok(!others.exists([now_ms() - A_DAY])?)
    }

    /// Forgets what nothing refers to any more.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn compact(&mut self) -> Result<(), CatalogError> {
        self.db.execute(
            "DELETE FROM universes WHERE id NOT IN (SELECT id FROM universes ORDER BY used DESC, id DESC LIMIT ?)",
            [UNIVERSES_KEPT],
        )?;
        // What goes now is what nothing refers to: to have that checked for each row took a third of a second after runs of a second.
        self.db.pragma_update(None, "foreign_keys", false)?;
        let done = self.forget_unused();
        self.db.pragma_update(None, "foreign_keys", true)?;
        done
    }

    fn forget_unused(&mut self) -> Result<(), CatalogError> {
        let db = self.write()?;
        db.execute_batch(
            "DELETE FROM input_sets WHERE id NOT IN (SELECT input_set FROM passes UNION SELECT input_set FROM collection_sets
                 UNION SELECT base FROM input_sets WHERE base IS NOT NULL AND id IN (SELECT input_set FROM passes));
             DELETE FROM test_names WHERE id NOT IN (SELECT test_name FROM outcomes);",
        )?;
        let mut used = std::collections::HashSet::new();
        {
            let mut query = db.prepare("SELECT facts, parts FROM input_sets")?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                for column in 0..2 {
                    let numbers = row.get_ref(column)?.as_blob_or_null().ok().flatten();
                    used.extend(crate::sets::decode(numbers.unwrap_or_default())?);
                }
            }
            let mut query = db.prepare("SELECT id FROM facts")?;
            let all: Vec<i64> = query
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut delete = db.prepare("DELETE FROM facts WHERE id = ?")?;
            for id in all.into_iter().filter(|id| !used.contains(id)) {
                delete.execute([id])?;
            }
        }
        db.execute_batch(
            "DELETE FROM inputs WHERE id NOT IN (SELECT input FROM facts);
             DELETE FROM frames WHERE digest NOT IN (SELECT digest FROM facts);",
        )?;
        db.commit()?;
        self.fact_ids.clear();
        self.set_ids.clear();
        Ok(())
    }

    /// Records outcomes, and of some what they depended on: `inputs` has fingerprints. Of a test of which `is_known` its row isn't
    /// written: that says the same already.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn record_outcomes(
        &mut self,
        run: RunId,
        universe: UniverseId,
        results: &[TestResult],
        inputs: &FxHashMap<TestId, i64>,
        is_known: impl Fn(&TestResult) -> bool,
    ) -> Result<(), CatalogError> {
        if results.is_empty() {
            return Ok(());
        }
        let db = self.write()?;
        let mut files = CollectionIds::new(&db, universe);
        let mut names = Names::new(&db)?;
        let mut insert = db.prepare_cached(
            "INSERT OR REPLACE INTO outcomes (run, test_name, status, duration, message, second_opinion, inputs)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?;
        let mut update = db.prepare_cached(
            "UPDATE tests SET status = ?, duration = ? WHERE collection = ? AND name = ?",
        )?;
        for result in results {
            let (name, code) = (result.id.as_str(), result.status.code());
            let time = nanoseconds(result.duration);
            insert.execute(params![
                run.0,
                names.id(name)?,
                code,
                time,
                result.message(),
                result.second_opinion,
                inputs.get(&result.id)
            ])?;
            if !is_known(result)
                && let Some(collection) = files.of(&result.id)?
            {
                let busy = nanoseconds(result.elapsed);
                update.execute(params![code, busy, collection, name])?;
            }
        }
        drop((names, insert, update));
        Ok(db.commit()?)
    }

    /// Records what outcomes of a run depended on that are recorded already.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn record_inputs(
        &mut self,
        run: RunId,
        inputs: &FxHashMap<TestId, i64>,
    ) -> Result<(), CatalogError> {
        if inputs.is_empty() {
            return Ok(());
        }
        let db = self.write()?;
        for (test, inputs) in inputs {
            db.prepare_cached(
                "UPDATE outcomes SET inputs = ? WHERE run = ? AND test_name = (SELECT id FROM test_names WHERE name = ?)",
            )?
            .execute(params![inputs, run.0, test.as_str()])?;
        }
        Ok(db.commit()?)
    }

    /// The newest runs.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunRow>, CatalogError> {
        let mut query = self.db.prepare(
            "SELECT id, started, wall, exit_code, ran, fresh, command, commit_id FROM runs ORDER BY id DESC LIMIT ?",
        )?;
        let rows = query.query_map([limit as i64], |row| {
            Ok(RunRow {
                id: RunId(row.get(0)?),
                started: row.get(1)?,
                wall: row.get::<_, Option<i64>>(2)?.map(duration),
                exit_code: row.get(3)?,
                ran: row.get::<_, i64>(4)? as usize,
                fresh: row.get::<_, i64>(5)? as usize,
                command: row.get(6)?,
                commit: row.get(7)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest outcomes of tests whose IDs `matches`.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn history(
        &self,
        matches: impl Fn(&str) -> bool,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, CatalogError> {
        let mut query = self.db.prepare(
            "SELECT test_names.name, runs.id, runs.started, outcomes.status, outcomes.duration, outcomes.message, runs.commit_id
             FROM outcomes JOIN runs ON runs.id = outcomes.run JOIN test_names ON test_names.id = outcomes.test_name
             ORDER BY runs.id DESC, test_names.id",
        )?;
        let mut rows = query.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()?
            && found.len() < limit
        {
            let test: String = row.get(0)?;
            if matches(&test) {
                found.push(HistoryRow {
                    test,
                    run: RunId(row.get(1)?),
                    started: row.get(2)?,
                    status: status(row.get(3)?)?,
                    duration: duration(row.get(4)?),
                    message: row.get(5)?,
                    commit: row.get(6)?,
                });
            }
        }
        Ok(found)
    }

    /// Tests whose outcomes differed for the same inputs, those that fail most often first; then those whose recorded outcomes went from
    /// good to bad or back.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn flaky(&self) -> Result<Vec<FlakyRow>, CatalogError> {
        let mut query = self.db.prepare(
            "SELECT test_names.name, outcomes.run, outcomes.status, outcomes.second_opinion, outcomes.inputs FROM outcomes
             JOIN test_names ON test_names.id = outcomes.test_name ORDER BY test_names.id, outcomes.run",
        )?;
        let mut rows = query.query([])?;
        let mut found: Vec<FlakyRow> = Vec::new();
        let mut tries: Vec<Try> = Vec::new();
        let mut name = String::new();
        while let Some(row) = rows.next()? {
            let test: String = row.get(0)?;
            if test != name {
                found.extend(FlakyRow::of(std::mem::replace(&mut name, test), &tries));
                tries.clear();
            }
            tries.push(Try {
                run: RunId(row.get(1)?),
                is_bad: status(row.get(2)?)?.is_bad(),
                second_opinion: row.get(3)?,
                inputs: row.get(4)?,
            });
        }
        found.extend(FlakyRow::of(name, &tries));
        let rank = |row: &FlakyRow| row.evidence.as_ref().map_or(-1.0, Evidence::probability);
        found.sort_by(|a, b| {
            rank(b)
                .total_cmp(&rank(a))
                .then_with(|| b.flips.cmp(&a.flips))
                .then_with(|| a.test.cmp(&b.test))
        });
        Ok(found)
    }
}

/// The rows of the names of tests, which are made where there are none.
struct Names<'a> {
    db: &'a Connection,
    find: CachedStatement<'a>,
}

impl<'a> Names<'a> {
    fn new(db: &'a Connection) -> Result<Self, CatalogError> {
        let find = db.prepare_cached("SELECT id FROM test_names WHERE name = ?")?;
        Ok(Self { db, find })
    }

    fn id(&mut self, name: &str) -> Result<i64, CatalogError> {
        let known = self.find.query_row([name], |row| row.get(0)).optional()?;
        if let Some(id) = known {
            return Ok(id);
        }
        self.db
            .prepare_cached("INSERT INTO test_names (name) VALUES (?)")?
            .execute([name])?;
        Ok(self.db.last_insert_rowid())
    }
}

/// An outcome on record.
struct Try {
    run: RunId,
    is_bad: bool,
    second_opinion: bool,
    inputs: Option<i64>,
}

impl FlakyRow {
    /// What is to be told of a test with these outcomes, from the oldest on; nothing if it isn't flaky.
    fn of(test: String, tries: &[Try]) -> Option<Self> {
        let flips = tries
            .windows(2)
            .filter(|pair| pair[0].is_bad != pair[1].is_bad)
            .count();
        let second_opinions = tries.iter().filter(|one| one.second_opinion).count();
        if flips == 0 && second_opinions == 0 {
            return None;
        }
        let mut groups: BTreeMap<Result<i64, RunId>, Evidence> = BTreeMap::new();
        for one in tries.iter().rev() {
            // Inputs that nobody knows may be others in each run; a second opinion is one on the same.
            let group = groups.entry(one.inputs.ok_or(one.run)).or_default();
            // Where it turned the outcome, the first try was bad.
            let bad = usize::from(one.is_bad) + usize::from(one.second_opinion);
            group.tries += 1 + usize::from(one.second_opinion);
            group.bad += bad;
            group.runs.extend((bad > 0).then_some(one.run));
        }
        let mut evidence: Option<Evidence> = None;
        for group in groups.into_values() {
            if group.bad > 0 && group.bad < group.tries {
                let all = evidence.get_or_insert_default();
                all.tries += group.tries;
                all.bad += group.bad;
                all.runs.extend(group.runs);
            }
        }
        if let Some(evidence) = &mut evidence {
            evidence.runs.sort_unstable_by(|a, b| b.cmp(a));
        }
        let failures = tries.iter().filter(|one| one.is_bad).count();
        Some(Self {
            test,
            flips,
            passes: tries.len() - failures,
            failures,
            second_opinions,
            evidence,
        })
    }
}

#[cfg(test)]
mod unit {
    use super::*;
    use dx_py_core::{Digest, Fact, Input, TestId};

    #[test]
    fn outcomes_are_kept_and_flips_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (mut catalog, _) = Catalog::open(&dir.path().join("c.db")).unwrap();
        let universe = catalog.universe(Digest::of(b"u")).unwrap();
        for (status, inputs) in [
            (TestStatus::Passed, 1),
            (TestStatus::Failed, 2),
            (TestStatus::Passed, 2),
        ] {
            let run = catalog.begin_run("test", Some("abc")).unwrap();
            let result = |name: &str, status| {
                TestResult::bare(TestId::new(name), status, Duration::from_millis(2))
            };
            let results = [
                result("a.py::x", status),
                result("a.py::y", TestStatus::Passed),
            ];
            let inputs = FxHashMap::from_iter([(results[0].id.clone(), inputs)]);
            let none = FxHashMap::default();
            catalog
                .record_outcomes(run, universe, &results, &none, |_| false)
                .unwrap();
            catalog.record_inputs(run, &inputs).unwrap();
            let mut summary = RunSummary::default();
            results
                .iter()
                .for_each(|result| summary.count_ran(result.status));
            catalog.finish_run(run, &summary).unwrap();
        }
        let flaky = catalog.flaky().unwrap();
        assert_eq!(flaky.len(), 1);
        assert_eq!(
            (&*flaky[0].test, flaky[0].flips, flaky[0].failures),
            ("a.py::x", 2, 1)
        );
        // The first one passed with other inputs.
        let evidence = flaky[0].evidence.as_ref().unwrap();
        assert_eq!((evidence.bad, evidence.tries), (1, 2));
        assert_eq!(evidence.runs, [RunId(2)]);
        let rows = catalog.history(|test| test.ends_with("x"), 2).unwrap();
        let statuses: Vec<TestStatus> = rows.iter().map(|row| row.status).collect();
        assert_eq!(statuses, [TestStatus::Passed, TestStatus::Failed]);
        let runs = catalog.runs(9).unwrap();
        assert_eq!((runs[0].ran, runs[0].commit.as_deref()), (2, Some("abc")));
    }

    #[test]
    fn a_test_is_flaky_by_outcomes_for_the_same_inputs() {
        let one = |run, is_bad, second_opinion, inputs| Try {
            run: RunId(run),
            is_bad,
            second_opinion,
            inputs,
        };
        let row = |tries: &[Try]| FlakyRow::of("a.py::x".into(), tries);
        assert_eq!(
            row(&[one(1, true, false, Some(1)), one(2, true, false, None)]),
            None
        );
        let changed = row(&[one(1, true, false, Some(1)), one(2, false, false, Some(2))]);
        assert_eq!(changed.unwrap().evidence, None);
        let unknown = row(&[one(1, true, false, None), one(2, false, false, None)]);
        assert_eq!(unknown.unwrap().evidence, None);
        let turned = row(&[one(1, false, true, None), one(2, false, false, None)]).unwrap();
        assert_eq!(turned.evidence.unwrap().probability(), 0.5);
        let thrice = [
            one(1, false, false, Some(1)),
            one(2, true, false, Some(1)),
            one(3, false, false, Some(1)),
            one(4, true, false, Some(2)),
        ];
        let evidence = row(&thrice).unwrap().evidence.unwrap();
        assert_eq!(
            (evidence.bad, evidence.tries, evidence.runs),
            (1, 3, vec![RunId(2)])
        );
    }

    #[test]
    fn compaction_keeps_what_passes_refer_to() {
        let dir = tempfile::tempdir().unwrap();
        let (mut catalog, _) = Catalog::open(&dir.path().join("c.db")).unwrap();
        let universe = catalog.universe(Digest::of(b"u")).unwrap();
        let test = crate::CollectedTest::bare("a.py::x");
        catalog
            .record_collections(
                universe,
                &[crate::CollectedFile {
                    file: "a.py".into(),
                    path: "a.py".into(),
                    tests: vec![test.clone()],
                    set: None,
                }],
            )
            .unwrap();
        let fact = |text: &str| Fact {
            input: Input::File(text.into()),
            digest: Digest::of(b"1"),
        };
        let base = catalog.intern_set(&[fact("a"), fact("b")]).unwrap();
        let lists = [vec![fact("d")], vec![], vec![fact("d")]];
        let sets = catalog.intern_within(base, &lists).unwrap();
        let kept = sets[0];
        assert_eq!(sets, [kept, base, kept]);
        let lost = catalog.intern_set(&[fact("b"), fact("c")]).unwrap();
        catalog
            .record_passes(
                universe,
                &[(test.id, kept, TestStatus::Passed, Duration::ZERO)],
            )
            .unwrap();
        catalog.compact().unwrap();
        let table = crate::sets::load_facts(&catalog.db, [kept, lost]).unwrap();
        assert_eq!(table.facts_of(kept).count(), 3);
        assert_eq!(table.facts_of(lost).count(), 0);
        assert_eq!(
            catalog.records(universe).unwrap().0.files[0].tests[0].passes[0].set,
            kept
        );
        // They are off only meanwhile, and nothing refers to what is gone.
        let are_on = |row: &rusqlite::Row<'_>| row.get::<_, bool>(0);
        assert!(
            catalog
                .db
                .pragma_query_value(None, "foreign_keys", are_on)
                .unwrap()
        );
        let mut check = catalog.db.prepare("PRAGMA foreign_key_check").unwrap();
        assert!(!check.exists([]).unwrap());
    }

    #[test]
    fn nothing_is_forgotten_while_another_run_may_remember_it() {
        let dir = tempfile::tempdir().unwrap();
        let (mut catalog, _) = Catalog::open(&dir.path().join("c.db")).unwrap();
        let other = catalog.begin_run("other", None).unwrap();
        let own = catalog.begin_run("own", None).unwrap();
        let summary = RunSummary::default();
        catalog.finish_run(own, &summary).unwrap();
        assert!(!catalog.runs_alone().unwrap());
        catalog.finish_run(other, &summary).unwrap();
        assert!(catalog.runs_alone().unwrap());
        catalog.begin_run("killed", None).unwrap();
        let yesterday = now_ms() - A_DAY - 1;
        let sql = "UPDATE runs SET started = ? WHERE command = 'killed'";
        catalog.db.execute(sql, [yesterday]).unwrap();
        assert!(catalog.runs_alone().unwrap());
    }
}
