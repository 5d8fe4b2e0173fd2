//! What tests left behind in earlier runs, so that it is noticed when one leaves something else.
//!
//! A fresh test was recorded with what others left in its process at that time, which is what was left before, or nothing: they may have
//! run elsewhere, or not at all. If a change makes a test leave something else, no input of the fresh ones needs to tell; but the test that
//! leaves it reached the change, so it runs, and a worker sees what it leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

use dx_py_core::TestId;
use dx_py_discovery::symbols::name_hash;
use dx_py_protocol::Trace;
use rustc_hash::{FxBuildHasher, FxHashMap};
use serde::{Deserialize, Serialize};

/// Where something was left: a name, and, if it leads there in one file of tests alone, the node ID of that. `scopes.py` tells so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The name.
    pub name: &'a str,
    /// The file, if only its tests find it.
    pub file: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// A place as it was told.
    pub fn of(told: &'a str) -> Self {
        match told.split_once('\0') {
            Some((name, file)) => Self {
                name,
                file: Some(file),
            },
            None => Self {
                name: told,
                file: None,
            },
        }
    }

    /// The name's hash.
    pub fn hash(self) -> u64 {
        name_hash(self.name)
    }

    /// What tells it from others: the name's hash, or another number for each file whose own it is.
    pub fn key(self) -> u64 {
        match self.file {
            Some(file) => key_in(self.hash(), name_hash(file)),
            None => self.hash(),
        }
    }
}

/// The names of places that are a file's own, as hashes, by the keys of these places; all others are their names' hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names(BTreeMap<u64, u64>);

impl Names {
    /// Learns of a place; gives its key.
    pub fn note(&mut self, place: Place<'_>) -> u64 {
        let key = place.key();
        if place.file.is_some() {
            self.0.insert(key, place.hash());
        }
        key
    }

    /// The name of the place with this key.
    pub fn of(&self, key: u64) -> u64 {
        self.0.get(&key).copied().unwrap_or(key)
    }

    /// Whether the place with this key is a file's own.
    pub fn is_in_file(&self, key: u64) -> bool {
        self.0.contains_key(&key)
    }
}

/// What a name is in a file of tests, both as hashes, if it leads to what only that file's tests find.
pub fn key_in(name: u64, file: u64) -> u64 {
    FxBuildHasher.hash_one((name, file))
}

/// What was left, as far as it was seen; all names are keys of places, and what is found there is told by digests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    /// By test functions and names what the function left there when that was last something else than before.
    left: BTreeMap<(u64, u64), BTreeSet<u64>>,
    /// Names of what isn't compared: whoever mentions them counts as one who leaves something there.
    opaque: BTreeSet<u64>,
    /// The names of the places.
    names: Names,
    /// The test functions of which it was seen what they ran and left.
    seen: BTreeSet<u64>,
    /// By names all that anybody left there, and where there are crowds.
    #[serde(skip)]
    found: Option<Found>,
    /// What was told of in this run: parts of a function's tests may be told one after the other.
    #[serde(skip)]
    renewed: BTreeSet<(u64, u64)>,
    /// The test functions that were seen in earlier runs, if any was told of in this one.
    #[serde(skip)]
    seen_before: Option<BTreeSet<u64>>,
}

/// From how many test functions on that left something under a name there is a *crowd*. Each leaves something of its own, as in a registry or
/// a cache, and who finds what depends on which of them came before; so no test can go by what another one left there.
const CROWD: usize = 16;

/// What was found, by names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    digests: BTreeSet<(u64, u64)>,
    fills: Fills,
}

/// Marks a digest that tells all of what there is: another test that left what has the same one left the same.
const EXACT: u64 = 1;

/// In place of a digest: what is there is what was there, in another order.
const REORDERED: u64 = 2;

/// Whether the owner of what ran is a test. Others own what no single test ran, `x:` and `u:` what ran for a fixture.
fn is_test(owner: &str) -> bool {
    owner.contains("::") && !owner.starts_with("x:") && !owner.starts_with("u:")
}

/// Whether a test function left nothing new under a name.
pub fn is_reordered(digests: &BTreeSet<u64>) -> bool {
    digests.iter().all(|digest| *digest == REORDERED)
}

/// What test functions left under a name, as one number; none if their digests don't tell all of it.
pub fn fill(digests: impl IntoIterator<Item = u64>) -> Option<u64> {
    let digests: BTreeSet<u64> = digests.into_iter().collect();
    let is_exact = digests.iter().all(|digest| digest & EXACT != 0);
    is_exact.then(|| FxBuildHasher.hash_one(digests))
}

