//! Which tests of a file bear on which: who calls whom, and who shares a variable with whom.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::Part;
use crate::tokens::name_hash;

/// The graph of a file's test functions, by their numbers. Tests that share a variable reach each other by a node that stands for it, so
/// that a thousand tests of one variable have a thousand edges and not a million.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reach {
    /// The tests of each name, in whatever class.
    named: BTreeMap<String, Vec<usize>>,
    /// The names of variables. Their nodes are behind those of the tests.
    variables: Vec<String>,
    /// What each node reaches at first hand.
    edges: Vec<Vec<usize>>,
}

impl Reach {
    pub(super) fn new(tests: &[Part], shared: BTreeSet<String>) -> Self {
        let mut named: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, test) in tests.iter().enumerate() {
            named.entry(test.name.clone()).or_default().push(number);
        }
        let mut reach = Self {
            named,
            edges: vec![Vec::new(); tests.len() + shared.len()],
            variables: shared.into_iter().collect(),
        };
        let by_name = reach.by_name();
        for (number, test) in tests.iter().enumerate() {
            for name in test.tokens.name_hashes() {
                for node in by_name.get(&name).into_iter().flatten() {
                    reach.edges[number].push(*node);
                    if *node >= tests.len() {
                        reach.edges[*node].push(number);
                    }
                }
            }
        }
        reach
    }

    /// The nodes of what has a name, by the name's hash.
    fn by_name(&self) -> FxHashMap<u64, Vec<usize>> {
        let mut by_name: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
        for (name, numbers) in &self.named {
            by_name.entry(name_hash(name)).or_default().extend(numbers);
        }
        for (number, variable) in self.variables.iter().enumerate() {
            let known = by_name.entry(name_hash(variable)).or_default();
            known.push(self.tests() + number);
        }
        by_name
    }

    fn tests(&self) -> usize {
        self.edges.len() - self.variables.len()
    }

    /// The names of the tests.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// The tests of a name.
    pub(super) fn named(&self, name: &str) -> Option<&[usize]> {
        self.named.get(name).map(Vec::as_slice)
    }

    /// The names of variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// The nodes that a part reaches which isn't a test: the frame, which says of each variable how it begins, and uses those of which it
    /// says more.
    pub(super) fn reached_by_frame(&self, frame: &Part) -> Vec<usize> {
        let by_name = self.by_name();
        let mentioned = frame.tokens.name_counts();
        mentioned
            .flat_map(|(name, count)| {
                let nodes = by_name.get(&name).into_iter().flatten();
                nodes
                    .copied()
                    .filter(move |node| *node < self.tests() || count > 1)
            })
            .collect()
    }

    /// The tests that are reached from these nodes, themselves included, by calls and by those variables that join tests.
    pub(super) fn closure<'j>(
        &self,
        nodes: impl IntoIterator<Item = usize>,
        joined: impl Fn(&str) -> Joined<'j>,
    ) -> BTreeSet<usize> {
        let tests = self.tests();
        let mut seen: FxHashSet<usize> = FxHashSet::default();
        let mut pending: Vec<usize> = nodes.into_iter().collect();
        while let Some(node) = pending.pop() {
            if !seen.insert(node) {
                continue;
            }
            match node
                .checked_sub(tests)
                .map(|at| joined(&self.variables[at]))
            {
                None | Some(Joined::ToAll) => pending.extend(&self.edges[node]),
                Some(Joined::ToNone) => {}
                Some(Joined::To(names)) => {
                    let leavers = names.iter().filter_map(|name| self.named(name));
                    pending.extend(leavers.flatten());
                }
            }
        }
        seen.into_iter().filter(|node| *node < tests).collect()
    }
}

/// To which tests a variable joins those that mention it: to none, to those of these names, or to all that mention it.
pub(super) enum Joined<'j> {
    ToNone,
    To(&'j [&'j str]),
    ToAll,
}
