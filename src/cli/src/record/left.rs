//! What the tests of each file were seen to leave behind, in this run and earlier ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dx_py_core::TestId;
use dx_py_discovery::symbols::name_hash;
use dx_py_protocol::{CollectedItem, Trace};
use rustc_hash::FxHashMap;

use crate::bearings::{Bearings, Filled, Ran};
use crate::leftovers::{Common, Fills, Leftovers, Names, Place, fill, key_in};

/// What tests left; names are hashes, or, but for those in files, the keys of places.
pub(super) struct Left {
    earlier: Leftovers,
    opaque: BTreeSet<u64>,
    names: Names,
    fills: Fills,
    bearings: Bearings,
    by_files: FxHashMap<String, Leavers>,
}

/// By names the test functions of a file that left something there, by their own names.
type Leavers = BTreeMap<u64, BTreeSet<String>>;

impl Left {
    /// What tests left in earlier runs.
    pub(super) fn new(earlier: Leftovers) -> Self {
        Self {
            opaque: earlier.opaque().clone(),
            names: earlier.names().clone(),
            fills: earlier.fills(),
            bearings: Bearings::default(),
            by_files: FxHashMap::default(),
            earlier,
        }
    }

    /// Names of what can't be compared.
    pub(super) fn opaque(&self) -> &BTreeSet<u64> {
        &self.opaque
    }

    /// The names of the places.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// What more than one test function left.
    pub(super) fn fills(&self) -> &Fills {
        &self.fills
    }

    /// Learns what was known in earlier runs to bear on what tests left.
    pub(super) fn learn(&mut self, bearings: Bearings) {
        self.bearings = bearings;
    }

    /// Adds what a test function left and had run by then; gives what is known to bear on that now.
    pub(super) fn bears(&mut self, filled: Filled) -> Option<Arc<Ran>> {
        self.bearings.add(filled)
    }

    /// What other runs need of that.
    pub(super) fn bearings(&self) -> Bearings {
        let is_kept =
            |place, fill| !self.fills.is_crowded(place) && self.fills.are_common(place, Some(fill));
        self.bearings.kept(is_kept)
    }

    /// Learns which tests a file has.
    pub(super) fn add_tests(&mut self, file: &str, items: &[CollectedItem]) {
        if self.earlier.is_empty() {
            return;
        }
        let left = self.by_files.entry(file.to_owned()).or_default();
        for item in items {
            let id = TestId::new(&*item.id);
            let by_test = self.earlier.left_by(id.function());
            for (place, _) in by_test.filter(|(place, fill)| !self.fills.are_common(*place, *fill))
            {
                let name = self.names.of(place);
                left.entry(name).or_default().insert(simple_name(&id));
            }
        }
    }

    /// Adds what a worker told; gives what is common from now on, by its name.
    pub(super) fn add(&mut self, trace: &Trace) -> Vec<(u64, Common)> {
        for told in &trace.opaque {
            self.opaque.insert(self.names.note(Place::of(told)));
        }
        let mut common = Vec::new();
        for left in &trace.left {
            let id = TestId::new(&*left.test);
            let test = name_hash(id.function());
            let left_in_file = self.by_files.entry(id.file().to_owned()).or_default();
            for (told, digests) in left.by_names() {
                let place = Place::of(told);
                let (key, fill) = (place.key(), fill(digests));
                if self.fills.join(test, key) {
                    common.push((key, Common::Crowd));
                }
                if let Some(fill) = fill
                    && self.fills.add(test, key, fill)
                {
                    common.push((key, Common::Fill(fill)));
                }
                if !self.fills.are_common(key, fill) {
                    let leavers = left_in_file.entry(place.hash()).or_default();
                    leavers.insert(simple_name(&id));
                }
            }
        }
        common
    }

    /// Whether tests of a test's file are bound to each other by a fixture of that name, which it is given and which isn't a variable of the
    /// file: what they leave in its value isn't known, or some of them were seen to leave something.
    pub(super) fn binds(&self, test: &TestId, fixture: u64, is_of_file: bool) -> bool {
        let left_in_file = self.by_files.get(test.file());
        let has_leavers = left_in_file.is_some_and(|left| left.contains_key(&fixture));
        self.is_opaque(test, fixture) || has_leavers && !is_of_file
    }

    /// Whether what a test of that file finds under a name isn't compared.
    fn is_opaque(&self, test: &TestId, name: u64) -> bool {
        let own = key_in(name, name_hash(test.file()));
        self.opaque.contains(&name) || self.opaque.contains(&own)
    }

    /// To which test functions of its file a variable of that name joins a test: none at all, or, if the list is empty, all that mention it.
    pub(super) fn joined(&self, test: &TestId, variable: &str) -> Option<Vec<&str>> {
        let name = name_hash(variable);
        if self.is_opaque(test, name) {
            return Some(Vec::new());
        }
        let leavers = self.by_files.get(test.file())?.get(&name)?;
        // Who leaves something runs again with those that may rely on it.
        match leavers.contains(&simple_name(test)) {
            true => Some(Vec::new()),
            false => Some(leavers.iter().map(String::as_str).collect()),
        }
    }
}

/// The name of a test's function, without what it is in.
fn simple_name(test: &TestId) -> String {
    let name = test.function().rsplit("::").next();
    name.unwrap_or_default().to_owned()
}
