//! How the recorded sets of inputs compare with the digests now. Most runs ask little of them: what holds is told by facts about whole files,
//! and parts of files, or older passes, matter only where it doesn't.

use std::collections::BTreeSet;

use dx_py_catalog::{
    Catalog, CatalogError, FactTable, KnownTest, Pass, RecordedSet, SetId, UniverseState,
};
use dx_py_core::{Digest, Fact, Input};
use dx_py_select::{Change, SetState};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::settings::Level;
use crate::unseen::Unseen;
use crate::world::World;

/// The sets and their states.
pub struct SetStates {
    facts: FactTable,
    level: Level,
    /// The sets that don't hold by their own facts and those of their base, as far as these aren't about parts of files, with their
    /// states if they were looked at more closely. All others hold.
    doubtful: FxHashMap<SetId, Option<SetState>>,
    /// The states of sets by their own facts alone, in which no part of a file was asked for; of those that don't hold.
    own: FxHashMap<SetId, SetState>,
}

impl SetStates {
    /// Compares each set with the world, as far as facts about parts of files aren't needed for it.
    pub fn compare(facts: FactTable, world: &World, level: Level) -> Self {
        let is_asked_for = |fact: &Fact| !fact.input.is_part();
        let now: FxHashMap<i64, Digest> = facts
            .facts
            .iter()
            .filter(|(_, fact)| is_asked_for(fact))
            .map(|(id, fact)| (*id, world.digest(&fact.input)))
            .collect();
        let compared = |recorded: &RecordedSet| {
            let pairs = recorded
                .own
                .iter()
                .filter_map(|id| Some((facts.facts.get(id)?, *now.get(id)?)));
            SetState::compare(pairs)
        };
        let own: FxHashMap<SetId, SetState> = facts
            .sets
            .iter()
            .map(|(set, recorded)| (*set, compared(recorded)))
            .filter(|(_, state)| !state.holds())
            .collect();
        let is_in_doubt = |(set, recorded): &(&SetId, &RecordedSet)| {
            own.contains_key(set) || recorded.base.is_some_and(|base| own.contains_key(&base))
        };
        let doubtful = if own.is_empty() {
            FxHashMap::default()
        } else {
            let doubtful = facts.sets.iter().filter(is_in_doubt);
            doubtful.map(|(set, _)| (*set, None)).collect()
        };
        Self {
            facts,
            level,
            doubtful,
            own,
        }
    }

    /// The state of a set; none if it, or the set that it is within, is lost, or if nobody has asked since another set of its test holds.
    pub fn state(&self, set: SetId) -> Option<&SetState> {
        match self.doubtful.get(&set) {
            Some(state) => state.as_ref(),
            None => self.facts.is_whole(set).then_some(&SetState::Holds),
        }
    }

    /// Whether every digest of a set is the same, as far as is known.
    pub fn holds(&self, set: SetId) -> bool {
        self.state(set).is_some_and(SetState::holds)
    }

    /// The passes of a test that match the world now, older ones too if all sets are settled.
    pub fn matching<'a>(&'a self, test: &'a KnownTest) -> impl Iterator<Item = &'a Pass> {
        test.passes.iter().filter(|pass| self.holds(pass.set))
    }

