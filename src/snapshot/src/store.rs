//! The snapshot files of a project: compares, updates, accepts and rejects, under a lock that all its processes share.
//!
//! Content goes before the file that names it, and that before the index, each put in its place at once. So a crash leaves the old
//! snapshot or the new one, and an index that doesn't know of it, which has the file hashed again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use dx_py_core::{Digest, FileStat};
use rustix::fs::{FlockOperation, flock};

use crate::error::{SnapshotError, io_error};
use crate::files::{put, remove, write};
use crate::index::{Hashed, Index, Row, digest_of};
use crate::inline::{self, Misplaced};
use crate::place::{Place, safe};
use crate::text::{self, BYTES, Entries, Entry};

/// From how many bytes on content has a file of its own.
const LARGE: usize = 64 * 1024;

/// How a value compares with what was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It is the same. If the index knew, no content was loaded.
    Same {
        /// Whether the content was loaded all the same, since the index didn't know the file.
        loaded: bool,
    },
    /// It differs from this kind and content.
    Differs {
        /// The accepted kind.
        kind: String,
        /// The accepted content.
        content: Vec<u8>,
    },
    /// Nothing of this name was accepted.
    Absent,
}

/// The snapshots of a project.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    dx: PathBuf,
}

impl Store {
    /// The snapshots below `root`; the index is kept in `dx`, which must be there before something is changed.
    pub fn new(root: &Path, dx: &Path) -> Self {
        Self {
            root: root.to_owned(),
            dx: dx.to_owned(),
        }
    }

