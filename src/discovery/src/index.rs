//! The binary test index, `.dxti`: what was found in each file, with the stat and the digest that it was found at.
//!
//! All numbers are little-endian. A header of 64 bytes (magic `DXTI`, version u32, files u32, tests u32, string bytes u32, marker
//! bytes u32, scan time i64, BLAKE3 of the rest 32 bytes) is followed by the file table (80 bytes each), the test table (40 bytes
//! each), the string pool and the marker pool. Files are in the order of their paths, so that one is found by binary search. The file
//! is mapped into memory and checked as a whole before use; any damage means that it isn't used.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use dx_py_core::{Digest, FileStat, Marker, RelPath, TestCase, TestId, blob};
use memmap2::Mmap;

use crate::scan::ScannedFile;

const MAGIC: [u8; 4] = *b"DXTI";
const VERSION: u32 = 1;
const HEADER: usize = 64;
const FILE_ENTRY: usize = 80;
const TEST_ENTRY: usize = 40;
const NO_STRING: u32 = u32::MAX;

/// The index can't be used; the project is parsed anew.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It can't be read or written.
    #[error("the test index can't be read or written")]
    Io(#[from] std::io::Error),
    /// It isn't an index, or is damaged.
    #[error("the test index is damaged: {0}")]
    Damaged(&'static str),
    /// It was written by another version.
    #[error("the test index has version {0}")]
    Version(u32),
}

/// An index that is mapped into memory and was found to be sound.
#[derive(Debug)]
pub struct Index {
    bytes: Bytes,
    files: u32,
    tests: Range<usize>,
    strings: Range<usize>,
    markers: Range<usize>,
    scanned_ns: i64,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

impl Index {
    /// Maps and checks the index at `path`.
    ///
    /// # Errors
    /// If it can't be read, is damaged, or of another version.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let file = File::open(path)?;
        // SAFETY: the file is only ever replaced as a whole by a rename, never written in place, so the mapped content stays.
        let map = unsafe { Mmap::map(&file)? };
        Self::check(Bytes::Mapped(map))
    }

    /// Checks an index in memory.
    ///
    /// # Errors
    /// If it is damaged or of another version.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, IndexError> {
        Self::check(Bytes::Owned(bytes))
    }

    fn check(bytes: Bytes) -> Result<Self, IndexError> {
        let short = IndexError::Damaged("it is cut short");
        if bytes.len() < HEADER {
            return Err(short);
        }
        if bytes[..4] != MAGIC {
            return Err(IndexError::Damaged("its first bytes are others"));
        }
        let word = |at| u32_at(&bytes, at).ok_or(IndexError::Damaged("it is cut short"));
        let version = word(4)?;
        if version != VERSION {
            return Err(IndexError::Version(version));
        }
        let (files, tests) = (word(8)?, word(12)? as usize);
        let (strings, markers) = (word(16)? as usize, word(20)? as usize);
        let tests_at = HEADER + files as usize * FILE_ENTRY;
        let strings_at = tests_at + tests * TEST_ENTRY;
        let markers_at = strings_at + strings;
        if markers_at + markers != bytes.len() {
            return Err(short);
        }
        let mut checked = blake3::Hasher::new();
        checked.update(&bytes[..32]).update(&bytes[HEADER..]);
        if checked.finalize().as_bytes()[..] != bytes[32..HEADER] {
            return Err(IndexError::Damaged("its checksum is wrong"));
        }
        let scanned_ns = u64_at(&bytes, 24).ok_or(short)?.cast_signed();
        Ok(Self {
            files,
            tests: tests_at..strings_at,
            strings: strings_at..markers_at,
            markers: markers_at..markers_at + markers,
            scanned_ns,
            bytes,
        })
    }

    /// How many files it holds.
    pub fn len(&self) -> usize {
        self.files as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// The file system's time at the scan, in nanoseconds.
    pub fn scanned_ns(&self) -> i64 {
        self.scanned_ns
    }

    fn string(&self, at: usize) -> Option<&str> {
        let (start, len) = (u32_at(&self.bytes, at)?, u32_at(&self.bytes, at + 4)?);
        let pool = &self.bytes[self.strings.clone()];
        let piece = pool.get(start as usize..(start as usize).checked_add(len as usize)?)?;
        std::str::from_utf8(piece).ok()
    }

    fn entry(&self, number: usize) -> usize {
        HEADER + number * FILE_ENTRY
    }

    /// The stat and digest of a file, with its number, if it is in the index.
    pub fn find(&self, path: &RelPath) -> Option<(usize, FileStat, Digest)> {
        let (mut low, mut high) = (0, self.files as usize);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.string(self.entry(middle))?.cmp(path.as_str()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let at = self.entry(middle);
                    let number = |offset| u64_at(&self.bytes, at + offset);
                    let stat = FileStat {
                        size: number(8)?,
                        mtime_ns: number(16)?.cast_signed(),
                        ctime_ns: number(24)?.cast_signed(),
                        inode: number(32)?,
                    };
                    let digest = Digest(self.bytes.get(at + 48..at + 80)?.try_into().ok()?);
                    return Some((middle, stat, digest));
                }
            }
        }
        None
    }

    /// The tests of file number `number`; `None` if what is stored can't be read.
    pub fn tests_of(&self, number: usize) -> Option<Vec<TestCase>> {
        let at = self.entry(number);
        let path = RelPath::from_text(self.string(at)?)?;
        let (first, count) = (u32_at(&self.bytes, at + 40)?, u32_at(&self.bytes, at + 44)?);
        let table = &self.bytes[self.tests.clone()];
        (first as usize..first as usize + count as usize)
            .map(|test| {
                let inner = test * TEST_ENTRY;
                table.get(inner..inner + TEST_ENTRY)?;
                self.test(self.tests.start + inner, &path)
            })
            .collect()
    }

    fn test(&self, at: usize, path: &RelPath) -> Option<TestCase> {
        let class = match u32_at(&self.bytes, at)? {
            NO_STRING => None,
            _ => Some(self.string(at)?.to_owned()),
        };
        let function = self.string(at + 8)?.to_owned();
        let (start, len) = (
            u32_at(&self.bytes, at + 16)? as usize,
            u32_at(&self.bytes, at + 20)? as usize,
        );
        let pool = &self.bytes[self.markers.clone()];
        let markers: Vec<Marker> = match len {
            0 => Vec::new(),
            _ => blob::decode(pool.get(start..start.checked_add(len)?)?).ok()?,
        };
        let inner = match &class {
            Some(class) => format!("{path}::{class}::{function}"),
            None => format!("{path}::{function}"),
        };
        Some(TestCase {
            id: TestId::new(inner),
            file: path.clone(),
            class,
            function,
            line: u32_at(&self.bytes, at + 24)?,
            markers,
        })
    }
}

