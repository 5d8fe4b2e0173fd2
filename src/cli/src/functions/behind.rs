//! What bears on what is found under a name: what those ran that left it there, and what these may have found in turn.

use std::collections::BTreeSet;
use std::sync::Arc;

use dx_py_discovery::symbols::name_hash;
use dx_py_select::Read;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{ANYBODY, Behind, Functions};

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
            let of_opaque = of_opaque.map(|run| (*run, Behind::Project));
            let leavers = self.leavers.get(&name).into_iter().flatten();
            let leavers = leavers
                .filter(|leaver| leaver.behind > Behind::Nothing && !self.opaque.contains(&name));
            let leavers = leavers.map(|leaver| (leaver.run, leaver.behind));
            for (run, behind) in of_opaque.chain(leavers) {
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
