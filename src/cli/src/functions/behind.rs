//! What bears on what is found under a name: what those ran that left it there, and what these may have found in turn.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use dx_py_discovery::symbols::name_hash;
use dx_py_select::Read;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use super::{ANYBODY, Behind, Functions, Leaver};
use crate::bearings::Ran;

/// What bears on what is found under some names: functions that ran in tests that left it, or what these may have found, and what was read
/// there.
#[derive(Default)]
pub struct Origin {
    /// The functions.
    pub nodes: BTreeSet<usize>,
    /// What was read.
    pub reads: BTreeSet<Read>,
}

/// Who mentions what, worked out once for all that is asked between two additions: in a suite in which hundreds of names can't be compared
/// each of them leads to nearly all others.
#[derive(Default)]
pub struct Mentions {
    /// By runs the names that some function of it mentions.
    names: Vec<FxHashSet<u64>>,
    /// By names that aren't compared the runs that mention them.
    runs: FxHashMap<u64, Vec<usize>>,
}

impl Functions {
    /// What bears on what is found under these names, but under those of `known`, to which all that were followed are added.
    pub fn behind(&self, names: &FxHashSet<u64>, known: &mut FxHashSet<u64>) -> Origin {
        let mut origin = Origin::default();
        let mut pending: Vec<u64> = names
            .iter()
            .copied()
            .filter(|name| known.insert(*name))
            .collect();
        pending.retain(|name| self.opaque.contains(name) || self.leavers.contains_key(name));
        if pending.is_empty() {
            return origin;
        }
        let mentions = self.mentions_now();
        let mut looked_at: Vec<Option<Behind>> = vec![None; self.runs.len()];
        let mut added: FxHashSet<(*const BTreeSet<usize>, Behind)> = FxHashSet::default();
        while let Some(name) = pending.pop() {
            let of_opaque = mentions.runs.get(&name).into_iter().flatten();
            let mut runs: Vec<(usize, Behind)> =
                of_opaque.map(|run| (*run, Behind::Project)).collect();
            let leavers = self.leavers.get(&name).into_iter().flatten();
            let leavers = leavers
                .filter(|leaver| leaver.behind > Behind::Nothing && !self.opaque.contains(&name));
            for leaver in leavers {
                match self.borne(name, leaver) {
                    Some(borne) => {
                        let names = self.names_of(&borne.nodes);
                        let places = self.places_of(names, &self.runs[leaver.run].file);
                        pending.extend(places.into_iter().filter(|name| known.insert(*name)));
                        origin.nodes.extend(borne.nodes);
                        origin.reads.extend(borne.reads);
                    }
                    None => runs.push((leaver.run, leaver.behind)),
                }
            }
            for (run, behind) in runs {
                if looked_at[run] >= Some(behind) {
                    continue;
                }
                looked_at[run] = Some(behind);
                origin.reads.extend(self.runs[run].reads.iter().cloned());
                for nodes in self.sets_of_run(run) {
                    if added.insert((std::ptr::from_ref(nodes), behind)) {
                        let counts =
                            |node: &&usize| behind == Behind::All || !self.is_of_tests(**node);
                        origin.nodes.extend(nodes.iter().filter(counts));
                    }
                }
                let new = mentions.names[run].iter().copied();
                pending.extend(new.filter(|name| known.insert(*name)));
            }
        }
        origin
    }

    /// From now on this bears on a fill that was left at a place, if anything is known to.
    pub fn bears(&mut self, place: u64, fill: u64, ran: Option<Arc<Ran>>) {
        match ran {
            Some(ran) => self.bearings.insert((place, fill), ran),
            None => self.bearings.remove(&(place, fill)),
        };
    }

    /// What bears on what a test function left at a place, beside what is behind the names that the functions mention; none if that isn't
    /// known to be less than all that it ran.
    fn borne(&self, place: u64, leaver: &Leaver) -> Option<Origin> {
        let bears = self.bearings.get(&(place, leaver.fill?))?;
        if leaver.behind != Behind::Project || leaver.is_reordered {
            return None;
        }
        let ran = self.sets_of_run(leaver.run).flatten();
        let own = ran.filter(|node| !self.is_of_tests(**node));
        let bear = own.filter(|node| {
            let key = self.key_of(**node);
            key.is_some_and(|(function, _)| bears.contains_key(&function))
        });
        let nodes: BTreeSet<usize> = bear.copied().collect();
        let reads = self.runs[leaver.run].reads.iter();
        let reads = reads.filter(|read| bears.contains_key(&of_read(read)));
        // If they have run nothing in common, each had a way of its own.
        (!nodes.is_empty()).then(|| Origin {
            reads: reads.cloned().collect(),
            nodes,
        })
    }

    /// What the tests of a function have run, but for what is in files of tests, and read.
    pub(super) fn ran_by(&self, run: usize) -> Ran {
        let nodes = self.sets_of_run(run).flatten();
        let own = nodes.filter(|node| !self.is_of_tests(**node));
        let mut ran: Ran = own.filter_map(|node| self.key_of(*node)).collect();
        ran.extend(self.runs[run].reads.iter().map(|read| (of_read(read), 0)));
        ran
    }

    /// What tells a function from others, and what its text is.
    fn key_of(&self, node: usize) -> Option<(u64, u64)> {
        let node = &self.nodes[node];
        let (source, function) = (self.source(node)?, self.function(node)?);
        let name = FxBuildHasher.hash_one((&source.key, &function.name));
        let text = source.symbols.digest(&function.name)?;
        Some((name, FxBuildHasher.hash_one(text)))
    }

    fn mentions_now(&self) -> Arc<Mentions> {
        let mut kept = self.mentions.borrow_mut();
        kept.get_or_insert_with(|| Arc::new(self.find_mentions()))
            .clone()
    }

    fn find_mentions(&self) -> Mentions {
        let mut mentions = Mentions::default();
        // What many runs share is looked at once.
        let mut of_sets: FxHashMap<*const BTreeSet<usize>, FxHashSet<u64>> = FxHashMap::default();
        for run in 0..self.runs.len() {
            let mut names = FxHashSet::default();
            for nodes in self.sets_of_run(run) {
                let of_set = of_sets.entry(std::ptr::from_ref(nodes));
                names.extend(
                    of_set
                        .or_insert_with(|| self.names_of(nodes))
                        .iter()
                        .copied(),
                );
            }
            names.insert(name_hash(ANYBODY));
            let names = self.places_of(names, &self.runs[run].file);
            for name in names.iter().filter(|name| self.opaque.contains(name)) {
                mentions.runs.entry(*name).or_default().push(run);
            }
            mentions.names.push(names);
        }
        mentions
    }
}

/// What tells something that was read from what else was.
fn of_read(read: &Read) -> u64 {
    FxBuildHasher.hash_one(read)
}