/// The bytes of an index over files in the order of their paths; files that couldn't be read are left out.
///
/// # Errors
/// If markers can't be encoded, or the pools are beyond 4 GiB.
pub fn to_bytes(files: &[ScannedFile], scanned_ns: i64) -> Result<Vec<u8>, IndexError> {
    let too_large = |_| IndexError::Damaged("it would be too large");
    let files: Vec<&ScannedFile> = files.iter().filter(|file| file.problem.is_none()).collect();
    let (mut table, mut tests, mut strings, mut markers) =
        (Vec::new(), Vec::new(), Vec::<u8>::new(), Vec::<u8>::new());
    let mut count = 0u32;
    let mut text = |text: &str, out: &mut Vec<u8>| -> Result<(), IndexError> {
        out.extend(
            u32::try_from(strings.len())
                .map_err(too_large)?
                .to_le_bytes(),
        );
        out.extend(u32::try_from(text.len()).map_err(too_large)?.to_le_bytes());
        strings.extend(text.as_bytes());
        Ok(())
    };
    for file in &files {
        text(file.path.as_str(), &mut table)?;
        table.extend(file.stat.size.to_le_bytes());
        table.extend(file.stat.mtime_ns.to_le_bytes());
        table.extend(file.stat.ctime_ns.to_le_bytes());
        table.extend(file.stat.inode.to_le_bytes());
        table.extend(count.to_le_bytes());
        let own_tests = file.tests();
        let own = u32::try_from(own_tests.len()).map_err(too_large)?;
        table.extend(own.to_le_bytes());
        table.extend(file.digest.0);
        count = count
            .checked_add(own)
            .ok_or(IndexError::Damaged("it would be too large"))?;
        for test in own_tests.iter() {
            match &test.class {
                Some(class) => text(class, &mut tests)?,
                None => tests.extend([NO_STRING.to_le_bytes(), [0; 4]].concat()),
            }
            text(&test.function, &mut tests)?;
            let encoded = if test.markers.is_empty() {
                Vec::new()
            } else {
                blob::encode(&test.markers)
                    .map_err(|_| IndexError::Damaged("a mark can't be encoded"))?
            };
            tests.extend(
                u32::try_from(markers.len())
                    .map_err(too_large)?
                    .to_le_bytes(),
            );
            tests.extend(
                u32::try_from(encoded.len())
                    .map_err(too_large)?
                    .to_le_bytes(),
            );
            tests.extend(test.line.to_le_bytes());
            tests.extend([0; 12]);
            markers.extend(encoded);
        }
    }
    let mut out =
        Vec::with_capacity(HEADER + table.len() + tests.len() + strings.len() + markers.len());
    out.extend(MAGIC);
    out.extend(VERSION.to_le_bytes());
    for number in [files.len(), count as usize, strings.len(), markers.len()] {
        out.extend(u32::try_from(number).map_err(too_large)?.to_le_bytes());
    }
    out.extend(scanned_ns.to_le_bytes());
    let mut checksum = blake3::Hasher::new();
    checksum.update(&out);
    let body = [table, tests, strings, markers].concat();
    checksum.update(&body);
    out.extend(checksum.finalize().as_bytes());
    out.extend(body);
    Ok(out)
}

