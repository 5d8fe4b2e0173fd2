//! What the file system says of a file.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// What a file's metadata say of it: while they are the same, so is the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FileStat {
    /// Size in bytes.
    pub size: u64,
    /// Modification time in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Change time in nanoseconds since 1970.
    pub ctime_ns: i64,
    /// Inode.
    pub inode: u64,
}

impl FileStat {
    /// When anything of the file was last changed, in nanoseconds since 1970. One that was looked at no later than that may have been
    /// changed again since, within the same tick of the clock (git's rule for racy entries).
    pub fn latest_ns(&self) -> i64 {
        self.mtime_ns.max(self.ctime_ns)
    }
}

impl From<&Metadata> for FileStat {
    fn from(meta: &Metadata) -> Self {
        Self {
            size: meta.len(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
            ctime_ns: meta.ctime() * 1_000_000_000 + meta.ctime_nsec(),
            inode: meta.ino(),
        }
    }
}
