//! The index of snapshots, `.dx/snapshots.bin`: for each snapshot file its stat, and the hash of each of its snapshots.
//!
//! A file whose stat isn't the one here is hashed again; damage means that there is no index, and everything is hashed again.

use std::collections::BTreeMap;
use std::time::SystemTime;

use dx_py_core::{Digest, FileStat};

use crate::text::{escape, unescape};

const MAGIC: [u8; 4] = *b"DXSI";
const VERSION: u32 = 1;
const HEADER: usize = 40;
const ROW: usize = 52;
/// How long after a file's change, in nanoseconds, it may be changed again within the same tick of the file system's clock.
const TICK: i64 = 20_000_000;

/// The hash of a snapshot: of its kind and its content.
pub fn digest_of(kind: &str, content: &[u8]) -> Digest {
    // In one piece: BLAKE3 takes twice as long over 10 kB that don't begin where its chunks do.
    Digest::of(&[kind.as_bytes(), b"\0", content].concat())
}

/// A snapshot's hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// The hash.
    pub digest: Digest,
    /// The file beside that holds the content; empty if there is none.
    pub file: String,
}

/// What the index knows of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The file that was hashed.
    pub stat: FileStat,
    /// When.
    pub hashed_at: i64,
    /// The hashes by name. A file that holds one content and nothing else has it under the empty name.
    pub hashes: BTreeMap<String, Hashed>,
}

impl Row {
    /// The row of a file that was hashed just now.
    pub fn new(stat: FileStat, hashes: BTreeMap<String, Hashed>) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let hashed_at = now.map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(0));
        Self {
            stat,
            hashed_at,
            hashes,
        }
    }

    /// Whether this was hashed of the file that has this stat. One that was hashed as it was written may differ.
    pub fn is_of(&self, stat: &FileStat) -> bool {
        *stat == self.stat && stat.latest_ns().saturating_add(TICK) <= self.hashed_at
    }
}

/// The index of a project, by paths relative to its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// The rows.
    pub rows: BTreeMap<String, Row>,
}

impl Index {
    /// The bytes of the index's file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut rest = number(self.rows.len()).to_vec();
        for (path, row) in &self.rows {
            let line = |(name, hashed): (&String, &Hashed)| match hashed.file.as_str() {
                "" => escape(name),
                file => format!("{}\t{file}", escape(name)),
            };
            let names = row.hashes.iter().map(line).collect::<Vec<_>>().join("\n");
            rest.extend(number(path.len()));
            rest.extend(row.stat.size.to_le_bytes());
            rest.extend(row.stat.mtime_ns.to_le_bytes());
            rest.extend(row.stat.ctime_ns.to_le_bytes());
            rest.extend(row.stat.inode.to_le_bytes());
            rest.extend(row.hashed_at.to_le_bytes());
            rest.extend(number(names.len()));
            rest.extend(number(row.hashes.len()));
            rest.extend(path.as_bytes());
            rest.extend(names.as_bytes());
            rest.extend(row.hashes.values().flat_map(|hashed| hashed.digest.0));
        }
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend(Digest::of(&rest).0);
        out.extend(rest);
        out
    }

    /// The index that `bytes` hold; `None` if they aren't a sound one of this version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER)?;
        let is_sound = header[..4] == MAGIC
            && header[4..8] == VERSION.to_le_bytes()
            && header[8..] == Digest::of(rest).0;
        if !is_sound {
            return None;
        }
        let mut data = Data(rest);
        let count = data.u32()?;
        let mut rows = BTreeMap::new();
        for _ in 0..count {
            let mut head = Data(data.take(ROW)?);
            let path = head.u32()?;
            let stat = FileStat {
                size: head.u64()?,
                mtime_ns: head.u64()? as i64,
                ctime_ns: head.u64()? as i64,
                inode: head.u64()?,
            };
            let hashed_at = head.u64()? as i64;
            let (names, hashes) = (head.u32()?, head.u32()?);
            let path = data.text(path)?;
            let names = data.text(names)?;
            let digests = data.take(usize::try_from(hashes).ok()?.checked_mul(32)?)?;
            let mut found = BTreeMap::new();
            if hashes > 0 {
                for (line, digest) in names.split('\n').zip(digests.chunks_exact(32)) {
                    let (name, file) = line.split_once('\t').unwrap_or((line, ""));
                    let hashed = Hashed {
                        digest: Digest(digest.try_into().ok()?),
                        file: file.to_owned(),
                    };
                    found.insert(unescape(name)?, hashed);
                }
            }
            rows.insert(
                path.to_owned(),
                Row {
                    stat,
                    hashed_at,
                    hashes: found,
                },
            );
        }
        data.0.is_empty().then_some(Self { rows })
    }
}

/// A count or a length. More than four billion names don't fit into memory that anybody has for them.
fn number(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

/// Bytes that are being read.
struct Data<'a>(&'a [u8]);

impl<'a> Data<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self, length: u32) -> Option<&'a str> {
        std::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        // Property 15: snapshot hash correctness
        #[test]
        fn equal_hashes_mean_equal_content_and_come_back_from_the_index(
            contents in prop::collection::btree_map("[a-z \t\n\\\\]{1,6}", ("text|value|bytes", prop::collection::vec(any::<u8>(), 0..40)), 1..6),
            other in ("text|value|bytes", prop::collection::vec(any::<u8>(), 0..40)),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let hashes: BTreeMap<String, Hashed> = contents
                .iter()
                .map(|(name, (kind, content))| (name.clone(), Hashed { digest: digest_of(kind, content), file: String::new() }))
                .collect();
            let index = Index { rows: BTreeMap::from([("tests/__snapshots__/a.snap".to_owned(), Row::new(FileStat::default(), hashes))]) };
            let bytes = index.to_bytes();
            let back = Index::from_bytes(&bytes).unwrap();
            prop_assert_eq!(&back, &index);
            for (name, content) in &contents {
                let kept = back.rows["tests/__snapshots__/a.snap"].hashes[name].digest;
                prop_assert_eq!(kept, digest_of(&content.0, &content.1));
                prop_assert_eq!(kept == digest_of(&other.0, &other.1), *content == other);
                let mut changed = content.1.clone();
                if !changed.is_empty() {
                    let place = at.index(changed.len());
                    changed[place] ^= flip;
                    prop_assert_ne!(kept, digest_of(&content.0, &changed));
                }
            }
            // Damage is found before use.
            let mut damaged = bytes.clone();
            damaged[at.index(bytes.len())] ^= flip;
            prop_assert_eq!(Index::from_bytes(&damaged), None);
            prop_assert_eq!(Index::from_bytes(&bytes[..at.index(bytes.len())]), None);
        }
    }

    #[test]
    fn a_file_that_was_hashed_as_it_was_written_is_hashed_again() {
        let stat = FileStat {
            mtime_ns: 1_000_000_000,
            ..FileStat::default()
        };
        let hashed = |hashed_at| Row {
            stat,
            hashed_at,
            ..Row::default()
        };
        assert!(!hashed(1_010_000_000).is_of(&stat));
        assert!(hashed(2_000_000_000).is_of(&stat));
        assert!(!hashed(2_000_000_000).is_of(&FileStat { inode: 1, ..stat }));
    }
}
