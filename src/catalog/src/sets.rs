//! Input sets: interned, since many tests share one.

use std::collections::{BTreeSet, HashMap};

use dx_py_core::{Digest, Fact, Hasher, Input};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Catalog, CatalogError};

/// The identity of an input set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(pub(crate) i64);

/// Facts and the sets that they are in.
#[derive(Clone, Debug, Default)]
pub struct FactTable {
    /// The facts by their number.
    pub facts: FxHashMap<i64, Fact>,
    /// The sets.
    pub sets: FxHashMap<SetId, RecordedSet>,
    /// The numbers of the facts about parts of files, of those sets for which they were loaded.
    parts: FxHashMap<SetId, Vec<i64>>,
}

/// A set as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedSet {
    /// The set whose facts it has as well.
    pub base: Option<SetId>,
    /// The numbers of its own facts, without those about parts of files.
    pub own: Box<[i64]>,
    /// Whether it has facts about parts of files: slices or symbols.
    pub has_parts: bool,
}

impl FactTable {
    /// The set that another one is within.
    pub fn base_of(&self, set: SetId) -> Option<SetId> {
        self.sets.get(&set)?.base
    }

    /// Whether a set and that which it is within, if any, are in the table.
    pub fn is_whole(&self, set: SetId) -> bool {
        self.sets
            .get(&set)
            .is_some_and(|set| set.base.is_none_or(|base| self.sets.contains_key(&base)))
    }

    /// The facts that a set has beside those of its base.
    pub fn own_facts_of(&self, set: SetId) -> impl Iterator<Item = &Fact> {
        let own = self.sets.get(&set).into_iter().flat_map(|set| &set.own);
        own.filter_map(|id| self.facts.get(id))
    }

    /// The facts about parts of files that a set has beside those of its base, if they were loaded.
    pub fn own_parts_of(&self, set: SetId) -> impl Iterator<Item = &Fact> {
        let own = self.parts.get(&set).into_iter().flatten();
        own.filter_map(|id| self.facts.get(id))
    }

    /// The numbers of the facts about parts of files of a set and of its base, if they were loaded.
    pub fn numbers_of_parts(&self, set: SetId) -> impl Iterator<Item = i64> {
        let both = self.base_of(set).into_iter().chain([set]);
        both.filter_map(|set| self.parts.get(&set))
            .flatten()
            .copied()
    }

    /// The facts about parts of files of a set and of its base, if they were loaded.
    pub fn parts_of(&self, set: SetId) -> impl Iterator<Item = &Fact> {
        let numbers = self.numbers_of_parts(set);
        numbers.filter_map(|number| self.facts.get(&number))
    }

    /// The facts of a set but for those about parts of files; none if it isn't in the table.
    pub fn facts_of(&self, set: SetId) -> impl Iterator<Item = &Fact> {
        let recorded = self.sets.get(&set);
        let base = recorded.and_then(|set| self.sets.get(&set.base?));
        let numbers = base.into_iter().chain(recorded).flat_map(|set| &set.own);
        numbers.filter_map(|id| self.facts.get(id))
    }
}

