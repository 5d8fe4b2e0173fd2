//! Which tests of a file bear on which: who calls whom, and who shares a variable with whom.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use super::Part;
use crate::tokens::name_hash;

/// The graph of a file's test functions, by their numbers. Tests that share a variable reach each other by a node that stands for it, so
/// that a thousand tests of one variable have a thousand edges and not a million.
pub(super) struct Reach<'a> {
    /// The tests of each name, in whatever class.
    pub(super) named: BTreeMap<&'a str, Vec<usize>>,
    /// How many nodes are tests; those behind them are variables.
    tests: usize,
    /// What each node reaches at first hand.
    edges: Vec<Vec<usize>>,
    /// The node of what has a name, by the name's hash.
    by_name: FxHashMap<u64, Vec<usize>>,
}

impl<'a> Reach<'a> {
    pub(super) fn new(tests: &'a [Part], shared: &BTreeSet<String>) -> Self {
        let mut named: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut by_name: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
        for (number, test) in tests.iter().enumerate() {
            named.entry(&test.name).or_default().push(number);
            by_name
                .entry(name_hash(&test.name))
                .or_default()
                .push(number);
        }
        for (number, variable) in shared.iter().enumerate() {
            by_name
                .entry(name_hash(variable))
                .or_default()
                .push(tests.len() + number);
        }
        let mut edges = vec![Vec::new(); tests.len() + shared.len()];
        for (number, test) in tests.iter().enumerate() {
            for name in test.tokens.name_hashes() {
                for node in by_name.get(&name).into_iter().flatten() {
                    edges[number].push(*node);
                    if *node >= tests.len() {
                        edges[*node].push(number);
                    }
                }
            }
        }
        Self {
            named,
            tests: tests.len(),
            edges,
            by_name,
        }
    }

    /// The nodes that a part reaches which isn't a test: the frame, which says of each variable how it begins, and uses those of which it
    /// says more.
    pub(super) fn reached_by_frame(&self, frame: &Part) -> Vec<usize> {
        let mentioned = frame.tokens.name_counts();
        mentioned
            .flat_map(|(name, count)| {
                let nodes = self.by_name.get(&name).into_iter().flatten();
                nodes
                    .copied()
                    .filter(move |node| *node < self.tests || count > 1)
            })
            .collect()
    }

    /// The tests that are reached from these nodes, themselves included.
    pub(super) fn closure(&self, nodes: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut seen: FxHashSet<usize> = FxHashSet::default();
        let mut pending: Vec<usize> = nodes.into_iter().collect();
        while let Some(node) = pending.pop() {
            if seen.insert(node) {
                pending.extend(&self.edges[node]);
            }
        }
        seen.into_iter().filter(|node| *node < self.tests).collect()
    }
}