    /// The set of a pass that matches the world now in which a test has nothing of its own but its slice: the set that it is within, it,
    /// and the slice. The parts of these sets must have been read.
    pub fn matching_slice<'a>(&'a self, test: &'a KnownTest) -> Option<(SetId, SetId, &'a Input)> {
        let mut sets = self.matching(test).map(|pass| pass.set);
        sets.find_map(|set| Some((self.base_of(set)?, set, self.only_slice(set)?)))
    }

    /// Reads what `matching_slice` needs to know of these tests.
    ///
    /// # Errors
    /// If the catalog can't be read.
    pub fn load_slices<'a>(
        &mut self,
        catalog: &Catalog,
        tests: impl Iterator<Item = &'a KnownTest>,
    ) -> Result<(), CatalogError> {
        let passes = tests.flat_map(|test| self.matching(test));
        let sets: Vec<SetId> = passes.map(|pass| pass.set).collect();
        self.load_parts(catalog, sets)
    }

    /// Looks more closely at the sets in doubt of tests and collections of which no other set holds: else those are enough to say that a
    /// test is fresh, and what became of older ones isn't asked.
    ///
    /// # Errors
    /// If the catalog can't be read.
    pub fn settle_what_matters(
        &mut self,
        state: &UniverseState,
        catalog: &Catalog,
        world: &World,
    ) -> Result<(), CatalogError> {
        if self.doubtful.is_empty() {
            return Ok(());
        }
        let mut asked: FxHashSet<SetId> = FxHashSet::default();
        let mut ask = |sets: &mut dyn Iterator<Item = SetId>| {
            let sets: SmallVec<[SetId; 8]> = sets.collect();
            if !sets.iter().any(|set| self.holds(*set)) {
                let in_doubt = sets.iter().filter(|set| self.doubtful.contains_key(set));
                asked.extend(in_doubt);
            }
        };
        for file in &state.files {
            ask(&mut file.sets.iter().copied());
            for test in &file.tests {
                ask(&mut test.passes.iter().map(|pass| pass.set));
            }
        }
        self.settle(asked, catalog, world)
    }

    /// Looks more closely at all that are still in doubt.
    ///
    /// # Errors
    /// If the catalog can't be read.
    pub fn settle_all(&mut self, catalog: &Catalog, world: &World) -> Result<(), CatalogError> {
        let unsettled = self.doubtful.iter().filter(|(_, state)| state.is_none());
        let unsettled: Vec<SetId> = unsettled.map(|(set, _)| *set).collect();
        self.settle(unsettled, catalog, world)
    }

    /// The files that have changed, and whose functions and frames show that sets hold.
    pub fn held_by_symbols(&self) -> BTreeSet<String> {
        let holding = self.doubtful.iter();
        let holding = holding.filter(|(_, state)| state.as_ref().is_some_and(SetState::holds));
        let files = holding.flat_map(|(set, _)| {
            let changed: FxHashSet<&str> = self.changed_files(*set).collect();
            let symbols = self.parts_of(*set).filter_map(|fact| match &fact.input {
                Input::Symbol(_) => fact.input.part_of_file(),
                _ => None,
            });
            symbols
                .map(|(file, _)| file)
                .filter(move |file| changed.contains(file))
        });
        files.map(str::to_owned).collect()
    }

    /// Takes it back that sets hold of which these files are inputs, though they have changed.
    pub fn distrust(&mut self, files: &[String]) {
        if files.is_empty() {
            return;
        }
        let is_one =
            |change: &&Change| matches!(&change.input, Input::File(file) if files.contains(file));
        let sets: Vec<SetId> = self.doubtful.keys().copied().collect();
        for set in sets {
            let broken: Vec<Change> = self.changes_of(set).filter(is_one).cloned().collect();
            let state = self.doubtful.get_mut(&set).and_then(Option::as_mut);
            if let Some(state) = state.filter(|state| state.holds() && !broken.is_empty()) {
                *state = SetState::Broken(broken);
            }
        }
    }

    /// What isn't as it was in a set and its base, parts of files left aside.
    fn changes_of(&self, set: SetId) -> impl Iterator<Item = &Change> {
        let both = [Some(set), self.base_of(set)].into_iter().flatten();
        both.filter_map(|set| self.own.get(&set))
            .flat_map(SetState::changes)
    }

    fn changed_files(&self, set: SetId) -> impl Iterator<Item = &str> {
        self.changes_of(set).filter_map(changed_file)
    }

    fn settle(
        &mut self,
        sets: impl IntoIterator<Item = SetId>,
        catalog: &Catalog,
        world: &World,
    ) -> Result<(), CatalogError> {
        let sets: Vec<SetId> = sets.into_iter().collect();
        self.load_parts(catalog, sets.iter().copied())?;
        let parts = self.parts_of_changed_files(world);
        let mut unseen = Unseen::new(world);
        // Of a set whose base is lost nobody knows what it was.
        let whole = sets.into_iter().filter(|set| self.facts.is_whole(*set));
        let settled: Vec<(SetId, Option<SetState>)> = whole
            .map(|set| {
                let state = self.in_parts(set, &parts);
                let facts = || self.facts_of(set).chain(self.parts_of(set));
                match unseen.covers(state.changes(), facts) {
                    true => (set, Some(SetState::Holds)),
                    false => (set, Some(state)),
                }
            })
            .collect();
        self.doubtful.extend(settled);
        Ok(())
    }

    /// The state of a set, the parts of changed files that it has looked at.
    fn in_parts(&self, set: SetId, parts: &FxHashMap<i64, ChangedPart<'_>>) -> SetState {
        let numbers = self.facts.numbers_of_parts(set);
        let of_set: SmallVec<[&ChangedPart<'_>; 8]> =
            numbers.filter_map(|number| parts.get(&number)).collect();
        SetState::in_parts(self.changes_of(set), |file| {
            let mut of_file = of_set.iter().filter(|part| part.file == file).peekable();
            of_file.peek()?;
            Some(of_file.filter_map(|part| part.change.clone()).collect())
        })
    }

    /// By the numbers of their facts the parts of files that have changed, as far as they were read.
    fn parts_of_changed_files(&self, world: &World) -> FxHashMap<i64, ChangedPart<'_>> {
        let changes = self.own.values().flat_map(SetState::changes);
        let changed: FxHashSet<&str> = changes.filter_map(changed_file).collect();
        let part = |fact: &'_ Fact| {
            let (file, _) = fact.input.part_of_file()?;
            let file = *changed.get(file).filter(|_| counts(self.level, fact))?;
            let now = world.digest(&fact.input);
            let change = (now != fact.digest).then(|| Change {
                input: fact.input.clone(),
                before: fact.digest,
                now,
            });
            Some(ChangedPart { file, change })
        };
        let facts = self.facts.facts.iter();
        facts
            .filter_map(|(number, fact)| Some((*number, part(fact)?)))
            .collect()
    }

    /// Reads the facts about parts of files of these sets.
    ///
    /// # Errors
    /// If the catalog can't be read.
    pub fn load_parts(
        &mut self,
        catalog: &Catalog,
        sets: impl IntoIterator<Item = SetId>,
    ) -> Result<(), CatalogError> {
        catalog.load_parts(&mut self.facts, sets)
    }

    /// The recorded facts of a set about parts of files, if they were read, as far as they count at this level of selection.
    pub fn parts_of(&self, set: SetId) -> impl Iterator<Item = &Fact> {
        let parts = self.facts.parts_of(set);
        parts.filter(|fact| counts(self.level, fact))
    }

    /// The recorded facts of a set, without those about parts of files.
    pub fn facts_of(&self, set: SetId) -> impl Iterator<Item = &Fact> {
        self.facts.facts_of(set)
    }

    /// The set that another one is within, as those of tests are within that of their file.
    pub fn base_of(&self, set: SetId) -> Option<SetId> {
        self.facts.base_of(set)
    }

    /// The recorded facts that a set has beside those of its base, without those about parts of files.
    pub fn own_facts_of(&self, set: SetId) -> impl Iterator<Item = &Fact> {
        self.facts.own_facts_of(set)
    }

    /// The slice that is all that a set, whose parts were read, has beside its base.
    fn only_slice(&self, set: SetId) -> Option<&Input> {
        let own = self.facts.own_facts_of(set);
        let mut own = own.chain(self.facts.own_parts_of(set));
        let slice = &own.next()?.input;
        (matches!(slice, Input::Slice(_)) && own.next().is_none()).then_some(slice)
    }
}

/// A part of a file that has changed.
struct ChangedPart<'a> {
    file: &'a str,
    /// What became of the part; none if it is as it was.
    change: Option<Change>,
}

fn changed_file(change: &Change) -> Option<&str> {
    match &change.input {
        Input::File(file) => Some(file),
        _ => None,
    }
}

/// Whether a fact counts at that level: parts that stand for what was seen to run are recorded where that was asked for once.
pub fn counts(level: Level, fact: &Fact) -> bool {
    level.counts_functions() || !fact.input.needs_functions_seen()
}