/// Replaces the index at `path` at once.
///
/// # Errors
/// If it can't be written.
pub fn write(path: &Path, files: &[ScannedFile], scanned_ns: i64) -> Result<(), IndexError> {
    let bytes = to_bytes(files, scanned_ns)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::scan::Tests;
    use proptest::prelude::*;

    fn files() -> impl Strategy<Value = Vec<ScannedFile>> {
        let mark =
            ("[a-z]{1,4}", prop::collection::vec(".*", 0..2)).prop_map(|(name, args)| Marker {
                args,
                ..Marker::bare(name)
            });
        let test = (
            prop::option::of("[A-Z][a-z]{0,3}"),
            "test_[a-zé]{0,4}",
            any::<u32>(),
            prop::collection::vec(mark, 0..3),
        );
        let file = (
            any::<[u8; 32]>(),
            any::<[i64; 4]>(),
            prop::collection::vec(test, 0..4),
        );
        prop::collection::btree_map("[a-zé]{1,4}(/[a-z]{1,3})?\\.py", file, 0..8).prop_map(
            |files| {
                files
                    .into_iter()
                    .map(|(path, (digest, stat, tests))| {
                        let path = RelPath::from_text(&path).unwrap();
                        let tests = tests
                            .into_iter()
                            .map(|(class, function, line, markers)| {
                                let id = match &class {
                                    Some(class) => format!("{path}::{class}::{function}"),
                                    None => format!("{path}::{function}"),
                                };
                                TestCase {
                                    id: TestId::new(id),
                                    file: path.clone(),
                                    class,
                                    function,
                                    line,
                                    markers,
                                }
                            })
                            .collect();
                        ScannedFile {
                            stat: FileStat {
                                size: stat[0].cast_unsigned(),
                                mtime_ns: stat[1],
                                ctime_ns: stat[2],
                                inode: stat[3].cast_unsigned(),
                            },
                            digest: Digest(digest),
                            tests: Tests::Parsed(tests),
                            problem: None,
                            path,
                        }
                    })
                    .collect()
            },
        )
    }

    proptest! {
        // Property 2: test index round trip
        #[test]
        fn what_is_written_comes_back(files in files(), scanned: i64) {
            let index = Index::from_bytes(to_bytes(&files, scanned).unwrap()).unwrap();
            prop_assert_eq!((index.len(), index.scanned_ns()), (files.len(), scanned));
            for file in &files {
                let (number, stat, digest) = index.find(&file.path).unwrap();
                prop_assert_eq!((stat, digest), (file.stat, file.digest));
                prop_assert_eq!(index.tests_of(number).unwrap(), file.tests().into_owned());
            }
            prop_assert!(index.find(&RelPath::from_text("not/there.py").unwrap()).is_none());
        }

        // Property 2: test index round trip
        #[test]
        fn any_damage_is_noticed(files in files(), at: prop::sample::Index, flip in 1u8.., cut: prop::sample::Index) {
            let good = to_bytes(&files, 7).unwrap();
            let mut damaged = good.clone();
            damaged[at.index(good.len())] ^= flip;
            prop_assert!(Index::from_bytes(damaged).is_err());
            prop_assert!(Index::from_bytes(good[..cut.index(good.len())].to_vec()).is_err());
        }
    }

    #[test]
    fn an_index_is_replaced_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.dxti");
        write(&path, &[], 1).unwrap();
        write(&path, &[], 2).unwrap();
        assert_eq!(Index::open(&path).unwrap().scanned_ns(), 2);
        assert!(Index::open(&dir.path().join("no")).is_err());
    }
}