    /// The entries of a snapshot file, accepted or pending; none if it isn't there.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn entries(&self, path: &Path) -> Result<Entries, SnapshotError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entries::new()),
            Err(source) => return Err(io_error("read", path)(source)),
        };
        let damaged = |source| SnapshotError::Damaged {
            path: path.to_owned(),
            source,
        };
        text::parse(&text).map_err(damaged)
    }

    /// The content of an entry of the snapshot file `path`, wherever it is.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn content(&self, path: &Path, entry: &Entry) -> Result<Vec<u8>, SnapshotError> {
        if entry.file.is_empty() {
            return Ok(entry.content.clone().into_bytes());
        }
        let beside = Place::of_file(path)?.beside(&entry.file)?;
        fs::read(&beside).map_err(io_error("read", &beside))
    }

    /// The source that a snapshot file stands beside.
    ///
    /// # Errors
    /// If the path isn't that of a snapshot file.
    pub fn source_of(&self, path: &Path) -> Result<PathBuf, SnapshotError> {
        Ok(Place::of_file(path)?.source())
    }

    /// The accepted file that belongs to a pending one.
    ///
    /// # Errors
    /// If the path isn't that of a snapshot file.
    pub fn accepted_of(&self, path: &Path) -> Result<PathBuf, SnapshotError> {
        Ok(Place::of_file(path)?.accepted())
    }

    /// Compares a value with the snapshot `name` of the test file `source`. Hashes are compared first.
    ///
    /// # Errors
    /// If the snapshots can't be read.
    pub fn check(
        &self,
        source: &Path,
        name: &str,
        kind: &str,
        content: &[u8],
    ) -> Result<Check, SnapshotError> {
        let Some(place) = Place::of_source(source) else {
            return Ok(Check::Absent);
        };
        let path = place.accepted();
        let index = self.index();
        if let Some(row) = self.sound_row(&index, &path) {
            let Some(hashed) = row.hashes.get(name) else {
                return Ok(Check::Absent);
            };
            let is_as_hashed = hashed.file.is_empty()
                || self
                    .sound_row(&index, &place.beside(&hashed.file)?)
                    .is_some();
            if is_as_hashed && hashed.digest == digest_of(kind, content) {
                return Ok(Check::Same { loaded: false });
            }
        }
        let entries = self.entries(&path)?;
        let Some(entry) = entries.get(name) else {
            return Ok(Check::Absent);
        };
        let accepted = self.content(&path, entry)?;
        Ok(match entry.kind == kind && accepted == content {
            true => Check::Same { loaded: true },
            false => Check::Differs {
                kind: entry.kind.clone(),
                content: accepted,
            },
        })
    }

    /// Accepts these values, by name with their kinds, for the test file `source`.
    ///
    /// # Errors
    /// If they can't be written. What was accepted before stays then.
    pub fn update(
        &self,
        source: &Path,
        values: &BTreeMap<String, (String, Vec<u8>)>,
    ) -> Result<(), SnapshotError> {
        let place = Place::of_source(source).ok_or_else(|| SnapshotError::Foreign {
            path: source.to_owned(),
        })?;
        let _lock = self.lock()?;
        let (before, pending) = self.both(&place)?;
        let (mut after, mut left) = (before.clone(), pending.clone());
        for (name, (kind, content)) in values {
            after.insert(name.clone(), self.entry(&place, name, kind, content)?);
            left.remove(name);
        }
        self.replace(&place, (&before, &after), (&pending, &left))
    }

    /// Accepts those of the pending snapshots of the file `path` that are `wanted`; gives their names.
    ///
    /// # Errors
    /// If they can't be written, or the source of an inline one has changed. What was accepted before stays then.
    pub fn accept(
        &self,
        path: &Path,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<String>, SnapshotError> {
        let place = Place::of_file(path)?;
        let _lock = self.lock()?;
        let (before, pending) = self.both(&place)?;
        let (chosen, left) = split(&pending, wanted);
        let names = chosen.keys().cloned().collect();
        let (inline, new): (Entries, Entries) = chosen
            .into_iter()
            .partition(|(_, entry)| !entry.inline.is_empty());
        if !inline.is_empty() {
            let source = place.source();
            let text = fs::read_to_string(&source).map_err(io_error("read", &source))?;
            let text = inline::written(&text, &inline).map_err(|error| match error {
                Misplaced::Changed => SnapshotError::SourceChanged {
                    path: source.clone(),
                },
                Misplaced::Several { line } => SnapshotError::SeveralValues {
                    path: source.clone(),
                    line,
                },
            })?;
            put(&source, text.as_bytes())?;
        }
        let mut after = before.clone();
        after.extend(new);
        self.replace(&place, (&before, &after), (&pending, &left))?;
        Ok(names)
    }

    /// Forgets those of the pending snapshots of the file `path` that are `wanted`; gives their names.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn reject(
        &self,
        path: &Path,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<String>, SnapshotError> {
        let place = Place::of_file(path)?;
        let _lock = self.lock()?;
        let (before, pending) = self.both(&place)?;
        let (chosen, left) = split(&pending, wanted);
        self.replace(&place, (&before, &before), (&pending, &left))?;
        Ok(chosen.into_keys().collect())
    }

    /// Removes those of the accepted snapshots of the file `path` that are `wanted`; gives their names.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn remove(
        &self,
        path: &Path,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<String>, SnapshotError> {
        let place = Place::of_file(path)?;
        let _lock = self.lock()?;
        let (before, pending) = self.both(&place)?;
        let (gone, after) = split(&before, wanted);
        self.replace(&place, (&before, &after), (&pending, &pending))?;
        Ok(gone.into_keys().collect())
    }

    /// The accepted and the pending snapshots of a file.
    fn both(&self, place: &Place) -> Result<(Entries, Entries), SnapshotError> {
        Ok((
            self.entries(&place.accepted())?,
            self.entries(&place.pending())?,
        ))
    }

    /// Writes what has changed, and the index with it.
    fn replace(
        &self,
        place: &Place,
        accepted: (&Entries, &Entries),
        pending: (&Entries, &Entries),
    ) -> Result<(), SnapshotError> {
        if accepted.0 != accepted.1 {
            write(&place.accepted(), accepted.1)?;
        }
        if pending.0 != pending.1 {
            write(&place.pending(), pending.1)?;
        }
        let files = |entries: &[&Entries]| -> BTreeSet<String> {
            let entries = entries.iter().flat_map(|entries| entries.values());
            entries
                .map(|entry| entry.file.clone())
                .filter(|file| !file.is_empty())
                .collect()
        };
        let kept = files(&[accepted.1, pending.1]);
        for file in files(&[accepted.0, pending.0]).difference(&kept) {
            remove(&place.beside(file)?)?;
        }
        let mut index = self.index();
        // After a crash the file may be as it shall be, and the index not.
        let is_known = || self.sound_row(&index, &place.accepted()).is_some();
        if accepted.0 == accepted.1 && (accepted.1.is_empty() || is_known()) {
            return Ok(());
        }
        let mut hashes = BTreeMap::new();
        for (name, entry) in accepted.1 {
            let content = self.content(&place.accepted(), entry)?;
            if !entry.file.is_empty() {
                let own = Hashed {
                    digest: Digest::of(&content),
                    file: String::new(),
                };
                self.note(
                    &mut index,
                    &place.beside(&entry.file)?,
                    BTreeMap::from([(String::new(), own)]),
                );
            }
            let digest = digest_of(&entry.kind, &content);
            hashes.insert(
                name.clone(),
                Hashed {
                    digest,
                    file: entry.file.clone(),
                },
            );
        }
        self.note(&mut index, &place.accepted(), hashes);
        index.rows.retain(|path, _| self.root.join(path).exists());
        put(&self.index_path(), &index.to_bytes())
    }

    /// Lets the index know of a file.
    fn note(&self, index: &mut Index, path: &Path, hashes: BTreeMap<String, Hashed>) {
        let key = self.key(path);
        match fs::metadata(path) {
            Ok(metadata) => index
                .rows
                .insert(key, Row::new(FileStat::from(&metadata), hashes)),
            Err(_) => index.rows.remove(&key),
        };
    }

    /// The entry for a value. What is large, or no text, goes into a file beside, named by its content.
    fn entry(
        &self,
        place: &Place,
        name: &str,
        kind: &str,
        content: &[u8],
    ) -> Result<Entry, SnapshotError> {
        let text = std::str::from_utf8(content).ok();
        if let Some(text) = text
            && kind != BYTES
            && content.len() < LARGE
        {
            return Ok(Entry {
                kind: kind.to_owned(),
                ..Entry::text(text)
            });
        }
        let word = safe(name);
        let ending = if kind == BYTES { "bin" } else { "txt" };
        let digest: String = Digest::of(content).0[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let file = format!("{}/{word}-{digest}.{ending}", safe(&place.stem));
        let target = place.beside(&file)?;
        if !fs::read(&target).is_ok_and(|held| held == content) {
            put(&target, content)?;
        }
        Ok(Entry {
            kind: kind.to_owned(),
            file,
            ..Entry::text("")
        })
    }

    /// The index; an empty one if it is damaged.
    pub fn index(&self) -> Index {
        let bytes = fs::read(self.index_path()).unwrap_or_default();
        Index::from_bytes(&bytes).unwrap_or_default()
    }

    fn index_path(&self) -> PathBuf {
        self.dx.join("snapshots.bin")
    }

    fn key(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }

    /// What the index knows of a file, if the file is the one that was hashed.
    fn sound_row<'a>(&self, index: &'a Index, path: &Path) -> Option<&'a Row> {
        let row = index.rows.get(&self.key(path))?;
        let stat = FileStat::from(&fs::metadata(path).ok()?);
        row.is_of(&stat).then_some(row)
    }

    /// Keeps other processes from changing snapshots while the file is open.
    fn lock(&self) -> Result<File, SnapshotError> {
        let path = self.dx.join("snapshots.lock");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(io_error("lock", &path))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|error| io_error("lock", &path)(error.into()))?;
        Ok(file)
    }
}

/// Those entries whose names are wanted, and the others.
fn split(entries: &Entries, wanted: &dyn Fn(&str) -> bool) -> (Entries, Entries) {
    let entries = entries.clone().into_iter();
    entries.partition(|(name, _)| wanted(name))
}

#[cfg(test)]
mod tests;
