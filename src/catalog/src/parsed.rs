//! What was found in sources, kept by path and content, so that a file isn't parsed again in each run.

use std::path::Path;

use dx_py_core::Digest;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::open::PATIENCE;
use crate::{Catalog, CatalogError};

/// What was found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedRow {
    /// Its key in inputs.
    pub path: String,
    /// What kind of thing was looked for.
    pub what: &'static str,
    /// The digest of the content that it was found in.
    pub digest: Digest,
    /// What was found, as the finder writes it.
    pub found: Vec<u8>,
}

/// What the frame of a source was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRow {
    /// Its fingerprint.
    pub digest: Digest,
    /// What it was made of, as the finder writes it.
    pub layout: Vec<u8>,
}

/// Reads what was found in files one by one when it is asked for: a run asks for few of them, in the midst of other work with the catalog.
#[derive(Debug)]
pub struct ParsedReader {
    db: Connection,
}

impl ParsedReader {
    /// A reader of the catalog at `path`, which must be there.
    ///
    /// # Errors
    /// If it can't be opened.
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(PATIENCE)?;
        Ok(Self { db })
    }

    /// What of that kind was found in the file when its content had that digest; none if nobody has looked.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn found(
        &self,
        path: &str,
        what: &str,
        digest: Digest,
    ) -> Result<Option<Vec<u8>>, CatalogError> {
        let mut query = self.db.prepare_cached(
            "SELECT found FROM parsed WHERE path = ? AND what = ? AND digest = ?",
        )?;
        Ok(query
            .query_row(params![path, what, digest.0], |row| row.get(0))
            .optional()?)
    }

    /// What the frame with that fingerprint was made of; none if that wasn't kept.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn frame(&self, digest: Digest) -> Result<Option<Vec<u8>>, CatalogError> {
        let mut query = self
            .db
            .prepare_cached("SELECT layout FROM frames WHERE digest = ?")?;
        Ok(query
            .query_row(params![digest.0], |row| row.get(0))
            .optional()?)
    }
}

impl Catalog {
    /// Keeps what was found in files, in place of what was found in other contents of them, and what their frames are made of, beside those
    /// of other contents.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn store_parsed(
        &mut self,
        rows: &[ParsedRow],
        frames: &[FrameRow],
    ) -> Result<(), CatalogError> {
        if rows.is_empty() && frames.is_empty() {
            return Ok(());
        }
        let db = self.write()?;
        {
            let mut insert = db.prepare_cached(
                "INSERT OR REPLACE INTO parsed (path, what, digest, found) VALUES (?, ?, ?, ?)",
            )?;
            for row in rows {
                insert.execute(params![row.path, row.what, row.digest.0, row.found])?;
            }
            let mut insert =
                db.prepare_cached("INSERT OR REPLACE INTO frames (digest, layout) VALUES (?, ?)")?;
            for frame in frames {
                insert.execute(params![frame.digest.0, frame.layout])?;
            }
        }
        Ok(db.commit()?)
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn what_was_found_is_kept_by_path_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let (mut catalog, _) = Catalog::open(&path).unwrap();
        let row = |path: &str, content: &[u8], found: &[u8]| ParsedRow {
            path: path.to_owned(),
            what: "symbols",
            digest: Digest::of(content),
            found: found.to_vec(),
        };
        let rows = [row("a.py", b"1", b"one"), row("b.py", b"1", b"")];
        let frame = |name: &[u8]| FrameRow {
            digest: Digest::of(name),
            layout: name.to_vec(),
        };
        catalog.store_parsed(&rows, &[frame(b"one")]).unwrap();
        let reader = ParsedReader::open(&path).unwrap();
        let found = |path: &str, what: &str, content: &[u8]| {
            let found = reader.found(path, what, Digest::of(content)).unwrap();
            found.map(|found| String::from_utf8(found).unwrap())
        };
        assert_eq!(found("a.py", "symbols", b"1").as_deref(), Some("one"));
        assert_eq!(found("b.py", "symbols", b"1").as_deref(), Some(""));
        assert_eq!(found("a.py", "symbols", b"2"), None);
        assert_eq!(found("a.py", "slices", b"1"), None);
        assert_eq!(found("c.py", "symbols", b"1"), None);

        let two = row("a.py", b"2", b"two");
        catalog.store_parsed(&[two], &[frame(b"two")]).unwrap();
        assert_eq!(found("a.py", "symbols", b"2").as_deref(), Some("two"));
        let old = found("a.py", "symbols", b"1");
        assert_eq!(old, None, "one content of each file is kept");
        for name in [b"one", b"two"] {
            let kept = reader.frame(Digest::of(name)).unwrap();
            assert_eq!(kept.as_deref(), Some(&name[..]), "frames of all are kept");
        }
        assert_eq!(reader.frame(Digest::of(b"three")).unwrap(), None);
        catalog.compact().unwrap();
        let unused = reader.frame(Digest::of(b"one")).unwrap();
        assert_eq!(unused, None, "no fact is about it");
        assert!(ParsedReader::open(&dir.path().join("no.db")).is_err());
    }
}
