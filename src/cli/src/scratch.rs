//! Temporary folders and random numbers of a run.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// How many runs keep their temporary folders, as pytest does.
const RUNS_KEPT: u64 = 3;
/// The file that a run holds locked in its folder.
const LOCK: &str = ".lock";

fn random() -> u64 {
    // The standard library seeds its hasher from the system's random numbers.
    RandomState::new().hash_one(0)
}

/// A seed for Python's hashes, from 1.
pub fn hash_seed() -> u32 {
    (random() % u64::from(u32::MAX - 1)) as u32 + 1
}

/// The variable that gives Python that seed, unless the user has set it.
pub fn hash_seed_variable(seed: u32) -> Vec<(OsString, OsString)> {
    match std::env::var_os("PYTHONHASHSEED") {
        Some(_) => Vec::new(),
        None => vec![("PYTHONHASHSEED".into(), seed.to_string().into())],
    }
}

/// A number that is another one in each run.
pub fn salt() -> u64 {
    random()
}

/// A name for a run.
pub fn run_id() -> String {
    format!("{:016x}{:016x}", random(), random())
}

/// The folder of a run. While this is alive, no other run removes the folder.
#[derive(Debug)]
pub struct BaseTemp {
    /// Where it is.
    pub path: PathBuf,
    _lock: File,
}

/// A new folder that holds the temporary folders of a run's workers. Those of the last runs are kept; older ones
/// are removed, unless their run still goes on.
///
/// # Errors
/// If it can't be made.
pub fn base_temp() -> io::Result<BaseTemp> {
    let user = rustix::process::getuid().as_raw();
    let parent = fs::canonicalize(std::env::temp_dir())?.join(format!("dx-py-of-{user}"));
    match fs::DirBuilder::new().mode(0o700).create(&parent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Somebody else's folder of that name must not be used: they could read or replace what tests write.
    let meta = fs::symlink_metadata(&parent)?;
    if !meta.is_dir() || std::os::unix::fs::MetadataExt::uid(&meta) != user {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the temporary folder belongs to somebody else",
        ));
    }
    let number = |name: &str| name.strip_prefix("run-")?.parse::<u64>().ok();
    let runs: Vec<u64> = fs::read_dir(&parent)?
        .flatten()
        .filter_map(|entry| number(&entry.file_name().to_string_lossy()))
        .collect();
    let mut next = runs.iter().max().map_or(0, |last| last + 1);
    for old in runs.iter().filter(|run| **run + RUNS_KEPT <= next) {
        let folder = parent.join(format!("run-{old}"));
        let ended = File::open(folder.join(LOCK)).map_or(true, |lock| lock.try_lock().is_ok());
        if ended {
            // What can't be removed now is tried again by a later run.
            let _ = fs::remove_dir_all(folder);
        }
    }
    loop {
        let folder = parent.join(format!("run-{next}"));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {
                let lock = File::create(folder.join(LOCK))?;
                lock.lock()?;
                return Ok(BaseTemp {
                    path: folder,
                    _lock: lock,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => next += 1,
            Err(error) => return Err(error),
        }
    }
}
