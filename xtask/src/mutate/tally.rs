//! How many mutants of each kind there were, and what came of them.

use std::collections::BTreeMap;
use std::fmt;

/// What came of the mutants of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    tried: usize,
    changing: usize,
    missed: usize,
    differing: usize,
}

/// The mutants by kind, as `mutate.py` and the changes of whole files name them.
#[derive(Debug, Default)]
pub struct Tally {
    rows: BTreeMap<String, Row>,
}

impl Tally {
    /// Counts a mutant: whether it changed an outcome, whether the selection missed that, and whether any outcome differs from that of a full
    /// run.
    pub fn add(&mut self, kind: &str, changes: bool, is_missed: bool, differs: bool) {
        let row = self.rows.entry(kind.to_owned()).or_default();
        row.tried += 1;
        row.changing += usize::from(changes);
        row.missed += usize::from(is_missed);
        row.differing += usize::from(differs && !is_missed);
    }

    /// How many mutants there were.
    pub fn tried(&self) -> usize {
        self.rows.values().map(|row| row.tried).sum()
    }

    /// How many changed an outcome.
    pub fn changing(&self) -> usize {
        self.rows.values().map(|row| row.changing).sum()
    }

    /// The kinds, those first of which the fewest changed an outcome.
    pub fn rarest_first(&self) -> Vec<&str> {
        let mut rows: Vec<(&String, &Row)> = self.rows.iter().collect();
        rows.sort_by_key(|(_, row)| (row.changing, row.tried));
        rows.into_iter().map(|(kind, _)| kind.as_str()).collect()
    }

    /// How many were missed.
    pub fn missed(&self) -> usize {
        self.rows.values().map(|row| row.missed).sum()
    }

    /// Of how many, beside those that were missed, a test had another outcome than in a full run, though it ran.
    pub fn differing(&self) -> usize {
        self.rows.values().map(|row| row.differing).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| kind | mutants | change an outcome | misses | differences |"
        )?;
        writeln!(f, "|---|---|---|---|---|")?;
        for (kind, row) in &self.rows {
            let (tried, changing) = (row.tried, row.changing);
            let (missed, differing) = (row.missed, row.differing);
            writeln!(
                f,
                "| {kind} | {tried} | {changing} | {missed} | {differing} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutants_are_counted_by_kind_and_in_all() {
        let mut tally = Tally::default();
        tally.add("operator", true, false, false);
        tally.add("operator", false, false, true);
        tally.add("data file", true, true, true);
        assert_eq!((tally.tried(), tally.changing(), tally.missed()), (3, 2, 1));
        assert_eq!(tally.differing(), 1);
        tally.add("operator", true, false, false);
        assert_eq!(tally.rarest_first(), ["data file", "operator"]);
        let text = tally.to_string();
        assert!(text.contains("| data file | 1 | 1 | 1 | 0 |"), "{text}");
        assert!(text.contains("| operator | 3 | 2 | 0 | 1 |"), "{text}");
    }
}