impl Catalog {
    /// Whether any fact is about this input.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn has_input(&self, input: &Input) -> Result<bool, CatalogError> {
        let (kind, key) = input.parts();
        let mut query = self
            .db
            .prepare_cached("SELECT 1 FROM inputs WHERE kind = ? AND key = ?")?;
        Ok(query.exists(params![kind, key])?)
    }

    /// The set of these facts: an existing one with the same content, or a new one.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn intern_set(&mut self, facts: &[Fact]) -> Result<SetId, CatalogError> {
        // There is a set for each list.
        Ok(self.intern(None, &[facts])?[0])
    }

    /// The same for each of several lists. All that are new are written at once.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn intern_sets(&mut self, lists: &[&[Fact]]) -> Result<Vec<SetId>, CatalogError> {
        self.intern(None, lists)
    }

    /// For each of several lists the set of these facts and of those of `base`, which has no base of its own; for none the base itself.
    /// All that are new are written at once.
    ///
    /// # Errors
    /// If they can't be written, or there is no such base.
    pub fn intern_within(
        &mut self,
        base: SetId,
        lists: &[Vec<Fact>],
    ) -> Result<Vec<SetId>, CatalogError> {
        let with_facts = lists.iter().filter(|facts| !facts.is_empty());
        let with_facts: Vec<&[Fact]> = with_facts.map(Vec::as_slice).collect();
        let mut sets = self.intern(Some(base), &with_facts)?.into_iter();
        let set_of = |facts: &Vec<Fact>| match facts.is_empty() {
            true => Some(base),
            false => sets.next(),
        };
        Ok(lists.iter().filter_map(set_of).collect())
    }

    /// The set of each list, with the facts of `base`.
    fn intern(
        &mut self,
        base: Option<SetId>,
        lists: &[&[Fact]],
    ) -> Result<Vec<SetId>, CatalogError> {
        let base_hash = base.map(|base| self.hash_of(base)).transpose()?;
        let mut hashes = Vec::with_capacity(lists.len());
        let mut new: Vec<(Digest, BTreeSet<&Fact>)> = Vec::new();
        for facts in lists {
            let mut hasher = Hasher::new();
            if let Some(base_hash) = base_hash {
                hasher.field("within").field(base_hash.0);
            }
            let facts = sorted(facts);
            let hash = hash(hasher, &facts);
            if self.known_set(hash)?.is_none() {
                new.push((hash, facts));
            }
            hashes.push(hash);
        }
        self.store_sets(base, &new)?;
        let sets = hashes.iter().map(|hash| self.set_ids.get(hash).copied());
        let sets = sets.collect::<Option<_>>();
        sets.ok_or_else(|| CatalogError::Value("an input set".into()))
    }

    /// The set with that hash, if there is one.
    fn known_set(&mut self, hash: Digest) -> Result<Option<SetId>, CatalogError> {
        if let Some(set) = self.set_ids.get(&hash) {
            return Ok(Some(*set));
        }
        let found = find_set(&self.db, hash)?;
        if let Some(set) = found {
            self.remember(hash, set);
        }
        Ok(found)
    }

    fn remember(&mut self, hash: Digest, set: SetId) {
        self.set_ids.insert(hash, set);
        self.set_hashes.insert(set, hash);
    }

    /// Stores these sets in one transaction.
    fn store_sets(
        &mut self,
        base: Option<SetId>,
        new: &[(Digest, BTreeSet<&Fact>)],
    ) -> Result<(), CatalogError> {
        if new.is_empty() {
            return Ok(());
        }
        let mut ids = std::mem::take(&mut self.fact_ids);
        let stored = self.write().and_then(|db| {
            let stored = new
                .iter()
                .map(|(hash, facts)| store_set(&db, base, facts, *hash, &mut ids))
                .collect::<Result<Vec<SetId>, _>>()?;
            db.commit()?;
            Ok(stored)
        });
        // After a failed transaction some of the numbers were never stored.
        if stored.is_ok() {
            self.fact_ids = ids;
        }
        for ((hash, _), set) in new.iter().zip(stored?) {
            self.remember(*hash, set);
        }
        Ok(())
    }

    fn hash_of(&mut self, set: SetId) -> Result<Digest, CatalogError> {
        if let Some(hash) = self.set_hashes.get(&set) {
            return Ok(*hash);
        }
        let mut query = self
            .db
            .prepare_cached("SELECT hash FROM input_sets WHERE id = ?")?;
        let hash = Digest(query.query_row([set.0], |row| row.get(0))?);
        drop(query);
        self.set_hashes.insert(set, hash);
        Ok(hash)
    }

    /// Adds the facts about parts of files of these sets of the table, and of their bases.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn load_parts(
        &self,
        table: &mut FactTable,
        sets: impl IntoIterator<Item = SetId>,
    ) -> Result<(), CatalogError> {
        let reading = self.db.unchecked_transaction()?;
        let mut missing: Vec<i64> = Vec::new();
        for set in sets {
            for set in [Some(set), table.base_of(set)].into_iter().flatten() {
                let has = table.sets.get(&set).is_some_and(|set| set.has_parts);
                if has && !table.parts.contains_key(&set) {
                    missing.push(set.0);
                }
            }
        }
        missing.sort_unstable();
        missing.dedup();
        let mut wanted: FxHashSet<i64> = FxHashSet::default();
        let mut query =
            reading.prepare_cached("SELECT id, parts FROM input_sets WHERE id BETWEEN ? AND ?")?;
        let mut rows = query.query(range(&missing))?;
        while let Some(row) = rows.next()? {
            let set: i64 = row.get(0)?;
            if missing.binary_search(&set).is_ok() {
                let parts = row.get_ref(1)?.as_blob_or_null().ok().flatten();
                let parts = decode(parts.unwrap_or_default())?;
                wanted.extend(&parts);
                table.parts.insert(SetId(set), parts);
            }
        }
        wanted.retain(|id| !table.facts.contains_key(id));
        read_facts(&reading, wanted, table)
    }
}