/// What more than one test function left, such as a cache that whoever comes first fills, and where there are crowds of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fills {
    /// By names and fills a test function that left it, none if there are more.
    by: FxHashMap<(u64, u64), Option<u64>>,
    /// By names the test functions that left something there, until they are a crowd.
    leavers: FxHashMap<u64, BTreeSet<u64>>,
}

/// What is known from now on of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Common {
    /// More than one test function leaves this there.
    Fill(u64),
    /// A crowd leaves something there.
    Crowd,
}

impl Fills {
    /// A test function left something under a name. Gives whether it's known from now on that a crowd does.
    pub fn join(&mut self, test: u64, name: u64) -> bool {
        let leavers = self.leavers.entry(name).or_default();
        leavers.len() < CROWD && leavers.insert(test) && leavers.len() == CROWD
    }

    /// A test function left this under a name. Gives whether it's known from now on that others do as well.
    pub fn add(&mut self, test: u64, name: u64, fill: u64) -> bool {
        let known = self.by.entry((name, fill)).or_insert(Some(test));
        let is_another = known.is_some_and(|known| known != test);
        if is_another {
            *known = None;
        }
        is_another
    }

    /// Whether a crowd leaves something under a name.
    pub fn is_crowded(&self, name: u64) -> bool {
        let leavers = self.leavers.get(&name);
        leavers.is_some_and(|leavers| leavers.len() >= CROWD)
    }

    /// Whether what was left there is known, and more than one left the same.
    pub fn are_common(&self, name: u64, fill: Option<u64>) -> bool {
        fill.is_some_and(|fill| self.by.get(&(name, fill)) == Some(&None))
    }
}

/// What wasn't left before: by names, the tests that did.
pub type News = BTreeMap<String, BTreeSet<String>>;

impl Leftovers {
    /// The places of what isn't compared.
    pub fn opaque(&self) -> &BTreeSet<u64> {
        &self.opaque
    }

    /// The names of the places.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Whether nothing was seen to be left.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The places where a test function left something, and what it was, if that is known.
    pub fn left_by(&self, function: &str) -> impl Iterator<Item = (u64, Option<u64>)> {
        let test = name_hash(function);
        let places = self.left.range((test, u64::MIN)..=(test, u64::MAX));
        places.map(|((_, name), digests)| (*name, fill(digests.iter().copied())))
    }

    /// What more than one test function left, as far as is known.
    pub fn fills(&self) -> Fills {
        fills(&self.left)
    }

    /// Adds what a worker told; puts into `news` what is other than before. Gives whether there is more to keep.
    pub fn add(&mut self, trace: &Trace, news: &mut News) -> bool {
        let before = self.seen_before.get_or_insert_with(|| self.seen.clone());
        let known = before.len().max(self.seen.len());
        let tests = trace.ran.iter().flat_map(|(owners, _)| owners);
        let tests = tests.filter(|owner| is_test(owner));
        let tests = tests.chain(trace.left.iter().map(|left| &left.test));
        self.seen
            .extend(tests.map(|test| name_hash(TestId::new(&**test).function())));
        for left in &trace.left {
            let id = TestId::new(&*left.test);
            let test = name_hash(id.function());
            for (told, digests) in left.by_names() {
                let key = self.names.note(Place::of(told));
                let is_new = self.is_new(test, key, digests);
                if is_new && !self.opaque.contains(&key) || news.contains_key(told) {
                    let tests = news.entry(told.to_owned()).or_default();
                    tests.insert(id.function().to_owned());
                }
            }
        }
        for told in &trace.opaque {
            let key = self.names.note(Place::of(told));
            if self.opaque.insert(key) {
                news.entry(told.clone()).or_default();
            }
        }
        self.seen.len() > known || !trace.left.is_empty() || !trace.opaque.is_empty()
    }

    /// Keeps what a test function left under a name; gives whether others may find what they didn't before.
    ///
    /// Of a function that left something there already, whatever is else than the last time. Of another one, what nobody left: which test
    /// is the first to fill a cache differs from run to run. Of one in a crowd, what nobody left either, if it left nothing there when it
    /// was seen to run.
    fn is_new(&mut self, test: u64, name: u64, digests: BTreeSet<u64>) -> bool {
        let found = self.found.get_or_insert_with(|| {
            let left = self.left.iter();
            let digests =
                left.flat_map(|((_, name), digests)| digests.iter().map(|one| (*name, *one)));
            Found {
                digests: digests.collect(),
                fills: fills(&self.left),
            }
        });
        let mut is_other = false;
        for digest in &digests {
            is_other |= found.digests.insert((name, *digest));
        }
        found.fills.join(test, name);
        let is_crowded = found.fills.is_crowded(name);
        let pair = (test, name);
        let is_renewed = !self.renewed.insert(pair);
        let Some(known) = self.left.get_mut(&pair) else {
            self.left.insert(pair, digests);
            let seen = self.seen_before.as_ref();
            return is_other && (!is_crowded || seen.is_some_and(|seen| seen.contains(&test)));
        };
        if digests.is_subset(known) {
            return false;
        }
        if is_renewed {
            known.extend(digests);
        } else {
            *known = digests;
        }
        !is_crowded
    }
}

