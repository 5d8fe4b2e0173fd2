//! From what was collected to the jobs of a run.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dx_py_core::{Event, TestId, Verdict};
use dx_py_executor::Job;
use dx_py_protocol::{Collected, CollectedItem, CollectionDone};

use super::Conductor;
use crate::file_list::FileList;
use crate::jobs::{Planned, UNKNOWN, by_file, in_order, is_divisible, shared_out};
use crate::report::emit;
use crate::report::style::count;
use crate::selection::{Candidate, Names};

impl<'scope, 'a: 'scope> Conductor<'scope, 'a> {
    pub(super) fn plan(
        &mut self,
        process: u32,
        files: Vec<Collected>,
        mut done: CollectionDone,
    ) -> anyhow::Result<Vec<Job>> {
        if let Some(told) = done.preloadable.take() {
            self.preloads.add(told);
        }
        let files = Arc::new(files);
        // What an earlier phase couldn't collect may be whole in this one. A file with tests in which a class couldn't be collected isn't.
        for file in files.iter() {
            if !self.broken_now.contains(&file.path) {
                self.broken.remove(&file.path);
            }
        }
        // What a worker tells of its share isn't all that there is.
        let is_whole = done.full && !self.intent.split;
        if is_whole {
            let collected = &done.one_worker;
            let found = self
                .intent
                .arrangement
                .after_collection(&self.one_worker, collected);
            if self.intent.workers > 1 && !found.one_worker.is_empty() {
                self.rearranged = Some(found);
                return Ok(Vec::new());
            }
            self.intent.arrangement = found;
            if self.intent.workers > 1 {
                self.alone.heed_order(done.ordered.clone());
            }
        }
        let reason = self.fallback();
        if !reason.is_empty() {
            self.note(format!("one worker: {reason}"))?;
        }
        if is_whole {
            let folders = files
                .iter()
                .filter_map(|file| Path::new(&file.path).parent());
            self.folders = folders
                .map(|folder| (folder.display().to_string(), false))
                .collect();
            self.folders.dedup();
            self.intent.renewal = None;
            self.keep_file_list(process, &files, &done);
        }
        if let Some(renewal) = &self.intent.renewal {
            // How many tests are left out of each file is known of whole collections only.
            let mut left_out = done.deselected.iter();
            if left_out.any(|(file, _)| renewal.new.contains(file)) {
                self.intent.renewal = None;
            }
        }
        if !done.reason.is_empty() && !std::mem::replace(&mut self.told_reason, true) {
            self.note(format!("all files were collected: {}", done.reason))?;
        }
        if done
            .wide
            .iter()
            .any(|file| !self.intent.wide.contains(file))
        {
            self.intent.force = true;
            self.intent.wide.extend(done.wide.iter().cloned());
        }
        let missing = if is_whole || done.full && self.alone.is_later_phase() {
            HashMap::new()
        } else {
            self.missing(&files)
        };
        let collected = Arc::clone(&files);
        let uncertain: HashSet<String> = missing.keys().cloned().collect();
        self.recorder
            .later(move |recorder| recorder.collected(process, &collected, &uncertain));
        self.cache.collected(&files, &done.cache);
        if self.alone.is_later_phase() {
            return Ok(self.plan_alone(&files));
        }
        self.listener.hear_of_warnings(done.warnings);
        let mut planned = Vec::new();
        if is_whole || self.intent.hears_of_all() {
            // Else the plan has counted what the files hold that weren't collected again.
            self.summary.deselected = 0;
        }
        self.summary.deselected += self.intent.selection.count_of(&done.deselected);
        // Which of a file's tests plugins have left out isn't told.
        for (file, _) in &done.deselected {
            self.named.give_up(file);
        }
        let mut total = 0;
        for file in files.iter() {
            let mut tests = Vec::new();
            for item in &file.items {
                let id = TestId::new(item.id.as_str());
                self.named.meet(&id);
                if !self.includes(&id, item) {
                    self.summary.deselected += 1;
                    continue;
                }
                self.cache.selected(&id);
                match self.intent.verdicts.get(&id) {
                    Some(Verdict::Fresh { status, duration }) if !self.intent.force => {
                        let (status, duration) = (*status, *duration);
                        self.fresh(id, status, duration)?;
                    }
                    _ => {
                        tests.push(self.planned_test(id, &file.file, item));
                    }
                }
            }
            total += tests.len();
            if !tests.is_empty() && !self.alone.defers(&file.file) {
                planned.append(&mut tests);
            }
        }
        total += self.look_for(missing)?;
        self.foresee();
        self.planned += total;
        let total = self.planned;
        emit(self.reporters, &Event::Planned { total })?;
        Ok(if self.intent.split {
            by_file(planned)
        } else if self.intent.workers == 1 {
            in_order(planned)
        } else {
            shared_out(planned, self.intent.workers)
        })
    }

    /// By files the tests that are known of them and weren't there, now that not all files were collected: where parameters are made of
    /// what was imported before, as from a list of subclasses, they come with other files. Tests of a function that is gone from a file that
    /// was changed are gone, and those of one that has as many new ones have got other IDs, which may be made of the time of day.
    fn missing(&self, files: &[Collected]) -> HashMap<String, Vec<TestId>> {
        let settled = &self.intent.settled;
        let collected: HashMap<&str, &Collected> =
            files.iter().map(|file| (&*file.file, file)).collect();
        let there: HashSet<&str> = files
            .iter()
            .flat_map(|file| file.items.iter().map(|item| item.id.as_str()))
            .collect();
        let mut absent: HashMap<&str, Vec<&TestId>> = HashMap::new();
        for id in self.intent.verdicts.keys() {
            if collected.contains_key(id.file()) && !there.contains(id.as_str()) {
                absent.entry(id.function()).or_default().push(id);
            }
        }
        let mut found: HashMap<String, Vec<TestId>> = HashMap::new();
        for (function, absent) in absent {
            let file = absent[0].file();
            let items = collected.get(file).map(|file| &file.items);
            let items = items.into_iter().flatten();
            let of_function = items.map(|item| (TestId::new(item.id.as_str()), item));
            let of_function: Vec<_> = of_function
                .filter(|(id, _)| id.function() == function)
                .collect();
            let is_new = |(id, item): &&(TestId, &CollectedItem)| {
                !self.intent.verdicts.contains_key(id) && self.includes(id, item)
            };
            let new = of_function.iter().filter(is_new).count();
            let may_be_there = settled.contains(file) || !of_function.is_empty();
            if may_be_there && new < absent.len() {
                let tests = found.entry(file.to_owned()).or_default();
                tests.extend(absent.into_iter().cloned());
            }
        }
        found
    }

    /// Tells of fresh ones among tests that weren't there, and puts the others off until everything is collected; gives how many.
    fn look_for(&mut self, missing: HashMap<String, Vec<TestId>>) -> anyhow::Result<usize> {
        let mut dirty = Vec::new();
        for (file, tests) in missing {
            let is_settled = self.intent.settled.contains(&file);
            for id in tests {
                match self.intent.verdicts.get(&id) {
                    Some(Verdict::Fresh { status, duration })
                        if is_settled && !self.intent.force =>
                    {
                        let (status, duration) = (*status, *duration);
                        self.fresh(id, status, duration)?;
                    }
                    _ => dirty.push(id),
                }
            }
        }
        let number = dirty.len();
        if let Some(first) = dirty.first() {
            let tests = count(number, "test");
            self.note(format!(
                "{tests} will be looked for with all files collected: {first} isn't there without the others"
            ))?;
        }
        self.alone.miss(dirty);
        Ok(number)
    }

    /// Why there is one worker although more were wanted; else empty.
    pub(super) fn fallback(&self) -> String {
        if self.intent.workers == 1 && self.intent.wanted > 1 {
            self.intent.arrangement.one_worker.clone()
        } else {
            String::new()
        }
    }

    fn includes(&self, id: &TestId, item: &CollectedItem) -> bool {
        self.intent.selection.includes(&Candidate {
            id,
            keywords: Names::Listed(&item.keywords),
            markers: &item.markers,
            last: self.intent.known.get(id).and_then(|known| known.last),
        })
    }

    fn expected(&self, id: &TestId) -> Duration {
        let known = self.intent.known.get(id);
        known.and_then(|known| known.elapsed).unwrap_or(UNKNOWN)
    }

    fn planned_test(&self, id: TestId, file: &str, item: &CollectedItem) -> Planned {
        Planned {
            expected: self.expected(&id),
            file: file.to_owned(),
            id,
            place: item.place,
            bonds: item.bonds.clone(),
        }
    }

    /// Plans the second phase: whole files, in pytest's order.
    fn plan_alone(&mut self, files: &[Collected]) -> Vec<Job> {
        let mut planned = Vec::new();
        for file in files {
            if !self.alone.runs_now(&file.file) {
                continue;
            }
            for item in &file.items {
                let id = TestId::new(item.id.as_str());
                if self.includes(&id, item) && self.alone.includes(&id) {
                    if self.alone.misses(&id) {
                        let together = &mut self.intent.arrangement.together;
                        together.insert(file.file.clone());
                    }
                    planned.push(self.planned_test(id, &file.file, item));
                }
            }
        }
        in_order(planned)
    }

    /// Keeps which files there are. What is told of paths here is relative to the root, as everywhere in the catalog.
    fn keep_file_list(&mut self, process: u32, files: &Arc<Vec<Collected>>, done: &CollectionDone) {
        let files = Arc::clone(files);
        let broken = self.broken.clone();
        let key = self.intent.file_list_key.clone();
        let (listings, wide) = (done.listings.clone(), done.wide.clone());
        let deselected = done.deselected.clone();
        self.recorder.later(move |recorder| {
            let collected: HashSet<PathBuf> =
                files.iter().map(|file| PathBuf::from(&file.path)).collect();
            let found = recorder.file_list_facts(process, &listings, &collected);
            let Some((facts, passed_over)) = found else {
                return Ok(());
            };
            let list = FileList {
                facts,
                files: files.iter().map(|file| file.file.clone()).collect(),
                broken: broken.iter().map(|path| recorder.key(path)).collect(),
                deselected,
                divisible: files
                    .iter()
                    .filter(|file| is_divisible(file.items.iter().map(|item| &item.bonds[..])))
                    .map(|file| file.file.clone())
                    .collect(),
                wide,
                passed_over,
            };
            recorder.keep_note(&key, &list)
        });
    }
}
