//! Opening the catalog: migrations, newer schemas, damage; and the small tables.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dx_py_core::{Digest, Fact, FileStat};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use rustc_hash::FxHashMap;

use crate::error::{is_busy, is_damage};
use crate::sets::SetId;
use crate::{CatalogError, StatRow};

/// The migrations; the schema's number is how many of them have been applied.
const MIGRATIONS: [&str; 8] = [
    include_str!("../../../schema/0001_initial.sql"),
    include_str!("../../../schema/0002_collections.sql"),
    include_str!("../../../schema/0003_nested_sets.sql"),
    include_str!("../../../schema/0004_parts.sql"),
    include_str!("../../../schema/0005_evidence.sql"),
    include_str!("../../../schema/0006_parsed.sql"),
    include_str!("../../../schema/0007_frames.sql"),
    include_str!("../../../schema/0008_outcomes_by_run.sql"),
];

/// `DXPY`, which `file` and SQLite's tools can show.
const APPLICATION_ID: i64 = 0x4458_5059;

/// How long another process that writes is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// An open catalog.
#[derive(Debug)]
pub struct Catalog {
    pub(crate) db: Connection,
    pub(crate) fact_ids: HashMap<Fact, i64>,
    pub(crate) set_ids: HashMap<Digest, SetId>,
    pub(crate) set_hashes: FxHashMap<SetId, Digest>,
}

/// A damaged catalog was moved out of the way, and a new one begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where the damaged one is now.
    pub kept_as: PathBuf,
}

impl Catalog {
    /// Opens the catalog at `path`, making it if it isn't there. An older schema is migrated; a damaged file is set aside and a new
    /// catalog begun, which the second value tells.
    ///
    /// # Errors
    /// If the schema is newer, or the file can't be used.
    pub fn open(path: &Path) -> Result<(Self, Option<SetAside>), CatalogError> {
        match Self::try_open(path) {
            Ok(catalog) => Ok((catalog, None)),
            Err(CatalogError::Sqlite(error)) if is_damage(&error) => {
                let aside = set_aside(path)?;
                Ok((Self::try_open(path)?, Some(aside)))
            }
            Err(error) => Err(error),
        }
    }

    fn try_open(path: &Path) -> Result<Self, CatalogError> {
        let mut db = Connection::open(path).map_err(|error| cannot_write(path, error))?;
        db.busy_timeout(PATIENCE)?;
        use_write_ahead_log(&db).map_err(|error| cannot_write(path, error))?;
        db.pragma_update(None, "synchronous", "normal")?;
        db.pragma_update(None, "foreign_keys", true)?;
        migrate(&mut db, path)?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(Self {
            db,
            fact_ids: HashMap::new(),
            set_ids: HashMap::new(),
            set_hashes: FxHashMap::default(),
        })
    }

    /// A transaction that takes the write lock at once, so that it never fails halfway for another writer.
    pub(crate) fn write(&mut self) -> Result<Transaction<'_>, CatalogError> {
        Ok(self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?)
    }

    /// The cache of digests by stat.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn file_stats(&self) -> Result<FxHashMap<String, StatRow>, CatalogError> {
        let mut query = self
            .db
            .prepare("SELECT path, size, mtime, ctime, inode, digest, checked FROM file_stats")?;
        let rows = query.query_map([], |row| {
            Ok((
                row.get(0)?,
                StatRow {
                    stat: FileStat {
                        size: row.get::<_, i64>(1)?.cast_unsigned(),
                        mtime_ns: row.get(2)?,
                        ctime_ns: row.get(3)?,
                        inode: row.get::<_, i64>(4)?.cast_unsigned(),
                    },
                    digest: Digest(row.get(5)?),
                    checked_ns: row.get(6)?,
                },
            ))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds to the cache of digests by stat.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn store_file_stats(&mut self, rows: &[(String, StatRow)]) -> Result<(), CatalogError> {
        if rows.is_empty() {
            return Ok(());
        }
        let db = self.write()?;
        {
            let mut insert = db.prepare_cached(
                "INSERT OR REPLACE INTO file_stats (path, size, mtime, ctime, inode, digest, checked) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?;
            for (path, row) in rows {
                insert.execute(params![
                    path,
                    row.stat.size.cast_signed(),
                    row.stat.mtime_ns,
                    row.stat.ctime_ns,
                    row.stat.inode.cast_signed(),
                    row.digest.0,
                    row.checked_ns
                ])?;
            }
        }
        Ok(db.commit()?)
    }

    /// A named value.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn note(&self, key: &str) -> Result<Option<Vec<u8>>, CatalogError> {
        Ok(self
            .db
            .query_row("SELECT value FROM notes WHERE key = ?", [key], |row| {
                row.get(0)
            })
            .optional()?)
    }

    /// Sets a named value.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn set_note(&mut self, key: &str, value: &[u8]) -> Result<(), CatalogError> {
        let db = self.write()?;
        db.execute(
            "INSERT OR REPLACE INTO notes (key, value) VALUES (?, ?)",
            params![key, value],
        )?;
        Ok(db.commit()?)
    }

    /// Forgets a named value.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn forget_note(&mut self, key: &str) -> Result<(), CatalogError> {
        let db = self.write()?;
        db.execute("DELETE FROM notes WHERE key = ?", [key])?;
        Ok(db.commit()?)
    }
}