/// What of this is common, by test functions and names.
fn fills(left: &BTreeMap<(u64, u64), BTreeSet<u64>>) -> Fills {
    let mut fills = Fills::default();
    for ((test, name), digests) in left {
        fills.join(*test, *name);
        if let Some(fill) = fill(digests.iter().copied()) {
            fills.add(*test, *name, fill);
        }
    }
    fills
}

#[cfg(test)]
mod tests {
    use super::*;
    use dx_py_core::blob;
    use dx_py_protocol::Left;

    fn told(test: &str, places: &[(&str, u64)], opaque: &[&str]) -> Trace {
        Trace {
            left: vec![Left {
                test: test.into(),
                fixture: String::new(),
                places: places
                    .iter()
                    .map(|(name, digest)| ((*name).into(), *digest))
                    .collect(),
            }],
            opaque: opaque.iter().map(|name| (*name).into()).collect(),
            ..Trace::default()
        }
    }

    #[test]
    fn what_is_left_otherwise_is_news() {
        let mut known = Leftovers::default();
        let mut news = |test: &str, place: (&str, u64), more: &[(&str, u64)]| {
            let places: Vec<(&str, u64)> =
                std::iter::once(place).chain(more.iter().copied()).collect();
            let mut news = News::new();
            known.add(&told(test, &places, &["odd"]), &mut news);
            known = blob::decode(&blob::encode(&known).unwrap()).unwrap();
            news.into_keys().collect::<Vec<String>>()
        };
        let (first, other) = (("cache", 1), ("cache", 2));
        assert_eq!(news("a.py::f[1]", first, &[]), ["cache", "odd"]);
        // The same, by others too, and what isn't compared.
        for test in ["a.py::f[1]", "a.py::f[2]", "a.py::g"] {
            assert!(news(test, first, &[]).is_empty(), "{test}");
        }
        assert!(news("a.py::g", ("odd", 3), &[]).is_empty());
        // Something else by the same one, and that it comes back; less is nothing else.
        for (place, more) in [(other, &[][..]), (first, &[]), (first, &[other])] {
            assert_eq!(news("a.py::f[1]", place, more), ["cache"], "{place:?}");
        }
        assert!(news("a.py::f[1]", other, &[]).is_empty());
        assert!(news("a.py::h", other, &[]).is_empty());
        assert_eq!(news("a.py::i", first, &[("cache", 3)]), ["cache"]);
    }

    #[test]
    fn in_a_crowd_what_one_leaves_is_its_own_matter() {
        let mut known = Leftovers::default();
        let mut run = |told: Trace| {
            let mut news = News::new();
            known.add(&told, &mut news);
            known = blob::decode(&blob::encode(&known).unwrap()).unwrap();
            news.contains_key("cache")
        };
        let left = |test: u64, digest| told(&format!("a.py::f{test}"), &[("cache", digest)], &[]);
        for test in 1..CROWD as u64 {
            assert!(run(left(test, 2 * test)), "{test}");
        }
        // Others, and something else by the same.
        assert!(!run(left(99, 100)) && !run(left(1, 102)));
        // One that was seen to leave nothing there leaves what nobody left, and what others do.
        for (digest, is_news) in [(104, true), (102, false)] {
            let test = format!("a.py::quiet{digest}");
            let ran = vec![(vec![test.clone()], vec![])];
            let quiet = Trace {
                ran,
                ..Trace::default()
            };
            assert!(!run(quiet));
            assert_eq!(run(told(&test, &[("cache", digest)], &[])), is_news);
        }
    }

    #[test]
    fn a_crowd_is_told_of_once() {
        let mut fills = Fills::default();
        let crowds = (0..2 * CROWD as u64).filter(|test| fills.join(test / 2, 1));
        assert_eq!(crowds.count(), 1);
        assert!(fills.is_crowded(1) && !fills.is_crowded(2));
    }

    #[test]
    fn a_function_whose_tests_are_told_in_parts_leaves_what_all_do() {
        let mut known = Leftovers::default();
        let run = |known: &mut Leftovers| {
            let mut news = News::new();
            for (test, digest) in [("a.py::f[1]", 1), ("a.py::f[2]", 2)] {
                known.add(&told(test, &[("cache", digest)], &[]), &mut news);
            }
            !news.is_empty()
        };
        assert!(run(&mut known));
        let mut later: Leftovers = blob::decode(&blob::encode(&known).unwrap()).unwrap();
        assert!(!run(&mut later));
    }
}