/// The facts of these sets.
pub(crate) fn load_facts(
    db: &Connection,
    sets: impl IntoIterator<Item = SetId>,
) -> Result<FactTable, CatalogError> {
    let mut table = FactTable::default();
    let mut missing: Vec<i64> = sets.into_iter().map(|set| set.0).collect();
    let mut wanted: FxHashSet<i64> = FxHashSet::default();
    let mut query = db.prepare_cached(
        "SELECT id, facts, base, parts IS NOT NULL FROM input_sets WHERE id BETWEEN ? AND ? ORDER BY id",
    )?;
    // The second time it is those that were found to be bases.
    while !missing.is_empty() {
        missing.sort_unstable();
        missing.dedup();
        table.sets.reserve(missing.len());
        let mut bases = Vec::new();
        let mut rows = query.query(range(&missing))?;
        let mut next = missing.iter().copied().peekable();
        while let Some(row) = rows.next()? {
            let set: i64 = row.get(0)?;
            while next.next_if(|id| *id < set).is_some() {}
            if next.next_if_eq(&set).is_none() {
                continue;
            }
            let own = decode(row.get_ref(1)?.as_blob().unwrap_or_default())?;
            let base: Option<i64> = row.get(2)?;
            wanted.extend(&own);
            // Sets with the same base follow each other.
            bases.extend(base.filter(|base| bases.last() != Some(base)));
            let recorded = RecordedSet {
                base: base.map(SetId),
                own: own.into(),
                has_parts: row.get(3)?,
            };
            table.sets.insert(SetId(set), recorded);
        }
        missing = bases;
        missing.retain(|base| !table.sets.contains_key(&SetId(*base)));
    }
    read_facts(db, wanted, &mut table)?;
    Ok(table)
}

/// Adds the facts of these numbers to a table.
fn read_facts(
    reading: &Connection,
    mut wanted: FxHashSet<i64>,
    table: &mut FactTable,
) -> Result<(), CatalogError> {
    let least = wanted.iter().min().copied().unwrap_or(0);
    let greatest = wanted.iter().max().copied().unwrap_or(-1);
    table.facts.reserve(wanted.len());
    let mut query = reading.prepare_cached(
        "SELECT facts.id, inputs.kind, inputs.key, facts.digest FROM facts JOIN inputs ON inputs.id = facts.input
         WHERE facts.id BETWEEN ? AND ?",
    )?;
    let mut rows = query.query([least, greatest])?;
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        let (kind, key) = (row.get_ref(1)?, row.get_ref(2)?);
        if wanted.contains(&id)
            && let (Ok(kind), Ok(key)) = (kind.as_str(), key.as_str())
            && let Some(input) = Input::from_parts(kind, key)
        {
            let digest = Digest(row.get(3)?);
            wanted.remove(&id);
            table.facts.insert(id, Fact { input, digest });
        }
    }
    // A fact that is lost, or of a kind that isn't known, can't be said to hold.
    for id in wanted {
        table.facts.insert(
            id,
            Fact {
                input: Input::Unknowable("a record that is damaged".into()),
                digest: Digest::ABSENT,
            },
        );
    }
    Ok(())
}

/// The first and the last of these numbers, which are sorted, and few others lie between them.
fn range(ids: &[i64]) -> [i64; 2] {
    [
        ids.first().copied().unwrap_or(0),
        ids.last().copied().unwrap_or(-1),
    ]
}

fn sorted(facts: &[Fact]) -> BTreeSet<&Fact> {
    facts.iter().collect()
}

fn hash(mut hasher: Hasher, facts: &BTreeSet<&Fact>) -> Digest {
    for fact in facts {
        let (kind, key) = fact.input.parts();
        hasher.field(kind).field(key).field(fact.digest.0);
    }
    hasher.finish()
}

fn find_set(db: &Connection, hash: Digest) -> Result<Option<SetId>, CatalogError> {
    let mut query = db.prepare_cached("SELECT id FROM input_sets WHERE hash = ?")?;
    let id = query.query_row([hash.0], |row| row.get(0)).optional()?;
    Ok(id.map(SetId))
}

