//! Whether files changed while tests ran, so that nobody can say which content a test saw.

use std::fs;

use dx_py_core::{Digest, FileStat, Input};

use super::World;

impl World {
    /// From now on `changed_while_running` looks at each file once more, and once only: to be called before it is asked about tests that
    /// have ended by now.
    pub fn look_again(&self) {
        self.looked.borrow_mut().clear();
    }

    /// Whether the file was changed between the beginning of the run and the last `look_again`, so that nobody can say which content a
    /// test saw. A later change may count too.
    pub fn changed_while_running(&self, key: &str) -> bool {
        if let Some(changed) = self.looked.borrow().get(key) {
            return *changed;
        }
        let changed = self.changed_by_now(key);
        self.looked.borrow_mut().insert(key.to_owned(), changed);
        changed
    }

    fn changed_by_now(&self, key: &str) -> bool {
        let path = self.path(key);
        let Ok(meta) = fs::metadata(&path) else {
            return false;
        };
        match FileStat::from(&meta).ctime_ns.cmp(&self.now_ns) {
            std::cmp::Ordering::Less => false,
            _ if !meta.is_file() => false,
            std::cmp::Ordering::Greater => true,
            // It was changed within the tick of the clock in which the run began, and long before a worker could read it: the
            // content is what the worker saw, and the question is only whether it was hashed after the change.
            std::cmp::Ordering::Equal => fs::read(&path).map_or(true, |content| {
                Digest::of(&content) != self.digest(&Input::File(key.to_owned()))
            }),
        }
    }

    /// Whether a file that changed after the run began has the content, the time of writing and the inode that an earlier run saw:
    /// then only its links or its mode changed. Tools such as uv link the files of one cache into many environments.
    pub fn is_as_known(&self, key: &str) -> bool {
        // It is hashed in any case, so that the next run knows it.
        let digest = self.digest(&Input::File(key.to_owned()));
        let known = self.stats.borrow().get(key).cloned();
        let (Some(row), Ok(meta)) = (known, fs::metadata(self.path(key))) else {
            return false;
        };
        // Only links and mode may differ, which the change time alone tells.
        let stat = FileStat {
            ctime_ns: row.stat.ctime_ns,
            ..FileStat::from(&meta)
        };
        row.digest == digest
            && row.stat == stat
            && stat.mtime_ns < self.now_ns
            && fs::read(self.path(key)).is_ok_and(|content| Digest::of(&content) == digest)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::thread::sleep;
    use std::time::Duration;

    use rustc_hash::FxHashMap;

    use super::super::tests::world;
    use super::*;
    use crate::world::{WorldSpec, file_system_now};

    #[test]
    fn a_new_link_is_no_change_and_a_new_content_with_the_old_time_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.py");
        fs::write(&path, "1").unwrap();
        let earlier = world(dir.path());
        earlier.digest(&Input::File("a.py".into()));
        let stats: FxHashMap<_, _> = earlier.new_stats().into_iter().collect();
        // The clock of file systems ticks every few milliseconds.
        sleep(Duration::from_millis(50));
        let now = file_system_now(dir.path()).unwrap();
        let spec: WorldSpec = earlier.spec.clone();
        let later = || World::new(spec.clone(), stats.clone(), now);
        assert!(!later().changed_while_running("a.py"));

        sleep(Duration::from_millis(50));
        fs::hard_link(&path, dir.path().join("b.py")).unwrap();
        assert!(later().changed_while_running("a.py") && later().is_as_known("a.py"));
        let unknown = World::new(spec.clone(), FxHashMap::default(), now);
        assert!(!unknown.is_as_known("a.py"));

        let written = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "2").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(written).unwrap();
        assert!(later().changed_while_running("a.py") && !later().is_as_known("a.py"));
    }

    #[test]
    fn a_file_is_looked_at_once_until_others_have_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.py");
        fs::write(&path, "1").unwrap();
        let spec: WorldSpec = world(dir.path()).spec.clone();
        sleep(Duration::from_millis(50));
        let now = file_system_now(dir.path()).unwrap();
        let world = World::new(spec, FxHashMap::default(), now);
        assert!(!world.changed_while_running("a.py"));
        sleep(Duration::from_millis(50));
        fs::write(&path, "2").unwrap();
        assert!(!world.changed_while_running("a.py"));
        world.look_again();
        assert!(world.changed_while_running("a.py"));
    }
}