/// Switches to the write-ahead log. For that SQLite wants a file for itself and waits for nobody, so if two processes make it at once one
/// of them has to ask again.
fn use_write_ahead_log(db: &Connection) -> Result<(), rusqlite::Error> {
    let began = Instant::now();
    loop {
        match db.pragma_update(None, "journal_mode", "wal") {
            Err(error) if is_busy(&error) && began.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH);
    age.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

fn cannot_write(path: &Path, error: rusqlite::Error) -> CatalogError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly) => {
            CatalogError::ReadOnly {
                path: path.to_path_buf(),
            }
        }
        _ => error.into(),
    }
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), CatalogError> {
    let known = MIGRATIONS.len() as i64;
    let schema =
        |db: &Connection| db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let found = schema(db)?;
    if found == known {
        return Ok(());
    }
    if found > known {
        return Err(CatalogError::Newer {
            path: path.to_path_buf(),
            found,
            known,
        });
    }
    let transaction = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| cannot_write(path, error))?;
    // Another process may have migrated while this one waited for the lock.
    let found = schema(&transaction)?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(transaction.commit()?)
}

fn set_aside(path: &Path) -> Result<SetAside, CatalogError> {
    let kept_as = path.with_extension(format!("db.damaged-{}", now_ms()));
    fs::rename(path, &kept_as).map_err(|source| CatalogError::SetAside {
        path: path.to_path_buf(),
        source,
    })?;
    for suffix in ["-wal", "-shm"] {
        let mut side = path.as_os_str().to_owned();
        side.push(suffix);
        // They are only there if the catalog was in use; without its database a journal is worthless.
        let _ = fs::remove_file(side);
    }
    Ok(SetAside { kept_as })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let (catalog, _) = Catalog::open(&path).unwrap();
        catalog.db.pragma_update(None, "user_version", 99).unwrap();
        drop(catalog);
        let error = Catalog::open(&path).unwrap_err().to_string();
        assert!(error.contains("has schema 99"), "{error}");
        assert!(error.contains("dx-py clean"), "{error}");
        assert!(path.exists());
    }

    #[test]
    fn an_older_schema_is_migrated_with_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let older = Connection::open(&path).unwrap();
        for migration in &MIGRATIONS[..7] {
            older.execute_batch(migration).unwrap();
        }
        older.pragma_update(None, "user_version", 7).unwrap();
        let rows = "INSERT INTO runs (id, started, command) VALUES (1, 10, 'test'), (2, 20, 'test');
             INSERT INTO test_names (id, name) VALUES (5, 'a.py::x');
             INSERT INTO outcomes (run, test_name, status, duration, message, second_opinion, inputs)
             VALUES (1, 5, 4, 1000, 'no', 1, 7), (2, 5, 0, 2000, '', 0, NULL);";
        older.execute_batch(rows).unwrap();
        drop(older);
        let (catalog, _) = Catalog::open(&path).unwrap();
        let rows = catalog.history(|_| true, 9).unwrap();
        let told: Vec<(i64, &str, Duration)> = rows
            .iter()
            .map(|row| (row.started, &*row.message, row.duration))
            .collect();
        let time = Duration::from_micros;
        assert_eq!(told, [(20, "", time(2)), (10, "no", time(1))]);
        assert_eq!(catalog.flaky().unwrap()[0].second_opinions, 1);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_a_new_catalog_begun() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        fs::write(
            &path,
            "this is no database, and long enough to be read as a header of one".repeat(20),
        )
        .unwrap();
        let (mut catalog, aside) = Catalog::open(&path).unwrap();
        assert!(
            fs::read_to_string(aside.unwrap().kept_as)
                .unwrap()
                .starts_with("this is no")
        );
        catalog.set_note("a", b"1").unwrap();
        drop(catalog);
        let (catalog, aside) = Catalog::open(&path).unwrap();
        assert_eq!(
            (catalog.note("a").unwrap(), aside),
            (Some(b"1".to_vec()), None)
        );
    }

    #[test]
    fn a_read_only_folder_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let error = Catalog::open(&dir.path().join("nowhere/catalog.db")).unwrap_err();
        assert!(matches!(error, CatalogError::ReadOnly { .. }), "{error:?}");
    }

    #[test]
    fn several_make_it_at_once_and_write() {
        for _ in 0..20 {
            made_at_once_and_written();
        }
    }

    fn made_at_once_and_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let path = path.clone();
                std::thread::spawn(move || {
                    let (mut catalog, _) = Catalog::open(&path).unwrap();
                    for number in 0..25 {
                        catalog
                            .set_note(&format!("{thread}-{number}"), b"x")
                            .unwrap();
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        let (catalog, _) = Catalog::open(&path).unwrap();
        let count: i64 = catalog
            .db
            .query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 100);
    }
}