fn store_set(
    db: &Transaction<'_>,
    base: Option<SetId>,
    facts: &BTreeSet<&Fact>,
    hash: Digest,
    known: &mut HashMap<Fact, i64>,
) -> Result<SetId, CatalogError> {
    // Another process may have stored it meanwhile.
    if let Some(set) = find_set(db, hash)? {
        return Ok(set);
    }
    let (mut ids, mut parts) = (Vec::with_capacity(facts.len()), Vec::new());
    for fact in facts {
        let id = match known.get(*fact) {
            Some(id) => *id,
            None => {
                let id = store_fact(db, fact)?;
                known.insert((*fact).clone(), id);
                id
            }
        };
        match fact.input.is_part() {
            true => parts.push(id),
            false => ids.push(id),
        }
    }
    ids.sort_unstable();
    parts.sort_unstable();
    let parts = (!parts.is_empty()).then(|| encode(&parts));
    db.prepare_cached("INSERT INTO input_sets (hash, facts, base, parts) VALUES (?, ?, ?, ?)")?
        .execute(params![
            hash.0,
            encode(&ids),
            base.map(|base| base.0),
            parts
        ])?;
    Ok(SetId(db.last_insert_rowid()))
}

fn store_fact(db: &Transaction<'_>, fact: &Fact) -> Result<i64, CatalogError> {
    let (kind, key) = fact.input.parts();
    // An update that changes nothing, so that the number of a row that is there is given too.
    let input: i64 = db
        .prepare_cached(
            "INSERT INTO inputs (kind, key) VALUES (?, ?) ON CONFLICT (kind, key) DO UPDATE SET key = key RETURNING id",
        )?
        .query_row([kind, key], |row| row.get(0))?;
    let fact = db
        .prepare_cached(
            "INSERT INTO facts (input, digest) VALUES (?, ?) ON CONFLICT (input, digest) DO UPDATE SET digest = digest RETURNING id",
        )?
        .query_row(params![input, fact.digest.0], |row| row.get(0))?;
    Ok(fact)
}

/// Ascending numbers as LEB128 of their differences.
fn encode(ids: &[i64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(ids.len() * 2);
    let mut before = 0;
    for id in ids {
        let mut difference = id - before;
        before = *id;
        while difference >= 0x80 {
            out.push((difference & 0x7f) as u8 | 0x80);
            difference >>= 7;
        }
        out.push(difference as u8);
    }
    out
}

pub(crate) fn decode(blob: &[u8]) -> Result<Vec<i64>, CatalogError> {
    let damaged = || CatalogError::Value("an input set".into());
    let mut ids = Vec::new();
    let (mut before, mut value, mut shift) = (0i64, 0i64, 0);
    for byte in blob {
        if shift > 56 {
            return Err(damaged());
        }
        value |= i64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            before = before.checked_add(value).ok_or_else(damaged)?;
            ids.push(before);
            (value, shift) = (0, 0);
        }
    }
    // A number that doesn't end is one input less, and a test that looks fresh for it.
    if shift == 0 { Ok(ids) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(ids in prop::collection::btree_set(0i64..1 << 40, 0..50)) {
            let ids: Vec<i64> = ids.into_iter().collect();
            prop_assert_eq!(decode(&encode(&ids)).unwrap(), ids);
        }

        #[test]
        fn damage_never_panics(blob in prop::collection::vec(any::<u8>(), 0..50)) {
            let _ = decode(&blob);
        }
    }

    #[test]
    fn sums_that_overflow_and_cut_numbers_are_damage() {
        let large = [[0xff; 8].as_slice(), &[0x7f]].concat();
        assert!(decode(&[large.clone(), large].concat()).is_err());
        assert!(decode(&[5, 0x80]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn sets_are_interned_by_content(sets in prop::collection::vec(prop::collection::vec((0u8..6, 0u8..3), 0..6), 1..6)) {
            let dir = tempfile::tempdir().unwrap();
            let (mut catalog, _) = Catalog::open(&dir.path().join("c.db")).unwrap();
            let facts = |set: &[(u8, u8)]| -> Vec<Fact> {
                set.iter().map(|(file, content)| Fact { input: Input::File(file.to_string()), digest: Digest::of(&[*content]) }).collect()
            };
            let ids: Vec<SetId> = sets.iter().map(|set| catalog.intern_set(&facts(set)).unwrap()).collect();
            drop(catalog);
            let (mut catalog, _) = Catalog::open(&dir.path().join("c.db")).unwrap();
            let table = load_facts(&catalog.db, ids.iter().copied()).unwrap();
            for (set, id) in sets.iter().zip(&ids) {
                let expected: BTreeSet<Fact> = facts(set).into_iter().collect();
                let got: BTreeSet<Fact> = table.facts_of(*id).cloned().collect();
                prop_assert_eq!(&got, &expected);
                prop_assert_eq!(catalog.intern_set(&facts(set)).unwrap(), *id);
            }
        }
    }
}
